"""Fréchet and kernel distances between sets of videos as `MetricResult`s, with floors, baselines and protocol.

Distances of few videos are large for a perfect model too (model specification, 6.4). `SampleLimits` states below which
number of videos a value is withheld or carries a caution. The distance between real sets (the floor) is reported with
every value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cssgan.metrics import feature_extraction
from cssgan.metrics.distances import frechet_distance, kernel_subsets
from cssgan.metrics.feature_extraction import Extractor, FrameSelector, Transform
from cssgan.metrics.features import Features, moments
from cssgan.metrics.networks import feature_cache
from cssgan.metrics.networks.pretrained import SampleLimits
from cssgan.metrics.real_pool import MIN_VIDEOS, RealPool, disjoint_sets, floor_controls
from cssgan.metrics.result import Better, MetricResult, ProtocolValue, unavailable
from cssgan.metrics.videos import Ints, VideoPairs, Videos, hold_last_valid_frame

Protocol = Mapping[str, ProtocolValue]
NUM_HALF_SPLITS = 3


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FeatureSets:
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

    def mapped(self, change: Callable[[Features], Features]) -> FeatureSets:
        """All sets with their features changed."""
        pool = self.pool
        return FeatureSets(
            real=change(self.real), fake=change(self.fake), groups=self.groups,
            baselines={name: change(features) for name, features in self.baselines.items()},
            pool=None if pool is None else (pool[0], change(pool[1]), pool[2]),
        )  # fmt: skip

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

    def one_row_per_video(self, seed: int) -> FeatureSets:
        """One random row of each video, the same of all sets."""
        rows, pool = _one_row_per_group(self.groups, seed), self.pool
        if pool is not None:
            pool_rows = _one_row_per_group(pool[2], seed)
            pool = (pool[0], pool[1].rows(pool_rows), pool[2][pool_rows])
        baselines = {name: features.rows(rows) for name, features in self.baselines.items()}
        return FeatureSets(
            real=self.real.rows(rows), fake=self.fake.rows(rows), baselines=baselines, groups=self.groups[rows], pool=pool
        )  # fmt: skip

    def one_row_per_video_over_time(self) -> FeatureSets:
        """Features of videos: the mean over a video's rows, and the mean absolute change from row to row."""
        pool = self.pool
        return FeatureSets(
            real=_over_time(self.real, self.groups), fake=_over_time(self.fake, self.groups),
            baselines={name: _over_time(features, self.groups) for name, features in self.baselines.items()},
            groups=np.unique(self.groups),
            pool=None if pool is None else (pool[0], _over_time(pool[1], pool[2]), np.unique(pool[2])),
        )  # fmt: skip


def _over_time(features: Features, groups: Ints) -> Features:
    rows = [features.values_ND[groups == group] for group in np.unique(groups)]
    values = [
        np.concatenate([x.mean(axis=0), np.abs(np.diff(x, axis=0)).sum(axis=0) / max(1, len(x) - 1)]) for x in rows
    ]
    return Features(values_ND=np.stack(values), extractor=f"{features.extractor}-over-time")


def _one_row_per_group(groups: Ints, seed: int) -> Ints:
    """One random row of each group."""
    order = np.random.default_rng(seed).permutation(len(groups))
    _, first = np.unique(groups[order], return_index=True)
    return np.sort(order[first])


