"""The next batch is put together while the step with this one runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue

from cssgan.data.batch import Gathered, HostFeed, OverHost
from cssgan.types import Batch

PATIENCE_SECONDS = 10.0
"""How long `FeedAhead.close` waits for a batch that is being put together."""

_Asked = tuple[int, Future[Gathered]]


@dataclass(kw_only=True, slots=True, eq=False)
class FeedAhead(OverHost[HostFeed]):
    """`host`, one batch ahead of who asks, in a thread.

    The first batch is gathered by the caller: a feed that starts processes must fork them before there are threads.
    What is placed on a device is placed by the caller too, for a step that is being recorded there bears no other
    thread. Errors of the thread are raised when their batch is asked for, and that batch is gathered anew if it is
    asked for again.
    """

    _asked: SimpleQueue[_Asked | None] = field(default_factory=SimpleQueue[_Asked | None])
    _thread: threading.Thread | None = None
    _ahead: _Asked | None = None

    def batch(self, position: int) -> Batch:
        """See `TrainingFeed.batch`."""
        if self._ahead is not None and self._ahead[0] == position:
            gathered = self._take(self._ahead[1])
        else:
            if self._ahead is not None:
                # Nobody asks for it; whether there would have been one is no matter.
                with suppress(Exception):
                    self._take(self._ahead[1])
            gathered = self.host.gather(position)
        # Placed first: beside a thread that has just begun it would wait for the interpreter.
        batch = self.host.place(gathered)
        self._go_on(position + self.host.config.train.batch_size)
        return batch

    def _take(self, future: Future[Gathered]) -> Gathered:
        try:
            return future.result()
        finally:
            if future.done():  # and not an interruption of the wait, after which the thread is still at it
                self._ahead = None

    def _go_on(self, position: int) -> None:
        if self._thread is None:
            # A daemon, which an executor's threads are not: one that waits for ever must not hold up the end.
            self._thread = threading.Thread(target=_serve, args=(self._asked, self.host.gather), daemon=True)
            self._thread.start()
        self._ahead = position, Future()
        self._asked.put(self._ahead)

    def close(self) -> None:
        """Wait for the thread and close the feed.

        A reader that is killed while it hands something over leaves a message without an end, and the thread waiting
        for the rest of it. It is left alone then, with the feed, whose processes end with this one.
        """
        self._asked.put(None)
        if self._ahead is None or wait([self._ahead[1]], timeout=PATIENCE_SECONDS).done:
            self._ahead = None
            self.host.close()


def _serve(asked: SimpleQueue[_Asked | None], gather: Callable[[int], Gathered]) -> None:
    """The life of the thread."""
    while (ask := asked.get()) is not None:
        position, future = ask
        try:
            future.set_result(gather(position))
        except BaseException as error:  # noqa: BLE001 - raised by who asks for the batch
            future.set_exception(error)
