"""Paired bootstrap of the difference between two models over the videos that both were evaluated on. Pure functions.

Both models are evaluated with the same images and audio, so each resample samples the same videos for both models, and the
difference is compared. Differences between videos that affect both models equally cancel. Seeds of a model are averaged
within each resample; the interval does not include the variation between seeds, which the tables show as a deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cssgan.metrics.distances import frechet_distance
from cssgan.metrics.features import Features, moments, real_scale
from cssgan.metrics.per_video import PerVideo
from cssgan.metrics.videos import Floats, Ints

RESAMPLES = 1000
RESAMPLES_OF_DISTANCES = 200
DISTANCE = "rfd_3d_fd64"
Reduction = Literal["mean", "median", "distance"]
REDUCTIONS: dict[str, Reduction] = {"seam_ratio": "median", DISTANCE: "distance"}
"""How the values of all videos become one number, as in the metric of the same name; default: mean."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Value of the first model minus value of the second.

    Args:
        interval: 95 % interval.
        p_value: two-sided: twice the fraction of resamples on the smaller side of 0; at least 1 / resamples.
    """

    value: float
    interval: tuple[float, float]
    p_value: float
    num_videos: int

    @property
    def sign(self) -> int:
        """-1 or 1; 0 if the interval contains 0."""
        low, high = self.interval
        return -1 if high < 0 else int(low > 0)


def compare(first: Sequence[PerVideo], second: Sequence[PerVideo], metric: str, *, seed: int = 0) -> Difference:
    """The difference of two models in one metric.

    Args:
        first, second: one element per seed of the model.

    Raises:
        ValueError: the models were evaluated on different videos, or no video has a value for both.
    """
    if len({runs.keys for runs in (*first, *second)}) != 1:
        raise ValueError(f"compare {metric}: the models were evaluated on different videos, allowed: the same videos")
    num_videos = len(first[0].keys)
    reduction = REDUCTIONS.get(metric, "mean")
    num_resamples = RESAMPLES_OF_DISTANCES if reduction == "distance" else RESAMPLES
    rng = np.random.default_rng(seed)

    def difference(index: Ints) -> float:
        sides = [float(np.mean([_reduce(run, metric, reduction, index) for run in side])) for side in (first, second)]
        return sides[0] - sides[1]

    resampled = np.array([difference(rng.integers(num_videos, size=num_videos)) for _ in range(num_resamples)])
    resampled = resampled[np.isfinite(resampled)]
    value = difference(np.arange(num_videos))
    if not np.isfinite(value) or not len(resampled):
        raise ValueError(f"compare {metric}: no video has a value for both models")
    low, high = np.quantile(resampled, (0.025, 0.975))
    tail = min(float((resampled <= 0).mean()), float((resampled >= 0).mean()))
    return Difference(
        value=value,
        interval=(float(low), float(high)),
        p_value=min(1.0, max(2 * tail, 1 / len(resampled))),
        num_videos=num_videos,
    )


def _reduce(run: PerVideo, metric: str, reduction: Reduction, index: Ints) -> float:
    if reduction == "distance":
        return _distance(run.real_ND[index], run.fake_ND[index], run.extractor)
    values = run.values[metric][index]
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan")
    return float(values.mean() if reduction == "mean" else np.median(values))


def _distance(real_ND: Floats, fake_ND: Floats, extractor: str) -> float:
    real, fake = (Features(values_ND=values, extractor=extractor) for values in (real_ND, fake_ND))
    scale = real_scale(real)
    return frechet_distance(moments(real.scaled(scale), ddof=1), moments(fake.scaled(scale), ddof=1))
