"""Measures of a generated video against the real video whose first frame, sound and class it was made from.

Pure functions on uint8 videos (N, T, H, W, 3); each gives one float64 a frame. `over_frames` then averages those that
count, so that one pass serves all frames and the last frames of clips.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from cssgan.metrics.videos import Floats, Mask, Videos, blocks, first_frame_held

SSIM_WINDOW, SSIM_SIGMA, SSIM_K1, SSIM_K2 = 11, 1.5, 0.01, 0.03
"""Wang et al. 2004, section III-C."""

QUANTISATION_MSE = 1.0 / 12.0
"""Mean squared error of rounding to whole grey levels: no uint8 comparison can show less, so PSNR ends here."""
MAX_PSNR_DB = float(10.0 * np.log10(255.0**2 / QUANTISATION_MSE))


def over_frames(per_frame_NT: Floats, use_NT: Mask) -> Floats:
    """Mean of each video over its used frames, float64 (N,); NaN for a video without any (`mean_defined` counts it)."""
    counts = use_NT.sum(axis=1)
    sums = np.where(use_NT, per_frame_NT, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def against_copy(
    measure: Callable[[Videos, Videos], Floats], real_NTHWC: Videos, clip_frames: int = 0
) -> Floats:  # fmt: skip
    """A measure of the real videos against their own first frames, held (`first_frame_held`), float64 (N, T)."""
    parts = [
        measure(real_NTHWC[rows], first_frame_held(real_NTHWC[rows], clip_frames))
        for rows in blocks(len(real_NTHWC), 32, real_NTHWC)
    ]
    return np.concatenate(parts)


def l1(real_NTHWC: Videos, fake_NTHWC: Videos) -> Floats:
    """Mean absolute difference of each frame, float64 (N, T), in [-1, 1] units (0..2): grey levels / 127.5."""
    out_NT = np.empty(real_NTHWC.shape[:2])
    for rows in blocks(len(real_NTHWC), 32, real_NTHWC, fake_NTHWC):
        difference = np.abs(real_NTHWC[rows].astype(np.int16) - fake_NTHWC[rows])
        out_NT[rows] = difference.mean(axis=(2, 3, 4), dtype=np.float64) / 127.5
    return out_NT


def psnr(real_NTHWC: Videos, fake_NTHWC: Videos) -> Floats:
    """Peak signal-to-noise ratio of each frame, 10 log10(255^2 / MSE) in dB, float64 (N, T).

    Identical frames count as `MAX_PSNR_DB` (58.9), not as infinity.
    """
    out_NT = np.empty(real_NTHWC.shape[:2])
    for rows in blocks(len(real_NTHWC), 32, real_NTHWC, fake_NTHWC):
        difference = real_NTHWC[rows].astype(np.float32) - fake_NTHWC[rows]
        mse = np.square(difference).mean(axis=(2, 3, 4), dtype=np.float64)
        out_NT[rows] = 10.0 * np.log10(255.0**2 / np.maximum(mse, QUANTISATION_MSE))
    return out_NT


def ssim(real_NTHWC: Videos, fake_NTHWC: Videos) -> Floats:
    """Structural similarity of each frame, mean over channels and interior pixels, float64 (N, T), at most 1.

    Gaussian window 11x11, sigma 1.5, K1 .01, K2 .03, range 255, weighted (biased) moments; pixels nearer than 5 to the
    border are left out, so no padding rule enters.
    """
    height, width = real_NTHWC.shape[2:4]
    if min(height, width) < SSIM_WINDOW:
        raise ValueError(f"ssim: got frames of {height}x{width}, allowed: at least {SSIM_WINDOW}x{SSIM_WINDOW}")
    out_NT = np.empty(real_NTHWC.shape[:2])
    for rows in blocks(len(real_NTHWC), 8, real_NTHWC, fake_NTHWC):
        for n in range(rows.start, rows.stop):
            frames = zip(real_NTHWC[n], fake_NTHWC[n], strict=True)
            out_NT[n] = [_ssim_map(real, fake).mean() for real, fake in frames]
    return out_NT


def _ssim_map(real_HWC: NDArray[np.uint8], fake_HWC: NDArray[np.uint8]) -> Floats:
    """SSIM of each interior pixel, (H - 10, W - 10, 3)."""
    real, fake = real_HWC.astype(np.float64), fake_HWC.astype(np.float64)
    mean_r, mean_f = _window_mean(real), _window_mean(fake)
    var_r = _window_mean(real * real) - mean_r * mean_r
    var_f = _window_mean(fake * fake) - mean_f * mean_f
    cov = _window_mean(real * fake) - mean_r * mean_f
    c1, c2 = (SSIM_K1 * 255.0) ** 2, (SSIM_K2 * 255.0) ** 2
    return (2 * mean_r * mean_f + c1) * (2 * cov + c2) / ((mean_r**2 + mean_f**2 + c1) * (var_r + var_f + c2))


def _window_weights() -> Floats:
    offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    weights = np.exp(-(offsets**2) / (2.0 * SSIM_SIGMA**2))
    return weights / weights.sum()


_WEIGHTS = _window_weights()


def _window_mean(image_HWC: Floats) -> Floats:
    half = SSIM_WINDOW // 2
    # A quarter of the time of SciPy's filters, and the same digits.
    mean: Floats = np.asarray(cv2.sepFilter2D(image_HWC, cv2.CV_64F, _WEIGHTS, _WEIGHTS), np.float64)
    return mean[half:-half, half:-half]
