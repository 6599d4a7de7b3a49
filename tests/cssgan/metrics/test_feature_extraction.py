"""What is done to videos on their way to a network, and which of their frames are taken."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cssgan.metrics import feature_extraction


class Means:
    """A network whose feature is known: the mean grey level of its item, twice."""

    name, frames_at_once = "means", 48

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __call__(self, items: NDArray[np.uint8]) -> NDArray[np.float64]:
        mean = items.reshape(len(items), -1).mean(axis=1)
        return np.stack([mean, mean], axis=1)


VIDEOS = np.broadcast_to(np.arange(32, dtype=np.uint8)[None, :, None, None, None], (11, 32, 2, 2, 3)).copy()
VALID = np.array([32, 13, 2, 32, 32, 32, 32, 32, 32, 32, 1])


def test_chosen_frames_stay_inside_the_valid_ones() -> None:
    features, groups = feature_extraction.of_frames(Means("frame"), VIDEOS, VALID, feature_extraction.every(8))
    assert features.values_ND[:7, 0].tolist() == [4, 12, 20, 28, 4, 12, 1]
    assert groups[:7].tolist() == [0, 0, 0, 0, 1, 1, 2]
    assert groups[-1] == 10
    all_frames, _ = feature_extraction.of_frames(Means("frame"), VIDEOS, VALID, feature_extraction.every(1))
    assert all_frames.count == VALID.sum()


def test_every_video_gives_a_row_in_its_place() -> None:
    videos = VIDEOS + np.arange(11, dtype=np.uint8)[:, None, None, None, None]
    features = feature_extraction.of_videos(Means("video"), videos, np.full(11, 32), num_frames=16)
    assert features.values_ND[:, 0] == pytest.approx(7.5 + np.arange(11))


def test_frozen_shows_the_first_frame_and_held_the_last_valid_one() -> None:
    assert feature_extraction.frozen(VIDEOS, VALID).max() == 0
    held = feature_extraction.held(VIDEOS, VALID)[:, :, 0, 0, 0]
    assert held[1].tolist() == [*range(13), *([12] * 19)]
    assert held[10].tolist() == [0] * 32


def test_shuffled_changes_the_order_of_valid_frames_and_nothing_else() -> None:
    order = np.random.default_rng(0).permutation(32)
    out = feature_extraction.shuffled(order)(VIDEOS, VALID)[:, :, 0, 0, 0]
    assert out[0].tolist() == order.tolist()
    assert sorted(out[1][:13].tolist()) == list(range(13))
    assert set(out[1][13:].tolist()) == {int(out[1][12])}
