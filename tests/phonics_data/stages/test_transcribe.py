from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from phonics_data.errors import EngineError, OptionError, TableError
from phonics_data.ocr.trace import trace_path
from phonics_data.recognizers.engines import EngineOptions
from phonics_data.recognizers.whisper import WhisperOptions
from phonics_data.stages.transcribe import TranscribeOptions, transcribe
from phonics_data.storage.tables import read_table, write_table
from phonics_data.storage.workspace import Workspace, file_sha256
from phonics_data.types import CaptionKind, Captions, FetchedVideo, Rejection, TranscriptWord
from tests.counted_videos import constant, make_source
from tests.speech import RATE_HZ, a_is_for_ambulance


def json3(*lines: tuple[int, str]) -> str:
    """Lines with word times: 400 ms a word."""
    events = [
        {
            "tStartMs": start,
            "dDurationMs": 4000,
            "segs": [{"utf8": f" {word}", "tOffsetMs": 400 * order} for order, word in enumerate(text.split())],
        }
        for start, text in lines
    ]
    return json.dumps({"events": events})


def video(
    workspace: Workspace, name: str, text: str | None, *, track: str = "en", kind: CaptionKind = "auto"
) -> FetchedVideo:
    captions = None
    if text is not None:
        path = workspace.media / name / f"video.{track}.json3"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        captions = Captions(track=track, kind=kind, path=workspace.relative(path))
    return FetchedVideo(
        video_id=name,
        path=f"media/{name}/video.mp4",
        sha256="00",
        num_bytes=1,
        duration_seconds=60.0,
        frame_rate=Fraction(25),
        width=640,
        height=360,
        audio_rate_hz=44100,
        captions=captions,
        fetched_at="2026-01-01T00:00:00Z",
        fetcher_version="test",
    )


def prepare(workspace: Workspace, videos: Sequence[FetchedVideo]) -> None:
    write_table(workspace.table("videos"), FetchedVideo, videos)


def words(workspace: Workspace) -> list[TranscriptWord]:
    return read_table(workspace.table("words"), TranscriptWord)


def rejections(workspace: Workspace) -> dict[str, tuple[str, str]]:
    rows = read_table(workspace.table("rejections"), Rejection)
    assert {row.stage for row in rows} <= {"transcribe"}
    return {row.item_id: (row.reason, row.detail) for row in rows}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work")


