"""Motion of videos: amount, static videos, and discontinuities between the clips of the cascade."""

from __future__ import annotations

import numpy as np

from cssgan.metrics.result import MetricResult, unavailable
from cssgan.metrics.statistics import RESAMPLES, bootstrap_weights, percentile_interval, safe_ratios
from cssgan.metrics.videos import CLIP_FRAMES, Floats, Mask, VideoPairs, Videos, blocks

STATIC_SHARE_OF_REAL = 0.1
"""A generated video with less than this share of the motion of its real pair is static (model specification, 6.5)."""
STILL_GREY_LEVELS = 0.01
"""Motion up to this value counts as none: at 64x64 about 120 of 12 288 values change by one grey level per frame."""


def motion_curves(videos_NTHWC: Videos) -> Floats:
    """m_t = mean |x_t - x_(t-1)| in grey levels 0..255, float64 (N, T - 1); entry k belongs to frame t = k + 1."""
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
    """Mean of each motion curve over the selected entries, float64 (N,); 0 for a video of one frame."""
    return np.where(use_NK, motion_NK, 0.0).sum(axis=1) / np.maximum(use_NK.sum(axis=1), 1)


def seam_ratio(motion_NK: Floats, use_NK: Mask, clip_frames: int = CLIP_FRAMES) -> Floats:
    """Motion into the first frame of clips 2, 3, 4 over motion elsewhere, float64 (N,); about 1 without seams.

    `STILL_GREY_LEVELS` is added to both means, so that a video without motion has ratio 1 (no seam is visible) instead
    of 0 / 0. A video whose valid frames contain no seam, or only seams, gets NaN.
    """
    at_seam = (np.arange(1, motion_NK.shape[1] + 1) % clip_frames == 0)[None, :]
    seam, other = use_NK & at_seam, use_NK & ~at_seam
    ratio = (mean_motion(motion_NK, seam) + STILL_GREY_LEVELS) / (mean_motion(motion_NK, other) + STILL_GREY_LEVELS)
    return np.where(seam.any(axis=1) & other.any(axis=1), ratio, np.nan)


def seam_ratios(pairs: VideoPairs, clip_frames: int, stride: int = 1) -> tuple[Floats, Floats]:
    """`seam_ratio` of the real and of the generated videos.

    Args:
        clip_frames: frames of one clip of the cascade, a multiple of `stride`.
        stride: frames for which a model holds each generated frame. Both videos are then compared at every stride-th
            frame: a held video changes only there, so its ratio would be about `stride` times too large.
    """
    use = motion_mask(pairs.valid[:, ::stride])
    real, fake = (
        seam_ratio(motion_curves(videos[:, ::stride]), use, clip_frames // stride)
        for videos in (pairs.real_NTHWC, pairs.fake_NTHWC)
    )
    return real, fake


def static_share(real_N: Floats, fake_N: Floats) -> tuple[float | None, int]:
    """Share of static generated videos, and the number of pairs that are ignored because the real video is static.

    Args:
        real_N, fake_N: `mean_motion` of the real and the generated videos, in grey levels.

    Returns:
        (share 0..1, or None if every real video is static; number of static real videos)
    """
    moving = real_N > STILL_GREY_LEVELS
    if not moving.any():
        return None, int(real_N.size)
    static = fake_N[moving] < STATIC_SHARE_OF_REAL * real_N[moving]
    return float(static.mean()), int((~moving).sum())


def motion_results(
    pairs: VideoPairs, clip_frames: int = CLIP_FRAMES, seed: int = 0, *, stride: int = 1
) -> list[MetricResult]:
    """Seam ratio, motion ratio, share of static videos.

    Args:
        clip_frames, stride: as in `seam_ratios`.
    """
    use = motion_mask(pairs.valid)
    real_NK, fake_NK = motion_curves(pairs.real_NTHWC), motion_curves(pairs.fake_NTHWC)
    return [
        _seam_result(pairs, clip_frames, stride),
        *_amount_results(mean_motion(real_NK, use), mean_motion(fake_NK, use), seed),
    ]


def _seam_result(pairs: VideoPairs, clip_frames: int, stride: int) -> MetricResult:
    n = len(pairs.real_NTHWC)
    real, fake = seam_ratios(pairs, clip_frames, stride)
    undefined = int(np.isnan(fake).sum())
    if undefined == n:
        reason = f"no video is longer than one clip of {clip_frames} frames"
        return unavailable("seam_ratio", reason, better="near_one", n_real=n, n_fake=n)
    return MetricResult(
        name="seam_ratio", value=float(np.nanmedian(fake)), better="near_one", unit="ratio", n_real=n, n_fake=n,
        controls={"real": float(np.nanmedian(real))}, num_undefined=undefined,
        protocol={"reduction": "median over videos", "seams": f"every {clip_frames} frames",
                  "added_to_both_means_grey_levels": STILL_GREY_LEVELS,
                  **({} if stride == 1 else {"frame_stride": stride})},
    )  # fmt: skip


def _amount_results(real_N: Floats, fake_N: Floats, seed: int) -> list[MetricResult]:
    n = len(real_N)
    share, num_static_real = static_share(real_N, fake_N)
    if share is None:
        reason = "every real video is static"
        return [
            unavailable("motion_ratio", reason, better="near_one", n_real=n, n_fake=n),
            unavailable("static_share", reason, better="lower", n_real=n, n_fake=n),
        ]
    weights = bootstrap_weights(n, seed)
    return [
        MetricResult(
            name="motion_ratio", value=float(fake_N.mean() / real_N.mean()), better="near_one", unit="ratio",
            n_real=n, n_fake=n, interval=percentile_interval(safe_ratios(weights @ fake_N, weights @ real_N)),
            controls={"real_grey_levels_per_frame": float(real_N.mean()),
                      "median_of_ratios": float(np.median(safe_ratios(fake_N, real_N)))},
            protocol={"reduction": "mean motion of all generated videos / of all real ones",
                      "interval": f"bootstrap over videos, {RESAMPLES} resamples"},
        ),
        MetricResult(
            name="static_share", value=share, better="lower", n_real=n, n_fake=n, num_undefined=num_static_real,
            protocol={"static": f"motion below {STATIC_SHARE_OF_REAL} of the real pair's",
                      "undefined": "pairs whose real video is static; ignored"},
        ),
    ]  # fmt: skip
