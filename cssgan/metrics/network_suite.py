"""Inception Score, FID, KID, FVD, KVD, LPIPS as `MetricResult`s, each with its floor, its ceilings and its protocol.

All stand on networks from files (`cssgan.metrics.networks.torchscript`); without a file its measures are unavailable.
Distances in few videos are large for a perfect model too (model specification, 6.4): under `SampleRule.refuse_below`
there is no number, under `mark_below` a caution, and the real-vs-real floor stands beside every value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cssgan.metrics import feature_extraction, paired
from cssgan.metrics.networks import feature_cache, resize
from cssgan.metrics.networks.torchscript import I3d, Inception, Lpips
from cssgan.metrics.real_pool import LEAST, RealPool, disjoint_sets, floor_controls, floor_in_words
from cssgan.metrics.result import Better, MetricResult, ProtocolValue, unavailable
from cssgan.metrics.scores import (
    frechet_at_infinity,
    frechet_distance,
    inception_score,
    kernel_distance,
    kernel_subsets,
)
from cssgan.metrics.statistics import Features, moments
from cssgan.metrics.suite import bootstrap_mean
from cssgan.metrics.videos import Floats, Ints, VideoPairs, Videos, blocks, first_frame_held, mean_defined

FVD_LENGTHS = (16, 32)
"""Frames: the community's fvd2048_16f, and the paper's length. They are different scales."""
HALF_SPLITS = 3
INCEPTION_MEASURES: tuple[tuple[str, Better], ...] = (
    ("inception_score", "higher"), ("is_like_printed", "higher"), ("fid", "lower"), ("fid_one", "lower"), ("kid", "lower"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleRule:
    """How many videos a distance needs.

    Args:
        refuse_below: fewer give no Frechet distance at all: it would be the number of videos that is measured.
        refuse_kernel_below: fewer give no distance and no score at all.
        mark_below: fewer give a value with a caution; 2048 is what the literature uses.
    """

    refuse_below: int = 64
    refuse_kernel_below: int = 16
    mark_below: int = 2048


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Networks:
    """The networks that were given; None: its measures are unavailable.

    Args:
        frame_step: FID, KID and IS see every so many frames of a video; 1: all.
        keep: folder in which features of real videos are kept; None: nowhere.
    """

    inception: Inception | None = None
    i3d: I3d | None = None
    lpips: Lpips | None = None
    frame_step: int = 8
    keep: Path | None = None
    rule: SampleRule = SampleRule()


def pretrained_results(
    pairs: VideoPairs,
    networks: Networks,
    real_set: Mapping[str, ProtocolValue],
    seed: int = 0,
    pool: RealPool | None = None,
) -> list[MetricResult]:
    """All measures of pretrained networks.

    Args:
        real_set: what the real videos depend on (their digest, frames, size): part of the name of kept features.
        pool: for the floor at the number of videos that are judged; None: it is not given.
    """
    return [
        *_inception_results(pairs, networks, real_set, seed, pool),
        *_i3d_results(pairs, networks, real_set, seed, pool),
        _lpips_result(pairs, networks.lpips, seed),
    ]


def missing(name: str, option: str) -> str:
    return f"no weights; run `cssgan weights fetch {name}`, or give --{option} PATH"


def _inception_results(
    pairs: VideoPairs, networks: Networks, real_set: Mapping[str, ProtocolValue], seed: int, pool: RealPool | None
) -> list[MetricResult]:
    n, network = len(pairs.real_NTHWC), networks.inception
    if network is None:
        reason = missing("inception", "inception")
        return [unavailable(name, reason, better=better, n_real=n, n_fake=n) for name, better in INCEPTION_MEASURES]
    if n < networks.rule.refuse_kernel_below:
        return [_refused(name, n, networks.rule.refuse_kernel_below, better) for name, better in INCEPTION_MEASURES]
    choose = feature_extraction.every(networks.frame_step)
    protocol: dict[str, ProtocolValue] = {
        "network": network.name, "weights_sha256": network.digest, "resize": resize.WORDS[network.way],
        "range": "uint8, then (x - 128) / 128", "frames": f"every {networks.frame_step}th of a video's valid ones",
    }  # fmt: skip

    def rows(videos: Videos, change: feature_extraction.Change = feature_extraction.held) -> feature_cache.Rows:
        return feature_extraction.of_frames(network, videos, pairs.num_valid_N, choose, change)

    named: dict[str, ProtocolValue] = {**real_set, **protocol, "shown": "real"}
    real, groups = feature_cache.kept(networks.keep, named, lambda: rows(pairs.real_NTHWC))
    still, _ = feature_cache.kept(
        networks.keep, {**named, "shown": "frozen"}, lambda: rows(pairs.real_NTHWC, feature_extraction.frozen)
    )
    fake, _ = rows(pairs.fake_NTHWC)
    width = network.num_features
    pooled = _pooled(
        pool, networks, protocol, lambda videos, valid: feature_extraction.of_frames(network, videos, valid, choose)
    )
    floor = None if pooled is None else _Floor(pooled[0], _columns(pooled[1], width), pooled[2])
    results = _score_results(real, fake, groups, width, n, protocol)
    sets = {name: _columns(features, width) for name, features in (("real", real), ("fake", fake), ("still", still))}
    one = _one_a_video(groups, seed)
    ceilings = {"frozen_first_frame": sets["still"]}
    results.append(
        _frechet_result("fid", sets["real"], sets["fake"], ceilings, groups, protocol, networks.rule, 1, seed, floor)
    )
    one_protocol = {**protocol, "frames": "one random frame of each video, the same of both"}
    ceilings = {"frozen_first_frame": sets["still"].rows(one)}
    results.append(_frechet_result(
        "fid_one", sets["real"].rows(one), sets["fake"].rows(one), ceilings, groups[one], one_protocol, networks.rule, 1,
        seed, None if floor is None else floor.one_a_video(seed),
    ))  # fmt: skip
    results.append(_kernel_result("kid", sets["real"], sets["fake"], {"frozen_first_frame": sets["still"]}, groups,
                                  protocol, networks.rule, seed, floor))  # fmt: skip
    return results


def _columns(features: Features, width: int) -> Features:
    return Features(values_ND=np.ascontiguousarray(features.values_ND[:, :width]), extractor=features.extractor)


def _one_a_video(groups: Ints, seed: int) -> Ints:
    """One random row of each video."""
    order = np.random.default_rng(seed).permutation(len(groups))
    _, first = np.unique(groups[order], return_index=True)
    return np.sort(order[first])


def _score_results(
    real: Features, fake: Features, groups: Ints, width: int, n: int, protocol: Mapping[str, ProtocolValue]
) -> list[MetricResult]:
    score, of_real = (inception_score(features.values_ND[:, width:], groups) for features in (fake, real))
    shared: dict[str, ProtocolValue] = {
        **protocol, "splits": f"{score.num_parts}, by video", "logits": "1008 of TensorFlow's, without bias",
        "items": fake.count,
    }  # fmt: skip
    return [
        MetricResult(
            name="inception_score", value=score.mean, better="higher", n_real=n, n_fake=n, protocol=shared,
            controls={"deviation_of_splits": score.deviation, "real": of_real.mean},
            caution="says little of letters and faces: its classes are ImageNet's",
        ),
        MetricResult(
            name="is_like_printed", value=score.divergence / 1000.0, better="higher", n_real=n, n_fake=n,
            controls={"real": of_real.divergence / 1000.0},
            protocol={**shared, "formula": "mean KL in nats / 1000, without the exponential"},
            caution="a guess at what the paper prints as IS, which cannot be one; compare ranks only",
        ),
    ]  # fmt: skip


def _i3d_results(
    pairs: VideoPairs, networks: Networks, real_set: Mapping[str, ProtocolValue], seed: int, pool: RealPool | None
) -> list[MetricResult]:
    n, length, network = len(pairs.real_NTHWC), pairs.real_NTHWC.shape[1], networks.i3d
    lengths = [frames for frames in FVD_LENGTHS if frames <= length]
    names = [f"{kind}{frames}{end}" for frames in lengths or FVD_LENGTHS[:1]
             for kind, end in (("fvd", ""), ("fvd", "_inf"), ("kvd", ""))]  # fmt: skip
    if network is None or not lengths:
        reason = missing("i3d", "i3d") if network is None else f"videos of {length} frames; allowed: 16 or more"
        return [unavailable(name, reason, better="lower", n_real=n, n_fake=n) for name in names]
    if n < networks.rule.refuse_kernel_below:
        return [_refused(name, n, networks.rule.refuse_kernel_below) for name in names]
    order = np.random.default_rng(seed).permutation(length)
    results: list[MetricResult] = []
    for frames in lengths:
        short = int((pairs.num_valid_N < frames).sum())
        protocol: dict[str, ProtocolValue] = {
            "network": network.name, "weights_sha256": network.digest, "frames": f"the first {frames}",
            "resize": "bilinear to 224, align_corners=False", "range": "2 x / 255 - 1",
            "reals": "the videos whose first frames, sounds and classes the generated ones were made from",
            "short_videos": f"{short} with fewer valid frames; their last valid frame is held in both sets",
        }  # fmt: skip

        def rows(
            videos: Videos, change: feature_extraction.Change = feature_extraction.held, frames: int = frames
        ) -> feature_cache.Rows:
            return feature_extraction.of_videos(network, videos, pairs.num_valid_N, change, frames), np.arange(n)

        def of_real(
            shown: str, change: feature_extraction.Change, named: Mapping[str, ProtocolValue] = protocol
        ) -> Features:
            wanted = {**real_set, **named, "shown": shown}
            return feature_cache.kept(networks.keep, wanted, lambda: rows(pairs.real_NTHWC, change))[0]

        def of_pool(videos: Videos, valid: Ints, frames: int = frames) -> feature_cache.Rows:
            return feature_extraction.of_videos(network, videos, valid, num_frames=frames), np.arange(len(videos))

        pooled = _pooled(pool, networks, protocol, of_pool)
        floor = None if pooled is None else _Floor(*pooled)
        real, (fake, groups) = of_real("real", feature_extraction.held), rows(pairs.fake_NTHWC)
        ceilings = {
            "frozen_first_frame": of_real("frozen", feature_extraction.frozen),
            "shuffled_frames": of_real(
                f"shuffled with seed {seed}", feature_extraction.shuffled(order[order < frames])
            ),
        }
        rule = networks.rule
        results.append(_frechet_result(f"fvd{frames}", real, fake, ceilings, groups, protocol, rule, 0, seed, floor))
        results.append(_limit_result(f"fvd{frames}_inf", real, fake, protocol, rule, 0, seed))
        results.append(_kernel_result(f"kvd{frames}", real, fake, ceilings, groups, protocol, rule, seed, floor))
    return results


def _frechet_result(
    name: str, real: Features, fake: Features, ceilings: Mapping[str, Features], groups: Ints,
    protocol: Mapping[str, ProtocolValue], rule: SampleRule, ddof: int, seed: int, floor: _Floor | None,
) -> MetricResult:  # fmt: skip
    num_videos = len(np.unique(groups))
    if num_videos < rule.refuse_below:
        return _refused(name, num_videos, rule.refuse_below)
    own = moments(real, ddof=ddof)
    controls = {key: frechet_distance(own, moments(features, ddof=ddof)) for key, features in ceilings.items()}
    floors = np.array([
        frechet_distance(moments(real.rows(a), ddof=ddof), moments(real.rows(b), ddof=ddof))
        for a, b in _half_splits(groups, seed)
    ])  # fmt: skip
    controls |= {"real_half_split": float(floors.mean()), "real_half_split_spread": float(floors.std())}
    if floor is not None:
        controls |= floor_controls([
            frechet_distance(moments(a, ddof=ddof), moments(b, ddof=ddof)) for a, b in floor.sets(seed)
        ])  # fmt: skip
    return MetricResult(
        name=name, value=frechet_distance(own, moments(fake, ddof=ddof)), better="lower", n_real=num_videos,
        n_fake=num_videos, controls=controls, caution=_caution(num_videos, rule),
        protocol={
            **protocol, "covariance": _covariance(ddof), "items": fake.count,
            "half_splits": f"{HALF_SPLITS} of the videos, seeds {seed}..{seed + HALF_SPLITS - 1}",
            **_floor_words(floor),
        },
    )  # fmt: skip


def _limit_result(
    name: str, real: Features, fake: Features, protocol: Mapping[str, ProtocolValue], rule: SampleRule, ddof: int,
    seed: int,
) -> MetricResult:  # fmt: skip
    """The distance extrapolated to endless sets: what can be compared over sets of different sizes."""
    if real.count < rule.refuse_below:
        return _refused(name, real.count, rule.refuse_below)
    limit, error = frechet_at_infinity(real, fake, ddof=ddof, seed=seed)
    fit = f"least squares over 1 / N, N / 4..N videos, seed {seed}"
    return MetricResult(
        name=name, value=limit, better="lower", n_real=real.count, n_fake=fake.count, controls={"standard_error": error},
        protocol={**protocol, "covariance": _covariance(ddof), "fit": fit},
    )  # fmt: skip


def _refused(name: str, num_videos: int, least: int, better: Better = "lower") -> MetricResult:
    reason = f"{num_videos} videos; allowed: {least} or more (of fewer, it measures their number)"
    return unavailable(name, reason, better=better, n_real=num_videos, n_fake=num_videos)


def _covariance(ddof: int) -> str:
    return "1 / (N - 1)" if ddof else "1 / N"


def _kernel_result(
    name: str, real: Features, fake: Features, ceilings: Mapping[str, Features], groups: Ints,
    protocol: Mapping[str, ProtocolValue], rule: SampleRule, seed: int, floor: _Floor | None,
) -> MetricResult:  # fmt: skip
    num_videos = len(np.unique(groups))
    controls = {key: kernel_distance(real, features, paired=True) for key, features in ceilings.items()}
    floors = np.array([
        kernel_distance(real.rows(a), real.rows(b), paired=False) for a, b in _half_splits(groups, seed)
    ])  # fmt: skip
    mean, deviation = kernel_subsets(real, fake)
    controls |= {
        "real_half_split": float(floors.mean()), "real_half_split_spread": float(floors.std()),
        "unpaired_subsets": mean, "unpaired_subsets_spread": deviation,
    }  # fmt: skip
    if floor is not None:
        controls |= floor_controls([kernel_distance(a, b, paired=False) for a, b in floor.sets(seed)])
    return MetricResult(
        name=name, value=kernel_distance(real, fake, paired=True), better="lower", n_real=num_videos, n_fake=num_videos,
        controls=controls, protocol={
            **protocol, "kernel": "(x.y / D + 1)^3", "estimate": "unbiased, pairs of one condition left out",
            "unpaired_subsets": "torch-fidelity's: 100 subsets of at most 1000, seed 2020", "items": fake.count,
            **_floor_words(floor),
        },
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Floor:
    """Features of the pool of real windows, from which sets of the judged number are drawn."""

    pool: RealPool
    features: Features
    groups: Ints

    def sets(self, seed: int) -> list[tuple[Features, Features]]:
        return disjoint_sets(self.features, self.groups, self.pool.num_each, seed)

    def one_a_video(self, seed: int) -> _Floor:
        rows = _one_a_video(self.groups, seed)
        return _Floor(self.pool, self.features.rows(rows), self.groups[rows])


def _pooled(
    pool: RealPool | None, networks: Networks, protocol: Mapping[str, ProtocolValue],
    of: Callable[[Videos, Ints], feature_cache.Rows],
) -> tuple[RealPool, Features, Ints] | None:  # fmt: skip
    if pool is None or pool.num_each < LEAST:
        return None
    features, groups = feature_cache.kept(networks.keep, {**protocol, "shown": pool.name}, lambda: pool.features(of))
    return pool, features, groups


def _floor_words(floor: _Floor | None) -> dict[str, ProtocolValue]:
    return {} if floor is None else {"real_floor": floor_in_words(floor.pool)}


def _half_splits(groups: Ints, seed: int) -> list[tuple[Ints, Ints]]:
    """Rows of two disjoint halves of the videos, several times."""
    videos = np.unique(groups)
    splits: list[tuple[Ints, Ints]] = []
    for offset in range(HALF_SPLITS):
        order = np.random.default_rng(seed + offset).permutation(videos)
        chosen = np.isin(groups, order[: len(order) // 2])
        splits.append((np.flatnonzero(chosen), np.flatnonzero(~chosen)))
    return splits


def _caution(num_videos: int, rule: SampleRule) -> str:
    if num_videos >= rule.mark_below:
        return ""
    return f"{num_videos} videos, {rule.mark_below} are usual; compare with the floor, or at the same number only"


def _lpips_result(pairs: VideoPairs, network: Lpips | None, seed: int) -> MetricResult:
    n = len(pairs.real_NTHWC)
    if network is None:
        return unavailable("lpips", missing("lpips", "lpips"), better="lower", n_real=n, n_fake=n)
    values, copied = (_lpips_of(network, pairs, copy_first=copy) for copy in (False, True))
    mean, undefined = mean_defined(values)
    assert mean is not None
    return MetricResult(
        name="lpips", value=mean, better="lower", n_real=n, n_fake=n, num_undefined=undefined,
        interval=bootstrap_mean(values, seed), controls={"copy_first": float(copied.mean())},
        protocol={"network": network.name, "weights_sha256": network.digest, "resize": "none", "range": "0..255",
                  "reduction": "mean over valid frames, then over videos"},
    )  # fmt: skip


def _lpips_of(network: Lpips, pairs: VideoPairs, *, copy_first: bool) -> Floats:
    per_frame = np.zeros(pairs.real_NTHWC.shape[:2])
    for rows in blocks(len(per_frame), 1, pairs.real_NTHWC, pairs.fake_NTHWC):
        real = pairs.real_NTHWC[rows]
        other = first_frame_held(real) if copy_first else pairs.fake_NTHWC[rows]
        per_frame[rows] = network(real[0], other[0])
    return paired.over_frames(per_frame, pairs.valid)
