"""Real videos with known corruptions at known strengths: a metric is valid only if it ranks their strengths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.ndimage import gaussian_filter

from cssgan.metrics.videos import Floats, Ints, Videos

Name = Literal["blur", "noise", "freeze", "shuffle", "late", "stride", "flash", "wrong class", "wrong audio"]
NAMES: tuple[Name, ...] = get_args(Name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Corruption:
    """One kind of corruption at one strength.

    Args:
        strength: higher is stronger, in `unit`.
        corrupt: (real videos, frames per second of each, rng) -> corrupted videos; None: the videos are unchanged.
        exchange: (class indices, source videos, rng) -> for each video the index of the clip that replaces it
            (`whole_clip`) or whose audio it is compared with; None: its own.
        whole_clip: the video of the other clip replaces the real one; otherwise only the audio is exchanged.
    """

    name: Name
    strength: float
    unit: str
    corrupt: Callable[[Videos, Floats, np.random.Generator], Videos] | None = None
    exchange: Callable[[Ints, tuple[str, ...], np.random.Generator], Ints] | None = None
    whole_clip: bool = False

    @property
    def title(self) -> str:
        return f"{self.name} {self.strength:g}{'' if self.unit == '%' else ' '}{self.unit}"


def corruption_table() -> tuple[Corruption, ...]:
    """All corruptions, each at three increasing strengths."""
    return (
        *(_blur(sigma) for sigma in (0.5, 1.0, 2.0)),
        *(_noise(levels) for levels in (4.0, 12.0, 36.0)),
        *(_freeze(percent) for percent in (25.0, 50.0, 100.0)),
        *(_shuffle(frames) for frames in (4, 8, 32)),
        *(_late(seconds) for seconds in (0.1, 0.2, 0.4)),
        *(_stride(frames) for frames in (2, 3, 4)),
        *(_flash(levels) for levels in (16.0, 32.0, 64.0)),
        *(_wrong_class(percent) for percent in (25.0, 50.0, 100.0)),
        *(_wrong_audio(percent) for percent in (25.0, 50.0, 100.0)),
    )


def _blur(sigma: float) -> Corruption:
    def corrupt(real_NTHWC: Videos, frames_per_second_N: Floats, rng: np.random.Generator) -> Videos:
        del frames_per_second_N, rng
        out = np.empty_like(real_NTHWC)
        for n, frames in enumerate(real_NTHWC):
            blurred = gaussian_filter(frames.astype(np.float32), (0, sigma, sigma, 0))
            out[n] = np.clip(np.rint(blurred), 0, 255).astype(np.uint8)
        return out

    return Corruption(name="blur", strength=sigma, unit="pixels", corrupt=corrupt)


def _noise(levels: float) -> Corruption:
    def corrupt(real_NTHWC: Videos, frames_per_second_N: Floats, rng: np.random.Generator) -> Videos:
        del frames_per_second_N
        out = np.empty_like(real_NTHWC)
        for n, frames in enumerate(real_NTHWC):
            noisy = frames + levels * rng.standard_normal(frames.shape, np.float32)
            out[n] = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        return out

    return Corruption(name="noise", strength=levels, unit="grey levels", corrupt=corrupt)


def _freeze(percent: float) -> Corruption:
    """The last frames repeat the one before them; at 100 % all frames repeat the first."""

    def corrupt(real_NTHWC: Videos, frames_per_second_N: Floats, rng: np.random.Generator) -> Videos:
        del frames_per_second_N, rng
        length = real_NTHWC.shape[1]
        last = max(0, round(length * (1.0 - percent / 100.0)) - 1)
        return real_NTHWC[:, np.minimum(np.arange(length), last)]

    return Corruption(name="freeze", strength=percent, unit="%", corrupt=corrupt)


def _shuffle(frames: int) -> Corruption:
    """Frames are permuted within runs of this length."""

    def corrupt(real_NTHWC: Videos, frames_per_second_N: Floats, rng: np.random.Generator) -> Videos:
        del frames_per_second_N
        length = real_NTHWC.shape[1]
        out = np.empty_like(real_NTHWC)
        for n, clip in enumerate(real_NTHWC):
            order = [start + rng.permutation(min(frames, length - start)) for start in range(0, length, frames)]
            out[n] = clip[np.concatenate(order)]
        return out

    return Corruption(name="shuffle", strength=frames, unit="frames", corrupt=corrupt)


def _late(seconds: float) -> Corruption:
    """Everything happens later; the first frame is held before."""

    def corrupt(real_NTHWC: Videos, frames_per_second_N: Floats, rng: np.random.Generator) -> Videos:
        del rng
        frames_N = np.rint(seconds * frames_per_second_N).astype(np.int64)
        source_NT = np.maximum(np.arange(real_NTHWC.shape[1])[None, :] - frames_N[:, None], 0)
        return np.take_along_axis(real_NTHWC, source_NT[:, :, None, None, None], axis=1)

    return Corruption(name="late", strength=seconds, unit="s", corrupt=corrupt)


def _stride(frames: int) -> Corruption:
    """Every so many frames one is shown and held: the best that a model of this `data.frame_stride` can generate."""

    def corrupt(real_NTHWC: Videos, frames_per_second_N: Floats, rng: np.random.Generator) -> Videos:
        del frames_per_second_N, rng
        shown_T = np.arange(real_NTHWC.shape[1]) // frames * frames
        return real_NTHWC[:, shown_T]

    return Corruption(name="stride", strength=frames, unit="frames", corrupt=corrupt)


FLASHES_PER_SECOND = 2.0
FLASH_SECONDS = 0.08


def _flash(levels: float) -> Corruption:
    """Frames become brighter at random times for a moment, and return."""

    def corrupt(real_NTHWC: Videos, frames_per_second_N: Floats, rng: np.random.Generator) -> Videos:
        length = real_NTHWC.shape[1]
        out = np.empty_like(real_NTHWC)
        for n, (clip, rate) in enumerate(zip(real_NTHWC, frames_per_second_N, strict=True)):
            light_T = np.zeros(length, np.int16)
            for start in rng.integers(1, length, max(1, round(FLASHES_PER_SECOND * length / float(rate)))):
                light_T[start : start + max(1, round(FLASH_SECONDS * float(rate)))] = round(levels)
            out[n] = np.clip(clip + light_T[:, None, None, None], 0, 255).astype(np.uint8)
        return out

    return Corruption(name="flash", strength=levels, unit="grey levels", corrupt=corrupt)


def _wrong_class(percent: float) -> Corruption:
    """A share of the videos is replaced by a clip of another class of the same song."""

    def exchange(labels_N: Ints, sources: tuple[str, ...], rng: np.random.Generator) -> Ints:
        out = _permute_within_sources(sources, percent, rng)
        return np.where(labels_N[out] == labels_N, np.arange(len(out)), out)

    return Corruption(name="wrong class", strength=percent, unit="%", exchange=exchange, whole_clip=True)


def _wrong_audio(percent: float) -> Corruption:
    """A share of the videos is compared with the audio of another clip of the same song."""

    def exchange(labels_N: Ints, sources: tuple[str, ...], rng: np.random.Generator) -> Ints:
        del labels_N
        return _permute_within_sources(sources, percent, rng)

    return Corruption(name="wrong audio", strength=percent, unit="%", exchange=exchange)


def _permute_within_sources(sources: tuple[str, ...], percent: float, rng: np.random.Generator) -> Ints:
    """A permutation that exchanges a share of the clips of each song among themselves.

    It is a permutation, so the set of all videos is unchanged.
    """
    out = np.arange(len(sources))
    for source in sorted(set(sources)):
        clips = rng.permutation(np.flatnonzero(np.array(sources) == source))
        exchanged = clips[: round(len(clips) * percent / 100.0)]
        out[exchanged] = np.roll(exchanged, -1)
    return out
