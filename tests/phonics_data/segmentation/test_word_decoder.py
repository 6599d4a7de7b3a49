from __future__ import annotations

import random
import string
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonics_data.captions.parse import read_captions
from phonics_data.segmentation import word_decoder
from phonics_data.segmentation.phrases import HOLD_SECONDS
from phonics_data.segmentation.scoring import iou
from phonics_data.segmentation.viterbi import Order, TransitionCosts, best_path, transition_costs
from phonics_data.segmentation.word_decoder import WordDecoderOptions, decode_words
from phonics_data.types import TrueSegment, Word
from tests.phonics_data.segmentation.transcripts import CHORUS, INTRO, OUTRO, doubled, is_for, name_only, song

ALPHABET = string.ascii_uppercase


def letters_of(words: Sequence[Word], order: Order = "auto") -> str:
    decoding = decode_words(words, duration_seconds=1000, options=WordDecoderOptions(order=order))
    return "".join(phrase.letter for phrase in decoding.phrases)


def assert_found(words: Sequence[Word], truth: Sequence[TrueSegment], min_iou: float = 0.8) -> None:
    end = words[-1].end_seconds + 2
    decoding = decode_words(words, duration_seconds=end, options=WordDecoderOptions())
    assert [phrase.letter for phrase in decoding.phrases] == [segment.letter for segment in truth]
    for phrase, segment in zip(decoding.phrases, truth, strict=True):
        assert (
            iou(replace(segment, start_seconds=phrase.start_seconds, end_seconds=phrase.end_seconds), segment)
            >= min_iou
        ), segment
        assert phrase.object_word == segment.object_word


@pytest.mark.parametrize("phrase", [is_for, doubled, name_only])
def test_alphabet_between_intro_and_outro(phrase: Callable[[str], str]) -> None:
    words, truth = song(phrase=phrase, before=[INTRO], after=[CHORUS, OUTRO])
    assert_found(words, truth)


@pytest.mark.parametrize("phrase", [is_for, doubled, name_only])
def test_shuffled_letters(phrase: Callable[[str], str]) -> None:
    letters = list(ALPHABET)
    random.Random(5).shuffle(letters)
    words, truth = song(letters, phrase, before=[INTRO], after=[OUTRO])
    assert_found(words, truth)


@pytest.mark.parametrize("phrase", [is_for, doubled, name_only])
def test_song_with_a_part_of_the_letters(phrase: Callable[[str], str]) -> None:
    words, truth = song("GHIJKLMNOPQRSTU", phrase, after=[CHORUS])
    assert_found(words, truth)


def test_two_rounds() -> None:
    words, truth = song(ALPHABET * 2, name_only, before=[INTRO], after=[CHORUS])
    assert_found(words, truth)


def test_chorus_in_the_middle_and_lower_case() -> None:
    first, _ = song(ALPHABET[:13], is_for, after=[CHORUS])
    later = first[-1].end_seconds
    second, _ = song(ALPHABET[13:], is_for)
    words = [replace(word, text=word.text.lower()) for word in first]
    words += [
        replace(
            word, text=word.text.lower(), start_seconds=word.start_seconds + later, end_seconds=word.end_seconds + later
        )
        for word in second
    ]
    assert letters_of(words) == ALPHABET


def test_letters_that_are_recognized_as_words() -> None:
    similar = {
        "B": "bee",
        "C": "see",
        "I": "eye",
        "K": "kay",
        "O": "oh",
        "P": "pea",
        "Q": "queue",
        "R": "are",
        "T": "tea",
        "U": "you",
        "Y": "why",
    }
    words, truth = song(phrase=name_only)
    assert_found([replace(word, text=similar.get(word.text, word.text)) for word in words], truth)


def test_missing_names_are_found_by_their_examples() -> None:
    words, truth = song()
    assert_found([word for word in words if word.text not in "BKS"], truth, min_iou=0.5)


def test_confused_names_are_corrected_by_their_context() -> None:
    words, truth = song()
    swapped = {"D": "B", "M": "N", "S": "F"}
    assert_found([replace(word, text=swapped.get(word.text, word.text)) for word in words], truth)


@pytest.mark.parametrize("seed", range(5))
def test_fifth_of_the_words_missing_or_wrong(seed: int) -> None:
    rng = random.Random(seed)
    words, truth = song(before=[INTRO], after=[CHORUS, OUTRO])
    kept = [
        word if rng.random() > 0.1 else replace(word, text=rng.choice(["the", "my", "go", "oh", "wow"]))
        for word in words
        if rng.random() > 0.1
    ]
    decoding = decode_words(kept, duration_seconds=1000, options=WordDecoderOptions())
    right = sum(
        any(
            phrase.letter == segment.letter
            and iou(replace(segment, start_seconds=phrase.start_seconds, end_seconds=phrase.end_seconds), segment)
            >= 0.5
            for phrase in decoding.phrases
        )
        for segment in truth
    )
    assert right >= 23
    assert len(decoding.phrases) - right <= 2


