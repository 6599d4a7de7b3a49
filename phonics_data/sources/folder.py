"""Importer of a folder of videos: one subfolder per class, or a CSV with labelled segments."""

from __future__ import annotations

from pathlib import Path

from phonics_data.contract.csv_table import read_csv
from phonics_data.contract.untrusted import seconds_of_text
from phonics_data.errors import InputError, ItemError
from phonics_data.media.suffixes import VIDEO_SUFFIXES, is_video_file, unread_entry
from phonics_data.sources.importer import LabelledFile, LabelledSegment, file_id, is_text, require_folder

SPLIT_NAMES = frozenset("train training val valid validation dev test testing eval".split())
"""Names of subfolders that contain splits of a dataset and not its classes."""


def files_by_subfolder(folder: Path) -> list[LabelledFile]:
    """Every video below `folder` as one clip; its label is the name of the first-level subfolder.

    Raises:
        InputError: no such folder, no subfolders with videos, or subfolders that are splits.
    """
    require_folder(folder)
    found: list[LabelledFile] = []
    for path in sorted(folder.rglob("*")):
        unread = unread_entry(path)
        if path.name[0] == "." or not (unread or is_video_file(path)):
            continue
        parts = path.relative_to(folder).parts
        label, fault = parts[0] if len(parts) > 1 else "", None
        if unread:
            fault = ItemError("file_missing", f"{path}: {unread}")
        elif not label:
            fault = ItemError("no_label", f"{path}: in no subfolder, whose name would be its class; move it into one")
        elif not (label.isprintable() and is_text(label)):
            fault = ItemError("no_label", f"{path}: the name of its subfolder has non-printable characters; rename it")
        found.append(
            LabelledFile(
                video_id=file_id(path.relative_to(folder)),
                path=path,
                segments=(LabelledSegment(label=label),),
                fault=fault,
            )
        )
    labels = {file.segments[0].label for file in found if file.fault is None}
    if labels and {label.lower() for label in labels} <= SPLIT_NAMES:
        raise InputError(
            f"{folder}: its subfolders {', '.join(sorted(labels))} are splits, not classes; allowed: a subfolder for each class; "
            "import one of them, or give path and label of each file with --csv, and the splits with --splits"
        )
    if not labels:
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
        InputError: as `read_csv`; or invalid values. The message contains the line.
    """
    segments: dict[str, list[LabelledSegment]] = {}
    for row in read_csv("--csv", table, ("path", "label"), optional=("start", "end", "object_word")):
        where = f"--csv {table}: line {row.line}"
        path, name = row.cells["path"], row.cells["label"]
        if not path or not name:
            raise InputError(f"{where}: path and label must not be empty")
        if not name.isprintable():
            raise InputError(f"{where}: label {name!r} has non-printable characters; allowed: text on one line")
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise InputError(f"{where}: path {path!r} is outside the folder; allowed: paths below {folder}")
        path = Path(path).as_posix()  # one spelling for each file
        start, end = _seconds(row.cells.get("start"), where) or 0.0, _seconds(row.cells.get("end"), where)
        if end is not None and end <= start:
            raise InputError(f"{where}: end {end} is not after start {start}")
        label = LabelledSegment(
            label=name, start_seconds=start, end_seconds=end, object_word=row.cells.get("object_word") or None
        )
        file_segments = segments.setdefault(path, [])
        if any(round(segment.start_seconds * 1000) == round(start * 1000) for segment in file_segments):
            raise InputError(f"{where}: a second clip of {path} starts at {start} s")
        file_segments.append(label)
    return [
        LabelledFile(video_id=file_id(Path(path)), path=folder / path, segments=tuple(file_segments))
        for path, file_segments in sorted(segments.items())
    ]


def _seconds(text: str | None, where: str) -> float | None:
    if not text:
        return None
    try:
        value = seconds_of_text(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise InputError(f"{where}: got {text!r} for a time, allowed: seconds >= 0")
    return value
