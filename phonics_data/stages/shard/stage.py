"""shard: Segment -> Clip. Clips cut exactly, screened, split by source and packed into WebDataset tars.

Each source is decoded once, in a worker. What it gives lies in WORK/clips/<video_id>/clips.tar, already in the form of
the shards; judging, splitting and packing then only sort and copy, so other limits, splits or shard sizes cost no
decoding. The bytes of a dataset depend on the sources, segments and options alone: not on the number of workers, the
order in which they end, an interruption or the day.
"""

from __future__ import annotations

import dataclasses
import errno
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from phonics_data.contract.labels import label_set
from phonics_data.dataset.layout import (
    CARD,
    CROISSANT,
    DESCRIPTION,
    METADATA,
    REJECTIONS,
    VIDEOS,
    MetadataRow,
    is_as_written,
    write_metadata,
    write_sums,
)
from phonics_data.errors import DatasetError, InputError, OptionError
from phonics_data.executors.isolated import Limits
from phonics_data.executors.items import OnProgress, Outcome, run_items, write_rejections
from phonics_data.quality.split import split_by_source
from phonics_data.stages.shard.croissant import croissant
from phonics_data.stages.shard.cutting import CUT_VERSION, CutClip, CutTask, cut_video
from phonics_data.stages.shard.dataset_card import card, describe, versions
from phonics_data.stages.shard.options import ShardOptions
from phonics_data.stages.shard.packing import LostClipsError, Piece, Shard, pack, plan
from phonics_data.stages.shard.selection import CheckedClip, Selection, select_clips
from phonics_data.storage.tables import read_table, to_plain, write_table
from phonics_data.storage.workspace import Workspace, atomic_path, fingerprint, write_bytes, write_json
from phonics_data.types import FetchedVideo, Rejection, ScreenLetter, Segment, Split, StageCount

__all__ = ["ShardOptions", "check_folder", "shard"]


def shard(
    workspace: Workspace,
    out: Path,
    options: ShardOptions | None = None,
    *,
    workers: int = 1,
    on_progress: OnProgress | None = None,
) -> StageCount:
    """Make the dataset folder `out` from WORK's videos.parquet and segments.parquet.

    Args:
        workers: processes that cut.
        on_progress: called with the number of videos done.

    Returns:
        The count of segments (not videos): in, kept as clips, rejected.

    Raises:
        OptionError: a segment has a label that is not in the label set; nothing is cut or written then.
        InputError: no clip is left to make a dataset of; `out` is no dataset folder; the disk is full.
        TableError: an earlier stage has not been run.
    """
    options = options or ShardOptions()
    videos = read_table(workspace.table("videos"), FetchedVideo)
    check_folder(out, videos)
    segments = read_table(workspace.table("segments"), Segment)
    try:
        label_set(options.label_set, (segment.letter for segment in segments))
    except DatasetError as error:
        raise OptionError("--label-set", options.label_set, f"a set that holds the labels ({error})") from error
    try:
        while True:
            try:
                return _shard(workspace, out, options, videos, segments, workers=workers, on_progress=on_progress)
            except LostClipsError as error:  # a disk or a hand has changed what was cut: cut that video again
                workspace.ledger("shard").forget(error.video_id)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            f"no space left on the disk of {workspace.root} or {out}; nothing half-written stays: make space and run "
            "the same command again, it goes on where it stopped"
        ) from error


_LEFT_BY_A_KILL = re.compile(r"(train|validation|test)-\d{6}\.tar|\..+\.partial(\.\w+)?")


