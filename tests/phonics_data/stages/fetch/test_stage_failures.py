"""The stage `fetch` with yt-dlp's YouTube extractor against a server with all kinds of faults."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from phonics_data.contract.records import from_plain
from phonics_data.media import MediaInfo
from phonics_data.sources.synthetic.site import SongSite
from phonics_data.stages.fetch.download import ffmpeg_path
from phonics_data.stages.fetch.download_result import DownloadResult, inspect_download
from phonics_data.stages.fetch.ledger import FetchEntry, fetch_report
from phonics_data.stages.fetch.progress import FetchProgress
from phonics_data.stages.fetch.stage import BackOff, FetchOptions, FetchStoppedError, fetch
from phonics_data.storage.manifest import read_manifest
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, FetchStatus, Rejection, SourceVideo, StageCount
from tests.phonics_data.stages.fetch.fake_youtube import (
    SIGNATURE,
    FakeCaptions,
    FakeYouTube,
    Song,
    route_to_fake_youtube,
)
from tests.phonics_data.stages.fetch.small_videos import clip_bytes

QUICK = BackOff(first_seconds=0.01, max_seconds=0.02, max_retry_after_seconds=5.0, outage_seconds=0.05)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work")


@pytest.fixture
def serve() -> Iterator[Callable[..., FakeYouTube]]:
    with ExitStack() as stack:

        def start(*songs: Song) -> FakeYouTube:
            server = stack.enter_context(FakeYouTube(*songs))
            stack.enter_context(route_to_fake_youtube(server.port))
            return server

        yield start


def song(name: str, **more: object) -> Song:
    """A song with one file of video and audio; `name` is padded to YouTube's 11 characters."""
    return Song(name.ljust(11, "0"), {"18": clip_bytes(seed=sum(map(ord, name)) % 97)}, **more)  # type: ignore[arg-type]


def run(
    workspace: Workspace, server: FakeYouTube, *, progress: FetchProgress | None = None, **options: object
) -> StageCount:
    videos = [SourceVideo(video_id=one.video_id, url=one.url, title=one.title) for one in server.songs.values()]
    wanted = FetchOptions(sleep_seconds=(0.0, 0.0), back_off=QUICK, **options)  # type: ignore[arg-type]
    return fetch(workspace, videos, wanted, manifest="songs.csv", progress=progress)


def entry(workspace: Workspace, name: str) -> FetchEntry:
    outcome = workspace.ledger("fetch").read(name.ljust(11, "0"))
    assert outcome is not None, f"{name} is not in the ledger"
    return from_plain(FetchEntry, outcome)


def assert_complete(workspace: Workspace, one: Song) -> None:
    video = entry(workspace, one.video_id).video
    assert video is not None
    wanted = hashlib.sha256(one.media["18"]).hexdigest()
    assert video.sha256 == wanted
    assert hashlib.sha256((workspace.root / video.path).read_bytes()).hexdigest() == wanted


def test_video_and_audio_streams_are_joined_and_captions_chosen(
    workspace: Workspace, serve: Callable[..., FakeYouTube]
) -> None:
    two = Song(
        "twostreams0",
        {
            "133": clip_bytes(sound=False, height=240),
            "135": clip_bytes(sound=False, height=480),
            "140": clip_bytes(picture=False),
        },
        captions=[FakeCaptions("en", is_auto=True), FakeCaptions("de", is_auto=True)],
    )
    run(workspace, serve(two), max_height=240)
    (video,) = read_table(workspace.table("videos"), FetchedVideo)
    assert (video.height, video.width, video.audio_rate_hz) == (240, 320, 16000)
    assert video.captions is not None
    assert (video.captions.track, video.captions.kind) == ("en-orig", "auto")
    assert entry(workspace, "twostreams0").format_id == "133+140"
    names = sorted(path.name for path in (workspace.media / "twostreams0").iterdir())
    assert names == ["outcome.json", "twostreams0.en-orig.json3", "twostreams0.info.json", "twostreams0.mp4"]


