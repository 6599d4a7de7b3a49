"""Transforms of videos before feature extraction, and selection of frames."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cssgan.metrics import feature_extraction
from cssgan.metrics.videos import hold_last_valid_frame


class Means:
    """A network with a known feature: the mean grey level of its item, twice."""

    name, frames_at_once = "means", 48

    def __call__(self, items: NDArray[np.uint8]) -> NDArray[np.float64]:
        mean = items.reshape(len(items), -1).mean(axis=1)
        return np.stack([mean, mean], axis=1)


VIDEOS = np.broadcast_to(np.arange(32, dtype=np.uint8)[None, :, None, None, None], (11, 32, 2, 2, 3)).copy()
VALID = np.array([32, 13, 2, 32, 32, 32, 32, 32, 32, 32, 1])


def test_selected_frames_are_valid() -> None:
    features, groups = feature_extraction.frame_features(Means(), VIDEOS, VALID, feature_extraction.every_nth_frame(8))
    assert features.values_ND[:7, 0].tolist() == [4, 12, 20, 28, 4, 12, 1]
    assert groups[:7].tolist() == [0, 0, 0, 0, 1, 1, 2]
    assert groups[-1] == 10
    all_frames, _ = feature_extraction.frame_features(Means(), VIDEOS, VALID, feature_extraction.every_nth_frame(1))
    assert all_frames.count == VALID.sum()


def test_frames_around_seams_are_beside_every_boundary_of_clips() -> None:
    select = feature_extraction.frames_around_seams(8)
    assert select(32).tolist() == [4, 7, 8, 12, 15, 16, 20, 23, 24, 28, 31]
    assert select(13).tolist() == [4, 7, 8, 12]
    assert select(2).tolist() == [1]
    assert select(1).tolist() == [0]
    assert feature_extraction.frames_around_seams(1)(5).tolist() == [0, 1, 2, 3, 4]
    assert feature_extraction.frames_around_seams(4)(9).tolist() == [2, 3, 4, 6, 7, 8]


def test_rows_are_in_the_order_of_the_videos() -> None:
    videos = VIDEOS + np.arange(11, dtype=np.uint8)[:, None, None, None, None]
    features = feature_extraction.video_features(Means(), videos, np.full(11, 32), num_frames=16)
    assert features.values_ND[:, 0] == pytest.approx(7.5 + np.arange(11))


def test_freeze_repeats_the_first_frame_and_hold_last_valid_frame_the_last() -> None:
    assert feature_extraction.freeze(VIDEOS, VALID).max() == 0
    held = hold_last_valid_frame(VIDEOS, VALID)[:, :, 0, 0, 0]
    assert held[1].tolist() == [*range(13), *([12] * 19)]
    assert held[10].tolist() == [0] * 32


def test_shuffle_permutes_valid_frames_only() -> None:
    order = np.random.default_rng(0).permutation(32)
    out = feature_extraction.shuffle(order)(VIDEOS, VALID)[:, :, 0, 0, 0]
    assert out[0].tolist() == order.tolist()
    assert sorted(out[1][:13].tolist()) == list(range(13))
    assert set(out[1][13:].tolist()) == {int(out[1][12])}
