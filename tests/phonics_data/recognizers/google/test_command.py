"""`phonics-data transcribe --engine google`, from the command line to words.parquet, against a cloud on this machine."""

from __future__ import annotations

import json
import os
import pty
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import grpc
import pytest
import soundfile
from typer.testing import CliRunner, Result

from phonics_data.cli.app import app
from phonics_data.errors import EngineError, UsageError
from phonics_data.stages.transcribe import TranscribeOptions, what_to_send
from phonics_data.storage.tables import read_table, write_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import Captions, FetchedVideo, Rejection, TranscriptWord
from tests.phonics_data.recognizers.fake_google_cloud import Cloud, Song
from tests.phonics_data.recognizers.google.test_adapter import RATE_HZ, sung

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.fixture
def workspace(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("PHONICS_GOOGLE_ENDPOINT", cloud.endpoint)
    return Workspace(tmp_path / "work")


def fetched(workspace: Workspace, songs: dict[str, Song], captioned: Sequence[str] = ()) -> None:
    """The table of fetched videos: sounds alone, and `captioned` ones that need nobody's ears."""
    rows: list[FetchedVideo] = []
    for name in [*songs, *captioned]:
        folder = workspace.media / name
        folder.mkdir(parents=True)
        song = songs.get(name, Song(sung(30.0).audio_N, ()))
        soundfile.write(folder / "video.wav", song.audio_N, RATE_HZ, "PCM_16")
        captions = None
        if name in captioned:
            events = [
                {"tStartMs": 1000 * index, "dDurationMs": 900, "segs": [{"utf8": letter}]}
                for index, letter in enumerate(ALPHABET)
            ]
            (folder / "video.en.json3").write_text(json.dumps({"events": events}))
            captions = Captions(track="en", kind="auto", path=f"media/{name}/video.en.json3")
        rows.append(
            FetchedVideo(
                video_id=name,
                path=f"media/{name}/video.wav",
                sha256=name,
                num_bytes=1,
                duration_seconds=song.audio_N.size / RATE_HZ,
                frame_rate=Fraction(25),
                width=640,
                height=360,
                audio_rate_hz=RATE_HZ,
                captions=captions,
                fetched_at="2026-01-01T00:00:00Z",
                fetcher_version="test",
            )
        )
    write_table(workspace.table("videos"), FetchedVideo, rows)


def transcribe(workspace: Workspace, *arguments: str) -> Result:
    common = [
        "transcribe",
        "--work",
        str(workspace.root),
        "--engine",
        "google",
        "--align",
        "never",
        "--ocr",
        "never",
    ]
    return CliRunner().invoke(app, [*common, *arguments])


def words(workspace: Workspace) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in read_table(workspace.table("words"), TranscriptWord):
        found.setdefault(row.video_id, []).append(row.text)
    return found


def texts(song: Song) -> list[str]:
    return [word.text for word in song.words]


def reasons(workspace: Workspace) -> dict[str, str]:
    return {row.item_id: row.reason for row in read_table(workspace.table("rejections"), Rejection)}


def test_minutes_are_told_before_words_come_and_nothing_is_sent_twice(cloud: Cloud, workspace: Workspace) -> None:
    cloud.ears = song = sung(90.0)
    fetched(workspace, {"song": song}, captioned=["written"])
    told = transcribe(workspace, "--yes")
    assert told.exit_code == 0, told.output
    assert "Google: 1.6 minutes of sound at most, of 1 videos, are to be sent; 0.0 were sent before" in told.output
    assert words(workspace) == {"song": texts(song), "written": list(ALPHABET)}
    assert {row.origin for row in read_table(workspace.table("words"), TranscriptWord)} == {"google", "auto_captions"}
    assert len(cloud.requests) == 2
    again = transcribe(workspace, "--yes")
    assert "0.0 minutes of sound at most, of 0 videos" in again.output
    assert len(cloud.requests) == 2


def test_with_nobody_to_ask_nothing_is_sent(cloud: Cloud, workspace: Workspace) -> None:
    fetched(workspace, {"song": sung(20.0)})
    told = transcribe(workspace)
    assert isinstance(told.exception, UsageError)
    assert "--yes" in str(told.exception)
    assert cloud.requests == []


@pytest.mark.parametrize(("answer", "num_requests"), [("y", 1), ("n", 0)])
def test_somebody_at_a_terminal_is_asked(
    cloud: Cloud, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, answer: str, num_requests: int
) -> None:
    from phonics_data.cli.options import google_options, transcribe_options, with_leave
    from phonics_data.stages.transcribe import transcribe as run

    cloud.ears = song = sung(20.0)
    fetched(workspace, {"song": song})
    google = google_options(yes=False, max_minutes=60.0, api="v1", project="", location="global", model="", bucket="")
    options = transcribe_options(engine="google", align="never", ocr="never", google=google)
    master, slave = pty.openpty()
    os.write(master, f"{answer}\n".encode())
    with os.fdopen(slave, "r") as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        if answer == "y":
            run(workspace, with_leave(workspace, options))
        else:
            with pytest.raises(Exception) as refused:  # noqa: PT011 - typer has one of its own
                with_leave(workspace, options)
            assert type(refused.value).__name__ == "Abort"
    os.close(master)
    assert len(cloud.requests) == num_requests


def test_one_video_that_google_refuses_does_not_stop_the_rest(cloud: Cloud, workspace: Workspace) -> None:
    songs = {"one": sung(20.0, seed=1), "two": sung(20.0, seed=2)}
    fetched(workspace, songs)
    cloud.ears = songs["two"]
    cloud.faults = [(grpc.StatusCode.INVALID_ARGUMENT, "bad sound")]
    assert transcribe(workspace, "--yes").exit_code == 0
    assert words(workspace) == {"two": texts(songs["two"])}
    assert reasons(workspace)["one"] == "recognition_failed"


def test_credentials_that_are_refused_end_the_run_in_one_line_and_lose_nothing(
    cloud: Cloud, workspace: Workspace
) -> None:
    songs = {"one": sung(20.0, seed=1), "two": sung(20.0, seed=2)}
    fetched(workspace, songs)
    cloud.ears = songs["one"]
    cloud.faults = [None, (grpc.StatusCode.PERMISSION_DENIED, "API is not enabled")]
    told = transcribe(workspace, "--yes")
    assert isinstance(told.exception, EngineError)
    assert "\n" not in str(told.exception)
    cloud.ears = songs["two"]
    assert transcribe(workspace, "--yes").exit_code == 0
    assert words(workspace) == {name: texts(song) for name, song in songs.items()}
    assert len(cloud.requests) == 3


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_the_cap_leaves_out_waits_and_the_rest_is_done(cloud: Cloud, workspace: Workspace, workers: str) -> None:
    songs = {"one": sung(20.0, seed=1), "two": sung(20.0, seed=2)}
    fetched(workspace, songs, captioned=["written"])
    told = transcribe(workspace, "--yes", "--max-minutes", "0.5", "--workers", workers)
    assert told.exit_code == 0, told.output
    assert "1 videos wait for Google; the same command goes on with them." in told.output
    assert "would pass --max-minutes 0.5; raise it" in told.output
    assert len(cloud.requests) == 1
    assert words(workspace)["written"] == list(ALPHABET)
    assert transcribe(workspace, "--yes", "--max-minutes", "1", "--workers", workers).exit_code == 0
    assert len(cloud.requests) == 2


def test_a_build_sends_nothing_without_leave(cloud: Cloud, tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["build", "none.csv", "--work", str(tmp_path / "work"), "--engine", "google"])
    assert isinstance(told.exception, UsageError)
    assert "--yes" in str(told.exception)


def test_what_is_known_already_is_not_counted(cloud: Cloud, workspace: Workspace) -> None:
    from phonics_data.recognizers.engines import EngineOptions

    cloud.ears = song = sung(20.0)
    fetched(workspace, {"song": song})
    transcribe(workspace, "--yes")
    workspace.ledger("transcribe").forget("song")
    plan = what_to_send(workspace, TranscribeOptions(engine=EngineOptions(engine="google", align="never"), ocr="never"))
    assert (plan.num_videos, plan.seconds, plan.sent_seconds) == (0, 0.0, 20.0)
