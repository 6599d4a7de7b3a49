"""Beat alignment of curves with known beats."""

from __future__ import annotations

import numpy as np
import pytest

from cssgan.metrics.beats import audio_beats, beat_alignment, motion_beats

pytestmark = pytest.mark.dependencies

RATE = 25.0
USE = np.ones((1, 31), np.bool_)


def pulses(*frames: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    curve = np.zeros((1, 31))
    curve[0, list(frames)] = 1.0
    return curve


def test_beats_are_at_the_pulses() -> None:
    assert audio_beats(pulses(5, 12, 20)[0], 25.0).tolist() == [5, 12, 20]
    assert motion_beats(pulses(5, 12)[0], "max").tolist() == [5, 12]
    assert motion_beats(1.0 - pulses(7)[0], "min").tolist() == [7]


def test_audio_beats_are_at_least_100_ms_apart() -> None:
    assert audio_beats(pulses(5, 7)[0], 25.0).size == 1
    assert audio_beats(pulses(5, 7)[0], 10.0).size == 2


def test_aligned_motion_scores_one_and_shifted_motion_the_gaussian() -> None:
    onset = pulses(8, 20)
    assert beat_alignment(pulses(8, 20), onset, USE, RATE, "max") == (pytest.approx(1.0), 0)
    sigma = 1.25  # 50 ms at 25 frames a second
    assert beat_alignment(pulses(10, 22), onset, USE, RATE, "max")[0] == pytest.approx(np.exp(-4 / (2 * sigma**2)))
    assert beat_alignment(1.0 - pulses(8), onset, USE, RATE, "min")[0] == pytest.approx(1.0)


def test_videos_without_beats_are_counted() -> None:
    static = np.zeros((1, 31))
    assert beat_alignment(static, pulses(3), USE, RATE, "max") == (None, 1)
    assert beat_alignment(pulses(3), static, USE, RATE, "max") == (None, 1)
    both = np.concatenate([pulses(8), static])
    onset = np.concatenate([pulses(8), pulses(8)])
    use = np.ones((2, 31), np.bool_)
    assert beat_alignment(both, onset, use, RATE, "max") == (pytest.approx(1.0), 1)


def test_masked_beats_are_ignored() -> None:
    use = np.arange(31)[None, :] < 15
    assert beat_alignment(pulses(8, 20), pulses(8, 25), use, RATE, "max")[0] == pytest.approx(1.0)
