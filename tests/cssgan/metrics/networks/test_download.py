"""Weights files: find, refuse, fetch and resume, from a local HTTP server."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from cssgan.errors import WeightsError
from cssgan.metrics.networks import download
from tests.cssgan.cli.test_app import run

BODY = np.random.default_rng(0).bytes(3_000_000)
FILE = replace(
    download.weights_file("i3d"), sha256=hashlib.sha256(BODY).hexdigest(), num_bytes=len(BODY), filename="network.pt"
)


class Server(ThreadingHTTPServer):
    """Serves BODY with ranges; `cut` closes the connection after this number of bytes, `status` is an HTTP error."""

    cut: int | None = None
    status = 200
    ranges = True
    body = BODY
    requested_ranges: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        requested = self.headers.get("Range")
        self.server.requested_ranges.append(requested)
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        start = int(requested.split("=")[1].rstrip("-")) if requested and self.server.ranges else 0
        rest = self.server.body[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest if self.server.cut is None else rest[: self.server.cut])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(name="server")
def _server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.requested_ranges = []
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}/network.pt"


def test_a_file_is_fetched_completely_and_once(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = download.fetch(FILE, tmp_path, url=url(server), progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))
    assert download.status(FILE, tmp_path) == "complete"
    download.fetch(FILE, tmp_path, url=url(server))
    assert server.requested_ranges == [None]
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_is_resumed(server: Server, tmp_path: Path, ranges: bool) -> None:
    server.cut, server.ranges = 2_000_000, ranges
    with pytest.raises(WeightsError, match=r"the received part is kept, run `cssgan weights fetch i3d` again"):
        download.fetch(FILE, tmp_path, url=url(server))
    assert download.status(FILE, tmp_path) == "incomplete"
    received = (tmp_path / "network.pt.part").stat().st_size
    assert 0 < received <= 2_000_000
    server.cut = None
    assert download.fetch(FILE, tmp_path, url=url(server)).read_bytes() == BODY
    assert server.requested_ranges[1] == f"bytes={received}-"


def test_a_file_with_another_digest_is_deleted(server: Server, tmp_path: Path) -> None:
    server.body = BODY[:-1] + b"x"
    with pytest.raises(WeightsError, match=r"the received file has sha256 .*it was deleted"):
        download.fetch(FILE, tmp_path, url=url(server))
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


@pytest.mark.parametrize("status", [404, 500, 416])
def test_an_http_error_is_one_line(server: Server, tmp_path: Path, status: int) -> None:
    server.status = status
    (tmp_path / "network.pt.part").write_bytes(BODY[:1000])
    with pytest.raises(WeightsError, match=r"answered|did not match") as raised:
        download.fetch(FILE, tmp_path, url=url(server))
    assert "\n" not in str(raised.value)
    assert (tmp_path / "network.pt.part").exists() == (status != 416)


def test_an_unreachable_server_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be reached"):
        download.fetch(FILE, tmp_path, url="http://127.0.0.1:9/network.pt")


def test_a_given_file_can_be_any_and_one_in_the_folder_must_have_the_pinned_digest(tmp_path: Path) -> None:
    assert download.find("inception", folder=tmp_path) is None
    own = tmp_path / "own.pt"
    own.write_bytes(b"mine")
    assert download.find("inception", own) == (own, hashlib.sha256(b"mine").hexdigest())
    (tmp_path / "inception-2015-12-05.pt").write_bytes(b"another")
    with pytest.raises(WeightsError, match=r"inception-2015-12-05\.pt: its sha256 is .*that of inception is f58cb9b6"):
        download.find("inception", folder=tmp_path)
    with pytest.raises(WeightsError, match=r"gone\.pt: No such file"):
        download.find("inception", tmp_path / "gone.pt")


def test_pinned_digests_are_valid() -> None:
    for file in download.WEIGHTS_FILES:
        assert file.sha256 is not None
        assert len(bytes.fromhex(file.sha256)) == 32
        assert file.url.startswith("https://")
        assert file.name in ("inception", "i3d", "lpips")


def test_the_folder_depends_on_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("CSSGAN_WEIGHTS", raising=False)
    assert download.weights_folder() == tmp_path / "data" / "cssgan" / "weights"
    monkeypatch.setenv("CSSGAN_WEIGHTS", str(tmp_path / "here"))
    assert download.weights_folder() == tmp_path / "here"


def test_the_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], server: Server, tmp_path: Path
) -> None:
    monkeypatch.setattr(download, "WEIGHTS_FILES", (FILE,))
    monkeypatch.setenv("CSSGAN_WEIGHTS", str(tmp_path))
    code, out, err = run(monkeypatch, capsys, "weights", "check")
    assert (code, "i3d: missing" in out) == (1, True)
    assert "cssgan: weights: i3d is missing" in err
    code, out, _ = run(monkeypatch, capsys, "weights", "fetch", "i3d", "--url", url(server))
    assert (code, out.strip()) == (0, str(tmp_path / "network.pt"))
    code, out, _ = run(monkeypatch, capsys, "weights", "list")
    assert (code, "i3d: complete" in out) == (0, True)
    assert run(monkeypatch, capsys, "weights", "check", "i3d")[0] == 0
    code, _, err = run(monkeypatch, capsys, "weights", "fetch", "resnet")
    assert (code, err.strip()) == (1, "cssgan: weights: got 'resnet', allowed: i3d")
