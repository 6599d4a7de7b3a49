"""Windows lie where the sound is quiet and cover all of it; the merge keeps what most windows heard."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonics_data.recognizers.windows import (
    Heard,
    MergeOptions,
    Window,
    merge,
    overlapping,
    quiet_cuts,
    samples_of,
    stuck_from,
    widened,
    without_loop,
)
from phonics_data.types import Word

RATE_HZ = 1000
OPTIONS = MergeOptions()


def noise(seconds: float, *quiet_at: float) -> np.ndarray:
    """Noise with 0.3 s of near silence around each of `quiet_at`."""
    audio = np.random.default_rng(0).standard_normal(round(seconds * RATE_HZ)).astype(np.float32) * 0.3
    for at in quiet_at:
        audio[round((at - 0.15) * RATE_HZ) : round((at + 0.15) * RATE_HZ)] *= 0.001
    return audio


def word(text: str, start: float, end: float, confidence: float | None = 0.8) -> Word:
    return Word(text=text, start_seconds=start, end_seconds=end, confidence=confidence)


def heard(start: float, end: float, *words: Word) -> Heard:
    return Heard(Window(start, end), words)


def test_cuts_fall_into_the_quiet_places() -> None:
    cuts = quiet_cuts(noise(20, 6.2, 12.0, 17.5), RATE_HZ, at_most_seconds=7, search_seconds=3)
    assert cuts == pytest.approx([0, 6.2, 12.0, 17.5, 20], abs=0.06)


@given(st.floats(0.001, 60), st.floats(2, 20), st.floats(0.3, 1.9), st.lists(st.floats(0.2, 59), max_size=5))
def test_cuts_cover_the_audio_in_pieces_that_are_short_enough(
    seconds: float, at_most: float, search: float, quiet: list[float]
) -> None:
    audio = noise(seconds, *(at for at in quiet if at < seconds))
    cuts = quiet_cuts(audio, RATE_HZ, at_most_seconds=at_most, search_seconds=search)
    if not audio.size:
        assert cuts == []
        return
    assert cuts[0] == 0
    assert cuts[-1] == audio.size / RATE_HZ
    lengths = np.diff(cuts)
    assert (lengths > 0).all()
    assert (lengths <= at_most + 1e-9).all()
    assert (lengths[:-1] >= at_most - search - 0.02).all()


def test_sound_without_a_quiet_place_is_cut_all_the_same() -> None:
    cuts = quiet_cuts(np.ones(20 * RATE_HZ, np.float32), RATE_HZ, at_most_seconds=7, search_seconds=3)
    assert len(cuts) == 4


@pytest.mark.parametrize("num_pieces", [1, 2, 3, 4, 7, 8])
@pytest.mark.parametrize(("pieces", "hop"), [(1, 1), (2, 1), (4, 4), (4, 2)])
def test_windows_cover_every_piece(num_pieces: int, pieces: int, hop: int) -> None:
    cuts = [7.0 * index for index in range(num_pieces + 1)]
    windows = overlapping(cuts, pieces, hop)
    assert windows[0].start_seconds == 0
    assert windows[-1].end_seconds == cuts[-1]
    for middle in np.add(cuts[:-1], 3.5):
        assert any(window.start_seconds < middle < window.end_seconds for window in windows)
    assert all(window.end_seconds - window.start_seconds <= 7.0 * pieces for window in windows)
    assert len(set(windows)) == len(windows)


def test_no_audio_has_no_windows() -> None:
    assert overlapping([], 2, 1) == []
    assert widened([], 1.0) == []


def test_widened_pieces_reach_into_their_neighbours_but_not_out_of_the_audio() -> None:
    assert widened([0.0, 50.0, 80.0], 1.0) == [Window(0.0, 51.0), Window(49.0, 80.0)]


def test_samples_of_a_window() -> None:
    assert samples_of(Window(0.5, 1.25), 1000) == slice(500, 1250)


def test_equal_words_of_two_windows_are_one() -> None:
    words = merge(
        [heard(0, 10, word("apple", 8.0, 8.5)), heard(5, 15, word("Apple,", 8.2, 8.7), word("ball", 12, 12.5))], OPTIONS
    )
    assert [one.text.lower().strip(",") for one in words] == ["apple", "ball"]
    assert 8.0 <= words[0].start_seconds <= 8.2


def test_a_letter_that_one_window_hears_twice_stays_twice() -> None:
    twice = (word("A", 1.0, 1.2), word("A", 1.3, 1.5))
    words = merge([heard(0, 10, *twice), heard(0, 12, *twice)], OPTIONS)
    assert [one.start_seconds for one in words] == [1.0, 1.3]


def test_of_contradicting_words_the_one_that_more_windows_heard_stays() -> None:
    right, wrong = word("goose", 5.0, 5.5, 0.6), word("guse", 5.0, 5.5, 0.9)
    words = merge([heard(0, 10, right), heard(2, 12, right), heard(3, 13, wrong)], OPTIONS)
    assert [one.text for one in words] == ["goose"]


def test_what_one_window_alone_heard_stays_but_claims_less() -> None:
    alone = [heard(0, 10, word("cat", 5.0, 5.5, 0.8)), heard(2, 12), heard(3, 13)]
    both = [heard(0, 10, word("cat", 5.0, 5.5, 0.8)), heard(2, 12, word("cat", 5.0, 5.5, 0.8))]
    assert merge(alone, OPTIONS)[0].confidence == pytest.approx(0.8 / 3, abs=0.01)
    assert merge(both, OPTIONS)[0].confidence == pytest.approx(0.8, abs=0.01)


def test_half_a_word_at_a_windows_edge_gives_way_to_the_whole_one() -> None:
    words = merge([heard(0, 10, word("al", 9.6, 10.0, 0.9)), heard(7, 17, word("alligator", 9.6, 10.4, 0.7))], OPTIONS)
    assert [one.text for one in words] == ["alligator"]


def test_words_without_confidence_can_be_merged() -> None:
    words = merge([heard(0, 10, word("a", 1, 2, None)), heard(0, 10, word("a", 1, 2, None))], OPTIONS)
    assert len(words) == 1


def test_no_word_reaches_into_the_next() -> None:
    words = merge([heard(0, 10, word("a", 1.0, 1.6), word("b", 1.5, 2.5))], OPTIONS)
    assert [(one.start_seconds, one.end_seconds) for one in words] == [(1.0, 1.5), (1.5, 2.5)]


def test_nothing_heard_is_nothing() -> None:
    assert merge([], OPTIONS) == []
    assert merge([heard(0, 10)], OPTIONS) == []


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "is", "for"]), st.floats(0, 30), st.floats(0.01, 2), st.integers(0, 3)),
        max_size=25,
    )
)
def test_merged_words_are_in_order_and_apart_enough(drawn: list[tuple[str, float, float, int]]) -> None:
    windows = [Window(8.0 * index, 8.0 * index + 16) for index in range(4)]
    drawn.sort(key=lambda one: one[1])
    given_words = [
        Heard(
            window, tuple(word(text, start, start + length) for text, start, length, which in drawn if which == index)
        )
        for index, window in enumerate(windows)
    ]
    words = merge(given_words, OPTIONS)
    assert bool(words) == bool(drawn)
    for before, after in pairwise(words):
        assert before.start_seconds <= after.start_seconds
        assert before.end_seconds <= max(after.start_seconds, before.start_seconds + 2)
    assert {one.text for one in words} <= {text for text, *_ in drawn}
    assert all(one.confidence is not None and 0 <= one.confidence <= 1 for one in words)


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("a is for apple a a apple b is for ball", None),
        ("s s s s snake", None),
        ("o is for orange p p p p p p p", 6),
        ("the test of the dawn " * 6, 10),
        ("", None),
    ],
)
def test_a_stuck_decoder_is_noticed_and_songs_are_not(text: str, index: int | None) -> None:
    assert stuck_from(text.split(), most_repeats=4) == index


def test_a_stuck_window_ends_where_it_stuck_and_no_longer_outvotes_the_others() -> None:
    stuck = heard(0, 15, *(word("p", 5 + 0.5 * index, 5.4 + 0.5 * index) for index in range(12)))
    freed, was_stuck = without_loop(stuck, most_repeats=4)
    assert was_stuck
    assert len(freed.words) == 2
    assert freed.window == Window(0, pytest.approx(5.9))
    fine = heard(0, 15, word("a", 1, 2))
    assert without_loop(fine, most_repeats=4) == (fine, False)
