"""A local web server for a folder of songs, from which yt-dlp downloads in the demo and in tests.

The folder contains ``manifest.csv``, ``<video_id>.mp4`` and captions ``<video_id>.<track>.json3`` (or ``.vtt``,
``.srt``). Each song has a page with a ``<video>`` and ``<track>`` elements for yt-dlp's generic extractor. Range requests
are supported.
"""

from __future__ import annotations

import contextlib
import csv
import html
import io
import mimetypes
import re
import socket
import threading
import urllib.parse
from collections.abc import Generator, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

from phonics_data.captions.parse import CAPTION_SUFFIXES
from phonics_data.contract.files import file_inside
from phonics_data.contract.web import max_connections
from phonics_data.errors import InputError

_CHUNK_BYTES = 1 << 16
_RANGE = re.compile(r"bytes=(?=.*\d)(\d*)-(\d*)")
"""A single range; headers with several ranges get the whole file, as HTTP allows."""


class SongSite:
    """Serves `folder` on 127.0.0.1 while the ``with`` block runs.

    Args:
        port: 0 selects a free port, see `url`.

    Raises:
        InputError: the folder has no manifest.csv, or the port is in use.
    """

    def __init__(self, folder: Path, *, port: int = 0) -> None:
        if not (folder / "manifest.csv").is_file():
            raise InputError(
                f"{folder}: no manifest.csv in it; `phonics-data render {folder}` writes songs and a manifest"
            )
        self.folder = folder
        try:
            self._server = _Server(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise InputError(f"--port {port}: {error.strerror}; 0 selects a free port") from error
        self._server.folder = folder
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> SongSite:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.is_closing = True
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait(self) -> None:
        """Serve until the process is interrupted."""
        self._thread.join()


class _Server(ThreadingHTTPServer):
    """One thread a connection. At the limit, the connection that has waited longest for a request is closed in favour of a new one."""

    daemon_threads = True
    request_queue_size = 128
    folder: Path
    is_closing = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._lock = threading.Lock()
        self._max_connections = max_connections()
        self._waiting: dict[socket.socket, None] = {}  # in the order of time
        self._working: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._waiting[request] = None
            if len(self._waiting) + len(self._working) > self._max_connections:
                slowest = next(iter(self._waiting))
                del self._waiting[slowest]
                with contextlib.suppress(OSError):  # the client has closed it already
                    slowest.shutdown(socket.SHUT_RDWR)  # ends the thread that reads from it
        super().process_request(request, client_address)

    @contextlib.contextmanager
    def working(self, request: socket.socket) -> Generator[None]:
        """Protects a connection, whose request is complete, while it is answered."""
        with self._lock:
            self._waiting.pop(request, None)
            self._working.add(request)
        try:
            yield
        finally:
            with self._lock:
                self._working.discard(request)
                self._waiting[request] = None

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._waiting.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect during a transfer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30.0  # seconds in which the client has to send or read something

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        with cast("_Server", self.server).working(self.connection):
            self._respond(with_body=False)

    def do_GET(self) -> None:
        with cast("_Server", self.server).working(self.connection):
            self._respond(with_body=True)

    def _respond(self, *, with_body: bool) -> None:
        if cast("_Server", self.server).is_closing:
            self.close_connection = True  # also closes kept-alive connections
            return
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).lstrip("/")
        folder = cast("_Server", self.server).folder
        if path == "manifest.csv":
            self._send_bytes(manifest_of_pages(folder).encode(), "text/csv; charset=utf-8", with_body=with_body)
        elif path.startswith("watch/") and "/" not in path[6:] and file_inside(folder / f"{path[6:]}.mp4", folder):
            self._send_bytes(page(folder, path[6:]).encode(), "text/html; charset=utf-8", with_body=with_body)
        elif "/" not in path and not path.startswith(".") and file_inside(folder / path, folder):
            self._send_file(folder / path, with_body=with_body)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _send_bytes(self, data: bytes, content_type: str, *, with_body: bool) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def _send_file(self, path: Path, *, with_body: bool) -> None:
        num_bytes = path.stat().st_size
        segment = byte_range(self.headers.get("Range"), num_bytes)
        if segment is None:
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{num_bytes}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        is_part = _RANGE.fullmatch(self.headers.get("Range", "")) is not None
        self.send_response(HTTPStatus.PARTIAL_CONTENT if is_part else HTTPStatus.OK)
        self.send_header("Content-Type", mimetypes.guess_type(path.name)[0] or "application/octet-stream")
        self.send_header("Content-Length", str(segment.stop - segment.start))
        self.send_header("Accept-Ranges", "bytes")
        if is_part:
            self.send_header("Content-Range", f"bytes {segment.start}-{segment.stop - 1}/{num_bytes}")
        self.end_headers()
        if with_body:
            for chunk in _chunks(path, segment):
                self.wfile.write(chunk)


def byte_range(header: str | None, num_bytes: int) -> range | None:
    """The requested bytes of a Range header: all without a valid range; None if the range is not satisfiable."""
    match = _RANGE.fullmatch(header or "")
    if match is None:
        return range(num_bytes)
    first, last = match.groups()
    if not first:
        return range(max(0, num_bytes - int(last)), num_bytes) if int(last) else None
    stop = min(int(last) + 1, num_bytes) if last else num_bytes
    return range(int(first), stop) if int(first) < stop else None


def _chunks(path: Path, segment: range) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(segment.start)
        remaining = len(segment)
        while remaining and (chunk := file.read(min(remaining, _CHUNK_BYTES))):
            remaining -= len(chunk)
            yield chunk


def manifest_of_pages(folder: Path) -> str:
    """The folder's manifest, with the address of the song's page as url."""
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, reader.fieldnames or ())
    writer.writeheader()
    writer.writerows({**row, "url": f"/watch/{row['video_id']}"} for row in rows)
    return text.getvalue()


def page(folder: Path, video_id: str) -> str:
    """The HTML page of one song."""
    tracks = "".join(
        f'<track kind="captions" srclang="{html.escape(track)}" src="/{urllib.parse.quote(name)}">'
        for track, name in caption_files(folder, video_id)
    )
    source = f'<source src="/{urllib.parse.quote(video_id)}.mp4" type="video/mp4">'
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(_title(folder, video_id))}</title>'
        f"</head><body><video controls>{source}{tracks}</video></body></html>"
    )


def caption_files(folder: Path, video_id: str) -> list[tuple[str, str]]:
    """(track, file name) of each caption file of a song, sorted."""
    pattern = re.compile(rf"{re.escape(video_id)}\.([A-Za-z0-9-]+)(?i:{'|'.join(map(re.escape, CAPTION_SUFFIXES))})")
    matches = (pattern.fullmatch(path.name) for path in folder.iterdir())
    return sorted((match[1], match[0]) for match in matches if match)


def _title(folder: Path, video_id: str) -> str:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        titles = {row["video_id"]: row.get("title") for row in csv.DictReader(file)}
    return titles.get(video_id) or video_id
