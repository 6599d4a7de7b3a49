"""Gates: bounds, missing values, and that each gate can be missed alone."""

from __future__ import annotations

import pytest

from cssgan.evaluation.gates import GateBounds, gate_rows
from cssgan.metrics.result import MetricResult, unavailable

GOOD = {"l1_over_copy_first": 0.9, "motion_ratio": 1.0, "sync_auc": 0.8, "sync_auc_of_real": 0.95}


def results(**changed: float | None) -> list[MetricResult]:
    return [
        unavailable(name, "none", better="higher", n_real=2, n_fake=2)
        if value is None
        else MetricResult(name=name, value=value, better="higher", n_real=2, n_fake=2)
        for name, value in {**GOOD, **changed}.items()
    ]


def test_a_good_model_passes() -> None:
    rows = gate_rows(results())
    assert [row.name for row in rows] == list(GOOD)
    assert all(row.passed for row in rows)
    assert [row.bound for row in rows] == ["<= 0.98", "0.5 .. 1.6", ">= 0.65", ">= 0.8"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("l1_over_copy_first", 0.981),
        ("motion_ratio", 0.49),
        ("motion_ratio", 1.61),
        ("sync_auc", 0.649),
        ("sync_auc_of_real", 0.79),
        ("sync_auc", None),
    ],
)
def test_each_gate_can_be_missed_alone(name: str, value: float | None) -> None:
    missed = [row.name for row in gate_rows(results(**{name: value})) if not row.passed]
    assert missed == [name]


def test_bounds_are_inclusive_and_can_be_changed() -> None:
    assert all(row.passed for row in gate_rows(results(sync_auc=0.65, motion_ratio=1.6)))
    strict = gate_rows(results(), GateBounds(sync_auc_min=0.9))
    assert [row.name for row in strict if not row.passed] == ["sync_auc"]


def test_missing_results_are_refused() -> None:
    with pytest.raises(ValueError, match="results lack sync_auc, sync_auc_of_real"):
        gate_rows(results()[:2])
