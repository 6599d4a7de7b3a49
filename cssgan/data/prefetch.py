"""The next batch is prepared while the step with this one runs."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import torch

from cssgan.data.batches import LoaderWrapper, PreparedLoader
from cssgan.types import Batch

PATIENCE_SECONDS = 10.0
"""How long `FeedAhead.close` waits for a batch that is being prepared."""

_Asked = tuple[int, Future[Any]]


@dataclass(kw_only=True, slots=True, weakref_slot=True, eq=False)
class PrefetchLoader(LoaderWrapper[PreparedLoader[Any]]):
    """The batches of `host`, prepared one ahead of who asks, in a thread.

    The first batch is prepared by the caller: a feed that starts processes must fork them before there are threads.
    What is placed on a device is placed by the caller too, for a step that is being recorded there bears no other
    thread. Errors of the thread are raised when their batch is asked for, and that batch is prepared anew if it is
    asked for again.
    """

    _asked: SimpleQueue[_Asked | None] = field(default_factory=SimpleQueue[_Asked | None])
    _end: Callable[[], object] | None = None
    """Ends the thread, if there is one; called too when nobody holds the feed any more."""
    _ahead: _Asked | None = None

    @property
    def device(self) -> torch.device:
        return self.host.device

    def batch(self, position: int) -> Batch:
        """See `TrainingFeed.batch`."""
        if self._ahead is not None and self._ahead[0] == position:
            prepared = self._take(self._ahead[1])
        else:
            if self._ahead is not None:
                # Nobody asks for it; whether there would have been one is no matter.
                with suppress(Exception):
                    self._take(self._ahead[1])
            prepared = self.host.prepare(position)
        # Placed first: beside a thread that has just begun it would wait for the interpreter.
        batch = self.host.place(prepared)
        self._go_on(position + self.host.config.train.batch_size)
        return batch

    def _take(self, future: Future[Any]) -> Any:
        try:
            return future.result()
        finally:
            if future.done():  # and not an interruption of the wait, after which the thread is still at it
                self._ahead = None

    def _go_on(self, position: int) -> None:
        if self._end is None:
            end = weakref.finalize(self, self._asked.put, None)  # first: whoever interrupts leaves no thread for ever
            # A daemon, which an executor's threads are not: one that waits for ever must not hold up the end.
            threading.Thread(target=_serve, args=(self._asked, self.host.prepare), daemon=True).start()
            self._end = end
        self._ahead = position, Future()
        self._asked.put(self._ahead)

    def close(self) -> None:
        """Wait for the thread and close the feed.

        A reader that is killed while it hands something over leaves a message without an end, and the thread waiting
        for the rest of it. It is left alone then, with the feed, whose processes end with this one.
        """
        if self._end is not None:
            self._end()
            # A thread that is left alone must not take what is asked of the next.
            self._end, self._asked = None, SimpleQueue()
        if self._ahead is None or wait([self._ahead[1]], timeout=PATIENCE_SECONDS).done:
            self._ahead = None
            self.host.close()


def _serve(asked: SimpleQueue[_Asked | None], prepare: Callable[[int], object]) -> None:
    """The life of the thread."""
    while (ask := asked.get()) is not None:
        position, future = ask
        try:
            future.set_result(prepare(position))
        except BaseException as error:  # noqa: BLE001 - raised by who asks for the batch
            future.set_exception(error)
        del ask, future  # or the batch would be held until the next is asked for
