"""Candidates are accepted and rejected on a page; the chosen ones become a manifest. Titles, lengths and pictures come from the
videos' pages, without their media."""

from __future__ import annotations

import http.server
import io
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from phonics_data.errors import InputError, OptionError, WorkspaceLockedError
from phonics_data.review.candidates import CandidateStore, may_fetch
from phonics_data.review.state import StateError
from phonics_data.review.store import ConflictError
from phonics_data.storage.manifest import read_manifest
from tests.counted_videos import clicks, constant, make_source
from tests.phonics_data.review.served_review import ReviewServer

pytestmark = pytest.mark.dependencies
PAGE = b"""<!doctype html><html><head><title>ABC &lt;b&gt;song&lt;/b&gt;</title></head>
<body><video poster="/poster.jpg" src="/video.mp4"></video></body></html>"""


class Handler(http.server.BaseHTTPRequestHandler):
    requests: list[str] = []  # noqa: RUF012 - of the class, read by the test

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        Handler.requests.append(self.path)
        picture = io.BytesIO()
        Image.new("RGB", (640, 360), (200, 30, 30)).save(picture, "JPEG")
        kind, data = {
            "/watch/one": ("text/html", PAGE),
            "/poster.jpg": ("image/jpeg", picture.getvalue()),
        }.get(self.path, ("text/plain", b""))
        self.send_response(200 if data else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_HEAD = do_GET


@pytest.fixture
def site() -> Iterator[str]:
    Handler.requests.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def manifest(tmp_path: Path, site: str) -> Path:
    make_source(tmp_path / "local.mp4", constant(Fraction(8), 6), clicks(6, [3.0], 48_000), audio_codec="aac")
    path = tmp_path / "manifest.csv"
    path.write_text(
        "video_id,url,title,channel,kind,letters,language\n"
        f"one,{site}/watch/one,,,alphabet,,en\n"
        "local,local.mp4,<i>Local</i>,Maker,alphabet,,en\n"
        f"gone,{site}/watch/gone,,,alphabet,,en\n"
    )
    return path


def values(**changes: str) -> dict[str, Any]:
    plain = {"decision": "accept", "reason": "", "kind": "alphabet", "letters": "ABC", "language": "en"}
    return {**plain, **changes}


class CandidateServer(ReviewServer):
    """`phonics-data review --manifest`; `work` is the manifest."""

    def start(self) -> CandidateServer:
        command = [sys.executable, "-m", "phonics_data", "review", "--manifest", str(self.work), "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--out", str(self.work.with_name("chosen.csv")), "--reviewer", "Ada"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        found = re.search(r"open http://127\.0\.0\.1:(\d+)/ ", line := self.process.stdout.readline())
        assert found is not None, line
        self.port = int(found[1])
        return self


def test_decisions_and_the_chosen_manifest(manifest: Path) -> None:
    out = manifest.with_name("chosen.csv")
    store = CandidateStore(str(manifest), out)
    one, local, gone = store.candidates()
    store.decide("local", local.revision, values(), "Ada")
    store.decide("one", one.revision, values(kind="letter", letters="B"), "Ada")
    store.decide("gone", gone.revision, values(decision="reject", reason="no letters"), "Ada")
    chosen = read_manifest(str(out))
    assert [(video.video_id, video.kind, video.letters) for video in chosen] == [
        ("one", "letter", "B"),
        ("local", "alphabet", "ABC"),
    ]
    assert chosen[1].url == str(manifest.with_name("local.mp4"))
    again = CandidateStore(str(manifest), out)
    assert again.candidates() == store.candidates()
    with pytest.raises(ConflictError):
        again.decide("one", one.revision, values(decision="reject", reason="x"), "Ada")
    current = again.candidates()[0]
    again.decide("one", current.revision, values(decision=""), "Ada")
    assert [video.video_id for video in read_manifest(str(out))] == ["local"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decision": "maybe"}, "decision: got 'maybe', allowed: accept, reject or empty"),
        ({"decision": "reject"}, "reason: empty"),
        ({"decision": "reject", "reason": "=cmd()"}, "reason: allowed: up to 200"),
        ({"reason": "x" * 201}, "reason: allowed"),
        ({"kind": "movie"}, "kind: got 'movie'"),
        ({"kind": "letter"}, "letters: got 'ABC', allowed for kind letter: one letter"),
        ({"letters": "A<"}, "letters: got 'A<'"),
        ({"language": "english!"}, "language: got 'english!'"),
        ({"letters": 1}, "as text"),
    ],
)
def test_impossible_decisions_are_refused(manifest: Path, changes: dict[str, Any], message: str) -> None:
    store = CandidateStore(str(manifest), manifest.with_name("chosen.csv"))
    revision = store.candidates()[0].revision
    with pytest.raises(StateError, match=re.escape(message)):
        store.decide("one", revision, values(**changes), "Ada")
    assert store.candidates()[0].revision == revision
    assert not manifest.with_name("chosen.csv").exists()


def test_damaged_decisions_and_wrong_outputs_are_errors(manifest: Path) -> None:
    with pytest.raises(OptionError, match="other than the manifest"):
        CandidateStore(str(manifest), manifest)
    path = manifest.with_name("chosen.decisions.csv")
    path.write_text("video_id,decision\n")
    with pytest.raises(InputError, match="missing: reason"):
        CandidateStore(str(manifest), manifest.with_name("chosen.csv"))
    path.write_text(
        "video_id,decision,reason,kind,letters,language,reviewer,reviewed_at\nother,accept,,alphabet,,en,,\n"
    )
    with pytest.raises(InputError, match="'other' is not in the manifest"):
        CandidateStore(str(manifest), manifest.with_name("chosen.csv"))


def test_thumbnails_come_from_public_addresses_or_the_page_itself() -> None:
    page = "http://127.0.0.1:8000/watch/one"
    assert may_fetch("http://127.0.0.1:8000/poster.jpg", page)
    for url in (
        "http://127.0.0.1:9/a",
        "http://169.254.169.254/latest",
        "http://[::1]/a",
        "file:///etc/passwd",
        "http://10.0.0.1/",
        "x",
    ):
        assert not may_fetch(url, page), url


def test_details_come_without_the_media(manifest: Path, site: str) -> None:
    server = CandidateServer(manifest).start()
    try:
        found: dict[str, Any] = {}
        for name in ("one", "gone"):
            for _ in range(300):
                found[name] = server.send("POST", f"/api/candidates/{name}/details", {})[1]
                if found[name]["state"] != "waiting":
                    break
                time.sleep(0.1)
        assert found["one"]["state"] == "ready", found
        assert found["one"]["thumbnail"]
        data = server.send("GET", "/thumbnail/one")[1]
        assert Image.open(io.BytesIO(data)).size == (320, 180)
        assert found["gone"]["state"] == "failed"
        assert "/poster.jpg" in Handler.requests
        local = server.send("POST", "/api/candidates/local/details", {})[1]
        assert local["seconds"] == pytest.approx(6, abs=0.1)
        assert local["thumbnail"]
        for method, path, value, headers, status in (
            ("PUT", "/api/candidates/one", values(), {"Sec-Fetch-Site": "cross-site"}, 403),
            ("POST", "/api/candidates/one/details", {}, {"Origin": "http://evil.example"}, 403),
            ("GET", "/thumbnail/one", None, {"Sec-Fetch-Site": "cross-site"}, 403),
            ("GET", "/api/candidates", None, {"Host": "evil.example"}, 400),
            ("PUT", "/api/candidates/..%2fone", values(), {}, 404),
            ("PUT", "/api/candidates/one", {**values(), "revision": "forged"}, {}, 409),
            ("PUT", "/api/candidates/one", {**values(), "letters": "x" * 20_000}, {}, 413),
        ):
            assert server.send(method, path, value, headers)[0] == status, (method, path, headers)
    finally:
        server.stop()


def test_choosing_by_keyboard(browser: Any, manifest: Path) -> None:
    server = CandidateServer(manifest).start()
    try:
        page = browser.new_context().new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(server.url + "/")
        page.locator("body[data-ready=yes]").wait_for()
        saved = page.locator("#status", has_text="Saved.")
        page.keyboard.press("y")
        page.locator("#progress", has_text="1 accepted").wait_for()
        page.locator("tr[aria-current=true] .thumb[src]").wait_for()  # the local file has a picture
        assert page.locator("tr[aria-current=true] span").text_content() == "<i>Local</i>"
        page.keyboard.press("x")
        page.keyboard.type("not a song")
        page.keyboard.press("Enter")
        page.locator("#progress", has_text="1 rejected, 1 left").wait_for()
        page.keyboard.press("u")
        page.locator("#progress", has_text="0 rejected, 2 left").wait_for()
        page.keyboard.press("r")
        page.locator("#progress", has_text="1 rejected, 1 left").wait_for()
        saved.wait_for()
        assert errors == []
        page.context.close()
    finally:
        server.stop()
    assert [video.video_id for video in read_manifest(str(manifest.with_name("chosen.csv")))] == ["one"]
    assert "not a song" in manifest.with_name("chosen.decisions.csv").read_text()


def test_decisions_are_written_by_one_process_and_the_manifest_follows_them(manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "chosen.csv"
    store = CandidateStore(str(manifest), out)
    with store.locked():
        one = store.candidate("local")
        assert one is not None
        values = {"decision": "accept", "reason": "", "kind": "alphabet", "letters": "", "language": "en"}
        store.decide("local", one.revision, values, "Ada")
        with pytest.raises(WorkspaceLockedError, match="another `phonics-data review` is writing it"):
            CandidateStore(str(manifest), out).locked().__enter__()
    accepted = out.read_bytes()
    out.unlink()  # as if killed between the two files
    with CandidateStore(str(manifest), out).locked():
        assert out.read_bytes() == accepted
