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
from cssgan.study import job_list, report, results, tuning
from cssgan.study.job_list import Job
from cssgan.study.measures import MEASURES
from cssgan.study.report import Study
from cssgan.study.results import Cell, FinishedRun, Results
from cssgan.study.tables import Table, best_index, format_cell
from phonics_data.errors import InputError

BUDGET = job_list.budget("smoke", num_seeds=3)
NUM_SONGS, CLIPS_PER_SONG = 10, 4
NUM_VIDEOS = NUM_SONGS * CLIPS_PER_SONG
COLUMNS = tuple(dict.fromkeys(column for measure in MEASURES for column in measure.columns))


def finished_run(job: Job, values: Mapping[str, float]) -> FinishedRun:
    rng = np.random.default_rng(7)  # the same videos for all runs
    noise = rng.normal(0, 0.001, NUM_VIDEOS)
    real = rng.normal(size=(NUM_VIDEOS, 3))
    metrics = {
        name: MetricResult(
            name=name, value=value, better="higher" if "event" in name else "lower", n_real=40, n_fake=40
        )
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
            sources=tuple(f"song{n // CLIPS_PER_SONG}" for n in range(NUM_VIDEOS)),
            values={
                # event_match is the ratio of wins and comparisons: one comparison for each video.
                **{name: values.get(name.removesuffix("_wins"), 1.0) + noise for name in COLUMNS},
                "event_match_comparisons": np.ones(NUM_VIDEOS),
            },
            real_ND=real,
            fake_ND=real + values["rfd_3d_kd64"],
            extractor="rand3d-test",
        ),
    )


def make_study(**changed: Mapping[str, float]) -> Study:
    """All rows with three seeds, equally evaluated on test and training clips. The models are ordered: the CSSGAN is the best
    one in every measure. `changed`: values by preset."""
    values: dict[str, dict[str, float]] = {}
    names = (
        "tuned", "a4", "a3", "a2", "a1-streams", "a1", "a0", "imaginator", "g3an-l1", "g3an", "phonicsgan_like-l1",
        "phonicsgan_like", "mocogan-l1", "mocogan",
    )  # fmt: skip
    for number, name in enumerate(names):
        values[name] = {
            "rfd_3d_kd64": 1.0 + number, "event_match": 0.9 - number / 40, "event_swap_auc": 0.9 - number / 40,
            "seam_deviation": 0.1 * (1 + number), "seam_ratio": 1.0 + number,
        }  # fmt: skip
        values[name] |= dict(changed.get(name, {}))
    tables: tuple[job_list.TableName, ...] = ("table1", "table3")
    found = {}
    for job in job_list.jobs(tables, BUDGET):
        own = values[job.preset.removesuffix("-tiny")]
        found[job.key] = finished_run(job, {name: value + 0.001 * job.seed for name, value in own.items()})
    both = Results(finished=found, missing={})
    return Study(
        tables=tables, budget=BUDGET, settings=(), label_set="letters", setup="here",
        results={"test": both, "train": both},
    )  # fmt: skip


def with_results(study: Study, test: Results) -> Study:
    return replace(study, results={**study.results, "test": test}, _jobs={})


def without(study: Study, *keys: str) -> Study:
    left = {key: run for key, run in study.results["test"].finished.items() if key not in keys}
    missing = dict.fromkeys(keys, "failed: train ended with exit code 1: CUDA error")
    return with_results(study, Results(finished=left, missing=missing))


def claims(study: Study) -> list[str]:
    tables: tuple[job_list.TableName, ...] = ("table1", "table3")
    answers = [report.claims(study, name, report.comparisons(study, name, "test")) for name in tables]
    return [line for of_table in answers for lines in of_table.values() for line in lines]


