"""An alphabet against what chance shows with as many letters."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.screen_evidence import ScreenOptions
from phonics_data.segmentation.significance import distinct_z, order_z
from phonics_data.segmentation.viterbi import transition_costs

OPTIONS = ScreenOptions()
TABLE = transition_costs(OPTIONS.costs, "strict")

WORDS = (
    "nest drum lion kite apple frog zebra ice tiger umbrella queen moon goat hat ball violin sun rain cat egg".split()
)


def sightings(letters: str, weight: float = 0.8) -> NDArray[np.float64]:
    """Each letter for two looks, then a look at nothing."""
    evidence_TL = np.zeros((3 * len(letters), 26))
    for at, letter in enumerate(letters):
        evidence_TL[3 * at : 3 * at + 2, LETTERS.index(letter)] = weight
    return evidence_TL


def surprise(letters: str) -> float:
    return order_z(sightings(letters), TABLE)


@pytest.mark.parametrize(
    "letters", [LETTERS, 2 * LETTERS, LETTERS[:17], LETTERS.translate({ord(c): None for c in "BEHKNQTWZ"})]
)
def test_an_alphabet_is_no_chance_even_where_letters_are_missing(letters: str) -> None:
    assert surprise(letters) > OPTIONS.min_order_z


def test_letters_of_printed_words_are_chance() -> None:
    assert surprise("".join(WORDS).upper()) < OPTIONS.min_order_z
    assert surprise("".join(word[0] for word in WORDS).upper()) < OPTIONS.min_order_z


@pytest.mark.parametrize("seed", range(8))
def test_an_alphabet_in_another_order_is_not_in_this_one(seed: int) -> None:
    shuffled = "".join(np.random.default_rng(seed).permutation(list(LETTERS)).tolist())
    assert surprise(shuffled) < OPTIONS.min_order_z


def test_a_shuffled_alphabet_has_more_different_letters_than_words_have() -> None:
    words = [LETTERS.index(letter) for letter in "".join(WORDS).upper()]
    assert distinct_z(list(range(26))) > OPTIONS.min_distinct_z
    assert distinct_z(2 * list(range(26))) > OPTIONS.min_distinct_z
    assert distinct_z(list(range(3, 20))) > OPTIONS.min_distinct_z
    for start in range(0, 60, 10):
        assert distinct_z(words[start : start + 26]) < OPTIONS.min_distinct_z


def test_the_expected_number_of_different_letters_is_that_of_draws() -> None:
    from phonics_data.segmentation.significance import _PERCENT  # pyright: ignore[reportPrivateUsage]

    rng = np.random.default_rng(0)
    share = np.array(list(_PERCENT.values())) / sum(_PERCENT.values())
    found = [distinct_z(rng.choice(26, size=20, p=share).tolist()) for _ in range(1000)]
    assert abs(float(np.mean(found))) < 0.1
    assert 0.9 < float(np.std(found)) < 1.1


def test_nothing_seen_is_no_surprise() -> None:
    assert order_z(np.zeros((40, 26)), TABLE) == 0.0
    assert distinct_z([]) == 0.0
