"""Corrupted and malicious files in `build` and `verify`: each file gives clips or a rejection."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from phonics_data.dataset.layout import read_metadata
from phonics_data.media import ffmpeg_path
from phonics_data.storage.tables import read_table
from phonics_data.types import Reason, Rejection
from tests.counted_videos import clicks, constant, make_source, modulated_noise, numbered_picture

LETTERS = "ABCDEFGHIJ"


def run(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder`; it must end within the timeout."""
    command = [sys.executable, "-m", "phonics_data", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=240)


def captions() -> str:
    """One letter a second, with word times: enough for an alphabet without OCR."""
    words = ["apple", "ball", "cat", "dog", "egg", "fish", "goat", "hat", "ink", "jam"]
    events = [
        {
            "tStartMs": 1000 * index,
            "dDurationMs": 1000,
            "segs": [{"utf8": letter}] + [
                {"utf8": f" {word}", "tOffsetMs": 200 * place}
                for place, word in enumerate(["is", "for", words[index]], start=1)
            ],
        }
        for index, letter in enumerate(LETTERS)
    ]  # fmt: skip
    return json.dumps({"events": events})


def build(root: Path, videos: Iterable[Path]) -> tuple[set[str], dict[str, Rejection]]:
    """Build and verify a dataset of `videos`; returns (names of videos with clips, name -> rejection of the video)."""
    ids: dict[str, str] = {}
    with (root / "videos.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["video_id", "url"])
        for number, video in enumerate(videos):
            ids[f"video-{number}"] = video.name
            rows.writerow([f"video-{number}", video])
            captions_path = video.with_name(f"{video.stem}.en-orig.json3")
            if not captions_path.exists():
                captions_path.write_text(captions())
    before = sorted(root.rglob("*"))
    done = run(root, "build", "videos.csv", "--work", "work", "--out", "dataset", "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    checked = run(root, "verify", "dataset")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "no fault" in checked.stdout
    after = sorted(path for path in root.rglob("*") if not {"work", "dataset"} & set(path.relative_to(root).parts[:1]))
    assert after == before, "files outside of --work and --out have changed"
    with_clips = {ids[row.video_id] for row in read_metadata(root / "dataset")}
    rejections = read_table(root / "dataset" / "rejections.parquet", Rejection)
    reasons = {ids[row.item_id]: row for row in rejections if row.item_id in ids}
    for row in rejections:
        assert row.reason in get_args(Reason)
        assert "\n" not in row.detail
    # A video that ends before all its segments has no rejection itself, but one for each segment.
    clipless = {row.item_id.rpartition("-")[0] for row in rejections}
    for video_id, name in ids.items():
        assert name in with_clips or name in reasons or video_id in clipless, (
            f"{name} has neither clips nor a rejection"
        )
    return with_clips, reasons


def put(path: Path, seed: int, *, seconds: float = 10.4, rate: int = 25, shift: int = 0, **more: object) -> Path:
    """A video of ten letters; video and audio differ between seeds."""
    times = [at + shift for at in constant(rate, seconds)]
    sound = clicks(seconds, [0.2], 48_000) + modulated_noise(seconds, seed, 48_000)
    if "pictures" not in more:
        more["pictures"] = [numbered_picture(seed * 997 + index, 64) for index in range(len(times))]
    return make_source(path, times, sound, audio_codec="aac", **more)  # type: ignore[arg-type]


def noise(seed: int, height: int, width: int, number: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 255, (height, width, 3), dtype=np.uint8) for _ in range(number)]


def ffmpeg(*arguments: object) -> None:
    subprocess.run([ffmpeg_path(), "-loglevel", "error", "-y", *map(str, arguments)], check=True)


def test_corrupted_files(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    good = put(videos / "good.mp4", 1)
    web = videos / "index-first.mp4"
    ffmpeg("-i", good, "-c", "copy", "-movflags", "+faststart", web)
    whole, first = good.read_bytes(), web.read_bytes()
    web.unlink()
    for tenths in range(1, 10):
        (videos / f"cut-{tenths}.mp4").write_bytes(whole[: len(whole) * tenths // 10])
        (videos / f"index-first-cut-{tenths}.mp4").write_bytes(first[: len(first) * tenths // 10])
    damaged = bytearray(whole)
    at = damaged.find(b"stsz")  # the table of the packets' sizes
    damaged[at + 12 : at + 400] = np.random.default_rng(0).bytes(388)
    (videos / "damaged-index.mp4").write_bytes(damaged)
    ffmpeg("-i", good, "-c", "copy", "-an", videos / "no-sound.mp4")
    ffmpeg("-i", good, "-c", "copy", "-vn", videos / "no-picture.mp4")
    put(videos / "one-frame.mp4", 2, seconds=0.04)
    put(videos / "fast.mp4", 3, rate=240, seconds=3, video_options={"preset": "ultrafast"})
    put(videos / "negative.mkv", 4, shift=-2)
    put(videos / "wide.mp4", 5, seconds=2, pictures=noise(5, 16, 8000, 50), video_options={"preset": "ultrafast"})
    put(videos / "one-pixel.mkv", 6, seconds=2, pictures=noise(6, 1, 1, 50), video_codec="ffv1")
    (videos / "empty.mp4").touch()
    (videos / "text.mp4").write_text("I am text\n" * 500)
    (videos / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/x\n")
    with (videos / "sparse.mp4").open("wb") as file:
        file.write(whole[:2000])
        file.truncate(2 * 1024**3)
    put(videos / "deep-captions.mp4", 7)
    (videos / "deep-captions.en-orig.json3").write_text("[" * 100_000)
    put(videos / "binary-captions.mp4", 8)
    (videos / "binary-captions.en-orig.json3").write_bytes(bytes(range(256)) * 50)
    names = sorted(path for path in videos.iterdir() if path.suffix in (".mp4", ".mkv"))
    with_clips, reasons = build(tmp_path, names)
    assert with_clips >= {"good.mp4", "negative.mkv"}
    broken = {path.name for path in names if path.name.startswith(("cut-", "index-first-cut-"))}
    assert not with_clips & broken, "a truncated video has clips"
    expected = {
        "no-sound.mp4": "no_audio_stream", "no-picture.mp4": "no_video_stream", "empty.mp4": "not_a_video",
        "text.mp4": "not_a_video", "playlist.mp4": "not_a_video", "sparse.mp4": "not_a_video",
    }  # fmt: skip
    assert {name: reasons[name].reason for name in expected} == expected


@pytest.mark.slow
def test_real_files(shared_data: Path, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for number, path in enumerate(sorted(path for path in (shared_data / "media").rglob("*") if path.is_file())):
        if path.suffix not in (".tsv", ".align", ".txt", ".json", ".md"):
            shutil.copyfile(path, videos / f"{number:02d}{path.suffix}")
    put(videos / "good.mp4", 1)
    with_clips, _ = build(tmp_path, sorted(videos.iterdir()))
    assert "good.mp4" in with_clips
    assert len(with_clips) >= 3
