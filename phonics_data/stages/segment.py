"""The stage `segment`: words.parquet and OCR traces -> segments.parquet. Finds the interval of each letter.

Decisions of people (reviews.csv) are applied to the automatic segments, which are kept in WORK/items/segment.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import get_args

from phonics_data.errors import ItemError, OptionError
from phonics_data.executors.isolated import call_isolated, decoding_limits
from phonics_data.executors.items import OnProgress, Outcome, run_items, write_rejections
from phonics_data.media.audio_reader import read_audio
from phonics_data.media.probe import clip_rate
from phonics_data.ocr.trace import ScreenTrace, trace_path
from phonics_data.segmentation.alignment import align, loudness_digits
from phonics_data.segmentation.length import FrameSegment, LengthLimits, apply_length_rule
from phonics_data.segmentation.reviewed import apply_reviews
from phonics_data.segmentation.segmenter import SegmenterOptions, segment_song
from phonics_data.segmentation.units import Unit
from phonics_data.segmentation.viterbi import Order
from phonics_data.segmentation.word_decoder import required_counts
from phonics_data.storage.reviews import Review, ReviewedCopy, Reviews, copies_by_key, read_reviews
from phonics_data.storage.tables import from_plain, read_table, to_plain, write_table
from phonics_data.storage.workspace import Workspace, file_sha256, fingerprint
from phonics_data.types import (
    REVIEW_EVIDENCE,
    FetchedVideo,
    Origin,
    Rejection,
    Segment,
    StageCount,
    TranscriptWord,
    Word,
    segment_id,
)

SEGMENT_VERSION = "segment-8"
"""Increased whenever the same evidence would give other segments."""


REVIEWS_FILE = "reviews.csv"
"""Decisions of the workspace, below WORK."""
LOUDNESS_RATE_HZ = 8000
MAX_DURATION_DIFFERENCE_SECONDS = 20.0
"""Copies of one video whose durations differ by more are other cuts of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentOptions:
    """Options of the stage.

    Args:
        frame_rate: of the dataset, or None: the rate of each source. Lengths are counted in these frames.
        min_frames, max_frames: allowed length of a segment, both included (the paper's section 4.1).
        order: whether the song follows the order of the alphabet; ``auto`` detects it.
        unit: ``phrase`` gives a segment for each object word ("L is for lion, L is for lamp": two), ``letter`` one for each
            letter.
    """

    frame_rate: Fraction | None = Fraction(25)
    min_frames: int = 14
    max_frames: int = 100
    order: Order = "auto"
    unit: Unit = "phrase"

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            raise OptionError("--unit", self.unit, "phrase or letter")
        if self.order not in ("strict", "any", "auto"):
            raise OptionError("--order", self.order, "strict, any or auto")
        _ = self.limits(Fraction(25))  # validates the other options

    def limits(self, source_rate: Fraction) -> LengthLimits:
        """The limits for a source of `source_rate` frames a second."""
        rate = clip_rate(source_rate) if self.frame_rate is None else self.frame_rate
        return LengthLimits(frame_rate=rate, min_frames=self.min_frames, max_frames=self.max_frames)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Task:
    video: FetchedVideo
    words: tuple[Word, ...]
    origin: Origin
    trace: Path | None


def segment(
    workspace: Workspace,
    options: SegmentOptions,
    *,
    workers: int = 1,
    on_progress: OnProgress | None = None,
    reviews: Reviews | None = None,
) -> StageCount:
    """Write segments.parquet, one row a segment, in the order of videos.parquet and of time.

    Args:
        reviews: decisions of people, applied to the automatic segments; None: those of WORK/reviews.csv, if it exists.

    Rejections: videos without an alphabet in words or on the screen, videos of one letter without a sign of it, and letters
    that are too short.
    """
    words, origins = words_by_video(workspace)
    videos = read_table(workspace.table("videos"), FetchedVideo)
    tasks = {video.video_id: _task(workspace, video, words[video.video_id], origins) for video in videos}
    fingerprints = {
        video_id: fingerprint(_settings(options, task.video), *_content(task)) for video_id, task in tasks.items()
    }
    function = functools.partial(_segment_one, options)
    result = run_items(
        workspace, "segment", tasks, fingerprints, function, Segment, workers=workers, on_progress=on_progress
    )
    if reviews is None:
        path = workspace.root / REVIEWS_FILE
        reviews = read_reviews(path, f"--work {workspace.root}:") if path.exists() else Reviews()
    kept, rejections, notes = _reviewed(workspace, videos, options, reviews, result.kept, result.rejections)
    write_table(workspace.table("segments"), Segment, kept)
    write_rejections(workspace, "segment", rejections)
    if not reviews.rows:
        return result.count
    num_kept = len({one.video_id for one in kept})
    return dataclasses.replace(
        result.count,
        num_kept=num_kept,
        num_rejected=result.count.num_in - num_kept,
        by_reason=dict(Counter(rejection.reason for rejection in rejections)),
        notes=notes,
    )


