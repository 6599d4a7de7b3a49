"""Everything that files say about how their pictures are to be shown, by every reader of frames."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from cssgan.errors import InputError
from cssgan.storage.media_files import read_video
from phonics_data.errors import MediaError
from phonics_data.media import cut_segments, decodes_to_end, ffmpeg_path
from phonics_data.media.clip_frames import read_clip
from phonics_data.media.frame_sampler import sample_frames

RED, GREEN, BLUE, YELLOW = (230, 20, 20), (20, 200, 20), (20, 20, 230), (230, 230, 20)
UNIT = 65_536


def corners(pixels: NDArray[np.uint8]) -> list[str]:
    """The colours of the corners: top left, top right, bottom left, bottom right."""
    height, width = pixels.shape[:2]
    names = {RED: "red", GREEN: "green", BLUE: "blue", YELLOW: "yellow"}
    result: list[str] = []
    for y in (height // 8, -height // 8):
        for x in (width // 8, -width // 8):
            here = pixels[y, x].astype(int)
            result.append(names[min(names, key=lambda color: int(np.abs(here - color).sum()))])
    return result


def picture(width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    pixels = np.zeros((height, width, 3), np.uint8)
    for rows, columns, color in (
        (slice(0, height // 2), slice(0, width // 2), RED), (slice(0, height // 2), slice(width // 2, width), GREEN),
        (slice(height // 2, height), slice(0, width // 2), BLUE), (slice(height // 2, height), slice(width // 2, width), YELLOW),
    ):  # fmt: skip
        pixels[rows, columns] = color
    return pixels


def write(
    path: Path, pixels: NDArray[np.uint8], matrix: list[int] | None = None, colors: dict[str, int] | None = None
) -> Path:
    """A second of `pixels` with a tone."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=10, options={"crf": "8"})
        video.height, video.width = pixels.shape[:2]
        video.pix_fmt = "yuv420p"
        for name, value in (colors or {}).items():
            setattr(video.codec_context, name, value)
        if matrix is not None:
            video.set_display_matrix(matrix)
        audio: Any = container.add_stream("aac", rate=16_000)
        audio.layout = "mono"
        for index in range(10):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 10)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        tone = np.sin(np.arange(16_000) / 5)[None].astype(np.float32)
        for start in range(0, 16_000, 1000):
            block = av.AudioFrame.from_ndarray(tone[:, start : start + 1000], format="fltp", layout="mono")
            block.sample_rate, block.pts, block.time_base = 16_000, start, Fraction(1, 16_000)
            container.mux(audio.encode(block))
        container.mux(audio.encode())
    return path


def readings(path: Path) -> dict[str, list[str]]:
    """The corners of the first frame by each reader of frames."""
    (clip,) = cut_segments(path, [(0.0, 0.5)], frame_rate=Fraction(10), width=64, height=64, audio_rate_hz=16_000)
    return {
        "cut": corners(clip.frames_LHWC[0]),
        "clip": corners(read_clip(path, width=32, height=32)[0][0]),
        "sample": corners(next(sample_frames(path)).frame_HWC),
        "generate": corners(read_video(path, 64, 16_000).frames_THWC[0]),
    }


MATRICES = {
    1: [1, 0, 0, 1], 2: [-1, 0, 0, 1], 3: [-1, 0, 0, -1], 4: [1, 0, 0, -1],
    5: [0, 1, 1, 0], 6: [0, 1, -1, 0], 7: [0, -1, -1, 0], 8: [0, -1, 1, 0],
}  # fmt: skip
"""EXIF orientation -> a, b, c, d of the display matrix that means the same."""


def matrix_of(exif: int) -> list[int]:
    a, b, c, d = (UNIT * value for value in MATRICES[exif])
    return [a, b, 0, c, d, 0, 0, 0, 1 << 30]


def as_exif(pixels: NDArray[np.uint8], exif: int) -> NDArray[np.uint8]:
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = exif
    return np.asarray(ImageOps.exif_transpose(image))


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("exif", MATRICES)
def test_all_eight_orientations_are_shown_alike_by_every_reader(tmp_path: Path, exif: int, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}", picture(), matrix_of(exif))
    expected = corners(as_exif(picture(), exif))
    assert readings(path) == dict.fromkeys(("cut", "clip", "sample", "generate"), expected)


def test_a_turned_clip_has_the_size_that_is_asked_for(tmp_path: Path) -> None:
    """Its stored frames have that size, but the frames that are shown do not."""
    path = write(tmp_path / "a.mp4", picture(64, 48), matrix_of(6))

    frames_LHWC, _ = read_clip(path, width=64, height=48)

    assert frames_LHWC.shape[1:] == (48, 64, 3)
    upright_LHWC, _ = read_clip(path, width=48, height=64)
    assert corners(frames_LHWC[0]) == corners(upright_LHWC[0]) != corners(picture())


