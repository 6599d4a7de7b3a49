"""What an evaluation found: the record, its files (JSON, Markdown, pictures) and its tables on the screen."""

from __future__ import annotations

import json
import os
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cssgan.evaluation import plots
from cssgan.evaluation.gates import GateRow
from cssgan.metrics import per_video, synchrony
from cssgan.metrics.motion import motion_curves, motion_mask
from cssgan.metrics.result import MetricResult, markdown_table, number, table_rows
from cssgan.metrics.videos import Floats, VideoPairs
from cssgan.storage.files import make_folder
from cssgan.types import EvalWindows

STRIP_VIDEOS, CURVE_VIDEOS, MOVING_VIDEOS = 4, 8, 8


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evaluation:
    """What `evaluate` measured, with the arrays from which its pictures are drawn.

    Args:
        results: all measures; each carries `protocol` merged with what all share.
        header: who was measured on what; strings and numbers.
        pairs: real and generated videos.
        onset_NT: onset curve of each sound.
        each: what the evaluators say of each video, by measure.
    """

    results: tuple[MetricResult, ...]
    gates: tuple[GateRow, ...]
    header: Mapping[str, Any]
    pairs: VideoPairs
    onset_NT: Floats
    each: Mapping[str, Floats] = field(default_factory=dict[str, Floats])

    @property
    def passed(self) -> bool:
        return all(row.passed for row in self.gates)

    def as_json(self) -> dict[str, Any]:
        return {
            **self.header,
            "metrics": {result.name: result.as_json() for result in self.results},
            "gates": [row.as_json() for row in self.gates],
            "gates_passed": self.passed,
        }


def value_of(row: GateRow) -> str:
    return "unavailable" if row.value is None else number(row.value)


def write(evaluation: Evaluation, data: EvalWindows, report: Mapping[str, Any], out: Path) -> list[Path]:
    """Report, table and pictures, each written whole or not at all. Returns their paths, the JSON first."""
    make_folder(out.parent)
    prefix = "" if out.stem == "evaluation" else f"{out.stem}-"
    strip, curves, moving = (out.with_name(f"{prefix}{name}") for name in ("strip.png", "curves.png", "moving.webp"))
    _atomically(out, lambda path: path.write_text(json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)))
    _atomically(out.with_suffix(".md"), lambda path: path.write_text(_markdown(evaluation)))
    _atomically(strip, lambda path: plots.strip(_shown(evaluation, data, STRIP_VIDEOS)).save(path, format="PNG"))
    _atomically(curves, lambda path: plots.curves(_shown(evaluation, data, CURVE_VIDEOS)).save(path, format="PNG"))
    frames = plots.moving(_shown(evaluation, data, MOVING_VIDEOS))
    rate = Counter(data.frame_rates).most_common(1)[0][0]
    _atomically(moving, lambda path: plots.save_moving(frames, path, float(rate)))
    return [out, out.with_suffix(".md"), strip, curves, moving]


def write_each(evaluation: Evaluation, data: EvalWindows, report: Path, *, clip_frames: int, seed: int) -> Path:
    """What was measured of each video alone, as parquet beside `report`; see `cssgan.metrics.per_video`."""
    path = report.with_name("videos.parquet" if report.stem == "evaluation" else f"{report.stem}-videos.parquet")
    spec = synchrony.SynchronySpec(seed=seed)
    rows = per_video.per_video(evaluation.pairs, data, evaluation.onset_NT, clip_frames=clip_frames, spec=spec)
    rows = replace(rows, values={**rows.values, **evaluation.each})
    _atomically(path, lambda temporary: per_video.write(rows, temporary))
    return path


def _atomically(path: Path, save: Callable[[Path], object]) -> None:
    """`save` into a temporary file beside `path`, flushed to disk, then renamed."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        save(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _spread(count: int, most: int) -> list[int]:
    """At most `most` indices, evenly over 0..count-1: the pictures show no chosen favourites."""
    return sorted({round(index) for index in np.linspace(0, count - 1, min(most, count)).tolist()})


def _shown(evaluation: Evaluation, data: EvalWindows, most: int) -> list[plots.Shown]:
    pairs, onset_NK = evaluation.pairs, evaluation.onset_NT[:, 1:]
    use_NK = motion_mask(pairs.valid)
    curves = {"real": motion_curves(pairs.real_NTHWC), "generated": motion_curves(pairs.fake_NTHWC)}
    own = {name: np.diag(synchrony.correlations(curve, onset_NK, use_NK)[0]) for name, curve in curves.items()}
    rows: list[plots.Shown] = []
    for n in _spread(len(data), most):
        label = data.label_set.names[int(data.labels_N[n])]
        correlation = f"motion with sound: real {own['real'][n]:+.2f}, generated {own['generated'][n]:+.2f}"
        rows.append(
            plots.Shown(
                title=f"{label}   {data.keys[n]}   {correlation}",
                real_THWC=pairs.real_NTHWC[n], fake_THWC=pairs.fake_NTHWC[n], num_valid=int(data.num_valid_N[n]),
                mel_MH=plots.spectrogram_of(data.raw_mels_NTMU[n], synchrony.hops_per_frame(data.frame_rates[n])),
                onset_K=onset_NK[n], real_K=curves["real"][n], fake_K=curves["generated"][n],
            )
        )  # fmt: skip
    return rows


def _markdown(evaluation: Evaluation) -> str:
    header = ", ".join(f"{name} {value}" for name, value in evaluation.header.items() if not isinstance(value, dict))
    gates = "".join(
        f"| {row.name} | {value_of(row)} | {row.bound} | {'pass' if row.passed else 'MISS'} |\n"
        for row in evaluation.gates
    )
    return (
        f"# Evaluation\n\n{header}\n\n## Measures\n\n{markdown_table(list(evaluation.results))}\n"
        f"## Gates\n\n| gate | value | bound | |\n| --- | --- | --- | --- |\n{gates}"
    )


def show(evaluation: Evaluation, *, gates: bool = False, console: Console | None = None) -> None:
    """Print the measures, and the gates if asked, as tables; to stderr, so that stdout stays free for ``--json``."""
    console = console or Console(stderr=True)
    table = Table(box=box.SIMPLE, padding=(0, 1))
    for column in ("measure and its controls", "value", "95 % interval", "n"):
        table.add_column(column, overflow="fold")
    for name, value, interval, controls, count in table_rows(list(evaluation.results)):
        # Controls stand below the name: a value without them says nothing, and a column for them needs a wide screen.
        cell = Text(name)
        if controls:
            cell.append(f"\n  {controls}", style="dim")
        table.add_row(cell, value, interval, count)
    console.print(table)
    if gates:
        table = Table("gate", "value", "bound", "", title="gates", box=box.SIMPLE)
        for row in evaluation.gates:
            verdict = "[green]pass[/green]" if row.passed else "[red]MISS[/red]"
            table.add_row(row.name, value_of(row), row.bound, verdict)
        console.print(table)
