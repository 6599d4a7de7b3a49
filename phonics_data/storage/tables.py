"""Conversion of records to plain values and parquet tables. The parquet schema is derived from the record's fields.

* Fractions are stored as text (``25`` or ``30000/1001``), so frame rates stay exact.
* The file metadata contains the record's name and `SCHEMA_VERSION`; other files are refused.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from phonics_data.contract.files import atomic_path
from phonics_data.contract.frame_rate import rate_of_file
from phonics_data.errors import TableError

SCHEMA_VERSION = 1
Record = TypeVar("Record")


def _without_none(hint: Any) -> tuple[Any, bool]:
    """(hint without None, whether None is allowed)."""
    if get_origin(hint) in (Union, types.UnionType):
        rest = [arg for arg in get_args(hint) if arg is not type(None)]
        assert len(rest) == 1, f"records use unions only with None: {hint}"
        return rest[0], True
    return hint, False


@functools.cache
def _hints(record_type: type) -> dict[str, Any]:
    hints = get_type_hints(record_type)
    return {field.name: hints[field.name] for field in dataclasses.fields(record_type)}


def to_plain(value: Any) -> Any:
    """`value` (a record or a field of one) as JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: to_plain(getattr(value, name)) for name in _hints(type(value))}
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def _from_plain(hint: Any, value: Any) -> Any:
    hint, _ = _without_none(hint)
    if value is None:
        return None
    if hint is Fraction:
        return rate_of_file(value)
    if hint is float:
        return float(value)
    if get_origin(hint) is tuple:
        return tuple(_from_plain(get_args(hint)[0], item) for item in value)
    if dataclasses.is_dataclass(hint):
        return from_plain(hint, value)  # pyright: ignore[reportArgumentType]
    return value


def from_plain(record_type: type[Record], plain: Mapping[str, Any]) -> Record:
    """The inverse of `to_plain`. Missing fields take their defaults, so files of earlier releases can be read."""
    assert dataclasses.is_dataclass(record_type)
    known = [field for field in dataclasses.fields(record_type) if field.name in plain or not _has_default(field)]
    hints = _hints(record_type)
    return record_type(**{field.name: _from_plain(hints[field.name], plain[field.name]) for field in known})


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _arrow_type(hint: Any) -> Any:
    import pyarrow as pa

    hint, _ = _without_none(hint)
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
        pa.field(name, _arrow_type(hint), nullable=_without_none(hint)[1]) for name, hint in _hints(record_type).items()
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


def read_table(path: Path, record_type: type[Record]) -> list[Record]:
    """Read the records of a file written by `write_table`.

    Raises:
        TableError: the file is missing, not parquet, or has another record type or schema version.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise TableError(
            f"{path}: no such table; run the stage that writes it (`phonics-data build` runs all stages)"
        ) from None
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())  # pyarrow messages have several lines
        raise TableError(f"{path}: not a readable parquet file ({reason})") from error
    metadata = table.schema.metadata or {}
    name = metadata.get(b"phonics_data.record", b"unknown").decode()
    version = metadata.get(b"phonics_data.schema_version", b"none").decode()
    if (name, version) != (record_type.__name__, str(SCHEMA_VERSION)):
        raise TableError(
            f"{path}: contains {name} records of schema version {version}, "
            f"expected {record_type.__name__} of version {SCHEMA_VERSION}; write it again with this release"
        )
    return [from_plain(record_type, row) for row in table.to_pylist()]
