"""Counts of a dataset as tables for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from phonics_data.dataset.layout import REJECTIONS, MetadataRow, read_description, read_metadata
from phonics_data.quality.split import used_splits
from phonics_data.report.limits import limit_effects
from phonics_data.storage.tables import read_table
from phonics_data.types import Rejection


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One table.

    Args:
        key: name of the table in JSON.
        values: rows of numbers and text; None if there is nothing to measure.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    values: Sequence[tuple[str | int | float | None, ...]]

    @property
    def headings(self) -> tuple[str, ...]:
        return tuple(name.replace("_", " ") for name in self.columns)

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The values as text."""
        rows = [tuple(_text(name, value) for name, value in zip(self.columns, row, strict=True)) for row in self.values]
        return rows or [("none", *[""] * (len(self.columns) - 1))]

    def as_plain(self) -> list[dict[str, str | int | float | None]]:
        """One object per row, for JSON."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.values]


def _text(column: str, value: str | int | float | None) -> str:
    if value is None:
        return "-"
    return (f"{value:.1f}" if column == "minutes" else f"{value:.2f}") if isinstance(value, float) else str(value)


def stats(dataset: Path) -> list[Table]:
    """Clips by class, split, evidence and fit; the effects of limits; rejections and flags.

    Raises:
        DatasetError: the folder is not a finished dataset.
    """
    description = read_description(dataset)
    names: list[str] = description["label_set"]["names"]
    min_confidence: float = description["options"]["filters"]["min_confidence"]
    rows = read_metadata(dataset)
    splits = used_splits(row.split for row in rows)
    counts = Counter((row.label, row.split) for row in rows)
    rejected = read_table(dataset / REJECTIONS, Rejection)
    rejections = Counter((row.stage, row.reason) for row in rejected)
    flags = Counter(flag for row in rows for flag in row.flags.split(",") if flag)
    columns = ("clips", "sources", "minutes", "median_seconds", "mean_confidence")
    return [
        Table(
            key="by_class",
            title="clips by class",
            columns=("class", *splits, "all"),
            values=[
                (name, *(counts[name, split] for split in splits), sum(counts[name, split] for split in splits))
                for name in names
            ],
        ),
        Table(
            key="by_split",
            title="by split",
            columns=("split", *columns),
            values=[
                *((split, *_measured([row for row in rows if row.split == split])) for split in splits),
                ("all", *_measured(rows)),
            ],
        ),
        Table(
            key="by_evidence",
            title="by evidence",
            columns=("evidence", *columns),
            values=[
                (name, *_measured([row for row in rows if row.evidence == name]))
                for name in sorted({row.evidence for row in rows})
            ],
        ),
        Table(
            key="by_fit",
            title="by fit of the picture",
            columns=("fit", "clips"),
            values=sorted(Counter(row.fit for row in rows).items()),
        ),
        Table(
            key="limits",
            title="effects of the limits",
            columns=("limit", "effect", "items"),
            values=limit_effects((row.rule for row in rows), rejected, min_confidence=min_confidence),
        ),
        Table(
            key="rejections",
            title="rejected, or kept with a flag",
            columns=("stage", "reason", "items"),
            values=[(stage, reason, number) for (stage, reason), number in sorted(rejections.items())]
            + [("kept", flag, number) for flag, number in sorted(flags.items())],
        ),
    ]


def _measured(rows: Sequence[MetadataRow]) -> tuple[int | float | None, ...]:
    if not rows:
        return (0, 0, 0.0, None, None)
    seconds = [row.duration_seconds for row in rows]
    return (
        len(rows),
        len({row.video_id for row in rows}),
        sum(seconds) / 60,
        float(median(seconds)),
        sum(row.confidence for row in rows) / len(rows),
    )
