"""Names, sounds and example words of the letters, and the tokens of a transcript."""

from __future__ import annotations

import functools
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from phonics_data.types import Timing, Word

LETTERS = string.ascii_uppercase

# --- names ---------------------------------------------------------------------------------------------------------

_SURE_NAMES = {
    "A": "ay", "B": "bee", "C": "cee", "D": "dee", "E": "ee", "F": "ef eff", "G": "gee", "H": "aitch haitch", "I": "eye",
    "J": "jay", "K": "kay", "L": "el ell elle", "M": "em", "N": "en", "P": "pee", "Q": "cue queue kew", "R": "ar",
    "S": "ess", "T": "tee", "U": "yew ewe", "V": "vee", "W": "doubleu doubleyou double-u double-you dubya", "X": "ecks ex",
    "Y": "wye", "Z": "zee zed",
}  # fmt: skip
"""Spellings that are almost always a letter's name."""

_COMMON_NAMES = {
    "A": "eh hey", "B": "be", "C": "see sea", "E": "he", "G": "ji", "I": "aye", "J": "je", "K": "ok okay cake", "L": "al well",
    "M": "am them", "N": "end", "O": "oh owe", "P": "pea", "R": "are our", "S": "yes", "T": "tea", "U": "you", "V": "we",
    "X": "eggs exit", "Y": "why", "Z": "said set",
}  # fmt: skip
"""Common words that sound like a letter's name, or that recognizers output instead of it."""

_RARELY_NAMES = frozenset("he end yes am them hey eh cake said set exit al we our be well".split())
"""Common names that are almost never a letter's name."""

_SOUNDS = {
    "A": "ah ahh aa", "B": "buh bah", "C": "kuh cuh", "D": "duh dah", "E": "eh", "F": "fff fuh",
    "G": "guh gah", "H": "huh hah", "I": "ih", "J": "juh jah", "K": "kuh cuh", "L": "luh lll ull", "M": "muh mmm",
    "N": "nuh nnn", "O": "aw ah oh", "P": "puh pah", "Q": "kwuh qwuh kwa quah", "R": "ruh rrr er", "S": "sss suh",
    "T": "tuh tah", "U": "uh", "V": "vuh vvv", "W": "wuh wah", "X": "ks eks", "Y": "yuh yah", "Z": "zzz zuh",
}  # fmt: skip

FILLERS = frozenset(
    "a an the is are was for says say said as in like of and or to with that this it its it's goes go makes make "
    "starts begins stands word words letter letters big little small capital here there s fore 4".split()
)
"""Words between a letter's name and its example that belong to no letter."""

GREETINGS = frozenset(
    "hello hi hey welcome everybody everyone children kids friends guys thank thanks bye goodbye subscribe channel "
    "video videos watch watching again fun great ready song sing singing".split()
)
"""Words of greetings, farewells and adverts."""

_COMMON_WORDS = (
    FILLERS
    | GREETINGS
    | frozenset(
        "i you he she we they me my your our his her us them be been am do does did can could will would shall should has "
        "have had let let's lets now know next time won't sing song with come on all what where who when how why see look "
        "not no yes yeah oh so if then than but from up down out by at too very good great job well done bye hello hi "
        "welcome everybody everyone children kids ready again along learn learning alphabet abc abcs thank thanks fun".split()
    )
)
"""Words whose first letter is no evidence."""

# Groups of letters with similar names, which recognizers confuse.
_CONFUSABLE = ("BCDEGPTVZ", "MN", "FSX", "AHJK", "IY", "QU")


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """One normalized word, or one letter of a word that spells letters ("ABC", "Q-R-S")."""

    text: str
    """Lower case, without surrounding punctuation."""
    start_seconds: float
    end_seconds: float
    word_index: int
    """Index of the `Word` that contains it."""
    capital: bool
    """A single letter that is upper case in the transcript."""
    spelled: bool
    """One of several letters of one word."""
    timing: Timing
    confidence: float | None = None
    """Of the recognizer for the word, 0..1."""


_RUN = re.compile(r"[A-Z]{2,26}|[a-z]{3,26}")
_NAME_AND_FOR = re.compile(r"([A-Za-z]|be|Be)(?:4|-?for|fore)")
"""Recognizers output "A4" for "A for" and "Before" for "B for"."""
_LIKE_FOR = r"(?:4|four|fore?|f[au]ll?|far|f[ao]r[nm])"
_FOR = re.compile(_LIKE_FOR)
_FOR_AND_WORD = re.compile(rf"((?i:{_LIKE_FOR}))([A-Z][a-z]{{2,}})")
"""And "FarnDog" for "for dog"."""
_OUTER = ".,!?;:…\"'()[]{}<>¡¿“”‘’*~/\\|_-–—"


def tokens(words: Sequence[Word]) -> list[Token]:
    """The tokens of the words, sorted by start; words without letters or digits have none."""
    found: list[Token] = []
    for index, word in enumerate(words):
        parts = _parts(word.text)
        spelled = len(parts) > 1 and all(len(part) == 1 for part in parts)
        step = (word.end_seconds - word.start_seconds) / max(len(parts), 1)
        for order, part in enumerate(parts):
            found.append(
                Token(
                    text=part.lower(),
                    start_seconds=word.start_seconds + order * step,
                    end_seconds=word.start_seconds + (order + 1) * step,
                    word_index=index,
                    capital=len(part) == 1 and part.isupper(),
                    spelled=spelled,
                    timing=word.timing if len(parts) == 1 else "interpolated",
                    confidence=word.confidence,
                )
            )
    # Letters of a spelled word may be later than the start of the next word.
    return sorted(found, key=lambda token: token.start_seconds)


