"""Is one model better than another on these videos? Bootstrap over the videos that both were judged on. Pure.

Both models stand before the same pictures and sounds, so each resample draws the same videos for both and the difference
is compared: what makes a video hard for both drops out. Seeds of a model are averaged inside each resample; that the next
seed may differ is not in the interval, the spread over seeds stands in the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cssgan.metrics.per_video import PerVideo
from cssgan.metrics.scores import frechet_distance
from cssgan.metrics.statistics import Features, moments, real_scale
from cssgan.metrics.videos import Floats

RESAMPLES = 1000
RESAMPLES_OF_DISTANCES = 200
DISTANCE = "rfd_3d_fd64"
Reduce = Literal["mean", "median", "distance"]
REDUCE: dict[str, Reduce] = {"seam_ratio": "median", DISTANCE: "distance"}
"""How a set is one number; the mean where nothing is said. As in the measures of the same names."""
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """First model less second.

    Args:
        interval: 95 %.
        p: two-sided: twice the share of resamples on the smaller side of 0, at least 1 / resamples.
    """

    value: float
    interval: tuple[float, float]
    p: float
    num_videos: int

    @property
    def sign(self) -> int:
        """-1, 1, or 0 where the interval holds 0."""
        low, high = self.interval
        return -1 if high < 0 else int(low > 0)


def compare(first: Sequence[PerVideo], second: Sequence[PerVideo], measure: str, *, seed: int = 0) -> Difference:
    """The difference of two models in one measure.

    Args:
        first, second: the seeds of each model.

    Raises:
        ValueError: they were judged on different videos.
    """
    keys = {rows.keys for rows in (*first, *second)}
    if len(keys) != 1:
        raise ValueError(f"compare {measure}: got models judged on different videos, allowed: the same ones")
    count = len(first[0].keys)
    reduce = REDUCE.get(measure, "mean")
    rng = np.random.default_rng(seed)
    num = RESAMPLES_OF_DISTANCES if reduce == "distance" else RESAMPLES
    whole = np.arange(count)

    def difference(index: Ints) -> float:
        sides = [float(np.mean([_reduced(rows, measure, reduce, index) for rows in side])) for side in (first, second)]
        return sides[0] - sides[1]

    drawn = np.array([difference(rng.integers(count, size=count)) for _ in range(num)])
    drawn = drawn[np.isfinite(drawn)]
    value = difference(whole)
    if not np.isfinite(value) or not len(drawn):
        raise ValueError(f"compare {measure}: no video defines it for both models")
    low, high = np.quantile(drawn, (0.025, 0.975))
    tail = min(float((drawn <= 0).mean()), float((drawn >= 0).mean()))
    return Difference(
        value=value, interval=(float(low), float(high)), p=min(1.0, max(2 * tail, 1 / len(drawn))), num_videos=count
    )


def _reduced(rows: PerVideo, measure: str, reduce: Reduce, index: Ints) -> float:
    if reduce == "distance":
        return _distance(rows.real_ND[index], rows.fake_ND[index], rows.extractor)
    values = rows.values[measure][index]
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan")
    return float(values.mean() if reduce == "mean" else np.median(values))


def _distance(real_ND: Floats, fake_ND: Floats, extractor: str) -> float:
    real, fake = (Features(values_ND=values, extractor=extractor) for values in (real_ND, fake_ND))
    scale = real_scale(real)
    return frechet_distance(moments(real.scaled(scale), ddof=1), moments(fake.scaled(scale), ddof=1))
