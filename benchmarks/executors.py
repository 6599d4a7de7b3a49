"""Overhead of an item that does nothing: in one process, in processes with limits, in parts of a stage, on a Ray cluster."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from phonics_data.executors.executor import Executor, on_this_machine
from phonics_data.executors.isolated import Limits
from phonics_data.executors.items import Outcome, run_items
from phonics_data.storage.parts import Part
from phonics_data.storage.workspace import Workspace
from phonics_data.types import TranscriptWord

NUM_PARTS = 4
_PART = "import sys; from benchmarks.executors import run_part; run_part(*sys.argv[1:])"


@dataclass(frozen=True, kw_only=True, slots=True)
class Overhead:
    """Of all items together, with the ledger's files, each of which waits for the disk."""

    way: str
    num_items: int
    wall_seconds: float
    cpu_seconds: float
    """Of this process and of those that it started; not of Ray's."""

    @property
    def wall_milliseconds_per_item(self) -> float:
        return 1000 * self.wall_seconds / self.num_items


def nothing(_: str) -> Outcome[TranscriptWord]:
    return Outcome()


def run_part(work: str, part: str, num_items: str) -> None:
    """One part, as a command runs it."""
    workspace, one = Workspace(Path(work)), Part.parse(part)
    with workspace.lock("transcribe", one):
        _run(workspace, [name for name in _names(int(num_items)) if one.has(name)])


def _names(number: int) -> list[str]:
    return [f"video-{index:05d}" for index in range(number)]


def _run(
    workspace: Workspace,
    names: list[str],
    *,
    executor: Executor = on_this_machine,
    limits: Callable[[str], Limits] | None = None,
) -> None:
    run_items(
        workspace,
        "transcribe",
        {name: name for name in names},
        dict.fromkeys(names, "0"),
        nothing,
        TranscriptWord,
        executor=executor,
        limits=limits,
    )


def measure_overhead(folder: Path, num_items: int, *, with_ray: bool) -> list[Overhead]:
    """The ways one after the other, each in a new workspace below `folder`."""

    def limits(_: str) -> Limits:
        return Limits(seconds=600)

    names = _names(num_items)
    found: list[Overhead] = []

    def measure(way: str, run: Callable[[Workspace], None]) -> None:
        workspace = Workspace(folder / f"{num_items}-{len(found)}")
        started, cpu = time.monotonic(), _cpu_seconds()
        run(workspace)
        found.append(
            Overhead(
                way=way,
                num_items=num_items,
                wall_seconds=time.monotonic() - started,
                cpu_seconds=_cpu_seconds() - cpu,
            )
        )
        assert len(workspace.ledger("transcribe").item_ids()) == num_items

    def parts(workspace: Workspace) -> None:
        for index in range(1, NUM_PARTS + 1):
            arguments = (str(workspace.root), f"{index}/{NUM_PARTS}", str(num_items))
            subprocess.run([sys.executable, "-c", _PART, *arguments], cwd=_root(), check=True)

    measure("one process", lambda workspace: _run(workspace, names))
    measure("one process, items with limits", lambda workspace: _run(workspace, names, limits=limits))
    measure(f"{NUM_PARTS} parts, one after the other", parts)
    if with_ray:
        _measure_ray(measure, names, limits)
    return found


def _measure_ray(
    measure: Callable[[str, Callable[[Workspace], None]], None], names: list[str], limits: Callable[[str], Limits]
) -> None:
    from ray.cluster_utils import Cluster  # pyright: ignore[reportMissingImports]

    from phonics_data.executors.ray_cluster import RayExecutor

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(_root())}
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "240")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)

        def on_ray(limits: Callable[[str], Limits] | None) -> Callable[[Workspace], None]:
            return lambda workspace: _run(
                workspace, names, executor=RayExecutor(str(cluster.address), folder=workspace.root), limits=limits
            )

        measure("Ray, two nodes", on_ray(None))
        measure("Ray, two nodes, items with limits", on_ray(limits))
    finally:
        cluster.shutdown()


def _root() -> Path:
    return Path(__file__).parents[1]


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
