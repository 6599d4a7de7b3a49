"""What the model shows of the published clips: the measure with its controls, and the slow training itself."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from benchmarks import published_clips
from benchmarks.published_clips import AnnotatedEvent, measure
from cssgan.data import resident
from phonics_data.contract.sample import Sample
from phonics_data.errors import InputError
from tests.cssgan.toy_dataset import make_sample, write_dataset

RATE = 25


def clip_with_object(seed: int, first_frame: int) -> Sample:
    """Two seconds in which a bright square comes at `first_frame` and stays."""
    frames = np.full((2 * RATE, 64, 64, 3), 40, np.uint8)
    frames[first_frame:, 20:44, 20:44] = 220
    sample = make_sample(seed, key=f"song{seed}-0000000", num_frames=len(frames), size=64)
    return replace(sample, frames_LHWC=frames, frame_rate=Fraction(RATE), object_word="square")


@pytest.fixture
def store(tmp_path: Path) -> resident.ResidentSplit:
    dataset = write_dataset(tmp_path / "data", train=[clip_with_object(0, 20), clip_with_object(1, 30)])
    return resident.load(dataset, "train", 64, cache=tmp_path / "cache")


def test_events_of_the_annotation_are_counted_within_the_tolerance(store: resident.ResidentSplit) -> None:
    annotations = {
        clip.key.rpartition("-")[0]: [AnnotatedEvent(kind="object_enters", start_seconds=at, end_seconds=at + 0.2)]
        for clip, at in zip(store.clips, (0.8, 1.2), strict=True)
    }

    real = measure(store, annotations, lambda clip, real: real, read_words=False)
    assert (real.l1_over_copy_first, real.found, real.annotated, real.false_events) == (0.0, 2, 2, 0)
    held = measure(store, annotations, lambda clip, real: np.repeat(real[:1], len(real), axis=0), read_words=False)
    assert (held.l1_over_copy_first, held.found, held.false_events) == (1.0, 0, 0)
    late = measure(store, annotations, lambda clip, real: np.roll(real, 15, axis=0), read_words=False)
    assert late.found == 0
    assert late.false_events >= 2
    assert "| real | 0.000 | 2 of 2 | 0 | - |" in published_clips.table({"real": real})


def test_a_table_without_the_columns_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("file,event\na.mp4,object_enters\n")
    with pytest.raises(InputError, match=r"events\.csv: cannot be read"):
        published_clips.read_events(path)


@pytest.mark.slow
@pytest.mark.timeout(3 * 3600)
def test_the_model_shows_what_the_published_clips_show(shared_data: Path, tmp_path: Path) -> None:
    """About an hour on one core, without other jobs beside it."""
    if not (shared_data / "paper").is_dir():
        pytest.skip(f"no material of the authors at {shared_data}")
    found = published_clips.train_and_measure(
        shared_data, tmp_path, published_clips.configuration(published_clips.NUM_VIDEOS)
    )
    print(published_clips.table(found))
    model, real = found["model"], found["real"]
    assert model.l1_over_copy_first <= 0.40
    assert model.found >= 13
    assert real.words_read is not None
    assert model.words_read is not None
    assert model.words_read >= min(6, real.words_read)
    for name in ("held first frame", "flash, three a second", "untrained network"):
        assert found[name].l1_over_copy_first >= 0.99
        assert found[name].found < 13
