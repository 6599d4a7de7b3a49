"""Moments in float64, and validation of features."""

from __future__ import annotations

import numpy as np
import pytest

from cssgan.metrics.features import Features, moments, real_scale


def features(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Features:
    return Features(values_ND=values, extractor="test")


def test_moments_are_those_of_numpy() -> None:
    values = np.random.default_rng(0).normal(size=(50, 4)) * [1, 10, 100, 1] + 1e6
    found = moments(features(values), ddof=1)
    assert found.covariance_DD == pytest.approx(np.cov(values.T), rel=1e-9)
    assert moments(features(values), ddof=0).covariance_DD == pytest.approx(np.cov(values.T, bias=True), rel=1e-9)
    assert found.mean_D == pytest.approx(values.mean(axis=0))
    assert (found.count, found.ddof) == (50, 1)
    with pytest.raises(ValueError, match="0 or 1"):
        moments(features(values), ddof=2)


def test_scale_of_a_constant_feature_is_one() -> None:
    assert real_scale(features(np.array([[1.0, 5.0], [3.0, 5.0]]))).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((3, 2), np.float32), "float64"),
        (np.zeros((1, 2)), "N >= 2"),
        (np.array([[0.0], [np.nan]]), "NaN"),
    ],
)
def test_invalid_features_are_refused(values: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Features(values_ND=values, extractor="test")  # type: ignore[arg-type]
