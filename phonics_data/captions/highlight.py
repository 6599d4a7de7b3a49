"""Captions that mark the sung word: a line is repeated for each of its words, with markup that moves through it. Pure.

Two forms, both with any of the tags ``<u>``, ``<b>``, ``<i>``, ``<c>`` and ``<font>``: the word alone is marked (Whisper's word
times), or all words up to it (karaoke).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from phonics_data.captions.rolling import Cue

_MARK = re.compile(r"<(u|b|i|c|font)\b[^<>]*>(.*?)</\1>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")
_MAX_GAP_SECONDS = 1.0
_MIN_FRACTION = 0.6
"""Of the cues of a file that have to belong to lines with a moving mark; other markup is emphasis."""

_Marked = tuple[int, int]
"""First marked word of a line, and the first one after the mark."""


def merged_highlights(cues: Sequence[Cue]) -> list[Cue] | None:
    """One cue for each line, with WebVTT's inline times before its marked words; None if marks do not move through lines.

    Args:
        cues: in time order, with their tags.
    """
    runs: list[list[tuple[Cue, _Marked | None]]] = []
    texts: list[str] = []
    for cue in cues:
        text, marked = _text_and_mark(cue)
        if runs and texts[-1] == text and _continues(runs[-1], cue, marked):
            runs[-1].append((cue, marked))
        else:
            runs.append([(cue, marked)])
            texts.append(text)
    moving = [_moves(run) for run in runs]
    num_moving = sum(len(run) for run, one in zip(runs, moving, strict=True) if one)
    if num_moving < 2 or num_moving < _MIN_FRACTION * len(cues):
        return None
    return [
        _merged(run, text) if one else replace(run[0][0], end=run[-1][0].end, lines=[text])
        for run, text, one in zip(runs, texts, moving, strict=True)
        if text
    ]


def _text_and_mark(cue: Cue) -> tuple[str, _Marked | None]:
    """The words of a cue without tags, and which of them are marked; None without a mark, and for several ones."""
    raw = " ".join(cue.lines)
    text = " ".join(_TAG.sub("", raw).split())
    found = list(_MARK.finditer(raw))
    if len(found) != 1:
        return text, None
    first = len(_TAG.sub("", raw[: found[0].start()]).split())
    length = len(_TAG.sub("", found[0][2]).split())
    return text, (first, first + length) if length else None


def _continues(run: Sequence[tuple[Cue, _Marked | None]], cue: Cue, marked: _Marked | None) -> bool:
    """Whether a cue with the text of `run` belongs to it: its mark does not move back, which begins the line again."""
    last = next((one for _, one in reversed(run) if one), None)
    return cue.start - run[-1][0].end <= _MAX_GAP_SECONDS and (last is None or marked is None or marked > last)


def _moves(run: Sequence[tuple[Cue, _Marked | None]]) -> bool:
    marks = [one for _, one in run if one]
    return len(marks) > 1 and all(after > before for before, after in pairwise(marks))


def _merged(run: Sequence[tuple[Cue, _Marked | None]], text: str) -> Cue:
    words = text.split()
    done = 0
    for cue, marked in run:
        if marked is None or marked[1] <= done:
            continue
        first = max(marked[0], done)
        words[first] = f"<{_inline_time(cue.start)}>{words[first]}"
        done = marked[1]
    return replace(run[0][0], end=run[-1][0].end, lines=[" ".join(words)])


def _inline_time(seconds: float) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{milliseconds:03d}"
