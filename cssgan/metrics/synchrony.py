"""Does the picture move when the sound does? Curves, their correlation, and the control without which it says nothing.

Each video gives a motion curve (`cssgan.metrics.motion`) and each sound an onset curve. A correlation alone proves
little: every clip begins with a syllable, so any two clips correlate somewhat. So the measure is a comparison: does
the motion of video i follow sound i better than it follows the sounds of other videos?

Two traps were met on rendered songs and shape what stands here (docs/metrics.md has the figures):

* All clips of a song share its rhythm. Against the sounds of *other* songs, a curve that knows the song and hears
  nothing reaches an AUC of .73 to .78. So a video is compared with the other clips of its own source video.
* Windows that all begin with the letter's first syllable have nearly the same onset curve, and within a song even real
  clips then reach no more than .5 to .7. Windows that begin anywhere in their clip reach about .9, a curve that knows
  the song less than .5.

Pure functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from cssgan.metrics.videos import Floats, Mask, blocks

Matrix = NDArray[np.float64]

MIN_ENTRIES = 3
"""Pearson's correlation of fewer points is +-1 or undefined whatever they are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SynchronySpec:
    """What may vary in the measure; all of it goes into the protocol of its results.

    Args:
        max_lag: the lag of the real videos is looked for within +- so many frames.
        tolerance: motion may come so many frames before or after the real videos' lag.
        num_pairings: random mismatched pairings of the whole set for the z-score.
        num_resamples: bootstrap resamples of the videos for the intervals.
        seed: of the pairings and resamples.
    """

    max_lag: int = 3
    tolerance: int = 1
    num_pairings: int = 100
    num_resamples: int = 1000
    seed: int = 0


def onset_curves(mels_NTMU: NDArray[np.floating], hops_per_frame_N: Floats) -> Floats:
    """o_t: half-wave-rectified spectral flux over the bands, summed over the frame's own interval; float64 (N, T).

    The segments of neighbouring frames overlap (200 ms a segment, 40 ms a frame at 25 frames/s); of segment t only the
    hops of frame t's own interval in its middle count, those at the edge in proportion. At fewer than five frames/s
    the interval is longer than the segment and what the segment holds is taken.

    Args:
        mels_NTMU: log-mel segments (N, T, M bands, U hops), as cut by `phonics_data.contract.logmel.mel_segments`;
            standardized or not: a shift and a scale common to all bands change no correlation.
        hops_per_frame_N: mel hops a second / frames a second of each video: 4 at 25 frames/s.
    """
    if mels_NTMU.ndim != 4 or mels_NTMU.shape[3] < 2:
        raise ValueError(f"onset curve: got segments {mels_NTMU.shape}, allowed: (N, T, M, U >= 2)")
    num_hops = mels_NTMU.shape[3]
    rise_NTU = np.zeros((*mels_NTMU.shape[:2], num_hops))
    for rows in blocks(len(mels_NTMU), 32, mels_NTMU):
        for n in range(rows.start, rows.stop):
            rise_NTU[n, :, 1:] = np.maximum(np.diff(mels_NTMU[n].astype(np.float64), axis=2), 0.0).sum(axis=1)
    hop = np.arange(num_hops)[None, :]
    low = num_hops / 2 - hops_per_frame_N[:, None] / 2
    high = num_hops / 2 + hops_per_frame_N[:, None] / 2
    weights_NU = np.clip(np.minimum(hop + 1, high) - np.maximum(hop, low), 0.0, 1.0)
    return np.einsum("ntu,nu->nt", rise_NTU, weights_NU)


def hops_per_frame(frame_rate: Fraction, hops_per_second: Fraction = Fraction(100)) -> float:
    return float(hops_per_second / frame_rate)


