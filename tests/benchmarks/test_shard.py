"""The benchmark of `shard` measures all its figures and reports missed limits."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.shard import RunCost, ShardBenchmark, benchmark_shard
from tests.counted_videos import clicks, constant, make_source, modulated_noise


def test_all_figures_are_measured(tmp_path: Path) -> None:
    times = constant(25, 5)
    sound = clicks(5, [0.5, 2.5], 44_100) + modulated_noise(5, 1, 44_100)
    source = make_source(tmp_path / "video.mp4", times, sound, sound_rate_hz=44_100, audio_codec="aac")
    result = benchmark_shard(2, source=source, rounds=1, num_rows=1_000)
    assert (result.num_clips, result.source_seconds) == (2, pytest.approx(10, abs=0.2))
    assert result.one_worker.cpu_seconds > result.floor_cpu_seconds > 0
    assert result.one_worker.workers_cpu_seconds > 0.05
    assert result.speedup_by_cpu > 0
    assert 50e6 < result.one_worker.peak_bytes < 600e6
    assert result.windows_per_cpu_second > 0
    assert result.metadata_seconds > 0
    names = [name for name, *_ in result.rows()]
    assert len(names) == len(set(names)) == 7


def test_new_process_does_not_inherit_the_peak_memory() -> None:
    ballast = np.ones(400_000_000, np.uint8)
    program = "from benchmarks.shard import peak_bytes_with_children; print(peak_bytes_with_children())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 20e6 < int(done.stdout) < ballast.nbytes


def test_missed_limits_are_reported() -> None:
    run = RunCost(wall_seconds=19.0, own_cpu_seconds=1.0, workers_cpu_seconds=17.0, peak_bytes=200_000_000)
    good = ShardBenchmark(
        num_clips=10,
        source_seconds=100.0,
        floor_cpu_seconds=15.0,
        one_worker=run,
        two_workers=replace(run, wall_seconds=10.0),
        windows_per_cpu_second=100.0,
        metadata_seconds=9.0,
        long_run=run,
    )
    assert good.within_limits
    assert good.speedup_by_cpu == pytest.approx(18 / 9.5)
    for change in (
        {"floor_cpu_seconds": 11.0},
        {"two_workers": run},
        {"two_workers": replace(run, wall_seconds=10.0, own_cpu_seconds=3.0)},
        {"long_run": replace(run, peak_bytes=700_000_000)},
        {"metadata_seconds": 61.0},
    ):
        assert not replace(good, **change).within_limits, change  # type: ignore[arg-type]
