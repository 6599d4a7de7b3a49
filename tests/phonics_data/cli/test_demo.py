"""The table of gates that `phonics-data demo` prints, from the report that `cssgan evaluate` writes."""

from __future__ import annotations

from dataclasses import replace

from cssgan.evaluation.gates import GateRow
from phonics_data.cli import demo

PASSED = GateRow(name="event_match", value=0.8, minimum=0.65, controls={"real": 1.0, "held": 0.5})
ROWS = (PASSED, replace(PASSED, value=0.5), replace(PASSED, value=None), replace(PASSED, saturated_by="flash"))


def test_outcomes_are_those_of_the_gates() -> None:
    evaluation = {
        "gates": [row.as_json() for row in ROWS],
        "metrics": {"event_match": {"controls": PASSED.controls}},
    }
    printed = demo._gate_rows(evaluation)  # pyright: ignore[reportPrivateUsage]
    assert [row[-1].partition(":")[0] for row in printed] == [row.outcome for row in ROWS]
    assert printed[1][-1] == "MISS: events do not fall at the times of the clip's own events"
    assert [row[3:5] for row in printed] == [("1.000", "0.500")] * 4
    missed = demo._missed(evaluation)  # pyright: ignore[reportPrivateUsage]
    assert [gate["value"] for gate in missed] == [0.5, None]
