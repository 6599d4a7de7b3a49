"""The measures in which `cssgan study` compares models, and how the videos of a run become one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cssgan.metrics.features import Features, real_scale
from cssgan.metrics.per_video import PerVideo
from cssgan.metrics.videos import Floats, Ints

DISTANCE = "rfd_3d_kd64"


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """One compared measure.

    Args:
        name: its name in tables.
        better: direction in which a model is better. Where the value of real videos is the aim, the measure is the
            distance to it, so that lower is always better.
        metric: metric of evaluation.json that this measure belongs to: if that is saturated, so is this.
        columns: columns of `PerVideo.values` that it needs: one (mean over videos), or two (ratio of their sums); none for
            the kernel distance.
    """

    name: str
    better: Literal["lower", "higher"]
    metric: str
    columns: tuple[str, ...]

    @property
    def direction(self) -> int:
        """Sign of a difference in favour of the first model."""
        return 1 if self.better == "higher" else -1


def _mean(name: str, better: Literal["lower", "higher"] = "higher", *, metric: str = "") -> Measure:
    return Measure(name=name, better=better, metric=metric or name, columns=(name,))


MEASURES: tuple[Measure, ...] = (
    Measure(
        name="event_match",
        better="higher",
        metric="event_match",
        columns=("event_match_wins", "event_match_comparisons"),
    ),
    _mean("event_f1"),
    _mean("persistence"),
    _mean("event_swap_auc"),
    _mean("audio_swap_auc"),
    Measure(name="l1_over_copy_first", better="lower", metric="l1_over_copy_first", columns=("l1", "copy_first_l1")),
    _mean("ssim"),
    Measure(name=DISTANCE, better="lower", metric=DISTANCE, columns=()),
    _mean("sync_auc"),
    _mean("seam_deviation", "lower", metric="seam_ratio"),
    _mean("motion_deviation", "lower", metric="motion_ratio"),
    _mean("class_accuracy"),
    _mean("syncnet_auc"),
    _mean("order_deviation", "lower", metric="order_pairs"),
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SongValues:
    """The value of a measure, and its value without each song.

    Args:
        without_G: float64 (G,).
    """

    value: float
    without_G: Floats


def defined(measure: Measure, run: PerVideo) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """bool (N,): videos for which the measure has a value."""
    columns = [np.isfinite(run.values[column]) for column in measure.columns]
    return np.logical_and.reduce([np.ones(len(run.keys), np.bool_), *columns])


def song_values(measure: Measure, run: PerVideo, rows_M: Ints, song_M: Ints) -> SongValues:
    """The measure of some videos of a run, and without each of their songs.

    Args:
        rows_M: the videos.
        song_M: song of each of them, 0 .. G - 1, three or more songs.
    """
    num_songs = int(song_M.max()) + 1
    if not measure.columns:
        return _kernel_distance(run, rows_M, song_M)
    top_M = run.values[measure.columns[0]][rows_M]
    bottom_M = run.values[measure.columns[1]][rows_M] if len(measure.columns) > 1 else np.ones(len(rows_M))
    sums_G, weights_G = (np.bincount(song_M, values, num_songs) for values in (top_M, bottom_M))
    return SongValues(
        value=float(sums_G.sum() / weights_G.sum()),
        without_G=(sums_G.sum() - sums_G) / np.maximum(weights_G.sum() - weights_G, 1e-12),
    )


def _kernel_distance(run: PerVideo, rows_M: Ints, song_M: Ints) -> SongValues:
    """The kernel distance over pairs of videos of different songs, in features scaled by the real set.

    With songs as a random sample, pairs within a song would count more than they do in a larger set of songs. Without them
    the value is an unbiased U-statistic of songs.
    """
    real = Features(values_ND=run.real_ND[rows_M], extractor=run.extractor)
    scale = real_scale(real)
    x_MD, y_MD = real.scaled(scale).values_ND, run.fake_ND[rows_M] / scale
    count_G = np.bincount(song_M).astype(np.float64)
    num_songs = len(count_G)
    member_GM = (song_M[None, :] == np.arange(num_songs)[:, None]).astype(np.float64)

    def sums(first_MD: Floats, second_MD: Floats) -> Floats:
        """Sum of the kernel over all pairs of videos of two songs, float64 (G, G)."""
        return member_GM @ (first_MD @ second_MD.T / first_MD.shape[1] + 1.0) ** 3 @ member_GM.T

    cross_GG = sums(x_MD, y_MD)
    kernel_GG = sums(x_MD, x_MD) + sums(y_MD, y_MD) - cross_GG - cross_GG.T
    pairs_GG = np.outer(count_G, count_G)
    for matrix in (kernel_GG, pairs_GG):
        np.fill_diagonal(matrix, 0.0)
    without_kernel = kernel_GG.sum() - kernel_GG.sum(axis=0) - kernel_GG.sum(axis=1)
    without_pairs = pairs_GG.sum() - pairs_GG.sum(axis=0) - pairs_GG.sum(axis=1)
    return SongValues(value=float(kernel_GG.sum() / pairs_GG.sum()), without_G=without_kernel / without_pairs)
