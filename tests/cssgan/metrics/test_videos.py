"""Masks, baselines and validation of the arrays."""

from __future__ import annotations

import numpy as np
import pytest

from cssgan.metrics.videos import (
    VideoPairs,
    hold_first_frame,
    hold_last_valid_frame,
    last_frames_of_clips,
    mean_defined,
)


def counting_video(n: int = 2, frames: int = 32) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Every pixel of frame t is t."""
    return np.broadcast_to(np.arange(frames, dtype=np.uint8)[None, :, None, None, None], (n, frames, 4, 4, 3)).copy()


def test_last_frames_of_clips() -> None:
    assert np.flatnonzero(last_frames_of_clips(32)).tolist() == [7, 15, 23, 31]
    assert np.flatnonzero(last_frames_of_clips(20)).tolist() == [7, 15]


def test_hold_first_frame_of_the_video_and_of_each_clip() -> None:
    video = counting_video()
    assert set(hold_first_frame(video)[0, :, 0, 0, 0].tolist()) == {0}
    assert hold_first_frame(video, 8)[1, :, 0, 0, 0].tolist() == [0] * 8 + [8] * 8 + [16] * 8 + [24] * 8


def test_hold_last_valid_frame() -> None:
    video = counting_video()
    held = hold_last_valid_frame(video, np.array([32, 5]))
    assert np.array_equal(held[0], video[0])
    assert held[1, :, 0, 0, 0].tolist() == [0, 1, 2, 3] + [4] * 28


def test_valid_mask() -> None:
    pairs = VideoPairs(real_NTHWC=counting_video(), fake_NTHWC=counting_video(), num_valid_N=np.array([1, 31]))
    assert pairs.valid.sum(axis=1).tolist() == [1, 31]
    assert not pairs.valid[1, 31]


@pytest.mark.parametrize(
    ("real", "fake", "valid", "message"),
    [
        (
            np.zeros((2, 8, 4, 4, 3), np.float32),
            np.zeros((2, 8, 4, 4, 3), np.uint8),
            [8, 8],
            "real videos: got float32",
        ),
        (np.zeros((2, 8, 4, 4, 3), np.uint8), np.zeros((2, 7, 4, 4, 3), np.uint8), [8, 8], "one shape"),
        (np.zeros((2, 8, 4, 4, 3), np.uint8), np.zeros((2, 8, 4, 4, 3), np.uint8), [0, 8], r"1\.\.8"),
        (np.zeros((2, 8, 4, 4, 3), np.uint8), np.zeros((2, 8, 4, 4, 3), np.uint8), [8, 9], r"1\.\.8"),
        (np.zeros((2, 8, 4, 4, 3), np.uint8), np.zeros((2, 8, 4, 4, 3), np.uint8), [8], "num_valid"),
    ],
)
def test_invalid_arrays_are_refused(real: object, fake: object, valid: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VideoPairs(real_NTHWC=real, fake_NTHWC=fake, num_valid_N=np.array(valid))  # type: ignore[arg-type]


def test_mean_defined_counts_nan() -> None:
    assert mean_defined(np.array([1.0, np.nan, 3.0])) == (2.0, 1)
    assert mean_defined(np.array([np.nan])) == (None, 1)
