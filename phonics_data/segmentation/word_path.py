"""The best path of words through the alphabet by the Viterbi algorithm. Pure.

As `viterbi`, with two states for each letter: its first word, and the words after it. The two have different evidence:
a name that rhymes with the letter's can begin the letter ("D" where "T" follows "S"), but inside a letter the name of
another letter is evidence against it ("B, C, B, E" is B, C, D, E and not one long B).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phonics_data.segmentation.evidence import Evidence
from phonics_data.segmentation.viterbi import Order, Scores, TransitionCosts, best_states, transition_costs

_NEXT_ROUND = 0.5
"""Cost of going back to A after the last letters: songs sing the alphabet several times."""
_LAST_LETTERS = 3

# Columns: 0..25 the first word of a letter, 26..51 its later words, 52..77 the background after it, 78 before any letter.
_LATER, _BACKGROUND, _START = 26, 52, 78


def _costs(costs: TransitionCosts, order: Order) -> Scores:
    """(79, 79) cost of changing from one state (row) to another (column)."""
    plain = transition_costs(costs, order)
    plain[26 - _LAST_LETTERS : 26, 0] = np.minimum(plain[26 - _LAST_LETTERS : 26, 0], _NEXT_ROUND)
    plain[52 - _LAST_LETTERS : 52, 0] = np.minimum(plain[52 - _LAST_LETTERS : 52, 0], _NEXT_ROUND)
    table = np.full((79, 79), np.inf)
    letters = np.arange(26)
    change = plain[:26, :26].copy()
    change[letters, letters] = np.inf
    resume = plain[26:52, :26].copy()
    resume[letters, letters] = np.inf
    for first in (0, _LATER):
        table[first : first + 26, :26] = change
        table[first + letters, _LATER + letters] = 0.0
        table[first + letters, _BACKGROUND + letters] = plain[letters, 26 + letters]
    table[_BACKGROUND : _BACKGROUND + 26, :26] = resume
    table[_BACKGROUND + letters, _LATER + letters] = plain[26 + letters, letters]
    table[_BACKGROUND + letters, _BACKGROUND + letters] = 0.0
    table[_START, :26] = plain[52, :26]
    table[_START, _START] = 0.0
    return table


def best_word_path(evidence: Evidence, costs: TransitionCosts, order: Order) -> NDArray[np.int64]:
    """(tokens,) states as in `viterbi.best_path`: 0..25 a letter, 26..51 the background after it, 52 before any letter."""
    # Without an order, nothing but the words themselves can correct a name that rhymes with another one.
    first_TL, later_TL = (evidence.letters_TL,) * 2 if order == "any" else (evidence.first_TL, evidence.later_TL)
    gain_TS = np.concatenate([first_TL, later_TL, np.repeat(evidence.none_T[:, None], 27, axis=1)], axis=1)
    is_change_SS = np.ones((79, 79))
    letters = np.arange(26)
    for first in (0, _LATER):
        is_change_SS[first + letters, _LATER + letters] = 0
    is_change_SS[np.arange(_BACKGROUND, 79), np.arange(_BACKGROUND, 79)] = 0
    path_T = best_states(gain_TS, _costs(costs, order), is_change_SS, start=_START)
    return np.where(path_T < _LATER, path_T, path_T - 26)
