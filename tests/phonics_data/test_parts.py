"""Parts of the stages, run at the same time, give the files of one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from phonics_data.storage.locks import running_parts
from phonics_data.storage.parts import Part
from phonics_data.storage.workspace import Workspace
from tests.phonics_data.sources.test_importer import write_video
from tests.phonics_data.test_equal_builds import contents

OPTIONS = {
    "fetch": ("songs.csv",),
    "transcribe": ("--engine", "captions", "--ocr", "never", "--align", "never"),
    "segment": (),
    "shard": ("--min-confidence", "0"),
}
SONGS = "BCDEFG"


def start(folder: Path, stage: str, *more: str) -> subprocess.Popen[str]:
    where = ("--work", "work", *(("--out", "dataset") if stage in ("shard", "build") else ()))
    command = [sys.executable, "-m", "phonics_data", stage, *OPTIONS.get(stage, ()), *where, *more]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(folder: Path, stage: str, *more: str, code: int = 0) -> str:
    process = start(folder, stage, *more)
    out, err = process.communicate()
    assert process.returncode == code, out + err
    return out + err


def write_songs(folder: Path) -> None:
    """songs.csv: six songs of one letter, one of which is damaged, and one that is missing."""
    rows = ["video_id,url,kind,letters", "gone,gone.mkv,letter,B"]
    for number, letter in enumerate(SONGS):
        path = write_video(folder / f"{letter}.mkv", 20 * number + 3, seconds=4)
        captions = f"WEBVTT\n\n00:00.200 --> 00:01.800\n{letter} is for {letter}\n\n00:02.200 --> 00:03.800\n{letter} is for {letter}\n"
        path.with_name(f"{path.stem}.en.vtt").write_text(captions)
        rows.append(f"song-{letter},{path.name},letter,{letter}")
    damaged = folder / "D.mkv"
    damaged.write_bytes(damaged.read_bytes()[:2000])
    (folder / "songs.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_songs(folder)
    return folder


@pytest.mark.slow
def test_parts_and_a_gathering_give_the_files_of_one_process(inputs: Path) -> None:
    """Three parts at the same time; of the parts of shard one is left out, so that the gathering does its items."""
    for stage in OPTIONS:
        run(inputs, stage)
    (inputs / "work").rename(inputs / "one-work")
    (inputs / "dataset").rename(inputs / "one-dataset")
    tables = {"fetch": ("videos.parquet", 7), "transcribe": ("words.parquet", 5)}
    for stage in OPTIONS:
        if stage != "segment":
            total = 4 if stage == "shard" else 3
            started = [start(inputs, stage, "--part", f"{k}/{total}") for k in (1, 2, 3)]
            texts = ["".join(process.communicate()) for process in started]
            assert [process.returncode for process in started] == [0, 0, 0], texts
            assert all(f"part {k}/{total}: no table is written" in text for k, text in enumerate(texts, 1))
            assert not (inputs / "dataset").exists()
            assert stage not in tables or not (inputs / "work" / tables[stage][0]).exists()
        said = run(inputs, stage)
        if stage in tables:
            assert f"{tables[stage][1]} finished before" in said
    expected, found = contents(inputs / "one-dataset"), contents(inputs / "dataset")
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
    work, other = contents(inputs / "one-work"), contents(inputs / "work")
    for name in ("words.parquet", "segments.parquet", "screen_letters.parquet", "rejections.parquet"):
        assert work[name] == other[name], name
    stored = (inputs / "work" / "options" / "shard.toml").read_text()
    assert 'part = "' not in stored.replace("# part", "")


def test_a_killed_part_is_done_again_by_the_same_part_or_by_the_gathering(inputs: Path, tmp_path: Path) -> None:
    rows = [line.split(",") for line in (inputs / "songs.csv").read_text().splitlines()]
    (tmp_path / "songs.csv").write_text(
        "\n".join(",".join([row[0], row[1] if row[1] == "url" else str(inputs / row[1]), *row[2:]]) for row in rows)
    )
    part = Part(index=1, total=2)
    process = start(tmp_path, "fetch", "--part", str(part))
    while not any((tmp_path / "work" / "media").glob("song-*")) and process.poll() is None:
        pass
    process.kill()
    process.communicate()
    assert running_parts(tmp_path / "work") == []
    run(tmp_path, "fetch", "--part", str(part))
    mine = {row[0] for row in rows[1:] if part.has(row[0])}
    assert set(Workspace(tmp_path / "work").ledger("fetch").item_ids()) == mine
    text = run(tmp_path, "fetch")
    assert "7 in, 5 kept, 2 rejected" in text
    assert set(Workspace(tmp_path / "work").ledger("fetch").item_ids()) == {row[0] for row in rows[1:]}


def test_a_part_without_items_ends_with_0(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_text("video_id,url\nonly,missing.mp4\n")
    empty = next(k for k in range(1, 3) if not Part(index=k, total=2).has("only"))
    assert "0 in, 0 kept, 0 rejected" in run(tmp_path, "fetch", "--part", f"{empty}/2")
    # A part whose items are all rejected too: the gathering decides.
    assert "0 kept, 1 rejected" in run(tmp_path, "fetch", "--part", f"{3 - empty}/2")
    assert "nothing is kept" in run(tmp_path, "fetch", code=1)


def test_what_has_no_parts_says_so(tmp_path: Path) -> None:
    assert "No such option" in run(tmp_path, "build", "songs.csv", "--part", "1/2", code=2)
    assert "--part: got '0/2', allowed: K/N" in run(tmp_path, "transcribe", "--part", "0/2", code=2)
    assert "--part: got '', allowed: K/N" in run(tmp_path, "transcribe", "--part", "", code=2)
