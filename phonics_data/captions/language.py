"""Language check of transcripts by function words, letter names and example words of alphabet songs. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

# Words that are frequent in one language and absent or rare in English.
_FUNCTION_WORDS = {
    "English": "the and is for of to you it in my with that this are we what your have on now know can says like see",
    "German": "der das und ist nicht ich wie mit ein eine für von auf wir sie kommt mein auch sind wo dann jetzt",
    "French": "le les et est pour une des dans avec qui nous vous je c'est sur pas mais comme où mon très",
    "Spanish": "el los las y es para una por con que del como mi soy está pero más muy también aquí",
    "Portuguese": "o os e é para uma um com não do da em você meu minha também muito aqui agora como",
    "Italian": "il gli e è per una di con che non sono della come mio questo anche più adesso",
    "Dutch": "de het een en is van voor niet met ik je wij zijn dat ook naar mijn nu hoe",
    "Polish": "jest się nie jak i w na to co czy dla z po moja mój też tak ale są już",
    "Turkish": "ve bir bu için ile çok ben sen değil gibi var ne daha",
    "Indonesian": "yang dan di untuk ini itu dengan saya kamu tidak ada ke dari kita",
}

# Names of letters. Those after the bar are also sounds or syllables in English transcripts and count half.
_LETTER_NAMES = {
    "German": "jot vau ypsilon üpsilon zett eszett emm enn | ka ha ix zet tse",
    "French": "hache ixe igrec grec bé cé dé gé pé té vé esse | ka ji",
    "Spanish": "efe hache jota eme ene eñe erre ese uve equis griega zeta doble | ka cu ele ce",
    "Portuguese": "efe agá jota eme ene erre esse bê cê dê gê pê quê tê vê dáblio xis ípsilon zê | ele cá",
    "Italian": "effe acca emme enne erre esse ics ipsilon zeta lunga | kappa elle bi ci di gi pi ti vu cu",
    "Dutch": "haa kaa kuu uu iks ypsilon griekse ij | jee wee zet",
    "Polish": "jot gie igrek iks wu zet żet ziet eł eń eś | ka ha ku",
    "Turkish": "çe şe yumuşak ke fe | ze ye le je",
}

# Words that alphabet songs and books of the language use as examples, and that are no English words.
_EXAMPLE_WORDS = {
    "German": "apfel affe bär baum blume ente elefant esel fisch frosch gans haus hase hund igel jäger katze käse löwe maus "
    "mond nase oma opa ofen pferd qualle quelle rabe regenbogen sonne schaf tisch uhr uhu vogel vater wolke xylophon zug zitrone",
    "French": "arbre avion abeille bateau ballon chat chien cheval canard chapeau dauphin éléphant école étoile fleur fille "
    "fraise gâteau girafe hibou herbe jupe lapin lune maison mouton nuage oiseau ours pomme poisson renard roi soleil souris "
    "tortue vache voiture yaourt zèbre",
    "Spanish": "abeja árbol avión burro ballena barco casa conejo dado dedo delfín elefante estrella foca flor gato globo hada "
    "hipopótamo huevo iglesia isla jirafa jabón león luna libro mano mesa mariposa nube niño nido ñandú oso oveja ojo pato perro "
    "pelota queso ratón rana silla sapo tortuga tren uva uña unicornio vaca ventana xilófono zapato zorro",
    "Portuguese": "abelha avião árvore bola boneca barco casa cachorro coelho dado dedo elefante estrela escola faca flor foca "
    "gato girafa galinha hipopótamo igreja ilha jacaré janela leão lua maçã macaco navio nuvem ovelha olho ovo pato peixe pipa "
    "queijo rato sapo tatu tartaruga uva urso unha vaca xícara xilofone",
    "Italian": "ape albero aereo barca balena casa cane coniglio dado delfino dente elefante farfalla fiore fragola gatto gelato "
    "giraffa imbuto isola lupo leone luna mela nave nuvola naso orso oca ombrello pesce palla pane quadro quaderno rana ruota "
    "stella scarpa topo treno tavolo uva uovo vaso volpe zaino zucca",
    "Dutch": "aap appel citroen doos eend ezel eekhoorn fiets fles geit hond huis hoed ijs ijsbeer jas jongen koe leeuw maan "
    "muis neus olifant poes paard raam roos schaap ster tafel tijger uil vis vogel vlinder wolk zon",
    "Polish": "arbuz ananas balon babcia cytryna cebula drzewo foka gruszka góra igła indyk jabłko jajko kot krowa lis łódka "
    "małpa miś noga okno oko ołówek pies piłka ryba rower słońce sowa tygrys ucho woda wilk zamek żaba",
    "Turkish": "araba armut arı ayı balık bebek ceviz çiçek çilek deniz dondurma elma ekmek fındık gemi güneş havuç horoz inek "
    "kedi kuş kelebek limon lale masa muz maymun okul otobüs ördek portakal resim saat şapka tavşan uçak uçurtma üzüm vapur yılan "
    "yumurta zürafa",
}

_ENGLISH = frozenset(_FUNCTION_WORDS["English"].split())
_OTHERS = {name: frozenset(words.split()) - _ENGLISH for name, words in _FUNCTION_WORDS.items() if name != "English"}
_NAMES = {
    name: {word: 0.5 if part else 1.0 for part, text in enumerate(words.split("|")) for word in text.split()}
    for name, words in _LETTER_NAMES.items()
}
_EXAMPLES = {name: frozenset(words.split()) for name, words in _EXAMPLE_WORDS.items()}
# In alphabet songs a single character is a letter name, not a word.
_MIN_LENGTH = 2
_MIN_FOREIGN_WORDS = 6
_MIN_NAMES, _MIN_EXAMPLES = 2.5, 5
"""Different letter names, or example words, of one language that show it without function words; two examples count as a name."""
_FOREIGN_LETTERS = re.compile(r"[^\W\d_]", re.UNICODE)


def foreign_language(texts: Iterable[str]) -> str | None:
    """Name of the language of a transcript if it is clearly not English; else None.

    Text in another script gives ``not in Latin script``. Short text gives None: letters alone ("A B C") are the same in
    many languages. Their written names ("jot, ka, ypsilon") are not.
    """
    words = [text.lower().strip(".,!?;:¡¿\"'()") for text in texts]
    characters = [c for word in words for c in _FOREIGN_LETTERS.findall(word)]
    if sum(ord(c) > 0x24F for c in characters) > max(len(characters) // 2, 20):
        return "not in Latin script"
    counts = Counter(word for word in words if len(word) >= _MIN_LENGTH)
    english = sum(counts[word] for word in _ENGLISH)
    scores = {name: sum(counts[word] for word in vocabulary) for name, vocabulary in _OTHERS.items()}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] >= _MIN_FOREIGN_WORDS and scores[best] > 2 * english:
        return best
    return _by_letters(counts, scores, english)


def _by_letters(counts: Counter[str], function_words: dict[str, int], english: int) -> str | None:
    """The language whose letter names and example words the transcript contains; None without, and for mostly English text."""
    found: dict[str, float] = {}
    for name, names in _NAMES.items():
        num_names = sum(value for word, value in names.items() if counts[word])
        num_examples = sum(counts[word] > 0 for word in _EXAMPLES[name])
        occurrences = function_words[name] + sum(counts[word] for word in {*names, *_EXAMPLES[name]})
        is_shown = num_examples >= _MIN_EXAMPLES or num_names + num_examples / 2 >= _MIN_NAMES
        if is_shown and occurrences > english:
            found[name] = num_names + num_examples / 2 + function_words[name] / _MIN_FOREIGN_WORDS
    return max(found, key=lambda name: found[name], default=None)
