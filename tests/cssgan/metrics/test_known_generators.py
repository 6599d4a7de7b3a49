"""Metric results of generators of known quality: a perfect copy, a static image, audio-conditioned, unconditional."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from cssgan.metrics import synchrony
from cssgan.metrics.image_quality import image_quality_results
from cssgan.metrics.motion import motion_curves, motion_mask, motion_results
from cssgan.metrics.random_feature_distance import random_feature_results
from cssgan.metrics.result import MetricResult
from cssgan.metrics.sensitivity import sensitivity_results
from cssgan.metrics.synchrony import SynchronySpec
from cssgan.metrics.synchrony_results import Curves, synchrony_results
from cssgan.metrics.videos import VideoPairs, hold_first_frame
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
    curves = Curves(
        real_NK=motion_curves(both.real_NTHWC), fake_NK=motion_curves(fake), use_NK=motion_mask(both.valid),
        onset_NK=synchrony.onset_curves(scene.mels_NTMU, np.full(len(fake), 4.0))[:, 1:],
        frames_per_second=25.0, sources=sources, other_N=other,
        swapped_NK=None if swapped is None else motion_curves(swapped),
    )  # fmt: skip
    return by_name([*synchrony_results(curves, SPEC).results])


def test_perfect_copy(scene: toy_scenes.Scenes) -> None:
    found = by_name(image_quality_results(pairs(scene)) + motion_results(pairs(scene)))
    assert found["l1"].value == found["l1_last_of_clip"].value == found["l1_over_copy_first"].value == 0.0
    assert found["ssim"].value == pytest.approx(1.0)
    assert found["motion_ratio"].value == 1.0
    assert found["static_share"].value == 0.0
    assert found["seam_ratio"].value == found["seam_ratio"].controls["real"]
    baselines = found["l1_over_copy_first"].controls
    assert baselines["l1_copy_first"] == found["l1"].controls["copy_first"]
    assert baselines["l1_copy_first"] > baselines["l1_copy_first_of_each_clip"] > 0.0


def test_copied_first_frame_has_l1_ratio_one_and_no_motion(scene: toy_scenes.Scenes) -> None:
    static = pairs(scene, hold_first_frame(scene.videos_NTHWC))
    found = by_name(image_quality_results(static) + motion_results(static))
    assert found["l1_over_copy_first"].value == pytest.approx(1.0)
    assert found["l1_over_copy_first"].interval == pytest.approx((1.0, 1.0))
    assert found["l1"].value == found["l1"].controls["copy_first"]
    assert found["motion_ratio"].value == 0.0
    assert found["static_share"].value == 1.0
    assert found["seam_ratio"].value == pytest.approx(1.0)


def test_frames_after_the_valid_ones_change_no_metric(scene: toy_scenes.Scenes) -> None:
    fake = scene.videos_NTHWC[::-1].copy()
    other = fake.copy()
    other[:, 20:] = 255 - other[:, 20:]
    for metric in (image_quality_results, motion_results, random_feature_results):
        assert metric(pairs(scene, fake, 20)) == metric(pairs(scene, other, 20))


def test_static_real_videos_give_unavailable_not_infinite_values(scene: toy_scenes.Scenes) -> None:
    static = hold_first_frame(scene.videos_NTHWC)
    both = VideoPairs(real_NTHWC=static, fake_NTHWC=scene.videos_NTHWC, num_valid_N=scene.num_valid_N)
    found = by_name(image_quality_results(both) + motion_results(both))
    for name in ("l1_over_copy_first", "motion_ratio", "static_share"):
        assert found[name].value is None
        assert "real video is static" in found[name].unavailable


def test_windows_shorter_than_a_clip_of_the_cascade(scene: toy_scenes.Scenes) -> None:
    found = by_name(image_quality_results(pairs(scene, num_valid=5)) + motion_results(pairs(scene, num_valid=5)))
    assert found["l1"].value == 0.0
    assert found["l1_last_of_clip"].value is None
    assert found["seam_ratio"].value is None


def test_audio_conditioned_generator(scene: toy_scenes.Scenes) -> None:
    rng = np.random.default_rng(5)
    other = synchrony.mismatched_pairing(16, rng)
    conditioned = toy_scenes.jumping(scene.events_NT, rng, 32)
    good = synchrony_of(scene, conditioned, toy_scenes.jumping(scene.events_NT[other], rng, 32), other)
    assert good["sync_auc"].value == pytest.approx(1.0, abs=0.05)
    assert good["sync_auc"].controls["fake_from_other_audio"] == pytest.approx(0.5, abs=0.2)
    assert good["audio_swap_auc"].value == pytest.approx(1.0, abs=0.05)
    assert good["motion_match_auc"].value == pytest.approx(1.0, abs=0.05)
    assert good["onset_motion_correlation"].controls["fake_z"] > 5
    assert good["best_lag"].value == 0.0
    assert (good["ba_max"].value or 0.0) > good["ba_max"].controls["fake_other_audio"] + 0.2


def test_unconditional_generator(scene: toy_scenes.Scenes) -> None:
    rng = np.random.default_rng(5)
    unconditional = toy_scenes.jumping(toy_scenes.events(16, 32, rng), rng, 32)
    bad = synchrony_of(scene, unconditional, unconditional, synchrony.mismatched_pairing(16, rng))
    assert bad["audio_swap_auc"].value == 0.5
    for name in ("sync_auc", "motion_match_auc"):
        assert bad[name].value == pytest.approx(0.5, abs=0.2)
    assert abs(bad["onset_motion_correlation"].controls["fake_z"]) < 4


def test_static_generator(scene: toy_scenes.Scenes) -> None:
    static = synchrony_of(scene, hold_first_frame(scene.videos_NTHWC))
    for name in ("sync_auc", "motion_match_auc"):
        assert static[name].value == 0.5
        assert static[name].num_undefined == 16
    assert static["ba_max"].value is None
    assert static["audio_swap_auc"].value is None


def test_clips_are_compared_within_songs_and_songs_are_reported_separately(scene: toy_scenes.Scenes) -> None:
    found = synchrony_of(scene, scene.videos_NTHWC, sources=("a",) * 8 + ("b",) * 8)["sync_auc"]
    assert found.protocol["num_sources"] == 2
    assert found.controls["lowest_source"] <= (found.value or 0.0) <= found.controls["highest_source"]
    assert "lowest_source" not in synchrony_of(scene, scene.videos_NTHWC)["sync_auc"].controls


def test_protocol_contains_everything_that_could_change_the_auc(scene: toy_scenes.Scenes) -> None:
    result = synchrony_of(scene, scene.videos_NTHWC)["sync_auc"]
    assert {"lags", "num_sources", "num_resamples", "seed", "onset", "mismatched", "undefined"} <= set(result.protocol)
    assert result.interval is not None


def test_synchrony_of_one_video_is_unavailable(scene: toy_scenes.Scenes) -> None:
    one = np.ones((1, 31))
    curves = Curves(real_NK=one, fake_NK=one, onset_NK=one, use_NK=one > 0, frames_per_second=25.0, sources=("a",))
    found = synchrony_results(curves, SPEC).results
    assert {result.value for result in found} == {None}


def test_sensitivity_of_a_generator_that_ignores_audio(scene: toy_scenes.Scenes) -> None:
    def static(images: NDArray[np.uint8], mels: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.repeat(images[:, None], mels.shape[1], axis=1)

    conditions = (scene.videos_NTHWC[:3, 0], scene.mels_NTMU[:3], np.arange(3), scene.num_valid_N[:3])
    found = by_name(sensitivity_results(static, *conditions))
    assert found["audio_sensitivity"].value == 0.0
    assert found["audio_sensitivity"].n_fake == 9
    assert found["swap_audio_over_image"].num_undefined == 2 * 3 * 3


def test_random_feature_distances_have_floor_baselines_and_network(scene: toy_scenes.Scenes) -> None:
    found = by_name(random_feature_results(pairs(scene)))
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
    found = by_name(random_feature_results(few))
    assert found["rfd_3d_fd64"].value is None
    assert "more than 5" in found["rfd_3d_fd64"].unavailable
