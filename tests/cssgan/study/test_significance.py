"""Differences of two models over seeds and songs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from cssgan.metrics.per_video import PerVideo
from cssgan.study.measures import DISTANCE, MEASURES, Measure, song_values
from cssgan.study.significance import compare

BY_NAME = {measure.name: measure for measure in MEASURES}
SSIM = BY_NAME["ssim"]


def rows(values: np.ndarray, *, songs: int = 10, name: str = "ssim", keys: str = "v") -> PerVideo:
    """A run whose videos are `values`, divided among `songs`."""
    real = np.random.default_rng(0).normal(size=(len(values), 4))
    return PerVideo(
        keys=tuple(f"{keys}{n}" for n in range(len(values))),
        sources=tuple(f"song{n * songs // len(values)}" for n in range(len(values))),
        values={name: values},
        real_ND=real,
        fake_ND=real,
        extractor="rand3d-test",
    )


def test_a_common_shift_is_detected_despite_large_variance_between_videos() -> None:
    base = np.random.default_rng(1).normal(0, 10, 60)

    found = compare([rows(base - 0.1)] * 3, [rows(base)] * 3, SSIM)

    assert found.value == pytest.approx(-0.1)
    assert found.interval == pytest.approx((-0.1, -0.1))
    assert (found.num_videos, found.num_songs, found.num_seeds, found.no_conclusion) == (60, 10, 3, "")
    assert found.p_value < 1e-6


def test_the_interval_of_one_seed_is_the_t_interval_of_song_means() -> None:
    first, second = np.random.default_rng(2).normal(size=(2, 60))

    found = compare([rows(first)], [rows(second)], SSIM)

    songs = (first - second).reshape(10, 6).mean(axis=1)
    expected = stats.ttest_1samp(songs, 0.0)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()))
    assert found.p_value == pytest.approx(expected.pvalue)


def test_the_interval_of_models_without_song_effects_is_that_of_welch() -> None:
    """Every run has one value for all videos: only the variation between seeds is left."""
    first, second = (np.array(values) for values in ((1.0, 1.4, 1.9), (0.2, 0.3, 0.7, 0.9)))

    found = compare([rows(np.full(40, value)) for value in first], [rows(np.full(40, value)) for value in second], SSIM)

    expected = stats.ttest_ind(first, second, equal_var=False)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()))
    assert found.p_value == pytest.approx(expected.pvalue)


def test_the_difference_of_a_model_from_itself_is_zero_and_not_significant() -> None:
    runs = [rows(values) for values in np.random.default_rng(3).normal(size=(3, 60))]

    found = compare(runs, runs, SSIM)

    assert found.value == 0.0
    assert found.p_value == 1.0


def test_videos_without_a_value_in_a_run_are_left_out_of_all_runs() -> None:
    first, second = np.arange(60.0), np.zeros(60)
    first[0], second[59] = np.nan, np.inf

    found = compare([rows(first), rows(np.arange(60.0))], [rows(second)], SSIM)

    assert found.num_videos == 58
    assert found.value == pytest.approx(np.arange(1, 59).mean())
    first[:6] = np.nan
    assert compare([rows(first)], [rows(second)], SSIM).num_songs == 9


@pytest.mark.parametrize(
    ("songs", "seeds", "expected"),
    [(9, 3, "9 test songs, at least 10 needed"), (10, 2, "2 seeds, at least 3 needed"), (10, 3, "")],
)
def test_a_conclusion_needs_ten_songs_and_three_seeds(songs: int, seeds: int, expected: str) -> None:
    values = np.random.default_rng(4).normal(size=(6, 90))

    found = compare(
        [rows(one, songs=songs) for one in values[:seeds]], [rows(one, songs=songs) for one in values[3:]], SSIM
    )

    assert found.no_conclusion == expected


def test_the_ratio_is_that_of_sums() -> None:
    measure = BY_NAME["l1_over_copy_first"]
    rng = np.random.default_rng(5)
    l1, held = rng.uniform(1, 2, 60), rng.uniform(1, 3, 60)
    run = replace(rows(l1, name="l1"), values={"l1": l1, "copy_first_l1": held})
    other = replace(run, values={"l1": 2 * l1, "copy_first_l1": held})

    found = compare([run], [other], measure)

    assert found.value == pytest.approx(-l1.sum() / held.sum())
    without = song_values(measure, run, np.arange(60), np.repeat(np.arange(10), 6)).without_G
    assert without[2] == pytest.approx(np.delete(l1, slice(12, 18)).sum() / np.delete(held, slice(12, 18)).sum())


def _kernel_distance_without_own_pairs(real_ND: np.ndarray, fake_ND: np.ndarray) -> float:
    """The kernel (x.y / D + 1)^3 summed item by item; no item is compared with itself or with its own pair."""
    count, dim = real_ND.shape
    total = 0.0
    for i in range(count):
        for j in range(count):
            if i != j:
                pairs = ((real_ND[i], real_ND[j]), (fake_ND[i], fake_ND[j]), (real_ND[i], fake_ND[j]))
                within_real, within_fake, cross = ((float(a @ b) / dim + 1.0) ** 3 for a, b in pairs)
                total += within_real + within_fake - 2.0 * cross
    return total / (count * (count - 1))


def test_the_distance_leaves_out_pairs_of_one_song() -> None:
    rng = np.random.default_rng(6)
    run = replace(rows(np.zeros(30), songs=30), fake_ND=rng.normal(0.3, 1.2, (30, 4)))
    scale = run.real_ND.std(axis=0)
    real, fake = run.real_ND / scale, run.fake_ND / scale

    found = song_values(BY_NAME[DISTANCE], run, np.arange(30), np.arange(30))

    assert found.value == pytest.approx(_kernel_distance_without_own_pairs(real, fake))
    others = np.delete(np.arange(30), 4)
    assert found.without_G[4] == pytest.approx(_kernel_distance_without_own_pairs(real[others], fake[others]))


def test_distance_of_shifted_features_is_larger() -> None:
    run = rows(np.zeros(60))
    far = replace(run, fake_ND=run.real_ND + 3.0)

    found = compare([run] * 3, [far] * 3, BY_NAME[DISTANCE])

    assert found.value < 0
    assert found.p_value < 0.01


def test_models_that_cannot_be_compared_are_errors() -> None:
    with pytest.raises(ValueError, match="different videos"):
        compare([rows(np.zeros(60))], [rows(np.zeros(60), keys="w")], SSIM)
    with pytest.raises(ValueError, match="got 2 songs with a value for both models, allowed: three or more"):
        compare([rows(np.zeros(6), songs=2)], [rows(np.zeros(6), songs=2)], SSIM)
    absent = Measure(name="event_match", better="higher", metric="event_match", columns=("event_match",))
    with pytest.raises(ValueError, match="a run has no event_match"):
        compare([rows(np.zeros(60))], [rows(np.zeros(60))], absent)
