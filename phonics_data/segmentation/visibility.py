"""When a letter on the screen comes and goes: from readings that belong together to the edges of its phrase. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.phrases import Phrase
from phonics_data.segmentation.screen_evidence import ScreenOptions, best_row, overlap
from phonics_data.segmentation.viterbi import Run, Scores


@dataclass(frozen=True, slots=True)
class _Sighting:
    """One letter's stay: its run, the looks at which it was read, and the box of its first and last reading."""

    run: Run
    looks: NDArray[np.int64]
    first_box: NDArray[np.float32]
    last_box: NDArray[np.float32]


def phrases_of(runs: list[Run], letters_TL: Scores, trace: ScreenTrace, options: ScreenOptions) -> list[Phrase]:
    """Segments with boundaries from the picture: cuts, and when the letters' places fill and empty."""
    sightings = [sighting for run in runs if (sighting := _sighting(run, letters_TL, trace, options)) is not None]
    phrases: list[Phrase] = []
    starts = [
        _start(sighting, before, letters_TL, trace, options)
        for before, sighting in zip([None, *sightings[:-1]], sightings, strict=True)
    ]
    for index, (sighting, start) in enumerate(zip(sightings, starts, strict=True)):
        next_start = starts[index + 1] if index + 1 < len(starts) else trace.changed_T.size / trace.rate
        end = min(_end(sighting, trace, options), next_start)
        run = sighting.run
        sums = letters_TL[run.low : run.high].sum(axis=0)
        margin = sums[run.letter] - np.delete(sums, run.letter).max()
        phrases.append(
            Phrase(
                letter=LETTERS[run.letter],
                object_word=None,
                start_seconds=start,
                end_seconds=max(end, start),
                confidence=round(float(1 - np.exp(-max(margin, 0.0))), 3),
                evidence="screen",
            )
        )
    return phrases


def _sighting(run: Run, letters_TL: Scores, trace: ScreenTrace, options: ScreenOptions) -> _Sighting | None:
    """The letter's main stay: what was read of it long before or after, when it had gone meanwhile, is a title or an end card."""
    looks = np.flatnonzero(letters_TL[run.low : run.high, run.letter] > 0) + run.low
    if not looks.size:
        return None
    parted = [
        (after - before) >= options.parted_seconds * trace.rate and _was_gone(before, after, run.letter, trace, options)
        for before, after in pairwise(looks.tolist())
    ]
    stays = np.split(looks, np.flatnonzero(parted) + 1)
    looks = max(stays, key=lambda stay: float(letters_TL[stay, run.letter].sum()))
    looks = _without_strays(run, looks, letters_TL, trace)
    looks = np.union1d(looks, _further_looks(run, looks, trace, options))
    first, last = (trace.box_R4[best_row(int(look), run.letter, trace)] for look in (looks[0], looks[-1]))
    return _Sighting(run, looks, first, last)


def _without_strays(run: Run, looks: NDArray[np.int64], letters_TL: Scores, trace: ScreenTrace) -> NDArray[np.int64]:
    """Without weak readings of another size before and after the letter itself: half of another one in a fade, a piece of a
    drawing, a small one that dances in a chorus."""
    said = letters_TL[looks, run.letter]
    boxes = trace.box_R4[[best_row(int(look), run.letter, trace) for look in looks]]
    heights = boxes[:, 3] - boxes[:, 1]
    most = int(said.argmax())
    is_own = (said >= 0.5 * said[most]) | (np.abs(np.log(heights / heights[most])) < 0.3)
    own = np.flatnonzero(is_own)
    return looks[int(own[0]) : int(own[-1]) + 1]


def _further_looks(run: Run, looks: NDArray[np.int64], trace: ScreenTrace, options: ScreenOptions) -> NDArray[np.int64]:
    """Later looks at which the letter was read too, so faded that they were no evidence; it was still there."""
    size = trace.box_R4[best_row(int(looks[-1]), run.letter, trace)]
    height = trace.box_R4[:, 3] - trace.box_R4[:, 1]
    is_same = (trace.letters_R26.argmax(axis=1) == run.letter) & (trace.letters_R26.max(axis=1) >= 0.5)
    is_same &= np.abs(np.log(height / (size[3] - size[1]))) < 0.3
    later = trace.look_R[is_same & (trace.look_R > looks[-1]) & (trace.look_R < run.high)].astype(np.int64)
    apart = np.flatnonzero(np.diff(np.concatenate([looks[-1:], later])) > options.parted_seconds * trace.rate)
    return later[: int(apart[0])] if apart.size else later


def _was_gone(before: int, after: int, letter: int, trace: ScreenTrace, options: ScreenOptions) -> bool:
    """Whether the letter that was read at look `before` was gone before it was read again at look `after`."""
    row = best_row(before, letter, trace)
    place_TGG = _cells(trace.box_R4[row], trace)[before:after]
    if (_likeness(place_TGG, place_TGG[0]) < options.alike).any():
        return True
    return bool(_others_at(trace.box_R4[row], letter, before + 1, after, trace))


