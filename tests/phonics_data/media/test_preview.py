"""Frames of a source as a browser shows them, and which files browsers play."""

from __future__ import annotations

import io
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phonics_data.errors import MediaError
from phonics_data.media import cut_segments, ffmpeg_path
from phonics_data.media.preview import frame_jpeg, playable_type, write_preview
from phonics_data.media.probe import probe
from tests.counted_videos import clicks, constant, make_source, read_number
from tests.patterned_videos import Pattern, Reading, read_clip, write_pattern

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


H264 = ("-c:v", "libx264", "-qp", "4", "-preset", "ultrafast")
AAC = ("-c:a", "aac", "-b:a", "192k")
TURNS = {
    "90": ("-display_rotation", "-90"), "180": ("-display_rotation", "180"), "hflip": ("-display_hflip",),
    "vflip": ("-display_vflip",), "transpose": ("-display_rotation", "-90", "-display_hflip"),
}  # fmt: skip


def preview_reading(pattern: Pattern, source: Path) -> Reading:
    """What a reader of the preview gets of the pattern in the source."""
    preview = source.with_name("preview.mp4")
    write_preview(source, preview)
    assert playable_type(preview) == "video/mp4"
    (clip,) = cut_segments(preview, [(0.0, 1.0)], frame_rate=Fraction(25), width=64, height=64, audio_rate_hz=16_000)
    return read_clip(pattern, clip.frames_LHWC, Fraction(25), clip.audio_N, 16_000, 0.0)


@pytest.mark.parametrize("pictures", TURNS)
def test_previews_are_upright(tmp_path: Path, pictures: str) -> None:
    pattern = Pattern(suffix=".mp4", video=H264, audio=AAC, pictures=pictures, width=96, height=128, seconds=1.2)
    write_pattern(tmp_path / "stored.mp4", pattern)
    path = tmp_path / "turned.mp4"
    call = [ffmpeg_path(), "-v", "error", *TURNS[pictures], "-i", tmp_path / "stored.mp4", "-c", "copy", path]
    subprocess.run(call, check=True)

    found = preview_reading(pattern, path)

    assert (found.wrong_frames, found.is_turned) == ((), False)
    is_mirrored = pictures in ("hflip", "vflip", "transpose")
    assert playable_type(path) == ("" if is_mirrored else "video/mp4"), "not every browser mirrors"


@pytest.mark.parametrize(
    "pattern",
    [
        Pattern(suffix=".mp4", video=H264, audio=AAC, sound_start=Fraction(3, 10), clicks=(Fraction(4, 5),)),
        Pattern(suffix=".mp4", video=H264, audio=AAC, width=320, height=720, tagged=False, matrix="bt709"),
        Pattern(suffix=".mov", video=H264, audio=AAC, width=80, filters="setsar=2"),
        Pattern(suffix=".mp4", video=H264, audio=AAC, pixels="yuv444p"),
        Pattern(suffix=".mkv", video=("-c:v", "ffv1"), audio=AAC, pixels="yuv420p10le", is_full_range=True),
    ],
    ids=["late sound", "HD without tags", "anamorphic", "4:4:4", "10 bits of the full range"],
)
def test_previews_keep_times_and_colours(tmp_path: Path, pattern: Pattern) -> None:
    path = write_pattern(tmp_path / f"video{pattern.suffix}", pattern)

    found = preview_reading(pattern, path)

    assert found.wrong_frames == ()
    assert found.color_error < 10, "the preview is encoded with a low quality"
    assert found.click_error < 0.002
    is_plain = pattern.suffix == ".mp4" and pattern.pixels == "yuv420p"
    assert playable_type(path) == ("video/mp4" if is_plain else "")


def test_a_picture_that_begins_after_the_sound_gets_a_preview(tmp_path: Path) -> None:
    times = [at + Fraction(1, 5) for at in constant(RATE, 2)]
    source = make_source(tmp_path / "late.mp4", times, clicks(2, [1.0], 48_000), audio_codec="aac")
    assert playable_type(source) == "", "pages count from the first frame, browsers from the first sample"
    write_preview(source, tmp_path / "preview.mp4")
    assert playable_type(tmp_path / "preview.mp4") == "video/mp4"
    assert read_number(np.asarray(Image.open(io.BytesIO(frame_jpeg(tmp_path / "preview.mp4", 0.5 / RATE))))) == 0


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
