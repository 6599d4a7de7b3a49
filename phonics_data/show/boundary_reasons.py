"""Which sign a boundary lies on: a cut, a word, a letter that comes or goes, or the length rule. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from phonics_data.segmentation.lexicon import name_of, sound_of, tokens
from phonics_data.types import ScreenLetter, Segment, TranscriptWord, Word

Sign = Literal["cut", "screen", "word", "split", "grown", "next", "none"]

NEAR_SECONDS = 0.16
"""A sign explains a boundary that lies so near: an eighth of a second between two looks, and a frame."""

_TOUCHING_SECONDS = 0.02
"""A neighbour explains a boundary only where the two segments touch."""

_ORDER: tuple[Sign, ...] = ("split", "cut", "screen", "word", "next", "grown", "none")
"""Of signs that lie equally near, the first one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """What a boundary lies on.

    Args:
        seconds: when the sign is; None for ``grown`` and ``none``.
        text: for a person, such as ``word "A" at 12.34 s``.
    """

    sign: Sign
    seconds: float | None
    text: str


def reasons(
    segments: Sequence[Segment],
    words: Sequence[TranscriptWord],
    screen: Sequence[ScreenLetter],
    cuts: Sequence[float],
) -> list[tuple[Reason, Reason]]:
    """For each segment, in their order, what its start and its end lie on."""
    named = [(word, _names(word)) for word in words]
    found: list[tuple[Reason, Reason]] = []
    for index, segment in enumerate(segments):
        starts, ends = _signs(segment, named, screen, cuts)
        if index and abs(segments[index - 1].end_seconds - segment.start_seconds) <= _TOUCHING_SECONDS:
            starts.append(_neighbour(segment, segments[index - 1], segments[index - 1].end_seconds))
        if (
            index + 1 < len(segments)
            and abs(segments[index + 1].start_seconds - segment.end_seconds) <= _TOUCHING_SECONDS
        ):
            ends.append(_neighbour(segment, segments[index + 1], segments[index + 1].start_seconds))
        found.append(
            (_nearest(segment.start_seconds, starts, segment.rule), _nearest(segment.end_seconds, ends, segment.rule))
        )
    return found


def _signs(
    segment: Segment,
    named: Sequence[tuple[TranscriptWord, frozenset[str]]],
    screen: Sequence[ScreenLetter],
    cuts: Sequence[float],
) -> tuple[list[Reason], list[Reason]]:
    """(what its start may lie on, what its end may) of the sources that the segment came from."""
    starts: list[Reason] = []
    ends: list[Reason] = []
    if "screen" in segment.evidence:
        starts += [Reason(sign="cut", seconds=cut, text=f"cut at {cut:.2f} s") for cut in cuts]
        ends += starts
        for seen in (seen for seen in screen if seen.letter == segment.letter):
            first, last = seen.start_seconds, seen.end_seconds
            starts.append(Reason(sign="screen", seconds=first, text=f"{seen.letter} appears at {first:.2f} s"))
            ends.append(Reason(sign="screen", seconds=last, text=f"{seen.letter} is last seen at {last:.2f} s"))
    if segment.evidence != "screen":
        for word, names in named:
            first, last = word.start_seconds, word.end_seconds
            names_it = f", which names {segment.letter}" if segment.letter in names else ""
            starts.append(Reason(sign="word", seconds=first, text=f'"{word.text}" at {first:.2f} s{names_it}'))
            ends.append(Reason(sign="word", seconds=last, text=f'end of "{word.text}" at {last:.2f} s'))
    return starts, ends


def _neighbour(segment: Segment, other: Segment, seconds: float) -> Reason:
    if segment.rule == "phrase_split" and other.letter == segment.letter:
        return Reason(sign="split", seconds=seconds, text=f"divided at {seconds:.2f} s: the phrase is too long")
    return Reason(
        sign="next",
        seconds=seconds,
        text=f"{other.letter} {'begins' if seconds == other.start_seconds else 'ends'} at {seconds:.2f} s",
    )


def _nearest(seconds: float, signs: Sequence[Reason], rule: str) -> Reason:
    near = [sign for sign in signs if sign.seconds is not None and abs(sign.seconds - seconds) <= NEAR_SECONDS]
    if near:
        # Within a frame two signs are equally near; a neighbour says nothing where something else does.
        def rank(sign: Reason) -> tuple[bool, int, int]:
            away = abs((sign.seconds or 0.0) - seconds)
            return sign.sign == "next", round(away / 0.05), _ORDER.index(sign.sign)

        return min(near, key=rank)
    if rule == "phrase_grown":
        return Reason(sign="grown", seconds=None, text="grown to the shortest length")
    return Reason(sign="none", seconds=None, text=f"no sign within {NEAR_SECONDS} s")


def _names(word: TranscriptWord) -> frozenset[str]:
    plain = Word(text=word.text, start_seconds=word.start_seconds, end_seconds=word.end_seconds, timing=word.timing)
    return frozenset(letter for token in tokens([plain]) for letter in (*name_of(token), *sound_of(token)))
