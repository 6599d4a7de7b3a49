"""A whole study on seven noisy clips: every row of both tables, what fails, what goes on."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cssgan.cli import app
from cssgan.errors import RunError, StudyError
from cssgan.evaluators import checkpoint as store
from cssgan.study import job_list
from cssgan.study.results import Results
from cssgan.study.run import StudyOptions, study
from cssgan.training import checkpoint
from tests.cssgan.toy_dataset import TINY, make_sample, write_shard

SMALL = tuple(one for one in TINY if not one.startswith(("train.num_videos", "train.sample", "train.checkpoint")))


@pytest.fixture
def shards(dataset: Path) -> Path:
    write_shard(dataset / "test-000000.tar", [make_sample(200 + seed, num_frames=22) for seed in range(8)])
    return dataset


def options(what: str, *settings: str, num_videos: int = 6, **changes: object) -> StudyOptions:
    chosen = job_list.budget("smoke", num_videos=num_videos)
    return StudyOptions(what=what, budget=chosen, settings=(*SMALL, *settings), **changes)  # type: ignore[arg-type]


def test_judges_are_trained_once_before_the_runs_and_judge_them_all(shards: Path, tmp_path: Path, monkeypatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr("cssgan.study.runner._call", lambda arguments, *_: commands.append(arguments) or 0)
    monkeypatch.setattr("cssgan.study.results.collect", lambda jobs, work: Results(measured={}, missing=dict.fromkeys(
        (job.key for job in jobs), "not run yet")))  # fmt: skip
    asked = options("table3", evaluators="train")
    asked = replace(asked, budget=replace(asked.budget, evaluators_share=0.001))
    said: list[str] = []

    study(asked, shards, tmp_path / "out", say=said.append)

    assert json.loads((tmp_path / "out/evaluators/evaluators.json").read_text())["spec"]["size"] == 16
    assert said[0] == "training the evaluators first"
    judged = [words for words in commands if words[0] == "evaluate"]
    assert len(judged) == 5
    assert all(words[words.index("--evaluators") + 1] == str(tmp_path / "out/evaluators") for words in judged)
    state = json.loads((tmp_path / "out/runs/a0-tiny-seed0/study.json").read_text())
    assert state["wanted"]["evaluators"] == store.load(tmp_path / "out/evaluators").digest

    # The evaluators are there now, and are asked as they are.
    said.clear()
    study(replace(asked, evaluators=tmp_path / "out/evaluators"), shards, tmp_path / "out", say=said.append)
    assert not any("evaluators" in line for line in said)


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["cssgan", "study", *arguments])
    with pytest.raises(SystemExit) as end:
        app.main()
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out + err


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_all_models_and_steps_appear_and_nothing_is_done_twice(shards: Path, tmp_path: Path) -> None:
    said: list[str] = []

    written = study(options("all", workers=2), shards, tmp_path / "out", say=said.append)

    assert len(said) == 10
    assert all(": done (" in line for line in said)
    text = written[0].read_text()
    for title in ("MoCoGAN", "PhonicsGAN (reconstruction)", "G3AN", "ImaGINator", "CSSGAN", "one stream", "+ cascade"):
        assert f"\n| {title} |" in text
    assert "(paper 27.56)" in text
    assert "failed" not in text
    assert "not run yet" not in text
    table = pq.read_table(tmp_path / "out/results.parquet").to_pandas()
    assert table["run"].nunique() == 10
    assert {"l1", "seam_ratio", "sync_auc", "rfd_3d_fd64"} <= set(table["measure"])
    assert {path.name for path in (tmp_path / "out").glob(".*")} == {".lock"}  # no temporary files are left
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/runs").rglob("*.json")}
    study(options("all", workers=2), shards, tmp_path / "out", say=said.append)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out/runs").rglob("*.json")} == before


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_run_that_fails_stops_no_other_and_is_tried_again(shards: Path, tmp_path: Path) -> None:
    out, said = tmp_path / "out", list[str]()
    other = out / "runs/a2-tiny-seed0"
    other.mkdir(parents=True)
    (other / "config.json").write_text("{}")

    with pytest.raises(StudyError, match=r"1 of 5 runs failed \(a2-tiny-seed0\)"):
        study(options("table3"), shards, out, say=said.append)

    assert [": done (" in line for line in said] == [True, True, False, True, True]
    assert "config.json: not a run's configuration" in said[2]
    text = (out / "study.md").read_text()
    assert "failed: train ended with exit code" in text
    assert "+ multiple discriminators" in text
    (other / "config.json").unlink()
    study(options("table3"), shards, out, say=said.append)
    assert "failed" not in (out / "study.md").read_text()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_runs_by_the_clock_stop_and_are_judged(shards: Path, tmp_path: Path) -> None:
    chosen = job_list.budget("smoke", minutes=0.1)
    one = job_list.job(job_list.rows_of("table3", chosen)[0], chosen, 0, SMALL)
    assert one.config.train.num_videos == job_list.FOREVER

    from cssgan.study.runner import Work, run_all, seconds_trained

    work = Work(folder=tmp_path / "out", shards=shards, split="test", budget=chosen)
    (outcome,) = run_all([one], work)

    assert outcome.status == "done", outcome.reason
    progress = checkpoint.load_newest(work.run(one)).progress
    assert progress.num_steps > 0
    assert 0 < seconds_trained(work.run(one)) == pytest.approx(progress.wall_seconds)
    assert progress.wall_seconds < 10


def test_the_commands_of_a_study_are_listed(shards: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    arguments = ["table1", "--shards", str(shards), "--out", str(tmp_path / "out"), "--seeds", "2"]

    code, text = run([*arguments, "--dry-run"], monkeypatch, capsys)

    assert code == 0
    assert "10 runs; each run sees 1,600,000 videos, repeats counted; 2 seeds" in text
    assert "imaginator-seed1: --preset imaginator --set train.num_videos=1600000 --set train.seed=1" in text
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["table9"], "table9"),
        (["table1", "--budget", "smok"], "--budget: got 'smok', allowed: smoke, tiny, paper (did you mean smoke?)"),
        (["table1", "--minutes", "3", "--videos", "9"], "--minutes: got 3.0, allowed: not together with --videos"),
        (["table1", "--set", "train.seed=3"], "--set: got 'train.seed=3', allowed: --seeds"),
        (["table1", "--gpus", "first"], "--gpus: got 'first', allowed: numbers of GPUs"),
        (["table1", "--evaluators", "x", "--no-evaluators"], "--evaluators, --no-evaluators: got 'both', allowed: one of them"),
        (["table1", "--budget", "smoke", "--evaluators", "nowhere"], "nowhere: no evaluators there"),
        (["table2"], "--survey: got None, allowed: the folder of `cssgan survey analyse`"),
        (["table2", "--survey", "nowhere"], "nowhere: cannot be read"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(
    arguments: list[str], words: str, shards: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    code, text = run([*arguments, "--shards", str(shards), "--out", str(tmp_path / "out")], monkeypatch, capsys)

    assert code in (1, 2)
    assert words in " ".join(text.split())


def test_another_budget_in_the_same_folder_is_refused(shards: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("cssgan.study.run.run_all", lambda jobs, *_, **__: [])
    study(options("table3"), shards, tmp_path / "out", say=print)

    with pytest.raises(RunError, match=r"holds a study with another budget; the same options go on with it"):
        study(options("table3", num_videos=9), shards, tmp_path / "out", say=print)
    with pytest.raises(RunError, match=r"another settings"):
        study(options("table3", "loss.l1_weight=3"), shards, tmp_path / "out", say=print)
    study(options("table1"), shards, tmp_path / "out", say=print)
    assert json.loads((tmp_path / "out/job_list.json").read_text())["tables"] == ["table1", "table3"]
    write_shard(shards / "test-000001.tar", [make_sample(300)])
    with pytest.raises(RunError, match=r"another shards"):
        study(options("table1"), shards, tmp_path / "out", say=print)


def test_without_runs_the_tables_say_so(shards: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("cssgan.study.run.run_all", lambda jobs, *_, **__: [])

    (path, *_) = study(options("all"), shards, tmp_path / "out", say=print)

    text = path.read_text()
    assert "| MoCoGAN | not run yet (paper 0.0001) | not run yet (paper 59.81) | not run yet (paper 1249) |" in text
    assert "no survey yet: cssgan survey build" in text
    assert "**cannot be said**, runs are missing" in text
