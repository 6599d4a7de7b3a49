"""How much a video moves, when, and whether its clips join without a jump. Pure functions."""

from __future__ import annotations

import numpy as np

from cssgan.metrics.videos import CLIP_FRAMES, Floats, Mask, Videos, blocks

STATIC_SHARE_OF_REAL = 0.1
"""A generated video that moves less than this share of its real pair is static (model specification, 6.5)."""
STILL_GREY_LEVELS = 0.01
"""Motion below this is none: at 64x64 about 120 of 12 288 values change by one grey level a frame."""


def motion_curves(videos_NTHWC: Videos) -> Floats:
    """m_t = mean |x_t - x_(t-1)| in grey levels 0..255, float64 (N, T - 1); entry k is frame t = k + 1."""
    n, t = videos_NTHWC.shape[:2]
    out = np.empty((n, t - 1))
    for rows in blocks(n, 32, videos_NTHWC):
        frames = videos_NTHWC[rows].astype(np.int16)
        out[rows] = np.abs(frames[:, 1:] - frames[:, :-1]).mean(axis=(2, 3, 4), dtype=np.float64)
    return out


def motion_mask(valid_NT: Mask) -> Mask:
    """bool (N, T - 1): both frames of entry k of a motion curve are valid."""
    return valid_NT[:, 1:]


def mean_motion(motion_NK: Floats, use_NK: Mask) -> Floats:
    """Mean of each motion curve over its used entries, float64 (N,); 0 for a video of one frame."""
    return np.where(use_NK, motion_NK, 0.0).sum(axis=1) / np.maximum(use_NK.sum(axis=1), 1)


def seam_ratio(motion_NK: Floats, use_NK: Mask, clip_frames: int = CLIP_FRAMES) -> Floats:
    """Motion into the first frame of clips 2, 3, 4 over motion elsewhere, float64 (N,); about 1 without seams.

    Both means get `STILL_GREY_LEVELS` added, so that a video without any motion has ratio 1 (it shows no seam) rather
    than 0 / 0. A video whose valid frames hold no seam or nothing but seams gets NaN.
    """
    at_seam = (np.arange(1, motion_NK.shape[1] + 1) % clip_frames == 0)[None, :]
    seam, other = use_NK & at_seam, use_NK & ~at_seam
    ratio = (mean_motion(motion_NK, seam) + STILL_GREY_LEVELS) / (mean_motion(motion_NK, other) + STILL_GREY_LEVELS)
    return np.where(seam.any(axis=1) & other.any(axis=1), ratio, np.nan)


def static_share(real_N: Floats, fake_N: Floats) -> tuple[float | None, int]:
    """Share of generated videos that are static, and the number of pairs left out because the real video is still.

    Args:
        real_N, fake_N: `mean_motion` of the real and the generated videos, in grey levels.

    Returns:
        (share 0..1, or None if every real video is still; number of still real videos)
    """
    moving = real_N > STILL_GREY_LEVELS
    if not moving.any():
        return None, int(real_N.size)
    static = fake_N[moving] < STATIC_SHARE_OF_REAL * real_N[moving]
    return float(static.mean()), int((~moving).sum())
