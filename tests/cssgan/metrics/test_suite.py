"""The panel on generators of known quality: a perfect copy, a still picture, a listener, a deaf one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from cssgan.metrics import feature_suite, suite, synchrony, synchrony_suite
from cssgan.metrics.motion import motion_curves, motion_mask
from cssgan.metrics.result import MetricResult
from cssgan.metrics.synchrony import SynchronySpec
from cssgan.metrics.videos import VideoPairs, first_frame_held
from tests.cssgan.metrics import toy_scenes

SPEC = SynchronySpec(num_resamples=100, num_pairings=20)


@pytest.fixture(scope="module", name="scene")
def _scene() -> toy_scenes.Scenes:
    return toy_scenes.make(16, seed=0, size=32)


def pairs(scene: toy_scenes.Scenes, fake: NDArray[np.uint8] | None = None, num_valid: int = 32) -> VideoPairs:
    real = scene.videos_NTHWC
    valid = np.full(len(real), num_valid, np.int64)
    return VideoPairs(real_NTHWC=real, fake_NTHWC=real if fake is None else fake, num_valid_N=valid)


def by_name(results: list[MetricResult]) -> dict[str, MetricResult]:
    found = {result.name: result for result in results}
    assert len(found) == len(results)
    for result in results:
        json.dumps(result.as_json(), allow_nan=False)
    return found


def synchrony_of(
    scene: toy_scenes.Scenes,
    fake: NDArray[np.uint8],
    swapped: NDArray[np.uint8] | None = None,
    other: NDArray[np.int64] | None = None,
    sources: tuple[str, ...] = ("song",) * 16,
) -> dict[str, MetricResult]:
    both = pairs(scene, fake)
    curves = synchrony_suite.Curves(
        real_NK=motion_curves(both.real_NTHWC), fake_NK=motion_curves(fake), use_NK=motion_mask(both.valid),
        onset_NK=synchrony.onset_curves(scene.mels_NTMU, np.full(len(fake), 4.0))[:, 1:],
        frames_per_second_N=scene.rates, sources=sources, other_N=other,
        swapped_NK=None if swapped is None else motion_curves(swapped),
    )  # fmt: skip
    return by_name(synchrony_suite.synchrony_results(curves, SPEC))


def test_a_perfect_copy(scene: toy_scenes.Scenes) -> None:
    found = by_name(suite.paired_results(pairs(scene)) + suite.motion_results(pairs(scene)))
    assert found["l1"].value == found["l1_last_of_clip"].value == found["l1_over_copy_first"].value == 0.0
    assert found["ssim"].value == pytest.approx(1.0)
    assert found["motion_ratio"].value == 1.0
    assert found["static_share"].value == 0.0
    assert found["seam_ratio"].value == found["seam_ratio"].controls["real"]
    baselines = found["l1_over_copy_first"].controls
    assert baselines["l1_copy_first"] == found["l1"].controls["copy_first"]
    assert baselines["l1_copy_first"] > baselines["l1_copy_first_of_each_clip"] > 0.0


def test_copying_the_first_frame_scores_one_and_does_not_move(scene: toy_scenes.Scenes) -> None:
    still = pairs(scene, first_frame_held(scene.videos_NTHWC))
    found = by_name(suite.paired_results(still) + suite.motion_results(still))
    assert found["l1_over_copy_first"].value == pytest.approx(1.0)
    assert found["l1_over_copy_first"].interval == pytest.approx((1.0, 1.0))
    assert found["l1"].value == found["l1"].controls["copy_first"]
    assert found["motion_ratio"].value == 0.0
    assert found["static_share"].value == 1.0
    assert found["seam_ratio"].value == pytest.approx(1.0)


def test_frames_past_the_valid_ones_change_no_measure(scene: toy_scenes.Scenes) -> None:
    fake = scene.videos_NTHWC[::-1].copy()
    other = fake.copy()
    other[:, 20:] = 255 - other[:, 20:]
    for measure in (suite.paired_results, suite.motion_results, feature_suite.feature_results):
        assert measure(pairs(scene, fake, 20)) == measure(pairs(scene, other, 20))


def test_still_real_videos_are_unavailable_not_infinite(scene: toy_scenes.Scenes) -> None:
    still = first_frame_held(scene.videos_NTHWC)
    both = VideoPairs(real_NTHWC=still, fake_NTHWC=scene.videos_NTHWC, num_valid_N=scene.num_valid_N)
    found = by_name(suite.paired_results(both) + suite.motion_results(both))
    for name in ("l1_over_copy_first", "motion_ratio", "static_share"):
        assert found[name].value is None
        assert "still picture" in found[name].unavailable


def test_windows_shorter_than_a_clip(scene: toy_scenes.Scenes) -> None:
    found = by_name(suite.paired_results(pairs(scene, num_valid=5)) + suite.motion_results(pairs(scene, num_valid=5)))
    assert found["l1"].value == 0.0
    assert found["l1_last_of_clip"].value is None
    assert found["seam_ratio"].value is None


def test_a_listener(scene: toy_scenes.Scenes) -> None:
    rng = np.random.default_rng(5)
    other = synchrony.mismatched(16, rng)
    listening = toy_scenes.jumping(scene.events_NT, rng, 32)
    good = synchrony_of(scene, listening, toy_scenes.jumping(scene.events_NT[other], rng, 32), other)
    assert good["sync_auc"].value == pytest.approx(1.0, abs=0.05)
    assert good["sync_auc"].controls["fake_from_other_sounds"] == pytest.approx(0.5, abs=0.2)
    assert good["sync_auc_of_real"].value == pytest.approx(1.0, abs=0.05)
    assert good["audio_swap_auc"].value == pytest.approx(1.0, abs=0.05)
    assert good["motion_match_auc"].value == pytest.approx(1.0, abs=0.05)
    assert good["onset_motion_correlation"].controls["fake_z"] > 5
    assert good["best_lag"].value == 0.0
    assert (good["ba_max"].value or 0.0) > good["ba_max"].controls["fake_mismatched"] + 0.2


def test_a_deaf_one(scene: toy_scenes.Scenes) -> None:
    rng = np.random.default_rng(5)
    deaf = toy_scenes.jumping(toy_scenes.events(16, 32, rng), rng, 32)
    bad = synchrony_of(scene, deaf, deaf, synchrony.mismatched(16, rng))
    assert bad["audio_swap_auc"].value == 0.5
    for name in ("sync_auc", "motion_match_auc"):
        assert bad[name].value == pytest.approx(0.5, abs=0.2)
    assert abs(bad["onset_motion_correlation"].controls["fake_z"]) < 4


def test_a_still_one(scene: toy_scenes.Scenes) -> None:
    still = synchrony_of(scene, first_frame_held(scene.videos_NTHWC))
    for name in ("sync_auc", "motion_match_auc"):
        assert still[name].value == 0.5
        assert still[name].num_undefined == 16
    assert still["ba_max"].value is None
    assert still["audio_swap_auc"].value is None


def test_songs_are_compared_within_themselves_and_shown_apart(scene: toy_scenes.Scenes) -> None:
    found = synchrony_of(scene, scene.videos_NTHWC, sources=("a",) * 8 + ("b",) * 8)["sync_auc"]
    assert found.protocol["num_sources"] == 2
    assert found.controls["lowest_source"] <= (found.value or 0.0) <= found.controls["highest_source"]
    assert "fake_against_all" in found.controls
    assert "lowest_source" not in synchrony_of(scene, scene.videos_NTHWC)["sync_auc"].controls


def test_everything_that_could_change_the_auc_stands_beside_it(scene: toy_scenes.Scenes) -> None:
    result = synchrony_of(scene, scene.videos_NTHWC)["sync_auc"]
    assert {"lags", "num_sources", "num_resamples", "seed", "onset", "mismatched", "undefined"} <= set(result.protocol)
    assert result.interval is not None


def test_one_video_has_no_synchrony(scene: toy_scenes.Scenes) -> None:
    one = np.ones((1, 31))
    curves = synchrony_suite.Curves(
        real_NK=one, fake_NK=one, onset_NK=one, use_NK=one > 0, frames_per_second_N=np.array([25.0]), sources=("a",)
    )
    found = synchrony_suite.synchrony_results(curves, SPEC)
    assert {result.value for result in found} == {None}


def test_sensitivity_of_a_generator_that_ignores_its_sound(scene: toy_scenes.Scenes) -> None:
    def still(images: NDArray[np.uint8], mels: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.repeat(images[:, None], mels.shape[1], axis=1)

    conditions = (scene.videos_NTHWC[:3, 0], scene.mels_NTMU[:3], np.arange(3), scene.num_valid_N[:3])
    found = by_name(suite.sensitivity_results(still, *conditions))
    assert found["audio_sensitivity"].value == 0.0
    assert found["audio_sensitivity"].n_fake == 9
    assert found["swap_sound_over_image"].num_undefined == 2 * 3 * 3


def test_random_feature_distances_carry_floor_ceiling_and_network(scene: toy_scenes.Scenes) -> None:
    found = by_name(feature_suite.feature_results(pairs(scene)))
    for name in ("rfd_2d_fd64", "rfd_3d_fd64"):
        assert found[name].value == pytest.approx(0.0, abs=1e-6)
        assert found[name].controls["real_half_split"] > 0.0
        assert found[name].controls["copy_first"] > 0.0
        assert str(found[name].protocol["network"]).startswith("rand")
    assert found["rfd_3d_fd64"].controls["shuffled_frames"] > 0.0
    assert found["rfd_2d_precision"].value == found["rfd_3d_coverage"].value == 1.0
    assert not [name for name in found if "fid" in name or "fvd" in name]


def test_random_feature_distances_of_too_few_videos_are_unavailable(scene: toy_scenes.Scenes) -> None:
    few = VideoPairs(
        real_NTHWC=scene.videos_NTHWC[:3], fake_NTHWC=scene.videos_NTHWC[:3], num_valid_N=scene.num_valid_N[:3]
    )
    found = by_name(feature_suite.feature_results(few))
    assert found["rfd_3d_fd64"].value is None
    assert "more than 5" in found["rfd_3d_fd64"].unavailable
