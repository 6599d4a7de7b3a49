"""Manifests: a CSV or parquet file (or an http address of one) with a row for each source video.

Read, check, choose rows, add rows, and compare two of them.

Relative addresses in a manifest are resolved against the manifest's own place, as links in a web page are; so a
folder of videos with its manifest can be moved, and served over HTTP, without being edited.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from phonics_data.contract.labels import VIDTIMIT
from phonics_data.errors import ManifestError, OptionError
from phonics_data.storage.workspace import write_bytes
from phonics_data.types import Kind, SourceVideo

if TYPE_CHECKING:
    import pandas

VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
COLUMNS = tuple(field.name for field in dataclasses.fields(SourceVideo))
REQUIRED = ("video_id", "url")
EXTRA_COLUMNS = ("style",)
"""Columns that are allowed and ignored here."""

SHIPPED = ("alphabet", "vidtimit")
"""Manifests inside this package, by the name that `load_manifest` knows."""

LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*(/[a-z]{2,3}(-[A-Za-z0-9]{2,8})*)*")
"""A language code; several are joined with ``/``, the one that is spoken most first."""


def is_web(address: str) -> bool:
    """Whether `address` is an http(s) address, and not a path."""
    return address.lower().startswith(("http://", "https://"))


def read_manifest(location: str) -> list[SourceVideo]:
    """The rows of the manifest at `location` (path or http address), in file order.

    Raises:
        ManifestError: missing or unreadable file, unknown or missing columns, or bad rows; the message names each
            fault with its row (the header is row 1) and column.
    """
    rows, columns = _read_rows(location)
    if unknown := [name for name in columns if name not in COLUMNS + EXTRA_COLUMNS]:
        raise ManifestError(
            f"{location}: unknown column{'s' * (len(unknown) > 1)} {', '.join(map(repr, unknown))}; "
            f"allowed: {', '.join(COLUMNS + EXTRA_COLUMNS)}"
        )
    if missing := [name for name in REQUIRED if name not in columns]:
        raise ManifestError(f"{location}: column {', '.join(missing)} is missing; got: {', '.join(columns) or 'none'}")
    if not rows:
        raise ManifestError(f"{location}: no rows; a manifest has one row for each video, below its header")
    faults = check_rows(rows)
    if faults:
        shown = "; ".join(faults[:5]) + (f"; and {len(faults) - 5} more" if len(faults) > 5 else "")
        raise ManifestError(f"{location}: {shown}")
    return [_source_video(row, location) for row in rows]


def check_rows(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every fault of the rows, each as ``row N, column C: what, allowed``. Row 1 is the header."""
    faults: list[str] = []
    first_seen: dict[str, int] = {}
    first_address: dict[str, int] = {}
    for number, row in enumerate(rows, start=2):
        video_id = _text(row, "video_id")
        if not VIDEO_ID.fullmatch(video_id):
            faults.append(
                f"row {number}, column video_id: got {video_id!r}, allowed: 1 to 64 letters, digits, '-' and '_'"
            )
        elif video_id in first_seen:
            faults.append(f"row {number}, column video_id: {video_id!r} stands already in row {first_seen[video_id]}")
        else:
            first_seen[video_id] = number
        url = _text(row, "url")
        if not url:
            faults.append(f"row {number}, column url: empty, allowed: an http(s) address or a path")
        elif (seen := first_address.setdefault(_same_video_key(url), number)) != number:
            # Two ids for one video could stand on both sides of the split.
            faults.append(f"row {number}, column url: the video of {url!r} stands already in row {seen}")
        kind = _text(row, "kind")
        if kind and kind not in get_args(Kind):
            faults.append(f"row {number}, column kind: got {kind!r}, allowed: {', '.join(get_args(Kind))}")
        letters = _text(row, "letters")
        if letters and not re.fullmatch(r"[A-Z]+", letters):
            faults.append(f"row {number}, column letters: got {letters!r}, allowed: capital letters A to Z")
        elif kind == "letter" and len(letters) != 1:
            faults.append(f"row {number}, column letters: got {letters!r}, allowed for kind letter: one letter")
        language = _text(row, "language")
        if language and not LANGUAGE.fullmatch(language):
            faults.append(f"row {number}, column language: got {language!r}, allowed: codes like en, en-GB, en/hi")
        tier = _tier(row)
        if tier and tier not in ("1", "2", "3"):
            faults.append(f"row {number}, column tier: got {tier!r}, allowed: 1, 2, 3")
        seconds = _text(row, "duration_seconds")
        if seconds and not (re.fullmatch(r"\d+(\.\d+)?", seconds) and float(seconds) > 0):
            faults.append(f"row {number}, column duration_seconds: got {seconds!r}, allowed: seconds above 0, or empty")
    return faults


