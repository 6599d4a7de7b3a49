"""Detection of black bars."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from phonics_data.media import content_region
from tests.counted_videos import clicks, constant, make_source

pytestmark = pytest.mark.dependencies


def bright_frames(height: int, width: int, bars: tuple[int, int]) -> list[np.ndarray]:
    """Changing bright frames with noisy black bars of (rows, columns) on each side."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(50):
        picture = rng.integers(0, 4, (height, width, 3), dtype=np.uint8)
        inner = picture[bars[0] : height - bars[0], bars[1] : width - bars[1]]
        inner[:] = rng.integers(60, 220, inner.shape, dtype=np.uint8)
        inner[: inner.shape[0] // 3] = 0  # a dark area inside the frame is not a bar
        inner[: inner.shape[0] // 3 : 5] = 180
        pictures.append(picture)
    return pictures


@pytest.mark.parametrize(
    ("bars", "region"),
    [
        ((0, 0), (0.0, 0.0, 1.0, 1.0)),
        ((12, 0), (0.0, 0.125, 1.0, 0.875)),
        ((0, 32), (0.25, 0.0, 0.75, 1.0)),
        ((1, 0), (0.0, 0.0, 1.0, 1.0)),
    ],
)
def test_black_bars_are_detected(tmp_path: Path, bars: tuple[int, int], region: tuple[float, ...]) -> None:
    path = make_source(
        tmp_path / "a.mkv", constant(25, 2), clicks(2, [1.0], 16_000), sound_rate_hz=16_000,
        pictures=bright_frames(96, 128, bars), video_options={"g": "10"},
    )  # fmt: skip
    assert content_region(path, 2.0) == pytest.approx(region, abs=0.03)


def test_a_dark_video_has_no_bars(tmp_path: Path) -> None:
    path = make_source(
        tmp_path / "a.mkv", constant(25, 1), clicks(1, [0.5], 16_000), sound_rate_hz=16_000,
        pictures=[np.zeros((64, 64, 3), np.uint8)] * 25,
    )  # fmt: skip
    assert content_region(path, 1.0) == (0.0, 0.0, 1.0, 1.0)


def test_bars_are_those_of_the_upright_frame(tmp_path: Path) -> None:
    stored = [np.ascontiguousarray(np.rot90(picture, -1)) for picture in bright_frames(96, 128, (12, 0))]
    path = make_source(
        tmp_path / "a.mp4", constant(25, 2), clicks(2, [1.0], 16_000), sound_rate_hz=16_000, audio_codec="aac",
        pictures=stored, video_options={"g": "10"}, rotation=90,
    )  # fmt: skip
    assert content_region(path, 2.0) == pytest.approx((0.0, 0.125, 1.0, 0.875), abs=0.03)
