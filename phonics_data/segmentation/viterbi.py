"""The best path through the alphabet: what words and screen have in common. Pure.

States: before any letter, one for each of the 26 letters, and for each letter the background after it (chorus, break,
advert, outro), which remembers how far the alphabet has come. Every step in time gives each letter a weight; to change
the letter costs, least for the next one of the alphabet. The best path is found by the Viterbi algorithm, so a doubtful
sign is read by what stands around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Order = Literal["strict", "any", "auto"]
Scores = NDArray[np.float64]

_START = 52  # states 0..25 letters, 26..51 the background after each, 52 before any


class Run(NamedTuple):
    """Steps ``[low, high)`` that belong to the letter with this index."""

    low: int
    high: int
    letter: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TransitionCosts:
    """What it costs to leave a letter for another one."""

    next: float = 0.35
    skip: float = 0.5
    skip_each: float = 0.12
    back: float = 2.2
    back_to_a: float = 1.3
    any_order: float = 0.6
    """Every change that is not to the next letter, when the order says nothing."""
    enter_background: float = 0.6
    leave_background: float = 0.3


def transition_costs(costs: TransitionCosts, order: Order) -> Scores:
    """(53, 53) cost of going from one state (row) to another (column); infinite where no way leads."""
    table = np.full((53, 53), np.inf)
    step = np.empty((26, 26))
    for here in range(26):
        for there in range(26):
            ahead = (there - here) % 26
            if ahead == 0:
                cost = 0.0
            elif there == here + 1:
                cost = costs.next
            elif order == "any":
                cost = costs.any_order
            elif there > here:
                cost = costs.skip + costs.skip_each * (there - here)
            else:
                cost = costs.back_to_a if there == 0 else costs.back
            step[here, there] = cost
    table[:26, :26] = step
    table[26:52, :26] = step + costs.leave_background
    table[np.arange(26), np.arange(26, 52)] = costs.enter_background
    table[np.arange(26, 52), np.arange(26, 52)] = 0.0
    first = np.array(
        [costs.next if order == "any" or there == 0 else costs.skip + costs.skip_each * there for there in range(26)]
    )
    table[_START, :26] = np.minimum(first, costs.any_order)
    table[_START, _START] = 0.0
    return table


def best_path(letters_TL: Scores, none_T: Scores, table: Scores) -> NDArray[np.int64]:
    """The best state of each step: the path with the largest sum of weights less costs.

    Of equal paths the one that changes later wins, so that a change falls on the sign that asks for it.

    Args:
        letters_TL: (steps, 26) weights for each letter.
        none_T: (steps,) weights for no letter.
        table: `transition_costs`.
    """
    count = none_T.size
    gain = np.concatenate([letters_TL, np.repeat(none_T[:, None], 27, axis=1)], axis=1)
    score = np.full(53, -np.inf)
    score[_START] = 0.0
    back = np.zeros((count, 53), np.int64)
    # A later change is preferred by a hair, or rounding would decide between equal ways.
    later = 1e-9 * (1 - np.eye(53))
    for row in range(count):
        reach = score[:, None] - table + row * later
        back[row] = reach.argmax(axis=0)
        score = reach.max(axis=0) + gain[row]
    path = np.empty(count, np.int64)
    state = int(score.argmax()) if count else 0
    for row in reversed(range(count)):
        path[row] = state
        state = int(back[row, state])
    return path


def best_scores(letters_PTL: Scores, table: Scores) -> Scores:
    """(problems,) sum of weights less costs of each problem's best path, where no look speaks for no letter.

    Args:
        letters_PTL: (problems, steps, 26) weights for each letter.
        table: `transition_costs`.
    """
    score_PS = np.full((letters_PTL.shape[0], 53), -np.inf)
    score_PS[:, _START] = 0.0
    for letters_PL in letters_PTL.transpose(1, 0, 2):
        score_PS = (score_PS[:, :, None] - table).max(axis=1)
        score_PS[:, :26] += letters_PL
    return score_PS.max(axis=1)


def runs_of(path: NDArray[np.int64]) -> list[Run]:
    """Each stretch in one letter's state."""
    edges = np.flatnonzero(np.diff(path, prepend=-1, append=-1))
    return [Run(int(low), int(high), int(path[low])) for low, high in pairwise(edges) if path[low] < 26]
