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

from phonics_data.contract.records import to_plain
from phonics_data.errors import ItemError, OptionError
from phonics_data.executors.items import OnProgress, Outcome, run_items, write_rejections
from phonics_data.media.probe import clip_rate
from phonics_data.ocr.trace import ScreenTrace, trace_path
from phonics_data.segmentation.length import FrameSegment, LengthLimits, apply_length_rule
from phonics_data.segmentation.segmenter import SegmenterOptions, segment_song
from phonics_data.segmentation.units import Unit
from phonics_data.segmentation.viterbi import Order
from phonics_data.segmentation.word_decoder import required_counts
from phonics_data.stages.reviewed_segments import reviewed_segments, workspace_reviews
from phonics_data.storage.reviews import Reviews
from phonics_data.storage.tables import read_table, write_table
from phonics_data.storage.workspace import Workspace, file_sha256, fingerprint
from phonics_data.types import (
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
        reviews = workspace_reviews(workspace)
    kept, rejections, notes = reviewed_segments(
        workspace, videos, options.limits, reviews, result.kept, result.rejections
    )
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
