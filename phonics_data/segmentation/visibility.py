"""Runs of the screen decoder -> phrases: when each letter becomes visible and when it disappears. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phonics_data.ocr.geometry import (
    Box,
    area,
    intersection,
    intersection_over_union,
    intersections_over_union,
)
from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.phrases import Phrase, margin_confidence
from phonics_data.segmentation.tracks import (
    CONFIDENT_SCORE,
    SAME_TRACK_IOU,
    UNMARKED_WEIGHT,
    best_detection,
    edge_similarity,
    edges_at,
    frames_with_other_letter,
    is_visible,
)
from phonics_data.segmentation.viterbi import LetterRun, Scores

_SPLIT_SECONDS = 2.0
"""Detections further apart than this belong to different intervals if the letter was not visible in between."""
_NEXT_SECONDS, _MOVE_SECONDS = 0.25, 1.0
"""Detections of one moving letter follow each other within the first time, or within the second in the same colours."""
_SAME_COLOUR = 25.0
"""Difference of a colour channel (of 255) below which a moved letter has the same colours."""
_EMPTY = 0.08
"""A place is empty if its edge strength is up to this fraction of the range above its minimum."""
_MIN_FILL = 0.4
"""A place was empty if at least this fraction of its edge strength has been added since."""
_MAX_PART, _MAX_LOST = 0.85, 0.1
"""A letter that is being drawn has at most the first fraction of its edge strength, and loses at most the second."""
_OWN_EDGES, _MIN_OWN_EDGES = 0.4, 0.25
"""A cell belongs to the letter if this fraction of its edge strength came with it; the cells together must have this
fraction of the strength at the letter's place."""
_MIN_RELATIVE_HEIGHT = 0.25
"""Smaller shapes within a letter's place are parts of the letter."""
_SAME_LOOK = 0.92
"""`edge_similarity` from which a place shows the same, in frames without motion. "Aa" and "Bb" on one card have 0.84."""
_SAME_SIZE = 0.3
"""Absolute log ratio of two heights below which two letters have the same size."""


@dataclass(frozen=True, slots=True)
class _Interval:
    """The interval in which a run's letter is visible.

    Args:
        frames: sampled frames with a detection of the letter.
        first_box, last_box: boxes of the first and last detection.
    """

    run: LetterRun
    frames: NDArray[np.int64]
    first_box: Box
    last_box: Box


class _Start(NamedTuple):
    """The first sampled frame of a phrase; `is_seen` if the letter appeared or changed in it."""

    frame: int
    is_seen: bool


def screen_phrases(runs: list[LetterRun], letters_TL: Scores, trace: ScreenTrace) -> list[Phrase]:
    """Phrases with boundaries from the frames: cuts, and the times at which the letters' places fill and become empty."""
    intervals = [interval for run in runs if (interval := _interval(run, letters_TL, trace)) is not None]
    starts = [
        _start(interval, before, letters_TL, trace)
        for before, interval in zip([None, *intervals[:-1]], intervals, strict=True)
    ]
    phrases: list[Phrase] = []
    for interval, start, following in zip(intervals, starts, [*starts[1:], None], strict=False):
        gone = _end(interval, start.frame, trace)
        low = trace.change_seconds(start.frame)
        high = trace.duration_seconds if following is None else trace.change_seconds(following.frame)
        end = trace.duration_seconds if gone is None else trace.change_seconds(gone)
        phrases.append(
            Phrase(
                letter=LETTERS[interval.run.letter],
                object_word=None,
                start_seconds=low,
                end_seconds=max(min(end, high), low),
                confidence=margin_confidence(interval.run, letters_TL),
                evidence="screen",
                edge_support=(start.is_seen + _end_support(gone, following)) / 2,
            )
        )
    return phrases


def _end_support(gone: int | None, following: _Start | None) -> float:
    """1 if the letter was seen to disappear, 0.5 if only another letter's appearance ends it, 0 if nothing does."""
    if gone is not None and (following is None or gone <= following.frame + 1):
        return 1.0
    return 0.5 if following is not None and following.is_seen else 0.0


