"""Sampled frames know when the picture changed between two sampling times."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from phonics_data.media.frame_sampler import sample_frames
from tests.counted_videos import constant, make_source

pytestmark = pytest.mark.dependencies


def test_change_has_the_time_of_the_first_frame_that_shows_it(tmp_path: Path) -> None:
    empty, letter = np.full((96, 128, 3), 240, np.uint8), np.full((96, 128, 3), 240, np.uint8)
    letter[30:60, 50:70] = (20, 60, 200)
    path = make_source(tmp_path / "a.mkv", constant(25, 2), None, pictures=[empty] * 27 + [letter] * 23)
    sampled = list(sample_frames(path, rate=8))
    assert {one.seconds: one.change_seconds for one in sampled if one.change_seconds is not None} == {
        1.125: pytest.approx(27 / 25)
    }


def test_gradual_change_has_no_time(tmp_path: Path) -> None:
    pictures = [np.full((96, 128, 3), 100 + 2 * index, np.uint8) for index in range(50)]
    path = make_source(tmp_path / "a.mkv", constant(25, 2), None, pictures=pictures)
    assert all(one.change_seconds is None for one in sample_frames(path, rate=4))


def test_many_frames_a_second_start_no_threads_for_each_frame(tmp_path: Path) -> None:
    """Each frame that is scaled by its own method would keep a scaler with threads."""
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():
        pytest.skip("the number of threads is read from /proc, which only Linux has")
    pictures = [np.full((96, 128, 3), 10 + 200 * (index % 2), np.uint8) for index in range(120)]
    path = make_source(tmp_path / "a.mkv", constant(480, 0.25), None, pictures=pictures)
    before = len(list(tasks.iterdir()))
    counts = [len(list(tasks.iterdir())) for _ in sample_frames(path, rate=4)]
    # Two scalers of one thread for each core, and those of numpy.
    assert max(counts) - before <= 3 * (os.cpu_count() or 1)
