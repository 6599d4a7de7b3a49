"""All that the workspace knows about one video."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from phonics_data.errors import InputError, MediaError
from phonics_data.media.audio_reader import read_sound
from phonics_data.media.frame_sampler import sample_frames
from phonics_data.ocr.scan import LOOKS_A_SECOND
from phonics_data.ocr.shapes import largest_channel
from phonics_data.ocr.trace import ScreenTrace, trace_path
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.screen_evidence import ScreenOptions, screen_evidence
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, Rejection, ScreenLetter, Segment, TranscriptWord, TrueSegment

SOUND_RATE_HZ = 8000
PEAKS_A_SECOND = 100
THUMB_WIDTH = 160
CUT = 0.4
"""Share of changed pixels that is a cut."""
_CHANGED, _CHANGE_WIDTH, _FLASH_LOOKS, _RETURNED = 28, 320, 8, 0.25
"""Difference of a pixel that counts, the frames' width, and when a cut was a flash, as where the screen is read."""

Row = TypeVar("Row", FetchedVideo, TranscriptWord, ScreenLetter, Segment, Rejection)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class VideoEvidence:
    """One video's evidence and what came of it.

    Args:
        words: of the transcript, in time order; empty without one.
        screen: letters seen, from first to last sight; empty where the screen was not read.
        trace: None where the screen was not read.
        evidence_TL: (looks, 26) what each look says for each letter, as the decision weighs it; (0, 26) without a trace.
        changed_T: (looks,) share of the picture that changed since the look before, `LOOKS_A_SECOND` a second.
        cuts: seconds of the hard cuts, without the beginning.
        segments: in time order.
        left_out: rejections of this video and of its segments.
        truth: None where it is not known.
        peaks_N: (peaks,) 0..1, the loudest moment of each hundredth of a second; empty without sound.
        thumbs: (seconds, uint8 RGB frame), one a second.
    """

    video: FetchedVideo
    words: tuple[TranscriptWord, ...]
    screen: tuple[ScreenLetter, ...]
    trace: ScreenTrace | None
    evidence_TL: NDArray[np.float64]
    changed_T: NDArray[np.float32]
    cuts: tuple[float, ...]
    segments: tuple[Segment, ...]
    left_out: tuple[Rejection, ...]
    truth: tuple[TrueSegment, ...] | None
    peaks_N: NDArray[np.float32]
    thumbs: tuple[tuple[float, NDArray[np.uint8]], ...]


def gather(workspace: Workspace, video_id: str, truth: Sequence[TrueSegment] | None = None) -> VideoEvidence:
    """What is known about `video_id`; stages that have not run yet leave their part empty.

    Args:
        truth: segments of any videos; None where no truth is known.

    Raises:
        InputError: the workspace holds no such video.
        TableError: no video was fetched yet.
    """
    videos = {video.video_id: video for video in read_table(workspace.table("videos"), FetchedVideo)}
    if video_id not in videos:
        near = difflib.get_close_matches(video_id, videos, n=3, cutoff=0.4) or sorted(videos)[:3]
        raise InputError(
            f"{video_id}: no such video in {workspace.root}; it holds {len(videos)}, such as {', '.join(near)}"
        )
    video = videos[video_id]
    path = workspace.root / video.path
    seen = trace_path(workspace.root, video_id)
    trace = _trace(seen) if seen.exists() else None
    thumbs, changed_T, cut_T = _pictures(path)
    evidence_TL = np.zeros((0, 26))
    if trace is not None:
        evidence_TL = screen_evidence(trace, ScreenOptions())
    own = tuple(segment for segment in truth if segment.video_id == video_id) if truth is not None else None
    rejections = _rows(workspace, "rejections", Rejection)
    return VideoEvidence(
        video=video,
        words=tuple(row for row in _rows(workspace, "words", TranscriptWord) if row.video_id == video_id),
        screen=tuple(row for row in _rows(workspace, "screen_letters", ScreenLetter) if row.video_id == video_id),
        trace=trace,
        evidence_TL=evidence_TL,
        changed_T=changed_T,
        cuts=_cuts(np.flatnonzero(cut_T)),
        segments=tuple(row for row in _rows(workspace, "segments", Segment) if row.video_id == video_id),
        left_out=tuple(row for row in rejections if _is_of(row.item_id, video_id)),
        truth=own,
        peaks_N=_peaks(path, video.duration_seconds),
        thumbs=thumbs,
    )


