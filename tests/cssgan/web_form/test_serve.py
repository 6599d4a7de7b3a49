"""The served form: by its API, in Chromium, and what it sends to other servers (nothing)."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import cssgan
from cssgan.storage import media_files
from cssgan.web_form.serve import check_installed, serve_form
from phonics_data.errors import OptionError
from tests.cssgan.inference.test_generate import save_run, write_audio
from tests.cssgan.inference.test_object import WITH_OBJECT
from tests.slow_clients import get, slow_clients

pytest.importorskip("gradio", reason="Gradio is not installed (extra ui)")

AUDITED = """
import ipaddress, sys

def audit(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if host not in (None, "localhost", "127.0.0.1", "::1", b"127.0.0.1"):
        print("OUTBOUND", event, host, file=sys.stderr, flush=True)

sys.addaudithook(audit)
from cssgan.cli import app
sys.argv = ["cssgan", *sys.argv[1:]]
app.main()
"""
"""The command with a hook that writes down every connection and look-up beyond this machine."""


class Served:
    """A running `cssgan serve`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        run = save_run(folder / "run", *WITH_OBJECT)
        model = cssgan.export(run, folder / "toy-16")
        self.log = folder / "log"
        with self.log.open("w") as log:
            words = ["serve", "--model", str(model), "--port", "0", "--max-seconds", "3", "--max-megabytes", "2"]
            (folder / "tmp").mkdir()
            # A proxy that nothing answers: the requests to its own server must not use it.
            proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
            environment = {**os.environ, **proxies, "TMPDIR": str(folder / "tmp")}
            self.process = subprocess.Popen(
                [sys.executable, "-c", AUDITED, *words], stderr=log, stdout=log, env=environment
            )
        self.address = self._wait()

    def _wait(self) -> str:
        for _ in range(2000):
            if found := re.search(r"open (http://127\.0\.0\.1:\d+/)", self.log.read_text()):
                return found[1]
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = Served(tmp_path_factory.mktemp("form"))
    folder = running.folder
    Image.new("RGB", (80, 60), "red").save(folder / "card.png")
    blue = Image.new("RGBA", (40, 40))
    blue.paste((0, 0, 255, 255), (5, 5, 35, 35))
    blue.save(folder / "blue.png")
    (folder / "text.png").write_text("no picture")
    write_audio(folder / "a.wav", 0.5)
    write_audio(folder / "long.wav", 3.2, rate_hz=8000)
    (folder / "large.wav").write_bytes(bytes(2_100_000))
    yield running
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(60) == 0
    log = running.log.read_text()
    # Gradio prints a traceback when it refuses the path of a file itself.
    refused = re.findall(
        r"^\S*(?:InvalidPathError: Cannot move|ValidationError: 1 validation error for FileData)", log, re.M
    )
    assert log.count("Traceback") == len(refused)
    assert "OUTBOUND" not in log


@pytest.fixture(scope="module")
def client(served: Served) -> Any:
    import gradio_client

    return gradio_client.Client(served.address, verbose=False, analytics_enabled=False)


def test_a_picture_a_sound_and_a_letter_give_a_video(served: Served, client: Any) -> None:
    from gradio_client import handle_file

    sound = handle_file(str(served.folder / "a.wav"))
    card = client.predict("L", "blue", api_name="/draw_card")
    for picture in (card, str(served.folder / "card.png")):
        video, facts = client.predict(handle_file(picture), sound, "L", 0, None, "", api_name="/generate")

        assert media_files.probe(Path(video)).seconds == pytest.approx(0.5, abs=0.1)
        assert media_files.probe(Path(video)).width == 256
        assert re.fullmatch(r"12 frames at 25 frames/s, generated in [\d.]+ s", facts)


def test_an_object_and_its_word_change_the_video(served: Served, client: Any) -> None:
    from gradio_client import handle_file

    card, sound, blue = (handle_file(str(served.folder / name)) for name in ("card.png", "a.wav", "blue.png"))

    def frames(*conditions: Any) -> bytes:
        video, _ = client.predict(card, sound, "L", 0, *conditions, api_name="/generate")
        return media_files.read_video(Path(video), 64, 16_000).frames_THWC.tobytes()

    found = [frames(None, ""), frames(blue, ""), frames(None, "lake"), frames(blue, "lake")]
    assert len(set(found)) == 4
    assert frames(blue, "  lake ") == found[3]


@pytest.mark.parametrize(
    ("picture", "sound", "message"),
    [
        ("text.png", "a.wav", "text.png: is not a picture that can be read"),
        ("card.png", "long.wav", "long.wav: lasts 3.2 s, allowed: up to 3 s; send one phrase, not a whole song"),
        ("card.png", "card.png", "card.png: is not a sound that can be read"),
        (None, "a.wav", "no picture; upload one, or draw a card"),
    ],
)
def test_unusable_files_are_messages(
    served: Served, client: Any, picture: str | None, sound: str, message: str
) -> None:
    from gradio_client import handle_file

    with pytest.raises(Exception, match=re.escape(message)):
        client.predict(
            None if picture is None else handle_file(str(served.folder / picture)),
            handle_file(str(served.folder / sound)),
            "L",
            0,
            None,
            "",
            api_name="/generate",
        )


def post_file(served: Served, name: str) -> str:
    """Upload a file of the folder; its path on the server."""
    content = (served.folder / name).read_bytes()
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    request = urllib.request.Request(
        f"{served.address}gradio_api/upload",
        head.encode() + content + b"\r\n--x--\r\n",
        {"Content-Type": "multipart/form-data; boundary=x"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())[0]


def upload(served: Served, name: str) -> dict[str, object]:
    return {"path": post_file(served, name), "meta": {"_type": "gradio.FileData"}}


def test_large_files_are_refused_at_the_upload(served: Served) -> None:
    with pytest.raises(urllib.error.HTTPError, match="413"):
        post_file(served, "large.wav")


def call(
    served: Served,
    picture: dict[str, object],
    sound: dict[str, object] | None = None,
    thing: dict[str, object] | None = None,
) -> str:
    """The answer to a request that no page sends; `thing` is the picture of the object."""
    sound = sound or {"path": str(served.folder / "a.wav"), "meta": {"_type": "gradio.FileData"}}
    body = json.dumps({"data": [picture, sound, "L", 0, thing, ""]}).encode()
    request = urllib.request.Request(
        f"{served.address}gradio_api/call/generate", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        event = json.loads(answer.read())["event_id"]
    with urllib.request.urlopen(f"{served.address}gradio_api/call/generate/{event}") as answer:
        return answer.read().decode()


def test_an_address_in_place_of_a_file_is_not_requested(served: Served) -> None:
    requested: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested.append(self.path)
            self.send_error(404)

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/a.png"
        answer = call(served, {"path": address, "url": address, "meta": {"_type": "gradio.FileData"}})
        server.shutdown()
    assert "event: error" in answer
    assert "got an address, allowed: a file" in answer
    assert requested == []


def test_files_of_this_machine_cannot_be_named(served: Served) -> None:
    answer = call(served, {"path": str(served.folder / "card.png"), "meta": {"_type": "gradio.FileData"}})

    assert "event: error" in answer
    assert "mp4" not in answer


@pytest.mark.parametrize("kind", ["file", "passwd", "folder", "upload folder", "link", "zero byte"])
def test_a_picture_without_meta_must_be_a_sent_file(served: Served, kind: str) -> None:
    (uploads,) = (served.folder / "tmp").glob("cssgan-form-*")
    link = uploads / "link.png"
    if not link.is_symlink():
        link.symlink_to(served.folder / "card.png")
    path = {
        "file": str(served.folder / "card.png"),
        "passwd": "/etc/passwd",
        "folder": str(served.folder),
        "upload folder": str(uploads),
        "link": str(link),
        "zero byte": f"{uploads}/a\0.png",
    }[kind]

    sound, card = upload(served, "a.wav"), upload(served, "card.png")
    for answer in (call(served, {"path": path}, sound), call(served, card, sound, {"path": path})):
        assert "event: error" in answer
        assert "got a path that is not of a sent file" in answer
        assert "mp4" not in answer


def test_a_sound_must_be_a_sent_file(served: Served) -> None:
    card = upload(served, "card.png")

    assert "event: complete" in call(served, card, upload(served, "a.wav"))
    for meta in ({}, {"meta": {"_type": "gradio.FileData"}}):
        answer = call(served, card, {"path": str(served.folder / "a.wav"), **meta})
        assert "event: error" in answer
        assert "mp4" not in answer


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 400),
        ("evil.example:80", 400),
        ("127.0.0.1.evil.example", 400),
        ("localhost", 200),
        ("[::1]", 200),
    ],
)
def test_only_names_of_this_machine_are_answered(served: Served, host: str, status: int) -> None:
    port = urllib.parse.urlsplit(served.address).port
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request("GET", "/", headers={"Host": host})
        with connection.getresponse() as answer:
            assert answer.status == status


