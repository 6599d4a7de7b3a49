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

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from cssgan.metrics.videos import Floats, Ints, Mask, blocks
from cssgan.types import EvalWindows

MIN_ENTRIES = 3
"""Pearson's correlation of fewer points is always +-1 or undefined."""
TIE = 1e-9
"""Correlations that differ by less are equal but for rounding."""
_BLOCK_PAIRS = 2**19
"""Pairs of a video and an audio signal that are compared at once: 80 MB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SynchronySpec:
    """Parameters of the synchrony metrics; all are part of the protocol of the results.

    Args:
        max_lag_seconds: the lag of the real videos is searched within +- this time.
        tolerance_seconds: allowed deviation from the lag of the real videos in both directions; at least one frame.
        num_pairings: random mismatched pairings of the whole set for the z-score.
        num_resamples: bootstrap resamples of the videos for the intervals of the AUC.
        seed: of the pairings and resamples.
    """

    max_lag_seconds: float = 0.12
    tolerance_seconds: float = 0.04
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


def at_common_rate(curves_NK: Floats, use_NK: Mask, frames_per_second_N: Floats) -> tuple[Floats, Mask, float]:
    """Curves of videos of different frame rates at the lowest of these rates, so that entry k is the same time in all.

    The rate and the valid entries are those of the frames: a video that was generated from the audio of another clip has
    those of that clip.

    The sum over a curve is kept: an entry is the share of the entries that its interval covers. Curves of that rate are
    unchanged.

    Returns:
        (float64 (N, K), bool (N, K), frames per second)
    """
    rate = float(frames_per_second_N.min())
    curves, use = curves_NK.copy(), use_NK.copy()
    for n in np.flatnonzero(frames_per_second_N > rate * (1 + 1e-9)):
        valid = int(use_NK[n].sum())
        total = np.concatenate([[0.0], np.cumsum(curves_NK[n, :valid])])
        ratio = float(frames_per_second_N[n]) / rate
        count = int(valid / ratio + 1e-9)
        edges = np.interp(np.arange(count + 1) * ratio, np.arange(valid + 1), total)
        curves[n], use[n] = 0.0, False
        curves[n, :count], use[n, :count] = np.diff(edges), True
    return curves, use, rate


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


def searched_lags(spec: SynchronySpec, frames_per_second: float) -> list[int]:
    """All lags within `max_lag_seconds` in frames, the smallest first."""
    most = round(spec.max_lag_seconds * frames_per_second)
    return sorted(range(-most, most + 1), key=abs)


def allowed_lags(
    real_NK: Floats, onset_NK: Floats, use_NK: Mask, spec: SynchronySpec, frames_per_second: float
) -> tuple[int, ...]:
    """The lags, in frames, at which a set is evaluated: the best lag of its real videos +- the tolerance.

    Renderers, cameras, codecs and slow movements shift frames against audio by a frame or two. The shift is measured on
    the real videos only (highest mean correlation with their own audio; of equal ones the smallest shift), so that a
    generator cannot choose the lag.
    """
    lags = searched_lags(spec, frames_per_second)
    means = [float(own_correlations(real_NK, onset_NK, use_NK, use_NK, (lag,))[0].mean()) for lag in lags]
    best = lags[int(np.argmax(means))]
    tolerance = max(1, round(spec.tolerance_seconds * frames_per_second))
    return tuple(range(best - tolerance, best + tolerance + 1))


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


def own_correlations(
    motion_NK: Floats, onset_NK: Floats, motion_use_NK: Mask, onset_use_NK: Mask, lags: Sequence[int] = (0,)
) -> tuple[Floats, Mask]:
    """The diagonal of `best_correlations` without the other pairs: row n of the motion with row n of the audio.

    Args:
        motion_use_NK, onset_use_NK: entries that count; a row uses those of both.

    Returns:
        (float64 (N,), bool (N,) defined); 0 where it is not defined.
    """
    x_all, y_all = _standardized(motion_NK, motion_use_NK), _standardized(onset_NK, onset_use_NK)
    best, found = np.full(len(motion_NK), -2.0), np.zeros(len(motion_NK), np.bool_)
    for lag in lags:
        here, there = _overlap(motion_NK.shape[1], lag)
        value, usable = _pearson(x_all[:, here], y_all[:, there], motion_use_NK[:, here] & onset_use_NK[:, there])
        best = np.maximum(best, np.where(usable, value, -2.0))
        found |= usable
    return np.where(found, best, 0.0), found


def _overlap(num_entries: int, lag: int) -> tuple[slice, slice]:
    """The entries of motion and of audio that a lag brings together."""
    low, high = max(lag, 0), num_entries + min(lag, 0)
    return slice(low, high), slice(low - lag, high - lag)


def _pearson(x_NK: Floats, y_NK: Floats, use_NK: Mask) -> tuple[Floats, Mask]:
    """Pearson correlation of each row of x with the same row of y over `use_NK`, and where it is defined."""
    count_N1 = np.maximum(use_NK.sum(axis=1, keepdims=True), 1)
    x, y = (
        np.where(use_NK, values - np.where(use_NK, values, 0.0).sum(axis=1, keepdims=True) / count_N1, 0.0)
        for values in (x_NK, y_NK)
    )
    variance_x, variance_y = (x * x).sum(axis=1), (y * y).sum(axis=1)
    usable: Mask = np.asarray((use_NK.sum(axis=1) >= MIN_ENTRIES) & (np.minimum(variance_x, variance_y) > 1e-9))
    scale = np.sqrt(np.where(usable, variance_x * variance_y, 1.0))
    return np.where(usable, np.clip((x * y).sum(axis=1) / scale, -1.0, 1.0), 0.0), usable


def own_advantages(
    motion_NK: Floats,
    onset_NK: Floats,
    use_NK: Mask,
    lags: Sequence[int] = (0,),
    *,
    rows_I: Ints | None = None,
    columns_J: Ints | None = None,
) -> Floats:
    """Entry (i, j): how much better motion i correlates with its own audio than with audio j, over the same frames.

    Both correlations use the entries that are valid in i and in j, and the best of `lags`. Of two random curves the
    shorter one has the higher maximum over several lags, so a comparison over different frames is biased against the
    longer clip's own audio.

    Args:
        motion_NK, onset_NK, use_NK: as in `correlations`; also the motion of the real videos instead of the audio.
        rows_I, columns_J: the videos and the audio signals that are compared; None: all. Each pair needs about 160 bytes.

    Returns:
        float64 (I, J), -2..2; 0 where one of the correlations is not defined (a tie), and for a video's own audio.
    """
    everything = np.arange(len(motion_NK))
    rows_I, columns_J = everything if rows_I is None else rows_I, everything if columns_J is None else columns_J
    shape = (len(rows_I), len(columns_J))
    own, other, defined = np.full(shape, -2.0), np.full(shape, -2.0), np.zeros(shape, np.bool_)
    motion_use, own_use, other_use = use_NK[rows_I], use_NK[rows_I], use_NK[columns_J]
    x_all, own_all = _standardized(motion_NK[rows_I], motion_use), _standardized(onset_NK[rows_I], own_use)
    other_all = _standardized(onset_NK[columns_J], other_use)
    for lag in lags:
        here, there = _overlap(motion_NK.shape[1], lag)
        both = (motion_use[:, here] & own_use[:, there]).astype(np.float64)
        audible = other_use[:, there].astype(np.float64)
        x, y_own, y_other = x_all[:, here] * both, own_all[:, there] * both, other_all[:, there] * audible
        entries = both @ audible.T
        count = np.maximum(entries, 1.0)
        sum_x, own_sum, other_sum = x @ audible.T, y_own @ audible.T, both @ y_other.T
        variance_x = (x * x) @ audible.T - sum_x**2 / count
        own_variance = (y_own * y_own) @ audible.T - own_sum**2 / count
        other_variance = both @ (y_other * y_other).T - other_sum**2 / count
        smallest = np.minimum(variance_x, np.minimum(own_variance, other_variance))
        usable = (entries >= MIN_ENTRIES) & (smallest > 1e-9)
        for best, products, sums, variance in (
            (own, (x * y_own) @ audible.T, own_sum, own_variance),
            (other, x @ y_other.T, other_sum, other_variance),
        ):
            scale = np.sqrt(np.where(usable, variance_x * variance, 1.0))
            value = np.clip((products - sum_x * sums / count) / scale, -1.0, 1.0)
            np.maximum(best, np.where(usable, value, -2.0), out=best)
        defined |= usable
    return np.where(defined & (rows_I[:, None] != columns_J[None, :]), own - other, 0.0)


def pair_advantages(
    motion_NK: Floats, onset_NK: Floats, use_NK: Mask, other_N: Ints, lags: Sequence[int] = (0,)
) -> Floats:
    """Entry (n, other_N[n]) of `own_advantages` for each n, float64 (N,), without the other pairs."""
    x_all, y_all = _standardized(motion_NK, use_NK), _standardized(onset_NK, use_NK)
    own, other = np.full(len(motion_NK), -2.0), np.full(len(motion_NK), -2.0)
    for lag in lags:
        here, there = _overlap(motion_NK.shape[1], lag)
        use = use_NK[:, here] & use_NK[:, there] & use_NK[other_N][:, there]
        own_value, own_usable = _pearson(x_all[:, here], y_all[:, there], use)
        other_value, other_usable = _pearson(x_all[:, here], y_all[other_N][:, there], use)
        usable = own_usable & other_usable
        own = np.maximum(own, np.where(usable, own_value, -2.0))
        other = np.maximum(other, np.where(usable, other_value, -2.0))
    return own - other


def advantages(score_NN: Floats) -> Floats:
    """Entry (i, j): score of video i with its own audio minus score with audio j."""
    return np.diag(score_NN)[:, None] - score_NN


def wins(advantage: Floats) -> Floats:
    """1 where an advantage is positive, 0.5 for a tie (`TIE`), 0 otherwise; same shape."""
    return 0.5 + 0.5 * np.sign(np.where(np.abs(advantage) < TIE, 0.0, advantage))


def pairwise_wins(score_NN: Floats) -> Floats:
    """Entry (i, j): 1 if video i scores higher with its own audio than with audio j, 0.5 for a tie, 0 otherwise.

    0 on the diagonal.
    """
    out = wins(advantages(score_NN))
    np.fill_diagonal(out, 0.0)
    return out


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WinBlock:
    """Comparisons of some videos with the audio of some clips. The pair of a video with its own audio does not count.

    Args:
        rows_I, columns_J: the videos and the audio signals.
        wins_IJ: `wins`, float16, in which its three values are exact.
    """

    rows_I: Ints
    columns_J: Ints
    wins_IJ: NDArray[np.float16]

    @property
    def used(self) -> Mask:
        """bool (I, J): the pairs that count."""
        return np.not_equal(self.rows_I[:, None], self.columns_J[None, :])


def song_blocks(sources: Sequence[str]) -> list[tuple[Ints, Ints]]:
    """The comparisons of `negatives` as blocks (videos, audio signals), each of at most `_BLOCK_PAIRS` pairs.

    A set of many songs has few pairs within a song, so neither a matrix of all pairs nor its memory is needed.
    """
    _, source_N, counts = np.unique(np.array(sources), return_inverse=True, return_counts=True)
    order = np.argsort(source_N, kind="stable")
    groups = np.split(order, np.cumsum(counts)[:-1])
    alone = np.array([group[0] for group in groups if len(group) == 1], np.int64)
    pairs = [(group, group) for group in groups if len(group) > 1] + [(alone, np.arange(len(sources)))]
    out: list[tuple[Ints, Ints]] = []
    for rows, columns in pairs:
        step = max(1, _BLOCK_PAIRS // len(columns))
        out += [(rows[first : first + step], columns) for first in range(0, len(rows), step)]
    return out


def song_wins(
    motion_NK: Floats, onset_NK: Floats, use_NK: Mask, sources: Sequence[str], lags: Sequence[int] = (0,)
) -> list[WinBlock]:
    """Does each video follow its own audio better than that of its negatives? `wins` of `own_advantages` in blocks."""
    return [
        WinBlock(
            rows_I=rows,
            columns_J=columns,
            wins_IJ=wins(own_advantages(motion_NK, onset_NK, use_NK, lags, rows_I=rows, columns_J=columns)).astype(
                np.float16
            ),
        )
        for rows, columns in song_blocks(sources)
    ]


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
    return _mean_of_rates([_weighted_rates(wins_NN, negatives_NN, weights, weights)])


def song_auc(blocks: Sequence[WinBlock], weights_RN: Floats | None = None) -> Floats:
    """`auc` of the comparisons of `song_wins`."""
    num_videos = sum(len(block.rows_I) for block in blocks)
    weights = np.ones((1, num_videos)) if weights_RN is None else weights_RN
    return _mean_of_rates([
        _weighted_rates(
            block.wins_IJ.astype(np.float64), block.used, weights[:, block.rows_I], weights[:, block.columns_J]
        )
        for block in blocks
    ])  # fmt: skip


def _weighted_rates(wins_IJ: Floats, used_IJ: Mask, rows_RI: Floats, columns_RJ: Floats) -> tuple[Floats, Floats]:
    """Sum of the win rates of some videos, and number of videos with a comparison, in each resample; float64 (R,)."""
    counts = columns_RJ @ used_IJ.T.astype(np.float64)
    rates = np.where(counts > 0, columns_RJ @ (wins_IJ * used_IJ).T / np.maximum(counts, 1e-12), 0.0)
    used = rows_RI * (counts > 0)
    return (rates * used).sum(axis=1), used.sum(axis=1)


def _mean_of_rates(parts: Sequence[tuple[Floats, Floats]]) -> Floats:
    rates, total = (np.sum([part[index] for part in parts], axis=0) for index in (0, 1))
    return np.where(total > 0, rates / np.maximum(total, 1e-12), 0.5)


def win_rates(wins_NN: Floats, negatives_NN: Mask) -> Floats:
    """Share of its negatives that each video's own audio beats, float64 (N,); NaN for a video without negatives."""
    counts = negatives_NN.sum(axis=1)
    return np.where(counts > 0, (wins_NN * negatives_NN).sum(axis=1) / np.maximum(counts, 1), np.nan)


