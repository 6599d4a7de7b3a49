"""RFD: distances in features of fixed random networks as `MetricResult`s, with floors and baselines."""

from __future__ import annotations

import numpy as np

from cssgan.metrics import feature_extraction
from cssgan.metrics.distance_results import Extraction, FeatureSets, frechet_result, kernel_result, of_frames, of_videos
from cssgan.metrics.distances import manifold
from cssgan.metrics.features import real_scale
from cssgan.metrics.networks.pretrained import SampleLimits
from cssgan.metrics.networks.random_features import rand2d, rand3d
from cssgan.metrics.real_pool import RealPool
from cssgan.metrics.result import Better, MetricResult, ProtocolValue, unavailable
from cssgan.metrics.videos import CLIP_FRAMES, Ints, VideoPairs

NEIGHBOURS = 5
LIMITS = SampleLimits(frechet_min=NEIGHBOURS + 1, kernel_min=NEIGHBOURS + 1, caution_below=0)


def random_feature_results(pairs: VideoPairs, seed: int = 0, pool: RealPool | None = None) -> list[MetricResult]:
    """``rfd_2d_*`` (frames) and ``rfd_3d_*`` (videos): distances in the features of fixed random networks.

    Args:
        seed: of the frame order of the baseline and of the halves of the real set.
        pool: for the floor at the number of evaluated videos; None: no floor.
    """
    n, num_frames = pairs.real_NTHWC.shape[:2]
    if n <= NEIGHBOURS:
        reason = f"{n} videos; allowed: more than {NEIGHBOURS}"
        return [
            unavailable(name, reason, better="lower", n_real=n, n_fake=n) for name in ("rfd_2d_fd64", "rfd_3d_fd64")
        ]
    order = np.random.default_rng(seed).permutation(num_frames)
    select = feature_extraction.frames_around_seams(CLIP_FRAMES)
    copied = {"copy_first": ("frozen", feature_extraction.freeze)}
    shuffled = {"shuffled_frames": ("shuffled", feature_extraction.shuffle(order))}
    frames = Extraction(extract=of_frames(rand2d(), select), real_set={}, protocol={}, cache=None, pool=pool)
    videos = Extraction(extract=of_videos(rand3d()), real_set={}, protocol={}, cache=None, pool=pool)
    # Frames on the two sides of a seam are nearly equal, and balls up to the nearest neighbours would be empty.
    in_the_middle = feature_extraction.every_nth_frame(CLIP_FRAMES)
    rows = np.flatnonzero(
        np.concatenate([np.isin(select(int(valid)), in_the_middle(int(valid))) for valid in pairs.num_valid_N])
    )
    return [
        *_distance_results(
            "rfd_2d", frames.sets(pairs, copied), rows, seed,
            {"frames": "in the middle of each clip of 8 and beside its seams", "manifold": "frames in the middle only"},
        ),
        *_distance_results(
            "rfd_3d", videos.sets(pairs, {**copied, **shuffled}), np.arange(n), seed,
            {"frames": f"all {num_frames}, last valid frame held"},
        ),
    ]  # fmt: skip


def _distance_results(
    name: str, sets: FeatureSets, manifold_rows: Ints, seed: int, protocol: dict[str, ProtocolValue]
) -> list[MetricResult]:
    scale = real_scale(sets.real)
    sets = sets.mapped(lambda features: features.scaled(scale))
    protocol = {
        **protocol, "network": sets.real.extractor, "scale": "standard deviation of each feature over the real set",
        "note": "random weights: neither FID nor FVD, comparable only within one real set",
    }  # fmt: skip
    real, fake = sets.real.rows(manifold_rows), sets.fake.rows(manifold_rows)
    found = manifold(real, fake, NEIGHBOURS)
    balls: tuple[tuple[str, float, Better], ...] = (
        ("precision", found.precision, "higher"), ("recall", found.recall, "higher"),
        ("density", found.density, "higher"), ("coverage", found.coverage, "higher"),
    )  # fmt: skip
    return [
        frechet_result(f"{name}_fd64", sets, protocol, LIMITS, ddof=1, seed=seed),
        kernel_result(f"{name}_kd64", sets, protocol, LIMITS, seed=seed),
        *(
            MetricResult(
                name=f"{name}_{metric}", value=value, better=better, n_real=sets.num_videos, n_fake=sets.num_videos,
                protocol={**protocol, "k": NEIGHBOURS, "items": fake.count},
            )
            for metric, value, better in balls
        ),
    ]  # fmt: skip
