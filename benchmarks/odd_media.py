"""Benchmark of unusual and hostile media files: time, memory and outcome of each one in the stages that decode it.

Each file is processed by a fork of the benchmark, so that the kernel reports the time and the largest process of it alone.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from phonics_data.errors import PhonicsDataError
from phonics_data.media import ffmpeg_path
from phonics_data.sources.importer import LabelledFile, LabelledSegment, import_files
from phonics_data.stages.fetch.options import FetchOptions
from phonics_data.stages.fetch.stage import fetch
from phonics_data.stages.shard.options import ShardOptions
from phonics_data.stages.shard.stage import shard
from phonics_data.stages.transcribe import TranscribeOptions, transcribe
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import Rejection, SourceVideo, StageCount

MAX_PEAK_BYTES = int(2.5 * 1024**3)
"""Largest process: the limit of 2 GiB of one item, and the program itself."""
MAX_WALL_SECONDS = 3 * 3 * 3600.0
_OCR_MEGABYTES = 0.5
"""Larger files are whole songs, whose OCR is measured elsewhere."""

_SOUND = "sine=frequency=440:sample_rate=44100:duration=1.5"
_PICTURE = "testsrc=size=160x120:rate=25:duration=1.5"


@dataclass(frozen=True, kw_only=True, slots=True)
class OddFile:
    """One file and what it cost."""

    name: str
    num_bytes: int
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    """Resident memory of the largest process."""
    outcomes: Mapping[str, str]
    """Stage -> ``kept``, or the reasons of its rejections, or the first words of its error."""
    defect: str
    """Traceback of an error that is no error of a user; empty if there was none."""

    @property
    def is_within_limits(self) -> bool:
        return not self.defect and self.peak_bytes <= MAX_PEAK_BYTES and self.wall_seconds <= MAX_WALL_SECONDS


def benchmark_odd_media(
    folder: Path, work: Path, *, real: Path | None = None, out: Path | None = None
) -> list[OddFile]:
    """Generate the files in `folder` and process each one, and those below `real`.

    Args:
        work: folder for workspaces; each is deleted after its file.
        out: a JSON file of one line a measured file, continued if it exists.
    """
    others = sorted(path for path in real.rglob("*") if path.is_file()) if real is not None else []
    done: dict[str, OddFile] = {}
    if out is not None and out.exists():
        done = {one.name: one for one in (OddFile(**json.loads(line)) for line in out.read_text().splitlines())}
    found: list[OddFile] = []
    for path in itertools.chain(write_odd_media(folder), others):
        name = f"{path.parent.name}/{path.name}"
        if name not in done:
            done[name] = measure(path, name, work)
            if out is not None:
                with out.open("a") as file:
                    file.write(json.dumps(asdict(done[name]), ensure_ascii=False) + "\n")
        found.append(done[name])
    return found


def measure(path: Path, name: str, work: Path) -> OddFile:
    """Fetch, transcribe, import and shard one file."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    result = work / "result.json"
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        defect = ""
        outcomes: dict[str, str] = {}
        try:
            _process(path, work, outcomes)
        except BaseException:  # noqa: BLE001 - the result of the benchmark
            defect = traceback.format_exc()
        result.write_text(json.dumps((outcomes, defect)))
        os._exit(0)
    _, _, usage = os.wait4(child, 0)
    wall = time.monotonic() - started
    outcomes, defect = json.loads(result.read_text()) if result.exists() else ({}, "the process died")
    shutil.rmtree(work)
    return OddFile(
        name=name,
        num_bytes=path.stat().st_size,
        wall_seconds=round(wall, 2),
        cpu_seconds=round(usage.ru_utime + usage.ru_stime, 2),
        peak_bytes=usage.ru_maxrss * 1024,
        outcomes=outcomes,
        defect=defect,
    )


def _process(path: Path, work: Path, outcomes: dict[str, str]) -> None:
    from phonics_data.executors import isolated

    fetched, imported = Workspace(work / "fetched"), Workspace(work / "imported")
    video = SourceVideo(
        video_id="a", url=str(path), title="", channel="", kind="alphabet", letters="ABC", language="en", tier=1
    )
    ocr = "always" if path.stat().st_size < _OCR_MEGABYTES * 1e6 else "never"
    file = LabelledFile(video_id="a", path=path, segments=(LabelledSegment(label="A", end_seconds=1.0),))
    steps: Sequence[tuple[str, Workspace, Callable[[], StageCount]]] = (
        ("fetch", fetched, lambda: fetch(fetched, [video], FetchOptions())),
        ("transcribe", fetched, lambda: transcribe(fetched, TranscribeOptions(ocr=ocr))),
        ("import", imported, lambda: import_files(imported, [file], evidence="folder")),
        ("shard", imported, lambda: shard(imported, work / "dataset", ShardOptions())),
    )
    for name, workspace, run in steps:
        try:
            count = run()
            outcomes[name] = "kept" if count.num_kept else ", ".join(sorted(count.by_reason)) or "nothing"
        except PhonicsDataError as error:
            table = workspace.table("rejections")
            rows = read_table(table, Rejection) if table.exists() else []
            outcomes[name] = ", ".join(sorted({row.reason for row in rows})) or str(error)[:60]
    isolated.close_idle()  # its time is then counted


