"""Inception Score, FID, KID, FVD, KVD and LPIPS as `MetricResult`s, with floors, baselines and protocol.

All need pretrained networks (`cssgan.metrics.networks.pretrained`); without them they are unavailable. The formulas are
in `cssgan.metrics.distances`.

Distances of few videos are large for a perfect model too (model specification, 6.4). `SampleLimits` states below which
number of videos a value is withheld or carries a caution. The distance between real sets (the floor) is reported with
every value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cssgan.metrics import feature_extraction, image_quality
from cssgan.metrics.distances import (
    frechet_at_infinity,
    frechet_distance,
    inception_score,
    kernel_distance,
    kernel_subsets,
)
from cssgan.metrics.feature_extraction import Transform
from cssgan.metrics.features import Features, moments
from cssgan.metrics.networks import feature_cache, resize
from cssgan.metrics.networks.pretrained import PretrainedNetworks, SampleLimits
from cssgan.metrics.networks.torchscript import I3d, Lpips
from cssgan.metrics.real_pool import MIN_VIDEOS, RealPool, disjoint_sets, floor_controls
from cssgan.metrics.result import Better, MetricResult, ProtocolValue, unavailable
from cssgan.metrics.statistics import bootstrap_mean
from cssgan.metrics.videos import (
    Floats,
    Ints,
    VideoPairs,
    Videos,
    blocks,
    hold_first_frame,
    hold_last_valid_frame,
    mean_defined,
)

Protocol = Mapping[str, ProtocolValue]
FVD_LENGTHS = (16, 32)
"""Frames: the usual fvd2048_16f, and the length of the paper. Their values are on different scales."""
NUM_HALF_SPLITS = 3
INCEPTION_METRICS: tuple[tuple[str, Better], ...] = (
    ("inception_score", "higher"), ("is_paper_scale", "higher"), ("fid", "lower"), ("fid_one_frame", "lower"),
    ("kid", "lower"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _FeatureSets:
    """Features that a distance compares.

    Args:
        baselines: control name -> features of modified real videos.
        groups: index of the video of each row of `real` and `fake`.
        pool: real windows for the floor with their features and the window of each row, or None.
    """

    real: Features
    fake: Features
    baselines: Mapping[str, Features]
    groups: Ints
    pool: tuple[RealPool, Features, Ints] | None

    @property
    def num_videos(self) -> int:
        return len(np.unique(self.groups))

    def half_splits(self, seed: int) -> Iterator[tuple[Features, Features]]:
        """Real features of two disjoint halves of the videos, `NUM_HALF_SPLITS` times."""
        videos = np.unique(self.groups)
        for offset in range(NUM_HALF_SPLITS):
            order = np.random.default_rng(seed + offset).permutation(videos)
            chosen = np.isin(self.groups, order[: len(order) // 2])
            yield self.real.rows(np.flatnonzero(chosen)), self.real.rows(np.flatnonzero(~chosen))

    def floor_sets(self, seed: int) -> list[tuple[Features, Features]]:
        """Disjoint sets of other real windows, each of the number of evaluated videos."""
        if self.pool is None:
            return []
        pool, features, groups = self.pool
        return disjoint_sets(features, groups, pool.num_each, seed)

    def floor_protocol(self) -> dict[str, ProtocolValue]:
        return {} if self.pool is None else {"real_floor": self.pool[0].description()}

    def one_row_per_video(self, seed: int) -> _FeatureSets:
        """One random row of each video, the same of all sets."""
        rows, pool = _one_row_per_group(self.groups, seed), self.pool
        if pool is not None:
            pool_rows = _one_row_per_group(pool[2], seed)
            pool = (pool[0], pool[1].rows(pool_rows), pool[2][pool_rows])
        baselines = {name: features.rows(rows) for name, features in self.baselines.items()}
        return _FeatureSets(
            real=self.real.rows(rows), fake=self.fake.rows(rows), baselines=baselines, groups=self.groups[rows], pool=pool
        )  # fmt: skip


def pretrained_network_results(
    pairs: VideoPairs,
    networks: PretrainedNetworks,
    real_set: Protocol,
    seed: int = 0,
    pool: RealPool | None = None,
) -> list[MetricResult]:
    """All metrics of pretrained networks.

    Args:
        real_set: everything the real videos depend on (digest, frames, size); part of the names of cached features.
        seed: of splits, subsets and the bootstrap.
        pool: for the floor at the number of evaluated videos; None: no floor.
    """
    return [
        *_inception_results(pairs, networks, real_set, seed, pool),
        *_i3d_results(pairs, networks, real_set, seed, pool),
        _lpips_result(pairs, networks.lpips, seed),
    ]


def _no_weights(name: str) -> str:
    return f"no weights; run `cssgan weights fetch {name}`, or use --{name} PATH"


def _too_few(name: str, num_videos: int, minimum: int, better: Better = "lower") -> MetricResult:
    reason = f"{num_videos} videos; allowed: {minimum} or more (with fewer, the value depends on their number)"
    return unavailable(name, reason, better=better, n_real=num_videos, n_fake=num_videos)


def _inception_results(
    pairs: VideoPairs, networks: PretrainedNetworks, real_set: Protocol, seed: int, pool: RealPool | None
) -> list[MetricResult]:
    n, network, limits = len(pairs), networks.inception, networks.limits
    if network is None:
        reason = _no_weights("inception")
        return [unavailable(name, reason, better=better, n_real=n, n_fake=n) for name, better in INCEPTION_METRICS]
    if n < limits.kernel_min:
        return [_too_few(name, n, limits.kernel_min, better) for name, better in INCEPTION_METRICS]
    select = feature_extraction.every_nth_frame(networks.frame_step)
    protocol: dict[str, ProtocolValue] = {
        "network": network.name, "weights_sha256": network.digest, "resize": resize.DESCRIPTIONS[network.resize],
        "range": "uint8, then (x - 128) / 128", "frames": f"every {networks.frame_step}th of a video's valid ones",
    }  # fmt: skip

    def extract(videos: Videos, valid: Ints, transform: Transform = hold_last_valid_frame) -> feature_cache.Rows:
        return feature_extraction.frame_features(network, videos, valid, select, transform)

    def first_columns(features: Features) -> Features:
        values = np.ascontiguousarray(features.values_ND[:, : network.num_features])
        return Features(values_ND=values, extractor=features.extractor)

    named = {**real_set, **protocol}
    real, groups = _real_features(pairs, networks.cache, named, "real", extract, hold_last_valid_frame)
    frozen, _ = _real_features(pairs, networks.cache, named, "frozen", extract, feature_extraction.freeze)
    fake, _ = extract(pairs.fake_NTHWC, pairs.num_valid_N)
    pooled = _pool_features(pool, networks, protocol, extract)
    sets = _FeatureSets(
        real=first_columns(real), fake=first_columns(fake), baselines={"frozen_first_frame": first_columns(frozen)},
        groups=groups, pool=None if pooled is None else (pooled[0], first_columns(pooled[1]), pooled[2]),
    )  # fmt: skip
    one_frame = {**protocol, "frames": "one random frame of each video, the same of both"}
    return [
        *_inception_score_results(real, fake, groups, network.num_features, n, protocol),
        _frechet_result("fid", sets, protocol, limits, 1, seed),
        _frechet_result("fid_one_frame", sets.one_row_per_video(seed), one_frame, limits, 1, seed),
        _kernel_result("kid", sets, protocol, seed),
    ]


def _one_row_per_group(groups: Ints, seed: int) -> Ints:
    """One random row of each group."""
    order = np.random.default_rng(seed).permutation(len(groups))
    _, first = np.unique(groups[order], return_index=True)
    return np.sort(order[first])


def _inception_score_results(
    real: Features, fake: Features, groups: Ints, num_features: int, n: int, protocol: Protocol
) -> list[MetricResult]:
    score, of_real = (inception_score(features.values_ND[:, num_features:], groups) for features in (fake, real))
    shared: dict[str, ProtocolValue] = {
        **protocol, "splits": f"{score.num_splits}, by video", "logits": "1008 of TensorFlow's, without bias",
        "items": fake.count,
    }  # fmt: skip
    return [
        MetricResult(
            name="inception_score", value=score.mean, better="higher", n_real=n, n_fake=n, protocol=shared,
            controls={"deviation_of_splits": score.deviation, "real": of_real.mean},
            caution="not informative for letters and faces: its classes are those of ImageNet",
        ),
        MetricResult(
            name="is_paper_scale", value=score.divergence / 1000.0, better="higher", n_real=n, n_fake=n,
            controls={"real": of_real.divergence / 1000.0},
            protocol={**shared, "formula": "mean KL in nats / 1000, without the exponential"},
            caution="a hypothesis about the values that the paper prints as IS, which cannot be IS; compare ranks only",
        ),
    ]  # fmt: skip


def _i3d_results(
    pairs: VideoPairs, networks: PretrainedNetworks, real_set: Protocol, seed: int, pool: RealPool | None
) -> list[MetricResult]:
    n, length, network, limits = len(pairs), pairs.real_NTHWC.shape[1], networks.i3d, networks.limits
    lengths = [frames for frames in FVD_LENGTHS if frames <= length]
    names = [name for frames in lengths or FVD_LENGTHS[:1]
             for name in (f"fvd{frames}", f"fvd{frames}_inf", f"kvd{frames}")]  # fmt: skip
    if network is None or not lengths:
        reason = _no_weights("i3d") if network is None else f"videos of {length} frames; allowed: 16 or more"
        return [unavailable(name, reason, better="lower", n_real=n, n_fake=n) for name in names]
    if n < limits.kernel_min:
        return [_too_few(name, n, limits.kernel_min) for name in names]
    return [
        result for frames in lengths for result in _fvd_results(pairs, networks, network, real_set, frames, seed, pool)
    ]


def _fvd_results(
    pairs: VideoPairs,
    networks: PretrainedNetworks,
    network: I3d,
    real_set: Protocol,
    frames: int,
    seed: int,
    pool: RealPool | None,
) -> list[MetricResult]:
    """FVD and KVD of the first `frames` frames."""
    num_short = int((pairs.num_valid_N < frames).sum())
    protocol: dict[str, ProtocolValue] = {
        "network": network.name, "weights_sha256": network.digest, "frames": f"the first {frames}",
        "resize": "bilinear to 224, align_corners=False", "range": "2 x / 255 - 1",
        "reals": "the videos whose first frames, sounds and classes the generated ones were made from",
        "short_videos": f"{num_short} with fewer valid frames; their last valid frame is held in both sets",
    }  # fmt: skip

    def extract(videos: Videos, valid: Ints, transform: Transform = hold_last_valid_frame) -> feature_cache.Rows:
        features = feature_extraction.video_features(network, videos, valid, transform, frames)
        return features, np.arange(len(videos))

    def of_real(name: str, transform: Transform) -> Features:
        return _real_features(pairs, networks.cache, {**real_set, **protocol}, name, extract, transform)[0]

    order = np.random.default_rng(seed).permutation(pairs.real_NTHWC.shape[1])
    fake, groups = extract(pairs.fake_NTHWC, pairs.num_valid_N)
    shuffle = feature_extraction.shuffle(order[order < frames])
    sets = _FeatureSets(
        real=of_real("real", hold_last_valid_frame), fake=fake, groups=groups,
        baselines={
            "frozen_first_frame": of_real("frozen", feature_extraction.freeze),
            "shuffled_frames": of_real(f"shuffled with seed {seed}", shuffle),
        },
        pool=_pool_features(pool, networks, protocol, extract),
    )  # fmt: skip
    return [
        _frechet_result(f"fvd{frames}", sets, protocol, networks.limits, 0, seed),
        _frechet_at_infinity_result(f"fvd{frames}_inf", sets, protocol, networks.limits, 0, seed),
        _kernel_result(f"kvd{frames}", sets, protocol, seed),
    ]


def _real_features(
    pairs: VideoPairs,
    cache: Path | None,
    protocol: Protocol,
    name: str,
    extract: Callable[[Videos, Ints, Transform], feature_cache.Rows],
    transform: Transform,
) -> feature_cache.Rows:
    """Cached features of the real videos after `transform`; `name` identifies the transform."""
    named = {**protocol, "shown": name}
    return feature_cache.cached(cache, named, lambda: extract(pairs.real_NTHWC, pairs.num_valid_N, transform))


def _pool_features(
    pool: RealPool | None, networks: PretrainedNetworks, protocol: Protocol,
    extract: Callable[[Videos, Ints], feature_cache.Rows],
) -> tuple[RealPool, Features, Ints] | None:  # fmt: skip
    if pool is None or pool.num_each < MIN_VIDEOS:
        return None
    named = {**protocol, "shown": pool.name}
    return pool, *feature_cache.cached(networks.cache, named, lambda: pool.features(extract))


def _frechet_result(
    name: str, sets: _FeatureSets, protocol: Protocol, limits: SampleLimits, ddof: int, seed: int
) -> MetricResult:
    num_videos = sets.num_videos
    if num_videos < limits.frechet_min:
        return _too_few(name, num_videos, limits.frechet_min)
    real = moments(sets.real, ddof=ddof)

    def distance(a: Features, b: Features) -> float:
        return frechet_distance(moments(a, ddof=ddof), moments(b, ddof=ddof))

    controls = {key: frechet_distance(real, moments(other, ddof=ddof)) for key, other in sets.baselines.items()}
    controls |= _half_split_controls([distance(a, b) for a, b in sets.half_splits(seed)])
    if sets.pool is not None:
        controls |= floor_controls([distance(a, b) for a, b in sets.floor_sets(seed)])
    caution = ""
    if num_videos < limits.caution_below:
        caution = (
            f"{num_videos} videos, {limits.caution_below} are usual; compare with the floor, or at the same number only"
        )
    return MetricResult(
        name=name, value=frechet_distance(real, moments(sets.fake, ddof=ddof)), better="lower", n_real=num_videos,
        n_fake=num_videos, controls=controls, caution=caution,
        protocol={
            **protocol, "covariance": _covariance(ddof), "items": sets.fake.count,
            "half_splits": f"{NUM_HALF_SPLITS} of the videos, seeds {seed}..{seed + NUM_HALF_SPLITS - 1}",
            **sets.floor_protocol(),
        },
    )  # fmt: skip


def _frechet_at_infinity_result(
    name: str, sets: _FeatureSets, protocol: Protocol, limits: SampleLimits, ddof: int, seed: int
) -> MetricResult:
    """The distance extrapolated to infinite sets, which can be compared between sets of different sizes."""
    count = sets.real.count
    if count < limits.frechet_min:
        return _too_few(name, count, limits.frechet_min)
    value, error = frechet_at_infinity(sets.real, sets.fake, ddof=ddof, seed=seed)
    fit = f"least squares over 1 / N, N / 4..N videos, seed {seed}"
    return MetricResult(
        name=name, value=value, better="lower", n_real=count, n_fake=sets.fake.count, controls={"standard_error": error},
        protocol={**protocol, "covariance": _covariance(ddof), "fit": fit},
    )  # fmt: skip


def _kernel_result(name: str, sets: _FeatureSets, protocol: Protocol, seed: int) -> MetricResult:
    num_videos = sets.num_videos
    controls = {key: kernel_distance(sets.real, other, paired=True) for key, other in sets.baselines.items()}
    mean, deviation = kernel_subsets(sets.real, sets.fake)
    halves = [kernel_distance(a, b, paired=False) for a, b in sets.half_splits(seed)]
    controls |= {**_half_split_controls(halves), "unpaired_subsets": mean, "unpaired_subsets_spread": deviation}
    if sets.pool is not None:
        controls |= floor_controls([kernel_distance(a, b, paired=False) for a, b in sets.floor_sets(seed)])
    return MetricResult(
        name=name, value=kernel_distance(sets.real, sets.fake, paired=True), better="lower", n_real=num_videos,
        n_fake=num_videos, controls=controls,
        protocol={
            **protocol, "kernel": "(x.y / D + 1)^3", "estimate": "unbiased, pairs of one condition excluded",
            "unpaired_subsets": "torch-fidelity's: 100 subsets of at most 1000, seed 2020", "items": sets.fake.count,
            **sets.floor_protocol(),
        },
    )  # fmt: skip


def _half_split_controls(distances: list[float]) -> dict[str, float]:
    return {"real_half_split": float(np.mean(distances)), "real_half_split_spread": float(np.std(distances))}


def _covariance(ddof: int) -> str:
    return "1 / (N - 1)" if ddof else "1 / N"


def _lpips_result(pairs: VideoPairs, network: Lpips | None, seed: int) -> MetricResult:
    n = len(pairs)
    if network is None:
        return unavailable("lpips", _no_weights("lpips"), better="lower", n_real=n, n_fake=n)
    values, copied = (_lpips_per_video(network, pairs, copy_first=copy) for copy in (False, True))
    mean, undefined = mean_defined(values)
    assert mean is not None
    return MetricResult(
        name="lpips", value=mean, better="lower", n_real=n, n_fake=n, num_undefined=undefined,
        interval=bootstrap_mean(values, seed), controls={"copy_first": float(copied.mean())},
        protocol={"network": network.name, "weights_sha256": network.digest, "resize": "none", "range": "0..255",
                  "reduction": "mean over valid frames, then over videos"},
    )  # fmt: skip


def _lpips_per_video(network: Lpips, pairs: VideoPairs, *, copy_first: bool) -> Floats:
    per_frame = np.zeros(pairs.real_NTHWC.shape[:2])
    for rows in blocks(len(per_frame), 1, pairs.real_NTHWC, pairs.fake_NTHWC):
        real = pairs.real_NTHWC[rows]
        other = hold_first_frame(real) if copy_first else pairs.fake_NTHWC[rows]
        per_frame[rows] = network(real[0], other[0])
    return image_quality.mean_over_frames(per_frame, pairs.valid)
