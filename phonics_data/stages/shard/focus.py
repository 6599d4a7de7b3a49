"""Where the letter and the object of a segment are on the screen. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import numpy as np
from numpy.typing import NDArray

from phonics_data.media import Region
from phonics_data.ocr.geometry import intersection_over_union
from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.length import are_parts
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.tracks import CONFIDENT_SCORE, SAME_TRACK_IOU
from phonics_data.types import ScreenLetter, Segment

_LEAD_SECONDS = 0.5
"""What appears is compared with what is seen from this time before the phrase on, since a phrase can begin after it."""
_SCENE_BEFORE_SECONDS = 0.2
"""The first frames of a phrase can still show the scene before; what disappears with it does not count."""
_MIN_EDGE_CHANGE = 12
"""Change of the edge strength of a cell of the grid, of 255, from which something appeared or moved there. Noise of codecs and
slow changes of light stay under 6 in real songs."""
_MIN_NEW_SHARE = 0.5
"""Share of a text line's cells in which something appeared from which the line is new. Standing titles are read again and again."""


@dataclass(frozen=True, slots=True)
class LetterPlace:
    """The box of a letter during one interval, in seconds and in fractions of the frame."""

    start_seconds: float
    end_seconds: float
    box: Region


def letter_places(letter: str, tracks: Sequence[ScreenLetter], trace: ScreenTrace | None) -> list[LetterPlace]:
    """Where a letter of one video stands: for each of its tracks, one place from each detection to the next.

    Args:
        tracks: the tracks of the video, of all letters.
        trace: None if it is lost; each track has a single place then.
    """
    places: list[LetterPlace] = []
    for track in tracks:
        if track.letter != letter:
            continue
        moves = _moves(track, trace) if trace is not None else []
        starts = [track.start_seconds, *(seconds for seconds, _ in moves[1:]), track.end_seconds]
        boxes = [box for _, box in moves] or [track.box]
        for (start, end), box in zip(pairwise(starts), boxes, strict=True):
            if start < end:
                places.append(LetterPlace(start, end, box))
    return places


def _moves(track: ScreenLetter, trace: ScreenTrace) -> list[tuple[float, Region]]:
    """(seconds, box) of the detections of a track, in time order: its best one, and those that continue it on both sides."""
    half = 0.5 / trace.rate
    is_letter = (trace.letter_R == LETTERS.index(track.letter)) & (trace.score_R >= CONFIDENT_SCORE)
    seconds_R = trace.frame_R / trace.rate - half
    rows = np.flatnonzero(
        is_letter & (seconds_R >= track.start_seconds - half) & (seconds_R <= track.end_seconds + half)
    )
    if not rows.size:
        return []
    best = int(rows[np.abs(trace.box_R4[rows] - np.array(track.box, np.float32)).max(axis=1).argmin()])
    earlier = [*_linked(best, rows[rows < best][::-1].tolist(), trace)]
    linked = [*reversed(earlier), best, *_linked(best, rows[rows > best].tolist(), trace)]
    moves: list[tuple[float, Region]] = []
    for row in linked:
        left, top, right, bottom = (float(side) for side in trace.box_R4[row])
        moves.append((float(seconds_R[row]), (left, top, right, bottom)))
    return moves


def _linked(row: int, others: Iterable[int], trace: ScreenTrace) -> Iterator[int]:
    """Those of `others`, which are in order, that continue the detection `row`."""
    for other in others:
        overlaps = intersection_over_union(trace.box_R4[row], trace.box_R4[other]) >= SAME_TRACK_IOU
        if overlaps and trace.frame_R[other] != trace.frame_R[row]:
            yield other
            row = other


def phrase_intervals(segments: Sequence[Segment]) -> list[tuple[float, float]]:
    """(start, end) in seconds of each segment's phrase: its own, or those of all parts of a divided phrase.

    Args:
        segments: of one video, in time order.
    """
    starts = [segment.start_seconds for segment in segments]
    ends = [segment.end_seconds for segment in segments]
    for index in range(1, len(segments)):
        if are_parts(segments[index - 1], segments[index]):
            starts[index] = starts[index - 1]
    for index in range(len(segments) - 1, 0, -1):
        if are_parts(segments[index - 1], segments[index]):
            ends[index - 1] = ends[index]
    return list(zip(starts, ends, strict=True))


def letter_focus(
    interval: tuple[float, float], places: Sequence[LetterPlace], trace: ScreenTrace | None
) -> Region | None:
    """The box that holds everything that belongs to a phrase: its letter, its object and its text. One for all its frames.

    * The letter: its places during the phrase.
    * The object: the cells of the trace's edge grid in which something appears or moves.
    * Text: the lines that appear in the phrase, as a whole.

    Args:
        interval: (start, end) of the phrase in seconds.
        places: those of the phrase's letter in the whole video.
        trace: None if OCR did not read the screen.

    Returns:
        Fractions of the frame; None if the screen does not show where the letter is.
    """
    start_seconds, end_seconds = interval
    boxes = [place.box for place in places if place.start_seconds < end_seconds and place.end_seconds > start_seconds]
    if not boxes or trace is None:
        return None
    changed_GG = _changed_cells(interval, trace)
    boxes += [*_box_around(changed_GG), *_new_text(interval, changed_GG, trace)]
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return (max(min(lefts), 0.0), max(min(tops), 0.0), min(max(rights), 1.0), min(max(bottoms), 1.0))


def _changed_cells(interval: tuple[float, float], trace: ScreenTrace) -> NDArray[np.bool_]:
    """(rows, columns) cells of the edge grid in which something appears or moves."""
    first, end = _sampled_frames(*interval, trace)
    lead = max(0, round((interval[0] - _LEAD_SECONDS) * trace.rate))
    shown = min(first + round(_SCENE_BEFORE_SECONDS * trace.rate), end - 1)
    edges_TGG = trace.edges_TGG.astype(np.int16)
    return edges_TGG[shown:end].max(axis=0) - edges_TGG[lead:end].min(axis=0) >= _MIN_EDGE_CHANGE


def _box_around(cells_GG: NDArray[np.bool_]) -> Iterator[Region]:
    """The box of all True cells; none if there are none."""
    rows, columns = np.nonzero(cells_GG)
    if rows.size:
        num_rows, num_columns = cells_GG.shape
        yield (
            float(columns.min() / num_columns),
            float(rows.min() / num_rows),
            float((columns.max() + 1) / num_columns),
            float((rows.max() + 1) / num_rows),
        )


def _new_text(interval: tuple[float, float], changed_GG: NDArray[np.bool_], trace: ScreenTrace) -> Iterator[Region]:
    """The boxes of the text lines that are read in the interval and have appeared."""
    first, end = _sampled_frames(*interval, trace)
    num_rows, num_columns = changed_GG.shape
    for line in np.flatnonzero((trace.text_frame_N >= first) & (trace.text_frame_N < end)):
        left, top, right, bottom = (float(side) for side in trace.text_box_N4[line])
        rows = slice(int(top * num_rows), ceil(bottom * num_rows))
        columns = slice(int(left * num_columns), ceil(right * num_columns))
        if changed_GG[rows, columns].mean() >= _MIN_NEW_SHARE:
            yield (left, top, right, bottom)


def _sampled_frames(start_seconds: float, end_seconds: float, trace: ScreenTrace) -> tuple[int, int]:
    """[first, end) sampled frames of an interval, at least one."""
    first = min(round(start_seconds * trace.rate), trace.num_frames - 1)
    return first, max(first + 1, min(round(end_seconds * trace.rate), trace.num_frames))
