"""CSV tables that a user gives with an option: one reader with one set of rules for all of them.

UTF-8 with commas, with or without a byte order mark. Spaces around names of columns and cells are removed, blank lines ignored.
Ignored are also columns without a name whose cells are all empty, as spreadsheets write them, and the index of pandas: columns of whole
numbers before all others, whose name is empty or "Unnamed: 0".
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from phonics_data.contract.untrusted import read_text
from phonics_data.errors import InputError

MAX_CSV_BYTES = 64_000_000
"""A reviews.csv of thousands of songs has tens of megabytes."""

_UNNAMED = re.compile(r"(Unnamed: [0-9.]+)?")
_WHOLE_NUMBER = re.compile(r"[0-9]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class CsvRow:
    """One row of a table."""

    line: int
    """Of the file, from 1."""
    cells: dict[str, str]
    """Cells by column, without spaces around them; empty where the row is too short."""
    num_cells: int
    """Of the row itself, up to the header's last column or the last cell with text; without ignored columns."""
    num_columns: int
    """Of the header, without ignored columns."""

    @property
    def excess(self) -> str:
        """What is wrong with a row of more cells than the header; empty for other rows."""
        if self.num_cells <= self.num_columns:
            return ""
        return f"has {self.num_cells} cells, the header {self.num_columns}; put a text that contains a comma in quotes"


def read_csv(
    option: str,
    path: Path,
    required: Sequence[str],
    *,
    optional: Sequence[str] | None = None,
    may_be_empty: bool = False,
    any_length: bool = False,
) -> tuple[CsvRow, ...]:
    """The rows below the header.

    Args:
        option: the flag as the user types it, for messages.
        required: columns that must be there.
        optional: the only other columns that may be there; None: any others, which callers ignore.
        may_be_empty: accept a table without rows.
        any_length: accept rows with more cells than the header; the caller checks `CsvRow.excess` and rejects these rows alone.

    Raises:
        InputError: no such file, not a CSV, a column that is missing, twice or not allowed, a row with more cells than the
            header, or no row.
    """
    where = f"{option} {path}"
    try:
        text = io.StringIO(read_text(path, MAX_CSV_BYTES), newline="")
        reader = csv.reader(text, skipinitialspace=True)
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except FileNotFoundError:
        raise InputError(f"{where}: no such file; expected a CSV with the columns {', '.join(required)}") from None
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror}); expected a CSV file") from error
    except (ValueError, csv.Error) as error:
        raise InputError(f"{where}: not a UTF-8 CSV file ({error})") from error
    columns = lines[0][1] if lines else []
    ignored = _ignored_columns(columns, [cells for _, cells in lines[1:]])
    lines = [(line, [cell for index, cell in enumerate(cells) if index not in ignored]) for line, cells in lines]
    columns = lines[0][1] if lines else []
    _check_columns(where, columns, required, optional)
    rows: list[CsvRow] = []
    for line, cells in lines[1:]:
        while len(cells) > len(columns) and not cells[-1]:
            cells.pop()
        padded = [*cells, *[""] * (len(columns) - len(cells))]
        row = CsvRow(
            line=line, cells=dict(zip(columns, padded, strict=False)), num_cells=len(cells), num_columns=len(columns)
        )
        if row.excess and not any_length:
            raise InputError(f"{where}: line {line} {row.excess}")
        rows.append(row)
    if not rows and not may_be_empty:
        raise InputError(f"{where}: has no rows below the header; give at least one, or omit the option")
    return tuple(rows)


def _ignored_columns(columns: list[str], rows: list[list[str]]) -> set[int]:
    """Positions of columns without a name that are empty, or an index."""
    found: set[int] = set()
    for index, name in enumerate(columns):
        if _UNNAMED.fullmatch(name):
            texts = [cells[index] for cells in rows if index < len(cells) and cells[index]]
            is_index = len(found) == index and all(_WHOLE_NUMBER.fullmatch(text) for text in texts)
            if is_index or not texts:
                found.add(index)
    return found


def _check_columns(where: str, columns: list[str], required: Sequence[str], optional: Sequence[str] | None) -> None:
    shown = [name or '""' for name in columns]
    faults = [
        ("missing", [name for name in required if name not in columns]),
        ("twice", sorted({name for name in columns if name and columns.count(name) > 1})),
        (
            "not allowed",
            [] if optional is None else [name for name in shown if name not in (*required, *optional)],
        ),
    ]
    if found := "; ".join(f"{what}: {', '.join(names)}" for what, names in faults if names):
        others = "other columns are ignored" if optional is None else f"optional: {', '.join(optional)}"
        if len(columns) == 1 and (separator := next((char for char in ";\t" if char in columns[0]), "")):
            raise InputError(
                f"{where}: its columns are separated by {'semicolons' if separator == ';' else 'tabs'}, allowed: commas; save it as "
                f"CSV with commas, and with a point in numbers; its first line is {columns[0][:80]!r}, required: {', '.join(required)}"
            )
        raise InputError(
            f"{where}: columns are {', '.join(shown) or 'none'}; required, once each: {', '.join(required)}; {others} "
            f"({found})"
        )
