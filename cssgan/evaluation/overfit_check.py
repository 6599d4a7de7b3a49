"""`cssgan check-training`: overfits eight clips, then trains and evaluates on held-out songs; both must meet bounds.

The values are those of `cssgan.evaluation.evaluate`, the bounds are in `TrainingCheckBounds`. OUT contains:

    overfit/dataset/     the eight clips, each cut to one window
    overfit/run/         the model trained and evaluated on the eight clips
    run/                 the model trained on the train split and evaluated on the test split
    check_training.json  all rows of the table, and the configurations
"""

from __future__ import annotations

import json
import logging
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from rich.console import Console

from cssgan.config import Config, override
from cssgan.data import windowing
from cssgan.data.shards import find_shards, read_samples, shards_digest
from cssgan.errors import StoppedError
from cssgan.evaluation.evaluate import SCHEMA_VERSION, GatesMissedError, evaluate_run
from cssgan.evaluation.gates import GateBounds, GateRow, all_passed, missed
from cssgan.evaluation.report import gate_table
from cssgan.storage.files import make_folder
from cssgan.training import loop
from cssgan.types import Split
from phonics_data.contract.change import change_curve
from phonics_data.contract.files import atomic_path, write_bytes
from phonics_data.contract.sample import Sample, num_audio_samples
from phonics_data.contract.shard import add_sample, encode
from phonics_data.contract.untrusted import parse_json_object, read_json_object
from phonics_data.errors import DatasetError

NUM_OVERFIT_CLIPS = 8
OVERFIT_SETTINGS = (
    f"train.batch_size={NUM_OVERFIT_CLIPS}",  # all of them in every step
    "loss.l1_weight=1000",  # the adversarial losses stay on, but the model must reproduce the clips
    "loss.adv_start=0",
    "optim.g_lr=4e-3",  # tuned at the size of `tiny`; larger models were not tested
    "optim.d_lr=1e-3",
    "optim.lr_decay_fraction=0.5",
    "order.p_in_order=0.5",
    "train.ema_half_life=0",
    "model.norm=group",  # batch statistics of eight clips in random order are noise (docs/check-training.md)
)
"""Settings of the overfit run, in addition to the preset and its length."""
ORDER_LINES = 10
"""The order accuracy is the mean over this number of last lines of stats.jsonl, each of a few hundred predictions."""
log = logging.getLogger("cssgan")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingCheckBounds:
    """Inclusive bounds. Those that begin with ``overfit`` are of the eight clips, the others of the held-out songs.

    Values "of real" are relative to the real clips.
    """

    overfit_l1_max: float = 0.03
    overfit_ssim_min: float = 0.9
    overfit_event_f1_min: float = 0.9
    overfit_persistence_min: float = 0.8
    l1_over_copy_first_max: float = GateBounds().l1_over_copy_first_max
    ssim_above_copy_first_min: float = -0.02
    """A static image keeps its structure; motion that deviates slightly from the real one lowers SSIM."""
    motion_ratio: tuple[float, float] = (0.7, 1.3)
    seam_ratio_max: float = 1.3
    event_match_min: float = GateBounds().event_match_min
    event_f1_min: float = GateBounds().event_f1_min
    persistence_min: float = GateBounds().persistence_min
    event_swap_auc_min: float = GateBounds().event_swap_auc_min
    order_acc_real_min: float = 0.12


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingCheckResult:
    """The rows of the table, and the output folder."""

    rows: tuple[GateRow, ...]
    out: Path

    @property
    def passed(self) -> bool:
        return all_passed(self.rows)


def preset_for(device: str = "auto") -> str:
    """``paper`` on a GPU, ``small`` on a CPU."""
    return "paper" if device != "cpu" and torch.cuda.is_available() else "small"