def test_table1_shows_means_deviations_reasons_and_paper_numbers() -> None:
    table = report.table(make_study(), "table1")

    models = [
        "MoCoGAN", "MoCoGAN with L1", "PhonicsGAN (reconstruction)", "PhonicsGAN (reconstruction) with L1", "G3AN",
        "G3AN with L1", "ImaGINator", "CSSGAN, direct output", "CSSGAN", "CSSGAN, tuned",
    ]  # fmt: skip
    assert [row[:2] for row in table.rows] == [(model, split) for model in models for split in ("test", "train")]
    rows = {row[:2]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert rows["CSSGAN", "test"]["fid"] == "unavailable: no weights"
    assert rows["CSSGAN", "train"]["fid"] == "unavailable: no weights (paper 27.56)"
    assert rows["CSSGAN", "train"]["fvd32"] == "unavailable: `cssgan evaluate` does not report it (paper 95.13)"
    assert rows["ImaGINator", "test"]["rfd_3d_kd64 ↓"] == "8.001 ± 0.001"
    assert rows["CSSGAN", "test"]["rfd_3d_kd64 ↓"] == "2.001 ± 0.001"
    assert rows["CSSGAN, tuned", "test"]["rfd_3d_kd64 ↓"] == "**1.001 ± 0.001**"
    assert any(
        note.startswith("With L1: the model with the L1 term of the CSSGAN (weight 100)") for note in table.notes
    )
    assert rows["CSSGAN", "test"]["minutes"] == "2.0"
    assert any("no weights; run `cssgan weights fetch`" in note for note in table.notes)
    assert any("videos evaluated: test 40, train 40" in note for note in table.notes)


def test_table3_shows_the_paper_fvd_beside_training_clips() -> None:
    table = report.table(make_study(), "table3")

    cells = [dict(zip(table.columns, row, strict=True))["fvd32"] for row in table.rows]
    assert all("(paper" not in cell for cell in cells[::2])
    of_paper = [cell.rpartition("(paper ")[2] for cell in cells[1::2] if "(paper" in cell]
    assert of_paper == ["305.2)", "95.8)", "480.5)", "366)", "93.13)"]
    assert "(paper" not in cells[5]
    assert table.rows[4][0] == "+ four streams in time order (no such row in the paper)"


def test_the_report_answers_questions() -> None:
    text = report.render(make_study(), with_table2=False)["study.md"].partition("## Tables")[0]

    headings = [line for line in text.splitlines() if line.startswith("#")]
    questions = [
        "Is the CSSGAN better than the four models as published?", "Is the CSSGAN better than the four models with L1?",
        "Is `tuned` better than the paper's model at the same budget?", "What does shuffling bring?",
        "What do the streams bring?", "What do shuffled streams bring?", "What do the clip discriminators bring?",
        "What does the cascade bring?", "Is the whole model better than one stream and than shuffling alone?",
    ]  # fmt: skip
    of_split = [f"### {question}" for question in questions]
    assert headings == [
        "# Study", "## The claims on test songs", *of_split,
        "## The claims on training clips, the paper's own protocol", *of_split,
    ]  # fmt: skip


def test_chosen_learning_rates_are_a_table_and_belong_to_the_runs() -> None:
    study = make_study()
    choice = tuning.Choice(factor=2.0, g_lr=2e-3, d_lr=4e-4, values={"1": 3.0, "2": 2.5}, missing={"4": "failed: NaN"})
    row = job_list.rows_of("table1", BUDGET)[0]

    text = report.render(replace(study, choices={"mocogan-tiny": choice}, _jobs={}), with_table2=False)["study.md"]

    assert "| MoCoGAN |  | 3 | **2.5** | failed: NaN | 0.002 | 0.0004 |" in text
    assert "MoCoGAN, factor 4: failed: NaN" in text
    jobs = replace(study, choices={"mocogan-tiny": choice}, _jobs={}).jobs(row)
    assert {one.config.optim.g_lr for one in jobs} == {2e-3}
    assert [one.key for one in jobs] == [one.key for one in study.jobs(row)]


def test_claims_hold() -> None:
    lines = claims(make_study())

    # In three measures: three CSSGANs against two variants, tuned against two, five steps, the whole model; the seams.
    assert len(lines) == 3 * (3 * 2 + 2 + 5 + 1) + 1
    assert all("**holds**" in line for line in lines)
    seams = next(line for line in lines if "seam ratio" in line)
    assert seams.startswith(
        "The cascade brings the seam ratio closer to that of real videos (seam_deviation): **holds**"
    )
    assert "Differences: + multiple discriminators -0.1 (" in seams
    assert "p after Holm's correction: + multiple discriminators" in seams
    assert any("better than one stream and than shuffling alone in the times of events" in line for line in lines)


@pytest.mark.parametrize(
    ("changed", "claim", "expected"),
    [
        ({"g3an": {"rfd_3d_kd64": 0.2}}, "CSSGAN is better than the four models as published in video", "**does not hold (worse than G3AN)**"),
        ({"g3an-l1": {"event_match": 0.875}}, "CSSGAN is better than the four models with L1 in the times", "**undecided: no significant difference from G3AN with L1**"),
        ({"g3an-l1": {"event_match": 0.875}}, "CSSGAN is better than the four models as published in the times", "**holds**"),
        ({"tuned": {"rfd_3d_kd64": 2.0}}, "CSSGAN, tuned is better than CSSGAN in video", "**undecided"),
        ({"a1-streams": {"event_match": 0.5}}, "Four streams, each with its audio: better than the row before in the times", "**does not hold**"),
        ({"a3": {"seam_deviation": 0.05}}, "The cascade brings", "**does not hold**"),
        ({"a0": {"event_match": 0.99}}, "The whole model is better than one stream and than shuffling alone in the times", "**does not hold (worse than one stream)**"),
    ],
)  # fmt: skip
def test_claims_do_not_hold(changed: dict[str, dict[str, float]], claim: str, expected: str) -> None:
    line = next(line for line in claims(make_study(**changed)) if line.startswith(claim))

    assert expected in line


def test_holm_counts_the_comparisons_of_a_claim() -> None:
    """One comparison with p = .02 is significant alone, and not among four."""
    study = make_study()
    found = report.comparisons(study, "table1", "test")
    pairs = [one for one in found if (one.first.name, one.measure.name) == ("cssgan", "event_match")][-4:]
    weak = [replace(one, difference=replace(one.difference, p_value=0.02)) for one in pairs if one.difference]

    assert [p_value for _, p_value in report.corrected(weak[:1])] == pytest.approx([0.02])
    assert [p_value for _, p_value in report.corrected(weak)] == pytest.approx([0.08] * 4)


def test_no_conclusion_from_few_songs_or_seeds() -> None:
    study = make_study()
    few = {
        key: replace(run, per_video=replace(run.per_video, sources=tuple(f"song{n % 3}" for n in range(NUM_VIDEOS))))
        for key, run in study.results["test"].finished.items()
    }

    lines = claims(with_results(study, Results(finished=few, missing={})))

    assert all("**no conclusion**: 3 test songs, at least 10 needed. Differences:" in line for line in lines)
    two = without(study, *(key for key in study.results["test"].finished if key.endswith("seed2")))
    assert all("**no conclusion**: 2 seeds, at least 3 needed" in line for line in claims(two))
    table = report.comparison_table(report.comparisons(two, "table3", "test"), "t")
    assert not any("**" in cell for row in table.rows for cell in row)
    assert any("2 seeds, at least 3 needed" in note for note in table.notes)


def test_a_saturated_measure_takes_part_in_no_conclusion() -> None:
    study = make_study()
    runs = {}
    for key, run in study.results["test"].finished.items():
        metrics = {**run.metrics, "event_match": replace(run.metrics["event_match"], saturated_by="flash")}
        runs[key] = replace(run, metrics=metrics)
    study = with_results(study, Results(finished=runs, missing={}))

    lines = {line.partition(":")[0]: line for line in claims(study)}

    assert (
        "**no conclusion**: saturated: the control 'flash' reaches the value of real videos"
        in lines["CSSGAN is better than the four models as published in the times of events (event_match)"]
    )
    assert "**holds**" in lines["CSSGAN is better than the four models as published in video distance (rfd_3d_kd64)"]
    table = report.table(study, "table1")
    row = dict(zip(table.columns, table.rows[-2], strict=True))
    assert row["event_match ↑"].endswith(" saturated")
    assert "**" not in row["event_match ↑"]
    differences = report.comparison_table(report.comparisons(study, "table3", "test"), "t")
    columns = [dict(zip(differences.columns, row, strict=True)) for row in differences.rows]
    assert all(cells["event_match ↑"].endswith(" saturated") for cells in columns)
    assert all(cells["event_swap_auc ↑"].startswith("**") for cells in columns)


@pytest.mark.parametrize(
    ("saturated_by", "reason"),
    [
        ("flash", "saturated: the control 'flash' reaches the value of real videos"),
        ("chance", "saturated: the value of real videos is not above chance"),
    ],
)
def test_claims_of_following_the_audio_are_about_events_and_never_saturated(saturated_by: str, reason: str) -> None:
    study = make_study(a4={"audio_swap_auc": 0.0})  # a model that does not flash with the sound
    following = [line for line in claims(study) if "in following the audio" in line]
    assert len(following) == 3 * 2 + 2 + 5 + 1
    assert all("(event_swap_auc): **holds**" in line for line in following)
    runs = {
        key: replace(
            run,
            metrics={
                **run.metrics,
                "event_swap_auc": replace(run.metrics["event_swap_auc"], saturated_by=saturated_by),
            },
        )
        for key, run in study.results["test"].finished.items()
    }
    lines = claims(with_results(study, Results(finished=runs, missing={})))
    assert all(f"**no conclusion**: {reason}" in line for line in lines if "in following the audio" in line)


def test_validation_gives_no_conclusion() -> None:
    study = make_study()
    study = replace(study, results={"validation": study.results["test"]}, _jobs={})

    text = report.render(study, with_table2=False)["study.md"]

    assert "## The claims on validation songs" in text
    assert "**holds**" not in text
    assert "**no conclusion**: validation is for choices, not for conclusions" in text


def test_the_ablation_compares_the_whole_model_with_one_stream_and_with_shuffling() -> None:
    pairs = [(one.first.name, one.second.name) for one in report.comparisons(make_study(), "table3", "test")]

    assert list(dict.fromkeys(pairs)) == [
        ("a1", "a0"), ("a1-streams", "a1"), ("a2", "a1-streams"), ("a3", "a2"), ("a4", "a3"), ("a2", "a1"), ("a4", "a0"),
        ("a4", "a1"),
    ]  # fmt: skip


def test_a_failed_run_has_a_row_with_the_reason_and_its_claim_is_not_tested() -> None:
    study = without(make_study(), *(f"g3an-tiny-seed{seed}" for seed in range(3)))

    files = report.render(study, with_table2=True)

    assert "| G3AN | test | failed: train ended with exit code 1: CUDA error |" in files["study.md"]
    claim = "CSSGAN is better than the four models as published in video distance (rfd_3d_kd64)"
    assert f"{claim}: **not tested**: no run of G3AN." in files["study.md"]
    assert f"{claim}: **holds**" in files["study.md"].partition("## The claims on training clips")[2]
    assert "no survey yet" in files["study.md"]
    assert set(files) == {
        "study.md", "table1.tex", "table1-differences-test.tex", "table1-differences-train.tex", "table3.tex",
        "table3-differences-test.tex", "table3-differences-train.tex", "table2.tex", "all-metrics.tex",
    }  # fmt: skip


def test_one_failed_seed_does_not_affect_the_others() -> None:
    study = without(make_study(), "g3an-tiny-seed1")

    table = report.table(study, "table1")

    assert dict(zip(table.columns, table.rows[8], strict=True))["rfd_3d_kd64 ↓"] == "10 ± 0.001414"


def test_results_parquet_contains_every_value(tmp_path: Path) -> None:
    results.write(make_study().results, tmp_path / "results.parquet")

    table = pq.read_table(tmp_path / "results.parquet").to_pylist()
    assert len(table) == 2 * 45 * 6
    row = next(one for one in table if one["run"] == "a3-tiny-seed1" and one["measure"] == "seam_ratio")
    assert row["value"] == pytest.approx(3.001)
    assert [one["split"] for one in table[:: 45 * 6]] == ["test", "train"]
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
            results={}, survey=report.read_survey(tmp_path),
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


def test_only_measures_that_every_run_has_are_compared() -> None:
    study = make_study()
    runs = {}
    for number, (key, run) in enumerate(study.results["test"].finished.items()):
        values = {name: value for name, value in run.per_video.values.items() if name != "syncnet_auc" or number}
        runs[key] = replace(run, per_video=replace(run.per_video, values=values))
    study = with_results(study, Results(finished=runs, missing={}))

    table = report.comparison_table(report.comparisons(study, "table3", "test"), "t")

    assert "class_accuracy ↑" in table.columns
    assert "syncnet_auc ↑" not in table.columns
