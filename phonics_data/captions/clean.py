"""The text of a caption without what is not said: tags of other formats, noises, notes, speakers, invisible signs. Pure."""

from __future__ import annotations

import html
import re

_NOISE = "music|applause|laughter|laughing|singing|cheering|clapping|whistling|instrumental|giggling|barking|sound"
_BRACKETS = re.compile(r"\[(?!\s*[A-Za-z]\s*\])[^\[\]]{0,80}\]|[【［][^】］]{0,80}[】］]|\{\\[^{}]{0,40}\}")
_NOISE_IN_PARENTHESES = re.compile(
    rf"[(（](?=[^()（）]*\b(?:{_NOISE})\b)[^()（）]{{0,80}}[)）]|\*(?=[^*]*\b(?:{_NOISE})\b)[^*]{{0,80}}\*",
    re.IGNORECASE,
)
_SPEAKER = re.compile(
    r"^[ \t]*(?:>>+|[-–—][ \t]+)?[ \t]*(?:[A-Z][A-Z.']+(?:[ \t][A-Z.']+){0,2}[ \t]?:(?=\s))?", re.MULTILINE
)
_LONG_REFERENCE = re.compile(r"&#[0-9a-fA-FxX]{9,};?")
_MARKS = re.compile(r">>+|[♪♫♩♬🎵🎶#*]+")
_UNSEEN = re.compile(
    r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ud800-\udfff]"
)
"""Controls, marks of direction, joiners, and halves of characters, which no table could store."""


def cleaned(text: str) -> str:
    """`text` without entities, [Music], (applause), notes, ``>>``, leading dashes, speakers' names and invisible signs.

    Entities are resolved twice, for some tools escape what was escaped already (``&amp;#39;``).
    """
    for _ in range(2):
        text = html.unescape(_LONG_REFERENCE.sub(" ", text))
    text = _UNSEEN.sub("", text)
    text = _NOISE_IN_PARENTHESES.sub(" ", _BRACKETS.sub(" ", text))
    return _MARKS.sub(" ", _SPEAKER.sub(" ", text))
