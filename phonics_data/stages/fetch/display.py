"""Displays of a running fetch: bars on a terminal, lines in a log file, JSON for other programs."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from phonics_data.contract.console import printable, printable_json, say
from phonics_data.stages.fetch.progress import FetchProgress
from phonics_data.types import FetchStatus

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from phonics_data.stages.fetch.preview import FetchPreview

LONG_WAIT_SECONDS = 15.0
"""Shorter pauses are not shown in a log file."""


@contextmanager
def display(*, as_json: bool) -> Generator[FetchProgress]:
    """Bars on a terminal, plain lines elsewhere (standard error); or one JSON object a line on standard output."""
    if as_json:
        yield JsonLines(sys.stdout)
    elif sys.stderr.isatty():
        with _bars() as bars:
            yield bars
    else:
        yield PlainLines(sys.stderr)


class PlainLines(FetchProgress):
    """A line for each finished video and for each long wait."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._num_done = 0
        self._num_videos = 0

    def _print(self, text: str) -> None:
        say(f"fetch: {text}", file=self._out)

    def run_started(self, num_videos: int, num_finished: int) -> None:
        self._num_videos, self._num_done = num_videos, num_finished
        self._print(f"{num_videos} videos, {num_finished} finished before")

    def waiting(self, video_id: str, seconds: float, why: str) -> None:
        if seconds >= LONG_WAIT_SECONDS:
            with self._lock:
                self._print(f"{video_id} waits {seconds:.0f} s {why}")

    def video_finished(self, video_id: str, status: FetchStatus, detail: str) -> None:
        with self._lock:
            self._num_done += 1
            self._print(f"{self._num_done}/{self._num_videos} {video_id} {status}" + (f": {detail}" if detail else ""))

    def run_stopped(self, why: str) -> None:
        with self._lock:
            self._print(f"stopped: {why}")


class JsonLines(FetchProgress):
    """One JSON object for each event; received bytes at most twice a second for each video."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._last_bytes_event: dict[str, float] = {}

    def _print(self, event: str, **values: object) -> None:
        with self._lock:
            say(printable_json({"event": event, **values}), file=self._out)

    def run_started(self, num_videos: int, num_finished: int) -> None:
        self._print("began", num_videos=num_videos, num_finished=num_finished)

    def video_started(self, video_id: str) -> None:
        self._print("started", video_id=video_id)

    def bytes_received(
        self, video_id: str, num_bytes: int, total_bytes: int | None, bytes_per_second: float | None
    ) -> None:
        now = time.monotonic()
        if now - self._last_bytes_event.get(video_id, 0.0) >= 0.5:
            self._last_bytes_event[video_id] = now
            self._print(
                "moved",
                video_id=video_id,
                num_bytes=num_bytes,
                total_bytes=total_bytes,
                bytes_per_second=bytes_per_second,
            )

    def waiting(self, video_id: str, seconds: float, why: str) -> None:
        self._print("waits", video_id=video_id, seconds=round(seconds, 1), why=why)

    def video_finished(self, video_id: str, status: FetchStatus, detail: str) -> None:
        self._last_bytes_event.pop(video_id, None)
        self._print("ended", video_id=video_id, status=status, detail=detail)

    def run_stopped(self, why: str) -> None:
        self._print("stopped", why=why)


@contextmanager
def _bars() -> Generator[FetchProgress]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[count]}", markup=False),
    )
    extras = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, *extras, console=Console(stderr=True), transient=False) as bars:
        yield Bars(bars)


class Bars(FetchProgress):
    """One bar for all videos and one for each video in progress; failures are printed as lines above them."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._lock = threading.Lock()
        self._total_bar: TaskID | None = None
        self._num_done = 0
        self._num_videos = 0
        self._video_bars: dict[str, TaskID] = {}

    def run_started(self, num_videos: int, num_finished: int) -> None:
        self._num_videos, self._num_done = num_videos, num_finished
        self._total_bar = self._bars.add_task(
            "all videos", total=num_videos, completed=num_finished, count=self._count()
        )

    def _count(self) -> str:
        return f"{self._num_done}/{self._num_videos} videos"

    def video_started(self, video_id: str) -> None:
        with self._lock:
            self._video_bars[video_id] = self._bars.add_task(video_id, total=None, count="page")

    def bytes_received(
        self, video_id: str, num_bytes: int, total_bytes: int | None, bytes_per_second: float | None
    ) -> None:
        if video_id in self._video_bars:
            self._bars.update(self._video_bars[video_id], completed=num_bytes, total=total_bytes, count="")

    def waiting(self, video_id: str, seconds: float, why: str) -> None:
        if video_id in self._video_bars:
            self._bars.update(self._video_bars[video_id], count=printable(f"waits {seconds:.0f} s {why}"))
        elif self._total_bar is not None:
            self._bars.update(self._total_bar, count=f"{self._count()}, waits {seconds:.0f} s")

    def video_finished(self, video_id: str, status: FetchStatus, detail: str) -> None:
        with self._lock:
            self._num_done += 1
            if video_id in self._video_bars:
                self._bars.remove_task(self._video_bars.pop(video_id))
            if self._total_bar is not None:
                self._bars.update(self._total_bar, completed=self._num_done, count=self._count())
            if status != "ok":
                self._bars.console.print(printable(f"{video_id} {status}: {detail}"), highlight=False, markup=False)

    def run_stopped(self, why: str) -> None:
        self._bars.console.print(printable(f"stopped: {why}"), highlight=False, markup=False)


def print_preview(preview: FetchPreview, *, as_json: bool) -> None:
    """Print the result of a dry run on standard output."""
    if as_json:
        lines = [
            printable_json(
                {
                    "num_rows": preview.num_rows,
                    "num_chosen": preview.num_chosen,
                    "num_finished": preview.num_finished,
                    "todo": [video.video_id for video in preview.todo],
                    "estimated_bytes": round(preview.estimated_bytes),
                }
            )
        ]
    else:
        lines = [f"{video.video_id}  {video.kind} {video.letters}  {video.title}" for video in preview.todo]
        lines.append(
            f"{len(preview.todo)} videos would be fetched; {preview.num_finished} need no work; "
            f"{preview.num_rows - preview.num_chosen} rows are excluded by --only, --letters or --tier"
        )
        if preview.num_sampled:
            lines.append(
                f"about {preview.estimated_bytes / 1e6:.0f} MB, from the pages of {preview.num_sampled} of them "
                f"({preview.mean_bytes / 1e6:.1f} MB a video)"
            )
        elif preview.todo:
            lines.append("no page gives a size")
    say(*lines)
