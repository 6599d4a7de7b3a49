"""Events of the ten published clips of the Phonics dataset against what a person read from their frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.events import AnnotatedClip, count, read_annotations
from cssgan.metrics import events
from cssgan.metrics.events import EventSpec
from phonics_data.contract.video import decode_video

SPEC = EventSpec()
Clips = dict[str, tuple[np.ndarray, float, AnnotatedClip]]


@pytest.fixture(scope="module", name="clips")
def _clips(shared_data: Path) -> Clips:
    """Name -> frames, frames per second, annotations."""
    folder = shared_data / "paper" / "dataset-samples"
    if not (folder / "events.csv").is_file():
        pytest.skip(f"no clips of the Phonics dataset at {folder}")
    table = pd.read_csv(folder / "events.csv").drop_duplicates("file")
    rates = {Path(file).stem: float(rate) for file, rate in zip(table["file"], table["frames_per_second"], strict=True)}
    return {
        name: (decode_video((folder / f"{name}.mp4").read_bytes()), rates[name], annotated)
        for name, annotated in read_annotations(folder / "events.csv").items()
    }


def test_what_happens_once_is_found_better_than_by_evenly_placed_events(
    clips: Clips,
) -> None:
    found = {name: events.event_times(frames, rate, SPEC) for name, (frames, rate, _) in clips.items()}
    even = events.evenly_placed(
        list(found.values()), np.array([len(frames) / rate for frames, rate, _ in clips.values()])
    )
    annotated = [annotation for _, _, annotation in clips.values()]
    counts = count(list(zip(found.values(), annotated, strict=True)), SPEC.tolerance_seconds)
    of_even = count(list(zip(even, annotated, strict=True)), SPEC.tolerance_seconds)
    assert counts.recall >= 0.8
    assert counts.precision >= 0.7
    assert of_even.recall < counts.recall - 0.3
    assert of_even.precision < counts.precision - 0.3


def test_still_cards_zooms_and_beating_wings(
    clips: Clips,
) -> None:
    times = {name: events.event_times(frames, rate, SPEC) for name, (frames, rate, _) in clips.items()}
    assert not len(times["115_0"])
    assert times["2_8"].tolist() == pytest.approx([1 / 24])  # the cut at the beginning, then a zoom
    assert len(times["301_16"]) <= 1
    assert times["62_5"].tolist() == pytest.approx([19 / 29.97], abs=0.04)  # the camera drifts all the time
