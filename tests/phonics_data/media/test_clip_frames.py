"""Clips are read whole: every frame, at the size asked for, with and without audio."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from phonics_data.contract.video import encode_video
from phonics_data.errors import MediaError
from phonics_data.media.clip_frames import read_clip


def frames(height: int, width: int, number: int = 12) -> np.ndarray:
    """Left half dark, right half bright; the bright half rises by 10 levels a frame."""
    out = np.full((number, height, width, 3), 30, np.uint8)
    for t in range(number):
        out[t, :, width // 2 :] = 100 + 10 * t
    return out


def test_every_frame_of_a_silent_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(encode_video(frames(64, 64), Fraction(24)))
    read_THWC, rate = read_clip(tmp_path / "a.mp4", width=64, height=64)
    assert rate == 24
    assert read_THWC.shape == (12, 64, 64, 3)
    assert np.abs(read_THWC.astype(int) - frames(64, 64)).mean() < 3


def test_wide_frames_are_squashed(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(encode_video(frames(90, 160), Fraction(25)))
    read_THWC, _ = read_clip(tmp_path / "a.mp4", width=32, height=32)
    assert read_THWC.shape == (12, 32, 32, 3)
    assert np.abs(read_THWC.astype(int) - frames(32, 32)).mean() < 3


def test_errors_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        read_clip(tmp_path / "a.mp4", width=64, height=64)
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    with pytest.raises(MediaError, match="not a readable media file"):
        read_clip(tmp_path / "a.mp4", width=64, height=64)
