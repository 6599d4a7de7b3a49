"""Samples are validated on construction; the grid and length of their audio are exact."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from phonics_data.contract.sample import Sample, num_audio_samples, quantize_audio
from phonics_data.errors import DatasetError

pytestmark = pytest.mark.dependencies


def boxes(box: tuple[float, ...]) -> NDArray[np.float32]:
    """Of `make`'s five frames: the box in the last one."""
    return np.array([(0, 0, 0, 0)] * 3 + [(np.nan,) * 4, box], np.float32)


def make(**changes: Any) -> Sample:
    fields: dict[str, Any] = {
        "key": "song-0000123",
        "frames_LHWC": np.zeros((5, 8, 8, 3), np.uint8),
        "frame_rate": Fraction(25),
        "audio_N": np.zeros(3200, np.float32),
        "audio_rate_hz": 16_000,
        "label": "A",
        "label_set": "letters",
        "video_id": "song",
        "start_seconds": 0.123,
    }
    return Sample(**(fields | changes))


def test_boxes_are_known_unknown_or_nowhere() -> None:
    stored = make(object_boxes_L4=boxes((0.0, 0.25, 0.5, 1.0))).object_boxes_L4
    assert stored is not None
    assert stored[-1].tolist() == [0.0, 0.25, 0.5, 1.0]


def test_lengths() -> None:
    assert make().num_frames == 5
    assert make().duration_seconds == pytest.approx(0.2)
    assert make(frame_rate=Fraction(30000, 1001)).duration_seconds == pytest.approx(5 * 1001 / 30000)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": "a.b"}, "without dots or slashes"),
        ({"key": "../a"}, "without dots or slashes"),
        ({"key": ""}, "not empty"),
        ({"key": "a\nb"}, "printable"),
        ({"frames_LHWC": np.zeros((0, 8, 8, 3), np.uint8)}, "L >= 1"),
        ({"frames_LHWC": np.zeros((5, 8, 8), np.uint8)}, r"\(L, H, W, 3\)"),
        ({"frames_LHWC": np.zeros((5, 8, 8, 3), np.float32)}, "must be uint8"),
        ({"audio_N": np.zeros(3200)}, "must be float32"),
        ({"audio_N": np.zeros((1, 3200), np.float32)}, r"float32 \(N,\)"),
        ({"audio_N": np.full(10, 1.5, np.float32)}, r"\[-1, 1\], got a peak of 1.500"),
        ({"audio_N": np.full(10, np.nan, np.float32)}, "NaN or infinity"),
        ({"frame_rate": Fraction(0)}, "rates must be > 0"),
        ({"audio_rate_hz": -1}, "rates must be > 0"),
        ({"object_picture": np.full((9, 9, 3), 255, np.uint8)}, r"h and w from 1 to 512, got uint8 \(9, 9, 3\)"),
        ({"object_picture": np.ones((9, 9, 4), np.float32)}, r"must be uint8 \(h, w, 4\) RGBA"),
        ({"object_picture": np.full((9, 513, 4), 255, np.uint8)}, "from 1 to 512, got 513 x 9 pixels"),
        ({"object_picture": np.zeros((0, 9, 4), np.uint8)}, "got 9 x 0 pixels"),
        ({"object_picture": np.zeros((9, 9, 4), np.uint8)}, "transparent everywhere"),
        ({"object_boxes_L4": np.zeros((4, 4), np.float32)}, r"must be float32 \(\d+, 4\), got float32 \(4, 4\)"),
        ({"object_boxes_L4": boxes((0.2, 0.1, 0.1, 0.9))}, r"left < right .* got \[0.2\d*, 0.1\d*, 0.1\d*, 0.8\d*\]"),
        ({"object_boxes_L4": boxes((0.2, 0.1, 1.1, 0.9))}, "in 0..1"),
        ({"object_boxes_L4": boxes((0.2, 0.1, np.nan, 0.9))}, "four zeros or four NaN"),
        ({"object_boxes_L4": boxes((0.2, 0.1, np.inf, 0.9))}, "in 0..1"),
    ],
)
def test_invalid_samples_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        make(**changes)


@given(st.lists(st.floats(-2, 2), max_size=50))
def test_quantized_audio_is_on_the_grid_and_unchanged_by_requantizing(values: list[float]) -> None:
    audio = np.array(values)
    once = quantize_audio(audio)
    assert np.array_equal(once * 32768, np.rint(once * 32768))
    assert np.array_equal(quantize_audio(once), once)
    assert np.abs(once - np.clip(audio, -1, 32767 / 32768)).max(initial=0) <= 0.5 / 32768 + 1e-12


@pytest.mark.parametrize(
    ("frames", "rate", "samples"),
    [
        (25, Fraction(25), 16_000),
        (1, Fraction(25), 640),
        (1, Fraction(30), 533),
        (30, Fraction(30), 16_000),
        (30, Fraction(30000, 1001), 16_016),
        (1, Fraction(3), 5333),
        (1, Fraction(32_000), 1),
    ],
)
def test_audio_has_the_duration_of_the_frames(frames: int, rate: Fraction, samples: int) -> None:
    assert num_audio_samples(frames, rate, 16_000) == samples
