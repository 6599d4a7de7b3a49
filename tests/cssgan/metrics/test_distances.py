"""Distances with known values, and against independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from numpy.typing import NDArray

from cssgan.metrics.distances import (
    frechet_distance,
    inception_score,
    kernel_distance,
    kernel_subsets,
    manifold,
)
from cssgan.metrics.features import Features, moments
from cssgan.metrics.networks.random_features import normal_numbers


def features(values: NDArray[np.float64], extractor: str = "test") -> Features:
    return Features(values_ND=values, extractor=extractor)


def sample(n: int, seed: int, d: int = 6) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ np.random.default_rng(99).normal(size=(d, d))


def frechet(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return frechet_distance(moments(features(a), ddof=1), moments(features(b), ddof=1))


def test_equal_sets_have_distance_zero() -> None:
    for n in (4, 200):  # 4 in 6 dimensions: a singular covariance
        x = sample(n, 0)
        assert frechet(x, x) == pytest.approx(0.0, abs=1e-6)


def test_frechet_of_shifted_and_scaled_gaussians() -> None:
    x = sample(300, 1)
    assert frechet(x, x + 2.0) == pytest.approx(6 * 4.0)
    line = np.random.default_rng(2).normal(size=(500, 1))
    deviation = float(line.std(ddof=1))
    assert frechet(line, 3.0 * line) == pytest.approx((2 * deviation) ** 2 + (2 * line.mean()) ** 2)


def test_frechet_agrees_with_the_matrix_square_root() -> None:
    x, y = sample(300, 3), sample(300, 4) * 1.3 + 0.5
    cx, cy = np.cov(x.T), np.cov(y.T)
    root = scipy.linalg.sqrtm(cx @ cy).real
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(cx + cy - 2 * root)
    assert frechet(x, y) == pytest.approx(expected, rel=1e-8)


def direct_kernel_distance(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """MMD_u^2 of Gretton et al. 2012 (equation 3), pair by pair, as `mmd2(..., mmd_est="unbiased")` of MMD-GAN."""

    def kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    n, m = len(x), len(y)
    xx = np.mean([kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j])
    yy = np.mean([kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j])
    xy = np.mean([kernel(x[i], y[j]) for i in range(n) for j in range(m)])
    return float(xx + yy - 2 * xy)


@pytest.mark.parametrize("m", [12, 9])
def test_kernel_distance_agrees_with_its_definition(m: int) -> None:
    x, y = sample(12, 5), sample(m, 6) + 0.3
    assert kernel_distance(features(x), features(y)) == pytest.approx(direct_kernel_distance(x, y), rel=1e-9)


def test_kernel_distance_of_a_set_to_itself_is_negative() -> None:
    """The cross term contains each item with itself: no estimate of KID says 0 for a perfect copy."""
    x = features(sample(40, 0))
    assert kernel_distance(x, x) < 0.0
    assert kernel_subsets(x, x) == (kernel_distance(x, x), 0.0)


def test_kernel_distance_is_unbiased() -> None:
    rng = np.random.default_rng(7)
    values = [
        kernel_distance(features(rng.normal(size=(20, 4))), features(rng.normal(size=(20, 4)))) for _ in range(400)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / 20


def test_manifold_of_equal_sets() -> None:
    x = features(sample(60, 8))
    same = manifold(x, x)
    assert (same.precision, same.recall, same.coverage) == (1.0, 1.0, 1.0)
    assert same.density == pytest.approx(1.0)


def test_manifold_distinguishes_lost_modes_from_bad_samples() -> None:
    rng = np.random.default_rng(9)
    left, right = rng.normal(size=(50, 2)), rng.normal(size=(50, 2)) + 100
    one_mode = manifold(features(np.concatenate([left, right])), features(rng.normal(size=(100, 2))))
    assert one_mode.precision > 0.9
    assert one_mode.recall < 0.6
    assert one_mode.coverage < 0.6
    far = manifold(features(left), features(left + 1000))
    assert (far.precision, far.recall, far.density, far.coverage) == (0.0, 0.0, 0.0, 0.0)


def test_features_of_different_networks_are_not_compared() -> None:
    x, y = features(sample(20, 1), "a"), features(sample(20, 1), "b")
    with pytest.raises(ValueError, match="of one network"):
        kernel_distance(x, y)
    with pytest.raises(ValueError, match="of one network"):
        frechet_distance(moments(x, ddof=1), moments(y, ddof=1))
    with pytest.raises(ValueError, match="of one network"):
        manifold(x, y)


def test_too_few_items_and_unequal_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="more than k = 5"):
        manifold(features(sample(5, 1)), features(sample(20, 1)))
    with pytest.raises(ValueError, match="ddof"):
        frechet_distance(moments(features(sample(9, 1)), ddof=0), moments(features(sample(9, 1)), ddof=1))


def recorded(n: int, key: int) -> NDArray[np.float64]:
    """The features that were given to torch-fidelity 0.4.0.

    Its values are in the tests below, from `fid_statistics_to_metric`, `kid_features_to_metric` and
    `isc_features_to_metric` with its default seed 2020. The package itself needs torchvision and is not installed.
    """
    mix = normal_numbers(64 * 64, (7, 99)).reshape(64, 64) / 8
    return normal_numbers(n * 64, (7, key)).reshape(n, 64) @ mix


def test_values_are_those_of_torch_fidelity() -> None:
    x, y = features(recorded(300, 1)), features(recorded(260, 2) * 1.1 + 0.2)
    assert frechet_distance(moments(x, ddof=1), moments(y, ddof=1)) == pytest.approx(9.103341430418794, abs=1e-6)
    mean, deviation = kernel_subsets(x, y, num_subsets=5, subset_size=100)
    assert mean == pytest.approx(0.12987328439612256, abs=1e-6)
    assert deviation == pytest.approx(0.031539542572611386, abs=1e-6)
    equal = features(x.values_ND[:260])
    assert kernel_distance(equal, y) == pytest.approx(0.12161456890855327, abs=1e-6)
    score = inception_score(x.values_ND, num_splits=10, seed=2020)
    assert score.mean == pytest.approx(1.5698090418591648, abs=1e-6)
    assert score.deviation == pytest.approx(0.04959104366411862, abs=1e-6)


def test_values_are_those_of_fvd_implementations() -> None:
    """Biased covariance and SciPy's sqrtm of the product, as in StyleGAN-V and cd-fvd; also for N < D."""
    for n in (300, 40):
        x, y = recorded(n, 3), recorded(n, 4) * 1.2 - 0.1
        cx, cy = np.cov(x.T, bias=True), np.cov(y.T, bias=True)
        root = np.real(scipy.linalg.sqrtm(cx @ cy))
        expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(cx + cy - 2 * root)
        value = frechet_distance(moments(features(x), ddof=0), moments(features(y), ddof=0))
        # sqrtm loses digits if the product is singular (N < D).
        assert value == pytest.approx(expected, abs=1e-6 if n > 64 else 1e-3)