def check_folder(out: Path, videos: Sequence[FetchedVideo]) -> None:
    """Refuse to write into a folder that holds something else, or the finished dataset of other videos.

    Raises:
        InputError: so it is.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"--out {out}: is a file, allowed: a folder (it is made if it does not exist)")
    ours = {DESCRIPTION, METADATA, ".shards.json"}
    # A run that was killed in the middle of its first shards has left nothing but these.
    if not any((out / name).exists() for name in ours) and not all(
        _LEFT_BY_A_KILL.fullmatch(path.name) for path in out.iterdir()
    ):
        raise InputError(f"--out {out}: the folder holds other files; give an empty or a new one")
    # A table that has been changed says nothing of whose the dataset is.
    if not (out / DESCRIPTION).exists() or not is_as_written(out, VIDEOS):
        return
    theirs = read_table(out / VIDEOS, FetchedVideo)
    mine = {video.video_id for video in videos} | {video.sha256 for video in videos}
    if theirs and all(mine.isdisjoint((video.video_id, video.sha256)) for video in theirs):
        names = ", ".join(sorted(video.video_id for video in theirs)[:3])
        raise InputError(
            f"--out {out}: holds a dataset of {len(theirs)} other videos ({names}, ...), none of which is in this "
            "workspace; give another folder, or delete that one first"
        )


def _shard(
    workspace: Workspace,
    out: Path,
    options: ShardOptions,
    videos: Sequence[FetchedVideo],
    segments: Sequence[Segment],
    *,
    workers: int,
    on_progress: OnProgress | None,
) -> StageCount:
    tasks = _tasks(workspace, options, videos, segments)
    sha256 = {video.video_id: video.sha256 for video in videos}
    hashes = {video_id: _fingerprint(task, sha256[video_id]) for video_id, task in tasks.items()}
    num_skipped = _forget_lost_clips(workspace, tasks, hashes)
    result = run_items(
        workspace, "shard", tasks, hashes, _cut, CutClip, workers=workers, limits=_limits, on_progress=on_progress
    )
    judgement = select_clips(result.kept, options, _seen(workspace))
    rejections = [*result.rejections, *judgement.rejections]
    write_rejections(workspace, "shard", rejections)
    if not judgement.kept:
        raise InputError(
            f"--work {workspace.root}: no clip is left of {len(segments)} segments, so there is no dataset to write; "
            f"`phonics-data status --work {workspace.root}` counts the reasons"
        )
    _write_dataset(workspace, out, options, judgement, tasks, videos, workers=workers)
    return StageCount(
        stage="shard",
        num_in=len(segments),
        num_kept=len(judgement.kept),
        num_rejected=len(segments) - len(judgement.kept),
        num_skipped=num_skipped,
        by_reason=dict(Counter(rejection.reason for rejection in rejections)),
        wall_seconds=result.count.wall_seconds,
    )


def _tasks(
    workspace: Workspace, options: ShardOptions, videos: Sequence[FetchedVideo], segments: Sequence[Segment]
) -> dict[str, CutTask]:
    """One task for each video that has segments, in the order of the ids."""
    by_video: dict[str, list[Segment]] = {}
    for segment in segments:
        by_video.setdefault(segment.video_id, []).append(segment)
    tasks: dict[str, CutTask] = {}
    for video in sorted(videos, key=lambda video: video.video_id):
        if mine := by_video.pop(video.video_id, None):
            mine.sort(key=lambda segment: (segment.start_seconds, segment.segment_id))
            tasks[video.video_id] = CutTask(
                video_id=video.video_id,
                media=workspace.root / video.path,
                segments=tuple(mine),
                options=options,
                out=workspace.clips / video.video_id / "clips.tar",
                duration_seconds=video.duration_seconds,
            )
    if by_video:
        raise InputError(
            f"--work {workspace.root}: segments.parquet speaks of videos that are not in videos.parquet "
            f"({', '.join(sorted(by_video)[:5])}); run `phonics-data segment` again"
        )
    return tasks


def _seen(workspace: Workspace) -> dict[str, list[ScreenLetter]]:
    """video id -> the letters that were read on its screen; no entry where none were, or nobody looked."""
    seen: dict[str, list[ScreenLetter]] = {}
    path = workspace.table("screen_letters")
    for row in read_table(path, ScreenLetter) if path.exists() else []:
        seen.setdefault(row.video_id, []).append(row)
    return seen


def _cut(task: CutTask) -> Outcome[CutClip]:
    clips, rejections = cut_video(task)
    return Outcome(kept=clips, rejections=rejections)


def _limits(task: CutTask) -> Limits:
    """Far more than honest files need: ten minutes, or ten times real time on a slow machine."""
    return Limits(seconds=600 + 10 * task.duration_seconds, memory_bytes=2 * 1024**3)


def _fingerprint(task: CutTask, source_sha256: str) -> str:
    return fingerprint(CUT_VERSION, source_sha256, to_plain(task.segments), task.options.cut_key())


def _forget_lost_clips(workspace: Workspace, tasks: dict[str, CutTask], hashes: dict[str, str]) -> int:
    """Have videos cut again whose clips somebody has deleted. Returns the number of segments that stay finished."""
    ledger = workspace.ledger("shard")
    num_finished = 0
    for video_id, task in tasks.items():
        outcome = ledger.read(video_id, hashes[video_id])
        if outcome is None:
            continue
        size = task.out.stat().st_size if task.out.exists() else 0
        if any(clip["offset"] + clip["num_bytes"] > size for clip in outcome["kept"]):
            ledger.forget(video_id)
        else:
            num_finished += len(task.segments)
    return num_finished


def _write_dataset(
    workspace: Workspace,
    out: Path,
    options: ShardOptions,
    judgement: Selection,
    tasks: dict[str, CutTask],
    videos: Sequence[FetchedVideo],
    *,
    workers: int,
) -> None:
    labels: dict[str, set[str]] = {}
    for one in judgement.kept:
        labels.setdefault(one.clip.segment.video_id, set()).add(one.clip.segment.letter)
    splits = split_by_source(labels, ratios=options.ratios, seed=options.seed, groups=judgement.groups)
    pieces = [
        Piece(
            sample_id=one.clip.segment.segment_id,
            video_id=one.clip.segment.video_id,
            split=splits[one.clip.segment.video_id],
            path=tasks[one.clip.segment.video_id].out,
            offset=one.clip.offset,
            num_bytes=one.clip.num_bytes,
            content_key=one.clip.content_sha256,
        )
        for one in judgement.kept
    ]
    shards = plan(pieces, target_bytes=options.target_shard_bytes, seed=options.seed)
    (out / DESCRIPTION).unlink(missing_ok=True)  # unfinished from here to the end
    sums = pack(out, shards, workers=workers)
    rows = _rows(judgement.kept, shards, splits, options)
    rejections = read_table(workspace.table("rejections"), Rejection)
    write_metadata(out / METADATA, rows)
    write_table(out / VIDEOS, FetchedVideo, [video for video in videos if video.video_id in splits])
    with atomic_path(out / REJECTIONS) as temporary:
        shutil.copyfile(workspace.table("rejections"), temporary)
    description = describe(rows, rejections, options, sums)
    used = [video for video in videos if video.video_id in splits]
    write_bytes(out / CARD, card(rows, used, rejections, description).encode())
    write_json(out / CROISSANT, croissant(out, description))
    write_json(out / DESCRIPTION, description)
    write_sums(out, sums)


def _rows(
    judged: Sequence[CheckedClip], shards: Sequence[Shard], splits: dict[str, Split], options: ShardOptions
) -> list[MetadataRow]:
    """One row a clip, in the order of the shards."""
    by_id = {one.clip.segment.segment_id: one for one in judged}
    made_with = ", ".join(f"{name} {version}" for name, version in versions().items())
    rows: list[MetadataRow] = []
    for shard in shards:
        for piece, offset in zip(shard.pieces, shard.offsets(), strict=True):
            one = by_id[piece.sample_id]
            clip, segment = one.clip, one.clip.segment
            rows.append(
                MetadataRow(
                    sample_id=segment.segment_id,
                    video_id=segment.video_id,
                    segment_id=segment.segment_id,
                    label=segment.letter,
                    label_set=options.label_set,
                    object_word=segment.object_word,
                    start_seconds=clip.start_seconds,
                    end_seconds=clip.end_seconds,
                    num_frames=clip.num_frames,
                    frame_rate=options.frame_rate,
                    num_audio_samples=clip.num_audio_samples,
                    audio_rate_hz=options.audio_rate_hz,
                    width=options.width,
                    height=options.height,
                    split=splits[segment.video_id],
                    shard=shard.name,
                    sha256=clip.sha256,
                    evidence=segment.evidence,
                    confidence=segment.confidence,
                    offset=offset,
                    num_bytes=piece.num_bytes,
                    duration_seconds=float(clip.num_frames / options.frame_rate),
                    flags=",".join(one.flags),
                    duplicate_of=one.duplicate_of,
                    letter_seen_share=one.letter_seen_share,
                    made_with=made_with,
                    **dataclasses.asdict(clip.measures),
                    **dataclasses.asdict(clip.hashes),
                )
            )
    return rows