Extract = Callable[[Videos, Ints, Transform], feature_cache.Rows]
"""(videos, valid frames, transform) -> features and the video of each row."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Extraction:
    """Features of the evaluated videos, of their baselines and of the floor, by one network; those of real videos cached.

    Args:
        extract: the network with its frames.
        real_set: everything the real videos depend on (digest, frames, size).
        protocol: everything that the features depend on beside the videos.
        cache: folder for features of real videos; None: no cache.
        pool: windows for the floor; None: no floor.
    """

    extract: Extract
    real_set: Protocol
    protocol: Protocol
    cache: Path | None
    pool: RealPool | None

    def sets(self, pairs: VideoPairs, baselines: Mapping[str, tuple[str, Transform]]) -> FeatureSets:
        """All features.

        Args:
            baselines: control name -> name of the transform in the cache, and the transform of the real videos.
        """
        fake, groups = self.extract(pairs.fake_NTHWC, pairs.num_valid_N, hold_last_valid_frame)
        return FeatureSets(
            real=self._of_real(pairs, "real", hold_last_valid_frame), fake=fake, groups=groups,
            baselines={control: self._of_real(pairs, *named) for control, named in baselines.items()},
            pool=self._of_pool(),
        )  # fmt: skip

    def _of_real(self, pairs: VideoPairs, name: str, transform: Transform) -> Features:
        named = {**self.real_set, **self.protocol, "shown": name}
        return feature_cache.cached(
            self.cache, named, lambda: self.extract(pairs.real_NTHWC, pairs.num_valid_N, transform)
        )[0]

    def _of_pool(self) -> tuple[RealPool, Features, Ints] | None:
        pool = self.pool
        if pool is None or pool.num_each < MIN_VIDEOS:
            return None
        named = {**self.protocol, "shown": pool.name}
        return pool, *feature_cache.cached(
            self.cache,
            named,
            lambda: pool.features(lambda videos, valid: self.extract(videos, valid, hold_last_valid_frame)),
        )


def of_frames(network: Extractor, select: FrameSelector) -> Extract:
    """One row per selected frame."""

    def extract(videos: Videos, valid: Ints, transform: Transform) -> feature_cache.Rows:
        return feature_extraction.frame_features(network, videos, valid, select, transform)

    return extract


def of_videos(network: Extractor, num_frames: int | None = None) -> Extract:
    """One row per video, from its first `num_frames` frames."""

    def extract(videos: Videos, valid: Ints, transform: Transform) -> feature_cache.Rows:
        features = feature_extraction.video_features(network, videos, valid, transform, num_frames)
        return features, np.arange(len(videos))

    return extract


def too_few(name: str, num_videos: int, minimum: int, better: Better = "lower") -> MetricResult:
    reason = f"{num_videos} videos; allowed: {minimum} or more (with fewer, the value depends on their number)"
    return unavailable(name, reason, better=better, n_real=num_videos, n_fake=num_videos)


def frechet_result(
    name: str, sets: FeatureSets, protocol: Protocol, limits: SampleLimits, *, ddof: int, seed: int
) -> MetricResult:
    """The Fréchet distance of the generated videos with its controls."""
    num_videos = sets.num_videos
    if num_videos < limits.frechet_min:
        return too_few(name, num_videos, limits.frechet_min)
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
            **protocol, "covariance": "1 / (N - 1)" if ddof else "1 / N", "items": sets.fake.count,
            "half_splits": f"{NUM_HALF_SPLITS} of the videos, seeds {seed}..{seed + NUM_HALF_SPLITS - 1}",
            **sets.floor_protocol(),
        },
    )  # fmt: skip


def kernel_result(name: str, sets: FeatureSets, protocol: Protocol, limits: SampleLimits, *, seed: int) -> MetricResult:
    """The kernel distance of the generated videos with its controls, all by the estimator of KID."""
    num_videos = sets.num_videos
    if num_videos < limits.kernel_min:
        return too_few(name, num_videos, limits.kernel_min)

    def distance(a: Features, b: Features) -> float:
        return kernel_subsets(a, b)[0]

    value, deviation = kernel_subsets(sets.real, sets.fake)
    controls = {key: distance(sets.real, other) for key, other in sets.baselines.items()}
    controls |= _half_split_controls([distance(a, b) for a, b in sets.half_splits(seed)])
    if sets.pool is not None:
        controls |= floor_controls([distance(a, b) for a, b in sets.floor_sets(seed)])
    if deviation > 0.0:
        controls["deviation_of_subsets"] = deviation
    return MetricResult(
        name=name, value=value, better="lower", n_real=num_videos, n_fake=num_videos, controls=controls,
        protocol={
            **protocol, "kernel": "(x.y / D + 1)^3", "estimate": "unbiased MMD^2; below 0 for equal sets of pairs",
            "subsets": "100 of at most 1000 items, seed 2020; all items once if there are no more", "items": sets.fake.count,
            **sets.floor_protocol(),
        },
    )  # fmt: skip


def _half_split_controls(distances: list[float]) -> dict[str, float]:
    return {"real_half_split": float(np.mean(distances)), "real_half_split_spread": float(np.std(distances))}
