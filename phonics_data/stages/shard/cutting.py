"""Cutting: one video -> all its clips, in one tar in the workspace.

The members of that tar are copied into the shards byte for byte. Another split, seed or shard size needs no decoding.
"""

from __future__ import annotations

import hashlib
import logging
import tarfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile

from phonics_data.contract.files import atomic_path
from phonics_data.contract.picture import decode_png
from phonics_data.contract.sample import Boxes, Picture, Sample
from phonics_data.contract.shard import add_sample, content_digest, encode
from phonics_data.errors import TableError
from phonics_data.media import FULL_FRAME, DecodedClip, Fit, Region, Samples, content_region, cut_segments
from phonics_data.quality.filters import ClipMeasurements, measure_clip
from phonics_data.quality.near_duplicates import ClipHashes, clip_hashes
from phonics_data.stages.shard.object_picture import (
    MAX_SAMPLES,
    SAMPLES_PER_SECOND,
    SOURCE_SIDE,
    FoundObject,
    find_object,
    read_lines,
)
from phonics_data.stages.shard.options import DatasetFit, ShardOptions
from phonics_data.storage.object_table import ADVICE, ObjectRow, read_objects
from phonics_data.types import NoPictureReason, ObjectPictureSource, Rejection, Segment, SourceCounts

# Imported here, so that a worker imports it once and not in each process that it forks.
_ = soundfile.__version__

log = logging.getLogger("phonics_data")
CUT_VERSION = 10
"""Increased whenever the same source, segment and options give other bytes; all clips are then cut again."""

_MEDIA_FIT: dict[DatasetFit, Fit] = {
    "squash": "squash",
    "letter": "focus",
    "pad": "pad",
    "crop": "crop",
    "letterbox-detect": "crop",
}

_SAMPLES = Samples(per_second=SAMPLES_PER_SECOND, max_number=MAX_SAMPLES, max_side=SOURCE_SIDE)

_COPY_BYTES = 1 << 20
"""Block size of tar writes: the default of 16 kB costs more time than hashing a clip."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CutTask:
    """The input of a worker that cuts one video."""

    video_id: str
    media: Path
    segments: tuple[Segment, ...]
    options: ShardOptions
    out: Path
    """The tar to write."""
    duration_seconds: float
    """Of the source, as probed."""
    frame_rate: Fraction
    """Of the clips."""
    focus: tuple[Region | None, ...] = ()
    """For ``--fit letter``: the box of each segment that its clip must show, None where it is not known."""
    group: str = ""
    """As `phonics_data.types.FetchedVideo.group`."""
    objects: Path | None = None
    """The table of the object pictures of a rendered song (`phonics_data.storage.object_table`), if there is one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CutClip:
    """One clip in the tar of its video, as stored in the ledger."""

    segment: Segment
    start_seconds: float
    end_seconds: float
    num_frames: int
    frame_rate: Fraction
    num_audio_samples: int
    sha256: str
    """Over the frames member, then the audio member."""
    content_sha256: str
    """Over all members."""
    offset: int
    num_bytes: int
    fit: DatasetFit
    """That of the options, but ``squash`` where letter and object did not fit into ``letter``, or are not known."""
    region: Region
    """The part of the upright frame that it shows."""
    object_picture_source: ObjectPictureSource
    no_picture_reason: NoPictureReason
    measures: ClipMeasurements
    counts: SourceCounts
    hashes: ClipHashes


def cut_video(task: CutTask) -> tuple[tuple[CutClip, ...], tuple[Rejection, ...]]:
    """Cut every segment of one video.

    Returns:
        The clips in the order of the segments, and a rejection for each segment without a single frame.

    Raises:
        MediaError: the video cannot be decoded; nothing is written then.
    """
    options = task.options
    removes_bars = options.fit == "letterbox-detect"
    objects = _read_objects(task)
    searches = options.object_pictures and task.objects is None
    region = content_region(task.media, task.duration_seconds) if removes_bars else FULL_FRAME
    clips: list[CutClip] = []
    rejections: list[Rejection] = []
    with (
        atomic_path(task.out) as temporary,
        tarfile.TarFile(temporary, "w", format=tarfile.PAX_FORMAT, copybufsize=_COPY_BYTES) as tar,
    ):
        for cut in cut_segments(
            task.media,
            [(segment.start_seconds, segment.end_seconds) for segment in task.segments],
            frame_rate=task.frame_rate,
            width=options.width,
            height=options.height,
            fit=_MEDIA_FIT[options.fit],
            region=region,
            focus=task.focus or None,
            samples=_SAMPLES if searches else None,
            audio_rate_hz=options.audio_rate_hz,
        ):
            segment = task.segments[cut.index]
            if cut.frames_LHWC.shape[0]:
                clips.append(_store(tar, cut, segment, task, objects))
            else:
                rejections.append(
                    Rejection(
                        stage="shard",
                        item_id=segment.segment_id,
                        reason="no_frames",
                        measured=0.0,
                        threshold=1.0,
                        detail=f"the video stream ends before {segment.start_seconds:.3f} s",
                    )
                )
    order = {segment.segment_id: index for index, segment in enumerate(task.segments)}
    clips.sort(key=lambda clip: order[clip.segment.segment_id])
    return tuple(clips), tuple(rejections)


def _read_objects(task: CutTask) -> Sequence[ObjectRow] | None:
    """The rows of the table of object pictures; None if there is none, if it is not wanted, or if it cannot be read."""
    if task.objects is None or not task.options.object_pictures:
        return None
    try:
        return read_objects(task.objects)
    except TableError as error:
        log.warning("%s; its clips are kept without object pictures", error)
        return None


