"""All data of one video in the workspace."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from phonics_data.errors import InputError, MediaError
from phonics_data.executors.isolated import call_isolated, decoding_limits
from phonics_data.media.audio_reader import read_audio
from phonics_data.media.frame_sampler import sample_frames
from phonics_data.ocr.scan import OCR_FRAME_RATE
from phonics_data.ocr.shapes import largest_channel
from phonics_data.ocr.trace import ScreenTrace, trace_path
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.screen_evidence import ScreenOptions, screen_evidence
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, Rejection, ScreenLetter, Segment, TranscriptWord, TrueSegment

AUDIO_RATE_HZ = 8000
PEAK_RATE = 100
THUMB_WIDTH = 160
CUT_THRESHOLD = 0.4
"""Minimum fraction of changed pixels of a cut."""
_PIXEL_CHANGED = 28
"""Minimum difference of a changed pixel, 0..255; as in `phonics_data.ocr.scan`."""
_FRAME_WIDTH = 320
_FLASH_FRAMES, _FLASH_DIFFERENCE = 8, 0.25
"""A cut is cancelled if, within so many sampled frames, less than this fraction differs from the frame before it."""

Row = TypeVar("Row", TranscriptWord, ScreenLetter, Segment, Rejection)
VideoRow = TypeVar("VideoRow", TranscriptWord, ScreenLetter, Segment, TrueSegment)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class VideoEvidence:
    """Evidence and results of one video.

    Args:
        words: of the transcript, in time order; empty without one.
        screen: tracks; empty if OCR did not read the screen.
        trace: None if OCR did not read the screen.
        evidence_TL: (sampled frames, 26) evidence for each letter in each frame; (0, 26) without a trace.
        changed_T: (sampled frames,) fraction of pixels changed since the previous one, `OCR_FRAME_RATE` per second.
        cuts: times of hard cuts in seconds, without the start of the video.
        segments: in time order.
        rejections: of this video and of its segments.
        truth: None without ground truth.
        peaks_N: (peaks,) 0..1, maximum amplitude of each hundredth of a second; empty without audio.
        thumbnails: (seconds, uint8 RGB frame), one per second.
    """

    video: FetchedVideo
    words: tuple[TranscriptWord, ...]
    screen: tuple[ScreenLetter, ...]
    trace: ScreenTrace | None
    evidence_TL: NDArray[np.float64]
    changed_T: NDArray[np.float32]
    cuts: tuple[float, ...]
    segments: tuple[Segment, ...]
    rejections: tuple[Rejection, ...]
    truth: tuple[TrueSegment, ...] | None
    peaks_N: NDArray[np.float32]
    thumbnails: tuple[tuple[float, NDArray[np.uint8]], ...]


def collect_evidence(workspace: Workspace, video_id: str, truth: Sequence[TrueSegment] | None = None) -> VideoEvidence:
    """Collect the data of `video_id`; results of stages that have not run are empty.

    Args:
        truth: true segments of any videos; None without ground truth.

    Raises:
        InputError: the video is not in the workspace.
        TableError: no video was fetched yet.
        ItemError: its file cannot be decoded, or not within `decoding_limits`.
    """
    videos = {video.video_id: video for video in read_table(workspace.table("videos"), FetchedVideo)}
    if video_id not in videos:
        near = difflib.get_close_matches(video_id, videos, n=3, cutoff=0.4) or sorted(videos)[:3]
        raise InputError(
            f"{video_id}: no such video in {workspace.root}, which contains {len(videos)}, such as {', '.join(near)}"
        )
    video = videos[video_id]
    trace = _trace(trace_path(workspace.root, video_id))
    task = (workspace.root / video.path, video.duration_seconds)
    thumbnails, changed_T, cut_T, peaks_N = call_isolated(_scan, task, decoding_limits(video.duration_seconds))
    return VideoEvidence(
        video=video,
        words=_of_video(_rows(workspace, "words", TranscriptWord), video_id),
        screen=_of_video(_rows(workspace, "screen_letters", ScreenLetter), video_id),
        trace=trace,
        evidence_TL=np.zeros((0, 26)) if trace is None else screen_evidence(trace, ScreenOptions()),
        changed_T=changed_T,
        cuts=_cuts(np.flatnonzero(cut_T)),
        segments=_of_video(_rows(workspace, "segments", Segment), video_id),
        rejections=tuple(row for row in _rows(workspace, "rejections", Rejection) if _is_of(row.item_id, video_id)),
        truth=None if truth is None else _of_video(truth, video_id),
        peaks_N=peaks_N,
        thumbnails=thumbnails,
    )


def _trace(path: Path) -> ScreenTrace | None:
    return ScreenTrace.from_file(path) if path.exists() else None


def _rows(workspace: Workspace, name: str, record: type[Row]) -> list[Row]:
    path = workspace.table(name)
    return read_table(path, record) if path.exists() else []


def _of_video(rows: Iterable[VideoRow], video_id: str) -> tuple[VideoRow, ...]:
    return tuple(row for row in rows if row.video_id == video_id)


def _is_of(item_id: str, video_id: str) -> bool:
    """Whether an item is the video, a part of it (``<id>/captions``), or one of its segments (``<id>-0012345``)."""
    rest = item_id.removeprefix(video_id)
    return rest == "" or (rest != item_id and (rest[0] == "/" or (rest[0] == "-" and rest[1:8].isdigit())))


def _scan(
    task: tuple[Path, float],
) -> tuple[tuple[tuple[float, NDArray[np.uint8]], ...], NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    """(thumbnails, fraction of changed pixels, cuts, peaks) of a file with its duration."""
    path, duration_seconds = task
    return *_scan_frames(path), _peaks(path, duration_seconds)


def _scan_frames(
    path: Path,
) -> tuple[tuple[tuple[float, NDArray[np.uint8]], ...], NDArray[np.float32], NDArray[np.bool_]]:
    """(thumbnails, fraction of changed pixels, cuts) in one pass over the frames."""
    thumbnails: list[tuple[float, NDArray[np.uint8]]] = []
    changed: list[float] = []
    cuts: list[bool] = []
    before: list[NDArray[np.uint8]] = []
    for number, sampled in enumerate(sample_frames(path, rate=OCR_FRAME_RATE, max_width=_FRAME_WIDTH)):
        if number % OCR_FRAME_RATE == 0:
            step = -(-sampled.frame_HWC.shape[1] // THUMB_WIDTH)
            thumbnails.append((sampled.seconds, sampled.frame_HWC[::step, ::step].copy()))
        blurred = np.asarray(cv2.blur(sampled.frame_HWC, (3, 3)), np.uint8)
        changed.append(_changed_fraction(before[-1], blurred) if before else 1.0)
        cuts.append(changed[-1] >= CUT_THRESHOLD)
        # A flash is not a cut, neither at its start nor at its end: the frame after it equals the frame before it.
        for back in range(1, len(before)):
            if cuts[number - back] and _changed_fraction(before[-back - 1], blurred) < _FLASH_DIFFERENCE:
                cuts[number - back :] = [False] * (back + 1)
        before = [*before, blurred][-_FLASH_FRAMES:]
    return tuple(thumbnails), np.array(changed, np.float32), np.array(cuts, np.bool_)


def _cuts(frames: NDArray[np.int64]) -> tuple[float, ...]:
    """Times of the cuts before the sampled `frames`; of consecutive ones, the first."""
    first = [
        frame
        for index, frame in enumerate(frames.tolist())
        if frame > 0 and (index == 0 or frames[index - 1] < frame - 1)
    ]
    # On average, the cut is half a sampling period before the first frame that shows it.
    return tuple((frame - 0.5) / OCR_FRAME_RATE for frame in first)


def _changed_fraction(before_HWC: NDArray[np.uint8], now_HWC: NDArray[np.uint8]) -> float:
    return float((largest_channel(cv2.absdiff(before_HWC, now_HWC)) > _PIXEL_CHANGED).mean())


def _peaks(path: Path, duration_seconds: float) -> NDArray[np.float32]:
    try:
        audio_N = read_audio(path, duration_seconds=duration_seconds, rate_hz=AUDIO_RATE_HZ)
    except MediaError:
        return np.zeros(0, np.float32)
    step = AUDIO_RATE_HZ // PEAK_RATE
    peaks_N = np.abs(audio_N[: audio_N.size // step * step]).reshape(-1, step).max(axis=1, initial=0)
    loudest = float(peaks_N.max(initial=0))
    return (peaks_N / loudest if loudest > 0 else peaks_N).astype(np.float32)


def letters_at(evidence_L: NDArray[np.float64]) -> list[tuple[str, float]]:
    """(letter, evidence) of all letters with evidence in one sampled frame, the strongest first."""
    order = np.argsort(evidence_L)[::-1]
    return [(LETTERS[letter], float(evidence_L[letter])) for letter in order.tolist() if evidence_L[letter] > 0]
