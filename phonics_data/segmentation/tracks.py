"""Links the detections of one letter over sampled frames into tracks, and tests whether a letter is still visible. Pure.

OCR reads a shape only while it changes. Whether a letter is still visible afterwards is tested by the edges at its place
and by detections of other letters there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from phonics_data.ocr.geometry import Box, intersection_over_union, intersections_over_union
from phonics_data.ocr.trace import ScreenTrace

Colour = NDArray[np.float32]
"""(6,) RGB of a letter and of its background."""

MIN_SCORE = 0.3
"""Letter probability below which a detection is ignored."""
CONFIDENT_SCORE = 0.8
"""Letter probability from which a detection is certain."""
SAME_TRACK_IOU = 0.2
"""Intersection over union of two boxes from which detections of one letter belong to one track."""
VISIBLE_SIMILARITY = 0.6
"""`edge_similarity` from which a letter is still visible at its place."""
_GROWN_SIMILARITY = 0.75
"""The same for edges that have become stronger, relative to the strengthened edges of the letter."""
NEW_COLOUR = 40.0
"""Difference of a colour channel (of 255) from which a letter has another colour."""
UNMARKED_WEIGHT = 0.1
"""Weight of a letter in an unmarked row of letters: it may be the current one."""

_MIN_REPEAT_WEIGHT = 0.1
_REAPPEAR_SECONDS = 0.75
"""A letter that was not detected for so long counts as new if it has moved."""
_SAME_PLACE_IOU = 0.6
_MAX_BRIGHTENING = 1.15
"""A contrast that grew by more than this factor is a new colour, not light."""
_COLOUR_HISTORY_SECONDS = 4.0
_MOVING_SECONDS = 0.5
"""A letter that is detected again within this time has only moved, whatever its last place looks like."""
_OPEN_SECONDS = 60
_MAX_FADE_IN_SECONDS = 1.0
"""Longest time for which a letter is visible before its first detection, while it fades in or is drawn."""


# --- detections ----------------------------------------------------------------------------------------------------


def rows_by_frame(trace: ScreenTrace) -> Iterator[tuple[int, range]]:
    """(sampled frame, rows of its detections) for each frame with any."""
    borders = np.flatnonzero(np.diff(trace.frame_R, prepend=-1))
    for low, high in pairwise([*borders.tolist(), trace.frame_R.size]):
        yield int(trace.frame_R[low]), range(low, high)


def best_detection(frame: int, letter: int, trace: ScreenTrace) -> int:
    """Row of the frame's detection with the highest probability of `letter`."""
    rows = np.flatnonzero(trace.frame_R == frame)
    return int(rows[trace.letters_R26[rows, letter].argmax()])


def frames_with_other_letter(
    box: Box, letter: int, trace: ScreenTrace, *, min_iou: float, low: int = 0, high: int | None = None
) -> NDArray[np.int64]:
    """Sampled frames in ``[low, high)`` in which another letter was certainly detected at a place."""
    is_other = (trace.letter_R != letter) & (trace.score_R >= CONFIDENT_SCORE)
    is_other &= (trace.frame_R >= low) & (trace.frame_R < (trace.num_frames if high is None else high))
    rows = np.flatnonzero(is_other)
    return trace.frame_R[rows[intersections_over_union(trace.box_R4[rows], box) >= min_iou]].astype(np.int64)


def edges_at(box: Box, trace: ScreenTrace) -> NDArray[np.float64]:
    """(frames, rows, columns) edge strength in the grid cells that `box` covers."""
    rows, columns = trace.edges_TGG.shape[1:]
    left, top = int(box[0] * columns), int(box[1] * rows)
    right, bottom = max(left + 1, round(float(box[2]) * columns)), max(top + 1, round(float(box[3]) * rows))
    return trace.edges_TGG[:, top:bottom, left:right].astype(np.float64)


