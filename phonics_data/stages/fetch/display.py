"""What a person, a log file or another program sees of fetching while it runs."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from phonics_data.stages.fetch.progress import FetchProgress
from phonics_data.types import FetchStatus

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from phonics_data.stages.fetch.preview import Preview

LONG_WAIT_SECONDS = 15.0
"""Shorter pauses are no news in a log file."""


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
    """A line for each video that has its status, and for each long wait."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._num_done = 0
        self._num_all = 0

    def _say(self, text: str) -> None:
        self._out.write(f"fetch: {text}\n")
        self._out.flush()

    def began(self, num_videos: int, num_finished: int) -> None:
        self._num_all, self._num_done = num_videos, num_finished
        self._say(f"{num_videos} videos, {num_finished} finished before")

    def waits(self, video_id: str, seconds: float, why: str) -> None:
        if seconds >= LONG_WAIT_SECONDS:
            with self._lock:
                self._say(f"{video_id} waits {seconds:.0f} s {why}")

    def ended(self, video_id: str, status: FetchStatus, detail: str) -> None:
        with self._lock:
            self._num_done += 1
            self._say(f"{self._num_done}/{self._num_all} {video_id} {status}" + (f": {detail}" if detail else ""))

    def stopped(self, why: str) -> None:
        with self._lock:
            self._say(f"stopped: {why}")


class JsonLines(FetchProgress):
    """Every event but the bytes, which come twice a second and video at most."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._last_moved: dict[str, float] = {}

    def _say(self, event: str, **values: object) -> None:
        with self._lock:
            self._out.write(json.dumps({"event": event, **values}, ensure_ascii=False) + "\n")
            self._out.flush()

    def began(self, num_videos: int, num_finished: int) -> None:
        self._say("began", num_videos=num_videos, num_finished=num_finished)

    def started(self, video_id: str) -> None:
        self._say("started", video_id=video_id)

    def moved(self, video_id: str, num_bytes: int, total_bytes: int | None, bytes_per_second: float | None) -> None:
        now = time.monotonic()
        if now - self._last_moved.get(video_id, 0.0) >= 0.5:
            self._last_moved[video_id] = now
            self._say(
                "moved",
                video_id=video_id,
                num_bytes=num_bytes,
                total_bytes=total_bytes,
                bytes_per_second=bytes_per_second,
            )

    def waits(self, video_id: str, seconds: float, why: str) -> None:
        self._say("waits", video_id=video_id, seconds=round(seconds, 1), why=why)

    def ended(self, video_id: str, status: FetchStatus, detail: str) -> None:
        self._last_moved.pop(video_id, None)
        self._say("ended", video_id=video_id, status=status, detail=detail)

    def stopped(self, why: str) -> None:
        self._say("stopped", why=why)


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

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[count]}"))
    extras = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, *extras, console=Console(stderr=True), transient=False) as progress:
        yield Bars(progress)


class Bars(FetchProgress):
    """One bar for the batch and one for each video that is under way; what failed stays above them as a line."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._batch: TaskID | None = None
        self._num_done = 0
        self._num_all = 0
        self._videos: dict[str, TaskID] = {}

    def began(self, num_videos: int, num_finished: int) -> None:
        self._num_all, self._num_done = num_videos, num_finished
        self._batch = self._progress.add_task(
            "all videos", total=num_videos, completed=num_finished, count=self._count()
        )

    def _count(self) -> str:
        return f"{self._num_done}/{self._num_all} videos"

    def started(self, video_id: str) -> None:
        with self._lock:
            self._videos[video_id] = self._progress.add_task(video_id, total=None, count="page")

    def moved(self, video_id: str, num_bytes: int, total_bytes: int | None, bytes_per_second: float | None) -> None:
        if video_id in self._videos:
            self._progress.update(self._videos[video_id], completed=num_bytes, total=total_bytes, count="")

    def waits(self, video_id: str, seconds: float, why: str) -> None:
        if video_id in self._videos:
            self._progress.update(self._videos[video_id], count=f"waits {seconds:.0f} s {why}")
        elif self._batch is not None:
            self._progress.update(self._batch, count=f"{self._count()}, waits {seconds:.0f} s")

    def ended(self, video_id: str, status: FetchStatus, detail: str) -> None:
        with self._lock:
            self._num_done += 1
            if video_id in self._videos:
                self._progress.remove_task(self._videos.pop(video_id))
            if self._batch is not None:
                self._progress.update(self._batch, completed=self._num_done, count=self._count())
            if status != "ok":
                self._progress.console.print(f"{video_id} {status}: {detail}", highlight=False, markup=False)

    def stopped(self, why: str) -> None:
        self._progress.console.print(f"stopped: {why}", highlight=False, markup=False)


def print_preview(found: Preview, *, as_json: bool) -> None:
    """What a fetch would do, on standard output."""
    if as_json:
        text = json.dumps(
            {
                "num_rows": found.num_rows,
                "num_chosen": found.num_chosen,
                "num_finished": found.num_finished,
                "todo": [video.video_id for video in found.todo],
                "estimated_bytes": round(found.estimated_bytes),
            }
        )
    else:
        lines = [f"{video.video_id}  {video.kind} {video.letters}  {video.title}" for video in found.todo]
        lines.append(
            f"{len(found.todo)} videos would be fetched; {found.num_finished} are there or settled; "
            f"{found.num_rows - found.num_chosen} rows are left out by --only, --letters or --tier"
        )
        if found.num_asked:
            lines.append(
                f"about {found.estimated_bytes / 1e6:.0f} MB, from the pages of {found.num_asked} of them "
                f"({found.mean_bytes / 1e6:.1f} MB a video)"
            )
        elif found.todo:
            lines.append("how large they are, no page tells")
        text = "\n".join(lines)
    sys.stdout.write(text + "\n")
