"""Tables from results that are made up, so that every cell is known."""

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
from cssgan.study.results import Cell, Measured, Results
from cssgan.study.tables import Table, best_of, words
from phonics_data.errors import InputError

BUDGET = job_list.budget("smoke", num_seeds=2)
NUM_VIDEOS = 40


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for tables and words; how good the intervals are is tested where they are made."""
    monkeypatch.setattr(significance, "RESAMPLES", 200)
    monkeypatch.setattr(significance, "RESAMPLES_OF_DISTANCES", 50)


def measured(job: Job, values: Mapping[str, float]) -> Measured:
    rng = np.random.default_rng(7)  # the same videos for all
    noise = rng.normal(0, 0.001, NUM_VIDEOS)
    real = rng.normal(size=(NUM_VIDEOS, 3))
    found = {
        name: MetricResult(name=name, value=value, better="higher" if "sync" in name else "lower", n_real=40, n_fake=40)
        for name, value in values.items()
    }
    found["fid"] = unavailable("fid", "no weights; run `cssgan weights fetch`", better="lower", n_real=40, n_fake=40)
    return Measured(
        job=job,
        results=found,
        report={"num_evaluated": 40, "num_steps": 9, "num_videos_seen": 36, "config_sha256": "0123"},
        minutes=2.0,
        rows=PerVideo(
            keys=tuple(f"k{n}" for n in range(NUM_VIDEOS)),
            sources=("s",) * NUM_VIDEOS,
            values={name: values.get(name, 1.0) + noise for name in report.COMPARED if name != report.DISTANCE},
            real_ND=real,
            fake_ND=real + values["rfd_3d_fd64"],
            extractor="rand3d-test",
        ),
    )


def made(**changed: Mapping[str, float]) -> Study:
    """All rows measured with two seeds; the CSSGAN ahead, the cascade without seams; `changed` by the row's preset."""
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
        found[job.key] = measured(job, {name: value + 0.01 * job.seed for name, value in own.items()})
    return Study(
        tables=tables, budget=BUDGET, settings=(), label_set="letters", where="here",
        results=Results(measured=found, missing={}),
    )  # fmt: skip


def without(study: Study, *keys: str) -> Study:
    left = {key: run for key, run in study.results.measured.items() if key not in keys}
    missing = dict.fromkeys(keys, "failed: train ended with exit code 1: out of luck")
    found = Results(measured=left, missing=missing)
    return Study(tables=study.tables, budget=BUDGET, settings=(), label_set="letters", where="here", results=found)


def test_a_table_has_means_spreads_reasons_and_the_papers_numbers() -> None:
    table = report.table(made(), "table1")

    assert [row[0] for row in table.rows] == [
        "MoCoGAN", "PhonicsGAN (reconstruction)", "G3AN", "ImaGINator", "CSSGAN, every pixel painted", "CSSGAN",
    ]  # fmt: skip
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert rows["CSSGAN"]["fid"] == "unavailable: no weights (paper 27.56)"
    assert rows["CSSGAN"]["fvd32"] == "unavailable: `cssgan evaluate` does not give it (paper 95.13)"
    assert rows["ImaGINator"]["rfd_3d_fd64 ↓"] == "6.005 ± 0.007071"
    assert rows["CSSGAN, every pixel painted"]["rfd_3d_fd64 ↓"] == "**1.005 ± 0.007071**"
    assert rows["CSSGAN"]["minutes"] == "2.0"
    assert any("no weights; run `cssgan weights fetch`" in note for note in table.notes)


def test_the_ablation_has_the_papers_fvd() -> None:
    table = report.table(made(), "table3")

    printed = [dict(zip(table.columns, row, strict=True))["fvd32"].rpartition("(paper ")[2] for row in table.rows]
    assert printed == ["305.2)", "95.8)", "480.5)", "366)", "93.13)"]


def test_claims_hold_where_they_do() -> None:
    study = made()
    found = [*report.comparisons(study, "table1"), *report.comparisons(study, "table3")]

    lines = report.claims(found)

    assert len(lines) == 5  # two for each of the two CSSGANs, one for the cascade
    assert all("**holds here**" in line for line in lines)
    assert "The cascade lowers the seam ratio: **holds here**. Differences: + multiple discriminators -1" in lines[-1]


@pytest.mark.parametrize(
    ("changed", "number", "words_"),
    [
        ({"g3an": {"rfd_3d_fd64": 0.2}}, 0, "**does not hold here (behind G3AN)**"),
        ({"g3an": {"sync_auc": 0.9}}, 1, "**undecided here: an interval holds 0**"),
        ({"a3": {"seam_ratio": 0.5}}, -1, "**does not hold here**"),
    ],
)
def test_claims_that_do_not_hold_are_told(changed: dict[str, dict[str, float]], number: int, words_: str) -> None:
    study = made(**changed)

    lines = report.claims([*report.comparisons(study, "table1"), *report.comparisons(study, "table3")])

    assert words_ in lines[number]


