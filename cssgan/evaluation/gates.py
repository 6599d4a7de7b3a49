"""The gates of the demo: what a model must reach after its few minutes of training to count as audio-conditioned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cssgan.metrics.result import MetricResult, format_number


@dataclass(frozen=True, kw_only=True, slots=True)
class GateBounds:
    """Inclusive bounds. A copied image, static or jittery videos, and an unconditional model each miss one."""

    l1_over_copy_first_max: float = 0.98
    motion_ratio_min: float = 0.5
    motion_ratio_max: float = 1.6
    sync_auc_min: float = 0.65
    sync_auc_of_real_min: float = 0.8


@dataclass(frozen=True, kw_only=True, slots=True)
class GateRow:
    """One gate: a value and its bounds. An unavailable value (None) misses the gate."""

    name: str
    value: float | None
    minimum: float | None = None
    maximum: float | None = None

    @property
    def passed(self) -> bool:
        if self.value is None:
            return False
        return (self.minimum is None or self.value >= self.minimum) and (
            self.maximum is None or self.value <= self.maximum
        )

    @property
    def bound(self) -> str:
        """``<= 0.98``, ``>= 0.65``, ``0.5 .. 1.6``."""
        if self.minimum is None:
            return f"<= {self.maximum:g}"
        return f">= {self.minimum:g}" if self.maximum is None else f"{self.minimum:g} .. {self.maximum:g}"

    @property
    def value_text(self) -> str:
        return "unavailable" if self.value is None else format_number(self.value)

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "value": self.value, "bound": self.bound, "passed": self.passed}


def missed(rows: Iterable[GateRow]) -> str:
    """The missed gates in one line, for error messages."""
    return ", ".join(f"{row.name} {row.value_text} (allowed {row.bound})" for row in rows if not row.passed)


def gate_rows(results: Iterable[MetricResult], bounds: GateBounds | None = None) -> list[GateRow]:
    """Compare the results with the bounds. Raises ValueError if a required result is missing."""
    bounds = bounds or GateBounds()
    values = {result.name: result.value for result in results}
    limits: dict[str, tuple[float | None, float | None]] = {
        "l1_over_copy_first": (None, bounds.l1_over_copy_first_max),
        "motion_ratio": (bounds.motion_ratio_min, bounds.motion_ratio_max),
        "sync_auc": (bounds.sync_auc_min, None),
        "sync_auc_of_real": (bounds.sync_auc_of_real_min, None),
    }
    if absent := [name for name in limits if name not in values]:
        raise ValueError(f"gates: results lack {', '.join(absent)}; got {', '.join(sorted(values)) or 'none'}")
    return [
        GateRow(name=name, value=values[name], minimum=minimum, maximum=maximum)
        for name, (minimum, maximum) in limits.items()
    ]
