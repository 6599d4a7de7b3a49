"""Small audio-visual scenes with exactly known synchrony: a shape that jumps at every burst of the audio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HOPS_PER_FRAME = 4


@dataclass(frozen=True, kw_only=True)
class Scenes:
    videos_NTHWC: NDArray[np.uint8]
    mels_NTMU: NDArray[np.float32]
    events_NT: NDArray[np.bool_]
    num_valid_N: NDArray[np.int64]

    @property
    def rates(self) -> NDArray[np.float64]:
        return np.full(len(self.videos_NTHWC), 25.0)


def events(n: int, frames: int, rng: np.random.Generator, rate: float = 0.12) -> NDArray[np.bool_]:
    """Frames with an event; never frame 0, at least one per video."""
    out = rng.random((n, frames)) < rate
    out[:, 0] = False
    for row in out:
        if not row.any():
            row[rng.integers(1, frames)] = True
    return out


def mels_of(events_NT: NDArray[np.bool_], bands: int = 64, hops: int = 20) -> NDArray[np.float32]:
    """Log-mel segments of audio with a burst in the middle of the interval of each frame that has an event."""
    n, t = events_NT.shape
    total = np.full((n, t * HOPS_PER_FRAME + 2 * hops, bands), -11.5, np.float32)
    for row, frame in np.argwhere(events_NT):
        start = hops + frame * HOPS_PER_FRAME + 1
        for decay in range(6):
            total[row, start + decay] = np.maximum(total[row, start + decay], 1.0 - 1.5 * decay)
    starts = [hops + frame * HOPS_PER_FRAME + HOPS_PER_FRAME // 2 - hops // 2 for frame in range(t)]
    return np.stack([total[:, start : start + hops].transpose(0, 2, 1) for start in starts], axis=1)


def jumping(events_NT: NDArray[np.bool_], rng: np.random.Generator, size: int = 64) -> NDArray[np.uint8]:
    """A textured rectangle on a gradient; at every event it jumps to another position."""
    n, t = events_NT.shape
    out = np.empty((n, t, size, size, 3), np.uint8)
    ramp = np.linspace(60, 120, size)[:, None, None]
    for row in range(n):
        background = np.broadcast_to(ramp + rng.integers(-40, 40, 3), (size, size, 3))
        shape = rng.integers(0, 256, (size // 3, size // 3, 3))
        position = rng.integers(0, size - size // 3, 2)
        for frame in range(t):
            if events_NT[row, frame]:
                position = rng.integers(0, size - size // 3, 2)
            image = background.copy()
            image[position[0] : position[0] + size // 3, position[1] : position[1] + size // 3] = shape
            out[row, frame] = np.clip(image, 0, 255)
    return out


def make(n: int = 24, frames: int = 32, seed: int = 0, size: int = 64) -> Scenes:
    rng = np.random.default_rng(seed)
    when = events(n, frames, rng)
    return Scenes(
        videos_NTHWC=jumping(when, rng, size),
        mels_NTMU=mels_of(when),
        events_NT=when,
        num_valid_N=np.full(n, frames, np.int64),
    )
