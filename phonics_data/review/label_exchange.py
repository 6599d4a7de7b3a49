"""Label files to decisions, and segments to label files."""

from __future__ import annotations

from pathlib import Path

from phonics_data.errors import InputError
from phonics_data.review.labels import Label, read_labels, write_labels
from phonics_data.review.state import StateError, interval_of, state_from_plain
from phonics_data.review.store import ReviewStore
from phonics_data.segmentation.scoring import matched_pairs
from phonics_data.types import TrueSegment

_SAME_IOU = 0.3
"""An automatic segment of the same letter with at least this IoU is the one that a label replaces."""


def import_labels(
    store: ReviewStore, path: Path, video_id: str, *, tier: str, reviewer: str, is_complete: bool
) -> tuple[int, int]:
    """Replace the decisions about a video by the labels of a file.

    Args:
        tier: as in `read_labels`.
        is_complete: the file has all letters of the video, so that other automatic segments are dropped.

    Returns:
        (labels, labels that replace or confirm an automatic segment).

    Raises:
        InputError: the video is not in the workspace, or the file or one of its labels is not valid.
    """
    if store.video(video_id) is None:
        raise InputError(
            f"{path}: no video {video_id!r} in {store.workspace.root}; name the file as the video's id, or give --video"
        )
    song = store.song(video_id)
    labels = [
        TrueSegment(
            video_id=video_id, letter=one.letter, object_word=one.word, start_seconds=one.start_seconds,
            end_seconds=one.end_seconds, words=(),
        )
        for one in read_labels(path, tier)
    ]  # fmt: skip
    before = {id(label): interval_of(segment) for segment, label in matched_pairs(song.automatic, labels, _SAME_IOU)}
    segments: list[dict[str, object]] = []
    for label in labels:
        found = before.get(id(label))
        segments.append(
            {
                "letter": label.letter,
                "word": label.object_word,
                "start": label.start_seconds,
                "end": label.end_seconds,
                "before": None if found is None else [found.letter, found.start_seconds, found.end_seconds],
                "decided": True,
                "confidence": 1,
            }
        )
    try:
        plain = {"segments": segments, "dropped": [], "complete": is_complete}
        state = state_from_plain(plain, song.video.duration_seconds)
    except StateError as error:
        raise InputError(f"{path}: {error}") from error
    store.save(video_id, song.revision, state, reviewer)
    store.add_loudness(video_id)
    return len(labels), len(before)


def export_labels(store: ReviewStore, out: Path, suffix: str) -> list[Path]:
    """Write the segments of each video, with all decisions, to ``OUT/<video_id><suffix>``; videos without segments have no file."""
    written: list[Path] = []
    for video_id in store.video_ids():
        song = store.song(video_id)
        labels = [
            Label(
                letter=one.interval.letter,
                word=one.word,
                start_seconds=one.interval.start_seconds,
                end_seconds=one.interval.end_seconds,
            )
            for one in song.state.segments
        ]
        if labels:
            path = out / f"{video_id}{suffix}"
            media = str((store.workspace.root / song.video.path).absolute())
            write_labels(path, labels, song.video.duration_seconds, media)
            written.append(path)
    return written
