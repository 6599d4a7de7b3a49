"""The benchmark of `fetch`, with few videos."""

from __future__ import annotations

from benchmarks.fetch import FetchBenchmark, benchmark_fetch


def test_fetch_adds_little_cpu_time_to_ytdlp() -> None:
    result = benchmark_fetch(10)
    assert result.fetch_cpu_seconds > 0.005
    assert result.ytdlp_cpu_seconds > 0.005
    assert result.within_limits, result


def test_missed_limits_are_reported() -> None:
    good = {"num_videos": 1, "ytdlp_cpu_seconds": 0.1, "fetch_cpu_seconds": 0.2, "wall_seconds": 1.0, "growth_bytes": 0}
    assert FetchBenchmark(**good).within_limits  # type: ignore[arg-type]
    assert not FetchBenchmark(**good | {"fetch_cpu_seconds": 0.7}).within_limits  # type: ignore[arg-type]
    assert not FetchBenchmark(**good | {"growth_bytes": 30_000_000}).within_limits  # type: ignore[arg-type]