def _interval(run: LetterRun, letters_TL: Scores, trace: ScreenTrace) -> _Interval | None:
    """The run's main interval. Detections long before or after it, with the letter gone in between, are titles or end cards."""
    frames = np.flatnonzero(letters_TL[run.low : run.high, run.letter] > 0) + run.low
    if not frames.size:
        return None
    is_split = [
        (after - before) >= _SPLIT_SECONDS * trace.rate and _was_gone(before, after, run.letter, trace)
        for before, after in pairwise(frames.tolist())
    ]
    parts = np.split(frames, np.flatnonzero(is_split) + 1)
    frames = max(parts, key=lambda part: float(letters_TL[part, run.letter].sum()))
    frames = _without_other_size(run, frames, letters_TL, trace)
    frames = np.union1d(frames, _later_frames(run, frames, trace))
    first, last = (trace.box_R4[best_detection(int(frame), run.letter, trace)] for frame in (frames[0], frames[-1]))
    return _Interval(run, frames, first, last)


def _without_other_size(
    run: LetterRun, frames: NDArray[np.int64], letters_TL: Scores, trace: ScreenTrace
) -> NDArray[np.int64]:
    """The frames without weak detections of another size before and after the letter: half of another letter in a fade, a
    part of a drawing, a small letter that moves in a chorus."""
    evidence = letters_TL[frames, run.letter]
    rows = [best_detection(int(frame), run.letter, trace) for frame in frames]
    heights = trace.box_R4[rows, 3] - trace.box_R4[rows, 1]
    most = int(evidence.argmax())
    is_own = (evidence >= 0.5 * evidence[most]) | (np.abs(np.log(heights / heights[most])) < _SAME_SIZE)
    own = np.flatnonzero(is_own)
    first, last = int(own[0]), int(own[-1])
    # A letter that shrinks or grows while it moves stays the same letter, and so do both letters of a pair.
    while first and _is_same_letter(rows[first - 1], rows[first], trace):
        first -= 1
    while last + 1 < frames.size and _is_same_letter(rows[last], rows[last + 1], trace):
        last += 1
    return frames[first : last + 1]


def _is_same_letter(row: int, later_row: int, trace: ScreenTrace) -> bool:
    """Whether two successive detections of a letter show it at about the same place, or in the same colours."""
    box, later_box = trace.box_R4[row], trace.box_R4[later_row]
    delay = (trace.frame_R[later_row] - trace.frame_R[row]) / trace.rate
    log_ratio = abs(float(np.log((later_box[3] - later_box[1]) / (box[3] - box[1]))))
    if delay <= _NEXT_SECONDS and log_ratio < _SAME_SIZE and intersection_over_union(box, later_box) >= SAME_TRACK_IOU:
        return True
    colour_change = float(np.abs(trace.colour_R6[later_row] - trace.colour_R6[row]).max())
    is_certain = min(trace.score_R[row], trace.score_R[later_row]) >= CONFIDENT_SCORE
    return bool(delay <= _MOVE_SECONDS and is_certain and colour_change < _SAME_COLOUR)


def _later_frames(run: LetterRun, frames: NDArray[np.int64], trace: ScreenTrace) -> NDArray[np.int64]:
    """Later frames in which the letter was detected without being evidence, because it had faded; it was still visible."""
    box = trace.box_R4[best_detection(int(frames[-1]), run.letter, trace)]
    is_same = (trace.letter_R == run.letter) & (trace.score_R >= 0.5)
    last, later = int(frames[-1]), list[int]()
    for row in np.flatnonzero(is_same & (trace.frame_R > frames[-1]) & (trace.frame_R < run.high)).tolist():
        frame, other = int(trace.frame_R[row]), trace.box_R4[row]
        if frame - last > _SPLIT_SECONDS * trace.rate:
            break
        # The same letter elsewhere, or with another size, belongs to a chart or title.
        is_close = abs(float(np.log((other[3] - other[1]) / (box[3] - box[1])))) < _SAME_SIZE
        if is_close and intersection_over_union(other, box) >= SAME_TRACK_IOU:
            last, box = frame, other
            later.append(frame)
    return np.array(later, np.int64)