def words_by_video(workspace: Workspace) -> tuple[Mapping[str, list[Word]], Mapping[str, Origin]]:
    """(words of each video in the order of words.parquet, none for other videos; where the words of each video are from)."""
    words: dict[str, list[Word]] = defaultdict(list)
    origins: dict[str, Origin] = {}
    for row in read_table(workspace.table("words"), TranscriptWord):
        origins[row.video_id] = row.origin
        words[row.video_id].append(
            Word(
                text=row.text,
                start_seconds=row.start_seconds,
                end_seconds=row.end_seconds,
                confidence=row.confidence,
                timing=row.timing,
            )
        )
    return words, origins


def automatic_segments(workspace: Workspace, video_id: str) -> tuple[Segment, ...]:
    """The segments of a video as `segment` found them, without reviews; empty before it has run, and for refused videos."""
    outcome = workspace.ledger("segment").read(video_id)
    return () if outcome is None else tuple(from_plain(Segment, row) for row in outcome["kept"])


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


def _reviewed(
    workspace: Workspace,
    videos: Sequence[FetchedVideo],
    options: SegmentOptions,
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
        limits = options.limits(video.frame_rate)
        result = apply_reviews(video.video_id, found[video.video_id], rows, limits, video.duration_seconds, offset)
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


def _settings(options: SegmentOptions, video: FetchedVideo) -> list[object]:
    limits = options.limits(video.frame_rate)
    segmenter_options = SegmenterOptions.of(options.order, options.unit, limits)
    settings: list[object] = [SEGMENT_VERSION, to_plain(options), dataclasses.asdict(segmenter_options)]
    return settings if options.frame_rate is not None else [*settings, str(limits.frame_rate)]


def _task(workspace: Workspace, video: FetchedVideo, words: Sequence[Word], origins: Mapping[str, Origin]) -> _Task:
    trace = trace_path(workspace.root, video.video_id)
    return _Task(
        video=video,
        words=tuple(words),
        origin=origins.get(video.video_id, "none"),
        trace=trace if trace.exists() else None,
    )


def _content(task: _Task) -> list[object]:
    trace_sha256 = file_sha256(task.trace) if task.trace is not None else None
    video = task.video
    return [video.duration_seconds, video.letters, task.origin, to_plain(task.words), trace_sha256]


def _segment_one(options: SegmentOptions, task: _Task) -> Outcome[Segment]:
    video = task.video
    trace = ScreenTrace.from_file(task.trace) if task.trace is not None else None
    is_single = len(video.letters) == 1
    if not task.words and trace is None and not is_single:
        raise ItemError("no_letters", f"{video.video_id}: no words, and OCR was not run (see the stage transcribe)")
    limits = options.limits(video.frame_rate)
    segmenter_options = SegmenterOptions.of(options.order, options.unit, limits)
    segmentation = segment_song(
        task.words,
        task.origin,
        trace,
        duration_seconds=video.duration_seconds,
        options=segmenter_options,
        letters=video.letters,
    )
    if not segmentation.phrases:
        raise ItemError(
            "letter_not_found" if is_single else "not_an_alphabet_song",
            f"{video.video_id}: {segmentation.rejection_detail(segmenter_options)}",
            measured=float(segmentation.words.num_pairs) if segmentation.words is not None else None,
            threshold=float(required_counts(video.letters)[0]) if segmentation.words is not None else None,
        )
    accepted, too_short = apply_length_rule(segmentation.phrases, limits, video.duration_seconds)
    return Outcome(
        kept=tuple(_segment(video.video_id, frame_segment, limits) for frame_segment in accepted),
        rejections=tuple(_too_short(video.video_id, frame_segment, limits) for frame_segment in too_short),
    )


def _segment(video_id: str, frame_segment: FrameSegment, limits: LengthLimits) -> Segment:
    start = float(frame_segment.start_frame / limits.frame_rate)
    return Segment(
        segment_id=segment_id(video_id, start),
        video_id=video_id,
        letter=frame_segment.phrase.letter,
        object_word=frame_segment.phrase.object_word,
        start_seconds=start,
        end_seconds=float(frame_segment.end_frame / limits.frame_rate),
        rule=frame_segment.rule,
        evidence=frame_segment.phrase.evidence,
        confidence=frame_segment.confidence,
        object_word_source=frame_segment.phrase.object_word_source,
    )


def _too_short(video_id: str, frame_segment: FrameSegment, limits: LengthLimits) -> Rejection:
    start = float(frame_segment.start_frame / limits.frame_rate)
    return Rejection(
        stage="segment",
        item_id=segment_id(video_id, start),
        reason="too_short",
        measured=float(frame_segment.reach),
        threshold=float(limits.min_frames),
        detail=f"letter {frame_segment.phrase.letter} at {start:.2f} s: {frame_segment.why_short}",
    )
