"""The commands of fetching as a user runs them, in processes of their own."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pandas
import pytest
from typer.testing import CliRunner

from phonics_data.cli.app import app
from phonics_data.errors import PhonicsDataError
from phonics_data.storage.workspace import Workspace
from phonics_data.types import SourceVideo
from tests.phonics_data.stages.fetch.fake_youtube import CaptionsOnTube, Song, Tube
from tests.phonics_data.stages.fetch.fake_youtube_client import ROOT, command
from tests.phonics_data.stages.fetch.small_videos import clip_bytes


@pytest.fixture
def tube() -> Iterator[Tube]:
    songs = [
        Song(f"video{number:06d}", {"18": clip_bytes(seed=number)}, title=f"The Letter {letter} Song")
        for number, letter in enumerate("ABC")
    ]
    songs[0].captions.append(CaptionsOnTube("en", is_auto=True))
    with Tube(*songs) as running:
        yield running


@pytest.fixture
def manifest(tube: Tube, tmp_path: Path) -> Path:
    rows = [SourceVideo(video_id=song.video_id, url=song.url, title=song.title) for song in tube.songs.values()]
    path = tmp_path / "songs.csv"
    pandas.DataFrame([{"video_id": row.video_id, "url": row.url, "title": row.title} for row in rows]).to_csv(
        path, index=False
    )
    return path


def phonics_data(tube: Tube, *arguments: object, rc: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(tube.port, *arguments), cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == rc, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_fetch_status_lock_and_diff(tube: Tube, manifest: Path, tmp_path: Path) -> None:
    work, lock = tmp_path / "work", tmp_path / "a.lock.csv"
    dry = phonics_data(tube, "fetch", manifest, "--work", work, "--dry-run", "--sleep", 0, 0).stdout
    assert "3 videos would be fetched" in dry
    assert "MB, from the pages of 3 of them" in dry
    assert not work.exists()
    assert tube.asked("media") == []

    done = phonics_data(tube, "fetch", manifest, "--work", work, "--sleep", 0, 0, "--only", "video000001")
    assert "1 in, 1 kept" in done.stdout
    assert "2 rows of the manifest were left out" in done.stdout
    assert "1/1 video000001 ok" in done.stderr

    lines = phonics_data(tube, "fetch", manifest, "--work", work, "--sleep", 0, 0, "--json").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["event"] for event in events if event["event"] not in ("moved", "waits")] == [
        "began", "started", "ended", "started", "ended", "counted",
    ]  # fmt: skip
    assert events[-1]["num_kept"] == 3

    assert "fetch: ok 3" in phonics_data(tube, "status", "--work", work).stdout
    phonics_data(tube, "manifest", "lock", "--work", work, "--out", lock)
    frame = pandas.read_csv(lock)
    assert frame.video_id.tolist() == ["video000000", "video000001", "video000002"]
    assert frame.captions.tolist() == ["en-orig", "none", "none"]
    assert set(frame.format) == {18}
    assert phonics_data(tube, "manifest", "diff", lock, lock).stdout == "no difference\n"


def test_rows_from_pages(tube: Tube, tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    urls = [f"https://youtu.be/{name}" for name in tube.songs]
    phonics_data(tube, "manifest", "add", *urls[:2], "--to", path, "--sleep", 0, 0)
    again = phonics_data(tube, "manifest", "add", urls[1], urls[2], "--to", path, "--sleep", 0, 0).stdout
    assert "stands there already" in again
    frame = pandas.read_csv(path)
    assert frame.video_id.tolist() == list(tube.songs)
    assert frame.kind.tolist() == ["letter"] * 3
    assert frame.letters.tolist() == ["A", "B", "C"]
    assert frame.title[0] == "The Letter A Song"
    assert frame.duration_seconds.tolist() == pytest.approx([2, 2, 2])
    assert "no fault" in phonics_data(tube, "manifest", "check", path).stdout
    gone = phonics_data(tube, "manifest", "add", "https://youtu.be/nothing0000", "--to", path, "--sleep", 0, 0, rc=1)
    assert "Video unavailable" in gone.stderr
    assert len(pandas.read_csv(path)) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_soon_with_all_that_was_finished(
    tube: Tube, manifest: Path, tmp_path: Path, number: signal.Signals
) -> None:
    work = tmp_path / "work"
    tube.songs["video000001"].media_faults.append("slow 120")
    process = subprocess.Popen(
        command(tube.port, "fetch", manifest, "--work", work, "--sleep", 0, 0),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (tube.asked("media", "video000001") and tube.asked("media", "video000001")[0].num_bytes):
        assert time.monotonic() < deadline, "the second video was never begun"
        time.sleep(0.02)  # only the server can tell how far the other process is
    process.send_signal(number)
    _, said = process.communicate(timeout=60)  # 5 s on an idle machine; the download would take 120
    assert process.returncode == 130
    assert said.rstrip().endswith("interrupted; what was finished is kept, the same command goes on")
    assert "Traceback" not in said
    assert pandas.read_parquet(work / "videos.parquet").video_id.tolist() == ["video000000"]

    done = phonics_data(tube, "fetch", manifest, "--work", work, "--sleep", 0, 0)
    assert "3 kept, 0 rejected; 1 finished before" in done.stdout
    assert len(tube.asked("media", "video000000")) == 1


def test_the_second_fetch_says_who_works_there(tube: Tube, manifest: Path, tmp_path: Path) -> None:
    with Workspace(tmp_path / "work").lock():
        done = phonics_data(tube, "fetch", manifest, "--work", tmp_path / "work", rc=1)
    assert "is working here; wait until it ends" in done.stderr
    assert tube.sent == []


@pytest.mark.parametrize(
    ("arguments", "rc", "message"),
    [
        (("--sleep", 3, 1), 2, "--sleep: got '3 1', allowed: two numbers"),
        (("--limit-rate", "fast"), 2, "--limit-rate: got 'fast', allowed: bytes a second"),
        (("--retry", "some"), 2, "--retry: got 'some', allowed: failed, gone, all"),
        (("--only", "nobody"), 2, "--only: got 'nobody', allowed: video ids that the manifest has"),
        (("--tier", 4), 2, "--tier: got 4, allowed: 1, 2 or 3"),
        (("--cookies", "no.txt"), 1, "--cookies no.txt: no such file"),
        (("--cookies", "songs.csv"), 1, "line 1 is no cookie in Netscape format"),
        (("--cookies-from-browser", "lynx"), 2, "--cookies-from-browser: got 'lynx', allowed: brave"),
    ],
)
def test_bad_options_are_one_clear_line(manifest: Path, arguments: tuple[object, ...], rc: int, message: str) -> None:
    if "songs.csv" in arguments:
        arguments = ("--cookies", manifest)
    words = ["fetch", manifest, "--work", manifest.parent / "work", *arguments]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert isinstance(result.exception, PhonicsDataError)
    assert result.exception.exit_code == rc
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
    assert result.output == ""
