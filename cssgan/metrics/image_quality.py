"""L1, PSNR and SSIM of a generated video against the real video whose first frame, audio and class it was made from.

`l1`, `psnr` and `ssim` take uint8 videos (N, T, H, W, 3) and return one float64 per frame (N, T). `mean_over_frames`
averages the selected frames, so that one pass serves both all frames and the last frames of clips.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from cssgan.metrics.result import Better, MetricResult, ProtocolValue, unavailable
from cssgan.metrics.statistics import RESAMPLES, bootstrap_mean, bootstrap_weights, percentile_interval, safe_ratios
from cssgan.metrics.videos import (
    CLIP_FRAMES,
    Floats,
    Mask,
    ReadVideos,
    VideoPairs,
    Videos,
    blocks,
    hold_first_frame,
    last_frames_of_clips,
    mean_defined,
)

FrameMetric = Callable[[Videos, Videos], Floats]
SSIM_WINDOW, SSIM_SIGMA, SSIM_K1, SSIM_K2 = 11, 1.5, 0.01, 0.03
"""Wang et al. 2004, section III-C."""

QUANTIZATION_MSE = 1.0 / 12.0
"""Mean squared error of rounding to integer grey levels, the smallest error that uint8 videos can show. Caps PSNR."""
MAX_PSNR_DB = float(10.0 * np.log10(255.0**2 / QUANTIZATION_MSE))
BOOTSTRAP = f"bootstrap over videos, {RESAMPLES} resamples"


def mean_over_frames(per_frame_NT: Floats, use_NT: Mask) -> Floats:
    """Mean over the selected frames of each video, float64 (N,); NaN for a video without any."""
    counts = use_NT.sum(axis=1)
    sums = np.where(use_NT, per_frame_NT, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def copy_first_baseline(metric: FrameMetric, real_NTHWC: Videos, clip_frames: int = 0) -> Floats:
    """The metric of `hold_first_frame` against the real videos, float64 (N, T)."""
    return np.concatenate([
        metric(real_NTHWC[rows], hold_first_frame(real_NTHWC[rows], clip_frames))
        for rows in blocks(len(real_NTHWC), 32, real_NTHWC)
    ])  # fmt: skip


def l1(real_NTHWC: Videos, fake_NTHWC: Videos) -> Floats:
    """Mean absolute difference of each frame, float64 (N, T), in [-1, 1] units (0..2): grey levels / 127.5."""
    out_NT = np.empty(real_NTHWC.shape[:2])
    for rows in blocks(len(real_NTHWC), 32, real_NTHWC, fake_NTHWC):
        difference = np.abs(real_NTHWC[rows].astype(np.int16) - fake_NTHWC[rows])
        out_NT[rows] = difference.mean(axis=(2, 3, 4), dtype=np.float64) / 127.5
    return out_NT


def psnr(real_NTHWC: Videos, fake_NTHWC: Videos) -> Floats:
    """Peak signal-to-noise ratio of each frame, 10 log10(255^2 / MSE) in dB, float64 (N, T).

    Identical frames have `MAX_PSNR_DB` (58.9), not infinity.
    """
    out_NT = np.empty(real_NTHWC.shape[:2])
    for rows in blocks(len(real_NTHWC), 32, real_NTHWC, fake_NTHWC):
        difference = real_NTHWC[rows].astype(np.float32) - fake_NTHWC[rows]
        mse = np.square(difference).mean(axis=(2, 3, 4), dtype=np.float64)
        out_NT[rows] = 10.0 * np.log10(255.0**2 / np.maximum(mse, QUANTIZATION_MSE))
    return out_NT


def ssim(real_NTHWC: Videos, fake_NTHWC: Videos) -> Floats:
    """Structural similarity of each frame, mean over channels and interior pixels, float64 (N, T), at most 1.

    Gaussian window 11x11, sigma 1.5, K1 .01, K2 .03, range 255, weighted (biased) moments. Pixels closer than 5 to the
    border are ignored, so that no padding rule influences the value.
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
    # Takes a quarter of the time of SciPy's filters and gives the same digits.
    mean: Floats = np.asarray(cv2.sepFilter2D(image_HWC, cv2.CV_64F, _WEIGHTS, _WEIGHTS), np.float64)
    return mean[half:-half, half:-half]


_METRICS: tuple[tuple[str, FrameMetric, Better, str], ...] = (
    ("l1", l1, "lower", "[-1, 1] units"),
    ("psnr", psnr, "higher", "dB"),
    ("ssim", ssim, "higher", ""),
)


