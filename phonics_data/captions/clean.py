"""Removal of unspoken text from captions: format tags, sound descriptions, music notes, speaker names, invisible characters. Pure."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable

_NOISE = "music|applause|laughter|laughing|singing|cheering|clapping|whistling|instrumental|giggling|barking|sound"
_BRACKETS = re.compile(r"\[(?!\s*[A-Za-z]\s*\])[^\[\]]{0,80}\]|[【［][^】］]{0,80}[】］]")
_SOUND = re.compile(rf"\b(?:{_NOISE})\b", re.IGNORECASE)
CODES = re.compile(r"\{(?!\s*[A-Za-z]\s*\})[^{}\n]{0,400}\}")
"""Codes and comments of ASS and MicroDVD; a letter alone in braces is text."""
_NOISE_IN_PARENTHESES = re.compile(
    rf"[(（](?=[^()（）]*\b(?:{_NOISE})\b)[^()（）]{{0,80}}[)）]|\*(?=[^*]*\b(?:{_NOISE})\b)[^*]{{0,80}}\*",
    re.IGNORECASE,
)
_LINE_START = re.compile(
    r"^[ \t]*(?P<dash>>>+|[-–—][ \t]+)?[ \t]*"
    r"(?:(?P<label>[A-Za-z][\w.'’]{0,30}(?:[ \t][\w.'’]{1,30}){0,2})[ \t]?:(?=\s))?",
    re.MULTILINE,
)
_ROLES = frozenset(
    "adult adults all announcer anchor audience baby both boy boys child children chorus cookie crowd dad daddy everybody everyone "
    "father female girl girls group guy host kid kids lady male man men mom mommy mother mum mummy narrator person presenter "
    "reporter singer singers speaker student students teacher together voice woman women".split()
)
_NUMBER = re.compile(r"[ _#-]{0,2}\d{1,3}$")
_MIN_LINES_OF_SPEAKER = 3
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_LONG_REFERENCE = re.compile(r"&#[0-9a-fA-FxX]{9,};?")
_MARKS = re.compile(r">>+|[♪♫♩♬🎵🎶#*]+")
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200c-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufffd\ud800-\udfff]"
)
"""Control and bidirectional characters, joiners, variation selectors, lone surrogates (parquet cannot store these), and what replaces
characters that could not be read."""


def without_marks(text: str) -> str:
    """`text` without entities, codes in braces (``{\\an8}``) and invisible characters; its lines stay.

    A space without width separates words.
    """
    for _ in range(2):
        text = html.unescape(_LONG_REFERENCE.sub(" ", text))
    return CODES.sub("", _INVISIBLE.sub("", text.replace("\u200b", " ")))


def is_sound(text: str) -> bool:
    """Whether text in brackets describes a sound: "[Music]"."""
    return bool(_SOUND.search(text))


def speaker_names(texts: Iterable[str]) -> frozenset[str]:
    """The labels, in lower case, that name the speakers of a track, of all that are followed by a colon at the begin of a line.

    A label is a name if it is a role ("NARRATOR:", "Speaker 1:"), if it follows a dash or ``>>`` in capital letters, or if three
    lines begin with it. "A:", "ABC:" and "CAT: C is for cat" are sung.
    """
    names: set[str] = set()
    counts: Counter[str] = Counter()
    for text in texts:
        for match in _LINE_START.finditer(_without_noise(text)):
            if (label := match["label"]) is None:
                continue
            key = label.casefold()
            base = _NUMBER.sub("", key)
            if base.split()[-1:] and base.split()[-1] in _ROLES:
                names.add(key)
            elif not _is_spelled(key) and (label.isupper() or label.istitle()):
                counts[key] += 1
                if match["dash"] and label.isupper():
                    names.add(key)
    return frozenset(names | {key for key, count in counts.items() if count >= _MIN_LINES_OF_SPEAKER})


def _is_spelled(label: str) -> bool:
    """Whether a label in lower case is letters: "a", "abc", "a. b. c"."""
    tokens = re.split(r"[\s.]+", label.strip(". "))
    return all(len(token) == 1 for token in tokens) or label in _ALPHABET


def clean_text(text: str, speakers: frozenset[str] = frozenset()) -> str:
    """`text` without entities, [Music], (applause), music notes, ``>>``, leading dashes, `speakers` and invisible characters.

    Entities are resolved twice because some tools escape text that is already escaped (``&amp;#39;``).
    """
    text = _LINE_START.sub(lambda match: _without_speaker(match, speakers), _without_noise(text))
    return _MARKS.sub(" ", text)


def _without_noise(text: str) -> str:
    return _NOISE_IN_PARENTHESES.sub(" ", _BRACKETS.sub(" ", without_marks(text)))


def _without_speaker(match: re.Match[str], speakers: frozenset[str]) -> str:
    label = match["label"]
    if label is None or label.casefold() in speakers:
        return " "
    return " " + match[0][match.start("label") - match.start() :]
