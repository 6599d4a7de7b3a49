"""Frames of a source as a browser shows them, and which files browsers play."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phonics_data.errors import MediaError
from phonics_data.media.preview import frame_jpeg, playable_type, write_preview
from phonics_data.media.probe import probe
from tests.counted_videos import clicks, constant, make_source, read_number

pytestmark = pytest.mark.dependencies
RATE, SECONDS = 25, 12


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sparse key frames and frames that are decoded from later ones."""
    options = {"g": "250", "bf": "3", "preset": "fast"}
    sound = clicks(SECONDS, [3.0], 48_000)
    path = tmp_path_factory.mktemp("preview") / "video.mp4"
    return make_source(path, constant(RATE, SECONDS), sound, audio_codec="aac", video_options=options)


@pytest.mark.parametrize("frame", [0, 1, 7, 124, 249, 250, 251, 299])
def test_the_frame_of_a_time_is_exact(source: Path, frame: int) -> None:
    picture = Image.open(io.BytesIO(frame_jpeg(source, (frame + 0.5) / RATE)))
    assert read_number(np.asarray(picture.convert("RGB"))) == frame


def test_after_the_end_the_last_frame_is_shown(source: Path) -> None:
    assert frame_jpeg(source, SECONDS + 5) == frame_jpeg(source, SECONDS - 0.01)


def test_files_that_browsers_play(source: Path, tmp_path: Path) -> None:
    assert playable_type(source) == "video/mp4"
    sound = clicks(2, [1.0], 48_000)
    plain = make_source(tmp_path / "pcm.mp4", constant(Fraction(8), 2), sound)
    assert playable_type(plain) == "", "browsers play no PCM in MP4"
    other = make_source(tmp_path / "video.mkv", constant(Fraction(8), 2), sound)
    assert playable_type(other) == ""
    write_preview(other, tmp_path / "preview.mp4")
    assert playable_type(tmp_path / "preview.mp4") == "video/mp4"
    assert probe(tmp_path / "preview.mp4").duration_seconds == pytest.approx(2, abs=0.1)


def test_other_files_get_no_preview(tmp_path: Path) -> None:
    playlist = tmp_path / "video.mp4"
    playlist.write_text("#EXTM3U\n#EXTINF:1,\n/etc/hostname\n")
    for function in (
        playable_type,
        lambda path: frame_jpeg(path, 0),
        lambda path: write_preview(path, tmp_path / "o.mp4"),
    ):
        with pytest.raises(MediaError, match="not a readable media file"):
            function(playlist)
    assert not (tmp_path / "o.mp4").exists()
