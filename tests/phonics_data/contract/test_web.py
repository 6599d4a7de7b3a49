"""Protections of the pages over HTTP: origin, size, time, type and fields of requests."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from phonics_data.contract import web
from phonics_data.errors import OptionError
from tests.processes import served

pytestmark = pytest.mark.dependencies
JSON = {"Content-Type": "application/json"}


async def echo(request: Request) -> JSONResponse:
    value = await (web.read_form(request) if request.url.path == "/form" else web.read_json(request, 1000))
    return JSONResponse(value, headers=dict(web.HEADERS))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    app = Starlette(routes=[Route("/form", echo, methods=["POST"]), Route("/json", echo, methods=["POST"])])
    with served(app) as number:
        yield number


def send(port: int, body: bytes, headers: dict[str, str], path: str = "/json") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "{own}"}, 200),
        ({"Origin": "file://{host}"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Referer": "{own}/page?a=1"}, 200),
        ({"Referer": "http://evil.example/{host}"}, 403),
        ({"Referer": "http://{host}.evil.example/"}, 403),
        ({"Referer": "http://{host}@evil.example/"}, 403),
        ({"Referer": ""}, 403),
        ({"Origin": "http://evil.example", "Referer": "{own}/"}, 403),
        ({"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_requests_of_other_sites_are_refused(port: int, headers: dict[str, str], status: int) -> None:
    own = {
        name: text.replace("{own}", f"http://127.0.0.1:{port}").replace("{host}", f"127.0.0.1:{port}")
        for name, text in headers.items()
    }
    assert send(port, b'{"a": 1}', {**JSON, **own})[0] == status


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b'{"a": 1}', 200, '{"a":1}'),
        (b"[1]", 400, "allowed: an object"),
        (b'{"a": NaN}', 400, "cannot be read"),
        (b"{", 400, "cannot be read"),
        (b"\xff", 400, "cannot be read"),
        (b'{"a":' + b"[" * 900, 400, "cannot be read"),
        (b'{"a":"' + b"x" * 1000 + b'"}', 413, "at most 1000 bytes"),
    ],
)
def test_json_is_limited(port: int, body: bytes, status: int, text: str) -> None:
    found = send(port, body, JSON)
    assert found[0] == status
    assert text in found[1]


def test_long_request_heads_are_refused(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"POST /json HTTP/1.1\r\nHost: x\r\nX: " + b"y" * (2 * web.MAX_HEAD_BYTES))
        answer = connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 4")


def test_options_of_the_address() -> None:
    assert web.check_base("/study/one/") == "/study/one"
    assert web.check_base("/") == ""
    with pytest.raises(OptionError, match="a path such as /study"):
        web.check_base("study?")
    with web.listen("127.0.0.1", 0) as taken, pytest.raises(OptionError, match="a free address"):
        web.listen("127.0.0.1", taken.getsockname()[1])
    assert web.allowed_hosts(["review.example.org"])[-1] == "review.example.org"
    with pytest.raises(OptionError, match="host name"):
        web.allowed_hosts(["*"])


def test_a_client_that_leaves_in_the_middle_of_a_body_is_no_error_of_the_server(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    head = b"POST /json HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n"
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(head + b'{"a": ')
    for _ in range(50):  # each request is handled before this one is answered, or soon after
        assert send(port, b"{}", JSON)[0] == 200
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.exc_info]
