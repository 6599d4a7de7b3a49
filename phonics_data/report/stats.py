"""The numbers of a dataset as small tables, for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from phonics_data.dataset.layout import REJECTIONS, MetadataRow, read_description, read_metadata
from phonics_data.quality.split import SPLITS
from phonics_data.storage.tables import read_table
from phonics_data.types import Rejection


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One table: a heading for each column, and rows of text."""

    title: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]


def stats(dataset: Path) -> list[Table]:
    """Clips by class, by split and by evidence, and what was left out.

    Raises:
        DatasetError: the folder is no finished dataset.
    """
    names: list[str] = read_description(dataset)["label_set"]["names"]
    rows = read_metadata(dataset)
    rejections = Counter((row.stage, row.reason) for row in read_table(dataset / REJECTIONS, Rejection))
    flags = Counter(flag for row in rows for flag in row.flags.split(",") if flag)
    measured = ("clips", "sources", "minutes", "median s", "mean confidence")
    return [
        Table(
            title="clips by class",
            headings=("class", *SPLITS, "all"),
            rows=[
                (name, *(str(sum(row.split == split for row in mine)) for split in SPLITS), str(len(mine)))
                for name in names
                for mine in [[row for row in rows if row.label == name]]
            ],
        ),
        Table(
            title="by split",
            headings=("split", *measured),
            rows=[
                (name, *_measured([row for row in rows if row.split in splits]))
                for name, splits in [*((split, {split}) for split in SPLITS), ("all", set(SPLITS))]
            ],
        ),
        Table(
            title="by evidence",
            headings=("evidence", *measured),
            rows=[
                (name, *_measured([row for row in rows if row.evidence == name]))
                for name in sorted({row.evidence for row in rows})
            ],
        ),
        Table(
            title="left out, or kept with a mark",
            headings=("stage", "reason", "items"),
            rows=[(stage, reason, str(number)) for (stage, reason), number in sorted(rejections.items())]
            + [("kept", flag, str(number)) for flag, number in sorted(flags.items())]
            or [("none", "", "0")],
        ),
    ]


def _measured(rows: Sequence[MetadataRow]) -> tuple[str, ...]:
    if not rows:
        return ("0", "0", "0.0", "-", "-")
    seconds = [row.duration_seconds for row in rows]
    return (
        str(len(rows)),
        str(len({row.video_id for row in rows})),
        f"{sum(seconds) / 60:.1f}",
        f"{median(seconds):.2f}",
        f"{sum(row.confidence for row in rows) / len(rows):.2f}",
    )
