"""What stood on the screen: letters from coming to going, and words that name an object. Pure.

Both come from the readings of single shapes that the decision is made from (`phonics_data.ocr.trace`), so they cost no
further look at the picture. A shape is read only while it changes; that it still stands there afterwards is seen from
the edges at its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.lexicon import LETTERS, examples
from phonics_data.segmentation.phrases import Phrase
from phonics_data.types import ScreenLetter

SURE = 0.8
"""Probability from which a reading is a letter."""

_SAME_PLACE = 0.2
"""Intersection over union of two readings' boxes from which they are of one letter."""

_MOVING_SECONDS = 0.5
"""A letter that is read again so soon only moved, whatever its last place looks like."""

_ALIKE = 0.6
"""Likeness of a place's edges to what they were, from which the letter is still there."""

_LONGEST_COMING_SECONDS = 1.0
"""A letter stands before its first reading for as long as this at most: it fades in, or it is drawn."""

MIN_WORD_LETTERS, MAX_WORD_LETTERS = 3, 9
_SURE_WORD = 0.6
"""Mean probability of a word's letters."""

_WORD_REACH_SECONDS = 0.5
"""A word that appears so little before or after a phrase still is its own."""


@dataclass(slots=True)
class _Stay:
    letter: int
    first: int
    last: int
    row: int
    """Of the last reading."""
    best: float
    best_row: int
    first_row: int


def screen_letters(video_id: str, trace: ScreenTrace) -> list[ScreenLetter]:
    """Every letter that was read, from when it came to when it was gone, with the box of its surest reading.

    A letter that is read again at its place after it was gone is a second record.
    """
    stays: list[_Stay] = []
    open_stays: list[_Stay] = []
    for row in np.flatnonzero(trace.letters_R26.max(axis=1, initial=0) >= SURE).tolist():
        look, letter = int(trace.look_R[row]), int(trace.letters_R26[row].argmax())
        score = float(trace.letters_R26[row, letter])
        own = next((stay for stay in open_stays if stay.letter == letter and _goes_on(stay, row, look, trace)), None)
        if own is None:
            own = _Stay(letter, look, look, row, score, row, row)
            stays.append(own)
            # Of what stood at this place before, nothing comes back.
            open_stays = [stay for stay in open_stays if stay.last > look - 60 * trace.rate]
            open_stays.append(own)
        own.last, own.row = look, row
        if score > own.best:
            own.best, own.best_row = score, row
    return [_record(video_id, stay, trace) for stay in stays]


def _goes_on(stay: _Stay, row: int, look: int, trace: ScreenTrace) -> bool:
    if look == stay.last or _overlap(trace.box_R4[stay.row], trace.box_R4[row]) < _SAME_PLACE:
        return False
    return look - stay.last <= _MOVING_SECONDS * trace.rate or _gone(stay, trace) >= look


def _overlap(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = float(np.prod(np.maximum(high - low, 0)))
    return shared / float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - shared)


def _gone(stay: _Stay, trace: ScreenTrace) -> int:
    """The first look after the stay's last reading at which the letter is no longer at its place, or another one is."""
    differs = np.flatnonzero(_likeness(stay.row, stay.last, trace)[stay.last + 1 :] < _ALIKE)
    gone = stay.last + 1 + int(differs[0]) if differs.size else trace.changed_T.size
    others = _other_letters(stay.row, stay.letter, trace)
    return min([gone, *others[others > stay.last].tolist()])


def _came(stay: _Stay, trace: ScreenTrace) -> int:
    """The first look at which the letter stood at the place of its first reading.

    Where the place looked no other before, the reading is the sign: a letter of a row took another colour, or came
    where one of the same outline stood.
    """
    earliest = max(0, stay.first - round(_LONGEST_COMING_SECONDS * trace.rate))
    like = _likeness(stay.first_row, stay.first, trace)[earliest : stay.first]
    differs = np.flatnonzero(like < _ALIKE)
    came = earliest + int(differs[-1]) + 1 if differs.size else stay.first
    others = _other_letters(stay.first_row, stay.letter, trace)
    return min(max([came, *(others[others < stay.first] + 1).tolist()]), stay.first)


def _other_letters(row: int, letter: int, trace: ScreenTrace) -> NDArray[np.int64]:
    """The looks at which another letter was surely read at a reading's place."""
    low = np.maximum(trace.box_R4[:, :2], trace.box_R4[row, :2])
    high = np.minimum(trace.box_R4[:, 2:], trace.box_R4[row, 2:])
    sizes = np.prod(trace.box_R4[:, 2:] - trace.box_R4[:, :2], axis=1)
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    covers = shared > 0.5 * (sizes + sizes[row] - shared)
    is_other = (trace.letters_R26.argmax(axis=1) != letter) & (trace.letters_R26.max(axis=1) >= SURE)
    return trace.look_R[covers & is_other].astype(np.int64)


def _likeness(row: int, look: int, trace: ScreenTrace) -> NDArray[np.float64]:
    """(looks,) 1 where a reading's place looks as it did at `look`, 0 where the edges have nothing in common."""
    rows, columns = trace.edges_TGG.shape[1:]
    left, top, right, bottom = trace.box_R4[row]
    low_x, low_y = int(left * columns), int(top * rows)
    high_x, high_y = max(low_x + 1, round(float(right) * columns)), max(low_y + 1, round(float(bottom) * rows))
    place_TGG = trace.edges_TGG[:, low_y:high_y, low_x:high_x].astype(np.float64)
    shown_GG = place_TGG[min(look, len(place_TGG) - 1)]
    differs = np.abs(place_TGG - shown_GG).sum(axis=(1, 2))
    return 1 - differs / np.maximum((place_TGG + shown_GG).sum(axis=(1, 2)), 1.0)


