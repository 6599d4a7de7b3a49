"""The log-mel spectrogram against an independent implementation, and segments against clicks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from phonics_data.contract.logmel import LogMelSpec, log_mel, mel_segment_start_hop, mel_segments
from phonics_data.contract.sample import num_audio_samples
from phonics_data.errors import DatasetError

pytestmark = pytest.mark.dependencies


def slaney_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hertz to mels as in Slaney's Auditory Toolbox: linear below 1000 Hz, logarithmic above."""
    linear = 3 * hz / 200
    return np.where(hz < 1000, linear, 15 + np.log(np.maximum(hz, 1e-9) / 1000) / np.log(6.4) * 27)


def slaney_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < 15, 200 * mel / 3, 1000 * np.exp(np.log(6.4) / 27 * (mel - 15)))


def reference_log_mel(audio: NDArray[np.float32], spec: LogMelSpec) -> NDArray[np.float64]:
    """Each hop separately, in float64, from the definition."""
    n = np.arange(spec.window_samples)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / spec.window_samples)
    bins = np.fft.rfftfreq(spec.fft_samples, 1 / spec.rate_hz)
    ends = slaney_mel(np.array([spec.low_hz, spec.high_hz]))
    corners = slaney_hz(np.linspace(ends[0], ends[1], spec.num_bands + 2))
    filters = np.zeros((spec.num_bands, bins.size))
    for band in range(spec.num_bands):
        low, middle, high = corners[band : band + 3]
        rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
        filters[band] = np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low)
    num_hops = -(-audio.size // spec.hop_samples)
    padded = np.concatenate([np.zeros(5000), audio, np.zeros(5000)])
    out = np.zeros((num_hops, spec.num_bands))
    for hop in range(num_hops):
        middle = 5000 + hop * spec.hop_samples + spec.hop_samples // 2
        start = middle - spec.window_samples // 2
        spectrum = np.fft.rfft(padded[start : start + spec.window_samples] * window, spec.fft_samples)
        out[hop] = np.log(filters @ np.abs(spectrum) ** 2 + spec.floor)
    return out


SIGNALS = {
    "noise": np.random.default_rng(0).uniform(-1, 1, 16_000),
    "quiet noise": 1e-4 * np.random.default_rng(1).uniform(-1, 1, 5_001),
    "sweep": np.sin(2 * np.pi * (100 * np.arange(16_000) / 16_000 + 3500 * (np.arange(16_000) / 16_000) ** 2)),
    "click": np.eye(1, 4_000, 2_000)[0],
    "silence": np.zeros(1_000),
    "shorter than a window": np.ones(100),
}


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize(
    "spec", [LogMelSpec(), LogMelSpec(num_bands=40, low_hz=80.0, high_hz=7_600.0)], ids=["ours", "40"]
)
def test_against_an_independent_implementation(name: str, spec: LogMelSpec) -> None:
    audio = SIGNALS[name].astype(np.float32)
    ours, theirs = log_mel(audio, spec), reference_log_mel(audio, spec)
    assert ours.dtype == np.float32
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 1e-4


def test_silent_and_empty_audio() -> None:
    spec = LogMelSpec()
    assert np.all(log_mel(np.zeros(1600, np.float32)) == np.float32(spec.silence))
    assert log_mel(np.zeros(0, np.float32)).shape == (0, 64)


@pytest.mark.parametrize("rate", [Fraction(5), Fraction(25), Fraction(30), Fraction(30000, 1001)], ids=str)
def test_segments_are_centred_on_their_frames(rate: Fraction) -> None:
    """A click in the middle of frame j is in the middle of segment j."""
    spec = LogMelSpec()
    num_frames = 12 if rate == 5 else 40
    for frame in range(3, num_frames, 4):
        audio = np.zeros(num_audio_samples(num_frames, rate, spec.rate_hz), np.float32)
        audio[round((frame + 0.5) / float(rate) * spec.rate_hz)] = 1.0
        found = mel_segments(log_mel(audio), num_frames, rate)
        assert found.shape == (num_frames, 64, 20)
        power = np.exp(found[frame].astype(np.float64)).sum(axis=0) - 64 * spec.floor
        centre = float((power * (np.arange(20) + 0.5)).sum() / power.sum())
        assert centre == pytest.approx(10.0, abs=0.55), "rounding causes at most half a hop (5 ms)"


@pytest.mark.parametrize(
    ("rate", "steps"), [(Fraction(25), {4}), (Fraction(5), {20}), (Fraction(30), {3, 4}), (Fraction(50), {2})], ids=str
)
def test_consecutive_segments_step_with_the_frames(rate: Fraction, steps: set[int]) -> None:
    starts = [mel_segment_start_hop(frame, rate) for frame in range(3000)]
    assert set(np.diff(starts).tolist()) == steps
    exact = [(frame + 0.5) / float(rate) * 100 - 10 for frame in range(3000)]
    assert np.abs(np.array(starts) - exact).max() <= 0.5, "no drift over minutes"


def test_both_ends_are_padded_with_silence() -> None:
    spec = LogMelSpec()
    mels = np.zeros((100, 64), np.float32)
    found = mel_segments(mels, 25, Fraction(25))
    assert np.all(found[0][:, :8] == np.float32(spec.silence))
    assert np.all(found[0][:, 8:] == 0)
    assert np.all(found[24][:, -8:] == np.float32(spec.silence))
    assert np.all(found[12] == 0)


@pytest.mark.parametrize(
    "changes", [{"window_samples": 600}, {"hop_samples": 0}, {"low_hz": 9000.0}, {"high_hz": 9000.0}]
)
def test_invalid_specs_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(DatasetError, match="log-mel spec"):
        LogMelSpec(**changes)  # pyright: ignore[reportArgumentType]


def test_the_digest_covers_the_whole_spec() -> None:
    assert LogMelSpec().digest() == LogMelSpec().digest()
    assert LogMelSpec().digest() != LogMelSpec(floor=1e-6).digest()