def _was_gone(before: int, after: int, letter: int, trace: ScreenTrace) -> bool:
    """Whether a letter that was detected in frames `before` and `after` was not visible in between."""
    box = trace.box_R4[best_detection(before, letter, trace)]
    edges_TGG = edges_at(box, trace)[before:after]
    if not is_visible(edges_TGG, edges_TGG[0]).all():
        return True
    later_box = trace.box_R4[best_detection(after, letter, trace)]
    if trace.cut_T[before + 1 : after].any() and intersection_over_union(box, later_box) < SAME_TRACK_IOU:
        return True
    return frames_with_other_letter(box, letter, trace, min_iou=0.35, low=before + 1, high=after).size > 0


def _start(interval: _Interval, before: _Interval | None, letters_TL: Scores, trace: ScreenTrace) -> _Start:
    """The first sampled frame in which the letter is visible.

    - The frame in which its place begins to fill, after the last cut before its first detection, else
    - the frame after this cut in which its place changes once (another letter was there), else
    - this cut, else
    - the largest change shortly before, if it was visible there before (in a row of letters).

    A row that appears as a whole starts the phrase of its first letter if the previous letter has just disappeared. The
    first row of a song is unmarked until its first letter is marked.
    """
    letter = interval.run.letter
    first, last_before = int(interval.frames[0]), int(before.frames[-1]) if before else 0
    marks = interval.frames[letters_TL[interval.frames, letter] > UNMARKED_WEIGHT]
    opens = before is None or before.run.letter + 1 != letter
    if opens and marks.size:
        first = int(marks[0])
    low = max(min(last_before + 1, first), first - 3 * trace.rate, 0)
    others = frames_with_other_letter(interval.first_box, letter, trace, min_iou=0.35, low=low, high=first)
    low = max(
        [low, *(frame + 1 for frame in others.tolist() if not _is_drawn(interval.first_box, frame, first, trace))]
    )
    window = np.arange(low, first + 1)
    cuts = window[trace.cut_T[window]]
    is_row = bool(cuts.size) and opens and _was_unmarked(int(cuts[-1]), first, interval, trace)
    if not is_row:
        window = window[window >= cuts[-1]] if cuts.size else window
        filled = _fill(interval.first_box, window, trace)
        if filled is None and cuts.size and not _was_unmarked(int(cuts[-1]), first, interval, trace):
            filled = _step(interval.first_box, window, trace)
        if filled is not None or cuts.size:
            return _Start(filled if filled is not None else int(cuts[-1]), True)
    else:
        window = window[window > cuts[-1]]
    near = window[window > first - 0.3 * trace.rate]
    largest = int(near[int(trace.changed_T[near].argmax())])
    return _Start(largest, bool(trace.changed_T[largest] > 0))


def _is_drawn(box: Box, before: int, first: int, trace: ScreenTrace) -> bool:
    """Whether what frame `before` shows at a letter's place is a part of the letter: edges were added, none was lost."""
    edges_TGG = edges_at(box, trace)
    lost = np.maximum(edges_TGG[before] - edges_TGG[first], 0.0).sum()
    return bool(
        edges_TGG[before].sum() < _MAX_PART * edges_TGG[first].sum() and lost < _MAX_LOST * edges_TGG[before].sum()
    )


def _fill(box: Box, window: NDArray[np.int64], trace: ScreenTrace) -> int | None:
    """The frame of `window` in which an empty place begins to fill; None if it was not empty."""
    strength = edges_at(box, trace)[window].mean(axis=(1, 2))
    floor, full = strength.min(), strength[-1]
    if full - floor <= _MIN_FILL * full:
        return None
    empty = np.flatnonzero(strength <= floor + _EMPTY * (full - floor))
    return int(window[empty[-1]]) + 1