def test_the_hosts_without_a_proxy_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "a.example, localhost")
    monkeypatch.setenv("no_proxy", "")

    check_installed()
    check_installed()

    assert os.environ["NO_PROXY"] == "a.example,localhost,127.0.0.1"
    assert os.environ["no_proxy"] == "127.0.0.1,localhost"


def test_it_listens_on_the_loopback_address_only_and_names_no_other_server(served: Served) -> None:
    with urllib.request.urlopen(served.address) as answer:
        policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self' data: blob:;" in policy
    assert "http" not in policy
    port = int(re.search(r":(\d+)/", served.address)[1])  # type: ignore[index]
    listening = [
        line.split()[1]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    ]
    assert listening == [f"0100007F:{port:04X}"]


def test_others_are_answered_while_half_requests_are_held(served: Served) -> None:
    port = int(served.address.rpartition(":")[2].rstrip("/"))
    with slow_clients(port, 1200):
        for _ in range(3):
            assert get(port) == 200


def test_old_folders_are_deleted_also_beside_unreadable_ones(tmp_path: Path) -> None:
    from cssgan.web_form.app import _delete_old

    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")  # its times cannot be read
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / "old", (0, 0))

    _delete_old(tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {"gone", "new"}


def test_a_port_in_use_is_an_error(served: Served) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OptionError, match=r"--port: got .* a free port"),
    ):
        serve_form(cssgan.load_pretrained(served.folder / "toy-16"), name="x", port=taken.getsockname()[1])


def test_in_chromium_the_video_plays_with_its_sound(served: Served, tmp_path: Path, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1200, "height": 1000})
    page.set_default_timeout(120_000)
    addresses: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(served.address)
    page.get_by_role("button", name="Draw a card").click()
    page.locator("img[src*='card.png']").wait_for()
    page.locator("input[type=file][accept*='audio']").set_input_files(served.folder / "a.wav")
    page.get_by_label("Remove audio").or_(page.get_by_label("Clear")).last.wait_for()
    page.get_by_role("button", name="Generate").click()
    page.get_by_text("frames at 25 frames/s").wait_for()
    video = page.locator("video")
    played = video.evaluate(
        "video => {video.muted = true; video.currentTime = 0; return video.play().then(() => video.ended || "
        "new Promise(done => video.addEventListener('ended', done))).then(() => [video.videoWidth, "
        "video.webkitAudioDecodedByteCount, video.getVideoPlaybackQuality().totalVideoFrames])}"
    )
    page.screenshot(path=tmp_path / "form.png", full_page=True)
    assert played[0] == 256
    assert min(played[1:]) > 0
    assert not errors
    assert all(address.startswith((served.address, "data:", "blob:")) for address in addresses)
