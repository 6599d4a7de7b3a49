"""Media files that lie on a disk already, with labels known beforehand -> the tables that the stage shard works from.

The files stay where they are: videos.parquet names them by their absolute paths.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from phonics_data.errors import InputError, ItemError, MediaError
from phonics_data.executors.isolated import Limits, map_isolated
from phonics_data.executors.items import OnProgress, rejected, write_rejections
from phonics_data.media import decodes_to_end, probe
from phonics_data.storage.tables import write_table
from phonics_data.storage.workspace import Workspace, file_sha256
from phonics_data.types import FetchedVideo, Rejection, Segment, StageCount, segment_id


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledSegment:
    """What somebody says about a stretch of a file."""

    label: str
    start_seconds: float = 0.0
    end_seconds: float | None = None
    """None: to the end of the file."""
    object_word: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledFile:
    """One media file and its labelled stretches."""

    video_id: str
    path: Path
    segments: tuple[LabelledSegment, ...]
    fault: ItemError | None = None
    """Why it cannot be used, where that was found before it was looked at; becomes its rejection."""


def file_id(relative: Path) -> str:
    """A video id for a file: readable, allowed in file names, and different for different paths."""
    digest = hashlib.sha256(relative.as_posix().encode()).hexdigest()[:8]
    readable = re.sub(r"[^A-Za-z0-9]+", "-", relative.with_suffix("").as_posix()).strip("-")[:48]
    return f"{readable}-{digest}" if readable else digest


def collect(
    workspace: Workspace,
    files: Sequence[LabelledFile],
    *,
    evidence: str,
    workers: int = 1,
    on_progress: OnProgress | None = None,
) -> StageCount:
    """Check every file and write videos.parquet, segments.parquet and the rejections.

    Args:
        evidence: what the labels rest on; stands in the metadata of every clip.

    Raises:
        InputError: no files at all, or not one that can be used.
    """
    if not files:
        raise InputError(f"--work {workspace.root}: found no media files to take in")
    started = time.monotonic()
    by_id = {file.video_id: file for file in files}
    assert len(by_id) == len(files), "ids are made to differ"
    videos: dict[str, FetchedVideo] = {}
    rejections: list[Rejection] = []
    if on_progress:
        on_progress("fetch", 0, len(files))
    results = map_isolated(_inspect, files, workers=workers, limits=lambda _: Limits(seconds=600))
    for done, (file, result) in enumerate(results, start=1):
        if isinstance(result, ItemError):
            rejections.extend(rejected("fetch", file.video_id, result).rejections)
        else:
            videos[file.video_id] = result
        if on_progress:
            on_progress("fetch", done, len(files))
    rejections.sort(key=lambda row: row.item_id)
    write_rejections(workspace, "fetch", rejections)
    if not videos:
        raise InputError(f"none of {len(files)} files can be used; the first: {rejections[0].detail}")
    ordered = [videos[file.video_id] for file in files if file.video_id in videos]
    segments = [segment for video in ordered for segment in _segments(by_id[video.video_id], video, evidence)]
    write_table(workspace.table("videos"), FetchedVideo, ordered)
    write_table(workspace.table("segments"), Segment, segments)
    return StageCount(
        stage="fetch",
        num_in=len(files),
        num_kept=len(videos),
        num_rejected=len(rejections),
        num_skipped=0,
        by_reason=dict(Counter(row.reason for row in rejections)),
        wall_seconds=time.monotonic() - started,
    )


def _inspect(file: LabelledFile) -> FetchedVideo:
    if file.fault is not None:
        raise file.fault
    if not file.path.is_file():
        what = "a folder" if file.path.is_dir() else "no such file"
        raise MediaError("file_missing", f"{file.path}: {what}; correct the path or put the file there")
    info = probe(file.path, need_audio=True)
    if not info.frame_rate:
        raise MediaError("no_video_stream", f"{file.path}: no moving picture in it")
    decodes_to_end(file.path)
    status = file.path.stat()
    return FetchedVideo(
        video_id=file.video_id,
        path=file.path.absolute().as_posix(),
        sha256=file_sha256(file.path),
        num_bytes=status.st_size,
        duration_seconds=info.duration_seconds,
        frame_rate=info.frame_rate,
        width=info.width,
        height=info.height,
        audio_rate_hz=info.audio_rate_hz,
        captions=None,
        fetched_at=datetime.fromtimestamp(int(status.st_mtime), UTC).isoformat().replace("+00:00", "Z"),
        fetcher_version="import",
    )


def _segments(file: LabelledFile, video: FetchedVideo, evidence: str) -> list[Segment]:
    return [
        Segment(
            segment_id=segment_id(file.video_id, segment.start_seconds),
            video_id=file.video_id,
            letter=segment.label,
            object_word=segment.object_word,
            start_seconds=segment.start_seconds,
            end_seconds=video.duration_seconds if segment.end_seconds is None else segment.end_seconds,
            rule="given",
            evidence=evidence,
            confidence=1.0,
        )
        for segment in file.segments
    ]
