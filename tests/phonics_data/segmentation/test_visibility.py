"""Boundaries of letters in handmade OCR traces with edges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.phrases import Phrase
from phonics_data.segmentation.screen_evidence import ScreenOptions, screen_evidence
from phonics_data.segmentation.visibility import screen_phrases
from phonics_data.segmentation.viterbi import LetterRun
from tests.phonics_data.segmentation.traces import RATE, Detection, trace_of, with_edges

LETTER_BOX = (0.25, 0.25, 0.5, 0.75)
CARD_BOX = (0.125, 0.125, 0.625, 0.875)
CARD_BORDER = [
    ((0.125, 0.125, 0.625, 0.17), 200),
    ((0.125, 0.83, 0.625, 0.875), 200),
    ((0.125, 0.125, 0.15, 0.875), 200),
    ((0.6, 0.125, 0.625, 0.875), 200),
]
NUM_FRAMES = 80


def only_phrase(trace: ScreenTrace, letter: str = "B") -> Phrase:
    letters_TL = screen_evidence(trace, ScreenOptions())
    (phrase,) = screen_phrases([LetterRun(0, trace.num_frames, LETTERS.index(letter))], letters_TL, trace)
    return phrase


def seconds(frame: int) -> float:
    """A change that a sampled frame shows first."""
    return (frame - 0.5) / RATE


def test_empty_card_after_a_cut_does_not_belong_to_the_letter() -> None:
    shown = [Detection(frame=frame, letter="B", box=LETTER_BOX) for frame in (20, 21)]
    trace = trace_of(shown, NUM_FRAMES, cuts=[10])
    phrase = only_phrase(with_edges(trace, [(LETTER_BOX, range(20, 60), 60)]))
    assert (phrase.start_seconds, phrase.end_seconds) == (seconds(20), seconds(60))
    assert phrase.edge_support == 1.0
    # A letter that comes with the cut begins there, even if it is detected later.
    assert only_phrase(with_edges(trace, [(LETTER_BOX, range(10, 60), 60)])).start_seconds == seconds(10)


def test_letter_that_changes_after_a_cut_of_the_scene_begins_when_it_changes() -> None:
    """A card in the corner shows another letter until frame 30; the scene behind it is cut in frame 10."""
    upper, lower = (0.25, 0.25, 0.5, 0.5), (0.25, 0.5, 0.5, 0.75)
    trace = trace_of([Detection(frame=30, letter="B", box=LETTER_BOX)], NUM_FRAMES, cuts=[10])
    changed = [(LETTER_BOX, range(60), 100), (upper, range(30, 60), 60), (lower, range(30, 60), 70)]
    assert only_phrase(with_edges(trace, changed)).start_seconds == seconds(30)
    same = [(LETTER_BOX, range(60), 100)]
    assert only_phrase(with_edges(trace, same)).start_seconds == seconds(10)


def test_stroke_of_a_letter_that_is_being_drawn_belongs_to_it() -> None:
    stroke_box = (0.25, 0.25, 0.34, 0.75)
    stroke = Detection(frame=12, letter="I", box=(0.25, 0.25, 0.4, 0.75))
    letter = Detection(frame=24, letter="B", box=LETTER_BOX)
    trace = trace_of([stroke, letter], NUM_FRAMES)
    drawn = [(stroke_box, range(10, 60), 60), ((0.34, 0.25, 0.5, 0.75), range(20, 60), 60)]
    assert only_phrase(with_edges(trace, drawn)).start_seconds == seconds(10)
    # Another letter loses its edges when the letter replaces it.
    replaced = [((0.25, 0.25, 0.4, 0.75), range(10, 20), 90), (LETTER_BOX, range(20, 60), 60)]
    assert only_phrase(with_edges(trace, replaced)).start_seconds > seconds(12)


def test_letter_that_fades_in_does_not_end() -> None:
    trace = trace_of([Detection(frame=10, letter="B", box=LETTER_BOX)], NUM_FRAMES)
    fading = [(LETTER_BOX, range(10 + step, 11 + step), 8 + 6 * step) for step in range(20)]
    phrase = only_phrase(with_edges(trace, [*fading, (LETTER_BOX, range(30, 60), 128)]))
    assert phrase.end_seconds == seconds(60)


def test_other_edges_at_the_place_end_a_letter_however_strong_they_are() -> None:
    trace = trace_of([Detection(frame=10, letter="B", box=LETTER_BOX)], NUM_FRAMES)
    upper, lower = (0.25, 0.25, 0.5, 0.5), (0.25, 0.5, 0.5, 0.75)
    phrase = only_phrase(
        with_edges(trace, [(upper, range(10, 40), 40), (lower, range(10, 60), 80), (upper, range(40, 60), 250)])
    )
    assert phrase.end_seconds == seconds(40)


def test_border_of_the_card_does_not_prolong_the_letter() -> None:
    """The box of the detection is the card's; the border stays when the letter has gone."""
    shown = [Detection(frame=frame, letter="Z", box=CARD_BOX) for frame in (10, 11)]
    border = [(box, range(NUM_FRAMES), strength) for box, strength in CARD_BORDER]
    trace = with_edges(trace_of(shown, NUM_FRAMES), [*border, ((0.25, 0.3, 0.5, 0.7), range(10, 40), 90)])
    phrase = only_phrase(trace, "Z")
    assert (phrase.start_seconds, phrase.end_seconds) == (seconds(10), seconds(40))


