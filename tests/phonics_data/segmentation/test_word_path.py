from __future__ import annotations

import numpy as np

from phonics_data.segmentation.evidence import EvidenceWeights, word_evidence
from phonics_data.segmentation.lexicon import LETTERS, tokens
from phonics_data.segmentation.viterbi import Order, TransitionCosts
from phonics_data.segmentation.word_path import best_word_path
from phonics_data.types import Word


def path_of(text: str, order: Order = "strict") -> str:
    """The letter of each word on the best path; "-" for none."""
    words = [Word(text=token, start_seconds=float(n), end_seconds=n + 0.4) for n, token in enumerate(text.split())]
    evidence = word_evidence(tokens(words), EvidenceWeights())
    path = best_word_path(evidence, TransitionCosts(), order).tolist()
    return "".join(LETTERS[state] if state < 26 else "-" for state in path)


def test_rhyming_name_can_begin_a_letter_but_not_hide_another_one() -> None:
    assert path_of("A B C B E F") == "ABCDEF"
    assert path_of("R S D U V") == "RSTUV"


def test_repeated_name_of_the_same_letter_stays_in_it() -> None:
    assert path_of("A is for apple B B ball C is for cat") == "AAAABBBCCCC"


def test_nothing_is_corrected_without_an_order() -> None:
    assert path_of("X S D Q V", "any") == "XSDQV"


def test_alphabet_begins_again_after_its_end() -> None:
    assert path_of("W X Y Z A B C D") == "WXYZABCD"


def test_no_words() -> None:
    evidence = word_evidence([], EvidenceWeights())
    assert best_word_path(evidence, TransitionCosts(), "strict").dtype == np.int64
    assert best_word_path(evidence, TransitionCosts(), "strict").size == 0
