"""Label files of other programs: Audacity label tracks, ELAN, Praat TextGrids and CSV, read and written.

A label is a letter, or a letter and its object word: ``A`` or ``A apple``. Labels without text are pauses. Intervals of one tier must not
overlap in ELAN and Praat, so that overlapping segments are written to further tiers.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from phonics_data.contract.csv_table import read_csv
from phonics_data.contract.files import atomic_path, write_bytes
from phonics_data.contract.untrusted import number_of_json, read_text
from phonics_data.contract.web import missing_web_package
from phonics_data.errors import InputError, OptionError

LabelFormat = Literal["audacity", "eaf", "textgrid", "csv"]
SUFFIXES: dict[str, LabelFormat] = {".txt": "audacity", ".eaf": "eaf", ".textgrid": "textgrid", ".csv": "csv"}
TIER = "letters"
MAX_BYTES, MAX_LABELS = 16_000_000, 5_000
_LABEL = re.compile(r"([A-Za-z])(?:[\s:,/-]+(\S.*))?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """One labelled interval ``[start, end)`` in seconds; `word` is empty without an object word."""

    letter: str
    word: str
    start_seconds: float
    end_seconds: float


_LIBRARY_ERRORS = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, AssertionError, OSError,
)  # fmt: skip
"""What praatio, pympi-ling and the XML parser raise for damaged files."""

_Raw = tuple[str, float, float, str]
"""(where it is in the file, start, end, text)"""


def read_labels(path: Path, tier: str = TIER) -> list[Label]:
    """The labels of a file, in time order; its suffix decides the format.

    Args:
        tier: of ELAN and Praat files: the tiers with this name, or this name and a number (``letters-2``). A file with one tier needs
            no name.

    Raises:
        InputError: no such file, another suffix, too large, damaged, no labels, or a label that is not a letter; the message says
            where it is.
        DependencyError: the extra ``review`` is not installed.
    """
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"{path}: got suffix {path.suffix!r}, allowed: {', '.join(SUFFIXES)}")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a label file") from error
    if size > MAX_BYTES:
        raise InputError(f"{path}: has {size} bytes, allowed: up to {MAX_BYTES}")
    readers: dict[LabelFormat, Callable[[], Iterable[_Raw]]] = {
        "audacity": lambda: _read_audacity(path),
        "eaf": lambda: _read_eaf(path, tier),
        "textgrid": lambda: _read_textgrid(path, tier),
        "csv": lambda: _read_csv(path),
    }
    labels: list[Label] = []
    for where, start, end, text in readers[kind]():
        if not text.strip():
            continue
        found = _LABEL.fullmatch(text.strip())
        if found is None:
            raise InputError(
                f"{path}: {where}: got {text[:60]!r}, allowed: a letter, or a letter and a word: 'A apple'"
            )
        if not (math.isfinite(start) and math.isfinite(end) and 0 <= start < end):
            raise InputError(f"{path}: {where}: got {start:g} to {end:g} s, allowed: start before end, from 0 on")
        labels.append(
            Label(letter=found[1].upper(), word=(found[2] or "").strip(), start_seconds=start, end_seconds=end)
        )
    if not labels:
        raise InputError(f"{path}: has no labels; expected intervals with a letter as text")
    if len(labels) > MAX_LABELS:
        raise InputError(f"{path}: has {len(labels)} labels, allowed: up to {MAX_LABELS}")
    return sorted(labels, key=lambda label: (label.start_seconds, label.end_seconds))


def _read_audacity(path: Path) -> list[_Raw]:
    try:
        lines = read_text(path, MAX_BYTES).splitlines()
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    found: list[_Raw] = []
    for number, line in enumerate(lines, start=1):
        # Lines that begin with a backslash are the frequencies of spectral selections.
        if not line.strip() or line.startswith("\\"):
            continue
        cells = line.split("\t")
        try:
            start, end = float(cells[0]), float(cells[1])
            found.append((f"line {number}", start, end, cells[2] if len(cells) > 2 else ""))
        except (ValueError, IndexError):
            raise InputError(
                f"{path}: line {number}: got {line[:60]!r}, allowed: start, end and label with tabs between them"
            ) from None
    return found


def _read_csv(path: Path) -> list[_Raw]:
    found: list[_Raw] = []
    for row in read_csv("labels", path, ("letter", "start", "end"), optional=("word",)):
        cells = row.cells
        try:
            start, end = float(cells["start"]), float(cells["end"])
        except ValueError:
            raise InputError(
                f"{path}: line {row.line}: got start {cells['start'][:40]!r} and end {cells['end'][:40]!r}, allowed: seconds"
            ) from None
        found.append((f"line {row.line}", start, end, f"{cells['letter']} {cells.get('word', '')}"))
    return found


def _tiers(path: Path, names: Sequence[str], tier: str) -> list[str]:
    """The names of the tiers to read."""
    chosen = [name for name in names if re.fullmatch(rf"{re.escape(tier)}(-\d+)?", name)]
    if not chosen and len(names) == 1:
        return list(names)
    if not chosen:
        raise InputError(
            f"{path}: has the tiers {', '.join(names)[:200] or 'none'}, expected {tier!r}; give the name with --tier"
        )
    return chosen


def _read_textgrid(path: Path, tier: str) -> list[_Raw]:
    try:
        from praatio import textgrid
        from praatio.utilities.errors import PraatioException
    except ImportError as error:
        raise missing_web_package(error, "TextGrid files", "review") from error
    try:
        grid: Any = textgrid.openTextgrid(str(path), includeEmptyIntervals=False, reportingMode="silence")
    except (PraatioException, *_LIBRARY_ERRORS) as error:
        raise InputError(f"{path}: not a readable TextGrid ({type(error).__name__}: {error})") from error
    found: list[_Raw] = []
    for name in _tiers(path, list(grid.tierNames), tier):
        for number, entry in enumerate(grid.getTier(name).entries, start=1):
            if len(entry) != 3:
                raise InputError(f"{path}: tier {name!r} has points, allowed: intervals")
            try:
                start, end = number_of_json(entry[0]), number_of_json(entry[1])
            except ValueError as error:
                raise InputError(f"{path}: tier {name!r}, interval {number}: {error}") from error
            found.append((f"tier {name!r}, interval {number}", start, end, str(entry[2])))
    return found


def _read_eaf(path: Path, tier: str) -> list[_Raw]:
    try:
        from pympi.Elan import Eaf
    except ImportError as error:
        raise missing_web_package(error, "ELAN files", "review") from error
    from xml.etree import ElementTree

    try:
        # pympi raises a plain `Exception` for a file that is no XML.
        root = ElementTree.parse(path).getroot()
        if root.tag != "ANNOTATION_DOCUMENT":
            raise ValueError(f"root element {root.tag[:40]}")
        eaf: Any = Eaf(str(path), suppress_version_warning=True)
        names = [name for name, content in eaf.tiers.items() if content[0]]
        tiers = _tiers(path, names, tier)
        found = [
            (f"tier {name!r}, {start} ms", start / 1000, end / 1000, str(text or ""))
            for name in tiers
            # Not by the library's function: it follows references between annotations, which can form a circle.
            for start, end, text in (
                (eaf.timeslots[one[0]], eaf.timeslots[one[1]], one[2]) for one in eaf.tiers[name][0].values()
            )
        ]
    except (ElementTree.ParseError, *_LIBRARY_ERRORS) as error:
        raise InputError(f"{path}: not a readable ELAN file ({type(error).__name__}: {error})") from error
    return found


def write_labels(path: Path, labels: Sequence[Label], duration_seconds: float, media: str = "") -> None:
    """Write labels atomically; the suffix decides the format.

    Args:
        duration_seconds: of the video.
        media: path of the video, stored in ELAN files.

    Raises:
        OptionError: another suffix. DependencyError: the extra ``review`` is not installed.
    """
    ordered = sorted(labels, key=lambda label: (label.start_seconds, label.end_seconds))
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise OptionError("--format", path.suffix, ", ".join(SUFFIXES))
    if kind == "audacity":
        lines = [f"{one.start_seconds:.6f}\t{one.end_seconds:.6f}\t{_text(one)}\n" for one in ordered]
        write_bytes(path, "".join(lines).encode())
    elif kind == "csv":
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("letter", "start", "end", "word"))
        writer.writerows(
            (one.letter, f"{one.start_seconds:.3f}", f"{one.end_seconds:.3f}", one.word) for one in ordered
        )
        write_bytes(path, text.getvalue().encode())
    elif kind == "textgrid":
        _write_textgrid(path, _without_overlap(ordered), duration_seconds)
    else:
        _write_eaf(path, _without_overlap(ordered), media)


def _text(label: Label) -> str:
    return f"{label.letter} {label.word}".strip()


def _without_overlap(labels: Sequence[Label]) -> list[tuple[str, list[Label]]]:
    """(name of a tier, its labels), where no labels of a tier overlap."""
    tiers: list[list[Label]] = [[]]
    for label in labels:
        free = next((one for one in tiers if not one or one[-1].end_seconds <= label.start_seconds), None)
        if free is None:
            tiers.append(free := [])
        free.append(label)
    return [(TIER if number == 1 else f"{TIER}-{number}", one) for number, one in enumerate(tiers, start=1)]


def _write_textgrid(path: Path, tiers: Sequence[tuple[str, list[Label]]], duration_seconds: float) -> None:
    try:
        from praatio import textgrid
    except ImportError as error:
        raise missing_web_package(error, "TextGrid files", "review") from error
    last = max([duration_seconds, *(label.end_seconds for _, labels in tiers for label in labels)])
    grid: Any = textgrid.Textgrid(0, last)
    for name, labels in tiers:
        entries: Any = [(one.start_seconds, one.end_seconds, _text(one)) for one in labels]
        grid.addTier(textgrid.IntervalTier(name, entries, 0, last))
    with atomic_path(path) as temporary:
        grid.save(str(temporary), format="long_textgrid", includeBlankSpaces=True)


def _write_eaf(path: Path, tiers: Sequence[tuple[str, list[Label]]], media: str) -> None:
    try:
        from pympi.Elan import Eaf
    except ImportError as error:
        raise missing_web_package(error, "ELAN files", "review") from error
    eaf: Any = Eaf(author="phonics-data")
    if media:
        eaf.add_linked_file(media, mimetype="video/mp4")
    for name, labels in tiers:
        eaf.add_tier(name)
        for one in labels:
            eaf.add_annotation(name, round(one.start_seconds * 1000), round(one.end_seconds * 1000), _text(one))
    eaf.remove_tier("default")
    with atomic_path(path) as temporary:
        temporary.unlink()  # pympi renames an existing file
        eaf.to_file(str(temporary))
