"""What measuring costs: so many videos by all measures that need no download, and the memory that it takes.

The videos are made here (shapes that jump when a burst sounds), as are the generated ones (their first picture, moved at each
onset), so that nothing is counted but the measures and what is needed to hold their input.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.memory import own_bytes, peak_bytes
from cssgan.data.resident import MEL_SPEC
from cssgan.evaluation.run import evaluate
from cssgan.evaluators.checkpoint import TrainedEvaluators
from cssgan.metrics import synchrony
from cssgan.metrics.real_pool import RealPool
from cssgan.metrics.videos import Ints, Videos
from cssgan.storage import memmap
from cssgan.types import EvalWindows
from phonics_data.contract.labels import LETTERS

RATE = Fraction(25)
CLIPS_OF_A_SONG = 26


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What one evaluation took.

    Args:
        seconds: by the clock, without making the videos.
        cpu_seconds: of all threads.
        peak_bytes: the most memory that the process held at once, pages of files included.
        peak_anonymous_bytes: the same without pages of files, which the system takes back when it needs them; None where
            the system does not say.
    """

    num_videos: int
    num_frames: int
    size: int
    evaluators: bool
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    peak_anonymous_bytes: int | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def told(self) -> str:
        """In one line."""
        own = "" if self.peak_anonymous_bytes is None else f", {self.peak_anonymous_bytes / 1e9:.2f} GB without files"
        with_evaluators = "offline measures and evaluators" if self.evaluators else "offline measures"
        return (
            f"{self.num_videos} videos of {self.num_frames} frames of {self.size}x{self.size}, {with_evaluators}: "
            f"{self.seconds:.0f} s, {self.cpu_seconds:.0f} s of CPU; peak of memory {self.peak_bytes / 1e9:.2f} GB{own}"
        )


def measure(
    num_videos: int, *, size: int = 64, num_frames: int = 32, evaluators: TrainedEvaluators | None = None
) -> Cost:
    """Evaluate `num_videos` made videos, with a floor from twice as many, and say what it took.

    Args:
        evaluators: asked as well, where given; raises `EvaluatorError` if they were trained on another size.
    """
    if evaluators is not None:
        evaluators.check(size=size, num_frames=num_frames, label_set=LETTERS)
    data = windows(num_videos, size, num_frames)

    def read(rows: slice) -> tuple[Videos, Ints]:
        index = np.arange(rows.start, rows.stop)
        return np.stack([_video(int(n) + num_videos, size, num_frames)[0] for n in index]), np.full(
            len(index), num_frames
        )

    pool = RealPool(count=2 * num_videos, name="made windows", read=read)
    with _watched() as held:
        started, cpu = time.monotonic(), time.process_time()
        evaluate(moved_at_onsets, data, evaluators=evaluators, pool=pool)
        seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    return Cost(
        num_videos=num_videos, num_frames=num_frames, size=size, evaluators=evaluators is not None, seconds=seconds,
        cpu_seconds=cpu, peak_bytes=peak_bytes(), peak_anonymous_bytes=held.peak,
    )  # fmt: skip


def windows(num_videos: int, size: int, num_frames: int) -> EvalWindows:
    """Made windows in the form of a dataset's."""
    video = memmap.empty((num_videos, num_frames, size, size, 3), np.uint8)
    mels = memmap.empty((num_videos, num_frames, MEL_SPEC.num_bands, MEL_SPEC.segment_hops), np.float32)
    for rows in memmap.blocks(num_videos, 32, video, mels):
        for n in range(rows.start, rows.stop):
            video[n], mels[n] = _video(n, size, num_frames)
    return EvalWindows(
        keys=tuple(f"clip-{n:06d}" for n in range(num_videos)),
        video_ids=tuple(f"song-{n // CLIPS_OF_A_SONG:04d}" for n in range(num_videos)),
        label_set=LETTERS,
        labels_N=np.arange(num_videos) % len(LETTERS),
        video_NTHWC=video,
        raw_mels_NTMU=mels,
        mels_NTMU=mels,
        num_valid_N=np.full(num_videos, num_frames, np.int64),
        frame_rates=(RATE,) * num_videos,
    )


def _video(number: int, size: int, num_frames: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A square on a ramp that jumps at bursts, and the log-mel segments of the bursts."""
    rng = np.random.default_rng(number)
    events = rng.random(num_frames) < 0.12
    ramp = np.linspace(60, 120, size)[:, None, None] + rng.integers(-40, 40, 3)
    shape = rng.integers(0, 256, (size // 3, size // 3, 3))
    frames = np.empty((num_frames, size, size, 3), np.uint8)
    place = rng.integers(0, size - size // 3, 2)
    for frame in range(num_frames):
        if events[frame]:
            place = rng.integers(0, size - size // 3, 2)
        frames[frame] = np.clip(ramp, 0, 255)
        frames[frame, place[0] : place[0] + size // 3, place[1] : place[1] + size // 3] = shape
    hops = 4 * num_frames + 2 * MEL_SPEC.segment_hops
    sound = np.full((hops, MEL_SPEC.num_bands), MEL_SPEC.silence, np.float32)
    for frame in np.flatnonzero(events):
        start = MEL_SPEC.segment_hops + 4 * int(frame) + 1
        sound[start : start + 6] = np.maximum(sound[start : start + 6], 1.0 - 1.5 * np.arange(6)[:, None])
    first = MEL_SPEC.segment_hops + 2 - MEL_SPEC.segment_hops // 2
    segments = [sound[first + 4 * f : first + 4 * f + MEL_SPEC.segment_hops].T for f in range(num_frames)]
    return frames, np.stack(segments)


def moved_at_onsets(
    images_NHWC: NDArray[np.uint8], mels_NTMU: NDArray[np.float32], labels_N: NDArray[np.int64]
) -> Videos:
    """A generator that listens: its picture, moved by some pixels at each onset."""
    del labels_N
    onset = synchrony.onset_curves(mels_NTMU, np.full(len(mels_NTMU), 4.0))
    jumps = np.cumsum(onset > 0.4 * onset.max(axis=1, keepdims=True), axis=1) * 5
    return np.stack([
        [np.roll(image, int(jump), axis=0) for jump in row] for image, row in zip(images_NHWC, jumps, strict=True)
    ])  # fmt: skip


@dataclass(kw_only=True, slots=True)
class _Held:
    peak: int | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self.done.wait(0.05):
            self.peak = max(self.peak or 0, own_bytes() or 0)


@contextmanager
def _watched() -> Generator[_Held]:
    """Looks twenty times a second how much memory the process holds without pages of files."""
    held = _Held()
    if own_bytes() is None:
        yield held
        return
    watcher = threading.Thread(target=held.watch, daemon=True)
    watcher.start()
    try:
        yield held
    finally:
        held.done.set()
        watcher.join()
        held.peak = max(held.peak or 0, own_bytes() or 0)