def _others_at(
    box: NDArray[np.float32], letter: int, low: int, high: int, trace: ScreenTrace, *, least: float = 0.35
) -> list[int]:
    """The looks of ``[low, high)`` at which another letter was surely read at a place: overlap of at least `least`."""
    rows = np.flatnonzero((trace.look_R >= low) & (trace.look_R < high))
    rows = rows[trace.letters_R26[rows].max(axis=1, initial=0) >= 0.8]
    rows = rows[trace.letters_R26[rows].argmax(axis=1) != letter]
    return [int(trace.look_R[row]) for row in rows.tolist() if overlap(trace.box_R4[row], box) >= least]


def _likeness(place_TGG: NDArray[np.float64], shown_GG: NDArray[np.float64]) -> NDArray[np.float64]:
    """(looks,) 1 where a place looks as in `shown_GG`, 0 where the edges have nothing in common."""
    differs = np.abs(place_TGG - shown_GG).sum(axis=(1, 2))
    return 1 - differs / np.maximum((place_TGG + shown_GG).sum(axis=(1, 2)), 1.0)


def _cells(box: NDArray[np.float32], trace: ScreenTrace) -> NDArray[np.float64]:
    """(looks, rows, columns) edge strength in the cells of the grid that `box` covers."""
    rows, columns = trace.edges_TGG.shape[1:]
    left, top = int(box[0] * columns), int(box[1] * rows)
    right, bottom = max(left + 1, round(float(box[2]) * columns)), max(top + 1, round(float(box[3]) * rows))
    return trace.edges_TGG[:, top:bottom, left:right].astype(np.float64)


def _start(
    sighting: _Sighting, before: _Sighting | None, letters_TL: Scores, trace: ScreenTrace, options: ScreenOptions
) -> float:
    """When the letter begins to be seen: the last cut before its first reading, else when its place begins to fill,
    else, where it was there before (a row of letters), the largest change just before.

    A row that comes as a whole is its first letter's turn where the letter before it has just gone; the row that opens
    a song waits for its first mark.
    """
    first, last_before = int(sighting.looks[0]), int(before.looks[-1]) if before else 0
    marks = sighting.looks[letters_TL[sighting.looks, sighting.run.letter] > options.waiting]
    opens = before is None or before.run.letter + 1 != sighting.run.letter
    if opens and marks.size:
        first = int(marks[0])
    # What a look shows for the first time came on average half a look before it.
    half = 0.5 / trace.rate
    low = max(min(last_before + 1, first), first - 3 * trace.rate, 0)
    low = max([low, *(look + 1 for look in _others_at(sighting.first_box, sighting.run.letter, low, first, trace))])
    window = np.arange(low, first + 1)
    cuts = window[trace.cut_T[window]]
    if cuts.size and opens and _waited(int(cuts[-1]), first, sighting, trace):
        window = window[window > cuts[-1]]
        return max(float(_last_change(window, first, trace)) / trace.rate - half, 0.0)
    if cuts.size:
        return max(float(cuts[-1]) / trace.rate - half, 0.0)
    strength = _cells(sighting.first_box, trace)[window].mean(axis=(1, 2))
    floor, full = strength.min(), strength[-1]
    if full - floor > 0.4 * full:
        empty = np.flatnonzero(strength <= floor + options.empty * (full - floor))
        return max((float(window[empty[-1]]) + 1) / trace.rate - half, 0.0)
    return max(float(_last_change(window, first, trace)) / trace.rate - half, 0.0)


def _last_change(window: NDArray[np.int64], first: int, trace: ScreenTrace) -> int:
    """The look of the largest change just before look `first`."""
    near = window[window > first - 0.3 * trace.rate]
    return int(near[int(trace.changed_T[near].argmax())])


def _waited(cut: int, first: int, sighting: _Sighting, trace: ScreenTrace) -> bool:
    """Whether the letter stood at its place from a cut on until it was marked at look `first`."""
    letter = sighting.run.letter
    is_before = (trace.look_R >= cut) & (trace.look_R < first)
    is_same = (trace.letters_R26.argmax(axis=1) == letter) & (trace.letters_R26.max(axis=1, initial=0) >= 0.8)
    before = np.flatnonzero(is_before & is_same)
    return any(overlap(trace.box_R4[row], sighting.first_box) >= 0.6 for row in before.tolist())


def _end(sighting: _Sighting, trace: ScreenTrace, options: ScreenOptions) -> float:
    """When the letter is gone: the next cut, else when its place has emptied or shows something else.

    Edges of one letter may be like those of another, so another letter that is read there tells, too.
    """
    last = int(sighting.looks[-1])
    half = 0.5 / trace.rate
    place_TGG = _cells(sighting.last_box, trace)[last:]
    gone = trace.cut_T[last:] | (_likeness(place_TGG, place_TGG[0]) < options.alike)
    others = _others_at(sighting.last_box, sighting.run.letter, last + 1, last + gone.size, trace, least=0.3)
    gone[[look - last for look in others]] = True
    gone[0] = False
    if gone.any():
        return float(last + int(np.flatnonzero(gone)[0])) / trace.rate - half
    return trace.changed_T.size / trace.rate
