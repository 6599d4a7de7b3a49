"""Order test and distinct test on alphabets and on letters of printed words."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.screen_evidence import ScreenOptions
from phonics_data.segmentation.significance import chance, distinct_z, order_z
from phonics_data.segmentation.viterbi import best_path, best_scores, runs_of, transition_costs

OPTIONS = ScreenOptions()
TABLE = transition_costs(OPTIONS.costs, "strict")

WORDS = (
    "nest drum lion kite apple frog zebra ice tiger umbrella queen moon goat hat ball violin sun rain cat egg".split()
)


def evidence_of(letters: str, weight: float = 0.8) -> NDArray[np.float64]:
    """Each letter for two frames, then a frame without evidence."""
    evidence_TL = np.zeros((3 * len(letters), 26))
    for index, letter in enumerate(letters):
        evidence_TL[3 * index : 3 * index + 2, LETTERS.index(letter)] = weight
    return evidence_TL


def deviation(letters: str) -> float:
    return order_z(evidence_of(letters), TABLE)


@pytest.mark.parametrize(
    "letters", [LETTERS, 2 * LETTERS, LETTERS[:17], LETTERS.translate({ord(c): None for c in "BEHKNQTWZ"})]
)
def test_alphabet_is_significant_even_with_missing_letters(letters: str) -> None:
    assert deviation(letters) > OPTIONS.min_order_z


@pytest.mark.parametrize(("start", "count"), [(0, 8), (12, 8), (6, 10), (0, 20)])
def test_part_of_the_alphabet_is_significant_beside_other_letters(start: int, count: int) -> None:
    """Deviation grows with the number of letters; a third of the detections are wrong."""
    rng = np.random.default_rng(start + count)
    shown = [letter for one in LETTERS[start : start + count] for letter in (one, one, str(rng.choice(list(LETTERS))))]
    assert deviation("".join(shown)) > OPTIONS.min_order_z


def test_few_of_many_texts_reach_the_limits_by_chance() -> None:
    """The stated probabilities hold about: `chance` expects 2 of 150 texts above 3, and none above 5."""
    from phonics_data.segmentation.significance import _PERCENT  # pyright: ignore[reportPrivateUsage]

    rng = np.random.default_rng(1)
    probability = np.array(list(_PERCENT.values())) / sum(_PERCENT.values())
    found = np.array(
        [
            deviation("".join(rng.choice(list(LETTERS), size=12 + 12 * (index % 3), p=probability)))
            for index in range(150)
        ]
    )
    assert (found >= 3.0).mean() <= 3 * chance(3.0)
    assert found.max() < 5.0


def test_chance_falls_from_one_half_and_states_the_limits() -> None:
    assert 0.4 < chance(0.0) < 0.5
    assert chance(OPTIONS.min_order_z) == pytest.approx(0.0033, rel=0.05)
    assert chance(OPTIONS.min_expected_order_z) == pytest.approx(0.012, rel=0.05)
    assert chance(14.0) < 1e-7


@pytest.mark.parametrize("order", ["strict", "any"])
def test_best_scores_are_those_of_the_best_paths(order: Literal["strict", "any"]) -> None:
    rng = np.random.default_rng(3)
    evidence_TL = rng.uniform(0, 1.5, (40, 26)) * (rng.random((40, 26)) < 0.1)
    table = transition_costs(OPTIONS.costs, order)
    path = best_path(evidence_TL, np.zeros(40), table)
    gain = sum(float(evidence_TL[run.low : run.high, run.letter].sum()) for run in runs_of(path))
    cost = sum(float(table[before, after]) for before, after in pairwise([52, *path.tolist()]))
    assert best_scores(evidence_TL[None], table)[0] == pytest.approx(gain - cost)


def test_letters_of_printed_words_are_not_significant() -> None:
    assert deviation("".join(WORDS).upper()) < OPTIONS.min_order_z
    assert deviation("".join(word[0] for word in WORDS).upper()) < OPTIONS.min_order_z


@pytest.mark.parametrize("seed", range(8))
def test_shuffled_alphabet_fails_the_order_test(seed: int) -> None:
    shuffled = "".join(np.random.default_rng(seed).permutation(list(LETTERS)).tolist())
    assert deviation(shuffled) < OPTIONS.min_order_z


def test_alphabet_has_more_different_letters_than_words() -> None:
    words = [LETTERS.index(letter) for letter in "".join(WORDS).upper()]
    assert distinct_z(list(range(26))) > OPTIONS.min_distinct_z
    assert distinct_z(2 * list(range(26))) > OPTIONS.min_distinct_z
    assert distinct_z(list(range(3, 20))) > OPTIONS.min_distinct_z
    for start in range(0, 60, 10):
        assert distinct_z(words[start : start + 26]) < OPTIONS.min_distinct_z


def test_distinct_z_of_sampled_letters_has_mean_0_and_deviation_1() -> None:
    from phonics_data.segmentation.significance import _PERCENT  # pyright: ignore[reportPrivateUsage]

    rng = np.random.default_rng(0)
    probability = np.array(list(_PERCENT.values())) / sum(_PERCENT.values())
    found = [distinct_z(rng.choice(26, size=20, p=probability).tolist()) for _ in range(1000)]
    assert abs(float(np.mean(found))) < 0.1
    assert 0.9 < float(np.std(found)) < 1.1


def test_no_letters_give_no_deviation() -> None:
    assert order_z(np.zeros((40, 26)), TABLE) == 0.0
    assert distinct_z([]) == 0.0
