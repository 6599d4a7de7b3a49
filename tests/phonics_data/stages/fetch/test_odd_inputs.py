"""One odd row, file or info.json costs itself alone."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from phonics_data.contract.records import from_plain
from phonics_data.executors.isolated import Limits
from phonics_data.media import ffmpeg_path
from phonics_data.stages.fetch import worker
from phonics_data.stages.fetch.ledger import FetchEntry
from phonics_data.stages.fetch.stage import FetchOptions, FetchStoppedError, fetch
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, Rejection, SourceVideo
from tests.phonics_data.stages.fetch.small_videos import write_clip


def fetched(tmp_path: Path, *videos: SourceVideo) -> tuple[dict[str, FetchedVideo], dict[str, Rejection]]:
    workspace = Workspace(tmp_path / "work")
    fetch(workspace, videos, FetchOptions())
    kept = {row.video_id: row for row in read_table(workspace.table("videos"), FetchedVideo)}
    return kept, {row.item_id: row for row in read_table(workspace.table("rejections"), Rejection)}


ODD_VALUES: list[Any] = [
    {"duration": float("nan")}, {"duration": float("inf")}, {"duration": 1e308}, {"duration": -1}, {"duration": True},
    {"duration": {"a": 1}}, {"title": {"a": [1]}}, {"title": "\ud800"}, {"title": "x" * 1_000_000}, {"language": ["en"]},
    {"language": 5}, {"subtitles": [1, 2]}, {"subtitles": {"en": None}}, {"automatic_captions": "yes"},
    {"requested_formats": "no"}, {"requested_formats": [1, None]}, {"tags": {"a": float("nan")}}, {"upload_date": 10**400},
]  # fmt: skip


@pytest.mark.parametrize("values", ODD_VALUES, ids=lambda values: str(values)[:40])
def test_odd_values_of_an_info_json(tmp_path: Path, values: dict[str, Any]) -> None:
    good = write_clip(tmp_path / "good.mp4")
    odd = write_clip(tmp_path / "odd.mp4", seed=1)
    (tmp_path / "odd.info.json").write_text(json.dumps({"id": "odd", **values}))
    kept, rejections = fetched(
        tmp_path, SourceVideo(video_id="odd", url=str(odd)), SourceVideo(video_id="good", url=str(good))
    )
    assert "good" in kept
    assert {*kept, *rejections} == {"good", "odd"}


@pytest.mark.parametrize("content", [b"[" * 200_000, b"\xff\xfe", b"", b"{}", b"null", b'{"a": ' * 5000])
def test_unreadable_info_json_is_ignored(tmp_path: Path, content: bytes) -> None:
    odd = write_clip(tmp_path / "odd.mp4")
    (tmp_path / "odd.info.json").write_bytes(content)
    kept, _ = fetched(tmp_path, SourceVideo(video_id="odd", url=str(odd)))
    assert "odd" in kept


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    good = write_clip(tmp_path / "good.mp4")
    rows = [
        SourceVideo(video_id="long", url=str(tmp_path / f"{'x' * 300}.mp4")),
        SourceVideo(video_id="nul", url=str(tmp_path / "a\0b.mp4")),
        SourceVideo(video_id="loop", url=str(tmp_path / "loop.mp4")),
        SourceVideo(video_id="good", url=str(good)),
    ]
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    for _ in range(2):  # a rerun does not stop there either
        kept, rejections = fetched(tmp_path, *rows)
        assert list(kept) == ["good"]
        assert sorted(rejections) == ["long", "loop", "nul"]


def test_rejections_name_the_users_file(tmp_path: Path) -> None:
    silent, broken = write_clip(tmp_path / "my song.mp4", sound=False), tmp_path / "my dance.mp4"
    whole = write_clip(tmp_path / "whole.mp4").read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    _, rejections = fetched(
        tmp_path, SourceVideo(video_id="one", url=str(silent)), SourceVideo(video_id="two", url=str(broken))
    )
    assert "my song.mp4" in rejections["one"].detail
    assert "my dance.mp4" in rejections["two"].detail
    assert all("one.mp4" not in row.detail and "two.mp4" not in row.detail for row in rejections.values())


@pytest.mark.parametrize(
    ("languages", "default", "expected"),
    [
        (("spa", "eng"), None, "audio stream 2 of 2 used: eng"), (("spa", "eng"), 0, "audio stream 1 of 2 used: spa (default)"),
        (("spa", "deu"), None, "audio stream 1 of 2 used: spa"), (("", "eng"), 1, "audio stream 2 of 2 used: eng (default)"),
    ],
)  # fmt: skip
def test_choice_of_several_audio_streams_is_in_the_ledger(
    tmp_path: Path, languages: tuple[str, ...], default: int | None, expected: str
) -> None:
    clip, path = write_clip(tmp_path / "clip.mp4"), tmp_path / "song.mkv"
    call = [ffmpeg_path(), "-v", "error", "-i", clip, "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy"]
    for number, language in enumerate(languages):
        call += [f"-metadata:s:a:{number}", f"language={language}"]
        call += [f"-disposition:a:{number}", "default" if number == default else "0"]
    subprocess.run([*call, path], check=True)
    fetched(tmp_path, SourceVideo(video_id="song", url=str(path)))
    outcome = Workspace(tmp_path / "work").ledger("fetch").read("song")
    assert outcome is not None
    assert any(warning.startswith(expected) for warning in from_plain(FetchEntry, outcome).warnings)


def test_file_that_needs_too_much_memory_costs_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_INSPECTION", Limits(seconds=60, memory_bytes=300 * 1024**2))
    good, large = write_clip(tmp_path / "good.mp4"), tmp_path / "large.mkv"
    picture = "color=c=red:s=8000x8000:r=5:d=1"
    sound = "sine=d=1"
    call = [
        ffmpeg_path(),
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        picture,
        "-f",
        "lavfi",
        "-i",
        sound,
        "-c:v",
        "ffv1",
        large,
    ]
    subprocess.run(call, check=True)
    kept, rejections = fetched(
        tmp_path, SourceVideo(video_id="large", url=str(large)), SourceVideo(video_id="good", url=str(good))
    )
    assert list(kept) == ["good"]
    assert rejections["large"].reason in ("worker_died", "does_not_decode")  # the decoder can notice it itself


def test_secrets_of_addresses_and_escape_sequences_reach_no_file(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "song.mp4")
    info = {"id": "song", "title": "\x1b[2Jsong", "webpage_url": "https://me:pass@h.org/song?id=7&token=hidden5"}
    (tmp_path / "song.info.json").write_text(json.dumps(info))
    row = SourceVideo(video_id="gone", url="http://user5:word5@127.0.0.1:9/a.mp4?sig=hidden5")
    workspace = Workspace(tmp_path / "work")
    with contextlib.suppress(FetchStoppedError):
        fetch(workspace, [SourceVideo(video_id="song", url=str(clip), title="other words"), row], FetchOptions())
    for path in workspace.root.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret in content for secret in (b"hidden5", b"me:pass", b"word5", b"\x1b[2J")), path
