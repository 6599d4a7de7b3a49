"""The commands around `fetch`, run in separate processes."""

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
from tests.phonics_data.stages.fetch.fake_youtube import FakeCaptions, FakeYouTube, Song
from tests.phonics_data.stages.fetch.fake_youtube_client import ROOT, command
from tests.phonics_data.stages.fetch.small_videos import clip_bytes

pytestmark = pytest.mark.dependencies


@pytest.fixture
def server() -> Iterator[FakeYouTube]:
    songs = [
        Song(f"video{number:06d}", {"18": clip_bytes(seed=number)}, title=f"The Letter {letter} Song")
        for number, letter in enumerate("ABC")
    ]
    songs[0].captions.append(FakeCaptions("en", is_auto=True))
    with FakeYouTube(*songs) as running:
        yield running


@pytest.fixture
def manifest(server: FakeYouTube, tmp_path: Path) -> Path:
    rows = [SourceVideo(video_id=song.video_id, url=song.url, title=song.title) for song in server.songs.values()]
    path = tmp_path / "songs.csv"
    pandas.DataFrame([{"video_id": row.video_id, "url": row.url, "title": row.title} for row in rows]).to_csv(
        path, index=False
    )
    return path


def phonics_data(server: FakeYouTube, *arguments: object, rc: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(server.port, *arguments), cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == rc, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_fetch_status_lock_and_diff(server: FakeYouTube, manifest: Path, tmp_path: Path) -> None:
    work, lock = tmp_path / "work", tmp_path / "a.lock.csv"
    dry = phonics_data(server, "fetch", manifest, "--work", work, "--dry-run", "--sleep", 0, 0).stdout
    assert "3 videos would be fetched" in dry
    assert "MB, from the pages of 3 of them" in dry
    assert not work.exists()
    assert server.requests("media") == []

    done = phonics_data(server, "fetch", manifest, "--work", work, "--sleep", 0, 0, "--only", "video000001")
    assert "1 in, 1 kept" in done.stdout
    assert "2 rows of the manifest were excluded" in done.stdout
    assert "1/1 video000001 ok" in done.stderr

    lines = phonics_data(server, "fetch", manifest, "--work", work, "--sleep", 0, 0, "--json").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["event"] for event in events if event["event"] not in ("moved", "waits")] == [
        "began", "started", "ended", "started", "ended", "counted",
    ]  # fmt: skip
    assert events[-1]["num_kept"] == 3

    assert "fetch: ok 3" in phonics_data(server, "status", "--work", work).stdout
    phonics_data(server, "manifest", "lock", "--work", work, "--out", lock)
    frame = pandas.read_csv(lock)
    assert frame.video_id.tolist() == ["video000000", "video000001", "video000002"]
    assert frame.captions.tolist() == ["en-orig", "none", "none"]
    assert set(frame.format) == {18}
    assert phonics_data(server, "manifest", "diff", lock, lock).stdout == "no difference\n"


def test_manifest_rows_from_pages(server: FakeYouTube, tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    urls = [f"https://youtu.be/{name}" for name in server.songs]
    phonics_data(server, "manifest", "add", *urls[:2], "--to", path, "--sleep", 0, 0)
    again = phonics_data(server, "manifest", "add", urls[1], urls[2], "--to", path, "--sleep", 0, 0).stdout
    assert "already in the manifest" in again
    frame = pandas.read_csv(path)
    assert frame.video_id.tolist() == list(server.songs)
    assert frame.kind.tolist() == ["letter"] * 3
    assert frame.letters.tolist() == ["A", "B", "C"]
    assert frame.title[0] == "The Letter A Song"
    assert frame.duration_seconds.tolist() == pytest.approx([2, 2, 2])
    assert "no fault" in phonics_data(server, "manifest", "check", path).stdout
    gone = phonics_data(server, "manifest", "add", "https://youtu.be/nothing0000", "--to", path, "--sleep", 0, 0, rc=1)
    assert "Video unavailable" in gone.stderr
    assert len(pandas.read_csv(path)) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_run_and_keeps_finished_videos(
    server: FakeYouTube, manifest: Path, tmp_path: Path, number: signal.Signals
) -> None:
    work = tmp_path / "work"
    server.songs["video000001"].media_faults.append("slow 120")
    process = subprocess.Popen(
        command(server.port, "fetch", manifest, "--work", work, "--sleep", 0, 0),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (server.requests("media", "video000001") and server.requests("media", "video000001")[0].num_bytes):
        assert time.monotonic() < deadline, "the second video was not started"
        time.sleep(0.02)  # the state of the other process is known to the server only
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)  # 5 s on an idle machine; the download would take 120
    assert process.returncode == 130
    assert stderr.rstrip().endswith("interrupted; finished items are kept, run the same command to continue")
    assert "Traceback" not in stderr
    assert pandas.read_parquet(work / "videos.parquet").video_id.tolist() == ["video000000"]

    done = phonics_data(server, "fetch", manifest, "--work", work, "--sleep", 0, 0)
    assert "3 kept, 0 rejected; 1 finished before" in done.stdout
    assert len(server.requests("media", "video000000")) == 1


def test_second_fetch_reports_the_locked_workspace(server: FakeYouTube, manifest: Path, tmp_path: Path) -> None:
    with Workspace(tmp_path / "work").lock():
        done = phonics_data(server, "fetch", manifest, "--work", tmp_path / "work", rc=1)
    assert "is using this workspace; wait until it ends" in done.stderr
    assert server.served == []


@pytest.mark.parametrize(
    ("arguments", "rc", "message"),
    [
        (("--sleep", 3, 1), 2, "--sleep: got '3 1', allowed: two numbers"),
        (("--limit-rate", "fast"), 2, "--limit-rate: got 'fast', allowed: bytes a second"),
        (("--retry", "some"), 2, "--retry: got 'some', allowed: failed, gone, all"),
        (("--only", "unknown-video"), 2, "--only: got 'unknown-video', allowed: video ids that the manifest has"),
        (("--tier", 4), 2, "--tier: got 4, allowed: 1, 2 or 3"),
        (("--cookies", "no.txt"), 1, "--cookies no.txt: no such file"),
        (("--cookies", "songs.csv"), 1, "line 1 is no cookie in Netscape format"),
        (("--cookies-from-browser", "lynx"), 2, "--cookies-from-browser: got 'lynx', allowed: brave"),
    ],
)
def test_invalid_options_give_one_line(manifest: Path, arguments: tuple[object, ...], rc: int, message: str) -> None:
    if "songs.csv" in arguments:
        arguments = ("--cookies", manifest)
    words = ["fetch", manifest, "--work", manifest.parent / "work", *arguments]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert isinstance(result.exception, PhonicsDataError)
    assert result.exception.exit_code == rc
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
    assert result.output == ""