def image_quality_results(
    pairs: VideoPairs,
    clip_frames: int = CLIP_FRAMES,
    seed: int = 0,
    controls: Mapping[str, ReadVideos] | None = None,
) -> list[MetricResult]:
    """L1, PSNR and SSIM over all valid frames and over the last frame of each clip, and L1 relative to copying.

    Args:
        clip_frames: frames of one clip of the cascade.
        seed: of the bootstrap.
        controls: control videos by name (`cssgan.metrics.controls`), for L1 relative to copying.
    """
    real, fake, n = pairs.real_NTHWC, pairs.fake_NTHWC, len(pairs)
    last = pairs.valid & last_frames_of_clips(real.shape[1], clip_frames)[None, :]
    results: list[MetricResult] = []
    for name, metric, better, unit in _METRICS:
        frames_NT, copied_NT = metric(real, fake), copy_first_baseline(metric, real)
        for suffix, use in (("", pairs.valid), ("_last_of_clip", last)):
            values = mean_over_frames(frames_NT, use)
            mean, undefined = mean_defined(values)
            copied, _ = mean_defined(mean_over_frames(copied_NT, use))
            if mean is None or copied is None:
                reason = f"no video reaches the last frame of a clip of {clip_frames}"
                results.append(unavailable(name + suffix, reason, better=better, n_real=n, n_fake=n))
                continue
            results.append(
                MetricResult(
                    name=name + suffix, value=mean, better=better, unit=unit, n_real=n, n_fake=n,
                    controls={"copy_first": copied}, num_undefined=undefined, interval=bootstrap_mean(values, seed),
                    protocol=_protocol(name, suffix, clip_frames),
                )
            )  # fmt: skip
        if name == "l1":
            results.append(_relative_l1(pairs, frames_NT, copied_NT, clip_frames, seed, controls))
    return results


def l1_over_copy_first_result(
    pairs: VideoPairs, clip_frames: int = CLIP_FRAMES, seed: int = 0, controls: Mapping[str, ReadVideos] | None = None
) -> MetricResult:
    """L1 relative to the held first frame alone; arguments as in `image_quality_results`."""
    frames_NT, copied_NT = l1(pairs.real_NTHWC, pairs.fake_NTHWC), copy_first_baseline(l1, pairs.real_NTHWC)
    return _relative_l1(pairs, frames_NT, copied_NT, clip_frames, seed, controls)


def _relative_l1(
    pairs: VideoPairs, frames_NT: Floats, copied_NT: Floats, clip_frames: int, seed: int,
    controls: Mapping[str, ReadVideos] | None,
) -> MetricResult:  # fmt: skip
    fake_l1, copy_l1 = (mean_over_frames(frames, pairs.valid) for frames in (frames_NT, copied_NT))
    relative = _l1_over_copy_first(pairs, fake_l1, copy_l1, clip_frames, seed)
    return _with_l1_of_controls(relative, pairs, float(copy_l1.mean()), controls or {})


def _protocol(name: str, suffix: str, clip_frames: int) -> dict[str, ProtocolValue]:
    fields: dict[str, ProtocolValue] = {
        "frames": f"last of each clip of {clip_frames}" if suffix else "all valid",
        "reduction": "mean over frames, then over videos",
        "interval": BOOTSTRAP,
    }
    if name == "ssim":
        fields |= {"window": "Gaussian 11x11, sigma 1.5", "border": "ignored", "channels": "mean over RGB"}
    if name == "psnr":
        fields |= {"peak": 255, "identical_frames_count_as_db": round(MAX_PSNR_DB, 2)}
    return fields


def _l1_over_copy_first(
    pairs: VideoPairs, fake_l1: Floats, copy_l1: Floats, clip_frames: int, seed: int
) -> MetricResult:
    n = len(pairs)
    clip_l1 = mean_over_frames(copy_first_baseline(l1, pairs.real_NTHWC, clip_frames), pairs.valid)
    if copy_l1.mean() == 0.0:
        return unavailable("l1_over_copy_first", "every real video is static", better="lower", n_real=n, n_fake=n)
    weights = bootstrap_weights(n, seed)
    controls = {"l1_copy_first": float(copy_l1.mean()), "l1_copy_first_of_each_clip": float(clip_l1.mean())}
    if clip_l1.mean() > 0.0:
        controls["over_copy_first_of_each_clip"] = float(fake_l1.mean() / clip_l1.mean())
    return MetricResult(
        name="l1_over_copy_first", value=float(fake_l1.mean() / copy_l1.mean()), better="lower", unit="ratio",
        n_real=n, n_fake=n, controls=controls,
        interval=percentile_interval(safe_ratios(weights @ fake_l1, weights @ copy_l1)),
        protocol={"baseline": "the real first frame, repeated", "clip_frames": clip_frames, "interval": BOOTSTRAP},
    )  # fmt: skip


def _with_l1_of_controls(
    result: MetricResult, pairs: VideoPairs, copy_l1: float, controls: Mapping[str, ReadVideos]
) -> MetricResult:
    if result.value is None or not controls:
        return result
    real, found = pairs.real_NTHWC, {"real": 0.0}
    for name, read in controls.items():
        parts = [l1(real[rows], read(rows)) for rows in blocks(len(real), 32, real)]
        found[name] = float(mean_over_frames(np.concatenate(parts), pairs.valid).mean()) / copy_l1
    return result.with_controls(found, scale=1.0)
