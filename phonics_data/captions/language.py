"""Language check of transcripts by their function words. Pure."""

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
    "Turkish": "ve bir bu için ile çok ben sen değil gibi var ne daha",
    "Indonesian": "yang dan di untuk ini itu dengan saya kamu tidak ada ke dari kita",
}
_ENGLISH = frozenset(_FUNCTION_WORDS["English"].split())
_OTHERS = {name: frozenset(words.split()) - _ENGLISH for name, words in _FUNCTION_WORDS.items() if name != "English"}
# In alphabet songs a single character is a letter name, not a word.
_MIN_LENGTH = 2
_MIN_FOREIGN_WORDS = 6
_FOREIGN_LETTERS = re.compile(r"[^\W\d_]", re.UNICODE)


def foreign_language(texts: Iterable[str]) -> str | None:
    """Name of the language of a transcript if it is clearly not English; else None.

    Text in another script gives ``not in Latin script``. Short text gives None: letters alone ("A B C") are the same in
    many languages.
    """
    words = [text.lower().strip(".,!?;:¡¿\"'()") for text in texts]
    characters = [c for word in words for c in _FOREIGN_LETTERS.findall(word)]
    if sum(ord(c) > 0x24F for c in characters) > max(len(characters) // 2, 20):
        return "not in Latin script"
    counts = Counter(word for word in words if len(word) >= _MIN_LENGTH)
    english = sum(counts[word] for word in _ENGLISH)
    scores = {name: sum(counts[word] for word in vocabulary) for name, vocabulary in _OTHERS.items()}
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] >= _MIN_FOREIGN_WORDS and scores[best] > 2 * english else None
