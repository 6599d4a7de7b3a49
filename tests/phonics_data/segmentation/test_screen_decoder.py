"""What the screen says: the edges of it."""

from __future__ import annotations

import numpy as np

from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.screen_decoder import ScreenDecoding, decode_screen
from phonics_data.segmentation.screen_evidence import ScreenOptions
from tests.phonics_data.segmentation.traces import RATE, Reading, trace_of

OPTIONS = ScreenOptions()


def test_a_screen_without_a_single_shape_is_no_alphabet() -> None:
    looks = 40
    trace = ScreenTrace(
        rate=8,
        changed_T=np.zeros(looks, np.float32),
        cut_T=np.zeros(looks, np.bool_),
        edges_TGG=np.zeros((looks, 18, 32), np.uint8),
        look_R=np.zeros(0, np.int32),
        box_R4=np.zeros((0, 4), np.float32),
        letters_R26=np.zeros((0, 26), np.float32),
        colour_R6=np.zeros((0, 6), np.float32),
        after_cut_R=np.zeros(0, np.bool_),
    )
    decoding = decode_screen(trace, OPTIONS)
    assert not decoding.is_alphabet
    assert decoding.phrases == ()
    assert decoding.longest_chain == decoding.num_letters == 0


def shown(letters: str) -> ScreenDecoding:
    """One letter a second, each with a cut: of a word card the only one that could be read."""
    looks = [RATE * at for at in range(len(letters))]
    readings = [Reading(look=look, letter=one, after_cut=True) for look, one in zip(looks, letters, strict=True)]
    return decode_screen(trace_of(readings, RATE * len(letters), looks), OPTIONS)


def test_cards_of_letters_are_an_alphabet_in_any_order() -> None:
    assert shown(LETTERS).is_alphabet
    shuffled = "".join(np.random.default_rng(5).permutation(list(LETTERS)).tolist())
    decoding = shown(shuffled)
    assert (decoding.is_alphabet, decoding.order) == (True, "any")
    found = "".join(phrase.letter for phrase in decoding.phrases)
    # An I or an O that is read once weighs less than a change against the order costs.
    assert found == "".join(letter for letter in shuffled if letter in found)
    assert len(found) >= 20


def test_letters_out_of_printed_words_are_none() -> None:
    words = "nest drum lion kite apple frog zebra ice tiger umbrella queen moon goat hat ball violin sun rain cat egg"
    for every in range(1, 5):
        decoding = shown("".join(words.split()).upper()[::every])
        assert not decoding.is_alphabet, decoding
        assert decoding.phrases == ()


def dancing(letters: str, seconds: int = 2) -> list[Reading]:
    """Each letter in its own cell of four for so long, read every second look."""
    return [
        Reading(look=RATE * seconds * at + turn, letter=one, place=at % 4)
        for at, one in enumerate(letters)
        for turn in range(0, RATE * seconds, 2)
    ]


def test_what_is_read_for_a_moment_is_no_letter_of_a_song_without_order() -> None:
    letters = "NCOEVFAWQLKTMIZJGYBURD"
    piece = [Reading(look=RATE * 20 + 5 + turn, letter="X", place=3) for turn in range(2)]
    looks = 2 * RATE * len(letters)
    assert "X" not in {
        one.letter for one in decode_screen(trace_of([*dancing(letters), *piece], looks), OPTIONS).phrases
    }
    longer = trace_of([*dancing(letters), *dancing("A" * len(letters) + "X")[-RATE:]], looks + 2 * RATE)
    assert decode_screen(longer, OPTIONS).phrases[-1].letter == "X"


def test_a_letter_ends_where_another_one_is_read_in_its_place() -> None:
    """The edges at its place are the same all the time in these traces, as those of a Z and of an A nearly are."""
    looks = 2 * RATE * 26
    last = [one for one in dancing(LETTERS) if one.letter == "Z"][-1]
    chorus = [Reading(look=looks + 3 + turn, letter="A", place=last.place) for turn in range(2)]
    alone = decode_screen(trace_of(dancing(LETTERS), looks + 8 * RATE), OPTIONS).phrases[-1]
    followed = decode_screen(trace_of([*dancing(LETTERS), *chorus], looks + 8 * RATE), OPTIONS).phrases[-1]
    assert (alone.letter, alone.end_seconds) == ("Z", (looks + 8 * RATE) / RATE)
    assert (followed.letter, followed.end_seconds) == ("Z", (looks + 3 - 0.5) / RATE)
