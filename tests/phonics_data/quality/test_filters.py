"""Each rule on clips that just break and just keep it."""

from __future__ import annotations

import numpy as np
import pytest

from phonics_data.errors import OptionError
from phonics_data.quality.filters import FilterOptions, Measures, drops, judge, measure, seen_share

GOOD = Measures(moving_share=0.2, bright_level=200.0, loudness_dbfs=-20.0, clipped_share=0.0, bar_share=0.0)
RATE = 16_000


def clip(moving: int = 2000, level: int = 150) -> np.ndarray:
    """20 frames in which `moving` of the 4096 pixels flicker."""
    frames = np.full((20, 64, 64, 3), level, np.uint8)
    flat = frames.reshape(20, -1, 3)
    flat[::2, :moving] = 0
    return frames


def tone(peak: float = 0.3, seconds: float = 1.0) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * 440 * np.arange(int(RATE * seconds)) / RATE)).astype(np.float32)


def test_measures_of_known_clips() -> None:
    found = measure(clip(moving=1024), tone(0.5), RATE)
    assert found.moving_share == pytest.approx(0.25)
    assert found.bright_level == pytest.approx(150, abs=1)
    assert found.loudness_dbfs == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.01)
    assert found.clipped_share == 0.0


def test_noise_of_a_codec_is_not_motion() -> None:
    rng = np.random.default_rng(0)
    noisy = (150 + rng.integers(-6, 7, (50, 64, 64, 1))).astype(np.uint8).repeat(3, 3)
    assert measure(noisy, tone(), RATE).moving_share == 0.0


def test_silence_is_finite_and_a_short_sound_is_not_silent() -> None:
    assert measure(clip(), np.zeros(RATE, np.float32), RATE).loudness_dbfs == -120.0
    assert measure(clip(), np.zeros(0, np.float32), RATE).loudness_dbfs == -120.0
    sound = np.zeros(10 * RATE, np.float32)
    sound[8000:9600] = tone(0.3, 0.1)
    assert measure(clip(), sound, RATE).loudness_dbfs == pytest.approx(-13.5, abs=0.1)


def test_clipped_sound_is_counted() -> None:
    square = np.sign(tone(1.0)).astype(np.float32)
    assert measure(clip(), square, RATE).clipped_share > 0.95


@pytest.mark.parametrize(
    ("reason", "measures", "seconds", "confidence"),
    [
        ("too_short", {}, 0.49, 1.0),
        ("black", {"bright_level": 31.0}, 2.0, 1.0),
        ("silent", {"loudness_dbfs": -50.1}, 2.0, 1.0),
        ("clipped_sound", {"clipped_share": 0.051}, 2.0, 1.0),
        ("low_confidence", {}, 2.0, 0.49),
        ("static_picture", {"moving_share": 0.009}, 2.0, 1.0),
        ("letterboxed", {"bar_share": 0.16}, 2.0, 1.0),
    ],
)
def test_each_rule_names_value_and_limit(
    reason: str, measures: dict[str, float], seconds: float, confidence: float
) -> None:
    values = {name: getattr(GOOD, name) for name in GOOD.__slots__} | measures
    (finding,) = judge(Measures(**values), seconds, confidence, FilterOptions(min_confidence=0.5))
    assert finding.reason == reason
    assert finding.measured in {*measures.values(), seconds, confidence}
    assert finding.measured != finding.threshold


def test_limits_themselves_are_good() -> None:
    edge = Measures(moving_share=0.01, bright_level=32.0, loudness_dbfs=-50.0, clipped_share=0.05, bar_share=0.0)
    assert judge(edge, 0.5, 0.0, FilterOptions()) == ()


def test_static_pictures_stay_unless_asked() -> None:
    (finding,) = judge(
        Measures(moving_share=0.0, bright_level=200, loudness_dbfs=-20, clipped_share=0, bar_share=0),
        2,
        1,
        FilterOptions(),
    )
    assert not drops(finding, FilterOptions())
    assert drops(finding, FilterOptions(drop_static=True))


def test_the_letter_is_asked_for_only_where_the_screen_was_read() -> None:
    assert judge(GOOD, 2.0, 1.0, FilterOptions(), letter_seen_share=None) == ()
    assert judge(GOOD, 2.0, 1.0, FilterOptions(), letter_seen_share=0.05) == ()
    (finding,) = judge(GOOD, 2.0, 1.0, FilterOptions(), letter_seen_share=0.0)
    assert (finding.reason, finding.measured, finding.threshold) == ("letter_not_visible", 0.0, 0.05)
    assert not drops(finding, FilterOptions())
    assert drops(finding, FilterOptions(drop_letter_not_visible=True))


def test_bars_mark_unless_asked() -> None:
    measures = Measures(moving_share=0.2, bright_level=200, loudness_dbfs=-20, clipped_share=0, bar_share=0.4)
    (finding,) = judge(measures, 2.0, 1.0, FilterOptions())
    assert not drops(finding, FilterOptions())
    assert drops(finding, FilterOptions(drop_letterboxed=True))


def test_share_of_bars_is_measured() -> None:
    frames = clip()
    frames[:, :8] = frames[:, -8:] = 10
    assert measure(frames, tone(), RATE).bar_share == pytest.approx(0.25)
    frames[:, :, :4] = frames[:, :, -2:] = 10
    assert measure(frames, tone(), RATE).bar_share == pytest.approx(1 - 48 / 64 * 60 / 64)


def test_bars_come_in_pairs() -> None:
    frames = clip()
    frames[:, 32:] = 10
    assert measure(frames, tone(), RATE).bar_share == 0.0
    frames[:] = 10
    assert measure(frames, tone(), RATE).bar_share == 0.0


@pytest.mark.parametrize(
    ("sightings", "share"),
    [
        ([], 0.0),
        ([(0.0, 1.0)], 0.0),
        ([(0.0, 5.0)], 1.0),
        ([(1.5, 2.0), (1.75, 2.5), (2.9, 9.0)], 0.55),
        ([(2.9, 9.0), (1.75, 2.5), (1.5, 2.0), (1.6, 1.7)], 0.55),
    ],
)
def test_sightings_that_overlap_count_once(sightings: list[tuple[float, float]], share: float) -> None:
    assert seen_share(1.0, 3.0, sightings) == pytest.approx(share)


def test_limits_are_checked() -> None:
    with pytest.raises(OptionError, match="min_moving_share"):
        FilterOptions(min_moving_share=1.5)
