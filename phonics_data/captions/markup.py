"""Tags of WebVTT, SRT and HTML, and the codes in braces of ASS: the text without them, and the style that they give each word. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from phonics_data.captions.clean import CODES, without_marks

_NAMES = "b|i|u|s|c|v|rt|em|lang|ruby|font|span|mark|strong|div|p"
_TAG = re.compile(
    r"</?[A-Za-z][\w.:-]{0,60}\s{0,9}/?>"  # <b>, </c>, <c.yellow.big>, <br/>
    rf"|</?(?:{_NAMES})(?:\.[\w.-]{{0,60}})?\s[^<>\n]{{0,200}}>"  # <v Ann>, <font color="red">
    r"|<[ \t]{0,3}\d{1,4}:[^<>\s]{0,20}[ \t]{0,3}>|</?>"  # inline times
    # Without its end: what cannot be a word. "<b" can be.
    r"|</[A-Za-z]{1,9}|<(?:lang|ruby|font|span|mark|strong)\b(?:[ \t]{1,3}[\w-]{1,20}=\"?[^<>\s\"]{0,60}\"?){0,9}(?=[^<>\n]{0,200}$)|<\d{1,4}:[^<>\s]{0,20}(?=[^<>\n]{0,200}$)",
    re.MULTILINE | re.IGNORECASE,
)
_BREAK = re.compile(r"<br\s{0,9}/?>|\\[Nnh]|\|", re.IGNORECASE)
_DRAWING = re.compile(r"\{[^{}\n]{0,400}\\p[1-9][^{}\n]{0,400}\}[^{}\n]{0,2000}")
_CODE = re.compile(r"\\([1-4]?[a-zA-Z]+)([^\\{}]*)")
_PLACING = frozenset(("an", "a", "pos", "move", "org", "clip", "fad", "fade", "q", "k", "K", "kf", "ko"))
"""Codes that apply to a line, or that have another value at each word without marking it."""
_PIECE = re.compile(rf"(?P<tag>{_TAG.pattern})|(?P<codes>{CODES.pattern})|(?P<text>[^<{{]+|[<{{])", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class StyledWord:
    """A word of a cue.

    Args:
        text: as displayed, without tags.
        style: of its first letter: open tags and codes, which can be compared.
        line: number of its line with text, from 0.
    """

    text: str
    style: tuple[str, ...]
    line: int


def strip_tags(text: str) -> str:
    """`text` without tags and codes in braces."""
    return CODES.sub("", _TAG.sub("", _DRAWING.sub("", _BREAK.sub(" ", text))))


def plain_lines(lines: Sequence[str]) -> list[str]:
    """`lines` without what never is text: tools that pad a line or place it write that into some cues only."""
    return without_marks(strip_tags("\n".join(lines))).split("\n")


def styled_words(lines: Sequence[str]) -> list[StyledWord]:
    """The words of a cue with their styles."""
    tags: list[str] = []
    codes: dict[str, str] = {}
    words: list[StyledWord] = []
    number = 0
    for line in lines:
        texts: list[str] = []
        styles: list[tuple[str, ...]] = []
        for match in _PIECE.finditer(_DRAWING.sub("", _BREAK.sub(" ", line))):
            if tag := match["tag"]:
                _apply_tag(tags, tag)
            elif code := match["codes"]:
                _apply_codes(codes, code)
            else:
                style = (*tags, *(f"{name}{value}" for name, value in sorted(codes.items())))
                texts.append(match["text"])
                styles.append(style)
        found = _words(texts, styles, number)
        words += found
        number += bool(found)
    return words


def _words(texts: Sequence[str], styles: Sequence[tuple[str, ...]], line: int) -> list[StyledWord]:
    words: list[StyledWord] = []
    is_open = False
    for text, style in zip(texts, styles, strict=True):
        clean = without_marks(text)
        parts = clean.split()
        if not parts:
            is_open = is_open and not clean
            continue
        if is_open and not clean[0].isspace():
            words[-1] = StyledWord(words[-1].text + parts.pop(0), words[-1].style, line)
        words += [StyledWord(part, style, line) for part in parts]
        is_open = not clean[-1].isspace()
    return words


def _apply_tag(tags: list[str], tag: str) -> None:
    name = re.match(r"</?([A-Za-z]*)", tag)
    if name is None or not name[1]:  # an inline time
        return
    if not tag.startswith("</"):
        tags.append(tag.lower())
        return
    for index in reversed(range(len(tags))):
        if tags[index][1:].startswith(name[1].lower()):
            del tags[index]
            return


def _apply_codes(codes: dict[str, str], block: str) -> None:
    for name, value in _CODE.findall(block):
        if name.startswith("r"):
            codes.clear()
        elif name in ("c", "1c"):
            codes["c"] = value
        elif name not in _PLACING:
            codes[name] = value
        if codes.get(name, "x") == "":
            del codes[name]
