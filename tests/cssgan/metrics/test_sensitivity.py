"""The swap test on an audio-conditioned and an unconditional generator."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cssgan.metrics import synchrony
from cssgan.metrics.sensitivity import swap_test
from tests.cssgan.metrics import toy_scenes


def unconditional(images: NDArray[np.uint8], mels: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Motion that depends on the image only."""
    out = np.repeat(images[:, None], mels.shape[1], axis=1).astype(np.int16)
    phase = images.reshape(len(images), -1).sum(axis=1) % 7
    for t in range(mels.shape[1]):
        out[:, t] += ((t + phase) % 7 == 0).astype(np.int16)[:, None, None, None] * 20
    return np.clip(out, 0, 255).astype(np.uint8)


def audio_conditioned(
    images: NDArray[np.uint8], mels: NDArray[np.float32], labels: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """The image, darker except at onsets."""
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


def test_unconditional_generator_changes_with_the_image_only(scene: toy_scenes.Scenes) -> None:
    result = swap_test(unconditional, *conditions(scene))
    assert result.change_by_audio == 0.0
    assert result.change_by_image > 0.1
    assert result.same_image_correlation == pytest.approx(1.0)
    assert result.same_audio_correlation < 0.9


def test_audio_conditioned_generator_has_equal_motion_for_equal_audio(scene: toy_scenes.Scenes) -> None:
    result = swap_test(audio_conditioned, *conditions(scene))
    assert result.change_by_audio > 0.0
    assert result.same_audio_correlation > 0.95
    assert result.same_image_correlation < 0.6


def test_static_videos_are_counted_as_undefined(scene: toy_scenes.Scenes) -> None:
    result = swap_test(
        lambda images, mels, labels: np.repeat(images[:, None], mels.shape[1], axis=1), *conditions(scene)
    )
    assert (result.same_audio_correlation, result.same_image_correlation) == (0.0, 0.0)
    assert result.num_undefined == 2 * 4 * 6


def test_frames_after_the_shortest_audio_are_ignored(scene: toy_scenes.Scenes) -> None:
    def noise_after_frame_10(
        images: NDArray[np.uint8], mels: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        video = np.repeat(images[:, None], mels.shape[1], axis=1)
        video[:, 10:] = np.random.default_rng(int(images.sum())).integers(0, 256, video[:, 10:].shape)
        return video

    images, mels, labels, _ = conditions(scene)
    result = swap_test(noise_after_frame_10, images, mels, labels, np.array([32, 10, 32, 32]))
    assert result.change_by_audio == 0.0


def test_one_video_is_refused(scene: toy_scenes.Scenes) -> None:
    images, mels, labels, valid = conditions(scene)
    with pytest.raises(ValueError, match="2 or more"):
        swap_test(unconditional, images[:1], mels[:1], labels[:1], valid[:1])
