"""Bootstrap intervals. Pure NumPy."""

from __future__ import annotations

import numpy as np

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
