"""Tables of regions and events, and what they mean for windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cssgan.metrics import region_truth
from cssgan.metrics.event_results import event_results
from cssgan.metrics.videos import VideoPairs
from tests.cssgan.metrics.test_event_results import later, songs, windows

BOXES = {"letter": (5, 5, 15, 25), "object": (30, 20, 50, 40), "word": (8, 50, 50, 58)}
"""left, top, right, bottom of the things in `songs`."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Songs 0 and 1 of `songs`, whose clips all begin at 0 s; song 1 changes its style at 10 s."""
    regions = [
        (f"song-{song}", name, 0.0, 5.0, *(value / 64 for value in box))
        for song in range(2)
        for name, box in BOXES.items()
    ]
    pd.DataFrame(regions, columns=list(region_truth.REGION_COLUMNS)).to_parquet(tmp_path / "regions.parquet")
    events = [
        ("song-0", 0, "plain", "object_appears", "object", 0.4, 0.6, True),
        ("song-0", 0, "plain", "letter_bends", "letter", 0.4, 0.9, False),
        ("song-1", 0, "plain", "object_appears", "object", 0.4, 0.4, True),
        ("song-1", 1, "zoom", "object_appears", "object", 10.0, 10.0, True),
    ]
    pd.DataFrame(events, columns=list(region_truth.EVENT_COLUMNS)).to_parquet(tmp_path / "events.parquet")
    return tmp_path


def test_masks_are_the_boxes_of_the_window(folder: Path) -> None:
    truth = region_truth.read(folder)
    assert truth is not None
    masks = truth.masks(
        "object", ("song-0", "song-0", "other"), (0.0, 6.0, 0.0), np.full(3, 25), np.full(3, 25.0), 64, 64
    )
    expected = np.zeros((64, 64), np.bool_)
    expected[20:40, 30:50] = True
    assert (masks[0] == expected).all()
    assert not masks[1:].any()
    half = truth.masks("object", ("song-0",), (0.0,), np.array([25]), np.array([25.0]), 32, 32)
    assert half.sum() == 100


def test_measures_by_region(folder: Path) -> None:
    real = songs(2)
    fake = real.copy()
    fake[:, :, 50:58, 8:50] = later(real, 0.4)[:, :, 50:58, 8:50]
    pairs = VideoPairs(real_NTHWC=real, fake_NTHWC=fake, num_valid_N=np.full(len(real), real.shape[1]))
    found = {
        result.name: result
        for result in event_results(pairs, windows(real), {}, truth=region_truth.read(folder)).results
    }
    assert found["event_f1_object"].value == pytest.approx(1.0)
    assert found["event_match_object"].value == pytest.approx(1.0)
    assert found["event_match_word"].value < 0.7  # type: ignore[operator]
    assert found["event_f1_word"].value < 0.3  # type: ignore[operator]
    assert found["event_f1_letter"].unavailable  # it stands still


def test_folders_without_or_with_other_tables(folder: Path, tmp_path: Path) -> None:
    assert region_truth.read(tmp_path / "none") is None
    pd.DataFrame({"video_id": ["a"]}).to_parquet(folder / "regions.parquet")
    with pytest.raises(ValueError, match=r"regions\.parquet: lacks the columns bottom, end_seconds"):
        region_truth.read(folder)
