"""Benchmark of the stage `shard`: its CPU time divided by that of decoding the same sources in the same run.

Ratios are comparable between machines, seconds are not. CPU time is user and system time of all processes.
"""

from __future__ import annotations

import itertools
import multiprocessing
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

from benchmarks import memory
from phonics_data.contract.logmel import log_mel, mel_segments
from phonics_data.contract.shard import read_shard
from phonics_data.dataset.layout import MetadataRow, read_metadata, shard_paths, write_metadata
from phonics_data.media import decode_all, ffmpeg_path, probe
from phonics_data.quality.filters import FilterOptions
from phonics_data.stages.shard.stage import ShardOptions, shard
from phonics_data.storage.tables import write_table
from phonics_data.storage.workspace import Workspace, file_sha256
from phonics_data.types import FetchedVideo, Segment, segment_id

SECONDS_PER_SOURCE = 120
SEGMENTS_PER_SOURCE = 26
FRAMES_PER_SEGMENT = 100

MAX_FLOOR_RATIO = 1.5
MIN_SPEEDUP = 1.8
MAX_WORKER_BYTES = 600_000_000
MIN_WINDOWS_PER_CPU_SECOND = 25.0
MAX_METADATA_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RunCost:
    """Cost of one run of the stage, measured in a separate process."""

    wall_seconds: float
    own_cpu_seconds: float
    """Of the main process, which distributes, filters and packs: the part that workers cannot share."""
    workers_cpu_seconds: float
    peak_bytes: int
    """Of its largest process."""

    @property
    def cpu_seconds(self) -> float:
        return self.own_cpu_seconds + self.workers_cpu_seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardBenchmark:
    """Results of one benchmark: the minimum CPU and wall-clock times of all rounds, since other load only adds time."""

    num_clips: int
    source_seconds: float
    """Of all sources in total."""
    floor_cpu_seconds: float
    """PyAV decodes video and audio of every source once, without further work."""
    one_worker: RunCost
    """The whole stage with one worker: decode, scale, cut, measure, encode, pack, write tables."""
    two_workers: RunCost
    windows_per_cpu_second: float
    """Read from shards: decode a sample, compute its log-mel spectrogram and the mel segments of 32 frames."""
    metadata_seconds: float
    """Wall-clock time to write, read and compare 100,000 rows (or `num_rows`)."""
    long_run: RunCost | None
    """One worker on one long source at 720p; None if not measured."""

    @property
    def floor_ratio(self) -> float:
        return self.one_worker.cpu_seconds / self.floor_cpu_seconds

    @property
    def speedup(self) -> float:
        return self.one_worker.wall_seconds / self.two_workers.wall_seconds

    @property
    def speedup_by_cpu(self) -> float:
        """Speedup on two idle cores: the CPU time of the workers is halved, that of the main process is not."""
        return self.one_worker.cpu_seconds / (
            self.two_workers.own_cpu_seconds + self.two_workers.workers_cpu_seconds / 2
        )

    def rows(self) -> list[tuple[str, str, str]]:
        """(name, measured, limit) for a table; a missed limit ends with MISSED."""
        peak = max(self.one_worker.peak_bytes, self.two_workers.peak_bytes)
        checks: list[tuple[str, float, str, float]] = [
            ("CPU of shard / decode floor", self.floor_ratio, "at most", MAX_FLOOR_RATIO),
            ("speedup of two workers, wall clock", self.speedup, "at least", MIN_SPEEDUP),
            ("speedup of two workers, by CPU", self.speedup_by_cpu, "at least", MIN_SPEEDUP),
            ("peak memory of a process, MB", peak / 1e6, "at most", MAX_WORKER_BYTES / 1e6),
            ("windows per CPU-second from shards", self.windows_per_cpu_second, "at least", MIN_WINDOWS_PER_CPU_SECOND),
            ("100,000 rows of metadata, s", self.metadata_seconds, "at most", MAX_METADATA_SECONDS),
        ]
        if self.long_run is not None:
            peak = self.long_run.peak_bytes / 1e6
            checks.append(("peak memory on the long source at 720p, MB", peak, "at most", MAX_WORKER_BYTES / 1e6))
        floor = 1000 * self.floor_cpu_seconds / self.source_seconds
        return [("decode floor, ms of CPU per second of source", f"{floor:.2f}", "")] + [
            (name, f"{value:.2f}", f"{side} {limit:g}" + ("" if _holds(value, side, limit) else "  MISSED"))
            for name, value, side, limit in checks
        ]

    @property
    def within_limits(self) -> bool:
        return not any("MISSED" in limit for *_, limit in self.rows())


def _holds(value: float, side: str, limit: float) -> bool:
    return value <= limit if side == "at most" else value >= limit


