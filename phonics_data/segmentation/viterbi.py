"""The best path through the alphabet by the Viterbi algorithm; used for words and for sampled frames. Pure.

States: one before any letter, one per letter, and one per letter for the background after it (chorus, break, advert,
outro), which remembers the last letter. Each step (word or sampled frame) has evidence for each letter. Changing the
letter has a cost, which is lowest for the next letter of the alphabet. Doubtful evidence is thereby resolved by context.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phonics_data.segmentation.lexicon import LETTERS

Order = Literal["strict", "any", "auto"]
Scores = NDArray[np.float64]

_START = 52  # states: 0..25 letters, 26..51 the background after each letter, 52 before any letter

_SKIP, _SKIP_EACH = 0.5, 0.12
"""Cost of skipping letters: constant, and for each step through the alphabet."""
_BACK_TO_A = 1.3
_ANY_ORDER = 0.6
"""Cost of each change that is not to the next letter, if the order is ``any``."""
_ENTER_BACKGROUND, _LEAVE_BACKGROUND = 0.6, 0.3


class LetterRun(NamedTuple):
    """Steps ``[low, high)`` that belong to the letter with this index."""

    low: int
    high: int
    letter: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TransitionCosts:
    """Costs of changing to the next letter of the alphabet, and of going back to an earlier one."""

    next: float = 0.35
    back: float = 2.2


def ranks(letters: str = LETTERS) -> list[int]:
    """(26,) place of each letter among `letters`, so that those that follow each other differ by 1."""
    allowed = sorted(set(letters))
    return [bisect.bisect_left(allowed, letter) for letter in LETTERS]


def transition_costs(costs: TransitionCosts, order: Order, letters: str = LETTERS) -> Scores:
    """(53, 53) cost of changing from one state (row) to another (column); infinite for impossible changes.

    Args:
        letters: the letters of the song; the next one is the next of these.
    """
    rank = ranks(letters)
    table = np.full((53, 53), np.inf)
    step = np.zeros((26, 26))
    for here in range(26):
        for there in range(26):
            if there == here:
                cost = 0.0
            elif rank[there] == rank[here] + 1:
                cost = costs.next
            elif order == "any":
                cost = _ANY_ORDER
            elif rank[there] > rank[here]:
                cost = _SKIP + _SKIP_EACH * (rank[there] - rank[here])
            else:
                cost = _BACK_TO_A if rank[there] == 0 else costs.back
            step[here, there] = cost
    table[:26, :26] = step
    table[26:52, :26] = step + _LEAVE_BACKGROUND
    table[np.arange(26), np.arange(26, 52)] = _ENTER_BACKGROUND
    table[np.arange(26, 52), np.arange(26, 52)] = 0.0
    first = np.array([costs.next if order == "any" or place == 0 else _SKIP + _SKIP_EACH * place for place in rank])
    table[_START, :26] = np.minimum(first, _ANY_ORDER)
    table[_START, _START] = 0.0
    return table


def best_path(letters_TL: Scores, none_T: Scores, table: Scores) -> NDArray[np.int64]:
    """(steps,) the states of the path with the largest sum of evidence minus costs.

    Of equal paths the one with later changes is chosen, so that a change coincides with the evidence for it.

    Args:
        letters_TL: (steps, 26) evidence for each letter.
        none_T: (steps,) evidence for no letter.
        table: `transition_costs`.
    """
    gain_TS = np.concatenate([letters_TL, np.repeat(none_T[:, None], 27, axis=1)], axis=1)
    return best_states(gain_TS, table, 1 - np.eye(53), start=_START)


def best_states(gain_TS: Scores, table: Scores, is_change_SS: Scores, *, start: int) -> NDArray[np.int64]:
    """(steps,) the states of the path with the largest sum of gains minus costs; of equal paths the one with later changes.

    Args:
        gain_TS: (steps, states) evidence for each state in each step.
        table: (states, states) cost of changing from one state (row) to another (column).
        is_change_SS: (states, states) 1 for changes, 0 for transitions that do not count as one.
        start: state before the first step.
    """
    count, num_states = gain_TS.shape
    score_S = np.full(num_states, -np.inf)
    score_S[start] = 0.0
    back_TS = np.zeros((count, num_states), np.int64)
    # A tiny bonus for later changes; otherwise rounding errors would decide between equal paths.
    later_SS = 1e-9 * is_change_SS
    for row in range(count):
        reach_SS = score_S[:, None] - table + row * later_SS
        back_TS[row] = reach_SS.argmax(axis=0)
        score_S = reach_SS.max(axis=0) + gain_TS[row]
    path_T = np.empty(count, np.int64)
    state = int(score_S.argmax()) if count else 0
    for row in reversed(range(count)):
        path_T[row] = state
        state = int(back_TS[row, state])
    return path_T


def best_scores(letters_PTL: Scores, table: Scores) -> Scores:
    """(problems,) evidence minus costs of the best path of each problem, without evidence for no letter.

    The same result as from the path of `best_path`, with less work: a background is entered only from its letter.

    Args:
        letters_PTL: (problems, steps, 26) evidence for each letter.
        table: `transition_costs`.
    """
    step_LL, first_L = table[:26, :26], table[_START, :26]
    letter_PL = np.full((letters_PTL.shape[0], 26), -np.inf)
    background_PL = letter_PL.copy()
    for evidence_PL in letters_PTL.transpose(1, 0, 2):
        source_PL = np.maximum(letter_PL, background_PL - _LEAVE_BACKGROUND)
        background_PL = np.maximum(background_PL, letter_PL - _ENTER_BACKGROUND)
        letter_PL = np.maximum((source_PL[:, :, None] - step_LL).max(axis=1), -first_L) + evidence_PL
    return np.maximum(np.maximum(letter_PL, background_PL).max(axis=1), 0.0)


def runs_of(path: NDArray[np.int64]) -> list[LetterRun]:
    """The runs of consecutive steps in the state of one letter."""
    edges = np.flatnonzero(np.diff(path, prepend=-1, append=-1))
    return [LetterRun(int(low), int(high), int(path[low])) for low, high in pairwise(edges) if path[low] < 26]
