"""Commands that keep nothing of their input end with exit code 1 and say why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from phonics_data.cli.app import app
from phonics_data.errors import NothingKeptError
from phonics_data.ocr.trace import trace_path
from phonics_data.storage.tables import read_table, write_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, Rejection
from tests.phonics_data.segmentation.traces import trace_of
from tests.phonics_data.sources.test_importer import write_video


def run(*arguments: object) -> str:
    """The output of a command that succeeds."""
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def failed(*arguments: object) -> str:
    """The error of a command that keeps nothing."""
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert isinstance(done.exception, NothingKeptError), (done.output, done.exception)
    assert done.exception.exit_code == 1
    assert "\n" not in str(done.exception)
    assert "0 kept" in done.output
    return str(done.exception)


@pytest.fixture
def audio_only(tmp_path: Path) -> Path:
    """A manifest with one row, whose file has sound but no picture."""
    soundfile.write(tmp_path / "song.mp3", np.zeros(32_000, np.float32), 16_000)
    manifest = tmp_path / "audio.csv"
    manifest.write_text("video_id,url\nsong,song.mp3\n")
    return manifest


@pytest.fixture
def video(tmp_path: Path) -> Path:
    write_video(tmp_path / "video.mkv", 3, seconds=3)
    manifest = tmp_path / "video.csv"
    manifest.write_text("video_id,url\nvideo,video.mkv\n")
    return manifest


@pytest.mark.parametrize("command", ["fetch", "build"])
def test_audio_only(audio_only: Path, tmp_path: Path, command: str) -> None:
    out = ("--out", tmp_path / "dataset") if command == "build" else ()
    for _ in range(2):
        error = failed(command, audio_only, "--work", tmp_path / "work", *out)
        assert "fetch: nothing is kept of 1 videos; the first: " in error
        assert "audio only, expected a video" in error
    assert not (tmp_path / "dataset").exists()
    assert not (tmp_path / "work" / "words.parquet").exists()


def test_one_kept_video_is_enough_now_and_later(audio_only: Path, video: Path, tmp_path: Path) -> None:
    audio_only.write_text(audio_only.read_text() + "video,video.mkv\n")
    assert "2 in, 1 kept, 1 rejected" in run("fetch", audio_only, "--work", tmp_path / "work")
    assert "1 kept" in run("fetch", audio_only, "--work", tmp_path / "work")
    # Nothing is kept of the rows that are selected.
    failed("fetch", audio_only, "--work", tmp_path / "work", "--only", "song")


def test_no_selected_row(video: Path, tmp_path: Path) -> None:
    video.write_text("video_id,url,letters\nvideo,video.mkv,AB\n")
    error = failed("fetch", video, "--work", tmp_path / "work", "--letters", "Q")
    assert error == "fetch: no videos of the manifest are selected (--only, --letters, --tier)"


def test_transcribe_and_segment(video: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    run("fetch", video, "--work", work)
    words = ("transcribe", "--work", work, "--engine", "captions", "--ocr", "never")
    for _ in range(2):
        assert "transcribe: nothing is kept of 1 videos" in failed(*words)
    for _ in range(2):
        error = failed("segment", "--work", work)
        assert "segment: nothing is kept of 1 videos" in error
        assert f"`phonics-data status --work {work}` counts the reasons" in error
    assert [row.stage for row in read_table(work / "rejections.parquet", Rejection)] == ["transcribe", "segment"]


def test_transcribe_needs_no_words_if_there_is_other_evidence(video: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    run("fetch", video, "--work", workspace.root)
    words = ("transcribe", "--work", workspace.root, "--engine", "captions", "--ocr", "never")
    failed(*words)
    trace = trace_path(workspace.root, "video")
    trace.parent.mkdir()
    trace.write_bytes(trace_of([], 8).to_bytes())
    run(*words)
    trace.unlink()
    failed(*words)
    video.write_text("video_id,url,kind,letters\nvideo,video.mkv,letter,B\n")
    run("fetch", video, "--work", tmp_path / "letter")
    run("transcribe", "--work", tmp_path / "letter", *words[3:])
    video.write_text("video_id,url,kind,letters\nvideo,video.mkv,range,ABC\n")
    run("fetch", video, "--work", tmp_path / "range")
    failed("transcribe", "--work", tmp_path / "range", *words[3:])


def test_stages_after_an_empty_one(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    write_table(workspace.table("videos"), FetchedVideo, [])
    assert failed("transcribe", "--work", workspace.root) == f"transcribe: no videos in {workspace.root}"
