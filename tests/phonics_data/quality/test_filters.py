"""Each filter on clips just inside and just outside its limit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from phonics_data.errors import OptionError
from phonics_data.quality.filters import (
    MIN_CONFIDENCE,
    ClipMeasurements,
    FilterOptions,
    apply_filters,
    is_dropped,
    measure_clip,
    shown_share,
    visible_share,
)
from phonics_data.types import SourceCounts

GOOD = ClipMeasurements(moving_share=0.2, bright_level=200.0, loudness_dbfs=-20.0, clipped_share=0.0, bar_share=0.0)

RATE = 16_000


def clip(moving: int = 2000, level: int = 150) -> np.ndarray:
    """20 frames in which `moving` of the 4096 pixels flicker."""
    frames = np.full((20, 64, 64, 3), level, np.uint8)
    flat = frames.reshape(20, -1, 3)
    flat[::2, :moving] = 0
    return frames


def tone(peak: float = 0.3, seconds: float = 1.0) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * 440 * np.arange(int(RATE * seconds)) / RATE)).astype(np.float32)


def test_measurements_of_known_clips() -> None:
    found = measure_clip(clip(moving=1024), tone(0.5), RATE)
    assert found.moving_share == pytest.approx(0.25)
    assert found.bright_level == pytest.approx(150, abs=1)
    assert found.loudness_dbfs == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.01)
    assert found.clipped_share == 0.0


def test_codec_noise_is_not_motion() -> None:
    rng = np.random.default_rng(0)
    noisy = (150 + rng.integers(-6, 7, (50, 64, 64, 1))).astype(np.uint8).repeat(3, 3)
    assert measure_clip(noisy, tone(), RATE).moving_share == 0.0


def test_loudness_of_silence_is_finite_and_of_a_short_sound_is_not_silent() -> None:
    assert measure_clip(clip(), np.zeros(RATE, np.float32), RATE).loudness_dbfs == -120.0
    assert measure_clip(clip(), np.zeros(0, np.float32), RATE).loudness_dbfs == -120.0
    sound = np.zeros(10 * RATE, np.float32)
    sound[8000:9600] = tone(0.3, 0.1)
    assert measure_clip(clip(), sound, RATE).loudness_dbfs == pytest.approx(-13.5, abs=0.1)


def test_clipped_share() -> None:
    square = np.sign(tone(1.0)).astype(np.float32)
    assert measure_clip(clip(), square, RATE).clipped_share > 0.95


@pytest.mark.parametrize(
    ("reason", "measures", "seconds", "confidence"),
    [
        ("too_short", {}, 0.19, 1.0),
        ("black", {"bright_level": 31.0}, 2.0, 1.0),
        ("silent", {"loudness_dbfs": -50.1}, 2.0, 1.0),
        ("clipped_sound", {"clipped_share": 0.051}, 2.0, 1.0),
        ("low_confidence", {}, 2.0, 0.49),
        ("static_picture", {"moving_share": 0.009}, 2.0, 1.0),
        ("letterboxed", {"bar_share": 0.16}, 2.0, 1.0),
    ],
)
def test_each_filter_reports_value_and_limit(
    reason: str, measures: dict[str, float], seconds: float, confidence: float
) -> None:
    values = {name: getattr(GOOD, name) for name in GOOD.__slots__} | measures
    (hit,) = apply_filters(ClipMeasurements(**values), seconds, confidence, FilterOptions(min_confidence=0.5))
    assert hit.reason == reason
    assert hit.measured in {*measures.values(), seconds, confidence}
    assert hit.measured != hit.threshold


def test_limits_are_inclusive() -> None:
    edge = ClipMeasurements(
        moving_share=0.01, bright_level=32.0, loudness_dbfs=-50.0, clipped_share=0.05, bar_share=0.0
    )
    assert apply_filters(edge, 0.5, MIN_CONFIDENCE, FilterOptions()) == ()


def test_static_pictures_are_only_flagged_by_default() -> None:
    (hit,) = apply_filters(
        ClipMeasurements(moving_share=0.0, bright_level=200, loudness_dbfs=-20, clipped_share=0, bar_share=0),
        2,
        1,
        FilterOptions(),
    )
    assert not is_dropped(hit, FilterOptions())
    assert is_dropped(hit, FilterOptions(drop_static=True))


def test_letter_visibility_is_checked_only_if_the_screen_was_read() -> None:
    assert apply_filters(GOOD, 2.0, 1.0, FilterOptions(), letter_seen_share=None) == ()
    assert apply_filters(GOOD, 2.0, 1.0, FilterOptions(), letter_seen_share=0.05) == ()
    (hit,) = apply_filters(GOOD, 2.0, 1.0, FilterOptions(), letter_seen_share=0.0)
    assert (hit.reason, hit.measured, hit.threshold) == ("letter_not_visible", 0.0, 0.05)
    assert not is_dropped(hit, FilterOptions())
    assert is_dropped(hit, FilterOptions(drop_letter_not_visible=True))


def test_letterboxed_clips_are_only_flagged_by_default() -> None:
    measures = ClipMeasurements(moving_share=0.2, bright_level=200, loudness_dbfs=-20, clipped_share=0, bar_share=0.4)
    (hit,) = apply_filters(measures, 2.0, 1.0, FilterOptions())
    assert not is_dropped(hit, FilterOptions())
    assert is_dropped(hit, FilterOptions(drop_letterboxed=True))


def test_bar_share() -> None:
    frames = clip()
    frames[:, :8] = frames[:, -8:] = 10
    assert measure_clip(frames, tone(), RATE).bar_share == pytest.approx(0.25)
    frames[:, :, :4] = frames[:, :, -2:] = 10
    assert measure_clip(frames, tone(), RATE).bar_share == pytest.approx(1 - 48 / 64 * 60 / 64)


def test_single_bars_and_dark_frames_do_not_count() -> None:
    frames = clip()
    frames[:, 32:] = 10
    assert measure_clip(frames, tone(), RATE).bar_share == 0.0
    frames[:] = 10
    assert measure_clip(frames, tone(), RATE).bar_share == 0.0


@pytest.mark.parametrize(
    ("intervals", "share"),
    [
        ([], 0.0),
        ([(0.0, 1.0)], 0.0),
        ([(0.0, 5.0)], 1.0),
        ([(1.5, 2.0), (1.75, 2.5), (2.9, 9.0)], 0.55),
        ([(2.9, 9.0), (1.75, 2.5), (1.5, 2.0), (1.6, 1.7)], 0.55),
    ],
)
def test_overlapping_intervals_count_once(intervals: list[tuple[float, float]], share: float) -> None:
    assert visible_share(1.0, 3.0, intervals) == pytest.approx(share)


@pytest.mark.parametrize(
    ("box", "share"),
    [
        ((0.3, 0.2, 0.5, 0.8), 1.0),
        ((0.0, 0.2, 0.4, 0.8), 0.375),
        ((0.7, 0.9, 0.8, 1.0), 0.5),
        ((0.0, 0.2, 0.2, 0.8), 0.0),
        ((0.4, 0.4, 0.4, 0.8), 0.0),
    ],
)
def test_shown_share(box: tuple[float, ...], share: float) -> None:
    assert shown_share(box, (0.25, 0.0, 0.75, 1.0)) == pytest.approx(share)


def test_documented_minimum_confidence() -> None:
    root = Path(__file__).parents[3]
    assert f"under {MIN_CONFIDENCE:g} (`--min-confidence`)" in (root / "docs" / "dataset.md").read_text()
    assert f"efault: that of --filters, else {MIN_CONFIDENCE:g}." in (root / "docs" / "cli.md").read_text()


def test_out_of_range_limits_are_refused() -> None:
    with pytest.raises(OptionError, match="min_moving_share"):
        FilterOptions(min_moving_share=1.5)


@pytest.mark.parametrize(
    ("name", "edge", "beyond", "reason"),
    [
        ("damaged_frames", 0, 1, "damaged_frames"),
        ("missing_video_seconds", 0.1, 0.12, "missing_frames"),
        ("missing_audio_seconds", 0.1, 0.12, "missing_sound"),
        ("unused_audio_seconds", 0.1, 0.12, "unused_sound"),
    ],
)
def test_what_a_clip_lacks_of_its_source_flags_it(name: str, edge: float, beyond: float, reason: str) -> None:
    assert not apply_filters(GOOD, 2.0, 1.0, FilterOptions(), counts=SourceCounts(**{name: edge}))
    (hit,) = apply_filters(GOOD, 2.0, 1.0, FilterOptions(), counts=SourceCounts(**{name: beyond}))
    assert (hit.reason, hit.measured, hit.threshold) == (reason, beyond, edge)
    assert not is_dropped(hit, FilterOptions())
    assert is_dropped(hit, FilterOptions(drop_incomplete=True))
