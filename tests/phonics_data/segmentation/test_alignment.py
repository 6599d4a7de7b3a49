"""The offset between copies of one video; other songs, speeds and silence have none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from phonics_data.segmentation.alignment import MIN_CORRELATION, align, loudness_digits

RATE = 8000


def song(seed: int, seconds: float = 40.0) -> NDArray[np.float32]:
    """Syllables of random length and level, with pauses."""
    random = np.random.default_rng(seed)
    audio_N = np.zeros(round(seconds * RATE), np.float32)
    at = 0
    while at < audio_N.size:
        length = int(random.uniform(0.1, 0.5) * RATE)
        audio_N[at : at + length] = random.uniform(0.05, 1) * np.sin(np.arange(audio_N[at : at + length].size) * 0.3)
        at += length + int(random.uniform(0.02, 0.4) * RATE)
    return audio_N


@pytest.mark.parametrize("offset", [0.0, 0.023, 1.307, 7.61, -2.5])
def test_offset_of_another_level_and_intro(offset: float) -> None:
    one_N = song(1)
    num = round(abs(offset) * RATE)
    other_N = np.concatenate([np.zeros(num, np.float32), one_N]) if offset >= 0 else one_N[num:]
    noise_N = np.random.default_rng(2).normal(0, 0.01, other_N.size).astype(np.float32)
    found = align(loudness_digits(one_N, RATE), loudness_digits(0.3 * other_N + noise_N, RATE))
    assert found.fault == ""
    assert found.offset_seconds == pytest.approx(offset, abs=0.02)


def test_other_songs_are_no_copies() -> None:
    for seed in range(2, 8):
        found = align(loudness_digits(song(1), RATE), loudness_digits(song(seed), RATE))
        assert "their sound differs" in found.fault
        assert found.correlation < MIN_CORRELATION


def test_another_speed_is_no_copy() -> None:
    one_N = song(1)
    slower_N = np.interp(np.arange(one_N.size * 1.02) / 1.02, np.arange(one_N.size), one_N).astype(np.float32)
    assert align(loudness_digits(one_N, RATE), loudness_digits(slower_N, RATE)).fault


def test_a_cut_in_the_middle_is_no_copy() -> None:
    one_N = song(1, 60)
    cut_N = np.concatenate([one_N[: 34 * RATE], one_N[36 * RATE :]])
    assert align(loudness_digits(one_N, RATE), loudness_digits(cut_N, RATE)).fault


def test_silence_has_nothing_to_compare() -> None:
    assert loudness_digits(np.zeros(RATE, np.float32), RATE) == ""
    assert "no sound" in align("", loudness_digits(song(1), RATE)).fault
