"""Learning rates of every row, chosen on the validation split before the runs of a study.

For each row a grid of factors of both learning rates of its preset, one seed that no run of the tables has, and a share of the
budget. The factor with the lowest `MEASURE` on validation is used by all runs of the row. The choices are kept in a file of
the study's folder and are not repeated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from cssgan.config import Config
from cssgan.errors import RunError, StudyError
from cssgan.study import results
from cssgan.study.job_list import Budget, Job, Row, TableName, job, rows_of, run_name
from cssgan.study.runner import JobContext, OnProgress, run_jobs
from cssgan.study.tables import Table
from phonics_data.contract.files import write_bytes
from phonics_data.contract.untrusted import read_json_object

TUNING_FILE = "learning-rates.json"
MEASURE = "rfd_3d_fd64"
"""Lower is better. Unlike L1 it is as fair to a model without the L1 term, it contains motion, and it needs no weights. Its
bias depends on the number of videos only, which is the same for all candidates."""
SEED = 100
"""Seeds of the runs are below."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The learning rates of one row.

    Args:
        values: factor -> `MEASURE` on validation.
        missing: factor -> why it has no value.
    """

    factor: float
    g_lr: float
    d_lr: float
    values: Mapping[str, float]
    missing: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def settings(self) -> tuple[str, ...]:
        return rate_settings(self.g_lr, self.d_lr)


Choices = Mapping[str, Choice]
"""By `cssgan.study.job_list.run_name`."""


def rate_settings(g_lr: float, d_lr: float) -> tuple[str, ...]:
    return f"optim.g_lr={g_lr:g}", f"optim.d_lr={d_lr:g}"


def tuning_budget(chosen: Budget) -> Budget:
    """The budget of one candidate."""
    return replace(
        chosen,
        num_videos=max(round(chosen.num_videos * chosen.tune_share), 1)
        if chosen.minutes is None
        else chosen.num_videos,
        minutes=None if chosen.minutes is None else chosen.minutes * chosen.tune_share,
        num_seeds=1,
    )


def candidates(row: Row, chosen: Budget, settings: Sequence[str]) -> dict[str, Job]:
    """The runs of one row's grid, by factor."""
    short = tuning_budget(chosen)
    base = job(row, short, SEED, settings).config
    found: dict[str, Job] = {}
    for factor in chosen.tune_factors:
        plain = job(row, short, SEED, settings, rate_settings(*_rates(base, factor)))
        found[f"{factor:g}"] = replace(plain, key=f"{run_name(row, short)}-lr{factor:g}")
    return found


def rows_to_tune(tables: Sequence[TableName], chosen: Budget) -> dict[str, Row]:
    """The rows of `tables`, those with equal runs once, by `run_name`."""
    found: dict[str, Row] = {}
    for table in tables:
        for row in rows_of(table, chosen):
            found.setdefault(run_name(row, chosen), row)
    return found


def tune(
    tables: Sequence[TableName],
    chosen: Budget,
    settings: Sequence[str],
    context: JobContext,
    path: Path,
    *,
    workers: int = 1,
    devices: Sequence[str] = (),
    on_progress: OnProgress,
) -> Choices:
    """Choose the learning rates of all rows of `tables` that `path` does not contain, and add them to it.

    Args:
        context: of the candidates: `tuning_budget`, the split validation.

    Raises:
        RunError: `path` is damaged.
        StudyError: no candidate of a row has a value. The choices of the other rows are kept.
    """
    known = dict(read(path))
    grids = {
        name: candidates(row, chosen, settings)
        for name, row in rows_to_tune(tables, chosen).items()
        if name not in known
    }
    jobs = [one for grid in grids.values() for one in grid.values()]
    if jobs:
        on_progress(f"choosing the learning rates of {len(grids)} models on validation: {len(jobs)} runs")
        run_jobs(jobs, context, workers=workers, devices=devices, on_progress=on_progress)
    found = results.collect(jobs, context, "validation")
    without: dict[str, str] = {}
    for name, grid in grids.items():
        choice = choose(grid, {factor: found.cell([one], MEASURE) for factor, one in grid.items()})
        if choice.values:
            known[name] = choice
        else:
            without[name] = next(iter(choice.missing.values()))
    _write(known, path)
    if without:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in without.items())
        raise StudyError(
            f"{path.parent}: no learning rates for {reasons}. Allowed: one or more candidates with {MEASURE} on "
            "validation. Correct the reason and run the same command again, or leave out --tune"
        )
    return known


def choose(grid: Mapping[str, Job], cells: Mapping[str, results.Cell]) -> Choice:
    """The candidate with the lowest value; of equal ones the first. Without any value: the preset's rates, no `values`."""
    values = {factor: cell.mean for factor, cell in cells.items() if not cell.missing}
    best = min(values, key=lambda factor: values[factor], default=next(iter(grid)))
    optim = grid[best].config.optim
    return Choice(
        factor=float(best), g_lr=optim.g_lr, d_lr=optim.d_lr, values=values,
        missing={factor: cell.missing for factor, cell in cells.items() if cell.missing},
    )  # fmt: skip


def read(path: Path) -> Choices:
    """The choices in a file; none if it does not exist. Raises `RunError` if it is damaged."""
    if not path.exists():
        return {}
    try:
        return {name: Choice(**fields) for name, fields in read_json_object(path, any_numbers=True)["rows"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path}: not the learning rates of a study ({error!r}); delete it to choose them again"
        ) from error


def table(choices: Choices, rows: Mapping[str, Row], chosen: Budget) -> Table:
    """The grid of every row with the chosen factor in bold."""
    factors = [f"{factor:g}" for factor in chosen.tune_factors]
    lines: list[tuple[str, ...]] = []
    reasons: list[str] = []
    for name, row in rows.items():
        if (choice := choices.get(name)) is None:
            continue
        own = f"{choice.factor:g}"
        cells = [_cell(choice, factor, best=factor == own) for factor in factors]
        edge = " (edge of the grid)" if own in (factors[0], factors[-1]) else ""
        lines.append((row.title, *cells, f"{choice.g_lr:g}", f"{choice.d_lr:g}{edge}"))
        reasons += [f"{row.title}, factor {factor}: {reason}" for factor, reason in choice.missing.items()]
    return Table(
        title="Learning rates, chosen on validation",
        columns=("model", *(f"{factor} x" for factor in factors), "optim.g_lr", "optim.d_lr"),
        rows=tuple(lines),
        notes=(
            f"{MEASURE} on the split validation (lower is better) of runs with a factor of both learning rates of the "
            f"preset: seed {SEED}, {chosen.tune_share:g} of the budget of a run. Bold: the rates of all runs of the row.",
            *reasons,
        ),
    )


def _cell(choice: Choice, factor: str, *, best: bool) -> str:
    if factor not in choice.values:
        return choice.missing.get(factor, "").split(";")[0]
    text = f"{choice.values[factor]:.4g}"
    return f"**{text}**" if best else text


def _rates(base: Config, factor: float) -> tuple[float, float]:
    return min(base.optim.g_lr * factor, 1.0), min(base.optim.d_lr * factor, 1.0)


def _write(choices: Choices, path: Path) -> None:
    record = {"measure": MEASURE, "rows": {name: asdict(choice) for name, choice in choices.items()}}
    write_bytes(path, json.dumps(record, indent=1).encode())
