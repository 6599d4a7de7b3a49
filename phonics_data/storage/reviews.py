"""reviews.csv: the decisions of people about segments, as plain text that can be compared, merged and shared.

One row is one decision. Columns:

* ``video_id``, ``sha256``: the video, and the copy of it that the person saw.
* ``decision``: ``keep`` (the segment is right), ``change`` (moved, relabelled, split or joined), ``add``, ``drop``; ``complete``
  (the segments of the video are complete: automatic ones without a decision are dropped); ``source`` (properties of the copy).
* ``before_letter``, ``before_start``, ``before_end``: the automatic segment; empty for ``add``, ``complete`` and ``source``.
* ``letter``, ``start``, ``end``, ``word``: the segment after the decision; empty for ``drop``, ``complete`` and ``source``.
* ``reviewer``, ``reviewed_at`` (UTC, ISO 8601), ``tool_version``.
* ``duration``, ``loudness``: of the copy, with ``source`` only. ``loudness`` has one hexadecimal digit for each
  `LOUDNESS_SECONDS` of its sound; with it, decisions move to another copy (`phonics_data.segmentation.alignment`).

Times are seconds from the first frame, rounded to milliseconds.
"""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, cast, get_args

from phonics_data.contract.csv_table import CsvRow, read_csv
from phonics_data.contract.files import write_bytes
from phonics_data.contract.labels import LETTERS
from phonics_data.errors import InputError
from phonics_data.storage.manifest import VIDEO_ID

Decision = Literal["keep", "change", "add", "drop", "complete", "source"]

