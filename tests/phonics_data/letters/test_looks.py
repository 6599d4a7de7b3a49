"""Rows of letters, light and pieces of letters: what a reading says depends on what stands beside it and what was there before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phonics_data.letters.lexicon import LETTERS
from phonics_data.letters.looks import SightOptions, screen_evidence
from phonics_data.letters.sight import decode_sight
from phonics_data.trace import ScreenTrace

RATE = 8
BLACK, PALE, BLUE, GROUND = (0.0, 0.0, 0.0), (180.0, 180.0, 180.0), (20.0, 90.0, 200.0), (250.0, 250.0, 250.0)
OPTIONS = SightOptions()

Colour = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Reading:
    look: int
    letter: str
    place: int = 0
    """Which of four cells beside each other."""
    width: float = 0.15
    colour: Colour = BLACK
    after_cut: bool = False
    score: float = 1.0


def trace_of(readings: Sequence[Reading], looks: int, cuts: Sequence[int] = ()) -> ScreenTrace:
    ordered = sorted(readings, key=lambda reading: reading.look)
    letters = np.zeros((len(ordered), 26), np.float32)
    for row, reading in enumerate(ordered):
        letters[row, LETTERS.index(reading.letter)] = reading.score
    changed = np.zeros(looks, np.float32)
    changed[[reading.look for reading in ordered]] = 0.04
    changed[list(cuts)] = 0.9
    cut = np.zeros(looks, np.bool_)
    cut[list(cuts)] = True
    lefts = [0.05 + 0.22 * reading.place for reading in ordered]
    boxes = [[left, 0.3, left + one.width, 0.7] for left, one in zip(lefts, ordered, strict=True)]
    return ScreenTrace(
        rate=RATE,
        changed_T=changed,
        cut_T=cut,
        edges_TGG=np.full((looks, 18, 32), 40, np.uint8),
        look_R=np.array([one.look for one in ordered], np.int32),
        box_R4=np.array(boxes, np.float32).reshape(-1, 4),
        letters_R26=letters,
        colour_R6=np.array([[*one.colour, *GROUND] for one in ordered], np.float32).reshape(-1, 6),
        after_cut_R=np.array([one.after_cut for one in ordered], np.bool_),
    )


def said(trace: ScreenTrace) -> dict[str, list[int]]:
    """Letter -> the looks at which it was said by more than a hint."""
    evidence_TL = screen_evidence(trace, OPTIONS, np.ones(trace.look_R.size))
    return {
        LETTERS[letter]: np.flatnonzero(evidence_TL[:, letter] > OPTIONS.waiting).tolist()
        for letter in np.flatnonzero((evidence_TL > OPTIONS.waiting).any(axis=0)).tolist()
    }


def row_of(letters: str, look: int, colour: Colour = BLACK) -> list[Reading]:
    return [Reading(look=look, letter=one, place=at, colour=colour, after_cut=True) for at, one in enumerate(letters)]


def test_a_row_that_comes_unmarked_waits_until_each_letter_is_marked() -> None:
    marks = [Reading(look=10 + 6 * at, letter=one, place=at, colour=BLUE) for at, one in enumerate("ABCD")]
    trace = trace_of([*row_of("ABCD", 2), *marks], 40, cuts=[2])
    assert said(trace) == {"A": [10], "B": [16], "C": [22], "D": [28]}


def test_letters_that_came_together_and_are_no_row_do_not_wait() -> None:
    shown = [Reading(look=2, letter=one, place=at, after_cut=True) for one, at in (("A", 0), ("X", 1), ("K", 3))]
    assert said(trace_of(shown, 10, cuts=[2])) == {"A": [2], "K": [2], "X": [2]}


def test_what_is_a_paler_neighbour_of_a_letter_waits_and_one_in_another_colour_does_not() -> None:
    first = Reading(look=2, letter="Q")
    assert said(trace_of([first, Reading(look=8, letter="R", place=1, colour=PALE)], 20)) == {"Q": [2]}
    shown = [first, Reading(look=8, letter="R", place=1, colour=PALE), Reading(look=14, letter="R", place=1)]
    assert said(trace_of(shown, 20)) == {"Q": [2], "R": [14]}
    yellow = (254.0, 254.0, 5.0)
    assert said(trace_of([first, Reading(look=8, letter="R", place=1, colour=yellow)], 20)) == {"Q": [2], "R": [8]}


def test_half_a_letter_in_the_light_is_no_other_letter() -> None:
    letter = [Reading(look=look, letter="M", width=0.2) for look in (2, 4, 6)]
    assert said(trace_of([*letter, Reading(look=8, letter="N", width=0.12)], 20)).keys() == {"M"}
    # The same piece, when nothing stood there for a second, is a letter.
    assert said(trace_of([*letter, Reading(look=18, letter="N", width=0.12)], 20)).keys() == {"M", "N"}


def test_a_letter_that_is_another_one_for_a_single_look_is_a_flicker() -> None:
    shown = [Reading(look=2, letter="X"), Reading(look=4, letter="Y"), Reading(look=6, letter="X")]
    assert said(trace_of(shown, 20)).keys() == {"X"}
    assert said(trace_of(shown[:2], 20)).keys() == {"X", "Y"}


def test_what_is_as_wide_as_high_is_no_i() -> None:
    assert said(trace_of([Reading(look=2, letter="I", width=0.05)], 10)).keys() == {"I"}
    assert said(trace_of([Reading(look=2, letter="I", width=0.22)], 10)) == {}


def test_a_card_that_comes_with_a_cut_says_more_than_a_title() -> None:
    def strength(readings: Sequence[Reading]) -> float:
        trace = trace_of(readings, 10, cuts=[2])
        return float(screen_evidence(trace, OPTIONS, np.ones(trace.look_R.size))[2].max())

    card = [Reading(look=2, letter="K", after_cut=True)]
    assert strength([*card, Reading(look=2, letter="B", place=2, after_cut=True)]) < strength(card) < 1.0


def spans(trace: ScreenTrace) -> dict[str, tuple[float, float]]:
    return {one.letter: (one.start_seconds, one.end_seconds) for one in decode_sight(trace, OPTIONS).phrases}


def rows_of_three(letters: str, first: int) -> tuple[list[Reading], list[int]]:
    """Rows of three letters, each row for three seconds; each letter is marked a second after the one before it."""
    readings: list[Reading] = []
    cuts: list[int] = []
    for at in range(0, len(letters), 3):
        look = first + RATE * at
        cuts.append(look)
        readings += row_of(letters[at : at + 3], look)
        readings += [
            Reading(look=look + RATE * turn + (2 if turn == 0 else 0), letter=one, place=turn, colour=BLUE)
            for turn, one in enumerate(letters[at : at + 3])
        ]
    return readings, cuts


def test_the_first_of_a_row_begins_with_the_row_where_a_letter_went_before() -> None:
    readings, cuts = rows_of_three(LETTERS[:12], 16)
    found = spans(trace_of(readings, 16 + 12 * RATE + 4, cuts))
    assert "".join(found) == LETTERS[:12]
    assert found["D"][0] == (16 + 3 * RATE - 0.5) / RATE  # with the cut
    assert found["A"][0] == (16 + 2 - 0.5) / RATE  # nothing went before: it waited for its mark


def test_two_letters_that_are_marked_at_once_are_divided_at_the_mark() -> None:
    readings, cuts = rows_of_three(LETTERS[:12], 16)
    late = 16 + 6 * RATE + RATE
    readings = [one for one in readings if not (one.letter in "GH" and one.colour == BLUE)]
    readings += [Reading(look=late, letter=one, place=at, colour=BLUE) for at, one in enumerate("GH")]
    found = spans(trace_of(readings, 16 + 12 * RATE + 4, cuts))
    assert found["G"] == ((16 + 6 * RATE - 0.5) / RATE, (late - 0.5) / RATE)
    assert found["H"][0] == (late - 0.5) / RATE
