"""Slow clients: connections are limited in time and number, so that others are answered."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from phonics_data.contract import web, web_connections
from tests.processes import served
from tests.slow_clients import HALF_REQUEST, get, slow_clients

pytestmark = pytest.mark.dependencies
SERVER = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]),) * 2)
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Route
from phonics_data.contract.web import listen, serve

async def page(request):
    return FileResponse(sys.executable)

with listen("127.0.0.1", 0) as listener:
    serve(Starlette(routes=[Route("/", page)]), listener, base="", trusted_proxy="127.0.0.1", announce=lambda url: print(url, flush=True))
"""


@pytest.mark.parametrize("descriptors", [64, 256, 1024])
def test_others_are_answered_while_1200_half_requests_are_held(descriptors: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(descriptors)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        found = re.search(r":(\d+)/", process.stdout.readline())
        assert found is not None
        with slow_clients(int(found[1]), 1200):
            statuses = [get(int(found[1])) for _ in range(5)]
        process.terminate()
        log = process.stderr.read()
    assert statuses == [200] * 5
    assert "Traceback" not in log


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server in this process, whose times are short."""
    monkeypatch.setattr(web_connections, "HEAD_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(web_connections, "SEND_TIMEOUT_SECONDS", 0.6)
    monkeypatch.setattr(web_connections, "max_connections", lambda: 20)

    async def page(_: Request) -> PlainTextResponse:
        return PlainTextResponse("page")

    async def large(_: Request) -> StreamingResponse:
        return StreamingResponse(bytes(100_000) for _ in range(1000))

    app = Starlette(routes=[Route("/", page, methods=["GET", "POST"]), Route("/large", large)])
    with served(app) as number:
        yield number


def is_closed_by_server(client: socket.socket, *, trickle: bytes = b"") -> bool:
    """Whether the server ends a connection, to which `trickle` is sent again and again."""
    client.settimeout(0.1)
    for _ in range(600):
        try:
            if trickle:
                client.sendall(trickle)
            if client.recv(1_000_000) == b"":
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


BODY = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "trickle"),
    [
        (b"", b""),
        (HALF_REQUEST, b""),
        (HALF_REQUEST, b"y"),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b""),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGE", b""),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"\r\n"),
        (BODY, b""),
        (BODY, b"y"),
    ],
)
def test_the_time_of_a_head_is_limited(port: int, sent: bytes, trickle: bytes) -> None:
    """Also of the second one, and after an answer to a request whose body does not end."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(sent)
        assert is_closed_by_server(client, trickle=trickle)


def test_an_answer_that_is_not_read_ends(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        time.sleep(1.5)  # longer than SEND_TIMEOUT_SECONDS of this test
        received = 0
        client.settimeout(60)
        with contextlib.suppress(ConnectionError):
            while part := client.recv(1_000_000):
                received += len(part)
                assert received < 50_000_000


@pytest.mark.parametrize("sent", [b"", HALF_REQUEST, BODY, b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"])
def test_slow_clients_of_each_kind_make_room(monkeypatch: pytest.MonkeyPatch, port: int, sent: bytes) -> None:
    monkeypatch.setattr(web_connections, "HEAD_TIMEOUT_SECONDS", 600.0)
    monkeypatch.setattr(web_connections, "SEND_TIMEOUT_SECONDS", 600.0)
    with slow_clients(port, 60, sent):
        assert [get(port) for _ in range(3)] == [200] * 3


def test_long_heads_are_refused_also_if_they_arrive_at_once(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * (2 * web.MAX_HEAD_BYTES) + b"\r\n\r\n")
        answer = client.recv(1000)
    assert answer.startswith(b"HTTP/1.1 400")


def test_a_kept_connection_answers_several_requests(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(3):
        connection.request("POST", "/", b"x" * 100_000)
        assert connection.getresponse().read() == b"page"
    connection.close()
