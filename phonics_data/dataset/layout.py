"""File names of a dataset folder; reading and writing of its tables, description and checksums.

    DATASET/
      {train,validation,test,unseen-styles}-000000.tar ...   the shards (`phonics_data.contract.shard`)
      metadata.parquet                         one `MetadataRow` per clip, in the order of the shards
      videos.parquet rejections.parquet        the sources; the rejections with stage and reason
      dataset.json                             all options, counts, shards, and the digest of the dataset
      croissant.json                           machine-readable description (MLCommons Croissant)
      README.md                                dataset card
      SHA256SUMS                               of all files above, in the format of ``sha256sum --check``
      report.html                              HTML overview
      manifest.csv                             only where the dataset was published without its shards: what rebuilds it
      .shards.json .lock                       the finished shards; held by the process that writes the dataset

dataset.json is deleted before any change and written last, so a folder without it is incomplete.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from phonics_data.contract.files import atomic_path, write_bytes
from phonics_data.contract.frame_rate import rate_of_text
from phonics_data.contract.records import from_plain, to_plain
from phonics_data.contract.sample import SCHEMA_VERSION
from phonics_data.contract.untrusted import read_json_object, read_parquet, rows_of_table
from phonics_data.errors import DatasetError
from phonics_data.quality.split import SPLITS
from phonics_data.storage.locks import lock_folder
from phonics_data.storage.tables import schema
from phonics_data.storage.workspace import file_sha256
from phonics_data.types import Clip, NoPictureReason, ObjectPictureSource, SourceCounts

METADATA = "metadata.parquet"
VIDEOS = "videos.parquet"
REJECTIONS = "rejections.parquet"
DESCRIPTION = "dataset.json"
CROISSANT = "croissant.json"
CARD = "README.md"
CHECKSUMS = "SHA256SUMS"
REPORT = "report.html"
MANIFEST = "manifest.csv"
SHARD_NAME = re.compile(rf"({'|'.join(SPLITS)})-\d{{6}}\.tar")


@dataclass(frozen=True, kw_only=True, slots=True)
class MetadataRow(Clip):
    """One row of metadata.parquet: the clip, its position in the shard, and its measurements."""

    offset: int
    """Byte offset of the sample's first tar header in the shard."""
    num_bytes: int
    """Size of the sample in the shard, including tar headers and padding."""
    duration_seconds: float
    moving_share: float
    bright_level: float
    loudness_dbfs: float
    clipped_share: float
    bar_share: float
    image_hash: str
    audio_hash: str
    """Hashes that find near duplicates (`phonics_data.quality.near_duplicates`)."""
    rule: str
    """How the length rule made the segment, as in `phonics_data.types.Segment`."""
    fit: str
    """How the frames were fitted to the picture, as ``--fit``; ``squash`` where ``--fit letter`` was not possible."""
    region_left: float
    region_top: float
    region_right: float
    region_bottom: float
    """The part of the upright frame that the picture shows, as fractions of the frame's width and height."""
    letter_seen_share: float | None
    """Share of the clip's duration during which its whole letter was in the picture, by OCR, 0..1; None if OCR did not
    read the screen."""
    flags: str
    """Comma-separated reasons of filters that flag the clip without dropping it, e.g. ``static_picture``."""
    duplicate_of: str | None
    """Sample id of the clip of which this one is a near duplicate, if any."""
    made_with: str
    """Versions of the software that cut and encoded the clip: ``phonics-cssgan 0.1.0, av 18.1.0, ...``."""
    object_picture_source: ObjectPictureSource = ""
    """Where the member ``object.png`` comes from, as in `phonics_data.types.ObjectPictureSource`; empty if there is none."""
    no_picture_reason: NoPictureReason = ""
    """Why there is none, as in `phonics_data.types.NoPictureReason`."""
    cancelled_db: float = 0.0
    """How much quieter the mono sound is than the loudest channel of the source in the quarter of it that loses most."""
    source_frames: int = 0
    dropped_frames: int = 0
    repeated_frames: int = 0
    damaged_frames: int = 0
    missing_video_seconds: float = 0.0
    missing_audio_seconds: float = 0.0
    unused_audio_seconds: float = 0.0
    """What the source holds in the clip's interval, as in `phonics_data.types.SourceCounts`."""


_LATER_COLUMNS = (
    "object_picture_source",
    "no_picture_reason",
    "cancelled_db",
    *(field.name for field in fields(SourceCounts)),
)
"""Columns that datasets of earlier releases lack; they take their defaults."""


def hub_configuration(splits: Iterable[str], pattern: str) -> list[str]:
    """Lines of a dataset card's header that name the files of each split for the library `datasets`; without them it
    finds only the splits whose names it knows.

    Args:
        splits: those that have files.
        pattern: of the files of a split, with ``{split}`` for its name.
    """
    # Names of splits have no dashes there.
    entries = [
        f"  - {{split: {split.replace('-', '_')}, path: {pattern.replace('{split}', split)}}}" for split in splits
    ]
    return ["configs:", "- config_name: default", "  data_files:", *entries]


