"""Import of local media files with given labels: writes the input tables of the stage shard.

The files are not copied; videos.parquet contains their absolute paths.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from phonics_data.contract.labels import LETTERS
from phonics_data.errors import InputError, ItemError, MediaError, NothingKeptError
from phonics_data.executors.executor import Executor, on_this_machine
from phonics_data.executors.isolated import Limits
from phonics_data.executors.items import OnProgress, Outcome, rejected, write_rejections
from phonics_data.media import decodes_to_end, probe
from phonics_data.storage.manifest import kind_of
from phonics_data.storage.tables import from_plain, to_plain, write_table
from phonics_data.storage.workspace import Workspace, file_sha256, fingerprint
from phonics_data.types import FetchedVideo, LabelSource, ObjectWordSource, Rejection, Segment, StageCount, segment_id

INSPECT_VERSION = 2
"""Increased whenever the check of a file can have another outcome; all files are then checked again."""
log = logging.getLogger("phonics_data")


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledSegment:
    """A given label of one interval of a file."""

    label: str
    start_seconds: float = 0.0
    end_seconds: float | None = None
    """None: to the end of the file."""
    object_word: str | None = None
    evidence: LabelSource | None = None
    """Source of this label; None: that of all files of the import."""
    confidence: float = 1.0
    object_word_source: ObjectWordSource = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledFile:
    """One media file and its labelled segments."""

    video_id: str
    path: Path
    segments: tuple[LabelledSegment, ...]
    fault: ItemError | None = None
    """An error found before the file is inspected; becomes its rejection."""
    group: str = ""
    """As `phonics_data.types.FetchedVideo.group`."""
    expected_seconds: float | None = None
    """Duration of the recording to which the times of the labels belong; a file of another duration is rejected. None: unknown."""


def require_folder(folder: Path) -> None:
    """Raises:
    InputError: `folder` is not a folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")


def file_id(relative: Path) -> str:
    """A video id for a file: readable, valid in file names, and different for different paths."""
    digest = hashlib.sha256(os.fsencode(relative.as_posix())).hexdigest()[:8]
    readable = re.sub(r"[^A-Za-z0-9]+", "-", relative.with_suffix("").as_posix()).strip("-")[:48]
    return f"{readable}-{digest}" if readable else digest


