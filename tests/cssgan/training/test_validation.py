"""Metrics during training, on videos with known values."""

from __future__ import annotations

import numpy as np
import pytest

from cssgan.training import validation


def brightening(num_videos: int = 3, num_frames: int = 16, speed: int = 3) -> np.ndarray:
    video = np.arange(num_frames)[None, :, None, None, None] * speed + np.zeros((num_videos, 1, 8, 8, 3))
    return video.astype(np.uint8)


def test_a_perfect_copy() -> None:
    out = validation.sample_metrics(brightening(), brightening(), np.array([16, 16, 16]))

    assert out == {"val_l1": 0.0, "val_l1_over_copy": 0.0, "val_motion_ratio": pytest.approx(1.0)}


def test_a_held_first_frame_has_ratio_one_and_no_motion() -> None:
    real = brightening()

    out = validation.sample_metrics(real, np.broadcast_to(real[:, :1], real.shape), np.array([16, 16, 16]))

    assert out["val_l1"] == pytest.approx(7.5 * 3 / 127.5)
    assert out["val_l1_over_copy"] == pytest.approx(1.0)
    assert out["val_motion_ratio"] == 0.0


def test_repeated_frames_do_not_count() -> None:
    real, fake = brightening(), brightening()
    fake[0, 10:] = 255

    assert validation.sample_metrics(real, fake, np.array([10, 16, 16]))["val_l1"] == 0.0
    assert validation.sample_metrics(real, fake, np.array([11, 16, 16]))["val_l1"] > 0.0


def test_static_real_videos_have_no_ratios() -> None:
    static = brightening(speed=0)

    assert set(validation.sample_metrics(static, brightening(), np.array([16, 16, 16]))) == {"val_l1"}


def test_seam_ratio() -> None:
    jumpy = brightening()
    for border in (4, 8, 12):
        jumpy[:, border:] += 12

    assert validation.seam_ratio(brightening(), 4) == pytest.approx(1.0)
    assert validation.seam_ratio(jumpy, 4) == pytest.approx(5.0)


def test_the_strip_shows_real_above_generated() -> None:
    image = validation.frame_strip(
        np.full((2, 6, 4, 4, 3), 200, np.uint8), np.zeros((2, 6, 4, 4, 3), np.uint8), max_frames=3, scale=2
    )

    assert image.shape == (32, 24, 3)
    assert [int(image[row, 0, 0]) for row in (0, 8, 16, 24)] == [200, 0, 200, 0]
