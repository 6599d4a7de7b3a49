"""`cssgan study`: plan, queue, results, report, in one folder that goes on where it stopped."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from cssgan.data.shards import digest, find, read_samples
from cssgan.errors import RunError, StudyError
from cssgan.evaluators import checkpoint
from cssgan.evaluators.spec import EvaluatorSpec
from cssgan.evaluators.train import train as train_evaluators
from cssgan.storage.files import locked
from cssgan.study import job_list, report, results
from cssgan.study.job_list import Budget, Job, TableName
from cssgan.study.report import Study
from cssgan.study.runner import Work, run_all
from cssgan.training.checkpoint import write_synced
from phonics_data.errors import OptionError

What = Literal["table1", "table2", "table3", "all"]
EVERY: tuple[TableName, ...] = ("table1", "table3")
PLAN = "job_list.json"
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyOptions:
    """What `cssgan study` is asked for.

    Args:
        settings: ``--set`` for every run.
        workers: runs at a time.
        devices: numbers of GPUs that they take turns at.
        evaluate: further arguments of `cssgan evaluate`.
        survey: folder or file of `cssgan survey analyse`.
        evaluators: ``train`` trains them once, into OUT/evaluators, before the runs; a folder of `cssgan evaluators train`; None: runs are
            judged without them.
    """

    what: What
    budget: Budget
    settings: tuple[str, ...] = ()
    split: Literal["train", "validation", "test"] = "test"
    workers: int = 1
    devices: tuple[str, ...] = ()
    evaluate: tuple[str, ...] = ()
    survey: Path | None = None
    evaluators: Path | Literal["train"] | None = None

    @property
    def tables(self) -> tuple[TableName, ...]:
        return tuple(name for name in EVERY if self.what in (name, "all"))


def describe(options: StudyOptions) -> list[str]:
    """The runs that a study would do, a line each."""
    todo = job_list.jobs(options.tables, options.budget, options.settings)
    lines = [f"{len(todo)} runs; {options.budget.rule}"]
    return lines + [f"{job.key}: --preset {job.preset} --set {' --set '.join(job.settings)}" for job in todo]


def study(options: StudyOptions, shards: Path, out: Path, *, say: Say) -> list[Path]:
    """Do what is not done yet and write results.parquet, study.md and LaTeX tables into `out`; gives their paths.

    Raises:
        DatasetError: no shards.
        EvaluatorError: the evaluators cannot be read, or trained on this dataset.
        RunError: `out` holds a study of other data or under another budget.
        StudyError: runs failed; all others were done, and the tables say which are missing.
        WorkspaceLockedError: another process works in `out`.
    """
    survey = None if options.survey is None else report.read_survey(options.survey)
    test, train = find(shards, options.split), find(shards, "train")
    label_set = next(iter(read_samples(test[:1]))).label_set
    with locked(out, "another study works in this folder; wait for it or stop it"):
        names = _claim(out, options, {"train": digest(train), options.split: digest(test)})
        tables: tuple[TableName, ...] = tuple(name for name in EVERY if name in names)
        asked = job_list.jobs(options.tables, options.budget, options.settings)
        work = Work(
            folder=out, shards=shards, split=options.split, budget=options.budget, evaluate=options.evaluate,
            evaluators=_evaluators(options, asked, shards, out, say),
        )  # fmt: skip
        outcomes = run_all(asked, work, workers=options.workers, devices=options.devices, say=say)
        everything = job_list.jobs(tables, options.budget, options.settings)
        found = results.collect(everything, work)
        made = Study(
            tables=tables, budget=options.budget, settings=options.settings, label_set=label_set, results=found,
            where=_where(shards, options), survey=survey,
        )  # fmt: skip
        written = _write(made, out, survey=options.what in ("table2", "all") or survey is not None)
    if failed := [outcome.key for outcome in outcomes if outcome.status == "failed"]:
        raise StudyError(
            f"{out}: {len(failed)} of {len(outcomes)} runs failed ({', '.join(failed)}); their logs lie in "
            f"{out}/runs/RUN/*.log, the others are in {written[0]}. The same command tries them again"
        )
    return written


def _evaluators(
    options: StudyOptions, jobs: Sequence[Job], shards: Path, out: Path, say: Say
) -> tuple[Path, str] | None:  # fmt: skip
    """The folder of the evaluators of all runs and their digest, trained first where that is asked for."""
    if options.evaluators is None or not jobs:
        return None
    data = jobs[0].config.data
    if options.evaluators != "train":
        return options.evaluators, checkpoint.load(options.evaluators).digest
    spec = EvaluatorSpec(size=data.size, num_frames=data.num_frames).shortened(options.budget.evaluators_share)
    device = (
        "cuda" if options.devices or (torch.cuda.is_available() and jobs[0].config.train.device != "cpu") else "cpu"
    )
    say("training the evaluators first")
    return out / "evaluators", train_evaluators(shards, out / "evaluators", spec, device=device, say=say).digest


def _claim(out: Path, options: StudyOptions, shards: dict[str, str]) -> list[str]:
    """Write the plan before any work, or compare with the one that is there; gives all tables asked for so far."""
    rule: dict[str, Any] = {
        "budget": json.loads(json.dumps(asdict(options.budget))),
        "settings": list(options.settings),
        "split": options.split,
        "shards": shards,
    }
    path, before = out / PLAN, dict[str, Any]()
    if path.exists():
        try:
            before = json.loads(path.read_text())
            old = {name: before[name] for name in (*rule, "tables")}
        except (ValueError, KeyError) as error:
            raise RunError(f"{path}: not the plan of a study ({error!r}); take another --out") from error
        if changed := [name for name in rule if rule[name] != old[name]]:
            raise RunError(
                f"{out}: holds a study with another {', another '.join(changed)}; the same options go on with it, "
                "others need another --out"
            )
    tables = [name for name in EVERY if name in options.tables or name in before.get("tables", ())]
    temporary = path.with_suffix(".tmp")
    write_synced(temporary, json.dumps({**rule, "tables": tables}, indent=1).encode())
    temporary.replace(path)
    return tables


def _where(shards: Path, options: StudyOptions) -> str:
    """Dataset and machine in words."""
    device = f"GPUs {', '.join(options.devices)}" if options.devices else f"{os.cpu_count()} CPU cores"
    return (
        f"trained on {shards.name}, judged on its {options.split} split; {platform.machine()}, {device}, "
        f"{options.workers} run(s) at a time"
    )


def _write(made: Study, out: Path, *, survey: bool) -> list[Path]:
    paths: list[Path] = []
    for name, text in report.render(made, survey=survey).items():
        temporary = out / f".{name}"
        write_synced(temporary, text.encode())
        paths.append(temporary.replace(out / name))
    if made.results.measured:
        results.write(made.results, out / "results.parquet")
        paths.append(out / "results.parquet")
    return paths


def devices(text: str) -> tuple[str, ...]:
    """Numbers of GPUs, separated by commas. Raises `OptionError` for anything else."""
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    if any(not part.isdecimal() for part in parts):
        raise OptionError("--gpus", text, "numbers of GPUs, such as 0,1")
    return parts


def check_settings(settings: Sequence[str], budget: Budget) -> None:
    """Raise `OptionError` for what the budget or the plan decides."""
    for setting in settings:
        if (name := setting.partition("=")[0].strip()) in ("train.num_videos", "train.seed"):
            other = "--videos" if name == "train.num_videos" else "--seeds"
            raise OptionError("--set", setting, f"{other}: all runs follow the rule of --budget {budget.name}")
