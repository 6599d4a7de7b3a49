"""Bootstrap intervals of the difference between two models."""

from __future__ import annotations

import numpy as np
import pytest

from cssgan.metrics.per_video import PerVideo
from cssgan.study.significance import DISTANCE, compare


def rows(values: np.ndarray, *, fake: np.ndarray | None = None, name: str = "l1", keys: str = "v") -> PerVideo:
    rng = np.random.default_rng(0)
    real = rng.normal(size=(len(values), 4))
    return PerVideo(
        keys=tuple(f"{keys}{n}" for n in range(len(values))),
        sources=tuple("s" for _ in values),
        values={name: values},
        real_ND=real,
        fake_ND=real if fake is None else fake,
        extractor="rand3d-test",
    )


def test_a_common_shift_is_detected_despite_large_variance_between_videos() -> None:
    base = np.random.default_rng(1).normal(0, 10, 60)

    found = compare([rows(base - 0.1)], [rows(base)], "l1")

    assert found.value == pytest.approx(-0.1)
    assert found.interval == pytest.approx((-0.1, -0.1))
    assert (found.sign, found.num_videos) == (-1, 60)
    assert found.p_value == pytest.approx(1 / 1000)


def test_equal_models_have_no_significant_difference() -> None:
    rng = np.random.default_rng(2)

    found = [compare([rows(rng.normal(size=80))], [rows(rng.normal(size=80))], "l1", seed=n) for n in range(20)]

    assert sum(one.sign != 0 for one in found) <= 4
    low, high = found[0].interval
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(2 / 80), rel=0.3)


def test_seeds_are_averaged_and_undefined_videos_ignored() -> None:
    first = [rows(np.array([1.0, 2.0, np.nan, 3.0])), rows(np.array([3.0, 4.0, np.nan, 5.0]))]

    assert compare(first, [rows(np.zeros(4))], "l1").value == pytest.approx(3.0)


def test_seam_ratio_is_compared_by_median() -> None:
    one, other = np.array([1.0, 1.0, 1.0, 1.0, 100.0]), np.array([2.0, 2.0, 2.0, 2.0, 2.0])

    assert compare([rows(one, name="seam_ratio")], [rows(other, name="seam_ratio")], "seam_ratio").value == -1.0


def test_distance_of_shifted_features_is_larger() -> None:
    values = np.zeros(60)
    far = rows(values).real_ND + 3.0

    found = compare([rows(values)], [rows(values, fake=far)], DISTANCE)

    assert found.sign == -1
    assert found.value == pytest.approx(-4 * 9, rel=0.3)  # four features, three deviations


def test_models_evaluated_on_different_videos_are_not_compared() -> None:
    with pytest.raises(ValueError, match="different videos"):
        compare([rows(np.zeros(4))], [rows(np.zeros(4), keys="w")], "l1")
    with pytest.raises(ValueError, match="no video has a value"):
        compare([rows(np.full(4, np.nan))], [rows(np.zeros(4))], "l1")
