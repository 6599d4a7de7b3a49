"""L1, PSNR and SSIM against known values and an independent SSIM."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from cssgan.metrics.image_quality import MAX_PSNR_DB, l1, mean_over_frames, psnr, ssim
from tests.cssgan.metrics import toy_scenes


def videos(seed: int = 0) -> NDArray[np.uint8]:
    return toy_scenes.make(4, 8, seed, size=32).videos_NTHWC


def test_identical_videos() -> None:
    video = videos()
    assert l1(video, video).tolist() == [[0.0] * 8] * 4
    assert ssim(video, video) == pytest.approx(np.ones((4, 8)), abs=1e-12)
    assert psnr(video, video) == pytest.approx(np.full((4, 8), MAX_PSNR_DB))
    assert pytest.approx(58.92, abs=0.01) == MAX_PSNR_DB


def test_l1_and_psnr_of_a_constant_offset() -> None:
    real = np.full((4, 8, 16, 16, 3), 100, np.uint8)
    fake = np.full((4, 8, 16, 16, 3), 110, np.uint8)
    assert l1(real, fake) == pytest.approx(np.full((4, 8), 10 / 127.5))
    assert l1(fake, real) == pytest.approx(np.full((4, 8), 10 / 127.5))
    assert psnr(real, fake) == pytest.approx(np.full((4, 8), 20 * np.log10(255 / 10)))


def test_black_against_white_is_two_units() -> None:
    black, white = np.zeros((4, 8, 16, 16, 3), np.uint8), np.full((4, 8, 16, 16, 3), 255, np.uint8)
    assert l1(black, white) == pytest.approx(np.full((4, 8), 2.0))
    assert psnr(black, white) == pytest.approx(np.full((4, 8), 0.0))


def test_mean_over_frames_of_masked_frames_and_videos_without_frames() -> None:
    values = np.arange(8.0).reshape(2, 4)
    use = np.array([[True, True, False, False], [False] * 4])
    found = mean_over_frames(values, use)
    assert found[0] == 0.5
    assert np.isnan(found[1])


def test_all_metrics_are_monotonic_in_noise() -> None:
    real = videos()
    noise = np.random.default_rng(1).normal(size=real.shape)
    noisy = [np.clip(real + sigma * noise, 0, 255).astype(np.uint8) for sigma in (0, 4, 12, 36)]
    assert np.all(np.diff([l1(real, fake).mean() for fake in noisy]) > 0)
    assert np.all(np.diff([psnr(real, fake).mean() for fake in noisy]) < 0)
    assert np.all(np.diff([ssim(real, fake).mean() for fake in noisy]) < 0)


def direct_ssim(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """SSIM of two (H, W) images, window by window, from the equations of the paper."""
    y, x = np.mgrid[-5:6, -5:6]
    weight = np.exp(-(x**2 + y**2) / (2 * 1.5**2))
    weight /= weight.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values: list[float] = []
    for top in range(a.shape[0] - 10):
        for left in range(a.shape[1] - 10):
            p, q = a[top : top + 11, left : left + 11], b[top : top + 11, left : left + 11]
            mean_p, mean_q = (weight * p).sum(), (weight * q).sum()
            var_p, var_q = (weight * (p - mean_p) ** 2).sum(), (weight * (q - mean_q) ** 2).sum()
            cov = (weight * (p - mean_p) * (q - mean_q)).sum()
            values.append(
                (2 * mean_p * mean_q + c1) * (2 * cov + c2) / ((mean_p**2 + mean_q**2 + c1) * (var_p + var_q + c2))
            )
    return float(np.mean(values))


def test_ssim_agrees_with_a_direct_implementation() -> None:
    rng = np.random.default_rng(2)
    real = toy_scenes.make(1, 2, 3, size=24).videos_NTHWC
    fake = np.clip(real + rng.normal(0, 20, real.shape), 0, 255).astype(np.uint8)
    expected = np.mean(
        [
            direct_ssim(real[0, t, :, :, c].astype(float), fake[0, t, :, :, c].astype(float))
            for t in range(2)
            for c in range(3)
        ]
    )
    assert ssim(real, fake).mean() == pytest.approx(expected, abs=1e-9)


def test_ssim_and_psnr_agree_with_scikit_image() -> None:
    """The same window (Gaussian 11x11, sigma 1.5, weights that sum to 1), population covariance, border ignored."""
    rng = np.random.default_rng(4)
    real = videos()
    fake = np.clip(real + rng.normal(0, 15, real.shape), 0, 255).astype(np.uint8)
    ours_ssim, ours_psnr = ssim(real, fake), psnr(real, fake)
    for n, t in np.ndindex(real.shape[:2]):
        expected = structural_similarity(
            real[n, t], fake[n, t], gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255,
            channel_axis=2,
        )  # fmt: skip
        assert ours_ssim[n, t] == pytest.approx(expected, abs=1e-6)
        assert ours_psnr[n, t] == pytest.approx(peak_signal_noise_ratio(real[n, t], fake[n, t], data_range=255))


def test_ssim_refuses_frames_smaller_than_its_window() -> None:
    small = np.zeros((1, 2, 10, 64, 3), np.uint8)
    with pytest.raises(ValueError, match="at least 11x11"):
        ssim(small, small)
