"""Evidence of rows of letters, light and parts of letters, in the context of the same and of earlier frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.screen_decoder import decode_screen
from phonics_data.segmentation.screen_evidence import ScreenOptions, screen_evidence
from phonics_data.segmentation.tracks import UNMARKED_WEIGHT
from tests.phonics_data.segmentation.traces import BLACK, BLUE, PALE, RATE, Colour, Detection, trace_of

OPTIONS = ScreenOptions()


def frames_of_letters(trace: ScreenTrace) -> dict[str, list[int]]:
    """Letter -> the frames with more evidence for it than an unmarked letter has."""
    evidence_TL = screen_evidence(trace, OPTIONS)
    return {
        LETTERS[letter]: np.flatnonzero(evidence_TL[:, letter] > UNMARKED_WEIGHT).tolist()
        for letter in np.flatnonzero((evidence_TL > UNMARKED_WEIGHT).any(axis=0)).tolist()
    }


def row_of(letters: str, frame: int, colour: Colour = BLACK) -> list[Detection]:
    return [
        Detection(frame=frame, letter=one, cell=cell, colour=colour, after_cut=True) for cell, one in enumerate(letters)
    ]


def test_unmarked_row_waits_until_each_letter_is_marked() -> None:
    marks = [Detection(frame=10 + 6 * cell, letter=one, cell=cell, colour=BLUE) for cell, one in enumerate("ABCD")]
    trace = trace_of([*row_of("ABCD", 2), *marks], 40, cuts=[2])
    assert frames_of_letters(trace) == {"A": [10], "B": [16], "C": [22], "D": [28]}


def test_letters_that_appear_together_but_are_no_row_do_not_wait() -> None:
    shown = [Detection(frame=2, letter=one, cell=cell, after_cut=True) for one, cell in (("A", 0), ("X", 1), ("K", 3))]
    assert frames_of_letters(trace_of(shown, 10, cuts=[2])) == {"A": [2], "K": [2], "X": [2]}


def test_paler_neighbour_waits_and_neighbour_of_another_colour_does_not() -> None:
    first = Detection(frame=2, letter="Q")
    pale = Detection(frame=8, letter="R", cell=1, colour=PALE)
    assert frames_of_letters(trace_of([first, pale], 20)) == {"Q": [2]}
    assert frames_of_letters(trace_of([first, pale, Detection(frame=14, letter="R", cell=1)], 20)) == {
        "Q": [2],
        "R": [14],
    }
    yellow = Detection(frame=8, letter="R", cell=1, colour=(254.0, 254.0, 5.0))
    assert frames_of_letters(trace_of([first, yellow], 20)) == {"Q": [2], "R": [8]}


def test_dark_letter_of_another_hue_is_not_faded() -> None:
    """On a red background the contrast of a dark red letter is small, but has another hue than that of a green one."""
    red, green, dark_red, dull_green = (250.0, 0.0, 0.0), (60.0, 174.0, 111.0), (164.0, 40.0, 0.0), (188.0, 56.0, 36.0)
    for colour, letters in ((dark_red, {"P", "R"}), (dull_green, {"P"})):
        shown = [Detection(frame=2, letter="P", colour=green), Detection(frame=8, letter="R", cell=1, colour=colour)]
        trace = trace_of(shown, 20)
        colour_R6 = trace.colour_R6.copy()
        colour_R6[:, 3:] = red
        assert frames_of_letters(replace(trace, colour_R6=colour_R6)).keys() == letters


def in_chart(letter: str, frame: int, colour: Colour = BLACK) -> Detection:
    left = 0.05 + 0.1 * "ABCDEF".index(letter)
    return Detection(frame=frame, letter=letter, box=(left, 0.3, left + 0.07, 0.6), colour=colour)


def test_letter_of_a_chart_counts_only_while_it_is_marked() -> None:
    chart = [replace(in_chart(one, 2, BLUE if one == "A" else BLACK), after_cut=True) for one in "ABCDEF"]
    changes = [in_chart("A", 8), in_chart("B", 8, BLUE), in_chart("B", 16), in_chart("C", 16, BLUE)]
    trace = trace_of([*chart, *changes], 30, cuts=[2])
    assert frames_of_letters(trace) == {"A": [2], "B": [8], "C": [16]}
    # A chart of one colour marks no letter.
    plain = [replace(one, colour=BLACK) for one in chart]
    assert frames_of_letters(trace_of(plain, 30, cuts=[2])) == {}
    # After a cut a letter with the chart's colours is a card.
    card = Detection(frame=20, letter="D", after_cut=True)
    assert frames_of_letters(trace_of([*plain, card], 30, cuts=[2, 20])) == {"D": [20]}


def test_part_of_a_recently_detected_letter_is_ignored() -> None:
    letter = [Detection(frame=frame, letter="M", width=0.2) for frame in (2, 4, 6)]
    part = Detection(frame=8, letter="N", width=0.12)
    assert frames_of_letters(trace_of([*letter, part], 20)).keys() == {"M"}
    # More than a second later the same shape is a letter.
    later = Detection(frame=18, letter="N", width=0.12)
    assert frames_of_letters(trace_of([*letter, later], 20)).keys() == {"M", "N"}


def test_paler_border_of_a_moving_letter_does_not_end_its_mark() -> None:
    shown = [
        Detection(frame=2, letter="G"),
        Detection(frame=4, letter="G", colour=PALE),
        Detection(frame=6, letter="G"),
    ]
    assert frames_of_letters(trace_of(shown, 20)) == {"G": [2, 6]}
    # A letter that has been unmarked since its first detection was never marked.
    unmarked = [*row_of("ABC", 2, PALE), Detection(frame=4, letter="B", cell=1, colour=(190.0, 190.0, 190.0))]
    pale = Detection(frame=6, letter="B", cell=1, colour=PALE)
    assert frames_of_letters(trace_of([*unmarked, pale], 20, cuts=[2])) == {}


def test_detection_inside_another_one_of_the_same_frame_is_ignored() -> None:
    both = [Detection(frame=2, letter="M", width=0.2), Detection(frame=2, letter="N", width=0.1)]
    assert frames_of_letters(trace_of(both, 10)).keys() == {"M"}
    beside = [Detection(frame=2, letter="M", width=0.2), Detection(frame=2, letter="N", cell=1, width=0.1)]
    assert frames_of_letters(trace_of(beside, 10)).keys() == {"M", "N"}


def test_letter_that_reads_differently_in_a_single_frame_is_a_flicker() -> None:
    shown = [Detection(frame=2, letter="X"), Detection(frame=4, letter="Y"), Detection(frame=6, letter="X")]
    assert frames_of_letters(trace_of(shown, 20)).keys() == {"X"}
    assert frames_of_letters(trace_of(shown[:2], 20)).keys() == {"X", "Y"}


def test_shape_as_wide_as_high_is_not_an_i() -> None:
    assert frames_of_letters(trace_of([Detection(frame=2, letter="I", width=0.05)], 10)).keys() == {"I"}
    wide = trace_of([Detection(frame=2, letter="I", width=0.22)], 10)
    assert frames_of_letters(wide) == {}
    letters_R26 = wide.letters_R26.copy()
    letters_R26[0, LETTERS.index("Z")] = 0.4
    assert frames_of_letters(replace(wide, letters_R26=letters_R26)) == {"Z": [2]}


def test_card_after_a_cut_has_more_evidence_than_a_title() -> None:
    def strength(detections: Sequence[Detection]) -> float:
        trace = trace_of(detections, 10, cuts=[2])
        return float(screen_evidence(trace, OPTIONS)[2].max())

    card = [Detection(frame=2, letter="K", after_cut=True)]
    assert strength([*card, Detection(frame=2, letter="B", cell=2, after_cut=True)]) < strength(card) < 1.0


def segments(trace: ScreenTrace) -> dict[str, tuple[float, float]]:
    return {one.letter: (one.start_seconds, one.end_seconds) for one in decode_screen(trace, OPTIONS).phrases}


def rows_of_three(letters: str, first: int) -> tuple[list[Detection], list[int]]:
    """Rows of three letters, three seconds per row; each letter is marked a second after the one before it."""
    detections: list[Detection] = []
    cuts: list[int] = []
    for start in range(0, len(letters), 3):
        frame = first + RATE * start
        cuts.append(frame)
        detections += row_of(letters[start : start + 3], frame)
        detections += [
            Detection(frame=frame + RATE * cell + (2 if cell == 0 else 0), letter=one, cell=cell, colour=BLUE)
            for cell, one in enumerate(letters[start : start + 3])
        ]
    return detections, cuts


def test_first_letter_of_a_row_starts_with_the_row_if_a_letter_preceded_it() -> None:
    detections, cuts = rows_of_three(LETTERS[:12], 16)
    found = segments(trace_of(detections, 16 + 12 * RATE + 4, cuts))
    assert "".join(found) == LETTERS[:12]
    assert found["D"][0] == (16 + 3 * RATE - 0.5) / RATE  # with the cut
    assert found["A"][0] == (16 + 2 - 0.5) / RATE  # with its mark, because no letter preceded it


def test_two_letters_that_are_marked_together_are_divided_at_the_mark() -> None:
    detections, cuts = rows_of_three(LETTERS[:12], 16)
    late = 16 + 6 * RATE + RATE
    detections = [one for one in detections if not (one.letter in "GH" and one.colour == BLUE)]
    detections += [Detection(frame=late, letter=one, cell=cell, colour=BLUE) for cell, one in enumerate("GH")]
    found = segments(trace_of(detections, 16 + 12 * RATE + 4, cuts))
    assert found["G"] == ((16 + 6 * RATE - 0.5) / RATE, (late - 0.5) / RATE)
    assert found["H"][0] == (late - 0.5) / RATE
