"""`phonics-data transcribe --engine google` from the command line to words.parquet, against a fake cloud."""

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
from phonics_data.stages.transcribe import TranscribeOptions, google_usage_estimate
from phonics_data.storage.tables import read_table, write_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import Captions, FetchedVideo, Rejection, TranscriptWord
from tests.phonics_data.recognizers.fake_google_cloud import Cloud, Song
from tests.phonics_data.recognizers.google.test_adapter import RATE_HZ, noise_song

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.fixture
def workspace(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("PHONICS_GOOGLE_ENDPOINT", cloud.endpoint)
    return Workspace(tmp_path / "work")


def write_videos(workspace: Workspace, songs: dict[str, Song], captioned: Sequence[str] = ()) -> None:
    """Write videos.parquet: audio files, and `captioned` videos, which need no speech recognition."""
    rows: list[FetchedVideo] = []
    for name in [*songs, *captioned]:
        folder = workspace.media / name
        folder.mkdir(parents=True)
        song = songs.get(name, Song(noise_song(30.0).audio_N, ()))
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


def test_usage_is_reported_first_and_nothing_is_sent_twice(cloud: Cloud, workspace: Workspace) -> None:
    cloud.recognize = song = noise_song(90.0)
    write_videos(workspace, {"song": song}, captioned=["written"])
    result = transcribe(workspace, "--yes")
    assert result.exit_code == 0, result.output
    assert "Google: at most 1.6 minutes of audio of 1 videos will be sent; 0.0 were sent before" in result.output
    assert words(workspace) == {"song": texts(song), "written": list(ALPHABET)}
    assert {row.origin for row in read_table(workspace.table("words"), TranscriptWord)} == {"google", "auto_captions"}
    assert len(cloud.requests) == 2
    again = transcribe(workspace, "--yes")
    assert "at most 0.0 minutes of audio of 0 videos" in again.output
    assert len(cloud.requests) == 2


def test_without_a_terminal_nothing_is_sent(cloud: Cloud, workspace: Workspace) -> None:
    write_videos(workspace, {"song": noise_song(20.0)})
    result = transcribe(workspace)
    assert isinstance(result.exception, UsageError)
    assert "--yes" in str(result.exception)
    assert cloud.requests == []


@pytest.mark.parametrize(("answer", "num_requests"), [("y", 1), ("n", 0)])
def test_confirmation_at_a_terminal(
    cloud: Cloud, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, answer: str, num_requests: int
) -> None:
    from phonics_data.cli.google_upload import confirm_upload
    from phonics_data.cli.options import TranscribeArguments
    from phonics_data.stages.transcribe import transcribe as run

    cloud.recognize = song = noise_song(20.0)
    write_videos(workspace, {"song": song})
    options = TranscribeArguments(engine="google", align="never", ocr="never").options()
    master, slave = pty.openpty()
    os.write(master, f"{answer}\n".encode())
    with os.fdopen(slave, "r") as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        if answer == "y":
            run(workspace, confirm_upload(workspace, options))
        else:
            with pytest.raises(Exception) as refused:  # noqa: PT011 - typer has one of its own
                confirm_upload(workspace, options)
            assert type(refused.value).__name__ == "Abort"
    os.close(master)
    assert len(cloud.requests) == num_requests


def test_a_rejected_video_does_not_stop_the_run(cloud: Cloud, workspace: Workspace) -> None:
    songs = {"one": noise_song(20.0, seed=1), "two": noise_song(20.0, seed=2)}
    write_videos(workspace, songs)
    cloud.recognize = songs["two"]
    cloud.faults = [(grpc.StatusCode.INVALID_ARGUMENT, "bad audio")]
    assert transcribe(workspace, "--yes").exit_code == 0
    assert words(workspace) == {"two": texts(songs["two"])}
    assert reasons(workspace)["one"] == "recognition_failed"


def test_rejected_credentials_end_the_run_without_losing_results(cloud: Cloud, workspace: Workspace) -> None:
    songs = {"one": noise_song(20.0, seed=1), "two": noise_song(20.0, seed=2)}
    write_videos(workspace, songs)
    cloud.recognize = songs["one"]
    cloud.faults = [None, (grpc.StatusCode.PERMISSION_DENIED, "API is not enabled")]
    result = transcribe(workspace, "--yes")
    assert isinstance(result.exception, EngineError)
    assert "\n" not in str(result.exception)
    cloud.recognize = songs["two"]
    assert transcribe(workspace, "--yes").exit_code == 0
    assert words(workspace) == {name: texts(song) for name, song in songs.items()}
    assert len(cloud.requests) == 3


@pytest.mark.parametrize("workers", ["1", "2"])
def test_videos_beyond_max_minutes_wait_for_a_later_run(cloud: Cloud, workspace: Workspace, workers: str) -> None:
    songs = {"one": noise_song(20.0, seed=1), "two": noise_song(20.0, seed=2)}
    write_videos(workspace, songs, captioned=["written"])
    result = transcribe(workspace, "--yes", "--max-minutes", "0.5", "--workers", workers)
    assert result.exit_code == 0, result.output
    assert "1 videos wait for Google; run the same command again to continue." in result.output
    assert "would exceed --max-minutes 0.5; increase it" in result.output
    assert len(cloud.requests) == 1
    assert words(workspace)["written"] == list(ALPHABET)
    assert transcribe(workspace, "--yes", "--max-minutes", "1", "--workers", workers).exit_code == 0
    assert len(cloud.requests) == 2


def test_build_sends_nothing_without_permission(cloud: Cloud, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["build", "none.csv", "--work", str(tmp_path / "work"), "--engine", "google"])
    assert isinstance(result.exception, UsageError)
    assert "--yes" in str(result.exception)


def test_cached_audio_is_not_counted(cloud: Cloud, workspace: Workspace) -> None:
    from phonics_data.recognizers.engines import EngineOptions

    cloud.recognize = song = noise_song(20.0)
    write_videos(workspace, {"song": song})
    transcribe(workspace, "--yes")
    workspace.ledger("transcribe").forget("song")
    plan = google_usage_estimate(
        workspace, TranscribeOptions(engine=EngineOptions(engine="google", align="never"), ocr="never")
    )
    assert (plan.num_videos, plan.seconds, plan.sent_seconds) == (0, 0.0, 20.0)