KILLED_ONCE = """#!/bin/sh
case "$*" in *-i*)
    if mkdir "{folder}/killed" 2>/dev/null; then
        {banner}
        kill -KILL $$
    fi;;
esac
exec "{ffmpeg}" "$@"
"""


@pytest.mark.parametrize("banner", [":", "echo 'ffmpeg version 7 Copyright (c) 2000-2026 the FFmpeg developers' >&2"])
def test_killed_join_is_repeated(
    workspace: Workspace,
    serve: Callable[..., FakeYouTube],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    banner: str,
) -> None:
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(KILLED_ONCE.format(folder=tmp_path, banner=banner, ffmpeg=ffmpeg_path()))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    streams = {"133": clip_bytes(sound=False, height=240), "140": clip_bytes(picture=False)}
    server = serve(Song("twostreams0", streams))
    run(workspace, server, max_height=240)
    assert (tmp_path / "killed").is_dir(), "ffmpeg was not called"
    assert entry(workspace, "twostreams0").status == "ok"
    assert len(server.requests("media")) == 2, "the streams were downloaded again"


def test_video_whose_check_died_is_tried_again_without_a_download(
    workspace: Workspace, serve: Callable[..., FakeYouTube], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = song("heavy"), song("light")
    server = serve(one, two)
    with monkeypatch.context() as patch:
        patch.setattr("phonics_data.stages.fetch.worker.inspect_download", _killed_for_one_video)
        count = run(workspace, server)
    assert (count.num_kept, count.by_reason) == (1, {"worker_died": 1})
    assert [row.item_id for row in read_table(workspace.table("rejections"), Rejection)] == [one.video_id]
    assert run(workspace, server).num_kept == 2
    assert_complete(workspace, one)
    assert read_table(workspace.table("rejections"), Rejection) == []
    assert len(server.requests("media", one.video_id)) == 1


def _killed_for_one_video(result: DownloadResult) -> MediaInfo:
    """As `inspect_download`, in a process that the system ends for lack of memory while it reads one of the videos."""
    if result.media.name.startswith("heavy"):
        os.kill(os.getpid(), signal.SIGKILL)
    return inspect_download(result)


def track(language: str, *, is_original: bool) -> dict[str, object]:
    return {"id": f"{language}.{4 if is_original else 3}", "displayName": language, "audioIsDefault": is_original}


def test_original_language_comes_before_the_cheaper_dub(
    workspace: Workspace, serve: Callable[..., FakeYouTube]
) -> None:
    dubbed = Song(
        "dubbedsong0",
        {
            "18": clip_bytes(height=240),  # H.264 and AAC in one file
            "133": clip_bytes(sound=False, height=240),
            "140": clip_bytes(picture=False, seed=1),
            "251": clip_bytes(picture=False, seed=2),
        },
        audio_tracks={
            "18": track("es", is_original=False), "140": track("es", is_original=False), "251": track("en", is_original=True),
        },
    )  # fmt: skip
    run(workspace, serve(dubbed), max_height=360)
    assert entry(workspace, "dubbedsong0").format_id.startswith("133+251")


def test_kept_part_after_which_the_server_sends_nothing_is_thrown_away_once(
    workspace: Workspace, serve: Callable[..., FakeYouTube]
) -> None:
    one = song("stalled", media_faults=["reset .5", "no rest", "..."])
    count = run(workspace, serve(one))
    assert count.num_kept == 1
    assert_complete(workspace, one)


CAPTIONS: dict[str, tuple[list[FakeCaptions], list[str], str, str | None]] = {
    "both": ([FakeCaptions("en"), FakeCaptions("en", is_auto=True)], [], "manual", "en"),
    "auto": ([FakeCaptions("en", is_auto=True)], [], "auto", "en-orig"),
    "foreign": ([FakeCaptions("pt", is_auto=True)], [], "translated_only", None),
    "token": ([FakeCaptions("en", is_auto=True, requires_token=True)], [], "refused", None),
    "mute": ([], [], "none", None),
    "second": ([FakeCaptions("en", is_auto=True)], ["500"], "auto", "en-orig"),  # the next format works
    "busy": ([FakeCaptions("en", is_auto=True)], ["429", "..."], "failed", None),
}


def test_failed_captions_do_not_fail_the_video(workspace: Workspace, serve: Callable[..., FakeYouTube]) -> None:
    run(
        workspace,
        serve(
            *(
                song(name, captions=available, caption_faults=faults)
                for name, (available, faults, _, _) in CAPTIONS.items()
            )
        ),
    )
    for name, (_, _, found, track) in CAPTIONS.items():
        got = entry(workspace, name)
        assert got.video is not None, name
        assert (got.captions_found, got.video.captions and got.video.captions.track) == (found, track), name
        assert bool(got.warnings) == (found in ("refused", "failed")), name
        kept = [
            path.suffix
            for path in (workspace.media / got.video.video_id).iterdir()
            if path.name.removeprefix(got.video.video_id) not in (".mp4", ".info.json") and path.name != "outcome.json"
        ]
        assert kept == ([] if track is None else [".vtt" if name == "second" else ".json3"]), name


TRANSIENT: dict[str, tuple[list[str], list[str]]] = {  # faults of the page, faults of the media
    "e503": ([], ["503"]),
    "several": ([], ["500", "503", "500", "502"]),
    "reset": ([], ["reset .5"]),
    "noresume": ([], ["reset .9", "no ranges"]),
    "truncated": ([], ["truncate .5"]),
    "html": ([], ["html"]),
    "slow": ([], ["slow .2"]),
    "e404": ([], ["404"]),
    "e410": ([], ["410"]),
    "e403": ([], ["403"]),
    "e429": ([], ["429 0"]),
    "noranges": ([], ["no ranges"]),
    "stingy": ([], ["stingy .5", "stingy .9", "ok"]),
    "page503": (["503"], []),
    "page429": (["429 0"], []),
    "pagereset": (["reset"], []),
}


def test_transient_faults_are_retried(workspace: Workspace, serve: Callable[..., FakeYouTube]) -> None:
    songs = [song(name, page_faults=list(page), media_faults=list(media)) for name, (page, media) in TRANSIENT.items()]
    count = run(workspace, serve(*songs))
    assert count.by_reason == {}
    for one in songs:
        assert_complete(workspace, one)
        assert one.media_faults == one.page_faults == [], f"{one.video_id} did not receive its faults"


PERMANENT: dict[str, tuple[dict[str, object], str, str]] = {
    "e503": ({"media_faults": ["503", "..."]}, "failed", "fetch_failed"),
    "reset": ({"media_faults": ["reset .5", "..."]}, "failed", "fetch_failed"),
    "e404": ({"media_faults": ["404", "..."]}, "failed", "fetch_failed"),
    "stingy": ({"media_faults": ["stingy .5", "..."]}, "failed", "fetch_failed"),
    "e403": ({"media_faults": ["403", "..."]}, "blocked", "blocked"),
    "html": ({"media_faults": ["html", "..."]}, "invalid", "not_a_video"),
    "truncated": ({"media_faults": ["truncate .5", "..."]}, "invalid", "not_a_video"),
    "short": ({"seconds": 60.0}, "invalid", "duration_mismatch"),
    "mute": ({"media": {"18": clip_bytes(sound=False)}}, "invalid", "no_audio_stream"),
    "private": ({"playability": {"status": "LOGIN_REQUIRED", "reason": "Private video"}}, "gone", "gone"),
    "away": ({"playability": {"status": "ERROR", "reason": "Video unavailable"}}, "gone", "gone"),
}


def test_permanent_faults_get_their_status_and_other_videos_are_fetched(
    workspace: Workspace, serve: Callable[..., FakeYouTube]
) -> None:
    good = song("good")
    bad: list[Song] = []
    for name, (more, _, _) in PERMANENT.items():
        bad.append(song(name))
        for attribute, value in more.items():
            setattr(bad[-1], attribute, value)
    server = serve(*bad, good)
    count = run(workspace, server)
    assert_complete(workspace, good)
    assert (count.num_kept, count.num_rejected) == (1, len(PERMANENT))
    found = {
        name: (entry(workspace, name).status, getattr(entry(workspace, name).rejection, "reason", None))
        for name in PERMANENT
    }
    assert found == {name: (status, reason) for name, (_, status, reason) in PERMANENT.items()}
    rejections = [rejection for name in PERMANENT if (rejection := entry(workspace, name).rejection) is not None]
    assert len(rejections) == len(PERMANENT)
    assert not any(str(workspace.root) in one.detail for one in rejections), "the copies in the workspace are deleted"
    assert [path.name for path in workspace.media.iterdir() if path.name != ".partial"] == [good.video_id]
    assert fetch_report(workspace).by_status == {"ok": 1, "failed": 4, "blocked": 1, "invalid": 4, "gone": 2}


def test_bot_check_stops_the_queue_at_once(workspace: Workspace, serve: Callable[..., FakeYouTube]) -> None:
    first, bot, last = song("first"), song("bot", page_faults=["bot"]), song("last")
    server = serve(first, bot, last)
    message = r"requires a bot check; wait.*--cookies.*1 of 3 videos were not tried"
    with pytest.raises(FetchStoppedError, match=message):
        run(workspace, server)
    assert_complete(workspace, first)
    assert entry(workspace, "bot").status == "blocked"
    assert len(server.requests("bot check")) == 1
    assert server.requests("page", last.video_id) == []
    assert [row.video_id for row in read_table(workspace.table("videos"), FetchedVideo)] == [first.video_id]

    report = fetch_report(workspace)
    assert report.by_status == {"ok": 1, "blocked": 1, "skipped": 1}
    assert report.next_commands == [f"phonics-data fetch songs.csv --work {workspace.root}"]

    count = run(workspace, server)
    assert (count.num_kept, count.num_skipped) == (3, 1)
    assert len(server.requests("media", first.video_id)) == 1
    assert fetch_report(workspace).next_commands == []


def test_blocked_videos_are_tried_last_in_the_next_run(workspace: Workspace, serve: Callable[..., FakeYouTube]) -> None:
    away = [song(f"away{number}", media_faults=["403", "..."]) for number in range(3)]
    good = [song("good1"), song("good2")]
    server = serve(*away, *good)
    with pytest.raises(FetchStoppedError, match="3 videos in a row were forbidden"):
        run(workspace, server)
    count = run(workspace, server)  # no video is left untried, so the run does not fail
    assert (count.num_kept, count.by_reason) == (2, {"blocked": 3})
    for one in good:
        assert_complete(workspace, one)


def test_repeated_429_stops_the_queue_after_retries(workspace: Workspace, serve: Callable[..., FakeYouTube]) -> None:
    pauses: list[float] = []

    class RecordPauses(FetchProgress):
        def waiting(self, video_id: str, seconds: float, why: str) -> None:
            pauses.append(seconds)

    busy = song("busy", media_faults=["429 0.05", "..."])
    server = serve(busy, song("next"))
    with pytest.raises(FetchStoppedError, match=r"429, too many requests; wait an hour.*--sleep"):
        run(workspace, server, progress=RecordPauses())
    assert len(server.requests("media", busy.video_id)) == QUICK.num_tries
    assert pauses == [pytest.approx(0.05)] * (QUICK.num_tries - 1)  # Retry-After is longer than the back-off
    assert server.requests("page", "next0000000") == []


def test_long_retry_after_ends_the_retries(workspace: Workspace, serve: Callable[..., FakeYouTube]) -> None:
    busy = song("busy", media_faults=["429 3600", "..."])
    server = serve(busy, song("next"))
    with pytest.raises(FetchStoppedError, match="429"):
        run(workspace, server)
    assert len(server.requests("media", busy.video_id)) == 1


def test_three_forbidden_videos_in_a_row_stop_the_queue(
    workspace: Workspace, serve: Callable[..., FakeYouTube]
) -> None:
    songs = [song(f"v{number}", media_faults=["403", "..."]) for number in range(4)]
    songs.insert(1, song("fine"))
    server = serve(*songs, song("next"))
    with pytest.raises(FetchStoppedError, match="3 videos in a row were forbidden"):
        run(workspace, server)
    assert server.requests("page", "next0000000") == []
    assert entry(workspace, "fine").status == "ok"
    assert [entry(workspace, f"v{number}").status for number in range(4)] == ["blocked"] * 4


def test_run_without_any_response_rejects_no_video(workspace: Workspace) -> None:
    with FakeYouTube() as closed:
        pass
    started: list[str] = []

    class RecordStarts(FetchProgress):
        def video_started(self, video_id: str) -> None:
            started.append(video_id)

    videos = [SourceVideo(video_id=name, url=f"http://127.0.0.1:{closed.port}/{name}.mp4") for name in ("one", "two")]
    options = FetchOptions(sleep_seconds=(0.0, 0.0), back_off=QUICK)
    message = r"no response from 127\.0\.0\.1; check the connection.*2 of 2 videos were not tried"
    with pytest.raises(FetchStoppedError, match=message):
        fetch(workspace, videos, options, progress=RecordStarts())
    assert started == ["one"]
    assert workspace.ledger("fetch").item_ids() == []
    assert fetch_report(workspace).by_status == {"skipped": 2}


def test_unreachable_host_rejects_only_its_own_rows(workspace: Workspace, serve: Callable[..., FakeYouTube]) -> None:
    good = song("good")
    server = serve(good)
    with FakeYouTube() as closed:
        pass
    videos = [
        SourceVideo(video_id="typo1", url=f"http://localhost:{closed.port}/1.mp4"),
        SourceVideo(video_id="typo2", url=f"http://localhost:{closed.port}/2.mp4"),
        SourceVideo(video_id=good.video_id, url=good.url),
    ]
    count = fetch(workspace, videos, FetchOptions(sleep_seconds=(0.0, 0.0), back_off=QUICK))
    assert (count.num_kept, count.by_reason) == (1, {"fetch_failed": 2})
    assert_complete(workspace, good)
    assert {row.item_id for row in read_table(workspace.table("rejections"), Rejection)} == {"typo1", "typo2"}
    assert server.requests("media")


def test_lost_connection_is_retried_and_then_stops_the_queue(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "songs"
    folder.mkdir()
    for name in ("one", "two", "three"):
        (folder / f"{name}.mp4").write_bytes(clip_bytes())
    (folder / "manifest.csv").write_text("video_id,url\none,one.mp4\ntwo,two.mp4\nthree,three.mp4\n")
    site = SongSite(folder)
    pauses: list[float] = []

    class Unplug(FetchProgress):
        def video_finished(self, video_id: str, status: FetchStatus, detail: str) -> None:
            site.__exit__()

        def waiting(self, video_id: str, seconds: float, why: str) -> None:
            pauses.append(seconds)

    with site:
        videos = read_manifest(f"{site.url}/manifest.csv")
        options = FetchOptions(sleep_seconds=(0.0, 0.0), back_off=QUICK)
        with pytest.raises(FetchStoppedError, match=r"does not respond any more; check.*2 of 3 videos were not tried"):
            fetch(workspace, videos, options, progress=Unplug())
    assert 0 < sum(pauses) <= QUICK.outage_seconds
    assert workspace.ledger("fetch").item_ids() == ["one"]


@pytest.mark.parametrize(
    ("retry", "tried_again"),
    [
        ("", {"bot"}),
        ("failed", {"bot", "broken", "text"}),
        ("gone", {"bot", "away"}),
        ("all", {"bot", "broken", "text", "away"}),
    ],
)
def test_retry_option(
    workspace: Workspace, serve: Callable[..., FakeYouTube], retry: str, tried_again: set[str]
) -> None:
    songs = {
        "fine": song("fine"),
        "broken": song("broken", media_faults=["404", "..."]),
        "text": song("text", media_faults=["html", "..."]),
        "away": song("away", playability={"status": "ERROR", "reason": "Video unavailable"}),
        "bot": song("bot", page_faults=["bot"]),
    }
    server = serve(*songs.values())
    assert run(workspace, server).num_kept == 1
    for one in songs.values():
        one.media_faults, one.playability = [], {"status": "OK"}
    server.served.clear()
    count = run(workspace, server, retry=retry)
    assert {one.video_id.rstrip("0") for one in server.requests("page")} == tried_again
    assert count.num_kept == 1 + len(tried_again)
    assert count.num_skipped == 5 - len(tried_again)


def test_corrupted_part_file_is_fetched_again(workspace: Workspace, serve: Callable[..., FakeYouTube]) -> None:
    one = song("part")
    folder = workspace.media / ".partial" / one.video_id
    folder.mkdir(parents=True)
    (folder / f"{one.video_id}.mp4.part").write_bytes(os.urandom(len(one.media["18"]) // 2))
    server = serve(one)
    run(workspace, server)
    assert_complete(workspace, one)
    assert [served.first_byte for served in server.requests("media")] == [0]


def test_valid_part_file_is_continued(
    workspace: Workspace, serve: Callable[..., FakeYouTube], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phonics_data.stages.fetch.partial_files.STEP_BYTES", 1000)
    one = song("part", media_faults=["reset .6", "503", "503", "403", "403"])
    server = serve(one)
    run(workspace, server)
    assert entry(workspace, "part").status == "blocked"
    run(workspace, server)
    assert_complete(workspace, one)
    last = server.requests("media")[-1]
    assert last.status == 206
    assert last.first_byte > 0  # the number of bytes before the reset varies


def test_row_selection_keeps_rows_that_were_fetched_before(
    workspace: Workspace, serve: Callable[..., FakeYouTube]
) -> None:
    songs = [song("one"), song("two"), song("three")]
    server = serve(*songs)
    videos = [
        SourceVideo(video_id=songs[0].video_id, url=songs[0].url, letters="AB", tier=1),
        SourceVideo(video_id=songs[1].video_id, url=songs[1].url, letters="C", tier=2),
        SourceVideo(video_id=songs[2].video_id, url=songs[2].url, letters="A", tier=3),
    ]

    def fetched(**wanted: object) -> list[str]:
        options = FetchOptions(sleep_seconds=(0.0, 0.0), back_off=QUICK, **wanted)  # type: ignore[arg-type]
        fetch(workspace, videos, options)
        return [row.video_id.rstrip("0") for row in read_table(workspace.table("videos"), FetchedVideo)]

    assert fetched(letters="C") == ["two"]
    assert fetched(only=(songs[2].video_id,)) == ["two", "three"]  # fetched videos stay in the table
    assert fetched() == ["one", "two", "three"]
    assert len(server.requests("media")) == 3


def test_two_workers(workspace: Workspace, serve: Callable[..., FakeYouTube]) -> None:
    songs = [song(f"v{number}", media_faults=["503"] if number % 3 == 0 else []) for number in range(6)]
    count = run(workspace, serve(*songs), workers=2)
    assert count.num_kept == 6
    for one in songs:
        assert_complete(workspace, one)
    order = [row.video_id for row in read_table(workspace.table("videos"), FetchedVideo)]
    assert order == [one.video_id for one in songs]


def test_different_title_gives_a_warning(workspace: Workspace, serve: Callable[..., FakeYouTube]) -> None:
    one = song("other", title="Alphabet song")
    server = serve(one)
    one.title = "10 hours of rain on a tin roof"
    video = SourceVideo(video_id=one.video_id, url=one.url, title="ABC Phonics for Kids")
    fetch(workspace, [video], FetchOptions(back_off=QUICK, sleep_seconds=(0.0, 0.0)))
    (warning,) = entry(workspace, "other").warnings
    assert "10 hours of rain" in warning
    assert any("warning" in line for line in fetch_report(workspace).lines)
    assert server.requests("media")


@pytest.mark.parametrize(("manifest_seconds", "is_warned"), [(None, False), (2.0, False), (11.0, False), (240.0, True)])
def test_different_duration_gives_a_warning(
    workspace: Workspace, serve: Callable[..., FakeYouTube], manifest_seconds: float | None, is_warned: bool
) -> None:
    one = song("one")
    serve(one)
    video = SourceVideo(video_id=one.video_id, url=one.url, title=one.title, duration_seconds=manifest_seconds)
    fetch(workspace, [video], FetchOptions(back_off=QUICK, sleep_seconds=(0.0, 0.0)))
    found = entry(workspace, "one").warnings
    assert bool(found) == is_warned
    if is_warned:
        assert "its duration is 2 s, the manifest gives 240 s; check that it is the right video" in found[0]


def test_larger_max_height_fetches_again_and_a_smaller_one_does_not(
    workspace: Workspace, serve: Callable[..., FakeYouTube]
) -> None:
    server = serve(song("one"))
    run(workspace, server, max_height=360)
    assert run(workspace, server, max_height=240).num_skipped == 1
    assert run(workspace, server, max_height=720).num_skipped == 0


def test_no_secret_is_stored(workspace: Workspace, serve: Callable[..., FakeYouTube], tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    line = "\t".join([".youtube.com", "TRUE", "/", "TRUE", "1999999999", "PREFX", "C00KIE-SECRET"])
    text = f"# Netscape HTTP Cookie File\n{line}\n"
    cookies.write_text(text)
    songs = [
        song("fine", captions=[FakeCaptions("en", is_auto=True)]),
        song("broken", media_faults=["404", "..."]),
        song("bot", page_faults=["bot"]),
        song("next"),
    ]
    with pytest.raises(FetchStoppedError) as stopped:
        run(workspace, serve(*songs), cookies=cookies)
    assert cookies.read_text() == text
    assert "SECRET" not in str(stopped.value)
    written = [path for path in workspace.root.rglob("*") if path.is_file()]
    assert any(path.name == "fetch.log" and path.stat().st_size for path in written)
    for path in written:
        data = path.read_bytes()
        assert b"C00KIE" not in data, path
        assert SIGNATURE.encode() not in data, path


def test_proxy_errors_hide_the_password(workspace: Workspace, serve: Callable[..., FakeYouTube]) -> None:
    serve()
    video = SourceVideo(video_id="a", url="http://example.org/a.mp4")
    options = FetchOptions(proxy="http://anna:PASSWORD-1@127.0.0.1:9", back_off=QUICK, sleep_seconds=(0.0, 0.0))
    with pytest.raises(FetchStoppedError) as stopped:
        fetch(workspace, [video], options)
    assert "PASSWORD" not in str(stopped.value)
    for path in workspace.root.rglob("*"):
        assert not path.is_file() or b"PASSWORD" not in path.read_bytes(), path


def test_rejections_give_advice(workspace: Workspace, serve: Callable[..., FakeYouTube]) -> None:
    run(workspace, serve(song("broken", media_faults=["503", "..."])))
    (row,) = read_table(workspace.table("rejections"), Rejection)
    assert "HTTP Error 503" in row.detail
    assert row.detail.endswith("run the same command with --retry failed")
    assert "\n" not in row.detail
    assert json.loads((workspace.root / "items" / "fetch-run.json").read_text())["manifest"] == "songs.csv"
