"""Orders of clips: rank <-> permutation, and the gather that presents clips in an order.

Position k of a presented window shows clip ``permutations(S)[rank][k]``; ranks count the permutations of (0..S-1) in
lexicographic order, so rank 0 is time order.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@functools.lru_cache(maxsize=8)
def permutations(num_clips: int) -> NDArray[np.int64]:
    """All orders, (P, S) int64, lexicographic; read-only."""
    table = np.array(list(itertools.permutations(range(num_clips))), dtype=np.int64)
    table.setflags(write=False)
    return table


def rank(permutation: Sequence[int]) -> int:
    """Lexicographic rank of a permutation of 0..S-1 (its Lehmer code). Raises ValueError for anything else."""
    if sorted(permutation) != list(range(len(permutation))):
        raise ValueError(f"got {list(permutation)}, allowed: every number of 0..{len(permutation) - 1} once")
    smaller = (sum(later < here for later in permutation[i + 1 :]) for i, here in enumerate(permutation))
    return sum(count * math.factorial(len(permutation) - 1 - i) for i, count in enumerate(smaller))


def clip_at(order_B: Tensor, num_clips: int) -> Tensor:
    """clip_BS: the clip that each position shows, for ranks order_B."""
    return torch.from_numpy(permutations(num_clips).copy()).to(order_B.device)[order_B]


def present(clips_BS: Tensor, clip_at_BS: Tensor) -> Tensor:
    """Clips (batch, S, ...) in time order -> in presentation order."""
    return clips_BS[torch.arange(len(clips_BS), device=clips_BS.device)[:, None], clip_at_BS]


def restore(clips_BS: Tensor, clip_at_BS: Tensor) -> Tensor:
    """The inverse of `present`: presentation order -> time order."""
    return present(clips_BS, clip_at_BS.argsort(dim=1))
