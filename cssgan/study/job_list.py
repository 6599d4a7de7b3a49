"""The runs of a study: rows of the tables x seeds, under one budget. Pure functions."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from cssgan.config import Config, override
from cssgan.presets import preset
from phonics_data.errors import OptionError

TableName = Literal["table1", "table3"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of a table.

    Args:
        name: key in `cssgan.study.paper_numbers`.
        title: text in the table.
        preset: name of the preset without the suffix of the budget's size.
        settings: changes to the preset.
        small_only: the row is left out at the paper's size, where it equals another row.
    """

    name: str
    title: str
    preset: str
    settings: tuple[str, ...] = ()
    small_only: bool = False


AS_PUBLISHED = ("mocogan", "phonicsgan_like", "g3an", "imaginator")
WITH_L1 = ("mocogan-l1", "phonicsgan_like-l1", "g3an-l1", "imaginator")
"""The four models that the paper compares with, in both variants; ImaGINator has L1 in its paper."""
OURS = ("tuned", "cssgan", "cssgan-direct")
TABLES: dict[TableName, tuple[Row, ...]] = {
    "table1": (
        # ImaGINator has the L1 term in its paper; the others get it in a second row.
        Row(name="mocogan", title="MoCoGAN", preset="mocogan"),
        Row(name="mocogan-l1", title="MoCoGAN with L1", preset="mocogan-l1"),
        Row(name="phonicsgan_like", title="PhonicsGAN (reconstruction)", preset="phonicsgan_like"),
        Row(name="phonicsgan_like-l1", title="PhonicsGAN (reconstruction) with L1", preset="phonicsgan_like-l1"),
        Row(name="g3an", title="G3AN", preset="g3an"),
        Row(name="g3an-l1", title="G3AN with L1", preset="g3an-l1"),
        Row(name="imaginator", title="ImaGINator", preset="imaginator"),
        # The preset of the paper's size generates every pixel; the small preset composes, which the baselines do not.
        Row(
            name="cssgan-direct",
            title="CSSGAN, direct output",
            preset="a4",
            settings=("model.g_output=direct",),
            small_only=True,
        ),
        Row(name="cssgan", title="CSSGAN", preset="a4"),
        Row(name="tuned", title="CSSGAN, tuned", preset="tuned"),
    ),
    "table3": (
        Row(name="a0", title="one stream", preset="a0"),
        Row(name="a1", title="+ shuffling", preset="a1"),
        Row(name="a1-streams", title="+ four streams in time order (no such row in the paper)", preset="a1-streams"),
        Row(name="a2", title="+ multiple generators", preset="a2"),
        Row(name="a3", title="+ multiple discriminators", preset="a3"),
        Row(name="a4", title="+ cascade", preset="a4"),
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """Size and duration of each run, equal for all runs.

    Args:
        size: suffix of the preset names.
        num_videos: training videos per run, repeats included.
        num_seeds: runs per row.
        num_evaluated: maximum number of evaluated videos; None: all.
        minutes: training time per run, used instead of `num_videos`; None: `num_videos` applies.
        settings: changes to every preset.
        evaluators_share: fraction of the recipe's steps for evaluators that the study trains.
        tune_factors, tune_share: grid of factors of the learning rates, and the fraction of a run's budget for each
            candidate (`cssgan.study.tuning`).
    """

    name: str
    size: Literal["", "-tiny"]
    num_videos: int
    num_seeds: int
    num_evaluated: int | None = None
    minutes: float | None = None
    settings: tuple[str, ...] = ()
    evaluators_share: float = 1.0
    tune_factors: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    tune_share: float = 0.25

    @property
    def description(self) -> str:
        seeds = f"{self.num_seeds} seed{'s' if self.num_seeds > 1 else ''}"
        if self.minutes is not None:
            return f"each run trains for {self.minutes:g} minutes, {seeds}"
        return f"each run sees {self.num_videos:,} videos, repeats included; {seeds}"


_NO_SAMPLES = ("train.sample_every=0",)
_SHORT_RUN = ("train.log_every=100", "train.checkpoint_every=500", "train.keep_checkpoints=2")
BUDGETS: dict[str, Budget] = {
    # Half an hour on two CPU cores: tests that everything runs; the results are not meaningful.
    "smoke": Budget(
        name="smoke",
        size="-tiny",
        num_videos=2_400,
        num_seeds=1,
        num_evaluated=64,
        settings=(*_NO_SAMPLES, *_SHORT_RUN, "train.threads=1", "train.device=cpu"),
        evaluators_share=0.5,
    ),
    # Many hours on CPUs: ten thousand steps of four videos.
    "tiny": Budget(name="tiny", size="-tiny", num_videos=40_000, num_seeds=3, settings=_NO_SAMPLES),
    # GPUs, the paper's size.
    "paper": Budget(name="paper", size="", num_videos=1_600_000, num_seeds=3, settings=_NO_SAMPLES),
}
Rates = Mapping[str, tuple[str, ...]]
"""Settings of the learning rates by `run_name`."""
UNLIMITED_VIDEOS = 10**9
"""`num_videos` of a run that stops after a number of minutes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One run: a row (of one or several tables) with one seed.

    Args:
        key: name of the run folder.
        preset, settings: arguments of `cssgan train`.
    """

    key: str
    preset: str
    settings: tuple[str, ...]
    seed: int
    config: Config


def budget(
    name: str,
    *,
    num_videos: int | None = None,
    num_seeds: int | None = None,
    num_evaluated: int | None = None,
    minutes: float | None = None,
) -> Budget:
    """The budget called `name` with the given changes.

    Raises:
        OptionError: unknown name, or both `num_videos` and `minutes`.
    """
    if name not in BUDGETS:
        near = difflib.get_close_matches(name, BUDGETS, n=1)
        raise OptionError("--budget", name, ", ".join(BUDGETS) + (f" (did you mean {near[0]}?)" if near else ""))
    if num_videos is not None and minutes is not None:
        raise OptionError("--minutes", minutes, "not together with --videos: one rule for all runs")
    chosen = BUDGETS[name]
    return replace(
        chosen,
        num_videos=num_videos or (UNLIMITED_VIDEOS if minutes is not None else chosen.num_videos),
        num_seeds=num_seeds or chosen.num_seeds,
        num_evaluated=num_evaluated or chosen.num_evaluated,
        minutes=minutes,
    )


def rows_of(table: TableName, chosen: Budget) -> tuple[Row, ...]:
    """The rows of a table at the budget's size."""
    return tuple(row for row in TABLES[table] if chosen.size or not row.small_only)


def run_name(row: Row, chosen: Budget) -> str:
    """Name of the run folders of a row, without the seed. Rows of two tables with the same configuration have one name."""
    return row.preset + chosen.size + "".join(f"-{setting.rpartition('=')[2]}" for setting in row.settings)


def job(row: Row, chosen: Budget, seed: int, settings: Sequence[str] = (), rates: Sequence[str] = ()) -> Job:
    """The run of one row with one seed. Rows of two tables with the same configuration give equal jobs.

    Args:
        settings: changes to the presets of all runs.
        rates: settings of the row's learning rates (`cssgan.study.tuning`).
    """
    name = row.preset + chosen.size
    all_settings = (
        *row.settings,
        f"train.num_videos={chosen.num_videos}",
        f"train.seed={seed}",
        *chosen.settings,
        *settings,
        *rates,
    )
    return Job(
        key=f"{run_name(row, chosen)}-seed{seed}",
        preset=name,
        settings=all_settings,
        seed=seed,
        config=override(preset(name), all_settings),
    )


def jobs(
    tables: Sequence[TableName], chosen: Budget, settings: Sequence[str] = (), rates: Rates | None = None
) -> list[Job]:
    """All distinct runs of `tables`, ordered by seed, then by row."""
    found: dict[str, Job] = {}
    for seed in range(chosen.num_seeds):
        for table in tables:
            for row in rows_of(table, chosen):
                new = job(row, chosen, seed, settings, (rates or {}).get(run_name(row, chosen), ()))
                found.setdefault(new.key, new)
    return list(found.values())
