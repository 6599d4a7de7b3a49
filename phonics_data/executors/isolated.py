"""Map a function over items, each in a process of its own with limits: what a hostile file does stays in there.

A crash, a hang or a hunger for memory ends the item's process and becomes the item's result; the run goes on.

Each worker is a fresh Python that imports the function once and forks for every item, so an item costs milliseconds.
Unlike the processes of `multiprocessing` it never imports the main script again, so a script needs no guard.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, cast

from phonics_data.errors import ItemError

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one item may use."""

    seconds: float
    """Wall-clock."""
    memory_bytes: int = 2 * 1024**3
    """Over what the process has when the item begins. Enforced on Linux."""


def map_isolated(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    limits: Callable[[Item], Limits],
) -> Iterator[tuple[Item, Result | ItemError]]:
    """(item, result) for every item, in the order in which they finish.

    An `ItemError` is handed on as the result; any other exception ends the map, for it is a defect of ours. An item
    whose process dies, outstays its time or runs out of memory gives an `ItemError` with the reason ``worker_died``.

    Args:
        function: importable: a module's function, or an object of a module's class that can be pickled.
        workers: items that are worked on at the same time.
    """
    queue = list(reversed(items))
    pool = [_Worker[Item, Result]() for _ in range(min(max(1, workers), len(items)))]
    try:
        while queue or any(worker.busy for worker in pool):
            for worker in pool:
                if queue and not worker.busy:
                    item = queue.pop()
                    worker.begin(function, item, limits(item))
            busy = [worker for worker in pool if worker.busy]
            earliest = min(worker.deadline for worker in busy)
            wait([worker.connection for worker in busy], timeout=max(0.0, earliest - time.monotonic()))
            for worker in busy:
                item = worker.item
                if (outcome := worker.poll()) is not None:
                    yield item, outcome.value
    finally:
        for worker in pool:
            worker.close()


class IsolatedCaller:
    """Calls functions one at a time, each call in a process of its own; for steps that come one by one.

    A context manager: the worker that forks for the calls lives as long as the block.
    """

    def __enter__(self) -> IsolatedCaller:
        self._worker = _Worker[Any, Any]()
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.close()

    def call(self, function: Callable[[Item], Result], item: Item, limits: Limits) -> Result:
        """What ``function(item)`` gives or raises; an `ItemError` with ``worker_died`` when its process dies."""
        self._worker.begin(function, item, limits)
        while True:
            wait([self._worker.connection], timeout=max(0.0, self._worker.deadline - time.monotonic()))
            if (outcome := self._worker.poll()) is not None:
                if isinstance(outcome.value, ItemError):
                    raise outcome.value
                return cast("Result", outcome.value)


_ENVIRONMENT = {
    # The workers share the cores among themselves already.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # glibc keeps what is freed instead of giving it back: fewer page faults for arrays of a megabyte that come and go.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
    "MALLOC_TRIM_THRESHOLD_": str((1 << 31) - 1),
}
"""Of the workers, where the user has not set it otherwise."""
_STOP = "stop"
_Message = tuple[Literal["result", "error", "died"], Any]


@dataclass(frozen=True, slots=True)
class _Finished(Generic[Result]):
    value: Result | ItemError


