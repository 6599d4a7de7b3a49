"""Does it learn? Eight clips by heart, then clips of songs that the model was not trained on; both held against bounds.

What is measured is `cssgan.evaluation.run`'s; what is asked stands in `TrainingCheckBounds`. OUT holds::

    eight/dataset/   the eight clips, each cut to one window
    eight/run/       the model that learnt them by heart, evaluated on them
    run/             the model of the training songs, evaluated on the test split
    check_training.json       every row of the table, with the configurations
"""

from __future__ import annotations

import json
import logging
import tarfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from cssgan.config import Config, override
from cssgan.data.shards import digest, find, read_samples
from cssgan.errors import StoppedError
from cssgan.evaluation.gates import GateRow
from cssgan.evaluation.report import value_of
from cssgan.evaluation.run import GatesMissedError, evaluate_run
from cssgan.storage.files import make_folder
from cssgan.training import checkpoint, loop
from cssgan.types import Split
from phonics_data.contract.sample import Sample, num_audio_samples
from phonics_data.contract.shard import add_sample, encode
from phonics_data.errors import DatasetError

NUM_OVERFIT_CLIPS = 8
OVERFIT = (
    f"train.batch_size={NUM_OVERFIT_CLIPS}",  # all of them in every step
    "loss.l1_weight=1000",  # the game goes on, but what is asked of it is a copy
    "loss.adv_start=0",
    "optim.g_lr=4e-3",  # measured at the size of `tiny`; larger models were not tried
    "optim.d_lr=1e-3",
    "optim.lr_decay_fraction=0.5",
    "order.p_in_order=0.5",
    "train.ema_half_life=0",
    "model.norm=group",  # of eight clips whose order changes batch statistics are noise (docs/check-training.md)
)
"""What the run that learns by heart changes in the preset, besides its length."""
ORDER_LINES = 10
"""The order accuracy is the mean of so many last lines of stats.jsonl: one line holds a few hundred guesses."""
log = logging.getLogger("cssgan")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingCheckBounds:
    """What a model must reach to count as one that learns; bounds are inclusive.

    The first two are of the eight clips. Shares "of real" compare with the real clips by the same measure.
    """

    overfit_l1_max: float = 0.03
    overfit_correlation_of_real: tuple[float, float] = (0.9, 1.1)
    overfit_ssim_min: float = 0.9
    l1_over_copy_first_max: float = 0.98
    ssim_above_copy_first_min: float = -0.02
    """A still picture keeps its structure; what moves a little beside the truth pays for it."""
    motion_ratio: tuple[float, float] = (0.7, 1.3)
    seam_ratio_max: float = 1.3
    sync_auc_of_real_min: float = 0.9
    motion_match_auc_min: float = 0.9
    swap_sound_over_image_min: float = 0.4
    order_acc_real_min: float = 0.12


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingCheckResult:
    """The rows of the table, and where the pictures lie."""

    rows: tuple[GateRow, ...]
    out: Path

    @property
    def passed(self) -> bool:
        return all(row.passed for row in self.rows)


def preset_for(device: str = "auto") -> str:
    """``paper`` where a GPU will do the work, ``small`` on a CPU."""
    return "paper" if device != "cpu" and torch.cuda.is_available() else "small"


