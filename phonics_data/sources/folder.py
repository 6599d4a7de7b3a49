"""Importer of a folder of videos: one subfolder per class, or a CSV with labelled segments."""

from __future__ import annotations

import logging
import re
from collections import Counter, defaultdict
from pathlib import Path

from phonics_data.contract.csv_table import CsvRow, read_csv
from phonics_data.contract.untrusted import seconds_of_text
from phonics_data.errors import InputError, ItemError
from phonics_data.media.suffixes import VIDEO_SUFFIXES, is_hidden, is_video_file, unread_entry
from phonics_data.sources.importer import LabelledFile, LabelledSegment, file_id, is_text, require_folder

SPLIT_NAMES = frozenset("train training val valid dev test testing eval".split())
"""Words in names of splits. One of them alone can be a class, such as a train."""

_ONLY_SPLITS = re.compile(
    r"(pre|mini)train(ing)?|trainval|validation|development|evaluation|held_?out|unlabell?ed"
    r"|(train|training|val|valid|dev|test|testing|eval)_?(set|split|data|videos|clips|[0-9]+)"
)
"""Names of splits, in lower case and with "_" between words, that no class has."""

_MAX_NAMED = 8
"""Names in one message."""
log = logging.getLogger("phonics_data")


def files_by_subfolder(folder: Path) -> list[LabelledFile]:
    """Every video below `folder` as one clip; its label is the name of the first-level subfolder.

    Hidden files, those in system folders, and files without the suffix of a video are left out; a warning counts them.

    Raises:
        InputError: no such folder, no subfolders with videos, subfolders that are splits, or one subfolder that contains the
            subfolders of the classes.
    """
    require_folder(folder)
    found: list[LabelledFile] = []
    hidden: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for path in sorted(folder.rglob("*")):
        unread = unread_entry(path)
        parts = path.relative_to(folder).parts
        if not (unread or is_video_file(path)):
            if path.is_file() and not is_hidden(Path(*parts)):
                others[path.suffix.lower() or "no suffix"] += 1
            continue
        if is_hidden(Path(*parts)):
            hidden[next((part for part in parts[:-1] if is_hidden(Path(part))), "hidden files")] += 1
            continue
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
    if hidden:
        log.warning("%s: left out videos in hidden and system folders, and hidden ones: %s", folder, _counted(hidden))
    if others:
        log.warning(
            "%s: left out files that are no videos by their names: %s; a video among them needs another suffix, such as .mp4, or a "
            "row in a table given with --csv",
            folder,
            _counted(others),
        )
    paths = [file.path.relative_to(folder) for file in found if file.fault is None]
    labels = {path.parts[0] for path in paths}
    if not labels:
        raise InputError(
            f"{folder}: no videos in its subfolders; allowed: a subfolder for each class with videos "
            f"({', '.join(sorted(VIDEO_SUFFIXES))}), or a CSV given with --csv"
        )
    if splits := _splits(paths):
        raise InputError(
            f"{folder}: contains splits, not classes: {_some(splits)}; allowed: a subfolder for each class; "
            "import one of the splits, or give path and label of each file with --csv, and the splits with --splits"
        )
    if len(labels) == 1 and (inner := _inner_classes(paths)):
        raise InputError(
            f"{folder}: all videos are in its only subfolder {', '.join(labels)}, in {_some(inner[1])}; if these are the "
            f"classes, import {folder / inner[0]}; if they are one class, give path and label of each file with --csv"
        )
    return found


def _splits(paths: list[Path]) -> list[str]:
    """The first-level folders of relative `paths` that are splits, sorted; none if they can be classes."""
    labels = {path.parts[0] for path in paths}
    words = {label: re.split(r"[\W_]+", label.lower()) for label in labels}
    found = {label for label in labels if _ONLY_SPLITS.fullmatch("_".join(words[label]))}
    by_rest: defaultdict[tuple[str, ...], set[str]] = defaultdict(
        set
    )  # kinetics_train and kinetics_val differ in the split
    for label in labels:
        rest = tuple(word for word in words[label] if word not in SPLIT_NAMES)
        if len(rest) < len(words[label]):
            by_rest[rest].add(label)
    for rest, maybe in by_rest.items():
        are_alone = not rest and maybe == labels
        have_classes = not rest and all(len(path.parts) > 2 for path in paths if path.parts[0] in maybe)
        if len(maybe) > 1 or are_alone or have_classes:
            found |= maybe
    return sorted(found)


