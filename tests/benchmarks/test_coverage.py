"""Coverage of the intervals of `cssgan study`, with fewer simulations than `make bench-coverage`."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import coverage
from benchmarks.coverage import (
    CLIPS,
    EQUAL,
    METHOD,
    METHODS,
    Design,
    Kind,
    bootstrap_frechet,
    frechet,
    measure_conclusions,
    measure_coverage,
    simulate,
    simulate_frechet,
    true_frechet_distance,
    true_kernel_distance,
)
from cssgan.metrics.distances import kernel_distance
from cssgan.metrics.features import Features
from cssgan.study.measures import DISTANCE, MEASURES
from cssgan.study.significance import LEVEL, compare


def test_a_bootstrap_of_the_frechet_distance_does_not_contain_its_own_estimate() -> None:
    """Why conclusions use the kernel distance: resampled clips repeat, and repeated clips are further from the real ones."""
    rng = np.random.default_rng(7)

    for _ in range(3):
        value, (low, high) = bootstrap_frechet(simulate_frechet(0.5, Design(), rng), rng, 40)
        assert not low <= value <= high

    found = simulate("kernel distance", 0.5, Design(), rng)
    difference = compare(found.first, found.second, next(one for one in MEASURES if one.name == DISTANCE))
    assert difference.interval[0] < difference.value < difference.interval[1]


@pytest.mark.parametrize(
    ("kind", "simulations"), [("mean", 400), ("win rate", 400), ("ratio", 400), ("kernel distance", 150)]
)
def test_intervals_with_ten_songs_contain_the_true_difference(kind: Kind, simulations: int) -> None:
    """`make bench-coverage` measures the same with more simulations and designs."""
    found = measure_coverage(kind, Design(), num_simulations=simulations, seed=11)

    assert 0.90 <= found.coverage[METHOD] <= 0.995


def test_a_bootstrap_of_clips_covers_less_than_half() -> None:
    found = measure_coverage("mean", Design(num_songs=3), num_simulations=300, seed=12, resamples=60)

    assert found.coverage[CLIPS] < 0.5


def test_equal_models_are_rarely_called_different_and_large_differences_are_found() -> None:
    equal = measure_conclusions(EQUAL, Design(), num_simulations=300, seed=13)
    different = measure_conclusions((2.0,) * 4, Design(), num_simulations=100, seed=13)

    assert equal.any_significant <= LEVEL
    assert different.holds >= 0.9


def test_true_distances_are_those_of_large_samples() -> None:
    rng = np.random.default_rng(14)
    mean, variance = np.linspace(0, 1, 6), np.linspace(0.5, 2, 6)
    real, fake = rng.normal(size=(4000, 6)), rng.normal(mean, np.sqrt(variance), (4000, 6))

    sets = [Features(values_ND=values, extractor="e") for values in (real, fake)]

    assert kernel_distance(sets[0], sets[1]) == pytest.approx(true_kernel_distance(mean, variance), rel=0.1)
    run = replace(simulate("mean", 0.0, Design(), rng).first[0], real_ND=real, fake_ND=fake)
    assert frechet(run, np.arange(4000)) == pytest.approx(true_frechet_distance(mean, variance), rel=0.1)


def test_the_true_win_rate_and_ratio_are_those_of_large_samples() -> None:
    design = Design(num_songs=600, num_seeds=3, min_clips=2, max_clips=2, seed_effect=0.0)
    cases: tuple[tuple[Kind, bool], ...] = (("win rate", False), ("win rate", True), ("ratio", False), ("ratio", True))
    for kind, skewed in cases:
        rng = np.random.default_rng(15)
        found = simulate(kind, 0.5, replace(design, skewed=skewed), rng)
        measure = next(one for one in MEASURES if one.name == coverage.MEASURE_OF[kind])
        assert compare(found.first, found.second, measure).value == pytest.approx(found.truth, abs=0.05), (kind, skewed)


def test_the_report_shows_every_method_and_says_whether_the_targets_are_met(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "DESIGNS", (Design(), Design(num_songs=3)))
    monkeypatch.setattr(coverage, "KINDS", ("mean", "kernel distance"))
    monkeypatch.setattr(coverage, "EFFECTS", (EQUAL,))
    lines: list[str] = []

    report = coverage.run_coverage_benchmark(30, 0, on_progress=lines.append)

    text = report.markdown()
    assert all(name in text for name in METHODS)
    assert len(lines) == 2 * 2 + 1
    assert json.loads(json.dumps(report.as_json()))["frechet_outside"] == 1.0
    broken = replace(report.coverages[0], coverage={**report.coverages[0].coverage, METHOD: 0.89})
    assert not replace(report, coverages=(broken,)).within_targets
    few_songs = replace(broken, design=Design(num_songs=3))
    assert replace(report, coverages=(few_songs,), conclusions=()).within_targets
    false_claim = replace(report.conclusions[0], effects=(1.0, 0.0), holds=0.06)
    assert not replace(report, coverages=(), conclusions=(false_claim,)).within_targets