def check_training(
    config: Config,
    shards: Path,
    out: Path,
    *,
    overfit_steps: int,
    bounds: TrainingCheckBounds | None = None,
    console: Console | None = None,
) -> TrainingCheckResult:
    """Train and evaluator both models; what an earlier call finished is kept.

    Args:
        config: of the run on all training clips; the eight clips get it with `OVERFIT` and their own length.
        shards: dataset with training and test shards; songs of the test split are in no other one.
        overfit_steps: steps on the eight clips.

    Raises:
        DatasetError: fewer than eight training clips of a whole window, or no test clips.
        GatesMissedError: a row was missed; everything is written by then.
        RunError: OUT holds runs of another configuration or dataset.
    """
    bounds, console = bounds or TrainingCheckBounds(), console or Console(stderr=True)
    find(shards, "test")  # before the hours of training
    console.print(f"[1/2] {NUM_OVERFIT_CLIPS} clips by heart", highlight=False)
    eight = take_clips(shards, out / "eight" / "dataset", config.data.num_frames)
    overfit = train_and_evaluators(overfit_config(config, overfit_steps), eight, out / "eight" / "run", split="train")
    console.print("[2/2] the training songs, judged on others", highlight=False)
    held_out = train_and_evaluators(config, shards, out / "run", split="test")
    rows = (*overfit_rows(overfit, bounds), *held_out_rows(held_out, order_accuracy(out / "run"), bounds))
    learnt = TrainingCheckResult(rows=rows, out=out)
    _write(learnt, {"eight/run": overfit, "run": held_out})
    show(rows, console)
    if not learnt.passed:
        missed = [f"{row.name} {value_of(row)} (allowed {row.bound})" for row in rows if not row.passed]
        raise GatesMissedError(
            f"{out}: it does not learn what is asked: {', '.join(missed)}; see {out / 'check_training.json'}"
        )
    return learnt


def overfit_config(config: Config, num_steps: int) -> Config:
    """`config` as the eight clips are learnt with: `OVERFIT`, and a length of its own."""
    return override(config, (*OVERFIT, f"train.num_videos={num_steps * NUM_OVERFIT_CLIPS}"))