def youtube_id(url: str) -> str | None:
    """The 11 characters that name a YouTube video, from any of its usual addresses; None for other addresses."""
    parts = urllib.parse.urlsplit(url)
    host = (parts.hostname or "").removeprefix("www.").removeprefix("m.").removeprefix("music.")
    if host == "youtu.be":
        found = parts.path.strip("/")
    elif host in ("youtube.com", "youtube-nocookie.com"):
        steps = parts.path.strip("/").split("/")
        named = urllib.parse.parse_qs(parts.query).get("v", [""])[0]
        found = steps[1] if steps[0] in ("embed", "shorts", "live", "v") and len(steps) > 1 else named
    else:
        return None
    return found if re.fullmatch(r"[A-Za-z0-9_-]{11}", found) else None


def _same_video_key(url: str) -> str:
    identity = youtube_id(url)
    return f"youtube:{identity}" if identity else url


def _text(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    if isinstance(value, float):
        # pandas writes a column of whole numbers with a gap as floats, and the gap as NaN.
        return "" if value != value else str(int(value) if value.is_integer() else value)
    return "" if value is None else str(value).strip()


def _tier(row: Mapping[str, Any]) -> str:
    """The cell's text; pandas writes 1.0 into a column that has gaps."""
    return _text(row, "tier").removesuffix(".0")


def _source_video(row: Mapping[str, Any], location: str) -> SourceVideo:
    values: dict[str, Any] = {name: _text(row, name) for name in COLUMNS if _text(row, name)}
    values["url"] = resolve(values["url"], location)
    if "tier" in values:
        values["tier"] = int(_tier(row))
    if "duration_seconds" in values:
        values["duration_seconds"] = float(values["duration_seconds"])
    return SourceVideo(**values)


def resolve(url: str, location: str) -> str:
    """`url` of a row as seen from the manifest's `location`: http addresses stay, paths become absolute."""
    if is_web(url):
        return url
    if is_web(location):
        return urllib.parse.urljoin(location, urllib.parse.quote(url))
    return str((Path(location).parent / Path(url).expanduser()).resolve())


def shipped_path(name: str) -> Path:
    """Where the manifest `name` of `SHIPPED` lies in this installation."""
    return Path(__file__).parents[1] / "manifests" / f"{name}.csv"


def load_manifest(location: str | Path) -> pandas.DataFrame:
    """A manifest as a table, to look at and to work with: ``load_manifest("alphabet").groupby("kind").size()``.

    Args:
        location: a name of `SHIPPED`, or the path or http address of a CSV or parquet manifest.

    Returns:
        One row a video in file order, with every column of `SourceVideo` (defaults filled in) and those of
        `EXTRA_COLUMNS` that the file has: text columns as ``string``, `tier` as ``int64``, `duration_seconds` as ``float64`` (NaN where unknown). For ``vidtimit``: `speaker`
        and `url`.

    Raises:
        ManifestError: as `read_manifest`.
    """
    import pandas

    where = str(shipped_path(str(location)) if location in SHIPPED else location)
    rows, columns = _read_rows(where)
    if columns == list(SPEAKER_COLUMNS):
        return pandas.DataFrame(rows, columns=columns, dtype="string")
    videos = read_manifest(where)
    extra = [name for name in EXTRA_COLUMNS if name in columns]
    records = [
        {name: getattr(video, name) for name in COLUMNS} | {name: _text(row, name) for name in extra}
        for video, row in zip(videos, rows, strict=True)
    ]
    frame = pandas.DataFrame(records, columns=[*COLUMNS, *extra])
    dtypes = {"tier": "int64", "duration_seconds": "float64"}
    return frame.astype({name: dtypes.get(name, "string") for name in frame.columns})


def check_manifest(location: str) -> list[str]:
    """Every fault of the manifest at `location`, one line each; empty when there is none.

    A list of speakers (columns `SPEAKER_COLUMNS`) is checked as such.

    Raises:
        ManifestError: the file cannot be read at all.
    """
    rows, columns = _read_rows(location)
    if columns == list(SPEAKER_COLUMNS):
        return _speaker_faults(rows)
    faults = [
        f"row 1: unknown column {name!r}, allowed: {', '.join(COLUMNS + EXTRA_COLUMNS)}"
        for name in columns
        if name not in COLUMNS + EXTRA_COLUMNS
    ]
    faults += [f"row 1: column {name} is missing" for name in REQUIRED if name not in columns]
    faults += [] if rows else ["no rows; a manifest has one row for each video, below its header"]
    return faults or check_rows(rows)


SPEAKER_COLUMNS = ("speaker", "url")


def _speaker_faults(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    faults: list[str] = []
    seen: set[str] = set()
    for number, row in enumerate(rows, start=2):
        speaker, url = _text(row, "speaker"), _text(row, "url")
        if speaker not in VIDTIMIT.names:
            faults.append(f"row {number}, column speaker: got {speaker!r}, allowed: the 43 names of VidTIMIT")
        elif speaker in seen:
            faults.append(f"row {number}, column speaker: {speaker!r} stands twice")
        seen.add(speaker)
        if not url:
            faults.append(f"row {number}, column url: empty, allowed: an http(s) address or a path")
    return faults


def select(
    videos: Sequence[SourceVideo], *, only: Sequence[str] = (), letters: str = "", max_tier: int = 3
) -> list[SourceVideo]:
    """The rows that a user asked for, in their order.

    Args:
        only: video ids; when given, they alone count, whatever their letters and tier.
        letters: rows that hold at least one of these capital letters; empty takes all.
        max_tier: weakest evidence to accept.

    Raises:
        OptionError: an id of `only` is in no row, or `letters` holds something else than capital letters.
    """
    if only:
        known = {video.video_id for video in videos}
        if missing := [name for name in only if name not in known]:
            raise OptionError("--only", ", ".join(missing), "video ids that the manifest has")
        return [video for video in videos if video.video_id in only]
    if not re.fullmatch(r"[A-Z]*", letters):
        raise OptionError("--letters", letters, "capital letters, e.g. ABC")
    return [
        video
        for video in videos
        if video.tier <= max_tier and (not letters or not set(letters).isdisjoint(video.letters))
    ]


def add_rows(path: Path, videos: Sequence[SourceVideo]) -> list[SourceVideo]:
    """Write `videos` below the rows of the CSV manifest at `path`, which is made when it does not exist.

    Returns:
        The videos that were new; those whose id or address has a row already are left out.

    Raises:
        ManifestError: `path` is no CSV manifest, or the manifest would not pass `check_rows`.
    """
    if path.suffix != ".csv":
        raise ManifestError(f"{path}: rows can be added to a .csv manifest only")
    rows, columns = _read_rows(str(path)) if path.exists() else ([], list(COLUMNS))
    if unknown := [name for name in columns if name not in COLUMNS + EXTRA_COLUMNS]:
        raise ManifestError(
            f"{path}: unknown column {unknown[0]!r}; `phonics-data manifest check {path}` lists the faults"
        )
    known = {_text(row, "video_id") for row in rows} | {_same_video_key(_text(row, "url")) for row in rows}
    new: list[SourceVideo] = []
    for video in videos:
        if known.isdisjoint((video.video_id, _same_video_key(video.url))):
            known |= {video.video_id, _same_video_key(video.url)}
            new.append(video)
    rows += [{name: _cell(getattr(video, name, None)) for name in columns} for video in new]
    if faults := check_rows(rows):
        raise ManifestError(f"{path}: {'; '.join(faults[:5])}")
    write_csv(path, columns, rows)
    return new


def _cell(value: object) -> object:
    return "" if value is None else value


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """`rows` as CSV with a header and newline ends, whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def diff_manifests(old: str, new: str) -> list[str]:
    """What it takes to come from one manifest (or lock file) to another, one line a row or cell, by video id.

    Lines begin with ``+`` (row is new), ``-`` (row is gone) or ``~`` (a cell changed). Columns that only one of the two
    has are named once.
    """
    (old_rows, old_columns), (new_rows, new_columns) = _read_rows(old), _read_rows(new)
    for location, columns in ((old, old_columns), (new, new_columns)):
        if "video_id" not in columns:
            raise ManifestError(f"{location}: column video_id is missing; got: {', '.join(columns) or 'none'}")
    before = {_text(row, "video_id"): row for row in old_rows}
    after = {_text(row, "video_id"): row for row in new_rows}
    lines = [f"- column {name}" for name in old_columns if name not in new_columns]
    lines += [f"+ column {name}" for name in new_columns if name not in old_columns]
    lines += [f"- {name}" for name in before if name not in after]
    lines += [f"+ {name}" for name in after if name not in before]
    common = [name for name in new_columns if name in old_columns]
    for name, row in after.items():
        if name in before:
            lines += [
                f"~ {name} {column}: {_text(before[name], column)!r} -> {_text(row, column)!r}"
                for column in common
                if _text(before[name], column) != _text(row, column)
            ]
    return lines


def _read_rows(location: str) -> tuple[list[dict[str, Any]], list[str]]:
    data = _read_bytes(location)
    if location.endswith(".parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(io.BytesIO(data))
        except pa.ArrowException as error:
            raise ManifestError(f"{location}: not a readable parquet file ({error})") from error
        return table.to_pylist(), list(table.column_names)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{location}: not UTF-8 text ({error}); save the manifest as UTF-8 CSV") from error
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        rows = list(reader)
    except csv.Error as error:
        raise ManifestError(f"{location}: not a CSV file ({error})") from error
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise ManifestError(
                f"{location}: row {number} has another number of cells than the header has ({len(reader.fieldnames or ())})"
            )
    return cast("list[dict[str, Any]]", rows), list(reader.fieldnames or ())


def _read_bytes(location: str) -> bytes:
    try:
        if is_web(location):
            with urllib.request.urlopen(location, timeout=30) as answer:
                return answer.read()
        return Path(location).read_bytes()
    except (urllib.error.URLError, TimeoutError) as error:
        raise ManifestError(f"{location}: cannot be read ({error})") from error
    except FileNotFoundError:
        raise ManifestError(f"{location}: no such manifest; give the path of a CSV or parquet file") from None
    except OSError as error:
        raise ManifestError(f"{location}: cannot be read ({error.strerror or error})") from error
