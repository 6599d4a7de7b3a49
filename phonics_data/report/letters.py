"""The automatic segments of a workspace against the decisions of people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from phonics_data.errors import InputError
from phonics_data.segmentation.reviewed import moved_reviews
from phonics_data.segmentation.scoring import SegmentScore, calibration_error, score_segments
from phonics_data.stages.reviewed_segments import automatic_segments, review_offset
from phonics_data.storage.reviews import Review, Reviews, copies_by_key
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, Segment, TrueSegment


@dataclass(frozen=True, kw_only=True, slots=True)
class LettersRow:
    """Scores of the automatic segments of one video, or of all together.

    Args:
        num_kept, num_changed, num_added, num_dropped: decisions about the automatic segments.
        at_50, at_75: scores at IoU 0.5 and 0.75.
        calibration_error: at IoU 0.5; NaN without automatic segments.
    """

    video_id: str
    num_kept: int
    num_changed: int
    num_added: int
    num_dropped: int
    at_50: SegmentScore
    at_75: SegmentScore
    calibration_error: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LettersBenchmark:
    """The result: a row for each video and one for all, and the videos that were not measured, with the reason."""

    rows: tuple[LettersRow, ...]
    all_videos: LettersRow
    not_measured: tuple[str, ...]


def reviewed_truth(
    workspace: Workspace, reviews: Reviews
) -> tuple[dict[str, tuple[TrueSegment, ...]], dict[str, list[Review]], list[str]]:
    """(video id -> its true segments, video id -> its decisions, videos that cannot be used with the reason).

    Only videos that a person declared complete are used: of others, it is not known what is missing. Decisions about another copy
    of a video are moved as in `segment`.
    """
    videos = {video.video_id: video for video in read_table(workspace.table("videos"), FetchedVideo)}
    copies = copies_by_key(reviews.copies)
    truth: dict[str, tuple[TrueSegment, ...]] = {}
    decisions: dict[str, list[Review]] = {}
    unused: list[str] = []
    for video_id, rows in reviews.by_video().items():
        if video_id not in videos:
            unused.append(f"{video_id}: not in {workspace.root}")
            continue
        if not any(row.decision == "complete" for row in rows):
            unused.append(f"{video_id}: not complete; press c on its page when all its segments are right")
            continue
        offset, fault = review_offset(workspace, videos[video_id], rows, copies)
        if fault is not None:
            unused.append(fault.detail)
            continue
        decisions[video_id] = moved = moved_reviews(rows, offset)
        truth[video_id] = tuple(
            TrueSegment(
                video_id=video_id,
                letter=row.after.letter,
                object_word=row.word or None,
                start_seconds=row.after.start_seconds,
                end_seconds=row.after.end_seconds,
                words=(),
            )
            for row in moved
            if row.after is not None
        )
    return truth, decisions, unused


def measure_letters(workspace: Workspace, reviews: Reviews) -> LettersBenchmark:
    """Score the automatic segments against the reviewed ones.

    Raises:
        InputError: no video of the workspace is complete.
    """
    truth, decisions, unused = reviewed_truth(workspace, reviews)
    if not truth:
        raise InputError(
            f"{workspace.root}: no reviewed video is complete, so nothing can be measured; "
            f"{'; '.join(unused[:3]) or 'review some with `phonics-data review`'}"
        )
    found = {video_id: automatic_segments(workspace, video_id) for video_id in truth}
    rows = [_row(video_id, found[video_id], truth[video_id], decisions[video_id]) for video_id in truth]
    everything = _row(
        "all",
        [one for segments in found.values() for one in segments],
        [one for segments in truth.values() for one in segments],
        [one for some in decisions.values() for one in some],
    )
    return LettersBenchmark(rows=tuple(rows), all_videos=everything, not_measured=tuple(unused))


def _row(name: str, found: Sequence[Segment], truth: Sequence[TrueSegment], decisions: Sequence[Review]) -> LettersRow:
    # A video without true segments has only wrong ones, which `score_segments` would leave out as not in the truth.
    at_50, at_75 = (score_segments(found, truth, iou) if truth else _no_truth(len(found)) for iou in (0.5, 0.75))
    count = [sum(row.decision == name for row in decisions) for name in ("keep", "change", "add", "drop")]
    return LettersRow(
        video_id=name,
        num_kept=count[0],
        num_changed=count[1],
        num_added=count[2],
        num_dropped=count[3],
        at_50=at_50,
        at_75=at_75,
        calibration_error=calibration_error(found, truth),
    )


def _no_truth(num_found: int) -> SegmentScore:
    return SegmentScore(
        num_found=num_found, num_truth=0, num_matched=0, precision=0.0, recall=0.0, f1=0.0,
        median_boundary_error_seconds=math.nan, p90_boundary_error_seconds=math.nan,
    )  # fmt: skip


HEADINGS = (
    "video",
    "kept",
    "changed",
    "added",
    "dropped",
    "F1 at .5",
    "F1 at .75",
    "median edge error",
    "calibration error",
)


def table(benchmark: LettersBenchmark) -> list[tuple[str, ...]]:
    """Rows of text below `HEADINGS`; the last is of all videos."""
    return [
        (
            row.video_id,
            *(str(number) for number in (row.num_kept, row.num_changed, row.num_added, row.num_dropped)),
            f"{row.at_50.f1:.3f}",
            f"{row.at_75.f1:.3f}",
            ""
            if math.isnan(row.at_50.median_boundary_error_seconds)
            else f"{row.at_50.median_boundary_error_seconds:.3f} s",
            "" if math.isnan(row.calibration_error) else f"{row.calibration_error:.3f}",
        )
        for row in (*benchmark.rows, benchmark.all_videos)
    ]
