"""Beat alignment: do the peaks (or the stillest moments) of the motion fall on the beats of the sound? Pure functions.

The form is that of AI Choreographer (AIST++, Li et al. 2021), which takes minima of a dancer's speed; a letter or an
object *appears* on a beat, so both are reported: `ba_max` with the maxima of motion and `ba_min` with its minima.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from cssgan.metrics.videos import Floats, Mask

SIGMA_SECONDS = 0.05
"""Width of the reward around a beat: AIST++'s three frames at 60 frames/s; never less than one frame."""
MIN_GAP_SECONDS = 0.1
"""Two beats of the sound are at least this far apart."""
ONSET_DEVIATIONS = 0.5
"""A beat of the sound stands this many standard deviations above the mean of its onset curve."""

Which = Literal["max", "min"]


def sound_beats(onset_K: Floats, frames_per_second: float) -> NDArray[np.int64]:
    """Frames at which the onset curve has a beat: local maxima above mean + 0.5 sd, at least 100 ms apart."""
    if onset_K.size < 3 or float(np.ptp(onset_K)) == 0.0:
        return np.zeros(0, np.int64)
    height = float(onset_K.mean() + ONSET_DEVIATIONS * onset_K.std())
    distance = max(1, int(np.ceil(MIN_GAP_SECONDS * frames_per_second)))
    return find_peaks(onset_K, height=height, distance=distance)[0]


def motion_beats(motion_K: Floats, which: Which) -> NDArray[np.int64]:
    """Frames of the local maxima (or minima) of a motion curve."""
    return find_peaks(motion_K if which == "max" else -motion_K)[0]


def beat_alignment(
    motion_NK: Floats, onset_NK: Floats, use_NK: Mask, frames_per_second_N: Floats, which: Which
) -> tuple[float | None, int]:
    """Mean over all motion beats of the set of exp(-d^2 / 2 sigma^2), d the distance to the nearest beat of the sound.

    A video has two to four beats in 32 frames, so beats are pooled over the set instead of averaged a video.

    Returns:
        (0..1, or None without a single video that has both kinds of beats; number of videos that lack one and are
        left out)
    """
    rewards: list[Floats] = []
    for motion_K, onset_K, use_K, rate in zip(motion_NK, onset_NK, use_NK, frames_per_second_N, strict=True):
        sounds, moves = sound_beats(onset_K[use_K], float(rate)), motion_beats(motion_K[use_K], which)
        if sounds.size and moves.size:
            distance = np.abs(moves[:, None] - sounds[None, :]).min(axis=1)
            rewards.append(np.exp(-(distance**2) / (2.0 * max(1.0, SIGMA_SECONDS * float(rate)) ** 2)))
    if not rewards:
        return None, len(motion_NK)
    return float(np.concatenate(rewards).mean()), len(motion_NK) - len(rewards)
