"""Video files are read whole, with their audio on the clock of the frames, as phonics_data reads them."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from cssgan.storage import media_files
from cssgan.storage.media_files import probe, read_video, write_mp4
from phonics_data.contract.video import encode_video
from phonics_data.errors import InputError
from phonics_data.media import ffmpeg_path
from phonics_data.media.clip_frames import read_clip
from tests.counted_videos import write_cut_off

RATE_HZ = 16_000


def pictures(height: int = 64, width: int = 64) -> np.ndarray:
    """Coloured stripes that move by two pixels a frame."""
    x = np.arange(width)
    stripes = np.stack([(x // 8 % 2) * 200, (x // 16 % 2) * 200, np.full(width, 90)], axis=1).astype(np.uint8)
    return np.stack([np.tile(np.roll(stripes, 2 * t, axis=0), (height, 1, 1)) for t in range(20)])


def test_both_packages_read_the_same_frames(tmp_path: Path) -> None:
    write_mp4(tmp_path / "a.mp4", pictures(), Fraction(24), np.zeros(RATE_HZ, np.float32), RATE_HZ)
    ours, (theirs, rate) = (
        read_video(tmp_path / "a.mp4", 64, RATE_HZ),
        read_clip(tmp_path / "a.mp4", width=64, height=64),
    )
    np.testing.assert_array_equal(ours.frames_THWC, theirs)
    assert ours.frame_rate == rate == 24


def test_larger_frames_are_averaged_nearly_alike(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(encode_video(pictures(180, 320), Fraction(25)))
    ours, (theirs, _) = read_video(tmp_path / "a.mp4", 64, RATE_HZ), read_clip(tmp_path / "a.mp4", width=64, height=64)
    assert ours.frames_THWC.shape == theirs.shape
    assert np.abs(ours.frames_THWC.astype(int) - theirs).mean() < 3
    assert ours.audio_N is None


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_audio_is_on_the_clock_of_the_frames(tmp_path: Path, rate_hz: int) -> None:
    click_N = np.zeros(rate_hz, np.float32)
    click_N[rate_hz // 2] = 0.9
    write_mp4(tmp_path / "a.mp4", pictures(), Fraction(25), click_N, rate_hz)
    audio_N = read_video(tmp_path / "a.mp4", 64, RATE_HZ).audio_N
    assert audio_N is not None
    assert len(audio_N) == round(20 / 25 * RATE_HZ)
    assert np.abs(audio_N).argmax() / RATE_HZ == pytest.approx(0.5, abs=0.001)


def test_unusable_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with pytest.raises(InputError, match=r"a\.mp4: no such video file"):
        read_video(path, 64, RATE_HZ)
    path.write_bytes(b"nothing at all")
    with pytest.raises(InputError, match=r"a\.mp4: cannot be read as a video"):
        read_video(path, 64, RATE_HZ)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, suffix: str) -> None:
    path = write_cut_off(tmp_path / f"a{suffix}")
    with pytest.raises(
        InputError, match=r"its duration is 4\.00 s, but it decodes only up to|cannot be read as a video"
    ):
        read_video(path, 64, RATE_HZ)


def test_other_files_are_not_opened_through_a_playlist(tmp_path: Path) -> None:
    (tmp_path / "other.ts").write_bytes(encode_video(pictures(), Fraction(25)))
    path = tmp_path / "a.mp4"
    path.write_text("ffconcat version 1.0\nfile other.ts\n")
    for read in (lambda: read_video(path, 64, RATE_HZ), lambda: probe(path)):
        with pytest.raises(InputError, match=r"a\.mp4: cannot be read as a video"):
            read()


def test_a_file_of_too_many_pixels_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(encode_video(pictures(), Fraction(25)))
    monkeypatch.setattr(media_files, "MAX_VIDEO_PIXELS", 20 * 64 * 64)
    assert len(read_video(path, 64, RATE_HZ).frames_THWC) == 20
    monkeypatch.setattr(media_files, "MAX_VIDEO_PIXELS", 20 * 64 * 64 - 1)
    with pytest.raises(InputError, match=r"a\.mp4: more than .* pixels in its frames"):
        read_video(path, 64, RATE_HZ)


def test_frames_that_are_larger_than_allowed_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    command = [ffmpeg_path(), "-v", "error", "-f", "lavfi", "-i", "color=s=8200x8200:r=25:d=0.04", "-c:v", "mjpeg"]
    subprocess.run([*command, str(path)], check=True)
    with pytest.raises(InputError, match=r"a\.mkv: cannot be read as a video .* frames of up to 67 million pixels"):
        read_video(path, 64, RATE_HZ)
