"""OCR detections -> evidence for each letter in each sampled frame. Pure.

A detection has full weight if its letter is new: it has appeared or changed its colour. Each further detection of the
same track has less weight. Otherwise a drawing that looks like an O and moves throughout a phrase would outweigh the
letter that was shown at the phrase's beginning.

Letters of a row that appear together are unmarked: they have almost no weight until they are marked with a colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phonics_data.ocr.geometry import Box, area, intersection, intersection_over_union
from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.tracks import (
    CONFIDENT_SCORE,
    MIN_SCORE,
    NEW_COLOUR,
    UNMARKED_WEIGHT,
    Colour,
    ColourTrack,
    are_aligned,
    continue_track,
    contrast,
    contrast_ratio,
    matching_track,
    rows_by_frame,
    start_track,
)
from phonics_data.segmentation.viterbi import Order, Scores, TransitionCosts


@dataclass(frozen=True, kw_only=True, slots=True)
class ScreenOptions:
    """Numbers of the screen decoder that were fitted, or that limit which videos are accepted.

    Args:
        order: as in `phonics_data.segmentation.word_decoder.WordDecoderOptions`.
        single_after_cut_weight: weight of the only letter in a frame after a cut (a card).
        repeat_decay: factor on the weight for each further detection of a track.
        min_prior: factor on detections at places and sizes at which this video shows few letters.
        full_weight_height: letters of at least this fraction of the frame's height have full weight, smaller ones less.
        min_order_z, min_distinct_z: a video shows an alphabet if its letters exceed what is expected by chance by so
            many standard deviations (`phonics_data.segmentation.significance`). Letters without order reach 4 with a
            probability of at most 0.003.
        min_expected_order_z: the same for a video whose words or manifest row contain letters of the alphabet (0.012 for 3).
    """

    order: Order = "auto"
    single_after_cut_weight: float = 0.8
    repeat_decay: float = 0.9
    min_prior: float = 0.25
    full_weight_height: float = 0.18
    min_order_z: float = 4.0
    min_expected_order_z: float = 3.0
    min_distinct_z: float = 3.0
    costs: TransitionCosts = field(default_factory=lambda: TransitionCosts(next=0.2))


LETTER_WEIGHTS = {"I": 0.4, "O": 0.5, "L": 0.7, "C": 0.8, "V": 0.8, "D": 0.9}
"""Letters that other shapes are often mistaken for have less weight."""

_AFTER_CUT_WEIGHT = 0.5
"""Weight of one of several letters in a frame after a cut: it may be a title or a chart."""
_MIN_EVIDENCE = 0.05
"""Smaller evidence would only produce runs of single frames."""
_CHART_LETTERS = 5
"""So many different letters in one frame are a chart and have no weight."""
_LOGO_FRACTION = 1 / 3
"""A letter at the same place in a larger fraction of the frames after cuts is a logo."""
_TRACK_SECONDS = 12.0
"""A track without detections is dropped after this time."""
_SAME_COLOURS = 25.0
"""Difference of a colour channel (of 255) below which two letters of a chart have the same colours."""
_FADED = 0.6
"""A letter with a smaller contrast than this fraction of another letter's in its row is not marked."""
_SAME_HUE = 0.3
"""Two contrasts have one hue if, scaled to the same size, they differ by less than this fraction."""
_PART_SECONDS = 0.5
"""A part of a letter that was detected within this time is not another letter."""
_FLICKER_SECONDS = 0.75
_WIDEST_I = 0.85
"""Width over height; an I with the serifs of a typewriter font reaches 0.6."""


class DetectionWeights(NamedTuple):
    """(detections,) weight of each detection, and its minimum after the location prior is applied."""

    weight_R: Scores
    min_weight_R: Scores


def screen_evidence(
    trace: ScreenTrace,
    options: ScreenOptions,
    *,
    weights: DetectionWeights | None = None,
    prior_R: Scores | None = None,
) -> Scores:
    """(sampled frames, 26) evidence for each letter in each frame.

    Args:
        weights: `detection_weights` of this trace, if the caller has computed them.
        prior_R: (detections,) factor on each detection; default 1.
    """
    trace = without_wide_i(trace)
    weight_R, min_weight_R = weights or detection_weights(trace, options)
    factor_R = np.maximum(min_weight_R, weight_R if prior_R is None else weight_R * prior_R)
    weights_L = np.array([LETTER_WEIGHTS.get(letter, 1.0) for letter in LETTERS])
    evidence_TL = np.zeros((trace.num_frames, 26))
    np.maximum.at(evidence_TL, trace.frame_R, factor_R[:, None] * weights_L * trace.letters_R26)
    return np.where(evidence_TL >= _MIN_EVIDENCE, evidence_TL, 0.0)


