"""The fit finds the best value, and the defaults are those of its record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.fit_segmentation import SEARCH_SPACE, SegmentationFitOptions, fit_segmentation, value_of, with_value
from benchmarks.segmentation_songs import BenchmarkVideo
from phonics_data.errors import OptionError
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.scoring import read_truth_table
from phonics_data.segmentation.segmenter import SegmenterOptions
from tests.phonics_data.segmentation.traces import RATE, Detection, trace_of

RECORD = Path(__file__).parents[2] / "benchmarks" / "segmentation-fit.json"


def cards(folder: Path, name: str) -> BenchmarkVideo:
    """26 cards, each for two seconds, each after a cut."""
    cuts = [2 * RATE * index for index in range(26)]
    detections = [Detection(frame=cut, letter=one, after_cut=True) for cut, one in zip(cuts, LETTERS, strict=True)]
    trace = folder / f"{name}.npz"
    trace.write_bytes(trace_of(detections, 52 * RATE, cuts).to_bytes())
    table = folder / f"{name}.tsv"
    table.write_text("".join(f"{letter} {2 * index} {2 * index + 2}\n" for index, letter in enumerate(LETTERS)))
    return BenchmarkVideo(
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


def test_value_that_finds_no_letter_is_replaced(tmp_path: Path) -> None:
    start = with_value(SegmenterOptions(), "screen.single_after_cut_weight", 0.01)
    steps: list[str] = []
    found = fit_segmentation(
        [cards(tmp_path, "one")],
        [cards(tmp_path, "other")],
        start=start,
        search_space={"screen.single_after_cut_weight": (0.01, 0.8), "fusion.single_source_penalty": (0.1, 0.2)},
        on_progress=lambda step, done, total: steps.append(f"{step} {done}/{total}"),
    )
    assert found.before == 0.0
    assert found.after == found.held_out_after == 1.0
    # There is only one source, so fusion options have no effect and are kept.
    assert found.values == {"screen.single_after_cut_weight": 0.8, "fusion.single_source_penalty": 0.2}
    assert [trial.is_taken for trial in found.trials] == [False, True, False, True]
    assert steps[-1] == "options 2/2"
    order = next(one for one in found.thresholds if one.name == "min_order_z")
    assert order.lowest_of_songs > order.threshold


def test_defaults_are_those_of_the_record() -> None:
    record = json.loads(RECORD.read_text())
    options = SegmenterOptions()
    assert record["values"] == {name: value_of(options, name) for name in SEARCH_SPACE}
    for one in record["thresholds"]:
        assert one["threshold"] == value_of(options, f"screen.{one['name']}")
        assert one["threshold"] < one["lowest_of_songs"]
        assert one["highest_without_letters"] is None or one["highest_without_letters"] < one["threshold"]


def test_search_space_contains_the_defaults() -> None:
    options = SegmenterOptions()
    for name, values in SEARCH_SPACE.items():
        assert value_of(options, name) in values, name
        assert value_of(with_value(options, name, values[0]), name) == values[0]


@pytest.mark.parametrize("seeds", [(31, 4242), (31, 31), (9100, 700)])
def test_seed_of_the_benchmark_is_refused(seeds: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match="4242"):
        SegmentationFitOptions(seeds=seeds)
