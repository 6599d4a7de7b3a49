"""MetricResult: one metric value together with everything that could have changed it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Better = Literal["lower", "higher", "near_one", "neither"]
ProtocolValue = str | int | float | bool
ARROW: Mapping[Better, str] = {"lower": "↓", "higher": "↑", "near_one": "→1", "neither": ""}
COLUMNS = ("metric", "value", "95 % interval", "controls", "n")


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricResult:
    """One metric value and its protocol. The fields are those of the JSON object, in this order.

    Args:
        name: snake_case. Distances in features of random networks are called ``rfd_*``, so that they are not confused
            with FID or FVD.
        value: None if it cannot be computed; `unavailable` then gives the reason.
        unit: ``[-1, 1] units``, ``dB``, ``ratio``; empty for pure numbers.
        better: the direction in which a value is better.
        interval: 95 % interval, or None; `protocol` describes the method.
        n_real: number of real videos (or frames, according to `protocol`).
        n_fake: number of generated videos (or frames).
        num_undefined: items for which the metric is not defined; `protocol` describes how they are counted.
        unavailable: the reason why there is no value; empty if there is one.
        caution: why the value must be interpreted with care, for example too few videos; empty if there is no reason.
        saturated_by: the control (`CONTROL_NAMES`) that reaches the value of the real videos; empty if none does. Such a
            measure does not tell a good model from that control: it takes part in no gate and in no comparison of models.
        controls: values of the same metric on trivial solutions or real data: floors, ceilings, baselines, chance level.
        protocol: everything that could change the value: frames, masks, resizing, network and its digest, seeds.
    """

    name: str
    value: float | None
    unit: str = ""
    better: Better
    interval: tuple[float, float] | None = None
    n_real: int
    n_fake: int
    num_undefined: int = 0
    unavailable: str = ""
    caution: str = ""
    saturated_by: str = ""
    controls: Mapping[str, float] = field(default_factory=dict[str, float])
    protocol: Mapping[str, ProtocolValue] = field(default_factory=dict[str, ProtocolValue])

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
                "allowed: finite numbers; use value=None with a reason instead"
            )

    def with_protocol(self, shared: Mapping[str, ProtocolValue]) -> MetricResult:
        """A copy with the fields of `shared` added to the protocol; existing fields are kept."""
        return replace(self, protocol={**shared, **self.protocol})

    def as_json(self) -> dict[str, Any]:
        """A dictionary for JSON; `from_json` is the inverse."""
        return {**asdict(self), "interval": None if self.interval is None else list(self.interval)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> MetricResult:
        known = dict(fields)
        if known["interval"] is not None:
            known["interval"] = tuple(map(float, known["interval"]))
        return cls(**known)


def unavailable(name: str, reason: str, *, better: Better, n_real: int, n_fake: int) -> MetricResult:
    """The result of a metric that cannot be computed."""
    return MetricResult(name=name, value=None, better=better, n_real=n_real, n_fake=n_fake, unavailable=reason)


def format_number(value: float) -> str:
    """`value` with four significant digits; exponents only for very large and very small values."""
    return f"{value:.4g}"


def table_rows(results: list[MetricResult]) -> list[tuple[str, str, str, str, str]]:
    """Rows (name, value, interval, controls, n) of a table for the terminal or Markdown."""
    rows: list[tuple[str, str, str, str, str]] = []
    for result in results:
        value = f"unavailable: {result.unavailable}" if result.value is None else format_number(result.value)
        interval = "" if result.interval is None else " .. ".join(map(format_number, result.interval))
        controls = ", ".join(f"{name} {format_number(value)}" for name, value in result.controls.items())
        if result.caution:
            controls = f"{controls}; CAUTION: {result.caution}" if controls else f"CAUTION: {result.caution}"
        count = str(result.n_fake) if result.n_real == result.n_fake else f"{result.n_real}/{result.n_fake}"
        if result.num_undefined:
            count += f" ({result.num_undefined} undefined)"
        unit = f" ({result.unit})" if result.unit else ""
        rows.append((f"{result.name}{unit} {ARROW[result.better]}".strip(), value, interval, controls, count))
    return rows


def markdown_table(results: list[MetricResult]) -> str:
    """The results as one Markdown table."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in table_rows(results)]
    return "\n".join(lines) + "\n"
