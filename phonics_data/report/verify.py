"""Integrity check of a dataset. Each fault is one line; all faults are reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonics_data.contract.sample import Sample
from phonics_data.contract.shard import content_digest, decode, read_members
from phonics_data.dataset.layout import (
    CHECKSUMS,
    SHARD_NAME,
    VIDEOS,
    MetadataRow,
    has_shards,
    read_checksums,
    read_description,
    read_metadata,
)
from phonics_data.dataset.remote import DatasetFiles, dataset_files
from phonics_data.errors import DatasetError, TableError
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import file_sha256
from phonics_data.types import FetchedVideo


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyResult:
    """Result of `verify`."""

    faults: tuple[str, ...]
    num_samples: int
    """Number of samples that decode."""
    num_shards: int
    """0 for a dataset that was published without its shards; then only the tables are checked."""
    num_rows: int
    """Number of clips in metadata.parquet."""


def verify(dataset: Path | str) -> VerifyResult:
    """Check checksums, all samples, the metadata against the shards, the splits, and the counts.

    Args:
        dataset: a dataset folder, or the address of one. Of an address, every file is copied once into a temporary folder, and shards
            one at a time.

    Raises:
        DatasetError: there is no finished dataset of this schema version, or the address cannot be read.
        DependencyError: the package that reads the address is not installed.
    """
    with dataset_files(dataset) as files:
        return _verify(files)


def _verify(files: DatasetFiles) -> VerifyResult:
    folder = files.folder
    description = read_description(folder)
    rows = read_metadata(folder)
    faults = [*_checksum_faults(folder), *_split_faults(rows, _groups(folder)), *_count_faults(rows, description)]
    by_id = {row.sample_id: row for row in rows}
    if len(by_id) != len(rows):
        twice = sorted(name for name, number in Counter(row.sample_id for row in rows).items() if number > 1)
        faults.append(f"metadata.parquet: duplicate sample ids: {', '.join(twice[:5])}")
    if not has_shards(description):
        return VerifyResult(faults=tuple(faults), num_samples=0, num_shards=0, num_rows=len(rows))
    sums = _known_checksums(folder)
    names = files.shard_names()
    faults += [f"{name}: missing, but listed in {CHECKSUMS}" for name in sorted(sums.keys() - set(names))]
    seen: set[str] = set()
    for name in names:
        try:
            with files.shard(name) as path:
                if name not in sums:
                    faults.append(f"{name}: not listed in {CHECKSUMS}")
                elif file_sha256(path) != sums[name]:
                    faults.append(f"{name}: changed (SHA-256 differs from {CHECKSUMS})")
                faults.extend(_shard_faults(path, by_id, seen))
        except FileNotFoundError:
            faults.append(f"{name}: missing, but listed in {CHECKSUMS}")
    for row in rows:
        if row.sample_id not in seen:
            faults.append(f"{row.shard}: sample {row.sample_id} of metadata.parquet is missing or does not decode")
    return VerifyResult(faults=tuple(faults), num_samples=len(seen), num_shards=len(names), num_rows=len(rows))


def _known_checksums(folder: Path) -> dict[str, str]:
    """Shard name -> digest of SHA256SUMS; empty if that is damaged, which `_checksum_faults` reports."""
    try:
        return {name: digest for name, digest in read_checksums(folder).items() if SHARD_NAME.fullmatch(name)}
    except DatasetError:
        return {}


def _checksum_faults(folder: Path) -> Iterator[str]:
    """The faults of the files beside the shards."""
    try:
        sums = read_checksums(folder)
    except DatasetError as error:
        yield str(error)
        return
    for name, digest in sorted(sums.items()):
        path = folder / name
        if SHARD_NAME.fullmatch(name):
            continue
        if not path.is_file():
            yield f"{name}: missing, but listed in {CHECKSUMS}"
        elif file_sha256(path) != digest:
            yield f"{name}: changed (SHA-256 differs from {CHECKSUMS})"


def _groups(dataset: Path) -> dict[str, str]:
    """Video id -> `FetchedVideo.group`, of the videos that have one. A damaged table is reported by its checksum."""
    try:
        return {video.video_id: video.group for video in read_table(dataset / VIDEOS, FetchedVideo) if video.group}
    except TableError:
        return {}


def _split_faults(rows: list[MetadataRow], groups: Mapping[str, str]) -> Iterator[str]:
    splits: dict[str, set[str]] = {}
    group_splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row.video_id, set()).add(row.split)
        if row.video_id in groups:
            group_splits.setdefault(groups[row.video_id], set()).add(row.split)
        matched = SHARD_NAME.fullmatch(row.shard)
        if matched is None or matched[1] != row.split:
            yield f"metadata.parquet: sample {row.sample_id} of split {row.split} is listed in {row.shard}"
    for video_id, found in sorted(splits.items()):
        if len(found) > 1:
            yield f"metadata.parquet: source {video_id} leaks: its clips are in {' and '.join(sorted(found))}"
    for group, found in sorted(group_splits.items()):
        if len(found) > 1:
            yield f"metadata.parquet: group {group} of videos.parquet leaks: its clips are in {' and '.join(sorted(found))}"


def _count_faults(rows: list[MetadataRow], description: Mapping[str, Any]) -> Iterator[str]:
    try:
        counts = description["counts"]
        names = set(description["label_set"]["names"])
        pairs = [("clips", counts["clips"], len(rows))]
        pairs += [
            (f"clips of split {split}", recorded, sum(row.split == split for row in rows))
            for split, recorded in counts["clips_by_split"].items()
        ]
        pairs += [
            (f"clips at {rate} frames a second", recorded, sum(str(row.frame_rate) == rate for row in rows))
            for rate, recorded in counts.get("clips_by_frame_rate", {}).items()  # older datasets have none
        ]
        pairs += [
            (f"object pictures from {source}", recorded, sum(row.object_picture_source == source for row in rows))
            for source, recorded in counts.get("object_pictures_by_source", {}).items()
        ]
        pairs += [
            (f"clips of class {name}", recorded, sum(row.label == name for row in rows))
            for name, recorded in counts["clips_by_label"].items()
        ]
    except (KeyError, TypeError, AttributeError):
        yield "dataset.json: lacks counts or label_set"
        return
    for what, recorded, found in pairs:
        if recorded != found:
            yield f"dataset.json: {recorded} {what}, but {found} in metadata.parquet"
    for label in sorted({row.label for row in rows} - names):
        yield f"metadata.parquet: label {label!r} is not in the dataset's label set"


def _shard_faults(path: Path, by_id: Mapping[str, MetadataRow], seen: set[str]) -> Iterator[str]:
    """Decode all samples of one shard and compare them with their rows; add their ids to `seen`."""
    try:
        for key, members in read_members(path):
            try:
                sample = decode(key, members, where=path.name)
            except DatasetError as error:
                yield str(error)
                continue
            row = by_id.get(key)
            if row is None or row.shard != path.name:
                yield f"{path.name}: sample {key} has no row in metadata.parquet"
                continue
            if key in seen:
                yield f"{path.name}: sample {key} occurs twice"
            seen.add(key)
            yield from _sample_faults(path.name, sample, row, members)
    except DatasetError as error:
        yield str(error)


def _sample_faults(shard: str, sample: Sample, row: MetadataRow, members: Mapping[str, bytes]) -> Iterator[str]:
    height, width = sample.frames_LHWC.shape[1:3]
    pairs: list[tuple[str, object, object]] = [
        ("num_frames", row.num_frames, sample.num_frames),
        ("num_audio_samples", row.num_audio_samples, int(sample.audio_N.size)),
        ("height", row.height, height),
        ("width", row.width, width),
        ("frame_rate", row.frame_rate, sample.frame_rate),
        ("audio_rate_hz", row.audio_rate_hz, sample.audio_rate_hz),
        ("label", row.label, sample.label),
        ("label_set", row.label_set, sample.label_set),
        ("object_word", row.object_word, sample.object_word),
        ("object_word_source", row.object_word_source, sample.object_word_source),
        ("video_id", row.video_id, sample.video_id),
        ("start_seconds", row.start_seconds, sample.start_seconds),
        ("sha256", row.sha256, content_digest(members)),
    ]
    for name, recorded, found in pairs:
        if recorded != found:
            yield f"{shard}: sample {sample.key}: {name} is {found} in the shard, {recorded} in metadata.parquet"
    if (sample.object_picture is not None) != bool(row.object_picture_source):
        has = "has no object.png" if sample.object_picture is None else "has an object.png"
        yield (
            f"{shard}: sample {sample.key}: {has}, but object_picture_source is {row.object_picture_source!r} in metadata.parquet"
        )
