"""Map a function over items on a Ray cluster (extra ``ray``).

- One task an item, with one CPU. With limits, the item runs in a process of its own inside the task's worker, as on one machine.
- Only the calling process writes the ledger: Ray forgets what is finished when the cluster ends.
- All nodes must have this package, and see the workspace and the media under the same paths. A node that does not see the workspace
  ends the map, because its clips would be lost.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import socket
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from phonics_data.contract.files import temporary_folder
from phonics_data.errors import DependencyError, InputError, ItemError, OptionError, WorkerDiedError
from phonics_data.executors.isolated import NUM_REPEATS, Limits, call_isolated

Item = TypeVar("Item")
Result = TypeVar("Result")

SUBMITTED_PER_CPU = 2
"""Tasks in the queue of the cluster for each of its CPUs: none waits for the calling process, and a million are not submitted at once."""
NUM_LOST_NODES = 10
"""Repeats of an item whose node was lost. Nodes are lost for reasons of their own, so this is more than `NUM_REPEATS`."""
_CONNECT_SECONDS = 20.0
_CHECK_SECONDS = 5.0
"""Between two looks at the number of CPUs, which changes when nodes come and go."""


class RayExecutor:
    """An `phonics_data.executors.executor.Executor`.

    - If a worker or a node is lost, its items are processed again, after the others.
    - An item whose worker dies `NUM_REPEATS` + 1 times, or whose node is lost `NUM_LOST_NODES` + 1 times, has a `WorkerDiedError`.

    Args:
        address: of the cluster, ``auto`` for the one of this machine (or of the variable RAY_ADDRESS).
        folder: a folder, such as the workspace, which all nodes must see under the same path.
    """

    def __init__(self, address: str, *, folder: Path) -> None:
        self._address = address
        self._folder = folder

    def __call__(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        workers: int,
        limits: Callable[[Item], Limits] | None = None,
    ) -> Iterator[tuple[Item, Result | ItemError]]:
        if not items:
            return
        with _connected(self._address) as ray, temporary_folder(self._folder.absolute() / "ray") as seen:
            lost, node_lost = _lost_errors(ray), _node_errors(ray)
            task = ray.remote(num_cpus=1, max_retries=0)(_run_on_node)
            function_ref, node = ray.put(function), _Node(seen=seen, working_folder=Path.cwd())
            queue = deque(_Try[Item](item=item) for item in items)
            running: dict[Any, _Try[Item]] = {}
            most = _MostTasks(ray)
            try:
                while queue or running:
                    while queue and len(running) < most():
                        one = queue.popleft()
                        limit = limits(one.item) if limits is not None else None
                        running[task.remote(function_ref, one.item, limit, node)] = one
                    done, _ = ray.wait(list(running), num_returns=1, timeout=_CHECK_SECONDS)
                    for reference in done:
                        one = running.pop(reference)
                        try:
                            value = ray.get(reference)
                        except lost as error:
                            if (died := one.died(is_node=isinstance(error, node_lost))) is None:
                                queue.append(one)
                                continue
                            value = died
                        if isinstance(value, _Raised):
                            raise value.error
                        yield one.item, value
            finally:
                for reference in running:
                    ray.cancel(reference, force=True)


@dataclass(slots=True)
class _Try(Generic[Item]):
    """An item and how often it was lost."""

    item: Item
    num_workers: int = 0
    num_nodes: int = 0

    def died(self, *, is_node: bool) -> WorkerDiedError | None:
        """Count a loss; the error of the item if it was the last try."""
        if is_node:
            self.num_nodes += 1
        else:
            self.num_workers += 1
        if self.num_workers <= NUM_REPEATS and self.num_nodes <= NUM_LOST_NODES:
            return None
        how = f"{self.num_workers} times" + (f", and {self.num_nodes} nodes were lost" if self.num_nodes else "")
        return WorkerDiedError(
            "worker_died",
            f"its worker on the Ray cluster died {how}; the file may be malicious, or the nodes are out of memory: run the command "
            "again",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Node:
    """What a node must have.

    Args:
        seen: a folder that exists while the map runs.
        working_folder: of the calling process; relative paths of items start there.
    """

    seen: Path
    working_folder: Path


@dataclass(frozen=True, slots=True)
class _Raised:
    """An error that is not that of the item: it ends the map."""

    error: Exception


def _run_on_node(function: Callable[[Item], Result], item: Item, limits: Limits | None, node: _Node) -> object:
    """The result of an item, its `ItemError`, or a `_Raised`; runs in a worker of Ray."""
    try:
        if not node.seen.is_dir():
            raise InputError(
                f"--executor ray: {node.seen.parent} is not on the node {socket.gethostname()}; give a --work that all nodes see "
                "under the same path"
            )
        if not node.working_folder.is_dir():
            raise InputError(
                f"--executor ray: the folder {node.working_folder} of this command is not on the node {socket.gethostname()}; change to "
                "a folder that all nodes have"
            )
        os.chdir(node.working_folder)
        return function(item) if limits is None else call_isolated(function, item, limits)
    except ItemError as error:
        return error
    except Exception as error:  # noqa: BLE001 - sent to the calling process, which raises it
        error.add_note(f"on the node {socket.gethostname()}, while working on {item!r:.300}")
        return _Raised(error)


class _MostTasks:
    """How many tasks may be submitted, by the CPUs of the cluster."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._number, self._next_check = 1, 0.0

    def __call__(self) -> int:
        if time.monotonic() >= self._next_check:
            num_cpus = int(self._ray.cluster_resources().get("CPU", 0))
            self._number, self._next_check = max(1, SUBMITTED_PER_CPU * num_cpus), time.monotonic() + _CHECK_SECONDS
        return self._number


@contextmanager
def _connected(address: str) -> Generator[Any]:
    """The module `ray`, connected to the cluster; the connection of the caller is used, if there is one.

    Raises:
        DependencyError: Ray is not installed.
        OptionError: not an address.
        InputError: there is no such cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to others
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # tasks without a GPU keep their variables
    try:
        ray: Any = importlib.import_module("ray")  # not in the environment of the type checker
    except ImportError:
        raise DependencyError("--executor ray needs the extra ray: pip install 'phonics-cssgan[ray]'") from None
    is_ours = not ray.is_initialized()
    if is_ours:
        _check_listening(address if address != "auto" else os.environ.get("RAY_ADDRESS", address))
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise _no_cluster(address, str(error).split("\n")[0]) from error
    try:
        yield ray
    finally:
        if is_ours:
            ray.shutdown()


def _lost_errors(ray: Any) -> tuple[type[Exception], ...]:
    errors = ray.exceptions
    return (errors.WorkerCrashedError, errors.OutOfMemoryError, *_node_errors(ray))


def _node_errors(ray: Any) -> tuple[type[Exception], ...]:
    """``ObjectLostError``: the result was on a node that is lost."""
    return (ray.exceptions.NodeDiedError, ray.exceptions.ObjectLostError)


def _check_listening(address: str) -> None:
    """Ray itself waits for minutes where nothing listens."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise OptionError("--ray-address", address, "auto, or HOST:PORT, such as head:6379")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise _no_cluster(address, str(error)) from error


def _no_cluster(address: str, reason: str) -> InputError:
    return InputError(
        f"--ray-address {address}: no Ray cluster there ({reason}); start one with `ray start --head` and, on the other machines, "
        "`ray start --address HOST:6379`"
    )
