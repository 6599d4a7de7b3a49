"""The difference of two models in one measure, with an interval over training runs and songs. Pure functions.

Both models are evaluated with the same images and audio, so the difference is computed on the same videos; what affects
both models equally cancels. `cssgan.metrics.statistics.crossed_difference` describes the interval. It needs no more than the
measure of each run with all songs and without each song (jackknife), so it is the same for means, win rates (a video is
compared with other clips of its own song), ratios and distances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cssgan.metrics.per_video import PerVideo
from cssgan.metrics.statistics import crossed_difference, pseudo_values
from cssgan.metrics.videos import Floats
from cssgan.study.measures import Measure, defined, song_values

MIN_SONGS = 10
"""Test songs that a conclusion needs. Simulated with this number: docs/study.md."""
MIN_SEEDS = 3
"""Training runs of each model that a conclusion needs."""
LEVEL = 0.05
"""Chance of one or more wrong statements in a claim about equal models."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Value of the first model minus value of the second.

    Args:
        interval: 95 % interval over seeds and songs; with one seed per model over songs only.
        p_value: two-sided, not corrected.
        num_seeds: the smaller number of seeds of the two models.
    """

    value: float
    interval: tuple[float, float]
    p_value: float
    num_videos: int
    num_songs: int
    num_seeds: int

    @property
    def no_conclusion(self) -> str:
        """Why nothing can be concluded from the difference; empty: something can be."""
        if self.num_songs < MIN_SONGS:
            return f"{self.num_songs} test songs, at least {MIN_SONGS} needed"
        if self.num_seeds < MIN_SEEDS:
            return f"{self.num_seeds} seeds, at least {MIN_SEEDS} needed"
        return ""


def compare(first: Sequence[PerVideo], second: Sequence[PerVideo], measure: Measure) -> Difference:
    """The difference of two models in one measure, over the videos that have a value in all runs of both.

    Args:
        first, second: one element per seed of the model.

    Raises:
        ValueError: the models were evaluated on different videos, a run has no such measure, or fewer than three songs
            have a value for both.
    """
    runs = (*first, *second)
    if len({run.keys for run in runs}) != 1:
        raise ValueError(
            f"compare {measure.name}: the models were evaluated on different videos, allowed: the same videos"
        )
    if absent := sorted({column for column in measure.columns for run in runs if column not in run.values}):
        raise ValueError(f"compare {measure.name}: a run has no {', '.join(absent)}, allowed: all runs have it")
    rows_M = np.flatnonzero(np.logical_and.reduce([defined(measure, run) for run in runs]))
    names, song_M = np.unique(np.array(runs[0].sources)[rows_M], return_inverse=True)
    if len(names) < 3:
        raise ValueError(
            f"compare {measure.name}: got {len(names)} songs with a value for both models, allowed: three or more"
        )

    def of_side(side: Sequence[PerVideo]) -> tuple[Floats, Floats]:
        each = [song_values(measure, run, rows_M, song_M) for run in side]
        return (
            np.stack([pseudo_values(one.value, one.without_G) for one in each]),
            np.array([one.value for one in each]),
        )

    (first_SG, first_S), (second_SG, second_S) = of_side(first), of_side(second)
    # The mean of pseudo-values of a ratio differs a little from the ratio, which the tables show.
    value = float(first_S.mean() - second_S.mean())
    found = crossed_difference(first_SG, second_SG, value=value)
    return Difference(
        value=value,
        interval=found.interval,
        p_value=found.p_value,
        num_videos=len(rows_M),
        num_songs=len(names),
        num_seeds=min(len(first), len(second)),
    )
