"""Inception Score, FID, KID, FVD, KVD, LPIPS, and distances in ImageNet features, as `MetricResult`s.

All need pretrained networks (`cssgan.metrics.networks.pretrained`); without them they are unavailable. The formulas are
in `cssgan.metrics.distances`, the controls in `cssgan.metrics.distance_results`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cssgan.metrics import feature_extraction, image_quality
from cssgan.metrics.distance_results import (
    Extraction,
    FeatureSets,
    Protocol,
    frechet_result,
    kernel_result,
    of_frames,
    of_videos,
    too_few,
)
from cssgan.metrics.distances import inception_score
from cssgan.metrics.features import Features
from cssgan.metrics.networks import resize
from cssgan.metrics.networks.lite2 import Lite2
from cssgan.metrics.networks.pretrained import PretrainedNetworks
from cssgan.metrics.networks.torchscript import I3d, Lpips
from cssgan.metrics.real_pool import RealPool
from cssgan.metrics.result import Better, MetricResult, ProtocolValue, unavailable
from cssgan.metrics.statistics import bootstrap_mean
from cssgan.metrics.videos import Floats, VideoPairs, blocks, hold_first_frame, mean_defined

FVD_LENGTHS = (16, 32)
"""Frames: the usual fvd2048_16f, and the length of the paper. Their values are on different scales."""
INCEPTION_METRICS: tuple[tuple[str, Better], ...] = (
    ("inception_score", "higher"), ("is_paper_scale", "higher"), ("fid", "lower"), ("fid_one_frame", "lower"),
    ("kid", "lower"),
)  # fmt: skip
LITE2_METRICS = (
    "imagenet_lite2_fd", "imagenet_lite2_kd", "imagenet_lite2_video_fd", "imagenet_lite2_video_kd",
    "imagenet_lite2_distance",
)  # fmt: skip
FrameDistance = Callable[[NDArray[np.uint8], NDArray[np.uint8]], Floats]
"""uint8 (N, H, W, 3) twice -> float64 (N,)."""
FROZEN = {"frozen_first_frame": ("frozen", feature_extraction.freeze)}
"""The baseline without motion."""


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
        seed: of splits and the bootstrap.
        pool: for the floor at the number of evaluated videos; None: no floor.
    """
    return [
        *_inception_results(pairs, networks, real_set, seed, pool),
        *_i3d_results(pairs, networks, real_set, seed, pool),
        _lpips_result(pairs, networks.lpips, seed),
        *_lite2_results(pairs, networks, real_set, seed, pool),
    ]


def _no_weights(name: str) -> str:
    return f"no weights; run `cssgan weights fetch {name}`, or use --{name} PATH"


def _inception_results(
    pairs: VideoPairs, networks: PretrainedNetworks, real_set: Protocol, seed: int, pool: RealPool | None
) -> list[MetricResult]:
    n, network, limits = len(pairs), networks.inception, networks.limits
    if network is None:
        reason = _no_weights("inception")
        return [unavailable(name, reason, better=better, n_real=n, n_fake=n) for name, better in INCEPTION_METRICS]
    if n < limits.kernel_min:
        return [too_few(name, n, limits.kernel_min, better) for name, better in INCEPTION_METRICS]
    protocol: dict[str, ProtocolValue] = {
        "network": network.name, "weights_sha256": network.digest, "resize": resize.DESCRIPTIONS[network.resize],
        "range": "uint8, then (x - 128) / 128", "frames": frames_protocol(networks.frame_step),
    }  # fmt: skip
    extract = of_frames(network, feature_extraction.frames_around_seams(networks.frame_step))
    both = Extraction(
        extract=extract, real_set=real_set, protocol=protocol, cache=networks.cache, pool=pool
    ).sets(pairs, FROZEN)  # fmt: skip
    sets = both.mapped(lambda features: _first_columns(features, network.num_features))
    one_frame = {**protocol, "frames": "one random frame of each video, the same of both"}
    return [
        *_inception_score_results(both, network.num_features, n, protocol, seed),
        frechet_result("fid", sets, protocol, limits, ddof=1, seed=seed),
        frechet_result("fid_one_frame", sets.one_row_per_video(seed), one_frame, limits, ddof=1, seed=seed),
        kernel_result("kid", sets, protocol, limits, seed=seed),
    ]


