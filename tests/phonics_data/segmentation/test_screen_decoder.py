"""Phrases of handmade OCR traces, and traces without an alphabet."""

from __future__ import annotations

import numpy as np
import pytest

from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.screen_decoder import ScreenDecoding, decode_screen
from phonics_data.segmentation.screen_evidence import ScreenOptions
from tests.phonics_data.segmentation.traces import RATE, Detection, trace_of

OPTIONS = ScreenOptions()


def test_trace_without_detections_is_no_alphabet() -> None:
    decoding = decode_screen(trace_of([], 40), OPTIONS)
    assert not decoding.is_alphabet
    assert decoding.phrases == ()
    assert decoding.longest_chain == decoding.num_letters == 0


def decode_cards(letters: str, *, allowed: str = LETTERS, is_expected: bool = False) -> ScreenDecoding:
    """One letter per second, each after a cut: cards with a single letter that OCR detects."""
    cuts = [RATE * index for index in range(len(letters))]
    detections = [Detection(frame=cut, letter=one, after_cut=True) for cut, one in zip(cuts, letters, strict=True)]
    trace = trace_of(detections, RATE * len(letters), cuts)
    return decode_screen(trace, OPTIONS, letters=allowed, is_expected=is_expected)


def test_cards_of_letters_are_an_alphabet_in_any_order() -> None:
    assert decode_cards(LETTERS).is_alphabet
    shuffled = "".join(np.random.default_rng(5).permutation(list(LETTERS)).tolist())
    decoding = decode_cards(shuffled)
    assert (decoding.is_alphabet, decoding.order) == (True, "any")
    found = "".join(phrase.letter for phrase in decoding.phrases)
    # A single detection of I or O has less evidence than the cost of a change against the order.
    assert found == "".join(letter for letter in shuffled if letter in found)
    assert len(found) >= 20


@pytest.mark.parametrize("letters", ["ABCDEFGH", "MNOPQRSTUVWXYZ", "STUVWXYZ", "ABDEFGHJK"])
def test_part_of_the_alphabet_is_an_alphabet(letters: str) -> None:
    decoding = decode_cards(letters)
    assert decoding.is_alphabet
    assert "".join(phrase.letter for phrase in decoding.phrases) == letters


def test_few_letters_are_accepted_only_if_they_are_announced() -> None:
    assert not decode_cards("ABCDE").is_alphabet
    assert [one.letter for one in decode_cards("ABCDE", allowed="ABCDE").phrases] == list("ABCDE")
    assert [one.letter for one in decode_cards("KPST", allowed="KPST").phrases] == list("KPST")
    assert [one.letter for one in decode_cards("PTKS", allowed="KPST").phrases] == list("PTKS")
    # Other letters, or some of the letters among others.
    assert not decode_cards("MEADOW", allowed="BFGHJ").is_alphabet
    assert not decode_cards("NESTDRUMLIONKITEAPPLEFROGZEBRA", allowed="ABCDE").is_alphabet


def test_range_of_a_whole_alphabet_gives_its_letters() -> None:
    decoding = decode_cards(LETTERS, allowed="ABCDEFG")
    assert [one.letter for one in decoding.phrases] == list("ABCDEFG")
    assert decoding.shows_others
    wrong = decode_cards("MNOPQRSTUVWXYZ", allowed="ABCDE")
    assert not wrong.is_alphabet
    assert wrong.shows_others


def test_expected_alphabet_needs_less_evidence() -> None:
    """Seven letters in order, with gaps, among nine others."""
    letters = "BDEFGUNJLMOEOTAE"
    assert 3.0 < decode_cards(letters).order_z < 4.0
    assert not decode_cards(letters).is_alphabet
    assert decode_cards(letters, is_expected=True).is_alphabet


def test_song_that_shows_the_alphabet_three_times_is_one_song() -> None:
    decoding = decode_cards(3 * LETTERS)
    assert "".join(phrase.letter for phrase in decoding.phrases) == 3 * LETTERS
    assert decoding.order == "strict"


def test_letters_of_printed_words_are_no_alphabet() -> None:
    words = "nest drum lion kite apple frog zebra ice tiger umbrella queen moon goat hat ball violin sun rain cat egg"
    for every in range(1, 5):
        decoding = decode_cards("".join(words.split()).upper()[::every])
        assert not decoding.is_alphabet, decoding
        assert decoding.phrases == ()


def moving(letters: str, seconds: int = 2) -> list[Detection]:
    """Each letter for `seconds` in its own cell of four, detected in every second frame."""
    return [
        Detection(frame=RATE * seconds * index + offset, letter=one, cell=index % 4)
        for index, one in enumerate(letters)
        for offset in range(0, RATE * seconds, 2)
    ]


def test_short_detections_are_dropped_in_a_song_without_order() -> None:
    letters = "NCOEVFAWQLKTMIZJGYBURD"
    part = [Detection(frame=RATE * 20 + 5 + offset, letter="X", cell=3) for offset in range(2)]
    num_frames = 2 * RATE * len(letters)
    decoding = decode_screen(trace_of([*moving(letters), *part], num_frames), OPTIONS)
    assert "X" not in {one.letter for one in decoding.phrases}
    longer = trace_of([*moving(letters), *moving("A" * len(letters) + "X")[-RATE:]], num_frames + 2 * RATE)
    assert decode_screen(longer, OPTIONS).phrases[-1].letter == "X"


def test_letter_ends_where_another_one_is_detected_at_its_place() -> None:
    """All frames of these traces have the same edges; those of Z and A are similar too."""
    num_frames = 2 * RATE * 26
    last = [one for one in moving(LETTERS) if one.letter == "Z"][-1]
    chorus = [Detection(frame=num_frames + 3 + offset, letter="A", cell=last.cell) for offset in range(2)]
    unfollowed = decode_screen(trace_of(moving(LETTERS), num_frames + 8 * RATE), OPTIONS).phrases[-1]
    followed = decode_screen(trace_of([*moving(LETTERS), *chorus], num_frames + 8 * RATE), OPTIONS).phrases[-1]
    assert (unfollowed.letter, unfollowed.end_seconds) == ("Z", (num_frames + 8 * RATE) / RATE)
    assert (followed.letter, followed.end_seconds) == ("Z", (num_frames + 3 - 0.5) / RATE)
