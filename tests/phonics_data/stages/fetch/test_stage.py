"""The stage `fetch` on local files and, with yt-dlp, over local HTTP."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from phonics_data.sources.synthetic.site import SongSite
from phonics_data.stages.fetch.ledger import address_key
from phonics_data.stages.fetch.stage import FetchOptions, fetch
from phonics_data.storage.manifest import read_manifest
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import Captions, FetchedVideo, Rejection, SourceVideo, StageCount
from tests.phonics_data.stages.fetch.small_videos import clip_bytes, write_clip

pytestmark = pytest.mark.dependencies

JSON3 = '{"events": [{"tStartMs": 0, "dDurationMs": 900, "segs": [{"utf8": "A"}]}]}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "songs"
    path.mkdir()
    return path


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work")


def run(workspace: Workspace, *videos: SourceVideo, max_height: int = 360) -> StageCount:
    return fetch(workspace, videos, FetchOptions(max_height=max_height))


def local(folder: Path, name: str = "song.mp4", video_id: str = "song") -> SourceVideo:
    return SourceVideo(video_id=video_id, url=str(folder / name))


def the_video(workspace: Workspace) -> FetchedVideo:
    (video,) = read_table(workspace.table("videos"), FetchedVideo)
    return video


def reasons(workspace: Workspace) -> dict[str, str]:
    return {row.item_id: row.reason for row in read_table(workspace.table("rejections"), Rejection)}


def test_local_file_is_linked_and_described(folder: Path, workspace: Workspace) -> None:
    source = write_clip(folder / "song.mp4")
    count = run(workspace, local(folder))
    video = the_video(workspace)
    stored = workspace.root / video.path
    assert (count.num_kept, count.num_rejected, count.num_skipped) == (1, 0, 0)
    assert video.path == "media/song/song.mp4"
    assert stored.stat().st_ino == source.stat().st_ino
    assert video.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert video.num_bytes == source.stat().st_size
    assert (video.width, video.height, video.frame_rate, video.audio_rate_hz) == (96, 72, 25, 16000)
    assert video.duration_seconds == pytest.approx(2.0, abs=0.1)
    assert video.captions is None


def test_the_table_of_object_pictures_comes_with_its_song(folder: Path, workspace: Workspace) -> None:
    write_clip(folder / "song.mp4")
    run(workspace, local(folder, video_id="other"))
    assert sorted(path.name for path in (workspace.media / "other").glob("*.parquet")) == []
    (folder / "song.objects.parquet").write_bytes(b"pictures")
    run(workspace, local(folder, video_id="other"))
    assert (workspace.media / "other" / "other.objects.parquet").read_bytes() == b"pictures"


def test_file_on_another_file_system_is_copied(
    folder: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def across_devices(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    source = write_clip(folder / "song.mp4")
    monkeypatch.setattr(os, "link", across_devices)
    run(workspace, local(folder))
    stored = workspace.root / the_video(workspace).path
    assert stored.read_bytes() == source.read_bytes()
    assert stored.stat().st_ino != source.stat().st_ino


@pytest.mark.parametrize(
    ("sidecars", "expected"),
    [
        (["song.en.vtt"], ("en", "file", "song.en.vtt")),
        (["song.en.vtt", "song.info.json"], ("en", "manual", "song.en.vtt")),
        (["song.en-orig.json3", "song.info.json"], ("en-orig", "auto", "song.en-orig.json3")),
        (["song.en-orig.json3", "song.en.srt"], ("en", "file", "song.en.srt")),
        (["song.en.srt", "song.en.vtt", "song.en.json3"], ("en", "file", "song.en.json3")),
        (["song.en-GB.vtt"], ("en-GB", "file", "song.en-GB.vtt")),
        (["song.en.VTT"], ("en", "file", "song.en.vtt")),
        (["song.de.vtt", "song.en-de.vtt", "song2.en.vtt", "song.en.txt"], None),
    ],
)
def test_sidecar_captions(
    folder: Path, workspace: Workspace, sidecars: list[str], expected: tuple[str, str, str] | None
) -> None:
    write_clip(folder / "song.mp4")
    for name in sidecars:
        (folder / name).write_text('{"duration": 2.0}' if name.endswith(".info.json") else JSON3)
    run(workspace, local(folder))
    captions = the_video(workspace).captions
    if expected is None:
        assert captions is None
    else:
        track, kind, name = expected
        assert captions == Captions(track=track, kind=kind, path=f"media/song/{name}")  # type: ignore[arg-type]
        assert (workspace.root / captions.path).read_text() == JSON3


def test_page_language_is_kept(folder: Path, workspace: Workspace) -> None:
    write_clip(folder / "song.mp4")
    (folder / "song.info.json").write_text('{"duration": 2.0, "language": "de"}')
    (folder / "song.de.vtt").write_text("WEBVTT\n")
    run(workspace, local(folder))
    one = the_video(workspace)
    assert (one.language, one.page_language, one.captions) == ("en", "de", None)


def test_info_json_is_stripped(folder: Path, workspace: Workspace) -> None:
    write_clip(folder / "song.mp4")
    formats = [{"format_id": "18", "url": "https://cdn.example/?sig=SECRET", "http_headers": {"Cookie": "SECRET"}}]
    info = {"id": "song", "title": "Song", "duration": 2.0, "url": "https://cdn.example/?sig=SECRET"}
    info |= {"requested_formats": formats, "formats": formats, "cookies": "SECRET", "_filename": "/home/SECRET/x"}
    (folder / "song.info.json").write_text(json.dumps(info))
    run(workspace, local(folder))
    kept = (workspace.media / "song" / "song.info.json").read_text()
    assert "SECRET" not in kept
    assert json.loads(kept)["title"] == "Song"
    assert json.loads(kept)["fetched_formats"] == [{"format_id": "18"}]


def test_each_invalid_file_is_rejected_with_its_reason_and_the_valid_one_is_kept(
    folder: Path, workspace: Workspace
) -> None:
    write_clip(folder / "good.mp4")
    (folder / "text.mp4").write_text("not a video. " * 500)
    (folder / "empty.mp4").write_bytes(b"")
    write_clip(folder / "mute.mp4", sound=False)
    write_clip(folder / "dark.mp4", picture=False)
    (folder / "cut.mp4").write_bytes(clip_bytes(4.0)[:-9000])
    write_clip(folder / "long.mp4", 4.0)
    (folder / "long.info.json").write_text('{"duration": 60}')
    names = ["good", "text", "empty", "mute", "dark", "cut", "long", "missing"]
    count = run(workspace, *(local(folder, f"{name}.mp4", name) for name in names))
    assert (count.num_in, count.num_kept, count.num_rejected) == (8, 1, 7)
    assert reasons(workspace) == {
        "text": "not_a_video",
        "empty": "not_a_video",
        "mute": "no_audio_stream",
        "dark": "no_video_stream",
        "cut": "not_a_video",  # the index of an mp4 is at its end
        "long": "duration_mismatch",
        "missing": "file_missing",
    }
    details = {row.item_id: row.detail for row in read_table(workspace.table("rejections"), Rejection)}
    assert details["text"].startswith(f"{folder / 'text.mp4'}: ")
    assert not any(".partial" in detail for detail in details.values())
    assert the_video(workspace).video_id == "good"
    assert sorted(path.name for path in workspace.media.iterdir()) == [".partial", "good"]
    assert list((workspace.media / ".partial").iterdir()) == []


def test_finished_videos_are_skipped_until_their_files_change(folder: Path, workspace: Workspace) -> None:
    write_clip(folder / "song.mp4")
    videos = (local(folder), local(folder, "missing.mp4", "missing"))
    run(workspace, *videos)
    assert run(workspace, *videos).num_skipped == 2

    write_clip(folder / "missing.mp4", seed=1)
    assert run(workspace, *videos).num_skipped == 1
    assert reasons(workspace) == {}

    (workspace.media / "song" / "song.mp4").unlink()
    assert run(workspace, *videos).num_skipped == 1
    assert (workspace.media / "song" / "song.mp4").is_file()

    (folder / "song.en.vtt").write_text("WEBVTT\n")
    assert run(workspace, *videos).num_skipped == 1
    assert (workspace.media / "song" / "song.en.vtt").is_file()


def test_changed_kind_and_letters_of_a_row_take_effect_without_a_new_download(
    folder: Path, workspace: Workspace
) -> None:
    write_clip(folder / "song.mp4")
    first = local(folder)
    run(workspace, first)
    before = the_video(workspace)
    assert (before.kind, len(before.letters)) == ("alphabet", 26)
    count = run(workspace, dataclasses.replace(first, kind="letter", letters="B"))
    assert count.num_skipped == 1
    assert the_video(workspace) == dataclasses.replace(before, kind="letter", letters="B")


def test_complete_video_is_not_fetched_again_after_a_crash(folder: Path, workspace: Workspace) -> None:
    write_clip(folder / "song.mp4")
    run(workspace, local(folder))
    workspace.ledger("fetch").forget("song")  # as if killed between the rename and the ledger entry
    assert run(workspace, local(folder)).num_skipped == 1
    assert workspace.ledger("fetch").item_ids() == ["song"]

    workspace.ledger("fetch").forget("song")  # as if killed before the rename, with all files written
    (workspace.media / "song").rename(workspace.media / ".partial" / "song")
    assert run(workspace, local(folder)).num_skipped == 1
    assert (workspace.root / the_video(workspace).path).is_file()


@pytest.mark.parametrize(("announced", "is_accepted"), [(2.9, True), (3.1, False), (3, True), (4, False), (1, True)])
def test_tolerance_of_the_announced_duration(
    folder: Path, workspace: Workspace, announced: float, is_accepted: bool
) -> None:
    write_clip(folder / "song.mp4", 2.0)
    (folder / "song.info.json").write_text(json.dumps({"duration": announced}))
    assert run(workspace, local(folder)).num_kept == is_accepted


@pytest.fixture
def site(folder: Path) -> Iterator[SongSite]:
    write_clip(folder / "auto.mp4")
    (folder / "auto.en-orig.json3").write_text(JSON3)
    write_clip(folder / "both.mp4", seed=1)
    (folder / "both.en-orig.json3").write_text(JSON3)
    (folder / "both.en.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nA\n")
    write_clip(folder / "none.mp4", seed=2)
    (folder / "text.mp4").write_text("not a video. " * 500)
    names = ["auto", "both", "none", "text"]
    rows = "".join(f"{name},{name}.mp4,Song {name}\n" for name in [*names, "gone"])
    (folder / "manifest.csv").write_text(f"video_id,url,title\n{rows}")
    with SongSite(folder) as running:
        yield running


def test_download_over_http(site: SongSite, folder: Path, workspace: Workspace) -> None:
    videos = read_manifest(f"{site.url}/manifest.csv")
    calls: list[tuple[str, int, int]] = []
    count = fetch(workspace, videos, FetchOptions(), on_progress=lambda *call: calls.append(call))
    kept = {video.video_id: video for video in read_table(workspace.table("videos"), FetchedVideo)}
    assert (count.num_in, count.num_kept, count.num_rejected) == (5, 3, 2)
    assert calls == [("fetch", done, 5) for done in range(6)]
    for name, video in kept.items():
        assert video.sha256 == hashlib.sha256((folder / f"{name}.mp4").read_bytes()).hexdigest()
        assert video.fetcher_version.startswith("yt-dlp 20")
    assert kept["auto"].captions == Captions(track="en-orig", kind="auto", path="media/auto/auto.en-orig.json3")
    assert kept["both"].captions == Captions(track="en", kind="manual", path="media/both/both.en.vtt")
    assert kept["none"].captions is None
    assert reasons(workspace)["text"] == "not_a_video"
    assert "gone" in reasons(workspace)


def test_local_server_on_another_port_is_the_same_server(site: SongSite, folder: Path, workspace: Workspace) -> None:
    rows = [row for row in read_manifest(f"{site.url}/manifest.csv") if row.video_id == "auto"]
    run(workspace, *rows)
    with SongSite(folder) as other:
        rows = [row for row in read_manifest(f"{other.url}/manifest.csv") if row.video_id == "auto"]
        assert run(workspace, *rows).num_skipped == 1
        assert run(workspace, *rows, max_height=720).num_skipped == 0


def test_address_key() -> None:
    assert address_key("http://127.0.0.1:81/watch/a?b=1") == address_key("http://localhost:9/watch/a?b=1")
    assert address_key("http://127.0.0.1:81/watch/a") != address_key("http://127.0.0.1:81/watch/b")
    assert address_key("https://a.example:81/v") == "https://a.example:81/v"
