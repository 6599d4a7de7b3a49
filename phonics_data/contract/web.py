"""Protections of the web pages of both packages (the survey and the review), and their server.

* `HEADERS`: a browser loads nothing from other servers, and shows a page in no frame of another one.
* `check_origin`: a request that changes something comes from a page of this server.
* `read_body`, `read_form`, `read_json`: size, time and fields of a request are limited.
* `serve`: request heads are limited, addresses are not logged.

Starlette and uvicorn are installed by the extras ``survey`` and ``review``.
"""

from __future__ import annotations

import asyncio
import re
import socket
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from phonics_data.contract.untrusted import parse_json
from phonics_data.errors import DependencyError, OptionError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; media-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
THIS_MACHINE = ("127.0.0.1", "localhost", "[::1]")
"""Host headers of requests to this machine. A page of another server whose name leads to this machine has another one."""
MAX_FORM_BYTES, MAX_FIELDS, BODY_TIMEOUT_SECONDS = 16_384, 20, 15.0
MAX_HEAD_BYTES = 16_384
_FORM, _JSON = "application/x-www-form-urlencoded", "application/json"


def check_origin(request: Request) -> None:
    """Raises `HTTPException` 403 for a request that a page of another site sent."""
    from starlette.exceptions import HTTPException

    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        is_own = site in ("same-origin", "none")
    else:
        # Older browsers send Origin with each POST. A proxy may change the scheme, so only hosts are compared.
        is_own = origin is None or urllib.parse.urlsplit(origin).netloc == request.headers.get("host", "")
    if not is_own:
        raise HTTPException(403, "This request was sent by another site.")


async def read_body(request: Request, content_type: str, max_bytes: int, what: str) -> bytes:
    """The body of a request that a page of this server sent.

    Args:
        content_type: the only one that is allowed. One that HTML forms cannot send keeps other sites out.
        what: name of the body in messages, such as ``form``.

    Raises:
        HTTPException: 403 for a request of another site, 408 for a slow body, 413 for a long one, 415 for another type.
    """
    from starlette.exceptions import HTTPException

    check_origin(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != content_type:
        raise HTTPException(415, f"Got {kind[:80] or 'no type'!r}, allowed: a {what} ({content_type}).")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > max_bytes:
                    raise HTTPException(413, f"A {what} has at most {max_bytes} bytes.", {"Connection": "close"})
    except TimeoutError as error:
        raise HTTPException(408, f"The {what} did not arrive in time.", {"Connection": "close"}) from error
    return bytes(body)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form sent by a page of this server.

    Raises:
        HTTPException: as `read_body`; 400 for a form that cannot be parsed or has a repeated field.
    """
    from starlette.exceptions import HTTPException

    body = await read_body(request, _FORM, MAX_FORM_BYTES, "form")
    try:
        pairs = urllib.parse.parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:  # also for invalid UTF-8
        raise HTTPException(400, "The form cannot be read.") from error
    if len(dict(pairs)) != len(pairs):
        raise HTTPException(400, "A field was sent twice.")
    return dict(pairs)


async def read_json(request: Request, max_bytes: int) -> dict[str, Any]:
    """The JSON object sent by a page of this server.

    Raises:
        HTTPException: as `read_body`; 400 for another value than an object, numbers that are not finite, or deep nesting.
    """
    from starlette.exceptions import HTTPException

    body = await read_body(request, _JSON, max_bytes, "JSON object")
    try:
        value = parse_json(body, max_bytes=max_bytes)
    except ValueError as error:
        raise HTTPException(400, "The JSON object cannot be read.") from error
    if not isinstance(value, dict):
        raise HTTPException(400, "Got another JSON value, allowed: an object.")
    return cast("dict[str, Any]", value)


def check_base(base: str) -> str:
    """A path prefix at a reverse proxy without the last slash. Raises `OptionError` if it is not a path."""
    base = base.rstrip("/")
    if base and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", base):
        raise OptionError("--root-path", base, "a path such as /study")
    return base


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0: any free one. Raises `OptionError` if the address is in use or not of this machine."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        raise OptionError("--host, --port", f"{host} {port}", f"a free address of this machine ({error})") from error


def serve(
    app: Starlette, listener: socket.socket, *, base: str, trusted_proxy: str, announce: Callable[[str], None]
) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        trusted_proxy: address of the proxy whose X-Forwarded-Proto header is trusted.
        announce: called with the address of the first page.
    """
    import uvicorn

    # h11 limits the size of request heads. No access log, because the survey promises that no address is stored.
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, http="h11",
        h11_max_incomplete_event_size=MAX_HEAD_BYTES, proxy_headers=True, forwarded_allow_ips=trusted_proxy,
        timeout_keep_alive=10, timeout_graceful_shutdown=5, lifespan="off",
    )  # fmt: skip
    address, port = listener.getsockname()[:2]
    announce(f"http://{f'[{address}]' if ':' in address else address}:{port}{base}/")
    uvicorn.Server(config).run(sockets=[listener])


def missing_web_package(error: ImportError, what: str, extra: str) -> DependencyError:
    """The error for a web package that cannot be imported."""
    name = (error.name or str(error)).partition(".")[0]
    return DependencyError(f"{what} needs {name}, which is not installed; run: pip install 'phonics-cssgan[{extra}]'")


def allowed_hosts(public: Sequence[str]) -> list[str]:
    """Values for Starlette's TrustedHostMiddleware: this machine, and the public names at a reverse proxy."""
    for name in public:
        if not re.fullmatch(r"[A-Za-z0-9.-]{1,253}", name):
            raise OptionError("--public-host", name, "the host name of the reverse proxy, such as review.example.org")
    return [*THIS_MACHINE, *public]
