"""What cutting and storing cost on this machine, as ratios to the bare decoding of the same sources in the same run.

Ratios travel between machines; seconds do not. CPU is user and system time with that of all children.
"""

from __future__ import annotations

import multiprocessing
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import numpy as np

from phonics_data.contract.logmel import log_mel, mel_segments
from phonics_data.contract.shard import read_shard
from phonics_data.dataset.layout import MetadataRow, read_metadata, shard_paths, write_metadata
from phonics_data.media import decode_all, ffmpeg_path, probe
from phonics_data.quality.filters import FilterOptions
from phonics_data.stages.shard.stage import ShardOptions, shard
from phonics_data.storage.tables import write_table
from phonics_data.storage.workspace import Workspace, file_sha256
from phonics_data.types import FetchedVideo, Segment, segment_id

SECONDS_A_SOURCE = 120
SEGMENTS_A_SOURCE = 26
FRAMES_A_SEGMENT = 100

MAX_FLOOR_RATIO = 1.5
MIN_PER_CLIP_RATIO = 3.5
MIN_PER_CLIP_KEPT_RATIO = 12.0
MIN_TWO_WORKERS_SPEED = 1.8
MAX_WORKER_BYTES = 600_000_000
MIN_WINDOWS_A_CPU_SECOND = 25.0
MAX_METADATA_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What one run of the whole stage cost, measured in a process of its own."""

    wall_seconds: float
    own_cpu_seconds: float
    """Of the process that hands out, evaluators and packs: what more workers cannot share."""
    workers_cpu_seconds: float
    peak_bytes: int
    """Of the largest of its processes."""

    @property
    def cpu_seconds(self) -> float:
        return self.own_cpu_seconds + self.workers_cpu_seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardBench:
    """Figures of one bench: of CPU and wall clock the least of all rounds, for whatever else runs only adds to them."""

    num_clips: int
    source_seconds: float
    """Of all sources together."""
    floor_cpu_seconds: float
    """PyAV decodes picture and sound of every source once, and nothing else."""
    one: Run
    """The whole stage with one worker: decode, scale, cut, measure, encode, pack, tables."""
    two: Run
    """With two."""
    per_clip_cpu_seconds: float
    """One ffmpeg for each clip that writes 64 x 64; measured on some clips and scaled up."""
    per_clip_kept_cpu_seconds: float
    """One ffmpeg for each clip that keeps the size of the source."""
    windows_a_cpu_second: float
    """Read from shards: a sample decoded, its log-mel, and the segments of 32 frames."""
    metadata_seconds: float
    """100,000 rows (or as many as were asked for) written, read back and checked, wall clock."""
    long_run: Run | None
    """One worker on one long source at 720p; None where none was asked for."""

    @property
    def floor_ratio(self) -> float:
        return self.one.cpu_seconds / self.floor_cpu_seconds

    @property
    def speed_of_two(self) -> float:
        return self.one.wall_seconds / self.two.wall_seconds

    @property
    def speed_of_two_by_cpu(self) -> float:
        """What two idle cores would give: the work of the workers divides by two, the rest does not."""
        return self.one.cpu_seconds / (self.two.own_cpu_seconds + self.two.workers_cpu_seconds / 2)

    def rows(self) -> list[tuple[str, str, str]]:
        """(what, measured, limit) for a table; a missed limit bears the word MISSED."""
        per_clip = self.per_clip_cpu_seconds / self.one.cpu_seconds
        kept = self.per_clip_kept_cpu_seconds / self.one.cpu_seconds
        peak = max(self.one.peak_bytes, self.two.peak_bytes)
        found: list[tuple[str, float, str, float]] = [
            ("CPU of shard / decode floor", self.floor_ratio, "at most", MAX_FLOOR_RATIO),
            ("CPU of one ffmpeg a clip at 64 x 64 / shard", per_clip, "at least", MIN_PER_CLIP_RATIO),
            ("CPU of one ffmpeg a clip at the source's size / shard", kept, "at least", MIN_PER_CLIP_KEPT_RATIO),
            ("speed of two workers / one, by the clock", self.speed_of_two, "at least", MIN_TWO_WORKERS_SPEED),
            ("speed of two workers / one, by CPU", self.speed_of_two_by_cpu, "at least", MIN_TWO_WORKERS_SPEED),
            ("peak memory of a process, MB", peak / 1e6, "at most", MAX_WORKER_BYTES / 1e6),
            ("windows a CPU-second from shards", self.windows_a_cpu_second, "at least", MIN_WINDOWS_A_CPU_SECOND),
            ("100,000 rows of metadata, s", self.metadata_seconds, "at most", MAX_METADATA_SECONDS),
        ]
        if self.long_run is not None:
            peak = self.long_run.peak_bytes / 1e6
            found.append(("peak memory on the long source at 720p, MB", peak, "at most", MAX_WORKER_BYTES / 1e6))
        floor = 1000 * self.floor_cpu_seconds / self.source_seconds
        return [("decode floor, ms of CPU a second of source", f"{floor:.2f}", "")] + [
            (what, f"{value:.2f}", f"{side} {limit:g}" + ("" if _holds(value, side, limit) else "  MISSED"))
            for what, value, side, limit in found
        ]

    @property
    def within_limits(self) -> bool:
        return not any("MISSED" in limit for *_, limit in self.rows())


def _holds(value: float, side: str, limit: float) -> bool:
    return value <= limit if side == "at most" else value >= limit


def bench_shard(
    num_sources: int,
    *,
    source: Path | None = None,
    seconds: int = SECONDS_A_SOURCE,
    rounds: int = 2,
    per_clip_runs: int = 12,
    long_minutes: int = 0,
    num_rows: int = 100_000,
) -> ShardBench:
    """Measure on `num_sources` copies of one source.

    Args:
        source: a video with sound; None renders a detailed one at 360p (H.264 and AAC, a key frame every five seconds).
        seconds: length of the rendered source.
        rounds: how often decoding and cutting are measured.
        long_minutes: length of a further source at 720p, on which memory alone is measured; 0 leaves it out.
        num_rows: of metadata that are written and read back.
    """
    with tempfile.TemporaryDirectory(prefix="phonics-bench-") as temporary:
        folder = Path(temporary)
        if source is None:
            source = folder / "source.mp4"
            _render(source, seconds, "mandelbrot=size=640x360:rate=25")
        plain, segments = _workspace(folder / "plain", source, num_sources)
        copies = sorted(plain.media.rglob("*.mp4"))
        floors: list[float] = []
        ones: list[Run] = []
        twos: list[Run] = []
        for number in range(rounds):
            floors.append(_cpu_of(lambda: [decode_all(path) for path in copies]))
            for name, runs, workers in (("one", ones, 1), ("two", twos, 2)):
                work, _ = _workspace(folder / f"{name}-{number}", source, num_sources)
                dataset = folder / f"dataset-{name}-{number}"
                runs.append(_run(work, dataset, workers=workers))
                # Gigabytes on disk and in memory, which the next run would have to push out.
                shutil.rmtree(work.root)
                if (name, number) != ("one", 0):
                    shutil.rmtree(dataset)
        some = segments[:: max(1, len(segments) // per_clip_runs)]
        scale = len(segments) / len(some)
        small = "crop='min(iw,ih)':'min(iw,ih)',scale=64:64:flags=area"
        return ShardBench(
            num_clips=len(segments),
            source_seconds=num_sources * probe(source).duration_seconds,
            floor_cpu_seconds=min(floors),
            one=_least(ones),
            two=_least(twos),
            per_clip_cpu_seconds=scale * _cpu_of(lambda: _one_ffmpeg_a_clip(source, some, folder, small)),
            per_clip_kept_cpu_seconds=scale * _cpu_of(lambda: _one_ffmpeg_a_clip(source, some, folder, "null")),
            windows_a_cpu_second=_windows_a_cpu_second(folder / "dataset-one-0"),
            metadata_seconds=_metadata_seconds(folder / "dataset-one-0", folder / "metadata", num_rows),
            long_run=_long_run(folder / "long", long_minutes) if long_minutes else None,
        )


def _least(runs: Sequence[Run]) -> Run:
    best = min(runs, key=lambda run: run.cpu_seconds)
    return replace(
        best, wall_seconds=min(run.wall_seconds for run in runs), peak_bytes=max(run.peak_bytes for run in runs)
    )


def _long_run(folder: Path, minutes: int) -> Run:
    """A minute at 720p, repeated without being encoded again: to those who decode it as good as `minutes` of film."""
    folder.mkdir()
    _render(folder / "minute.mp4", 60, "testsrc2=size=1280x720:rate=25")
    command = [ffmpeg_path(), "-loglevel", "error", "-stream_loop", str(minutes - 1), "-i", str(folder / "minute.mp4")]
    subprocess.run([*command, "-c", "copy", str(folder / "long.mp4")], check=True)
    work, _ = _workspace(folder / "work", folder / "long.mp4", 1)
    return _run(work, folder / "dataset", workers=1)


def _workspace(folder: Path, source: Path, num_sources: int) -> tuple[Workspace, list[Segment]]:
    """A workspace as fetch and segment would have left it."""
    workspace = Workspace(folder)
    paths: list[Path] = []
    for index in range(num_sources):
        path = workspace.media / f"source-{index}" / "video.mp4"
        path.parent.mkdir(parents=True)
        path.symlink_to(source.absolute())
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
    length, seconds = FRAMES_A_SEGMENT / 25, info.duration_seconds
    num_segments = max(1, int(seconds * SEGMENTS_A_SOURCE / SECONDS_A_SOURCE))
    starts = [round(index * seconds / num_segments, 3) for index in range(num_segments)]
    segments = [
        Segment(
            segment_id=segment_id(video.video_id, start),
            video_id=video.video_id,
            letter="ABCDEFGHIJKLMNOPQRSTUVWXYZ"[index % 26],
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
    write_table(workspace.table("segments"), Segment, segments)
    return workspace, segments


def _render(path: Path, seconds: int, picture: str) -> None:
    """A film of one of ffmpeg's own pictures.

    Its fractal has detail in motion everywhere and is dearer to decode than the flat colours of most alphabet songs.
    """
    command = [ffmpeg_path(), "-loglevel", "error", "-f", "lavfi", "-i", picture]
    command += ["-f", "lavfi", "-i", "sine=frequency=440:beep_factor=4", "-t", str(seconds), "-pix_fmt", "yuv420p"]
    command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "28", "-g", "125", "-c:a", "aac", str(path)]
    subprocess.run(command, check=True)


def _cpu_of(work: Callable[[], object]) -> float:
    before = sum(_cpu_seconds())
    work()
    return sum(_cpu_seconds()) - before


def _cpu_seconds() -> tuple[float, float]:
    """Of this process and of its ended children. `os.times` would count in hundredths, of which short work has none."""
    own, theirs = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime, theirs.ru_utime + theirs.ru_stime


def _run(workspace: Workspace, out: Path, *, workers: int) -> Run:
    """The stage in a fresh process, so that its memory and its children's are counted alone."""
    context = multiprocessing.get_context("spawn")
    results: SimpleQueue[Run] = context.SimpleQueue()
    process = context.Process(target=_shard, args=(workspace.root, out, workers, results))
    process.start()
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"the measured process ended with {process.exitcode}")
    return results.get()


