"""Time and memory of an evaluation by all metrics that need no download.

Real and generated videos are synthetic: a square that jumps at audio onsets, and its first frame shifted at each onset.
Only the metrics and the memory for their inputs are measured.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.memory import anonymous_bytes, peak_bytes
from cssgan.data.resident import MEL_SPEC
from cssgan.evaluation.evaluate import evaluate
from cssgan.evaluators.checkpoint import TrainedEvaluators
from cssgan.metrics import synchrony
from cssgan.metrics.real_pool import RealPool
from cssgan.metrics.videos import Ints, Videos
from cssgan.storage import memmap
from cssgan.types import EvalWindows
from phonics_data.contract.labels import LETTERS

RATE = Fraction(25)
CLIPS_PER_SONG = 26


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Cost of one evaluation.

    Args:
        seconds: wall time, without the generation of the videos.
        cpu_seconds: CPU time of all threads.
        peak_bytes: peak resident memory, including memory-mapped files.
        peak_anonymous_bytes: peak memory without memory-mapped files; None if the system does not report it.
    """

    num_videos: int
    num_frames: int
    size: int
    evaluators: bool
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    peak_anonymous_bytes: int | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def summary(self) -> str:
        anonymous = self.peak_anonymous_bytes
        without_files = "" if anonymous is None else f", {anonymous / 1e9:.2f} GB without files"
        metrics = "offline metrics and evaluators" if self.evaluators else "offline metrics"
        return (
            f"{self.num_videos} videos of {self.num_frames} frames of {self.size}x{self.size}, {metrics}: "
            f"{self.seconds:.0f} s, {self.cpu_seconds:.0f} s of CPU; peak memory {self.peak_bytes / 1e9:.2f} GB{without_files}"
        )


def measure(
    num_videos: int,
    *,
    size: int = 64,
    num_frames: int = 32,
    phrase_frames: int = 104,
    evaluators: TrainedEvaluators | None = None,
) -> Cost:
    """Evaluate `num_videos` synthetic videos, with a pool of real windows of twice that number and with whole phrases.

    Raises:
        EvaluatorError: `evaluators` were trained on another size.
    """
    if evaluators is not None:
        evaluators.check(size=size, num_frames=num_frames, label_set=LETTERS)
    data, phrases = windows(num_videos, size, num_frames), windows(num_videos, size, phrase_frames)

    def read(rows: slice) -> tuple[Videos, Ints]:
        index = np.arange(rows.start, rows.stop)
        return np.stack([_video(int(n) + num_videos, size, num_frames)[0] for n in index]), np.full(
            len(index), num_frames
        )

    pool = RealPool(count=2 * num_videos, name="synthetic windows", read=read)
    with _peak_memory() as peak:
        started, cpu = time.monotonic(), time.process_time()
        evaluate(
            shifted_at_onsets, data, phrases=phrases, untrained=shifted_at_onsets, evaluators=evaluators, pool=pool
        )
        seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    return Cost(
        num_videos=num_videos, num_frames=num_frames, size=size, evaluators=evaluators is not None, seconds=seconds,
        cpu_seconds=cpu, peak_bytes=peak_bytes(), peak_anonymous_bytes=peak.num_bytes,
    )  # fmt: skip


def windows(num_videos: int, size: int, num_frames: int) -> EvalWindows:
    """Synthetic evaluation windows."""
    video = memmap.empty((num_videos, num_frames, size, size, 3), np.uint8)
    mels = memmap.empty((num_videos, num_frames, MEL_SPEC.num_bands, MEL_SPEC.segment_hops), np.float32)
    for rows in memmap.blocks(num_videos, 32, video, mels):
        for n in range(rows.start, rows.stop):
            video[n], mels[n] = _video(n, size, num_frames)
    return EvalWindows(
        keys=tuple(f"clip-{n:06d}" for n in range(num_videos)),
        video_ids=tuple(f"song-{n // CLIPS_PER_SONG:04d}" for n in range(num_videos)),
        label_set=LETTERS,
        labels_N=np.arange(num_videos) % len(LETTERS),
        video_NTHWC=video,
        raw_mels_NTMU=mels,
        mels_NTMU=mels,
        num_valid_N=np.full(num_videos, num_frames, np.int64),
        frame_rates=(RATE,) * num_videos,
        start_seconds=(0.0,) * num_videos,
        object_words=("",) * num_videos,
    )


def _video(number: int, size: int, num_frames: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A square on a gradient that jumps at audio bursts, and the mel segments of the bursts."""
    rng = np.random.default_rng(number)
    events = rng.random(num_frames) < 0.12
    ramp = np.linspace(60, 120, size)[:, None, None] + rng.integers(-40, 40, 3)
    shape = rng.integers(0, 256, (size // 3, size // 3, 3))
    frames = np.empty((num_frames, size, size, 3), np.uint8)
    corner = rng.integers(0, size - size // 3, 2)
    for frame in range(num_frames):
        if events[frame]:
            corner = rng.integers(0, size - size // 3, 2)
        frames[frame] = np.clip(ramp, 0, 255)
        frames[frame, corner[0] : corner[0] + size // 3, corner[1] : corner[1] + size // 3] = shape
    hops = 4 * num_frames + 2 * MEL_SPEC.segment_hops
    mels_HM = np.full((hops, MEL_SPEC.num_bands), MEL_SPEC.silence, np.float32)
    for frame in np.flatnonzero(events):
        start = MEL_SPEC.segment_hops + 4 * int(frame) + 1
        mels_HM[start : start + 6] = np.maximum(mels_HM[start : start + 6], 1.0 - 1.5 * np.arange(6)[:, None])
    first = MEL_SPEC.segment_hops + 2 - MEL_SPEC.segment_hops // 2
    segments = [mels_HM[first + 4 * f : first + 4 * f + MEL_SPEC.segment_hops].T for f in range(num_frames)]
    return frames, np.stack(segments)


def shifted_at_onsets(
    images_NHWC: NDArray[np.uint8], mels_NTMU: NDArray[np.float32], labels_N: NDArray[np.int64]
) -> Videos:
    """An audio-conditioned generator: shifts its start image by some pixels at each onset."""
    del labels_N
    onset = synchrony.onset_curves(mels_NTMU, np.full(len(mels_NTMU), 4.0))
    jumps = np.cumsum(onset > 0.4 * onset.max(axis=1, keepdims=True), axis=1) * 5
    return np.stack([
        [np.roll(image, int(jump), axis=0) for jump in row] for image, row in zip(images_NHWC, jumps, strict=True)
    ])  # fmt: skip


@dataclass(kw_only=True, slots=True)
class _Peak:
    num_bytes: int | None = None


@contextmanager
def _peak_memory() -> Generator[_Peak]:
    """Sample the anonymous memory of the process twenty times per second; None if the system does not report it."""
    peak, done = _Peak(), threading.Event()

    def sample() -> None:
        peak.num_bytes = max(peak.num_bytes or 0, anonymous_bytes() or 0)

    def sample_until_done() -> None:
        while not done.wait(0.05):
            sample()

    if anonymous_bytes() is None:
        yield peak
        return
    sampler = threading.Thread(target=sample_until_done, daemon=True)
    sampler.start()
    try:
        yield peak
    finally:
        done.set()
        sampler.join()
        sample()
