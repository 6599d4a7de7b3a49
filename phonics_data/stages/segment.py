"""segment: words.parquet and what was seen on the screen -> segments.parquet. Which seconds belong to which letter."""

from __future__ import annotations

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from phonics_data.errors import ItemError, OptionError
from phonics_data.executors.items import OnProgress, Outcome, run_items, write_rejections
from phonics_data.ocr.trace import ScreenTrace, trace_path
from phonics_data.segmentation.length import LengthLimits, Piece, apply_limits
from phonics_data.segmentation.segmenter import DecideOptions, decide
from phonics_data.segmentation.viterbi import Order
from phonics_data.storage.tables import read_table, to_plain, write_table
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

SEGMENT_VERSION = "segment-5"
"""Raised whenever the same evidence would give other segments."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentOptions:
    """How letters are found and how long their segments may be.

    Args:
        frame_rate: the dataset's frames a second, in which lengths are counted.
        min_frames, max_frames: allowed length of a segment, both included (the paper's section 4.1).
        order: whether the song keeps the order of the alphabet; ``auto`` finds out.
    """

    frame_rate: Fraction = Fraction(25)
    min_frames: int = 14
    max_frames: int = 100
    order: Order = "auto"

    def __post_init__(self) -> None:
        if self.order not in ("strict", "any", "auto"):
            raise OptionError("--order", self.order, "strict, any or auto")
        _ = self.limits  # checks itself

    @property
    def limits(self) -> LengthLimits:
        return LengthLimits(frame_rate=self.frame_rate, min_frames=self.min_frames, max_frames=self.max_frames)


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
) -> StageCount:
    """Write segments.parquet, one row a segment, in the order of videos.parquet and of time.

    A video without words or whose words are no alphabet becomes a rejection; so does every letter that is too short.
    """
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
    videos = read_table(workspace.table("videos"), FetchedVideo)
    tasks = {video.video_id: _task(workspace, video, words[video.video_id], origins) for video in videos}
    settings = [SEGMENT_VERSION, to_plain(options), dataclasses.asdict(DecideOptions.of_order(options.order))]
    hashes = {video_id: fingerprint(settings, *_content(task)) for video_id, task in tasks.items()}
    function = functools.partial(_segment_one, options)
    result = run_items(workspace, "segment", tasks, hashes, function, Segment, workers=workers, on_progress=on_progress)
    write_table(workspace.table("segments"), Segment, result.kept)
    write_rejections(workspace, "segment", result.rejections)
    return result.count


def _task(workspace: Workspace, video: FetchedVideo, words: Sequence[Word], origins: Mapping[str, Origin]) -> _Task:
    trace = trace_path(workspace.root, video.video_id)
    return _Task(
        video=video,
        words=tuple(words),
        origin=origins.get(video.video_id, "none"),
        trace=trace if trace.exists() else None,
    )


def _content(task: _Task) -> list[object]:
    seen = file_sha256(task.trace) if task.trace is not None else None
    return [task.video.duration_seconds, task.origin, to_plain(task.words), seen]


def _segment_one(options: SegmentOptions, task: _Task) -> Outcome[Segment]:
    video = task.video
    trace = ScreenTrace.from_file(task.trace) if task.trace is not None else None
    if not task.words and trace is None:
        raise ItemError(
            "no_letters", f"{video.video_id}: no words, and the screen was not read (see the transcribe stage)"
        )
    decide_options = DecideOptions.of_order(options.order)
    decision = decide(task.words, task.origin, trace, duration_seconds=video.duration_seconds, options=decide_options)
    if not decision.phrases:
        raise ItemError(
            "not_an_alphabet_song",
            f"{video.video_id}: {decision.why_not(decide_options)}",
            measured=float(decision.words.num_pairs) if decision.words is not None else None,
            threshold=float(decide_options.words.min_pairs) if decision.words is not None else None,
        )
    good, short = apply_limits(decision.phrases, options.limits, video.duration_seconds)
    return Outcome(
        kept=tuple(_segment(video.video_id, piece, options) for piece in good),
        rejections=tuple(_too_short(video.video_id, piece, options) for piece in short),
    )


def _segment(video_id: str, piece: Piece, options: SegmentOptions) -> Segment:
    start = float(piece.start_frame / options.frame_rate)
    return Segment(
        segment_id=segment_id(video_id, start),
        video_id=video_id,
        letter=piece.phrase.letter,
        object_word=piece.phrase.object_word,
        start_seconds=start,
        end_seconds=float(piece.end_frame / options.frame_rate),
        rule=piece.rule,
        evidence=piece.phrase.evidence,
        confidence=piece.phrase.confidence,
    )


def _too_short(video_id: str, piece: Piece, options: SegmentOptions) -> Rejection:
    start = float(piece.start_frame / options.frame_rate)
    return Rejection(
        stage="segment",
        item_id=segment_id(video_id, start),
        reason="too_short",
        measured=float(piece.num_frames),
        threshold=float(options.min_frames),
        detail=f"letter {piece.phrase.letter} at {start:.2f} s: {piece.num_frames} frames, and no gap beside it to grow into",
    )
