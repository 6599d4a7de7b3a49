from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from phonics_data.errors import MediaError
from phonics_data.media.audio_reader import read_audio
from tests.counted_videos import click_times, clicks, constant, make_source

pytestmark = pytest.mark.dependencies


@pytest.mark.parametrize("suffix", ["mkv", "mov"])
@pytest.mark.parametrize("sound_start", [Fraction(0), Fraction(1, 2)])
def test_audio_is_on_the_video_clock(tmp_path: Path, suffix: str, sound_start: Fraction) -> None:
    path = make_source(
        tmp_path / f"song.{suffix}", constant(25, 4), clicks(3, [0.5, 1.25, 2.75], 48_000), sound_start=sound_start
    )
    sound = read_audio(path, duration_seconds=4.0, rate_hz=16_000)
    assert sound.dtype == np.float32
    assert sound.shape == (64_000,)
    assert click_times(sound, 16_000) == pytest.approx([at + float(sound_start) for at in (0.5, 1.25, 2.75)], abs=0.002)


def test_the_clock_starts_with_the_first_video_frame(tmp_path: Path) -> None:
    late = [Fraction(1) + time for time in constant(25, 3)]
    path = make_source(tmp_path / "song.mkv", late, clicks(4, [0.5, 1.5, 2.5], 48_000))
    assert click_times(read_audio(path, duration_seconds=3.0, rate_hz=16_000), 16_000) == pytest.approx(
        [0.5, 1.5], abs=0.002
    )


def test_audio_that_ends_early_is_padded_with_zeros(tmp_path: Path) -> None:
    path = make_source(tmp_path / "song.mkv", constant(25, 4), clicks(1, [0.5], 48_000))
    sound = read_audio(path, duration_seconds=4.0, rate_hz=16_000)
    assert sound.shape == (64_000,)
    assert not sound[24_000:].any()


def test_a_source_without_audio_is_rejected(tmp_path: Path) -> None:
    path = make_source(tmp_path / "mute.mkv", constant(25, 1), None)
    with pytest.raises(MediaError, match="no audio stream") as caught:
        read_audio(path, duration_seconds=1.0, rate_hz=16_000)
    assert caught.value.reason == "no_audio_stream"


def test_a_missing_source_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        read_audio(tmp_path / "gone.mp4", duration_seconds=1.0, rate_hz=16_000)
