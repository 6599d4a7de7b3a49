"""Why a segment starts or ends where it does: a cut, a word, a letter on the screen, or the length rule. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from phonics_data.segmentation.lexicon import name_of, sound_of, tokens
from phonics_data.types import ScreenLetter, Segment, TranscriptWord, Word

ReasonKind = Literal["cut", "screen", "word", "split", "grown", "next", "none"]

MAX_DISTANCE_SECONDS = 0.16
"""Maximum distance between a boundary and its reason: the period of sampled frames (1/8 s) plus one video frame."""

_TOUCHING_SECONDS = 0.02
"""Segments at most this far apart are adjacent."""

_PRIORITY: tuple[ReasonKind, ...] = ("split", "cut", "screen", "word", "next", "grown", "none")
"""Order of reasons that are equally near."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BoundaryReason:
    """The reason of one boundary.

    Args:
        seconds: time of the event; None for ``grown`` and ``none``.
        text: description, such as ``word "A" at 12.34 s``.
    """

    kind: ReasonKind
    seconds: float | None
    text: str


def boundary_reasons(
    segments: Sequence[Segment],
    words: Sequence[TranscriptWord],
    screen: Sequence[ScreenLetter],
    cuts: Sequence[float],
) -> list[tuple[BoundaryReason, BoundaryReason]]:
    """(reason of the start, reason of the end) of each segment."""
    named = [(word, _letters_of(word)) for word in words]
    found: list[tuple[BoundaryReason, BoundaryReason]] = []
    for index, segment in enumerate(segments):
        starts, ends = _candidates(segment, named, screen, cuts)
        if index and abs(segments[index - 1].end_seconds - segment.start_seconds) <= _TOUCHING_SECONDS:
            starts.append(_adjacent(segment, segments[index - 1], segments[index - 1].end_seconds))
        following = segments[index + 1] if index + 1 < len(segments) else None
        if following is not None and abs(following.start_seconds - segment.end_seconds) <= _TOUCHING_SECONDS:
            ends.append(_adjacent(segment, following, following.start_seconds))
        found.append(
            (_nearest(segment.start_seconds, starts, segment.rule), _nearest(segment.end_seconds, ends, segment.rule))
        )
    return found


def _candidates(
    segment: Segment,
    named: Sequence[tuple[TranscriptWord, frozenset[str]]],
    screen: Sequence[ScreenLetter],
    cuts: Sequence[float],
) -> tuple[list[BoundaryReason], list[BoundaryReason]]:
    """(candidates for the start, candidates for the end) from the segment's sources of evidence."""
    starts: list[BoundaryReason] = []
    ends: list[BoundaryReason] = []
    if "screen" in segment.evidence:
        starts += [BoundaryReason(kind="cut", seconds=cut, text=f"cut at {cut:.2f} s") for cut in cuts]
        ends += starts
        for track in (track for track in screen if track.letter == segment.letter):
            first, last = track.start_seconds, track.end_seconds
            starts.append(BoundaryReason(kind="screen", seconds=first, text=f"{track.letter} appears at {first:.2f} s"))
            ends.append(BoundaryReason(kind="screen", seconds=last, text=f"{track.letter} disappears at {last:.2f} s"))
    if segment.evidence != "screen":
        for word, letters in named:
            first, last = word.start_seconds, word.end_seconds
            names_it = f", which names {segment.letter}" if segment.letter in letters else ""
            starts.append(BoundaryReason(kind="word", seconds=first, text=f'"{word.text}" at {first:.2f} s{names_it}'))
            ends.append(BoundaryReason(kind="word", seconds=last, text=f'end of "{word.text}" at {last:.2f} s'))
    return starts, ends


def _adjacent(segment: Segment, other: Segment, seconds: float) -> BoundaryReason:
    if segment.rule == "phrase_split" and other.letter == segment.letter:
        return BoundaryReason(kind="split", seconds=seconds, text=f"split at {seconds:.2f} s: the phrase is too long")
    return BoundaryReason(
        kind="next",
        seconds=seconds,
        text=f"{other.letter} {'begins' if seconds == other.start_seconds else 'ends'} at {seconds:.2f} s",
    )


def _nearest(seconds: float, candidates: Sequence[BoundaryReason], rule: str) -> BoundaryReason:
    def rank(reason: BoundaryReason) -> tuple[bool, int, int]:
        # Distances are rounded to about one frame; an adjacent segment is named only if there is no other reason.
        distance = abs((reason.seconds or 0.0) - seconds)
        return reason.kind == "next", round(distance / 0.05), _PRIORITY.index(reason.kind)

    near = [one for one in candidates if one.seconds is not None and abs(one.seconds - seconds) <= MAX_DISTANCE_SECONDS]
    if near:
        return min(near, key=rank)
    if rule in ("phrase_grown", "phrase_lent"):
        return BoundaryReason(kind="grown", seconds=None, text="extended to the minimum length")
    return BoundaryReason(kind="none", seconds=None, text=f"nothing within {MAX_DISTANCE_SECONDS} s")


def _letters_of(word: TranscriptWord) -> frozenset[str]:
    """The letters that a word names."""
    plain = Word(text=word.text, start_seconds=word.start_seconds, end_seconds=word.end_seconds, timing=word.timing)
    return frozenset(letter for token in tokens([plain]) for letter in (*name_of(token), *sound_of(token)))
