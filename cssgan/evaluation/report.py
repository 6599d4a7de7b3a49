"""The report of an evaluation: JSON, Markdown, images, and tables in the terminal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cssgan.evaluation import plots
from cssgan.evaluation.gates import GateRow, all_passed, control_table
from cssgan.metrics import per_video, synchrony
from cssgan.metrics.motion import motion_curves, motion_mask
from cssgan.metrics.result import MetricResult, format_number, markdown_table, table_rows
from cssgan.metrics.videos import Floats, VideoPairs
from cssgan.storage.files import make_folder
from cssgan.types import EvalWindows, Split
from phonics_data.contract.console import printable
from phonics_data.contract.files import atomic_path

STRIP_VIDEOS, CURVE_VIDEOS, ANIMATION_VIDEOS = 4, 8, 8


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evaluation:
    """The results of `evaluate`, with the arrays for its images.

    Args:
        results: all metrics with their full protocol.
        header: model, dataset and versions, for the report.
        onset_NT: onset curves of the audio.
        per_video: values per video of the metrics of synchrony, events and evaluators.
    """

    results: tuple[MetricResult, ...]
    gates: tuple[GateRow, ...]
    header: Mapping[str, Any]
    pairs: VideoPairs
    onset_NT: Floats
    per_video: Mapping[str, Floats]

    @property
    def passed(self) -> bool:
        return all_passed(self.gates)

    def as_json(self) -> dict[str, Any]:
        return {
            **self.header,
            "metrics": {result.name: result.as_json() for result in self.results},
            "gates": [row.as_json() for row in self.gates],
            "gates_passed": self.passed,
        }


def write(evaluation: Evaluation, data: EvalWindows, report: Mapping[str, Any], out: Path) -> list[Path]:
    """Write report, table and images atomically. Returns their paths, the JSON file first.

    Args:
        report: content of the JSON file.
        out: path of the JSON file; the others are written beside it.
    """
    make_folder(out.parent)
    prefix = "" if out.stem == "evaluation" else f"{out.stem}-"
    strip, curves, moving = (out.with_name(f"{prefix}{name}") for name in ("strip.png", "curves.png", "moving.webp"))
    with atomic_path(out) as path:
        path.write_text(json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False))
    with atomic_path(out.with_suffix(".md")) as path:
        path.write_text(_markdown(evaluation))
    with atomic_path(strip) as path:
        plots.strip(_plot_videos(evaluation, data, STRIP_VIDEOS)).save(path, format="PNG")
    with atomic_path(curves) as path:
        plots.curves(_plot_videos(evaluation, data, CURVE_VIDEOS)).save(path, format="PNG")
    frame_rate = Counter(data.frame_rates).most_common(1)[0][0]
    with atomic_path(moving) as path:
        animation = plots.animation(_plot_videos(evaluation, data, ANIMATION_VIDEOS))
        plots.save_animation(animation, path, float(frame_rate))
    return [out, out.with_suffix(".md"), strip, curves, moving]


def write_per_video(
    evaluation: Evaluation, data: EvalWindows, report: Path, *, clip_frames: int, stride: int = 1
) -> Path:
    """Write the metrics of each video as parquet beside `report`, see `cssgan.metrics.per_video`."""
    path = report.with_name("videos.parquet" if report.stem == "evaluation" else f"{report.stem}-videos.parquet")
    rows = per_video.per_video(evaluation.pairs, data, clip_frames=clip_frames, stride=stride)
    with atomic_path(path) as temporary:
        per_video.write(replace(rows, values={**rows.values, **evaluation.per_video}), temporary)
    return path


def _plot_videos(evaluation: Evaluation, data: EvalWindows, max_videos: int) -> list[plots.PlotVideo]:
    """At most `max_videos` videos, evenly over the set, so that nothing is selected."""
    pairs, onset_NK = evaluation.pairs, evaluation.onset_NT[:, 1:]
    use_NK = motion_mask(pairs.valid)
    curves = {"real": motion_curves(pairs.real_NTHWC), "generated": motion_curves(pairs.fake_NTHWC)}
    own = {name: np.diag(synchrony.correlations(curve, onset_NK, use_NK)[0]) for name, curve in curves.items()}
    rows: list[plots.PlotVideo] = []
    for n in sorted({round(index) for index in np.linspace(0, len(data) - 1, min(max_videos, len(data))).tolist()}):
        label = data.label_set.names[int(data.labels_N[n])]
        correlation = f"motion with audio: real {own['real'][n]:+.2f}, generated {own['generated'][n]:+.2f}"
        rows.append(
            plots.PlotVideo(
                title=f"{label}   {data.keys[n]}   {correlation}",
                real_THWC=pairs.real_NTHWC[n], fake_THWC=pairs.fake_NTHWC[n], num_valid=int(data.num_valid_N[n]),
                mel_MH=plots.join_mel_segments(data.raw_mels_NTMU[n], synchrony.hops_per_frame(data.frame_rates[n])),
                onset_K=onset_NK[n], real_K=curves["real"][n], fake_K=curves["generated"][n],
            )
        )  # fmt: skip
    return rows


def _markdown(evaluation: Evaluation) -> str:
    header = ", ".join(f"{name} {value}" for name, value in evaluation.header.items() if not isinstance(value, dict))
    gates = "".join(
        f"| {row.name} | {row.value_text} | {row.bound} | {row.number} | {row.outcome} |\n" for row in evaluation.gates
    )
    return (
        f"# Evaluation\n\n{header}\n\n## Metrics\n\n{markdown_table(list(evaluation.results))}\n"
        f"## Gates\n\n| gate | value | bound | n | |\n| --- | --- | --- | --- | --- |\n{gates}\n"
        f"## Gates and controls\n\n{_markdown_rows(*control_table(evaluation.gates))}"
    )


def _markdown_rows(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def show(evaluation: Evaluation, *, gates: bool = False, console: Console | None = None) -> None:
    """Print the metrics, and optionally the gates, as tables to stderr; stdout is reserved for ``--json``."""
    console = console or Console(stderr=True)
    table = Table(box=box.SIMPLE, padding=(0, 1))
    for column in ("metric and its controls", "value", "95 % interval", "n"):
        table.add_column(column, overflow="fold")
    for name, value, interval, controls, count in table_rows(list(evaluation.results)):
        # Controls are below the name, because a column for them needs a wide terminal.
        cell = _cell(name)
        if controls:
            cell.append(f"\n  {printable(controls)}", style="dim")
        table.add_row(cell, *map(_cell, (value, interval, count)))
    console.print(table)
    if gates:
        console.print(gate_table(evaluation.gates, "gates"))
        heads, rows = control_table(evaluation.gates)
        controls = Table(title="gates and controls", box=box.SIMPLE, padding=0)
        for index, head in enumerate(heads):
            controls.add_column(_cell(head), overflow="fold", no_wrap=not index)
        for row in rows:
            controls.add_row(*map(_cell, row))
        console.print(controls)


def _cell(text: str) -> Text:
    """Names of runs and splits are no markup."""
    return Text(printable(text))


def gate_table(rows: Iterable[GateRow], title: str) -> Table:
    table = Table("gate", "value", "bound", "n", "", title=title, box=box.SIMPLE)
    for row in rows:
        color = "yellow" if row.saturated_by else "green" if row.passed else "red"
        cells = map(_cell, (row.name, row.value_text, row.bound, row.number))
        table.add_row(*cells, Text(row.outcome, color))
    return table


def write_side_by_side(reports: Mapping[Split, Mapping[str, Any]], first: Path) -> None:
    """Append a table of several splits to the Markdown file beside `first`, and print it.

    Args:
        reports: contents of the JSON files.
        first: JSON file of the first split.
    """
    columns, rows = side_by_side(reports)
    path = first.with_suffix(".md")
    text = path.read_text() + "\n## Splits side by side\n\n" + _markdown_rows(columns, rows)
    with atomic_path(path) as temporary:
        temporary.write_text(text)
    table = Table(*(escape(printable(name)) for name in columns), title="splits side by side", box=box.SIMPLE)
    for row in rows:
        table.add_row(*map(_cell, row))
    Console(stderr=True).print(table)


def side_by_side(reports: Mapping[Split, Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of a table: each metric with its value and that of the real videos for each split."""
    columns = ["metric", *(f"{split}{kind}" for split in reports for kind in ("", ", real"))]
    found = {
        split: {name: MetricResult.from_json(fields) for name, fields in report["metrics"].items()}
        for split, report in reports.items()
    }
    rows: list[list[str]] = []
    for name in dict.fromkeys(name for results in found.values() for name in results):
        cells = [name]
        for results in found.values():
            result = results.get(name)
            if result is None or result.value is None:
                cells += ["-", "-"]
                continue
            saturated = f", saturated by {result.saturated_by}" if result.saturated_by else ""
            real = result.controls.get("real")
            cells += [format_number(result.value) + saturated, "-" if real is None else format_number(real)]
        if set(cells[1:]) != {"-"}:
            rows.append(cells)
    return columns, rows
