"""The review over HTTP: hostile and impossible requests change nothing, a full disk and a changed workspace are named, and 60
songs with 1,600 clips are fast and small."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from phonics_data.contract.records import to_plain
from phonics_data.contract.web import MAX_HEAD_BYTES
from phonics_data.review.app import MAX_STATE_BYTES
from phonics_data.storage.reviews import Reviews, read_reviews, write_reviews
from phonics_data.storage.tables import write_table
from phonics_data.storage.workspace import Workspace, write_json
from phonics_data.types import FetchedVideo, Segment, segment_id
from tests.counted_videos import clicks, constant, make_source
from tests.phonics_data.review.served_review import ReviewServer
from tests.phonics_data.stages.test_segment import video
from tests.phonics_data.storage.test_reviews import interval, review

pytestmark = pytest.mark.dependencies
SECONDS = 60
TITLE = "<script>document.title = 'hacked'</script> & \"quotes\""


def make_workspace(root: Path, num_songs: int, *, suffix: str = ".mp4") -> Workspace:
    """Songs of 27 segments of two seconds, all with the same media file."""
    workspace = Workspace(root)
    media = root / "media" / f"video{suffix}"
    media.parent.mkdir(parents=True)
    make_source(media, constant(Fraction(8), SECONDS), clicks(SECONDS, [3.0, 6.0], 48_000), audio_codec="aac")
    videos: list[FetchedVideo] = []
    for number in range(num_songs):
        name = f"song-{number:02d}"
        one = dataclasses.replace(video(name, float(SECONDS)), path=f"media/video{suffix}", sha256=f"{number:064x}")
        videos.append(one)
        segments = [
            Segment(
                segment_id=segment_id(name, 2.0 * index), video_id=name, letter=chr(65 + index % 26), object_word="apple",
                start_seconds=2.0 * index, end_seconds=2.0 * index + 2, rule="phrase", evidence="captions",
                confidence=0.3 + index / 60,
            )
            for index in range(27)
        ]  # fmt: skip
        outcome = {"kept": to_plain(segments), "rejections": [], "is_temporary": False}
        workspace.ledger("segment").write(name, "fingerprint", outcome)
    write_table(workspace.table("videos"), FetchedVideo, videos)
    write_json(root / "media" / "song-00" / "info.json", {"title": TITLE})
    return workspace


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewServer]:
    root = tmp_path_factory.mktemp("served") / "work"
    make_workspace(root, 3)
    running = ReviewServer(root).start()
    yield running
    running.stop()


def song(server: ReviewServer, name: str = "song-00") -> dict[str, Any]:
    status, value = server.send("GET", f"/api/song/{name}")
    assert status == 200
    return value


def sent(value: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {name: value[name] for name in ("segments", "dropped", "complete", "revision")} | changes


def with_first(value: dict[str, Any], **changes: Any) -> dict[str, Any]:
    segments = [{**value["segments"][0], **changes}, *value["segments"][1:]]
    return sent(value, segments=segments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"letter": "<b>"}, "segment 1: got letter '<b>', allowed: A to Z"),
        ({"letter": "AB"}, "allowed: A to Z"),
        ({"letter": 1}, "allowed: A to Z"),
        ({"start": -1}, "got -1 to 2 s, allowed: start before end, in 0 to 60.00 s"),
        ({"start": 3}, "start before end"),
        ({"end": 1e9}, "start before end"),
        ({"start": "0"}, "start and end in seconds"),
        ({"start": True}, "start and end in seconds"),
        ({"start": 2.0, "end": 3.0}, "starts at 2.000 s as another one"),
        ({"word": "=cmd()"}, "word: got '=cmd()'"),
        ({"word": "<img src=x>"}, "word: got '<img src=x>'"),
        ({"word": None}, "word: allowed: text"),
        ({"before": ["A", 1]}, "allowed: letter, start and end"),
        ({"before": ["A", 0, 99_999]}, "in 0 to 43200.00 s"),
    ],
)
def test_impossible_segments_are_refused(server: ReviewServer, changes: dict[str, Any], message: str) -> None:
    before = song(server)
    status, answer = server.send("PUT", "/api/song/song-00", with_first(before, **changes))
    assert (status, message in answer["error"]) == (400, True), answer
    assert song(server) == before


def test_hostile_requests_change_nothing(server: ReviewServer) -> None:
    before = song(server)
    good = with_first(before, letter="Q", decided=True)
    for method, path, value, headers, status in (
        ("PUT", "/api/song/song-00", good, {"Sec-Fetch-Site": "cross-site"}, 403),
        ("PUT", "/api/song/song-00", good, {"Origin": "http://evil.example"}, 403),
        ("PUT", "/api/song/song-00", good, {"Host": "evil.example"}, 400),
        ("GET", "/api/queue", None, {"Host": "evil.example"}, 400),
        ("PUT", "/api/song/song-00", good, {"Content-Type": "text/plain"}, 415),
        ("PUT", "/api/song/song-00", {**good, "revision": "forged"}, {}, 409),
        ("PUT", "/api/song/song-00", {**good, "reviewer": "<script>"}, {}, 400),
        ("PUT", "/api/song/song-00", {**good, "segments": good["segments"] * 40}, {}, 400),
        ("PUT", "/api/song/song-99", good, {}, 404),
        ("PUT", "/api/song/..%2f..%2fetc", good, {}, 404),
        ("POST", "/api/decide", {"clips": [], "action": "keep"}, {}, 400),
        ("POST", "/api/decide", {"clips": [{"video_id": "song-00"}], "action": "keep"}, {}, 400),
        ("POST", "/api/decide", {"clips": [1], "action": "delete"}, {}, 400),
        ("POST", "/api/decide", {"clips": [{"video_id": "a"}] * 501, "action": "keep"}, {}, 400),
        ("DELETE", "/api/song/song-00", None, {}, 405),
        ("GET", "/media/..%2fworkspace.json", None, {}, 404),
        ("GET", "/media/workspace.json", None, {}, 404),
        ("GET", "/static/app.py", None, {}, 404),
        ("GET", "/static/..%2fapp.py", None, {}, 404),
        ("GET", "/frame/song-00?at=nan", None, {}, 400),
        ("GET", "/frame/song-00?at=1e9", None, {}, 400),
        ("GET", "/frame/song-00", None, {}, 400),
    ):
        found, answer = server.send(method, path, value, headers)
        assert found == status, (method, path, headers, answer)
    assert server.send("PUT", "/api/song/song-00", body=b"{" + b" " * MAX_STATE_BYTES)[0] in (413, 400)
    assert server.send("PUT", "/api/song/song-00", body=b'{"segments": NaN}')[0] == 400
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * (2 * MAX_HEAD_BYTES))
        assert connection.recv(100).startswith(b"HTTP/1.1 4")
    missing = {"video_id": "song-00", "letter": "Q", "start": 1.0, "end": 2.0}
    assert server.send("POST", "/api/decide", {"clips": [missing], "action": "keep"})[1]["missing"] == ["Q of song-00"]
    assert song(server) == before


def test_titles_are_text(server: ReviewServer) -> None:
    status, page = server.send("GET", "/song/song-00")
    assert status == 200
    assert b"hacked" not in page
    assert song(server)["title"] == TITLE
    assert [row["title"] for row in server.send("GET", "/api/queue")[1]["videos"] if row["video_id"] == "song-00"] == [
        TITLE
    ]


def test_frames_and_ranges_of_the_video(server: ReviewServer) -> None:
    status, data = server.send("GET", "/frame/song-00?at=3.2")
    assert status == 200
    assert data.startswith(b"\xff\xd8\xff")
    status, data = server.send("GET", "/media/song-00", headers={"Range": "bytes=0-99"})
    assert (status, len(data)) == (206, 100)


def test_links_out_of_the_workspace_are_not_served(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "work", 1)
    media = workspace.media / "video.mp4"
    server = ReviewServer(workspace.root).start()
    try:
        assert server.send("POST", "/api/song/song-00/preview", {})[1]["state"] == "ready"
        media.rename(workspace.media / "other.mp4")
        media.symlink_to("other.mp4")
        assert server.send("GET", "/media/song-00")[0] == 200
        (workspace.media / "other.mp4").rename(tmp_path / "outside.mp4")
        media.unlink()
        media.symlink_to(tmp_path / "outside.mp4")
        assert server.send("GET", "/media/song-00")[0] == 404
        assert server.send("GET", "/frame/song-00?at=3")[0] == 404
        state = server.send("POST", "/api/song/song-00/preview", {})[1]
        assert state["state"] == "failed"
        assert "link that leads out of the workspace" in state["detail"]
        (workspace.root / "review" / "previews").mkdir(parents=True)
        preview = workspace.root / "review" / "previews" / f"song-00-{0:016x}.mp4"
        preview.symlink_to(tmp_path / "outside.mp4")
        assert server.send("GET", "/preview/song-00")[0] == 404
    finally:
        server.stop()


def test_a_workspace_that_changes_under_the_page(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "work", 2)
    server = ReviewServer(workspace.root).start()
    try:
        before = song(server)
        # Somebody edits reviews.csv.
        assert (
            server.send("PUT", "/api/song/song-01", with_first(song(server, "song-01"), letter="Z", decided=True))[0]
            == 200
        )
        path = workspace.root / "reviews.csv"
        path.write_text(path.read_text().replace("song-01,", "song-00,").replace(f"{1:064x}", f"{0:064x}"))
        status, answer = server.send("PUT", "/api/song/song-00", with_first(before, letter="Q", decided=True))
        assert status == 409
        assert answer["current"]["segments"][0]["letter"] == "Z"
        # It is damaged.
        path.write_text("not,reviews\n1,2\n")
        status, answer = server.send("GET", "/api/queue")
        assert status == 503
        assert "required, once each: video_id" in answer["error"]
        path.unlink()
        # The automatic segments change, a video vanishes, the media file vanishes.
        workspace.ledger("segment").write("song-00", "other", {"kept": [], "rejections": [], "is_temporary": False})
        assert song(server)["segments"] == []
        workspace.table("videos").unlink()
        assert server.send("GET", "/api/queue")[0] == 503
        make_videos = [dataclasses.replace(video("song-00", 60.0), path="media/video.mp4")]
        write_table(workspace.table("videos"), FetchedVideo, make_videos)
        assert server.send("GET", "/api/song/song-01")[0] == 404
        (workspace.root / "media" / "video.mp4").unlink()
        assert server.send("GET", "/media/song-00")[0] == 404
        assert server.send("GET", "/frame/song-00?at=1")[0] == 404
        assert "file" in server.send("GET", "/api/song/song-00/evidence")[1]["error"]
    finally:
        server.stop()


def test_decisions_about_a_copy_that_does_not_fit_are_kept(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "work", 1)
    other = review("change", interval("A", 0, 2), interval("Q", 0, 2), video_id="song-00")
    write_reviews(workspace.root / "reviews.csv", Reviews(rows=(other,)))
    server = ReviewServer(workspace.root).start()
    try:
        value = song(server)
        assert value["segments"][0]["letter"] == "A"
        assert "row `source` of the reviewed copy is missing" in value["note"]
        assert server.send("PUT", "/api/song/song-00", with_first(value, letter="R", decided=True))[0] == 200
    finally:
        server.stop()
    (path,) = (workspace.root / "review").glob("replaced-song-00-*.csv")
    assert str(path) in value["note"]
    assert read_reviews(path).rows == (other,)
    assert {row.sha256 for row in read_reviews(workspace.root / "reviews.csv").rows} == {f"{0:064x}"}


def test_a_second_server_is_refused(server: ReviewServer) -> None:
    with pytest.raises(AssertionError, match="another `phonics-data review` is using it"):
        ReviewServer(server.work).start()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB; the test is skipped where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user cannot mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_named_and_nothing_is_lost(small_disk: Path) -> None:
    workspace = make_workspace(small_disk / "work", 1)
    server = ReviewServer(workspace.root).start()
    try:
        first = with_first(song(server), letter="Q", decided=True)
        assert server.send("PUT", "/api/song/song-00", first)[0] == 200
        kept = (workspace.root / "reviews.csv").read_bytes()
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        second = with_first(song(server), letter="R", decided=True)
        status, answer = server.send("PUT", "/api/song/song-00", second)
        assert status == 507
        assert "Not saved: the disk is full" in answer["error"]
        assert (workspace.root / "reviews.csv").read_bytes() == kept
        assert song(server)["segments"][0]["letter"] == "Q"
        filler.unlink()
        assert server.send("PUT", "/api/song/song-00", second)[0] == 200
        assert song(server)["segments"][0]["letter"] == "R"
    finally:
        server.stop()


def test_videos_that_browsers_do_not_play_get_a_preview(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "work", 1, suffix=".mkv")
    server = ReviewServer(workspace.root).start()
    try:
        assert server.send("GET", "/media/song-00")[0] == 415
        state: dict[str, str] = {}
        for _ in range(300):
            state = server.send("POST", "/api/song/song-00/preview", {})[1]
            if state["state"] != "running":
                break
            time.sleep(0.2)
        assert state["state"] == "ready", state
        data = server.send("GET", "/preview/song-00")[1]
        assert data[4:8] == b"ftyp"
        playlist = workspace.root / "media" / "video.mkv"
        playlist.write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n")
        write_table(
            workspace.table("videos"),
            FetchedVideo,
            [dataclasses.replace(video("song-00", 60.0), path="media/video.mkv", sha256="ff" * 32)],
        )
        assert server.send("POST", "/api/song/song-00/preview", {})[1]["state"] == "failed"
    finally:
        server.stop()


@pytest.mark.slow
def test_sixty_songs_are_fast_and_small(tmp_path: Path) -> None:
    make_workspace(tmp_path / "work", 60)
    server = ReviewServer(tmp_path / "work").start()
    try:
        seconds: dict[str, float] = {}
        for path in ("/", "/api/queue", "/clips?letter=A", "/api/clips?letter=A", "/song/song-07", "/api/song/song-07"):
            seconds[path] = min(timed(server, "GET", path) for _ in range(3))
        for number in range(3):
            state = with_first(song(server, "song-07"), letter="QRS"[number], decided=True)
            seconds["save"] = min(timed(server, "PUT", "/api/song/song-07", state), seconds.get("save", 9.0))
        clips = server.send("GET", "/api/clips?letter=B")[1]["clips"]
        assert len(clips) == 60
        start = time.monotonic()
        assert server.send("POST", "/api/decide", {"clips": clips, "action": "keep"})[0] == 200
        seconds["confirm 60 clips of 60 songs"] = time.monotonic() - start
        server.send("GET", "/frame/song-07?at=3.2")
        memory = server.memory_mb()
        print(json.dumps({name: round(value, 3) for name, value in seconds.items()}), f"{memory:.0f} MB")
        assert server.send("GET", "/api/queue")[1]["progress"]["clips"] == 60 * 27
        assert max(seconds.values()) < 0.5
        assert memory < 300
    finally:
        server.stop()


def timed(server: ReviewServer, method: str, path: str, value: object = None) -> float:
    start = time.monotonic()
    assert server.send(method, path, value)[0] == 200
    return time.monotonic() - start
