"""The panel: from arrays to `MetricResult`s, each with its protocol and its controls.

Every function here takes what it measures as arrays (or a callable that generates) and touches neither files nor
models, so that a study, a test and the command line get the same numbers from the same videos.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cssgan.metrics import motion, paired, synchrony
from cssgan.metrics.result import Better, MetricResult, ProtocolValue, unavailable
from cssgan.metrics.sensitivity import Generate, Mels, swap
from cssgan.metrics.videos import (
    CLIP_FRAMES,
    Floats,
    Ints,
    Mask,
    VideoPairs,
    Videos,
    last_frames_of_clips,
    mean_defined,
)

RESAMPLES = 1000
_MEASURES: tuple[tuple[str, Callable[[Videos, Videos], Floats], Better, str], ...] = (
    ("l1", paired.l1, "lower", "[-1, 1] units"),
    ("psnr", paired.psnr, "higher", "dB"),
    ("ssim", paired.ssim, "higher", ""),
)


def paired_results(pairs: VideoPairs, clip_frames: int = CLIP_FRAMES, seed: int = 0) -> list[MetricResult]:
    """L1, PSNR, SSIM over all valid frames and over the last frame of each clip, and L1 against copying."""
    real, fake, n = pairs.real_NTHWC, pairs.fake_NTHWC, len(pairs.real_NTHWC)
    last = pairs.valid & last_frames_of_clips(real.shape[1], clip_frames)[None, :]
    results: list[MetricResult] = []
    for name, measure, better, unit in _MEASURES:
        frames_NT, copied_NT = measure(real, fake), paired.against_copy(measure, real)
        for suffix, use in (("", pairs.valid), ("_last_of_clip", last)):
            values = paired.over_frames(frames_NT, use)
            mean, undefined = mean_defined(values)
            copied, _ = mean_defined(paired.over_frames(copied_NT, use))
            if mean is None or copied is None:
                reason = f"no video reaches the last frame of a clip of {clip_frames}"
                results.append(unavailable(name + suffix, reason, better=better, n_real=n, n_fake=n))
                continue
            results.append(
                MetricResult(
                    name=name + suffix, value=mean, better=better, unit=unit, n_real=n, n_fake=n,
                    controls={"copy_first": copied}, num_undefined=undefined, interval=bootstrap_mean(values, seed),
                    protocol=_paired_protocol(name, suffix, clip_frames),
                )
            )  # fmt: skip
        if name == "l1":
            l1_fake, l1_copy = (paired.over_frames(frames, pairs.valid) for frames in (frames_NT, copied_NT))
            results.append(_over_copy(pairs, l1_fake, l1_copy, clip_frames, seed))
    return results


def _paired_protocol(name: str, suffix: str, clip_frames: int) -> dict[str, ProtocolValue]:
    fields: dict[str, ProtocolValue] = {
        "frames": f"last of each clip of {clip_frames}" if suffix else "all valid",
        "reduction": "mean over frames, then over videos",
        "interval": f"bootstrap over videos, {RESAMPLES} resamples",
    }
    if name == "ssim":
        fields |= {"window": "Gaussian 11x11, sigma 1.5", "border": "left out", "channels": "mean over RGB"}
    if name == "psnr":
        fields |= {"peak": 255, "identical_frames_count_as_db": round(paired.MAX_PSNR_DB, 2)}
    return fields


def _over_copy(pairs: VideoPairs, fake_l1: Floats, copy_l1: Floats, clip_frames: int, seed: int) -> MetricResult:
    real, n = pairs.real_NTHWC, len(pairs.real_NTHWC)
    clip_l1 = paired.over_frames(paired.against_copy(paired.l1, real, clip_frames), pairs.valid)
    name = "l1_over_copy_first"
    if copy_l1.mean() == 0.0:
        return unavailable(name, "every real video is a still picture", better="lower", n_real=n, n_fake=n)
    weights = video_weights(n, seed)
    drawn = ratios(weights @ fake_l1, weights @ copy_l1)
    controls = {"l1_copy_first": float(copy_l1.mean()), "l1_copy_first_of_each_clip": float(clip_l1.mean())}
    if clip_l1.mean() > 0.0:
        controls["over_copy_first_of_each_clip"] = float(fake_l1.mean() / clip_l1.mean())
    return MetricResult(
        name=name, value=float(fake_l1.mean() / copy_l1.mean()), better="lower", unit="ratio", n_real=n, n_fake=n,
        controls=controls, interval=synchrony.interval(drawn),
        protocol={"baseline": "the real first frame, held", "clip_frames": clip_frames,
                  "interval": f"bootstrap over videos, {RESAMPLES} resamples"},
    )  # fmt: skip


def motion_results(pairs: VideoPairs, clip_frames: int = CLIP_FRAMES, seed: int = 0) -> list[MetricResult]:
    """Seam ratio, motion ratio, share of static videos."""
    n, use = len(pairs.real_NTHWC), motion.motion_mask(pairs.valid)
    curves = {"real": motion.motion_curves(pairs.real_NTHWC), "fake": motion.motion_curves(pairs.fake_NTHWC)}
    mean = {name: motion.mean_motion(curve, use) for name, curve in curves.items()}
    return [
        _seam_result(curves["real"], curves["fake"], use, clip_frames),
        *_amount_results(mean["real"], mean["fake"], n, seed),
    ]


def _seam_result(real_NK: Floats, fake_NK: Floats, use_NK: Mask, clip_frames: int) -> MetricResult:
    n = len(real_NK)
    fake, real = (motion.seam_ratio(curve, use_NK, clip_frames) for curve in (fake_NK, real_NK))
    undefined = int(np.isnan(fake).sum())
    if undefined == n:
        reason = f"no video is longer than one clip of {clip_frames} frames"
        return unavailable("seam_ratio", reason, better="near_one", n_real=n, n_fake=n)
    return MetricResult(
        name="seam_ratio", value=float(np.nanmedian(fake)), better="near_one", unit="ratio", n_real=n, n_fake=n,
        controls={"real": float(np.nanmedian(real))}, num_undefined=undefined,
        protocol={"reduction": "median over videos", "seams": f"every {clip_frames} frames",
                  "added_to_both_means_grey_levels": motion.STILL_GREY_LEVELS},
    )  # fmt: skip


def _amount_results(real_N: Floats, fake_N: Floats, n: int, seed: int) -> list[MetricResult]:
    share, still = motion.static_share(real_N, fake_N)
    if share is None:
        reason = "every real video is a still picture"
        return [
            unavailable("motion_ratio", reason, better="near_one", n_real=n, n_fake=n),
            unavailable("static_share", reason, better="lower", n_real=n, n_fake=n),
        ]
    weights = video_weights(n, seed)
    drawn = ratios(weights @ fake_N, weights @ real_N)
    return [
        MetricResult(
            name="motion_ratio", value=float(fake_N.mean() / real_N.mean()), better="near_one", unit="ratio",
            n_real=n, n_fake=n, interval=synchrony.interval(drawn),
            controls={"real_grey_levels_a_frame": float(real_N.mean()),
                      "median_of_ratios": float(np.median(ratios(fake_N, real_N)))},
            protocol={"reduction": "mean motion of all generated videos / of all real ones",
                      "interval": f"bootstrap over videos, {RESAMPLES} resamples"},
        ),
        MetricResult(
            name="static_share", value=share, better="lower", n_real=n, n_fake=n, num_undefined=still,
            protocol={"static": f"motion below {motion.STATIC_SHARE_OF_REAL} of the real pair's",
                      "undefined": "pairs whose real video is still; left out"},
        ),
    ]  # fmt: skip


def sensitivity_results(
    generate: Generate, images_KHWC: NDArray[np.uint8], mels_KTMU: Mels, labels_K: Ints, num_valid_K: Ints
) -> list[MetricResult]:
    """Audio sensitivity and the swap test, from all K x K pairings of K pictures and K sounds."""
    k = len(images_KHWC)
    if k < 2:
        reason = "one video cannot be swapped with another; evaluate two or more"
        names = ("audio_sensitivity", "swap_sound_over_image")
        return [unavailable(name, reason, better="higher", n_real=k, n_fake=k) for name in names]
    seen = swap(generate, images_KHWC, mels_KTMU, labels_K, num_valid_K)
    protocol: dict[str, ProtocolValue] = {
        "videos": f"{k} pictures x {k} sounds", "class": "follows the picture", "frames": int(num_valid_K.min()),
    }  # fmt: skip
    sensitivity = (
        unavailable("audio_sensitivity", "the output does not depend on the picture", better="higher", n_real=k, n_fake=k * k)
        if seen.change_by_image == 0.0
        else MetricResult(
            name="audio_sensitivity", value=seen.change_by_sound / seen.change_by_image, better="higher", unit="ratio",
            n_real=k, n_fake=k * k, protocol=protocol,
            controls={"l1_between_sounds": seen.change_by_sound, "l1_between_images": seen.change_by_image},
        )
    )  # fmt: skip
    same_sound, same_image = seen.same_sound_correlation, seen.same_image_correlation
    return [
        sensitivity,
        MetricResult(
            name="swap_sound_over_image", value=same_sound - same_image, better="higher", n_real=k, n_fake=k * k,
            num_undefined=seen.num_undefined, protocol=protocol,
            controls={"same_sound_other_image": same_sound, "same_image_other_sound": same_image},
        ),
    ]  # fmt: skip


def video_weights(n: int, seed: int) -> Floats:
    return synchrony.resample_weights(n, RESAMPLES, np.random.default_rng(seed))


def ratios(upper: Floats, lower: Floats) -> Floats:
    return upper / np.maximum(lower, 1e-12)


def bootstrap_mean(values_N: Floats, seed: int) -> tuple[float, float]:
    defined = values_N[~np.isnan(values_N)]
    return synchrony.interval(video_weights(len(defined), seed) @ defined / len(defined))
