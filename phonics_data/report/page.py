"""report.html: a dataset on one page that needs nothing else, neither files nor network."""

from __future__ import annotations

import base64
import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phonics_data.contract.sample import Frames, Sample
from phonics_data.contract.shard import decode, read_members
from phonics_data.dataset.layout import REJECTIONS, REPORT, SUMS, MetadataRow, read_description, read_metadata
from phonics_data.media import encode_mp4
from phonics_data.quality.split import SPLITS
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import write_bytes
from phonics_data.types import Rejection

CLIPS_A_LABEL = 6
CLIPS_IN_DOUBT = 12
CERTAIN = 0.9
"""Clips of at least this confidence are not shown among the least certain ones."""
FRAMES_A_CLIP = 6
TALLEST_PIXELS = 96


@dataclass(frozen=True, kw_only=True, slots=True)
class Strip:
    """One clip on a contact sheet."""

    row: MetadataRow
    picture: str
    """``data:`` address of a JPEG: frames from the clip's first to its last, side by side."""
    poster: str
    """``data:`` address of a JPEG: the first frame."""
    film: str
    """``data:`` address of the clip itself as an MP4 with sound."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """All that the page shows of one class."""

    label: str
    numbers: tuple[int, ...]
    """Clips in train, validation, test."""
    strips: tuple[Strip, ...]


def write_report(dataset: Path) -> Path:
    """Write DATASET/report.html: counts, durations, rejections, and a contact sheet for each class.

    A page that was made of the same files is kept.

    Raises:
        DatasetError: the folder is no finished dataset.
    """
    import jinja2

    description = read_description(dataset)
    rows = read_metadata(dataset)
    path = dataset / REPORT
    key = _key(dataset)
    if path.is_file() and key in path.read_text(errors="replace")[:1000]:
        return path
    rejections = read_table(dataset / REJECTIONS, Rejection)
    doubtful, sheets = _sheets(dataset, rows, description["label_set"]["names"])
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("phonics_data.report", "."), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("page.html.j2").render(
        key=key,
        description=description,
        splits=SPLITS,
        doubtful=doubtful,
        sheets=sheets,
        lengths=_histogram([row.duration_seconds for row in rows]),
        confidences=_histogram([row.confidence for row in rows], ends=(0.0, 1.0), num_bins=20),
        rejections=sorted(Counter((row.stage, row.reason) for row in rejections).items()),
        flags=sorted(Counter(flag for row in rows for flag in row.flags.split(",") if flag).items()),
        sources=_sources(rows),
    )
    write_bytes(path, page.encode())
    return path


def _key(dataset: Path) -> str:
    """Names what the page is made of: the files of the dataset and this folder's program and template."""
    parts = [dataset / SUMS, Path(__file__), Path(__file__).with_name("page.html.j2")]
    return hashlib.sha256(b"".join(part.read_bytes() for part in parts if part.is_file())).hexdigest()


def _sheets(dataset: Path, rows: Sequence[MetadataRow], names: Sequence[str]) -> tuple[tuple[Strip, ...], list[Sheet]]:
    """(the least certain clips of all, a sheet for each class).

    The eye is needed most where confidence is low: such clips come first everywhere. The rest of a sheet is spread over
    the sources.
    """
    doubtful = [row for row in sorted(rows, key=_doubt) if row.confidence < CERTAIN][:CLIPS_IN_DOUBT]
    shown = {name: _chosen([row for row in rows if row.label == name]) for name in names}
    strips = _strips(dataset, [*doubtful, *(row for chosen in shown.values() for row in chosen)])
    sheets = [
        Sheet(
            label=name,
            numbers=tuple(sum(row.label == name and row.split == split for row in rows) for split in SPLITS),
            strips=tuple(strips[row.sample_id] for row in shown[name] if row.sample_id in strips),
        )
        for name in names
    ]
    return tuple(strips[row.sample_id] for row in doubtful if row.sample_id in strips), sheets


def _doubt(row: MetadataRow) -> tuple[float, str]:
    return row.confidence, row.sample_id


def _chosen(rows: Sequence[MetadataRow]) -> list[MetadataRow]:
    ordered = sorted(rows, key=_doubt)
    if len(ordered) <= CLIPS_A_LABEL:
        return ordered
    doubtful = CLIPS_A_LABEL // 2
    step = (len(ordered) - doubtful) / (CLIPS_A_LABEL - doubtful)
    rest = [ordered[doubtful + int(index * step)] for index in range(CLIPS_A_LABEL - doubtful)]
    return ordered[:doubtful] + rest


def _strips(dataset: Path, rows: Sequence[MetadataRow]) -> dict[str, Strip]:
    """Sample id -> its strip, reading each shard once."""
    wanted = {row.sample_id: row for row in rows}
    strips: dict[str, Strip] = {}
    for shard in sorted({row.shard for row in rows}):
        for key, members in read_members(dataset / shard):
            if key in wanted:
                sample = decode(key, members, where=shard)
                strips[key] = Strip(
                    row=wanted[key],
                    picture=_picture(strip_of(sample)),
                    poster=_picture(sample.frames_LHWC[0]),
                    film=_film(sample),
                )
    return strips


def strip_of(sample: Sample) -> Frames:
    """Frames of a clip side by side, evenly spaced from the first to the last, white gaps between: uint8 (H, W', 3)."""
    places = np.linspace(0, sample.num_frames - 1, min(FRAMES_A_CLIP, sample.num_frames)).round().astype(int)
    height, width = sample.frames_LHWC.shape[1:3]
    gap = np.full((height, max(1, width // 32), 3), 255, np.uint8)
    parts = [part for place in places for part in (gap, sample.frames_LHWC[place])]
    return np.concatenate(parts[1:], axis=1)


def _picture(picture: Frames) -> str:
    from PIL import Image

    image = Image.fromarray(picture)
    if image.height > TALLEST_PIXELS:
        image = image.resize((round(image.width * TALLEST_PIXELS / image.height), TALLEST_PIXELS))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return _data_address("image/jpeg", file.getvalue())


def _film(sample: Sample) -> str:
    film = encode_mp4(sample.frames_LHWC, sample.frame_rate, sample.audio_N, sample.audio_rate_hz, crf=28)
    return _data_address("video/mp4", film)


def _data_address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64," + base64.b64encode(content).decode()


def _histogram(
    values: Sequence[float], *, ends: tuple[float, float] | None = None, num_bins: int = 24
) -> dict[str, Any]:
    """Bars for the page: heights as shares of the highest, the two ends of the axis, and the median."""
    counts, edges = np.histogram(values, bins=num_bins, range=ends)
    return {
        "bars": [
            {"height": float(count / counts.max()), "count": int(count), "low": float(low), "high": float(high)}
            for count, low, high in zip(counts, edges, edges[1:], strict=False)
        ],
        "low": float(edges[0]),
        "high": float(edges[-1]),
        "median": float(np.median(values)),
    }


def _sources(rows: Sequence[MetadataRow]) -> list[tuple[str, str, int, float]]:
    """(video id, split, clips, mean confidence) of each source."""
    by_video: dict[str, list[MetadataRow]] = {}
    for row in rows:
        by_video.setdefault(row.video_id, []).append(row)
    return [
        (video_id, mine[0].split, len(mine), float(np.mean([row.confidence for row in mine])))
        for video_id, mine in sorted(by_video.items())
    ]
