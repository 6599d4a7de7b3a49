"""The next batch is put together while the step with this one runs."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import torch

from cssgan.data.batch import Gathered
from cssgan.types import Batch
from phonics_data.contract.labels import LabelSet


class HostFeed(Protocol):
    """A feed whose batches are put together on the host and then placed on their device."""

    @property
    def label_set(self) -> LabelSet: ...

    @property
    def frame_rate(self) -> Fraction: ...

    @property
    def device(self) -> torch.device: ...

    def gather(self, position: int) -> Gathered:
        """The host's part of this process's share of the batch after so many videos; it touches no device."""
        ...

    def place(self, gathered: Gathered) -> Batch:
        """The rest of it, on the device."""
        ...

    def close(self) -> None: ...


@dataclass(kw_only=True, slots=True, eq=False)
class FeedAhead:
    """`host`, one batch of `batch_size` ahead of who asks, in a thread.

    The first batch is gathered by the caller: a feed that starts processes must fork them before there are threads.
    What is placed on a device is placed by the caller too, for a step that is being recorded there bears no other
    thread. Errors of the thread are raised when their batch is asked for, and that batch is gathered anew if it is
    asked for again.
    """

    host: HostFeed
    batch_size: int
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "feed"))
    _ahead: tuple[int, Future[Gathered]] | None = None

    @property
    def label_set(self) -> LabelSet:
        return self.host.label_set

    @property
    def frame_rate(self) -> Fraction:
        return self.host.frame_rate

    @property
    def device(self) -> torch.device:
        return self.host.device

    def batch(self, position: int) -> Batch:
        """See `TrainingFeed.batch`."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == position:
            gathered = ahead[1].result()
        else:
            _finish(ahead)
            gathered = self.host.gather(position)
        batch = self.host.place(
            gathered
        )  # first: beside a thread that has just begun it would wait for the interpreter
        after = position + self.batch_size
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
