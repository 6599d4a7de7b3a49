"""Decisions of people applied to automatic segments. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from phonics_data.segmentation.length import LengthLimits
from phonics_data.storage.reviews import Interval, Review
from phonics_data.types import REVIEW_EVIDENCE, Rejection, Segment, segment_id

_SAME_SECONDS = 0.0006
"""Times in reviews.csv are rounded to milliseconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewedSegments:
    """The segments of one video after its reviews, in time order, and what was dropped or cannot be used."""

    segments: tuple[Segment, ...]
    rejections: tuple[Rejection, ...]


def apply_reviews(
    video_id: str,
    automatic: Sequence[Segment],
    reviews: Sequence[Review],
    limits: LengthLimits,
    duration_seconds: float,
    offset_seconds: float = 0.0,
) -> ReviewedSegments:
    """Apply the decisions about one video to its automatic segments.

    * A reviewed segment has confidence 1 and the evidence `REVIEW_EVIDENCE`. It is moved to whole frames. One over the maximum
      length is divided evenly; one under the minimum, or outside the video, is a rejection.
    * An automatic segment is dropped if a reviewed segment covers more than half of the shorter of both, if a decision is
      about it (the same letter, and more than half of the shorter), or if the video is ``complete``.

    So the decisions hold if the automatic segments change later.

    Args:
        automatic: of the video, in time order.
        reviews: of the video.
        offset_seconds: of this copy against the one that was reviewed.
    """
    rejections: list[Rejection] = []
    kept: list[Segment] = []
    starts: set[str] = set()
    moved = moved_reviews(reviews, offset_seconds)
    for row in moved:
        if row.after is None:
            continue
        parts = _parts(video_id, row.after, row.word, automatic, limits, duration_seconds)
        if isinstance(parts, Rejection):
            rejections.append(parts)
            continue
        for part in parts:
            if part.segment_id in starts:
                detail = f"letter {part.letter}: another reviewed segment starts in the same frame; correct reviews.csv"
                rejections.append(_rejection(part.segment_id, "review_not_applied", detail))
            else:
                starts.add(part.segment_id)
                kept.append(part)
    left, dropped = undecided(automatic, moved)
    kept += left
    for segment in dropped:
        if not any(row.after is not None and _covers(row.after, segment) for row in moved):
            detail = f"letter {segment.letter} at {segment.start_seconds:.2f} s: a person dropped it"
            rejections.append(_rejection(segment.segment_id, "dropped_in_review", detail))
    kept.sort(key=lambda segment: (segment.start_seconds, segment.end_seconds))
    return ReviewedSegments(segments=tuple(kept), rejections=tuple(rejections))


def moved_reviews(reviews: Sequence[Review], offset_seconds: float) -> list[Review]:
    """The decisions with all times moved, for another copy of the video."""
    return [
        replace(row, before=_moved(row.before, offset_seconds), after=_moved(row.after, offset_seconds))
        for row in reviews
    ]


def undecided(automatic: Sequence[Segment], reviews: Sequence[Review]) -> tuple[list[Segment], list[Segment]]:
    """(automatic segments that no decision is about, the others)."""
    is_complete = any(row.decision == "complete" for row in reviews)
    decided = [row.after for row in reviews if row.after is not None]
    about = [row.before for row in reviews if row.before is not None]
    left: list[Segment] = []
    others: list[Segment] = []
    for segment in automatic:
        is_decided = is_complete or any(_covers(one, segment) for one in decided)
        if is_decided or any(one.letter == segment.letter and _covers(one, segment) for one in about):
            others.append(segment)
        else:
            left.append(segment)
    return left, others


def _moved(interval: Interval | None, offset_seconds: float) -> Interval | None:
    if interval is None or not offset_seconds:
        return interval
    return replace(
        interval,
        start_seconds=interval.start_seconds + offset_seconds,
        end_seconds=interval.end_seconds + offset_seconds,
    )


def _parts(
    video_id: str,
    after: Interval,
    word: str,
    automatic: Sequence[Segment],
    limits: LengthLimits,
    duration_seconds: float,
) -> list[Segment] | Rejection:
    """The segments for one decision: one, or several if it is too long; or why there is none."""
    for segment in automatic:
        same = segment.letter == after.letter and all(
            abs(one - other) < _SAME_SECONDS
            for one, other in (
                (segment.start_seconds, after.start_seconds),
                (segment.end_seconds, after.end_seconds),
            )
        )
        if same:
            source = segment.object_word_source if (segment.object_word or "") == word else ""
            changes = {"evidence": REVIEW_EVIDENCE, "confidence": 1.0, "object_word_source": source}
            return [replace(segment, object_word=word or None, **changes)]
    last = int(Fraction(duration_seconds) * limits.frame_rate)
    start, end = (
        min(max(round(Fraction(time) * limits.frame_rate), 0), last)
        for time in (after.start_seconds, after.end_seconds)
    )
    identity = segment_id(video_id, max(after.start_seconds, 0.0))
    where = f"letter {after.letter} at {after.start_seconds:.2f} s, reviewed"
    if end <= start:
        detail = f"{where}: outside the video of {duration_seconds:.2f} s; correct reviews.csv or fetch the video again"
        return _rejection(identity, "review_not_applied", detail)
    if end - start < limits.min_frames:
        detail = f"{where}: {end - start} frames; --min-frames {end - start} keeps it"
        return replace(
            _rejection(identity, "too_short", detail), measured=float(end - start), threshold=float(limits.min_frames)
        )
    number = -(-(end - start) // limits.max_frames)
    cuts = [start + round((end - start) * part / number) for part in range(number + 1)]
    return [
        Segment(
            segment_id=segment_id(video_id, float(low / limits.frame_rate)),
            video_id=video_id,
            letter=after.letter,
            object_word=word or None,
            start_seconds=float(low / limits.frame_rate),
            end_seconds=float(high / limits.frame_rate),
            rule="given" if number == 1 else "phrase_split",
            evidence=REVIEW_EVIDENCE,
            confidence=1.0,
        )
        for low, high in itertools.pairwise(cuts)
    ]


def _covers(interval: Interval, segment: Segment) -> bool:
    """Whether they share more than half of the shorter one."""
    shared = min(interval.end_seconds, segment.end_seconds) - max(interval.start_seconds, segment.start_seconds)
    shorter = min(interval.end_seconds - interval.start_seconds, segment.end_seconds - segment.start_seconds)
    return shared > shorter / 2


def _rejection(item_id: str, reason: str, detail: str) -> Rejection:
    return Rejection(stage="segment", item_id=item_id, reason=reason, detail=detail)  # pyright: ignore[reportArgumentType]