def is_visible(edges_TGG: NDArray[np.float64], reference_GG: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(frames,) whether the edges at a letter's place are those of the letter, or the same ones stronger.

    A letter that fades in has the same edges at each time; only their strength grows.
    """
    growth_T = edges_TGG.sum(axis=(1, 2)) / max(float(reference_GG.sum()), 1.0)
    grown_TGG = np.maximum(growth_T, 1.0)[:, None, None] * reference_GG
    is_same_T = edge_similarity(edges_TGG, reference_GG) >= VISIBLE_SIMILARITY
    return is_same_T | ((growth_T > 1) & (edge_similarity(edges_TGG, grown_TGG) >= _GROWN_SIMILARITY))


def edge_similarity(edges_TGG: NDArray[np.float64], reference_GG: NDArray[np.float64]) -> NDArray[np.float64]:
    """(frames,) 1 for edges equal to the reference, 0 for edges that have nothing in common with it."""
    difference_T = np.abs(edges_TGG - reference_GG).sum(axis=(1, 2))
    return 1 - difference_T / np.maximum((edges_TGG + reference_GG).sum(axis=(1, 2)), 1.0)


# --- tracks with their colours -------------------------------------------------------------------------------------


@dataclass(slots=True)
class ColourTrack:
    """A letter that remains at its place, and whether it is the current letter.

    Args:
        first: sampled frame of the first detection.
        last: sampled frame of the last detection.
        box, colour: of the last detection.
        history: (sampled frame, colour) of recent detections.
        marked_colour: colour when the letter last was new or marked; None if unmarked since its first detection.
        weight: weight of the last detection.
        is_unmarked: the letter is visible but not current: it was shown with others and is not marked yet, or no longer.
    """

    letter: int
    first: int
    last: int
    box: Box
    colour: Colour
    history: list[tuple[int, Colour]]
    marked_colour: Colour | None
    weight: float
    is_unmarked: bool


def start_track(row: int, trace: ScreenTrace, *, is_unmarked: bool) -> ColourTrack:
    frame, colour = int(trace.frame_R[row]), trace.colour_R6[row]
    return ColourTrack(
        letter=int(trace.letter_R[row]),
        first=frame,
        last=frame,
        box=trace.box_R4[row],
        colour=colour,
        history=[(frame, colour)],
        marked_colour=None if is_unmarked else colour,
        weight=1.0,
        is_unmarked=is_unmarked,
    )


def matching_track(tracks: Sequence[ColourTrack], row: int, trace: ScreenTrace) -> ColourTrack | None:
    """The track of earlier frames that the detection continues, or None for a new letter."""
    letter, box, frame = trace.letter_R[row], trace.box_R4[row], trace.frame_R[row]
    overlaps = [
        (intersection_over_union(track.box, box), track)
        for track in tracks
        if track.letter == letter and track.last != frame
    ]
    overlap, track = max(overlaps, key=lambda pair: pair[0], default=(0.0, None))
    return track if overlap >= SAME_TRACK_IOU else None


def continue_track(track: ColourTrack, row: int, trace: ScreenTrace, repeat_decay: float) -> None:
    """Update a track with its next detection: the letter is new or marked again, unchanged, or no longer marked."""
    box, colour, frame = trace.box_R4[row], trace.colour_R6[row], int(trace.frame_R[row])
    oldest = frame - _COLOUR_HISTORY_SECONDS * trace.rate
    track.history = [one for one in track.history if one[0] >= oldest] or track.history[-1:]
    colours = [one for _, one in track.history]
    has_moved = intersection_over_union(track.box, box) < _SAME_PLACE_IOU
    has_moved = has_moved and (not track.is_unmarked or are_aligned(track.box, box))
    has_new_colour = np.abs(track.colour - colour)[:3].max() >= NEW_COLOUR
    has_new_colour = has_new_colour and not any(_is_lit(one, colour) for one in colours)
    was_absent = (frame - track.last) / trace.rate >= _REAPPEAR_SECONDS
    if any(_has_faded(one, colour) for one in colours):
        track.is_unmarked = True
    elif has_new_colour or (has_moved and (track.is_unmarked or was_absent)):
        track.weight, track.is_unmarked, track.marked_colour = 1.0, False, colour
    else:
        track.weight = max(track.weight * repeat_decay, _MIN_REPEAT_WEIGHT)
        # The border of a moving letter is paler than the letter; this does not end its mark.
        track.is_unmarked &= track.marked_colour is None or not _has_colour_again(track.marked_colour, colour)
    track.box, track.colour, track.last = box, colour, frame
    track.history.append((frame, colour))


def are_aligned(box: Box, other: Box) -> bool:
    """Whether two letters may be in one row: similar heights, side by side."""
    height, height_other = float(box[3] - box[1]), float(other[3] - other[1])
    shared_height = min(float(box[3]), float(other[3])) - max(float(box[1]), float(other[1]))
    return 0.67 < height / height_other < 1.5 and shared_height > 0.6 * min(height, height_other)


def contrast(colour: Colour) -> NDArray[np.float32]:
    """(3,) colour of the letter minus colour of its background."""
    return colour[:3] - colour[3:]


def contrast_ratio(before_3: NDArray[np.float32], now_3: NDArray[np.float32]) -> float:
    """Factor of `before_3` in `now_3` (least squares)."""
    size = float(before_3 @ before_3)
    return float(now_3 @ before_3) / size if size > 0 else 1.0


def _is_lit(before: Colour, now: Colour) -> bool:
    """Whether the contrast kept its hue and did not grow: light that falls on letter and background only reduces it."""
    ratio = contrast_ratio(contrast(before), contrast(now))
    return 0 < ratio <= _MAX_BRIGHTENING and float(np.abs(contrast(now) - ratio * contrast(before)).max()) < NEW_COLOUR


def _has_faded(before: Colour, now: Colour) -> bool:
    """Whether the letter's colour moved towards that of its unchanged background: the letter is no longer marked."""
    change, background_change = np.abs(now[:3] - before[:3]).max(), np.abs(now[3:] - before[3:]).max()
    if change < 15 or background_change > 0.5 * change:
        return False
    return contrast_ratio(contrast(before), contrast(now)) < 0.95 and _is_lit(before, now)


def _has_colour_again(marked: Colour, now: Colour) -> bool:
    """Whether the letter has the colour of its mark again."""
    has_contrast = contrast_ratio(contrast(marked), contrast(now)) >= 0.95
    return has_contrast and float(np.abs(now[:3] - marked[:3]).max()) < 0.5 * NEW_COLOUR


# --- tracks with the time for which a letter is visible ------------------------------------------------------------


@dataclass(slots=True)
class LetterTrack:
    """Detections of one letter at one place, for as long as it is visible.

    Args:
        first, last: sampled frames of the first and last detection.
        first_row, last_row, best_row: first, last and most probable detection.
        best_score: probability of the letter in `best_row`.
    """

    letter: int
    first: int
    last: int
    first_row: int
    last_row: int
    best_row: int
    best_score: float


def letter_tracks(trace: ScreenTrace) -> list[LetterTrack]:
    """Tracks of all certain detections, in the order of their first ones. A letter that reappears starts a new track."""
    tracks: list[LetterTrack] = []
    open_tracks: list[LetterTrack] = []
    for row in np.flatnonzero(trace.score_R >= CONFIDENT_SCORE).tolist():
        frame, letter, score = int(trace.frame_R[row]), int(trace.letter_R[row]), float(trace.score_R[row])
        track = next((one for one in open_tracks if one.letter == letter and _continues(one, row, trace)), None)
        if track is None:
            track = LetterTrack(letter, frame, frame, row, row, row, score)
            tracks.append(track)
            open_tracks = [one for one in open_tracks if one.last > frame - _OPEN_SECONDS * trace.rate]
            open_tracks.append(track)
        track.last, track.last_row = frame, row
        if score > track.best_score:
            track.best_score, track.best_row = score, row
    return tracks


def _continues(track: LetterTrack, row: int, trace: ScreenTrace) -> bool:
    frame = int(trace.frame_R[row])
    overlap = intersection_over_union(trace.box_R4[track.last_row], trace.box_R4[row])
    if frame == track.last or overlap < SAME_TRACK_IOU:
        return False
    return frame - track.last <= _MOVING_SECONDS * trace.rate or disappearance(track, trace) >= frame


def disappearance(track: LetterTrack, trace: ScreenTrace) -> int:
    """The first sampled frame after the track in which the letter is not visible, or another letter is at its place."""
    box, after = trace.box_R4[track.last_row], track.last + 1
    edges_TGG = edges_at(box, trace)
    is_gone = ~is_visible(edges_TGG[after:], edges_TGG[track.last])
    gone = after + int(np.flatnonzero(is_gone)[0]) if is_gone.any() else trace.num_frames
    return min([gone, *frames_with_other_letter(box, track.letter, trace, min_iou=0.5, low=after).tolist()])


def appearance(track: LetterTrack, trace: ScreenTrace) -> int:
    """The first sampled frame in which the letter is visible at the place of its first detection.

    If the place looked the same before, this is the first detection: a letter of a row changed its colour, or it
    replaced one with the same outline.
    """
    box, first = trace.box_R4[track.first_row], track.first
    earliest = max(0, first - round(_MAX_FADE_IN_SECONDS * trace.rate))
    edges_TGG = edges_at(box, trace)
    differs = np.flatnonzero(edge_similarity(edges_TGG, edges_TGG[first])[earliest:first] < VISIBLE_SIMILARITY)
    appeared = earliest + int(differs[-1]) + 1 if differs.size else first
    others = frames_with_other_letter(box, track.letter, trace, min_iou=0.5, high=first)
    return min(max([appeared, *(others + 1).tolist()]), first)