def correlations(motion_NK: Floats, sound_NK: Floats, use_NK: Mask, lag: int = 0) -> tuple[Matrix, Mask]:
    """Pearson correlation of every motion curve with every onset curve over the frames that both have.

    Args:
        motion_NK, sound_NK: row n of both belongs to video n; entry k to the same frame.
        use_NK: entries of video n that count; a pair (i, j) uses those of i that are also used of j.
        lag: entry k of motion is compared with entry k - lag of sound: positive, motion comes later.

    Returns:
        (float64 (N, N) with row = video and column = sound, bool (N, N) defined). A pair with a constant curve or with
        fewer than three common entries has correlation 0, undefined: nothing can be said to follow or to be followed.
    """
    num_entries = motion_NK.shape[1]
    low, high = max(lag, 0), num_entries + min(lag, 0)
    x, mx = _standardized(motion_NK, use_NK)[:, low:high], use_NK[:, low:high].astype(np.float64)
    y, my = (
        _standardized(sound_NK, use_NK)[:, low - lag : high - lag],
        use_NK[:, low - lag : high - lag].astype(np.float64),
    )
    x, y = x * mx, y * my
    count = np.maximum(mx @ my.T, 1.0)
    sum_x, sum_y = x @ my.T, mx @ y.T
    covariance = x @ y.T - sum_x * sum_y / count
    variance_x = (x * x) @ my.T - sum_x**2 / count
    variance_y = mx @ (y * y).T - sum_y**2 / count
    comparable = np.where(mx @ my.T >= MIN_ENTRIES, np.minimum(variance_x, variance_y), 0.0)
    defined: Mask = np.asarray(comparable > 1e-9)
    scale = np.sqrt(np.where(defined, variance_x * variance_y, 1.0))
    return np.where(defined, np.clip(covariance / scale, -1.0, 1.0), 0.0), defined


def _standardized(curves_NK: Floats, use_NK: Mask) -> Floats:
    """Curves with mean 0 and deviation 1 over their used entries; constant ones become 0."""
    weights = use_NK / np.maximum(use_NK.sum(axis=1, keepdims=True), 1)
    mean = (curves_NK * weights).sum(axis=1, keepdims=True)
    centred = np.where(use_NK, curves_NK - mean, 0.0)
    deviation = np.sqrt((centred**2 * weights).sum(axis=1, keepdims=True))
    flat = deviation <= 1e-6 * np.maximum(np.abs(mean), 1.0)
    return np.where(flat, 0.0, centred / np.where(flat, 1.0, deviation))


def allowed_lags(real_NK: Floats, sound_NK: Floats, use_NK: Mask, spec: SynchronySpec) -> tuple[int, ...]:
    """The lags at which a set is judged: the one at which its real videos follow their sounds best, +- the tolerance.

    A renderer that draws each frame for its middle, a camera, a codec, a movement that takes two frames to gather speed:
    each shifts picture against sound by a frame or two. The real videos alone tell by how much (the highest mean
    correlation with their own sounds; of equal ones the smallest shift), so no generator can choose what suits it.
    """
    lags = sorted(range(-spec.max_lag, spec.max_lag + 1), key=abs)
    means = [float(np.diag(correlations(real_NK, sound_NK, use_NK, lag)[0]).mean()) for lag in lags]
    best = lags[int(np.argmax(means))]
    return tuple(range(best - spec.tolerance, best + spec.tolerance + 1))


def scores(motion_NK: Floats, sound_NK: Floats, use_NK: Mask, lags: Sequence[int] = (0,)) -> tuple[Matrix, Mask]:
    """Best correlation over `lags` of every motion curve with every onset curve, and where it is defined.

    True and mismatched pairings alike take their best lag, so a tolerance raises both.
    """
    each = [correlations(motion_NK, sound_NK, use_NK, lag) for lag in lags]
    best = np.stack([np.where(defined, matrix, -2.0) for matrix, defined in each]).max(axis=0)
    defined: Mask = np.asarray(sum(defined.astype(np.int64) for _, defined in each) > 0)
    return np.where(defined, best, 0.0), defined


def pairwise_wins(score_NN: Matrix) -> Matrix:
    """Entry (i, j): 1 where video i scores higher with its own sound than with sound j, 0.5 at a tie, 0 otherwise."""
    true = np.diag(score_NN)[:, None]
    won = (true > score_NN) + 0.5 * (true == score_NN)
    np.fill_diagonal(won, 0.0)
    return won


