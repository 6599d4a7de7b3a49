"""Timelines and contact sheets on small inputs."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from benchmarks.segmentation_real import SCREEN, segment_video
from benchmarks.segmentation_sheets import contact_sheet, draw_timeline, evenly_chosen, write_sheets
from phonics_data.contract.sample import Sample
from phonics_data.errors import OptionError
from phonics_data.show.timeline import letter_colour
from tests.benchmarks.test_fit_segmentation import cards

RED = (208, 36, 48)


def sample(index: int) -> Sample:
    frames = np.full((20, 64, 64, 3), 10 * index, np.uint8)
    return Sample(
        key=f"clip-{index}",
        frames_LHWC=frames,
        frame_rate=Fraction(25),
        audio_N=np.zeros(12_800, np.float32),
        audio_rate_hz=16_000,
        label="B",
        label_set="letters",
        video_id="song",
        start_seconds=float(index),
        object_word="ball" if index else None,
    )


def colours(image: object) -> set[tuple[int, int, int]]:
    return {
        (int(red), int(green), int(blue)) for red, green, blue in np.unique(np.asarray(image).reshape(-1, 3), axis=0)
    }


def test_timeline_marks_wrong_segments(tmp_path: Path) -> None:
    song = cards(tmp_path, "song")
    found = {"screen": segment_video(song, SCREEN)}
    right = draw_timeline(song, found)
    assert letter_colour("Q") in colours(right)
    assert RED not in colours(right)
    late = replace(song, truth=tuple(replace(one, start_seconds=one.start_seconds + 1.2) for one in song.truth))
    assert RED in colours(draw_timeline(late, found))


def test_contact_sheet_shows_frames_of_each_clip() -> None:
    image = contact_sheet([sample(3), sample(7), sample(11)], columns=2, frame_size=32)
    assert image.size == (2 * (4 * 32 + 8), 2 * (32 + 18))
    assert {(30, 30, 30), (70, 70, 70), (110, 110, 110)} <= colours(image)


def test_clips_are_chosen_over_the_whole_dataset() -> None:
    samples = [sample(index) for index in range(9, -1, -1)]
    assert [one.start_seconds for one in evenly_chosen(samples, 4)] == [0.0, 3.0, 6.0, 9.0]
    assert len(evenly_chosen(samples, 40)) == 10


def test_unknown_song_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="two rounds"):
        write_sheets(tmp_path, songs=("unknown",), workers=1, on_progress=lambda step, done, total: None)
