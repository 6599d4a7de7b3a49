"""Commands that keep nothing of their input end with exit code 1 and say why."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from phonics_data.cli.app import app
from phonics_data.errors import InputError, NothingKeptError
from phonics_data.ocr.trace import trace_path
from phonics_data.stages.fetch.ledger import FetchEntry, write_run
from phonics_data.stages.pipeline import workspace_status
from phonics_data.storage.tables import read_table, to_plain, write_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, Reason, Rejection, Segment, Stage, TranscriptWord
from tests.phonics_data.segmentation.traces import trace_of
from tests.phonics_data.sources.test_importer import write_video
from tests.phonics_data.stages.test_segment import video as a_video


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


def rejection(stage: Stage, reason: Reason, number: int = 0) -> Rejection:
    return Rejection(
        stage=stage, item_id=f"{stage}-{number}", reason=reason, measured=None, threshold=None, detail="detail"
    )


@pytest.mark.parametrize(
    ("tables", "reasons", "nothing", "command"),
    [
        ({"videos"}, {"fetch": ["gone", "gone", "no_audio_stream"]}, "fetch kept nothing: gone 2, no_audio_stream 1", "fetch MANIFEST --work W --retry failed"),
        ((), {"fetch": ["no_label"]}, "fetch kept nothing: no_label 1", "import KIND FOLDER --work W"),
        ({"videos"}, {"fetch": []}, "fetch kept nothing: it had no input", "fetch MANIFEST --work W"),
        ({"videos+", "words"}, {"transcribe": ["no_transcript"]}, "transcribe kept nothing: no_transcript 1", "transcribe --work W --engine whisper --ocr always"),
        ({"videos+", "words"}, {"transcribe": ["wrong_language"]}, "transcribe kept nothing: wrong_language 1", "transcribe --work W --language LANGUAGE"),
        ({"videos+", "words"}, {"transcribe": ["recognition_failed"]}, "transcribe kept nothing: recognition_failed 1", "transcribe --work W"),
        ({"videos+", "words+", "segments"}, {"segment": ["too_short"]}, "segment kept nothing: too_short 1", "segment --work W --min-frames 8"),
        ({"videos+", "words+", "segments"}, {"segment": ["no_letters"]}, "segment kept nothing: no_letters 1", "transcribe --work W --engine whisper --ocr always"),
        ({"videos+", "words+", "segments+"}, {"shard": ["low_confidence"]}, "shard kept nothing: low_confidence 1", "shard --work W --min-confidence 0"),
        ({"videos+", "segments+"}, {"shard": ["black"]}, "shard kept nothing: black 1", "shard --work W --filters FILTERS.toml --label-set NAME_OF_THE_IMPORT"),
        ({"videos+", "words+", "segments+"}, {}, "", "shard --work W"),
        ({"videos+", "words+"}, {}, "", "segment --work W"),
    ],
)  # fmt: skip
def test_status_says_what_helps(
    tmp_path: Path, tables: Iterable[str], reasons: dict[Stage, list[Reason]], nothing: str, command: str
) -> None:
    workspace = Workspace(tmp_path)
    rows: dict[str, tuple[type[Any], Any]] = {
        "videos": (FetchedVideo, a_video("song", 3.0)),
        "words": (
            TranscriptWord,
            TranscriptWord(video_id="song", text="a", start_seconds=0.0, end_seconds=1.0, confidence=None, timing="native",
                index=0, language="en", origin="file", engine_version=""),
        ),
        "segments": (
            Segment,
            Segment(
                segment_id="shard-0", video_id="song", letter="A", object_word=None, start_seconds=0.0, end_seconds=1.0,
                rule="given", evidence="csv", confidence=1.0,
            ),
        ),
    }  # fmt: skip
    for name in tables:
        record, row = rows[name.rstrip("+")]
        write_table(workspace.table(name.rstrip("+")), record, [row] if name.endswith("+") else [])
    found = [rejection(stage, reason, number) for stage, some in reasons.items() for number, reason in enumerate(some)]
    write_table(workspace.table("rejections"), Rejection, found)
    if "videos" in tables:
        write_run(workspace, manifest="", untried=[], stopped="")
        for row in found:
            entry = FetchEntry(
                status="gone" if row.reason == "gone" else "invalid",
                video=None,
                rejection=row,
                max_height=360,
                url="http://h/",
            )
            workspace.ledger("fetch").write(row.item_id, "f", to_plain(entry))
    status = workspace_status(workspace)
    assert status.nothing_kept == nothing
    assert status.next_command == f"phonics-data {command.replace('W', str(tmp_path), 1)}"
    output = run("status", "--work", tmp_path)
    assert f"next: {status.next_command}" in output
    assert not nothing or nothing in output


def test_a_shard_run_that_keeps_nothing(video: Path, tmp_path: Path) -> None:
    """Also for an import: one line with the reasons and their numbers, no dataset, and advice."""
    (tmp_path / "clips" / "cat").mkdir(parents=True)
    for name in ("one", "two"):
        shutil.copyfile(tmp_path / "video.mkv", tmp_path / "clips" / "cat" / f"{name}.mkv")
    (tmp_path / "filters.toml").write_text("min_seconds = 100.0\n")
    words = ("import", "folder", tmp_path / "clips", "--work", tmp_path / "work", "--out", tmp_path / "dataset")
    for _ in range(2):
        done = CliRunner().invoke(app, [*map(str, words), "--filters", str(tmp_path / "filters.toml")])
        error = str(done.exception)
        assert isinstance(done.exception, NothingKeptError), done.output
        assert "no clip is left of 2 segments (too_short 2); the first: " in error
        assert "\n" not in error
        assert "2 in, 2 kept" in done.output
        assert not (tmp_path / "dataset").exists()
    output = run("status", "--work", tmp_path / "work")
    assert "shard kept nothing: too_short 2" in output
    assert f"next: phonics-data shard --work {tmp_path / 'work'} --filters FILTERS.toml --label-set" in output


def test_an_import_without_a_usable_file(tmp_path: Path) -> None:
    (tmp_path / "clips" / "cat").mkdir(parents=True)
    (tmp_path / "clips" / "cat" / "one.mp4").write_text("no video")
    words = ("import", "folder", tmp_path / "clips", "--work", tmp_path / "work", "--out", tmp_path / "dataset")
    done = CliRunner().invoke(app, [*map(str, words)])
    assert isinstance(done.exception, NothingKeptError), done.output
    assert "none of 1 files is usable; 1 not_a_video, the first: " in str(done.exception)
    output = run("status", "--work", tmp_path / "work")
    assert "fetch kept nothing: not_a_video 1" in output
    assert f"next: phonics-data import KIND FOLDER --work {tmp_path / 'work'}" in output


def test_export_labels_without_segments(video: Path, tmp_path: Path) -> None:
    pytest.importorskip("starlette")
    run("fetch", video, "--work", tmp_path / "work")
    done = CliRunner().invoke(app, ["export-labels", str(tmp_path / "labels"), "--work", str(tmp_path / "work")])
    assert isinstance(done.exception, NothingKeptError), done.output


def test_one_unusable_label_file_stops_no_other(video: Path, tmp_path: Path) -> None:
    pytest.importorskip("starlette")
    run("fetch", video, "--work", tmp_path / "work")
    (tmp_path / "none.txt").write_text("0.5\t1.5\tA\n")
    (tmp_path / "video.txt").write_text("0.5\t1.5\tA apple\n")
    files = [str(tmp_path / name) for name in ("none.txt", "video.txt")]
    done = CliRunner().invoke(app, ["import", "labels", *files, "--work", str(tmp_path / "work"), "--reviewer", "Ada"])
    assert isinstance(done.exception, InputError), done.output
    assert "1 of 2 files were not imported" in str(done.exception)
    assert "no video 'none'" in done.output
    assert "video: 1 labels" in done.output
    assert "A" in (tmp_path / "work" / "reviews.csv").read_text()
