"""Protections of the web pages of both packages (the survey and the review), and their server.

* `HEADERS`: a browser loads nothing from other servers, and shows a page in no frame of another one.
* `check_origin`: a request that changes something comes from a page of this server.
* `read_body`, `read_form`, `read_json`: size, time and fields of a request are limited.
* `serve`: heads of requests and connections are limited (`web_connections`), addresses are not logged.
* `media_response`: no link leads out of the folder of the media.

Starlette and uvicorn are installed by the extras ``survey`` and ``review``.
"""

from __future__ import annotations

import asyncio
import re
import resource
import socket
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from phonics_data.contract.files import file_inside
from phonics_data.contract.untrusted import parse_json
from phonics_data.errors import DependencyError, OptionError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import FileResponse

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; media-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # With no-referrer, browsers send "Origin: null" with the forms of these pages, which `check_origin` has to refuse.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
THIS_MACHINE = ("127.0.0.1", "localhost", "[::1]")
"""Host headers of requests to this machine. A page of another server whose name leads to this machine has another one."""
MAX_FORM_BYTES, MAX_FIELDS, BODY_TIMEOUT_SECONDS = 16_384, 20, 15.0
MAX_HEAD_BYTES, MAX_CONNECTIONS, MIN_CONNECTIONS = 16_384, 500, 4
_SPARE_DESCRIPTORS = 40
"""For connections that are accepted and not yet counted, or closed and not yet released, and for files of the program."""
_FORM, _JSON = "application/x-www-form-urlencoded", "application/json"


def check_origin(request: Request) -> None:
    """Raises `HTTPException` 403 for a request that a page of another site sent."""
    from starlette.exceptions import HTTPException

    site = request.headers.get("sec-fetch-site")
    source = request.headers.get("origin", request.headers.get("referer"))
    if site is not None:
        is_own = site in ("same-origin", "none")
    else:
        # Browsers send no Sec-Fetch-Site to an address without https, except of this machine. All send Origin with each POST; a program
        # that sends none is no browser, which another site could use. A proxy may change the scheme, so only hosts are compared.
        is_own = source is None or _host_of(source) == request.headers.get("host", "").lower()
    if not is_own:
        raise HTTPException(403, "This request was sent by another site.")


def _host_of(address: str) -> str | None:
    """Host and port of an Origin or Referer header; None for ``null`` and other values without a host."""
    try:
        parts = urllib.parse.urlsplit(address)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in ("http", "https") and parts.netloc else None


async def read_body(request: Request, content_type: str, max_bytes: int, what: str) -> bytes:
    """The body of a request that a page of this server sent.

    Args:
        content_type: the only one that is allowed. One that HTML forms cannot send keeps other sites out.
        what: name of the body in messages, such as ``form``.

    Raises:
        HTTPException: 403 for a request of another site, 408 for a slow body, 413 for a long one, 415 for another type.
    """
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect

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
    except ClientDisconnect as error:  # nobody reads the response; without it the server would log a traceback
        raise HTTPException(400, f"The connection ended before the {what} did.", {"Connection": "close"}) from error
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


def media_response(path: Path, folder: Path, media_type: str, *, cache: str = "no-cache") -> FileResponse:
    """The file `path` as an answer that a browser may keep.

    Args:
        cache: how long, as in the header Cache-Control.

    Raises:
        HTTPException: 404 if it is missing, no regular file, or, after links are followed, not inside `folder`.
    """
    from starlette.exceptions import HTTPException
    from starlette.responses import FileResponse

    real = file_inside(path, folder)
    if real is None:
        raise HTTPException(404, "There is no such media file.")
    return FileResponse(real, media_type=media_type, headers={**HEADERS, "Cache-Control": f"private, {cache}"})


def max_connections() -> int:
    """The number of connections that the limit on open files (``ulimit -n``) leaves room for, at most `MAX_CONNECTIONS`.

    Each connection needs two descriptors: its own, and that of a file which it sends.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    free = soft - sum(1 for _ in Path("/dev/fd").iterdir()) - _SPARE_DESCRIPTORS
    return max(MIN_CONNECTIONS, min(MAX_CONNECTIONS, free // 2))


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
    from phonics_data.contract.web_connections import LimitedServer

    # No access log, because the survey promises that no address is stored.
    address, port = listener.getsockname()[:2]
    server = LimitedServer(app, proxy_headers=True, forwarded_allow_ips=trusted_proxy, lifespan="off")
    announce(f"http://{f'[{address}]' if ':' in address else address}:{port}{base}/")
    server.run(sockets=[listener])


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
