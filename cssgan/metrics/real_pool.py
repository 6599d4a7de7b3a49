"""Real against real at the number of videos that are judged: what a distance is where there is no difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cssgan.metrics.statistics import Features
from cssgan.metrics.videos import Ints, Videos, blocks

DRAWS = 3
"""Times that the pool is divided into two sets."""
LEAST = 16
"""Videos of either set; of fewer, no floor is given."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RealPool:
    """Windows of different real clips, of which two disjoint sets are drawn.

    Args:
        count: windows; twice the number that is judged, or as many as there are.
        name: which clips, in words, with a digest: part of the name of kept features.
        read: slice -> (uint8 videos (n, T, H, W, 3), valid frames of each).
    """

    count: int
    name: str
    read: Callable[[slice], tuple[Videos, Ints]]

    @property
    def num_each(self) -> int:
        """Videos of either set."""
        return self.count // 2

    def features(self, of: Callable[[Videos, Ints], tuple[Features, Ints]]) -> tuple[Features, Ints]:
        """Features of all windows, and the window of each row.

        Args:
            of: (videos, valid frames) -> (features, number of the video of each row among those given).
        """
        values, groups, extractor = list[np.ndarray](), list[Ints](), ""
        for rows in blocks(self.count, 8):
            features, of_videos = of(*self.read(rows))
            values.append(features.values_ND)
            groups.append(of_videos + rows.start)
            extractor = features.extractor
        return Features(values_ND=np.concatenate(values), extractor=extractor), np.concatenate(groups)


def disjoint_sets(features: Features, groups: Ints, num_each: int, seed: int) -> list[tuple[Features, Features]]:
    """Two sets of `num_each` windows each, drawn `DRAWS` times; rows of one window stay together."""
    sets: list[tuple[Features, Features]] = []
    count = int(groups.max()) + 1
    for draw in range(DRAWS):
        order = np.random.default_rng([seed, draw]).permutation(count)
        first, second = (
            features.rows(np.flatnonzero(np.isin(groups, order[place * num_each : (place + 1) * num_each])))
            for place in range(2)
        )
        sets.append((first, second))
    return sets


def floor_controls(distances: list[float]) -> dict[str, float]:
    """The floor of a distance and its spread over the draws, as controls beside it."""
    return {"real_floor": float(np.mean(distances)), "real_floor_spread": float(np.std(distances))}


def floor_in_words(pool: RealPool) -> str:
    return f"two disjoint sets of {pool.num_each} windows of real clips, {DRAWS} draws from {pool.name}"