def check_training(
    config: Config,
    shards: Path,
    out: Path,
    *,
    overfit_steps: int,
    bounds: TrainingCheckBounds | None = None,
    allow_missed: bool = False,
    console: Console | None = None,
) -> TrainingCheckResult:
    """Train and evaluate both models. Finished work of an earlier call is kept.

    Args:
        config: of the run on all training clips; the overfit run adds `OVERFIT_SETTINGS` and its own length.
        shards: dataset with train and test shards, which have no songs in common.
        overfit_steps: steps on the eight clips.
        allow_missed: no error if a bound is missed; it is in the table and in check_training.json.

    Raises:
        DatasetError: fewer than eight training clips of a whole window, or no test clips.
        GatesMissedError: a bound was missed; everything is written before.
        RunError: OUT contains runs of another configuration or dataset.
    """
    bounds, console = bounds or TrainingCheckBounds(), console or Console(stderr=True)
    find_shards(shards, "test")  # fail before hours of training
    console.print(f"[1/2] overfitting {NUM_OVERFIT_CLIPS} clips", highlight=False)
    num_frames = windowing.span(config.data.num_frames, config.data.frame_stride)
    overfit_dataset = write_overfit_dataset(shards, out / "overfit" / "dataset", num_frames)
    overfit = train_and_evaluate(
        overfit_config(config, overfit_steps), overfit_dataset, out / "overfit" / "run", split="train"
    )
    console.print("[2/2] training on the train split, evaluating on the test split", highlight=False)
    held_out = train_and_evaluate(config, shards, out / "run", split="test")
    rows = (*overfit_rows(overfit, bounds), *held_out_rows(held_out, order_accuracy(out / "run"), bounds))
    result = TrainingCheckResult(rows=rows, out=out)
    _write_record(result)
    console.print(gate_table(rows, "check-training"))
    if not result.passed and not allow_missed:
        raise GatesMissedError(f"{out}: bounds missed: {missed(rows)}; see {out / 'check_training.json'}")
    return result


def overfit_config(config: Config, num_steps: int) -> Config:
    """`config` with `OVERFIT_SETTINGS` and a length of `num_steps`."""
    return override(config, (*OVERFIT_SETTINGS, f"train.num_videos={num_steps * NUM_OVERFIT_CLIPS}"))


