"""IS, FID, KID, FVD, KVD and LPIPS from videos to results, on networks of random weights with the published signatures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from numpy.typing import NDArray

from cssgan.metrics.network_suite import Networks, SampleRule, pretrained_results
from cssgan.metrics.networks.torchscript import I3d, Inception, Lpips
from cssgan.metrics.real_pool import RealPool
from cssgan.metrics.result import MetricResult
from cssgan.metrics.videos import VideoPairs
from tests.cssgan.metrics import toy_scenes
from tests.cssgan.metrics.networks.torchscripts import I3dLike, InceptionLike, VggLike, save

REAL_SET: dict[str, str | int] = {"real_set_sha256": "0123456789abcdef", "frames": 16}
RULE = SampleRule(refuse_below=12, refuse_kernel_below=4, mark_below=2048)


@pytest.fixture(scope="module", name="networks")
def _networks(tmp_path_factory: pytest.TempPathFactory) -> Networks:
    folder = tmp_path_factory.mktemp("weights")
    return Networks(
        inception=Inception(save(InceptionLike(num_features=12), folder / "inception.pt")),
        i3d=I3d(save(I3dLike(num_features=10), folder / "i3d.pt")),
        lpips=Lpips(save(VggLike(), folder / "vgg16.pt")),
        rule=RULE,
    )


@pytest.fixture(scope="module", name="real")
def _real() -> NDArray[np.uint8]:
    return toy_scenes.make(16, frames=16, seed=0, size=32).videos_NTHWC


def measured(
    networks: Networks, real: NDArray[np.uint8], fake: NDArray[np.uint8], valid: NDArray[np.int64] | None = None
) -> dict[str, MetricResult]:
    pairs = VideoPairs(real_NTHWC=real, fake_NTHWC=fake, num_valid_N=np.full(len(real), 16) if valid is None else valid)
    return {result.name: result for result in pretrained_results(pairs, networks, REAL_SET)}


def value(result: MetricResult) -> float:
    assert result.value is not None, result.unavailable
    return result.value


@pytest.fixture(scope="module", name="same")
def _same(networks: Networks, real: NDArray[np.uint8]) -> dict[str, MetricResult]:
    return measured(networks, real, real.copy())


def test_an_identical_set_has_distance_zero(same: dict[str, MetricResult]) -> None:
    for name in ("fid", "fid_one", "kid", "fvd16", "fvd16_inf", "kvd16", "lpips"):
        assert value(same[name]) == pytest.approx(0.0, abs=1e-6), name
    for name in ("fid", "kid", "fvd16", "kvd16"):
        assert same[name].controls["frozen_first_frame"] > 1e-6, name


def test_shuffled_time_raises_video_distances_and_leaves_frame_distances(
    networks: Networks, real: NDArray[np.uint8]
) -> None:
    every = Networks(inception=networks.inception, i3d=networks.i3d, frame_step=1, rule=RULE)
    order = np.random.default_rng(5).permutation(16)
    results = measured(every, real, real[:, order])
    assert value(results["fvd16"]) > 1e-3
    # Which frames belong together has changed, so KID's pairing has, but neither set of frames did.
    assert value(results["fid"]) == pytest.approx(0.0, abs=1e-6)
    assert value(results["inception_score"]) == pytest.approx(results["inception_score"].controls["real"], abs=1e-9)


def test_more_noise_is_further_away(networks: Networks, real: NDArray[np.uint8]) -> None:
    noise = np.random.default_rng(1).normal(size=real.shape)
    steps = [measured(networks, real, np.clip(real + sigma * noise, 0, 255).astype(np.uint8)) for sigma in (6, 40)]
    for name in ("fid", "fid_one", "kid", "fvd16", "kvd16", "lpips"):
        values = [value(results[name]) for results in steps]
        assert np.all(np.diff([0.0, *values]) > 0), (name, values)
    assert all(value(results["inception_score"]) >= 1.0 for results in steps)


def test_the_whole_way_agrees_with_the_literatures_own(
    networks: Networks, real: NDArray[np.uint8], tmp_path: Path
) -> None:
    """FVD as StyleGAN-V's code has it: the file's own resize and range, biased covariance, SciPy's sqrtm."""
    fake = toy_scenes.make(16, frames=16, seed=9, size=32).videos_NTHWC
    network = torch.jit.load(str(save(I3dLike(num_features=10), tmp_path / "i3d.pt")))

    def features(videos: NDArray[np.uint8]) -> NDArray[np.float64]:
        with torch.inference_mode():
            x = torch.from_numpy(videos).permute(0, 4, 1, 2, 3).float()
            return network(x, rescale=True, resize=True, return_features=True).double().numpy()

    a, b = features(real), features(fake)
    ca, cb = np.cov(a.T, bias=True), np.cov(b.T, bias=True)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * np.real(scipy.linalg.sqrtm(ca @ cb)))
    assert value(measured(networks, real, fake)["fvd16"]) == pytest.approx(expected, rel=1e-4)


