"""The length rule: phrases -> segments of 14 to 100 frames (paper, section 4.1) at the dataset's frame rate. Pure.

All boundaries are frame numbers at that rate, so a segment has a whole number of frames.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from phonics_data.errors import OptionError
from phonics_data.segmentation.phrases import Phrase
from phonics_data.types import Segment

LengthRule = Literal["phrase", "phrase_split", "phrase_grown", "phrase_lent"]
"""How a segment follows from its phrase; see `phonics_data.types.Segment.rule`."""

Frames = tuple[int, int]
"""``[start, end)``"""

_TOUCHING_SECONDS = 1e-6


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

    @property
    def min_seconds(self) -> float:
        return float(self.min_frames / self.frame_rate)


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameSegment:
    """A segment after the length rule, in frames from time 0: ``[start, end)``.

    Args:
        own_share: share of its frames that belong to its phrase.
        reach: for a phrase that the length rule rejects: the largest minimum with which it is kept, in frames; else 0.
        why_short: why it is rejected; empty for a segment that is accepted.
    """

    phrase: Phrase
    start_frame: int
    end_frame: int
    rule: LengthRule
    own_share: float = 1.0
    reach: int = 0
    why_short: str = ""

    @property
    def num_frames(self) -> int:
        return self.end_frame - self.start_frame

    @property
    def confidence(self) -> float:
        """That of the phrase, times the share of its own frames if it has lent some: errors of its boundaries count more.

        With simulated errors of 0.08 s at each boundary, a segment of 14 frames has an IoU of 0.5 with the true one in .49,
        .76, .92 and .98 of all cases if .5, .64, .79 and .93 of its frames are its own.

        Frames of gaps show no other letter, but perhaps nothing of this one, so they count if they are most of the segment.
        """
        if self.rule == "phrase_lent":
            return self.phrase.confidence * self.own_share
        return self.phrase.confidence * min(1.0, 2 * self.own_share)


def apply_length_rule(
    phrases: Sequence[Phrase], limits: LengthLimits, duration_seconds: float
) -> tuple[list[FrameSegment], list[FrameSegment]]:
    """(segments, phrases that are too short).

    * A phrase over the maximum is divided.
    * A phrase under the minimum is extended to it: into the gap after it, then into the gap before it, then evenly
      into the phrases beside it. Those keep their frames, so neighbouring segments can share some: the authors' own
      clips begin with up to four frames of the scene before.
    * More than half of a segment with frames of other phrases is its own phrase. Otherwise it would mostly show other
      letters. Gaps show none, so a segment that is extended into gaps alone can contain any share of its phrase; its
      confidence falls where that is less than half.

    Args:
        phrases: in time order, not overlapping.
        duration_seconds: segments end at this time at the latest.
    """
    good, short = _placed(phrases, limits, duration_seconds)
    reach: dict[int, int] = {}
    for lower in range(limits.min_frames - 1, 0, -1):
        # With a lower minimum, the phrases beside this one can take other frames: all are placed again.
        lacking = [phrase for phrase, (start, end) in short if start < end and id(phrase) not in reach]
        if not lacking:
            break
        kept = {id(one.phrase) for one in _placed(phrases, replace(limits, min_frames=lower), duration_seconds)[0]}
        reach |= {id(phrase): lower for phrase in lacking if id(phrase) in kept}
    return good, [_rejected(phrase, own, limits, reach.get(id(phrase), 0)) for phrase, own in short]


def _placed(
    phrases: Sequence[Phrase], limits: LengthLimits, duration_seconds: float
) -> tuple[list[FrameSegment], list[tuple[Phrase, Frames]]]:
    """(segments, phrases that are too short with their own frames)."""
    last = int(duration_seconds * limits.frame_rate)
    own: list[Frames] = []
    for phrase in phrases:
        start, end = (min(_frame(time, limits), last) for time in (phrase.start_seconds, phrase.end_seconds))
        start = max(start, own[-1][1] if own else 0)
        own.append((start, max(start, end)))
    good: list[FrameSegment] = []
    short: list[tuple[Phrase, Frames]] = []
    taken = 0  # frames of gaps before this one belong to earlier segments
    for index, (phrase, (start, end)) in enumerate(zip(phrases, own, strict=True)):
        before, after = own[index - 1][1] if index else 0, own[index + 1][0] if index + 1 < len(own) else last
        free = min(max(before, taken), start), after
        if end - start > limits.max_frames:
            cuts = [start, *_divide(phrase, start, end, limits), end]
            good.extend(
                FrameSegment(phrase=phrase, start_frame=low, end_frame=high, rule="phrase_split")
                for low, high in itertools.pairwise(cuts)
            )
        elif end - start >= limits.min_frames:
            good.append(FrameSegment(phrase=phrase, start_frame=start, end_frame=end, rule="phrase"))
        # Beyond the end of the video, or shorter than a frame: nothing of it can be shown.
        elif start == end or (placed := _extended((start, end), free, limits.min_frames, last)) is None:
            short.append((phrase, (start, end)))
        else:
            low, high = placed
            taken = min(high, after)
            is_lent = low < before or high > after
            good.append(
                FrameSegment(
                    phrase=phrase,
                    start_frame=low,
                    end_frame=high,
                    rule="phrase_lent" if is_lent else "phrase_grown",
                    own_share=(end - start) / (high - low),
                )
            )
    return good, short


def _extended(own: Frames, free: Frames, minimum: int, last: int) -> Frames | None:
    """`own` extended to `minimum` frames; None if the video is too short, or most frames would show other letters.

    Args:
        free: the frames of the phrase and of the gaps beside it.
        last: number of frames of the video.
    """
    start, end = own
    high = max(end, min(start + minimum, free[1]))
    low = min(start, max(high - minimum, free[0]))
    missing = minimum - (high - low)
    if missing > 0:
        if 2 * (end - start) <= minimum or last < minimum:
            return None
        low = min(max(low - missing // 2, 0), last - minimum)
        high = low + minimum
    return low, high


def _rejected(phrase: Phrase, own: Frames, limits: LengthLimits, reach: int) -> FrameSegment:
    num_own, minimum = own[1] - own[0], limits.min_frames
    why = f"{num_own} frames; extended to {minimum}, it would mostly show the letters beside it"
    if not reach:
        why = "nothing of it is inside the video"
    elif 2 * num_own > minimum:
        why = f"{num_own} frames, and the video has fewer than {minimum}"
    if reach:
        why += f"; --min-frames {reach} keeps it"
    return FrameSegment(phrase=phrase, start_frame=own[0], end_frame=own[1], rule="phrase", reach=reach, why_short=why)


def are_parts(one: Segment, following: Segment) -> bool:
    """Whether two segments that follow each other are parts of one phrase that was divided."""
    return (
        one.rule == following.rule == "phrase_split"
        and (one.video_id, one.letter) == (following.video_id, following.letter)
        and abs(following.start_seconds - one.end_seconds) < _TOUCHING_SECONDS
    )


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
