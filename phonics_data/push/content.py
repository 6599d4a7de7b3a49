"""The files that `phonics-data push` sends: the whole dataset, or its tables with the manifest that rebuilds it.

report.html is never sent, because it contains pictures of clips.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonics_data.dataset.layout import (
    CARD,
    CHECKSUMS,
    CROISSANT,
    DESCRIPTION,
    MANIFEST,
    METADATA,
    REJECTIONS,
    VIDEOS,
    read_checksums,
    read_description,
    read_metadata,
)
from phonics_data.errors import InputError
from phonics_data.stages.shard.croissant import croissant_metadata
from phonics_data.stages.shard.dataset_card import dataset_card
from phonics_data.storage.manifest import COLUMNS, is_http_url, read_manifest
from phonics_data.storage.public_text import without_local_folders, without_secrets
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import file_sha256, json_bytes
from phonics_data.types import FetchedVideo, SourceVideo


@dataclass(frozen=True, kw_only=True, slots=True)
class SentFile:
    """A file to send.

    Args:
        content: the path of a file of the dataset, or the bytes of a file that is made for the address.
    """

    name: str
    content: Path | bytes
    num_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What is sent, in this order: the description is last.

    Args:
        notes: what the user should know about the manifest, one line each.
    """

    files: tuple[SentFile, ...]
    has_shards: bool
    num_clips: int
    notes: tuple[str, ...]


def whole_dataset(dataset: Path, manifest: str | None) -> Content:
    """All files of SHA256SUMS, with the manifest if there is one.

    Raises:
        DatasetError: not a finished dataset.
        ManifestError, InputError: as `_published_manifest`.
    """
    description, sums = read_description(dataset), read_checksums(dataset)
    files = [_of_dataset(dataset, name, digest) for name, digest in sorted(sums.items()) if name != DESCRIPTION]
    notes: tuple[str, ...] = ()
    if manifest is None:
        files.append(_of_dataset(dataset, CHECKSUMS, file_sha256(dataset / CHECKSUMS)))
    else:
        rows, notes = _published_manifest(manifest, read_table(dataset / VIDEOS, FetchedVideo))
        files.append(_made(MANIFEST, _csv(rows)))
        files.append(_checksums({**sums, MANIFEST: files[-1].sha256}))
    files.append(_of_dataset(dataset, DESCRIPTION, sums[DESCRIPTION]))
    return Content(files=tuple(files), has_shards=True, num_clips=description["counts"]["clips"], notes=notes)


def tables_only(dataset: Path, manifest: str) -> Content:
    """The tables, the manifest, and a card, description and checksums that say that the shards are not there.

    Raises:
        DatasetError: not a finished dataset.
        ManifestError, InputError: as `_published_manifest`.
    """
    description: dict[str, Any] = {**read_description(dataset), "shards_included": False}
    sums, rows = read_checksums(dataset), read_metadata(dataset)
    videos = read_table(dataset / VIDEOS, FetchedVideo)
    manifest_rows, notes = _published_manifest(manifest, videos)
    files = [_of_dataset(dataset, name, sums[name]) for name in (METADATA, REJECTIONS, VIDEOS)]
    files += [
        _made(MANIFEST, _csv(manifest_rows)),
        _made(CARD, dataset_card(rows, videos, description).encode()),
        _made(CROISSANT, json_bytes(croissant_metadata(dataset, rows, description))),
    ]
    last = _made(DESCRIPTION, json_bytes(description))
    files.append(_checksums({file.name: file.sha256 for file in (*files, last)}))
    return Content(files=(*files, last), has_shards=False, num_clips=len(rows), notes=notes)


def _of_dataset(dataset: Path, name: str, sha256: str) -> SentFile:
    path = dataset / name
    return SentFile(name=name, content=path, num_bytes=path.stat().st_size, sha256=sha256)


def _made(name: str, content: bytes) -> SentFile:
    return SentFile(name=name, content=content, num_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def _checksums(sums: Mapping[str, str]) -> SentFile:
    return _made(CHECKSUMS, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode())


def _published_manifest(manifest: str, videos: Sequence[FetchedVideo]) -> tuple[list[SourceVideo], tuple[str, ...]]:
    """The rows of `manifest` for the videos of a dataset, without secrets, and notes about videos that others cannot fetch.

    Raises:
        ManifestError: the manifest cannot be read.
        InputError: none of its rows is a video of the dataset with a web address.
    """
    wanted = {video.video_id for video in videos}
    of_dataset = [row for row in read_manifest(manifest) if row.video_id in wanted]
    rows = [
        dataclasses.replace(
            row,
            url=without_secrets(row.url),
            **{
                name: without_local_folders(without_secrets(getattr(row, name)))
                for name in ("title", "channel", "note")
            },
        )
        for row in of_dataset
        if is_http_url(row.url)
    ]
    if not rows:
        local = f"; {len(of_dataset)} are paths on this machine" if of_dataset else ""
        raise InputError(
            f"--manifest {manifest}: has no web address of the {len(wanted)} videos of the dataset{local}; give the manifest that it was "
            "built from, whose urls others can fetch"
        )
    missing = sorted(wanted - {row.video_id for row in rows})
    if not missing:
        return rows, ()
    shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
    return rows, (
        f"--manifest: {len(missing)} of {len(wanted)} videos have no web address there ({shown}); others cannot rebuild their clips",
    )


def _csv(rows: Sequence[SourceVideo]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(row) for row in rows)
    return text.getvalue().encode()
