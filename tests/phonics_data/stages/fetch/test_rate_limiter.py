"""One pace for all workers."""

from __future__ import annotations

import itertools
import threading

import pytest

from phonics_data.stages.fetch.rate_limiter import RateLimiter, RunEndingError


def test_starts_are_spread_over_all_workers() -> None:
    rate_limiter = RateLimiter((10.0, 20.0), seed=3)
    waits = [rate_limiter.seconds_to_turn() for _ in range(4)]
    assert waits[0] == 0
    gaps = [after - before for before, after in itertools.pairwise(waits)]
    assert all(9.9 <= gap <= 20.0 for gap in gaps)
    assert len({round(gap, 3) for gap in gaps}) == 3


def test_a_server_that_asks_for_a_pause_gets_it_from_everybody() -> None:
    rate_limiter = RateLimiter((0.0, 0.0), seed=0)
    rate_limiter.hold(100.0)
    assert rate_limiter.seconds_to_turn() == pytest.approx(100.0, abs=1.0)


def test_the_end_wakes_who_waits() -> None:
    rate_limiter = RateLimiter((0.0, 0.0), seed=0)
    woken = threading.Event()

    def wait() -> None:
        try:
            rate_limiter.wait(600.0)
        except RunEndingError:
            woken.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    rate_limiter.end()
    assert woken.wait(5.0)
    with pytest.raises(RunEndingError):
        rate_limiter.wait(0.0)
