"""Pictures that are shown otherwise than they are stored: SEI messages, clean aperture, transparency, interlacing; all readers."""

from __future__ import annotations

import io
import struct
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cssgan.storage.media_files import read_video
from phonics_data.contract.clean_aperture import Margins, margins
from phonics_data.contract.media_input import open_input
from phonics_data.contract.streams import video_stream
from phonics_data.errors import InputError, MediaError
from phonics_data.media import content_region, cut_segments, decodes_to_end, ffmpeg_path
from phonics_data.media.clip_frames import read_clip
from phonics_data.media.frame_sampler import sample_frames
from phonics_data.media.preview import frame_jpeg
from tests.patterned_videos import CORNERS, Pattern, picture, read_corners, read_number, write_pattern

H264, AAC = ("-c:v", "libx264", "-qp", "4", "-preset", "ultrafast"), ("-c:a", "aac", "-b:a", "192k")
RATE = Fraction(25)
Pictures = list[NDArray[np.uint8]]


def cut_frames(path: Path) -> Pictures:
    clips = cut_segments(path, [(0.0, 0.4), (1.0, 1.6)], frame_rate=RATE, width=160, height=128, audio_rate_hz=16_000)
    return [frame for clip in clips for frame in clip.frames_LHWC]


def jpegs(path: Path) -> Pictures:
    return [
        np.asarray(Image.open(io.BytesIO(frame_jpeg(path, at))).resize((160, 128), Image.Resampling.BOX))
        for at in (0.02, 1.5)
    ]


READERS: dict[str, Callable[[Path], Pictures]] = {
    "cut": cut_frames,
    "whole clip": lambda path: list(read_clip(path, width=160, height=128)[0]),
    "ocr": lambda path: [sampled.frame_HWC for sampled in sample_frames(path)],
    "page": jpegs,
    "cssgan": lambda path: list(read_video(path, 128, 16_000).frames_THWC),
}


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run([ffmpeg_path(), "-v", "error", "-y", "-nostdin", *arguments], check=True)


def assert_upright(frames: Pictures) -> None:
    for frame in frames:
        nearest = [int(np.abs(np.array(CORNERS) - corner).sum(axis=1).argmin()) for corner in read_corners(frame)]
        assert nearest == [0, 1, 2, 3]


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Videos whose first frame alone has a display matrix: by an SEI message of H.264."""
    folder = tmp_path_factory.mktemp("sei")
    found: dict[str, Path] = {}
    for pictures, turn in (("270", "rotate=90"), ("hflip", "flip=horizontal")):
        stored = Pattern(suffix=".mp4", video=(*H264, "-g", "10"), audio=AAC, pictures=pictures, seconds=1.8)
        write_pattern(folder / "stored.mp4", stored)
        for suffix in (".mp4", ".ts"):
            found[f"{pictures}{suffix}"] = path = folder / f"{pictures}{suffix}"
            ffmpeg("-i", folder / "stored.mp4", "-c", "copy", "-bsf:v", f"h264_metadata={turn}:display_orientation=insert", path)  # fmt: skip
    return found


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ["270.mp4", "270.ts", "hflip.mp4", "hflip.ts"])
def test_an_orientation_of_the_first_frame_holds_for_all(turned: dict[str, Path], name: str, reader: str) -> None:
    frames = READERS[reader](turned[name])
    assert len(frames) > 1
    assert_upright(frames)


def test_an_orientation_of_the_first_frame_holds_after_a_seek(tmp_path: Path) -> None:
    stored = Pattern(
        suffix=".mp4", video=(*H264, "-g", "25"), audio=AAC, pictures="270", width=64, height=96, seconds=16
    )
    write_pattern(tmp_path / "stored.mp4", stored)
    path = tmp_path / "turned.mp4"
    ffmpeg("-i", tmp_path / "stored.mp4", "-c", "copy", "-bsf:v", "h264_metadata=rotate=90:display_orientation=insert", path)  # fmt: skip
    (clip,) = cut_segments(path, [(14.0, 15.0)], frame_rate=RATE, width=96, height=64, audio_rate_hz=16_000)
    assert_upright(list(clip.frames_LHWC))
    assert [read_number(frame) for frame in clip.frames_LHWC[:3]] == [350 % 256, 351 % 256, 352 % 256]


def test_black_bars_are_those_of_the_upright_frame(tmp_path: Path) -> None:
    path = tmp_path / "bars.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=96x64:duration=2:rate=25,pad=96:128:0:32", *H264, "-g", "10", "-pix_fmt", "yuv420p",
           "-bsf:v", "h264_metadata=rotate=90:display_orientation=insert", path)  # fmt: skip
    assert content_region(path, 2.0) == pytest.approx((0.25, 0.0, 0.75, 1.0))


def with_clap(path: Path, values: tuple[int, ...]) -> None:
    """Put a clean aperture into the first sample description of an MP4 whose index is at the end."""
    data = path.read_bytes()
    box = struct.pack(">I4sIIIIiIiI", 40, b"clap", *values)
    entry = data.index(b"avc1", data.index(b"stsd"))
    end = entry - 4 + struct.unpack_from(">I", data, entry - 4)[0]
    out = bytearray(data[:end] + box + data[end:])
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        at = out.index(kind, out.index(b"moov"))
        struct.pack_into(">I", out, at - 4, struct.unpack_from(">I", out, at - 4)[0] + len(box))
    path.write_bytes(out)


@pytest.fixture(scope="module")
def cropped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pictures of 160x128 inside of frames with bright margins: 24 left, 8 right, 16 above."""
    folder = tmp_path_factory.mktemp("aperture")
    path = folder / "a.mp4"
    pattern = Pattern(suffix=".mp4", video=H264, audio=AAC, seconds=1.8, filters="pad=192:144:24:16:white")
    write_pattern(path, pattern)
    # 8 pixels to the right of the middle, and 8 below it.
    with_clap(path, (160, 1, 128, 1, 8, 1, 16, 2))
    ffmpeg("-i", path, "-c", "copy", folder / "a.mkv")
    return {".mp4": path, ".mkv": folder / "a.mkv"}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_margins_are_read_from_the_header(cropped: dict[str, Path], suffix: str) -> None:
    with open_input(cropped[suffix]) as container:
        video = video_stream(container)
        assert video is not None
        assert margins(video) == Margins(left=24, top=16, right=8, bottom=0)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_margins_are_not_shown(cropped: dict[str, Path], suffix: str, reader: str) -> None:
    frames = READERS[reader](cropped[suffix])
    assert_upright(frames)
    assert all(np.abs(read_corners(frame) - CORNERS).max() <= 4 for frame in frames)
    expected = picture(read_number(frames[0]), frames[0].shape[1], frames[0].shape[0])
    assert np.abs(frames[0].astype(int) - expected)[:, [1, -2]].mean() < 6  # no white at the sides


