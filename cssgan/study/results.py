"""Metrics of all runs of a study: read from the run folders, written to results.parquet, looked up by row and metric."""

from __future__ import annotations

import io
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cssgan.metrics import per_video
from cssgan.metrics.per_video import PerVideo
from cssgan.metrics.result import Better, MetricResult
from cssgan.study.job_list import Job
from cssgan.study.runner import (
    JobContext,
    evaluation_file,
    is_done,
    job_spec,
    read_status,
    seconds_trained,
    videos_file,
)
from cssgan.types import Split
from phonics_data.contract.files import write_bytes
from phonics_data.contract.untrusted import read_json_object

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("run", "preset", "split")),
        ("seed", pa.int64()),
        *((name, pa.string()) for name in ("measure", "unit", "better")),
        *((name, pa.float64()) for name in ("value", "interval_low", "interval_high")),
        *((name, pa.int64()) for name in ("n_real", "n_fake", "num_undefined")),
        *((name, pa.string()) for name in ("unavailable", "saturated_by", "controls", "protocol")),
        *((name, pa.int64()) for name in ("num_steps", "num_videos_seen")),
        ("minutes", pa.float64()),
        *((name, pa.string()) for name in ("config_sha256", "settings")),
    ]
)
"""One row per run and metric. `measure` is the metric's name; `controls` and `protocol` are JSON."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FinishedRun:
    """One trained run, evaluated on one split.

    Args:
        metrics: results by name.
        report: content of the report of `cssgan evaluate`.
        minutes: training time.
        per_video: metrics of each video.
    """

    job: Job
    metrics: Mapping[str, MetricResult]
    report: Mapping[str, Any]
    minutes: float
    per_video: PerVideo


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One cell of a table: the values of all seeds, or the reason (`missing`) if there are none."""

    values: tuple[float, ...] = ()
    better: Better = "neither"
    missing: str = ""

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Standard deviation over seeds (n - 1); None for one seed."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Results:
    """All runs of a study on one split, by job key: finished runs, and the reason for each missing run."""

    finished: Mapping[str, FinishedRun]
    missing: Mapping[str, str]

    def runs(self, jobs: Iterable[Job]) -> list[FinishedRun]:
        """The finished runs of `jobs`."""
        return [self.finished[job.key] for job in jobs if job.key in self.finished]

    def cell(self, jobs: Sequence[Job], metric: str) -> Cell:
        """One metric of one row; `jobs` are the seeds of the row."""
        runs = self.runs(jobs)
        results = [run.metrics[metric] for run in runs if metric in run.metrics]
        values = tuple(result.value for result in results if result.value is not None)
        if values:
            return Cell(values=values, better=results[0].better)
        if results:
            return Cell(missing=results[0].unavailable)
        return Cell(missing="`cssgan evaluate` does not report it" if runs else self.missing[jobs[0].key])

    def metric_names(self) -> list[str]:
        """Names of all metrics, in the order of the evaluations."""
        return list(dict.fromkeys(name for run in self.finished.values() for name in run.metrics))


def collect(jobs: Sequence[Job], context: JobContext, split: Split) -> Results:
    """Read the evaluations of `jobs` on one split from their run folders."""
    finished: dict[str, FinishedRun] = {}
    missing: dict[str, str] = {}
    for job in jobs:
        run = context.run_folder(job)
        if not is_done(run, job_spec(job, context)):
            status = read_status(run)
            missing[job.key] = f"failed: {status['reason']}" if status.get("status") == "failed" else "not run yet"
            continue
        report = read_json_object(evaluation_file(run, split), any_numbers=True)
        finished[job.key] = FinishedRun(
            job=job,
            metrics={name: MetricResult.from_json(fields) for name, fields in report["metrics"].items()},
            report=report,
            minutes=seconds_trained(run) / 60,
            per_video=per_video.read(videos_file(run, split)),
        )
    return Results(finished=finished, missing=missing)


def write(results: Mapping[Split, Results], path: Path) -> None:
    """Write all values of all splits to a parquet file, atomically."""
    rows = [
        {**_row(run, result), "split": split}
        for split, of_split in results.items()
        for run in of_split.finished.values()
        for result in run.metrics.values()
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), buffer)
    write_bytes(path, buffer.getvalue())


def _row(run: FinishedRun, result: MetricResult) -> dict[str, Any]:
    low, high = result.interval or (None, None)
    fields = {**run.report, **asdict(result)}
    return {name: fields[name] for name in SCHEMA.names if name in fields} | {
        "run": run.job.key,
        "preset": run.job.preset,
        "seed": run.job.seed,
        "measure": result.name,
        "interval_low": low,
        "interval_high": high,
        "controls": json.dumps(dict(result.controls)),
        "protocol": json.dumps(dict(result.protocol)),
        "minutes": run.minutes,
        "settings": " ".join(run.job.settings),
    }
