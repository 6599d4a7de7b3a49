"""The four stages in order: fetch, transcribe, segment, shard. Each skips what is finished and says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from phonics_data.executors.items import OnProgress
from phonics_data.stages.fetch.stage import FetchOptions, fetch
from phonics_data.stages.segment import SegmentOptions, segment
from phonics_data.stages.shard.stage import ShardOptions, check_folder, shard
from phonics_data.stages.transcribe import TranscribeOptions, transcribe
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
) -> Iterator[StageCount]:
    """From manifest rows to the dataset folder `out`; gives each stage's count as the stage ends.

    Args:
        workers: processes for transcribe, segment and shard. Fetching has its own number in `FetchOptions`, for what
            bounds it is the patience of the server, not this machine.
    """
    yield fetch(workspace, videos, options.fetch, on_progress=on_progress)
    check_folder(out, read_table(workspace.table("videos"), FetchedVideo))  # now, not after hours of work
    yield transcribe(workspace, options.transcribe, workers=workers, on_progress=on_progress)
    yield segment(workspace, options.segment, workers=workers, on_progress=on_progress)
    yield shard(workspace, out, options.shard, workers=workers, on_progress=on_progress)


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkStatus:
    """What `phonics-data status` prints.

    Args:
        rows: (table, number of rows or ``-``, rejections of its stage by reason).
        next_command: what to run to go on.
    """

    rows: list[tuple[str, str, str]]
    next_command: str


def stage_status(workspace: Workspace) -> WorkStatus:
    """The state of a workspace, read from its tables."""
    rejections = read_table(workspace.table("rejections"), Rejection) if workspace.table("rejections").exists() else []
    rows: list[tuple[str, str, str]] = []
    first_missing = ""
    for stage, name, record_type in (
        ("fetch", "videos", FetchedVideo),
        ("transcribe", "words", TranscriptWord),
        ("segment", "segments", Segment),
    ):
        path = workspace.table(name)
        if not path.exists():
            first_missing = first_missing or stage
        reasons = Counter(row.reason for row in rejections if row.stage == stage)
        rows.append(
            (
                path.name,
                str(len(read_table(path, record_type))) if path.exists() else "-",
                ", ".join(f"{reason} {number}" for reason, number in sorted(reasons.items())),
            )
        )
    reasons = Counter(row.reason for row in rejections if row.stage == "shard")
    rows.append(("shards", "", ", ".join(f"{reason} {number}" for reason, number in sorted(reasons.items()))))
    if first_missing == "transcribe" and workspace.table("segments").exists():
        # Labels that were given need no words: an import has made both tables, and shard is all that follows.
        return WorkStatus(
            rows=rows, next_command=f"phonics-data shard --work {workspace.root} --label-set NAME_OF_THE_IMPORT"
        )
    manifest = "MANIFEST " if first_missing == "fetch" else ""
    return WorkStatus(
        rows=rows, next_command=f"phonics-data {first_missing or 'shard'} {manifest}--work {workspace.root}"
    )
