"""What cutting and storing cost on this machine, as ratios to the bare decoding of the same sources in the same run.

Ratios travel between machines; seconds do not. CPU is user and system time with that of all children.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phonics_data.contract.logmel import log_mel, segments
from phonics_data.contract.shard import read_shard
from phonics_data.dataset import MetadataRow, read_metadata, shard_paths, write_metadata
from phonics_data.media import decode_all, ffmpeg_path, probe
from phonics_data.screen import Rules
from phonics_data.stages.shard import ShardOptions, shard
from phonics_data.tables import write_table
from phonics_data.types import FetchedVideo, LetterSpan, span_id
from phonics_data.workspace import Workspace, file_sha256

SECONDS_A_SOURCE = 120
SPANS_A_SOURCE = 26
FRAMES_A_SPAN = 100

MAX_FLOOR_RATIO = 1.5
MIN_PER_CLIP_RATIO = 3.5
MIN_PER_CLIP_KEPT_RATIO = 12.0
MIN_TWO_WORKERS_SPEED = 1.8
MAX_WORKER_BYTES = 600_000_000
MIN_WINDOWS_A_CPU_SECOND = 25.0
MAX_METADATA_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardBench:
    """Figures of one run."""

    num_clips: int
    floor_cpu_seconds: float
    """PyAV decodes picture and sound of every source once, and nothing else."""
    shard_cpu_seconds: float
    """The whole stage with one worker: decode, scale, cut, measure, encode, pack, tables."""
    per_clip_cpu_seconds: float
    """One ffmpeg for each clip that writes 64 x 64; measured on some clips and scaled up."""
    per_clip_kept_cpu_seconds: float
    """One ffmpeg for each clip that keeps 360p."""
    one_worker_seconds: float
    two_workers_seconds: float
    peak_worker_bytes: int
    windows_a_cpu_second: float
    """Read from shards: a sample decoded, its log-mel, and the segments of 32 frames."""
    metadata_seconds: float
    """100,000 rows written and read back, wall clock."""

    @property
    def floor_ratio(self) -> float:
        return self.shard_cpu_seconds / self.floor_cpu_seconds

    @property
    def speed_of_two(self) -> float:
        return self.one_worker_seconds / self.two_workers_seconds

    def rows(self) -> list[tuple[str, str, str]]:
        """(what, measured, limit) for a table; a missed limit bears the word MISSED."""
        per_clip = self.per_clip_cpu_seconds / self.shard_cpu_seconds
        kept = self.per_clip_kept_cpu_seconds / self.shard_cpu_seconds
        found = [
            ("CPU of shard / decode floor", self.floor_ratio, "at most", MAX_FLOOR_RATIO),
            ("CPU of one ffmpeg a clip at 64 x 64 / shard", per_clip, "at least", MIN_PER_CLIP_RATIO),
            ("CPU of one ffmpeg a clip at 360p / shard", kept, "at least", MIN_PER_CLIP_KEPT_RATIO),
            ("speed of two workers / one", self.speed_of_two, "at least", MIN_TWO_WORKERS_SPEED),
            ("peak memory of a process, MB", self.peak_worker_bytes / 1e6, "at most", MAX_WORKER_BYTES / 1e6),
            ("windows a CPU-second from shards", self.windows_a_cpu_second, "at least", MIN_WINDOWS_A_CPU_SECOND),
            ("100,000 rows of metadata, s", self.metadata_seconds, "at most", MAX_METADATA_SECONDS),
        ]
        return [
            (what, f"{value:.2f}", f"{side} {limit:g}" + ("" if _holds(value, side, limit) else "  MISSED"))
            for what, value, side, limit in found
        ]

    @property
    def within_limits(self) -> bool:
        return not any("MISSED" in limit for *_, limit in self.rows())


def _holds(value: float, side: str, limit: float) -> bool:
    return value <= limit if side == "at most" else value >= limit


def bench_shard(num_sources: int, *, seconds: int = SECONDS_A_SOURCE, per_clip_runs: int = 12) -> ShardBench:
    """Measure on `num_sources` copies of one detailed 360p source (H.264 and AAC, a key frame every five seconds)."""
    with tempfile.TemporaryDirectory(prefix="phonics-bench-") as temporary:
        folder = Path(temporary)
        workspace, sources, spans = _workspace(folder, num_sources, seconds)
        floor = _cpu_of(lambda: [decode_all(path) for path in sources])
        options = ShardOptions(rules=Rules(drop_near_duplicates=False))
        started = time.monotonic()
        ours = _cpu_of(lambda: _in_a_process(_shard, workspace.root, folder / "one", options, 1))
        one = time.monotonic() - started
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        again, _, _ = _workspace(folder / "again", num_sources, seconds, source=sources[0])
        started = time.monotonic()
        _in_a_process(_shard, again.root, folder / "two", options, 2)
        two = time.monotonic() - started
        some = spans[:: max(1, len(spans) // per_clip_runs)]
        scale = len(spans) / len(some)
        small = "crop=360:360,scale=64:64:flags=area"
        return ShardBench(
            num_clips=len(spans),
            floor_cpu_seconds=floor,
            shard_cpu_seconds=ours,
            per_clip_cpu_seconds=scale * _cpu_of(lambda: _one_ffmpeg_a_clip(sources[0], some, folder, small)),
            per_clip_kept_cpu_seconds=scale * _cpu_of(lambda: _one_ffmpeg_a_clip(sources[0], some, folder, "null")),
            one_worker_seconds=one,
            two_workers_seconds=two,
            peak_worker_bytes=peak,
            windows_a_cpu_second=_windows_a_cpu_second(folder / "one"),
            metadata_seconds=_metadata_seconds(folder / "one", folder / "metadata"),
        )


def _workspace(
    folder: Path, num_sources: int, seconds: int, source: Path | None = None
) -> tuple[Workspace, list[Path], list[LetterSpan]]:
    """A workspace as fetch and segment would have left it."""
    workspace = Workspace(folder / "work")
    paths: list[Path] = []
    for index in range(num_sources):
        path = workspace.media / f"source-{index}" / "video.mp4"
        path.parent.mkdir(parents=True)
        if source is None and index == 0:
            _render(path, seconds)
        else:
            os.link(source or paths[0], path)
        paths.append(path)
    info, sha256 = probe(paths[0]), file_sha256(paths[0])
    videos = [
        FetchedVideo(
            video_id=path.parent.name,
            path=workspace.relative(path),
            sha256=sha256,
            num_bytes=path.stat().st_size,
            duration_seconds=info.duration_seconds,
            frame_rate=info.frame_rate,
            width=info.width,
            height=info.height,
            audio_rate_hz=info.audio_rate_hz,
            captions=None,
            fetched_at="2026-01-01T00:00:00Z",
            fetcher_version="bench",
        )
        for path in paths
    ]
    length = FRAMES_A_SPAN / 25
    starts = [round(index * seconds / SPANS_A_SOURCE, 3) for index in range(SPANS_A_SOURCE)]
    spans = [
        LetterSpan(
            span_id=span_id(video.video_id, start),
            video_id=video.video_id,
            letter="ABCDEFGHIJKLMNOPQRSTUVWXYZ"[index],
            object_word=None,
            start_seconds=start,
            end_seconds=min(start + length, seconds),
            rule="phrase",
            evidence="bench",
            confidence=1.0,
        )
        for video in videos
        for index, start in enumerate(starts)
    ]
    write_table(workspace.table("videos"), FetchedVideo, videos)
    write_table(workspace.table("segments"), LetterSpan, spans)
    return workspace, paths, spans


def _render(path: Path, seconds: int) -> None:
    """A picture with detail in motion everywhere, which costs about as much to decode as real songs at 360p."""
    command = [ffmpeg_path(), "-loglevel", "error", "-f", "lavfi", "-i", "mandelbrot=size=640x360:rate=25"]
    command += ["-f", "lavfi", "-i", "sine=frequency=440:beep_factor=4", "-t", str(seconds), "-pix_fmt", "yuv420p"]
    command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "28", "-g", "125", "-c:a", "aac", str(path)]
    subprocess.run(command, check=True)


def _cpu_of(work: Callable[[], object]) -> float:
    before = os.times()
    work()
    after = os.times()
    return sum(after[:4]) - sum(before[:4])


def _in_a_process(function: Callable[..., None], *arguments: object) -> None:
    """In a fresh process, so that its memory and its children's are counted alone."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"the measured process ended with {process.exitcode}")


