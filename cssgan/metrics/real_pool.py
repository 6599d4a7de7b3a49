"""The floor of a distance: its value between two sets of real videos, at the number of videos that are evaluated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cssgan.metrics.features import Features
from cssgan.metrics.videos import Ints, Videos, blocks

NUM_SPLITS = 3
"""Random divisions of the pool into two sets."""
MIN_VIDEOS = 16
"""Videos in each set; with fewer, no floor is computed."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RealPool:
    """Windows of different real clips, which are divided into two disjoint sets.

    Args:
        count: number of windows: twice the number of evaluated videos, or as many as there are.
        name: description of the clips with a digest; part of the names of cached features.
        read: slice -> (uint8 videos (n, T, H, W, 3), valid frames of each).
    """

    count: int
    name: str
    read: Callable[[slice], tuple[Videos, Ints]]

    @property
    def num_each(self) -> int:
        """Videos in each of the two sets."""
        return self.count // 2

    def features(self, extract: Callable[[Videos, Ints], tuple[Features, Ints]]) -> tuple[Features, Ints]:
        """Features of all windows, and the index of the window of each row.

        Args:
            extract: (videos, valid frames) -> (features, index of the video of each row among those given).
        """
        values, groups, extractor = list[np.ndarray](), list[Ints](), ""
        for rows in blocks(self.count, 8):
            features, of_videos = extract(*self.read(rows))
            values.append(features.values_ND)
            groups.append(of_videos + rows.start)
            extractor = features.extractor
        return Features(values_ND=np.concatenate(values), extractor=extractor), np.concatenate(groups)

    def description(self) -> str:
        """The floor in the protocol of a result."""
        return f"two disjoint sets of {self.num_each} windows of real clips, {NUM_SPLITS} random splits of {self.name}"


def disjoint_sets(features: Features, groups: Ints, num_each: int, seed: int) -> list[tuple[Features, Features]]:
    """Two disjoint sets of `num_each` windows, for each of `NUM_SPLITS` splits; rows of one window stay together."""
    sets: list[tuple[Features, Features]] = []
    count = int(groups.max()) + 1
    for split in range(NUM_SPLITS):
        order = np.random.default_rng([seed, split]).permutation(count)
        first, second = (
            features.rows(np.flatnonzero(np.isin(groups, order[place * num_each : (place + 1) * num_each])))
            for place in range(2)
        )
        sets.append((first, second))
    return sets


def floor_controls(distances: list[float]) -> dict[str, float]:
    """Mean and spread of a distance over the splits, as controls of its result."""
    return {"real_floor": float(np.mean(distances)), "real_floor_spread": float(np.std(distances))}
