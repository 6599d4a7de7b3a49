"""report.html: an overview of a dataset as one self-contained HTML page."""

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

from phonics_data.contract.files import write_bytes
from phonics_data.contract.sample import Frames, Sample
from phonics_data.contract.shard import decode, read_members
from phonics_data.dataset.layout import (
    CHECKSUMS,
    REJECTIONS,
    REPORT,
    MetadataRow,
    rates_text,
    read_description,
    read_metadata,
)
from phonics_data.media import encode_mp4
from phonics_data.quality.split import used_splits
from phonics_data.report.limits import limit_effects, limit_line
from phonics_data.storage.tables import read_table
from phonics_data.types import Rejection

CLIPS_PER_CLASS = 6
NUM_UNCERTAIN = 12
CERTAIN = 0.9
"""Clips with at least this confidence are not listed as least certain."""
FRAMES_PER_STRIP = 6
MAX_HEIGHT = 96


@dataclass(frozen=True, kw_only=True, slots=True)
class Strip:
    """One clip on a contact sheet."""

    row: MetadataRow
    picture: str
    """``data:`` URL of a JPEG: frames of the clip side by side."""
    poster: str
    """``data:`` URL of a JPEG: the first frame."""
    video: str
    """``data:`` URL of the clip as an MP4 with audio."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """The contact sheet of one class."""

    label: str
    numbers: tuple[int, ...]
    """Numbers of clips in each split of the dataset."""
    strips: tuple[Strip, ...]


def write_report(dataset: Path) -> Path:
    """Write DATASET/report.html: counts, durations, rejections, and a contact sheet per class.

    A page generated from the same files is kept.

    Raises:
        DatasetError: the folder is not a finished dataset.
    """
    import jinja2

    description = read_description(dataset)
    rows = read_metadata(dataset)
    splits = used_splits(row.split for row in rows)
    path = dataset / REPORT
    key = _key(dataset)
    if path.is_file() and key in path.read_text(errors="replace")[:1000]:
        return path
    rejections = read_table(dataset / REJECTIONS, Rejection)
    uncertain, sheets = _sheets(dataset, rows, description["label_set"]["names"], splits)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("phonics_data.report", "."), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("page.html.j2").render(
        key=key,
        description=description,
        splits=splits,
        uncertain=uncertain,
        sheets=sheets,
        lengths=_histogram([row.duration_seconds for row in rows]),
        confidences=_histogram([row.confidence for row in rows], ends=(0.0, 1.0), num_bins=20),
        limits=limit_line(
            limit_effects(
                (row.rule for row in rows),
                rejections,
                min_confidence=description["options"]["filters"]["min_confidence"],
            )
        ),
        rates=rates_text(Counter(str(row.frame_rate) for row in rows)),
        fits=sorted(Counter(row.fit for row in rows).items()),
        rejections=sorted(Counter((row.stage, row.reason) for row in rejections).items()),
        flags=sorted(Counter(flag for row in rows for flag in row.flags.split(",") if flag).items()),
        sources=_sources(rows),
    )
    write_bytes(path, page.encode())
    return path


def _key(dataset: Path) -> str:
    """Digest of the inputs of the page: the dataset's files, this module and the template."""
    parts = [dataset / CHECKSUMS, Path(__file__), Path(__file__).with_name("page.html.j2")]
    return hashlib.sha256(b"".join(part.read_bytes() for part in parts if part.is_file())).hexdigest()


def _sheets(
    dataset: Path, rows: Sequence[MetadataRow], names: Sequence[str], splits: Sequence[str]
) -> tuple[tuple[Strip, ...], list[Sheet]]:
    """(the least certain clips of the dataset, a sheet per class)."""
    ordered = sorted(rows, key=lambda row: (row.confidence, row.sample_id))
    uncertain = [row for row in ordered if row.confidence < CERTAIN][:NUM_UNCERTAIN]
    shown = {name: _chosen([row for row in ordered if row.label == name]) for name in names}
    strips = _strips(dataset, [*uncertain, *(row for chosen in shown.values() for row in chosen)])
    sheets = [
        Sheet(
            label=name,
            numbers=tuple(sum(row.label == name and row.split == split for row in rows) for split in splits),
            strips=tuple(strips[row.sample_id] for row in shown[name] if row.sample_id in strips),
        )
        for name in names
    ]
    return tuple(strips[row.sample_id] for row in uncertain if row.sample_id in strips), sheets


def _chosen(ordered: list[MetadataRow]) -> list[MetadataRow]:
    """At most `CLIPS_PER_CLASS` rows: half of them the first, the others evenly spaced. `ordered` is by confidence."""
    if len(ordered) <= CLIPS_PER_CLASS:
        return ordered
    num_first = CLIPS_PER_CLASS // 2
    step = (len(ordered) - num_first) / (CLIPS_PER_CLASS - num_first)
    return ordered[:num_first] + [
        ordered[num_first + int(index * step)] for index in range(CLIPS_PER_CLASS - num_first)
    ]


def _strips(dataset: Path, rows: Sequence[MetadataRow]) -> dict[str, Strip]:
    """Sample id -> strip. Each shard is read once."""
    wanted = {row.sample_id: row for row in rows}
    strips: dict[str, Strip] = {}
    for shard in sorted({row.shard for row in rows}):
        for key, members in read_members(dataset / shard):
            if key in wanted:
                sample = decode(key, members, where=shard)
                strips[key] = Strip(
                    row=wanted[key],
                    picture=_jpeg(frame_strip(sample)),
                    poster=_jpeg(sample.frames_LHWC[0]),
                    video=_mp4(sample),
                )
    return strips


def frame_strip(sample: Sample) -> Frames:
    """Evenly spaced frames of a clip side by side, first and last included, with white gaps: uint8 (H, W', 3)."""
    indices = np.linspace(0, sample.num_frames - 1, min(FRAMES_PER_STRIP, sample.num_frames)).round().astype(int)
    height, width = sample.frames_LHWC.shape[1:3]
    gap = np.full((height, max(1, width // 32), 3), 255, np.uint8)
    parts = [part for index in indices for part in (gap, sample.frames_LHWC[index])]
    return np.concatenate(parts[1:], axis=1)


def _jpeg(frame_HWC: Frames) -> str:
    from PIL import Image

    image = Image.fromarray(frame_HWC)
    if image.height > MAX_HEIGHT:
        image = image.resize((round(image.width * MAX_HEIGHT / image.height), MAX_HEIGHT))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return _data_url("image/jpeg", file.getvalue())


def _mp4(sample: Sample) -> str:
    video = encode_mp4(sample.frames_LHWC, sample.frame_rate, sample.audio_N, sample.audio_rate_hz, crf=28)
    return _data_url("video/mp4", video)


def _data_url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64," + base64.b64encode(content).decode()


def _histogram(
    values: Sequence[float], *, ends: tuple[float, float] | None = None, num_bins: int = 24
) -> dict[str, Any]:
    """Bars with heights relative to the highest one, both ends of the axis, and the median."""
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
        (video_id, clips[0].split, len(clips), float(np.mean([row.confidence for row in clips])))
        for video_id, clips in sorted(by_video.items())
    ]