def write_overfit_dataset(shards: Path, out: Path, num_frames: int) -> Path:
    """Write a dataset of `NUM_OVERFIT_CLIPS` training clips, evenly over the train split sorted by key.

    Each is cut to the `num_frames` frames that change most: one window, so that there is one correct output for each audio,
    and something happens in it.

    Raises:
        DatasetError: too few training clips have `num_frames` frames.
    """
    path, count = out / "train-000000.tar", NUM_OVERFIT_CLIPS
    if path.exists():
        return out
    samples = [sample for sample in read_samples(find_shards(shards, "train")) if sample.num_frames >= num_frames]
    if len(samples) < count:
        raise DatasetError(
            f"{shards}: {len(samples)} training clips have {num_frames} frames or more, allowed: {count} or more; "
            "build a dataset of more songs"
        )
    samples.sort(key=lambda sample: sample.key)
    make_folder(out)
    with atomic_path(path) as temporary, tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as tar:
        for index in range(count):
            sample = samples[index * len(samples) // count]
            add_sample(tar, sample.key, encode(_busiest_frames(sample, num_frames)))
    return out


def _busiest_frames(sample: Sample, num_frames: int) -> Sample:
    """The frames of a sample that change most, with their audio."""
    total = np.cumsum(change_curve(sample.frames_LHWC))
    start = int(np.argmax(total[num_frames - 1 :] - total[: sample.num_frames - num_frames + 1]))
    first, last = (
        num_audio_samples(frame, sample.frame_rate, sample.audio_rate_hz) for frame in (start, start + num_frames)
    )
    return replace(
        sample, frames_LHWC=sample.frames_LHWC[start : start + num_frames], audio_N=sample.audio_N[first:last]
    )


def train_and_evaluate(config: Config, shards: Path, run: Path, *, split: Split) -> dict[str, Any]:
    """`cssgan train`, then `cssgan evaluate`. Returns the report. Finished work is not repeated.

    Raises:
        PhonicsDataError: as `cssgan.training.loop.train` and `cssgan.evaluation.evaluate.evaluate_run`.
        StoppedError: training was stopped by a signal.
    """
    result = loop.train(config, shards, run)
    if result.status == "interrupted":
        raise StoppedError(
            f"{run}: stopped after step {result.progress.num_steps}, the state is saved; run the same command again to "
            "resume",
            signal_number=result.signal_number,
        )
    report, marker = run / "evaluation.json", run / "evaluated.json"
    state = {
        "schema_version": SCHEMA_VERSION,
        "num_steps": result.progress.num_steps,
        "shards": shards_digest(find_shards(shards, split)),
    }
    if report.exists() and marker.exists() and _content(marker) == state:
        log.info("%s: already evaluated", run)
        return read_json_object(report, any_numbers=True)
    new_report = evaluate_run(run, shards, split=split, device=loop.choose_device(config).type)
    write_bytes(marker, json.dumps(state).encode())
    return new_report


def _content(path: Path) -> dict[str, Any]:
    """The content of a marker; empty if it is damaged."""
    try:
        return read_json_object(path)
    except ValueError:
        return {}


def overfit_rows(report: Mapping[str, Any], bounds: TrainingCheckBounds) -> list[GateRow]:
    """The rows of the eight clips."""
    limits: dict[str, tuple[float | None, float | None]] = {
        "l1": (None, bounds.overfit_l1_max),
        "ssim": (bounds.overfit_ssim_min, None),
        "event_f1": (bounds.overfit_event_f1_min, None),
        "persistence": (bounds.overfit_persistence_min, None),
    }
    return _rows(report, limits, prefix="overfit_")


def _rows(
    report: Mapping[str, Any], limits: Mapping[str, tuple[float | None, float | None]], prefix: str = ""
) -> list[GateRow]:
    """Rows of the metrics `limits`: name -> (minimum, maximum)."""
    found: Mapping[str, Any] = report["metrics"]
    return [
        GateRow(
            name=prefix + name, value=found[name]["value"], minimum=low, maximum=high,
            saturated_by=found[name].get("saturated_by", ""),
        )
        for name, (low, high) in limits.items()
    ]  # fmt: skip


def held_out_rows(
    report: Mapping[str, Any], order_acc_real: float | None, bounds: TrainingCheckBounds
) -> list[GateRow]:
    """The rows of the held-out songs."""
    ssim_min = report["metrics"]["ssim"]["controls"]["copy_first"] + bounds.ssim_above_copy_first_min
    limits: dict[str, tuple[float | None, float | None]] = {
        "l1_over_copy_first": (None, bounds.l1_over_copy_first_max),
        "ssim": (ssim_min, None),
        "motion_ratio": bounds.motion_ratio,
        "seam_ratio": (None, bounds.seam_ratio_max),
        "event_match": (bounds.event_match_min, None),
        "event_f1": (bounds.event_f1_min, None),
        "persistence": (bounds.persistence_min, None),
        "event_swap_auc": (bounds.event_swap_auc_min, None),
    }
    rows = _rows(report, limits)
    if order_acc_real is not None:
        rows.append(GateRow(name="order_acc_real", value=order_acc_real, minimum=bounds.order_acc_real_min))
    return rows


def order_accuracy(run: Path) -> float | None:
    """Accuracy of the order predictor on real clips at the end of training; None for a run without order prediction."""
    lines = (parse_json_object(line, any_numbers=True) for line in (run / "stats.jsonl").read_text().splitlines())
    values = [line["order_acc_real"] for line in lines if line["kind"] == "train" and "order_acc_real" in line]
    return fmean(values[-ORDER_LINES:]) if values else None


def _write_record(result: TrainingCheckResult) -> None:
    out, runs = result.out, ("overfit/run", "run")
    record = {
        "rows": [row.as_json() for row in result.rows],
        "passed": result.passed,
        "configurations": {run: read_json_object(out / run / "config.json", any_numbers=True) for run in runs},
        "evaluations": {run: str(out / run / "evaluation.json") for run in runs},
    }
    write_bytes(out / "check_training.json", json.dumps(record, indent=1).encode())
