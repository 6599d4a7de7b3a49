from __future__ import annotations

import random
import string
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from phonics_data.captions.parse import read_captions
from phonics_data.segmentation import word_decoder
from phonics_data.segmentation.phrases import HOLD_SECONDS
from phonics_data.segmentation.scoring import iou
from phonics_data.segmentation.segmenter import needs_screen
from phonics_data.segmentation.viterbi import Order, TransitionCosts, best_path, transition_costs
from phonics_data.segmentation.word_decoder import (
    MIN_NAMES,
    MIN_PAIRS,
    MIN_PATTERNS,
    WordDecoderOptions,
    decode_words,
    required_counts,
)
from phonics_data.types import TrueSegment, Word
from tests.phonics_data.segmentation.transcripts import CHORUS, EXAMPLES, INTRO, OUTRO, doubled, is_for, name_only, song

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
@example([(0.0, letter) for letter in "ABCABABA"], "any")  # most words at one time: the song has no period
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


def replaced(words: Sequence[Word], texts: dict[int, str]) -> list[Word]:
    """The words with other texts at these indices; an empty text removes the word."""
    new = [replace(word, text=texts.get(index, word.text)) for index, word in enumerate(words)]
    return [word for word in new if word.text]


def decoded(words: Sequence[Word]) -> word_decoder.WordDecoding:
    return decode_words(words, duration_seconds=1000, options=WordDecoderOptions())


@pytest.mark.parametrize(
    ("letter", "heard"),
    [("T", "D"), ("B", "P"), ("P", "E"), ("N", "M"), ("M", "N"), ("D", "E"), ("F", "S"), ("G", "D"), ("J", "A"), ("V", "B")],
)  # fmt: skip
def test_rhyming_name_in_its_place_is_the_letter_with_a_low_confidence(letter: str, heard: str) -> None:
    words, truth = song(phrase=name_only)
    place = ALPHABET.index(letter)
    found = decoded(replaced(words, {place: heard})).phrases
    assert "".join(phrase.letter for phrase in found) == ALPHABET
    assert found[place].start_seconds == truth[place].start_seconds
    others = [phrase.confidence for phrase in found if phrase.letter not in (letter, heard)]
    assert found[place].confidence < min(others)


def test_rhyming_name_outside_the_rhythm_is_not_the_letter() -> None:
    words, _ = song(phrase=name_only)
    late = [word if index <= 19 else _later(word, 8.0) for index, word in enumerate(words)]
    late[19] = replace(_later(late[19], 7.5), text="D")  # 7.5 s late, just before U
    assert "T" not in "".join(phrase.letter for phrase in decoded(late).phrases)


def _later(word: Word, seconds: float) -> Word:
    return replace(word, start_seconds=word.start_seconds + seconds, end_seconds=word.end_seconds + seconds)


def test_repeated_wrong_names_do_not_delete_the_letters_between_them() -> None:
    words, truth = song(phrase=name_only)
    found = decoded(replaced(words, {3: "B"})).phrases  # A B C B E
    assert "".join(phrase.letter for phrase in found) == ALPHABET
    assert [phrase.start_seconds for phrase in found[:5]] == [segment.start_seconds for segment in truth[:5]]


@pytest.mark.parametrize("before", ["see a big dog", "what a night you see", "it is a very good day"])
def test_article_does_not_begin_the_letter_a(before: str) -> None:
    words, truth = song(phrase=name_only, before=[before], beat=0.3)
    found = decoded(words).phrases
    assert "".join(phrase.letter for phrase in found) == ALPHABET
    assert found[0].start_seconds == truth[0].start_seconds


def test_lower_case_a_with_support_is_the_letter() -> None:
    for phrase in (is_for, doubled, name_only):
        words, truth = song(phrase=phrase, before=["hello everybody"])
        lower = [replace(word, text=word.text.lower()) for word in words]
        assert_found(lower, truth)


@pytest.mark.parametrize(
    ("letter", "heard"),
    [
        ("C", "see is for cat"), ("R", "are is for rabbit"), ("Y", "why is for yellow"), ("E", "he is for egg"),
        ("B", "Before ball"), ("H", "H4 hat"), ("D", "D FarnDog"), ("O", "M is for orange"), ("N", "M is for no"),
        ("H", "is for hat"), ("J", "jays for jam"), ("P", "please for pig"), ("I", "eyes for igloo"), ("L", "well is for lion"),
    ],
)  # fmt: skip
def test_name_before_is_for_is_known_by_its_example(letter: str, heard: str) -> None:
    words, truth = song(phrase=lambda one: heard if one == letter else is_for(one))
    found = decoded(words).phrases
    assert "".join(phrase.letter for phrase in found) == ALPHABET
    (own,) = (phrase for phrase in found if phrase.letter == letter)
    place = truth[ALPHABET.index(letter)]
    assert own.object_word == heard.split()[-1].lower().removeprefix("farn")
    assert place.start_seconds - 0.6 <= own.start_seconds <= place.start_seconds + 1.0


def test_sounds_in_lower_case_are_not_the_names_of_other_letters() -> None:
    heard = {"C": "C is for cat k k cat", "D": "D is for dog d k k dog"}
    words, truth = song(phrase=lambda one: heard.get(one, is_for(one)))
    assert_found(words, truth)