def take_clips(shards: Path, out: Path, num_frames: int, count: int = NUM_OVERFIT_CLIPS) -> Path:
    """A dataset of `count` training clips, spread evenly over the shards in the order of their keys.

    Each is cut to its first `num_frames` frames: one window, so that there is one right answer for each sound.

    Raises:
        DatasetError: fewer than `count` training clips are that long.
    """
    path = out / "train-000000.tar"
    if path.exists():
        return out
    samples = [one for one in read_samples(find(shards, "train")) if one.num_frames >= num_frames]
    if len(samples) < count:
        raise DatasetError(
            f"{shards}: {len(samples)} training clips have {num_frames} frames or more, allowed: {count} or more; "
            "build a dataset of more songs"
        )
    samples.sort(key=lambda sample: sample.key)
    chosen = [samples[index * len(samples) // count] for index in range(count)]
    make_folder(out)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as tar:
            for sample in chosen:
                add_sample(tar, sample.key, encode(first_frames(sample, num_frames)))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return out


def first_frames(sample: Sample, num_frames: int) -> Sample:
    """The beginning of a sample, with the sound of these frames."""
    length = num_audio_samples(num_frames, sample.frame_rate, sample.audio_rate_hz)
    return replace(sample, frames_LHWC=sample.frames_LHWC[:num_frames], audio_N=sample.audio_N[:length])


def train_and_evaluators(config: Config, shards: Path, run: Path, *, split: Split) -> dict[str, Any]:
    """`cssgan train`, then `cssgan evaluate`; gives the evaluation's report. Finished work is not repeated.

    Raises:
        PhonicsDataError: as `cssgan.training.loop.train` and `cssgan.evaluation.run.evaluate_run`, or training was stopped.
    """
    result = loop.train(config, shards, run)
    if result.status == "interrupted":
        raise StoppedError(
            f"{run}: stopped after step {result.progress.num_steps}, all saved; the same command goes on from here",
            signal_number=result.signal_number,
        )
    judged_on = digest(find(shards, split))
    report = run / "evaluation.json"
    marker = run / "judged.json"
    state = {"num_steps": result.progress.num_steps, "shards": judged_on}
    if report.exists() and marker.exists() and json.loads(marker.read_text()) == state:
        log.info("%s: evaluated before", run)
        return cast(dict[str, Any], json.loads(report.read_text()))
    new = evaluate_run(run, shards, split=split, device=loop.choose_device(config).type)
    write_text(marker, json.dumps(state))
    return new


def overfit_rows(report: Mapping[str, Any], bounds: TrainingCheckBounds) -> list[GateRow]:
    """The rows of the eight clips."""
    correlation = report["metrics"]["onset_motion_correlation"]
    low, high = bounds.overfit_correlation_of_real
    return [
        GateRow(name="overfit_l1", value=measured(report, "l1"), minimum=None, maximum=bounds.overfit_l1_max),
        GateRow(name="overfit_ssim", value=measured(report, "ssim"), minimum=bounds.overfit_ssim_min, maximum=None),
        GateRow(
            name="overfit_correlation_of_real",
            value=share(correlation["value"], correlation["controls"].get("real")),
            minimum=low,
            maximum=high,
        ),
    ]


def held_out_rows(
    report: Mapping[str, Any], order_acc_real: float | None, bounds: TrainingCheckBounds
) -> list[GateRow]:
    """The rows of the songs that the model was not trained on."""
    ssim = report["metrics"]["ssim"]
    low, high = bounds.motion_ratio
    limits: list[tuple[str, float | None, float | None, float | None]] = [
        ("l1_over_copy_first", measured(report, "l1_over_copy_first"), None, bounds.l1_over_copy_first_max),
        ("ssim", ssim["value"], ssim["controls"]["copy_first"] + bounds.ssim_above_copy_first_min, None),
        ("motion_ratio", measured(report, "motion_ratio"), low, high),
        ("seam_ratio", measured(report, "seam_ratio"), None, bounds.seam_ratio_max),
        ("sync_auc_of_real", measured(report, "sync_auc_of_real"), bounds.sync_auc_of_real_min, None),
        ("motion_match_auc", measured(report, "motion_match_auc"), bounds.motion_match_auc_min, None),
        ("swap_sound_over_image", measured(report, "swap_sound_over_image"), bounds.swap_sound_over_image_min, None),
    ]
    rows = [GateRow(name=name, value=value, minimum=low, maximum=high) for name, value, low, high in limits]
    if order_acc_real is not None:
        rows.append(
            GateRow(name="order_acc_real", value=order_acc_real, minimum=bounds.order_acc_real_min, maximum=None)
        )
    return rows


def measured(report: Mapping[str, Any], name: str) -> float | None:
    """The value of a measure in an evaluation's report; None where it was unavailable."""
    return cast("float | None", report["metrics"][name]["value"])


def share(value: float | None, of: float | None) -> float | None:
    """`value` as a share of `of`; None where it has no meaning."""
    return None if value is None or of is None or of <= 0.0 else value / of


def order_accuracy(run: Path) -> float | None:
    """How often the order of real clips was told right at the end of training; None for a run without the puzzle."""
    lines = (json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines())
    values = [line["order_acc_real"] for line in lines if line["kind"] == "train" and "order_acc_real" in line]
    return fmean(values[-ORDER_LINES:]) if values else None


def show(rows: tuple[GateRow, ...], console: Console) -> None:
    """Print the rows as a table."""
    table = Table("what is asked", "value", "bound", "", title="Does it learn?", box=box.SIMPLE)
    for row in rows:
        table.add_row(row.name, value_of(row), row.bound, "[green]pass[/green]" if row.passed else "[red]MISS[/red]")
    console.print(table)


def write_text(path: Path, text: str) -> None:
    """Whole or not at all."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    checkpoint.write_synced(temporary, text.encode())
    temporary.replace(path)


def _write(learnt: TrainingCheckResult, reports: Mapping[str, Mapping[str, Any]]) -> None:
    record = {
        "rows": [row.as_json() for row in learnt.rows],
        "passed": learnt.passed,
        "configurations": {name: json.loads((learnt.out / name / "config.json").read_text()) for name in reports},
        "evaluations": {name: str(learnt.out / name / "evaluation.json") for name in reports},
    }
    write_text(learnt.out / "check_training.json", json.dumps(record, indent=1))
