"""The pipeline of all stages: fetch, transcribe, segment, shard. Each stage skips finished items and counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from phonics_data.executors.items import OnProgress, frequent_reasons
from phonics_data.ocr.trace import trace_path
from phonics_data.stages.fetch.ledger import fetch_report, read_run
from phonics_data.stages.fetch.stage import FetchOptions, fetch
from phonics_data.stages.segment import SegmentOptions, segment
from phonics_data.stages.shard.stage import ShardOptions, check_folder, check_given_splits, locked_folder, shard
from phonics_data.stages.transcribe import TranscribeOptions, transcribe
from phonics_data.storage.reviews import Reviews
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, Rejection, Segment, SourceVideo, Stage, StageCount, TranscriptWord


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
        next_command: the command that continues the pipeline; after a stage that kept nothing, the one that can change that.
        nothing_kept: which stage kept nothing, and the most frequent reasons; empty if all that were run kept something.
    """

    tables: list[TableStatus]
    next_command: str
    nothing_kept: str = ""

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
    by_stage = {stage: [row for row in rejections if row.stage == stage] for stage in get_args(Stage)}
    tables = [
        TableStatus(
            table=workspace.table(name).name,
            num_rows=_num_rows(workspace, name, record),
            rejections=_by_reason(by_stage[stage]),
        )
        for stage, name, record in _TABLES
    ]
    tables.append(TableStatus(table="shards", num_rows=None, rejections=_by_reason(by_stage["shard"])))
    num_rows: dict[Stage, int | None] = {
        stage: table.num_rows for (stage, _, _), table in zip(_TABLES, tables, strict=False)
    }
    # Imported labels need no words: the import has written the other tables.
    is_import = num_rows["transcribe"] is None and num_rows["segment"] is not None
    if is_import:
        del num_rows["transcribe"]
    empty = _first_empty(workspace, num_rows, by_stage)
    if empty is not None:
        reasons = frequent_reasons(by_stage[empty]) or "it had no input"
        command = _command_after_nothing(workspace, empty, by_stage[empty], is_import=is_import)
        return WorkspaceStatus(tables=tables, next_command=command, nothing_kept=f"{empty} kept nothing: {reasons}")
    following: list[Stage] = [*(stage for stage, number in num_rows.items() if number is None), "shard"]
    command = _command(workspace, following[0], is_import=is_import)
    return WorkspaceStatus(tables=tables, next_command=command)


def _first_empty(
    workspace: Workspace, num_rows: Mapping[Stage, int | None], by_stage: Mapping[Stage, Sequence[Rejection]]
) -> Stage | None:
    """The first stage that was run and kept nothing; None if there is none."""
    for stage, number in num_rows.items():
        if number is None:
            # `fetch` writes its table also if it is empty; an import that found no usable file writes only the reasons.
            return stage if stage == "fetch" and by_stage["fetch"] else None
        if not number and not (stage == "transcribe" and needs_no_words(workspace)):
            return stage
    return "shard" if by_stage["shard"] and not _has_clips(workspace, by_stage["shard"]) else None


_TABLES: tuple[tuple[Stage, str, type[Any]], ...] = (
    ("fetch", "videos", FetchedVideo),
    ("transcribe", "words", TranscriptWord),
    ("segment", "segments", Segment),
)


def _num_rows(workspace: Workspace, name: str, record: type[Any]) -> int | None:
    path = workspace.table(name)
    return len(read_table(path, record)) if path.exists() else None


def _by_reason(rejections: Sequence[Rejection]) -> dict[str, int]:
    return dict(sorted(Counter(str(row.reason) for row in rejections).items()))


def _command(workspace: Workspace, stage: Stage, *, is_import: bool, options: str = "") -> str:
    if stage == "fetch":
        options = f" {read_run(workspace).get('manifest') or 'MANIFEST'}{options and f' {options}'}"
        return f"phonics-data fetch{options} --work {workspace.root}"
    label_set = " --label-set NAME_OF_THE_IMPORT" if is_import and stage == "shard" else ""
    return f"phonics-data {stage} --work {workspace.root}{options and f' {options}'}{label_set}"


_HELPS: Mapping[str, tuple[Stage, str]] = {
    # Evidence that was not read yet.
    "no_transcript": ("transcribe", "--engine whisper --ocr always"),
    "captions_unreadable": ("transcribe", "--engine whisper --ocr always"),
    "no_letters": ("transcribe", "--engine whisper --ocr always"),
    "not_an_alphabet_song": ("transcribe", "--engine whisper --ocr always"),
    "letter_not_found": ("transcribe", "--engine whisper --ocr always"),
    "wrong_language": ("transcribe", "--language LANGUAGE"),
    "dropped_in_review": ("segment", "--reviews none"),
    "low_confidence": ("shard", "--min-confidence 0"),
    "letter_not_visible": ("shard", "--fit squash"),
    "no_frames": ("fetch", "--retry all"),
    "file_missing": ("fetch", "--retry all"),
}
"""Reason -> the stage and the options that can change its outcome."""


def _command_after_nothing(
    workspace: Workspace, stage: Stage, rejections: Sequence[Rejection], *, is_import: bool
) -> str:
    """The command that can change the outcome of a stage that kept nothing, by its most frequent reason."""
    reason = max(Counter(str(row.reason) for row in rejections).items(), key=lambda pair: pair[1], default=("", 0))[0]
    if stage == "fetch" and not read_run(workspace):
        return f"phonics-data import KIND FOLDER --work {workspace.root}"  # after the files are corrected
    if stage == "fetch":
        # By the statuses of the ledger, which also know what was not tried.
        commands = fetch_report(workspace).next_commands
        return commands[0] if commands else _command(workspace, "fetch", is_import=False)
    if reason == "too_short" and stage == "segment":
        return _command(workspace, "segment", is_import=False, options="--min-frames 8")
    if reason in _HELPS and not (is_import and _HELPS[reason][0] != "shard"):
        helping, options = _HELPS[reason]
        return _command(workspace, helping, is_import=is_import, options=options)
    if stage == "shard" and reason not in ("", "worker_died"):
        return _command(workspace, "shard", is_import=is_import, options="--filters FILTERS.toml")
    if not rejections:
        return _command(workspace, "fetch", is_import=False)  # no video came in
    return _command(workspace, stage, is_import=is_import)


def _has_clips(workspace: Workspace, rejections: Sequence[Rejection]) -> bool:
    """Whether `shard`, which wrote `rejections`, kept a segment."""
    items = {row.item_id for row in rejections}
    segments = read_table(workspace.table("segments"), Segment)
    return any(items.isdisjoint((segment.segment_id, segment.video_id)) for segment in segments)


def needs_no_words(workspace: Workspace) -> bool:
    """Whether any video has an OCR trace, or one letter, which the manifest names. A few letters need words or OCR."""
    videos = read_table(workspace.table("videos"), FetchedVideo)
    return any(video.kind == "letter" or trace_path(workspace.root, video.video_id).exists() for video in videos)