def _shard(work: Path, out: Path, workers: int, results: SimpleQueue[Run]) -> None:
    started = time.monotonic()
    # The copies of one source would leave a single one of them.
    options = ShardOptions(filters=FilterOptions(drop_near_duplicates=False))
    shard(Workspace(work), out, options, workers=workers)
    own, theirs = _cpu_seconds()
    results.put(
        Run(
            wall_seconds=time.monotonic() - started,
            own_cpu_seconds=own,
            workers_cpu_seconds=theirs,
            peak_bytes=peak_bytes(),
        )
    )


def peak_bytes() -> int:
    """The most memory that this process or one of its ended children has held resident.

    What `getrusage` calls a process's peak holds on Linux that of the program which ran in it before `exec`, so a
    fresh process inherits the size of whoever started it. The kernel's mark on the address space does not. Children
    are told by `getrusage` alone, but what they inherit is this process's own size, which counts anyway.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    peak = unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    status = Path("/proc/self/status")
    if status.exists() and (mark := re.search(r"^VmHWM:\s*(\d+) kB$", status.read_text(), re.MULTILINE)):
        peak = 1024 * int(mark[1])
    return max(peak, unit * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def _one_ffmpeg_a_clip(source: Path, segments: Sequence[Segment], folder: Path, picture: str) -> None:
    for segment in segments:
        command = [ffmpeg_path(), "-loglevel", "error", "-y", "-ss", str(segment.start_seconds), "-i", str(source)]
        command += ["-t", str(segment.end_seconds - segment.start_seconds), "-vf", picture, "-r", "25"]
        command += ["-ac", "1", "-ar", "16000", str(folder / "clip.mp4")]
        subprocess.run(command, check=True)


def _windows_a_cpu_second(dataset: Path, num_samples: int = 60) -> float:
    log_mel(np.zeros(16_000, np.float32))  # loads what it needs
    before, number = time.process_time(), 0
    for path in shard_paths(dataset):
        for sample in read_shard(path):
            mel_segments(log_mel(sample.audio_N), 32, sample.frame_rate)
            number += 1
            if number == num_samples:
                return number / (time.process_time() - before)
    return number / (time.process_time() - before)


def _metadata_seconds(dataset: Path, folder: Path, num_rows: int) -> float:
    rows = read_metadata(dataset)
    many: list[MetadataRow] = [rows[index % len(rows)] for index in range(num_rows)]
    folder.mkdir()
    started = time.monotonic()
    write_metadata(folder / "metadata.parquet", many)
    if read_metadata(folder) != many:
        raise RuntimeError("metadata did not come back as it was written")
    return time.monotonic() - started