def _record(video_id: str, stay: _Stay, trace: ScreenTrace) -> ScreenLetter:
    left, top, right, bottom = (round(float(side), 4) for side in trace.box_R4[stay.best_row])
    # What a look shows or no longer shows for the first time came or went on average half a look before it.
    half = 0.5 / trace.rate
    start = max(_came(stay, trace) / trace.rate - half, 0.0)
    return ScreenLetter(
        video_id=video_id,
        letter=LETTERS[stay.letter],
        start_seconds=start,
        end_seconds=max(min(_gone(stay, trace), trace.changed_T.size) / trace.rate - half, start + half),
        score=round(stay.best, 3),
        box=(left, top, right, bottom),
    )


# --- words ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class ScreenWord:
    """A word of the lexicon that was read on the screen.

    Args:
        seconds: of the look at which it was read.
        score: mean probability of its letters, 0..1.
        box: left, top, right, bottom as shares of width and height.
    """

    text: str
    seconds: float
    score: float
    box: tuple[float, float, float, float]


def screen_words(trace: ScreenTrace) -> list[ScreenWord]:
    """Words of the lexicon that stood in one line of shapes, in time order; of several in one line, the likeliest.

    A word is missed where one of its letters is: strokes under a hundredth of the picture's width, letters that touch.
    """
    words: list[ScreenWord] = []
    borders = np.flatnonzero(np.diff(trace.look_R, prepend=-1))
    for low, high in pairwise([*borders.tolist(), trace.look_R.size]):
        ordered = sorted(range(low, high), key=lambda row: float(trace.box_R4[row, 0]))
        for line in _lines(ordered, trace.box_R4):
            if (found := _word_of(line, trace)) is not None:
                words.append(found)
    return words


def with_object_words(phrases: Sequence[Phrase], trace: ScreenTrace) -> list[Phrase]:
    """The phrases; those whose object nobody named take the surest word of their letter that the screen shows meanwhile."""
    words = screen_words(trace) if any(phrase.object_word is None for phrase in phrases) else []
    named: list[Phrase] = []
    for phrase in phrases:
        own = [
            word
            for word in words
            if phrase.letter in examples()[word.text]
            and phrase.start_seconds - _WORD_REACH_SECONDS <= word.seconds < phrase.end_seconds + _WORD_REACH_SECONDS
        ]
        if phrase.object_word is None and own:
            phrase = replace(phrase, object_word=max(own, key=lambda word: (word.score, len(word.text))).text)
        named.append(phrase)
    return named


def _lines(ordered: Sequence[int], box_R4: NDArray[np.float32]) -> list[list[int]]:
    """Rows, from left to right, in groups that stand side by side as the letters of a word do."""
    lines: list[list[int]] = []
    for row in ordered:
        left, top, _, bottom = box_R4[row]
        for line in lines:
            # The tallest so far: small letters beside capitals and tall ones.
            _, high, right, low = (float(side) for side in box_R4[line[-1]])
            height = max(float(bottom - top), low - high)
            shared = min(float(bottom), low) - max(float(top), high)
            # Boxes are shares of width and height; 16/9 makes them comparable.
            gap = (float(left) - right) * 16 / 9
            if shared > 0.5 * min(float(bottom - top), low - high) and -0.2 * height < gap < 0.6 * height:
                line.append(row)
                break
        else:
            lines.append([row])
    return [line for line in lines if MIN_WORD_LETTERS <= len(line) <= MAX_WORD_LETTERS]


@cache
def _by_length() -> Mapping[int, tuple[tuple[str, ...], NDArray[np.int64]]]:
    """Number of letters -> (words, (words, letters) their letters); words that no first letter stands for are left out."""
    table: dict[int, list[str]] = {}
    for word, letters in sorted(examples().items()):
        if word.isalpha() and word[0].upper() in letters:
            table.setdefault(len(word), []).append(word)
    return {
        length: (tuple(words), np.array([[LETTERS.index(sign) for sign in word.upper()] for word in words]))
        for length, words in table.items()
    }


def _word_of(line: Sequence[int], trace: ScreenTrace) -> ScreenWord | None:
    words, spelled_WN = _by_length()[len(line)]
    letters_N26 = trace.letters_R26[list(line)].copy()
    # A small l is read as an I.
    small_l, capital_i = LETTERS.index("L"), LETTERS.index("I")
    letters_N26[:, small_l] = np.maximum(letters_N26[:, small_l], letters_N26[:, capital_i])
    scores_W = letters_N26[np.arange(len(line))[None], spelled_WN].mean(axis=1)
    best = int(scores_W.argmax())
    if scores_W[best] < _SURE_WORD or letters_N26[0, spelled_WN[best, 0]] < 0.5:
        return None
    boxes = trace.box_R4[list(line)]
    sides = (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())
    left, top, right, bottom = (round(float(side), 4) for side in sides)
    look = int(trace.look_R[line[0]])
    return ScreenWord(
        text=words[best],
        seconds=look / trace.rate,
        score=round(float(scores_W[best]), 3),
        box=(left, top, right, bottom),
    )
