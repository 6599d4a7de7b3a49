"""The bench measures what it says; its limits are held with a few videos here, and with 200 by the command."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fetch import FetchBench, bench_fetch
from benchmarks.shard import Run, ShardBench, bench_shard
from tests.counted_videos import clicks, constant, make_source, murmur


def test_fetching_costs_little_over_ytdlp() -> None:
    found = bench_fetch(10)
    assert found.fetch_cpu_seconds > 0.005
    assert found.ytdlp_cpu_seconds > 0.005
    assert found.within_limits, found


def test_cutting_is_measured_in_all_its_parts(tmp_path: Path) -> None:
    times = constant(25, 5)
    sound = clicks(5, [0.5, 2.5], 44_100) + murmur(5, 1, 44_100)
    source = make_source(tmp_path / "film.mp4", times, sound, sound_rate_hz=44_100, audio_codec="aac")
    found = bench_shard(2, source=source, rounds=1, per_clip_runs=1, num_rows=1_000)
    assert (found.num_clips, found.source_seconds) == (2, pytest.approx(10, abs=0.2))
    assert found.one.cpu_seconds > found.floor_cpu_seconds > 0
    assert found.one.workers_cpu_seconds > 0.05
    assert found.speed_of_two_by_cpu > 0
    assert 50e6 < found.one.peak_bytes < 600e6
    assert found.per_clip_cpu_seconds > 0
    assert found.windows_a_cpu_second > 0
    assert found.metadata_seconds > 0
    names = [what for what, *_ in found.rows()]
    assert len(names) == len(set(names)) == 9


def test_a_fresh_process_does_not_inherit_a_peak() -> None:
    ballast = np.ones(400_000_000, np.uint8)
    program = "from benchmarks.shard import peak_bytes; print(peak_bytes())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 20e6 < int(done.stdout) < ballast.nbytes


def test_a_missed_limit_of_cutting_shows() -> None:
    run = Run(wall_seconds=19.0, own_cpu_seconds=1.0, workers_cpu_seconds=17.0, peak_bytes=200_000_000)
    good = ShardBench(
        num_clips=10, source_seconds=100.0, floor_cpu_seconds=15.0, one=run, two=replace(run, wall_seconds=10.0),
        per_clip_cpu_seconds=70.0, per_clip_kept_cpu_seconds=300.0, windows_a_cpu_second=100.0, metadata_seconds=9.0,
        long_run=run,
    )  # fmt: skip
    assert good.within_limits
    assert good.speed_of_two_by_cpu == pytest.approx(18 / 9.5)
    for change in (
        {"floor_cpu_seconds": 11.0},
        {"two": run},
        {"two": replace(run, wall_seconds=10.0, own_cpu_seconds=3.0)},
        {"long_run": replace(run, peak_bytes=700_000_000)},
        {"per_clip_cpu_seconds": 50.0},
        {"metadata_seconds": 61.0},
    ):
        assert not replace(good, **change).within_limits, change  # type: ignore[arg-type]


def test_a_missed_limit_shows() -> None:
    good = {"num_videos": 1, "ytdlp_cpu_seconds": 0.1, "fetch_cpu_seconds": 0.2, "wall_seconds": 1.0, "growth_bytes": 0}
    assert FetchBench(**good).within_limits  # type: ignore[arg-type]
    assert not FetchBench(**good | {"fetch_cpu_seconds": 0.7}).within_limits  # type: ignore[arg-type]
    assert not FetchBench(**good | {"growth_bytes": 30_000_000}).within_limits  # type: ignore[arg-type]