ALPHABET = json3(*((400 * index, letter) for index, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ")))


def test_words_of_every_video_in_order_with_their_origin(workspace: Workspace) -> None:
    prepare(
        workspace,
        [
            video(workspace, "b", json3((1000, "A is for apple"), (5000, "B is for ball"))),
            video(workspace, "a", json3((0, "C")), track="en-GB", kind="manual"),
        ],
    )
    count = transcribe(workspace, TranscribeOptions())
    rows = words(workspace)
    assert [(row.video_id, row.index, row.text) for row in rows] == [
        ("b", 0, "A"), ("b", 1, "is"), ("b", 2, "for"), ("b", 3, "apple"),
        ("b", 4, "B"), ("b", 5, "is"), ("b", 6, "for"), ("b", 7, "ball"), ("a", 0, "C"),
    ]  # fmt: skip
    assert [(row.origin, row.language, row.timing) for row in rows[-2:]] == [
        ("auto_captions", "en", "native"),
        ("manual_captions", "en", "interpolated"),
    ]
    assert (count.num_in, count.num_kept, count.num_rejected, count.by_reason) == (2, 2, 0, {})


def test_videos_without_words_are_rejected_with_their_reason(workspace: Workspace) -> None:
    german = json3(*((1000 * number, "A wie Apfel und das ist der Ball") for number in range(8)))
    prepare(
        workspace,
        [
            video(workspace, "none", None),
            video(workspace, "empty", json3((0, "[Music]"))),
            video(workspace, "broken", "{"),
            video(workspace, "german-track", json3((0, "A")), track="de"),
            video(workspace, "german-words", german),
            video(workspace, "too-long", json3((200_000, "A"))),
            video(workspace, "good", json3((0, "A"))),
        ],
    )
    count = transcribe(workspace, TranscribeOptions())
    found = rejections(workspace)
    assert {name: reason for name, (reason, _) in found.items()} == {
        "none": "no_transcript",
        "empty": "no_transcript",
        "broken": "captions_unreadable",
        "german-track": "wrong_language",
        "german-words": "wrong_language",
        "too-long": "captions_unreadable",
    }
    assert "video.en.json3, line 1: not JSON" in found["broken"][1]
    assert "German" in found["german-words"][1]
    assert {row.video_id for row in words(workspace)} == {"good"}
    assert (count.num_kept, count.num_rejected) == (1, 6)


def test_videos_in_another_language_are_rejected_and_lose_their_ocr_trace(workspace: Workspace) -> None:
    english = json3((0, "A"), (1000, "B"))
    spoken = {"german": "de", "german-first": "de/en", "english": "en-GB", "english-first": "en/de", "unknown": ""}
    prepare(
        workspace,
        [replace(video(workspace, name, english), language=language) for name, language in spoken.items()],
    )
    old_trace = trace_path(workspace.root, "german")
    old_trace.parent.mkdir(parents=True)
    old_trace.write_bytes(b"OCR trace of an earlier run")
    transcribe(workspace, TranscribeOptions(ocr="never"))
    found = rejections(workspace)
    assert {name: reason for name, (reason, _) in found.items()} == dict.fromkeys(
        ("german", "german-first"), "wrong_language"
    )
    assert found["german"][1] == "german: the manifest has language de, allowed: en first"
    assert not old_trace.exists()
    assert {row.video_id for row in words(workspace)} == {"english", "english-first", "unknown"}


def test_page_language_is_used_without_captions(workspace: Workspace) -> None:
    english = json3((0, "A"), (1000, "B"))
    prepare(
        workspace,
        [
            replace(video(workspace, "german", None), page_language="de"),
            replace(video(workspace, "british", None), page_language="en-GB"),
            replace(video(workspace, "dubbed", english), page_language="de-DE"),
        ],
    )
    transcribe(workspace, TranscribeOptions(ocr="never"))
    found = rejections(workspace)
    assert {name: reason for name, (reason, _) in found.items()} == {
        "german": "wrong_language",
        "british": "no_transcript",
    }
    assert "its page has language de, allowed: en" in found["german"][1]
    assert {row.video_id for row in words(workspace)} == {"dubbed"}


def test_damaged_cues_are_rejected_and_the_other_cues_used(workspace: Workspace) -> None:
    damaged = json.loads(json3((0, "A"), (1000, "B")))
    damaged["events"][0]["tStartMs"] = None
    prepare(workspace, [video(workspace, "v", json.dumps(damaged))])
    count = transcribe(workspace, TranscribeOptions())
    assert [row.text for row in words(workspace)] == ["B"]
    assert rejections(workspace)["v/captions"][0] == "captions_unreadable"
    assert (count.num_kept, count.num_rejected, count.by_reason) == (1, 0, {"captions_unreadable": 1})


def test_finished_videos_are_skipped_until_their_captions_change(workspace: Workspace) -> None:
    videos = [video(workspace, "v", json3((0, "A"))), video(workspace, "w", json3((0, "B")))]
    prepare(workspace, videos)
    transcribe(workspace, TranscribeOptions())
    first = workspace.table("words").read_bytes()
    assert transcribe(workspace, TranscribeOptions()).num_skipped == 2
    assert workspace.table("words").read_bytes() == first
    (workspace.root / "media" / "v" / "video.en.json3").write_text(json3((0, "Z")))
    assert transcribe(workspace, TranscribeOptions(), workers=2).num_skipped == 1
    assert [row.text for row in words(workspace)] == ["Z", "B"]


def test_missing_caption_file_is_a_rejection(workspace: Workspace) -> None:
    prepare(workspace, [video(workspace, "v", json3((0, "A")))])
    (workspace.root / "media" / "v" / "video.en.json3").unlink()
    transcribe(workspace, TranscribeOptions())
    assert rejections(workspace)["v"][0] == "captions_unreadable"
    assert words(workspace) == []


def test_missing_videos_table(workspace: Workspace) -> None:
    with pytest.raises(TableError, match="no such table"):
        transcribe(workspace, TranscribeOptions())


def test_invalid_language() -> None:
    with pytest.raises(OptionError, match="--language"):
        TranscribeOptions(language="English")


# --- speech recognition --------------------------------------------------------------------------------------------

WHISPER = TranscribeOptions(engine=EngineOptions(engine="whisper", whisper=WhisperOptions(device="cpu")), ocr="never")


def spoken(
    workspace: Workspace, name: str, text: str | None, *, sound: bool = True, silent: bool = False
) -> FetchedVideo:
    """A video of 11 s of speech (an alphabet song) and a static image."""
    speech = a_is_for_ambulance()
    row = video(workspace, name, text)
    path = workspace.media / name / "video.mkv"
    path.parent.mkdir(parents=True, exist_ok=True)
    audio = speech.audio_N * (0 if silent else 1)
    make_source(path, constant(5, 11), audio if sound else None, sound_rate_hz=RATE_HZ)
    return replace(row, path=workspace.relative(path), sha256=file_sha256(path), duration_seconds=11.0)


def test_videos_without_captions_are_recognized(workspace: Workspace) -> None:
    prepare(workspace, [spoken(workspace, "v", None), spoken(workspace, "captioned", ALPHABET)])
    count = transcribe(workspace, WHISPER)
    recognized = [row for row in words(workspace) if row.video_id == "v"]
    assert {row.origin for row in recognized} == {"whisper"}
    assert {"ambulance", "cow", "bike"} & {row.text.lower().strip(".,") for row in recognized}
    assert {"whisper-", "aligner-"} <= {
        part[: part.index("-") + 1] for part in recognized[0].engine_version.split("; ")
    }
    assert any(row.timing == "aligned" for row in recognized)
    assert {row.origin for row in words(workspace) if row.video_id == "captioned"} == {"auto_captions"}
    assert (count.num_kept, count.num_rejected) == (2, 0)
    assert len(list((workspace.root / "recognitions").iterdir())) == 1  # captions with an alphabet need no recognition

    before = workspace.table("words").read_bytes()
    shutil.rmtree(workspace.root / "items")
    (cached,) = (workspace.root / "recognitions").iterdir()
    cached.write_text(cached.read_text().replace("ow", "OW"))
    transcribe(workspace, WHISPER)
    assert workspace.table("words").read_bytes() != before  # the cached recognition was used


def test_rejections_of_audio_without_words(workspace: Workspace) -> None:
    prepare(
        workspace,
        [
            spoken(workspace, "silent", None, silent=True),
            spoken(workspace, "mute", None, sound=False),
            spoken(workspace, "mute-with-captions", json3((0, "hello there")), sound=False),
        ],
    )
    transcribe(workspace, WHISPER)
    found = rejections(workspace)
    assert {name: reason for name, (reason, _) in found.items()} == {"silent": "no_transcript", "mute": "no_transcript"}
    assert "it has no captions in en; whisper recognized no words in 11 s of audio" in found["silent"][1]
    assert "no audio stream" in found["mute"][1]
    assert {row.video_id for row in words(workspace)} == {"mute-with-captions"}


def test_engine_captions_runs_no_recognition(workspace: Workspace) -> None:
    prepare(workspace, [spoken(workspace, "v", None)])
    transcribe(workspace, TranscribeOptions(engine=EngineOptions(engine="captions"), ocr="never"))
    assert rejections(workspace)["v"][0] == "no_transcript"
    assert not (workspace.root / "recognitions").exists()
    transcribe(workspace, WHISPER)  # another engine: processed again
    assert words(workspace)


def test_captions_can_be_ignored(workspace: Workspace) -> None:
    prepare(workspace, [spoken(workspace, "v", ALPHABET)])
    transcribe(workspace, replace(WHISPER, ignore_captions=True))
    assert {row.origin for row in words(workspace)} == {"whisper"}


def test_engine_error_ends_the_run(workspace: Workspace) -> None:
    prepare(workspace, [spoken(workspace, "v", None)])
    with pytest.raises(EngineError, match="English only"):
        transcribe(workspace, replace(WHISPER, language="de"))
    assert not workspace.table("words").exists()
