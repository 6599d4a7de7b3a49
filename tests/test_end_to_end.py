"""The whole pipeline as users run it: commands in separate processes, on rendered songs."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas
import pytest
import webdataset

FROM_CAPTIONS = ("--engine", "captions", "--ocr", "never")
"""Options of builds that are repeated and killed: captions are the fastest source of words; others have their own tests."""


def phonics_data(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "phonics_data", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check:
        assert done.returncode == 0, done.stderr
    return done


def shard_digests(dataset: Path) -> dict[str, str]:
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(dataset.glob("*.tar"))}
    assert digests, f"no shards in {dataset}"
    return digests


@pytest.fixture(scope="session")
def complete(tmp_path_factory: pytest.TempPathFactory, songs: Path) -> Path:
    """A dataset built by one worker without interruption."""
    folder = tmp_path_factory.mktemp("complete")
    out = folder / "dataset"
    phonics_data("build", songs / "manifest.csv", "--work", folder / "work", "--out", out, *FROM_CAPTIONS)
    return out


@pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning"
)  # webdataset leaves closing to the garbage collector
def test_metadata_matches_the_shards_read_with_webdataset(complete: Path) -> None:
    clips = pandas.read_parquet(complete / "metadata.parquet")
    assert clips.sample_id.is_unique
    assert set(clips.label) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert len(clips) > 40
    seen = {}
    for shard in sorted(complete.glob("*.tar")):
        for sample in webdataset.WebDataset(str(shard), shardshuffle=False).decode():
            seen[sample["__key__"]] = (sample["frames.npy"].shape, sample["meta.json"]["label"], shard.name)
    rows = {
        row.sample_id: ((row.num_frames, row.height, row.width, 3), row.label, row.shard) for row in clips.itertuples()
    }
    assert seen == rows


def test_clips_of_one_song_are_in_one_split(complete: Path) -> None:
    clips = pandas.read_parquet(complete / "metadata.parquet")
    assert clips.groupby("video_id").split.nunique().max() == 1
    assert set(clips.split) == {"train", "validation", "test"}


def test_verify_reports_a_changed_byte(complete: Path, tmp_path: Path) -> None:
    assert "no fault" in phonics_data("verify", complete).stdout
    copy = tmp_path / "dataset"
    copy.mkdir()
    for path in complete.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    shard = copy / "train-000000.tar"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 0xFF
    shard.write_bytes(data)
    done = phonics_data("verify", copy, check=False)
    assert done.returncode == 1
    assert "train-000000.tar" in done.stdout
    assert "Traceback" not in done.stderr


def count_entries(folder: Path) -> int:
    """Number of files and folders in `folder`; `os.walk` ignores those that another process deletes meanwhile."""
    return sum(len(folders) + len(files) for _, folders, files in os.walk(folder))


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_builds_give_the_same_bytes(complete: Path, songs: Path, tmp_path: Path, workers: int) -> None:
    command = [sys.executable, "-m", "phonics_data", "build", str(songs / "manifest.csv"), "--workers", str(workers)]
    command += ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "dataset"), *FROM_CAPTIONS]
    num_killed = 0
    for seen_files in (3, 12, 60):  # more files: the process is killed later in the run
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        while process.poll() is None and count_entries(tmp_path) < seen_files:
            time.sleep(0.02)  # the files are the only sign of progress of the other process
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            num_killed += 1
        process.wait()
    assert num_killed >= 2, "the build was too fast to be interrupted"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert shard_digests(tmp_path / "dataset") == shard_digests(complete)
    ours = pandas.read_parquet(tmp_path / "dataset" / "metadata.parquet")
    pandas.testing.assert_frame_equal(ours, pandas.read_parquet(complete / "metadata.parquet"))


def test_second_run_repeats_nothing(songs: Path, tmp_path: Path) -> None:
    arguments = ("build", songs / "manifest.csv", "--work", tmp_path / "work", "--out", tmp_path / "dataset")
    arguments += FROM_CAPTIONS
    phonics_data(*arguments)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "dataset").glob("*.tar")}
    num_songs = len(pandas.read_csv(songs / "manifest.csv"))
    again = phonics_data(*arguments).stdout
    assert again.count(f"{num_songs} finished before") >= 2, again
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "dataset").glob("*.tar")} == before


def test_one_bad_video_does_not_stop_the_others(songs: Path, tmp_path: Path) -> None:
    rows = pandas.read_csv(songs / "manifest.csv").head(1)
    rows["url"] = [str(songs / rows.url[0])]
    (tmp_path / "text.mp4").write_text("not a video")
    bad = pandas.DataFrame({"video_id": ["missing", "text"], "url": ["nowhere.mp4", "text.mp4"]})
    pandas.concat([rows, bad]).to_csv(tmp_path / "manifest.csv", index=False)
    phonics_data("build", tmp_path / "manifest.csv", "--work", tmp_path / "work", "--out", tmp_path / "dataset")
    rejections = pandas.read_parquet(tmp_path / "work" / "rejections.parquet")
    reasons = dict(zip(rejections.item_id, rejections.reason, strict=True))
    assert reasons["missing"] == "file_missing"
    assert reasons["text"] == "not_a_video"
    assert len(pandas.read_parquet(tmp_path / "dataset" / "metadata.parquet")) > 5
    status = phonics_data("status", "--work", tmp_path / "work").stdout
    assert "not_a_video 1" in status


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("build", "nowhere.csv"), 1, "nowhere.csv: no such manifest"),
        (("build", "m.csv", "--frame-rate", "zero"), 2, "--frame-rate: got 'zero', allowed:"),
        (("build", "m.csv", "--max-frames", "0"), 2, "--max-frames"),
        (("segment", "--work", "nowhere"), 1, "no workspace here; run `phonics-data fetch"),
        (("verify", "nowhere"), 1, "nowhere"),
        (("build",), 2, "Missing argument"),
    ],
)
def test_bad_input_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], exit_code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.csv").write_text("video_id,url\na,a.mp4\n")
    done = phonics_data(*arguments, check=False)
    assert done.returncode == exit_code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.csv"]


def test_manifest_of_rendered_songs_is_plain_csv(songs: Path) -> None:
    frame = pandas.read_csv(songs / "manifest.csv")
    assert {"video_id", "url", "letters", "language"} <= set(frame.columns)
    info = json.loads((songs / f"{frame.video_id[0]}.info.json").read_text())
    assert info["id"] == frame.video_id[0]
