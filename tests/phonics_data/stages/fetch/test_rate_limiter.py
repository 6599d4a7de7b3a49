"""All workers share one rate limit."""

from __future__ import annotations

import itertools
import threading

import pytest

from phonics_data.stages.fetch.rate_limiter import FetchCancelledError, RateLimiter


def test_starts_are_spread_over_all_workers() -> None:
    rate_limiter = RateLimiter((10.0, 20.0), seed=3)
    delays = [rate_limiter.reserve_start() for _ in range(4)]
    assert delays[0] == 0
    gaps = [after - before for before, after in itertools.pairwise(delays)]
    assert all(9.9 <= gap <= 20.0 for gap in gaps)
    assert len({round(gap, 3) for gap in gaps}) == 3


def test_delay_applies_to_all_workers() -> None:
    rate_limiter = RateLimiter((0.0, 0.0), seed=0)
    rate_limiter.delay_starts(100.0)
    assert rate_limiter.reserve_start() == pytest.approx(100.0, abs=1.0)


def test_cancel_ends_all_waits() -> None:
    rate_limiter = RateLimiter((0.0, 0.0), seed=0)
    cancelled = threading.Event()

    def wait() -> None:
        try:
            rate_limiter.wait(600.0)
        except FetchCancelledError:
            cancelled.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    rate_limiter.cancel()
    assert cancelled.wait(5.0)
    with pytest.raises(FetchCancelledError):
        rate_limiter.wait(0.0)
