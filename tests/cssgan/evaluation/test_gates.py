"""Gates: bounds, missing and saturated values, and that each gate can be missed alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cssgan.evaluation.gates import GateBounds, all_passed, control_table, gate_rows, missed
from cssgan.metrics.result import MetricResult, unavailable

GOOD = {
    "l1_over_copy_first": 0.9,
    "phrase_l1_over_copy_first": 0.9,
    "event_match": 0.8,
    "event_f1": 0.8,
    "persistence": 0.8,
    "event_swap_auc": 0.7,
}


def results(**changed: float | None) -> list[MetricResult]:
    return [
        unavailable(name, "none", better="higher", n_real=40, n_fake=40)
        if value is None
        else MetricResult(
            name=name,
            value=value,
            better="higher",
            n_real=40,
            n_fake=40,
            num_undefined=10,
            protocol={"songs_compared": 4},
        )
        for name, value in {**GOOD, **changed}.items()
    ]


def test_a_good_model_passes() -> None:
    rows = gate_rows(results())
    assert [row.name for row in rows] == list(GOOD)
    assert all_passed(rows)
    assert [row.outcome for row in rows] == ["pass"] * 6
    assert [row.bound for row in rows] == ["<= 0.98", "<= 0.98", ">= 0.65", ">= 0.75", ">= 0.5", ">= 0.65"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("l1_over_copy_first", 0.981),
        ("phrase_l1_over_copy_first", 0.981),
        ("event_match", 0.649),
        ("event_f1", 0.749),
        ("persistence", 0.499),
        ("event_swap_auc", 0.649),
        ("event_match", None),
    ],
)
def test_each_gate_can_be_missed_alone(name: str, value: float | None) -> None:
    rows = gate_rows(results(**{name: value}))
    assert [row.name for row in rows if not row.passed] == [name]
    assert not all_passed(rows)
    assert missed(rows).startswith(name)


def test_bounds_are_inclusive_and_can_be_changed() -> None:
    assert all_passed(gate_rows(results(event_match=0.65, event_f1=0.75)))
    strict = gate_rows(results(), GateBounds(event_match_min=0.9))
    assert [row.name for row in strict if not row.passed] == ["event_match"]


def test_a_saturated_measure_neither_passes_nor_misses() -> None:
    saturated = [replace(result, saturated_by="flash") for result in results(event_match=0.1)]
    one = gate_rows([saturated[2], *(result for result in results() if result.name != "event_match")])
    row = next(row for row in one if row.name == "event_match")
    assert row.outcome == "does not count, saturated by flash"
    assert all_passed(one)
    assert missed(one) == ""
    everything = gate_rows(saturated)
    assert not all_passed(everything)
    assert missed(everything).startswith("none of event_match, event_swap_auc counts")


def test_missing_results_are_refused() -> None:
    with pytest.raises(ValueError, match="results lack event_match, event_f1, persistence, event_swap_auc"):
        gate_rows(results()[:2])


def test_each_control_has_a_row_with_its_outcome_at_each_gate() -> None:
    controls = {"real": 1.0, "flash": 0.5, "mismatched": 0.8}
    found = [
        replace(result, controls={"real": 0.0, "flash": 1.2, "mismatched": 1.1} if "l1" in result.name else controls)
        for result in results(persistence=0.1)
        if result.name != "event_f1"
    ] + [replace(results()[3], saturated_by="mismatched", controls={"real": 1.0, "flash": 0.5})]
    heads, rows = control_table(gate_rows(found), model="smoke")
    assert heads[0] == "videos"
    assert heads[2:4] == ["phrase_l1_over_copy_first <= 0.98", "event_match >= 0.65"]
    assert heads[-1] == "all gates"
    outcomes = {row[0]: [cell.lstrip(".0123456789 ") for cell in row[1:]] for row in rows}
    saturated = "does not count, saturated by mismatched"
    assert rows[0][1] == "0.900 pass"
    assert outcomes == {
        "smoke": ["pass", "pass", "pass", saturated, "MISS", "pass", "MISS"],
        "real": ["pass", "pass", "pass", saturated, "pass", "pass", "pass"],
        "flash": ["MISS", "MISS", "MISS", saturated, "pass", "MISS", "MISS"],
        "mismatched": ["MISS", "MISS", "pass", saturated, "pass", "pass", "MISS"],
        "compared": ["clips of 4 songs"] * 6 + [""],
    }


def test_a_control_without_a_value_does_not_pass_all_gates() -> None:
    found = [replace(result, controls={"real": 0.9} if result.name != "event_f1" else {}) for result in results()]
    rows = {row[0]: row[1:] for row in control_table(gate_rows(found))[1]}
    assert rows["real"][3] == "unavailable"
    assert rows["real"][-1] == "unavailable"
    nothing = control_table(gate_rows([replace(result, saturated_by="held") for result in results()]))[1]
    assert nothing[0][-1] == "MISS"


@pytest.mark.parametrize(("undefined", "songs"), [(21, 4), (0, 1)])
def test_a_value_of_too_few_clips_or_songs_misses_its_gate(undefined: int, songs: int) -> None:
    some = [
        replace(result, num_undefined=undefined, protocol={"songs_compared": songs})
        if result.name == "event_match" else result for result in results()
    ]  # fmt: skip
    rows = gate_rows(some)
    assert [(row.name, row.outcome) for row in rows if not row.passed] == [("event_match", "MISS, too few clips")]
    assert not all_passed(rows)
    assert f"too few clips: {40 - undefined} clips of {songs} songs" in missed(rows)
    fields = next(row.as_json() for row in rows if row.name == "event_match")
    assert (fields["num_clips"], fields["num_songs"], fields["passed"]) == (40 - undefined, songs, False)
    assert fields["reason"].startswith("too few clips")
    assert "too few clips" in control_table(rows)[1][0][3]


def test_one_timing_gate_must_count() -> None:
    def without(*names: str) -> bool:
        return all_passed(
            gate_rows(replace(one, saturated_by="flash") if one.name in names else one for one in results())
        )

    assert without("event_match")
    assert without("event_swap_auc", "event_f1")
    assert not without("event_match", "event_swap_auc")
