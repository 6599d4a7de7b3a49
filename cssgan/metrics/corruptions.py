"""Real videos, spoilt in known ways and strengths: what a measure must order before anybody believes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.ndimage import gaussian_filter

from cssgan.metrics.videos import Ints, Videos

Name = Literal["blur", "noise", "freeze", "shuffle", "wrong class", "wrong audio"]
NAMES: tuple[Name, ...] = get_args(Name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Corruption:
    """One kind and one strength.

    Args:
        strength: rising; `unit` says what it is.
        video: (real videos, rng) -> spoilt ones; None: the videos stay as they are.
        exchange: (class indices, source videos, rng) -> for each video the clip that stands in its place (`whole`) or whose
            sound it is judged with; None: each its own.
        whole: the other clip's video stands there instead of the real one; else only the sound is another clip's.
    """

    name: Name
    strength: float
    unit: str
    video: Callable[[Videos, np.random.Generator], Videos] | None = None
    exchange: Callable[[Ints, tuple[str, ...], np.random.Generator], Ints] | None = None
    whole: bool = False

    @property
    def title(self) -> str:
        return f"{self.name} {self.strength:g}{'' if self.unit == '%' else ' '}{self.unit}"


def table() -> tuple[Corruption, ...]:
    """Every corruption at three rising strengths."""
    return (
        *(_blur(sigma) for sigma in (0.5, 1.0, 2.0)),
        *(_noise(levels) for levels in (4.0, 12.0, 36.0)),
        *(_freeze(percent) for percent in (25.0, 50.0, 100.0)),
        *(_shuffle(frames) for frames in (4, 8, 32)),
        *(_wrong_class(percent) for percent in (25.0, 50.0, 100.0)),
        *(_wrong_audio(percent) for percent in (25.0, 50.0, 100.0)),
    )


def _blur(sigma: float) -> Corruption:
    def video(real_NTHWC: Videos, rng: np.random.Generator) -> Videos:
        del rng
        out = np.empty_like(real_NTHWC)
        for n, frames in enumerate(real_NTHWC):
            blurred = gaussian_filter(frames.astype(np.float32), (0, sigma, sigma, 0))
            out[n] = np.clip(np.rint(blurred), 0, 255).astype(np.uint8)
        return out

    return Corruption(name="blur", strength=sigma, unit="pixels", video=video)


def _noise(levels: float) -> Corruption:
    def video(real_NTHWC: Videos, rng: np.random.Generator) -> Videos:
        out = np.empty_like(real_NTHWC)
        for n, frames in enumerate(real_NTHWC):
            noisy = frames + levels * rng.standard_normal(frames.shape, np.float32)
            out[n] = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        return out

    return Corruption(name="noise", strength=levels, unit="grey levels", video=video)


def _freeze(percent: float) -> Corruption:
    """The last frames repeat the one before them; at 100 % the first frame is held."""

    def video(real_NTHWC: Videos, rng: np.random.Generator) -> Videos:
        del rng
        length = real_NTHWC.shape[1]
        last = max(0, round(length * (1.0 - percent / 100.0)) - 1)
        return real_NTHWC[:, np.minimum(np.arange(length), last)]

    return Corruption(name="freeze", strength=percent, unit="%", video=video)


def _shuffle(frames: int) -> Corruption:
    """Frames change places within runs of so many."""

    def video(real_NTHWC: Videos, rng: np.random.Generator) -> Videos:
        length = real_NTHWC.shape[1]
        out = np.empty_like(real_NTHWC)
        for n, clip in enumerate(real_NTHWC):
            order = [start + rng.permutation(min(frames, length - start)) for start in range(0, length, frames)]
            out[n] = clip[np.concatenate(order)]
        return out

    return Corruption(name="shuffle", strength=frames, unit="frames", video=video)


def _wrong_class(percent: float) -> Corruption:
    """A share of the videos stands in the place of a clip of another class of the same song."""

    def exchange(labels_N: Ints, sources: tuple[str, ...], rng: np.random.Generator) -> Ints:
        out = _exchanged(sources, percent, rng)
        return np.where(labels_N[out] == labels_N, np.arange(len(out)), out)

    return Corruption(name="wrong class", strength=percent, unit="%", exchange=exchange, whole=True)


def _wrong_audio(percent: float) -> Corruption:
    """A share of the videos is judged with the sound of another clip of its song."""

    def exchange(labels_N: Ints, sources: tuple[str, ...], rng: np.random.Generator) -> Ints:
        del labels_N
        return _exchanged(sources, percent, rng)

    return Corruption(name="wrong audio", strength=percent, unit="%", exchange=exchange)


def _exchanged(sources: tuple[str, ...], percent: float, rng: np.random.Generator) -> Ints:
    """A permutation that moves a share of each song's clips, each to the place of the next of them.

    As nothing is drawn twice, the set of all videos stays what it is.
    """
    out = np.arange(len(sources))
    for source in sorted(set(sources)):
        clips = rng.permutation(np.flatnonzero(np.array(sources) == source))
        moved = clips[: round(len(clips) * percent / 100.0)]
        out[moved] = np.roll(moved, -1)
    return out
