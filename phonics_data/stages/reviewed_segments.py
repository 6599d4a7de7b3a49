"""Decisions of people (reviews.csv) applied to the segments of a workspace: those that `segment` found, or that an import was given.

The segments without decisions are kept in WORK/items/segment, so that the same decisions can be changed and applied again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from phonics_data.errors import ItemError
from phonics_data.executors.isolated import call_isolated, decoding_limits
from phonics_data.executors.items import finished_outcome, write_rejections
from phonics_data.media.audio_reader import read_audio
from phonics_data.segmentation.alignment import align, loudness_digits
from phonics_data.segmentation.length import LengthLimits
from phonics_data.segmentation.reviewed import apply_reviews
from phonics_data.storage.reviews import Review, ReviewedCopy, Reviews, copies_by_key, read_reviews
from phonics_data.storage.tables import read_table, write_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import REVIEW_EVIDENCE, FetchedVideo, Rejection, Segment

REVIEWS_FILE = "reviews.csv"
"""Decisions of the workspace, below WORK."""
LOUDNESS_RATE_HZ = 8000
MAX_DURATION_DIFFERENCE_SECONDS = 20.0
"""Copies of one video whose durations differ by more are other cuts of it."""


def workspace_reviews(workspace: Workspace) -> Reviews:
    """The decisions of WORK/reviews.csv; none without that file. Raises `InputError` as `read_reviews`."""
    path = workspace.root / REVIEWS_FILE
    return read_reviews(path, f"--work {workspace.root}:") if path.exists() else Reviews()


def review_given_segments(
    workspace: Workspace, reviews: Reviews, limits: Callable[[Fraction], LengthLimits]
) -> tuple[str, ...]:
    """Apply decisions to the segments that an import was given, in segments.parquet. Returns notes for the user.

    Args:
        limits: the limits for a source of a frame rate; only for segments that a decision moves or adds.
    """
    videos = read_table(workspace.table("videos"), FetchedVideo)
    given = [segment for video in videos for segment in automatic_segments(workspace, video.video_id)]
    kept, rejections, notes = reviewed_segments(workspace, videos, limits, reviews, given, [])
    write_table(workspace.table("segments"), Segment, kept)
    write_rejections(workspace, "segment", rejections)
    return notes


def automatic_segments(workspace: Workspace, video_id: str) -> tuple[Segment, ...]:
    """The segments of a video without reviews, as `segment` found them or an import was given them.

    Empty before that, and for refused videos.
    """
    outcome = finished_outcome(workspace.ledger("segment"), video_id, Segment)
    return () if outcome is None else outcome.kept


def video_loudness(workspace: Workspace, video: FetchedVideo) -> str:
    """The loudness of a video's sound, as in `ReviewedCopy`; empty if it cannot be read."""
    task = (workspace.root / video.path, video.duration_seconds)
    try:
        return call_isolated(_loudness, task, decoding_limits(video.duration_seconds))
    except ItemError:
        return ""


def _loudness(task: tuple[Path, float]) -> str:
    path, duration_seconds = task
    audio_N = read_audio(path, duration_seconds=duration_seconds, rate_hz=LOUDNESS_RATE_HZ)
    return loudness_digits(audio_N, LOUDNESS_RATE_HZ)


def reviewed_segments(
    workspace: Workspace,
    videos: Sequence[FetchedVideo],
    limits: Callable[[Fraction], LengthLimits],
    reviews: Reviews,
    automatic: Sequence[Segment],
    rejections: Sequence[Rejection],
) -> tuple[list[Segment], list[Rejection], tuple[str, ...]]:
    """(segments, rejections, notes for the user) after the reviews."""
    by_video = reviews.by_video()
    if not by_video:
        return list(automatic), list(rejections), ()
    found: dict[str, list[Segment]] = defaultdict(list)
    for one in automatic:
        found[one.video_id].append(one)
    copies = copies_by_key(reviews.copies)
    kept: list[Segment] = []
    changed = list(rejections)
    moved: list[str] = []
    for video in videos:
        rows = by_video.get(video.video_id)
        if rows is None:
            kept += found[video.video_id]
            continue
        offset, unused = review_offset(workspace, video, rows, copies)
        if unused is not None:
            kept += found[video.video_id]
            changed.append(unused)
            continue
        if offset:
            moved.append(f"{video.video_id} {offset:+.2f} s")
        result = apply_reviews(
            video.video_id, found[video.video_id], rows, limits(video.frame_rate), video.duration_seconds, offset
        )
        kept += result.segments
        if result.segments:  # the video is no longer refused
            changed = [one for one in changed if one.item_id != video.video_id]
        changed = [one for one in changed if not _is_decided(one, video.video_id, result.segments)]
        changed += result.rejections
    return kept, changed, _review_notes(kept, changed, moved, by_video, {video.video_id for video in videos})


def _review_notes(
    kept: Sequence[Segment],
    rejections: Sequence[Rejection],
    moved: Sequence[str],
    by_video: Mapping[str, Sequence[Review]],
    known: set[str],
) -> tuple[str, ...]:
    num_reviewed = sum(one.evidence == REVIEW_EVIDENCE for one in kept)
    notes = [f"reviews: {num_reviewed} of {len(kept)} segments are reviewed"]
    if moved:
        notes.append(f"reviews: moved to another copy of the video by its sound: {', '.join(moved)}")
    notes += [f"reviews: {one.detail}" for one in rejections if one.reason == "review_not_applied"]
    if missing := sorted(by_video.keys() - known):
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        notes.append(f"reviews: {len(missing)} of {len(by_video)} reviewed videos are not in the workspace: {shown}")
    return tuple(notes)


def _is_decided(rejection: Rejection, video_id: str, segments: Sequence[Segment]) -> bool:
    """Whether a letter that the length rule rejected lies in a reviewed segment."""
    start = rejection.item_id.removeprefix(f"{video_id}-")
    if rejection.reason != "too_short" or not start.isdigit() or start == rejection.item_id:
        return False
    seconds = int(start) / 1000
    return any(
        one.evidence == REVIEW_EVIDENCE and one.start_seconds - 0.05 <= seconds < one.end_seconds for one in segments
    )


def review_offset(
    workspace: Workspace,
    video: FetchedVideo,
    rows: Sequence[Review],
    copies: Mapping[tuple[str, str], ReviewedCopy],
) -> tuple[float, Rejection | None]:
    """(seconds to add to the times of the decisions about a video, why they cannot be used for this copy of it)."""
    digests = {row.sha256 for row in rows}
    if digests == {video.sha256}:
        return 0.0, None
    fault = ""
    offset = 0.0
    copy = copies.get((video.video_id, next(iter(digests))))
    if len(digests) > 1:
        fault = f"the decisions are about {len(digests)} different copies; keep those of one"
    elif copy is None:
        fault = "the row `source` of the reviewed copy is missing; export reviews.csv again where it was reviewed"
    elif abs(copy.duration_seconds - video.duration_seconds) > MAX_DURATION_DIFFERENCE_SECONDS:
        fault = (
            f"the reviewed copy lasts {copy.duration_seconds:.2f} s, this one {video.duration_seconds:.2f} s; "
            "review it again"
        )
    else:
        found = align(copy.loudness, video_loudness(workspace, video))
        offset = found.offset_seconds
        fault = f"{found.fault}; review it again" if found.fault else ""
    if not fault:
        return offset, None
    detail = f"{video.video_id}: not the reviewed copy: {fault}"
    return 0.0, Rejection(stage="segment", item_id=video.video_id, reason="review_not_applied", detail=detail)
