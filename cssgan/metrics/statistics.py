"""Bootstrap intervals of one evaluation, and intervals of the difference between two models. Pure functions.

The interval of a difference has two independent sources of error: the training runs (seeds) and the songs. Both models
are evaluated on the same clips, so seeds and songs are crossed. Clips of one song are alike, so the song is the unit, and
its mean contains the error of its clips. With three seeds and ten songs a percentile bootstrap of seeds, songs and clips
is too narrow (measured: docs/study.md), because it uses no quantile for small samples. `crossed_difference` therefore uses
the variances themselves and Student's t.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from cssgan.metrics.videos import Floats

RESAMPLES = 1000
"""Bootstrap resamples, unless the caller sets another number."""


def bootstrap_weights(count: int, seed: int | np.random.Generator, num_resamples: int = RESAMPLES) -> Floats:
    """float64 (R, N): how often each of N items occurs in each of R bootstrap resamples of N items.

    The weighted mean of values (N,) in each resample is ``weights @ values / N``.
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1.0 / count), size=num_resamples).astype(np.float64)


def percentile_interval(values: Floats) -> tuple[float, float]:
    """95 % percentile interval of bootstrap values."""
    tail = (1.0 - 0.95) / 2.0  # not 0.025 exactly; published intervals were computed with this value
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return float(low), float(high)


def bootstrap_mean(values_N: Floats, seed: int) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over the items that are not NaN."""
    defined = values_N[~np.isnan(values_N)]
    return percentile_interval(bootstrap_weights(len(defined), seed) @ defined / len(defined))


def safe_ratios(numerator: Floats, denominator: Floats) -> Floats:
    """Element-wise ratio; denominators are clipped to at least 1e-12."""
    return numerator / np.maximum(denominator, 1e-12)


def pseudo_values(value: float, without_G: Floats) -> Floats:
    """Jackknife pseudo-values of a statistic, float64 (G,): ``G value - (G - 1) without_G``.

    Their mean is the statistic without its bias of order 1 / G, their variance / G is its variance (Tukey 1958). For the
    mean of groups of equal size, pseudo-value g is the mean of group g.

    Args:
        value: statistic of all groups.
        without_G: statistic of all groups but one, for each group.
    """
    return len(without_G) * value - (len(without_G) - 1) * without_G


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossedDifference:
    """Mean of the first model minus mean of the second.

    Args:
        standard_error: with the variation between seeds (of models with two or more) and between songs.
        degrees_of_freedom: of Student's t, by the formula of Welch and Satterthwaite.
        interval: 95 % interval.
        p_value: two-sided.
    """

    value: float
    standard_error: float
    degrees_of_freedom: float
    interval: tuple[float, float]
    p_value: float


def crossed_difference(first_SG: Floats, second_SG: Floats, value: float | None = None) -> CrossedDifference:
    """Difference of two models whose seeds (rows) were all evaluated on the same songs (columns).

    The variance is the sum of three mean squares: between the seeds of the first model, between those of the second, and
    between songs (of the paired difference). The interaction of seeds and songs is part of each of them, so the interval is
    slightly too wide if it is large.

    Args:
        first_SG, second_SG: float64 (seeds, songs): `pseudo_values` of the metric of each run. The numbers of seeds can
            differ.

    Raises:
        ValueError: fewer than two songs, or different numbers of songs.
    """
    num_songs = first_SG.shape[1]
    if num_songs < 2 or second_SG.shape[1] != num_songs:
        raise ValueError(
            f"crossed difference: got {num_songs} and {second_SG.shape[1]} songs, allowed: equal numbers, two or more"
        )
    variances = [float(np.var(first_SG.mean(axis=0) - second_SG.mean(axis=0), ddof=1)) / num_songs]
    freedom = [num_songs - 1]
    for side_SG in (first_SG, second_SG):
        if (num_seeds := len(side_SG)) > 1:
            variances.append(float(np.var(side_SG.mean(axis=1), ddof=1)) / num_seeds)
            freedom.append(num_seeds - 1)
    value, variance = float(first_SG.mean() - second_SG.mean()) if value is None else value, sum(variances)
    # Differences between equal models are sums of rounding errors.
    scale = max(float(np.abs(first_SG).max()), float(np.abs(second_SG).max()), 1e-300)
    if variance <= (1e-12 * scale) ** 2:
        equal = abs(value) <= 1e-12 * scale
        return CrossedDifference(
            value=value, standard_error=0.0, degrees_of_freedom=float(min(freedom)), interval=(value, value),
            p_value=1.0 if equal else 0.0,
        )  # fmt: skip
    degrees = variance**2 / sum(part**2 / df for part, df in zip(variances, freedom, strict=True))
    error = float(np.sqrt(variance))
    half = error * float(special.stdtrit(degrees, 0.975))
    return CrossedDifference(
        value=value,
        standard_error=error,
        degrees_of_freedom=degrees,
        interval=(value - half, value + half),
        p_value=float(2.0 * special.stdtr(degrees, -abs(value) / error)),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm 1979): the chance of one or more false rejections stays below the level.

    SciPy corrects for the rate of false discoveries only.
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected
