"""The frames and log-mel hops of a window; arithmetic on arrays."""

from __future__ import annotations

import zlib
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from cssgan.types import MelStats
from phonics_data.contract.logmel import LogMelSpec, log_mel


def raw_mel(audio_N: NDArray[np.float32], rate_hz: int, spec: LogMelSpec) -> NDArray[np.float32]:
    """Log-mel (hops, bands) of mono audio of any sample rate."""
    if rate_hz != spec.rate_hz:
        import librosa

        resampled = librosa.resample(audio_N, orig_sr=rate_hz, target_sr=spec.rate_hz, res_type="soxr_hq")
        audio_N = np.clip(resampled, -1.0, 1.0).astype(np.float32)
    return log_mel(audio_N, spec)


def standardize(raw_mels: NDArray[np.float32], stats: MelStats) -> NDArray[np.float32]:
    """Log-mel of any shape -> model input: (x - mean) / std, clamped."""
    out = raw_mels - np.float32(stats.mean)
    out /= np.float32(stats.std)
    return np.clip(out, -stats.clamp, stats.clamp, out=out)


Ints = int | NDArray[np.int64]
"""A number, or an array with one number per window, whose axes then come first in the results."""


def first_hops(
    first_frame: Ints, num_frames: int, frame_rate: Fraction, spec: LogMelSpec, stride: int = 1
) -> NDArray[np.int64]:
    """First hop of the mel segment of each frame: `contract.logmel.mel_segment_start_hop` for `num_frames` frames at once.

    Args:
        stride: every so many frames of the clip.
    """
    rate = Fraction(spec.rate_hz, spec.hop_samples) / frame_rate  # hops per frame
    numerator, denominator = rate.numerator, rate.denominator
    frames = _frames(first_frame, num_frames, stride)
    middles = ((2 * frames + 1) * numerator + denominator) // (2 * denominator)  # floor(mid + 1/2)
    return middles - spec.segment_hops // 2


def segment_hops(
    first_frame: Ints,
    num_frames: int,
    frame_rate: Fraction,
    num_hops: Ints,
    spec: LogMelSpec,
    *,
    stride: int = 1,
    clip_frames: int | None = None,
) -> NDArray[np.int64]:
    """Row numbers of the hops in the mel segments of a window.

    They refer to an array with one hop of silence before the first hop and one after the last. Hops outside the audio
    refer to silence.

    Args:
        frame_rate: of the source clip, whatever the stride is: a segment has 200 ms around its frame.
        num_hops: hops of the audio itself.
        stride: the window has every so many frames of the source clip (`data.frame_stride`).
        clip_frames: if given, hops outside the segment's own clip of the cascade are silent too. It has so many frames of
            the source clip, a multiple of the stride.

    Returns:
        hops_TU int64, 0..num_hops + 1.
    """
    first = first_hops(first_frame, num_frames, frame_rate, spec, stride)
    hops_TU = first[..., None] + np.arange(spec.segment_hops)
    if clip_frames is not None:
        rate = Fraction(spec.rate_hz, spec.hop_samples) / frame_rate
        clips = _frames(first_frame, num_frames, stride) - np.arange(num_frames) * stride % clip_frames
        low = clips * rate.numerator // rate.denominator
        high = -(-(clips + clip_frames) * rate.numerator // rate.denominator)
        hops_TU = np.where((hops_TU >= low[..., None]) & (hops_TU < high[..., None]), hops_TU, -1)
    return np.clip(hops_TU + 1, 0, np.asarray(num_hops)[..., None, None] + 1)


def segments(padded_HM: NDArray[np.float32], hops_TU: NDArray[np.int64]) -> NDArray[np.float32]:
    """Mel segments from row numbers: (hops + 2, M) and (..., T, U) -> (..., T, M, U)."""
    return np.ascontiguousarray(np.moveaxis(padded_HM[hops_TU], -1, -2))


def frame_rows(first_frame: Ints, num_frames: int, num_valid: Ints, stride: int = 1) -> NDArray[np.int64]:
    """Frame numbers of a window with every `stride`-th frame; past the end the last frame of the clip is repeated."""
    return np.minimum(_frames(first_frame, num_frames, stride), np.asarray(num_valid)[..., None] - 1)


def span(num_frames: int, stride: int = 1) -> int:
    """Frames of a clip from the first frame of a window to its last one, both included."""
    return (num_frames - 1) * stride + 1


def num_valid(first_frame: int, num_frames: int, num_clip_frames: int, stride: int = 1) -> int:
    """How many frames of a window the clip has; the first one must exist."""
    return min(num_frames, -((first_frame - num_clip_frames) // stride))


def _frames(first_frame: Ints, num_frames: int, stride: int) -> NDArray[np.int64]:
    return np.asarray(first_frame, np.int64)[..., None] + np.arange(num_frames) * stride


def sampled_start(key: str, num_clip_frames: int, num_frames: int, seed: int) -> int:
    """First frame of the evaluation window of a clip: uniform, a function of (seed, key)."""
    rng = np.random.default_rng([seed, zlib.crc32(key.encode())])
    return int(rng.integers(0, max(0, num_clip_frames - num_frames) + 1))