def test_a_cut_off_header_gives_no_margins(cropped: dict[str, Path], tmp_path: Path) -> None:
    """Damaged sizes of boxes end the search."""
    data = cropped[".mp4"].read_bytes()
    path = tmp_path / "damaged.mp4"
    at = data.index(b"clap")
    path.write_bytes(data[: at - 4] + struct.pack(">I", 0xFFFFFFFF) + data[at:])
    assert_upright(cut_frames(cropped[".mp4"]))
    with open_input(path) as container:
        video = video_stream(container)
        assert video is not None
        assert margins(video) in (Margins(), Margins(left=24, top=16, right=8, bottom=0))
    path.write_bytes(data[: at + 4] + struct.pack(">IIII", 5000, 1, 1, 0) + data[at + 20 :])  # larger than the frame
    with open_input(path) as container:
        video = video_stream(container)
        assert video is not None
        assert margins(video) == Margins()


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_transparency_that_the_decoder_does_not_read_is_refused(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "a.webm"
    ffmpeg("-f", "lavfi", "-i", "color=red@0.5:size=64x64:duration=0.4:rate=25,format=yuva420p", "-c:v", codec, "-auto-alt-ref", "0",
           "-cpu-used", "8", "-deadline", "realtime", "-pix_fmt", "yuva420p", path)  # fmt: skip
    for read in (decodes_to_end, lambda path: next(sample_frames(path)), lambda path: frame_jpeg(path, 0.0)):
        with pytest.raises(MediaError, match="transparency") as error:
            read(path)
        assert error.value.reason == "unsupported"
    with pytest.raises(InputError, match="transparency"):
        read_video(path, 64, 16_000)


@pytest.fixture(scope="module")
def interlaced(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Frame n has the numbers 3 n and 3 n + 1 in its two fields. Blocks that are always black in one field and white in the other
    would be a still picture of stripes."""
    folder = tmp_path_factory.mktemp("interlaced")
    found: dict[str, Path] = {}
    h264 = (*H264, "-flags", "+ilme+ildct", "-x264opts", "tff=1")
    mpeg2 = ("-c:v", "mpeg2video", "-q:v", "1", "-flags", "+ilme+ildct", "-bf", "2")
    for suffix, codec in ((".mp4", h264), (".mpg", mpeg2)):
        audio = AAC if suffix == ".mp4" else ("-c:a", "mp2")
        filters = "select='lt(mod(n,3),2)',setpts=N/50/TB,tinterlace=interleave_top,setfield=tff"
        pattern = Pattern(suffix=suffix, video=codec, audio=audio, rate=Fraction(50), seconds=2.7, filters=filters)
        found[suffix] = write_pattern(folder / f"a{suffix}", pattern)
    return found


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("suffix", [".mp4", ".mpg"])
def test_interlaced_frames_show_their_first_field(interlaced: dict[str, Path], suffix: str, reader: str) -> None:
    frames = READERS[reader](interlaced[suffix])
    assert len(frames) > 1
    for frame in frames:
        assert read_number(frame) % 3 == 0
        # Lines of a comb differ by up to 195 levels, those within a block by none.
        rows = frame[round(0.3 * len(frame)) : round(0.45 * len(frame))].astype(int)
        assert np.abs(rows - rows.mean(axis=0)).mean() < 3


def test_interlaced_frames_keep_their_times(interlaced: dict[str, Path]) -> None:
    frames = cut_frames(interlaced[".mp4"])
    assert [read_number(frame) for frame in frames] == [3 * n for n in (*range(10), *range(25, 40))]
    assert len(read_clip(interlaced[".mp4"], width=160, height=128)[0]) == 45
