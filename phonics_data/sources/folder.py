"""Importer of a folder of videos: one subfolder per class, or a CSV with labelled segments."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import cast

from phonics_data.errors import InputError
from phonics_data.media.suffixes import VIDEO_SUFFIXES, is_video_file
from phonics_data.sources.importer import LabelledFile, LabelledSegment, file_id, require_folder

COLUMNS = ("path", "label", "start", "end", "object_word")


def files_by_subfolder(folder: Path) -> list[LabelledFile]:
    """Every video below `folder` as one clip; its label is the name of the first-level subfolder.

    Raises:
        InputError: no such folder, or no subfolders with videos.
    """
    require_folder(folder)
    found = [
        LabelledFile(
            video_id=file_id(path.relative_to(folder)),
            path=path,
            segments=(LabelledSegment(label=path.relative_to(folder).parts[0]),),
        )
        for path in sorted(folder.rglob("*"))
        if is_video_file(path) and len(path.relative_to(folder).parts) > 1
    ]
    if not found:
        raise InputError(
            f"{folder}: no videos in its subfolders; allowed: a subfolder for each class with videos "
            f"({', '.join(sorted(VIDEO_SUFFIXES))}), or a CSV given with --csv"
        )
    return found


def files_by_csv(folder: Path, table: Path) -> list[LabelledFile]:
    """The videos of a CSV with their labelled segments.

    Columns: ``path`` (relative to `folder`) and ``label``; optional: ``start`` and ``end`` in seconds, ``object_word``. A
    path can occur in several rows.

    Raises:
        InputError: missing file, unknown or missing columns, or invalid values; the message contains the row.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or [])
            rows = [(reader.line_num, row) for row in reader]
    except FileNotFoundError:
        raise InputError(f"--csv {table}: no such file") from None
    except OSError as error:
        raise InputError(f"--csv {table}: cannot be read ({error.strerror}); expected a CSV file") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--csv {table}: not a UTF-8 CSV file ({error})") from error
    if {"path", "label"} - set(columns) or set(columns) - set(COLUMNS):
        raise InputError(
            f"--csv {table}: columns are {', '.join(columns) or 'none'}; required: path, label; optional: start, end, object_word"
        )
    segments: dict[str, list[LabelledSegment]] = {}
    for number, row in rows:
        where = f"--csv {table}: row {number}"
        # Excess fields of a row have the key None; the type stubs lack this.
        if (rest := cast("dict[str | None, object]", row).get(None)) is not None:
            raise InputError(f"{where}: {rest} exceeds the {len(columns)} columns; quote names that contain commas")
        path, name = (row["path"] or "").strip(), (row["label"] or "").strip()
        if not path or not name:
            raise InputError(f"{where}: path and label must not be empty")
        if not name.isprintable():
            raise InputError(f"{where}: label {name!r} has non-printable characters; allowed: text on one line")
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise InputError(f"{where}: path {path!r} is outside the folder; allowed: paths below {folder}")
        path = Path(path).as_posix()  # one spelling for each file
        start, end = _seconds(row.get("start"), where) or 0.0, _seconds(row.get("end"), where)
        if end is not None and end <= start:
            raise InputError(f"{where}: end {end} is not after start {start}")
        label = LabelledSegment(
            label=name, start_seconds=start, end_seconds=end, object_word=row.get("object_word") or None
        )
        file_segments = segments.setdefault(path, [])
        if any(round(segment.start_seconds * 1000) == round(start * 1000) for segment in file_segments):
            raise InputError(f"{where}: a second clip of {path} starts at {start} s")
        file_segments.append(label)
    if not segments:
        raise InputError(f"--csv {table}: no rows after the header")
    return [
        LabelledFile(video_id=file_id(Path(path)), path=folder / path, segments=tuple(file_segments))
        for path, file_segments in sorted(segments.items())
    ]


def _seconds(text: str | None, where: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise InputError(f"{where}: got {text!r} for a time, allowed: seconds >= 0")
    return value
