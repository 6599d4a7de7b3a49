"""Events of the ten published clips of the Phonics dataset against what a person read from their frames."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from cssgan.metrics import events
from cssgan.metrics.events import EventSpec, Times
from phonics_data.contract.video import decode_video

ONCE = {
    "word_completes", "letter_appears", "object_unrolls", "object_enters", "word_enters", "object_before_leaves",
    "object_leaves",
}  # fmt: skip
SPEC = EventSpec()
TOLERANCE_SECONDS = SPEC.tolerance_seconds
Interval = tuple[float, float]
Clips = dict[str, tuple[np.ndarray, float, list[Interval], list[Interval]]]


@pytest.fixture(scope="module", name="clips")
def _clips(shared_data: Path) -> Clips:
    """file -> frames, frames per second, intervals of what happens once, intervals in which a letter bends."""
    folder = shared_data / "paper" / "dataset-samples"
    if not (folder / "events.csv").is_file():
        pytest.skip(f"no clips of the Phonics dataset at {folder}")
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    with (folder / "events.csv").open() as file:
        for row in csv.DictReader(file):
            rows[row["file"]].append(row)
    out: Clips = {}
    for name, found in rows.items():
        rate = float(found[0]["frames_per_second"])
        times = [(row["event"], int(row["first_frame"]) / rate, int(row["last_frame"]) / rate) for row in found]
        kinds = {kind for kind, *_ in times}
        once = [(start, end) for kind, start, end in times if kind in ONCE]
        if "scene_before" in kinds and "letter_appears" not in kinds:
            cut = max(end for kind, _, end in times if kind == "scene_before") + 1 / rate
            once.append((cut, cut))
        merged: list[Interval] = []
        for start, end in sorted(once):
            if merged and start <= merged[-1][1] + TOLERANCE_SECONDS:
                merged[-1] = (merged[-1][0], max(merged[-1][1], end))
            else:
                merged.append((start, end))
        bends = [(start, end) for kind, start, end in times if kind == "letter_bends"]
        out[name] = (decode_video((folder / name).read_bytes()), rate, merged, bends)
    return out


def _near(time: float, intervals: list[Interval]) -> bool:
    return any(start - TOLERANCE_SECONDS <= time <= end + TOLERANCE_SECONDS for start, end in intervals)


def _counts(found: dict[str, Times], clips: Clips) -> tuple[float, float]:
    """Recall and precision. Peaks while a letter bends are neither right nor wrong: it moves slowly and returns."""
    hits = total = right = wrong = 0
    for name, (_, _, once, bends) in clips.items():
        hits += sum(any(_near(time, [interval]) for time in found[name]) for interval in once)
        total += len(once)
        right += sum(_near(time, once) for time in found[name])
        wrong += sum(not _near(time, once) and not _near(time, bends) for time in found[name])
    return hits / total, right / max(1, right + wrong)


def test_what_happens_once_is_found_better_than_by_evenly_placed_events(
    clips: Clips,
) -> None:
    found = {name: events.event_times(frames, rate, SPEC) for name, (frames, rate, _, _) in clips.items()}
    even = events.evenly_placed(
        list(found.values()), np.array([len(frames) / rate for frames, rate, *_ in clips.values()])
    )
    recall, precision = _counts(found, clips)
    even_recall, even_precision = _counts(dict(zip(found, even, strict=True)), clips)
    assert recall >= 0.8
    assert precision >= 0.7
    assert even_recall < recall - 0.3
    assert even_precision < precision - 0.3


def test_still_cards_zooms_and_beating_wings(
    clips: Clips,
) -> None:
    times = {name: events.event_times(clips[name][0], clips[name][1], SPEC) for name in clips}
    assert not len(times["115_0.mp4"])
    assert times["2_8.mp4"].tolist() == pytest.approx([1 / 24])  # the cut at the beginning, then a zoom
    assert len(times["301_16.mp4"]) <= 1
    assert times["62_5.mp4"].tolist() == pytest.approx([19 / 29.97], abs=0.04)  # the camera drifts all the time
