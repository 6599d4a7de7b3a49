"""Removal of unspoken text from captions: format tags, sound descriptions, music notes, speaker names, invisible characters. Pure."""

from __future__ import annotations

import html
import re

_NOISE = "music|applause|laughter|laughing|singing|cheering|clapping|whistling|instrumental|giggling|barking|sound"
_BRACKETS = re.compile(r"\[(?!\s*[A-Za-z]\s*\])[^\[\]]{0,80}\]|[【［][^】］]{0,80}[】］]")
_POSITION = re.compile(r"\{\\[^{}]{0,40}\}")
_NOISE_IN_PARENTHESES = re.compile(
    rf"[(（](?=[^()（）]*\b(?:{_NOISE})\b)[^()（）]{{0,80}}[)）]|\*(?=[^*]*\b(?:{_NOISE})\b)[^*]{{0,80}}\*",
    re.IGNORECASE,
)
_SPEAKER = re.compile(
    r"^[ \t]*(?:>>+|[-–—][ \t]+)?[ \t]*(?:[A-Z][A-Z.']+(?:[ \t][A-Z.']+){0,2}[ \t]?:(?=\s))?", re.MULTILINE
)
_LONG_REFERENCE = re.compile(r"&#[0-9a-fA-FxX]{9,};?")
_MARKS = re.compile(r">>+|[♪♫♩♬🎵🎶#*]+")
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufffd\ud800-\udfff]"
)
"""Control and bidirectional characters, joiners, variation selectors, lone surrogates (parquet cannot store these), and what replaces
characters that could not be read."""


def without_marks(text: str) -> str:
    """`text` without entities, invisible characters and the position codes of SRT (``{\\an8}``); its lines stay."""
    for _ in range(2):
        text = html.unescape(_LONG_REFERENCE.sub(" ", text))
    return _POSITION.sub("", _INVISIBLE.sub("", text))


def clean_text(text: str) -> str:
    """`text` without entities, [Music], (applause), music notes, ``>>``, leading dashes, speaker names and invisible characters.

    Entities are resolved twice because some tools escape text that is already escaped (``&amp;#39;``).
    """
    text = without_marks(text)
    text = _NOISE_IN_PARENTHESES.sub(" ", _BRACKETS.sub(" ", text))
    return _MARKS.sub(" ", _SPEAKER.sub(" ", text))
