"""Windows are cut at quiet moments and cover the audio; `merge` keeps the words with most support."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonics_data.recognizers.windows import (
    MergeOptions,
    RecognizedWords,
    Window,
    extended,
    loop_start,
    merge,
    overlapping,
    quiet_cuts,
    samples_of,
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


def recognized(start: float, end: float, *words: Word) -> RecognizedWords:
    return RecognizedWords(Window(start, end), words)


def test_cuts_are_at_quiet_moments() -> None:
    cuts = quiet_cuts(noise(20, 6.2, 12.0, 17.5), RATE_HZ, max_seconds=7, search_seconds=3)
    assert cuts == pytest.approx([0, 6.2, 12.0, 17.5, 20], abs=0.06)


@given(st.floats(0.001, 60), st.floats(2, 20), st.floats(0.3, 1.9), st.lists(st.floats(0.2, 59), max_size=5))
def test_cuts_cover_the_audio_within_the_limits(
    seconds: float, at_most: float, search: float, quiet: list[float]
) -> None:
    audio = noise(seconds, *(at for at in quiet if at < seconds))
    cuts = quiet_cuts(audio, RATE_HZ, max_seconds=at_most, search_seconds=search)
    if not audio.size:
        assert cuts == []
        return
    assert cuts[0] == 0
    assert cuts[-1] == audio.size / RATE_HZ
    lengths = np.diff(cuts)
    assert (lengths > 0).all()
    assert (lengths <= at_most + 1e-9).all()
    assert (lengths[:-1] >= at_most - search - 0.02).all()


def test_audio_without_quiet_moments_is_cut() -> None:
    cuts = quiet_cuts(np.ones(20 * RATE_HZ, np.float32), RATE_HZ, max_seconds=7, search_seconds=3)
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
    assert extended([], 1.0) == []


def test_extended_windows_overlap_within_the_audio() -> None:
    assert extended([0.0, 50.0, 80.0], 1.0) == [Window(0.0, 51.0), Window(49.0, 80.0)]


def test_samples_of_a_window() -> None:
    assert samples_of(Window(0.5, 1.25), 1000) == slice(500, 1250)


def test_equal_words_of_two_windows_are_merged() -> None:
    words = merge(
        [
            recognized(0, 10, word("apple", 8.0, 8.5)),
            recognized(5, 15, word("Apple,", 8.2, 8.7), word("ball", 12, 12.5)),
        ],
        OPTIONS,
    )
    assert [one.text.lower().strip(",") for one in words] == ["apple", "ball"]
    assert 8.0 <= words[0].start_seconds <= 8.2


def test_a_repeated_letter_is_kept() -> None:
    twice = (word("A", 1.0, 1.2), word("A", 1.3, 1.5))
    words = merge([recognized(0, 10, *twice), recognized(0, 12, *twice)], OPTIONS)
    assert [one.start_seconds for one in words] == [1.0, 1.3]


def test_of_words_in_conflict_the_best_supported_is_kept() -> None:
    right, wrong = word("goose", 5.0, 5.5, 0.6), word("guse", 5.0, 5.5, 0.9)
    words = merge([recognized(0, 10, right), recognized(2, 12, right), recognized(3, 13, wrong)], OPTIONS)
    assert [one.text for one in words] == ["goose"]


def test_words_of_a_single_window_are_kept_with_less_confidence() -> None:
    alone = [recognized(0, 10, word("cat", 5.0, 5.5, 0.8)), recognized(2, 12), recognized(3, 13)]
    both = [recognized(0, 10, word("cat", 5.0, 5.5, 0.8)), recognized(2, 12, word("cat", 5.0, 5.5, 0.8))]
    assert merge(alone, OPTIONS)[0].confidence == pytest.approx(0.8 / 3, abs=0.01)
    assert merge(both, OPTIONS)[0].confidence == pytest.approx(0.8, abs=0.01)


def test_an_incomplete_word_at_a_window_edge_is_replaced() -> None:
    words = merge(
        [recognized(0, 10, word("al", 9.6, 10.0, 0.9)), recognized(7, 17, word("alligator", 9.6, 10.4, 0.7))], OPTIONS
    )
    assert [one.text for one in words] == ["alligator"]


def test_words_without_confidence_can_be_merged() -> None:
    words = merge([recognized(0, 10, word("a", 1, 2, None)), recognized(0, 10, word("a", 1, 2, None))], OPTIONS)
    assert len(words) == 1


def test_words_do_not_overlap() -> None:
    words = merge([recognized(0, 10, word("a", 1.0, 1.6), word("b", 1.5, 2.5))], OPTIONS)
    assert [(one.start_seconds, one.end_seconds) for one in words] == [(1.0, 1.5), (1.5, 2.5)]


def test_no_words() -> None:
    assert merge([], OPTIONS) == []
    assert merge([recognized(0, 10)], OPTIONS) == []


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "is", "for"]), st.floats(0, 30), st.floats(0.01, 2), st.integers(0, 3)),
        max_size=25,
    )
)
def test_merged_words_are_sorted_and_valid(sampled: list[tuple[str, float, float, int]]) -> None:
    windows = [Window(8.0 * index, 8.0 * index + 16) for index in range(4)]
    sampled.sort(key=lambda one: one[1])
    given_words = [
        RecognizedWords(
            window, tuple(word(text, start, start + length) for text, start, length, which in sampled if which == index)
        )
        for index, window in enumerate(windows)
    ]
    words = merge(given_words, OPTIONS)
    assert bool(words) == bool(sampled)
    for before, after in pairwise(words):
        assert before.start_seconds <= after.start_seconds
        assert before.end_seconds <= max(after.start_seconds, before.start_seconds + 2)
    assert {one.text for one in words} <= {text for text, *_ in sampled}
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
def test_decoder_loops_are_detected_and_songs_are_not(text: str, index: int | None) -> None:
    assert loop_start(text.split(), max_repeats=4) == index


def test_a_window_is_truncated_at_a_decoder_loop() -> None:
    looping = recognized(0, 15, *(word("p", 5 + 0.5 * index, 5.4 + 0.5 * index) for index in range(12)))
    truncated, has_loop = without_loop(looping, max_repeats=4)
    assert has_loop
    assert len(truncated.words) == 2
    assert truncated.window == Window(0, pytest.approx(5.9))
    normal = recognized(0, 15, word("a", 1, 2))
    assert without_loop(normal, max_repeats=4) == (normal, False)
