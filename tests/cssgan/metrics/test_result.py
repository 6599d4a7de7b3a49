"""Results: protocol, JSON, validation and tables."""

from __future__ import annotations

import json

import pytest

from cssgan.metrics.result import MetricResult, markdown_table, unavailable

RESULT = MetricResult(
    name="sync_auc",
    value=0.8123,
    better="higher",
    n_real=60,
    n_fake=60,
    protocol={"lags": "0", "seed": 0},
    controls={"real": 0.9},
    interval=(0.75, 0.86),
    num_undefined=2,
)


def test_json_round_trip() -> None:
    assert MetricResult.from_json(json.loads(json.dumps(RESULT.as_json(), allow_nan=False))) == RESULT
    missing = unavailable("fvd32", "no I3D weights", better="lower", n_real=60, n_fake=60)
    assert MetricResult.from_json(json.loads(json.dumps(missing.as_json()))) == missing


@pytest.mark.parametrize(
    "fields",
    [
        {"value": None},
        {"value": 1.0, "unavailable": "although there is a value"},
        {"value": float("nan")},
        {"value": 1.0, "controls": {"real": float("inf")}},
        {"value": 1.0, "interval": (0.0, float("nan"))},
    ],
)
def test_invalid_results_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="metric broken"):
        MetricResult(name="broken", better="lower", n_real=1, n_fake=1, **fields)  # type: ignore[arg-type]


def test_shared_protocol_does_not_replace_own_fields() -> None:
    assert RESULT.with_protocol({"split": "test", "lags": "all"}).protocol == {"split": "test", "lags": "0", "seed": 0}


def test_table_contains_value_interval_controls_and_undefined_items() -> None:
    missing = unavailable("fvd32", "no I3D weights", better="lower", n_real=60, n_fake=60)
    lines = markdown_table([RESULT, missing]).splitlines()
    assert lines[2] == "| sync_auc ↑ | 0.8123 | 0.75 .. 0.86 | real 0.9 | 60 (2 undefined) |"
    assert "unavailable: no I3D weights" in lines[3]
    assert len({line.count("|") for line in lines}) == 1
