"""Clients that hold connections to a server without sending a whole request."""

from __future__ import annotations

import contextlib
import http.client
import resource
import socket
from collections.abc import Generator, Sequence

import pytest

HALF_REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: "


@contextlib.contextmanager
def many_descriptors(count: int) -> Generator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"ulimit -Hn is {hard}, needed: {count}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def slow_clients(port: int, count: int, sent: bytes = HALF_REQUEST) -> Generator[Sequence[socket.socket]]:
    """`count` connections that send `sent` and then nothing."""
    with many_descriptors(count + 200), contextlib.ExitStack() as stack:
        clients: list[socket.socket] = []
        for _ in range(count):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            with contextlib.suppress(OSError):  # closed in favour of another one
                client.sendall(sent)
            clients.append(client)
        yield clients


def get(port: int, path: str = "/") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()
