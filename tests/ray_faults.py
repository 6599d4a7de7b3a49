"""A Ray cluster of two nodes on this machine, whose workers and nodes are killed: `main` writes FOLDER/results.json.

A program of its own: Ray connects to the address of this machine, which tests may not.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from phonics_data.errors import ItemError, MediaError
from phonics_data.executors.executor import on_this_machine
from phonics_data.executors.isolated import Limits
from phonics_data.executors.ray_cluster import RayExecutor
from phonics_data.stages.fetch.stage import FetchOptions, fetch
from phonics_data.stages.segment import SegmentOptions, segment
from phonics_data.stages.shard.stage import ShardOptions, shard
from phonics_data.stages.transcribe import EngineOptions, TranscribeOptions, transcribe
from phonics_data.storage.manifest import read_manifest
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import Rejection
from tests.soak_songs import make_songs

NUM_SONGS = 27
"""24 without those of two files."""
ONCE, ALWAYS = "song0000004", "song0000007"
"""Songs that kill their worker the first time, and each time in the stage shard."""


def kill_worker() -> None:
    """Kill the worker of Ray in which this item runs, in its own process or in one that it started."""
    pid = os.getpid()
    while "default_worker.py" not in (command := Path(f"/proc/{pid}/cmdline").read_text()) and "ray::" not in command:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        assert pid > 1
    os.kill(pid, signal.SIGKILL)
    signal.pause()


def work(folder: Path, item: str) -> str:
    if item == "reject":
        raise MediaError("not_a_video", "rejected", measured=1.0, threshold=2.0)
    if item == "bug":
        raise ZeroDivisionError("a defect")
    if item == "hang":
        signal.pause()
    with (folder / item).open("a") as tries:
        tries.write("x")
    if item == "deadly" or (item == "once" and (folder / item).stat().st_size == 1):
        kill_worker()
    return item.upper()


def with_faults(folder: Path, stage: str, function: Callable[[Any], Any], pair: tuple[str, Any]) -> Any:
    item = pair[0]
    with (folder / f"{stage}-{item}").open("a") as tries:
        tries.write("x")
    if (item == ALWAYS and stage == "shard") or (item == ONCE and (folder / f"{stage}-{item}").stat().st_size == 1):
        kill_worker()
    return function(pair)


def with_death(function: Callable[[Any], Any], pair: tuple[str, Any]) -> Any:
    if pair[0] == ALWAYS:
        os.kill(os.getpid(), signal.SIGKILL)
    return function(pair)


class Faulty:
    """An executor whose items meet the faults of `with_faults`."""

    def __init__(self, executor: Any, wrap: Callable[..., Any]) -> None:
        self._executor, self._wrap = executor, wrap

    def __call__(
        self, function: Any, items: Sequence[Any], *, workers: int, limits: Any = None
    ) -> Iterator[tuple[Any, Any]]:
        return self._executor(functools.partial(self._wrap, function), items, workers=workers, limits=limits)


def small_map(folder: Path) -> dict[str, Any]:
    folder.mkdir()
    executor = RayExecutor("auto", folder=folder)
    items = ["deadly", "a", "reject", "b", "once"]
    found: dict[str, Any] = {}
    for item, result in executor(
        functools.partial(work, folder), items, workers=1, limits=lambda _: Limits(seconds=60)
    ):
        found[item] = [type(result).__name__, str(result)] if isinstance(result, ItemError) else result
    started, num_ended, submitted = 0, 0, list[int]()

    def limits(_: str) -> Limits:
        nonlocal started
        started += 1
        submitted.append(started - num_ended)
        return Limits(seconds=60)

    more = [f"more-{number}" for number in range(20)]
    for item, result in executor(functools.partial(work, folder), more, workers=1, limits=limits):
        num_ended += 1
        found[item] = result
    free = dict(executor(functools.partial(work, folder), ["deadly", "c", "once2"], workers=1))
    (late,) = executor(functools.partial(work, folder), ["hang"], workers=1, limits=lambda _: Limits(seconds=2))
    try:
        list(executor(functools.partial(work, folder), ["a", "bug", "b"], workers=1))
    except ZeroDivisionError as error:
        bug = str(error)
    else:
        bug = "no error"
    return {
        "found": found,
        "most_submitted": max(submitted),
        "free": {item: str(result) for item, result in free.items()},
        "hang": str(late[1]),
        "bug": bug,
        "tries_of_deadly": len((folder / "deadly").read_text()),
        "left": sorted(path.name for path in folder.glob(".*")),
    }


def songs_with_lost_workers_and_a_lost_node(folder: Path, cluster: Any, second_node: Any) -> dict[str, Any]:
    folder.mkdir()
    media: dict[str, dict[str, bytes]] = {}
    songs = make_songs(NUM_SONGS, seed=3, with_temporary_faults=False, media=media)
    rows = ["video_id,url,kind,letters"]
    for line, song in zip(songs.manifest.split()[1:], songs.songs, strict=True):
        name, _, kind, letters = line.split(",")
        if "18" not in media[name]:
            continue  # of two files
        (folder / f"{name}.mp4").write_bytes(media[name]["18"])
        for captions in song.captions:
            (folder / f"{name}.en.json3").write_text(captions.text)
        rows.append(f"{name},{name}.mp4,{kind},{letters}")
    (folder / "songs.csv").write_text("\n".join(rows) + "\n")
    videos = read_manifest(str(folder / "songs.csv"))
    fetch(Workspace(folder / "one"), videos, FetchOptions())
    shutil.copytree(folder / "one", folder / "many")
    options = TranscribeOptions(ocr="never", engine=EngineOptions(engine="captions"))
    counts: dict[str, Any] = {"videos": len(videos)}
    for name in ("one", "many"):
        workspace, out = Workspace(folder / name), folder / f"{name}-dataset"
        ray = RayExecutor("auto", folder=workspace.root)
        tries = folder / "tries"
        tries.mkdir(exist_ok=True)
        where = [
            Faulty(ray, functools.partial(with_faults, tries, stage)) if name == "many" else on_this_machine
            for stage in ("transcribe", "shard")
        ]
        transcribe(workspace, options, executor=where[0])
        segment(workspace, SegmentOptions())

        def lose_node(_stage: str, done: int, _total: int, name: str = name) -> None:
            if name == "many" and done == 5:
                cluster.remove_node(second_node, allow_graceful=False)

        count = shard(
            workspace,
            out,
            ShardOptions(target_shard_bytes=20_000_000),
            executor=where[1] if name == "many" else Faulty(on_this_machine, with_death),
            on_progress=lose_node,
        )
        counts[name] = {"kept": count.num_kept, "by_reason": count.by_reason, "notes": list(count.notes)}
        rejections = read_table(workspace.table("rejections"), Rejection)
        counts[name]["died"] = [(row.item_id, row.detail) for row in rejections if row.reason == "worker_died"]
        counts[name]["finished"] = len(workspace.ledger("shard").item_ids())
    names = {path.name for name in ("one", "many") for path in (folder / f"{name}-dataset").iterdir()}
    counts["files"] = sorted(names)
    counts["differing"] = sorted(
        name
        for name in names
        if (folder / "one-dataset" / name).read_bytes() != (folder / "many-dataset" / name).read_bytes()
    )
    counts["tries"] = {path.name: len(path.read_text()) for path in tries.iterdir() if len(path.read_text()) > 1}
    return counts


def main(folder: Path) -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_raylet_start_wait_time_s"] = "240"  # noqa: SIM112 - Ray's name; for a busy machine
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        second_node = cluster.add_node(num_cpus=1)
        os.environ["RAY_ADDRESS"] = cluster.address
        results = {
            "map": small_map(folder / "map"),
            "songs": songs_with_lost_workers_and_a_lost_node(folder / "songs", cluster, second_node),
        }
    finally:
        cluster.shutdown()
    (folder / "results.json").write_text(json.dumps(results, indent=1))
