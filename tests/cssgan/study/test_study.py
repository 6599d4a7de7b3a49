"""A complete study on seven random clips: all rows of both tables, failures and resuming."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cssgan.errors import RunError, StudyError
from cssgan.evaluators import checkpoint as evaluators_checkpoint
from cssgan.metrics.result import MetricResult
from cssgan.presets import preset
from cssgan.study import job_list, results
from cssgan.study.results import Results
from cssgan.study.runner import JobContext, evaluation_file, run_jobs, seconds_trained, videos_file
from cssgan.study.study import StudyOptions, run_study
from cssgan.training import checkpoint
from tests.cssgan.cli.test_app import run
from tests.cssgan.toy_dataset import TINY, make_sample, write_shard

SETTINGS = tuple(
    setting for setting in TINY if not setting.startswith(("train.num_videos", "train.sample", "train.checkpoint"))
)


@pytest.fixture
def shards(dataset: Path) -> Path:
    write_shard(dataset / "test-000000.tar", [make_sample(200 + seed, num_frames=22) for seed in range(8)])
    return dataset


def options(table: str, *settings: str, num_videos: int = 6, **changes: object) -> StudyOptions:
    chosen = job_list.budget("smoke", num_videos=num_videos)
    return StudyOptions(table=table, budget=chosen, settings=(*SETTINGS, *settings), **changes)  # type: ignore[arg-type]


def test_evaluators_are_trained_once_and_used_by_every_run(shards: Path, tmp_path: Path, monkeypatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr("cssgan.study.runner._run_command", lambda arguments, *_: commands.append(arguments) or 0)
    monkeypatch.setattr("cssgan.study.results.collect", lambda jobs, *_: Results(finished={}, missing=dict.fromkeys(
        (job.key for job in jobs), "not run yet")))  # fmt: skip
    chosen = options("table3", evaluators="train")
    chosen = replace(chosen, budget=replace(chosen.budget, evaluators_share=0.001))
    progress: list[str] = []

    run_study(chosen, shards, tmp_path / "out", on_progress=progress.append)

    assert json.loads((tmp_path / "out/evaluators/evaluators.json").read_text())["spec"]["size"] == 16
    assert progress[0] == "training the evaluators first"
    evaluations = [words for words in commands if words[0] == "evaluate"]
    assert len(evaluations) == 2 * 6
    assert all(words[words.index("--evaluators") + 1] == str(tmp_path / "out/evaluators") for words in evaluations)
    status = json.loads((tmp_path / "out/runs/a0-tiny-seed0/job.json").read_text())
    assert status["spec"]["evaluators"] == evaluators_checkpoint.load(tmp_path / "out/evaluators").digest

    # Existing evaluators are used without training.
    progress.clear()
    run_study(
        replace(chosen, evaluators=tmp_path / "out/evaluators"), shards, tmp_path / "out", on_progress=progress.append
    )
    assert not any("evaluators" in line for line in progress)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_all_rows_are_in_the_tables_and_nothing_is_repeated(shards: Path, tmp_path: Path) -> None:
    progress: list[str] = []

    written = run_study(options("all", workers=2), shards, tmp_path / "out", on_progress=progress.append)

    assert len(progress) == 15
    assert all(": done (" in line for line in progress)
    text = written[0].read_text()
    for title in ("MoCoGAN", "PhonicsGAN (reconstruction)", "G3AN", "ImaGINator", "CSSGAN", "one stream", "+ cascade"):
        assert f"\n| {title} | test |" in text
        assert f"\n| {title} | train |" in text
    assert "(paper 27.56)" in text
    assert "failed" not in text
    assert "not run yet" not in text
    table = pq.read_table(tmp_path / "out/results.parquet").to_pandas()
    assert table["run"].nunique() == 15
    assert set(table["split"]) == {"test", "train"}
    assert {"l1", "seam_ratio", "sync_auc", "rfd_3d_fd64"} <= set(table["measure"])
    assert {path.name for path in (tmp_path / "out").glob(".*")} == {".lock"}  # no temporary files remain
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/runs").rglob("*.json")}
    run_study(options("all", workers=2), shards, tmp_path / "out", on_progress=progress.append)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out/runs").rglob("*.json")} == before


def test_runs_are_evaluated_on_every_split_with_as_many_videos_as_the_budget_says(
    shards: Path, tmp_path: Path, monkeypatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr("cssgan.study.runner._run_command", lambda arguments, *_: commands.append(arguments) or 0)
    chosen = job_list.budget("smoke")
    job = job_list.jobs(("table3",), chosen, SETTINGS)[0]
    context = JobContext(
        folder=tmp_path, shards=shards, splits=("test", "train"), budget=replace(chosen, num_evaluated=None)
    )

    run_jobs([job], context)

    assert [command[0] for command in commands] == ["train", "evaluate", "evaluate"]
    folder = context.run_folder(job)
    for command, split in zip(commands[1:], ("test", "train"), strict=True):
        assert command[command.index("--split") + 1] == split
        assert command[command.index("--out") + 1] == str(folder / f"evaluation-{split}.json")
    assert "--num-videos" not in commands[1]
    assert commands[2][commands[2].index("--num-videos") + 1] == "2048"


def test_evaluations_of_an_older_version_are_computed_again(shards: Path, tmp_path: Path, monkeypatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr("cssgan.study.runner._run_command", lambda arguments, *_: commands.append(arguments) or 0)
    chosen = job_list.budget("smoke")
    job = job_list.jobs(("table3",), chosen, SETTINGS)[0]
    context = JobContext(folder=tmp_path, shards=shards, splits=("test",), budget=chosen)
    run_jobs([job], context)
    folder = context.run_folder(job)
    for path in (evaluation_file(folder, "test"), videos_file(folder, "test")):
        path.write_text("{}")
    run_jobs([job], context)
    assert len(commands) == 2  # nothing was repeated

    status = json.loads((folder / "job.json").read_text())
    status["spec"]["formats"] = [1, 1]
    (folder / "job.json").write_text(json.dumps(status))
    assert results.collect([job], context, "test").missing == {job.key: "not run yet"}
    run_jobs([job], context)

    assert [command[0] for command in commands[2:]] == ["train", "evaluate"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_failed_run_does_not_stop_the_others_and_is_repeated(shards: Path, tmp_path: Path) -> None:
    out, progress = tmp_path / "out", list[str]()
    broken = out / "runs/a2-tiny-seed0"
    broken.mkdir(parents=True)
    (broken / "config.json").write_text("{}")

    with pytest.raises(StudyError, match=r"1 of 6 runs failed \(a2-tiny-seed0\)"):
        run_study(options("table3"), shards, out, on_progress=progress.append)

    assert [": done (" in line for line in progress] == [True, True, True, False, True, True]
    assert "config.json: not the configuration of a run" in progress[3]
    text = (out / "study.md").read_text()
    assert "failed: train ended with exit code" in text
    assert "+ multiple discriminators" in text
    (broken / "config.json").unlink()
    run_study(options("table3"), shards, out, on_progress=progress.append)
    assert "failed" not in (out / "study.md").read_text()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_runs_with_a_time_limit_stop_and_are_evaluated(shards: Path, tmp_path: Path) -> None:
    chosen = job_list.budget("smoke", minutes=0.1)
    job = job_list.job(job_list.rows_of("table3", chosen)[0], chosen, 0, SETTINGS)
    assert job.config.train.num_videos == job_list.UNLIMITED_VIDEOS

    context = JobContext(folder=tmp_path / "out", shards=shards, splits=("test",), budget=chosen)
    (outcome,) = run_jobs([job], context)

    assert outcome.status == "done", outcome.reason
    progress = checkpoint.load_newest(context.run_folder(job)).progress
    assert progress.num_steps > 0
    assert 0 < seconds_trained(context.run_folder(job)) == pytest.approx(progress.wall_seconds)
    assert progress.wall_seconds < 10


def test_learning_rates_are_chosen_on_validation_once_and_used(shards: Path, tmp_path: Path, monkeypatch) -> None:
    """Without training: the evaluation of a candidate says how far its rate is from three times that of the preset."""
    commands: list[list[str]] = []
    base = {name: preset(f"{name}-tiny").optim.g_lr for name in ("a0", "a1", "a1-streams", "a2", "a3", "a4")}

    def command(arguments: list[str], *_: object) -> int:
        commands.append(arguments)
        if arguments[0] == "evaluate" and "validation" in arguments:
            folder = Path(arguments[arguments.index("--run") + 1])
            name, _, factor = folder.name.partition("-tiny-lr")
            value = {"value": None, "unavailable": "too few"} if name == broken else {"value": abs(float(factor) - 3)}
            metric = {"name": "rfd_3d_fd64", "better": "lower", "n_real": 9, "n_fake": 9, **value}
            report = {"metrics": {"rfd_3d_fd64": MetricResult(**metric).as_json()}}
            evaluation_file(folder, "validation").write_text(json.dumps(report))
            videos_file(folder, "validation").write_bytes(b"")
        return 0

    monkeypatch.setattr("cssgan.study.runner._run_command", command)
    monkeypatch.setattr("cssgan.study.results.per_video.read", lambda _: None)
    chosen = options("table3", num_videos=40, tune=True)
    chosen = replace(chosen, budget=replace(chosen.budget, tune_factors=(1.0, 2.0, 5.0)))
    broken = "a1"
    with pytest.raises(StudyError, match=r"no learning rates for a1-tiny: too few\. Allowed: one or more candidates"):
        run_study(chosen, shards, tmp_path / "out", on_progress=print)
    kept = json.loads((tmp_path / "out/learning-rates.json").read_text())["rows"]
    assert sorted(kept) == ["a0-tiny", "a1-streams-tiny", "a2-tiny", "a3-tiny", "a4-tiny"]

    for path in (tmp_path / "out/learning-rates/runs").glob("a1-tiny*/job.json"):
        path.unlink()
    broken, before = "", len(commands)
    (path, *_) = run_study(chosen, shards, tmp_path / "out", on_progress=print)

    assert "| one stream | 2 | **1** | 2 |" in path.read_text()
    candidates = [words for words in commands[before:] if words[0] == "train" and "/learning-rates/" in " ".join(words)]
    assert len(candidates) == 3  # of a1 alone
    assert all("train.num_videos=10" in words and "train.seed=100" in words for words in candidates)
    finals = [words for words in commands[before:] if words[0] == "train" and words not in candidates]
    assert len(finals) == 6
    for words in finals:
        name = words[words.index("--preset") + 1].removesuffix("-tiny")
        assert f"optim.g_lr={2 * base[name]:g}" in words
        assert f"optim.d_lr={2 * preset(f'{name}-tiny').optim.d_lr:g}" in words


def test_dry_run_lists_the_commands(shards: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    arguments = ["table1", "--shards", str(shards), "--out", str(tmp_path / "out"), "--seeds", "2"]

    code, text, _ = run(monkeypatch, capsys, "study", *arguments, "--dry-run")

    assert code == 0
    assert "18 runs; each run sees 1,600,000 videos, repeats included; 2 seeds" in text
    assert "imaginator-seed1: --preset imaginator --set train.num_videos=1600000 --set train.seed=1" in text
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table9"], "table9"),
        (["table1", "--budget", "smok"], "--budget: got 'smok', allowed: smoke, tiny, paper (did you mean smoke?)"),
        (["table1", "--minutes", "3", "--videos", "9"], "--minutes: got 3.0, allowed: not together with --videos"),
        (["table1", "--set", "train.seed=3"], "--set: got 'train.seed=3', allowed: --seeds"),
        (["table1", "--tune", "--set", "optim.g_lr=1"], "--set: got 'optim.g_lr=1', allowed: no learning rates with --tune"),
        (["table1", "--gpus", "first"], "--gpus: got 'first', allowed: GPU indices"),
        (["table1", "--evaluators", "x", "--no-evaluators"], "--evaluators, --no-evaluators: got 'both', allowed: one of them"),
        (["table1", "--budget", "smoke", "--evaluators", "nowhere"], "run `cssgan evaluators train --out nowhere`"),
        (["table2"], "--survey: got None, allowed: the folder of `cssgan survey analyse`"),
        (["table2", "--survey", "nowhere"], "nowhere: cannot be read"),
    ],
)  # fmt: skip
def test_invalid_options_are_errors(
    arguments: list[str], message: str, shards: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    arguments = [*arguments, "--shards", str(shards), "--out", str(tmp_path / "out")]

    code, _, err = run(monkeypatch, capsys, "study", *arguments)

    assert code in (1, 2)
    assert message in " ".join(err.split())


def test_another_budget_in_the_same_folder_is_an_error(shards: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("cssgan.study.study.run_jobs", lambda jobs, *_, **__: [])
    run_study(options("table3"), shards, tmp_path / "out", on_progress=print)

    with pytest.raises(RunError, match=r"contains a study with another budget; use the same options to resume it"):
        run_study(options("table3", num_videos=9), shards, tmp_path / "out", on_progress=print)
    with pytest.raises(RunError, match=r"another settings"):
        run_study(options("table3", "loss.l1_weight=3"), shards, tmp_path / "out", on_progress=print)
    run_study(options("table1"), shards, tmp_path / "out", on_progress=print)
    assert json.loads((tmp_path / "out/study.json").read_text())["tables"] == ["table1", "table3"]
    write_shard(shards / "test-000001.tar", [make_sample(300)])
    with pytest.raises(RunError, match=r"another shards"):
        run_study(options("table1"), shards, tmp_path / "out", on_progress=print)


def test_tables_without_runs_show_not_run_yet(shards: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("cssgan.study.study.run_jobs", lambda jobs, *_, **__: [])

    (path, *_) = run_study(options("all"), shards, tmp_path / "out", on_progress=print)

    text = path.read_text()
    paper = "| not run yet (paper 0.0001) | not run yet (paper 59.81) | not run yet (paper 1249) |"
    assert f"| MoCoGAN | train {paper}" in text
    assert "| MoCoGAN | test | not run yet | not run yet | not run yet |" in text
    assert "no survey yet: run cssgan survey build" in text
    assert "**not tested**: no run of CSSGAN, MoCoGAN; no run of CSSGAN, PhonicsGAN (reconstruction); " in text