def song_win_rates(blocks: Sequence[WinBlock]) -> Floats:
    """`win_rates` of the comparisons of `song_wins`, float64 (N,)."""
    out = np.full(sum(len(block.rows_I) for block in blocks), np.nan)
    for block in blocks:
        out[block.rows_I] = win_rates(block.wins_IJ.astype(np.float64), block.used)
    return out


def audio_swap_wins(own_N: Floats, swapped_N: Floats) -> Floats:
    """Does a video follow the audio it was generated from? float64 (N,) in {0, .25, .5, .75, 1}; chance level .5.

    There are two videos of each image, one generated from its own audio and one from that of another clip. Each wins if
    it scores higher with the audio that it was generated from than with the other one. An unconditional generator makes
    the same video twice, which wins once and loses once: exactly .5, independent of the image.

    Args:
        own_N, swapped_N: score with the image's own audio minus score with the other audio (`pair_advantages`), of the
            video generated from the own and from the other audio.
    """
    return (wins(own_N) + 1.0 - wins(swapped_N)) / 2.0


def mismatched_pairing(num_videos: int, rng: np.random.Generator) -> Ints:
    """A random pairing of every video with the audio of another video (one cycle through all).

    Raises:
        ValueError: fewer than two videos.
    """
    if num_videos < 2:
        raise ValueError(f"mismatched audio: got {num_videos} video, allowed: 2 or more; evaluate more clips")
    return random_cycles([np.arange(num_videos)], num_videos, rng)


