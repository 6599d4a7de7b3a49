"""Offset between two copies of one video, from their sound. Pure.

The loudness of a copy is stored as one hexadecimal digit for each `STEP_SECONDS`; two copies are compared by normalized
cross-correlation. A copy with another intro, another encoder delay or another level has a clear maximum; another song has none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEP_SECONDS = 0.04
MAX_OFFSET_SECONDS = 20.0
MIN_CORRELATION = 0.6
"""Four real and four rendered songs: copies at 32 kbit/s, at a lower level, or 1.5 s later correlate with .92 and more, different songs
with .24 at most, and copies that are 4 % faster with .36 to .55."""
MAX_DRIFT_SECONDS = 0.1
"""Maximum difference between the offsets of the first and the second half; larger ones mean another speed or other cuts."""
_MAX_STEPS = 90_000
_RANGE_DB = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Alignment:
    """Position of one copy in another.

    Args:
        offset_seconds: add it to a time of the reference to get the time in the copy.
        correlation: -1..1, at this offset.
        fault: why the offset cannot be used; empty if it can.
    """

    offset_seconds: float
    correlation: float
    fault: str = ""


def loudness_digits(audio_N: NDArray[np.float32], rate_hz: int) -> str:
    """The loudness of an audio as hexadecimal digits, one for each `STEP_SECONDS`, at most an hour.

    Args:
        audio_N: (N,) mono in [-1, 1].
    """
    step = round(rate_hz * STEP_SECONDS)
    num = min(audio_N.size // step, _MAX_STEPS)
    power_T = np.square(audio_N[: num * step].astype(np.float64)).reshape(num, step).mean(axis=1)
    if not power_T.size or power_T.max() <= 0:
        return ""
    level_T = 10 * np.log10(power_T / power_T.max() + 1e-12)
    digits_T = np.clip(np.round((level_T + _RANGE_DB) / _RANGE_DB * 15), 0, 15).astype(int)
    return "".join(f"{digit:x}" for digit in digits_T.tolist())


def align(reference: str, other: str) -> Alignment:
    """The offset of `other` against `reference`, both from `loudness_digits`."""
    if not reference or not other:
        return Alignment(offset_seconds=0.0, correlation=0.0, fault="one of the copies has no sound to compare")
    one_T, other_T = (np.array([int(digit, 16) for digit in text], np.float64) for text in (reference, other))
    offset, correlation = _best_offset(one_T, other_T)
    if correlation < MIN_CORRELATION:
        fault = f"their sound differs (correlation {correlation:.2f}, needed: {MIN_CORRELATION})"
        return Alignment(offset_seconds=offset, correlation=correlation, fault=fault)
    half = one_T.size // 2
    first = _best_offset(one_T[:half], other_T)[0]
    second = _best_offset(one_T[half:], other_T, start=half)[0]
    if abs(first - second) > MAX_DRIFT_SECONDS:
        fault = f"they run apart: offset {first:+.2f} s in the first half, {second:+.2f} s in the second"
        return Alignment(offset_seconds=offset, correlation=correlation, fault=fault)
    return Alignment(offset_seconds=offset, correlation=correlation)


def _best_offset(one_T: NDArray[np.float64], other_T: NDArray[np.float64], *, start: int = 0) -> tuple[float, float]:
    """(offset in seconds, correlation there) of `one_T`, which begins at step `start` of its copy."""
    reach = round(MAX_OFFSET_SECONDS / STEP_SECONDS)
    values = np.full(2 * reach + 1, -1.0)
    for index, lag in enumerate(range(-reach, reach + 1)):
        low, high = max(0, -lag - start), min(one_T.size, other_T.size - lag - start)
        if high - low < max(one_T.size // 2, 25):
            continue
        a_T, b_T = one_T[low:high], other_T[low + start + lag : high + start + lag]
        a_T, b_T = a_T - a_T.mean(), b_T - b_T.mean()
        scale = float(np.sqrt((a_T @ a_T) * (b_T @ b_T)))
        values[index] = float(a_T @ b_T) / scale if scale > 0 else 0.0
    best = int(np.argmax(values))
    fraction = 0.0
    if 0 < best < values.size - 1:
        # The maximum of the parabola through three values lies between steps.
        before, at, after = values[best - 1 : best + 2].tolist()
        curve = before - 2 * at + after
        fraction = 0.5 * (before - after) / curve if curve < 0 else 0.0
    return (best - reach + fraction) * STEP_SECONDS, float(values[best])