def detection_weights(trace: ScreenTrace, options: ScreenOptions) -> DetectionWeights:
    """Weight of each detection, from the other detections of its frame and from earlier frames."""
    trace = without_wide_i(trace)
    weight_R, min_weight_R = np.zeros(trace.frame_R.size), np.zeros(trace.frame_R.size)
    is_used_R = ~(_logos(trace) | _flickers(trace)) & (trace.score_R >= MIN_SCORE)
    tracks: list[ColourTrack] = []
    chart, last_frame = _Chart({}, None), 0
    for frame, all_rows in rows_by_frame(trace):
        rows = [row for row in all_rows if is_used_R[row]]
        visible = [(trace.box_R4[row], trace.colour_R6[row]) for row in _confident(rows, trace)]
        words = _words(rows, trace)
        rows = _distinct([row for row in rows if row not in words], trace)
        rows = [row for row in rows if not _is_part(row, tracks, trace)]
        num_letters = len({int(trace.letter_R[row]) for row in _confident(rows, trace)})
        is_chart = num_letters >= _CHART_LETTERS
        if is_chart or trace.cut_T[last_frame + 1 : frame + 1].any():
            chart = _chart_of(rows, trace) if is_chart else _Chart({}, None)
        last_frame = frame
        matches = [matching_track(tracks, row, trace) for row in rows]
        new = [row for row, track in zip(rows, matches, strict=True) if track is None]
        recent = [
            row
            for row, track in zip(rows, matches, strict=True)
            if track is None or frame - track.first <= _PART_SECONDS * trace.rate
        ]
        unmarked_row = _unmarked_row(recent, trace)
        unmarked = unmarked_row | _unmarked_letters(new, trace)
        visible += [(one.box, one.colour) for one in tracks if not trace.cut_T[one.last + 1 : frame + 1].any()]
        unmarked |= {row for row in rows if _is_faded(trace.box_R4[row], trace.colour_R6[row], visible)}
        unmarked |= {row for row in rows if _is_unmarked_in(chart, row, trace)}
        for row, track in zip(rows, matches, strict=True):
            if track is None:
                track = start_track(row, trace, is_unmarked=row in unmarked)
                tracks.append(track)
            else:
                continue_track(track, row, trace, options.repeat_decay)
                track.is_unmarked |= row in unmarked
            if not is_chart and row in unmarked_row:
                min_weight_R[row] = UNMARKED_WEIGHT
            if track.is_unmarked or (is_chart and row != chart.marked):
                continue
            height = float(trace.box_R4[row, 3] - trace.box_R4[row, 1])
            weight_R[row] = track.weight * min(1.0, max(height / options.full_weight_height, 0.3))
            if trace.after_cut_R[row]:
                weight_R[row] *= options.single_after_cut_weight if num_letters == 1 else _AFTER_CUT_WEIGHT
        tracks = [track for track in tracks if frame - track.last <= _TRACK_SECONDS * trace.rate]
    return DetectionWeights(weight_R, min_weight_R)


def without_wide_i(trace: ScreenTrace) -> ScreenTrace:
    """The trace, where shapes about as wide as high are no I: they are beams, arrows, drawings, or the second best letter."""
    width_R, height_R = trace.box_R4[:, 2] - trace.box_R4[:, 0], trace.box_R4[:, 3] - trace.box_R4[:, 1]
    is_wide_R = width_R * 16 / 9 > _WIDEST_I * height_R
    is_i_L = np.array([letter == "I" for letter in LETTERS])
    return replace(trace, letters_R26=np.where(is_wide_R[:, None] & is_i_L, 0.0, trace.letters_R26).astype(np.float32))


# --- detections of one frame ---------------------------------------------------------------------------------------


def _confident(rows: Sequence[int], trace: ScreenTrace) -> list[int]:
    return [row for row in rows if trace.score_R[row] >= CONFIDENT_SCORE]


def _words(rows: Sequence[int], trace: ScreenTrace) -> set[int]:
    """Detections in lines of text that are not a part of the alphabet: titles, object words."""
    lines: list[list[int]] = []
    for row in sorted(rows, key=lambda row: float(trace.box_R4[row, 0])):
        line = next((line for line in lines if _continues_word(trace.box_R4[line[-1]], trace.box_R4[row])), None)
        if line is None:
            lines.append([row])
        else:
            line.append(row)
    words: set[int] = set()
    for line in lines:
        if len(line) >= 3 and not (np.diff(trace.letter_R[line]) >= 0).all():
            words.update(line)
    return words


