"""Is what a screen shows an alphabet, or what chance shows with as many letters? Two tests of the whole video. Pure.

Whoever prints whole words shows letters too, and among enough of them some stand in the alphabet's order. So the order
that was found is held against the same readings with the letters' names exchanged: of an alphabet, no other order
explains them nearly so well. A song in another order is known by showing each letter once: letters that come from
words repeat.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.viterbi import Scores, best_scores

_EXCHANGES = 32

_PERCENT = {
    "A": 8.2, "B": 1.5, "C": 2.8, "D": 4.3, "E": 12.7, "F": 2.2, "G": 2.0, "H": 6.1, "I": 7.0, "J": 0.2, "K": 0.8,
    "L": 4.0, "M": 2.4, "N": 6.7, "O": 7.5, "P": 1.9, "Q": 0.1, "R": 6.0, "S": 6.3, "T": 9.1, "U": 2.8, "V": 1.0,
    "W": 2.4, "X": 0.2, "Y": 2.0, "Z": 0.1,
}  # fmt: skip
"""Percent of each letter in English text (Lewand, Cryptological Mathematics, 2000)."""


def order_z(letters_TL: Scores, table: Scores) -> float:
    """How much better the alphabet explains the evidence than 32 other orders of its letters do, in their standard deviations.

    Args:
        letters_TL: (looks, 26) what each look says for each letter.
        table: `phonics_data.segmentation.viterbi.transition_costs` of the order that is tested.
    """
    said_TL = letters_TL[letters_TL.any(axis=1)]  # a look that says nothing changes no path's score
    if not said_TL.size:
        return 0.0
    rng = np.random.default_rng(26)
    names_P26 = np.stack([np.arange(26), *(rng.permutation(26) for _ in range(_EXCHANGES))])
    scores_P = best_scores(said_TL[:, names_P26].transpose(1, 0, 2), table)
    others = scores_P[1:]
    return float((scores_P[0] - others.mean()) / max(float(others.std()), 1e-6))


def distinct_z(letters: Sequence[int]) -> float:
    """How many more different letters these sightings show than as many letters of English words do, in standard deviations.

    Mean and variance of the number of different letters among n independent draws (the occupancy problem).
    """
    count = len(letters)
    if not count:
        return 0.0
    share_L = np.array([_PERCENT[letter] for letter in LETTERS]) / sum(_PERCENT.values())
    missing_L = (1 - share_L) ** count
    both_LL = (1 - share_L[:, None] - share_L[None]) ** count
    covariance_LL = both_LL - missing_L[:, None] * missing_L[None]
    np.fill_diagonal(covariance_LL, missing_L * (1 - missing_L))
    mean, variance = float((1 - missing_L).sum()), float(covariance_LL.sum())
    return (len(set(letters)) - mean) / max(variance, 1e-6) ** 0.5