def _parts(text: str) -> list[str]:
    plain = text.replace("’", "'").strip(_OUTER)
    if not plain:
        return []
    pieces = [piece for piece in re.split(r"[-–—.,/&]+", plain) if piece]
    if len(pieces) > 1 and all(_is_letters(piece) for piece in pieces):
        return [letter for piece in pieces for letter in piece.upper()]
    if len(pieces) == 1 and _is_letters(plain) and len(plain) > 1:
        return list(plain.upper())
    if match := _NAME_AND_FOR.fullmatch(plain):
        return [match[1], "for"]
    if match := _FOR_AND_WORD.fullmatch(plain):
        return [match[1], match[2]]
    return [plain]


def _is_letters(text: str) -> bool:
    """Whether `text` spells letters: one letter, or several that follow each other in the alphabet ("QRS")."""
    if len(text) == 1:
        return text.isascii() and text.isalpha()
    # Upper case or three letters in order are required: "hi", "no" and "mn" may be words.
    return bool(_RUN.fullmatch(text)) and text.upper() in LETTERS


@functools.cache
def _names() -> Mapping[str, Mapping[str, float]]:
    """Word -> {letter: probability that the word is its name, 0..1}."""
    table: dict[str, dict[str, float]] = {}
    for letter in LETTERS:
        table[letter.lower()] = {letter: 1.0}
    # These two are also words; `Token.capital` compensates for it.
    table["a"]["A"] = table["i"]["I"] = 0.6
    for letter, spellings in _SURE_NAMES.items():
        for spelling in spellings.split():
            table.setdefault(spelling, {})[letter] = 0.7
    for letter, spellings in _COMMON_NAMES.items():
        for spelling in spellings.split():
            table.setdefault(spelling, {}).setdefault(letter, 0.1 if spelling in _RARELY_NAMES else 0.35)
    return table


_STRETCHED = re.compile(r"(.)\1+")


@functools.cache
def _sounds() -> Mapping[str, frozenset[str]]:
    """Sound -> the letters that have it; also each sound with repeated letters written once, for stretched sounds."""
    table: dict[str, set[str]] = {}
    for letter, spellings in _SOUNDS.items():
        for spelling in spellings.split():
            for form in {spelling, _STRETCHED.sub(r"\1", spelling)}:
                table.setdefault(form, set()).add(letter)
    return {sound: frozenset(letters) for sound, letters in table.items()}


@functools.cache
def examples() -> Mapping[str, frozenset[str]]:
    """Word -> the letters for which children's songs use it. More than 3,000 words, from words.txt."""
    table: dict[str, set[str]] = {}
    text = files("phonics_data.segmentation").joinpath("words.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            letter, *words = line.split()
            for word in words:
                table.setdefault(word, set()).add(letter)
    return {word: frozenset(letters) for word, letters in table.items()}


def name_of(token: Token) -> dict[str, float]:
    """Letter -> probability that the token is its name, 0..1."""
    found = dict(_names().get(token.text, {}))
    if token.capital and found and not token.spelled:
        # Upper case indicates the letter "A" rather than the article. "I" is always upper case.
        found = {letter: max(value, 0.8) if letter == "A" else value for letter, value in found.items()}
    if token.spelled:
        found = {token.text.upper(): 1.0}
    return found


def sound_of(token: Token) -> dict[str, float]:
    """Letter -> probability that the token is its sound, 0..1: "buh", and stretched sounds such as "aaah" and "mmmm"."""
    text = token.text
    if len(text) < 2:
        return {}
    letters = _sounds().get(text, frozenset())
    if not letters and text not in _names() and text not in examples():
        letters = _sounds().get(_STRETCHED.sub(r"\1", text), frozenset())
    return {letter: 1 / len(letters) for letter in sorted(letters)}


def example_of(token: Token) -> dict[str, float]:
    """Letter -> value of the token as an example word: 1 for words of the lexicon, 0.3 for the first letter of other content words."""
    text = token.text.removesuffix("'s")
    if len(text) < 2 or text in FILLERS:
        return {}
    lexicon = frozenset[str]().union(*(examples().get(form, ()) for form in _forms(text)))
    weak = text in _COMMON_WORDS
    if lexicon:
        return dict.fromkeys(lexicon, 0.3 if weak else 1.0)
    first = text[0].upper()
    return {first: 0.3} if first in LETTERS and not weak else {}


def _forms(text: str) -> tuple[str, ...]:
    """The word and its possible singular forms."""
    return text, text.removesuffix("s"), text.removesuffix("es"), re.sub("ies$", "y", text)


def is_like_for(text: str) -> bool:
    """Whether recognizers output this word for the unstressed "for" of "B for ball": "for", "far", "four", "fall", "4"."""
    return bool(_FOR.fullmatch(text))


def confusable(letter: str) -> str:
    """Letters whose names sound like that of `letter`, without `letter`."""
    return "".join(other for group in _CONFUSABLE if letter in group for other in group if other != letter)