def test_fewer_and_more_items_than_features_give_the_same_distance() -> None:
    wide = recorded(40, 5)
    padded = np.concatenate([wide, np.zeros((40, 3))], axis=1)
    other = np.concatenate([recorded(300, 6), np.zeros((300, 3))], axis=1)
    mixed = frechet_distance(moments(features(padded), ddof=1), moments(features(other), ddof=1))
    assert mixed == pytest.approx(frechet(wide, recorded(300, 6)), abs=1e-9)
    assert frechet(wide, wide) == pytest.approx(0.0, abs=1e-6)


def test_inception_score_of_known_probabilities() -> None:
    certain = np.where(np.eye(5, dtype=bool), 50.0, 0.0)
    spread = np.tile(certain, (20, 1))
    assert inception_score(spread, num_splits=1).mean == pytest.approx(5.0)
    assert inception_score(np.zeros((30, 7))).mean == pytest.approx(1.0)
    score = inception_score(normal_numbers(4000, (1, 1)).reshape(400, 10))
    assert 1.0 <= score.mean <= 10.0


def test_inception_score_of_all_classes_is_not_capped_by_its_parts() -> None:
    """One video of each of 60 classes: ten parts of 6 videos would cap the score at 6."""
    logits = np.where(np.eye(60, dtype=bool), 50.0, 0.0)
    score = inception_score(logits)
    assert (score.num_splits, score.mean) == (1, pytest.approx(60.0))
    assert inception_score(logits, num_splits=10).mean == pytest.approx(6.0)
    many = inception_score(np.repeat(logits, 30, axis=0))  # 1,800 items are 3 parts of 10 for each class
    assert many.num_splits == 3
    assert many.mean == pytest.approx(60.0, rel=0.05)


def test_inception_score_does_not_depend_on_the_order_of_the_videos() -> None:
    """Sets are stored class by class: parts in that order would each contain few classes."""
    sorted_by_class = np.repeat(np.where(np.eye(4, dtype=bool), 50.0, 0.0), 100, axis=0)
    assert inception_score(sorted_by_class).num_splits == 10
    assert inception_score(sorted_by_class).mean > 3.8
    assert "shuffled with seed 3" in inception_score(sorted_by_class, seed=3).description(3)


def test_inception_score_keeps_the_frames_of_a_video_in_one_split() -> None:
    """Two videos of one class each: a split by video contains one class only."""
    logits = np.repeat(np.where(np.eye(2, dtype=bool), 50.0, 0.0), 10, axis=0)
    groups = np.repeat([7, 3], 10)
    assert inception_score(logits, groups, num_splits=10).mean == pytest.approx(1.0)
    assert inception_score(logits, groups, num_splits=1).mean == pytest.approx(2.0)
    with pytest.raises(ValueError, match="finite"):
        inception_score(np.full((3, 2), np.nan))