def negatives(sources: Sequence[str]) -> Mask:
    """bool (N, N): the sounds j with which video i is compared: those of the other clips of its source video.

    A video that is alone of its source is compared with all others.
    """
    _, source_N = np.unique(np.array(sources), return_inverse=True)
    same: Mask = np.equal(source_N[:, None], source_N[None, :])
    alone = same.sum(axis=1) == 1
    same[alone] = True
    np.fill_diagonal(same, False)
    return same


def auc(won_NN: Matrix, negatives_NN: Mask, weights_RN: Floats | None = None) -> Floats:
    """Chance that a video's own sound scores higher than a rival sound: .5 is guessing, 1 is certain.

    The area under the ROC curve within each video's row, averaged over videos, so that differences between videos
    (one moves in jumps, another smoothly) do not enter.

    Args:
        won_NN: `wins`.
        rivals_NN: which comparisons count.
        weights_RN: how often each video stands in each bootstrap resample; None: one set with each video once.

    Returns:
        float64 (R,); .5 where no comparison is left. A resampled video is never compared with its own copy.
    """
    weights = np.ones((1, len(won_NN))) if weights_RN is None else weights_RN
    counts = weights @ negatives_NN.T.astype(np.float64)
    rows = np.where(counts > 0, weights @ (won_NN * negatives_NN).T / np.maximum(counts, 1e-12), 0.0)
    held = weights * (counts > 0)
    total = held.sum(axis=1)
    return np.where(total > 0, (rows * held).sum(axis=1) / np.maximum(total, 1e-12), 0.5)


def heard(own_NN: Matrix, swapped_NN: Matrix, other_N: NDArray[np.int64]) -> Floats:
    """Does a video follow the sound it was made from? float64 (N,) in {0, .25, .5, .75, 1}; .5 on average is deaf.

    Of each picture there are two videos, one from its own sound and one from sound `other_N[i]`; each is asked whether
    it moves more with the sound it was given than with the other one. A generator that does not listen makes the same
    video twice, wins once and loses once: .5 exactly, whatever its pictures tell it about the song.

    Args:
        own_NN, swapped_NN: `scores` of the videos made from their own and from the other sounds.
    """
    row = np.arange(len(other_N))
    own = own_NN[row, row] - own_NN[row, other_N]
    swapped = swapped_NN[row, other_N] - swapped_NN[row, row]
    return (0.5 + 0.5 * np.sign(own)) / 2.0 + (0.5 + 0.5 * np.sign(swapped)) / 2.0


def resample_weights(num_videos: int, num_resamples: int, rng: np.random.Generator) -> Floats:
    """float64 (R, N): how often each video is drawn in each of R bootstrap resamples of N videos."""
    return rng.multinomial(num_videos, np.full(num_videos, 1.0 / num_videos), size=num_resamples).astype(np.float64)


def interval(values: Floats, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval."""
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return float(low), float(high)


def mismatched(num_videos: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A random pairing that gives every video another video's sound (one cycle through all); needs two videos."""
    if num_videos < 2:
        raise ValueError(f"mismatched sounds: got {num_videos} video, allowed: 2 or more; evaluate more clips")
    order = rng.permutation(num_videos)
    out = np.empty(num_videos, np.int64)
    out[order] = np.roll(order, -1)
    return out


def mismatched_means(score_NN: Matrix, num_pairings: int, rng: np.random.Generator) -> Floats:
    """Mean score of the whole set under each of `num_pairings` random mismatched pairings."""
    rows = np.arange(len(score_NN))
    return np.array([score_NN[rows, mismatched(len(rows), rng)].mean() for _ in range(num_pairings)])


def best_lags(motion_NK: Floats, sound_NK: Floats, use_NK: Mask, max_lag: int = 3) -> tuple[Floats, NDArray[np.int64]]:
    """Highest correlation of each video with its own sound within +-max_lag frames, and the lag where it is.

    Undefined videos have correlation 0 and lag 0; of equal correlations the smallest absolute lag is taken.
    """
    lags = sorted(range(-max_lag, max_lag + 1), key=abs)
    each = np.stack([np.diag(correlations(motion_NK, sound_NK, use_NK, lag)[0]) for lag in lags])
    best = each.argmax(axis=0)
    return each.max(axis=0), np.array(lags)[best]
