"""Audio-visual synchrony: motion curves, onset curves, their correlation, and the AUC against audio of other clips.

Each video has a motion curve (`cssgan.metrics.motion`) and each audio signal an onset curve. A correlation alone is
not conclusive: every clip begins with a syllable, so any two clips are somewhat correlated. The metric is therefore a
comparison: does the motion of video i follow audio i better than it follows the audio of other videos?

Two effects were observed on rendered songs (figures in docs/metrics.md) and determine the protocol:

* All clips of a song have the same rhythm. Against the audio of *other* songs, a curve that depends only on the song
  reaches an AUC of .73 to .78. So a video is compared with other clips of its own source video.
* Windows that all begin with the first syllable of the letter have nearly the same onset curve. Within a song, even
  real clips then reach no more than .5 to .7. Windows that begin at random frames of their clip reach about .9, and a
  curve that depends only on the song less than .5.

Pure functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from cssgan.metrics.videos import Floats, Ints, Mask, blocks
from cssgan.types import EvalWindows

MIN_ENTRIES = 3
"""Pearson's correlation of fewer points is always +-1 or undefined."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SynchronySpec:
    """Parameters of the synchrony metrics; all are part of the protocol of the results.

    Args:
        max_lag: the lag of the real videos is searched within +- this number of frames.
        tolerance: allowed deviation from the lag of the real videos, in frames, in both directions.
        num_pairings: random mismatched pairings of the whole set for the z-score.
        num_resamples: bootstrap resamples of the videos for the intervals of the AUC.
        seed: of the pairings and resamples.
    """

    max_lag: int = 3
    tolerance: int = 1
    num_pairings: int = 100
    num_resamples: int = 1000
    seed: int = 0


def onset_curves(mels_NTMU: NDArray[np.floating], hops_per_frame_N: Floats) -> Floats:
    """o_t: half-wave-rectified spectral flux over the bands, summed over the frame's own interval; float64 (N, T).

    The mel segments of consecutive frames overlap (200 ms per segment, 40 ms per frame at 25 frames/s). Of segment t
    only the hops in its middle that belong to frame t are counted, those at the boundary in proportion. Below five
    frames/s the interval is longer than the segment, and the whole segment is used.

    Args:
        mels_NTMU: log-mel segments (N, T, M bands, U hops) as cut by `phonics_data.contract.logmel.mel_segments`,
            standardized or not: a shift and a scale common to all bands change no correlation.
        hops_per_frame_N: mel hops per second / frames per second of each video: 4 at 25 frames/s.
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


def hops_per_frame(frame_rate: Fraction) -> float:
    """Mel hops per frame; there are 100 hops per second."""
    return float(100 / frame_rate)


def window_onset_curves(data: EvalWindows) -> Floats:
    """Onset curves of the audio of windows, float64 (N, T)."""
    return onset_curves(data.raw_mels_NTMU, np.array([hops_per_frame(rate) for rate in data.frame_rates]))


def correlations(motion_NK: Floats, onset_NK: Floats, use_NK: Mask, lag: int = 0) -> tuple[Floats, Mask]:
    """Pearson correlation of every motion curve with every onset curve over the frames that both have.

    Args:
        motion_NK, onset_NK: row n of both belongs to video n; entry k to the same frame.
        use_NK: entries of video n that count; a pair (i, j) uses those of i that are also used in j.
        lag: entry k of motion is compared with entry k - lag of audio; if positive, motion is later.

    Returns:
        (float64 (N, N) with row = video and column = audio, bool (N, N) defined). A pair with a constant curve or with
        fewer than three common entries has correlation 0 and is undefined.
    """
    num_entries = motion_NK.shape[1]
    low, high = max(lag, 0), num_entries + min(lag, 0)
    x, mx = _standardized(motion_NK, use_NK)[:, low:high], use_NK[:, low:high].astype(np.float64)
    y = _standardized(onset_NK, use_NK)[:, low - lag : high - lag]
    my = use_NK[:, low - lag : high - lag].astype(np.float64)
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
    """Curves with mean 0 and deviation 1 over their used entries; constant curves become 0."""
    weights = use_NK / np.maximum(use_NK.sum(axis=1, keepdims=True), 1)
    mean = (curves_NK * weights).sum(axis=1, keepdims=True)
    centred = np.where(use_NK, curves_NK - mean, 0.0)
    deviation = np.sqrt((centred**2 * weights).sum(axis=1, keepdims=True))
    constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1.0)
    return np.where(constant, 0.0, centred / np.where(constant, 1.0, deviation))


def allowed_lags(real_NK: Floats, onset_NK: Floats, use_NK: Mask, spec: SynchronySpec) -> tuple[int, ...]:
    """The lags at which a set is evaluated: the best lag of its real videos +- the tolerance.

    Renderers, cameras, codecs and slow movements shift frames against audio by a frame or two. The shift is measured on
    the real videos only (highest mean correlation with their own audio; of equal ones the smallest shift), so that a
    generator cannot choose the lag.
    """
    lags = sorted(range(-spec.max_lag, spec.max_lag + 1), key=abs)
    means = [float(np.diag(correlations(real_NK, onset_NK, use_NK, lag)[0]).mean()) for lag in lags]
    best = lags[int(np.argmax(means))]
    return tuple(range(best - spec.tolerance, best + spec.tolerance + 1))


def best_correlations(
    motion_NK: Floats, onset_NK: Floats, use_NK: Mask, lags: Sequence[int] = (0,)
) -> tuple[Floats, Mask]:
    """Highest correlation over `lags` of every motion curve with every onset curve (N, N), and where it is defined.

    Matched and mismatched pairings both use their best lag, so a tolerance raises both.
    """
    each = [correlations(motion_NK, onset_NK, use_NK, lag) for lag in lags]
    best = np.stack([np.where(defined, matrix, -2.0) for matrix, defined in each]).max(axis=0)
    defined: Mask = np.asarray(sum(defined.astype(np.int64) for _, defined in each) > 0)
    return np.where(defined, best, 0.0), defined


def pairwise_wins(score_NN: Floats) -> Floats:
    """Entry (i, j): 1 if video i scores higher with its own audio than with audio j, 0.5 for a tie, 0 otherwise."""
    own = np.diag(score_NN)[:, None]
    wins = (own > score_NN) + 0.5 * (own == score_NN)
    np.fill_diagonal(wins, 0.0)
    return wins


def negatives(sources: Sequence[str]) -> Mask:
    """bool (N, N): entry (i, j) is true if the audio of clip j is a negative of video i.

    These are the other clips of the same source video. If there are none, all other clips are used.
    """
    _, source_N = np.unique(np.array(sources), return_inverse=True)
    same: Mask = np.equal(source_N[:, None], source_N[None, :])
    single = same.sum(axis=1) == 1
    same[single] = True
    np.fill_diagonal(same, False)
    return same


def auc(wins_NN: Floats, negatives_NN: Mask, weights_RN: Floats | None = None) -> Floats:
    """Probability that a video's own audio scores higher than a negative; the chance level is .5.

    The area under the ROC curve of each video's row, averaged over videos, so that differences between videos (jerky
    or smooth motion) have no influence.

    Args:
        wins_NN: `pairwise_wins`.
        negatives_NN: which comparisons count.
        weights_RN: how often each video occurs in each bootstrap resample; None: the original set.

    Returns:
        float64 (R,); .5 if no comparison is left. A resampled video is not compared with copies of itself.
    """
    weights = np.ones((1, len(wins_NN))) if weights_RN is None else weights_RN
    counts = weights @ negatives_NN.T.astype(np.float64)
    rows = np.where(counts > 0, weights @ (wins_NN * negatives_NN).T / np.maximum(counts, 1e-12), 0.0)
    used = weights * (counts > 0)
    total = used.sum(axis=1)
    return np.where(total > 0, (rows * used).sum(axis=1) / np.maximum(total, 1e-12), 0.5)


def win_rates(wins_NN: Floats, negatives_NN: Mask) -> Floats:
    """Share of its negatives that each video's own audio beats, float64 (N,); NaN for a video without negatives."""
    counts = negatives_NN.sum(axis=1)
    return np.where(counts > 0, (wins_NN * negatives_NN).sum(axis=1) / np.maximum(counts, 1), np.nan)