class _Worker(Generic[Item, Result]):
    """The parent's end of one worker."""

    item: Item

    def __init__(self) -> None:
        self.busy = False
        self.deadline = 0.0
        self._limits = Limits(seconds=0)
        self._too_late = False
        self._start()

    def _start(self) -> None:
        self.connection, theirs = Pipe()
        program = "import sys; from phonics_data.executors import isolated; isolated.serve(int(sys.argv[1]))"
        place = str(Path(__file__).parents[2])  # wherever this package was imported from
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=_ENVIRONMENT
            | os.environ
            | {"PYTHONPATH": os.pathsep.join(filter(None, [place, os.environ.get("PYTHONPATH")]))},
        )
        theirs.close()
        self.connection.send(sys.path)

    def begin(self, function: Callable[[Item], Result], item: Item, limits: Limits) -> None:
        self.item, self._limits = item, limits
        self.busy, self._too_late = True, False
        self.deadline = time.monotonic() + limits.seconds
        self.connection.send((function, item, limits.memory_bytes))

    def poll(self) -> _Finished[Result] | None:
        """The outcome when there is one; waits for nothing."""
        if not self.connection.poll():
            if time.monotonic() >= self.deadline and not self._too_late:
                self._too_late = True
                self.deadline += 60.0
                self.connection.send(_STOP)
            return None
        self.busy = False
        try:
            kind, value = cast("_Message", self.connection.recv())
        except (EOFError, ConnectionError):
            self.close()
            self._start()
            return _Finished(self._death("its worker was ended from outside"))
        if kind == "result":
            return _Finished(value)
        if kind == "error" and not isinstance(value, ItemError):
            raise value
        return _Finished(value if isinstance(value, ItemError) else self._death(value))

    def _death(self, how: str) -> ItemError:
        if self._too_late:
            seconds = self._limits.seconds
            return ItemError(
                "worker_died",
                f"took longer than its limit of {seconds:.0f} s; the file may be hostile",
                measured=seconds,
                threshold=seconds,
            )
        if how == "memory":
            limit = self._limits.memory_bytes
            return ItemError(
                "worker_died",
                f"needs more than {limit / 1024**2:.0f} MiB of memory; the file may be hostile",
                threshold=float(limit),
            )
        return ItemError("worker_died", f"the process that worked on it died ({how}); the file may be hostile")

    def close(self) -> None:
        """End the worker, and whatever it is at."""
        self.connection.close()
        self._process.wait()


def serve(channel: int) -> None:
    """The life of a worker: fork a process for each item that comes through the file descriptor `channel`."""
    # Ctrl-C reaches the whole group; the parent closes the channel then, without a traceback from each worker.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(channel)
    with contextlib.suppress(EOFError, ConnectionError):  # the parent is gone, or has no more items
        sys.path[:] = connection.recv()
        while True:
            request = connection.recv_bytes()
            try:
                work = pickle.loads(request)  # noqa: S301 - from our own parent process
            except Exception as error:  # noqa: BLE001 - handed to the parent, which raises it
                connection.send(("error", error))
                continue
            if work == _STOP:
                continue  # it came when the item had just ended
            reader, writer = Pipe(duplex=False)
            gc.freeze()  # the child's collector neither walks what was imported nor copies its pages
            child = os.fork()
            if child == 0:
                connection.close()
                _work(writer, *work)
            writer.close()
            connection.send(_watch(connection, reader, child))
            reader.close()


def _watch(connection: Connection, reader: Connection, child: int) -> _Message:
    """Wait for the item's process, and end it when the parent says so or goes away."""
    if connection in wait([connection, reader]):
        os.kill(child, signal.SIGKILL)
        connection.recv()  # _STOP; raises when the parent is gone
    try:
        message = cast("_Message | None", reader.recv())
    except (EOFError, OSError):
        message = None
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return message or ("died", f"signal {-code}" if code < 0 else f"exit code {code}")


def _work(writer: Connection, function: Callable[[Any], Any], item: Any, memory_bytes: int) -> None:
    """The life of an item's process."""
    _limit_memory(memory_bytes)
    try:
        message: _Message = ("result", function(item))
    except ItemError as error:
        message = ("error", error)
    except MemoryError:
        message = ("died", "memory")
    except Exception as error:  # noqa: BLE001 - handed to the parent, which raises it
        error.add_note(f"while working on {item!r:.300}")
        message = ("error", error)
    with contextlib.suppress(BrokenPipeError):
        writer.send(message)
    sys.stderr.flush()
    os._exit(0)


def _limit_memory(memory_bytes: int) -> None:
    if not sys.platform.startswith("linux"):
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    ceiling = pages * resource.getpagesize() + memory_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or ceiling < hard:
        resource.setrlimit(resource.RLIMIT_AS, (ceiling, hard))
