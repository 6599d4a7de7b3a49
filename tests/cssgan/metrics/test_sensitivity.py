"""The swap test on generators of which we know whether they listen."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cssgan.metrics import synchrony
from cssgan.metrics.sensitivity import swap
from tests.cssgan.metrics import toy_scenes


def deaf(images: NDArray[np.uint8], mels: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Moves by itself, in a way that the picture alone decides."""
    out = np.repeat(images[:, None], mels.shape[1], axis=1).astype(np.int16)
    phase = images.reshape(len(images), -1).sum(axis=1) % 7
    for t in range(mels.shape[1]):
        out[:, t] += ((t + phase) % 7 == 0).astype(np.int16)[:, None, None, None] * 20
    return np.clip(out, 0, 255).astype(np.uint8)


def listener(images: NDArray[np.uint8], mels: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The picture, brighter while something sounds."""
    onset = synchrony.onset_curves(mels, np.full(len(mels), 4.0))
    gain = 1.0 - 0.5 * (onset > 0.5 * onset.max(axis=1, keepdims=True))
    return (images[:, None] * gain[:, :, None, None, None]).astype(np.uint8)


@pytest.fixture(name="scene")
def _scene() -> toy_scenes.Scenes:
    return toy_scenes.make(4, size=16)


def conditions(
    scene: toy_scenes.Scenes,
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    return scene.videos_NTHWC[:, 0], scene.mels_NTMU, np.arange(4), scene.num_valid_N


def test_a_deaf_generator_changes_with_the_picture_alone(scene: toy_scenes.Scenes) -> None:
    seen = swap(deaf, *conditions(scene))
    assert seen.change_by_sound == 0.0
    assert seen.change_by_image > 0.1
    assert seen.same_image_correlation == pytest.approx(1.0)
    assert seen.same_sound_correlation < 0.9


def test_a_listener_moves_alike_under_the_same_sound(scene: toy_scenes.Scenes) -> None:
    seen = swap(listener, *conditions(scene))
    assert seen.change_by_sound > 0.0
    assert seen.same_sound_correlation > 0.95
    assert seen.same_image_correlation < 0.6


def test_still_videos_are_counted_as_undefined(scene: toy_scenes.Scenes) -> None:
    seen = swap(lambda images, mels, labels: np.repeat(images[:, None], mels.shape[1], axis=1), *conditions(scene))
    assert (seen.same_sound_correlation, seen.same_image_correlation) == (0.0, 0.0)
    assert seen.num_undefined == 2 * 4 * 6


def test_frames_past_the_shortest_sound_do_not_count(scene: toy_scenes.Scenes) -> None:
    def wild_end(images: NDArray[np.uint8], mels: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
        video = np.repeat(images[:, None], mels.shape[1], axis=1)
        video[:, 10:] = np.random.default_rng(int(images.sum())).integers(0, 256, video[:, 10:].shape)
        return video

    images, mels, labels, _ = conditions(scene)
    seen = swap(wild_end, images, mels, labels, np.array([32, 10, 32, 32]))
    assert seen.change_by_sound == 0.0


def test_one_video_cannot_be_swapped(scene: toy_scenes.Scenes) -> None:
    images, mels, labels, valid = conditions(scene)
    with pytest.raises(ValueError, match="2 or more"):
        swap(deaf, images[:1], mels[:1], labels[:1], valid[:1])
