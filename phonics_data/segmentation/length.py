"""The length rule: phrases -> segments of 14 to 100 frames (paper, section 4.1) at the dataset's frame rate. Pure.

All boundaries are frame numbers at that rate, so neighbours share a boundary and a segment has a whole number of frames.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from phonics_data.errors import OptionError
from phonics_data.segmentation.phrases import Phrase

LengthRule = Literal["phrase", "phrase_split", "phrase_grown", "phrase_lent"]
"""How a segment follows from its phrase; see `phonics_data.types.Segment.rule`."""

Frames = tuple[int, int]
"""``[start, end)``"""

_MAX_TRIALS = 32
"""Most minima that are tried to find the one with which a rejected phrase is kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LengthLimits:
    """Allowed lengths in frames, inclusive."""

    frame_rate: Fraction = Fraction(25)
    min_frames: int = 14
    max_frames: int = 100

    def __post_init__(self) -> None:
        if not 1 <= self.frame_rate <= 240:
            raise OptionError("--frame-rate", str(self.frame_rate), "1 to 240 frames per second")
        if self.min_frames < 1:
            raise OptionError("--min-frames", self.min_frames, "1 or more")
        if self.max_frames < 2 * self.min_frames:
            # Otherwise a phrase slightly over the maximum could not be divided into two that are long enough.
            raise OptionError("--max-frames", self.max_frames, f"twice --min-frames ({2 * self.min_frames}) or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameSegment:
    """A segment after the length rule, in frames from time 0: ``[start, end)``.

    Args:
        lent_share: share of its frames that are outside of its phrase, if it has lent frames; else 0.
        reach: for a phrase that the length rule rejects: the largest minimum with which it is kept, in frames; else 0.
        why_short: why it is rejected; empty for a segment that is accepted.
    """

    phrase: Phrase
    start_frame: int
    end_frame: int
    rule: LengthRule
    lent_share: float = 0.0
    reach: int = 0
    why_short: str = ""

    @property
    def num_frames(self) -> int:
        return self.end_frame - self.start_frame

    @property
    def confidence(self) -> float:
        """That of the phrase times the share of its own frames: with lent frames, errors of its boundaries count more.

        Of right phrases in fast real songs, clips with over .7 own frames were right (IoU 0.5) in 19 of 21 cases, others in 11 of
        21. With simulated errors of 1 to 3 frames at each boundary: .96 to 1 with .86 own frames, .54 to .65 with half.
        """
        return self.phrase.confidence * (1 - self.lent_share)


def apply_length_rule(
    phrases: Sequence[Phrase], limits: LengthLimits, duration_seconds: float
) -> tuple[list[FrameSegment], list[FrameSegment]]:
    """(segments, phrases that are too short).

    * A phrase over the maximum is divided.
    * A phrase under the minimum is extended to it, first into the adjacent gaps, then into the phrases beside it.
    * A phrase lends frames to its neighbours as long as it keeps the minimum itself, or if it is too short anyway.
    * With lent frames, at least half of a segment is its own phrase. Otherwise it would mostly show another letter.
    * As few phrases as possible are rejected, and none that is long enough; then as few frames as possible are lent,
      evenly from both sides.

    Args:
        phrases: in time order, not overlapping.
        duration_seconds: segments end at this time at the latest.
    """
    last = int(duration_seconds * limits.frame_rate)
    own: list[Frames] = []
    for phrase in phrases:
        start, end = (min(_frame(time, limits), last) for time in (phrase.start_seconds, phrase.end_seconds))
        start = max(start, own[-1][1] if own else 0)
        own.append((start, max(start, end)))
    good: list[FrameSegment] = []
    short: list[FrameSegment] = []
    for phrase, frames in zip(phrases, own, strict=True):
        if frames[0] == frames[1]:  # beyond the end of the video, or shorter than a frame: nothing of it can be shown
            short.append(_rejected(phrase, frames, limits, 0))
    shown = [(phrase, frames) for phrase, frames in zip(phrases, own, strict=True) if frames[0] < frames[1]]
    own = [frames for _, frames in shown]
    places = _place(own, limits.min_frames, last)
    reach = _reach(own, [index for index, placed in enumerate(places) if placed is None], limits.min_frames, last)
    for index, ((phrase, frames), placed) in enumerate(zip(shown, places, strict=True)):
        if placed is None:
            short.append(_rejected(phrase, frames, limits, reach[index]))
            continue
        start, end = placed
        if end - start > limits.max_frames:
            cuts = [start, *_divide(phrase, start, end, limits), end]
            good.extend(
                FrameSegment(phrase=phrase, start_frame=low, end_frame=high, rule="phrase_split")
                for low, high in itertools.pairwise(cuts)
            )
            continue
        free = _free(own, index, last)
        is_lent, is_grown = start < free[0] or end > free[1], start < frames[0] or end > frames[1]
        rule: LengthRule = "phrase_lent" if is_lent else "phrase_grown" if is_grown else "phrase"
        num_own = min(end, frames[1]) - max(start, frames[0])
        lent_share = 1 - num_own / (end - start) if is_lent else 0.0
        good.append(FrameSegment(phrase=phrase, start_frame=start, end_frame=end, rule=rule, lent_share=lent_share))
    return good, sorted(short, key=lambda one: one.start_frame)


def _reach(own: Sequence[Frames], rejected: Sequence[int], minimum: int, last: int) -> dict[int, int]:
    """Index of each rejected phrase -> the largest minimum with which it is kept; at least its own length."""
    reach = {index: own[index][1] - own[index][0] for index in rejected}
    if not reach:
        return {}
    shortest = min(reach.values())
    for lower in range(shortest + 1, minimum, -(-(minimum - shortest) // _MAX_TRIALS)):
        places = _place(own, lower, last)
        reach.update({index: lower for index in rejected if places[index] is not None and lower > reach[index]})
    return reach


def _rejected(phrase: Phrase, own: Frames, limits: LengthLimits, reach: int) -> FrameSegment:
    num_own, minimum = own[1] - own[0], limits.min_frames
    if 2 * num_own < minimum:
        why = f"{num_own} frames; extended to {minimum}, it would mostly show the letters beside it"
    else:
        why = f"{num_own} frames, and neither gaps nor the letters beside it have the missing {minimum - num_own} to spare"
    if reach:
        why += f"; --min-frames {reach} keeps it"
    return FrameSegment(phrase=phrase, start_frame=own[0], end_frame=own[1], rule="phrase", reach=reach, why_short=why)


def _free(own: Sequence[Frames], index: int, last: int) -> Frames:
    """The frames of a phrase and of the gaps beside it."""
    return own[index - 1][1] if index else 0, own[index + 1][0] if index + 1 < len(own) else last


_Score = tuple[int, int, int]
"""What a placement costs, the most important first: rejected phrases, lent frames (sum of the squares of each side, which
is least for two equal sides), frames of gaps before phrases (a gap after the phrase is preferred)."""

_Chain = tuple["Frames | None", "_Chain | None"]
"""The frames of the last phrase, and those of the phrases before it."""


def _place(own: Sequence[Frames], minimum: int, last: int) -> list[Frames | None]:
    """The frames of every phrase, at least `minimum` each and not overlapping; None for a phrase that is rejected.

    Dynamic programming over the phrases. A state is the frame from which the next phrase may begin; a later one is
    kept only if it costs less.
    """
    states: dict[int, tuple[_Score, _Chain | None]] = {0: ((0, 0, 0), None)}
    for index, (start, end) in enumerate(own):
        reached: dict[int, tuple[_Score, _Chain | None]] = {}

        def reach(at: int, score: _Score, frames: Frames | None, chain: _Chain | None) -> None:
            if at not in reached or score < reached[at][0]:  # noqa: B023 - called in this iteration only
                reached[at] = score, (frames, chain)  # noqa: B023

        for at, (score, chain) in states.items():
            if end - start >= minimum:
                low = max(start, at)
                if low + minimum <= end:
                    reach(max(low + minimum, end - minimum // 2), score, (low, end), chain)
                continue
            reach(at, (score[0] + 1, *score[1:]), None, chain)
            for low in range(max(at, start - minimum), min(end, last - minimum) + 1):
                price = _price(own, index, low, minimum, last)
                if price is not None:
                    new = (score[0], score[1] + price[0], score[2] + price[1])
                    reach(low + minimum, new, (low, low + minimum), chain)
        states, best = {}, (len(own) + 1, 0, 0)
        for at in sorted(reached):
            if reached[at][0] < best:
                states[at], best = reached[at], reached[at][0]
    placed: list[Frames | None] = []
    chain = min(states.values(), key=lambda state: state[0])[1]
    limit = last
    while chain is not None:
        frames, chain = chain
        if frames is not None:
            # A phrase that is long enough keeps all frames that it does not have to lend.
            frames = frames[0], min(frames[1], limit)
            limit = frames[0]
        placed.append(frames)
    return placed[::-1]


def _price(own: Sequence[Frames], index: int, low: int, minimum: int, last: int) -> tuple[int, int] | None:
    """(squares of lent frames, frames of the gap before) if a short phrase gets `minimum` frames from `low`, or None."""
    (start, end), (free_low, free_high), high = own[index], _free(own, index, last), low + minimum
    before, after = max(free_low - low, 0), max(high - free_high, 0)
    if before or after:
        if 2 * (min(high, end) - max(low, start)) < minimum:
            return None
    elif low > start or high < end:
        return None
    return before**2 + after**2, max(start - max(low, free_low), 0)


def _frame(seconds: float, limits: LengthLimits) -> int:
    return round(Fraction(seconds) * limits.frame_rate)


def _divide(phrase: Phrase, start: int, end: int, limits: LengthLimits) -> list[int]:
    """Frames at which a phrase that is too long is divided into the fewest segments of allowed length.

    Each cut is the cut point nearest to an even division that leaves all segments an allowed length: a start of a name or
    example, else a start of another word, else the even division itself.
    """
    count = -(-(end - start) // limits.max_frames)
    strong = [_frame(time, limits) for time in phrase.cut_points[: phrase.num_strong_cuts]]
    weak = [_frame(time, limits) for time in phrase.cut_points[phrase.num_strong_cuts :]]
    cuts: list[int] = []
    here = start
    for left in range(count - 1, 0, -1):
        even = here + round((end - here) / (left + 1))
        # The rest must fit into `left` segments, and none may be too short.
        low = max(here + limits.min_frames, end - left * limits.max_frames)
        high = min(here + limits.max_frames, end - left * limits.min_frames)
        for candidates in (strong, weak, [even]):
            allowed = [frame for frame in candidates if low <= frame <= high]
            if allowed:
                here = min(allowed, key=lambda frame: (abs(frame - even), frame))
                break
        else:
            here = min(max(even, low), high)
        cuts.append(here)
    return cuts
