"""The gates of the demo: what a model must show after its few minutes of training, in events of the picture.

Real clips pass every gate with a margin. A held first frame, a flash with every onset, random weights, the mean of the song and
the real video of another clip miss them (table in docs/metrics.md).
A gate of too few clips is missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cssgan.metrics.result import CONTROL_NAMES, MetricResult, format_number


@dataclass(frozen=True, kw_only=True, slots=True)
class GateBounds:
    """Inclusive bounds."""

    l1_over_copy_first_max: float = 0.98
    """The picture becomes more like the real one than the first frame is."""
    phrase_l1_over_copy_first_max: float = 0.98
    """The same of the whole phrases on which the events are measured."""
    event_match_min: float = 0.65
    """Events fall at the times of the clip's own events rather than of another clip's; chance level .5."""
    event_f1_min: float = 0.75
    """Events within .12 s of the real ones; missing and additional ones count against it."""
    persistence_min: float = 0.5
    """What appears in the real clip appears and is still there at the end."""
    event_swap_auc_min: float = 0.65
    """With the audio of another clip, events come at that clip's times; chance level .5."""


MIN_CLIPS = 20
"""A gate needs a value of this number of clips or more."""
MIN_SONGS = 2
"""... and of their source videos."""
TIMING_GATES = ("event_match", "event_swap_auc")
"""One of these must count: the others do not tell whether events follow the audio."""
REASONS = {
    "l1_over_copy_first": "the videos are no more like the real ones than the held first frame",
    "phrase_l1_over_copy_first": "whole phrases are no more like the real ones than the held first frame",
    "event_match": "events do not fall at the times of the clip's own events",
    "event_f1": "events are missing, additional, or more than .12 s from the real ones",
    "persistence": "what appears in the real clip does not appear, or does not stay",
    "event_swap_auc": "events do not follow the audio that the video was generated from",
}
"""What it means that a gate is missed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GateRow:
    """One gate: a value and its bounds. An unavailable value (None) misses the gate.

    Args:
        saturated_by: the control that reaches the real value (`MetricResult.saturated_by`); such a gate does not count.
        controls: the same value of real and control videos.
        num_clips, num_songs: clips that have a value, and their source videos; None: not known and not limited.
    """

    name: str
    value: float | None
    minimum: float | None = None
    maximum: float | None = None
    saturated_by: str = ""
    controls: Mapping[str, float] = field(default_factory=dict[str, float])
    num_clips: int | None = None
    num_songs: int | None = None

    @property
    def passed(self) -> bool:
        """Whether the value is within the bounds and of enough clips; for a saturated gate this says nothing."""
        return self.value is not None and self.allows(self.value) and not self.too_few

    @property
    def too_few(self) -> bool:
        """Whether fewer clips or songs than `MIN_CLIPS` and `MIN_SONGS` have a value."""
        clips, songs = self.num_clips, self.num_songs
        return (clips is not None and clips < MIN_CLIPS) or (songs is not None and songs < MIN_SONGS)

    @property
    def number(self) -> str:
        """``38 clips of 4 songs``; empty if it is not known."""
        songs = "" if self.num_songs is None else f" of {self.num_songs} songs"
        return "" if self.num_clips is None else f"{self.num_clips} clips{songs}"

    def allows(self, value: float) -> bool:
        """Whether a value is within the bounds."""
        return (self.minimum is None or value >= self.minimum) and (self.maximum is None or value <= self.maximum)

    @property
    def outcome(self) -> str:
        """``pass``, ``MISS``, ``MISS, too few clips``, or ``does not count, saturated by CONTROL``."""
        if self.saturated_by:
            return f"does not count, saturated by {self.saturated_by}"
        return "pass" if self.passed else _TOO_FEW if self.too_few else "MISS"

    @property
    def reason(self) -> str:
        """Why the gate is missed; empty if it is passed or does not count."""
        if self.passed or self.saturated_by:
            return ""
        if self.too_few:
            return f"too few clips: {self.number}, needed {MIN_CLIPS} of {MIN_SONGS} songs or more"
        return REASONS.get(self.name, "")

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
        return {
            "name": self.name,
            "value": self.value,
            "bound": self.bound,
            "outcome": self.outcome,
            "passed": self.passed,
            "saturated_by": self.saturated_by,
            "reason": self.reason,
            "num_clips": self.num_clips,
            "num_songs": self.num_songs,
        }


def all_passed(rows: Iterable[GateRow]) -> bool:
    """Whether no counted gate is missed and one of `TIMING_GATES` counts: else nothing shows that the audio is followed."""
    counted = [row for row in rows if not row.saturated_by]
    return any(row.name in TIMING_GATES for row in counted) and all(row.passed for row in counted)


def missed(rows: Sequence[GateRow]) -> str:
    """The missed gates in one line, for error messages."""
    counted = [row for row in rows if not row.saturated_by]
    texts = [
        f"{row.name} {row.value_text} (allowed {row.bound}{f'; too few clips: {row.number}' if row.too_few else ''})"
        for row in counted
        if not row.passed
    ]
    if not any(row.name in TIMING_GATES for row in counted):
        texts.append(f"none of {', '.join(TIMING_GATES)} counts, a control reaches the value of real videos in each")
    return ", ".join(texts)


def gate_rows(results: Iterable[MetricResult], bounds: GateBounds | None = None) -> list[GateRow]:
    """Compare the results with the bounds. Raises ValueError if a required result is missing."""
    bounds = bounds or GateBounds()
    found = {result.name: result for result in results}
    limits: dict[str, tuple[float | None, float | None]] = {
        "l1_over_copy_first": (None, bounds.l1_over_copy_first_max),
        "phrase_l1_over_copy_first": (None, bounds.phrase_l1_over_copy_first_max),
        "event_match": (bounds.event_match_min, None),
        "event_f1": (bounds.event_f1_min, None),
        "persistence": (bounds.persistence_min, None),
        "event_swap_auc": (bounds.event_swap_auc_min, None),
    }
    return rows_of(found, limits)


def rows_of(found: dict[str, MetricResult], limits: dict[str, tuple[float | None, float | None]]) -> list[GateRow]:
    """Rows of the metrics `limits`: name -> (minimum, maximum). Raises ValueError if a result is missing."""
    if absent := [name for name in limits if name not in found]:
        raise ValueError(f"gates: results lack {', '.join(absent)}; got {', '.join(sorted(found)) or 'none'}")
    return [
        GateRow(
            name=name, value=found[name].value, minimum=minimum, maximum=maximum, saturated_by=found[name].saturated_by,
            controls=found[name].controls, **_numbers(found[name]),
        )
        for name, (minimum, maximum) in limits.items()
    ]  # fmt: skip


def _numbers(result: MetricResult) -> dict[str, int | None]:
    songs = result.protocol.get("songs_compared", result.protocol.get("num_source_videos"))
    clips = 0 if result.value is None else result.n_real - result.num_undefined
    return {"num_clips": clips, "num_songs": 0 if result.value is None else None if songs is None else int(songs)}


def control_table(rows: Sequence[GateRow], model: str = "model") -> tuple[list[str], list[list[str]]]:
    """Heads and rows of a table: for the model, real videos and each control its value at each gate, passed or missed.

    The last column counts the gates that are not saturated: ``pass`` if all of them are passed. The last row is the number of
    clips and songs that have a value.

    Args:
        model: name of the model's row.
    """
    heads = ["videos", *(f"{row.name} {row.bound}" for row in rows), "all gates"]
    known = [name for name in ("real", "fixed_times", *CONTROL_NAMES) if any(name in row.controls for row in rows)]
    timed = any(row.name in TIMING_GATES and not row.saturated_by for row in rows)
    table: list[list[str]] = []
    for name in (model, *known):
        cells: list[str] = []
        counted: list[bool | None] = []
        for row in rows:
            value = row.value if name == model else row.controls.get(name)
            passed = None if value is None else row.allows(value) and not row.too_few
            outcome = f"does not count, saturated by {row.saturated_by}" if row.saturated_by else _PASSED[passed]
            outcome = _TOO_FEW if row.too_few and not row.saturated_by else outcome
            cells.append(outcome if value is None else f"{value:.3f} {outcome}")
            counted += [] if row.saturated_by else [passed]
        total = "MISS" if False in counted or not timed else _PASSED[None if None in counted else True]
        table.append([name, *cells, total])
    if any(row.number for row in rows):
        table.append(["compared", *(row.number for row in rows), ""])
    return heads, table


_TOO_FEW = "MISS, too few clips"
_PASSED = {True: "pass", False: "MISS", None: "unavailable"}
