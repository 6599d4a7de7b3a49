"""Phrases of letters -> units: one for each object word, or one for each letter. Pure.

"L is for lion, L is for lamp" is one phrase of L with two object words. The object words come from the words of the song
(`Phrase.parts`) or from text lines that the screen shows one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.length import LengthLimits
from phonics_data.segmentation.phrases import Phrase, PhrasePart
from phonics_data.segmentation.text_lines import ObjectLine, object_lines
from phonics_data.types import ObjectWordSource

Unit = Literal["phrase", "letter"]
"""What becomes one segment: the phrase of one object word, or all phrases of a letter that follow each other."""

_CERTAIN_LINE = 0.9
"""Score from which a text line divides a phrase, or replaces a word of speech recognition."""
_MAX_GAP_SECONDS = 1.5
"""A part begins where the object before leaves, if it leaves at most this long before the next one is named."""
_EARLY_SECONDS = 0.5
"""A text line may appear this long before its phrase begins."""


@dataclass(frozen=True, slots=True)
class _Part:
    start_seconds: float
    object_word: str
    source: ObjectWordSource


def divide_phrases(
    phrases: Sequence[Phrase],
    trace: ScreenTrace | None,
    unit: Unit,
    *,
    min_seconds: float = LengthLimits().min_seconds,
) -> list[Phrase]:
    """The units of a song, in time order; their object words come from the words, else from the screen.

    Args:
        phrases: one for each letter, in time order, without overlaps.
        trace: text lines of the screen; None if OCR was not run.
        min_seconds: a shorter part would be no clip, so the phrase is not divided there.
    """
    lines = {letter: object_lines(trace, letter) for letter in {one.letter for one in phrases}} if trace else {}
    units: list[Phrase] = []
    for phrase in phrases:
        shown = _lines_of(phrase, lines.get(phrase.letter, []))
        phrase = _named(phrase, shown)
        parts = _parts(phrase, shown, min_seconds) if unit == "phrase" else []
        if len(parts) < 2:
            units.append(replace(phrase, parts=()))
            continue
        ends = [*(part.start_seconds for part in parts[1:]), phrase.end_seconds]
        for part, end in zip(parts, ends, strict=True):
            one = replace(phrase, object_word=part.object_word, object_word_source=part.source, parts=())
            units.append(one.between(part.start_seconds, end))
    return units


def replaces_words(line: ObjectLine, evidence: str) -> bool:
    """Whether a text line is surer than another object word that the words name.

    Print that is read with certainty is surer than speech recognition, which errs in music; captions are written by people.

    Args:
        evidence: of the words, as in `Phrase.evidence`.
    """
    return "speech" in evidence.split(",") and line.score >= _CERTAIN_LINE


def _lines_of(phrase: Phrase, lines: Sequence[ObjectLine]) -> list[ObjectLine]:
    """The lines that appear during the phrase or shortly before it."""
    return [
        line
        for line in lines
        if phrase.start_seconds - _EARLY_SECONDS <= line.start_seconds < phrase.end_seconds
        and line.end_seconds > phrase.start_seconds
    ]


def _named(phrase: Phrase, shown: Sequence[ObjectLine]) -> Phrase:
    """The phrase with the screen's object word if the words name none, or if speech recognition names another one."""
    best = max(shown, key=lambda line: (line.score, -line.start_seconds), default=None)
    if best is None:
        return phrase
    words = [phrase.object_word, *(part.object_word for part in phrase.parts)]
    if phrase.object_word is not None and (best.object_word in words or not replaces_words(best, phrase.evidence)):
        return phrase
    return replace(phrase, object_word=best.object_word, object_word_source="screen", parts=())


def _parts(phrase: Phrase, shown: Sequence[ObjectLine], min_seconds: float) -> list[_Part]:
    """The parts of a phrase by its words; if these name fewer than two objects, by the lines of the screen."""
    spoken = [_Part(part.start_seconds, part.object_word, "words") for part in _inside(phrase, min_seconds)]
    # Recognized words beside a letter of the screen name its object; they err too often to divide it ("jays, juice").
    is_certain = not {"speech", "screen"} <= set(phrase.evidence.split(","))
    if len(spoken) > 1 and is_certain:
        return spoken
    certain = [line for line in shown if line.score >= _CERTAIN_LINE]
    parts: list[_Part] = []
    before: ObjectLine | None = None
    for line in certain:
        if any(part.object_word == line.object_word for part in parts):
            continue
        start = phrase.start_seconds if before is None else _boundary(before, line)
        if before is not None and line.start_seconds - before.start_seconds < min_seconds:
            return []  # several objects at once
        if parts and start - parts[-1].start_seconds < min_seconds:
            return []
        is_spoken = line.object_word == phrase.object_word and phrase.object_word_source == "words"
        parts.append(_Part(start, line.object_word, "words" if is_spoken else "screen"))
        before = line
    while parts and phrase.end_seconds - parts[-1].start_seconds < min_seconds:
        parts.pop()
    return parts


def _inside(phrase: Phrase, min_seconds: float) -> list[PhrasePart]:
    """The parts by words that are inside the phrase and long enough; the first one begins with the phrase."""
    kept: list[PhrasePart] = []
    for part in phrase.parts:
        start = part.start_seconds if kept else phrase.start_seconds
        earliest = kept[-1].start_seconds + min_seconds if kept else phrase.start_seconds
        if earliest <= start <= phrase.end_seconds - min_seconds:
            kept.append(replace(part, start_seconds=start))
    return kept


def _boundary(before: ObjectLine, after: ObjectLine) -> float:
    """Where the part of `after` begins: where the object before leaves, else where the word appears."""
    gap = after.start_seconds - before.end_seconds
    return before.end_seconds if 0 <= gap <= _MAX_GAP_SECONDS else after.start_seconds
