"""Tables of synthetic results with known cells."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from cssgan.metrics.per_video import PerVideo
from cssgan.metrics.result import MetricResult, unavailable
from cssgan.study import job_list, report, results, significance
from cssgan.study.job_list import Job
from cssgan.study.report import Study
from cssgan.study.results import Cell, FinishedRun, Results
from cssgan.study.tables import Table, best_index, format_cell
from phonics_data.errors import InputError

BUDGET = job_list.budget("smoke", num_seeds=2)
NUM_VIDEOS = 40


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for the tables; test_significance.py tests the intervals."""
    monkeypatch.setattr(significance, "RESAMPLES", 200)
    monkeypatch.setattr(significance, "RESAMPLES_OF_DISTANCES", 50)


def finished_run(job: Job, values: Mapping[str, float]) -> FinishedRun:
    rng = np.random.default_rng(7)  # the same videos for all runs
    noise = rng.normal(0, 0.001, NUM_VIDEOS)
    real = rng.normal(size=(NUM_VIDEOS, 3))
    metrics = {
        name: MetricResult(name=name, value=value, better="higher" if "sync" in name else "lower", n_real=40, n_fake=40)
        for name, value in values.items()
    }
    metrics["fid"] = unavailable("fid", "no weights; run `cssgan weights fetch`", better="lower", n_real=40, n_fake=40)
    return FinishedRun(
        job=job,
        metrics=metrics,
        report={"num_evaluated": 40, "num_steps": 9, "num_videos_seen": 36, "config_sha256": "0123"},
        minutes=2.0,
        per_video=PerVideo(
            keys=tuple(f"k{n}" for n in range(NUM_VIDEOS)),
            sources=("s",) * NUM_VIDEOS,
            values={name: values.get(name, 1.0) + noise for name in report.COMPARED_METRICS if name != report.DISTANCE},
            real_ND=real,
            fake_ND=real + values["rfd_3d_fd64"],
            extractor="rand3d-test",
        ),
    )


def make_study(**changed: Mapping[str, float]) -> Study:
    """All rows with two seeds; the CSSGAN is the best model and the cascade has no seams. `changed`: values by preset."""
    values: dict[str, dict[str, float]] = {}
    for number, name in enumerate(("a4", "a3", "a2", "a1", "a0", "imaginator", "g3an", "phonicsgan_like", "mocogan")):
        values[name] = {
            "rfd_3d_fd64": 1.0 + number, "sync_auc": 0.9 - number / 20, "seam_ratio": 1.0 + number, "l1": 0.1 * (1 + number),
        }  # fmt: skip
        values[name] |= dict(changed.get(name, {}))
    tables: tuple[job_list.TableName, ...] = ("table1", "table3")
    jobs = job_list.jobs(tables, BUDGET)
    found = {}
    for job in jobs:
        own = values[job.preset.removesuffix("-tiny")]
        found[job.key] = finished_run(job, {name: value + 0.01 * job.seed for name, value in own.items()})
    return Study(
        tables=tables, budget=BUDGET, settings=(), label_set="letters", setup="here",
        results=Results(finished=found, missing={}),
    )  # fmt: skip


def without(study: Study, *keys: str) -> Study:
    left = {key: run for key, run in study.results.finished.items() if key not in keys}
    missing = dict.fromkeys(keys, "failed: train ended with exit code 1: CUDA error")
    found = Results(finished=left, missing=missing)
    return Study(tables=study.tables, budget=BUDGET, settings=(), label_set="letters", setup="here", results=found)


def test_table1_shows_means_deviations_reasons_and_paper_numbers() -> None:
    table = report.table(make_study(), "table1")

    assert [row[0] for row in table.rows] == [
        "MoCoGAN", "PhonicsGAN (reconstruction)", "G3AN", "ImaGINator", "CSSGAN, direct output", "CSSGAN",
    ]  # fmt: skip
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert rows["CSSGAN"]["fid"] == "unavailable: no weights (paper 27.56)"
    assert rows["CSSGAN"]["fvd32"] == "unavailable: `cssgan evaluate` does not report it (paper 95.13)"
    assert rows["ImaGINator"]["rfd_3d_fd64 ↓"] == "6.005 ± 0.007071"
    assert rows["CSSGAN, direct output"]["rfd_3d_fd64 ↓"] == "**1.005 ± 0.007071**"
    assert rows["CSSGAN"]["minutes"] == "2.0"
    assert any("no weights; run `cssgan weights fetch`" in note for note in table.notes)


def test_table3_shows_the_paper_fvd() -> None:
    table = report.table(make_study(), "table3")

    printed = [dict(zip(table.columns, row, strict=True))["fvd32"].rpartition("(paper ")[2] for row in table.rows]
    assert printed == ["305.2)", "95.8)", "480.5)", "366)", "93.13)"]


def test_claims_hold() -> None:
    study = make_study()
    found = [*report.comparisons(study, "table1"), *report.comparisons(study, "table3")]

    lines = report.claims(found)

    assert len(lines) == 5  # two for each of the two CSSGANs, one for the cascade
    assert all("**holds**" in line for line in lines)
    assert "The cascade lowers the seam ratio: **holds**. Differences: + multiple discriminators -1" in lines[-1]


