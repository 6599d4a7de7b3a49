"""Readings of the screen -> what each look says for each letter. Pure.

A reading counts most when its letter is new: when it appears, or changes its colour. A letter that goes on moving says
less each time, so that a picture which happens to look like an O and dances through a whole phrase does not outvote
the letter that was shown at its beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.viterbi import Order, Scores, TransitionCosts


@dataclass(frozen=True, kw_only=True, slots=True)
class ScreenOptions:
    """Every number that the decision depends on.

    Args:
        order: as for words (`phonics_data.segmentation.word_decoder.DecodeOptions`).
        after_cut: weight of what was read because the whole frame was new,
        after_cut_alone: and where it was the only letter there: a card, and no title or chart.
        waiting: what a letter of a row says that came with its neighbours, none of them marked: somebody's turn it may be.
        fading: what each further look at a letter that goes on counts, of the look before.
        least: and the least that it counts.
        again_seconds: a letter that was quiet for so long is new again.
        same_place: so much overlap with where it was and a letter has not moved.
        brighter: more contrast than it had by this factor is no light but a new colour.
        light_seconds: how far back its contrasts are known.
        memory_seconds: how long a letter that is not seen to change is remembered.
        pale: a letter that has less than this share of the contrast of another one in its row waits for its turn.
        part_seconds: a piece of a letter that was read so short a time ago is no letter.
        new_colour: so much change of colour (of 255) makes a letter new.
        chart_letters: so many different letters in one look are a chart and say nothing.
        logo_share: a letter that stands at one place in so large a share of the new frames is a logo.
        min_chain: letters of the alphabet's order that a video must show in a row, or
        min_letters: different letters that one in another order must show; else it shows no alphabet.
        min_order_z, min_distinct_z: and so far these must be from what chance shows
            (`phonics_data.segmentation.significance`), in standard deviations.
        stray_chain: rising chains of fewer letters than this are no part of an alphabet of `min_chain` or more.
        ordered_share: a song keeps the order when so large a share of its letters rises through the alphabet.
        shortest: in a song of another order, letters that are read for less than this share of the usual time are none.
        faint: less evidence than this in one look is none.
        strong: evidence that a letter must have to be asked for its place in the order, or
        strong_share: so large a share of what this video's letters usually have.
        least_trust: what a reading is worth where this video shows no letters.
        full_height: shapes as high as this share of the frame count fully, smaller ones less.
        parted_seconds: readings of a letter so far apart are two stays if it was gone meanwhile.
        alike: least likeness of a letter's place to what it was for the letter to be still there, 0..1.
        empty: share of a letter's edges up to which its place is empty.
    """

    order: Order = "auto"
    after_cut: float = 0.5
    after_cut_alone: float = 0.8
    waiting: float = 0.1
    fading: float = 0.9
    least: float = 0.1
    again_seconds: float = 0.75
    same_place: float = 0.6
    brighter: float = 1.15
    light_seconds: float = 4.0
    memory_seconds: float = 12.0
    pale: float = 0.6
    part_seconds: float = 0.5
    new_colour: float = 40.0
    chart_letters: int = 5
    logo_share: float = 1 / 3
    min_chain: int = 8
    min_letters: int = 12
    min_order_z: float = 5.0
    min_distinct_z: float = 3.0
    stray_chain: int = 4
    ordered_share: float = 0.6
    shortest: float = 0.25
    faint: float = 0.05
    strong: float = 1.5
    strong_share: float = 0.75
    least_trust: float = 0.25
    full_height: float = 0.18
    parted_seconds: float = 2.0
    alike: float = 0.6
    empty: float = 0.08
    costs: TransitionCosts = field(default_factory=lambda: TransitionCosts(next=0.2, any_order=0.6))


LETTER_WEIGHTS = {"I": 0.4, "O": 0.5, "L": 0.7, "C": 0.8, "V": 0.8, "D": 0.9}
"""What looks like many things says less."""


_WIDEST_I = 0.85
"""Width over height; with the serifs of a typewriter an I reaches 0.6."""


@dataclass(slots=True)
class _Track:
    """A letter that stays at its place.

    Args:
        first: look of its first reading.
        colour: RGB of the letter and of its ground when it was last read.
        weight: what its last reading counted.
        waits: it is there and says nothing: it stood in a row before its turn came, or its turn is over.
        known: (look, colour and ground) of late.
        turn: colour and ground when it last was new; None for one that has waited from the beginning.
    """

    letter: int
    first: int
    box: NDArray[np.float32]
    colour: NDArray[np.float32]
    look: int
    weight: float
    waits: bool
    known: list[tuple[int, NDArray[np.float32]]]
    turn: NDArray[np.float32] | None


class DetectionWeights(NamedTuple):
    """(readings,) what each counts for its letters, and the least that it counts wherever it stands."""

    said_R: Scores
    hinted_R: Scores


def screen_evidence(
    trace: ScreenTrace, options: ScreenOptions, *, shares: DetectionWeights | None = None, trust_R: Scores | None = None
) -> Scores:
    """(looks, 26) what each look says for each letter.

    Args:
        shares: `detection_weights` of this trace, where the caller has them.
        trust_R: (readings,) factor on each reading; default 1.
    """
    said_R, hinted_R = shares or detection_weights(trace, options)
    factor_R = np.maximum(hinted_R, said_R if trust_R is None else said_R * trust_R)
    weights_L = np.array([LETTER_WEIGHTS.get(letter, 1.0) for letter in LETTERS])
    evidence = np.zeros((trace.changed_T.size, 26))
    np.maximum.at(evidence, trace.look_R, factor_R[:, None] * weights_L * trace.letters_R26)
    # Hints would only make runs of single looks.
    return np.where(evidence >= options.faint, evidence, 0.0)


def detection_weights(trace: ScreenTrace, options: ScreenOptions) -> DetectionWeights:
    """What each reading counts for, from what stands beside it and what was there before."""
    said_R, hinted_R = np.zeros(trace.look_R.size), np.zeros(trace.look_R.size)
    ignored_R = _logos(trace, options) | _flickers(trace, options) | _bars(trace)
    tracks: list[_Track] = []
    borders = np.flatnonzero(np.diff(trace.look_R, prepend=-1))
    for low, high in pairwise([*borders, trace.look_R.size]):  # nothing where nothing was read
        look = int(trace.look_R[low])
        rows = [row for row in range(int(low), int(high)) if not ignored_R[row] and trace.letters_R26[row].max() >= 0.3]
        words = _words(rows, trace)
        rows = _distinct([row for row in rows if row not in words], trace)
        rows = [row for row in rows if not _is_part(row, look, tracks, trace, options)]
        best = {int(trace.letters_R26[row].argmax()) for row in rows if trace.letters_R26[row].max() >= 0.8}
        is_chart = len(best) >= options.chart_letters
        known = [_track_of(tracks, trace, row, look) for row in rows]
        new = [row for row, track in zip(rows, known, strict=True) if track is None]
        fresh = [
            row
            for row, track in zip(rows, known, strict=True)
            if track is None or look - track.first <= options.part_seconds * trace.rate
        ]
        row_of_letters = _plain_row(fresh, trace, options)
        waiting = row_of_letters | _unmarked(new, trace, options)
        standing = [(trace.box_R4[row], trace.colour_R6[row]) for row in rows if trace.letters_R26[row].max() >= 0.8]
        standing += [(one.box, one.colour) for one in tracks if not trace.cut_T[one.look + 1 : look + 1].any()]
        waiting |= {row for row in rows if _is_pale(row, standing, trace, options)}
        for row, track in zip(rows, known, strict=True):
            if track is None:
                tracks.append(_new_track(trace, row, look, waits=row in waiting))
                track = tracks[-1]
            else:
                _go_on(track, trace, row, look, options)
                track.waits |= row in waiting
            if not is_chart and row in row_of_letters:
                hinted_R[row] = options.waiting
            if is_chart or track.waits:
                continue
            height = float(trace.box_R4[row, 3] - trace.box_R4[row, 1])
            share = track.weight * min(1.0, max(height / options.full_height, 0.3))
            if trace.after_cut_R[row]:
                share *= options.after_cut_alone if len(best) == 1 else options.after_cut
            said_R[row] = share
        tracks = [track for track in tracks if look - track.look <= options.memory_seconds * trace.rate]
    return DetectionWeights(said_R, hinted_R)


def _distinct(rows: list[int], trace: ScreenTrace) -> list[int]:
    """One reading a place: the outline of a letter and what it holds are read both, and the outline is often half of one."""
    kept: list[int] = []
    for row in sorted(rows, key=lambda row: -_likely(row, trace)):
        if not any(_is_same_place(trace.box_R4[row], trace.box_R4[other]) for other in kept):
            kept.append(row)
    return sorted(kept)


def _is_same_place(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Whether two readings of one look are of one letter; what lies in another's place is a piece of it or of its ground."""
    return overlap(one, other) >= 0.6 or _shared_area(one, other) > 0.8 * min(_area(one), _area(other))


