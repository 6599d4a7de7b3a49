"""The bench measures what it says; its limits are held with a few videos here, and with 200 by the command."""

from __future__ import annotations

from phonics_data.bench import FetchBench, bench_fetch


def test_fetching_costs_little_over_ytdlp() -> None:
    found = bench_fetch(10)
    assert found.fetch_cpu_seconds > 0.005
    assert found.ytdlp_cpu_seconds > 0.005
    assert found.within_limits, found


def test_a_missed_limit_shows() -> None:
    good = {"num_videos": 1, "ytdlp_cpu_seconds": 0.1, "fetch_cpu_seconds": 0.2, "wall_seconds": 1.0, "growth_bytes": 0}
    assert FetchBench(**good).within_limits  # type: ignore[arg-type]
    assert not FetchBench(**good | {"fetch_cpu_seconds": 0.7}).within_limits  # type: ignore[arg-type]
    assert not FetchBench(**good | {"growth_bytes": 30_000_000}).within_limits  # type: ignore[arg-type]
