"""Benchmark of the stage `fetch`: its CPU time compared with that of yt-dlp alone, on videos of a local server."""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yt_dlp

from phonics_data.executors.isolated import close_idle
from phonics_data.sources.synthetic.site import SongSite
from phonics_data.stages.fetch.download import ffmpeg_path
from phonics_data.stages.fetch.options import FetchOptions
from phonics_data.stages.fetch.stage import fetch
from phonics_data.storage.manifest import read_manifest
from phonics_data.storage.workspace import Workspace
from phonics_data.types import SourceVideo

MAX_OWN_CPU_SECONDS = 0.5
MAX_GROWTH_BYTES = 20_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchBenchmark:
    """Results of one run, per video. CPU time is user and system time, including the server and all child processes."""

    num_videos: int
    ytdlp_cpu_seconds: float
    """yt-dlp alone: page and download."""
    fetch_cpu_seconds: float
    """`fetch`: page, download, checks, hashes and tables."""
    wall_seconds: float
    growth_bytes: int
    """Resident memory after the last video, minus that after the first tenth of the videos."""

    @property
    def own_cpu_seconds(self) -> float:
        return self.fetch_cpu_seconds - self.ytdlp_cpu_seconds

    @property
    def within_limits(self) -> bool:
        return self.own_cpu_seconds <= MAX_OWN_CPU_SECONDS and self.growth_bytes <= MAX_GROWTH_BYTES


def benchmark_fetch(num_videos: int) -> FetchBenchmark:
    """Download `num_videos` small videos with yt-dlp alone, then with `fetch`, and measure both."""
    with tempfile.TemporaryDirectory(prefix="phonics-bench-") as temporary:
        folder = Path(temporary)
        songs = folder / "songs"
        _write_songs(songs, num_videos + 2)
        with SongSite(songs) as site:
            videos = read_manifest(f"{site.url}/manifest.csv")
            warmup, measured = videos[:2], videos[2:]
            _run_ytdlp(warmup, folder / "warmup")
            before = _cpu_seconds()
            _run_ytdlp(measured, folder / "ytdlp")
            ytdlp_seconds = _cpu_seconds() - before
            _run_fetch(warmup, folder / "warmup-work", [])
            before, started = _cpu_seconds(), time.monotonic()
            memory: list[int] = []
            _run_fetch(measured, folder / "work", memory)
            fetch_seconds = _cpu_seconds() - before
    return FetchBenchmark(
        num_videos=num_videos,
        ytdlp_cpu_seconds=ytdlp_seconds / num_videos,
        fetch_cpu_seconds=fetch_seconds / num_videos,
        wall_seconds=(time.monotonic() - started) / num_videos,
        growth_bytes=memory[-1] - memory[len(memory) // 10],
    )


def _write_songs(folder: Path, number: int) -> None:
    """One rendered test video with a tone, linked under many names."""
    folder.mkdir()
    first = folder / "v0.mp4"
    command = [ffmpeg_path(), "-loglevel", "error", "-f", "lavfi", "-i", "testsrc=size=426x240:rate=25", "-f", "lavfi"]
    command += ["-i", "sine=frequency=440", "-t", "20", "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(first)]
    subprocess.run(command, check=True)
    rows = ["video_id,url,title"]
    for index in range(number):
        if index:
            os.link(first, folder / f"v{index}.mp4")
        (folder / f"v{index}.en-orig.json3").write_text('{"events": []}')
        rows.append(f"v{index},v{index}.mp4,Song {index}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")


def _run_ytdlp(videos: list[SourceVideo], folder: Path) -> None:
    parameters: dict[str, Any] = {
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "cachedir": False,
        "writesubtitles": True,
        "subtitleslangs": ["en-orig"],
        "outtmpl": str(folder / "%(id)s.%(ext)s"),
    }
    with yt_dlp.YoutubeDL(cast("Any", parameters)) as ydl:
        for video in videos:
            ydl.extract_info(video.url, download=True)


def _run_fetch(videos: list[SourceVideo], work: Path, memory: list[int]) -> None:
    def on_progress(step: str, done: int, total: int) -> None:
        memory.append(_resident_bytes())

    fetch(Workspace(work), videos, FetchOptions(), on_progress=on_progress)
    close_idle()  # the time of a process counts when it has ended


def _cpu_seconds() -> float:
    """Of this process and its finished children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _resident_bytes() -> int:
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    # Other systems give the peak only; it is constant if memory is constant.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
