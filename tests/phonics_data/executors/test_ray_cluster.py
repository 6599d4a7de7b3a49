"""Items on a Ray cluster: lost workers and nodes lose no item, and one that kills its worker is rejected."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from phonics_data.errors import DependencyError, InputError, OptionError
from phonics_data.executors.ray_cluster import (
    NUM_LOST_NODES,
    RayExecutor,
    _Node,  # pyright: ignore[reportPrivateUsage]
    _Raised,  # pyright: ignore[reportPrivateUsage]
    _run_on_node,  # pyright: ignore[reportPrivateUsage]
    _Try,  # pyright: ignore[reportPrivateUsage]
)

HAS_RAY = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed (extra ray)")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("ray")
    program = "import sys; from pathlib import Path; from tests.ray_faults import main; main(Path(sys.argv[1]))"
    command = [sys.executable, "-c", program, str(folder)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False, timeout=1500
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    return json.loads((folder / "results.json").read_text())


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(1600)
def test_only_an_item_that_kills_its_worker_each_time_is_rejected(results: dict[str, Any]) -> None:
    found = results["map"]["found"]
    expected = {item: item.upper() for item in ("a", "b", "once", *(f"more-{number}" for number in range(20)))}
    assert {item: found[item] for item in expected} == expected
    assert found["reject"] == ["MediaError", "rejected"]
    assert found["deadly"][0] == "WorkerDiedError"
    assert "its worker on the Ray cluster died 3 times" in found["deadly"][1]
    assert found.keys() == {*expected, "reject", "deadly"}
    assert results["map"]["free"]["c"] == "C"
    assert results["map"]["tries_of_deadly"] == 6, "three times with limits, three without"
    assert "took longer than its limit of 2 s" in results["map"]["hang"]
    assert results["map"]["bug"] == "a defect"
    assert results["map"]["left"] == []


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(1600)
def test_few_tasks_are_submitted_at_once(results: dict[str, Any]) -> None:
    assert 2 <= results["map"]["most_submitted"] <= 4, "two for each of two CPUs"


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(1600)
def test_the_shards_are_those_of_one_process(results: dict[str, Any]) -> None:
    """A worker is killed in each stage, a node in one, and one song kills its worker each time."""
    from tests.ray_faults import ALWAYS, ONCE

    songs = results["songs"]
    one, many = songs["one"], songs["many"]
    assert [item for item, _ in one["died"]] == [item for item, _ in many["died"]] == [ALWAYS]
    assert (one["kept"], one["by_reason"]) == (many["kept"], many["by_reason"])
    assert one["kept"] > 80
    assert one["finished"] == many["finished"], "the song that died is finished in neither"
    assert "train-000000.tar" in songs["files"]
    assert "SHA256SUMS" in songs["files"]
    # The message of the rejection names what died.
    assert set(songs["differing"]) <= {"rejections.parquet", "SHA256SUMS"}
    assert songs["tries"][f"shard-{ALWAYS}"] == 3
    assert songs["tries"][f"shard-{ONCE}"] == songs["tries"][f"transcribe-{ONCE}"] == 2


def test_a_node_that_lacks_the_workspace_ends_the_map(tmp_path: Path) -> None:
    (tmp_path / "seen").mkdir()
    node = _Node(seen=tmp_path / "seen", working_folder=tmp_path)
    assert _run_on_node(len, "abc", None, node) == 3
    for other in (
        _Node(seen=tmp_path / "unseen", working_folder=tmp_path),
        _Node(seen=tmp_path / "seen", working_folder=tmp_path / "no"),
    ):
        found = _run_on_node(len, "abc", None, other)
        assert isinstance(found, _Raised)
        assert isinstance(found.error, InputError)
        assert "is not on" in str(found.error)


def test_an_item_survives_more_lost_nodes_than_lost_workers() -> None:
    one = _Try(item="a")
    assert [one.died(is_node=False) for _ in range(2)] == [None, None]
    assert [one.died(is_node=True) for _ in range(NUM_LOST_NODES)] == [None] * NUM_LOST_NODES
    assert "died 3 times, and 10 nodes were lost" in str(one.died(is_node=False))


@pytest.mark.skipif(HAS_RAY, reason="Ray is installed")
def test_without_ray_the_error_names_the_extra(tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match=r"phonics-cssgan\[ray\]"):
        list(RayExecutor("auto", folder=tmp_path)(len, ["a"], workers=1))


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "code", "message"),
    [
        ("127.0.0.1:1", 1, "--ray-address 127.0.0.1:1: no Ray cluster there"),
        ("auto", 1, "--ray-address auto: no Ray cluster there"),
        ("head", 2, "--ray-address: got 'head', allowed: auto, or HOST:PORT"),
        ("ray://head:10001", 2, "--ray-address: got 'ray://head:10001', allowed: auto, or HOST:PORT"),
    ],
)
def test_a_missing_cluster_is_one_line(tmp_path: Path, address: str, code: int, message: str) -> None:
    (tmp_path / "clips" / "A").mkdir(parents=True)
    (tmp_path / "clips" / "A" / "one.mp4").write_bytes(b"no video")
    command = [sys.executable, "-m", "phonics_data", "import", "folder", "clips", "--executor", "ray"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [*command, "--ray-address", address],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("work/.ray*"))


def test_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    from phonics_data.cli.options import ExecutorArguments

    with pytest.raises(OptionError, match="--executor: got 'spark', allowed: local or ray"):
        ExecutorArguments(executor="spark").executor_of(tmp_path)
    with pytest.raises(OptionError, match=r"--ray-address: .*only with --executor ray"):
        ExecutorArguments(ray_address="host:6379").executor_of(tmp_path)
