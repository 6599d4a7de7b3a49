"""Every container, codec, colour, rotation, rate and layout of sound that the bundled ffmpeg program writes, through the import.

The videos carry their truth (tests/patterned_videos.py): frames are exact, clicks within 1 ms, colours within 3 levels. Formats that
store less than that have their own limits here, with the reason.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phonics_data import open_dataset
from phonics_data.media import cut_segments, ffmpeg_path
from phonics_data.media.frame_sampler import sample_frames
from phonics_data.media.preview import frame_jpeg
from phonics_data.quality.filters import FilterOptions
from phonics_data.sources.folder import files_by_csv
from phonics_data.sources.importer import LabelledFile, LabelledSegment, import_files
from phonics_data.stages.shard.stage import ShardOptions, shard
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, Rejection
from tests.patterned_videos import Pattern, Reading, WriteError, read_clip, read_number, variable, write_pattern

RATE = Fraction(25)
SPANS = ((0.0, 1.0), (0.52, 1.6))
MAX_COLOR_LEVELS, MAX_CLICK_SECONDS = 3.0, 0.001

H264 = ("-c:v", "libx264", "-qp", "4", "-preset", "ultrafast")
H264_B = ("-c:v", "libx264", "-qp", "4", "-preset", "veryfast", "-bf", "3")
MPEG4 = ("-c:v", "mpeg4", "-q:v", "1")
MPEG4_B = (*MPEG4, "-bf", "2")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "1", "-bf", "2")
MPEG1 = ("-c:v", "mpeg1video", "-q:v", "1")
VP8 = ("-c:v", "libvpx", "-crf", "4", "-b:v", "20M", "-deadline", "realtime", "-cpu-used", "8")
VP9 = ("-c:v", "libvpx-vp9", "-lossless", "1", "-deadline", "realtime", "-cpu-used", "8")
THEORA = ("-c:v", "libtheora", "-q:v", "10")
WMV2 = ("-c:v", "wmv2", "-q:v", "1")
FFV1 = ("-c:v", "ffv1")
HEVC = ("-c:v", "libx265", "-x265-params", "qp=4:log-level=none", "-preset", "ultrafast")
AV1 = ("-c:v", "libaom-av1", "-crf", "4", "-cpu-used", "8", "-usage", "realtime")

PCM, FLAC = ("-c:a", "pcm_s16le"), ("-c:a", "flac")


def sound(codec: str) -> tuple[str, ...]:
    return ("-c:a", codec, "-b:a", "192k")


AAC, OPUS, VORBIS, MP2, WMA, AC3 = map(sound, ("aac", "libopus", "libvorbis", "mp2", "wmav2", "ac3"))

ORDINARY: dict[str, Pattern] = {
    "mp4": Pattern(suffix=".mp4", video=H264_B, audio=AAC),
    "avi-b-frames": Pattern(suffix=".avi", video=MPEG4_B, audio=PCM),
    "avi-h264-b-frames": Pattern(suffix=".avi", video=H264_B, audio=PCM),
    "wmv-b-frames": Pattern(suffix=".wmv", video=H264_B, audio=WMA),
    "asf-mpeg1": Pattern(suffix=".asf", video=MPEG1, audio=WMA),
    "ogv": Pattern(suffix=".ogv", video=THEORA, audio=VORBIS),
    "webm-opus": Pattern(suffix=".webm", video=VP8, audio=OPUS),
    "mxf-h264": Pattern(suffix=".mxf", video=H264_B, audio=PCM),
    "vob-pcm": Pattern(suffix=".vob", video=MPEG2, audio=("-c:a", "pcm_s16be")),
    "mpg-h264": Pattern(suffix=".mpg", video=H264, audio=MP2),
    "m2ts": Pattern(suffix=".m2ts", video=MPEG1, audio=AC3),
    "3gp": Pattern(suffix=".3GP", video=MPEG4, audio=AAC, after=("-f", "3gp")),
    "exif": Pattern(suffix=".mov", video=("-c:v", "tiff"), audio=PCM, pixels="rgb24"),
    "hd": Pattern(suffix=".mp4", video=H264, audio=AAC, width=320, height=720, tagged=False, matrix="bt709"),
    "odd": Pattern(suffix=".mkv", video=FFV1, audio=FLAC, width=161, height=127, pixels="yuv444p10le", is_full_range=True),
    "anamorphic": Pattern(suffix=".mov", video=H264, audio=AAC, width=80, filters="setsar=2"),
}  # fmt: skip


def build(root: Path, patterns: Mapping[str, Pattern], *, program: str | None = None) -> dict[str, str]:
    """Write, import and shard the videos. Returns the name of each that ffmpeg does not write, with its message."""
    (root / "videos").mkdir()
    unwritten: dict[str, str] = {}
    rows: list[str] = []
    for name, pattern in patterns.items():
        try:
            write_pattern(root / "videos" / f"{name}{pattern.suffix}", pattern, program)
        except WriteError as error:
            unwritten[name] = str(error)
            continue
        rows += [f"{name}{pattern.suffix},{name},{start},{end}" for start, end in SPANS]
    (root / "spans.csv").write_text("\n".join(["path,label,start,end", *rows]) + "\n")
    workspace = Workspace(root / "work")
    import_files(workspace, files_by_csv(root / "videos", root / "spans.csv"), evidence="csv")
    # Frames and sounds of the sources are alike: these filters are disabled.
    rules = FilterOptions(drop_near_duplicates=False, min_loudness_dbfs=-120.0)
    shard(workspace, root / "dataset", ShardOptions(label_set="formats", filters=rules, object_pictures=False))
    return unwritten


def readings(root: Path, patterns: Mapping[str, Pattern]) -> dict[str, list[Reading]]:
    found: dict[str, list[Reading]] = {}
    for sample in open_dataset(root / "dataset"):
        found.setdefault(sample.label, []).append(
            read_clip(
                patterns[sample.label], sample.frames_LHWC, sample.frame_rate, sample.audio_N, sample.audio_rate_hz,
                sample.start_seconds,
            )
        )  # fmt: skip
    return found


def faults(clips: Sequence[Reading]) -> list[str]:
    """What is wrong with the clips of one video."""
    found: list[str] = []
    if len(clips) != len(SPANS):
        found.append(f"{len(clips)} clips")
    for clip in clips:
        if clip.wrong_frames:
            found.append(f"{len(clip.wrong_frames)} of {clip.num_frames} frames, first {clip.wrong_frames[0]}")
        if not clip.color_error <= MAX_COLOR_LEVELS:
            found.append(f"colours {clip.color_error:.1f}")
        if clip.is_turned:
            found.append("turned")
        # WebM rounds times to 1 ms, and FFmpeg rounds once more where it removes the start of Opus: 1 ms exactly.
        if not clip.click_error <= MAX_CLICK_SECONDS + 1e-9:
            found.append(f"clicks {[round(1000 * late, 2) for late in clip.click_errors]} ms")
    return found


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("formats")
    assert build(root, ORDINARY) == {}
    return root


@pytest.fixture(scope="module")
def ordinary_readings(ordinary: Path) -> dict[str, list[Reading]]:
    return readings(ordinary, ORDINARY)


@pytest.mark.parametrize("name", ORDINARY)
def test_frames_colours_and_clicks_are_true(ordinary_readings: dict[str, list[Reading]], name: str) -> None:
    assert faults(ordinary_readings.get(name, [])) == []


@pytest.mark.parametrize("name", ["asf-mpeg1", "m2ts", "mpg-h264", "avi-h264-b-frames"])
def test_the_frame_rate_is_not_that_of_fields(ordinary: Path, name: str) -> None:
    videos = read_table(Workspace(ordinary / "work").table("videos"), FetchedVideo)
    (video,) = [one for one in videos if Path(one.path).stem == name]
    assert video.frame_rate == 25


@pytest.mark.parametrize("name", ORDINARY)
def test_the_pages_and_ocr_see_the_frames_of_the_clips(ordinary: Path, name: str) -> None:
    pattern = ORDINARY[name]
    path = ordinary / "videos" / f"{name}{pattern.suffix}"
    for sampled in sample_frames(path, rate=5):
        if 0.1 < sampled.seconds < 1.8:
            assert read_number(sampled.frame_HWC) in (round(sampled.seconds * 25), round(sampled.seconds * 25) - 1)
    for seconds in (0.02, 1.22):
        assert read_number(decoded_jpeg(frame_jpeg(path, seconds))) == int(seconds * 25)


def decoded_jpeg(data: bytes) -> np.ndarray:
    import io

    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("reader", ["sampled", "jpeg"])
def test_pixels_that_are_not_square_are_shown_square(ordinary: Path, reader: str) -> None:
    path = ordinary / "videos" / "anamorphic.mov"
    frame = next(iter(sample_frames(path))).frame_HWC if reader == "sampled" else decoded_jpeg(frame_jpeg(path, 0.0))
    assert frame.shape[:2] == (128, 160)


def test_import_says_which_of_several_audio_streams_is_used(
    ordinary: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, path = ordinary / "videos" / "mp4.mp4", tmp_path / "two.mp4"
    languages = ("-metadata:s:a:0", "language=deu", "-metadata:s:a:1", "language=eng", "-disposition:a", "0")
    call = [
        ffmpeg_path(),
        "-v",
        "error",
        "-i",
        source,
        "-map",
        "0:v",
        "-map",
        "0:a",
        "-map",
        "0:a",
        "-c",
        "copy",
        *languages,
        path,
    ]
    subprocess.run(call, check=True)
    file = LabelledFile(video_id="two", path=path, segments=(LabelledSegment(label="a"),))
    import_files(Workspace(tmp_path / "work"), [file], evidence="csv")
    assert "audio stream 1 of 2 used: deu (default)" in caplog.text


@pytest.mark.parametrize("pictures", ["90", "180", "270", "hflip", "vflip", "transpose", "transverse"])
def test_orientation_in_every_container_that_stores_it(tmp_path: Path, pictures: str) -> None:
    """Frames that are stored turned, with the display matrix that the ffmpeg program writes."""
    stored = Pattern(suffix=".mp4", video=H264, audio=AAC, pictures=pictures, width=96, height=128, seconds=1.7)
    write_pattern(tmp_path / "stored.mp4", stored)
    turn = {
        "90": ("-display_rotation", "-90"), "180": ("-display_rotation", "180"), "270": ("-display_rotation", "90"),
        "hflip": ("-display_hflip",), "vflip": ("-display_vflip",), "transpose": ("-display_rotation", "-90", "-display_hflip"),
        "transverse": ("-display_rotation", "90", "-display_hflip"),
    }[pictures]  # fmt: skip
    for suffix in (".mp4", ".mov", ".mkv"):
        path = tmp_path / f"turned{suffix}"
        call = [ffmpeg_path(), "-v", "error", *turn, "-i", tmp_path / "stored.mp4", "-c", "copy", path]
        subprocess.run(call, check=True)
        (clip,) = cut_segments(path, [(0.0, 1.0)], frame_rate=RATE, width=64, height=64, audio_rate_hz=16_000)
        found = read_clip(stored, clip.frames_LHWC, RATE, clip.audio_N, 16_000, 0.0)
        assert (faults([found, found]), suffix) == ([], suffix)


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    container=st.sampled_from([(".mp4", AAC), (".mov", PCM), (".mkv", FLAC), (".avi", PCM), (".ts", AC3)]),
    video=st.sampled_from([H264, H264_B]),
    size=st.tuples(st.sampled_from([96, 130, 160]), st.sampled_from([96, 128, 130])),
    matrix=st.sampled_from(["bt601", "bt709"]),
    is_full_range=st.booleans(),
    rate=st.sampled_from([Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(50), Fraction(25, 2)]),
)
def test_combinations(tmp_path_factory: pytest.TempPathFactory, container: tuple[str, tuple[str, ...]],
                      video: tuple[str, ...], size: tuple[int, int], matrix: str, is_full_range: bool, rate: Fraction) -> None:  # fmt: skip
    suffix, audio = container
    pattern = Pattern(
        suffix=suffix, video=video, audio=audio, width=size[0], height=size[1], matrix=matrix,  # type: ignore[arg-type]
        is_full_range=is_full_range, rate=rate,
    )  # fmt: skip
    root = tmp_path_factory.mktemp("combination")
    assert build(root, {"a": pattern}) == {}
    (clips,) = readings(root, {"a": pattern}).values()
    assert faults(clips) == []


CONTAINERS = {
    ".mp4": (H264, AAC), ".m4v": (H264, AAC), ".mov": (H264, PCM), ".3gp": (H264, AAC), ".3g2": (H264, AAC), ".mkv": (H264, FLAC),
    ".webm": (VP8, OPUS), ".avi": (MPEG4, PCM), ".mpg": (MPEG2, MP2), ".mpeg": (MPEG2, MP2), ".vob": (MPEG2, MP2), ".ts": (H264, AAC),
    ".m2ts": (H264, AC3), ".mts": (H264, AC3), ".flv": (H264, AAC), ".f4v": (H264, AAC), ".ogv": (THEORA, VORBIS), ".wmv": (WMV2, WMA),
    ".asf": (WMV2, WMA), ".mxf": (MPEG2, PCM),
}  # fmt: skip
VIDEO_CODECS = {
    "h264": H264, "h264-b": H264_B, "hevc": HEVC, "mpeg4": MPEG4, "mpeg4-b": MPEG4_B, "xvid": ("-c:v", "libxvid", "-q:v", "1"),
    "mpeg2": MPEG2, "mpeg1": MPEG1, "vp8": VP8, "vp9": VP9, "av1": AV1, "theora": THEORA, "mjpeg": ("-c:v", "mjpeg", "-q:v", "1", "-strict", "-1"),
    "ffv1": FFV1, "ffvhuff": ("-c:v", "ffvhuff"), "utvideo": ("-c:v", "utvideo"), "wmv1": ("-c:v", "wmv1", "-q:v", "1"), "wmv2": WMV2,
    "msmpeg4": ("-c:v", "msmpeg4", "-q:v", "1"), "flv1": ("-c:v", "flv", "-q:v", "1"), "h263p": ("-c:v", "h263p", "-q:v", "1"),
    "jpeg2000": ("-c:v", "jpeg2000"),
}  # fmt: skip
AUDIO_CODECS = (
    "aac libmp3lame mp2 libopus libvorbis flac alac ac3 eac3 wmav1 wmav2 pcm_s16le pcm_s16be pcm_s24le pcm_s32le pcm_f32le pcm_f64le "
    "pcm_u8 pcm_alaw pcm_mulaw adpcm_ima_wav adpcm_ms wavpack tta"
).split()
DECODED_BY_NOBODY = {  # (container, codec): ffmpeg writes it under a tag that stands for something else, and does not read it again
    *((suffix, codec) for suffix in (".mpg", ".mpeg", ".vob", ".ts", ".m2ts", ".mts") for codec in VIDEO_CODECS
      if codec not in ("h264", "h264-b", "hevc", "mpeg4", "mpeg4-b", "xvid", "mpeg2", "mpeg1")),
    *((suffix, codec) for suffix in (".ts", ".m2ts", ".mts") for codec in AUDIO_CODECS
      if codec not in ("aac", "libmp3lame", "mp2", "libopus", "ac3", "eac3")),
    (".avi", "hevc"), (".mov", "wmav1"), (".mov", "wmav2"), (".wmv", "flac"), (".asf", "flac"),
}  # fmt: skip
DELAY_NOT_STORED = {  # the encoder's delay is in the file, but no container field says so: all readers hear it late
    (".avi", codec) for codec in ("aac", "libmp3lame", "mp2", "libvorbis", "ac3", "eac3", "wmav1", "wmav2")
}  # fmt: skip


def every_pair() -> dict[str, Pattern]:
    patterns: dict[str, Pattern] = {}
    for suffix, (video, audio) in CONTAINERS.items():
        for codec, arguments in VIDEO_CODECS.items():
            if (suffix, codec) not in DECODED_BY_NOBODY:
                patterns[f"{suffix[1:]}-{codec}"] = Pattern(suffix=suffix, video=arguments, audio=audio)
        for codec in AUDIO_CODECS:
            if (suffix, codec) not in DECODED_BY_NOBODY | DELAY_NOT_STORED:
                bits = (
                    ()
                    if codec.startswith(("pcm", "adpcm")) or codec in ("flac", "alac", "wavpack", "tta")
                    else ("-b:a", "192k")
                )
                patterns[f"{suffix[1:]}-{codec}"] = Pattern(suffix=suffix, video=video, audio=("-c:a", codec, *bits))
    return patterns


def every_property() -> dict[str, Pattern]:
    patterns: dict[str, Pattern] = {}
    base = Pattern(suffix=".mkv", video=FFV1, audio=FLAC)
    for (
        pixels
    ) in "yuv420p yuv422p yuv444p yuv440p yuv411p yuv420p10le yuv422p10le yuv444p10le yuv420p12le yuv444p16le".split():
        for matrix in ("bt601", "bt709"):
            for is_full in (False, True):
                patterns[f"{pixels}-{matrix}-{is_full}"] = replace(
                    base, pixels=pixels, matrix=matrix, is_full_range=is_full
                )  # type: ignore[arg-type]
    patterns["gbrp"] = replace(base, pixels="gbrp")
    for width, height in ((161, 127), (159, 128), (160, 127), (97, 101)):
        patterns[f"size-{width}x{height}"] = replace(base, width=width, height=height)
    for height in (576, 718, 720, 722, 1080):
        matrix = "bt709" if height >= 720 else "bt601"
        patterns[f"untagged-{height}"] = Pattern(
            suffix=".mp4", video=H264, audio=AAC, width=320, height=height, tagged=False, matrix=matrix  # type: ignore[arg-type]
        )  # fmt: skip
    rates = "24000/1001 24 25 30000/1001 30 50 60000/1001 60 25/2"
    for suffix in (".mp4", ".mkv", ".mov", ".ts", ".flv", ".wmv", ".avi", ".webm"):
        video, audio = CONTAINERS[suffix]
        for rate in map(Fraction, rates.split()):
            name = f"{suffix[1:]}-{float(rate):.2f}".replace(".", "_")
            patterns[name] = Pattern(suffix=suffix, video=video, audio=audio, rate=rate)
        if suffix not in (".avi", ".mov", ".wmv"):
            times = variable(36)
            patterns[f"{suffix[1:]}-vfr"] = Pattern(
                suffix=suffix, video=video, audio=audio, times=times, rate=Fraction(100)
            )
        for late in (Fraction(3, 10), Fraction(-3, 20)):
            if suffix != ".avi":
                patterns[f"{suffix[1:]}-sound-{float(late)}".replace(".", "_")] = Pattern(
                    suffix=suffix, video=video, audio=audio, sound_start=late, clicks=(Fraction(2, 5), Fraction(4, 5), Fraction(7, 5))
                )  # fmt: skip
    for suffix, codec in (
        (".mp4", AAC),
        (".mkv", FLAC),
        (".mkv", VORBIS),
        (".webm", OPUS),
        (".avi", PCM),
        (".wmv", WMA),
        (".ts", sound("libmp3lame")),
    ):
        for rate_hz in (8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000):
            patterns[f"{suffix[1:]}-{codec[1]}-{rate_hz}"] = Pattern(
                suffix=suffix, video=CONTAINERS[suffix][0], audio=codec[:2], audio_rate_hz=rate_hz
            )  # fmt: skip
    layouts = {"mono": 1, "stereo": 2, "2.1": 3, "3.0": 3, "4.0": 4, "quad": 4, "5.0": 5, "5.1": 6, "6.1": 7, "7.1": 8}
    for layout, number in layouts.items():
        for suffix, audio in ((".mkv", FLAC), (".mkv", PCM), (".mov", PCM), (".mp4", AAC[:2])):
            patterns[f"{suffix[1:]}-{audio[1]}-{layout}".replace(".", "_")] = Pattern(
                suffix=suffix, video=CONTAINERS[suffix][0], audio=audio, channels=layout, num_channels=number
            )  # fmt: skip
    return patterns


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("patterns", [every_pair(), every_property()], ids=["pairs", "properties"])
def test_every_format(tmp_path: Path, patterns: dict[str, Pattern]) -> None:
    unwritten = build(tmp_path, patterns)
    found = readings(tmp_path, patterns)
    rejected = {
        row.item_id: row.detail for row in read_table(Workspace(tmp_path / "work").table("rejections"), Rejection)
    }
    wrong = {name: faults(found.get(name, [])) for name in patterns if name not in unwritten}
    wrong = {name: what for name, what in wrong.items() if what}
    right = [clip for name in found if name not in wrong for clip in found[name]]
    print(
        f"{len(patterns)} combinations, {len(unwritten)} not written by ffmpeg, {len(patterns) - len(unwritten) - len(wrong)} true"
    )
    print(
        f"largest errors: {max(c.color_error for c in right):.2f} levels, {max(c.click_error for c in right) * 1000:.2f} ms"
    )
    if report := os.environ.get("FORMATS_REPORT"):
        lines = [f"{name}: {what}" for name, what in (*wrong.items(), *unwritten.items(), *rejected.items())]
        Path(report).write_text("\n".join(lines) + "\n")
    assert wrong == {}
