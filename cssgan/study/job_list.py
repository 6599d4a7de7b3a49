"""Which runs a study consists of: rows of the tables x seeds, under one budget. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
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
        name: short, in options and in `cssgan.study.paper_numbers`.
        title: what the table calls it.
        preset: without the ending for the budget's size.
        settings: what differs from the preset.
        small_only: a row that equals another one at the paper's size.
    """

    name: str
    title: str
    preset: str
    settings: tuple[str, ...] = ()
    small_only: bool = False


TABLES: dict[TableName, tuple[Row, ...]] = {
    "table1": (
        Row(name="mocogan", title="MoCoGAN", preset="mocogan"),
        Row(name="phonicsgan_like", title="PhonicsGAN (reconstruction)", preset="phonicsgan_like"),
        Row(name="g3an", title="G3AN", preset="g3an"),
        Row(name="imaginator", title="ImaGINator", preset="imaginator"),
        # At the paper's size the model paints every pixel; the small one composes, which the others do not.
        Row(
            name="cssgan-direct", title="CSSGAN, every pixel painted", preset="a4",
            settings=("model.g_output=direct",), small_only=True,
        ),
        Row(name="cssgan", title="CSSGAN", preset="a4"),
    ),
    "table3": (
        Row(name="a0", title="one stream", preset="a0"),
        Row(name="a1", title="+ shuffling", preset="a1"),
        Row(name="a2", title="+ multiple generators", preset="a2"),
        Row(name="a3", title="+ multiple discriminators", preset="a3"),
        Row(name="a4", title="+ cascade", preset="a4"),
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """How much each run may cost, the same for all of them.

    Args:
        size: ending of the presets' names.
        num_videos: that each run sees, repeats counted.
        num_seeds: runs of each row.
        num_evaluated: videos of the test split, at most; None: all.
        minutes: instead of `num_videos`: each run trains for so long, whatever it sees; None: no.
        settings: that all runs get.
        evaluators_share: of the steps of the evaluators' recipe, where the study trains its evaluators.
    """

    name: str
    size: Literal["", "-tiny"]
    num_videos: int
    num_seeds: int
    num_evaluated: int | None = None
    minutes: float | None = None
    settings: tuple[str, ...] = ()
    evaluators_share: float = 1.0

    @property
    def rule(self) -> str:
        """The rule in words."""
        seeds = f"{self.num_seeds} seed{'s' if self.num_seeds > 1 else ''}"
        if self.minutes is not None:
            return f"each run trains for {self.minutes:g} minutes, {seeds}"
        return f"each run sees {self.num_videos:,} videos, repeats counted; {seeds}"


_OFTEN = ("train.sample_every=0", "train.log_every=100", "train.checkpoint_every=500", "train.keep_checkpoints=2")
BUDGETS: dict[str, Budget] = {
    # Two CPU cores, half an hour: says that everything runs, and little else.
    "smoke": Budget(
        name="smoke", size="-tiny", num_videos=2_400, num_seeds=1, num_evaluated=64,
        settings=(*_OFTEN, "train.threads=1", "train.device=cpu"), evaluators_share=0.5,
    ),
    # CPUs, many hours: ten thousand steps of four videos.
    "tiny": Budget(name="tiny", size="-tiny", num_videos=40_000, num_seeds=3, settings=("train.sample_every=0",)),
    # GPUs, the paper's size.
    "paper": Budget(name="paper", size="", num_videos=1_600_000, num_seeds=3, settings=("train.sample_every=0",)),
}  # fmt: skip
FOREVER = 10**9
"""Videos of a run that is stopped by the clock."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One run: a row (of one or several tables) with one seed.

    Args:
        key: its folder's name.
        preset, settings: as `cssgan train` takes them.
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
    """The budget called `name`, changed.

    Raises:
        OptionError: no such budget, or both a number of videos and minutes.
    """
    if name not in BUDGETS:
        near = difflib.get_close_matches(name, BUDGETS, n=1)
        raise OptionError("--budget", name, ", ".join(BUDGETS) + (f" (did you mean {near[0]}?)" if near else ""))
    if num_videos is not None and minutes is not None:
        raise OptionError("--minutes", minutes, "not together with --videos: one rule for all runs")
    chosen = BUDGETS[name]
    return replace(
        chosen,
        num_videos=num_videos or (FOREVER if minutes is not None else chosen.num_videos),
        num_seeds=num_seeds or chosen.num_seeds,
        num_evaluated=num_evaluated or chosen.num_evaluated,
        minutes=minutes,
    )


def rows_of(table: TableName, chosen: Budget) -> tuple[Row, ...]:
    """The rows of a table at the budget's size."""
    return tuple(row for row in TABLES[table] if chosen.size or not row.small_only)


def job(row: Row, chosen: Budget, seed: int, settings: Sequence[str] = ()) -> Job:
    """The run of one row with one seed; rows of two tables that are the same run give the same job."""
    name = row.preset + chosen.size
    changed = "".join(f"-{setting.rpartition('=')[2]}" for setting in row.settings)
    everything = (
        *row.settings,
        f"train.num_videos={chosen.num_videos}",
        f"train.seed={seed}",
        *chosen.settings,
        *settings,
    )
    return Job(
        key=f"{name}{changed}-seed{seed}",
        preset=name,
        settings=everything,
        seed=seed,
        config=override(preset(name), everything),
    )


def jobs(tables: Sequence[TableName], chosen: Budget, settings: Sequence[str] = ()) -> list[Job]:
    """All runs of `tables`, each once: all rows with the first seed, then all with the next."""
    out: dict[str, Job] = {}
    for seed in range(chosen.num_seeds):
        for table in tables:
            for row in rows_of(table, chosen):
                one = job(row, chosen, seed, settings)
                out.setdefault(one.key, one)
    return list(out.values())
