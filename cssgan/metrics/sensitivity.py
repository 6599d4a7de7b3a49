"""Sensitivity to audio and image: how a generated video changes if only the audio, or only the image, is exchanged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cssgan.metrics.conditions import Generate, Images, Mels, Objects, bound
from cssgan.metrics.motion import motion_curves
from cssgan.metrics.result import MetricResult, ProtocolValue, unavailable
from cssgan.metrics.videos import Floats, Ints, Videos


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SwapTest:
    """Comparison of the videos of all K images with all K audio signals.

    Args:
        change_by_audio: mean |G(i, c, a) - G(i, c, a')| over all i and a != a', in [-1, 1] units.
        change_by_image: mean |G(i, c, a) - G(i', c', a)| over all a and i != i'.
        same_audio_correlation: mean correlation of the motion curves of two images with the same audio.
        same_image_correlation: mean correlation of the motion curves of one image with two audio signals.
        num_undefined: pairs of curves of which one is constant; they count as correlation 0.
    """

    change_by_audio: float
    change_by_image: float
    same_audio_correlation: float
    same_image_correlation: float
    num_undefined: int


def swap_test(
    generate: Generate,
    images_KHWC: Images,
    mels_KTMU: Mels,
    labels_K: Ints,
    num_valid_K: Ints,
    objects_K: Objects | None = None,
) -> SwapTest:
    """Generate all K x K pairings and compare them.

    The class and the object follow the image (it is the letter that the image shows), so that the videos of a row of the
    grid differ in their audio only. Frames after the smallest `num_valid_K` are ignored: their audio is padding.

    Raises:
        ValueError: K < 2.
    """
    k = len(images_KHWC)
    if k < 2:
        raise ValueError(f"swap test: got {k} video, allowed: 2 or more")
    grid = [
        bound(generate, None if objects_K is None else objects_K.repeated(i, k))(
            np.repeat(images_KHWC[i : i + 1], k, axis=0), mels_KTMU, np.repeat(labels_K[i : i + 1], k)
        )
        for i in range(k)
    ]
    videos_IATHWC = np.stack(grid)[:, :, : int(num_valid_K.min())]
    by_audio = _mean_difference([(row[a], row[b]) for row in videos_IATHWC for a in range(k) for b in range(a)])
    by_image = _mean_difference(
        [(videos_IATHWC[i, a], videos_IATHWC[j, a]) for a in range(k) for i in range(k) for j in range(i)]
    )
    curves_IAK = motion_curves(videos_IATHWC.reshape(k * k, *videos_IATHWC.shape[2:])).reshape(k, k, -1)
    same_audio, undefined_audio = _mean_correlation(curves_IAK.transpose(1, 0, 2))
    same_image, undefined_image = _mean_correlation(curves_IAK)
    return SwapTest(
        change_by_audio=by_audio,
        change_by_image=by_image,
        same_audio_correlation=same_audio,
        same_image_correlation=same_image,
        num_undefined=undefined_audio + undefined_image,
    )


def _mean_difference(pairs: list[tuple[Videos, Videos]]) -> float:
    return float(np.mean([np.abs(a.astype(np.int16) - b).mean(dtype=np.float64) for a, b in pairs])) / 127.5


def _mean_correlation(curves_GMK: Floats) -> tuple[float, int]:
    """Mean Pearson correlation of all pairs of curves within each group, and the number of undefined pairs (0)."""
    values: list[float] = []
    undefined = 0
    for group in curves_GMK:
        centred = group - group.mean(axis=1, keepdims=True)
        norm = np.sqrt((centred**2).sum(axis=1))
        for a in range(len(group)):
            for b in range(a):
                constant = min(norm[a], norm[b]) <= 1e-6
                undefined += int(constant)
                values.append(0.0 if constant else float(centred[a] @ centred[b] / (norm[a] * norm[b])))
    return float(np.mean(values)), undefined


def sensitivity_results(
    generate: Generate,
    images_KHWC: Images,
    mels_KTMU: Mels,
    labels_K: Ints,
    num_valid_K: Ints,
    *,
    objects_K: Objects | None = None,
    controls: Mapping[str, Generate] | None = None,
) -> list[MetricResult]:
    """Audio sensitivity and the swap test, from all K x K pairings of K images and K audio signals.

    Both have no real value: there is no real video of one clip's image with another clip's audio. So no control saturates
    them, and they take part in no gate and in no comparison of models.

    Args:
        objects_K: for generators that take objects.
        controls: generators whose values are shown beside the generator's.
    """
    k = len(images_KHWC)
    if k < 2:
        reason = "one video cannot be swapped with another; evaluate two or more"
        names = ("audio_sensitivity", "swap_audio_over_image")
        return [unavailable(name, reason, better="higher", n_real=k, n_fake=k) for name in names]
    test = swap_test(generate, images_KHWC, mels_KTMU, labels_K, num_valid_K, objects_K)
    protocol: dict[str, ProtocolValue] = {
        "videos": f"{k} images x {k} audio signals", "class": "follows the image", "frames": int(num_valid_K.min()),
    }  # fmt: skip
    if test.change_by_image == 0.0:
        reason = "the output does not depend on the image"
        sensitivity = unavailable("audio_sensitivity", reason, better="higher", n_real=k, n_fake=k * k)
    else:
        sensitivity = MetricResult(
            name="audio_sensitivity", value=test.change_by_audio / test.change_by_image, better="higher", unit="ratio",
            n_real=k, n_fake=k * k, protocol=protocol,
            controls={"l1_between_audio": test.change_by_audio, "l1_between_images": test.change_by_image},
        )  # fmt: skip
    same_audio, same_image = test.same_audio_correlation, test.same_image_correlation
    others = {
        name: swap_test(model, images_KHWC, mels_KTMU, labels_K, num_valid_K, objects_K)
        for name, model in (controls or {}).items()
    }
    if sensitivity.value is not None:
        ratios = {
            name: found.change_by_audio / found.change_by_image
            for name, found in others.items()
            if found.change_by_image
        }
        sensitivity = replace(sensitivity, controls={**sensitivity.controls, **ratios})
    differences = {name: found.same_audio_correlation - found.same_image_correlation for name, found in others.items()}
    return [
        sensitivity,
        MetricResult(
            name="swap_audio_over_image", value=same_audio - same_image, better="higher", n_real=k, n_fake=k * k,
            num_undefined=test.num_undefined, protocol=protocol,
            controls={"same_audio_other_image": same_audio, "same_image_other_audio": same_image, **differences},
        ),
    ]  # fmt: skip
