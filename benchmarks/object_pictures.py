"""Object pictures from change against the truth of rendered songs: ``python -m benchmarks.object_pictures SONGS [--phrases 4]``.

Intersection over union (IoU) of the found box with the true box of the object late in its phrase, for the first phrases of each song;
controls: a centred box of the mean true size, and the true box of the next phrase of another song.
"""

from __future__ import annotations

import argparse
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from phonics_data.media import Samples, cut_segments, probe
from phonics_data.stages.shard.object_picture import (
    MAX_SAMPLES,
    SAMPLES_PER_SECOND,
    SOURCE_SIDE,
    find_object,
    read_lines,
)

_LATE = 0.75
Box = tuple[float, float, float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("songs", type=Path)
    parser.add_argument("--phrases", type=int, default=4)
    arguments = parser.parse_args()
    rows = _measure(arguments.songs, arguments.phrases)
    boxes = [row["truth"] for row in rows]
    width, height = (float(np.mean([box[side + 2] - box[side] for box in boxes])) for side in (0, 1))
    centre = (0.5 - width / 2, 0.5 - height / 2, 0.5 + width / 2, 0.5 + height / 2)
    _write("| style | clips | found | IoU over .7 | median IoU | centred box | other clip's box | reasons |")
    for style in [*sorted({row["style"] for row in rows}), "all"]:
        mine = [row for row in rows if style in (row["style"], "all")]
        found = [row for row in mine if row["iou"] is not None]
        others = [
            iou(
                row["truth"],
                next(other["truth"] for other in rows[rows.index(row) :] + rows if other["video"] != row["video"]),
            )
            for row in mine
        ]
        reasons: dict[str, int] = {}
        for row in mine:
            reasons[row["reason"]] = reasons.get(row["reason"], 0) + bool(row["reason"])
        median = np.median([row["iou"] for row in found]) if found else float("nan")
        _write(
            f"| {style} | {len(mine)} | {len(found)} | {sum(row['iou'] > 0.7 for row in found)} | {median:.2f} | "
            f"{np.median([iou(row['truth'], centre) for row in mine]):.2f} | {np.median(others):.2f} | "
            f"{', '.join(f'{name} {number}' for name, number in sorted(reasons.items()) if name)} |"
        )
    _write(f"seconds of processor time a clip: {np.mean([row['seconds'] for row in rows]):.3f}")


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _measure(songs: Path, num_phrases: int) -> list[dict[str, Any]]:
    truth = pq.read_table(songs / "truth.parquet").to_pylist()
    regions = [row for row in pq.read_table(songs / "regions.parquet").to_pylist() if row["region"] == "object"]
    rows: list[dict[str, Any]] = []
    for video in sorted({row["video_id"] for row in truth}):
        phrases = sorted((row for row in truth if row["video_id"] == video), key=lambda row: row["start_seconds"])
        phrases = phrases[:num_phrases]
        media = songs / f"{video}.mp4"
        clips = cut_segments(
            media,
            [(row["start_seconds"], row["end_seconds"]) for row in phrases],
            frame_rate=Fraction(probe(media).frame_rate or 25),
            width=64,
            height=64,
            audio_rate_hz=16_000,
            samples=Samples(per_second=SAMPLES_PER_SECOND, max_number=MAX_SAMPLES, max_side=SOURCE_SIDE),
        )
        for clip in clips:
            late = clip.start_seconds + _LATE * (clip.end_seconds - clip.start_seconds)
            box = _true_box(regions, video, late)
            if box is None:
                continue
            started = time.process_time()
            found = find_object(clip.samples_THWC, read_lines)
            rows.append(
                {
                    "video": video,
                    "style": phrases[clip.index]["style"],
                    "truth": box,
                    "iou": iou(found.box, box) if found.box else None,
                    "reason": found.reason,
                    "seconds": time.process_time() - started,
                }
            )
    return rows


def _true_box(regions: list[dict[str, Any]], video: str, seconds: float) -> Box | None:
    for row in regions:
        if row["video_id"] == video and row["start_seconds"] <= seconds < row["end_seconds"]:
            return row["left"], row["top"], row["right"], row["bottom"]
    return None


def iou(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = max(min(one[2], other[2]) - max(one[0], other[0]), 0.0)
    height = max(min(one[3], other[3]) - max(one[1], other[1]), 0.0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (areas - width * height)


if __name__ == "__main__":
    main()
