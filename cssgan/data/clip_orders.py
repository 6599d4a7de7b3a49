"""Orders of clips: rank <-> permutation, and the gather that presents clips in an order.

Position k of a presented window shows clip ``permutations(S)[rank][k]``; rank 0 is time order. Ranks count the
permutations of (0..S-1) in lexicographic order; clips that have more of them than ``max_orders`` use a subset, drawn
once and for all.
"""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MAX_ORDERS = 24
"""Default of ``order.max_orders``: every order of four clips."""


@functools.lru_cache(maxsize=8)
def permutations(num_clips: int, max_orders: int = MAX_ORDERS) -> NDArray[np.int64]:
    """The orders that are told apart, (P, S) int64; read-only.

    All of them, lexicographic, where there are at most `max_orders`; else time order and `max_orders` - 1 others, the
    same ones on every machine.
    """
    if math.factorial(num_clips) <= max_orders:
        table = np.array(list(itertools.permutations(range(num_clips))), dtype=np.int64)
    else:
        draw = random.Random(num_clips).random  # the one stream that Python promises to keep
        chosen = {tuple(range(num_clips)): None}
        while len(chosen) < max_orders:
            keys = [draw() for _ in range(num_clips)]
            chosen[tuple(sorted(range(num_clips), key=keys.__getitem__))] = None
        table = np.array(list(chosen), dtype=np.int64)
    table.setflags(write=False)
    return table


@functools.lru_cache(maxsize=8)
def _table(num_clips: int, max_orders: int, device: torch.device) -> Tensor:
    """The same on a device, where it stays: a step that is recorded must copy nothing from the host."""
    return torch.from_numpy(permutations(num_clips, max_orders).copy()).to(device)


def rank(permutation: Sequence[int]) -> int:
    """Lexicographic rank of a permutation of 0..S-1 (its Lehmer code). Raises ValueError for anything else."""
    if sorted(permutation) != list(range(len(permutation))):
        raise ValueError(f"got {list(permutation)}, allowed: every number of 0..{len(permutation) - 1} once")
    smaller = (sum(later < here for later in permutation[i + 1 :]) for i, here in enumerate(permutation))
    return sum(count * math.factorial(len(permutation) - 1 - i) for i, count in enumerate(smaller))


def clip_at(order_B: Tensor, num_clips: int, max_orders: int = MAX_ORDERS) -> Tensor:
    """clip_BS: the clip that each position shows, for ranks order_B."""
    return _table(num_clips, max_orders, order_B.device)[order_B]


def present(clips_BS: Tensor, clip_at_BS: Tensor) -> Tensor:
    """Clips (batch, S, ...) in time order -> in presentation order."""
    return clips_BS[torch.arange(len(clips_BS), device=clips_BS.device)[:, None], clip_at_BS]


def restore(clips_BS: Tensor, clip_at_BS: Tensor) -> Tensor:
    """The inverse of `present`: presentation order -> time order."""
    return present(clips_BS, clip_at_BS.argsort(dim=1))