def _likely(row: int, trace: ScreenTrace) -> float:
    letter = int(trace.letters_R26[row].argmax())
    return float(trace.letters_R26[row, letter]) * LETTER_WEIGHTS.get(LETTERS[letter], 1.0)


def _unmarked(rows: list[int], trace: ScreenTrace, options: ScreenOptions) -> set[int]:
    """Of three or more letters that came together, those that all but one are like in colour: they wait for their turn."""
    rows = [row for row in rows if trace.letters_R26[row].max() >= 0.8]
    if len({int(trace.letters_R26[row].argmax()) for row in rows}) < 3:
        return set()
    apart = np.abs(trace.colour_R6[rows, None, :3] - trace.colour_R6[None, rows, :3]).max(axis=2) >= options.new_colour
    marked = np.flatnonzero(apart.sum(axis=1) == len(rows) - 1)
    others = np.delete(np.arange(len(rows)), marked)
    is_clear = marked.size == 1 and not apart[np.ix_(others, others)].any()
    return {rows[other] for other in others} if is_clear else set()


def _is_pale(
    row: int,
    standing: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
    trace: ScreenTrace,
    options: ScreenOptions,
) -> bool:
    """Whether it is another letter of its row faded into the ground: then that one's turn it is.

    Args:
        standing: box and colour of each letter that stands on the screen.
    """
    box, colour = trace.box_R4[row], trace.colour_R6[row]
    own = colour[:3] - colour[3:]
    for other, colour_of_other in standing:
        if _is_level(box, other) and overlap(box, other) == 0:
            full = colour_of_other[:3] - colour_of_other[3:]
            share = _share(full, own)
            if 0 < share < options.pale and float(np.abs(own - share * full).max()) < options.new_colour:
                return True
    return False


