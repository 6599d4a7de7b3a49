"""Does the generator listen? What changes in its video when only the sound, or only the picture, is exchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cssgan.metrics.motion import motion_curves
from cssgan.metrics.videos import Floats, Ints, Videos

Images = NDArray[np.uint8]
"""uint8 (N, H, W, 3)."""
Mels = NDArray[np.float32]
"""float32 (N, T, M, U)."""
Generate = Callable[[Images, Mels, Ints], Videos]
"""(first images, log-mel segments, class indices) -> uint8 videos (N, T, H, W, 3)."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Swap:
    """Videos of every one of K pictures with every one of K sounds, and what they show.

    Args:
        change_by_sound: mean |G(i, c, a) - G(i, c, a')| over all i and a != a', in [-1, 1] units.
        change_by_image: mean |G(i, c, a) - G(i', c', a)| over all a and i != i'.
        same_sound_correlation: mean correlation of the motion curves of two pictures with the same sound.
        same_image_correlation: mean correlation of the motion curves of one picture with two sounds.
        num_undefined: pairs of curves of which one is constant; they count as correlation 0.
    """

    change_by_sound: float
    change_by_image: float
    same_sound_correlation: float
    same_image_correlation: float
    num_undefined: int


def swap(generate: Generate, images_KHWC: Images, mels_KTMU: Mels, labels_K: Ints, num_valid_K: Ints) -> Swap:
    """Generates all K x K pairings and compares them.

    The class follows the picture (it is the letter that the picture shows), so that a row of the grid changes in sound
    alone. Frames past the shortest `num_valid_K` are left out everywhere: their sound is padding.
    """
    k = len(images_KHWC)
    if k < 2:
        raise ValueError(f"swap test: got {k} video, allowed: 2 or more")
    grid = [
        generate(np.repeat(images_KHWC[i : i + 1], k, axis=0), mels_KTMU, np.repeat(labels_K[i : i + 1], k))
        for i in range(k)
    ]
    videos_IATHWC = np.stack(grid)[:, :, : int(num_valid_K.min())]
    by_sound = _mean_difference([(row[a], row[b]) for row in videos_IATHWC for a in range(k) for b in range(a)])
    by_image = _mean_difference(
        [(videos_IATHWC[i, a], videos_IATHWC[j, a]) for a in range(k) for i in range(k) for j in range(i)]
    )
    curves_IAK = motion_curves(videos_IATHWC.reshape(k * k, *videos_IATHWC.shape[2:])).reshape(k, k, -1)
    same_sound, lost_a = _mean_correlation(curves_IAK.transpose(1, 0, 2))
    same_image, lost_b = _mean_correlation(curves_IAK)
    return Swap(
        change_by_sound=by_sound,
        change_by_image=by_image,
        same_sound_correlation=same_sound,
        same_image_correlation=same_image,
        num_undefined=lost_a + lost_b,
    )


def _mean_difference(pairs: list[tuple[Videos, Videos]]) -> float:
    return float(np.mean([np.abs(a.astype(np.int16) - b).mean(dtype=np.float64) for a, b in pairs])) / 127.5


def _mean_correlation(curves_GMK: Floats) -> tuple[float, int]:
    """Mean Pearson correlation of all pairs of curves within each group, and the number of pairs undefined (0)."""
    values: list[float] = []
    undefined = 0
    for group in curves_GMK:
        centred = group - group.mean(axis=1, keepdims=True)
        norm = np.sqrt((centred**2).sum(axis=1))
        for a in range(len(group)):
            for b in range(a):
                flat = min(norm[a], norm[b]) <= 1e-6
                undefined += int(flat)
                values.append(0.0 if flat else float(centred[a] @ centred[b] / (norm[a] * norm[b])))
    return float(np.mean(values)), undefined