def audio_swap_wins(own_NN: Floats, swapped_NN: Floats, other_N: Ints) -> Floats:
    """Does a video follow the audio it was generated from? float64 (N,) in {0, .25, .5, .75, 1}; chance level .5.

    There are two videos of each image, one generated from its own audio and one from audio `other_N[i]`. Each wins if
    it scores higher with the audio that it was generated from than with the other one. An unconditional generator makes
    the same video twice, which wins once and loses once: exactly .5, independent of the image.

    Args:
        own_NN, swapped_NN: `best_correlations` of the videos generated from their own and from the other audio.
    """
    row = np.arange(len(other_N))
    own = own_NN[row, row] - own_NN[row, other_N]
    swapped = swapped_NN[row, other_N] - swapped_NN[row, row]
    return (0.5 + 0.5 * np.sign(own)) / 2.0 + (0.5 + 0.5 * np.sign(swapped)) / 2.0


def mismatched_pairing(num_videos: int, rng: np.random.Generator) -> Ints:
    """A random pairing of every video with the audio of another video (one cycle through all).

    Raises:
        ValueError: fewer than two videos.
    """
    if num_videos < 2:
        raise ValueError(f"mismatched audio: got {num_videos} video, allowed: 2 or more; evaluate more clips")
    order = rng.permutation(num_videos)
    out = np.empty(num_videos, np.int64)
    out[order] = np.roll(order, -1)
    return out


def mismatched_means(score_NN: Floats, num_pairings: int, rng: np.random.Generator) -> Floats:
    """Mean score of the whole set under each of `num_pairings` random mismatched pairings."""
    rows = np.arange(len(score_NN))
    return np.array([score_NN[rows, mismatched_pairing(len(rows), rng)].mean() for _ in range(num_pairings)])


def best_lags(motion_NK: Floats, onset_NK: Floats, use_NK: Mask, max_lag: int = 3) -> tuple[Floats, Ints]:
    """Highest correlation of each video with its own audio within +-max_lag frames, and its lag.

    Undefined videos have correlation 0 and lag 0. Of equal correlations the smallest absolute lag is used.
    """
    lags = sorted(range(-max_lag, max_lag + 1), key=abs)
    each = np.stack([np.diag(correlations(motion_NK, onset_NK, use_NK, lag)[0]) for lag in lags])
    best = each.argmax(axis=0)
    return each.max(axis=0), np.array(lags)[best]
