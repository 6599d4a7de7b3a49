"""Repair of a damaged dataset: only damaged shards are written again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from phonics_data.contract.records import from_plain
from phonics_data.dataset.layout import (
    METADATA,
    VIDEOS,
    lock_dataset,
    matches_checksum,
    read_description,
    read_metadata,
    shard_paths,
)
from phonics_data.errors import DatasetError, InputError
from phonics_data.executors.items import OnProgress
from phonics_data.report.verify import VerifyResult, verify
from phonics_data.stages.shard.stage import ShardOptions, shard
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace, file_sha256
from phonics_data.types import FetchedVideo, Segment


@dataclass(frozen=True, kw_only=True, slots=True)
class RepairResult:
    """Result of `repair`."""

    rewritten: tuple[str, ...]
    """Shards that were damaged, missing or not part of the dataset."""
    after: VerifyResult


def repair(
    dataset: Path, workspace: Workspace, *, workers: int = 1, on_progress: OnProgress | None = None
) -> RepairResult:
    """Write damaged shards again from the workspace of the dataset, and rewrite all tables.

    The result equals that of `phonics_data.stages.shard.stage.shard` with the options in dataset.json. Clips that are
    missing in the workspace are cut again.

    Raises:
        DatasetError: dataset.json, which contains the options, is missing or damaged.
        InputError: the workspace lacks sources of the dataset; nothing is changed.
    """
    description = read_description(dataset)
    try:
        options = from_plain(ShardOptions, description["options"])
        recorded = {entry["name"]: entry["sha256"] for entry in description["shards"]}
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{dataset}: dataset.json does not contain the options ({error}); "
            f"run `phonics-data shard --work {workspace.root} --out {dataset}` with the options to use"
        ) from error
    _check_sources(dataset, workspace)
    with lock_dataset(dataset):
        found = {path.name: file_sha256(path) for path in shard_paths(dataset)}
        for name, digest in found.items():
            if recorded.get(name) != digest:
                (dataset / name).unlink()
        shard(workspace, dataset, options, workers=workers, on_progress=on_progress)
    rewritten = sorted(name for name in recorded.keys() | found.keys() if recorded.get(name) != found.get(name))
    return RepairResult(rewritten=tuple(rewritten), after=verify(dataset))


def _check_sources(dataset: Path, workspace: Workspace) -> None:
    """Raise `InputError` if the workspace belongs to another dataset, whose clips would replace those of this one."""
    expected: set[str] = set()
    # Either table may be damaged; a changed table is not used.
    if matches_checksum(dataset, METADATA):
        expected |= {row.video_id for row in read_metadata(dataset)}
    if matches_checksum(dataset, VIDEOS):
        expected |= {video.video_id for video in read_table(dataset / VIDEOS, FetchedVideo)}
    available = {segment.video_id for segment in read_table(workspace.table("segments"), Segment)}
    if missing := sorted(expected - available):
        raise InputError(
            f"--work {workspace.root}: contains no segments of {len(missing)} of the {len(expected)} sources of {dataset} "
            f"({', '.join(missing[:3])}); give the workspace from which the dataset was built"
        )
