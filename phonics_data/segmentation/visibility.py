"""Runs of the screen decoder -> phrases: when each letter becomes visible and when it disappears. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from phonics_data.ocr.geometry import Box, intersections_over_union
from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.phrases import Phrase, margin_confidence
from phonics_data.segmentation.tracks import (
    CONFIDENT_SCORE,
    UNMARKED_WEIGHT,
    VISIBLE_SIMILARITY,
    best_detection,
    edge_similarity,
    edges_at,
    frames_with_other_letter,
)
from phonics_data.segmentation.viterbi import LetterRun, Scores

_SPLIT_SECONDS = 2.0
"""Detections further apart than this belong to different intervals if the letter was not visible in between."""
_EMPTY = 0.08
"""A place is empty if its edge strength is up to this fraction of the range above its minimum."""
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


def screen_phrases(runs: list[LetterRun], letters_TL: Scores, trace: ScreenTrace) -> list[Phrase]:
    """Phrases with boundaries from the frames: cuts, and the times at which the letters' places fill and become empty."""
    intervals = [interval for run in runs if (interval := _interval(run, letters_TL, trace)) is not None]
    starts = [
        _start(interval, before, letters_TL, trace)
        for before, interval in zip([None, *intervals[:-1]], intervals, strict=True)
    ]
    return [
        Phrase(
            letter=LETTERS[interval.run.letter],
            object_word=None,
            start_seconds=start,
            end_seconds=max(min(_end(interval, trace), next_start), start),
            confidence=margin_confidence(interval.run, letters_TL),
            evidence="screen",
        )
        for interval, start, next_start in zip(intervals, starts, [*starts[1:], trace.duration_seconds], strict=False)
    ]


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
    boxes = trace.box_R4[[best_detection(int(frame), run.letter, trace) for frame in frames]]
    heights = boxes[:, 3] - boxes[:, 1]
    most = int(evidence.argmax())
    is_own = (evidence >= 0.5 * evidence[most]) | (np.abs(np.log(heights / heights[most])) < _SAME_SIZE)
    own = np.flatnonzero(is_own)
    return frames[int(own[0]) : int(own[-1]) + 1]


def _later_frames(run: LetterRun, frames: NDArray[np.int64], trace: ScreenTrace) -> NDArray[np.int64]:
    """Later frames in which the letter was detected without being evidence, because it had faded; it was still visible."""
    box = trace.box_R4[best_detection(int(frames[-1]), run.letter, trace)]
    height_R = trace.box_R4[:, 3] - trace.box_R4[:, 1]
    is_same = (trace.letter_R == run.letter) & (trace.score_R >= 0.5)
    is_same &= np.abs(np.log(height_R / (box[3] - box[1]))) < _SAME_SIZE
    later = trace.frame_R[is_same & (trace.frame_R > frames[-1]) & (trace.frame_R < run.high)].astype(np.int64)
    gaps = np.flatnonzero(np.diff(np.concatenate([frames[-1:], later])) > _SPLIT_SECONDS * trace.rate)
    return later[: int(gaps[0])] if gaps.size else later


def _was_gone(before: int, after: int, letter: int, trace: ScreenTrace) -> bool:
    """Whether a letter that was detected in frames `before` and `after` was not visible in between."""
    box = trace.box_R4[best_detection(before, letter, trace)]
    edges_TGG = edges_at(box, trace)[before:after]
    if (edge_similarity(edges_TGG, edges_TGG[0]) < VISIBLE_SIMILARITY).any():
        return True
    return frames_with_other_letter(box, letter, trace, min_iou=0.35, low=before + 1, high=after).size > 0


def _start(interval: _Interval, before: _Interval | None, letters_TL: Scores, trace: ScreenTrace) -> float:
    """When the letter becomes visible, in seconds.

    - The last cut before its first detection, else
    - the time at which its place begins to fill, else
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
    # A change that a frame shows first happened on average half a frame interval before it.
    half = 0.5 / trace.rate
    low = max(min(last_before + 1, first), first - 3 * trace.rate, 0)
    others = frames_with_other_letter(interval.first_box, letter, trace, min_iou=0.35, low=low, high=first)
    low = max([low, *(others + 1).tolist()])
    window = np.arange(low, first + 1)
    cuts = window[trace.cut_T[window]]
    if cuts.size and opens and _was_unmarked(int(cuts[-1]), first, interval, trace):
        window = window[window > cuts[-1]]
    elif cuts.size:
        return max(float(cuts[-1]) / trace.rate - half, 0.0)
    else:
        strength = edges_at(interval.first_box, trace)[window].mean(axis=(1, 2))
        floor, full = strength.min(), strength[-1]
        if full - floor > 0.4 * full:
            empty = np.flatnonzero(strength <= floor + _EMPTY * (full - floor))
            return max((float(window[empty[-1]]) + 1) / trace.rate - half, 0.0)
    near = window[window > first - 0.3 * trace.rate]
    largest = near[int(trace.changed_T[near].argmax())]
    return max(float(largest) / trace.rate - half, 0.0)


def _was_unmarked(cut: int, first: int, interval: _Interval, trace: ScreenTrace) -> bool:
    """Whether the letter was visible at its place from a cut until it was marked in frame `first`."""
    is_before = (trace.frame_R >= cut) & (trace.frame_R < first)
    rows = np.flatnonzero(is_before & (trace.letter_R == interval.run.letter) & (trace.score_R >= CONFIDENT_SCORE))
    return bool((intersections_over_union(trace.box_R4[rows], interval.first_box) >= 0.6).any())


def _end(interval: _Interval, trace: ScreenTrace) -> float:
    """When the letter disappears, in seconds: the next cut, or its place becomes empty or shows another letter.

    Detections of other letters are needed because two letters can have similar edges.
    """
    last, box = int(interval.frames[-1]), interval.last_box
    edges_TGG = edges_at(box, trace)[last:]
    is_gone = trace.cut_T[last:] | (edge_similarity(edges_TGG, edges_TGG[0]) < VISIBLE_SIMILARITY)
    is_gone[frames_with_other_letter(box, interval.run.letter, trace, min_iou=0.3, low=last + 1) - last] = True
    is_gone[0] = False
    if is_gone.any():
        return float(last + int(np.flatnonzero(is_gone)[0])) / trace.rate - 0.5 / trace.rate
    return trace.duration_seconds
