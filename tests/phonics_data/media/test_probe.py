"""Properties of media files, and files that are damaged or not media."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from phonics_data.errors import MediaError
from phonics_data.media import decodes_to_end, probe
from tests.counted_videos import clicks, constant, make_source

pytestmark = pytest.mark.dependencies


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of H.264 and AAC, the index at the end of the file."""
    path = tmp_path_factory.mktemp("probe") / "song.mp4"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 441_000).astype(np.float32)
    return make_source(path, constant(30, 10), noise, sound_rate_hz=44_100, audio_codec="aac")


def test_properties(song: Path) -> None:
    info = probe(song, need_audio=True)
    assert info.duration_seconds == pytest.approx(10, abs=0.1)
    assert info.frame_rate == 30
    assert (info.width, info.height) == (128, 128)
    assert (info.video_codec, info.audio_rate_hz) == ("h264", 44_100)
    assert info.num_frames == 300
    decodes_to_end(song)


def test_video_without_audio(tmp_path: Path) -> None:
    path = make_source(tmp_path / "mute.mkv", constant(Fraction(30000, 1001), 2), None)
    info = probe(path)
    assert (info.has_video, info.has_audio, info.audio_rate_hz) == (True, False, 0)
    assert float(info.frame_rate) == pytest.approx(29.97, abs=0.01)
    with pytest.raises(MediaError, match="no audio stream") as caught:
        probe(path, need_audio=True)
    assert caught.value.reason == "no_audio_stream"


def test_audio_without_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, clicks(1, [0.5], 8000), 8000)
    assert probe(path, need_video=False).has_audio
    with pytest.raises(MediaError, match="audio only") as caught:
        probe(path)
    assert caught.value.reason == "no_video_stream"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"I am a letter to my grandmother.\n" * 100,
        bytes(1000),
        b"\x00\x00\x00\x18ftypmp42" + bytes(50),
        b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
    ],
    ids=["empty", "text", "zeros", "header only", "playlist", "concat list"],
)
def test_files_that_are_not_media_are_rejected(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"video\.mp4") as caught:
        probe(path)
    assert caught.value.reason == "not_a_video"
    assert "\n" not in str(caught.value)


def test_missing_file_and_folder_are_rejected(tmp_path: Path) -> None:
    for path in (tmp_path / "none.mp4", tmp_path):
        with pytest.raises(MediaError, match="no such file") as caught:
            probe(path)
        assert caught.value.reason == "file_missing"


def test_streams_without_key_frames_near_the_end_pass(tmp_path: Path) -> None:
    sound = clicks(6, [1.0, 5.0], 48_000)
    path = make_source(tmp_path / "a.ts", constant(25, 6), sound, audio_codec="mp2", video_options={"g": "1000"})
    decodes_to_end(path)


@pytest.mark.parametrize("tenths", range(1, 10))
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_truncated_downloads_are_detected(song: Path, tmp_path: Path, suffix: str, tenths: int) -> None:
    whole = song
    if suffix == ".mkv":
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, 160_000).astype(np.float32)
        whole = make_source(tmp_path / "whole.mkv", constant(30, 10), noise, sound_rate_hz=16_000)
        decodes_to_end(whole)
    data = whole.read_bytes()
    path = tmp_path / f"truncated{suffix}"
    path.write_bytes(data[: len(data) * tenths // 10])
    with pytest.raises(MediaError, match=r"not a readable media file|damaged|interrupted") as caught:
        decodes_to_end(path)
    assert caught.value.reason in ("not_a_video", "does_not_decode")


def test_a_title_that_is_no_utf8_does_not_stop_a_file_from_being_read(tmp_path: Path) -> None:
    path = tmp_path / "title.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "TITLE-XY"
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        container.mux(video.encode())
    data = path.read_bytes()
    assert b"TITLE-XY" in data
    path.write_bytes(data.replace(b"TITLE-XY", b"TITLE\xe9\xff\xfe"))
    assert probe(path).width == 32