def test_a_failed_run_leaves_a_row_that_says_so_and_a_claim_that_cannot_be_judged() -> None:
    study = without(made(), "g3an-tiny-seed0", "g3an-tiny-seed1")

    files = report.render(study, survey=True)

    assert "| G3AN | failed: train ended with exit code 1: out of luck (paper 0.0002) |" in files["study.md"]
    assert "ahead of the four others in video distance (rfd_3d_fd64): **cannot be said**" in files["study.md"]
    assert "no survey yet" in files["study.md"]
    assert set(files) == {
        "study.md", "table1.tex", "table1-differences.tex", "table3.tex", "table3-differences.tex", "table2.tex",
        "all-measures.tex",
    }  # fmt: skip


def test_one_failed_seed_leaves_the_others() -> None:
    study = without(made(), "g3an-tiny-seed1")

    table = report.table(study, "table1")

    assert dict(zip(table.columns, table.rows[2], strict=True))["rfd_3d_fd64 ↓"] == "7"


def test_everything_stands_in_one_parquet_file(tmp_path: Path) -> None:
    results.write(made().results, tmp_path / "results.parquet")

    table = pq.read_table(tmp_path / "results.parquet").to_pylist()
    assert len(table) == 20 * 5
    row = next(one for one in table if one["run"] == "a3-tiny-seed1" and one["measure"] == "seam_ratio")
    assert row["value"] == pytest.approx(2.01)
    assert (row["seed"], row["num_videos_seen"], row["minutes"]) == (1, 36, 2.0)
    assert next(one for one in table if one["measure"] == "fid")["unavailable"].startswith("no weights")


def test_latex_has_no_bare_sign_of_its_own() -> None:
    table = Table(
        title="A_b", columns=("model", "x_y ↓"), rows=(("50 % & more", "**1 ± 2** (paper 3)"),), notes=("`n`",)
    )

    text = table.latex()

    assert r"  50 \% \& more & \textbf{1 $\pm$ 2} (paper 3) \\" in text
    assert r"x\_y $\downarrow$" in text
    assert r"\caption{A\_b. n}" in text


def test_the_best_follows_the_direction_of_its_measure() -> None:
    def cells(better: str, *values: float) -> list[Cell]:
        return [Cell(values=(value,), better=better) for value in values]  # type: ignore[arg-type]

    assert best_of(cells("lower", 3, 1, 2)) == 1
    assert best_of(cells("higher", 3, 1, 2)) == 0
    assert best_of(cells("near_one", 0.5, 1.2, 3)) == 1
    assert best_of(cells("neither", 1, 2)) is None
    assert best_of([Cell(missing="none"), *cells("lower", 3)]) is None
    assert words(Cell(missing="no weights; run it")) == "unavailable: no weights"


def survey_report() -> dict[str, object]:
    row = {
        "question": "quality", "model": "imaginator", "num_answers": 9, "num_raters": 3,
        "preference": {"value": 0.5, "interval": [0.25, 0.75]}, "share_of_4": {"value": 0.1, "interval": None},
        "mean": {"value": 4.5, "interval": [4.0, 5.0]}, "alpha": None,
    }  # fmt: skip
    return {
        "rows": [row], "reference": "cssgan", "interval": "95 %", "agreement": "alpha", "raters": {"counted": 3},
    }  # fmt: skip


def test_a_survey_becomes_table_2(tmp_path: Path) -> None:
    (tmp_path / "analysis.json").write_text(json.dumps(survey_report()))

    study = made()
    files = report.render(
        Study(
            tables=(), budget=BUDGET, settings=(), label_set="letters", where="here",
            results=Results(measured={}, missing={}), survey=report.read_survey(tmp_path),
        ),
        survey=True,
    )  # fmt: skip

    assert "| quality | imaginator | 9 | 3 | 0.5 (0.25 .. 0.75) | 0.1 | 4.5 (4 .. 5) |  |" in files["study.md"]
    assert study.survey is None


@pytest.mark.parametrize("text", ["", "[]", '{"rows": [{}]}', '{"rows": []}'])
def test_another_file_is_no_survey(tmp_path: Path, text: str) -> None:
    (tmp_path / "analysis.json").write_text(text)

    with pytest.raises(InputError, match=r"analysis\.json: not what `cssgan survey analyse` writes"):
        report.read_survey(tmp_path)


def test_what_judges_say_of_every_run_is_compared_as_well() -> None:
    study = made()
    assert "order_pairs" not in report.comparison_table(report.comparisons(study, "table3"), "t").columns
    for number, run in enumerate(study.results.measured.values()):
        values = {**run.rows.values, "order_pairs": np.full(NUM_VIDEOS, number / 100.0)}
        object.__setattr__(run, "rows", replace(run.rows, values=values))
    table = report.comparison_table(report.comparisons(study, "table3"), "t")
    assert table.columns[-1] == "order_pairs"
    assert "syncnet_auc" not in table.columns
    assert all(row[-1].startswith("**") for row in table.rows)
