"""MetricResult: one number together with everything that could have changed it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Better = Literal["lower", "higher", "near_one", "neither"]
ProtocolValue = str | int | float | bool


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricResult:
    """One measured value and its protocol.

    Args:
        name: snake_case; the random-feature distances are called ``rfd_*`` so that nobody takes them for FID or FVD.
        value: the number, or None where it cannot be had; `unavailable` then says why.
        unit: what one step of the value means (``[-1, 1] units``, ``dB``, ``ratio``); empty for pure numbers.
        better: the direction in which a value is better.
        n_real: real videos (or frames, where `protocol` says so) that went into the value.
        n_fake: generated ones.
        protocol: everything that could change the value: frames, masks, resize, network and its digest, seeds.
        controls: values of the same measure on inputs with a known standing: floors, ceilings, baselines.
        interval: 95 % interval, or None where none was computed; `protocol` says how it was had.
        num_undefined: items for which the measure is not defined; `protocol` says how they count.
        unavailable: reason, exactly when `value` is None.
        caution: why the value should be read with care although it is one, such as too few videos; empty: nothing.
    """

    name: str
    value: float | None
    better: Better
    n_real: int
    n_fake: int
    unit: str = ""
    protocol: Mapping[str, ProtocolValue] = field(default_factory=dict[str, ProtocolValue])
    controls: Mapping[str, float] = field(default_factory=dict[str, float])
    interval: tuple[float, float] | None = None
    num_undefined: int = 0
    unavailable: str = ""
    caution: str = ""

    def __post_init__(self) -> None:
        if (self.value is None) != bool(self.unavailable):
            raise ValueError(
                f"metric {self.name}: got value {self.value} with unavailable={self.unavailable!r}; "
                "allowed: a value, or None with a reason"
            )
        numbers = [*self.controls.values(), *(self.interval or ()), *([] if self.value is None else [self.value])]
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(
                f"metric {self.name}: got value {self.value}, interval {self.interval}, controls {dict(self.controls)}; "
                "allowed: finite numbers; give value=None with a reason instead"
            )

    def under(self, shared: Mapping[str, ProtocolValue]) -> MetricResult:
        """The same result with the fields of `shared` added to its protocol; its own fields win."""
        return replace(self, protocol={**shared, **self.protocol})

    def as_json(self) -> dict[str, Any]:
        """A plain dictionary; `from_json` gives the result back."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "better": self.better,
            "interval": None if self.interval is None else list(self.interval),
            "n_real": self.n_real,
            "n_fake": self.n_fake,
            "num_undefined": self.num_undefined,
            "unavailable": self.unavailable,
            "caution": self.caution,
            "controls": dict(self.controls),
            "protocol": dict(self.protocol),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> MetricResult:
        known: dict[str, Any] = dict(fields)
        if known["interval"] is not None:
            low, high = known["interval"]
            known["interval"] = (float(low), float(high))
        return cls(**known)


def unavailable(name: str, reason: str, *, better: Better, n_real: int, n_fake: int) -> MetricResult:
    """The result of a measure that cannot be computed here."""
    return MetricResult(name=name, value=None, better=better, n_real=n_real, n_fake=n_fake, unavailable=reason)


def number(value: float) -> str:
    """`value` with four significant digits, never in exponent form unless it is very large or very small."""
    return f"{value:.4g}"


ARROW: Mapping[Better, str] = {"lower": "↓", "higher": "↑", "near_one": "→1", "neither": ""}


def table_rows(results: list[MetricResult]) -> list[tuple[str, str, str, str, str]]:
    """Rows (name, value, interval, controls, n) for a table on the screen or in Markdown."""
    rows: list[tuple[str, str, str, str, str]] = []
    for result in results:
        value = f"unavailable: {result.unavailable}" if result.value is None else number(result.value)
        interval = "" if result.interval is None else f"{number(result.interval[0])} .. {number(result.interval[1])}"
        controls = ", ".join(f"{name} {number(value)}" for name, value in result.controls.items())
        if result.caution:
            controls = f"{controls}; CAUTION: {result.caution}" if controls else f"CAUTION: {result.caution}"
        count = str(result.n_fake) if result.n_real == result.n_fake else f"{result.n_real}/{result.n_fake}"
        if result.num_undefined:
            count += f" ({result.num_undefined} undefined)"
        unit = f" ({result.unit})" if result.unit else ""
        rows.append((f"{result.name}{unit} {ARROW[result.better]}".strip(), value, interval, controls, count))
    return rows


COLUMNS = ("measure", "value", "95 % interval", "controls", "n")


def markdown_table(results: list[MetricResult]) -> str:
    """The results as one Markdown table."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in table_rows(results)]
    return "\n".join(lines) + "\n"