def _continues_word(before: Box, box: Box) -> bool:
    """Whether a letter follows another one in a word: similar heights, small gap."""
    left, top, _, bottom = box
    _, top_before, right, bottom_before = before
    height, height_before = bottom - top, bottom_before - top_before
    shared_height = min(bottom, bottom_before) - max(top, top_before)
    # Boxes are fractions of width and height; 9/16 makes them comparable.
    gap = (left - right) / (9 / 16)
    is_similar = 0.5 < height / height_before < 2 and shared_height > 0.5 * min(height, height_before)
    return bool(is_similar and -0.2 * height < gap < 0.35 * max(height, height_before))


def _distinct(rows: Sequence[int], trace: ScreenTrace) -> list[int]:
    """One detection per place. Outline and filling of a letter are both detected, and the outline is often incomplete."""

    def strength(row: int) -> float:
        return float(trace.score_R[row]) * LETTER_WEIGHTS.get(LETTERS[trace.letter_R[row]], 1.0)

    kept: list[int] = []
    for row in sorted(rows, key=strength, reverse=True):
        if not any(_is_same_place(trace.box_R4[row], trace.box_R4[other]) for other in kept):
            kept.append(row)
    return sorted(kept)


def _is_same_place(one: Box, other: Box) -> bool:
    """Whether two boxes of one frame belong to one letter: they coincide, or one is a part of the other."""
    is_inside = intersection(one, other) > 0.8 * min(area(one), area(other))
    return is_inside or intersection_over_union(one, other) >= 0.6


def _is_part(row: int, tracks: Sequence[ColourTrack], trace: ScreenTrace) -> bool:
    """Whether a detection is a part of a recently detected letter. Light on half of an M, for example, makes an N."""
    if trace.after_cut_R[row]:
        return False
    frame, box, letter = int(trace.frame_R[row]), trace.box_R4[row], int(trace.letter_R[row])
    return any(
        track.letter != letter
        and 0 < frame - track.last <= _PART_SECONDS * trace.rate
        and area(box) < 0.75 * area(track.box)
        and intersection(box, track.box) > 0.8 * area(box)
        and float(np.abs(track.colour - trace.colour_R6[row])[:3].max()) < NEW_COLOUR
        for track in tracks
    )


def _unmarked_row(rows: Sequence[int], trace: ScreenTrace) -> set[int]:
    """Three or more neighbours of the alphabet that appeared together, side by side, in one colour."""
    rows = sorted(_confident(rows, trace), key=lambda row: float(trace.box_R4[row, 0]))
    if len(rows) < 3:
        return set()
    tops, bottoms = trace.box_R4[rows, 1], trace.box_R4[rows, 3]
    is_level = tops.max() < bottoms.min() and (bottoms - tops).max() < 1.5 * (bottoms - tops).min()
    colours_R3 = trace.colour_R6[rows, :3]
    has_one_colour = float((colours_R3.max(axis=0) - colours_R3.min(axis=0)).max()) < NEW_COLOUR
    return set(rows) if (np.diff(trace.letter_R[rows]) == 1).all() and is_level and has_one_colour else set()


def _unmarked_letters(rows: Sequence[int], trace: ScreenTrace) -> set[int]:
    """Of three or more new letters of which exactly one has another colour, all except this one."""
    rows = _confident(rows, trace)
    if len(set(trace.letter_R[rows].tolist())) < 3:
        return set()
    differs = np.abs(trace.colour_R6[rows, None, :3] - trace.colour_R6[None, rows, :3]).max(axis=2) >= NEW_COLOUR
    marked = np.flatnonzero(differs.sum(axis=1) == len(rows) - 1)
    others = np.delete(np.arange(len(rows)), marked)
    is_clear = marked.size == 1 and not differs[np.ix_(others, others)].any()
    return {rows[other] for other in others} if is_clear else set()


class _Chart(NamedTuple):
    """Letters that are shown together in one pair of colours.

    Args:
        letters: letter -> its box and colours.
        marked: row of the only letter with other colours, if there is one.
    """

    letters: dict[int, tuple[Box, Colour]]
    marked: int | None


