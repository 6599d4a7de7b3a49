"""Make a damaged dataset whole again, writing no more than what is bad."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from phonics_data.dataset.layout import METADATA, VIDEOS, is_as_written, read_description, read_metadata, shard_paths
from phonics_data.errors import DatasetError, InputError
from phonics_data.executors.items import OnProgress
from phonics_data.report.verify import VerifyResult, verify
from phonics_data.stages.shard.stage import ShardOptions, shard
from phonics_data.storage.tables import from_plain, read_table
from phonics_data.storage.workspace import Workspace, file_sha256
from phonics_data.types import FetchedVideo, Segment


@dataclass(frozen=True, kw_only=True, slots=True)
class RepairResult:
    """What `repair` did."""

    rewritten: tuple[str, ...]
    """Shards that were damaged, missing or not the dataset's."""
    after: VerifyResult


def repair(
    dataset: Path, workspace: Workspace, *, workers: int = 1, on_progress: OnProgress | None = None
) -> RepairResult:
    """Write the bad shards again from the workspace that the dataset came from, and all tables anew.

    The result is what `phonics_data.stages.shard.stage.shard` gives now with the dataset's own options; clips that are lost
    in the workspace too are cut again.

    Raises:
        DatasetError: dataset.json, which holds the options, is itself lost or damaged.
        InputError: the workspace lacks sources of the dataset, so it is another's; nothing is changed then.
    """
    description = read_description(dataset)
    try:
        options = from_plain(ShardOptions, description["options"])
        said = {entry["name"]: entry["sha256"] for entry in description["shards"]}
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{dataset}: dataset.json does not hold the options ({error}); "
            f"run `phonics-data shard --work {workspace.root} --out {dataset}` with the options that you want"
        ) from error
    _check_sources(dataset, workspace)
    found = {path.name: file_sha256(path) for path in shard_paths(dataset)}
    for name, digest in found.items():
        if said.get(name) != digest:
            (dataset / name).unlink()
    shard(workspace, dataset, options, workers=workers, on_progress=on_progress)
    bad = sorted(name for name in said.keys() | found.keys() if said.get(name) != found.get(name))
    return RepairResult(rewritten=tuple(bad), after=verify(dataset))


def _check_sources(dataset: Path, workspace: Workspace) -> None:
    """Refuse a workspace that another dataset was made from: its clips would take the place of these."""
    wanted: set[str] = set()
    # The one table may be what is damaged; a source that a changed table names is no source.
    if is_as_written(dataset, METADATA):
        wanted |= {row.video_id for row in read_metadata(dataset)}
    if is_as_written(dataset, VIDEOS):
        wanted |= {video.video_id for video in read_table(dataset / VIDEOS, FetchedVideo)}
    held = {segment.video_id for segment in read_table(workspace.table("segments"), Segment)}
    if missing := sorted(wanted - held):
        raise InputError(
            f"--work {workspace.root}: has no segments of {len(missing)} of the {len(wanted)} sources of {dataset} "
            f"({', '.join(missing[:3])}); give the workspace that the dataset was made from"
        )
