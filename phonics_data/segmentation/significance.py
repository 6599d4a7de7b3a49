"""Tests whether the letters of a video form an alphabet or are expected by chance. Pure.

Printed words contain letters too, and some of them are in alphabetical order by chance.

- Order test: the score of the alphabet is compared with the scores of random permutations of the letters on the same
  evidence. For an alphabet, no other order scores nearly as high. The deviation grows with the number of letters in order:
  about 3.5 for three letters, 5 for five, 7 for eight, 14 for all. Scores of best paths are maxima, so their upper tail is
  at most that of a Gumbel distribution; `chance` is the probability that letters without order deviate as much.
- Distinct test, for songs in another order: the number of different letters is compared with that of letters sampled from
  English text, because letters of words repeat.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.viterbi import Scores, best_scores

_NUM_PERMUTATIONS = 256
"""With so many the deviation itself varies by 5 %; with 32 it varies by 15 %."""

_PERCENT = {
    "A": 8.2, "B": 1.5, "C": 2.8, "D": 4.3, "E": 12.7, "F": 2.2, "G": 2.0, "H": 6.1, "I": 7.0, "J": 0.2, "K": 0.8,
    "L": 4.0, "M": 2.4, "N": 6.7, "O": 7.5, "P": 1.9, "Q": 0.1, "R": 6.0, "S": 6.3, "T": 9.1, "U": 2.8, "V": 1.0,
    "W": 2.4, "X": 0.2, "Y": 2.0, "Z": 0.1,
}  # fmt: skip
"""Percentage of each letter in English text (Lewand, Cryptological Mathematics, 2000)."""


def order_z(letters_TL: Scores, table: Scores) -> float:
    """Score of the alphabet minus the mean score of 256 random orders, in standard deviations of those scores.

    Args:
        letters_TL: (sampled frames, 26) evidence for each letter in each frame.
        table: `phonics_data.segmentation.viterbi.transition_costs` of the order that is tested.
    """
    used_TL = letters_TL[letters_TL.any(axis=1)]  # frames without evidence do not change the score of any path
    if not used_TL.size:
        return 0.0
    rng = np.random.default_rng(26)
    orders_P26 = np.stack([np.arange(26), *(rng.permutation(26) for _ in range(_NUM_PERMUTATIONS))])
    scores_P = best_scores(used_TL[:, orders_P26].transpose(1, 0, 2), table)
    others = scores_P[1:]
    return float((scores_P[0] - others.mean()) / max(float(others.std()), 1e-6))


def chance(z: float) -> float:
    """Upper limit, 0..1, of the probability that letters without order have an `order_z` of at least `z`.

    The tail of the Gumbel distribution with mean 0 and standard deviation 1: 0.012 for 3, 0.003 for 4, 0.0009 for 5.
    """
    return float(-np.expm1(-np.exp(-(z * np.pi / 6**0.5 + np.euler_gamma))))


def distinct_z(letters: Sequence[int]) -> float:
    """Number of different letters minus the number expected from English text of the same length, in standard deviations.

    Mean and variance of the number of different letters among n independent samples (the occupancy problem).
    """
    count = len(letters)
    if not count:
        return 0.0
    probability_L = np.array([_PERCENT[letter] for letter in LETTERS]) / sum(_PERCENT.values())
    missing_L = (1 - probability_L) ** count
    both_LL = (1 - probability_L[:, None] - probability_L[None]) ** count
    covariance_LL = both_LL - missing_L[:, None] * missing_L[None]
    np.fill_diagonal(covariance_LL, missing_L * (1 - missing_L))
    mean, variance = float((1 - missing_L).sum()), float(covariance_LL.sum())
    return (len(set(letters)) - mean) / max(variance, 1e-6) ** 0.5
