"""Conversion of records to plain values and parquet tables. The parquet schema is derived from the record's fields.

* Fractions are stored as text (``25`` or ``30000/1001``), so frame rates stay exact.
* The file metadata contains the record's name and `SCHEMA_VERSION`; other files are refused.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from phonics_data.contract.files import atomic_path
from phonics_data.contract.records import Record, from_plain, hints_of, to_plain, without_none
from phonics_data.contract.untrusted import read_parquet, rows_of_table
from phonics_data.errors import TableError

SCHEMA_VERSION = 1


def _arrow_type(hint: Any) -> Any:
    import pyarrow as pa

    hint, _ = without_none(hint)
    if get_origin(hint) is Literal or hint in (str, Fraction):
        return pa.string()
    if hint is bool:
        return pa.bool_()
    if hint is int:
        return pa.int64()
    if hint is float:
        return pa.float64()
    if get_origin(hint) is tuple:
        return pa.list_(_arrow_type(get_args(hint)[0]))
    if dataclasses.is_dataclass(hint):
        return pa.struct(list(schema(hint)))  # pyright: ignore[reportArgumentType]
    raise AssertionError(f"no parquet type for {hint}")


def schema(record_type: type) -> Any:
    """The parquet schema (`pyarrow.Schema`) of a record type, with name and version in the metadata."""
    import pyarrow as pa

    fields = [
        pa.field(name, _arrow_type(hint), nullable=without_none(hint)[1])
        for name, hint in hints_of(record_type).items()
    ]
    return pa.schema(
        fields,
        metadata={"phonics_data.record": record_type.__name__, "phonics_data.schema_version": str(SCHEMA_VERSION)},
    )


def write_table(path: Path, record_type: type[Record], records: Iterable[Record]) -> None:
    """Write `records` atomically as one parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist([to_plain(record) for record in records], schema=schema(record_type))
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def read_table(
    path: Path, record_type: type[Record], *, has_video: Callable[[str], bool] | None = None
) -> list[Record]:
    """Read the records of a file written by `write_table`.

    Args:
        has_video: only the rows of which it accepts the video id; it is called once an id.

    Raises:
        TableError: the file is missing, not parquet, or has another record type, schema version or type of value.
    """
    try:
        table = read_parquet(path)
    except FileNotFoundError:
        raise TableError(
            f"{path}: no such table; run the stage that writes it (`phonics-data build` runs all stages)"
        ) from None
    except ValueError as error:
        raise TableError(f"{path}: not a readable parquet file ({error})") from error
    metadata = table.schema.metadata or {}
    name = metadata.get(b"phonics_data.record", b"unknown").decode(errors="replace")
    version = metadata.get(b"phonics_data.schema_version", b"none").decode(errors="replace")
    if (name, version) != (record_type.__name__, str(SCHEMA_VERSION)):
        raise TableError(
            f"{path}: contains {name} records of schema version {version}, "
            f"expected {record_type.__name__} of version {SCHEMA_VERSION}; write it again with this release"
        )
    try:
        if has_video is not None:
            table = _of_videos(table, has_video)
        return [from_plain(record_type, row) for row in rows_of_table(table)]
    except ValueError as error:
        raise TableError(
            f"{path}: not a table of {record_type.__name__} records ({error}); write it again with this release"
        ) from error


def _of_videos(table: Any, has_video: Callable[[str], bool]) -> Any:
    import pyarrow as pa

    if "video_id" not in table.column_names:
        raise ValueError("no column video_id")
    is_wanted = functools.cache(has_video)
    return table.filter(pa.array([is_wanted(one) for one in table.column("video_id").to_pylist()], pa.bool_()))