def benchmark_shard(
    num_sources: int,
    *,
    source: Path | None = None,
    seconds: int = SECONDS_PER_SOURCE,
    rounds: int = 2,
    long_minutes: int = 0,
    num_rows: int = 100_000,
) -> ShardBenchmark:
    """Measure on `num_sources` copies of one source.

    Args:
        source: a video with audio; None renders a detailed one at 360p (H.264 and AAC, a key frame every five seconds).
        seconds: duration of the rendered source.
        rounds: number of measurements of decoding and cutting.
        long_minutes: duration of another source at 720p, for which only memory is measured; 0 for none.
        num_rows: of the metadata that is written and read.
    """
    with tempfile.TemporaryDirectory(prefix="phonics-bench-") as temporary:
        folder = Path(temporary)
        if source is None:
            source = folder / "source.mp4"
            _render(source, seconds, "mandelbrot=size=640x360:rate=25")
        plain, segments = _workspace(folder / "plain", source, num_sources)
        copies = sorted(plain.media.rglob("*.mp4"))
        floors: list[float] = []
        costs: dict[int, list[RunCost]] = {1: [], 2: []}
        for number in range(rounds):
            floors.append(_cpu_of(lambda: [decode_all(path) for path in copies]))
            for workers in (1, 2):
                work, _ = _workspace(folder / f"work-{workers}-{number}", source, num_sources)
                dataset = folder / f"dataset-{workers}-{number}"
                costs[workers].append(_measure_run(work, dataset, workers=workers))
                # Gigabytes on disk and in the page cache, which would slow down the next run.
                shutil.rmtree(work.root)
                if (workers, number) != (1, 0):
                    shutil.rmtree(dataset)
        dataset = folder / "dataset-1-0"
        return ShardBenchmark(
            num_clips=len(segments),
            source_seconds=num_sources * probe(source).duration_seconds,
            floor_cpu_seconds=min(floors),
            one_worker=_minimum(costs[1]),
            two_workers=_minimum(costs[2]),
            windows_per_cpu_second=_windows_per_cpu_second(dataset),
            metadata_seconds=_metadata_seconds(dataset, folder / "metadata", num_rows),
            long_run=_long_run(folder / "long", long_minutes) if long_minutes else None,
        )


def _minimum(runs: Sequence[RunCost]) -> RunCost:
    best = min(runs, key=lambda run: run.cpu_seconds)
    return replace(
        best, wall_seconds=min(run.wall_seconds for run in runs), peak_bytes=max(run.peak_bytes for run in runs)
    )


def _long_run(folder: Path, minutes: int) -> RunCost:
    """One worker on one source of `minutes` at 720p: a minute repeated without re-encoding, which decodes like a long video."""
    folder.mkdir()
    _render(folder / "minute.mp4", 60, "testsrc2=size=1280x720:rate=25")
    command = [ffmpeg_path(), "-loglevel", "error", "-stream_loop", str(minutes - 1), "-i", str(folder / "minute.mp4")]
    subprocess.run([*command, "-c", "copy", str(folder / "long.mp4")], check=True)
    work, _ = _workspace(folder / "work", folder / "long.mp4", 1)
    return _measure_run(work, folder / "dataset", workers=1)


def _workspace(folder: Path, source: Path, num_sources: int) -> tuple[Workspace, list[Segment]]:
    """A workspace as after `fetch` and `segment`, and its segments."""
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
    length, seconds = FRAMES_PER_SEGMENT / 25, info.duration_seconds
    num_segments = max(1, int(seconds * SEGMENTS_PER_SOURCE / SECONDS_PER_SOURCE))
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


def _render(path: Path, seconds: int, test_source: str) -> None:
    """Render a video of an ffmpeg test source.

    The source `mandelbrot` has moving detail everywhere and costs more to decode than most alphabet songs.
    """
    command = [ffmpeg_path(), "-loglevel", "error", "-f", "lavfi", "-i", test_source]
    command += ["-f", "lavfi", "-i", "sine=frequency=440:beep_factor=4", "-t", str(seconds), "-pix_fmt", "yuv420p"]
    command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "28", "-g", "125", "-c:a", "aac", str(path)]
    subprocess.run(command, check=True)


def _cpu_of(work: Callable[[], object]) -> float:
    before = sum(_cpu_seconds())
    work()
    return sum(_cpu_seconds()) - before


def _cpu_seconds() -> tuple[float, float]:
    """(this process, its finished children). `os.times` has a resolution of 10 ms only."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


def _measure_run(workspace: Workspace, out: Path, *, workers: int) -> RunCost:
    """Run the stage in a new process, so that only its memory and that of its children is measured."""
    context = multiprocessing.get_context("spawn")
    results: SimpleQueue[RunCost] = context.SimpleQueue()
    process = context.Process(target=_run_shard, args=(workspace.root, out, workers, results))
    process.start()
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"the measured process ended with {process.exitcode}")
    return results.get()


def _run_shard(work: Path, out: Path, workers: int, results: SimpleQueue[RunCost]) -> None:
    started = time.monotonic()
    # All sources are copies of one video.
    options = ShardOptions(filters=FilterOptions(drop_near_duplicates=False))
    shard(Workspace(work), out, options, workers=workers)
    own, children = _cpu_seconds()
    results.put(
        RunCost(
            wall_seconds=time.monotonic() - started,
            own_cpu_seconds=own,
            workers_cpu_seconds=children,
            peak_bytes=peak_bytes_with_children(),
        )
    )


def peak_bytes_with_children() -> int:
    """The peak resident memory of this process or of its largest finished child.

    A child's `getrusage` peak includes the size of this process at the fork, which is counted anyway.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    return max(memory.peak_bytes(), unit * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def _windows_per_cpu_second(dataset: Path, num_samples: int = 60) -> float:
    log_mel(np.zeros(16_000, np.float32))  # imports and caches on first use
    before, num_read = time.process_time(), 0
    samples = itertools.chain.from_iterable(read_shard(path) for path in shard_paths(dataset))
    for sample in itertools.islice(samples, num_samples):
        mel_segments(log_mel(sample.audio_N), 32, sample.frame_rate)
        num_read += 1
    return num_read / (time.process_time() - before)


def _metadata_seconds(dataset: Path, folder: Path, num_rows: int) -> float:
    rows = read_metadata(dataset)
    repeated: list[MetadataRow] = [rows[index % len(rows)] for index in range(num_rows)]
    folder.mkdir()
    started = time.monotonic()
    write_metadata(folder / "metadata.parquet", repeated)
    if read_metadata(folder) != repeated:
        raise RuntimeError("the metadata read differs from the metadata written")
    return time.monotonic() - started
