"""Rows of letters, light and pieces of letters: what a reading says depends on what stands beside it and what was there before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.screen_decoder import decode_screen
from phonics_data.segmentation.screen_evidence import ScreenOptions, screen_evidence
from tests.phonics_data.segmentation.traces import BLACK, BLUE, PALE, RATE, Colour, Reading, trace_of

OPTIONS = ScreenOptions()


def said(trace: ScreenTrace) -> dict[str, list[int]]:
    """Letter -> the looks at which it was said by more than a hint."""
    evidence_TL = screen_evidence(trace, OPTIONS)
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


def test_the_paler_rim_of_a_letter_that_moves_is_no_end_of_its_turn() -> None:
    shown = [Reading(look=2, letter="G"), Reading(look=4, letter="G", colour=PALE), Reading(look=6, letter="G")]
    assert said(trace_of(shown, 20)) == {"G": [2, 6]}
    # A letter of a row that waited from the beginning has had no turn to go back to.
    waiting = [*row_of("ABC", 2, PALE), Reading(look=4, letter="B", place=1, colour=(190.0, 190.0, 190.0))]
    assert said(trace_of([*waiting, Reading(look=6, letter="B", place=1, colour=PALE)], 20, cuts=[2])) == {}


def test_what_is_read_in_the_place_of_another_letter_is_a_piece_of_it_or_of_its_ground() -> None:
    both = [Reading(look=2, letter="M", width=0.2), Reading(look=2, letter="N", width=0.1)]
    assert said(trace_of(both, 10)).keys() == {"M"}
    beside = [Reading(look=2, letter="M", width=0.2), Reading(look=2, letter="N", place=1, width=0.1)]
    assert said(trace_of(beside, 10)).keys() == {"M", "N"}


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
        return float(screen_evidence(trace, OPTIONS)[2].max())

    card = [Reading(look=2, letter="K", after_cut=True)]
    assert strength([*card, Reading(look=2, letter="B", place=2, after_cut=True)]) < strength(card) < 1.0


def segments(trace: ScreenTrace) -> dict[str, tuple[float, float]]:
    return {one.letter: (one.start_seconds, one.end_seconds) for one in decode_screen(trace, OPTIONS).phrases}


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
    found = segments(trace_of(readings, 16 + 12 * RATE + 4, cuts))
    assert "".join(found) == LETTERS[:12]
    assert found["D"][0] == (16 + 3 * RATE - 0.5) / RATE  # with the cut
    assert found["A"][0] == (16 + 2 - 0.5) / RATE  # nothing went before: it waited for its mark


def test_two_letters_that_are_marked_at_once_are_divided_at_the_mark() -> None:
    readings, cuts = rows_of_three(LETTERS[:12], 16)
    late = 16 + 6 * RATE + RATE
    readings = [one for one in readings if not (one.letter in "GH" and one.colour == BLUE)]
    readings += [Reading(look=late, letter=one, place=at, colour=BLUE) for at, one in enumerate("GH")]
    found = segments(trace_of(readings, 16 + 12 * RATE + 4, cuts))
    assert found["G"] == ((16 + 6 * RATE - 0.5) / RATE, (late - 0.5) / RATE)
    assert found["H"][0] == (late - 0.5) / RATE