def test_every_number_says_how_it_was_had(same: dict[str, MetricResult], networks: Networks) -> None:
    assert networks.inception is not None
    for name in ("inception_score", "fid", "fid_one", "kid"):
        assert same[name].protocol["weights_sha256"] == networks.inception.digest
        assert "TensorFlow 1" in str(same[name].protocol["resize"])
    assert same["fid"].protocol["covariance"] == "1 / (N - 1)"
    assert same["fvd16"].protocol["covariance"] == "1 / N"
    assert same["fvd16"].protocol["range"] == "2 x / 255 - 1"
    assert "16 videos, 2048 are usual" in same["fvd16"].caution
    assert value(same["is_like_printed"]) < 0.01
    assert "guess" in same["is_like_printed"].caution
    for name in ("fid", "fvd16"):
        assert same[name].controls["real_half_split"] > 0
        assert {"real_half_split_spread", "frozen_first_frame"} <= set(same[name].controls)
    assert same["fvd16"].controls["shuffled_frames"] > 0


def test_the_floor_at_the_judged_number_comes_from_other_real_windows(
    networks: Networks, real: NDArray[np.uint8], tmp_path: Path
) -> None:
    reads: list[slice] = []
    others = toy_scenes.make(32, frames=16, seed=9, size=32).videos_NTHWC

    def read(rows: slice) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        reads.append(rows)
        return others[rows], np.full(len(others[rows]), 16)

    pool = RealPool(count=32, name="40 clips of test 0123, seed 0", read=read)
    pairs = VideoPairs(real_NTHWC=real, fake_NTHWC=real, num_valid_N=np.full(16, 16))
    kept = replace(networks, keep=tmp_path)
    for _ in range(2):
        results = {result.name: result for result in pretrained_results(pairs, kept, REAL_SET, pool=pool)}
    for name in ("fid", "fid_one", "kid", "fvd16", "kvd16"):
        assert "two disjoint sets of 16 windows" in str(results[name].protocol["real_floor"]), name
        assert results[name].controls["real_floor_spread"] >= 0.0
    assert results["fid"].controls["real_floor"] > 0.0
    assert abs(results["kid"].controls["real_floor"]) < results["fid"].controls["real_floor"]
    assert len(reads) == 2 * 4  # two networks; the second time their features are kept


def test_without_weights_there_is_a_reason_and_no_number(real: NDArray[np.uint8]) -> None:
    results = measured(Networks(), real, real)
    assert set(results) >= {"inception_score", "is_like_printed", "fid", "fid_one", "kid", "fvd16", "kvd16", "lpips"}
    for result in results.values():
        assert result.value is None
        assert "cssgan weights fetch" in result.unavailable


def test_few_videos_get_a_reason_instead_of_a_number(networks: Networks, real: NDArray[np.uint8]) -> None:
    few = measured(networks, real[:6], real[:6, ::-1].copy())
    for name in ("fid", "fid_one", "fvd16", "fvd16_inf"):
        assert "6 videos; allowed: 12 or more" in few[name].unavailable
    assert few["kvd16"].value is not None
    one = measured(networks, real[:1], real[:1])
    assert all(one[name].value is None for name in ("inception_score", "fid", "kid", "fvd16", "kvd16"))
    assert one["lpips"].value == 0.0


def test_real_features_are_kept_and_give_the_same_digits(
    networks: Networks, real: NDArray[np.uint8], tmp_path: Path
) -> None:
    keeping = Networks(inception=networks.inception, i3d=networks.i3d, keep=tmp_path, rule=RULE)
    valid = np.array([16] * 14 + [9, 3])
    fake = real[:, ::-1].copy()
    first = measured(keeping, real, fake, valid)
    names = sorted(path.name for path in tmp_path.iterdir())
    # Other real videos under the same name: were they looked at again, the values would change.
    again = measured(keeping, np.zeros_like(real), fake, valid)
    assert again["fvd16"].value == first["fvd16"].value
    assert again["fid"].value == first["fid"].value
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert len(names) == 5
    assert "2 with fewer" in str(first["fvd16"].protocol["short_videos"])
