"""Words in small frames, read by rapidocr."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from cssgan.metrics import screen_text
from cssgan.metrics.screen_text import letters_only
from cssgan.metrics.videos import VideoPairs, Videos, hold_first_frame
from cssgan.metrics.word_reading import shows, word_read_result


def written(word: str, num_frames: int = 20) -> Videos:
    """A video of 64 pixels in which a word appears at frame 10."""
    video = np.full((num_frames, 64, 64, 3), 235, np.uint8)
    page = np.full((256, 256, 3), 235, np.uint8)
    cv2.putText(page, word, (20, 150), cv2.FONT_HERSHEY_SIMPLEX, 2.2, (20, 20, 120), 8, cv2.LINE_AA)
    video[10:] = cv2.resize(page, (64, 64), interpolation=cv2.INTER_AREA)
    return video


def test_words_are_read_only_where_they_stand() -> None:
    pytest.importorskip("rapidocr")
    real = np.stack([written("LION"), written("BABY"), written(".")])
    held = hold_first_frame(real)
    pairs = VideoPairs(real_NTHWC=real, fake_NTHWC=real[[0, 0, 2]], num_valid_N=np.full(3, 20))
    result, value_N = word_read_result(pairs, ("lion", "baby", "moon"), np.full(3, 25.0), {"held": held})
    assert value_N[:2].tolist() == [1.0, 0.0]
    assert np.isnan(value_N[2])
    assert result.value == 0.5
    assert result.controls["real"] == 1.0
    assert result.controls["held"] == 0.0
    assert result.controls["readable_share_of_real"] == pytest.approx(2 / 3)
    assert result.num_undefined == 1
    assert shows(real[0, :12], 25.0, "Lion")


def test_without_the_package_the_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    screen_text.text_engine.cache_clear()
    real = written("LION")[None]
    pairs = VideoPairs(real_NTHWC=real, fake_NTHWC=real, num_valid_N=np.array([20]))
    result, _ = word_read_result(pairs, ("lion",), np.array([25.0]), {})
    assert "pip install rapidocr" in result.unavailable


def test_letters_of_a_text() -> None:
    assert letters_only("Green grapes 8!") == "GREENGRAPES"