def is_text(name: str) -> bool:
    """Whether a name can be stored in a table: names of files can contain any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def import_files(
    workspace: Workspace,
    files: Sequence[LabelledFile],
    *,
    evidence: LabelSource,
    workers: int = 1,
    on_progress: OnProgress | None = None,
    executor: Executor = on_this_machine,
) -> StageCount:
    """Check every file and write videos.parquet, segments.parquet and the rejections.

    A file that an earlier run has checked, and whose size, time and labels have not changed, is not read again.

    Args:
        evidence: source of the labels, stored in the metadata of every clip; where the label itself gives none.
        workers: processes.
        on_progress: called with ("fetch", files done, files in all).
        executor: what checks files: `workers` processes, or a cluster.

    Raises:
        InputError: no files, two files with the same id, or no usable file.
    """
    if not files:
        raise InputError(f"--work {workspace.root}: no media files to import")
    started = time.monotonic()
    paths: dict[str, Path] = {}
    for file in files:
        if file.video_id in paths:
            raise InputError(
                f"{paths[file.video_id]} and {file.path} both get the id {file.video_id}; rename or remove one of them"
            )
        paths[file.video_id] = file.path
    videos: dict[str, FetchedVideo] = {}
    rejections: list[Rejection] = []
    report = on_progress or (lambda _stage, _done, _total: None)
    ledger = workspace.ledger("import")
    fingerprints = {file.video_id: file_fingerprint(file, INSPECT_VERSION) for file in files}
    for file in files:
        finished = ledger.read(file.video_id, fingerprints[file.video_id]) if fingerprints[file.video_id] else None
        if finished is not None:
            videos[file.video_id] = from_plain(FetchedVideo, finished["video"])
    num_skipped = len(videos)
    report("fetch", num_skipped, len(files))
    todo = [file for file in files if file.video_id not in videos]
    results = executor(_inspect, todo, workers=workers, limits=lambda _: _LIMITS)
    for done, (file, result) in enumerate(results, start=num_skipped + 1):
        if isinstance(result, ItemError):
            rejections.extend(rejected("fetch", file.video_id, result).rejections)
        else:
            videos[file.video_id], audio_choice = result
            if audio_choice:
                log.warning("%s: %s", file.path, audio_choice)
            ledger.write(
                file.video_id, fingerprints[file.video_id], {"video": to_plain(result[0]), "audio_choice": audio_choice}
            )
        report("fetch", done, len(files))
    rejections.sort(key=lambda row: row.item_id)
    write_rejections(workspace, "fetch", rejections)
    if not videos:
        # Of each reason one, because the most frequent one is not always the cause of the others.
        first = {row.reason: row.detail for row in reversed(rejections)}
        reasons = Counter(row.reason for row in rejections).most_common()
        examples = "; ".join(f"{number} {reason}, the first: {first[reason]}" for reason, number in reasons)
        raise NothingKeptError(f"none of {len(files)} files is usable; {examples}")
    pairs = [(file, videos[file.video_id]) for file in files if file.video_id in videos]
    given = {file.video_id: _segments(file, video, evidence) for file, video in pairs}
    write_table(workspace.table("videos"), FetchedVideo, [video for _, video in pairs])
    write_table(workspace.table("segments"), Segment, [segment for rows in given.values() for segment in rows])
    given_ledger = workspace.ledger("segment")
    for video_id, rows in given.items():  # decisions of people change the table, not these
        outcome = to_plain(Outcome(kept=tuple(rows)))
        mark = fingerprint("given", outcome)
        if given_ledger.read(video_id, mark) is None:  # each write waits for the disk
            given_ledger.write(video_id, mark, outcome)
    return StageCount(
        stage="fetch",
        num_in=len(files),
        num_kept=len(videos),
        num_rejected=len(rejections),
        num_skipped=num_skipped,
        by_reason=dict(Counter(row.reason for row in rejections)),
        wall_seconds=time.monotonic() - started,
    )


def file_fingerprint(file: LabelledFile, version: int) -> str:
    """Of the path, size and time of a file and its labels; empty for a file that cannot be read."""
    try:
        status = file.path.stat()
    except (OSError, ValueError):
        return ""
    if file.fault is not None:
        return ""
    path = os.fsencode(file.path.absolute()).hex()
    labels = sorted({segment.label for segment in file.segments})
    expected = [] if file.expected_seconds is None else [file.expected_seconds]
    return fingerprint(version, path, status.st_size, status.st_mtime_ns, labels, file.group, *expected)


MAX_DIFFERENCE_SECONDS = 0.25
"""Between the expected and the real duration. Containers and codecs add or lose some frames; another unit of time differs more."""
_LIMITS = Limits(seconds=600)
"""Of one file: its header, its last seconds (the whole file, if it has no index), and its digest."""


def _inspect(file: LabelledFile) -> tuple[FetchedVideo, str]:
    """The row of a file, and which of several audio streams is used."""
    if file.fault is not None:
        raise file.fault
    try:
        fault = "" if file.path.is_file() else "a folder" if file.path.is_dir() else "no such file"
    except OSError as error:  # a name that is too long, or a folder that must not be read
        fault = error.strerror or "cannot be read"
    if fault:
        raise MediaError("file_missing", f"{file.path}: {fault}; correct the path or provide the file")
    if not is_text(str(file.path)):
        raise MediaError("bad_name", f"{file.path!r}: its name is not UTF-8 text, which tables need; rename the file")
    info = probe(file.path, need_audio=True)
    if not info.frame_rate:
        raise MediaError("no_video_stream", f"{file.path}: no video frames in it")
    expected = file.expected_seconds
    if expected is not None and not abs(info.duration_seconds - expected) <= MAX_DIFFERENCE_SECONDS:
        raise MediaError(
            "duration_mismatch",
            f"{file.path}: lasts {info.duration_seconds:.2f} s, but the times of its labels end at {expected:.2f} s; they are in "
            "another unit or of another recording: provide those of this file",
            measured=info.duration_seconds,
            threshold=expected,
        )
    decodes_to_end(file.path)
    status = file.path.stat()
    labels = sorted({segment.label for segment in file.segments})
    are_letters = bool(labels) and set(labels) <= set(LETTERS.names)  # speakers and words are none
    letters = "".join(labels if are_letters else LETTERS.names)
    video = FetchedVideo(
        video_id=file.video_id,
        path=file.path.absolute().as_posix(),
        sha256=file_sha256(file.path),
        num_bytes=status.st_size,
        duration_seconds=info.duration_seconds,
        frame_rate=info.frame_rate,
        width=info.width,
        height=info.height,
        audio_rate_hz=info.audio_rate_hz,
        captions=None,
        fetched_at=datetime.fromtimestamp(int(status.st_mtime), UTC).isoformat().replace("+00:00", "Z"),
        fetcher_version="import",
        kind=kind_of(letters),
        letters=letters,
        group=file.group,
    )
    return video, info.audio_choice


def _segments(file: LabelledFile, video: FetchedVideo, evidence: LabelSource) -> list[Segment]:
    return [
        Segment(
            segment_id=segment_id(file.video_id, segment.start_seconds),
            video_id=file.video_id,
            letter=segment.label,
            object_word=segment.object_word,
            start_seconds=segment.start_seconds,
            end_seconds=video.duration_seconds if segment.end_seconds is None else segment.end_seconds,
            rule="given",
            evidence=segment.evidence or evidence,
            confidence=segment.confidence,
            object_word_source=segment.object_word_source,
        )
        for segment in file.segments
    ]
