"""Preparation of the next batch while the current step runs."""

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

CLOSE_TIMEOUT_SECONDS = 10.0
"""How long `PrefetchLoader.close` waits for a batch that is being prepared."""

_Request = tuple[int, Future[Any]]


@dataclass(kw_only=True, slots=True, weakref_slot=True, eq=False)
class PrefetchLoader(LoaderWrapper[PreparedLoader[Any]]):
    """The batches of `wrapped`; after each batch, a thread prepares the next one.

    * The caller prepares the first batch: a loader that starts processes must fork them before there are threads.
    * The caller also places each batch on the device: while a CUDA graph is recorded, no other thread may use the device.
    * An error of the thread is raised when its batch is requested; another request prepares that batch again.
    """

    _requests: SimpleQueue[_Request | None] = field(default_factory=SimpleQueue[_Request | None])
    _end: Callable[[], object] | None = None
    """Ends the thread, if there is one; also called when the loader is garbage-collected."""
    _pending: _Request | None = None

    @property
    def device(self) -> torch.device:
        return self.wrapped.device

    def batch(self, position: int) -> Batch:
        """See `TrainingLoader.batch`."""
        if self._pending is not None and self._pending[0] == position:
            prepared = self._result(self._pending[1])
        else:
            if self._pending is not None:
                # This batch is not requested, so its error is ignored.
                with suppress(Exception):
                    self._result(self._pending[1])
            prepared = self.wrapped.prepare(position)
        # Placed before the thread starts to work, which would compete for the interpreter.
        batch = self.wrapped.place(prepared)
        self._request(position + self.wrapped.config.train.batch_size)
        return batch

    def _result(self, future: Future[Any]) -> Any:
        try:
            return future.result()
        finally:
            if future.done():  # False after an interrupted wait: the thread still works on it
                self._pending = None

    def _request(self, position: int) -> None:
        if self._end is None:
            end = weakref.finalize(self, self._requests.put, None)  # first, so that an interrupt leaks no thread
            # A daemon, unlike the threads of an executor: a blocked thread must not delay the end of the process.
            threading.Thread(target=_serve, args=(self._requests, self.wrapped.prepare), daemon=True).start()
            self._end = end
        self._pending = position, Future()
        self._requests.put(self._pending)

    def close(self) -> None:
        """Wait for the thread and close the wrapped loader.

        A reader process that is killed while it sends data leaves an incomplete message, for which the thread waits
        forever. After `CLOSE_TIMEOUT_SECONDS` both are abandoned; the reader processes end with this process.
        """
        if self._end is not None:
            self._end()
            # An abandoned thread must not take requests that are meant for the next one.
            self._end, self._requests = None, SimpleQueue()
        if self._pending is None or wait([self._pending[1]], timeout=CLOSE_TIMEOUT_SECONDS).done:
            self._pending = None
            self.wrapped.close()


def _serve(requests: SimpleQueue[_Request | None], prepare: Callable[[int], object]) -> None:
    """The loop of the thread."""
    while (request := requests.get()) is not None:
        position, future = request
        try:
            future.set_result(prepare(position))
        except BaseException as error:  # noqa: BLE001 - raised by the caller who requests the batch
            future.set_exception(error)
        del request, future  # otherwise the batch stays in memory until the next request
