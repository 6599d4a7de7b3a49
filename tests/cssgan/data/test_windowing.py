"""Windows have the mel segments of the contract, at any frame rate and start frame."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from cssgan.data import windowing
from cssgan.types import MelStats
from phonics_data.contract.logmel import LogMelSpec, mel_segment_start_hop, mel_segments

pytestmark = pytest.mark.dependencies

SPEC = LogMelSpec()
RATES = [Fraction(25), Fraction(30), Fraction(5), Fraction(30000, 1001), Fraction(60)]


def padded(mel: np.ndarray) -> np.ndarray:
    silence = np.full((1, SPEC.num_bands), SPEC.silence, np.float32)
    return np.concatenate([silence, mel, silence])


@pytest.mark.parametrize("rate", RATES)
def test_first_hops_equal_those_of_the_contract(rate: Fraction) -> None:
    expected = [mel_segment_start_hop(frame, rate, SPEC) for frame in range(7, 107)]

    assert windowing.first_hops(7, 100, rate, SPEC).tolist() == expected


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("first", [0, 5, 30])
def test_segments_equal_those_of_the_contract_and_are_silent_past_the_end(rate: Fraction, first: int) -> None:
    mel = np.random.default_rng(0).normal(size=(90, SPEC.num_bands)).astype(np.float32)

    ours = windowing.segments(padded(mel), windowing.segment_hops(first, 32, rate, len(mel), SPEC))

    assert np.array_equal(ours, mel_segments(mel, first + 32, rate, SPEC)[first:])
    assert ours.shape == (32, 64, 20)


def test_clip_context_hides_the_neighbouring_clips() -> None:
    rate, mel = Fraction(25), np.ones((200, SPEC.num_bands), np.float32)

    hops = windowing.segment_hops(0, 32, rate, len(mel), SPEC, clip_frames=8)

    has_audio = windowing.segments(padded(mel), hops)[:, 0] == 1.0
    # Frame 8 has hops 32..35; its segment 24..43 starts in clip 0, whose last hop is 31.
    assert has_audio[8].tolist() == [False] * 8 + [True] * 12
    assert has_audio[7].tolist() == [True] * 12 + [False] * 8
    assert has_audio[4].all()


def test_the_last_frame_is_repeated_past_the_end() -> None:
    assert windowing.frame_rows(3, 5, 6).tolist() == [3, 4, 5, 5, 5]


def test_standardize_clamps() -> None:
    raw = np.array([-100.0, -3.0, 1.0, 100.0], np.float32)

    out = windowing.standardize(raw, MelStats(mean=1.0, std=2.0, clamp=4.0))

    assert out.tolist() == [-4.0, -2.0, 0.0, 4.0]
    assert out.dtype == np.float32


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 48_000])
def test_audio_of_another_rate_gives_nearly_the_same_mel(rate_hz: int) -> None:
    def tone(rate: int) -> np.ndarray:
        return (0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)).astype(np.float32)

    ours, expected = (windowing.raw_mel(tone(rate), rate, SPEC) for rate in (rate_hz, SPEC.rate_hz))

    assert abs(len(ours) - len(expected)) <= 1
    loudest = int(expected[50].argmax())
    assert int(ours[50].argmax()) == loudest
    assert ours[50, loudest] == pytest.approx(expected[50, loudest], abs=0.05)
