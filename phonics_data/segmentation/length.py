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

LengthRule = Literal["phrase", "phrase_split", "phrase_grown"]


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
    """A segment after the length rule, in frames from time 0: ``[start, end)``."""

    phrase: Phrase
    start_frame: int
    end_frame: int
    rule: LengthRule

    @property
    def num_frames(self) -> int:
        return self.end_frame - self.start_frame


def apply_length_rule(
    phrases: Sequence[Phrase], limits: LengthLimits, duration_seconds: float
) -> tuple[list[FrameSegment], list[FrameSegment]]:
    """(segments, segments that are too short): long phrases are divided, short ones extended into adjacent gaps.

    Args:
        phrases: in time order, not overlapping.
        duration_seconds: segments end at this time at the latest.
    """
    last = int(duration_seconds * limits.frame_rate)
    boundaries = [
        (min(_frame(phrase.start_seconds, limits), last), min(_frame(phrase.end_seconds, limits), last))
        for phrase in phrases
    ]
    good: list[FrameSegment] = []
    short: list[FrameSegment] = []
    taken = 0  # frames before this one belong to earlier segments
    for index, (phrase, (start, end)) in enumerate(zip(phrases, boundaries, strict=True)):
        start = max(start, taken)
        room = boundaries[index + 1][0] if index + 1 < len(boundaries) else last
        rule: LengthRule = "phrase"
        if end - start < limits.min_frames:
            rule = "phrase_grown"
            end = max(end, min(start + limits.min_frames, room))
            start = min(start, max(end - limits.min_frames, taken))
        if end - start < limits.min_frames:
            short.append(FrameSegment(phrase=phrase, start_frame=start, end_frame=end, rule=rule))
        elif end - start <= limits.max_frames:
            good.append(FrameSegment(phrase=phrase, start_frame=start, end_frame=end, rule=rule))
        else:
            cuts = [start, *_divide(phrase, start, end, limits), end]
            good.extend(
                FrameSegment(phrase=phrase, start_frame=low, end_frame=high, rule="phrase_split")
                for low, high in itertools.pairwise(cuts)
            )
        taken = max(taken, end)
    return good, short


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
