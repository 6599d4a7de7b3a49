"""The fit takes the value that finds the letters, and the defaults are those that the record says."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from benchmarks.fit_segmentation import TRIED, LettersFitOptions, fit_letters, value_of, with_value
from benchmarks.segmentation_songs import BenchVideo
from phonics_data.errors import OptionError
from phonics_data.segmentation.calibration import CalibrationFeatures
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.scoring import read_truth_table
from phonics_data.segmentation.segmenter import DecideOptions
from tests.phonics_data.segmentation.traces import RATE, Reading, trace_of

RECORD = Path(__file__).parents[2] / "benchmarks" / "segmentation-fit.json"


def cards(folder: Path, name: str) -> BenchVideo:
    """26 cards, each for two seconds, each come with a cut."""
    looks = [2 * RATE * at for at in range(26)]
    readings = [Reading(look=look, letter=one, after_cut=True) for look, one in zip(looks, LETTERS, strict=True)]
    trace = folder / f"{name}.npz"
    trace.write_bytes(trace_of(readings, 52 * RATE, looks).to_bytes())
    table = folder / f"{name}.tsv"
    table.write_text("".join(f"{letter} {2 * at} {2 * at + 2}\n" for at, letter in enumerate(LETTERS)))
    return BenchVideo(
        video_id=name,
        path=folder / name,
        kind="cards",
        way="card",
        is_whole=True,
        is_rendered=False,
        truth=tuple(read_truth_table(table, name)),
        duration_seconds=52.0,
        trace=trace,
    )


def test_a_number_under_which_no_letter_is_found_is_left(tmp_path: Path) -> None:
    start = with_value(DecideOptions(), "screen.after_cut_alone", 0.01)
    steps: list[str] = []
    found = fit_letters(
        [cards(tmp_path, "one")],
        [cards(tmp_path, "other")],
        start=start,
        tried={"screen.after_cut_alone": (0.01, 0.8), "fusion.doubt": (0.1, 0.2)},
        on_progress=lambda stage, done, total: steps.append(f"{stage} {done}/{total}"),
    )
    assert found.before == 0.0
    assert found.after == found.held_out_after == 1.0
    # One source has nothing to fuse with: what gains nothing stays.
    assert found.values == {"screen.after_cut_alone": 0.8, "fusion.doubt": 0.2}
    assert [trial.is_taken for trial in found.trials] == [False, True, False, True]
    assert steps[-1] == "numbers 2/2"
    order = next(gate for gate in found.gates if gate.name == "min_order_z")
    assert order.lowest_of_songs > order.threshold
    assert found.num_segments == 26
    assert found.calibration_after < 0.1


def test_the_defaults_are_those_of_the_record() -> None:
    record = json.loads(RECORD.read_text())
    options = DecideOptions()
    assert record["values"] == {name: value_of(options, name) for name in TRIED}
    assert record["certainty"] == {
        field.name: getattr(options.certainty, field.name) for field in fields(CalibrationFeatures)
    }
    for gate in record["gates"]:
        assert gate["threshold"] == value_of(options, f"screen.{gate['name']}")
        assert gate["highest_without_letters"] < gate["threshold"] < gate["lowest_of_songs"]


def test_what_is_tried_holds_the_default() -> None:
    options = DecideOptions()
    for name, values in TRIED.items():
        assert value_of(options, name) in values, name
        assert value_of(with_value(options, name, values[0]), name) == values[0]


@pytest.mark.parametrize("seeds", [(31, 4242), (31, 31), (9100, 700)])
def test_songs_of_the_bench_are_not_fitted_on(seeds: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match="4242"):
        LettersFitOptions(seeds=seeds)