def _trace(path: Path) -> ScreenTrace:
    try:
        return ScreenTrace.from_file(path)
    except KeyError as error:
        raise InputError(
            f"{path}: written by another release (it lacks {error}); run `phonics-data transcribe` again"
        ) from error


def _rows(workspace: Workspace, name: str, record: type[Row]) -> list[Row]:
    path = workspace.table(name)
    return read_table(path, record) if path.exists() else []


def _is_of(item_id: str, video_id: str) -> bool:
    """Whether an item is the video, a part of it (``<id>/captions``), or one of its segments (``<id>-0012345``)."""
    rest = item_id.removeprefix(video_id)
    return rest == "" or (rest != item_id and (rest[0] == "/" or (rest[0] == "-" and rest[1:8].isdigit())))


def _pictures(
    path: Path,
) -> tuple[tuple[tuple[float, NDArray[np.uint8]], ...], NDArray[np.float32], NDArray[np.bool_]]:
    """One frame a second, how much changed, and where the picture is a new one; one pass over the picture for all."""
    thumbs: list[tuple[float, NDArray[np.uint8]]] = []
    shares: list[float] = []
    cuts: list[bool] = []
    before: list[NDArray[np.uint8]] = []
    for number, sight in enumerate(sample_frames(path, rate=LOOKS_A_SECOND, max_width=_CHANGE_WIDTH)):
        if number % LOOKS_A_SECOND == 0:
            step = -(-sight.frame_HWC.shape[1] // THUMB_WIDTH)
            thumbs.append((sight.seconds, sight.frame_HWC[::step, ::step].copy()))
        blurred = np.asarray(cv2.blur(sight.frame_HWC, (3, 3)), np.uint8)
        shares.append(_changed_share(before[-1], blurred) if before else 1.0)
        cuts.append(shares[-1] >= CUT)
        # A light that flashes is no cut, neither where it comes nor where it goes: the picture is as it was before.
        for back in range(1, len(before)):
            if cuts[number - back] and _changed_share(before[-back - 1], blurred) < _RETURNED:
                cuts[number - back :] = [False] * (back + 1)
        before = [*before, blurred][-_FLASH_LOOKS:]
    return tuple(thumbs), np.array(shares, np.float32), np.array(cuts, np.bool_)


def _cuts(looks: NDArray[np.int64]) -> tuple[float, ...]:
    """Seconds of the cuts at `looks`; of several in a row, the first."""
    first = [
        look for index, look in enumerate(looks.tolist()) if look > 0 and (index == 0 or looks[index - 1] < look - 1)
    ]
    # What a look shows for the first time came on average half a look before it.
    return tuple((look - 0.5) / LOOKS_A_SECOND for look in first)


def _changed_share(before_HWC: NDArray[np.uint8], now_HWC: NDArray[np.uint8]) -> float:
    return float((largest_channel(cv2.absdiff(before_HWC, now_HWC)) > _CHANGED).mean())


def _peaks(path: Path, duration_seconds: float) -> NDArray[np.float32]:
    try:
        audio_N = read_sound(path, duration_seconds=duration_seconds, rate_hz=SOUND_RATE_HZ)
    except MediaError:
        return np.zeros(0, np.float32)
    step = SOUND_RATE_HZ // PEAKS_A_SECOND
    whole = np.abs(audio_N[: audio_N.size // step * step]).reshape(-1, step).max(axis=1, initial=0)
    loudest = float(whole.max(initial=0))
    return (whole / loudest if loudest > 0 else whole).astype(np.float32)


def letters_at(evidence_T26: NDArray[np.float64]) -> list[tuple[str, float]]:
    """The letters that one look speaks for, with the strength of each, the strongest first."""
    order = np.argsort(evidence_T26)[::-1]
    return [(LETTERS[letter], float(evidence_T26[letter])) for letter in order.tolist() if evidence_T26[letter] > 0]
