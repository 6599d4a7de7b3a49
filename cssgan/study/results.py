"""What the runs of a study measured: read from their folders, kept in one parquet file, looked up by row and measure."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cssgan.metrics import per_video
from cssgan.metrics.per_video import PerVideo
from cssgan.metrics.result import Better, MetricResult
from cssgan.study.job_list import Job
from cssgan.study.runner import Work, is_done, seconds_trained, state_of, wanted

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("run", "preset")),
        ("seed", pa.int64()),
        *((name, pa.string()) for name in ("measure", "unit", "better")),
        *((name, pa.float64()) for name in ("value", "interval_low", "interval_high")),
        *((name, pa.int64()) for name in ("n_real", "n_fake", "num_undefined")),
        *((name, pa.string()) for name in ("unavailable", "controls", "protocol")),
        *((name, pa.int64()) for name in ("num_steps", "num_videos_seen")),
        ("minutes", pa.float64()),
        *((name, pa.string()) for name in ("config_sha256", "settings")),
    ]
)
"""One row a run and measure: the value with all that could change it. `controls` and `protocol` are JSON."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Measured:
    """One finished run.

    Args:
        minutes: of training.
        rows: its videos one by one.
    """

    job: Job
    results: Mapping[str, MetricResult]
    report: Mapping[str, Any]
    minutes: float
    rows: PerVideo


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One number of a table, over the seeds that have it; `missing` says why there is none."""

    values: tuple[float, ...] = ()
    better: Better = "neither"
    missing: str = ""

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def spread(self) -> float | None:
        """Standard deviation over seeds (n - 1); None of one seed."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Results:
    """All runs of a study by their keys: what was measured, or why it was not."""

    measured: Mapping[str, Measured]
    missing: Mapping[str, str]

    def runs(self, jobs: Iterable[Job]) -> list[Measured]:
        """Those of `jobs` that are finished."""
        return [self.measured[job.key] for job in jobs if job.key in self.measured]

    def cell(self, jobs: Sequence[Job], measure: str) -> Cell:
        """One measure of one row, `jobs` being its seeds."""
        found = [run.results[measure] for run in self.runs(jobs) if measure in run.results]
        values = tuple(result.value for result in found if result.value is not None)
        if values:
            return Cell(values=values, better=found[0].better)
        reasons = [result.unavailable for result in found]
        if not reasons:
            ran = bool(self.runs(jobs))
            reasons = ["`cssgan evaluate` does not give it"] if ran else [self.missing[job.key] for job in jobs]
        return Cell(missing=reasons[0])

    def measures(self) -> list[str]:
        """Names of all measures, in the order in which the evaluations give them."""
        names: dict[str, None] = {}
        for run in self.measured.values():
            names |= dict.fromkeys(run.results)
        return list(names)


def collect(jobs: Sequence[Job], work: Work) -> Results:
    """Read every run of `jobs`. A run that is not finished is missing, with the reason that the queue noted."""
    measured: dict[str, Measured] = {}
    missing: dict[str, str] = {}
    for job in jobs:
        run = work.run(job)
        if not is_done(run, wanted(job, work)):
            state = state_of(run)
            missing[job.key] = f"failed: {state['reason']}" if state.get("status") == "failed" else "not run yet"
            continue
        report = json.loads((run / "evaluation.json").read_text())
        measured[job.key] = Measured(
            job=job,
            results={name: MetricResult.from_json(fields) for name, fields in report["metrics"].items()},
            report=report,
            minutes=seconds_trained(run) / 60,
            rows=per_video.read(run / "videos.parquet"),
        )
    return Results(measured=measured, missing=missing)


def write(results: Results, path: Path) -> None:
    """All values as parquet, written whole or not at all."""
    rows = [_row(run, result) for run in results.measured.values() for result in run.results.values()]
    temporary = path.with_name(f".{path.name}")
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), temporary)
    temporary.replace(path)


def _row(run: Measured, result: MetricResult) -> dict[str, Any]:
    low, high = result.interval or (None, None)
    return {
        "run": run.job.key,
        "preset": run.job.preset,
        "seed": run.job.seed,
        "measure": result.name,
        "unit": result.unit,
        "better": result.better,
        "value": result.value,
        "interval_low": low,
        "interval_high": high,
        "n_real": result.n_real,
        "n_fake": result.n_fake,
        "num_undefined": result.num_undefined,
        "unavailable": result.unavailable,
        "controls": json.dumps(dict(result.controls)),
        "protocol": json.dumps(dict(result.protocol)),
        "num_steps": run.report["num_steps"],
        "num_videos_seen": run.report["num_videos_seen"],
        "minutes": run.minutes,
        "config_sha256": run.report["config_sha256"],
        "settings": " ".join(run.job.settings),
    }