def _inner_classes(paths: list[Path]) -> tuple[Path, list[str]] | None:
    """(a folder, its subfolders with videos) of the highest folder that has more than one of them; None without one."""
    parent = Path()
    while True:
        below = [path.relative_to(parent).parts for path in paths if path.is_relative_to(parent)]
        names = sorted({parts[0] for parts in below if len(parts) > 1})
        if len(names) != 1:
            return (parent, names) if names else None
        parent /= names[0]


def _counted(counts: Counter[str]) -> str:
    """``3 .txt, 1 .part``: the most frequent first."""
    return _some([f"{number} {name}" for name, number in sorted(counts.items(), key=lambda item: (-item[1], item[0]))])


def _some(names: list[str]) -> str:
    """The first of `names`, and how many others there are."""
    rest = len(names) - _MAX_NAMED
    return ", ".join(names[:_MAX_NAMED]) + (f" and {rest} others" if rest > 0 else "")


def files_by_csv(folder: Path, table: Path) -> list[LabelledFile]:
    """The videos of a CSV with their labelled segments.

    Columns: ``path`` (relative to `folder`) and ``label``; optional: ``start`` and ``end`` in seconds, ``object_word``. A
    path can occur in several rows.

    A row with invalid values becomes a file of its own with a fault (``no_label``), whose message names the line, and so does a row
    that repeats another. Two rows that give different labels to one start are both rejected.

    Raises:
        InputError: as `read_csv`; or a text with a line break, since a missing quote makes one text of all rows below it.
    """
    segments: defaultdict[str, dict[int, tuple[int, LabelledSegment]]] = defaultdict(dict)
    contradicted: set[tuple[str, int]] = set()
    faults: list[LabelledFile] = []

    def reject(line: int, fault: str) -> None:
        error = ItemError("no_label", f"{table}: line {line}: {fault}")
        # No path of a video has "..", so this is the id of none.
        video_id = file_id(Path("..", f"line {line}"))
        faults.append(LabelledFile(video_id=video_id, path=table, segments=(), fault=error))

    for row in read_csv("--csv", table, ("path", "label"), optional=("start", "end", "object_word"), any_length=True):
        if any("\n" in cell or "\r" in cell for cell in row.cells.values()):
            raise InputError(
                f"--csv {table}: a text with a line break ends in line {row.line}; close the quotes of the text, or write it on one line"
            )
        try:
            path, segment = _labelled_segment(row)
        except ValueError as error:
            reject(row.line, str(error))
            continue
        start = round(segment.start_seconds * 1000)
        line, first = segments[path].setdefault(start, (row.line, segment))
        if line == row.line:
            continue
        if segment.label == first.label:
            reject(row.line, f"a second clip of {path} starts at {segment.start_seconds:g} s, as in line {line}")
            continue
        reject(
            row.line,
            f"{path} is {segment.label!r}, but {first.label!r} in line {line}, from the same time; correct one of them",
        )
        if (path, start) not in contradicted:
            contradicted.add((path, start))
            reject(
                line,
                f"{path} is {first.label!r}, but {segment.label!r} in line {row.line}, from the same time; correct one of them",
            )
    for path, start in contradicted:
        del segments[path][start]
    found = [
        LabelledFile(
            video_id=file_id(Path(path)), path=folder / path, segments=tuple(one for _, one in of_file.values())
        )
        for path, of_file in sorted(segments.items())
        if of_file
    ]
    return found + faults


def _labelled_segment(row: CsvRow) -> tuple[str, LabelledSegment]:
    """(path, segment) of a row. Raises `ValueError` for invalid values."""
    path, label = row.cells["path"], row.cells["label"]
    if row.excess:
        raise ValueError(row.excess)
    if not path or not label:
        raise ValueError("path and label must not be empty")
    if not label.isprintable():
        raise ValueError(f"label {label!r} has non-printable characters; allowed: text on one line")
    if not Path(path).name:
        raise ValueError(f"path {path!r} names no file")
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise ValueError(f"path {path!r} is outside the folder; allowed: paths from that folder on")
    start, end = _seconds(row.cells.get("start")) or 0.0, _seconds(row.cells.get("end"))
    if end is not None and end <= start:
        raise ValueError(f"end {end:g} is not after start {start:g}")
    object_word = row.cells.get("object_word") or None
    # One spelling of the path for each file.
    return Path(path).as_posix(), LabelledSegment(
        label=label, start_seconds=start, end_seconds=end, object_word=object_word
    )


def _seconds(text: str | None) -> float | None:
    if not text:
        return None
    try:
        value = seconds_of_text(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise ValueError(f"got {text[:40]!r} for a time, allowed: seconds >= 0")
    return value
