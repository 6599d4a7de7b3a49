"""Measurements as a text table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.step import Measurement
from benchmarks.targets import TargetRow

COLUMNS = (
    "preset", "variant", "batch", "step", "videos/s", "TFLOP/s", "of peak", "memory", "data wait", "first step",
    "warm-up",
)  # fmt: skip


def row(measured: Measurement) -> tuple[str, ...]:
    m = measured
    return (
        m.preset,
        m.variant,
        str(m.batch_size),
        f"{m.step_ms:.1f} ms",
        f"{m.videos_per_second:.1f}",
        f"{m.tflop_per_second:.3g}",
        f"{m.share_of_peak:.0%}",
        f"{m.memory_gb:.2f} GB",
        f"{m.data_wait_share:.1%}",
        f"{m.first_step_seconds:.1f} s",
        f"{m.warm_up_seconds:.1f} s",
    )


def unmeasured(preset: str, variant: str, reason: str) -> tuple[str, ...]:
    return (preset, variant, f"not measured: {reason}")


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Aligned columns; the last cell of a short row may exceed its column."""
    widths = [
        max([len(name), *(len(cells[i]) for cells in rows if len(cells) == len(COLUMNS) or i < 2)])
        for i, name in enumerate(COLUMNS)
    ]
    lines = [COLUMNS, *rows]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=False)).rstrip() for cells in lines)


def write(path: Path, measurements: Sequence[Measurement]) -> None:
    """Write all measurements as a JSON list of objects."""
    path.write_text(json.dumps([m.to_json() for m in measurements], indent=1) + "\n")


def targets(rows: Sequence[TargetRow]) -> str:
    """A table of targets, measured values and results."""
    lines = [("target", "wanted", "measured", "", "")]
    for row in rows:
        wanted = f"<= {row.bound:g} {row.unit}"
        measured = "-" if row.value is None else f"{row.value:.3g} {row.unit}"
        lines.append((row.name, wanted, measured, row.status, row.note))
    widths = [max(len(cells[column]) for cells in lines) for column in range(5)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)).rstrip() for cells in lines)


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, ["---"] * len(heads), *rows))