def _object_picture(
    cut: DecodedClip, task: CutTask, objects: Sequence[ObjectRow] | None
) -> tuple[Picture | None, Boxes | None, ObjectPictureSource, NoPictureReason]:
    """The picture, the object's boxes in the whole frame, and where they are from or why there are none."""
    if not task.options.object_pictures:
        return None, None, "", "not_searched"
    if task.objects is not None and objects is None:
        return None, None, "", "unreadable_table"
    if objects is None:
        found = find_object(cut.samples_THWC, read_lines)
        if found.picture is None:
            return None, None, "", found.reason
        return found.picture, _found_boxes(found, cut), "change", ""
    row = max(objects, key=lambda row: _common_seconds(row, cut), default=None)
    if row is None or 2 * _common_seconds(row, cut) < cut.end_seconds - cut.start_seconds:
        return None, None, "", "not_shown"
    if row.shown_seconds >= cut.end_seconds:
        return None, None, "", "not_shown"
    try:
        return decode_png(row.png), _rendered_boxes(row, cut, task.frame_rate), "rendered", ""
    except ValueError as error:
        log.warning("%s: picture of %r: %s; %s", task.objects, row.object_word, error, ADVICE)
        return None, None, "", "unreadable_table"


def _found_boxes(found: FoundObject, cut: DecodedClip) -> Boxes:
    frames_L = np.arange(len(cut.frames_LHWC))
    sample_L = np.searchsorted(cut.sample_frames_T, frames_L, side="right") - 1
    boxes_L4 = np.full((len(frames_L), 4), np.nan, np.float32)
    boxes_L4[sample_L < found.absent_until] = 0.0
    boxes_L4[(found.there[0] <= sample_L) & (sample_L < found.there[1])] = found.box
    return boxes_L4


def _rendered_boxes(row: ObjectRow, cut: DecodedClip, frame_rate: Fraction) -> Boxes:
    boxes_L4 = np.zeros((len(cut.frames_LHWC), 4), np.float32)
    middle_L = cut.start_seconds + (np.arange(len(boxes_L4)) + 0.5) / float(frame_rate)
    for box in row.boxes:
        boxes_L4[(box.start_seconds <= middle_L) & (middle_L < box.end_seconds)] = astuple(box)[2:]
    boxes_L4[(middle_L < row.start_seconds) | (row.end_seconds <= middle_L)] = np.nan
    return boxes_L4


def _in_clip(boxes_L4: Boxes, region: Region) -> Boxes | None:
    """Boxes of the whole frame as fractions of a part of it, clipped to it; None without a known one."""
    left, top, right, bottom = region
    start, side = np.array([left, top] * 2), np.array([right - left, bottom - top] * 2)
    within_L4 = np.clip((boxes_L4 - start) / side, 0.0, 1.0).astype(np.float32)
    is_outside = (within_L4[:, 0] >= within_L4[:, 2]) | (within_L4[:, 1] >= within_L4[:, 3])
    within_L4[is_outside | (boxes_L4 == 0).all(axis=1)] = 0.0
    return None if np.isnan(within_L4).all() else within_L4


def _common_seconds(row: ObjectRow, cut: DecodedClip) -> float:
    return min(row.end_seconds, cut.end_seconds) - max(row.start_seconds, cut.start_seconds)


def _store(
    tar: tarfile.TarFile, cut: DecodedClip, segment: Segment, task: CutTask, objects: Sequence[ObjectRow] | None
) -> CutClip:
    options = task.options
    picture, boxes_L4, source, reason = _object_picture(cut, task, objects)
    if boxes_L4 is not None:
        # With bars, the frame is a part of the clip, and not the clip a part of the frame.
        boxes_L4 = None if options.fit == "pad" else _in_clip(boxes_L4, cut.region)
    sample = Sample(
        key=segment.segment_id,
        frames_LHWC=cut.frames_LHWC,
        frame_rate=task.frame_rate,
        audio_N=cut.audio_N,
        audio_rate_hz=options.audio_rate_hz,
        label=segment.letter,
        label_set=options.label_set,
        video_id=segment.video_id,
        start_seconds=cut.start_seconds,
        object_word=segment.object_word,
        object_word_source=segment.object_word_source,
        group=task.group,
        object_picture=picture,
        object_boxes_L4=boxes_L4,
    )
    members = encode(sample, options.frames)
    offset = tar.offset
    add_sample(tar, sample.key, members)
    content = hashlib.sha256()
    for member in members.values():
        content.update(member)
    return CutClip(
        segment=segment,
        start_seconds=cut.start_seconds,
        end_seconds=cut.end_seconds,
        num_frames=sample.num_frames,
        frame_rate=task.frame_rate,
        num_audio_samples=int(cut.audio_N.size),
        sha256=content_digest(members),
        content_sha256=content.hexdigest(),
        offset=offset,
        num_bytes=tar.offset - offset,
        fit="squash" if options.fit == "letter" and cut.region == FULL_FRAME else options.fit,
        region=cut.region,
        object_picture_source=source,
        no_picture_reason=reason,
        measures=measure_clip(cut.frames_LHWC, cut.audio_N, options.audio_rate_hz, cancelled_db=cut.cancelled_db),
        counts=cut.counts,
        hashes=clip_hashes(cut.frames_LHWC, cut.audio_N, options.audio_rate_hz),
    )
