"""What the trainer is meant to reach, beside what was measured: the second table of `python -m benchmarks step`.

A row that this machine cannot measure says what it needs; it is never guessed.
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
"""The card for which step times are asked; its name is looked for in what torch calls the device."""
GPU_BATCH = 32
NEEDS_GPU = f"unmeasured: needs an {GPU}"


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetRow:
    """One target. `value` None: unmeasured, and `note` says what is missing."""

    name: str
    bound: float
    at_most: bool
    unit: str
    value: float | None
    note: str = ""

    @property
    def verdict(self) -> Literal["met", "missed", "unmeasured"]:
        if self.value is None:
            return "unmeasured"
        return "met" if (self.value <= self.bound if self.at_most else self.value >= self.bound) else "missed"


def rows(measured: Sequence[Measurement], device: torch.device, *, seconds: float) -> list[TargetRow]:
    """All targets, in a fixed order; those of data_loading are measured here, for about `seconds`.

    Args:
        measured: the rows of the first table.
    """
    on_gpu = device.type == "cuda"
    name = "paper" if on_gpu else "tiny"
    batch = GPU_BATCH if on_gpu else CPU_BATCH
    config = override(preset(name), [f"train.batch_size={batch}"])
    paper = [m for m in measured if m.preset == "paper" and GPU in m.device_name and m.batch_size == GPU_BATCH]
    lean = [m for m in measured if m.preset == "lean" and GPU in m.device_name and m.batch_size == GPU_BATCH]
    tiny = [m for m in measured if m.preset == "tiny" and m.device == "cpu" and m.batch_size == CPU_BATCH]
    of = f"preset {name}, batch {batch}, {device.type}"
    return [
        _step(f"{GPU}, paper, batch {GPU_BATCH}: a step", 13.0, paper),
        _speed_up(f"{GPU}, paper, batch {GPU_BATCH}: speed over the plain step", 4.0, paper, NEEDS_GPU),
        _step(f"{GPU}, lean, batch {GPU_BATCH}: a step", 7.0, lean),
        _waiting(measured, name, batch, of),
        _measured(
            "waiting for data, streaming feed from the local disk",
            0.05,
            "of a step",
            of,
            lambda: data_loading.streaming_wait_share(config, device, seconds=seconds),
        ),
        _measured(
            f"host memory of the resident feed, {data_loading.PAPER_CLIPS} clips, beyond the mapped cache",
            1.0,
            "GB",
            "64x64, batch 32",
            lambda: data_loading.resident_memory_gb(override(preset("paper"), [f"train.batch_size={GPU_BATCH}"])),
        ),
        _speed_up(f"CPU, tiny, batch {CPU_BATCH}: speed over the plain step", 1.5, tiny, "unmeasured: needs a CPU row"),
        _measured(
            "command to first step, cache warm", 10.0, "s", of, lambda: data_loading.start_seconds(config, name, device)
        ),
    ]


def _step(name: str, bound: float, measured: Sequence[Measurement]) -> TargetRow:
    if not measured:
        return TargetRow(name=name, bound=bound, at_most=True, unit="ms", value=None, note=NEEDS_GPU)
    best = min(measured, key=lambda m: m.step_ms)
    return TargetRow(name=name, bound=bound, at_most=True, unit="ms", value=best.step_ms, note=best.variant)


def _speed_up(name: str, bound: float, measured: Sequence[Measurement], needs: str) -> TargetRow:
    known = [(m.speedup_over_reference, m) for m in measured if m.speedup_over_reference is not None]
    if not known:
        return TargetRow(name=name, bound=bound, at_most=False, unit="x", value=None, note=needs)
    value, best = max(known, key=lambda pair: pair[0])
    return TargetRow(
        name=name, bound=bound, at_most=False, unit="x", value=value, note=f"{best.variant}, {best.threads} thread(s)"
    )


def _waiting(measured: Sequence[Measurement], name: str, batch: int, of: str) -> TargetRow:
    """The quickest row of the preset is the one that data keep waiting the most."""
    known = [m for m in measured if m.preset == name and m.batch_size == batch]
    best = min(known, key=lambda m: m.step_ms, default=None)
    return TargetRow(
        name="waiting for data, resident feed",
        bound=0.01,
        at_most=True,
        unit="of a step",
        value=None if best is None else best.data_wait_share,
        note=of if best is not None else f"unmeasured: needs a row of {of}",
    )


def _measured(name: str, bound: float, unit: str, of: str, measure: Callable[[], float | None]) -> TargetRow:
    value = measure()
    note = of if value is not None else "unmeasured: this system does not tell"
    return TargetRow(name=name, bound=bound, at_most=True, unit=unit, value=value, note=note)
