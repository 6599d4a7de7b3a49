"""The pipeline of all stages: fetch, transcribe, segment, shard. Each stage skips finished items and counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from phonics_data.executors.items import OnProgress
from phonics_data.stages.fetch.stage import FetchOptions, fetch
from phonics_data.stages.segment import SegmentOptions, segment
from phonics_data.stages.shard.stage import ShardOptions, check_folder, check_given_splits, locked_folder, shard
from phonics_data.stages.transcribe import TranscribeOptions, transcribe
from phonics_data.storage.reviews import Reviews
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, Rejection, Segment, SourceVideo, StageCount, TranscriptWord


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions:
    """The options of all four stages."""

    fetch: FetchOptions = field(default_factory=FetchOptions)
    transcribe: TranscribeOptions = field(default_factory=TranscribeOptions)
    segment: SegmentOptions = field(default_factory=SegmentOptions)
    shard: ShardOptions = field(default_factory=ShardOptions)


def build(
    workspace: Workspace,
    videos: Sequence[SourceVideo],
    out: Path,
    options: BuildOptions,
    *,
    workers: int = 1,
    on_progress: OnProgress | None = None,
    reviews: Reviews | None = None,
) -> Generator[StageCount]:
    """Build the dataset folder `out` from manifest rows; yields the count of each stage when it ends.

    `out` is locked until the iterator has ended or is closed.

    Args:
        workers: number of processes for transcribe, segment and shard. `FetchOptions.workers` is separate, since
            servers limit the number of downloads, not this machine.
        reviews: as in `segment`.
    """
    with locked_folder(out):  # early: the stages before `shard` take hours
        yield fetch(workspace, videos, options.fetch, on_progress=on_progress)
        fetched = read_table(workspace.table("videos"), FetchedVideo)
        check_folder(out, fetched)
        check_given_splits(workspace, options.shard, fetched)
        yield transcribe(workspace, options.transcribe, workers=workers, on_progress=on_progress)
        yield segment(workspace, options.segment, workers=workers, on_progress=on_progress, reviews=reviews)
        yield shard(workspace, out, options.shard, workers=workers, on_progress=on_progress)


@dataclass(frozen=True, kw_only=True, slots=True)
class TableStatus:
    """The state of one stage of a workspace.

    Args:
        table: file name of its table, or ``shards``.
        num_rows: None if the table does not exist; shards are not counted.
        rejections: reason -> number of rejections.
    """

    table: str
    num_rows: int | None
    rejections: dict[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkspaceStatus:
    """The state of a workspace.

    Args:
        next_command: the command that continues the pipeline.
    """

    tables: list[TableStatus]
    next_command: str

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """(table, number of rows or ``-``, rejections of its stage by reason), as text."""
        return [
            (
                table.table,
                "" if table.table == "shards" else "-" if table.num_rows is None else str(table.num_rows),
                ", ".join(f"{reason} {number}" for reason, number in table.rejections.items()),
            )
            for table in self.tables
        ]


def workspace_status(workspace: Workspace) -> WorkspaceStatus:
    """The state of a workspace, read from its tables."""
    rejections = read_table(workspace.table("rejections"), Rejection) if workspace.table("rejections").exists() else []
    tables: list[TableStatus] = []
    first_missing = ""
    for stage, name, record_type in (
        ("fetch", "videos", FetchedVideo),
        ("transcribe", "words", TranscriptWord),
        ("segment", "segments", Segment),
    ):
        path = workspace.table(name)
        if not path.exists():
            first_missing = first_missing or stage
        num_rows = len(read_table(path, record_type)) if path.exists() else None
        tables.append(TableStatus(table=path.name, num_rows=num_rows, rejections=_by_reason(rejections, stage)))
    tables.append(TableStatus(table="shards", num_rows=None, rejections=_by_reason(rejections, "shard")))
    if first_missing == "transcribe" and workspace.table("segments").exists():
        # Imported labels need no words: the import has written both tables, and only `shard` is left.
        return WorkspaceStatus(
            tables=tables, next_command=f"phonics-data shard --work {workspace.root} --label-set NAME_OF_THE_IMPORT"
        )
    manifest = "MANIFEST " if first_missing == "fetch" else ""
    return WorkspaceStatus(
        tables=tables, next_command=f"phonics-data {first_missing or 'shard'} {manifest}--work {workspace.root}"
    )


def _by_reason(rejections: Sequence[Rejection], stage: str) -> dict[str, int]:
    return dict(sorted(Counter(row.reason for row in rejections if row.stage == stage).items()))
