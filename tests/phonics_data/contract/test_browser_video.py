"""Files that browsers play, for pages and surveys."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from cssgan.storage.media_files import probe
from phonics_data.contract.browser_video import browser_fault
from phonics_data.contract.media_input import open_input
from phonics_data.media import ffmpeg_path
from phonics_data.media.preview import playable_type
from tests.patterned_videos import Pattern, write_pattern

H264, AAC = ("-c:v", "libx264", "-preset", "ultrafast"), ("-c:a", "aac")
PLAIN = Pattern(suffix=".mp4", video=H264, audio=AAC, seconds=0.4, clicks=(Fraction(1, 5),))
MPEG4 = ("-c:v", "mpeg4")


def written(path: Path, pattern: Pattern) -> Path:
    return write_pattern(path.with_suffix(pattern.suffix), pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        PLAIN,
        replace(PLAIN, video=("-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime")),
        replace(PLAIN, audio=("-c:a", "libmp3lame")),
        replace(PLAIN, audio=("-c:a", "libopus")),
        replace(PLAIN, video=("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8")),
        replace(PLAIN, suffix=".webm", video=("-c:v", "libvpx", "-deadline", "realtime"), audio=("-c:a", "libvorbis")),
    ],
    ids=["h264", "av1", "mp3", "opus", "vp9", "webm"],
)
def test_files_that_browsers_play(tmp_path: Path, pattern: Pattern) -> None:
    path = written(tmp_path / "a", pattern)
    assert playable_type(path) == f"video/{pattern.suffix[1:]}"
    if pattern.suffix == ".mp4":
        assert probe(path).browser_fault == ""


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        (replace(PLAIN, video=("-c:v", "libx264", "-qp", "0")), "H.264 profile High 4:4:4 Predictive, allowed"),
        (replace(PLAIN, video=(*H264, "-flags", "+ilme+ildct", "-x264opts", "tff=1")), "interlaced video"),
        (replace(PLAIN, pixels="yuv444p"), "pixel format yuv444p, allowed"),
        (replace(PLAIN, video=MPEG4), "codecs mpeg4 and aac, allowed"),
        (replace(PLAIN, audio=("-c:a", "ac3")), "codecs h264 and ac3, allowed"),
        (
            replace(PLAIN, after=("-bsf:v", "h264_metadata=rotate=90:display_orientation=insert")),
            "its video stream turns the frames",
        ),
    ],
    ids=["lossless", "interlaced", "4:4:4", "mpeg4", "ac3", "turned by SEI"],
)
def test_files_that_some_browser_does_not_play_as_they_are(tmp_path: Path, pattern: Pattern, fault: str) -> None:
    path = written(tmp_path / "a", pattern)
    assert playable_type(path) == ""
    assert probe(path).browser_fault.startswith(fault)


@pytest.mark.parametrize(("first", "second"), [(H264, MPEG4), (H264, H264)])
def test_the_default_stream_counts(tmp_path: Path, first: tuple[str, ...], second: tuple[str, ...]) -> None:
    paths = [
        written(tmp_path / name, replace(PLAIN, video=codec)) for name, codec in (("first", first), ("second", second))
    ]
    path = tmp_path / "both.mp4"
    call = [
        ffmpeg_path(), "-v", "error", "-i", paths[0], "-i", paths[1], "-map", "0:v", "-map", "1:v", "-map", "0:a", "-c", "copy",
        "-disposition:v:0", "0", "-disposition:v:1", "default", path,
    ]  # fmt: skip
    subprocess.run(call, check=True)
    expected = "codecs mpeg4 and aac" if second == MPEG4 else "its first video stream is not the default one"
    assert playable_type(path) == ""
    assert probe(path).browser_fault.startswith(expected)


def test_other_containers_are_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a", replace(PLAIN, suffix=".avi", video=MPEG4, audio=("-c:a", "pcm_s16le")))
    with open_input(path) as container:
        assert browser_fault(container) == "is avi, allowed in browsers: mp4, webm; convert it"
    assert playable_type(path) == ""
