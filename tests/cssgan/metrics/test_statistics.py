"""Bootstrap weights and intervals."""

from __future__ import annotations

import numpy as np
import pytest

from cssgan.metrics.statistics import bootstrap_mean, bootstrap_weights, percentile_interval, safe_ratios


def test_bootstrap_weights_are_reproducible_counts() -> None:
    weights = bootstrap_weights(5, seed=3, num_resamples=40)
    assert weights.shape == (40, 5)
    assert weights.sum(axis=1).tolist() == [5.0] * 40
    assert np.array_equal(weights, bootstrap_weights(5, np.random.default_rng(3), 40))


def test_interval_of_the_mean_ignores_nan() -> None:
    values = np.array([1.0, np.nan, 2.0, 4.0])
    defined = values[[0, 2, 3]]
    assert bootstrap_mean(values, 0) == bootstrap_mean(defined, 0)
    assert bootstrap_mean(defined, 0) == percentile_interval(bootstrap_weights(3, 0) @ defined / 3)


def test_percentiles_and_ratios() -> None:
    assert percentile_interval(np.arange(1001.0)) == pytest.approx((25.0, 975.0))
    assert safe_ratios(np.array([1.0, 0.0]), np.array([2.0, 0.0])).tolist() == [0.5, 0.0]
