"""The floor of a distance: two sets of real videos, at the number of evaluated videos."""

from __future__ import annotations

import numpy as np
import pytest

from cssgan.metrics.features import Features
from cssgan.metrics.random_feature_distance import random_feature_results
from cssgan.metrics.real_pool import RealPool, disjoint_sets
from cssgan.metrics.videos import Ints, VideoPairs, Videos
from tests.cssgan.metrics import toy_scenes


def pool(count: int, seed: int = 5) -> RealPool:
    videos = toy_scenes.make(count, frames=16, seed=seed, size=32).videos_NTHWC

    def read(rows: slice) -> tuple[Videos, Ints]:
        return videos[rows], np.full(len(videos[rows]), 16)

    return RealPool(count=count, name="24 clips of test 0123", read=read)


def test_windows_are_read_once() -> None:
    seen: list[int] = []

    def extract(videos: Videos, valid: Ints) -> tuple[Features, Ints]:
        seen.append(len(videos))
        rows = np.repeat(np.arange(len(videos)), 3)
        return Features(values_ND=np.stack([rows, rows], axis=1).astype(np.float64), extractor="x"), rows

    features, groups = pool(20).features(extract)
    assert sum(seen) == 20
    assert groups.tolist() == np.repeat(np.arange(20), 3).tolist()
    assert features.count == 60


def test_sets_are_disjoint_and_of_the_requested_size() -> None:
    values = np.repeat(np.arange(40.0), 2)[:, None]
    features = Features(values_ND=values, extractor="x")
    groups = np.repeat(np.arange(40), 2)
    sets = disjoint_sets(features, groups, 16, seed=0)
    assert len(sets) == 3
    for first, second in sets:
        assert first.count == second.count == 32
        assert not set(first.values_ND[:, 0]) & set(second.values_ND[:, 0])
    assert sets[0][0].values_ND.tolist() != sets[1][0].values_ND.tolist()
    again = disjoint_sets(features, groups, 16, seed=0)
    assert all(
        (a.values_ND == b.values_ND).all() for x, y in zip(sets, again, strict=True) for a, b in zip(x, y, strict=True)
    )


def test_the_floor_decreases_with_the_number_of_videos() -> None:
    """The floor depends on the number of videos only: it is higher for 16 than for 48."""
    real = toy_scenes.make(24, frames=16, seed=0, size=32).videos_NTHWC
    pairs = VideoPairs(real_NTHWC=real, fake_NTHWC=real, num_valid_N=np.full(24, 16))
    floors = {}
    for count in (32, 96):
        results = {result.name: result for result in random_feature_results(pairs, pool=pool(count))}
        for name in ("rfd_2d_fd64", "rfd_3d_fd64"):
            result = results[name]
            assert result.value == pytest.approx(0.0, abs=1e-6)
            assert f"{count // 2} windows of real clips, 3 random splits of 24 clips" in str(
                result.protocol["real_floor"]
            )
            floors[name, count] = result.controls["real_floor"]
        assert "real_floor_spread" in results["rfd_3d_kd64"].controls
    for name in ("rfd_2d_fd64", "rfd_3d_fd64"):
        assert floors[name, 32] > 1.5 * floors[name, 96] > 0.0


def test_too_few_clips_give_no_floor() -> None:
    real = toy_scenes.make(8, frames=16, seed=0, size=32).videos_NTHWC
    pairs = VideoPairs(real_NTHWC=real, fake_NTHWC=real, num_valid_N=np.full(8, 16))
    for given in (None, pool(30)):
        for result in random_feature_results(pairs, pool=given):
            assert "real_floor" not in result.controls