def test_chart_at_its_place_ends_a_letter() -> None:
    """All edges stay the same."""
    shown = [Detection(frame=frame, letter="Z", box=CARD_BOX) for frame in (10, 11)]
    chart = [
        Detection(frame=40, letter=one, box=(0.15 + 0.15 * index, 0.3, 0.28 + 0.15 * index, 0.6))
        for index, one in enumerate("ABC")
    ]
    assert only_phrase(trace_of([*shown, *chart], NUM_FRAMES), "Z").end_seconds == seconds(40)
    # One other letter may be a wrong detection of a part.
    assert only_phrase(trace_of([*shown, chart[0]], NUM_FRAMES), "Z").end_seconds == NUM_FRAMES / RATE


def test_letter_that_shrinks_while_it_moves_stays_the_same_letter() -> None:
    large = [Detection(frame=10 + step, letter="B", box=(0.4, 0.2, 0.6, 0.6)) for step in range(4)]
    moving = [
        Detection(frame=30 + step, letter="B", box=(0.4 - 0.02 * step, 0.2, 0.6 - 0.03 * step, 0.6 - 0.03 * step))
        for step in range(7)
    ]
    last = moving[-1].box
    assert last is not None
    parts = [((0.4, 0.2, 0.6, 0.6), range(10, 30), 60)]
    parts += [(one.box, range(one.frame, one.frame + 1), 60) for one in moving if one.box is not None]
    trace = with_edges(trace_of([*large, *moving], NUM_FRAMES), [*parts, (last, range(37, 70), 60)])
    assert only_phrase(trace).end_seconds == seconds(70)


def test_same_letter_elsewhere_after_a_cut_is_a_title() -> None:
    title = Detection(frame=4, letter="A", box=(0.02, 0.6, 0.2, 0.9))
    shown = [Detection(frame=frame, letter="A", box=LETTER_BOX) for frame in (40, 41, 42)]
    phrase = only_phrase(trace_of([title, *shown], NUM_FRAMES, cuts=[30]), "A")
    assert phrase.start_seconds == seconds(30)


def test_boundaries_have_the_times_of_the_changes() -> None:
    trace = trace_of([Detection(frame=10, letter="B", box=LETTER_BOX)], NUM_FRAMES)
    times = np.maximum((np.arange(NUM_FRAMES) - 0.5) / RATE, 0).astype(np.float32)
    times[10], times[50] = 1.16, 6.24
    trace = replace(with_edges(trace, [(LETTER_BOX, range(10, 50), 60)]), change_seconds_T=times)
    phrase = only_phrase(trace)
    assert (phrase.start_seconds, phrase.end_seconds) == pytest.approx((1.16, 6.24))


def test_edge_that_nothing_shows_has_no_support() -> None:
    trace = trace_of([Detection(frame=10, letter="B", box=LETTER_BOX)], NUM_FRAMES)
    assert only_phrase(with_edges(trace, [(LETTER_BOX, range(10, NUM_FRAMES), 60)])).edge_support == 0.5
