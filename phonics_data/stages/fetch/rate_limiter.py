"""When the next request may be sent. All workers share one limit, since servers count requests per address."""

from __future__ import annotations

import random
import threading
import time

from phonics_data.errors import PhonicsDataError


class FetchCancelledError(PhonicsDataError):
    """The run was cancelled; the next run continues unfinished downloads."""


class RateLimiter:
    """Pauses between videos and after failures. `cancel` ends all pauses at once.

    Args:
        sleep_seconds: shortest and longest pause between the starts of two videos.
        seed: of the pauses.
    """

    def __init__(self, sleep_seconds: tuple[float, float], seed: int) -> None:
        self._sleep_seconds = sleep_seconds
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._next_start = 0.0
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """End all current and future pauses with `FetchCancelledError`."""
        self._cancelled.set()

    def raise_if_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise FetchCancelledError("the run was cancelled")

    def sample_jitter(self) -> float:
        """A random number in [0, 1)."""
        with self._lock:
            return self._random.random()

    def reserve_start(self) -> float:
        """Reserve the next free start of a video; returns the seconds until then."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next_start)
            self._next_start = start + self._random.uniform(*self._sleep_seconds)
            return start - now

    def delay_starts(self, seconds: float) -> None:
        """Delay all workers: no video starts for `seconds`."""
        with self._lock:
            self._next_start = max(self._next_start, time.monotonic() + seconds)

    def wait(self, seconds: float) -> None:
        """Sleep for `seconds`; raises `FetchCancelledError` when the run is cancelled."""
        self._cancelled.wait(max(0.0, seconds))
        self.raise_if_cancelled()
