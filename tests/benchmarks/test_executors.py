"""The benchmark of overheads processes all items in each way."""

from __future__ import annotations

from pathlib import Path

from benchmarks.executors import measure_overhead


def test_every_way_processes_all_items(tmp_path: Path) -> None:
    found = measure_overhead(tmp_path, 8, with_ray=False)  # it checks the ledgers
    assert [one.way for one in found][2] == "4 parts, one after the other"
    assert all(one.num_items == 8 and one.wall_seconds > 0 for one in found)
