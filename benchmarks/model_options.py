"""Each option of the preset `tuned` alone: without it, or with one more, against `tuned` on validation, several seeds.

The runs are those of `cssgan study` (`cssgan.study.runner`): `cssgan train` and `cssgan evaluate` in processes of their own, resumable.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cssgan.study import results, significance
from cssgan.study.job_list import Budget, Job, Row, budget, job
from cssgan.study.measures import MEASURES, Measure, defined
from cssgan.study.results import FinishedRun, Results
from cssgan.study.runner import JobContext, OnProgress, run_jobs
from phonics_data.errors import OptionError

WITHOUT: dict[str, tuple[str, ...]] = {
    "g_output=compose": ("model.g_output=compose",),
    "norm=batch": ("model.norm=batch",),
    "audio_inject=bottleneck": ("model.audio_inject=bottleneck",),
    "audio_context=clip": ("model.audio_context=clip",),
    "shuffled_starts=cascade": ("model.shuffled_starts=cascade",),
    "p_in_order=0": ("order.p_in_order=0",),
    "L1 alone": ("loss.l1_weight=100", "loss.l2_weight=0"),
    "no limit of gradients": ("optim.max_grad_norm=0",),
    "weights of the last step": ("train.ema_half_life=0",),
}
"""Options of `tuned`, each set back to the value of `tiny` or `paper`."""
WITH: dict[str, tuple[str, ...]] = {
    "change_weight=4": ("loss.change_weight=4",),
    "audio for the discriminator": ("discriminator.d_audio=true",),
    "wrong pairs": ("discriminator.d_audio=true", "loss.mismatch_weight=1"),
    "clips across seams": ("discriminator.seam_clips=true",),
    "audio_encoder=conv": ("model.audio_encoder=conv",),
    "g_output=warp_still": ("model.g_output=warp_still",),
    "audio_inject=film": ("model.audio_inject=film",),
    "noise": ("model.z_dim=16",),
    "rpgan, R1 and R2": (
        "loss.gan=rpgan", "loss.r1_gamma=1", "loss.r2_gamma=1", "loss.penalty_every=4", "discriminator.spectral=false",
    ),
    "late L1": ("loss.l1_late_fraction=0.3", "loss.l1_late_weight=100"),
    "order_head=seam": ("discriminator.order_head=seam", "loss.order_weight=0.003"),
    "no adversarial terms": ("loss.image_weight=0", "loss.video_weight=0", "loss.order_weight=0"),
}  # fmt: skip
"""Options that `tuned` does not have."""
SHOWN = ("event_match", "event_f1", "persistence", "l1_over_copy_first", "seam_deviation", "rfd_3d_kd64")
"""Measures of the table, of `cssgan.study.measures`."""


def compare_options(
    shards: Path,
    out: Path,
    *,
    num_videos: int,
    num_seeds: int,
    num_evaluated: int,
    settings: Sequence[str] = (),
    only: Sequence[str] = (),
    workers: int = 1,
    on_progress: OnProgress,
) -> list[tuple[str, ...]]:
    """Train and evaluate what is missing. Returns the rows of the table, below `columns`.

    Args:
        shards: dataset with the splits train and validation.
        out: folder of the runs, OUT/runs.
        num_videos: training videos of each run.
        settings: changes to all runs.
        only: names of `WITHOUT` and `WITH`; empty: all.
    """
    chosen = budget("tiny", num_videos=num_videos, num_seeds=num_seeds, num_evaluated=num_evaluated)
    # The table has neither distances in ImageNet features nor words, which need three quarters of the time.
    skipped = ("--skip", "imagenet", "--skip", "words")
    context = JobContext(folder=out, shards=shards, splits=("validation",), budget=chosen, evaluate=skipped)
    rows = option_rows(only)
    jobs = {name: [_job(row, chosen, seed, settings) for seed in range(num_seeds)] for name, row in rows.items()}
    # By seed: a run that is stopped early has complete seeds.
    run_jobs(
        [jobs[name][seed] for seed in range(num_seeds) for name in rows],
        context,
        workers=workers,
        on_progress=on_progress,
    )
    found = results.collect([job for of_row in jobs.values() for job in of_row], context, "validation")
    base = found.runs(jobs["tuned"])
    return [_row(name, found, jobs[name], base) for name in rows]


def columns() -> tuple[str, ...]:
    arrows = {measure.name: "↑" if measure.better == "higher" else "↓" for measure in MEASURES}
    return ("option", "seeds", *(f"{name} {arrows[name]}" for name in SHOWN))


def option_rows(only: Sequence[str] = ()) -> dict[str, Row]:
    """`tuned` and its variants by name. Raises `OptionError` for an unknown name in `only`."""
    variants = {f"without: {name}": change for name, change in WITHOUT.items()}
    variants |= {f"with: {name}": change for name, change in WITH.items()}
    if unknown := sorted(set(only) - {*WITHOUT, *WITH}):
        raise OptionError("--only", ", ".join(unknown), ", ".join((*WITHOUT, *WITH)))
    return {"tuned": Row(name="tuned", title="tuned", preset="tuned")} | {
        name: Row(name=name, title=name, preset="tuned", settings=change)
        for name, change in variants.items()
        if not only or name.partition(": ")[2] in only
    }


def _job(row: Row, chosen: Budget, seed: int, settings: Sequence[str]) -> Job:
    found = job(row, chosen, seed, settings)
    words = "".join(letter if letter.isalnum() else "-" for letter in row.name)
    return Job(key=f"{words}-seed{seed}", preset=found.preset, settings=found.settings, seed=seed, config=found.config)


def _row(name: str, found: Results, jobs: Sequence[Job], base: Sequence[FinishedRun]) -> tuple[str, ...]:
    runs = found.runs(jobs)
    if not runs:
        return (name, "0", found.missing[jobs[0].key], *[""] * (len(SHOWN) - 1))
    cells: list[str] = []
    for measure in (measure for wanted in SHOWN for measure in MEASURES if measure.name == wanted):
        values = [value for run in runs if (value := _value(run, measure)) is not None]
        if len(values) < len(runs):
            cells.append("no value")
            continue
        text = f"{statistics.fmean(values):.3f}"
        if len(values) > 1:
            text += f" ± {statistics.stdev(values):.3f}"
        if name != "tuned" and base:
            text += f" ({_difference(runs, base, measure)})"
        cells.append(text)
    return (name, str(len(runs)), *cells)


def _value(run: FinishedRun, measure: Measure) -> float | None:
    """None: no video has a value, or nothing was compared."""
    if not measure.columns:
        return run.metrics[measure.metric].value
    rows_M = np.flatnonzero(defined(measure, run.per_video))
    sums = [float(run.per_video.values[column][rows_M].sum()) for column in measure.columns]
    bottom = sums[1] if len(sums) > 1 else float(len(rows_M))
    return sums[0] / bottom if bottom else None


def _difference(runs: Sequence[FinishedRun], base: Sequence[FinishedRun], measure: Measure) -> str:
    """``difference, low to high``: 95 % interval over seeds and songs; a + or - in front where it leaves out 0."""
    try:
        found = significance.compare([run.per_video for run in runs], [run.per_video for run in base], measure)
    except ValueError:
        return "no difference: fewer than three songs"
    low, high = found.interval
    mark = "**" if low > 0 or high < 0 else ""
    return f"{mark}{found.value:+.3f}{mark}, {low:+.3f} to {high:+.3f}"
