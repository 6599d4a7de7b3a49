"""Conversion of records, frozen dataclasses, to plain values (those of JSON and parquet), and back with a check of every type."""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from phonics_data.contract.frame_rate import rate_of_file
from phonics_data.contract.untrusted import number_of_json

Record = TypeVar("Record")


def without_none(hint: Any) -> tuple[Any, bool]:
    """(hint without None, whether None is allowed)."""
    if get_origin(hint) in (Union, types.UnionType):
        rest = [arg for arg in get_args(hint) if arg is not type(None)]
        assert len(rest) == 1, f"records use unions only with None: {hint}"
        return rest[0], True
    return hint, False


@functools.cache
def hints_of(record_type: type) -> dict[str, Any]:
    hints = get_type_hints(record_type)
    return {field.name: hints[field.name] for field in dataclasses.fields(record_type)}


def to_plain(value: Any) -> Any:
    """`value` (a record or a field of one) as JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: to_plain(getattr(value, name)) for name in hints_of(type(value))}
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def _from_plain(hint: Any, value: Any) -> Any:
    hint, is_optional = without_none(hint)
    if value is None:
        if is_optional:
            return None
        raise ValueError("is empty")
    if hint is Fraction:
        return rate_of_file(value)
    if hint is float:
        # A measured value can be infinite, such as a level in dB; times and confidences cannot.
        return value if is_optional and type(value) is float else number_of_json(value)
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError(f"got {type(value).__name__}, allowed: a list")
        return tuple(_from_plain(get_args(hint)[0], item) for item in cast("Iterable[Any]", value))
    if dataclasses.is_dataclass(hint):
        return from_plain(cast("type[Any]", hint), value)
    kind = str if get_origin(hint) is Literal else hint
    if kind in (str, int, bool) and type(value) is not kind:
        raise ValueError(f"got {type(value).__name__}, allowed: {kind.__name__}")
    return value


def from_plain(record_type: type[Record], plain: object) -> Record:
    """The inverse of `to_plain`. Missing fields take their defaults, so files of earlier releases can be read.

    Raises:
        ValueError: another value than a mapping, a field without a default is missing, or a value of another type.
    """
    assert dataclasses.is_dataclass(record_type)
    if not isinstance(plain, Mapping):
        raise ValueError(f"got {type(plain).__name__}, allowed: the fields of a {record_type.__name__}")
    fields, hints = cast("Mapping[str, Any]", plain), hints_of(record_type)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(record_type):
        if field.name not in fields and _has_default(field):
            continue
        if field.name not in fields:
            raise ValueError(f"{field.name}: is missing")
        try:
            values[field.name] = _from_plain(hints[field.name], fields[field.name])
        except ValueError as error:
            raise ValueError(f"{field.name}: {error}") from error
    return record_type(**values)


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
