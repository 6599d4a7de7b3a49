"""Onset curves, correlation with masks and lags, and the AUC against mismatched sounds."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from cssgan.metrics import synchrony
from cssgan.metrics.motion import motion_curves
from cssgan.metrics.synchrony import SynchronySpec
from phonics_data.contract import logmel
from tests.cssgan.metrics import toy_scenes


def auc(score: NDArray[np.float64]) -> float:
    """Against all other videos."""
    return float(synchrony.auc(synchrony.pairwise_wins(score), ~np.eye(len(score), dtype=np.bool_))[0])


def curves(seed: int, n: int = 40) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    scene = toy_scenes.make(n, seed=seed, size=16)
    sound = synchrony.onset_curves(scene.mels_NTMU, np.full(n, 4.0))[:, 1:]
    return motion_curves(scene.videos_NTHWC), sound, np.ones((n, 31), np.bool_)


@pytest.mark.parametrize("rate", [Fraction(5), Fraction(25), Fraction(30000, 1001), Fraction(30)])
def test_clicks_give_onsets_in_the_frames_in_which_they_sound(rate: Fraction) -> None:
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


def test_a_late_picture_is_found_at_its_lag() -> None:
    rng = np.random.default_rng(2)
    sound = rng.random((5, 31))
    motion = np.roll(sound, 2, axis=1)
    best, lag = synchrony.best_lags(motion, sound, np.ones((5, 31), np.bool_))
    assert lag.tolist() == [2] * 5
    assert best == pytest.approx([1.0] * 5)


def test_the_lags_are_those_of_the_real_videos() -> None:
    rng = np.random.default_rng(3)
    sound, use = rng.random((8, 31)), np.ones((8, 31), np.bool_)
    late = np.roll(sound, 2, axis=1)
    assert synchrony.allowed_lags(late, sound, use, SynchronySpec()) == (1, 2, 3)
    assert synchrony.allowed_lags(sound, sound, use, SynchronySpec(tolerance=0)) == (0,)
    assert synchrony.allowed_lags(np.zeros_like(sound), sound, use, SynchronySpec()) == (-1, 0, 1)


def test_scores_take_the_best_lag_of_every_pair() -> None:
    rng = np.random.default_rng(4)
    motion, sound, use = rng.random((4, 31)), rng.random((4, 31)), np.ones((4, 31), np.bool_)
    best, _ = synchrony.scores(motion, sound, use, (-1, 0, 2))
    each = [synchrony.correlations(motion, sound, use, lag)[0] for lag in (-1, 0, 2)]
    assert np.array_equal(best, np.maximum.reduce(each))


def test_constant_curves_are_zero_and_undefined_never_nan() -> None:
    motion, sound, use = curves(0, 4)
    motion[1], sound[2] = 3.0, 0.0
    matrix, defined = synchrony.correlations(motion, sound, use)
    assert np.isfinite(matrix).all()
    assert not defined[1].any()
    assert not defined[:, 2].any()
    assert defined.sum() == 9
    assert matrix[1].tolist() == [0.0] * 4
    used_twice = np.zeros((4, 31), np.bool_)
    used_twice[:, :2] = True
    assert not synchrony.correlations(motion, sound, used_twice)[1].any()


def test_motion_that_follows_sound_has_an_auc_near_one() -> None:
    motion, sound, use = curves(0)
    score, defined = synchrony.scores(motion, sound, use)
    assert defined.all()
    assert auc(score) > 0.97


def test_brightness_that_follows_other_sounds_is_chance() -> None:
    aucs: list[float] = []
    for seed in range(6):
        motion, _, use = curves(seed)
        _, sound, _ = curves(seed + 100)
        aucs.append(auc(synchrony.scores(motion, sound, use)[0]))
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.05)


def test_static_videos_are_chance_exactly() -> None:
    _, sound, use = curves(0)
    score, _ = synchrony.scores(np.zeros_like(sound), sound, use)
    assert auc(score) == 0.5


def test_auc_counts_wins_and_ties() -> None:
    score = np.array([[0.5, 0.1, 0.9], [0.2, 0.2, 0.1], [0.0, 0.0, 1.0]])
    assert auc(score) == pytest.approx((1 + 0 + 0.5 + 1 + 1 + 1) / 6)


def test_weights_resample_videos_without_comparing_a_video_with_its_own_copy() -> None:
    score = np.random.default_rng(3).normal(size=(5, 5))
    drawn = [0, 0, 2, 3, 3]
    weights = np.bincount(drawn, minlength=5).astype(np.float64)
    rows = [
        np.mean([(score[i, i] > score[i, j]) + 0.5 * (score[i, i] == score[i, j]) for j in drawn if j != i])
        for i in drawn
    ]
    everyone = ~np.eye(5, dtype=np.bool_)
    assert synchrony.auc(synchrony.pairwise_wins(score), everyone, weights[None])[0] == pytest.approx(np.mean(rows))


def test_rivals_are_the_clips_of_the_same_source() -> None:
    negatives = synchrony.negatives(("a", "b", "a", "c", "a"))
    assert np.flatnonzero(negatives[0]).tolist() == [2, 4]
    assert np.flatnonzero(negatives[1]).tolist() == [0, 2, 3, 4]
    assert not np.diagonal(negatives).any()


def test_a_resample_that_leaves_no_comparison_is_chance() -> None:
    negatives = synchrony.negatives(("a", "a", "b", "b"))
    won = synchrony.pairwise_wins(np.eye(4))
    only_first = np.array([[4.0, 0.0, 0.0, 0.0], [2.0, 2.0, 0.0, 0.0]])
    assert synchrony.auc(won, negatives, only_first).tolist() == [0.5, 1.0]


def test_knowing_the_song_is_no_synchrony() -> None:
    """Two songs of different rhythm; motion follows the song's mean rhythm, never the clip's own sound."""
    rng = np.random.default_rng(6)
    beats = [np.arange(31) % 5 == 0, np.arange(31) % 7 == 3]
    song = np.repeat([0, 1], 20)
    sound = np.stack([beats[s] for s in song]) + 0.5 * rng.random((40, 31))
    motion = np.stack([beats[s] for s in song]) + 0.5 * rng.random((40, 31))
    score, _ = synchrony.scores(motion, sound, np.ones((40, 31), np.bool_))
    assert auc(score) > 0.7
    negatives = synchrony.negatives(tuple(str(s) for s in song))
    assert synchrony.auc(synchrony.pairwise_wins(score), negatives)[0] == pytest.approx(0.5, abs=0.08)


def test_heard_is_one_for_a_listener_and_half_for_the_deaf() -> None:
    _, sound, use = curves(0)
    other = synchrony.mismatched(len(sound), np.random.default_rng(0))
    listening, _ = synchrony.scores(sound, sound, use)
    swapped, _ = synchrony.scores(sound[other], sound, use)
    assert synchrony.heard(listening, swapped, other).mean() > 0.95
    assert synchrony.heard(listening, listening, other).tolist() == [0.5] * len(sound)
    still = np.zeros_like(listening)
    assert synchrony.heard(still, still, other).tolist() == [0.5] * len(sound)


def test_the_bootstrap_interval_covers_the_auc_of_the_population() -> None:
    """Weak synchrony, small sets: the interval of nearly every set must hold the value of a large set."""
    rng = np.random.default_rng(4)

    def weak(n: int) -> NDArray[np.float64]:
        sound = rng.random((n, 31))
        score, _ = synchrony.scores(0.35 * sound + rng.random((n, 31)), sound, np.ones((n, 31), np.bool_))
        return score

    truth = auc(weak(1500))
    everyone = ~np.eye(50, dtype=np.bool_)
    held = 0
    for _ in range(40):
        score = weak(50)
        weights = synchrony.resample_weights(50, 200, rng)
        low, high = synchrony.interval(synchrony.auc(synchrony.pairwise_wins(score), everyone, weights))
        assert low < auc(score) < high
        held += low <= truth <= high
    assert 0.6 < truth < 0.95
    assert held >= 34


def test_mismatched_gives_nobody_their_own_sound() -> None:
    for n in (2, 3, 10):
        pairing = synchrony.mismatched(n, np.random.default_rng(n))
        assert sorted(pairing.tolist()) == list(range(n))
        assert (pairing != np.arange(n)).all()
    with pytest.raises(ValueError, match="2 or more"):
        synchrony.mismatched(1, np.random.default_rng(0))
