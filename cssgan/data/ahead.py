"""The next batch is put together while the step with this one runs."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from cssgan.data.batch import Gathered, HostFeed, OverHost
from cssgan.types import Batch


@dataclass(kw_only=True, slots=True, eq=False)
class FeedAhead(OverHost[HostFeed]):
    """`host`, one batch ahead of who asks, in a thread.

    The first batch is gathered by the caller: a feed that starts processes must fork them before there are threads.
    What is placed on a device is placed by the caller too, for a step that is being recorded there bears no other
    thread. Errors of the thread are raised when their batch is asked for, and that batch is gathered anew if it is
    asked for again.
    """

    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "feed"))
    _ahead: tuple[int, Future[Gathered]] | None = None

    def batch(self, position: int) -> Batch:
        """See `TrainingFeed.batch`."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == position:
            gathered = ahead[1].result()
        else:
            _finish(ahead)
            gathered = self.host.gather(position)
        # Placed first: beside a thread that has just begun it would wait for the interpreter.
        batch = self.host.place(gathered)
        after = position + self.host.config.train.batch_size
        self._ahead = after, self._pool.submit(self.host.gather, after)
        return batch

    def close(self) -> None:
        """Wait for the thread and close the feed."""
        ahead, self._ahead = self._ahead, None
        _finish(ahead)
        self._pool.shutdown()
        self.host.close()


def _finish(ahead: tuple[int, Future[Gathered]] | None) -> None:
    """Wait for a batch that nobody asks for; whether there would have been one is no matter."""
    if ahead is not None:
        with suppress(Exception):
            ahead[1].result()
