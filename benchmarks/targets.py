"""Performance targets of the trainer and their measured values: the second table of `python -m benchmarks step`.

Rows that this machine cannot measure state what they need.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from benchmarks import data_loading
from benchmarks.step import CPU_BATCH, Measurement
from cssgan.config import override
from cssgan.presets import preset

GPU = "H200"
"""The GPU of the targets for step times; must be part of the device name that torch reports."""
GPU_BATCH = 32
NEEDS_GPU = f"unmeasured: needs an {GPU}"


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetRow:
    """A value that must be at most `bound`. `value` None: unmeasured; `note` states what is missing."""

    name: str
    bound: float
    unit: str
    value: float | None
    note: str

    @property
    def status(self) -> Literal["met", "missed", "unmeasured"]:
        if self.value is None:
            return "unmeasured"
        return "met" if self.value <= self.bound else "missed"


def rows(measured: Sequence[Measurement], device: torch.device, *, seconds: float) -> list[TargetRow]:
    """All targets in a fixed order. Those of `data_loading` are measured here, for about `seconds`.

    Args:
        measured: measurements of training steps.
    """
    on_gpu = device.type == "cuda"
    name = "paper" if on_gpu else "tiny"
    batch = GPU_BATCH if on_gpu else CPU_BATCH
    config = override(preset(name), [f"train.batch_size={batch}"])
    paper = override(preset("paper"), [f"train.batch_size={GPU_BATCH}"])
    setup = f"preset {name}, batch {batch}, {device.type}"
    return [
        _step_time("paper", 13.0, measured),
        _step_time("lean", 7.0, measured),
        _resident_wait(measured, name, batch, setup),
        _measured(
            "waiting for data, streaming loader, local disk",
            0.05,
            "of a step",
            setup,
            lambda: data_loading.streaming_wait_share(config, device, seconds=seconds),
        ),
        _measured(
            f"host memory of the resident loader, {data_loading.PAPER_CLIPS} clips, without the mapped cache",
            1.0,
            "GB",
            "64x64, batch 32",
            lambda: data_loading.resident_memory_gb(paper),
        ),
        _measured(
            "command to first step, data in the cache",
            10.0,
            "s",
            setup,
            lambda: data_loading.start_seconds(config, name, device),
        ),
    ]


def _step_time(name: str, bound_ms: float, measured: Sequence[Measurement]) -> TargetRow:
    """Of the fastest variant of the preset on the `GPU`."""
    rows = [m for m in measured if m.preset == name and GPU in m.device_name and m.batch_size == GPU_BATCH]
    best = min(rows, key=lambda m: m.step_ms, default=None)
    return TargetRow(
        name=f"{GPU}, {name}, batch {GPU_BATCH}: time per step",
        bound=bound_ms,
        unit="ms",
        value=None if best is None else best.step_ms,
        note=NEEDS_GPU if best is None else best.variant,
    )


def _resident_wait(measured: Sequence[Measurement], name: str, batch: int, setup: str) -> TargetRow:
    """Of the fastest measurement of the preset, which is the most sensitive to data loading."""
    rows = [m for m in measured if m.preset == name and m.batch_size == batch]
    best = min(rows, key=lambda m: m.step_ms, default=None)
    return TargetRow(
        name="waiting for data, resident loader",
        bound=0.01,
        unit="of a step",
        value=None if best is None else best.data_wait_share,
        note=setup if best is not None else f"unmeasured: needs a row of {setup}",
    )


def _measured(name: str, bound: float, unit: str, setup: str, measure: Callable[[], float | None]) -> TargetRow:
    value = measure()
    note = setup if value is not None else "unmeasured: not reported by this system"
    return TargetRow(name=name, bound=bound, unit=unit, value=value, note=note)