@pytest.mark.parametrize("num_rounds", [2, 3])
@pytest.mark.parametrize("phrase", [is_for, name_only])
def test_rounds_are_one_song(num_rounds: int, phrase: Callable[[str], str]) -> None:
    words, truth = song(ALPHABET * num_rounds, phrase, after=[CHORUS])
    heard = replaced(words, {len(words) // 2 + one: "oh" for one in (0, 7)})
    found = decoded(heard).phrases
    assert len(found) >= len(truth) - 2
    assert {(phrase.letter, phrase.start_seconds) for phrase in found} <= {
        (segment.letter, segment.start_seconds) for segment in truth
    } | {(phrase.letter, phrase.start_seconds) for phrase in found if not phrase.starts_named}
    assert decoded(heard).order == "strict"


def test_few_bare_names_after_the_song_are_no_round() -> None:
    words, _ = song(phrase=name_only, after=["now I have done the A B Z"])
    assert letters_of(words) == ALPHABET


def test_loop_of_the_decoder_is_no_letter() -> None:
    words, _ = song(phrase=is_for)
    heard = replaced(words, {0: "A4A4A4A4A4A4A4A4A4A4A4", 1: "", 2: "", 3: ""})
    found = decoded(heard).phrases
    assert found[0].letter == "B"


@pytest.mark.parametrize("phrase", [is_for, doubled, name_only])
@pytest.mark.parametrize("letters", ["IJKL", "KLMNO", "ABCDEFGHIJ"])
def test_song_of_a_few_letters_that_the_manifest_names(phrase: Callable[[str], str], letters: str) -> None:
    words, _ = song(letters, phrase, before=[INTRO], after=[OUTRO])
    decoding = decode_words(words, duration_seconds=120.0, options=WordDecoderOptions(), letters=letters)
    assert "".join(one.letter for one in decoding.phrases) == letters
    assert len(letters) > 6 or not decode_words(words, duration_seconds=120.0, options=WordDecoderOptions()).is_alphabet


def test_range_that_the_words_do_not_name_is_rejected() -> None:
    words, _ = song("QRSTU", is_for, before=[INTRO, CHORUS], after=[OUTRO])
    for letters in ("ABCDE", "FGHIJ", "AEIOU"):
        decoding = decode_words(words, duration_seconds=120.0, options=WordDecoderOptions(), letters=letters)
        assert not decoding.is_alphabet


def test_required_counts_are_those_that_the_letters_can_reach() -> None:
    assert required_counts(ALPHABET) == (MIN_PAIRS, MIN_PATTERNS, MIN_NAMES)
    assert required_counts("IJKL") == (3, 3, 4)
    assert required_counts("AB") == (1, 2, 2)
    assert required_counts("AEIOU")[0] > 4  # it has no pairs


def test_round_that_follows_a_chorus_at_once_keeps_its_first_letters() -> None:
    words, _ = song(ALPHABET, name_only)
    later = words[-1].end_seconds + 0.5
    chorus, _ = song("", name_only, after=["next time won't you sing with me"], rest=0.0)
    second = [_later(word, later + chorus[-1].end_seconds) for word in words if word.text != "D"]
    found = decoded([*words, *(_later(word, later) for word in chorus), *second]).phrases
    assert "".join(phrase.letter for phrase in found[26:])[:3] == "ABC"


def test_time_of_a_missing_letter_does_not_belong_to_the_letter_before_it() -> None:
    words, truth = song(ALPHABET, name_only, beat=0.9, rest=0.0)
    found = {phrase.letter: phrase for phrase in decoded([word for word in words if word.text != "H"]).phrases}
    assert "H" not in found
    assert found["G"].end_seconds == pytest.approx(truth[6].end_seconds)


@pytest.mark.parametrize("line", ["{0}", "{0} {1}"])
def test_i_and_a_are_letters_in_any_order(line: str) -> None:
    words, _ = song("BWITAROSMCHLPDFGUVXZ", lambda one: line.format(one, EXAMPLES[one]), beat=0.3, rest=0.0)
    lower = [replace(word, text=word.text.lower() if word.text != "I" else "I") for word in words]
    assert letters_of(lower) == "BWITAROSMCHLPDFGUVXZ"


def timed(texts: Sequence[str]) -> list[Word]:
    return [Word(text=text, start_seconds=n, end_seconds=n + 0.6, confidence=0.9) for n, text in enumerate(texts)]


def test_letter_that_the_manifest_leaves_out_is_not_inferred() -> None:
    words = timed([*"ABCDEFGHI", "jam", *"KLMNOP"])
    letters = "ABCDEFGHIKLMNOP"
    decoding = decode_words(words, duration_seconds=20.0, options=WordDecoderOptions(), letters=letters)
    assert "".join(one.letter for one in decoding.phrases) == letters
    assert not needs_screen(timed([*"ABCDEFGHI", "J", *"KLMNOP"]), duration_seconds=20.0, letters=letters)


def test_missing_letter_is_inferred_among_the_letters_of_the_manifest() -> None:
    # J is not in the video, so that one letter, K, is missing between I and L.
    words = timed([*"ABCDEFGHI", "what", *"LMNOP"])
    letters = "ABCDEFGHIKLMNOP"
    decoding = decode_words(words, duration_seconds=20.0, options=WordDecoderOptions(), letters=letters)
    assert "".join(one.letter for one in decoding.phrases) == letters


@given(
    texts=st.lists(
        st.sampled_from([*ALPHABET, "is", "for", "jam", "apple", "kite", "moon", "hey", "now"]), min_size=8, max_size=40
    ),
    letters=st.sets(st.sampled_from(ALPHABET), min_size=2, max_size=26),
    is_alphabet=st.booleans(),
)
def test_each_letter_is_one_of_the_letters_of_the_manifest(
    texts: list[str], letters: set[str], is_alphabet: bool
) -> None:
    words = timed(list(ALPHABET) if is_alphabet else texts)
    allowed = "".join(sorted(letters))
    decoding = decode_words(words, duration_seconds=len(words) + 1.0, options=WordDecoderOptions(), letters=allowed)
    assert {one.letter for one in decoding.phrases} <= letters
    needs_screen(words, duration_seconds=len(words) + 1.0, letters=allowed)