@pytest.mark.parametrize(("option", "exif"), [("flip=horizontal", 2), ("flip=vertical", 4), ("rotate=180", 3)])
def test_orientation_inside_the_h264_stream(tmp_path: Path, option: str, exif: int) -> None:
    plain, path = write(tmp_path / "plain.mp4", picture()), tmp_path / "a.mp4"
    filters = f"h264_metadata=display_orientation=insert:{option}"
    subprocess.run([ffmpeg_path(), "-v", "error", "-i", plain, "-c", "copy", "-bsf:v", filters, path], check=True)
    expected = corners(as_exif(picture(), exif))
    assert readings(path) == dict.fromkeys(("cut", "clip", "sample", "generate"), expected)


def refusal(path: Path) -> str:
    """The reason that every reader gives for refusing the file."""
    found: set[str] = set()
    for read in (
        lambda: decodes_to_end(path),
        lambda: list(cut_segments(path, [(0.0, 0.5)], frame_rate=Fraction(10), width=64, height=64, audio_rate_hz=16_000)),
        lambda: read_clip(path, width=32, height=32),
        lambda: list(sample_frames(path)),
    ):  # fmt: skip
        with pytest.raises(MediaError) as caught:
            read()
        assert caught.value.reason == "unsupported"
        found.add(caught.value.detail)
    with pytest.raises(InputError) as refused:
        read_video(path, 64, 16_000)
    found.add(str(refused.value))
    (reason,) = found
    return reason


def test_other_angles_are_refused(tmp_path: Path) -> None:
    half = 46_341  # sin and cos of 45 degrees
    path = write(tmp_path / "a.mp4", picture(), [half, half, 0, -half, half, 0, 0, 0, 1 << 30])
    assert "display matrix (0.71 0.71; -0.71 0.71) turns by another angle" in refusal(path)


@pytest.mark.parametrize(
    ("colors", "message"),
    [
        ({"color_trc": 16}, "PQ (HDR)"), ({"color_trc": 18}, "HLG (HDR)"), ({"color_primaries": 9}, "BT.2020"),
        ({"colorspace": 8}, "colour matrix YCgCo"),
    ],
)  # fmt: skip
def test_colours_that_would_be_wrong_are_refused(tmp_path: Path, colors: dict[str, int], message: str) -> None:
    path = write(tmp_path / "a.mp4", picture(), colors=colors)
    assert message in refusal(path)


@pytest.mark.parametrize(("mode", "name"), [("left_right", "side by side"), ("top_bottom", "top and bottom")])
def test_stereoscopic_videos_are_refused(tmp_path: Path, mode: str, name: str) -> None:
    plain, path = write(tmp_path / "plain.mp4", picture()), tmp_path / "a.mkv"
    call = [ffmpeg_path(), "-v", "error", "-i", plain, "-c", "copy", "-metadata:s:v:0", f"stereo_mode={mode}", path]
    subprocess.run(call, check=True)
    assert f"stereoscopic video ({name})" in refusal(path)


def test_transparent_pixels_are_composited_on_white(tmp_path: Path) -> None:
    rgba = np.dstack([picture(), np.full((48, 64), 255, np.uint8)])
    rgba[:24, :32, 3] = 0
    rgba[24:, 32:, 3] = 128
    sound, path = write(tmp_path / "sound.mp4", picture()), tmp_path / "a.mkv"
    silent = tmp_path / "silent.mkv"
    with av.open(str(silent), "w") as container:
        video: Any = container.add_stream("ffv1", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "bgra"
        for index in range(10):
            frame = av.VideoFrame.from_ndarray(rgba, format="rgba")
            frame.pts, frame.time_base = index, Fraction(1, 10)
            container.mux(video.encode(frame))
        container.mux(video.encode())
    call = [ffmpeg_path(), "-v", "error", "-i", silent, "-i", sound, "-map", "0:v", "-map", "1:a", "-c", "copy", path]
    subprocess.run(call, check=True)
    (clip,) = cut_segments(path, [(0.0, 0.5)], frame_rate=Fraction(10), width=64, height=48, audio_rate_hz=16_000)
    frames = [clip.frames_LHWC[0], read_clip(path, width=64, height=48)[0][0], next(sample_frames(path)).frame_HWC]
    for frame in frames:
        assert np.abs(frame[12, 16].astype(int) - 255).max() <= 3
        assert np.abs(frame[36, 48].astype(int) - (242, 242, 137)).max() <= 3
        assert np.abs(frame[12, 48].astype(int) - GREEN).max() <= 3
