"""The web server of rendered songs: pages, files, ranges, and nothing outside its folder."""

from __future__ import annotations

import csv
import io
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from phonics_data.contract import web
from phonics_data.errors import InputError
from phonics_data.sources.synthetic.site import SongSite, byte_range
from tests.slow_clients import HALF_REQUEST, slow_clients

pytestmark = pytest.mark.dependencies


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SongSite]:
    folder = tmp_path / "songs"
    folder.mkdir()
    (folder / "manifest.csv").write_text("video_id,url,title\nab-1,ab-1.mp4,A & B\n")
    (folder / "ab-1.mp4").write_bytes(bytes(range(256)) * 1000)
    (folder / "ab-1.en.json3").write_text("{}")
    (folder / "ab-1.en-orig.vtt").write_text("WEBVTT\n")
    (folder / "ab-12.de.srt").write_text("another song's")
    (tmp_path / "secret.txt").write_text("not served")
    with SongSite(folder) as running:
        yield running


def get(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as response:
            return response.status, response.read(), dict(response.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def test_the_manifest_contains_page_addresses(site: SongSite) -> None:
    _, data, _ = get(f"{site.url}/manifest.csv")
    (row,) = csv.DictReader(io.StringIO(data.decode()))
    assert row == {"video_id": "ab-1", "url": "/watch/ab-1", "title": "A & B"}


def test_a_page_contains_its_video_and_captions_only(site: SongSite) -> None:
    status, data, _ = get(f"{site.url}/watch/ab-1")
    text = data.decode()
    assert status == 200
    assert "<title>A &amp; B</title>" in text
    assert 'src="/ab-1.mp4"' in text
    assert 'srclang="en" src="/ab-1.en.json3"' in text
    assert 'srclang="en-orig" src="/ab-1.en-orig.vtt"' in text
    assert "srt" not in text


@pytest.mark.parametrize("header", ["bytes=10-19", "bytes=255990-", "bytes=-10", "bytes=255990-999999"])
def test_ranges(site: SongSite, header: str) -> None:
    status, data, headers = get(f"{site.url}/ab-1.mp4", Range=header)
    whole = bytes(range(256)) * 1000
    first = 10 if header == "bytes=10-19" else 255990
    assert status == 206
    assert data == whole[first : first + 10]
    assert headers["Content-Range"] == f"bytes {first}-{first + 9}/256000"


@pytest.mark.parametrize("header", ["bytes=0-1,5-6", "bytes=-", "lines=1-2"])
def test_unsupported_ranges_give_the_whole_file(site: SongSite, header: str) -> None:
    status, data, _ = get(f"{site.url}/ab-1.mp4", Range=header)
    assert (status, len(data)) == (200, 256000)


def test_a_range_after_the_end_is_416(site: SongSite) -> None:
    status, _, headers = get(f"{site.url}/ab-1.mp4", Range="bytes=256000-")
    assert status == 416
    assert headers["Content-Range"] == "bytes */256000"


def test_head_has_no_body(site: SongSite) -> None:
    request = urllib.request.Request(f"{site.url}/ab-1.mp4", method="HEAD")
    with urllib.request.urlopen(request, timeout=10) as response:
        assert (response.headers["Content-Length"], response.read()) == ("256000", b"")


@pytest.mark.parametrize(
    "path", ["nothing.mp4", "watch/nothing", "../secret.txt", "%2e%2e/secret.txt", "watch/../ab-1"]
)
def test_nothing_else_is_served(site: SongSite, path: str) -> None:
    assert get(f"{site.url}/{path}")[0] == 404


def test_links_out_of_the_folder_are_not_served(site: SongSite) -> None:
    (site.folder / "inside.mp4").symlink_to("ab-1.mp4")
    (site.folder / "out.mp4").symlink_to("../secret.txt")
    (site.folder / "circle.mp4").symlink_to("circle.mp4")
    assert get(f"{site.url}/inside.mp4")[0] == 200
    for path in ("out.mp4", "circle.mp4", "watch/out", "watch/circle"):
        assert get(f"{site.url}/{path}")[0] == 404, path


def test_others_are_answered_while_half_requests_are_held(site: SongSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "MAX_CONNECTIONS", 40)
    with SongSite(site.folder) as small, slow_clients(int(small.url.rpartition(":")[2]), 1200):
        assert [get(f"{small.url}/ab-1.mp4")[0] for _ in range(3)] == [200] * 3


def test_a_client_that_sends_nothing_is_disconnected(site: SongSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phonics_data.sources.synthetic.site._Handler.timeout", 0.3)
    with socket.create_connection(("127.0.0.1", int(site.url.rpartition(":")[2])), timeout=60) as client:
        client.sendall(HALF_REQUEST)
        assert client.recv(10) == b""


def test_empty_and_invalid_byte_ranges() -> None:
    assert byte_range(None, 0) == range(0)
    assert byte_range("bytes=-0", 5) is None
    assert byte_range("bytes=3-1", 5) is None


def test_a_folder_without_manifest_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no manifest\.csv"):
        SongSite(tmp_path)


def test_a_port_in_use_is_rejected(site: SongSite) -> None:
    port = int(site.url.rpartition(":")[2])
    with pytest.raises(InputError, match=f"--port {port}"):
        SongSite(site.folder, port=port)
