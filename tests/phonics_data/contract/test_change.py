"""Change curves against clips whose change is known."""

import numpy as np
import pytest

from phonics_data.contract.change import change_curve, lasting_change, median_frames, summarize


def _grey(levels: list[int]) -> np.ndarray:
    return np.broadcast_to(np.array(levels, np.uint8)[:, None, None, None], (len(levels), 4, 6, 3)).copy()


def test_a_step_lasts_and_its_lasting_change_sums_to_its_size() -> None:
    for rate in (24, 25, 30000 / 1001, 12):
        frames = _grey([10] * 20 + [70] * 20)
        curve = lasting_change(frames, rate)
        assert curve.max() == 60
        assert np.flatnonzero(curve == 60).mean() == 20
        assert curve.sum() == pytest.approx(60 * median_frames(rate))
        assert summarize(frames, rate).share_not_lasting == pytest.approx(0)
        assert summarize(frames, rate).net_over_path == pytest.approx(1)


def test_a_flash_does_not_last() -> None:
    frames = _grey([10] * 20 + [200] + [10] * 20)
    assert lasting_change(frames, 25).max() == 0
    summary = summarize(frames, 25)
    assert summary.share_not_lasting == 1
    assert summary.net_over_path == 0
    assert summary.changed_pixels == 1


def test_a_still_clip_has_no_change_and_no_share() -> None:
    summary = summarize(_grey([10] * 20), 25)
    assert summary.change_per_frame == 0
    assert summary.still_share == 1
    assert np.isnan(summary.share_not_lasting)


def test_clips_that_are_too_short_for_the_medians_have_no_share() -> None:
    """Without a moment that has enough frames on both sides, nothing could last."""
    for rate, enough in ((25, 8), (29.97, 10), (1000, 320)):
        half = enough // 2
        assert summarize(_grey([10] * half + [70] * half), rate).share_not_lasting == pytest.approx(
            1 - 1 / median_frames(rate)
        )
        short = summarize(_grey([10] * half + [70] * (half - 1)), rate)
        assert np.isnan(short.share_not_lasting)
        assert short.change_per_frame > 0


def test_only_the_chosen_pixels_count() -> None:
    frames = _grey([0] * 20)
    frames[10:, :2] = 100
    where = np.zeros((20, 4, 6), bool)
    where[:, :2] = True
    assert lasting_change(frames, 25, where).max() == 100
    assert lasting_change(frames, 25, ~where).max() == 0
    assert lasting_change(frames, 25).max() == 50
    assert lasting_change(frames, 25, np.zeros_like(where)).max() == 0


def test_share_of_changed_pixels_and_of_still_frames() -> None:
    frames = _grey([0] * 21)
    frames[10, 0, 0, 2] = 26
    summary = summarize(frames, 25)
    assert summary.changed_pixels == pytest.approx(1 / 24)
    assert summary.still_share == pytest.approx(1)  # 26 / 72 grey levels are below half a level
    assert change_curve(frames)[10] == pytest.approx(26 / 72)


def test_other_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match=r"allowed: uint8 \(T >= 2, H, W, 3\)"):
        summarize(_grey([1]), 25)
    with pytest.raises(ValueError, match="float64"):
        change_curve(np.zeros((3, 4, 4, 3)))  # type: ignore[arg-type]