@pytest.mark.parametrize(
    ("changed", "number", "expected"),
    [
        ({"g3an": {"rfd_3d_fd64": 0.2}}, 0, "**does not hold (worse than G3AN)**"),
        ({"g3an": {"sync_auc": 0.9}}, 1, "**undecided: an interval contains 0**"),
        ({"a3": {"seam_ratio": 0.5}}, -1, "**does not hold**"),
    ],
)
def test_claims_do_not_hold(changed: dict[str, dict[str, float]], number: int, expected: str) -> None:
    study = make_study(**changed)

    lines = report.claims([*report.comparisons(study, "table1"), *report.comparisons(study, "table3")])

    assert expected in lines[number]


def test_a_failed_run_has_a_row_with_the_reason_and_its_claim_is_not_tested() -> None:
    study = without(make_study(), "g3an-tiny-seed0", "g3an-tiny-seed1")

    files = report.render(study, with_table2=True)

    assert "| G3AN | failed: train ended with exit code 1: CUDA error (paper 0.0002) |" in files["study.md"]
    assert (
        "CSSGAN is better than the four baselines in video distance (rfd_3d_fd64): **not tested**" in files["study.md"]
    )
    assert "no survey yet" in files["study.md"]
    assert set(files) == {
        "study.md", "table1.tex", "table1-differences.tex", "table3.tex", "table3-differences.tex", "table2.tex",
        "all-metrics.tex",
    }  # fmt: skip


def test_one_failed_seed_does_not_affect_the_others() -> None:
    study = without(make_study(), "g3an-tiny-seed1")

    table = report.table(study, "table1")

    assert dict(zip(table.columns, table.rows[2], strict=True))["rfd_3d_fd64 ↓"] == "7"


def test_results_parquet_contains_every_value(tmp_path: Path) -> None:
    results.write(make_study().results, tmp_path / "results.parquet")

    table = pq.read_table(tmp_path / "results.parquet").to_pylist()
    assert len(table) == 20 * 5
    row = next(one for one in table if one["run"] == "a3-tiny-seed1" and one["measure"] == "seam_ratio")
    assert row["value"] == pytest.approx(2.01)
    assert (row["seed"], row["num_videos_seen"], row["minutes"]) == (1, 36, 2.0)
    assert next(one for one in table if one["measure"] == "fid")["unavailable"].startswith("no weights")


def test_latex_special_characters_are_escaped() -> None:
    table = Table(
        title="A_b", columns=("model", "x_y ↓"), rows=(("50 % & more", "**1 ± 2** (paper 3)"),), notes=("`n`",)
    )

    text = table.latex()

    assert r"  50 \% \& more & \textbf{1 $\pm$ 2} (paper 3) \\" in text
    assert r"x\_y $\downarrow$" in text
    assert r"\caption{A\_b. n}" in text


def test_best_index_follows_the_direction_of_the_metric() -> None:
    def cells(better: str, *values: float) -> list[Cell]:
        return [Cell(values=(value,), better=better) for value in values]  # type: ignore[arg-type]

    assert best_index(cells("lower", 3, 1, 2)) == 1
    assert best_index(cells("higher", 3, 1, 2)) == 0
    assert best_index(cells("near_one", 0.5, 1.2, 3)) == 1
    assert best_index(cells("neither", 1, 2)) is None
    assert best_index([Cell(missing="none"), *cells("lower", 3)]) is None
    assert format_cell(Cell(missing="no weights; run it")) == "unavailable: no weights"


def survey_report() -> dict[str, object]:
    row = {
        "question": "quality", "model": "imaginator", "num_answers": 9, "num_raters": 3,
        "preference": {"value": 0.5, "interval": [0.25, 0.75]}, "share_of_4": {"value": 0.1, "interval": None},
        "mean": {"value": 4.5, "interval": [4.0, 5.0]}, "alpha": None,
    }  # fmt: skip
    return {
        "rows": [row], "reference": "cssgan", "interval": "95 %", "agreement": "alpha", "raters": {"counted": 3},
    }  # fmt: skip


def test_survey_analysis_becomes_table_2(tmp_path: Path) -> None:
    (tmp_path / "analysis.json").write_text(json.dumps(survey_report()))

    study = make_study()
    files = report.render(
        Study(
            tables=(), budget=BUDGET, settings=(), label_set="letters", setup="here",
            results=Results(finished={}, missing={}), survey=report.read_survey(tmp_path),
        ),
        with_table2=True,
    )  # fmt: skip

    assert "| quality | imaginator | 9 | 3 | 0.5 (0.25 .. 0.75) | 0.1 | 4.5 (4 .. 5) |  |" in files["study.md"]
    assert study.survey is None


@pytest.mark.parametrize("text", ["", "[]", '{"rows": [{}]}', '{"rows": []}'])
def test_other_files_are_not_a_survey_analysis(tmp_path: Path, text: str) -> None:
    (tmp_path / "analysis.json").write_text(text)

    with pytest.raises(InputError, match=r"analysis\.json: not a result of `cssgan survey analyse`"):
        report.read_survey(tmp_path)


def test_evaluator_metrics_of_every_run_are_compared() -> None:
    study = make_study()
    assert "order_pairs" not in report.comparison_table(report.comparisons(study, "table3"), "t").columns
    for number, run in enumerate(study.results.finished.values()):
        values = {**run.per_video.values, "order_pairs": np.full(NUM_VIDEOS, number / 100.0)}
        object.__setattr__(run, "per_video", replace(run.per_video, values=values))
    table = report.comparison_table(report.comparisons(study, "table3"), "t")
    assert table.columns[-1] == "order_pairs"
    assert "syncnet_auc" not in table.columns
    assert all(row[-1].startswith("**") for row in table.rows)
