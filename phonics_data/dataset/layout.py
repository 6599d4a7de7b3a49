"""What lies in a dataset folder, by name, and how its tables and its description are read and written.

::

    DATASET/
      {train,validation,test}-000000.tar ...   the shards (`phonics_data.contract.shard`)
      metadata.parquet                         one `MetadataRow` a clip, in the order of the shards
      videos.parquet rejections.parquet        the sources, and what was left out by which stage and why
      dataset.json                             all options, counts, shards, the digest that names the dataset
      croissant.json                           the same for search engines and loaders (MLCommons Croissant)
      README.md                                dataset card
      SHA256SUMS                               of all files above, as ``sha256sum --check`` reads them
      report.html                              the page for people

dataset.json is taken away before anything is changed and written again at the end: a folder without it is unfinished.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from phonics_data.contract.sample import SCHEMA_VERSION
from phonics_data.errors import DatasetError
from phonics_data.storage.tables import from_plain, schema, to_plain
from phonics_data.storage.workspace import atomic_path, file_sha256, write_bytes
from phonics_data.types import Clip

METADATA = "metadata.parquet"
VIDEOS = "videos.parquet"
REJECTIONS = "rejections.parquet"
DESCRIPTION = "dataset.json"
CROISSANT = "croissant.json"
CARD = "README.md"
SUMS = "SHA256SUMS"
REPORT = "report.html"
SHARD_NAME = re.compile(r"(train|validation|test)-\d{6}\.tar")


@dataclass(frozen=True, kw_only=True, slots=True)
class MetadataRow(Clip):
    """One row of metadata.parquet: the clip, where it lies, and what the screen measured on it."""

    offset: int
    """Byte of the shard at which the sample's first tar header begins."""
    num_bytes: int
    """Of the sample in the shard, tar headers and padding included."""
    duration_seconds: float
    moving_share: float
    bright_level: float
    loudness_dbfs: float
    clipped_share: float
    bar_share: float
    image_hash: str
    audio_hash: str
    """The prints by which near duplicates are found (`phonics_data.quality.near_duplicates`)."""
    letter_seen_share: float | None
    """Share of the clip's time during which its letter was read on the screen; None where nobody looked."""
    flags: str
    """Comma-separated reasons that mark the clip without leaving it out, e.g. ``static_picture``; often empty."""
    duplicate_of: str | None
    """The clip that this one repeats, if any."""
    made_with: str
    """Versions of the programs that cut and encoded it: ``phonics-cssgan 0.1.0, av 18.1.0, ...``."""


def write_metadata(path: Path, rows: Iterable[MetadataRow]) -> None:
    """metadata.parquet, readable as `MetadataRow` and as its plain `Clip` part."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = schema(MetadataRow).with_metadata(schema(Clip).metadata)
    table = pa.Table.from_pylist([to_plain(row) for row in rows], schema=columns)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def read_metadata(dataset: Path) -> list[MetadataRow]:
    """The rows of DATASET/metadata.parquet. Raises `DatasetError` when it is missing, unreadable or lacks columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = dataset / METADATA
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise DatasetError(
            f"{dataset}: holds no {METADATA}; is this a dataset that `phonics-data shard` wrote?"
        ) from None
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())  # pyarrow speaks in paragraphs
        raise DatasetError(f"{path}: not a readable parquet file ({reason}); run `phonics-data shard` again") from error
    wanted = schema(MetadataRow).names
    if missing := [name for name in wanted if name not in table.column_names]:
        raise DatasetError(f"{path}: lacks the columns {', '.join(missing)}; run `phonics-data shard` again")
    return [from_plain(MetadataRow, row) for row in table.select(wanted).to_pylist()]


def read_description(dataset: Path) -> dict[str, Any]:
    """DATASET/dataset.json.

    Raises:
        DatasetError: no such folder, unfinished, unreadable, or of another schema version.
    """
    if not dataset.is_dir():
        raise DatasetError(f"{dataset}: no such dataset folder; `phonics-data build` makes one")
    path = dataset / DESCRIPTION
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DatasetError(
            f"{dataset}: holds no {DESCRIPTION}: no dataset, or an unfinished one; run `phonics-data shard` (again)"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not JSON ({error}); run `phonics-data shard` again") from error
    version = found.get("schema_version") if isinstance(found, dict) else None
    if version != SCHEMA_VERSION:
        raise DatasetError(
            f"{dataset}: dataset of schema version {version}, this program reads {SCHEMA_VERSION}; "
            "build it again, or install the release that wrote it"
        )
    return cast("dict[str, Any]", found)


def shard_paths(dataset: Path) -> list[Path]:
    """The shards that lie in the folder, by name."""
    return sorted(path for path in dataset.glob("*.tar") if SHARD_NAME.fullmatch(path.name))


def write_sums(dataset: Path, known: Mapping[str, str]) -> None:
    """SHA256SUMS of everything but the report, which may be made anew at any time.

    Args:
        known: file name -> digest where it is known already.
    """
    names = [path.name for path in shard_paths(dataset)] + [METADATA, VIDEOS, REJECTIONS, DESCRIPTION, CROISSANT, CARD]
    lines = [f"{known.get(name) or file_sha256(dataset / name)}  {name}\n" for name in sorted(names)]
    write_bytes(dataset / SUMS, "".join(lines).encode())


def read_sums(dataset: Path) -> dict[str, str]:
    """File name -> digest as SHA256SUMS has it. Raises `DatasetError` when it is missing or not of that form."""
    try:
        lines = (dataset / SUMS).read_text().splitlines()
    except (FileNotFoundError, UnicodeDecodeError):
        raise DatasetError(f"{dataset}: {SUMS} is missing or unreadable; run `phonics-data shard` again") from None
    sums: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        digest, _, name = line.partition("  ")
        if not re.fullmatch(r"[0-9a-f]{64}", digest) or not name or "/" in name:
            raise DatasetError(
                f"{dataset / SUMS}: line {number} is not 'digest  file name'; run `phonics-data shard` again"
            )
        sums[name] = digest
    return sums


def is_as_written(dataset: Path, name: str) -> bool:
    """Whether the file `name` is what SHA256SUMS says; False where either is missing or damaged."""
    try:
        return read_sums(dataset).get(name) == file_sha256(dataset / name)
    except (DatasetError, FileNotFoundError):
        return False
