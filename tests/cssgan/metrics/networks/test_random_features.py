"""The random networks: constant weights, independence of the batch, and distances that order corruptions."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cssgan.metrics.distances import frechet_distance, kernel_distance
from cssgan.metrics.feature_extraction import Extractor
from cssgan.metrics.features import Features, moments, real_scale
from cssgan.metrics.networks.random_features import normal_numbers, orthogonal, rand2d, rand3d
from tests.cssgan.metrics import toy_scenes


@pytest.fixture(scope="module", name="scene")
def _scene() -> toy_scenes.Scenes:
    return toy_scenes.make(40, frames=16, seed=0, size=32)


def extract(extractor: Extractor, items: NDArray[np.uint8]) -> Features:
    return Features(values_ND=extractor(items), extractor=extractor.name)


def sampled(videos: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames 4 and 12 of videos of 16 frames."""
    return videos[:, 4::8].reshape(-1, *videos.shape[2:])


def distance(extractor: Extractor, real: NDArray[np.uint8], fake: NDArray[np.uint8]) -> float:
    a = extract(extractor, real)
    scale = real_scale(a)
    b = extract(extractor, fake).scaled(scale)
    return frechet_distance(moments(a.scaled(scale), ddof=1), moments(b, ddof=1))


def test_checksums_of_the_weights() -> None:
    """Values of different versions are comparable only if these do not change."""
    assert rand2d().name == "rand2d-e14ee29a21fd"
    assert rand3d().name == "rand3d-ded6bf5cf981"


def test_random_numbers_are_reproducible() -> None:
    first = normal_numbers(4, (1, 2))
    assert first == pytest.approx([1.5210277537, -1.2909154793, -1.2991184462, -0.0195180287], abs=1e-9)
    many = normal_numbers(20_000, (1, 2))
    assert abs(many.mean()) < 0.03
    assert many.std() == pytest.approx(1.0, abs=0.02)
    assert not np.allclose(normal_numbers(4, (1, 3)), first)


@pytest.mark.parametrize("shape", [(5, 12), (12, 5), (4, 4)])
def test_orthogonal_matrices(shape: tuple[int, int]) -> None:
    matrix = orthogonal(*shape, (3, 4))
    assert matrix.shape == shape
    small = matrix @ matrix.T if shape[0] <= shape[1] else matrix.T @ matrix
    assert small == pytest.approx(np.eye(min(shape)), abs=1e-12)


def test_features_do_not_depend_on_the_batch(scene: toy_scenes.Scenes) -> None:
    videos = scene.videos_NTHWC[:5]
    parts = np.concatenate([rand3d()(videos[:2]), rand3d()(videos[2:])])
    assert parts == pytest.approx(rand3d()(videos), abs=1e-5)
    assert rand2d()(videos[:, 0]).shape == (5, 64)


def test_equal_sets_have_distance_zero(scene: toy_scenes.Scenes) -> None:
    videos = scene.videos_NTHWC
    assert distance(rand3d(), videos, videos.copy()) == pytest.approx(0.0, abs=1e-6)
    frames = sampled(videos)
    assert distance(rand2d(), frames, frames.copy()) == pytest.approx(0.0, abs=1e-6)


def test_both_distances_increase_with_noise_and_blur(scene: toy_scenes.Scenes) -> None:
    real = scene.videos_NTHWC
    noise = np.random.default_rng(1).normal(size=real.shape)
    noisy = [np.clip(real + sigma * noise, 0, 255).astype(np.uint8) for sigma in (3, 10, 30)]
    blurred = [gaussian_filter(real, (0, 0, sigma, sigma, 0)) for sigma in (0.4, 0.8, 2.0)]
    for corrupted in (noisy, blurred):
        assert np.all(np.diff([distance(rand3d(), real, fake) for fake in corrupted]) > 0)
        frames = sampled(real)
        values = [distance(rand2d(), frames, sampled(fake)) for fake in corrupted]
        assert np.all(np.diff(values) > 0)


def test_shuffled_frames_raise_the_video_distance_but_not_the_frame_distance(scene: toy_scenes.Scenes) -> None:
    real = scene.videos_NTHWC
    shuffled = real[:, np.random.default_rng(2).permutation(16)]
    floor = distance(rand3d(), real, toy_scenes.make(40, frames=16, seed=7, size=32).videos_NTHWC)
    assert distance(rand3d(), real, shuffled) > 2 * floor
    frames = real.reshape(-1, *real.shape[2:])
    assert distance(rand2d(), frames, shuffled.reshape(frames.shape)) == pytest.approx(0.0, abs=1e-6)


def test_the_distance_increases_with_the_frozen_share(scene: toy_scenes.Scenes) -> None:
    real = scene.videos_NTHWC
    frozen = [real[:, np.minimum(np.arange(16), last)] for last in (12, 6, 0)]
    values = [distance(rand3d(), real, fake) for fake in frozen]
    assert np.all(np.diff([0.0, *values]) > 0)
    a, b = extract(rand3d(), real), extract(rand3d(), frozen[-1])
    scale = real_scale(a)
    assert kernel_distance(a.scaled(scale), b.scaled(scale)) > 0
