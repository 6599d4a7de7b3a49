"""Two builds of the same inputs give the same bytes in all files, also in another folder, later and with other numbers of workers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from phonics_data.storage.tables import read_table
from phonics_data.types import FetchedVideo
from tests.phonics_data.sources.test_importer import write_video

BUILD = ("build", "songs.csv", "--engine", "captions", "--ocr", "never", "--align", "never", "--min-confidence", "0")
LIBRARY = ("import", "folder", "clips", "--label-set", "animals")


def phonics_data(folder: Path, *arguments: object) -> None:
    command = [sys.executable, "-m", "phonics_data", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three songs of one letter, one of which is damaged, one that is missing; and the same files in subfolders of classes."""
    folder = tmp_path_factory.mktemp("inputs")
    rows = ["video_id,url,kind,letters", "gone,gone.mkv,letter,B"]
    for number, letter in enumerate("BCD"):
        path = write_video(folder / "clips" / letter / f"song {letter}.mkv", 20 * number + 3, seconds=4)
        captions = f"WEBVTT\n\n00:00.200 --> 00:01.800\n{letter} is for {letter}\n\n00:02.200 --> 00:03.800\n{letter} is for {letter}\n"
        path.with_name(f"{path.stem}.en.vtt").write_text(captions)
        rows.append(f"song-{letter},{path.relative_to(folder)},letter,{letter}")
    damaged = folder / "clips" / "D" / "song D.mkv"
    damaged.write_bytes(damaged.read_bytes()[:2000])
    (folder / "songs.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize("command", [BUILD, LIBRARY])
def test_all_files_are_equal(inputs: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    here, there = inputs, tmp_path / "on another machine" / "inputs"
    phonics_data(here, *command, "--work", tmp_path / "work", "--out", tmp_path / "dataset", "--workers", 1)
    shutil.copytree(here, there)
    for path in there.rglob("*"):
        os.utime(path, (1e9, 1e9))  # as after a download on another day
    phonics_data(there, *command, "--work", "../w 2", "--out", "data", "--workers", 2)
    expected, found = contents(tmp_path / "dataset"), contents(there / "data")
    assert found.keys() == expected.keys()
    assert {"videos.parquet", "rejections.parquet", "report.html", "SHA256SUMS", ".shards.json"} < found.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
    dates = [
        {row.fetched_at for row in read_table(work / "videos.parquet", FetchedVideo)}
        for work in (tmp_path / "work", there / ".." / "w 2")
    ]
    assert dates[0].isdisjoint(dates[1]), "the builds were not at different times"


def test_a_killed_build_leaves_nothing_behind(inputs: Path, tmp_path: Path) -> None:
    """Files of the forms that a kill leaves, in the folders of all stages; the same command removes them."""
    command = (*BUILD, "--work", tmp_path / "work", "--out", tmp_path / "dataset")
    phonics_data(inputs, *command)
    names = (
        "clips/song-B/.clips.12-0123abcd.partial.tar",
        "items/fetch/.song-B.12-0123abcd.partial.json",
        ".words.12-0123abcd.partial.parquet",
    )
    for path in [
        *(tmp_path / "work" / name for name in names),
        tmp_path / "dataset" / ".train-000000.12-0123abcd.partial.tar",
        tmp_path / "dataset" / ".0f.moved",
    ]:
        path.write_bytes(b"half")
    phonics_data(inputs, *command)
    left = [path.name for folder in ("work", "dataset") for path in (tmp_path / folder).rglob(".*") if path.is_file()]
    assert sorted(left) == [".lock", ".lock", ".shards.json"]