def _is_level(box: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Whether two letters may stand in one row: of about the same height, side by side."""
    height, height_other = float(box[3] - box[1]), float(other[3] - other[1])
    both = min(float(box[3]), float(other[3])) - max(float(box[1]), float(other[1]))
    return 0.67 < height / height_other < 1.5 and both > 0.6 * min(height, height_other)


def _is_part(row: int, look: int, tracks: list[_Track], trace: ScreenTrace, options: ScreenOptions) -> bool:
    """Whether a reading is a piece of a letter that was read there a moment ago: light that falls on half an M makes an N."""
    if trace.after_cut_R[row]:
        return False
    box, letter = trace.box_R4[row], int(trace.letters_R26[row].argmax())
    for track in tracks:
        if track.letter == letter or not 0 < look - track.look <= options.part_seconds * trace.rate:
            continue
        is_smaller = _area(box) < 0.75 * _area(track.box)
        if is_smaller and _shared_area(box, track.box) > 0.8 * _area(box):
            has_its_colour = float(np.abs(track.colour - trace.colour_R6[row])[:3].max()) < options.new_colour
            if has_its_colour:
                return True
    return False


def _bars(trace: ScreenTrace) -> NDArray[np.bool_]:
    """(readings,) True for what reads as an I and is as wide as high: a beam, an arrow, a drawing."""
    if not trace.look_R.size:
        return np.zeros(0, np.bool_)
    width_R, height_R = trace.box_R4[:, 2] - trace.box_R4[:, 0], trace.box_R4[:, 3] - trace.box_R4[:, 1]
    # Boxes are shares of width and height; 16/9 makes them comparable.
    return (trace.letters_R26.argmax(axis=1) == LETTERS.index("I")) & (width_R * 16 / 9 > _WIDEST_I * height_R)


def _flickers(trace: ScreenTrace, options: ScreenOptions) -> NDArray[np.bool_]:
    """(readings,) True where another letter was surely read at the place both just before and just after: light made it
    look different for a look."""
    is_flicker = np.zeros(trace.look_R.size, np.bool_)
    sure = np.flatnonzero(trace.letters_R26.max(axis=1, initial=0) >= 0.8)
    letters = trace.letters_R26.argmax(axis=1) if trace.look_R.size else np.zeros(0, np.int64)
    reach = options.again_seconds * trace.rate
    for row in np.flatnonzero(trace.letters_R26.max(axis=1, initial=0) >= 0.3).tolist():
        low, high = np.searchsorted(trace.look_R[sure], [trace.look_R[row] - reach, trace.look_R[row] + reach + 1])
        box = trace.box_R4[row]
        same_colour = [
            other
            for other in sure[low:high].tolist()
            if float(np.abs(trace.colour_R6[other] - trace.colour_R6[row])[:3].max()) < options.new_colour
            and _shared_area(trace.box_R4[other], box) > 0.7 * _area(box)
            and _area(trace.box_R4[other]) > 0.8 * _area(box)
        ]
        before = {int(letters[other]) for other in same_colour if trace.look_R[other] < trace.look_R[row]}
        after = {int(letters[other]) for other in same_colour if trace.look_R[other] > trace.look_R[row]}
        both = before & after
        is_flicker[row] = bool(both) and int(letters[row]) not in both
    return is_flicker


def _area(box: NDArray[np.float32]) -> float:
    # Plain numbers: NumPy takes twenty times as long for four of them, and this is asked a hundred thousand times a song.
    left, top, right, bottom = box.tolist()
    return (right - left) * (bottom - top)


def _shared_area(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    left, top, right, bottom = one.tolist()
    left_2, top_2, right_2, bottom_2 = other.tolist()
    return max(min(right, right_2) - max(left, left_2), 0.0) * max(min(bottom, bottom_2) - max(top, top_2), 0.0)


def _plain_row(rows: list[int], trace: ScreenTrace, options: ScreenOptions) -> set[int]:
    """Three or more neighbours of the alphabet that came together side by side in one colour: all wait for their turn."""
    rows = [row for row in rows if trace.letters_R26[row].max() >= 0.8]
    rows.sort(key=lambda row: float(trace.box_R4[row, 0]))
    if len(rows) < 3:
        return set()
    letters = trace.letters_R26[rows].argmax(axis=1)
    tops, bottoms = trace.box_R4[rows, 1], trace.box_R4[rows, 3]
    is_level = tops.max() < bottoms.min() and (bottoms - tops).max() < 1.5 * (bottoms - tops).min()
    colours_R3 = trace.colour_R6[rows, :3]
    is_plain = float((colours_R3.max(axis=0) - colours_R3.min(axis=0)).max()) < options.new_colour
    return set(rows) if (np.diff(letters) == 1).all() and is_level and is_plain else set()


def _words(rows: list[int], trace: ScreenTrace) -> set[int]:
    """Rows of letters that stand close in one line and are no piece of the alphabet: titles, object words."""
    ordered = sorted(rows, key=lambda row: float(trace.box_R4[row, 0]))
    words: set[int] = set()
    for line in _lines(ordered, trace.box_R4):
        letters = trace.letters_R26[line].argmax(axis=1)
        if len(line) >= 3 and not (np.diff(letters) >= 0).all():
            words.update(line)
    return words


def _lines(ordered: list[int], box_R4: NDArray[np.float32]) -> list[list[int]]:
    """Rows (from left to right) in groups of neighbours of similar height with gaps as inside a word."""
    lines: list[list[int]] = []
    for row in ordered:
        left, top, _, bottom = box_R4[row]
        for line in lines:
            _, top_before, right, bottom_before = box_R4[line[-1]]
            height, height_before = bottom - top, bottom_before - top_before
            shared = min(bottom, bottom_before) - max(top, top_before)
            # Boxes are shares of width and height; 9/16 makes them comparable.
            gap = (left - right) / (9 / 16)
            alike = 0.5 < height / height_before < 2 and shared > 0.5 * min(height, height_before)
            if alike and -0.2 * height < gap < 0.35 * max(height, height_before):
                line.append(row)
                break
        else:
            lines.append([row])
    return lines


def _track_of(tracks: list[_Track], trace: ScreenTrace, row: int, look: int) -> _Track | None:
    """The track that this reading goes on with; None for a letter that was not there."""
    letter, box = int(trace.letters_R26[row].argmax()), trace.box_R4[row]
    near = [track for track in tracks if track.letter == letter and track.look != look]
    return max(
        (track for track in near if overlap(track.box, box) >= 0.2),
        key=lambda track: overlap(track.box, box),
        default=None,
    )


def _new_track(trace: ScreenTrace, row: int, look: int, *, waits: bool) -> _Track:
    letter, colour = int(trace.letters_R26[row].argmax()), trace.colour_R6[row]
    return _Track(
        letter, look, trace.box_R4[row], colour, look, 1.0, waits, [(look, colour)], None if waits else colour
    )


def _go_on(track: _Track, trace: ScreenTrace, row: int, look: int, options: ScreenOptions) -> None:
    """Bring a track up to date with a further reading: is its letter new again, the same, or left?"""
    box, colour = trace.box_R4[row], trace.colour_R6[row]
    track.known = [one for one in track.known if look - one[0] <= options.light_seconds * trace.rate] or track.known[
        -1:
    ]
    known = [one for _, one in track.known]
    has_moved = overlap(track.box, box) < options.same_place and (not track.waits or _is_level(track.box, box))
    has_new_colour = np.abs(track.colour - colour)[:3].max() >= options.new_colour and not any(
        _is_lit(one, colour, options) for one in known
    )
    if any(_is_weaker(one, colour, options) for one in known):
        track.waits = True
    elif has_new_colour or (has_moved and (track.waits or (look - track.look) / trace.rate >= options.again_seconds)):
        track.weight, track.waits, track.turn = 1.0, False, colour
    else:
        track.weight = max(track.weight * options.fading, options.least)
        # The rim of a letter that moves is paler than the letter, and no end of its turn.
        track.waits &= track.turn is None or not _is_whole(track.turn, colour, options)
    track.box, track.colour, track.look = box, colour, look
    track.known.append((look, colour))


def _is_lit(before_6: NDArray[np.float32], now_6: NDArray[np.float32], options: ScreenOptions) -> bool:
    """Whether a letter stands against its ground as before, or less: light that falls on both leaves that of their contrast."""
    before, now = before_6[:3] - before_6[3:], now_6[:3] - now_6[3:]
    share = _share(before, now)
    return 0 < share <= options.brighter and float(np.abs(now - share * before).max()) < options.new_colour


def _is_weaker(before_6: NDArray[np.float32], now_6: NDArray[np.float32], options: ScreenOptions) -> bool:
    """Whether a letter's colour has gone towards its ground's, which has not changed: its turn in a row is over."""
    step, ground = np.abs(now_6[:3] - before_6[:3]).max(), np.abs(now_6[3:] - before_6[3:]).max()
    if step < 15 or ground > 0.5 * step:
        return False
    return _share(before_6[:3] - before_6[3:], now_6[:3] - now_6[3:]) < 0.95 and _is_lit(before_6, now_6, options)


def _is_whole(turn_6: NDArray[np.float32], now_6: NDArray[np.float32], options: ScreenOptions) -> bool:
    """Whether a letter has again the colour that it had when its turn came."""
    turn, now = turn_6[:3] - turn_6[3:], now_6[:3] - now_6[3:]
    return _share(turn, now) >= 0.95 and float(np.abs(now_6[:3] - turn_6[:3]).max()) < 0.5 * options.new_colour


def _share(before_3: NDArray[np.float32], now_3: NDArray[np.float32]) -> float:
    """How much of `before_3` is in `now_3`."""
    size = float(before_3 @ before_3)
    return float(now_3 @ before_3) / size if size > 0 else 1.0


def overlap(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Intersection over union of two boxes, 0..1."""
    both = _shared_area(one, other)
    return both / (_area(one) + _area(other) - both) if both > 0 else 0.0


def _logos(trace: ScreenTrace, options: ScreenOptions) -> NDArray[np.bool_]:
    """(readings,) True for letters that stand at one place in many of the frames that follow a cut."""
    is_logo = np.zeros(trace.look_R.size, np.bool_)
    rows = np.flatnonzero(trace.after_cut_R & (trace.letters_R26.max(axis=1, initial=0) >= 0.3))
    num_frames = np.unique(trace.look_R[trace.after_cut_R]).size
    if num_frames < 6:
        return is_logo
    letters = trace.letters_R26.argmax(axis=1)
    for row in rows:
        same = [
            other
            for other in rows
            if letters[other] == letters[row] and np.abs(trace.box_R4[other] - trace.box_R4[row]).max() < 0.02
        ]
        if np.unique(trace.look_R[same]).size > options.logo_share * num_frames:
            near = np.abs(trace.box_R4 - trace.box_R4[row]).max(axis=1) < 0.03
            is_logo |= near & (letters == letters[row])
    return is_logo


def best_row(look: int, letter: int, trace: ScreenTrace) -> int:
    rows = np.flatnonzero(trace.look_R == look)
    return int(rows[trace.letters_R26[rows, letter].argmax()])
