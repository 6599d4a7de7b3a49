"""The order in which a streaming feed reads shards and shows samples: a function of seed and epoch alone.

Shards are dealt, in a new order every epoch, to a few lanes that are read side by side; samples come from the lanes in
turn, and a buffer of `data.shuffle_buffer` samples is drawn from. Nothing here depends on how many processes read or
train, so a run that goes on with others sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cssgan.config import Config
from cssgan.data.batches import Draws, draw

LANES = 8
"""Shards that are read side by side, if there are so many; so many processes can read without sharing a shard."""
_EPOCH = 5  # a stream of randomness of its own, as those of cssgan.data.batches
_KEPT_BATCHES = 4096


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Epoch:
    """One pass over all samples, which are numbered as the shards hold them."""

    lanes: tuple[tuple[int, ...], ...]
    """Shard numbers of each lane, in reading order."""
    reads: NDArray[np.int64]
    """Sample numbers in the order in which they are read."""
    read_lanes: NDArray[np.int64]
    """The lane of each read."""
    shown: NDArray[np.int64]
    """Sample numbers in the order in which they are shown."""
    places: NDArray[np.int64]
    """Sample number -> place in `shown`."""


def plan(shard_sizes: Sequence[int], *, seed: int, epoch: int, buffer: int) -> Epoch:
    """The plan of one epoch.

    Args:
        shard_sizes: samples of each shard.
        buffer: samples that are drawn from, at least 1.
    """
    rng = np.random.default_rng([seed, _EPOCH, epoch])
    order = rng.permutation(len(shard_sizes))
    lanes = tuple(tuple(int(n) for n in order[lane::LANES]) for lane in range(min(LANES, len(shard_sizes))))
    firsts = np.concatenate([[0], np.cumsum(shard_sizes)])
    rows = [np.concatenate([np.arange(firsts[n], firsts[n + 1]) for n in lane]) for lane in lanes]
    # The n-th samples of all lanes come before their (n+1)-th.
    turns = np.concatenate([np.arange(len(row)) for row in rows])
    lane_of = np.repeat(np.arange(len(lanes)), [len(row) for row in rows])
    by_turn = np.lexsort((lane_of, turns))
    reads = np.concatenate(rows)[by_turn].astype(np.int64)
    shown = reads[_through_buffer(len(reads), buffer, rng.random(len(reads)))]
    places = np.empty_like(shown)
    places[shown] = np.arange(len(shown))
    return Epoch(lanes=lanes, reads=reads, read_lanes=lane_of[by_turn], shown=shown, places=places)


def _through_buffer(count: int, size: int, chances: NDArray[np.float64]) -> NDArray[np.int64]:
    """0..count-1 in the order in which a buffer of `size` gives them back, filled in order and drawn from at random."""
    window = list(range(min(size, count)))
    following = len(window)
    out = np.empty(count, np.int64)
    for place in range(count):
        chosen = int(chances[place] * len(window))
        out[place] = window[chosen]
        if following < count:
            window[chosen] = following
            following += 1
        else:
            window[chosen] = window[-1]
            window.pop()
    return out


class Visits:
    """Which sample, from which frame on, each visit of a run shows.

    Args:
        lengths: frames of each sample.
    """

    def __init__(self, config: Config, shard_sizes: Sequence[int], lengths: Sequence[int]) -> None:
        self.config = config
        self._sizes, self._lengths = tuple(shard_sizes), lengths
        self._epochs: dict[int, Epoch] = {}
        self._draws: dict[int, Draws] = {}

    @property
    def per_sample(self) -> int:
        """Visits that a sample is shown for at a time: one, or all orders (`order.draw`)."""
        return self.config.num_orders if self.config.order.draw == "enumerate" else 1

    @property
    def buffer(self) -> int:
        """Samples in the buffer."""
        return max(self.config.data.shuffle_buffer // self.per_sample, 1)

    def epoch(self, number: int) -> Epoch:
        if number not in self._epochs:
            if len(self._epochs) > 2:
                del self._epochs[min(self._epochs)]
            self._epochs[number] = plan(self._sizes, seed=self.config.train.seed, epoch=number, buffer=self.buffer)
        return self._epochs[number]

    def sample(self, visit: int) -> int:
        """The number of the sample that the n-th visit shows."""
        epoch, place = divmod(visit // self.per_sample, len(self._lengths))
        return int(self.epoch(epoch).shown[place])

    def of(self, epoch: int, sample: int) -> range:
        """The visits that show `sample` in an epoch."""
        first = (epoch * len(self._lengths) + int(self.epoch(epoch).places[sample])) * self.per_sample
        return range(first, first + self.per_sample)

    def draws(self, position: int) -> Draws:
        """Every random number of the batch that begins at `position`."""
        if position not in self._draws:
            if len(self._draws) > _KEPT_BATCHES:
                self._draws.clear()
            size = self.config.train.batch_size
            lengths = [self._lengths[self.sample(visit)] for visit in range(position, position + size)]
            self._draws[position] = draw(self.config, position, lengths)
        return self._draws[position]

    def start(self, visit: int) -> int:
        """First frame of the window of the n-th visit."""
        size = self.config.train.batch_size
        return self.draws(visit // size * size).starts[visit % size]
