"""Readouts of a generator on a few fixed windows while it trains; small numbers that say whether it lives.

The full measures, with their controls, are `cssgan evaluate`'s; these are cheap enough for every few hundred steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Video = NDArray[np.float64]


def readouts(
    real_NTHWC: NDArray[np.uint8], fake_NTHWC: NDArray[np.uint8], num_valid_N: NDArray[np.int64]
) -> dict[str, float]:
    """L1 (pictures in [-1, 1]), L1 as a share of copying the first frame, motion ratio, seam ratio of the fakes.

    Frames past `num_valid_N` are left out. A ratio whose lower part is 0 is left out too.
    """
    num_frames = real_NTHWC.shape[1]
    real, fake = (x.astype(np.float64) / 127.5 - 1.0 for x in (real_NTHWC, fake_NTHWC))
    valid_NT = np.arange(num_frames) < num_valid_N[:, None]

    def distance(a: Video, b: Video) -> float:
        return float(np.abs(a - b).mean(axis=(2, 3, 4))[valid_NT].mean())

    def motion(x: Video) -> Video:
        return np.abs(x[:, 1:] - x[:, :-1]).mean(axis=(2, 3, 4))

    copied = distance(np.broadcast_to(real[:, :1], real.shape), real)
    real_motion, fake_motion = motion(real)[valid_NT[:, 1:]].mean(), motion(fake)[valid_NT[:, 1:]].mean()
    out = {"val_l1": distance(fake, real)}
    if copied > 0:
        out["val_l1_over_copy"] = out["val_l1"] / copied
    if real_motion > 0:
        out["val_motion_ratio"] = float(fake_motion / real_motion)
    return out


def seam_ratio(fake_NTHWC: NDArray[np.uint8], frames_per_clip: int) -> float:
    """Median over videos of the mean change across clip borders by the mean change elsewhere; 1: no seam is seen."""
    video = fake_NTHWC.astype(np.float64)
    change_NT = np.abs(video[:, 1:] - video[:, :-1]).mean(axis=(2, 3, 4))
    border_T = (np.arange(1, video.shape[1]) % frames_per_clip) == 0
    inside = change_NT[:, ~border_T].mean(axis=1)
    return float(np.median(change_NT[:, border_T].mean(axis=1) / np.maximum(inside, 1e-9)))


def strip(
    real_NTHWC: NDArray[np.uint8], fake_NTHWC: NDArray[np.uint8], *, max_frames: int = 16, scale: int = 2
) -> NDArray[np.uint8]:
    """A picture of videos as rows of frames, real above generated, (H, W, 3) uint8."""
    frames = np.unique(np.linspace(0, real_NTHWC.shape[1] - 1, max_frames).round().astype(int))
    rows: list[NDArray[np.uint8]] = []
    for real, fake in zip(real_NTHWC[:, frames], fake_NTHWC[:, frames], strict=True):
        rows += [np.concatenate(list(real), axis=1), np.concatenate(list(fake), axis=1)]
    picture = Image.fromarray(np.concatenate(rows))
    size = (picture.width * scale, picture.height * scale)
    return np.asarray(picture.resize(size, Image.Resampling.NEAREST))
