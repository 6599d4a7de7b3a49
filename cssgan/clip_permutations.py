"""Orders of clips: rank <-> permutation, and the gather that puts clips into an order.

Position k of a permuted window holds clip ``permutations(S)[rank][k]``; rank 0 is time order. Ranks number the
permutations of (0..S-1) in lexicographic order. If there are more than ``max_orders``, a fixed random subset is used.
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
"""Default of ``order.max_orders``: all orders of four clips."""


@functools.lru_cache(maxsize=8)
def permutations(num_clips: int, max_orders: int = MAX_ORDERS) -> NDArray[np.int64]:
    """The classes of the order predictor, (P, S) int64; read-only.

    All permutations in lexicographic order if there are at most `max_orders`; otherwise time order and `max_orders` - 1
    others, the same on every machine.
    """
    if math.factorial(num_clips) <= max_orders:
        table = np.array(list(itertools.permutations(range(num_clips))), dtype=np.int64)
    else:
        uniform = random.Random(num_clips).random  # the one stream that Python guarantees across versions
        chosen = {tuple(range(num_clips)): None}
        while len(chosen) < max_orders:
            keys = [uniform() for _ in range(num_clips)]
            chosen[tuple(sorted(range(num_clips), key=keys.__getitem__))] = None
        table = np.array(list(chosen), dtype=np.int64)
    table.setflags(write=False)
    return table


@functools.lru_cache(maxsize=8)
def _table(num_clips: int, max_orders: int, device: torch.device) -> Tensor:
    """The same on a device, cached: a recorded CUDA graph must not copy from the host."""
    return torch.from_numpy(permutations(num_clips, max_orders).copy()).to(device)


def rank(permutation: Sequence[int]) -> int:
    """Lexicographic rank of a permutation of 0..S-1 (its Lehmer code). Raises ValueError for other input."""
    if sorted(permutation) != list(range(len(permutation))):
        raise ValueError(f"got {list(permutation)}, allowed: every number of 0..{len(permutation) - 1} once")
    smaller = (sum(later < here for later in permutation[i + 1 :]) for i, here in enumerate(permutation))
    return sum(count * math.factorial(len(permutation) - 1 - i) for i, count in enumerate(smaller))


def clip_at(order_B: Tensor, num_clips: int, max_orders: int = MAX_ORDERS) -> Tensor:
    """clip_at_BS: the clip at each position, for ranks order_B."""
    return _table(num_clips, max_orders, order_B.device)[order_B]


def permute(clips_BS: Tensor, clip_at_BS: Tensor) -> Tensor:
    """Clips (batch, S, ...) in time order -> presentation order."""
    return clips_BS[torch.arange(len(clips_BS), device=clips_BS.device)[:, None], clip_at_BS]


def unpermute(clips_BS: Tensor, clip_at_BS: Tensor) -> Tensor:
    """The inverse of `permute`: presentation order -> time order."""
    return permute(clips_BS, clip_at_BS.argsort(dim=1))