@pytest.mark.parametrize(
    "text",
    [
        "one two three four five six seven eight nine ten let's count again to ten",
        "the wheels on the bus go round and round round and round all through the town",
        "twinkle twinkle little star how I wonder what you are up above the world so high like a diamond in the sky",
        "now I know my A B C next time won't you sing with me",
        "I see a cat and a dog and you see a bee but why are you in the sea",
        "is this the plan B or an A team with vitamin C and a T shirt in size L or X L",
        "",
    ],
)
def test_transcript_without_an_alphabet_gives_no_letter(text: str) -> None:
    words = [
        Word(text=token, start_seconds=0.4 * number, end_seconds=0.4 * number + 0.3)
        for number, token in enumerate((text + " ").split() * 4)
    ]
    decoding = decode_words(words, duration_seconds=1000, options=WordDecoderOptions())
    assert decoding.phrases == ()
    assert not decoding.is_alphabet


def test_captions_in_another_language_give_no_letter(shared_data: Path) -> None:
    path = shared_data / "captions" / "glut23+webvtt-py" / "tests__subtitles__netflix_chicas_del_cable.vtt"
    assert letters_of(read_captions(path, duration_seconds=None).words) == ""


def test_order_can_be_strict_or_any() -> None:
    words, _ = song("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    stray = Word(text="D", start_seconds=words[-4].start_seconds - 0.25, end_seconds=words[-4].start_seconds)
    shuffled, _ = song("QAZWSXEDCRFVTGBYHN", doubled)
    assert letters_of(sorted([*words, stray], key=lambda word: word.start_seconds), "strict") == ALPHABET
    assert letters_of(shuffled, "any") == "QAZWSXEDCRFVTGBYHN"


def test_words_between_two_names_belong_to_the_first_letter_until_a_pause() -> None:
    words, _ = song("ABCDEFGHIJKLMNOP", lambda letter: is_for(letter) + " yum")
    decoding = decode_words(words, duration_seconds=1000, options=WordDecoderOptions())
    assert [phrase.start_seconds for phrase in decoding.phrases] == [
        word.start_seconds for word in words if len(word.text) == 1
    ]
    last = decoding.phrases[-1]
    assert last.end_seconds == pytest.approx(words[-1].end_seconds + HOLD_SECONDS)


_WORDS = st.lists(
    st.tuples(
        st.floats(0, 500),
        st.sampled_from([*ALPHABET, "is", "for", "apple", "ball", "cat", "dog", "ABC", "sing", "now"]),
    ),
    max_size=120,
)


@given(_WORDS, st.sampled_from(["strict", "any", "auto"]))
def test_phrases_are_in_order_inside_the_video_with_cut_points_inside(
    placed: list[tuple[float, str]], order: Order
) -> None:
    starts = sorted(start for start, _ in placed)
    words = [
        Word(text=text, start_seconds=start, end_seconds=start + 0.2)
        for start, (_, text) in zip(starts, placed, strict=True)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word_decoder, "MIN_PAIRS", 0)
        decoding = decode_words(words, duration_seconds=500.0, options=WordDecoderOptions(order=order))
    end = 0.0
    for phrase in decoding.phrases:
        assert end - 1e-9 <= phrase.start_seconds <= phrase.end_seconds <= 500.0
        assert 0 <= phrase.confidence <= 1
        assert all(phrase.start_seconds <= time <= phrase.end_seconds for time in phrase.cut_points)
        end = phrase.end_seconds


@given(st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_best_path_has_the_best_score_of_all_paths(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    letters = np.zeros((count, 26))
    letters[:, :2] = rng.random((count, 2))  # only two letters, so that all paths can be enumerated
    none = rng.random(count) * 0.5
    table = transition_costs(TransitionCosts(), "strict")
    states = [0, 1, 26, 27, 52]

    def value(path: Sequence[int]) -> float:
        total, before = 0.0, 52
        for row, state in enumerate(path):
            total += (letters[row, state] if state < 26 else none[row]) - table[before, state]
            before = state
        return total

    def all_paths(length: int) -> list[list[int]]:
        return [[]] if length == 0 else [[*path, state] for path in all_paths(length - 1) for state in states]

    best = max(value(path) for path in all_paths(count))
    assert value(best_path(letters, none, table).tolist()) == pytest.approx(best, abs=1e-6)


def parts_of(line: str, letter: str = "L") -> list[tuple[float, str]]:
    """(seconds after the start of the phrase, object word) of each part of this letter's phrase in an alphabet song."""
    words, _ = song(phrase=lambda one: line if one == letter else is_for(one))
    decoding = decode_words(words, duration_seconds=1000, options=WordDecoderOptions())
    (phrase,) = (phrase for phrase in decoding.phrases if phrase.letter == letter)
    return [(round(part.start_seconds - phrase.start_seconds, 3), part.object_word) for part in phrase.parts]


def test_phrase_has_a_part_for_each_object_word() -> None:
    assert parts_of("L is for lion L is for lamp") == [(0.0, "lion"), (2.0, "lamp")]
    assert parts_of("L is for lion and lamp") == [(0.0, "lion"), (2.5, "lamp")]
    assert parts_of("A is for apple a a apple", "A") == [(0.0, "apple")]
    assert parts_of("L is for lions l l lion") == [(0.0, "lions")]
    assert parts_of("L is for lion you like my lamp") == [(0.0, "lion")]
    assert parts_of("L") == []
