"""MetricResult: one metric value together with everything that could have changed it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Better = Literal["lower", "higher", "near_one", "neither"]
ProtocolValue = str | int | float | bool
ARROW: Mapping[Better, str] = {"lower": "↓", "higher": "↑", "near_one": "→1", "neither": ""}
COLUMNS = ("metric", "value", "95 % interval", "controls", "n")
ControlName = Literal["held", "flash", "untrained", "song_mean", "mismatched"]
CONTROL_NAMES: tuple[ControlName, ...] = ("held", "flash", "untrained", "song_mean", "mismatched")
"""Controls that show nothing of what a measure asks for; `cssgan.metrics.controls` makes their videos."""
SATURATION_MARGIN = 0.05
"""A measure is saturated if a control comes within this share of its scale of the real videos."""


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
        saturated_by: the control (`CONTROL_NAMES`) that reaches the value of the real videos, or ``chance``; empty if
            none does. Such a measure does not tell a good model from it: it takes part in no gate and in no comparison of
            models.
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

    def with_controls(
        self, controls: Mapping[str, float], *, scale: float, exempt: Collection[str] = ()
    ) -> MetricResult:
        """A copy with `controls` added and `saturated_by` set (`saturating_control`).

        Args:
            controls: values of this measure on the control videos, by name, and ``real``: on the real videos. Without
                ``real`` nothing saturates.
            scale, exempt: see `saturating_control`; `exempt` is added to the protocol.
        """
        merged = {**self.controls, **controls}
        protocol = {**self.protocol, "not_compared_for_saturation": " ".join(exempt)} if exempt else self.protocol
        name = saturating_control(merged, self.better, scale=scale, exempt=exempt)
        return replace(self, controls=merged, protocol=protocol, saturated_by=name)

    def as_json(self) -> dict[str, Any]:
        """A dictionary for JSON; `from_json` is the inverse."""
        return {**asdict(self), "interval": None if self.interval is None else list(self.interval)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> MetricResult:
        known = dict(fields)
        if known["interval"] is not None:
            known["interval"] = tuple(map(float, known["interval"]))
        return cls(**known)


def saturating_control(
    controls: Mapping[str, float], better: Better, *, scale: float, exempt: Collection[str] = ()
) -> str:
    """What the real videos do not exceed: the closest control within `SATURATION_MARGIN` x scale, or chance; else empty.

    * A control that is better than the real value saturates as well, except where the real value is the aim (`better` is
      ``near_one`` or ``neither``): there, deviations in both directions count.
    * ``chance``: the interval of the real value contains the chance level, so these videos cannot show more than chance.

    Args:
        controls: values by name; used are ``real``, those of `CONTROL_NAMES`, and ``chance_level`` with the interval of the
            real value, ``real_low`` and ``real_high``.
        scale: width of the range of the measure: 1 for an AUC, a share, an F1, a correlation. Unbounded measures are not
            checked.
        exempt: controls that are as good as real for this measure by definition: a mismatched video is a real one,
            so a measure of single videos without their pair does not have to tell it from them.
    """
    if "real" not in controls:
        return ""
    real = controls["real"]
    sign = {"higher": 1.0, "lower": -1.0}.get(better)
    short = {
        name: abs(real - controls[name]) if sign is None else sign * (real - controls[name])
        for name in CONTROL_NAMES
        if name in controls and name not in exempt
    }
    closest = min(short, key=lambda name: short[name], default="")
    # Differences of decimal fractions are rounded: .95 counts as within .05 of 1.
    if closest and short[closest] <= SATURATION_MARGIN * scale + 1e-12:
        return closest
    chance = controls.get("chance_level")
    if chance is not None and controls.get("real_low", math.inf) <= chance <= controls.get("real_high", -math.inf):
        return "chance"
    return ""


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
        if result.saturated_by:
            value += f", saturated by {result.saturated_by}"
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
