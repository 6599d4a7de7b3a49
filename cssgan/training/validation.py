"""Cheap metrics of generated against real windows during training. `cssgan evaluate` computes the full metrics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Video = NDArray[np.float64]


def sample_metrics(
    real_NTHWC: NDArray[np.uint8], fake_NTHWC: NDArray[np.uint8], num_valid_N: NDArray[np.int64]
) -> dict[str, float]:
    """``val_l1`` (pixels in [-1, 1]), ``val_l1_over_copy`` (relative to a held first frame), ``val_motion_ratio``.

    Frames past `num_valid_N` are left out, as are ratios with denominator 0.
    """
    num_frames = real_NTHWC.shape[1]
    real, fake = (x.astype(np.float64) / 127.5 - 1.0 for x in (real_NTHWC, fake_NTHWC))
    valid_NT = np.arange(num_frames) < num_valid_N[:, None]

    def l1(a: Video, b: Video) -> float:
        return float(np.abs(a - b).mean(axis=(2, 3, 4))[valid_NT].mean())

    def motion(x: Video) -> Video:
        return np.abs(x[:, 1:] - x[:, :-1]).mean(axis=(2, 3, 4))

    copy_l1 = l1(np.broadcast_to(real[:, :1], real.shape), real)
    real_motion, fake_motion = motion(real)[valid_NT[:, 1:]].mean(), motion(fake)[valid_NT[:, 1:]].mean()
    out = {"val_l1": l1(fake, real)}
    if copy_l1 > 0:
        out["val_l1_over_copy"] = out["val_l1"] / copy_l1
    if real_motion > 0:
        out["val_motion_ratio"] = float(fake_motion / real_motion)
    return out


def seam_ratio(fake_NTHWC: NDArray[np.uint8], frames_per_clip: int) -> float:
    """Mean change across clip borders over mean change elsewhere, median over videos; 1: no visible seams."""
    video = fake_NTHWC.astype(np.float64)
    change_NT = np.abs(video[:, 1:] - video[:, :-1]).mean(axis=(2, 3, 4))
    border_T = (np.arange(1, video.shape[1]) % frames_per_clip) == 0
    inside = change_NT[:, ~border_T].mean(axis=1)
    return float(np.median(change_NT[:, border_T].mean(axis=1) / np.maximum(inside, 1e-9)))


def frame_strip(
    real_NTHWC: NDArray[np.uint8], fake_NTHWC: NDArray[np.uint8], *, max_frames: int = 16, scale: int = 2
) -> NDArray[np.uint8]:
    """An image with one row of frames per video, real above generated, (H, W, 3) uint8."""
    frames = np.unique(np.linspace(0, real_NTHWC.shape[1] - 1, max_frames).round().astype(int))
    rows: list[NDArray[np.uint8]] = []
    for real, fake in zip(real_NTHWC[:, frames], fake_NTHWC[:, frames], strict=True):
        rows += [np.concatenate(list(real), axis=1), np.concatenate(list(fake), axis=1)]
    image = Image.fromarray(np.concatenate(rows))
    size = (image.width * scale, image.height * scale)
    return np.asarray(image.resize(size, Image.Resampling.NEAREST))