def frames_protocol(step: int) -> str:
    """Description of `feature_extraction.frames_around_seams`."""
    if step == 1:
        return "all valid ones"
    chosen = feature_extraction.frames_around_seams(step)(4 * step)
    return (
        f"in the middle of each clip of {step} and beside its seams: {', '.join(map(str, chosen))}, ... as far as valid"
    )


def _first_columns(features: Features, count: int) -> Features:
    return Features(values_ND=np.ascontiguousarray(features.values_ND[:, :count]), extractor=features.extractor)


def _inception_score_results(
    sets: FeatureSets, num_features: int, n: int, protocol: Protocol, seed: int
) -> list[MetricResult]:
    score, of_real = (
        inception_score(features.values_ND[:, num_features:], sets.groups, seed=seed)
        for features in (sets.fake, sets.real)
    )
    shared: dict[str, ProtocolValue] = {
        **protocol, "splits": score.description(seed), "logits": "1008 of TensorFlow's, without bias",
        "items": sets.fake.count,
    }  # fmt: skip
    controls = {"real": of_real.mean, "deviation_of_splits": score.deviation}
    return [
        MetricResult(
            name="inception_score", value=score.mean, better="higher", n_real=n, n_fake=n, protocol=shared,
            controls=controls, caution="not informative for letters and faces: its classes are those of ImageNet",
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
    names = [name for frames in lengths or FVD_LENGTHS[:1] for name in (f"fvd{frames}", f"kvd{frames}")]
    if network is None or not lengths:
        reason = _no_weights("i3d") if network is None else f"videos of {length} frames; allowed: 16 or more"
        return [unavailable(name, reason, better="lower", n_real=n, n_fake=n) for name in names]
    if n < limits.kernel_min:
        return [too_few(name, n, limits.kernel_min) for name in names]
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
    order = np.random.default_rng(seed).permutation(pairs.real_NTHWC.shape[1])
    shuffle = feature_extraction.shuffle(order[order < frames])
    sets = Extraction(
        extract=of_videos(network, frames), real_set=real_set, protocol=protocol, cache=networks.cache, pool=pool
    ).sets(pairs, {**FROZEN, "shuffled_frames": (f"shuffled with seed {seed}", shuffle)})  # fmt: skip
    return [
        frechet_result(f"fvd{frames}", sets, protocol, networks.limits, ddof=0, seed=seed),
        kernel_result(f"kvd{frames}", sets, protocol, networks.limits, seed=seed),
    ]


def _lpips_result(pairs: VideoPairs, network: Lpips | None, seed: int) -> MetricResult:
    if network is None:
        return unavailable("lpips", _no_weights("lpips"), better="lower", n_real=len(pairs), n_fake=len(pairs))
    protocol: dict[str, ProtocolValue] = {
        "network": network.name, "weights_sha256": network.digest, "resize": "none", "range": "0..255",
    }  # fmt: skip
    return _paired_result("lpips", network, pairs, protocol, seed)


def _paired_result(
    name: str, distance: FrameDistance, pairs: VideoPairs, protocol: Protocol, seed: int
) -> MetricResult:
    """A distance of each generated frame to the real one."""
    n = len(pairs)
    values, copied = (_per_video(distance, pairs, copy_first=copy) for copy in (False, True))
    mean, undefined = mean_defined(values)
    assert mean is not None
    return MetricResult(
        name=name, value=mean, better="lower", n_real=n, n_fake=n, num_undefined=undefined,
        interval=bootstrap_mean(values, seed), controls={"copy_first": float(copied.mean())},
        protocol={**protocol, "reduction": "mean over valid frames, then over videos"},
    )  # fmt: skip


def _per_video(distance: FrameDistance, pairs: VideoPairs, *, copy_first: bool) -> Floats:
    per_frame = np.zeros(pairs.real_NTHWC.shape[:2])
    for rows in blocks(len(per_frame), 1, pairs.real_NTHWC, pairs.fake_NTHWC):
        real = pairs.real_NTHWC[rows]
        other = hold_first_frame(real) if copy_first else pairs.fake_NTHWC[rows]
        per_frame[rows] = distance(real[0], other[0])
    return image_quality.mean_over_frames(per_frame, pairs.valid)


def _lite2_results(
    pairs: VideoPairs, networks: PretrainedNetworks, real_set: Protocol, seed: int, pool: RealPool | None
) -> list[MetricResult]:
    """Distances in ImageNet features: of frames, of videos (features and their changes), and of paired frames."""
    n, network, limits = len(pairs), networks.lite2, networks.limits
    if network is None:
        return [unavailable(name, networks.no_lite2, better="lower", n_real=n, n_fake=n) for name in LITE2_METRICS]
    protocol: dict[str, ProtocolValue] = {
        "network": network.name, "weights_sha256": network.digest, "range": "(x - 127) / 128",
        "resize": f"bilinear to {network.size}", "note": "EfficientNet-Lite2: neither FID, KID nor LPIPS",
    }  # fmt: skip
    paired = _paired_result("imagenet_lite2_distance", network.distance, _seam_frames(pairs, networks.frame_step),
                            {**protocol, "frames": frames_protocol(networks.frame_step)}, seed)  # fmt: skip
    if n < limits.kernel_min:
        return [*(too_few(name, n, limits.kernel_min) for name in LITE2_METRICS[:-1]), paired]
    return [*_lite2_distances(pairs, networks, network, protocol, real_set, seed, pool), paired]


def _seam_frames(pairs: VideoPairs, step: int) -> VideoPairs:
    """The selected frames of all videos as videos."""
    select = feature_extraction.frames_around_seams(step)
    index = select(pairs.real_NTHWC.shape[1])
    index = np.concatenate([[0], index[index > 0]])  # the first frame, which copying it needs
    valid = np.maximum((index[None, :] < pairs.num_valid_N[:, None]).sum(axis=1), 1)
    return VideoPairs(real_NTHWC=pairs.real_NTHWC[:, index], fake_NTHWC=pairs.fake_NTHWC[:, index], num_valid_N=valid)


def _lite2_distances(
    pairs: VideoPairs,
    networks: PretrainedNetworks,
    network: Lite2,
    protocol: Protocol,
    real_set: Protocol,
    seed: int,
    pool: RealPool | None,
) -> list[MetricResult]:
    frames: dict[str, ProtocolValue] = {**protocol, "frames": frames_protocol(networks.frame_step)}
    extract = of_frames(network, feature_extraction.frames_around_seams(networks.frame_step))
    order = np.random.default_rng(seed).permutation(pairs.real_NTHWC.shape[1])
    shuffled = {"shuffled_frames": (f"shuffled with seed {seed}", feature_extraction.shuffle(order))}
    sets = Extraction(extract=extract, real_set=real_set, protocol=frames, cache=networks.cache, pool=pool).sets(
        pairs, {**FROZEN, **shuffled}
    )
    videos = {**frames, "features": "of each video: mean over its frames, and mean absolute change between them"}
    changes = sets.one_row_per_video_over_time()
    return [
        frechet_result("imagenet_lite2_fd", sets, frames, networks.limits, ddof=1, seed=seed),
        kernel_result("imagenet_lite2_kd", sets, frames, networks.limits, seed=seed),
        frechet_result("imagenet_lite2_video_fd", changes, videos, networks.limits, ddof=1, seed=seed),
        kernel_result("imagenet_lite2_video_kd", changes, videos, networks.limits, seed=seed),
    ]
