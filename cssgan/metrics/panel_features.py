"""The random-feature distances as `MetricResult`s, each with its floor and its ceilings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cssgan.metrics.extractors import Extractor, extract, rand2d, rand3d, sampled_frames
from cssgan.metrics.result import Better, MetricResult, ProtocolValue, unavailable
from cssgan.metrics.scores import frechet_distance, kernel_distance, manifold
from cssgan.metrics.statistics import Features, moments, real_scale
from cssgan.metrics.videos import Ints, VideoPairs, first_frame_held, held_after_valid

NEIGHBOURS = 5


def feature_results(pairs: VideoPairs, seed: int = 0) -> list[MetricResult]:
    """``rfd_2d_*`` and ``rfd_3d_*``: distances in the features of fixed random networks."""
    rng = np.random.default_rng(seed)
    valid, real, fake = pairs.num_valid_N, pairs.real_NTHWC, pairs.fake_NTHWC
    order = rng.permutation(real.shape[1])
    held = {"fake": fake, "copy_first": first_frame_held(real)}
    frames = {name: sampled_frames(videos, valid) for name, videos in held.items()}
    results = _distances(rand2d(), sampled_frames(real, valid), frames, rng, {"items": "frames 4, 12, 20, 28"})
    # Shuffled before the last valid frame is held, so that the ceiling changes the order of frames and nothing else.
    shuffled = np.stack([video[[t for t in order if t < count]][_stretch(int(count), len(order))]
                         for video, count in zip(real, valid, strict=True)])  # fmt: skip
    whole = {name: held_after_valid(videos, valid) for name, videos in held.items()} | {"shuffled_frames": shuffled}
    item: dict[str, ProtocolValue] = {"items": f"whole videos of {real.shape[1]} frames, last valid frame held"}
    return [*results, *_distances(rand3d(), held_after_valid(real, valid), whole, rng, item)]


def _stretch(num_valid: int, num_frames: int) -> Ints:
    return np.minimum(np.arange(num_frames), num_valid - 1)


def _distances(
    extractor: Extractor,
    real_items: NDArray[np.uint8],
    other_items: dict[str, NDArray[np.uint8]],
    rng: np.random.Generator,
    protocol: dict[str, ProtocolValue],
) -> list[MetricResult]:
    name = "rfd_2d" if extractor.kind == "frame" else "rfd_3d"
    count, better = len(real_items), "lower"
    if count <= NEIGHBOURS:
        reason = f"{count} items; allowed: more than {NEIGHBOURS}"
        return [unavailable(f"{name}_fd64", reason, better=better, n_real=count, n_fake=count)]
    real = extract(extractor, real_items)
    scale = real_scale(real)
    real = real.scaled(scale)
    others = {key: extract(extractor, items).scaled(scale) for key, items in other_items.items()}
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
    inside = manifold(real, others["fake"], NEIGHBOURS)

    def result(measure: str, value: float, better: Better, controls: dict[str, float] | None = None) -> MetricResult:
        return MetricResult(
            name=f"{name}_{measure}", value=value, better=better, n_real=count, n_fake=len(other_items["fake"]),
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