def random_cycles(groups: Iterable[Ints], count: int, rng: np.random.Generator) -> Ints:
    """For each of `count` items another one of its group: one random cycle through each group.

    Returns:
        int64 (count,); an item alone in its group gets itself, one that is in no group -1.
    """
    out = np.full(count, -1, np.int64)
    for members in groups:
        order = rng.permutation(members)
        out[order] = np.roll(order, -1)
    return out


def mismatched_means(
    motion_NK: Floats,
    onset_NK: Floats,
    use_NK: Mask,
    lags: Sequence[int],
    num_pairings: int,
    rng: np.random.Generator,
) -> Floats:
    """Mean of `own_correlations` of the whole set under each of `num_pairings` random mismatched pairings."""
    means: list[float] = []
    for _ in range(num_pairings):
        other = mismatched_pairing(len(motion_NK), rng)
        means.append(float(own_correlations(motion_NK, onset_NK[other], use_NK, use_NK[other], lags)[0].mean()))
    return np.array(means)


def best_lags(motion_NK: Floats, onset_NK: Floats, use_NK: Mask, lags: Sequence[int]) -> tuple[Floats, Ints]:
    """Highest correlation of each video with its own audio over `lags` (smallest first), and its lag in frames.

    Undefined videos have correlation 0 and lag 0. Of equal correlations the smallest absolute lag is used.
    """
    each = np.stack([own_correlations(motion_NK, onset_NK, use_NK, use_NK, (lag,))[0] for lag in lags])
    best = each.argmax(axis=0)
    return each.max(axis=0), np.array(lags)[best]