def _step(box: Box, window: NDArray[np.int64], trace: ScreenTrace) -> int | None:
    """The frame of `window` in which a place that did not change before takes the look of the last frame; None if none.

    Another letter stood there, for example on a card in the corner of a scene that was cut.
    """
    edges_TGG = edges_at(box, trace)[window]
    is_old, is_new = (edge_similarity(edges_TGG, edges_TGG[index]) >= _SAME_LOOK for index in (0, -1))
    if is_new[0] or not (is_old ^ is_new).all():
        return None
    changed = int(is_new.argmax())
    return int(window[changed]) if is_new[changed:].all() else None


def _was_unmarked(cut: int, first: int, interval: _Interval, trace: ScreenTrace) -> bool:
    """Whether the letter was visible at its place from a cut until it was marked in frame `first`."""
    is_before = (trace.frame_R >= cut) & (trace.frame_R < first)
    rows = np.flatnonzero(is_before & (trace.letter_R == interval.run.letter) & (trace.score_R >= CONFIDENT_SCORE))
    return bool((intersections_over_union(trace.box_R4[rows], interval.first_box) >= 0.6).any())


def _end(interval: _Interval, start: int, trace: ScreenTrace) -> int | None:
    """The first sampled frame in which the letter is not visible any more; None if it is visible to the end.

    A cut, or its place becomes empty or shows other letters. Detections of other letters are needed because two letters
    can have similar edges.
    """
    last, box = int(interval.frames[-1]), interval.last_box
    is_gone = trace.cut_T[last:] | ~is_visible(*_own_edges(box, start, last, trace))
    others = frames_with_other_letter(box, interval.run.letter, trace, min_iou=0.3, low=last + 1)
    is_gone[others - last] = True
    is_gone[_frames_with_letters_inside(box, interval.run.letter, trace, low=last + 1) - last] = True
    is_gone[0] = False
    return last + int(np.flatnonzero(is_gone)[0]) if is_gone.any() else None


def _own_edges(box: Box, start: int, last: int, trace: ScreenTrace) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Edges at the letter's place from frame `last` on, and those in frame `last`, in the cells that the letter has filled.

    A box can contain more than the letter: the border of its card stays when the letter is gone.
    """
    edges_TGG = edges_at(box, trace)
    after_TGG, reference_GG = edges_TGG[last:], edges_TGG[last]
    if not start or trace.cut_T[start : last + 1].any():
        return after_TGG, reference_GG
    is_own_GG = reference_GG - edges_TGG[start - 1] > _OWN_EDGES * reference_GG
    if float(reference_GG[is_own_GG].sum()) < _MIN_OWN_EDGES * float(reference_GG.sum()):
        return after_TGG, reference_GG
    return np.where(is_own_GG, after_TGG, 0.0), np.where(is_own_GG, reference_GG, 0.0)


def _frames_with_letters_inside(box: Box, letter: int, trace: ScreenTrace, *, low: int) -> NDArray[np.int64]:
    """Sampled frames from `low` on in which two other letters were certainly detected within a letter's place: a chart."""
    is_other = (trace.letter_R != letter) & (trace.score_R >= CONFIDENT_SCORE) & (trace.frame_R >= low)
    height_R = trace.box_R4[:, 3] - trace.box_R4[:, 1]
    is_other &= height_R > _MIN_RELATIVE_HEIGHT * (box[3] - box[1])
    found: dict[int, list[int]] = {}
    for row in np.flatnonzero(is_other).tolist():
        inner = trace.box_R4[row]
        if intersection(inner, box) > 0.7 * area(inner):
            found.setdefault(int(trace.frame_R[row]), []).append(row)
    return np.array(
        [
            frame
            for frame, rows in found.items()
            if any(not intersection(trace.box_R4[rows[0]], trace.box_R4[row]) for row in rows[1:])
        ],
        np.int64,
    )
