"""Onset curves, correlation with masks and lags, and the AUC against mismatched audio."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from cssgan.metrics import synchrony
from cssgan.metrics.motion import motion_curves
from cssgan.metrics.statistics import bootstrap_weights, percentile_interval
from cssgan.metrics.synchrony import SynchronySpec
from cssgan.metrics.synchrony_results import Curves, synchrony_results
from phonics_data.contract import logmel
from tests.cssgan.metrics import toy_scenes


def auc(score: NDArray[np.float64]) -> float:
    """Against all other videos."""
    return float(synchrony.auc(synchrony.pairwise_wins(score), ~np.eye(len(score), dtype=np.bool_))[0])


def curves(seed: int, n: int = 40) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    scene = toy_scenes.make(n, seed=seed, size=16)
    onset = synchrony.onset_curves(scene.mels_NTMU, np.full(n, 4.0))[:, 1:]
    return motion_curves(scene.videos_NTHWC), onset, np.ones((n, 31), np.bool_)


@pytest.mark.parametrize("rate", [Fraction(5), Fraction(25), Fraction(30000, 1001), Fraction(30)])
def test_clicks_give_onsets_in_their_frames(rate: Fraction) -> None:
    audio = np.zeros(16_000 * 4, np.float32)
    frames = [3, 8, 14]
    for frame in frames:
        sample = int((frame + 0.5) / rate * 16_000)
        audio[sample : sample + 80] = np.random.default_rng(frame).uniform(-0.8, 0.8, 80)
    mels = logmel.mel_segments(logmel.log_mel(audio), 18, rate)
    onsets = synchrony.onset_curves(mels[None], np.array([synchrony.hops_per_frame(rate)]))[0]
    assert sorted(np.argsort(onsets)[-3:].tolist()) == frames
    quiet = np.setdiff1d(np.arange(18), frames)
    assert onsets[quiet].max() < 0.35 * onsets[frames].min()


def test_silence_has_no_onset() -> None:
    mels = logmel.mel_segments(logmel.log_mel(np.zeros(16_000, np.float32)), 20, Fraction(25))
    assert synchrony.onset_curves(mels[None], np.array([4.0])).max() == 0.0


def test_correlations_are_pearsons() -> None:
    rng = np.random.default_rng(0)
    x, y, use = rng.normal(size=(3, 20)), rng.normal(size=(3, 20)), np.ones((3, 20), np.bool_)
    matrix, defined = synchrony.correlations(x, y, use)
    assert defined.all()
    assert matrix == pytest.approx(np.corrcoef(x, y)[:3, 3:])


@pytest.mark.parametrize("lag", [-2, 0, 3])
def test_masked_and_lagged_pairs_use_the_frames_that_both_have(lag: int) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 20)), rng.normal(size=(2, 20))
    counts = [20, 12]
    use = np.arange(20)[None, :] < np.array(counts)[:, None]
    matrix, _ = synchrony.correlations(x, y, use, lag)
    for i in range(2):
        for j in range(2):
            entries = [k for k in range(counts[i]) if 0 <= k - lag < counts[j]]
            expected = np.corrcoef(x[i, entries], y[j, [k - lag for k in entries]])[0, 1]
            assert matrix[i, j] == pytest.approx(expected)


def test_best_lag_of_late_motion() -> None:
    rng = np.random.default_rng(2)
    onset = rng.random((5, 31))
    motion = np.roll(onset, 2, axis=1)
    best, lag = synchrony.best_lags(
        motion, onset, np.ones((5, 31), np.bool_), synchrony.searched_lags(SynchronySpec(), 25.0)
    )
    assert lag.tolist() == [2] * 5
    assert best == pytest.approx([1.0] * 5)


def test_allowed_lags_are_those_of_the_real_videos() -> None:
    rng = np.random.default_rng(3)
    onset, use = rng.random((8, 31)), np.ones((8, 31), np.bool_)
    late = np.roll(onset, 2, axis=1)
    assert synchrony.allowed_lags(late, onset, use, SynchronySpec(), 25.0) == (1, 2, 3)
    assert synchrony.allowed_lags(onset, onset, use, SynchronySpec(tolerance_seconds=0.08), 25.0) == (-2, -1, 0, 1, 2)
    assert synchrony.allowed_lags(np.zeros_like(onset), onset, use, SynchronySpec(), 25.0) == (-1, 0, 1)


def test_best_correlations_use_the_best_lag_of_every_pair() -> None:
    rng = np.random.default_rng(4)
    motion, onset, use = rng.random((4, 31)), rng.random((4, 31)), np.ones((4, 31), np.bool_)
    best, _ = synchrony.best_correlations(motion, onset, use, (-1, 0, 2))
    each = [synchrony.correlations(motion, onset, use, lag)[0] for lag in (-1, 0, 2)]
    assert np.array_equal(best, np.maximum.reduce(each))


def test_constant_curves_are_zero_and_undefined_never_nan() -> None:
    motion, onset, use = curves(0, 4)
    motion[1], onset[2] = 3.0, 0.0
    matrix, defined = synchrony.correlations(motion, onset, use)
    assert np.isfinite(matrix).all()
    assert not defined[1].any()
    assert not defined[:, 2].any()
    assert defined.sum() == 9
    assert matrix[1].tolist() == [0.0] * 4
    used_twice = np.zeros((4, 31), np.bool_)
    used_twice[:, :2] = True
    assert not synchrony.correlations(motion, onset, used_twice)[1].any()


def test_motion_that_follows_audio_has_an_auc_near_one() -> None:
    motion, onset, use = curves(0)
    score, defined = synchrony.best_correlations(motion, onset, use)
    assert defined.all()
    assert auc(score) > 0.97


def test_motion_that_follows_other_audio_has_chance_level() -> None:
    aucs: list[float] = []
    for seed in range(6):
        motion, _, use = curves(seed)
        _, onset, _ = curves(seed + 100)
        aucs.append(auc(synchrony.best_correlations(motion, onset, use)[0]))
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.05)


def test_static_videos_have_exactly_chance_level() -> None:
    _, onset, use = curves(0)
    score, _ = synchrony.best_correlations(np.zeros_like(onset), onset, use)
    assert auc(score) == 0.5


def test_auc_counts_wins_and_ties() -> None:
    score = np.array([[0.5, 0.1, 0.9], [0.2, 0.2, 0.1], [0.0, 0.0, 1.0]])
    assert auc(score) == pytest.approx((1 + 0 + 0.5 + 1 + 1 + 1) / 6)


def test_resampled_videos_are_not_compared_with_copies_of_themselves() -> None:
    score = np.random.default_rng(3).normal(size=(5, 5))
    sampled = [0, 0, 2, 3, 3]
    weights = np.bincount(sampled, minlength=5).astype(np.float64)
    rows = [
        np.mean([(score[i, i] > score[i, j]) + 0.5 * (score[i, i] == score[i, j]) for j in sampled if j != i])
        for i in sampled
    ]
    all_others = ~np.eye(5, dtype=np.bool_)
    assert synchrony.auc(synchrony.pairwise_wins(score), all_others, weights[None])[0] == pytest.approx(np.mean(rows))


def test_negatives_are_the_clips_of_the_same_source() -> None:
    negatives = synchrony.negatives(("a", "b", "a", "c", "a"))
    assert np.flatnonzero(negatives[0]).tolist() == [2, 4]
    assert np.flatnonzero(negatives[1]).tolist() == [0, 2, 3, 4]
    assert not np.diagonal(negatives).any()


def test_resample_without_comparisons_has_chance_level() -> None:
    negatives = synchrony.negatives(("a", "a", "b", "b"))
    wins = synchrony.pairwise_wins(np.eye(4))
    only_first = np.array([[4.0, 0.0, 0.0, 0.0], [2.0, 2.0, 0.0, 0.0]])
    assert synchrony.auc(wins, negatives, only_first).tolist() == [0.5, 1.0]


def test_motion_with_the_rhythm_of_the_song_has_chance_level() -> None:
    """Two songs of different rhythm; motion follows the song's mean rhythm, not the clip's own audio."""
    rng = np.random.default_rng(6)
    beats = [np.arange(31) % 5 == 0, np.arange(31) % 7 == 3]
    song = np.repeat([0, 1], 20)
    onset = np.stack([beats[s] for s in song]) + 0.5 * rng.random((40, 31))
    motion = np.stack([beats[s] for s in song]) + 0.5 * rng.random((40, 31))
    score, _ = synchrony.best_correlations(motion, onset, np.ones((40, 31), np.bool_))
    assert auc(score) > 0.7
    negatives = synchrony.negatives(tuple(str(s) for s in song))
    assert synchrony.auc(synchrony.pairwise_wins(score), negatives)[0] == pytest.approx(0.5, abs=0.08)


def test_audio_swap_wins_of_audio_conditioned_and_unconditional_generators() -> None:
    _, onset, use = curves(0)
    other = synchrony.mismatched_pairing(len(onset), np.random.default_rng(0))
    conditioned = synchrony.pair_advantages(onset, onset, use, other)
    swapped = synchrony.pair_advantages(onset[other], onset, use, other)
    assert synchrony.audio_swap_wins(conditioned, swapped).mean() > 0.95
    assert synchrony.audio_swap_wins(conditioned, conditioned).tolist() == [0.5] * len(onset)
    static = np.zeros_like(conditioned)
    assert synchrony.audio_swap_wins(static, static).tolist() == [0.5] * len(onset)


def varying_curves(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], tuple[str, ...]]:
    """Motion that is a little like its audio, of clips of several lengths; songs of one, two, ... clips."""
    rng = np.random.default_rng(3)
    onset = rng.random((n, 31))
    use = np.arange(31)[None, :] < rng.integers(2, 32, n)[:, None]
    return onset + rng.random((n, 31)), onset, use, tuple(str(int(song)) for song in np.sqrt(2 * np.arange(n)))


def test_blocks_of_songs_and_pairs_are_entries_of_the_whole_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synchrony, "_BLOCK_PAIRS", 20)
    motion, onset, use, sources = varying_curves(40)
    lags = (-1, 0, 2)
    whole, negatives = synchrony.own_advantages(motion, onset, use, lags), synchrony.negatives(sources)
    wins = synchrony.wins(whole)
    weights = bootstrap_weights(40, 0, 50)
    blocks = synchrony.song_wins(motion, onset, use, sources, lags)
    assert len(blocks) > len(set(sources))
    assert np.allclose(synchrony.song_auc(blocks), synchrony.auc(wins, negatives))
    assert np.allclose(synchrony.song_auc(blocks, weights), synchrony.auc(wins, negatives, weights))
    assert np.allclose(synchrony.song_win_rates(blocks), synchrony.win_rates(wins, negatives), equal_nan=True)
    other = synchrony.mismatched_pairing(40, np.random.default_rng(0))
    pairs = synchrony.pair_advantages(motion, onset, use, other, lags)
    assert np.allclose(pairs, whole[np.arange(40), other])
    matrix, defined = synchrony.best_correlations(motion, onset, use, lags)
    found, found_defined = synchrony.own_correlations(motion, onset, use, use, lags)
    assert np.allclose(found, np.diag(matrix))
    assert found_defined.tolist() == np.diag(defined).tolist()


@pytest.mark.parametrize("clips_per_song", [15, 1])
def test_memory_does_not_grow_with_all_pairs(clips_per_song: int) -> None:
    """3,000 x 3,000 numbers are 72 MB, and a comparison of all pairs needs about twenty of such matrices."""
    n = 3000
    rng = np.random.default_rng(0)
    onset = rng.random((n, 31))
    use = np.ones((n, 31), np.bool_)
    sources = tuple(f"song{row // clips_per_song}" for row in range(n))
    tracemalloc.start()
    blocks = synchrony.song_wins(onset + rng.random((n, 31)), onset, use, sources, (-1, 0, 1))
    value = synchrony.song_auc(blocks, bootstrap_weights(n, 0, 100)).mean()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert value > 0.9
    assert peak < 200e6
    assert sum(block.wins_IJ.size for block in blocks) == n * (clips_per_song if clips_per_song > 1 else n)


@pytest.mark.slow
def test_memory_of_all_synchrony_results() -> None:
    n = 3000
    rng = np.random.default_rng(0)
    onset = rng.random((n, 31))
    other = synchrony.mismatched_pairing(n, rng)
    found = Curves(
        real_NK=onset + rng.random((n, 31)), fake_NK=rng.random((n, 31)), onset_NK=onset,
        use_NK=np.ones((n, 31), np.bool_), frames_per_second=25.0,
        sources=tuple(f"song{row // 15}" for row in range(n)),
        controls={"held": np.zeros((n, 31)), "mismatched": onset[other]}, swapped_NK=rng.random((n, 31)), other_N=other,
    )  # fmt: skip
    tracemalloc.start()
    results = synchrony_results(found, SynchronySpec(num_resamples=100, num_pairings=10)).results
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6
    value = {result.name: result for result in results}
    assert value["sync_auc"].controls["real"] > 0.9
    assert value["sync_auc"].controls["mismatched"] == pytest.approx(0.46, abs=0.03)  # its own clip is a negative


@pytest.mark.parametrize("lag", [-2, 0, 1])
def test_own_and_other_audio_are_compared_over_the_same_frames(lag: int) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(3, 20)), rng.normal(size=(3, 20))
    counts = [20, 12, 9]
    use = np.arange(20)[None, :] < np.array(counts)[:, None]
    found = synchrony.own_advantages(x, y, use, (lag,))
    for i in range(3):
        for j in range(3):
            entries = [k for k in range(counts[i]) if 0 <= k - lag < min(counts[i], counts[j])]
            own, other = (np.corrcoef(x[i, entries], y[n, [k - lag for k in entries]])[0, 1] for n in (i, j))
            assert found[i, j] == pytest.approx(0.0 if i == j else own - other)


def _simulated_aucs(lengths: NDArray[np.int64], *, same_frames: bool) -> float:
    """Mean AUC of motion that has nothing to do with its audio, over 40 sets of clips of these lengths."""
    found: list[float] = []
    use = np.arange(31)[None, :] < lengths[:, None]
    for seed in range(40):
        rng = np.random.default_rng(seed)
        motion, onset = rng.random((len(lengths), 31)), rng.random((len(lengths), 31))
        if same_frames:
            wins = synchrony.wins(synchrony.own_advantages(motion, onset, use, (-1, 0, 1)))
        else:
            wins = synchrony.pairwise_wins(synchrony.best_correlations(motion, onset, use, (-1, 0, 1))[0])
        found.append(float(synchrony.auc(wins, ~np.eye(len(lengths), dtype=np.bool_))[0]))
    return float(np.mean(found))


def test_random_motion_of_clips_of_varying_lengths_has_the_chance_level() -> None:
    """Measured over the own and the common frames of each pair, as before, it was below."""
    lengths = np.random.default_rng(0).integers(8, 32, 60)
    assert _simulated_aucs(lengths, same_frames=True) == pytest.approx(0.5, abs=0.008)
    assert _simulated_aucs(lengths, same_frames=False) < 0.475
    assert _simulated_aucs(np.full(60, 31), same_frames=False) == pytest.approx(0.5, abs=0.008)


def test_lags_are_the_same_time_at_every_frame_rate() -> None:
    spec = SynchronySpec()
    assert {rate: max(synchrony.searched_lags(spec, rate)) for rate in (12.5, 24.0, 25.0, 30000 / 1001, 50.0)} == {
        12.5: 2, 24.0: 3, 25.0: 3, 30000 / 1001: 4, 50.0: 6,
    }  # fmt: skip


def test_curves_of_several_frame_rates_are_brought_to_the_lowest_one() -> None:
    """A peak at 1.0 s stays at 1.0 s, and the sum of a curve is kept."""
    rates = np.array([24.0, 25.0, 30000 / 1001])
    curves_NK, use = np.zeros((3, 60)), np.ones((3, 60), np.bool_)
    for n, rate in enumerate(rates):
        curves_NK[n, round(rate)] = 5.0
    found, used, rate = synchrony.at_common_rate(curves_NK, use, rates)
    assert rate == 24.0
    assert used.sum(axis=1).tolist() == [60, 57, 48]
    assert found.sum(axis=1) == pytest.approx([5.0] * 3)
    for row in found:
        assert (row @ np.arange(60)) / 5.0 == pytest.approx(24.0, abs=0.5)
    same, _, _ = synchrony.at_common_rate(curves_NK, use, np.full(3, 25.0))
    assert np.array_equal(same, curves_NK)


def test_the_bootstrap_interval_covers_the_auc_of_the_population() -> None:
    """Weak synchrony, small sets: the interval of nearly every set must contain the value of a large set."""
    rng = np.random.default_rng(4)

    def weak(n: int) -> NDArray[np.float64]:
        onset = rng.random((n, 31))
        score, _ = synchrony.best_correlations(0.35 * onset + rng.random((n, 31)), onset, np.ones((n, 31), np.bool_))
        return score

    truth = auc(weak(1500))
    all_others = ~np.eye(50, dtype=np.bool_)
    covered = 0
    for _ in range(40):
        score = weak(50)
        weights = bootstrap_weights(50, rng, 200)
        low, high = percentile_interval(synchrony.auc(synchrony.pairwise_wins(score), all_others, weights))
        assert low < auc(score) < high
        covered += low <= truth <= high
    assert 0.6 < truth < 0.95
    assert covered >= 34


def test_mismatched_pairing_has_no_fixed_points() -> None:
    for n in (2, 3, 10):
        pairing = synchrony.mismatched_pairing(n, np.random.default_rng(n))
        assert sorted(pairing.tolist()) == list(range(n))
        assert (pairing != np.arange(n)).all()
    with pytest.raises(ValueError, match="2 or more"):
        synchrony.mismatched_pairing(1, np.random.default_rng(0))
