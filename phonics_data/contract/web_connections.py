"""Connections of the web pages: uvicorn's HTTP protocol with limits on number and time, so that slow clients keep nobody out.

uvicorn limits the time between two requests, but not the time of a request's head, of a body that nobody reads, or of an answer that
the client does not read. Its ``limit_concurrency`` answers 503 to everybody once slow clients hold all connections.

* A head has to be complete `HEAD_TIMEOUT_SECONDS` after the connection was opened or the last answer was given.
* A client has to read something of its answer within `SEND_TIMEOUT_SECONDS`.
* At `max_connections`, the connection that has waited longest for its client is closed in favour of a new one. A client that sends its
  request at once does not wait, so others are answered while slow clients hold connections.
"""

from __future__ import annotations

import asyncio
import math
import socket
from typing import Any, Literal

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from phonics_data.contract.web import MAX_CONNECTIONS, MAX_HEAD_BYTES, max_connections

HEAD_TIMEOUT_SECONDS, SEND_TIMEOUT_SECONDS = 15.0, 60.0
_ACCEPTED_AT_ONCE = 4
"""asyncio accepts about five times as many connections before the first of them can close another one."""
_READ_BYTES = 4096
"""h11 checks the size of a head after each block."""
Awaited = Literal["", "head", "body", "reading"]
"""What a connection waits for: a request, the rest of its body, or that the client reads the answer. Empty: the application."""


class LimitedProtocol(H11Protocol):
    """One connection; the limits are those of its module."""

    max_connections = MAX_CONNECTIONS

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._awaited: Awaited = ""
        self._since = 0.0
        self._is_sending_slowly = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._observe()
        if len(self.connections) > self.max_connections:
            others = [one for one in self.connections if isinstance(one, LimitedProtocol) and one is not self]
            slowest = min(others, key=LimitedProtocol.waiting_since, default=self)
            # Without a slow client all connections are at work, and the new one is refused.
            (self if slowest.waiting_since() == math.inf else slowest).abort()

    def waiting_since(self) -> float:
        """The time of the loop since which this connection waits for its client; infinite if it does not."""
        return self._since if self._awaited else math.inf

    def abort(self) -> None:
        """Close the connection without sending the rest of an answer."""
        self.connections.discard(self)  # at once, so that the next new connection does not choose it again
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), _READ_BYTES):
            if self.transport.is_closing():
                break
            super().data_received(data[start : start + _READ_BYTES])
        self._observe()

    def on_response_complete(self) -> None:
        self._awaited = ""  # the next head has its own time
        super().on_response_complete()
        self._observe()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._is_sending_slowly = True
        self._observe()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._is_sending_slowly = False
        self._observe()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _observe(self) -> None:
        """Note what the connection waits for now, and start the time of the client if that has changed."""
        awaited: Awaited = ""
        if self._is_sending_slowly:
            awaited = "reading"
        elif self.cycle is None or self.cycle.response_complete:  # pyright: ignore[reportUnnecessaryComparison] - before the first request
            awaited = "head"
        elif self.cycle.more_body:
            awaited = "body"
        if awaited == self._awaited:
            return
        self._awaited, self._since = awaited, self.loop.time()
        self._stop_timer()
        if awaited in ("head", "reading"):  # the time of a body is limited where it is read
            self._timer = self.loop.call_later(self._seconds(), self._on_timeout)

    def _seconds(self) -> float:
        # The application may have finished an answer whose last bytes are on the way to a slow client.
        return SEND_TIMEOUT_SECONDS if self.transport.get_write_buffer_size() else HEAD_TIMEOUT_SECONDS

    def _on_timeout(self) -> None:
        remaining = self._since + self._seconds() - self.loop.time()
        if remaining > 0.1:  # the buffer was empty when the timer was started
            self._timer = self.loop.call_later(remaining, self._on_timeout)
        else:
            self.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class LimitedServer(uvicorn.Server):
    """A server of connections with limits. Options as of `uvicorn.Config`."""

    def __init__(self, app: Any, **options: Any) -> None:
        limit = max_connections()

        class Protocol(LimitedProtocol):
            max_connections = limit

        super().__init__(
            uvicorn.Config(
                app, log_level="warning", access_log=False, server_header=False, http=Protocol, ws="none",
                h11_max_incomplete_event_size=MAX_HEAD_BYTES, timeout_keep_alive=10, timeout_graceful_shutdown=5,
                backlog=_ACCEPTED_AT_ONCE, **options,
            )
        )  # fmt: skip

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            # The queue of the kernel may be longer than what asyncio accepts at once.
            listener.listen(512)
