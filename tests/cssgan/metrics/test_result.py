"""Results: protocol, JSON, validation and tables."""

from __future__ import annotations

import json

import pytest

from cssgan.metrics.result import MetricResult, markdown_table, saturating_control, unavailable

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


AUC = {"real": 0.97, "held": 0.5, "flash": 0.99, "untrained": 0.56}


def test_a_measure_that_a_control_reaches_is_saturated() -> None:
    saturated = RESULT.with_controls(AUC, scale=1.0)
    assert saturated.saturated_by == "flash"
    assert saturated.controls["real"] == 0.97
    assert "| 0.8123, saturated by flash |" in markdown_table([saturated])
    assert MetricResult.from_json(json.loads(json.dumps(saturated.as_json()))) == saturated
    assert RESULT.with_controls({**AUC, "flash": 0.91}, scale=1.0).saturated_by == ""


@pytest.mark.parametrize(("flash", "name"), [(0.92, "flash"), (0.919, "")])
def test_the_margin_of_a_share_is_five_hundredths(flash: float, name: str) -> None:
    assert saturating_control({**AUC, "flash": flash}, "higher", scale=1.0) == name


def test_a_real_value_at_chance_is_saturated() -> None:
    values = {"real": 0.65, "held": 0.5, "chance_level": 0.5, "real_low": 0.45, "real_high": 0.83}
    saturated = RESULT.with_controls(values, scale=1.0)
    assert saturated.saturated_by == "chance"
    assert RESULT.with_controls({**values, "real_low": 0.51}, scale=1.0).saturated_by == ""
    assert RESULT.with_controls({**values, "held": 0.6}, scale=1.0).saturated_by == "held"
    assert RESULT.with_controls({**values, "real": 0.54, "real_low": 0.51}, scale=1.0).saturated_by == "held"


def test_where_the_real_value_is_the_aim_both_directions_count() -> None:
    seam = {"real": 0.9, "held": 1.4, "flash": 0.5}
    assert saturating_control(seam, "near_one", scale=1.0) == ""
    assert saturating_control({**seam, "flash": 0.88}, "near_one", scale=1.0) == "flash"
    assert saturating_control({**seam, "untrained": 1.2}, "higher", scale=1.0) == "held"


def test_without_a_real_value_or_with_exempt_controls_only_nothing_saturates() -> None:
    assert saturating_control({"flash": 1.0}, "higher", scale=1.0) == ""
    values = {"real": 0.2, "mismatched": 0.2, "held": 0.0}
    assert saturating_control(values, "neither", scale=1.0) == "mismatched"
    exempted = RESULT.with_controls(values, scale=1.0, exempt=("mismatched",))
    assert exempted.saturated_by == ""
    assert exempted.protocol["not_compared_for_saturation"] == "mismatched"
