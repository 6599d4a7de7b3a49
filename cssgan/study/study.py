"""`cssgan study`: train and evaluate all runs of a study and write its tables into one folder. Resumable."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from cssgan.data.shards import find_shards, read_samples, shards_digest
from cssgan.errors import RunError, StudyError
from cssgan.evaluators import checkpoint
from cssgan.evaluators.spec import EvaluatorSpec
from cssgan.evaluators.train import train as train_evaluators
from cssgan.storage.files import locked
from cssgan.study import job_list, report, results, tuning
from cssgan.study.job_list import Budget, Job, TableName
from cssgan.study.report import Study
from cssgan.study.runner import JobContext, OnProgress, run_jobs
from cssgan.types import Split
from phonics_data.contract.files import write_bytes
from phonics_data.contract.untrusted import read_json_object
from phonics_data.errors import OptionError

ALL_TABLES: tuple[TableName, ...] = ("table1", "table3")
STUDY_FILE = "study.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyOptions:
    """Options of `cssgan study`.

    Args:
        settings: changes to the presets of all runs.
        splits: evaluated splits.
        workers: number of runs at the same time.
        devices: GPU indices; empty: those that the environment makes visible.
        evaluate: additional arguments of `cssgan evaluate`.
        survey: folder or file of `cssgan survey analyse`.
        evaluators: folder of `cssgan evaluators train`; ``train``: trained into OUT/evaluators before the runs; None: no
            evaluators.
        tune: choose the learning rates of every row on validation before the runs (`cssgan.study.tuning`).
    """

    table: Literal["table1", "table2", "table3", "all"]
    budget: Budget
    settings: tuple[str, ...] = ()
    splits: tuple[Split, ...] = ("test", "train")
    workers: int = 1
    devices: tuple[str, ...] = ()
    evaluate: tuple[str, ...] = ()
    survey: Path | None = None
    evaluators: Path | Literal["train"] | None = None
    tune: bool = False

    @property
    def tables(self) -> tuple[TableName, ...]:
        return tuple(name for name in ALL_TABLES if self.table in (name, "all"))


def describe(options: StudyOptions) -> list[str]:
    """The runs of a study, one line each, after a heading."""
    jobs = job_list.jobs(options.tables, options.budget, options.settings)
    lines = [f"{len(jobs)} runs; {options.budget.description}"]
    if options.tune:
        rows = tuning.rows_to_tune(options.tables, options.budget).values()
        grids = [tuning.candidates(row, options.budget, options.settings) for row in rows]
        jobs = [job for grid in grids for job in grid.values()] + jobs
        lines = [f"{sum(map(len, grids))} runs for the learning rates, on validation; then {lines[0]}"]
    return lines + [f"{job.key}: --preset {job.preset} --set {' --set '.join(job.settings)}" for job in jobs]


def run_study(options: StudyOptions, shards: Path, out: Path, *, on_progress: OnProgress) -> list[Path]:
    """Run all jobs that are not done and write study.md, LaTeX tables and results.parquet. Returns their paths.

    Raises:
        DatasetError: no shards.
        EvaluatorError: the evaluators cannot be read, or cannot be trained on this dataset.
        RunError: `out` contains a study of another dataset, budget, splits or settings, or with other learning rates.
        StudyError: runs failed. All others finished, and the tables list the missing ones.
        WorkspaceLockedError: another process works in `out`.
    """
    survey = None if options.survey is None else report.read_survey(options.survey)
    used: tuple[Split, ...] = ("train", *options.splits, *(("validation",) if options.tune else ()))
    of_splits = {split: find_shards(shards, split) for split in dict.fromkeys(used)}
    label_set = next(iter(read_samples(of_splits["train"][:1]))).label_set
    with locked(out, "another study works in this folder; wait for it or stop it"):
        digests: dict[str, str] = {split: shards_digest(paths) for split, paths in of_splits.items()}
        tables = _check_study_file(out / STUDY_FILE, options, digests)
        choices = _learning_rates(options, shards, out, on_progress)
        rates = {name: choice.settings for name, choice in choices.items()}
        jobs = job_list.jobs(options.tables, options.budget, options.settings, rates)
        context = JobContext(
            folder=out,
            shards=shards,
            splits=options.splits,
            budget=options.budget,
            evaluate=options.evaluate,
            evaluators=_evaluators(options, jobs, shards, out, on_progress),
        )
        outcomes = run_jobs(jobs, context, workers=options.workers, devices=options.devices, on_progress=on_progress)
        study = Study(
            tables=tables,
            budget=options.budget,
            settings=options.settings,
            choices=choices,
            label_set=label_set,
            results={
                split: results.collect(job_list.jobs(tables, options.budget, options.settings, rates), context, split)
                for split in options.splits
            },
            setup=_setup(shards, options),
            survey=survey,
        )
        written = _write(study, out, with_table2=options.table in ("table2", "all") or survey is not None)
    if failed := [outcome.key for outcome in outcomes if outcome.status == "failed"]:
        raise StudyError(
            f"{out}: {len(failed)} of {len(outcomes)} runs failed ({', '.join(failed)}); see {out}/runs/RUN/*.log. The "
            f"results of the others are in {written[0]}. Run the same command again to repeat the failed runs"
        )
    return written


def _learning_rates(options: StudyOptions, shards: Path, out: Path, on_progress: OnProgress) -> tuning.Choices:
    """The learning rates of every row, if `options` requires to choose them. Raises as `tuning.tune`."""
    if not options.tune:
        return {}
    context = JobContext(
        folder=out / "learning-rates",
        shards=shards,
        splits=("validation",),
        budget=tuning.tuning_budget(options.budget),
        evaluate=options.evaluate,
    )
    return tuning.tune(
        options.tables, options.budget, options.settings, context, out / tuning.TUNING_FILE,
        workers=options.workers, devices=options.devices, on_progress=on_progress,
    )  # fmt: skip


def _evaluators(
    options: StudyOptions, jobs: Sequence[Job], shards: Path, out: Path, on_progress: OnProgress
) -> tuple[Path, str] | None:
    """Folder and digest of the evaluators for all runs; they are trained first if `options` requires it."""
    if options.evaluators is None or not jobs:
        return None
    if options.evaluators != "train":
        return options.evaluators, checkpoint.load(options.evaluators).digest
    config, folder = jobs[0].config, out / "evaluators"
    spec = EvaluatorSpec(size=config.data.size, num_frames=config.source_frames)
    use_gpu = options.devices or (torch.cuda.is_available() and config.train.device != "cpu")
    on_progress("training the evaluators first")
    trained = train_evaluators(
        shards,
        folder,
        spec.shortened(options.budget.evaluators_share),
        device="cuda" if use_gpu else "cpu",
        on_progress=on_progress,
    )
    return folder, trained.digest


def _check_study_file(path: Path, options: StudyOptions, digests: dict[str, str]) -> tuple[TableName, ...]:
    """Write study.json, or compare it with the options. Returns all tables of this call and of earlier ones.

    Raises:
        RunError: the file is damaged, or belongs to a study with other options.
    """
    fixed: dict[str, Any] = {
        "budget": json.loads(json.dumps(asdict(options.budget))),
        "settings": list(options.settings),
        "splits": list(options.splits),
        "tune": options.tune,
        "shards": digests,
    }
    earlier_tables: list[str] = []
    if path.exists():
        try:
            record = read_json_object(path)
            earlier_tables = record["tables"]
            changed = [name for name in fixed if fixed[name] != record.get(name)]
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: not the record of a study ({error!r}); choose another --out") from error
        if changed:
            raise RunError(
                f"{path.parent}: contains a study with another {', another '.join(changed)}; use the same options to "
                "resume it, or another --out"
            )
    tables: tuple[TableName, ...] = tuple(
        name for name in ALL_TABLES if name in options.tables or name in earlier_tables
    )
    write_bytes(path, json.dumps({**fixed, "tables": tables}, indent=1).encode())
    return tables


def _setup(shards: Path, options: StudyOptions) -> str:
    """Dataset and machine as text."""
    device = f"GPUs {', '.join(options.devices)}" if options.devices else f"{os.cpu_count()} CPU cores"
    return (
        f"trained on {shards.name}, evaluated on its splits {', '.join(options.splits)}; {platform.machine()}, {device}, "
        f"{options.workers} run(s) at the same time"
    )


def _write(study: Study, out: Path, *, with_table2: bool) -> list[Path]:
    paths: list[Path] = []
    for name, text in report.render(study, with_table2=with_table2).items():
        paths.append(out / name)
        write_bytes(paths[-1], text.encode())
    if any(of_split.finished for of_split in study.results.values()):
        paths.append(out / "results.parquet")
        results.write(study.results, paths[-1])
    return paths


def parse_devices(text: str) -> tuple[str, ...]:
    """GPU indices separated by commas. Raises `OptionError` for anything else."""
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    if any(not part.isdecimal() for part in parts):
        raise OptionError("--gpus", text, "GPU indices, such as 0,1")
    return parts


def check_settings(settings: Sequence[str], budget: Budget, *, tune: bool = False) -> None:
    """Raise `OptionError` for a setting that the budget determines, or with `tune` the choice of learning rates."""
    for setting in settings:
        name = setting.partition("=")[0].strip()
        if tune and name in ("optim.g_lr", "optim.d_lr"):
            raise OptionError("--set", setting, "no learning rates with --tune, which chooses them for every row")
        if name in ("train.num_videos", "train.seed"):
            other = "--videos" if name == "train.num_videos" else "--seeds"
            raise OptionError("--set", setting, f"{other}: all runs follow --budget {budget.name}")
