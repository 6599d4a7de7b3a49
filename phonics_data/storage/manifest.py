"""Manifests: a CSV or parquet file, local or at an http URL, with one row per source video.

Functions to read, check, filter, extend and compare manifests.

Relative URLs in a manifest are resolved against the location of the manifest itself, like links in a web page. A
folder of videos with its manifest can therefore be moved or served over HTTP without changes.
"""

from __future__ import annotations

import csv
import dataclasses
import decimal
import http.client
import io
import os
import re
import unicodedata
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from phonics_data.contract.address import is_address, remote_errors, shown
from phonics_data.contract.files import write_bytes
from phonics_data.contract.labels import VIDTIMIT
from phonics_data.contract.tar_reader import open_stream
from phonics_data.contract.untrusted import (
    one_line,
    read_limited,
    read_limited_stream,
    read_parquet,
    rows_of_table,
    split_address,
    text_of_bytes,
    web_address_fault,
)
from phonics_data.errors import ManifestError, OptionError
from phonics_data.types import Kind, SourceVideo

if TYPE_CHECKING:
    import pandas

COLUMNS = tuple(field.name for field in dataclasses.fields(SourceVideo))
REQUIRED = ("video_id", "url")
IGNORED_COLUMNS = ("style",)
"""Columns that are allowed but not read."""
SPEAKER_COLUMNS = ("speaker", "url")
"""Columns of a list of VidTIMIT speakers."""

BUNDLED = ("alphabet", "vidtimit")
"""Names of the manifests that are part of this package."""

VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*(/[a-z]{2,3}(-[A-Za-z0-9]{2,8})*)*")
"""A language code, or several joined with ``/``, the most spoken one first."""

_OPTIONAL_CELLS = (
    ("kind", re.compile("|".join(get_args(Kind))), ", ".join(get_args(Kind))),
    ("letters", re.compile(r"[A-Z]+"), "capital letters A to Z"),
    ("language", LANGUAGE, "codes like en, en-GB, en/hi"),
    ("tier", re.compile(r"[123]"), "1, 2, 3"),
    ("duration_seconds", re.compile(r"(?=.*[1-9])[0-9]{1,8}(\.[0-9]{1,12})?"), "seconds above 0, or empty"),
)
"""(column, pattern of a non-empty cell, allowed values in words)"""

_SHOWN_FAULTS = 5
MAX_MANIFEST_BYTES = 64_000_000
MAX_PATH_CHARS = 4_096


def is_http_url(url: str) -> bool:
    """Whether `url` is an http(s) URL and not a path."""
    return url.lower().startswith(("http://", "https://"))


def read_manifest(location: str) -> list[SourceVideo]:
    """The rows of the manifest at `location` (path, http URL or another address), in file order.

    Raises:
        ManifestError: the file is missing or unreadable, or `manifest_faults` finds faults; the message contains the
            first of them.
    """
    rows, columns = _read_rows(location)
    _raise_faults(location, manifest_faults(rows, columns))
    return [_source_video(row, location) for row in rows]


def _raise_faults(location: str | Path, faults: Sequence[str]) -> None:
    if faults:
        more = f"; and {len(faults) - _SHOWN_FAULTS} more" if len(faults) > _SHOWN_FAULTS else ""
        raise ManifestError(f"{location}: {'; '.join(faults[:_SHOWN_FAULTS])}{more}")


