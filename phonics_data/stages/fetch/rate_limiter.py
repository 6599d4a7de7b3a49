"""When the next request may go out: one pace for all workers, since a server counts addresses and not threads."""

from __future__ import annotations

import random
import threading
import time

from phonics_data.errors import PhonicsDataError


class RunEndingError(PhonicsDataError):
    """The run is ending; what was under way is left as it is."""


class RateLimiter:
    """Pauses between videos and after failures, which end at once when the run does.

    Args:
        sleep_seconds: shortest and longest pause between the starts of two videos.
    """

    def __init__(self, sleep_seconds: tuple[float, float], seed: int) -> None:
        self._sleep_seconds = sleep_seconds
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._next_start = 0.0
        self._ending = threading.Event()

    def end(self) -> None:
        """Wake everybody who waits, and let nobody wait again."""
        self._ending.set()

    @property
    def is_ending(self) -> bool:
        return self._ending.is_set()

    def draw(self) -> float:
        """A number of [0, 1)."""
        with self._lock:
            return self._random.random()

    def seconds_to_turn(self) -> float:
        """Take the next free start of a video; the seconds until then."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next_start)
            self._next_start = turn + self._random.uniform(*self._sleep_seconds)
            return turn - now

    def hold(self, seconds: float) -> None:
        """Nobody starts a video for `seconds`: a server that turns one worker away means all of them."""
        with self._lock:
            self._next_start = max(self._next_start, time.monotonic() + seconds)

    def wait(self, seconds: float) -> None:
        """Raises `RunEndingError` when the run ends before the seconds are over."""
        if self._ending.wait(max(0.0, seconds)):
            raise RunEndingError("the run is ending")
