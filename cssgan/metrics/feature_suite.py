"""The random-feature distances as `MetricResult`s, each with its floor and its ceilings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cssgan.metrics import feature_extraction
from cssgan.metrics.networks.random_features import Extractor, rand2d, rand3d
from cssgan.metrics.real_pool import LEAST, RealPool, disjoint_sets, floor_controls, floor_in_words
from cssgan.metrics.result import Better, MetricResult, ProtocolValue, unavailable
from cssgan.metrics.scores import frechet_distance, kernel_distance, manifold
from cssgan.metrics.statistics import Features, moments, real_scale
from cssgan.metrics.videos import Ints, VideoPairs, Videos

NEIGHBOURS = 5
FRAME_STEP = 8


def feature_results(pairs: VideoPairs, seed: int = 0, pool: RealPool | None = None) -> list[MetricResult]:
    """``rfd_2d_*`` and ``rfd_3d_*``: distances in the features of fixed random networks.

    Args:
        pool: for the floor at the number of videos that are judged; None: it is not given.
    """
    rng = np.random.default_rng(seed)
    valid, real, fake = pairs.num_valid_N, pairs.real_NTHWC, pairs.fake_NTHWC
    order = rng.permutation(real.shape[1])

    def frames(videos: np.ndarray, change: feature_extraction.Change = feature_extraction.held) -> Features:
        return feature_extraction.of_frames(rand2d(), videos, valid, feature_extraction.every(FRAME_STEP), change)[0]

    def floors(of: Callable[[Videos, Ints], tuple[Features, Ints]]) -> list[tuple[Features, Features]]:
        if pool is None or pool.num_each < LEAST:
            return []
        return disjoint_sets(*pool.features(of), pool.num_each, seed)

    def whole(videos: np.ndarray, change: feature_extraction.Change = feature_extraction.held) -> Features:
        return feature_extraction.of_videos(rand3d(), videos, valid, change)

    count = sum(len(feature_extraction.every(FRAME_STEP)(n, int(frames))) for n, frames in enumerate(valid))
    if count <= NEIGHBOURS:
        return [_too_few("rfd_2d", count), _too_few("rfd_3d", len(real))]
    results = _distances(
        rand2d(), frames(real), {"fake": frames(fake), "copy_first": frames(real, feature_extraction.frozen)}, rng,
        {"items": "frames 4, 12, 20, 28"}, pool,
        floors(lambda videos, valid: feature_extraction.of_frames(rand2d(), videos, valid, feature_extraction.every(FRAME_STEP))),
    )  # fmt: skip
    if len(real) <= NEIGHBOURS:
        return [*results, _too_few("rfd_3d", len(real))]
    others = {
        "fake": whole(fake), "copy_first": whole(real, feature_extraction.frozen),
        "shuffled_frames": whole(real, feature_extraction.shuffled(order)),
    }  # fmt: skip
    item: dict[str, ProtocolValue] = {"items": f"whole videos of {real.shape[1]} frames, last valid frame held"}
    pooled = floors(
        lambda videos, valid: (feature_extraction.of_videos(rand3d(), videos, valid), np.arange(len(videos)))
    )
    return [*results, *_distances(rand3d(), whole(real), others, rng, item, pool, pooled)]


def _too_few(name: str, count: int) -> MetricResult:
    reason = f"{count} items; allowed: more than {NEIGHBOURS}"
    return unavailable(f"{name}_fd64", reason, better="lower", n_real=count, n_fake=count)


def _distances(
    extractor: Extractor,
    real: Features,
    others: dict[str, Features],
    rng: np.random.Generator,
    protocol: dict[str, ProtocolValue],
    pool: RealPool | None,
    pooled: list[tuple[Features, Features]],
) -> list[MetricResult]:
    name = "rfd_2d" if extractor.kind == "frame" else "rfd_3d"
    count = real.count
    scale = real_scale(real)
    real = real.scaled(scale)
    others = {key: features.scaled(scale) for key, features in others.items()}
    halves = np.array_split(rng.permutation(count), 2)
    low, high = real.rows(halves[0]), real.rows(halves[1])
    protocol = {
        **protocol, "network": extractor.name, "scale": "standard deviation of each feature over the real set",
        "covariance": "1 / (N - 1)", "k": NEIGHBOURS, "half_split_n": len(halves[1]),
        "note": "random weights: neither FID nor FVD, comparable only within one real set",
    }  # fmt: skip
    fd = {key: _frechet(real, features) for key, features in others.items()}
    kd = {key: kernel_distance(real, features, paired=True) for key, features in others.items()}
    size = min(len(halves[0]), len(halves[1]))
    fd["real_half_split"] = _frechet(low, high)
    kd["real_half_split"] = kernel_distance(low.rows(np.arange(size)), high.rows(np.arange(size)), paired=False)
    if pool is not None and pooled:
        scaled = [(a.scaled(scale), b.scaled(scale)) for a, b in pooled]
        fd |= floor_controls([_frechet(a, b) for a, b in scaled])
        kd |= floor_controls([kernel_distance(a, b, paired=False) for a, b in scaled])
        protocol["real_floor"] = floor_in_words(pool)
    inside = manifold(real, others["fake"], NEIGHBOURS)

    def result(measure: str, value: float, better: Better, controls: dict[str, float] | None = None) -> MetricResult:
        return MetricResult(
            name=f"{name}_{measure}", value=value, better=better, n_real=count, n_fake=others["fake"].count,
            controls=controls or {}, protocol=protocol,
        )  # fmt: skip

    return [
        result("fd64", fd.pop("fake"), "lower", fd),
        result("kd64", kd.pop("fake"), "lower", kd),
        result("precision", inside.precision, "higher"),
        result("recall", inside.recall, "higher"),
        result("density", inside.density, "higher"),
        result("coverage", inside.coverage, "higher"),
    ]


def _frechet(a: Features, b: Features) -> float:
    return frechet_distance(moments(a, ddof=1), moments(b, ddof=1))