def manifest_faults(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[str]:
    """All faults of a manifest, one line each, with row (the header is row 1), column and allowed values.

    Rows are checked only if the columns are correct.
    """
    allowed = (*COLUMNS, *IGNORED_COLUMNS)
    faults = [
        f"row 1: unknown column {name!r}, allowed: {', '.join(allowed)}" for name in columns if name not in allowed
    ]
    faults += [
        f"row 1: column {name} is missing, got: {', '.join(columns) or 'none'}"
        for name in REQUIRED
        if name not in columns
    ]
    if not rows:
        faults.append("no rows; a manifest has one row for each video, below its header")
    return faults or list(_row_faults(rows))


def _row_faults(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    row_of_id: dict[str, int] = {}
    row_of_video: dict[str, int] = {}
    for number, row in enumerate(rows, start=2):
        if faults := [
            f"row {number}, column {column}: got {type(value).__name__}, allowed: text or a number"
            for column, value in row.items()
            if not isinstance(value, str | int | float | decimal.Decimal | None)
        ]:
            yield from faults
            continue
        video_id, url, kind = (_text(row, column) for column in ("video_id", "url", "kind"))
        if not VIDEO_ID.fullmatch(video_id):
            yield f"row {number}, column video_id: got {video_id!r}, allowed: 1 to 64 letters, digits, '-' and '_'"
        elif (first := row_of_id.setdefault(video_id, number)) != number:
            yield f"row {number}, column video_id: {video_id!r} is already in row {first}"
        if not url:
            yield f"row {number}, column url: empty, allowed: an http(s) URL or a path"
        elif fault := address_fault(url):
            yield f"row {number}, column url: {url[:200]!r} is {fault}"
        elif (first := row_of_video.setdefault(_video_key(url), number)) != number:
            # Two ids of one video could end up in different splits.
            yield f"row {number}, column url: the video of {url!r} is already in row {first}"
        for column, pattern, allowed in _OPTIONAL_CELLS:
            text = _text(row, column)
            if text and not pattern.fullmatch(text):
                yield f"row {number}, column {column}: got {text!r}, allowed: {allowed}"
        if fault := _letters_fault(kind, _text(row, "letters")):
            yield f"row {number}, column letters: {fault}"


def address_fault(url: str) -> str:
    """Why a cell `url` names neither a web address nor a path; empty if it does."""
    if is_http_url(url):
        return web_address_fault(url)
    if len(url) > MAX_PATH_CHARS:
        return f"a path of {len(url):,} characters, allowed: up to {MAX_PATH_CHARS:,}"
    if any(unicodedata.category(char) == "Cc" for char in url):
        return "a path with a control character"
    if any(len(os.fsencode(part)) > 255 for part in url.split("/")):
        return "a path with a name of more than 255 bytes"
    return ""


def _letters_fault(kind: str, letters: str) -> str:
    """Why `letters` do not fit `kind`; empty if they do, or if a cell is wrong or empty for which a default applies."""
    if not re.fullmatch(r"[A-Z]*", letters) or (not kind and not letters):
        return ""
    if repeated := sorted({letter for letter in letters if letters.count(letter) > 1}):
        return f"got {letters!r}, allowed: each letter once, but {', '.join(repeated)} is repeated"
    # A song of the alphabet may lack letters, and a range is one by its kind.
    allowed = {
        "letter": ("one letter", len(letters) == 1),
        "range": ("2 to 25 letters", 2 <= len(letters) <= 25),
        "alphabet": ("more than one letter, or empty", len(letters) != 1),
    }
    text, fits = allowed.get(kind, ("", True))
    return "" if fits else f"got {letters!r}, allowed for kind {kind}: {text}"


def kind_of(letters: str) -> Kind:
    """The kind of a video with these letters, at least one."""
    return "letter" if len(letters) == 1 else "range" if len(letters) < 26 else "alphabet"


def youtube_id(url: str) -> str | None:
    """The 11 characters that identify a YouTube video, from any of its usual URLs; None for other URLs."""
    parts = split_address(url)
    host = (parts.hostname or "").removeprefix("www.").removeprefix("m.").removeprefix("music.")
    path = parts.path.strip("/").split("/")
    if host == "youtu.be":
        found = "/".join(path)
    elif host not in ("youtube.com", "youtube-nocookie.com"):
        return None
    elif path[0] in ("embed", "shorts", "live", "v") and len(path) > 1:
        found = path[1]
    else:
        found = urllib.parse.parse_qs(parts.query).get("v", [""])[0]
    return found if re.fullmatch(r"[A-Za-z0-9_-]{11}", found) else None


def _video_key(url: str) -> str:
    """Equal for all URLs of one YouTube video; otherwise the URL itself."""
    identity = youtube_id(url)
    return f"youtube:{identity}" if identity else url


def _text(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    if isinstance(value, float):
        # pandas stores a column of integers with a missing value as floats, and the missing value as NaN.
        return "" if value != value else str(int(value) if value.is_integer() else value)
    text = "" if value is None else str(value).strip()
    return text.removesuffix(".0") if column == "tier" else text  # pandas writes such a column to CSV as 1.0


def _source_video(row: Mapping[str, Any], location: str) -> SourceVideo:
    values: dict[str, Any] = {name: text for name in COLUMNS if (text := _text(row, name))}
    values["url"] = resolve_url(values["url"], location)
    if "letters" in values:
        # A manifest without a column `kind` means what its letters say.
        values.setdefault("kind", kind_of(values["letters"]))
    for name, convert in (("tier", int), ("duration_seconds", float)):
        if name in values:
            values[name] = convert(values[name])
    return SourceVideo(**values)


def resolve_url(url: str, location: str) -> str:
    """`url` of a row, resolved against the manifest's `location`: http URLs are unchanged, paths become absolute."""
    if is_http_url(url):
        return url
    if is_http_url(location):
        return urllib.parse.urljoin(location, urllib.parse.quote(url))
    # Links are not followed: captions are found beside the link.
    return os.path.abspath(Path(location).parent / Path(url).expanduser())  # noqa: PTH100 - resolve follows links


def bundled_path(name: str) -> Path:
    """Path of the manifest `name` of `BUNDLED` in this installation."""
    return Path(__file__).parents[1] / "manifests" / f"{name}.csv"


def load_manifest(location: str | Path) -> pandas.DataFrame:
    """A manifest as a table, e.g. ``load_manifest("alphabet").groupby("kind").size()``.

    Args:
        location: a name of `BUNDLED`, or the path or http URL of a CSV or parquet manifest.

    Returns:
        One row per video in file order, with every column of `SourceVideo` (defaults filled in) and those of
        `IGNORED_COLUMNS` that the file has: text columns as ``string``, `tier` as ``int64``, `duration_seconds` as
        ``float64`` (NaN if unknown). For ``vidtimit``: `speaker` and `url`.

    Raises:
        ManifestError: as `read_manifest`.
    """
    import pandas

    where = str(bundled_path(str(location)) if location in BUNDLED else location)
    rows, columns = _read_rows(where)
    if columns == list(SPEAKER_COLUMNS):
        return pandas.DataFrame(rows, columns=columns, dtype="string")
    videos = read_manifest(where)
    extra = [name for name in IGNORED_COLUMNS if name in columns]
    records = [
        {name: getattr(video, name) for name in COLUMNS} | {name: _text(row, name) for name in extra}
        for video, row in zip(videos, rows, strict=True)
    ]
    frame = pandas.DataFrame(records, columns=[*COLUMNS, *extra])
    dtypes = {"tier": "int64", "duration_seconds": "float64"}
    return frame.astype({name: dtypes.get(name, "string") for name in frame.columns})


def check_manifest(location: str) -> list[str]:
    """All faults of the manifest or list of speakers at `location`, one line each; see `manifest_faults`.

    Raises:
        ManifestError: the file cannot be read.
    """
    rows, columns = _read_rows(location)
    return list(_speaker_faults(rows)) if columns == list(SPEAKER_COLUMNS) else manifest_faults(rows, columns)


def _speaker_faults(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    row_of_speaker: dict[str, int] = {}
    for number, row in enumerate(rows, start=2):
        speaker = _text(row, "speaker")
        if speaker not in VIDTIMIT.names:
            yield f"row {number}, column speaker: got {speaker!r}, allowed: the 43 names of VidTIMIT"
        elif (first := row_of_speaker.setdefault(speaker, number)) != number:
            yield f"row {number}, column speaker: {speaker!r} is already in row {first}"
        if not (url := _text(row, "url")):
            yield f"row {number}, column url: empty, allowed: an http(s) URL or a path"
        elif fault := address_fault(url):
            yield f"row {number}, column url: {url[:200]!r} is {fault}"


def select_videos(
    videos: Sequence[SourceVideo], *, only: Sequence[str] = (), letters: str = "", max_tier: int = 3
) -> list[SourceVideo]:
    """The requested videos, in their order.

    Args:
        only: video ids; if given, `letters` and `max_tier` are ignored.
        letters: keep videos with at least one of these capital letters; empty keeps all.
        max_tier: the weakest tier to keep.

    Raises:
        OptionError: an id of `only` is not in `videos`, or `letters` contains something other than capital letters.
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
    """Append `videos` to the CSV manifest at `path`, which is created if it does not exist.

    Returns:
        The added videos; those whose id or URL is already in the manifest are skipped.

    Raises:
        ManifestError: `path` is not a CSV manifest, or `manifest_faults` finds faults in the result.
    """
    if path.suffix.lower() != ".csv":
        raise ManifestError(f"{path}: rows can be added to a .csv manifest only")
    rows, columns = _read_rows(str(path)) if path.exists() else ([], list(COLUMNS))
    known = {_text(row, "video_id") for row in rows} | {_video_key(_text(row, "url")) for row in rows}
    new: list[SourceVideo] = []
    for video in videos:
        if known.isdisjoint((video.video_id, _video_key(video.url))):
            known |= {video.video_id, _video_key(video.url)}
            new.append(video)
    rows += [{name: _cell(getattr(video, name, None)) for name in columns} for video in new]
    _raise_faults(path, manifest_faults(rows, columns))
    write_csv(path, columns, rows)
    return new


def _cell(value: object) -> object:
    return "" if value is None else value


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `rows` atomically as CSV with a header and ``\\n`` line ends."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def diff_manifests(old: str, new: str) -> list[str]:
    """The changes from one manifest (or lock file) to another, one line per column, row or cell; rows match by video id.

    Lines start with ``+`` (added), ``-`` (removed) or ``~`` (changed cell). Cells are compared in common columns.
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
    """(rows, column names)."""
    data = _read_bytes(location)
    if location.lower().endswith(".parquet"):
        try:
            table = read_parquet(data)
            return rows_of_table(table), list(table.column_names)
        except ValueError as error:
            raise ManifestError(f"{location}: not a readable parquet file ({error})") from error
    try:
        reader = csv.DictReader(io.StringIO(text_of_bytes(data), newline=""), strict=True)
        rows = list(reader)
    except ValueError as error:
        raise ManifestError(f"{location}: {error}; a manifest is a UTF-8 CSV or parquet file") from error
    except csv.Error as error:
        raise ManifestError(f"{location}: not a CSV file ({error})") from error
    columns = list(reader.fieldnames or ())
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise ManifestError(
                f"{location}: row {number} does not have the same number of cells as the header ({len(columns)})"
            )
    return cast("list[dict[str, Any]]", rows), columns


def _read_bytes(location: str) -> bytes:
    if is_http_url(location) and (fault := web_address_fault(location)):
        raise ManifestError(f"{shown(location[:200])}: {fault}; give the path or http(s) URL of a CSV or parquet file")
    try:
        if is_http_url(location):
            with urllib.request.urlopen(location, timeout=30) as answer:
                return read_limited_stream(answer, MAX_MANIFEST_BYTES)
        if is_address(location):
            with open_stream(location) as file, remote_errors():
                return read_limited_stream(file, MAX_MANIFEST_BYTES)
        return read_limited(Path(location), MAX_MANIFEST_BYTES)
    # A server can redirect to an invalid address, which is a ValueError.
    except (urllib.error.URLError, TimeoutError, http.client.HTTPException, ValueError, OverflowError) as error:
        raise ManifestError(f"{shown(location)}: cannot be read ({shown(one_line(error))})") from error
    except FileNotFoundError:
        raise ManifestError(f"{shown(location)}: no such manifest; give the path of a CSV or parquet file") from None
    except OSError as error:
        raise ManifestError(f"{shown(location)}: cannot be read ({shown(str(error.strerror or error))})") from error
