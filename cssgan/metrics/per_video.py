"""Metrics of each single video, for paired comparisons of models (`cssgan.study.significance`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cssgan.metrics import feature_extraction, image_quality, motion
from cssgan.metrics.networks.random_features import rand3d
from cssgan.metrics.videos import Floats, VideoPairs
from cssgan.types import EvalWindows
from phonics_data.errors import InputError

FORMAT = 2
"""Version of the file. `cssgan study` evaluates runs with another version again."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PerVideo:
    """One row per video.

    Args:
        keys, sources: clip and source video of each row.
        values: metric -> float64 (N,); NaN where a metric is not defined. ``l1``, ``ssim``, ``seam_ratio``,
            ``motion_ratio`` (relative to the real video) are the values per video of the metrics of the same names.
            ``copy_first_l1``: L1 of the held first frame. ``seam_deviation`` and ``motion_deviation``: see `deviation`.
            `cssgan.evaluation` adds those of synchrony, of events and of evaluators.
        real_ND, fake_ND: features of the random video network ``rfd_3d``, not scaled.
        extractor: name and digest of that network.
    """

    keys: tuple[str, ...]
    sources: tuple[str, ...]
    values: Mapping[str, Floats]
    real_ND: Floats
    fake_ND: Floats
    extractor: str


def per_video(pairs: VideoPairs, data: EvalWindows, *, clip_frames: int, stride: int = 1) -> PerVideo:
    """The rows of an evaluated set.

    Args:
        clip_frames: frames of one clip of the cascade.
        stride: see `cssgan.metrics.motion.seam_ratios`.
    """
    real, fake, use = pairs.real_NTHWC, pairs.fake_NTHWC, motion.motion_mask(pairs.valid)
    real_NK, fake_NK = motion.motion_curves(real), motion.motion_curves(fake)
    real_motion, fake_motion = motion.mean_motion(real_NK, use), motion.mean_motion(fake_NK, use)
    static = real_motion <= motion.STILL_GREY_LEVELS
    real_seam, fake_seam = motion.seam_ratios(pairs, clip_frames, stride)
    copied = image_quality.copy_first_baseline(image_quality.l1, real)
    network = rand3d()
    real_features, fake_features = (
        feature_extraction.video_features(network, videos, pairs.num_valid_N) for videos in (real, fake)
    )
    return PerVideo(
        keys=data.keys,
        sources=data.video_ids,
        values={
            "l1": image_quality.mean_over_frames(image_quality.l1(real, fake), pairs.valid),
            "copy_first_l1": image_quality.mean_over_frames(copied, pairs.valid),
            "ssim": image_quality.mean_over_frames(image_quality.ssim(real, fake), pairs.valid),
            "seam_ratio": fake_seam,
            "seam_deviation": deviation(fake_seam, real_seam),
            "motion_ratio": np.where(static, np.nan, fake_motion / np.where(static, 1.0, real_motion)),
            "motion_deviation": deviation(
                fake_motion + motion.STILL_GREY_LEVELS, np.where(static, np.nan, real_motion + motion.STILL_GREY_LEVELS)
            ),
        },
        real_ND=real_features.values_ND,
        fake_ND=fake_features.values_ND,
        extractor=network.name,
    )


def deviation(fake_N: Floats, real_N: Floats) -> Floats:
    """|log (generated / real)| of each video, float64 (N,): 0 is the real value, and half and double are equally far.

    For metrics whose aim is the value of the real video, such as the seam ratio.
    """
    return np.abs(np.log(fake_N / real_N))


def write(rows: PerVideo, path: Path) -> None:
    """Write parquet: key, source, one column per metric, and the features as lists."""
    columns: dict[str, object] = {"key": list(rows.keys), "source": list(rows.sources), **rows.values}
    columns |= {"rfd_3d_real": rows.real_ND.tolist(), "rfd_3d_fake": rows.fake_ND.tolist()}
    table = pa.table(columns).replace_schema_metadata({"extractor": rows.extractor, "format": str(FORMAT)})
    pq.write_table(table, path)


def read(path: Path) -> PerVideo:
    """Read a file of `write`.

    Raises:
        InputError: the file cannot be read, or has another format.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read ({error}); run `cssgan evaluate --per-video` again") from error
    metadata = table.schema.metadata or {}
    if (found := metadata.get(b"format", b"1").decode()) != str(FORMAT):
        raise InputError(
            f"{path}: got format {found}, allowed: {FORMAT}; run `cssgan evaluate --per-video` again with this version"
        )
    other_columns = {"key", "source", "rfd_3d_real", "rfd_3d_fake"}
    return PerVideo(
        keys=tuple(table["key"].to_pylist()),
        sources=tuple(table["source"].to_pylist()),
        values={name: table[name].to_numpy() for name in table.column_names if name not in other_columns},
        real_ND=np.array(table["rfd_3d_real"].to_pylist()),
        fake_ND=np.array(table["rfd_3d_fake"].to_pylist()),
        extractor=metadata[b"extractor"].decode(),
    )