def _shard(work: Path, out: Path, options: ShardOptions, workers: int) -> None:
    shard(Workspace(work), out, options, workers=workers)


def _one_ffmpeg_a_clip(source: Path, spans: Sequence[LetterSpan], folder: Path, picture: str) -> None:
    for span in spans:
        command = [ffmpeg_path(), "-loglevel", "error", "-y", "-ss", str(span.start_seconds), "-i", str(source)]
        command += ["-t", str(span.end_seconds - span.start_seconds), "-vf", picture, "-r", "25"]
        command += ["-ac", "1", "-ar", "16000", str(folder / "clip.mp4")]
        subprocess.run(command, check=True)


def _windows_a_cpu_second(dataset: Path, num_samples: int = 60) -> float:
    log_mel(np.zeros(16_000, np.float32))  # loads what it needs
    before, number = time.process_time(), 0
    for path in shard_paths(dataset):
        for sample in read_shard(path):
            segments(log_mel(sample.audio_N), 32, sample.frame_rate)
            number += 1
            if number == num_samples:
                return number / (time.process_time() - before)
    return number / (time.process_time() - before)


def _metadata_seconds(dataset: Path, folder: Path) -> float:
    rows = read_metadata(dataset)
    many: list[MetadataRow] = [rows[index % len(rows)] for index in range(100_000)]
    folder.mkdir()
    started = time.monotonic()
    write_metadata(folder / "metadata.parquet", many)
    if read_metadata(folder)[-1] != many[-1]:
        raise RuntimeError("metadata did not come back as it was written")
    return time.monotonic() - started
