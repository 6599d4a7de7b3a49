"""Event measures on controls and corruptions of real clips: the tables of docs/metrics.md.

``python -m benchmarks.events`` reads the published clips and the one-letter videos from the folder in
PHONICS_SHARED_DATA; ``python -m benchmarks.events SONGS`` reads a folder of `phonics-data render`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from cssgan.metrics import controls, region_truth
from cssgan.metrics.corruptions import corruption_table
from cssgan.metrics.event_results import event_results
from cssgan.metrics.videos import VideoPairs, Videos, hold_first_frame
from cssgan.types import EvalWindows
from phonics_data.contract.labels import LETTERS
from phonics_data.contract.sample import Frames
from phonics_data.contract.video import decode_video
from phonics_data.media import probe

SIZE = 64
MAX_SONGS = 3
LEAD_SECONDS = 0.2
"""Rendered phrases are cut this long before their first event."""
MEASURES = ("event_match", "event_f1", "persistence", "object_similarity", "flicker_share")


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    frames: Frames
    rate: float
    source: str
    start_seconds: float = 0.0
    word: str = ""


def squashed(path: Path) -> Frames:
    frames = decode_video(path.read_bytes())
    if frames.shape[1:3] == (SIZE, SIZE):
        return frames
    return np.stack([cv2.resize(frame, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for frame in frames]).astype(
        np.uint8
    )


def published(folder: Path) -> Iterator[Clip]:
    table = pd.read_csv(folder / "events.csv").drop_duplicates("file")
    for file, word, rate in zip(table["file"], table["word"], table["frames_per_second"], strict=True):
        yield Clip(frames=squashed(folder / file), rate=float(rate), source=str(file).split("_")[0], word=str(word))


def one_letter(folder: Path) -> Iterator[Clip]:
    """The second and the last third of each video, about a phrase each."""
    for path in sorted(folder.glob("*.mp4")):
        frames = squashed(path)
        third = len(frames) // 3
        for start in (third, 2 * third):
            yield Clip(frames=frames[start : start + third], rate=30.0, source="one-letter")


def rendered(folder: Path) -> Iterator[Clip]:
    events = pd.read_parquet(folder / "events.parquet")
    for video_id in sorted(events["video_id"].unique())[:MAX_SONGS]:
        path = folder / f"{video_id}.mp4"
        frames, rate = squashed(path), float(probe(path).frame_rate)
        starts = events[events["video_id"] == video_id].groupby("phrase")["start_seconds"].min().to_numpy()
        for start, end in zip(starts, [*starts[1:], len(frames) / rate], strict=True):
            first, last = (max(0, round((float(time) - LEAD_SECONDS) * rate)) for time in (start, end))
            yield Clip(frames=frames[first:last], rate=rate, source=str(video_id), start_seconds=first / rate)


def windows(clips: list[Clip]) -> EvalWindows:
    count, longest = len(clips), max(len(clip.frames) for clip in clips)
    videos = np.stack([clip.frames[np.minimum(np.arange(longest), len(clip.frames) - 1)] for clip in clips])
    silence = np.zeros((count, longest, 1, 1), np.float32)
    return EvalWindows(
        keys=tuple(map(str, range(count))),
        video_ids=tuple(clip.source for clip in clips),
        label_set=LETTERS,
        labels_N=np.zeros(count, np.int64),
        video_NTHWC=videos,
        raw_mels_NTMU=silence,
        mels_NTMU=silence,
        num_valid_N=np.array([len(clip.frames) for clip in clips], np.int64),
        frame_rates=tuple(Fraction(clip.rate).limit_denominator(1001) for clip in clips),
        start_seconds=tuple(clip.start_seconds for clip in clips),
        object_words=tuple(clip.word for clip in clips),
    )


def sets(data: EvalWindows) -> Iterator[tuple[str, Videos]]:
    """Controls and corruptions of the real clips."""
    real, rates_N = data.video_NTHWC, np.array([float(rate) for rate in data.frame_rates])
    held = hold_first_frame(real)
    yield "real", real
    yield "first frame held", held
    # At random onsets, two a second: these clips are measured without their sound.
    rng = np.random.default_rng(0)
    onset_NT = (rng.random(real.shape[:2]) < 2.0 / rates_N[:, None]) * rng.random(real.shape[:2])
    yield "flash", controls.flash(real[:, 0], onset_NT)
    noisy = held + 12.0 * rng.standard_normal(held.shape, np.float32)
    yield "first frame held, noise", np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    others = controls.ControlVideos(data=data)
    for name in ("song_mean", "mismatched"):
        yield name, others.read(name, slice(0, len(data)))
    for corruption in corruption_table():
        if corruption.corrupt is not None:
            yield corruption.title, corruption.corrupt(real, rates_N, np.random.default_rng(0))


def table(clips: list[Clip], truth: region_truth.RegionTruth | None = None) -> None:
    """Print one line for each set of videos."""
    data = windows(clips)
    regions = [""] if truth is None else ["", "_object", "_word"]
    names = [name + region for region in regions for name in MEASURES if not (region and name == "flicker_share")]
    if any(data.object_words):
        names.append("word_read")
    print("| videos | " + " | ".join(names) + " |\n|" + " --- |" * (len(names) + 1))  # noqa: T201
    for title, videos in sets(data):
        pairs = VideoPairs(real_NTHWC=data.video_NTHWC, fake_NTHWC=videos, num_valid_N=data.num_valid_N)
        found = {result.name: result for result in event_results(pairs, data, {}, truth=truth).results}
        cells: list[str] = []
        for name in names:
            result = found[name]
            text = "-" if result.value is None else f"{result.value:.2f}"
            if name == "event_match" and result.interval is not None:
                text += " ({:.2f} to {:.2f})".format(*result.interval)
            cells.append(text)
        print(f"| {title} | " + " | ".join(cells) + " |", flush=True)  # noqa: T201


def main() -> None:
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1])
        table(list(rendered(folder)), region_truth.read(folder))
        return
    shared = Path(os.environ["PHONICS_SHARED_DATA"])
    table(list(published(shared / "paper" / "dataset-samples")))
    table(list(one_letter(shared / "media" / "one-letter")))


if __name__ == "__main__":
    main()
