"""Beat alignment: are the peaks (or minima) of the motion close to the beats of the audio? Pure functions.

The definition is that of AI Choreographer (AIST++, Li et al. 2021), which uses minima of a dancer's speed. A letter or
an object *appears* on a beat, so both are reported: `ba_max` with maxima of motion and `ba_min` with minima.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.signal import find_peaks

from cssgan.metrics.videos import Floats, Ints, Mask

SIGMA_SECONDS = 0.05
"""Width of the Gaussian around a beat: three frames at 60 frames/s in AIST++; never less than one frame."""
MIN_GAP_SECONDS = 0.1
"""Smallest distance between two beats of the audio."""
ONSET_DEVIATIONS = 0.5
"""A beat of the audio is at least this many standard deviations above the mean of its onset curve."""

Extremum = Literal["max", "min"]


def audio_beats(onset_K: Floats, frames_per_second: float) -> Ints:
    """Frames at which the onset curve has a beat: local maxima above mean + 0.5 sd, at least 100 ms apart."""
    if onset_K.size < 3 or float(np.ptp(onset_K)) == 0.0:
        return np.zeros(0, np.int64)
    height = float(onset_K.mean() + ONSET_DEVIATIONS * onset_K.std())
    distance = max(1, int(np.ceil(MIN_GAP_SECONDS * frames_per_second)))
    return find_peaks(onset_K, height=height, distance=distance)[0]


def motion_beats(motion_K: Floats, extremum: Extremum) -> Ints:
    """Frames of the local maxima (or minima) of a motion curve."""
    return find_peaks(motion_K if extremum == "max" else -motion_K)[0]


def beat_alignment(
    motion_NK: Floats, onset_NK: Floats, use_NK: Mask, frames_per_second: float, extremum: Extremum
) -> tuple[float | None, int]:
    """Mean over all motion beats of the set of exp(-d^2 / 2 sigma^2), with d the distance to the nearest audio beat.

    A video has two to four beats in 32 frames, so beats are pooled over the set instead of averaged per video.

    Returns:
        (0..1, or None if no video has both kinds of beats; number of videos that lack one kind and are ignored)
    """
    scores: list[Floats] = []
    for motion_K, onset_K, use_K in zip(motion_NK, onset_NK, use_NK, strict=True):
        audio, motion = audio_beats(onset_K[use_K], frames_per_second), motion_beats(motion_K[use_K], extremum)
        if audio.size and motion.size:
            distance = np.abs(motion[:, None] - audio[None, :]).min(axis=1)
            scores.append(np.exp(-(distance**2) / (2.0 * max(1.0, SIGMA_SECONDS * frames_per_second) ** 2)))
    if not scores:
        return None, len(motion_NK)
    return float(np.concatenate(scores).mean()), len(motion_NK) - len(scores)
