"""A folder of video files: one subfolder a class, or a CSV that says which seconds of which file are what."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import cast

from phonics_data.errors import InputError
from phonics_data.sources.collect import LabelledFile, LabelledSegment, file_id

MEDIA_SUFFIXES = frozenset(".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .ts .flv .ogv .wmv".split())
COLUMNS = ("path", "label", "start", "end", "object_word")


def files_by_subfolder(folder: Path) -> list[LabelledFile]:
    """Every video below `folder`; the name of its subfolder is its label, the whole of it one clip.

    Raises:
        InputError: no such folder, or no subfolders with videos.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    found = [
        LabelledFile(
            video_id=file_id(path.relative_to(folder)),
            path=path,
            segments=(LabelledSegment(label=path.relative_to(folder).parts[0]),),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix.lower() in MEDIA_SUFFIXES and len(path.relative_to(folder).parts) > 1
    ]
    if not found:
        raise InputError(
            f"{folder}: no videos in its subfolders; allowed: a subfolder for each class with videos "
            f"({', '.join(sorted(MEDIA_SUFFIXES))}), or a CSV given with --csv"
        )
    return found


def files_by_csv(folder: Path, table: Path) -> list[LabelledFile]:
    """The videos that a CSV names, with its labelled stretches.

    Columns: ``path`` (relative to `folder`) and ``label``; ``start`` and ``end`` in seconds and ``object_word`` may be
    empty or left out. A path may stand in several rows.

    Raises:
        InputError: missing file, unknown or missing columns, or bad values; the message names the row.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or [])
            rows = [(reader.line_num, row) for row in reader]
    except FileNotFoundError:
        raise InputError(f"--csv {table}: no such file") from None
    except OSError as error:
        raise InputError(f"--csv {table}: cannot be read ({error.strerror}); wanted a CSV file") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--csv {table}: not a CSV in UTF-8 ({error})") from error
    if {"path", "label"} - set(columns) or set(columns) - set(COLUMNS):
        raise InputError(
            f"--csv {table}: columns are {', '.join(columns) or 'none'}; wanted path and label, allowed besides: "
            "start, end, object_word"
        )
    segments: dict[str, list[LabelledSegment]] = {}
    for number, row in rows:
        where = f"--csv {table}: row {number}"
        # A row that is longer than the header keeps the rest under the key None, whatever the type stubs say.
        if (rest := cast("dict[str | None, object]", row).get(None)) is not None:
            raise InputError(f"{where}: holds {rest} beyond its {len(columns)} columns; a comma in a name needs quotes")
        path, name = (row["path"] or "").strip(), (row["label"] or "").strip()
        if not path or not name:
            raise InputError(f"{where}: path and label must not be empty")
        if not name.isprintable():
            raise InputError(f"{where}: label {name!r} holds signs that cannot be printed; allowed: text on one line")
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise InputError(f"{where}: path {path!r} leaves the folder; allowed: paths below {folder}")
        path = Path(path).as_posix()  # one file, however its path is spelt
        start, end = _seconds(row.get("start"), where) or 0.0, _seconds(row.get("end"), where)
        if end is not None and end <= start:
            raise InputError(f"{where}: end {end} is not after start {start}")
        label = LabelledSegment(
            label=name, start_seconds=start, end_seconds=end, object_word=row.get("object_word") or None
        )
        mine = segments.setdefault(path, [])
        if any(round(segment.start_seconds * 1000) == round(start * 1000) for segment in mine):
            raise InputError(f"{where}: a second clip of {path} begins at {start} s")
        mine.append(label)
    if not segments:
        raise InputError(f"--csv {table}: no rows below its header")
    return [
        LabelledFile(video_id=file_id(Path(path)), path=folder / path, segments=tuple(mine))
        for path, mine in sorted(segments.items())
    ]


def _seconds(text: str | None, where: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise InputError(f"{where}: got {text!r} for a time, allowed: seconds from 0 on")
    return value
