"""What a run writes about itself: stats.jsonl, sample pictures and films, lines or a bar; and what trackers are told."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cssgan.storage import mp4
from cssgan.training.trackers import Tracker, VideoSample
from cssgan.types import LossTerms
from cssgan.types import Progress as Position

VIDEO_SIDE = 256
"""Pixels of sample films are repeated up to this height."""


LAST = "last"
"""Kind of the line of a run that ends between two lines. Where the run goes on, the next whole line takes its place."""


class RunLog:
    """The records of a run folder. Use it as a context manager.

    Args:
        resumed_at: lines of stats.jsonl after this step are dropped: a killed run may have written them after the
            checkpoint that it now goes on from.
        trackers: who is told as well.
    """

    def __init__(self, run: Path, *, resumed_at: int, trackers: Sequence[Tracker] = ()) -> None:
        self.path, self.samples = run / "stats.jsonl", run / "samples"
        self.samples.mkdir(parents=True, exist_ok=True)
        self._drop_after(resumed_at)
        self._file = self.path.open("a")
        self._trackers = trackers

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        for tracker in self._trackers:
            tracker.close()

    def _drop_after(self, num_steps: int) -> None:
        if not self.path.exists():
            return
        kept: list[str] = []
        for line in self.path.read_text().splitlines():
            try:
                record = json.loads(line)
                if record["step"] <= num_steps and record.get("kind") != LAST:
                    kept.append(line + "\n")
            except (ValueError, KeyError):  # a line that the kill cut in two
                continue
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text("".join(kept))
        temporary.replace(self.path)

    def write(self, position: Position, terms: LossTerms, *, kind: str = "train") -> None:
        """One line: step, videos, kind and the terms; the same terms to the trackers."""
        record = {"step": position.num_steps, "videos": position.num_videos, "kind": kind, **terms}
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._scalars("train" if kind == LAST else kind, terms, position)

    def timing(self, position: Position, **seconds: float) -> None:
        """Readouts of the machine, to the trackers alone: stats.jsonl of a repeated run stays the same to the byte."""
        self._scalars("timing", seconds, position)

    def _scalars(self, kind: str, values: LossTerms, position: Position) -> None:
        for tracker in self._trackers:
            tracker.scalars({f"{kind}/{name}": value for name, value in values.items()}, position.num_steps)

    def picture(self, position: Position, picture_HWC: NDArray[np.uint8]) -> Path:
        """A sample picture, samples/step-00000250.png and the trackers."""
        path = self.samples / f"step-{position.num_steps:08d}.png"
        Image.fromarray(picture_HWC).save(path)
        for tracker in self._trackers:
            tracker.picture("samples", picture_HWC, position.num_steps)
        return path

    def video(self, position: Position, clip: VideoSample) -> None:
        """A sample video with its sound, at `clip.film` and to the trackers.

        Raises:
            InputError: the film cannot be written.
        """
        side = clip.frames_THWC.shape[1]
        mp4.write_mp4(
            clip.film,
            clip.frames_THWC,
            clip.frame_rate,
            clip.audio_N,
            clip.audio_rate_hz,
            scale=max(VIDEO_SIDE // side, 1),
        )
        for tracker in self._trackers:
            tracker.video(clip, position.num_steps)


class Display:
    """Progress for a person: a bar with rate and time left in a terminal, plain lines elsewhere."""

    def __init__(self, console: Console, *, total_steps: int, done_steps: int) -> None:
        self._console, self._total = console, total_steps
        self._first = done_steps
        self._bar = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("training"),
                BarColumn(),
                TextColumn("{task.completed:.0f}/{task.total:.0f} steps"),
                TextColumn("{task.fields[rate]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[terms]}"),
                console=console,
            )
            self._task = self._bar.add_task("training", total=total_steps, completed=done_steps, rate="", terms="")

    def __enter__(self) -> Display:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            with suppress(OSError, SystemExit):
                self._bar.stop()

    def step(self, done_steps: int) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=done_steps)

    def report(self, done_steps: int, seconds: float, terms: LossTerms) -> None:
        """Rate, time left and the main terms; `seconds` since this start of the run."""
        rate = (done_steps - self._first) / max(seconds, 1e-9)
        names = ("g_l1", "d_image", "d_video", "order_acc_real", "motion_ratio", "val_l1_over_copy")
        words = "  ".join(f"{name} {terms[name]:.3f}" for name in names if name in terms)
        if self._bar is not None:
            self._bar.update(self._task, completed=done_steps, rate=f"{rate:.2f} steps/s", terms=words)
        else:
            left = (self._total - done_steps) / max(rate, 1e-9)
            self._print(f"step {done_steps}/{self._total}  {rate:.2f} steps/s  {left:.0f} s left  {words}")

    def say(self, text: str) -> None:
        self._print(text, highlight=False)

    def _print(self, text: str, *, highlight: bool = True) -> None:
        # A terminal that hung up, a pipe that ended (rich exits then) or a full disk is no reason to lose steps.
        with suppress(OSError, SystemExit):
            self._console.print(text, soft_wrap=True, highlight=highlight)
