"""Regions of rendered songs: what `phonics-data render` writes beside its manifest.

``regions.parquet``: video_id, region (letter, object, word), start_seconds, end_seconds, left, top, right, bottom as
fractions of the frame. ``events.parquet``: video_id, phrase, style, event, region, start_seconds, end_seconds, lasting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cssgan.metrics.videos import Floats, Ints, Mask

REGIONS = ("letter", "object", "word")
EVENT_COLUMNS = ("video_id", "phrase", "style", "event", "region", "start_seconds", "end_seconds", "lasting")
REGION_COLUMNS = ("video_id", "region", "start_seconds", "end_seconds", "left", "top", "right", "bottom")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RegionTruth:
    """The table of regions, read by `read`."""

    regions: pd.DataFrame

    def masks(
        self,
        region: str,
        video_ids: Sequence[str],
        start_seconds: Sequence[float],
        num_frames_N: Ints,
        frames_per_second_N: Floats,
        height: int,
        width: int,
    ) -> Mask:
        """bool (N, H, W): pixels of a region at any time of each window.

        The union over the window, because a mask that appears with the object would tell when it appears.
        """
        out = np.zeros((len(video_ids), height, width), np.bool_)
        tables = dict(tuple(self.regions[self.regions["region"] == region].groupby("video_id")))
        for n, video_id in enumerate(video_ids):
            table = tables.get(video_id)
            if table is None:
                continue
            start = start_seconds[n]
            end = start + num_frames_N[n] / frames_per_second_N[n]
            for row in table[(table["start_seconds"] < end) & (table["end_seconds"] > start)].itertuples():
                box: tuple[float, ...] = (row.left, row.top, row.right, row.bottom)  # type: ignore[assignment]
                left, right = (int(np.floor(box[0] * width)), int(np.ceil(box[2] * width)))
                top, bottom = (int(np.floor(box[1] * height)), int(np.ceil(box[3] * height)))
                out[n, max(top, 0) : bottom, max(left, 0) : right] = True
        return out


def read(folder: Path) -> RegionTruth | None:
    """The regions of a folder of rendered songs; None if it has no tables of events and regions.

    Raises:
        ValueError: a table lacks a column.
    """
    paths = {name: folder / f"{name}.parquet" for name in ("events", "regions")}
    if not all(path.is_file() for path in paths.values()):
        return None
    tables = {name: pd.read_parquet(path) for name, path in paths.items()}
    for name, columns in (("events", EVENT_COLUMNS), ("regions", REGION_COLUMNS)):
        if absent := sorted(set(columns) - set(tables[name].columns)):
            raise ValueError(f"{paths[name]}: lacks the columns {', '.join(absent)}; render the songs again")
    return RegionTruth(regions=tables["regions"])