def _chart_of(rows: Sequence[int], trace: ScreenTrace) -> _Chart:
    rows = _confident(rows, trace)
    common_6 = np.median(trace.colour_R6[rows], axis=0)
    is_common = np.abs(trace.colour_R6[rows] - common_6).max(axis=1) < _SAME_COLOURS
    common = [row for row, same in zip(rows, is_common, strict=True) if same]
    others = [row for row, same in zip(rows, is_common, strict=True) if not same]
    if len(common) < _CHART_LETTERS:
        return _Chart({}, None)
    letters = {int(trace.letter_R[row]): (trace.box_R4[row], trace.colour_R6[row]) for row in common}
    marked = others[0] if len(others) == 1 and int(trace.letter_R[others[0]]) not in letters else None
    return _Chart(letters, marked)


def _is_unmarked_in(chart: _Chart, row: int, trace: ScreenTrace) -> bool:
    """Whether a letter is at its place in the chart, in the chart's colours: it is not marked, or no longer."""
    letter = int(trace.letter_R[row])
    colours = [colour for _, colour in chart.letters.values()]
    if not colours or float(np.abs(np.median(colours, axis=0) - trace.colour_R6[row]).max()) >= _SAME_COLOURS:
        return False
    place = chart.letters.get(letter)
    return place is None or intersection_over_union(place[0], trace.box_R4[row]) > 0


def _is_faded(box: Box, colour: Colour, visible: Sequence[tuple[Box, Colour]]) -> bool:
    """Whether another letter of the same row has the same hue and clearly more contrast: that letter is marked, not this one.

    Args:
        visible: box and colour of each visible letter.
    """
    for other_box, other_colour in visible:
        if are_aligned(box, other_box) and intersection_over_union(box, other_box) == 0:
            ratio = contrast_ratio(contrast(other_colour), contrast(colour))
            difference = contrast(colour) - ratio * contrast(other_colour)
            # Dark red on red is not a faded green, so the limit is relative; a pale grey has no hue.
            has_same_hue = float(np.linalg.norm(difference)) < _SAME_HUE * float(np.linalg.norm(contrast(colour)))
            is_grey = float(np.abs(contrast(colour)).max()) < NEW_COLOUR
            if 0 < ratio < _FADED and float(np.abs(difference).max()) < NEW_COLOUR and (has_same_hue or is_grey):
                return True
    return False


# --- detections to ignore ------------------------------------------------------------------------------------------


def _flickers(trace: ScreenTrace) -> NDArray[np.bool_]:
    """(detections,) True if another letter was certainly detected at the place both shortly before and shortly after."""
    is_flicker = np.zeros(trace.frame_R.size, np.bool_)
    confident = np.flatnonzero(trace.score_R >= CONFIDENT_SCORE)
    reach = _FLICKER_SECONDS * trace.rate
    for row in np.flatnonzero(trace.score_R >= MIN_SCORE).tolist():
        frame, box = trace.frame_R[row], trace.box_R4[row]
        low, high = np.searchsorted(trace.frame_R[confident], [frame - reach, frame + reach + 1])
        same_place = [
            other
            for other in confident[low:high].tolist()
            if float(np.abs(trace.colour_R6[other] - trace.colour_R6[row])[:3].max()) < NEW_COLOUR
            and intersection(trace.box_R4[other], box) > 0.7 * area(box)
            and area(trace.box_R4[other]) > 0.8 * area(box)
        ]
        before = {int(trace.letter_R[other]) for other in same_place if trace.frame_R[other] < frame}
        after = {int(trace.letter_R[other]) for other in same_place if trace.frame_R[other] > frame}
        both = before & after
        is_flicker[row] = bool(both) and int(trace.letter_R[row]) not in both
    return is_flicker


def _logos(trace: ScreenTrace) -> NDArray[np.bool_]:
    """(detections,) True for letters at the same place in many of the frames after cuts."""
    is_logo = np.zeros(trace.frame_R.size, np.bool_)
    num_frames = np.unique(trace.frame_R[trace.after_cut_R]).size
    if num_frames < 6:
        return is_logo
    rows = np.flatnonzero(trace.after_cut_R & (trace.score_R >= MIN_SCORE))
    for row in rows:
        is_same_letter = trace.letter_R == trace.letter_R[row]
        distance_R = np.abs(trace.box_R4 - trace.box_R4[row]).max(axis=1)
        same = rows[is_same_letter[rows] & (distance_R[rows] < 0.02)]
        if np.unique(trace.frame_R[same]).size > _LOGO_FRACTION * num_frames:
            is_logo |= is_same_letter & (distance_R < 0.03)
    return is_logo