def write_odd_media(folder: Path) -> Iterator[Path]:
    """Generate the files that do not exist yet. Combinations that ffmpeg refuses are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, arguments in _recipes():
        path = folder / name
        if not path.exists():
            temporary = folder / f".part-{name}"
            command = [ffmpeg_path(), "-v", "quiet", "-nostdin", "-y", "-threads", "1", *arguments, str(temporary)]
            if subprocess.run(command, check=False, timeout=300).returncode or not temporary.exists():
                temporary.unlink(missing_ok=True)
                continue
            temporary.rename(path)
        yield path
    yield from _damaged(folder)


def _recipes() -> Iterator[tuple[str, list[str]]]:
    """(name of the file, arguments of ffmpeg)."""
    picture, sound = ["-f", "lavfi", "-i", _PICTURE], ["-f", "lavfi", "-i", _SOUND]
    plain = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    yield "plain.mp4", [*picture, *sound, *plain]
    for codec, suffixes in {
        "libx264": "mkv ts flv 3gp avi nut", "libx265": "mp4 mkv ts", "libvpx": "webm mkv", "libvpx-vp9": "webm mp4",
        "libsvtav1": "mp4 webm", "libtheora": "ogv", "mpeg1video": "mpg", "mpeg2video": "mpg ts mkv", "mpeg4": "avi mp4 mkv",
        "mjpeg": "avi mov mkv", "ffv1": "mkv avi", "huffyuv": "avi mkv", "utvideo": "avi", "prores_ks": "mov", "dnxhd": "mov",
        "qtrle": "mov", "png": "mov avi", "rawvideo": "avi mov nut", "wmv1": "wmv", "wmv2": "wmv asf", "msmpeg4": "avi", "flv": "flv",
        "h263": "3gp", "svq1": "mov", "cinepak": "avi mov", "msvideo1": "avi", "snow": "nut", "jpeg2000": "mov mkv", "libwebp": "mkv",
        "gif": "gif mov", "zmbv": "avi", "rv20": "rm", "libvvenc": "mp4", "dvvideo": "avi", "ljpeg": "avi", "asv1": "avi", "flashsv": "flv",
    }.items():  # fmt: skip
        size = ["-s", {"h263": "176x144", "dvvideo": "720x576", "dnxhd": "1280x720"}.get(codec, "160x120")]
        extra = {
            "dvvideo": ["-pix_fmt", "yuv420p"],
            "dnxhd": ["-b:v", "60M", "-pix_fmt", "yuv422p"],
            "snow": ["-strict", "-2"],
        }
        for suffix in suffixes.split():
            yield f"{codec}.{suffix}", [*picture, *sound, "-c:v", codec, *size, *extra.get(codec, [])]
    for codec, suffixes in {
        "libmp3lame": "mp4 mkv avi", "flac": "mkv mp4", "libopus": "mkv webm mp4", "libvorbis": "mkv ogg", "pcm_s16le": "mkv mov avi",
        "pcm_u8": "avi", "pcm_f64le": "mkv", "ac3": "mkv mp4", "eac3": "mp4", "dca": "mkv", "alac": "mov", "truehd": "mkv", "tta": "mkv",
        "wavpack": "mkv", "adpcm_ms": "avi", "adpcm_ima_wav": "avi", "g722": "mkv", "wmav2": "asf", "libopencore_amrnb": "3gp",
        "nellymoser": "flv", "mp2": "mpg ts", "opus": "mkv",
    }.items():  # fmt: skip
        for suffix in suffixes.split():
            video = "libvpx" if suffix == "webm" else "libtheora" if suffix == "ogg" else "mpeg4"
            rate = ["-ar", "8000"] if "amr" in codec else []
            yield f"audio-{codec}.{suffix}", [*picture, *sound, "-c:v", video, "-c:a", codec, "-strict", "-2", *rate]
    for size in ("2x2", "16x2000", "4000x16", "161x121", "4096x4096", "8000x8000", "8190x8190"):
        color = ["-f", "lavfi", "-i", f"color=c=red:size={size}:rate=10:duration=0.5"]
        for codec, suffix in (("libx264", "mp4"), ("mjpeg", "avi"), ("png", "mkv")):
            yield f"size-{size}-{codec}.{suffix}", [*color, *sound, *plain[4:], "-c:v", codec]
    for size, codec, suffix in (
        ("8200x8200", "mjpeg", "avi"),
        ("16000x16000", "mjpeg", "mkv"),
        ("16000x16000", "png", "mov"),
    ):
        color = ["-f", "lavfi", "-i", f"color=c=red:size={size}:rate=10:duration=0.1"]
        yield f"size-{size}-{codec}.{suffix}", [*color, *sound, "-c:v", codec, "-c:a", "aac"]
    for rate in ("1/10", "1/3", "5", "240", "1000"):
        slow = ["-f", "lavfi", "-i", f"testsrc=size=64x64:rate={rate}:duration={20 if '/' in rate else 1.5}"]
        yield f"rate-{rate.replace('/', 'in')}.mkv", [*slow, *sound, *plain]
    for hours, suffix in ((1, "mp4"), (5, "mkv"), (7, "mp4"), (30, "mkv")):
        still = ["-f", "lavfi", "-i", f"color=size=64x64:rate=1/60:duration={hours * 3600}"]
        yield f"long-{hours}h.{suffix}", [*still, *sound, *plain]
    yield "zero-frames.mp4", [*picture, *sound, *plain, "-frames:v", "0"]
    yield "one-frame.mp4", [*picture, *sound, *plain, "-frames:v", "1"]
    yield "no-video.mp4", [*sound, "-c:a", "aac"]
    yield "no-audio.mp4", [*picture, *plain[:6]]
    yield "sound.wav", sound
    yield "fragmented.mp4", [*picture, *sound, *plain, "-movflags", "frag_keyframe+empty_moov"]
    yield "late.mkv", [*picture, *sound, *plain, "-output_ts_offset", "100000"]
    yield "negative.mkv", [*picture, *sound, *plain, "-output_ts_offset", "-1"]
    many = [part for _ in range(60) for part in ("-map", "0:v", "-map", "1:a")]
    yield "120-streams.mkv", [*picture, *sound, *many, "-c:v", "mpeg4", "-c:a", "pcm_s16le"]
    yield "120-streams.mp4", [*picture, *sound, *many, "-c:v", "mpeg4", "-c:a", "aac"]
    for pixels in ("gray", "yuv444p", "yuv422p10le", "rgb24", "yuva420p", "gbrp12le", "pal8", "monow"):
        codec = {"rgb24": "png", "pal8": "png", "monow": "png", "gray": "ffv1"}.get(pixels, "ffv1")
        yield f"pixels-{pixels}.mkv", [*picture, *sound, "-c:v", codec, "-pix_fmt", pixels, "-c:a", "flac"]
    for channels, rate in (("7.1", 48_000), ("mono", 192_000), ("hexadecagonal", 48_000), ("mono", 2_000)):
        yield f"sound-{channels}-{rate}.mkv", [
            *picture, "-f", "lavfi", "-i", f"anoisesrc=r={rate}:d=1.5", "-c:v", "mpeg4", "-c:a", "pcm_s16le", "-af",
            f"aformat=channel_layouts={channels}",
        ]  # fmt: skip


def _damaged(folder: Path) -> Iterator[Path]:
    """Cut, overwritten and foreign files."""
    rng = np.random.default_rng(0)
    contents: dict[str, bytes] = {
        "empty.mp4": b"",
        "text.mp4": b"I am text\n" * 500,
        "playlist.mp4": b"#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/x\n",
        "concat.mp4": b"ffconcat version 1.0\nfile plain.mp4\n",
        "noise.mkv": rng.bytes(100_000),
        "page.webm": b"<!doctype html><title>404</title>" * 100,
    }
    for name in ("plain.mp4", "libx264.mkv", "libvpx.webm", "libx264.ts", "mpeg4.avi", "libx264.flv"):
        if not (folder / name).exists():
            continue
        data = (folder / name).read_bytes()
        stem, _, suffix = name.rpartition(".")
        for percent in (20, 60, 95):
            contents[f"cut-{percent}-{stem}.{suffix}"] = data[: len(data) * percent // 100]
        for number in range(4):
            broken = bytearray(data)
            first = max(0, data.find(b"moov")) if number % 2 else 0
            for place in rng.integers(first, len(data), 3 * 10**number // (1 + number)).tolist():
                broken[place] = int(rng.integers(256))
            contents[f"broken-{number}-{stem}.{suffix}"] = bytes(broken)
    plain = (folder / "plain.mp4").read_bytes()
    header = bytearray(plain)
    place = header.find(b"mvhd") + 20  # duration, after version, times and time scale
    header[place : place + 4] = b"\xff\xff\xff\xf0"
    contents["announces-1200-hours.mp4"] = bytes(header)
    if (folder / "libx264.ts").exists() and (folder / "mpeg2video.ts").exists():
        contents["two-codecs.ts"] = (folder / "libx264.ts").read_bytes() + (folder / "mpeg2video.ts").read_bytes()
    for name, content in contents.items():
        path = folder / name
        if not path.exists():
            path.write_bytes(content)
        yield path
