"""Logs of a run: stats.jsonl, sample images and videos, experiment trackers, and progress on the console."""

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

from cssgan.storage import media_files
from cssgan.training.trackers import Tracker, VideoSample
from cssgan.types import LossTerms
from cssgan.types import Progress as Position
from phonics_data.contract.console import printable
from phonics_data.contract.untrusted import parse_json_object

MIN_VIDEO_SIDE = 256
"""Sample videos are enlarged by a whole factor, up to this height in pixels."""
PARTIAL = "last"
"""Kind of the line of a run that ends between two log lines. It is dropped when the run resumes."""


class RunLog:
    """Writes the logs of a run folder and to the trackers. Use it as a context manager.

    Args:
        resumed_at: lines of stats.jsonl after this step are dropped; a killed run wrote them after its last checkpoint.
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
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = parse_json_object(line, any_numbers=True)
                if record["step"] <= num_steps and record.get("kind") != PARTIAL:
                    kept.append(line + "\n")
            except (ValueError, KeyError, TypeError):  # a line that was truncated when the run was killed
                continue
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text("".join(kept))
        temporary.replace(self.path)

    def write(self, position: Position, terms: LossTerms, *, kind: str = "train") -> None:
        """Write one line: step, videos, kind and the terms."""
        record = {"step": position.num_steps, "videos": position.num_videos, "kind": kind, **terms}
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._log_scalars("train" if kind == PARTIAL else kind, terms, position)

    def write_timing(self, position: Position, **values: float) -> None:
        """Log timings to the trackers only: stats.jsonl is byte-equal in repeated runs."""
        self._log_scalars("timing", values, position)

    def _log_scalars(self, kind: str, values: LossTerms, position: Position) -> None:
        for tracker in self._trackers:
            tracker.log_scalars({f"{kind}/{name}": value for name, value in values.items()}, position.num_steps)

    def write_image(self, position: Position, image_HWC: NDArray[np.uint8]) -> None:
        """Write a sample image, for example samples/step-00000250.png."""
        Image.fromarray(image_HWC).save(self.samples / f"step-{position.num_steps:08d}.png")
        for tracker in self._trackers:
            tracker.log_image("samples", image_HWC, position.num_steps)

    def write_video(self, position: Position, video: VideoSample) -> None:
        """Write a sample video with audio to `video.path`. Raises `InputError` if it cannot be written."""
        scale = max(MIN_VIDEO_SIDE // video.frames_THWC.shape[1], 1)
        media_files.write_mp4(
            video.path, video.frames_THWC, video.frame_rate, video.audio_N, video.audio_rate_hz, scale=scale
        )
        for tracker in self._trackers:
            tracker.log_video(video, position.num_steps)


class Display:
    """Progress on the console: a bar with rate and remaining time in a terminal, plain lines elsewhere."""

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
        """Show rate, remaining time and the main terms; `seconds` since this start of the run."""
        rate = (done_steps - self._first) / max(seconds, 1e-9)
        names = ("g_l1", "d_image", "d_video", "order_acc_real", "motion_ratio", "val_l1_over_copy")
        words = "  ".join(f"{name} {terms[name]:.3f}" for name in names if name in terms)
        if self._bar is not None:
            self._bar.update(self._task, completed=done_steps, rate=f"{rate:.2f} steps/s", terms=words)
        else:
            left = (self._total - done_steps) / max(rate, 1e-9)
            self._print(f"step {done_steps}/{self._total}  {rate:.2f} steps/s  {left:.0f} s left  {words}")

    def message(self, text: str) -> None:
        self._print(text, highlight=False)

    def _print(self, text: str, *, highlight: bool = True) -> None:
        # A closed terminal or pipe (rich exits then) or a full disk must not stop training.
        with suppress(OSError, SystemExit):
            self._console.print(printable(text), soft_wrap=True, highlight=highlight, markup=False)