def write_metadata(path: Path, rows: Iterable[MetadataRow]) -> None:
    """Write metadata.parquet, readable as `MetadataRow` and as `Clip`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = schema(MetadataRow).with_metadata(schema(Clip).metadata)
    table = pa.Table.from_pylist([to_plain(row) for row in rows], schema=columns)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def read_metadata(dataset: Path) -> list[MetadataRow]:
    """The rows of DATASET/metadata.parquet. Raises `DatasetError` if it is missing, unreadable or lacks columns."""
    path = dataset / METADATA
    try:
        table = read_parquet(path)
    except FileNotFoundError:
        raise DatasetError(
            f"{dataset}: contains no {METADATA}; is this a dataset written by `phonics-data shard`?"
        ) from None
    except ValueError as error:
        raise DatasetError(f"{path}: not a readable parquet file ({error}); run `phonics-data shard` again") from error
    wanted = [name for name in schema(MetadataRow).names if name in table.column_names or name not in _LATER_COLUMNS]
    if missing := [name for name in wanted if name not in table.column_names]:
        raise DatasetError(f"{path}: lacks the columns {', '.join(missing)}; run `phonics-data shard` again")
    try:
        return [from_plain(MetadataRow, row) for row in rows_of_table(table.select(wanted))]
    except ValueError as error:
        raise DatasetError(
            f"{path}: a column has values of another type ({error}); run `phonics-data shard` again"
        ) from error


def read_description(dataset: Path) -> dict[str, Any]:
    """The contents of DATASET/dataset.json.

    Raises:
        DatasetError: the folder is missing, incomplete, or has another schema version; dataset.json is unreadable.
    """
    if not dataset.is_dir():
        raise DatasetError(f"{dataset}: no such dataset folder; `phonics-data build` creates one")
    path = dataset / DESCRIPTION
    try:
        found = read_json_object(path)
    except FileNotFoundError:
        raise DatasetError(
            f"{dataset}: contains no {DESCRIPTION}: not a dataset, or an incomplete one; run `phonics-data shard` (again)"
        ) from None
    except ValueError as error:
        raise DatasetError(f"{path}: not JSON ({error}); run `phonics-data shard` again") from error
    version = found.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DatasetError(
            f"{dataset}: dataset of schema version {version}, this release reads {SCHEMA_VERSION}; "
            "build it again, or install the release that wrote it"
        )
    return found


def has_shards(description: Mapping[str, Any]) -> bool:
    """Whether the shards are beside dataset.json. `phonics-data push` sends the tables alone unless the rights are confirmed."""
    return description.get("shards_included", True) is not False


def rates_text(clips_by_frame_rate: Mapping[str, int]) -> str:
    """The frame rates of a dataset in words: ``25 frames a second``, or ``24 (3 clips) or 25 (4 clips) frames a second``.

    Args:
        clips_by_frame_rate: ``counts.clips_by_frame_rate`` of dataset.json.
    """
    rates = sorted(clips_by_frame_rate, key=rate_of_text)
    numbers = {
        rate: f"{number} clip" if number == 1 else f"{number} clips" for rate, number in clips_by_frame_rate.items()
    }
    parts = rates if len(rates) == 1 else [f"{rate} ({numbers[rate]})" for rate in rates]
    return f"{' or '.join(parts)} frames a second"


def shard_paths(dataset: Path) -> list[Path]:
    """The shards in the folder, sorted by name."""
    return sorted(path for path in dataset.glob("*.tar") if SHARD_NAME.fullmatch(path.name))


@contextmanager
def lock_dataset(out: Path) -> Generator[None]:
    """Create the folder and lock it for this process, which may have the lock already. A new folder without a dataset is removed at the end.

    Raises:
        WorkspaceLockedError: another process has the lock; the message contains its id.
    """
    is_new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    with lock_folder(out, f"--out {out}", "is writing a dataset into this folder", is_shared=True):
        try:
            yield
        finally:
            if is_new and all(path.name.startswith(".lock") for path in out.iterdir()):
                shutil.rmtree(out)


def write_checksums(dataset: Path, known: Mapping[str, str]) -> None:
    """Write SHA256SUMS of all files except the report, which can be regenerated.

    Args:
        known: file name -> digest, where already computed.
    """
    names = [path.name for path in shard_paths(dataset)] + [METADATA, VIDEOS, REJECTIONS, DESCRIPTION, CROISSANT, CARD]
    lines = [f"{known.get(name) or file_sha256(dataset / name)}  {name}\n" for name in sorted(names)]
    write_bytes(dataset / CHECKSUMS, "".join(lines).encode())


def read_checksums(dataset: Path) -> dict[str, str]:
    """File name -> digest of SHA256SUMS. Raises `DatasetError` if the file is missing or malformed."""
    try:
        lines = (dataset / CHECKSUMS).read_text().splitlines()
    except (FileNotFoundError, UnicodeDecodeError):
        raise DatasetError(f"{dataset}: {CHECKSUMS} is missing or unreadable; run `phonics-data shard` again") from None
    sums: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        digest, _, name = line.partition("  ")
        if not re.fullmatch(r"[0-9a-f]{64}", digest) or not name or "/" in name:
            raise DatasetError(
                f"{dataset / CHECKSUMS}: line {number} is not 'digest  file name'; run `phonics-data shard` again"
            )
        sums[name] = digest
    return sums


def matches_checksum(dataset: Path, name: str) -> bool:
    """Whether the digest of the file `name` equals that in SHA256SUMS; False if either is missing or damaged."""
    try:
        return read_checksums(dataset).get(name) == file_sha256(dataset / name)
    except (DatasetError, FileNotFoundError):
        return False
