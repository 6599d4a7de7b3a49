"""Motion curves, seams and static videos."""

from __future__ import annotations

import numpy as np
import pytest

from cssgan.metrics.motion import (
    mean_motion,
    motion_curves,
    motion_mask,
    motion_results,
    seam_ratio,
    seam_ratios,
    static_share,
)
from cssgan.metrics.videos import VideoPairs

USE = np.ones((1, 31), np.bool_)


def brightness_video(levels: list[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.broadcast_to(np.array(levels, np.uint8)[None, :, None, None, None], (1, len(levels), 8, 8, 3)).copy()


def test_motion_is_in_grey_levels_per_frame() -> None:
    curve = motion_curves(brightness_video([10, 10, 13, 250, 0]))
    assert curve.tolist() == [[0.0, 3.0, 237.0, 250.0]]


def test_mean_motion_uses_valid_frames_only() -> None:
    curve = motion_curves(brightness_video([0, 2, 4, 200, 0]))
    valid = np.array([[True, True, True, False, False]])
    assert mean_motion(curve, motion_mask(valid)).tolist() == [2.0]
    assert mean_motion(curve, np.zeros((1, 4), np.bool_)).tolist() == [0.0]


def test_seam_ratio_of_jumps_at_the_seams() -> None:
    steps = [6 if frame in (8, 16, 24) else 2 for frame in range(1, 32)]
    video = brightness_video(np.cumsum([0, *steps]).tolist())
    assert seam_ratio(motion_curves(video), USE) == pytest.approx([3.0], rel=0.01)


def test_jumps_elsewhere_do_not_raise_the_seam_ratio() -> None:
    steps = [6 if frame in (9, 17, 25) else 2 for frame in range(1, 32)]
    video = brightness_video(np.cumsum([0, *steps]).tolist())
    assert seam_ratio(motion_curves(video), USE)[0] < 1.0


def test_seam_ratio_of_constant_motion_and_no_motion_is_one() -> None:
    assert seam_ratio(motion_curves(brightness_video(list(range(32)))), USE) == pytest.approx([1.0])
    assert seam_ratio(motion_curves(brightness_video([7] * 32)), USE) == pytest.approx([1.0])


def test_seams_of_held_frames_are_those_of_the_shown_ones() -> None:
    steps = [6 if frame in (8, 16, 24) else 2 for frame in range(1, 32)]
    shown = brightness_video(np.cumsum([0, *steps]).tolist())
    held, real = np.repeat(shown, 3, axis=1), brightness_video(list(range(96)))
    pairs = VideoPairs(real_NTHWC=real, fake_NTHWC=held, num_valid_N=np.array([96]))
    assert seam_ratios(pairs, 24, 3)[0] == pytest.approx([1.0])
    assert seam_ratios(pairs, 24, 3)[1] == pytest.approx([3.0], rel=0.01)
    assert seam_ratios(pairs, 24)[1][0] > 8.0  # compared with frames between which a held video cannot change
    result = next(one for one in motion_results(pairs, 24, stride=3) if one.name == "seam_ratio")
    assert (result.value, result.protocol["frame_stride"]) == (pytest.approx(3.0, rel=0.01), 3)


def test_seam_ratio_of_a_video_without_seams_is_undefined() -> None:
    use = np.arange(31)[None, :] < 7
    assert np.isnan(seam_ratio(np.ones((1, 31)), use)).all()


def test_static_share_ignores_static_real_videos_and_counts_them() -> None:
    real = np.array([5.0, 5.0, 5.0, 0.0])
    fake = np.array([4.0, 0.51, 0.49, 3.0])
    assert static_share(real, fake) == (pytest.approx(1 / 3), 1)
    assert static_share(np.zeros(2), fake[:2]) == (None, 2)
