"""Bootstrap weights and intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cssgan.metrics.statistics import (
    bootstrap_mean,
    bootstrap_weights,
    crossed_difference,
    holm,
    percentile_interval,
    pseudo_values,
    safe_ratios,
)


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


def test_pseudo_values_remove_the_bias_of_a_plug_in_variance() -> None:
    """The jackknife of the variance with divisor N is exactly the one with divisor N - 1."""
    values = np.random.default_rng(0).normal(size=12)
    without = np.array([np.var(np.delete(values, n)) for n in range(12)])

    assert pseudo_values(float(np.var(values)), without).mean() == pytest.approx(np.var(values, ddof=1))


def test_pseudo_values_of_a_mean_are_its_items() -> None:
    values = np.arange(5.0)
    without = np.array([np.delete(values, n).mean() for n in range(5)])

    assert pseudo_values(float(values.mean()), without) == pytest.approx(values)


def test_crossed_difference_adds_the_variances_of_seeds_and_songs() -> None:
    """Only the first model varies between seeds, and by 3 between songs."""
    seeds, songs = np.array([[0.0], [1.0], [2.0]]), np.array([[0.0, 3.0, 0.0, 3.0]])

    found = crossed_difference(seeds + songs, np.zeros((3, 4)))

    of_seeds, of_songs = 1.0 / 3, 3.0 / 4
    assert found.value == pytest.approx(2.5)
    assert found.standard_error**2 == pytest.approx(of_seeds + of_songs)
    degrees = (of_seeds + of_songs) ** 2 / (of_seeds**2 / 2 + of_songs**2 / 3)
    assert found.degrees_of_freedom == pytest.approx(degrees)
    half = stats.t.ppf(0.975, degrees) * found.standard_error
    assert found.interval == pytest.approx((2.5 - half, 2.5 + half))
    with pytest.raises(ValueError, match="got 1 and 1 songs, allowed: equal numbers, two or more"):
        crossed_difference(np.zeros((3, 1)), np.zeros((3, 1)))


def test_holm_multiplies_by_the_number_of_hypotheses_that_are_left() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
