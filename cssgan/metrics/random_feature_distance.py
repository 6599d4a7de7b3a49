"""RFD: distances in features of fixed random networks as `MetricResult`s, with floors and baselines."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cssgan.metrics import feature_extraction
from cssgan.metrics.distances import frechet_distance, kernel_distance, manifold
from cssgan.metrics.feature_extraction import Transform
from cssgan.metrics.features import Features, moments, real_scale
from cssgan.metrics.networks.random_features import rand2d, rand3d
from cssgan.metrics.real_pool import MIN_VIDEOS, RealPool, disjoint_sets, floor_controls
from cssgan.metrics.result import Better, MetricResult, ProtocolValue, unavailable
from cssgan.metrics.videos import Ints, VideoPairs, Videos, hold_last_valid_frame

NEIGHBOURS = 5
FRAME_STEP = 8


def random_feature_results(pairs: VideoPairs, seed: int = 0, pool: RealPool | None = None) -> list[MetricResult]:
    """``rfd_2d_*`` (frames) and ``rfd_3d_*`` (videos): distances in the features of fixed random networks.

    Args:
        seed: of the frame order of the baseline and of the halves of the real set.
        pool: for the floor at the number of evaluated videos; None: no floor.
    """
    rng = np.random.default_rng(seed)
    valid, real, fake = pairs.num_valid_N, pairs.real_NTHWC, pairs.fake_NTHWC
    order = rng.permutation(real.shape[1])
    select = feature_extraction.every_nth_frame(FRAME_STEP)

    def of_frames(videos: Videos, transform: Transform = hold_last_valid_frame) -> Features:
        return feature_extraction.frame_features(rand2d(), videos, valid, select, transform)[0]

    def of_videos(videos: Videos, transform: Transform = hold_last_valid_frame) -> Features:
        return feature_extraction.video_features(rand3d(), videos, valid, transform)

    def floor_sets(extract: Callable[[Videos, Ints], tuple[Features, Ints]]) -> list[tuple[Features, Features]]:
        if pool is None or pool.num_each < MIN_VIDEOS:
            return []
        return disjoint_sets(*pool.features(extract), pool.num_each, seed)

    num_frames = sum(len(select(int(frames))) for frames in valid)
    if num_frames <= NEIGHBOURS:
        return [_too_few("rfd_2d", num_frames), _too_few("rfd_3d", len(real))]
    results = _distance_results(
        "rfd_2d", of_frames(real), {"fake": of_frames(fake), "copy_first": of_frames(real, feature_extraction.freeze)},
        rng, {"items": "frames 4, 12, 20, 28"}, pool,
        floor_sets(lambda videos, valid: feature_extraction.frame_features(rand2d(), videos, valid, select)),
    )  # fmt: skip
    if len(real) <= NEIGHBOURS:
        return [*results, _too_few("rfd_3d", len(real))]
    others = {
        "fake": of_videos(fake), "copy_first": of_videos(real, feature_extraction.freeze),
        "shuffled_frames": of_videos(real, feature_extraction.shuffle(order)),
    }  # fmt: skip
    return [*results, *_distance_results(
        "rfd_3d", of_videos(real), others,
        rng, {"items": f"whole videos of {real.shape[1]} frames, last valid frame held"}, pool,
        floor_sets(lambda videos, valid: (
            feature_extraction.video_features(rand3d(), videos, valid), np.arange(len(videos))
        )),
    )]  # fmt: skip


def _too_few(name: str, count: int) -> MetricResult:
    reason = f"{count} items; allowed: more than {NEIGHBOURS}"
    return unavailable(f"{name}_fd64", reason, better="lower", n_real=count, n_fake=count)


def _distance_results(
    name: str,
    real: Features,
    others: dict[str, Features],
    rng: np.random.Generator,
    protocol: dict[str, ProtocolValue],
    pool: RealPool | None,
    floor_sets: list[tuple[Features, Features]],
) -> list[MetricResult]:
    count = real.count
    scale = real_scale(real)
    real = real.scaled(scale)
    others = {key: features.scaled(scale) for key, features in others.items()}
    halves = np.array_split(rng.permutation(count), 2)
    first, second = real.rows(halves[0]), real.rows(halves[1])
    protocol = {
        **protocol, "network": real.extractor, "scale": "standard deviation of each feature over the real set",
        "covariance": "1 / (N - 1)", "k": NEIGHBOURS, "half_split_n": len(halves[1]),
        "note": "random weights: neither FID nor FVD, comparable only within one real set",
    }  # fmt: skip
    fd = {key: _frechet(real, features) for key, features in others.items()}
    kd = {key: kernel_distance(real, features, paired=True) for key, features in others.items()}
    size = min(len(halves[0]), len(halves[1]))
    fd["real_half_split"] = _frechet(first, second)
    kd["real_half_split"] = kernel_distance(first.rows(np.arange(size)), second.rows(np.arange(size)), paired=False)
    if pool is not None and floor_sets:
        scaled = [(a.scaled(scale), b.scaled(scale)) for a, b in floor_sets]
        fd |= floor_controls([_frechet(a, b) for a, b in scaled])
        kd |= floor_controls([kernel_distance(a, b, paired=False) for a, b in scaled])
        protocol["real_floor"] = pool.description()
    neighbours = manifold(real, others["fake"], NEIGHBOURS)

    def result(metric: str, value: float, better: Better, controls: dict[str, float] | None = None) -> MetricResult:
        return MetricResult(
            name=f"{name}_{metric}", value=value, better=better, n_real=count, n_fake=others["fake"].count,
            controls=controls or {}, protocol=protocol,
        )  # fmt: skip

    return [
        result("fd64", fd.pop("fake"), "lower", fd),
        result("kd64", kd.pop("fake"), "lower", kd),
        result("precision", neighbours.precision, "higher"),
        result("recall", neighbours.recall, "higher"),
        result("density", neighbours.density, "higher"),
        result("coverage", neighbours.coverage, "higher"),
    ]


def _frechet(a: Features, b: Features) -> float:
    return frechet_distance(moments(a, ddof=1), moments(b, ddof=1))
