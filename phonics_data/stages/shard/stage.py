"""The stage `shard`: Segment -> Clip. Cuts clips, filters and splits them, and packs them into WebDataset tars.

- A worker decodes each source once. Its clips are stored in WORK/clips/<video_id>/clips.tar, in the format of the
  shards. Filtering, splitting and packing only sort and copy, so other filters, splits or shard sizes need no decoding.
- The bytes of a dataset depend only on the sources, segments and options: not on the number of workers, their order,
  interruptions or the date.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import hashlib
import re
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from phonics_data.contract.files import write_bytes
from phonics_data.contract.labels import label_set
from phonics_data.contract.records import to_plain
from phonics_data.dataset.layout import (
    CARD,
    CROISSANT,
    DESCRIPTION,
    METADATA,
    REJECTIONS,
    SHARD_NAME,
    VIDEOS,
    MetadataRow,
    lock_dataset,
    matches_checksum,
    write_checksums,
    write_metadata,
)
from phonics_data.errors import DatasetError, InputError, NothingKeptError, OptionError
from phonics_data.executors.executor import Executor, on_this_machine
from phonics_data.executors.isolated import Limits, decoding_limits
from phonics_data.executors.items import (
    OnProgress,
    Outcome,
    StageResult,
    count_of_part,
    frequent_reasons,
    run_items,
    write_rejections,
)
from phonics_data.media import Region
from phonics_data.ocr.trace import ScreenTrace, trace_path
from phonics_data.quality.filters import INCOMPLETE
from phonics_data.quality.split import divided_groups, given_by_video, merged_groups, split_by_source
from phonics_data.stages.shard.croissant import croissant_metadata
from phonics_data.stages.shard.cutting import CUT_VERSION, CutClip, CutTask, cut_video
from phonics_data.stages.shard.dataset_card import dataset_card, dataset_description, versions
from phonics_data.stages.shard.focus import LetterPlace, letter_focus, letter_places, phrase_intervals
from phonics_data.stages.shard.object_picture import load_text_models
from phonics_data.stages.shard.options import ShardOptions
from phonics_data.stages.shard.packing import LostClipsError, PackedClip, Shard, assign_to_shards, pack
from phonics_data.stages.shard.selection import SelectedClip, Selection, select_clips
from phonics_data.storage.object_table import objects_path
from phonics_data.storage.parts import Part
from phonics_data.storage.public_text import without_local_folders
from phonics_data.storage.tables import read_table, write_table
from phonics_data.storage.workspace import Workspace, file_sha256, fingerprint, json_bytes, write_json
from phonics_data.types import FetchedVideo, Rejection, ScreenLetter, Segment, Split, StageCount

__all__ = ["ShardOptions", "check_folder", "check_given_splits", "locked_folder", "shard"]


def shard(
    workspace: Workspace,
    out: Path,
    options: ShardOptions | None = None,
    *,
    workers: int = 1,
    on_progress: OnProgress | None = None,
    part: Part | None = None,
    executor: Executor = on_this_machine,
) -> StageCount:
    """Write the dataset folder `out` from WORK's videos.parquet and segments.parquet.

    Args:
        workers: number of processes that cut videos.
        on_progress: called with ("shard", videos done, all videos).
        executor: what cuts videos: `workers` processes, or a cluster.
        part: only cut the videos of this part, into the workspace; `out` is not written. A call without it then does so.

    Returns:
        Counts of segments (not videos): in, kept as clips, rejected.

    Raises:
        OptionError: a segment has a label that is not in the label set; nothing is cut or written then.
        NothingKeptError: no clip passes the filters.
        InputError: `out` is not a dataset folder; the disk is full.
        WorkspaceLockedError: another process writes a dataset into `out`.
        TableError: an earlier stage has not been run.
    """
    options = options or ShardOptions()
    if part is not None:
        with _without_space(workspace.root):
            return _cut_part(workspace, options, part, workers=workers, on_progress=on_progress, executor=executor)
    videos = read_table(workspace.table("videos"), FetchedVideo)
    check_given_splits(workspace, options, videos)
    check_folder(out, videos)
    with lock_dataset(out):
        return _shard_locked(
            workspace, out, options, videos, workers=workers, on_progress=on_progress, executor=executor
        )


def _shard_locked(
    workspace: Workspace,
    out: Path,
    options: ShardOptions,
    videos: Sequence[FetchedVideo],
    *,
    workers: int,
    on_progress: OnProgress | None,
    executor: Executor,
) -> StageCount:
    segments = read_table(workspace.table("segments"), Segment)
    _check_labels(options, segments)
    with _without_space(workspace.root, out):
        while True:
            try:
                return _shard(
                    workspace,
                    out,
                    options,
                    videos,
                    segments,
                    workers=workers,
                    on_progress=on_progress,
                    executor=executor,
                )
            except LostClipsError as error:  # clips were deleted or changed after they were cut
                workspace.ledger("shard").forget(error.video_id)


def _cut_part(
    workspace: Workspace,
    options: ShardOptions,
    part: Part,
    *,
    workers: int,
    on_progress: OnProgress | None,
    executor: Executor,
) -> StageCount:
    """Cut the videos of `part`. Returns counts of segments."""
    videos = read_table(workspace.table("videos"), FetchedVideo, has_video=part.has)
    segments = read_table(workspace.table("segments"), Segment, has_video=part.has)
    _check_labels(options, segments)
    tasks = _tasks(workspace, options, videos, segments, _Screens(workspace, part))
    result = _cut_all(workspace, options, tasks, videos, workers=workers, on_progress=on_progress, executor=executor)
    count = replace(
        result.count,
        num_in=len(segments),
        num_kept=len(result.kept),
        num_rejected=len(segments) - len(result.kept),
    )
    return count_of_part(count, part)


def _check_labels(options: ShardOptions, segments: Sequence[Segment]) -> None:
    try:
        label_set(options.label_set, (segment.letter for segment in segments))
    except DatasetError as error:
        raise OptionError("--label-set", options.label_set, f"a set that contains the labels ({error})") from error


@contextmanager
def _without_space(*folders: Path) -> Generator[None]:
    """Turns the error of a full disk into an `InputError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            f"no space left on the disk of {' or '.join(map(str, folders))}; incomplete files were removed: free some space "
            "and run the same command again to continue"
        ) from error


def check_given_splits(workspace: Workspace, options: ShardOptions, videos: Sequence[FetchedVideo]) -> None:
    """Raises:
    InputError: none of the given splits is for a source of the workspace, or they divide the sources of one group.
    """
    given = given_by_video(options.given_splits)
    if given and given.keys().isdisjoint(video.video_id for video in videos):
        raise InputError(
            f"--splits: none of its {len(given)} ids ({', '.join(sorted(given)[:3])}, ...) is a source of {workspace.root} "
            f"({', '.join(sorted(video.video_id for video in videos)[:3])}, ...); use the ids of its videos.parquet"
        )
    for one in divided_groups({video.video_id: video.group or video.video_id for video in videos}, given):
        raise InputError(
            f"--splits: {', '.join(f'{video_id} is {given[video_id]}' for video_id in one)}, but these are parts of one "
            "source; give them the same split"
        )


_INCOMPLETE_RUN_FILE = re.compile(rf"{SHARD_NAME.pattern}|\..+\.partial(\.\w+)?|\.lock(\.holder)?")


@contextmanager
def locked_folder(out: Path) -> Generator[None]:
    """Lock the dataset folder `out`, which is created.

    Raises:
        InputError: `out` has other files.
        WorkspaceLockedError: another process writes a dataset into it.
    """
    _check_files(out)
    with lock_dataset(out):
        yield


def check_folder(out: Path, videos: Sequence[FetchedVideo]) -> None:
    """Check that `out` may be written.

    Raises:
        InputError: `out` has other files, or is the finished dataset of other videos.
    """
    _check_files(out)
    # A changed table does not identify the videos of the dataset.
    if not (out / DESCRIPTION).exists() or not matches_checksum(out, VIDEOS):
        return
    dataset_videos = read_table(out / VIDEOS, FetchedVideo)
    workspace_keys = {video.video_id for video in videos} | {video.sha256 for video in videos}
    if dataset_videos and all(workspace_keys.isdisjoint((video.video_id, video.sha256)) for video in dataset_videos):
        names = ", ".join(sorted(video.video_id for video in dataset_videos)[:3])
        raise InputError(
            f"--out {out}: contains a dataset of {len(dataset_videos)} other videos ({names}, ...), none of which is in "
            "this workspace; give another folder, or delete that one first"
        )


def _check_files(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"--out {out}: is a file, allowed: a folder (it is created if it does not exist)")
    dataset_files = (DESCRIPTION, METADATA, ".shards.json")
    # A run that was killed while it wrote its first shards leaves only incomplete files.
    if not any((out / name).exists() for name in dataset_files) and not all(
        _INCOMPLETE_RUN_FILE.fullmatch(path.name) for path in out.iterdir()
    ):
        raise InputError(f"--out {out}: the folder contains other files; give an empty or a new one")


def _shard(
    workspace: Workspace,
    out: Path,
    options: ShardOptions,
    videos: Sequence[FetchedVideo],
    segments: Sequence[Segment],
    *,
    workers: int,
    on_progress: OnProgress | None,
    executor: Executor,
) -> StageCount:
    screens = _Screens(workspace)
    tasks = _tasks(workspace, options, videos, segments, screens)
    result = _cut_all(workspace, options, tasks, videos, workers=workers, on_progress=on_progress, executor=executor)
    groups = {video.video_id: video.group for video in videos if video.group}
    selection = select_clips(result.kept, options, screens.places, sources=groups)
    rejections = [*result.rejections, *selection.rejections]
    write_rejections(workspace, "shard", rejections)
    if not selection.clips:
        why = f" ({frequent_reasons(rejections)}); the first: {rejections[0].detail}" if rejections else ""
        raise NothingKeptError(
            f"--work {workspace.root}: no clip is left of {len(segments)} segments{why}; no dataset is written; "
            f"`phonics-data status --work {workspace.root}` shows all reasons and what to do"
        )
    notes = _write_dataset(workspace, out, options, selection, tasks, videos, workers=workers)
    return StageCount(
        stage="shard",
        num_in=len(segments),
        num_kept=len(selection.clips),
        num_rejected=len(segments) - len(selection.clips),
        num_skipped=result.count.num_skipped,
        by_reason=dict(Counter(rejection.reason for rejection in rejections)),
        wall_seconds=result.count.wall_seconds,
        notes=(
            *result.count.notes,
            *notes,
            *_counts_notes([selected.clip for selected in selection.clips], selection),
            *_pictures_note([selected.clip for selected in selection.clips]),
        ),
    )


def _counts_notes(clips: Sequence[CutClip], selection: Selection) -> tuple[str, ...]:
    """What the sources hold in the clips' intervals, if that differs from the clips."""
    notes: list[str] = []
    totals = Counter[str]()
    for clip in clips:
        totals.update(dataclasses.asdict(clip.counts))
    if totals["dropped_frames"] or totals["repeated_frames"]:
        notes.append(
            f"frames: {totals['source_frames']} of the sources in {sum(clip.num_frames for clip in clips)} of the clips; "
            f"{totals['dropped_frames']} dropped and {totals['repeated_frames']} repeated for the frame rate of the clips"
        )
    incomplete = Counter(flag for selected in selection.clips for flag in selected.flags if flag in INCOMPLETE)
    if incomplete:
        number = sum(not INCOMPLETE.isdisjoint(selected.flags) for selected in selection.clips)
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(incomplete.items()))
        notes.append(
            f"incomplete: {number} of {len(clips)} clips ({reasons}); the column flags names them, drop_incomplete = true in "
            "--filters drops them"
        )
    return tuple(notes)


def _pictures_note(clips: Sequence[CutClip]) -> tuple[str, ...]:
    """How many clips have an object picture, and why the others have none."""
    sources = Counter(clip.object_picture_source for clip in clips if clip.object_picture_source)
    reasons = Counter(clip.no_picture_reason for clip in clips if clip.no_picture_reason)
    if set(reasons) == {"not_searched"}:
        return ()
    parts = [f"{number} {name}" for name, number in [*sorted(sources.items()), *sorted(reasons.items())]]
    return (f"object pictures: {sources.total()} of {len(clips)} clips ({', '.join(parts)})",)


def _tasks(
    workspace: Workspace,
    options: ShardOptions,
    videos: Sequence[FetchedVideo],
    segments: Sequence[Segment],
    screens: _Screens,
) -> dict[str, CutTask]:
    """One task for each video that has segments, sorted by id."""
    by_video: dict[str, list[Segment]] = {}
    for segment in segments:
        by_video.setdefault(segment.video_id, []).append(segment)
    tasks: dict[str, CutTask] = {}
    for video in sorted(videos, key=lambda video: video.video_id):
        if video_segments := by_video.pop(video.video_id, None):
            video_segments.sort(key=lambda segment: (segment.start_seconds, segment.segment_id))
            tasks[video.video_id] = CutTask(
                video_id=video.video_id,
                media=workspace.root / video.path,
                segments=tuple(video_segments),
                options=options,
                out=workspace.clips / video.video_id / "clips.tar",
                duration_seconds=video.duration_seconds,
                frame_rate=options.clip_rate(video.frame_rate),
                focus=screens.focus(video_segments) if options.fit == "letter" else (),
                group=video.group,
                objects=_objects(workspace.root / video.path) if options.object_pictures else None,
            )
    if by_video:
        raise InputError(
            f"--work {workspace.root}: segments.parquet has videos that are not in videos.parquet "
            f"({', '.join(sorted(by_video)[:5])}); run `phonics-data segment` again"
        )
    return tasks


def _objects(media: Path) -> Path | None:
    """The table of object pictures beside a rendered song; None for other videos."""
    path = objects_path(media)
    return path if path.is_file() else None


class _Screens:
    """What OCR read on the screens of a workspace's videos."""

    def __init__(self, workspace: Workspace, part: Part | None = None) -> None:
        self._root = workspace.root
        self._tracks: dict[str, list[ScreenLetter]] = {}
        path = workspace.table("screen_letters")
        has_video = part.has if part is not None else None
        for row in read_table(path, ScreenLetter, has_video=has_video) if path.exists() else []:
            self._tracks.setdefault(row.video_id, []).append(row)
        self._trace = functools.lru_cache(maxsize=2)(self._read_trace)  # callers go through one video after the other

    def places(self, video_id: str, letter: str) -> list[LetterPlace] | None:
        """Where a letter stands; None if OCR did not read the screen or detected no letters at all."""
        if video_id not in self._tracks:
            return None
        return letter_places(letter, self._tracks[video_id], self._trace(video_id))

    def focus(self, segments: Sequence[Segment]) -> tuple[Region | None, ...]:
        """The box that the clip of each segment must show, or None; `segments` are those of one video in time order."""
        boxes: list[Region | None] = []
        for segment, interval in zip(segments, phrase_intervals(segments), strict=True):
            places = self.places(segment.video_id, segment.letter)
            boxes.append(letter_focus(interval, places, self._trace(segment.video_id)) if places else None)
        return tuple(boxes)

    def _read_trace(self, video_id: str) -> ScreenTrace | None:
        path = trace_path(self._root, video_id)
        return ScreenTrace.from_file(path) if path.exists() else None


def _cut_all(
    workspace: Workspace,
    options: ShardOptions,
    tasks: Mapping[str, CutTask],
    videos: Sequence[FetchedVideo],
    *,
    workers: int,
    on_progress: OnProgress | None,
    executor: Executor,
) -> StageResult[CutClip]:
    """Cut every unfinished video. `StageCount.num_skipped` of the result counts segments."""
    sha256 = {video.video_id: video.sha256 for video in videos}
    fingerprints = {video_id: _fingerprint(task, sha256[video_id]) for video_id, task in tasks.items()}
    num_finished = 0

    def is_lost(video_id: str, outcome: Outcome[CutClip]) -> bool:
        """Whether clips of a finished video were deleted."""
        nonlocal num_finished
        task = tasks[video_id]
        size = task.out.stat().st_size if task.out.exists() else 0
        if any(clip.offset + clip.num_bytes > size for clip in outcome.kept):
            return True
        num_finished += len(task.segments)
        return False

    def prepare(unfinished: Sequence[CutTask]) -> None:
        if options.object_pictures and any(task.objects is None for task in unfinished):
            load_text_models()  # once, before the processes start

    result = run_items(
        workspace,
        "shard",
        tasks,
        fingerprints,
        _cut,
        CutClip,
        workers=workers,
        limits=_limits,
        on_progress=on_progress,
        executor=executor,
        is_lost=is_lost,
        before=prepare,
    )
    return replace(result, count=replace(result.count, num_skipped=num_finished))


def _cut(task: CutTask) -> Outcome[CutClip]:
    clips, rejections = cut_video(task)
    return Outcome(kept=clips, rejections=rejections)


def _limits(task: CutTask) -> Limits:
    return decoding_limits(task.duration_seconds)


def _fingerprint(task: CutTask, source_sha256: str) -> str:
    focus = [to_plain(task.focus)] if task.options.fit == "letter" else []
    group = [task.group] if task.group else []
    if task.objects is not None:
        group.append(file_sha256(task.objects))
    return fingerprint(
        CUT_VERSION, source_sha256, to_plain(task.segments), task.options.cut_key(task.frame_rate), *focus, *group
    )


def _write_dataset(
    workspace: Workspace,
    out: Path,
    options: ShardOptions,
    selection: Selection,
    tasks: dict[str, CutTask],
    videos: Sequence[FetchedVideo],
    *,
    workers: int,
) -> tuple[str, ...]:
    """Returns notes for the user about given splits."""
    labels: dict[str, set[str]] = {}
    for selected in selection.clips:
        segment = selected.clip.segment
        labels.setdefault(segment.video_id, set()).add(segment.letter)
    given = given_by_video(options.given_splits)
    groups = merged_groups(selection.groups, declared={video.video_id: video.group for video in videos if video.group})
    splits = split_by_source(labels, ratios=options.ratios, seed=options.seed, groups=groups, given=given)
    packed_clips = [
        PackedClip(
            sample_id=clip.segment.segment_id,
            video_id=clip.segment.video_id,
            split=splits[clip.segment.video_id],
            path=tasks[clip.segment.video_id].out,
            offset=clip.offset,
            num_bytes=clip.num_bytes,
            content_key=clip.content_sha256,
        )
        for clip in (selected.clip for selected in selection.clips)
    ]
    shards = assign_to_shards(packed_clips, target_bytes=options.target_shard_bytes, seed=options.seed)
    (out / DESCRIPTION).unlink(missing_ok=True)  # without it the dataset counts as unfinished
    checksums = pack(out, shards, workers=workers)
    rows = _rows(selection.clips, shards, splits, options)
    rejections = read_table(workspace.table("rejections"), Rejection)
    used_videos = [video for video in videos if video.video_id in splits]
    write_metadata(out / METADATA, rows)
    # The dataset is published: it names files, and not the folders of this machine.
    folders = [workspace.root, *(Path(video.path).parent for video in videos if Path(video.path).is_absolute())]
    write_table(out / VIDEOS, FetchedVideo, [_published(video) for video in used_videos])
    public = [dataclasses.replace(row, detail=without_local_folders(row.detail, folders)) for row in rejections]
    write_table(out / REJECTIONS, Rejection, public)
    description = dataset_description(rows, rejections, options, checksums)
    write_bytes(out / CARD, dataset_card(rows, used_videos, description).encode())
    write_json(out / CROISSANT, croissant_metadata(out, rows, description))
    # The description is the mark of a finished dataset, so its digest is written before it.
    text = json_bytes(description)
    write_checksums(out, {**checksums, DESCRIPTION: hashlib.sha256(text).hexdigest()})
    write_bytes(out / DESCRIPTION, text)
    return _split_notes(splits, groups, given)


def _split_notes(splits: Mapping[str, Split], groups: Mapping[str, str], given: Mapping[str, Split]) -> tuple[str, ...]:
    notes: list[str] = []
    if unknown := sorted(given.keys() - splits.keys()):
        shown = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        notes.append(f"--splits: {len(unknown)} of {len(given)} ids are not in the dataset: {shown}")
    for one in divided_groups({video_id: groups[video_id] for video_id in splits}, given):
        notes.append(
            "--splits: near duplicates are in different splits, as given: "
            + ", ".join(f"{video_id} ({given[video_id]})" for video_id in one)
        )
    return tuple(notes)


def _rows(
    clips: Sequence[SelectedClip], shards: Sequence[Shard], splits: dict[str, Split], options: ShardOptions
) -> list[MetadataRow]:
    """One row a clip, in the order of the shards."""
    by_id = {selected.clip.segment.segment_id: selected for selected in clips}
    made_with = ", ".join(f"{name} {version}" for name, version in versions().items())
    rows: list[MetadataRow] = []
    for shard in shards:
        for packed, offset in zip(shard.clips, shard.offsets(), strict=True):
            selected = by_id[packed.sample_id]
            clip, segment = selected.clip, selected.clip.segment
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
                    frame_rate=clip.frame_rate,
                    num_audio_samples=clip.num_audio_samples,
                    audio_rate_hz=options.audio_rate_hz,
                    width=options.width,
                    height=options.height,
                    split=splits[segment.video_id],
                    shard=shard.name,
                    sha256=clip.sha256,
                    evidence=segment.evidence,
                    confidence=segment.confidence,
                    object_word_source=segment.object_word_source,
                    offset=offset,
                    num_bytes=packed.num_bytes,
                    duration_seconds=float(clip.num_frames / clip.frame_rate),
                    flags=",".join(selected.flags),
                    duplicate_of=selected.duplicate_of,
                    rule=segment.rule,
                    fit=clip.fit,
                    region_left=clip.region[0],
                    region_top=clip.region[1],
                    region_right=clip.region[2],
                    region_bottom=clip.region[3],
                    letter_seen_share=selected.letter_seen_share,
                    made_with=made_with,
                    object_picture_source=clip.object_picture_source,
                    no_picture_reason=clip.no_picture_reason,
                    **dataclasses.asdict(clip.measures),
                    **dataclasses.asdict(clip.counts),
                    **dataclasses.asdict(clip.hashes),
                )
            )
    return rows


def _published(video: FetchedVideo) -> FetchedVideo:
    """`video` as the dataset names it: a file that is not in the workspace has only its name, and equal builds have equal bytes on
    every day. The date is in videos.parquet of the workspace and in the lock file."""
    path = Path(video.path)
    return dataclasses.replace(video, path=path.name if path.is_absolute() else video.path, fetched_at="")