MAX_BYTES, MAX_SECONDS, MAX_WORD, MAX_REVIEWER = 64_000_000, 43_200.0, 40, 64
LOUDNESS_SECONDS = 0.04
COLUMNS: tuple[str, ...] = (
    "video_id",
    "sha256",
    "decision",
    "before_letter",
    "before_start",
    "before_end",
    "letter",
    "start",
    "end",
    "word",
    "reviewer",
    "reviewed_at",
    "tool_version",
    "duration",
    "loudness",
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(rf"[^\W_](?:[\w '’.-]{{0,{MAX_WORD - 1}}})")
# A first character such as "=" would make a spreadsheet program run the cell as a formula.
_NAME = re.compile(rf"[^\W_][\w .@+'’-]{{0,{MAX_REVIEWER - 1}}}")
_TIME = re.compile(r"\d{1,5}(\.\d{1,6})?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """``[start, end)`` of one letter, in seconds."""

    letter: str
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """One decision about one segment, or ``complete`` about a video.

    Args:
        before: the automatic segment; None for ``add`` and ``complete``.
        after: the segment that is right; None for ``drop`` and ``complete``.
        word: object word of `after`; empty without one.
        reviewed_at: UTC, ISO 8601, whole seconds.
    """

    video_id: str
    sha256: str
    decision: Decision
    before: Interval | None = None
    after: Interval | None = None
    word: str = ""
    reviewer: str = ""
    reviewed_at: str = ""
    tool_version: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewedCopy:
    """The copy of a video that was reviewed.

    Args:
        loudness: one hexadecimal digit per `LOUDNESS_SECONDS`; empty if the sound could not be read.
    """

    video_id: str
    sha256: str
    duration_seconds: float
    loudness: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reviews:
    """The contents of a reviews.csv."""

    rows: tuple[Review, ...] = ()
    copies: tuple[ReviewedCopy, ...] = ()

    def by_video(self) -> dict[str, tuple[Review, ...]]:
        found: dict[str, list[Review]] = defaultdict(list)
        for row in self.rows:
            found[row.video_id].append(row)
        return {video_id: tuple(rows) for video_id, rows in found.items()}

    def with_video(self, video_id: str, rows: Sequence[Review], copy: ReviewedCopy | None) -> Reviews:
        """These reviews, where `rows` replace all rows of the video; `copy` is kept only while it has rows."""
        kept = [row for row in self.rows if row.video_id != video_id]
        used = {row.sha256 for row in rows}
        copies = [one for one in self.copies if one.video_id != video_id or one.sha256 in used]
        if copy is not None and copy.sha256 in used:
            copies = [one for one in copies if (one.video_id, one.sha256) != (video_id, copy.sha256)] + [copy]
        return Reviews(rows=(*kept, *rows), copies=tuple(copies))


def read_reviews(path: Path, option: str = "--reviews") -> Reviews:
    """The decisions in a reviews.csv.

    Args:
        option: the flag that named the file, for messages.

    Raises:
        InputError: as `read_csv`; the file is too large, or a row is invalid: the message has its line, what was found and
            what is allowed.
    """
    try:
        size = path.stat().st_size
    except OSError:
        size = 0
    if size > MAX_BYTES:
        raise InputError(f"{option} {path}: has {size} bytes, allowed: up to {MAX_BYTES}; give a reviews.csv")
    rows: list[Review] = []
    copies: list[ReviewedCopy] = []
    seen: dict[tuple[object, ...], int] = {}
    for row in read_csv(option, path, COLUMNS[:12], optional=COLUMNS[12:], may_be_empty=True):
        where = f"{option} {path}: line {row.line}"
        parsed = _parse(row, where)
        key: tuple[object, ...]
        if isinstance(parsed, ReviewedCopy):
            key = ("source", parsed.video_id, parsed.sha256)
            copies.append(parsed)
        else:
            key = (parsed.video_id, parsed.decision if parsed.after is None else "after", parsed.before, parsed.sha256)
            if parsed.after is not None:
                # Segments are named by their start.
                key = (parsed.video_id, "after", parsed.sha256, round(parsed.after.start_seconds, 3))
            rows.append(parsed)
        if (first := seen.setdefault(key, row.line)) != row.line:
            raise InputError(
                f"{where}: decides the same as line {first} (video {parsed.video_id}), allowed: each segment once; "
                "delete one of the lines"
            )
    return Reviews(rows=tuple(rows), copies=tuple(copies))


def _parse(row: CsvRow, where: str) -> Review | ReviewedCopy:
    cells = row.cells
    for column, pattern, allowed in (
        ("video_id", VIDEO_ID, "1 to 64 letters, digits, '-' and '_'"),
        ("sha256", _SHA256, "64 hexadecimal digits"),
        ("decision", re.compile("|".join(get_args(Decision))), ", ".join(get_args(Decision))),
    ):
        if not pattern.fullmatch(cells[column]):
            raise InputError(f"{where}, column {column}: got {cells[column][:80]!r}, allowed: {allowed}")
    decision = cast("Decision", cells["decision"])
    if decision == "source":
        loudness = cells.get("loudness", "")
        if not re.fullmatch(r"[0-9a-f]*", loudness):
            raise InputError(f"{where}, column loudness: allowed: hexadecimal digits")
        duration = _seconds(cells.get("duration", ""), "duration", where)
        return ReviewedCopy(
            video_id=cells["video_id"], sha256=cells["sha256"], duration_seconds=duration, loudness=loudness
        )
    before = _interval(cells, "before_", where) if decision in ("keep", "change", "drop") else None
    after = _interval(cells, "", where) if decision in ("keep", "change", "add") else None
    word, reviewer = cells["word"] if after is not None else "", cells["reviewer"]
    if fault := word_fault(word):
        raise InputError(f"{where}, column word: {fault}")
    if fault := reviewer_fault(reviewer):
        raise InputError(f"{where}, column reviewer: {fault}")
    at = cells["reviewed_at"]
    try:
        datetime.fromisoformat(at or "2026-01-01")
    except ValueError:
        raise InputError(f"{where}, column reviewed_at: got {at[:40]!r}, allowed: 2026-01-31T12:00:00Z") from None
    return Review(
        video_id=cells["video_id"],
        sha256=cells["sha256"],
        decision=decision,
        before=before,
        after=after,
        word=word,
        reviewer=reviewer,
        reviewed_at=at,
        tool_version=cells.get("tool_version", "")[:80],
    )


def word_fault(word: str) -> str:
    """Why `word` cannot be an object word; empty if it can, or if it is empty."""
    if not word or _WORD.fullmatch(word):
        return ""
    return f"got {word[:80]!r}, allowed: up to {MAX_WORD} letters, digits, spaces, apostrophes and hyphens"


def reviewer_fault(name: str) -> str:
    """Why `name` cannot be the name of a reviewer; empty if it can, or if it is empty."""
    if not name or _NAME.fullmatch(name):
        return ""
    return f"got {name[:80]!r}, allowed: up to {MAX_REVIEWER} letters, digits, spaces and . @ + ' -"


def _interval(cells: Mapping[str, str], prefix: str, where: str) -> Interval:
    letter = cells[f"{prefix}letter"]
    if letter not in LETTERS.names:
        raise InputError(f"{where}, column {prefix}letter: got {letter[:80]!r}, allowed: A to Z")
    start, end = (_seconds(cells[prefix + name], prefix + name, where) for name in ("start", "end"))
    if not start < end:
        raise InputError(f"{where}: {prefix}end {end:g} is not after {prefix}start {start:g}")
    return Interval(letter=letter, start_seconds=start, end_seconds=end)


def _seconds(text: str, column: str, where: str) -> float:
    if not _TIME.fullmatch(text) or float(text) > MAX_SECONDS:
        raise InputError(f"{where}, column {column}: got {text[:80]!r}, allowed: 0 to {MAX_SECONDS:g} seconds")
    return float(text)


def reviews_text(reviews: Reviews) -> str:
    """The contents of a reviews.csv: in the order of video, copy and time, so that equal decisions give equal files."""
    import csv

    lines: list[tuple[tuple[object, ...], dict[str, str]]] = [
        (
            (copy.video_id, copy.sha256, -2.0, 0.0),
            {
                "video_id": copy.video_id,
                "sha256": copy.sha256,
                "decision": "source",
                "duration": _text(copy.duration_seconds),
                "loudness": copy.loudness,
            },
        )
        for copy in reviews.copies
    ]
    for row in reviews.rows:
        cells = {name: str(getattr(row, name)) for name in COLUMNS if hasattr(row, name)}
        at = row.after or row.before
        for prefix, interval in (("before_", row.before), ("", row.after)):
            if interval is not None:
                cells[f"{prefix}letter"] = interval.letter
                cells[f"{prefix}start"] = _text(interval.start_seconds)
                cells[f"{prefix}end"] = _text(interval.end_seconds)
        key = (
            row.video_id,
            row.sha256,
            -1.0 if at is None else at.start_seconds,
            0.0 if at is None else at.end_seconds,
        )
        lines.append((key, cells))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells for _, cells in sorted(lines, key=lambda line: (line[0], sorted(line[1].items()))))
    return text.getvalue()


def write_reviews(path: Path, reviews: Reviews) -> None:
    """Write a reviews.csv atomically."""
    write_bytes(path, reviews_text(reviews).encode())


def _text(seconds: float) -> str:
    return f"{seconds:.3f}"


def copies_by_key(copies: Iterable[ReviewedCopy]) -> dict[tuple[str, str], ReviewedCopy]:
    """(video id, SHA-256) -> copy."""
    return {(copy.video_id, copy.sha256): copy for copy in copies}
