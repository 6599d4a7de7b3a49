"""What the screen says: the edges of it."""

from __future__ import annotations

import numpy as np

from phonics_data.letters.lexicon import LETTERS
from phonics_data.letters.looks import SightOptions
from phonics_data.letters.sight import SightDecoding, decode_sight
from phonics_data.trace import ScreenTrace
from tests.phonics_data.letters.traces import RATE, Reading, trace_of


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
    decoding = decode_sight(trace, SightOptions())
    assert not decoding.is_alphabet
    assert decoding.phrases == ()
    assert decoding.longest_chain == decoding.num_letters == 0


def shown(letters: str) -> SightDecoding:
    """One letter a second, each with a cut: of a word card the only one that could be read."""
    looks = [RATE * at for at in range(len(letters))]
    readings = [Reading(look=look, letter=one, after_cut=True) for look, one in zip(looks, letters, strict=True)]
    return decode_sight(trace_of(readings, RATE * len(letters), looks), SightOptions())


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
