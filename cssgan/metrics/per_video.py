"""What is measured of each video alone, for comparisons of models over the same videos (`cssgan.study.significance`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cssgan.metrics import feature_extraction, motion, paired, synchrony
from cssgan.metrics.networks.random_features import rand3d
from cssgan.metrics.synchrony import SynchronySpec
from cssgan.metrics.videos import Floats, VideoPairs
from cssgan.types import EvalWindows


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PerVideo:
    """One row a video.

    Args:
        keys, sources: short video and source video of each row.
        values: measure -> float64 (N,); NaN where a video does not define it. ``l1``, ``ssim``, ``seam_ratio``,
            ``motion_ratio`` (over the real video's), ``onset_motion_correlation`` and ``sync_auc`` (share of rival
            sounds that its own beats) are the parts of `evaluate`'s measures of the same names; where there are evaluators,
            theirs (`cssgan.evaluators.suite`) stand beside them.
        real_ND, fake_ND: features of the random video network ``rfd_3d``, not scaled.
        extractor: name and digest of that network.
    """

    keys: tuple[str, ...]
    sources: tuple[str, ...]
    values: Mapping[str, Floats]
    real_ND: Floats
    fake_ND: Floats
    extractor: str


def per_video(
    pairs: VideoPairs, data: EvalWindows, onset_NT: Floats, *, clip_frames: int, spec: SynchronySpec
) -> PerVideo:
    """The rows of an evaluated set.

    Args:
        onset_NT: onset curve of each video's sound.
    """
    real, fake, use = pairs.real_NTHWC, pairs.fake_NTHWC, motion.motion_mask(pairs.valid)
    moved = {name: motion.motion_curves(videos) for name, videos in (("real", real), ("fake", fake))}
    onset_NK = onset_NT[:, 1:]
    lags = synchrony.allowed_lags(moved["real"], onset_NK, use, spec)
    score_NN, _ = synchrony.scores(moved["fake"], onset_NK, use, lags)
    negatives_NN = synchrony.negatives(data.video_ids)
    amount = {name: motion.mean_motion(curves, use) for name, curves in moved.items()}
    still = amount["real"] <= motion.STILL_GREY_LEVELS
    num_rivals = negatives_NN.sum(axis=1)
    own = (synchrony.pairwise_wins(score_NN) * negatives_NN).sum(axis=1)
    network = rand3d()
    features = {
        name: feature_extraction.of_videos(network, videos, pairs.num_valid_N).values_ND
        for name, videos in (("real", real), ("fake", fake))
    }
    return PerVideo(
        keys=data.keys,
        sources=data.video_ids,
        values={
            "l1": paired.over_frames(paired.l1(real, fake), pairs.valid),
            "ssim": paired.over_frames(paired.ssim(real, fake), pairs.valid),
            "seam_ratio": motion.seam_ratio(moved["fake"], use, clip_frames),
            "motion_ratio": np.where(still, np.nan, amount["fake"] / np.where(still, 1.0, amount["real"])),
            "onset_motion_correlation": np.diag(score_NN).copy(),
            "sync_auc": np.where(num_rivals > 0, own / np.maximum(num_rivals, 1), np.nan),
        },
        real_ND=features["real"],
        fake_ND=features["fake"],
        extractor=network.name,
    )


def write(rows: PerVideo, path: Path) -> None:
    """As parquet: key, source, one column a measure, and the features as lists."""
    columns: dict[str, object] = {"key": list(rows.keys), "source": list(rows.sources), **rows.values}
    columns |= {"rfd_3d_real": rows.real_ND.tolist(), "rfd_3d_fake": rows.fake_ND.tolist()}
    table = pa.table(columns).replace_schema_metadata({"extractor": rows.extractor})
    pq.write_table(table, path)


def read(path: Path) -> PerVideo:
    """What `write` wrote. Raises `OSError` or `KeyError` for another file."""
    table = pq.read_table(path)
    known = {"key", "source", "rfd_3d_real", "rfd_3d_fake"}
    return PerVideo(
        keys=tuple(table["key"].to_pylist()),
        sources=tuple(table["source"].to_pylist()),
        values={name: table[name].to_numpy() for name in table.column_names if name not in known},
        real_ND=np.array(table["rfd_3d_real"].to_pylist()),
        fake_ND=np.array(table["rfd_3d_fake"].to_pylist()),
        extractor=(table.schema.metadata or {})[b"extractor"].decode(),
    )
