"""The pictures of the objects of a rendered song: ``<video_id>.objects.parquet`` beside the video.

`phonics_data.sources.synthetic` writes it; `fetch` copies it with the video; `shard` takes the pictures of the clips from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from phonics_data.contract.files import atomic_path
from phonics_data.contract.untrusted import number_of_json, one_line, read_parquet, rows_of_table
from phonics_data.errors import TableError

SUFFIX = ".objects.parquet"
_PLAN = b"phonics_data.plan"


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectBox:
    """Where the object is, as fractions of the frame, clipped to it."""

    start_seconds: float
    end_seconds: float
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectRow:
    """The object of one phrase."""

    object_word: str
    start_seconds: float
    """Of the phrase."""
    end_seconds: float
    shown_seconds: float
    """When the object begins to come."""
    png: bytes
    """RGBA, at its size in the video."""
    boxes: tuple[ObjectBox, ...]
    """By time, from `shown_seconds` to the end of the phrase; where there is none, the object cannot be seen."""


def objects_path(media: Path) -> Path:
    """The table of a video file."""
    return media.with_name(f"{media.stem}{SUFFIX}")


def write_objects(path: Path, rows: Sequence[ObjectRow], plan: str) -> None:
    """Write the table.

    Args:
        plan: identifies the song's plan and the renderer.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=_schema().with_metadata({_PLAN: plan}))
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def plan_of_objects(path: Path) -> str:
    """The plan of a table; empty if there is no readable one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return (pq.read_schema(path).metadata or {}).get(_PLAN, b"").decode()
    except (pa.ArrowException, OSError, ValueError):
        return ""


def read_objects(path: Path) -> list[ObjectRow]:
    """The rows of a table.

    Raises:
        TableError: not such a table.
    """
    import pyarrow as pa

    try:
        table = read_parquet(path)
    except (ValueError, OSError) as error:
        raise TableError(f"{path}: not a readable parquet file ({one_line(error)}); {ADVICE}") from error
    if missing := [name for name in _schema().names if name not in table.column_names]:
        raise TableError(f"{path}: lacks the columns {', '.join(missing)}; {ADVICE}")
    try:
        rows = rows_of_table(table.select(_schema().names).cast(_schema()))
        return [_object_row(row) for row in rows]
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise TableError(f"{path}: columns of other types ({one_line(error)}); {ADVICE}") from error


def _object_row(row: Mapping[str, Any]) -> ObjectRow:
    """Raises ValueError or TypeError for an empty cell or a time that is not finite."""
    if not isinstance(row["object_word"], str) or not isinstance(row["png"], bytes):
        raise TypeError("object_word or png is empty")
    times = {name: number_of_json(row[name]) for name in ("start_seconds", "end_seconds", "shown_seconds")}
    boxes = tuple(ObjectBox(**{name: number_of_json(value) for name, value in box.items()}) for box in row["boxes"])
    return ObjectRow(object_word=row["object_word"], png=row["png"], boxes=boxes, **times)


ADVICE = "run `phonics-data render` again, or delete the file: the objects are then taken from the frames"


def _schema() -> Any:
    import pyarrow as pa

    seconds = [(name, pa.float64()) for name in ("start_seconds", "end_seconds", "shown_seconds")]
    box = pa.struct([(field.name, pa.float64()) for field in fields(ObjectBox)])
    return pa.schema([("object_word", pa.string()), *seconds, ("png", pa.binary()), ("boxes", pa.list_(box))])
