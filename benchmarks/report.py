"""Measurements as a table for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.step import Measurement
from benchmarks.targets import TargetRow

COLUMNS = (
    "preset", "variant", "batch", "step", "videos/s", "TFLOP/s", "of peak", "memory", "data wait", "first step",
    "warm-up", "plain step", "speed-up",
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
        "-" if m.reference_step_ms is None else f"{m.reference_step_ms:.1f} ms",
        "-" if m.speedup_over_reference is None else f"{m.speedup_over_reference:.2f}x",
    )


def unmeasured(preset: str, variant: str, why: str) -> tuple[str, ...]:
    return (preset, variant, f"not measured: {why}")


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns of even width; a short row's last cell may run over."""
    widths = [
        max([len(name), *(len(cells[i]) for cells in rows if len(cells) == len(COLUMNS) or i < 2)])
        for i, name in enumerate(COLUMNS)
    ]
    lines = [COLUMNS, *rows]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=False)).rstrip() for cells in lines)


def write(path: Path, measurements: Sequence[Measurement]) -> None:
    """All rows as a list of objects."""
    path.write_text(json.dumps([m.to_json() for m in measurements], indent=1) + "\n")


def targets(rows: Sequence[TargetRow]) -> str:
    """Target, what was measured, whether that is enough."""
    lines = [("target", "wanted", "measured", "", "")]
    for row in rows:
        wanted = f"{'<=' if row.at_most else '>='} {row.bound:g} {row.unit}"
        measured = "-" if row.value is None else f"{row.value:.3g} {row.unit}"
        lines.append((row.name, wanted, measured, row.verdict, row.note))
    widths = [max(len(cells[column]) for cells in lines) for column in range(5)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)).rstrip() for cells in lines)
