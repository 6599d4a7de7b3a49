"""Map a function over items, each in its own process with limits, so that untrusted files cannot harm the run.

- A crash, a hang or excessive memory ends the item's process only and becomes the item's result.
- Each worker is a new Python process that imports the function once and forks for every item, which costs milliseconds.
- Unlike `multiprocessing`, workers do not import the main script, so scripts need no ``if __name__ == "__main__"``.
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

from phonics_data.errors import ItemError, WorkerDiedError

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Resource limits of one item."""

    seconds: float
    """Wall-clock."""
    memory_bytes: int = 2 * 1024**3
    """In addition to the memory of the process when the item starts. Enforced on Linux."""


def map_isolated(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    limits: Callable[[Item], Limits],
) -> Iterator[tuple[Item, Result | ItemError]]:
    """(item, result) for every item, in the order in which they finish.

    - An `ItemError` is returned as the result. Any other exception is a defect of the program and ends the map.
    - If the process of an item exceeds a limit, the result is an `ItemError` with the reason ``worker_died``.
    - If it dies otherwise, the item is repeated when all others are done, alone and up to twice: the system can have ended it
      for lack of memory. The result of an item that dies each time is a `WorkerDiedError`.

    Args:
        function: importable and picklable: a module's function, or an instance of a module's class.
        workers: number of items processed at the same time.
    """
    queue = list(reversed(items))
    suspects: list[Item] = []
    pool = [_Worker[Item, Result]() for _ in range(min(max(1, workers), len(items)))]
    try:
        while queue or any(worker.busy for worker in pool):
            for worker in pool:
                if queue and not worker.busy:
                    item = queue.pop()
                    worker.start_item(function, item, limits(item))
            busy = [worker for worker in pool if worker.busy]
            earliest = min(worker.deadline for worker in busy)
            wait([worker.connection for worker in busy], timeout=max(0.0, earliest - time.monotonic()))
            for worker in busy:
                item = worker.item
                if (finished := worker.poll()) is None:
                    continue
                if isinstance(finished.value, WorkerDiedError):
                    suspects.append(item)
                else:
                    yield item, finished.value
        for item in suspects:
            yield item, _repeated_alone(pool[0], function, item, limits(item))
    finally:
        for worker in pool:
            worker.close()


def _repeated_alone(
    worker: _Worker[Item, Result], function: Callable[[Item], Result], item: Item, limits: Limits
) -> Result | ItemError:
    """The result of an item whose process has died, from the first of `NUM_REPEATS` repeats that does not die."""
    value: Result | ItemError = WorkerDiedError("worker_died", "not repeated")
    for _ in range(NUM_REPEATS):
        worker.start_item(function, item, limits)
        while (finished := worker.poll()) is None:
            wait([worker.connection], timeout=max(0.0, worker.deadline - time.monotonic()))
        value = finished.value
        if not isinstance(value, WorkerDiedError):
            break
    return value


NUM_REPEATS = 2
"""Repeats of an item whose process died, before it is blamed."""

_ENVIRONMENT = {
    # The cores are already divided among the workers.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # glibc keeps freed memory: fewer page faults for short-lived arrays of megabytes.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
    "MALLOC_TRIM_THRESHOLD_": str((1 << 31) - 1),
}
"""Environment variables of the workers; the user's values take precedence."""
_STOP = "stop"
_Message = tuple[Literal["result", "error", "died"], Any]


@dataclass(frozen=True, slots=True)
class _Finished(Generic[Result]):
    value: Result | ItemError


class _Worker(Generic[Item, Result]):
    """One worker, as seen by the parent process."""

    item: Item

    def __init__(self) -> None:
        self.busy = False
        self.deadline = 0.0
        self._limits = Limits(seconds=0)
        self._timed_out = False
        self._start()

    def _start(self) -> None:
        self.connection, worker_end = Pipe()
        program = "import sys; from phonics_data.executors import isolated; isolated.worker_main(int(sys.argv[1]))"
        import_path = str(Path(__file__).parents[2])  # where this package was imported from
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, str(worker_end.fileno())],
            pass_fds=[worker_end.fileno()],
            stdin=subprocess.DEVNULL,
            env=_ENVIRONMENT
            | os.environ
            | {"PYTHONPATH": os.pathsep.join(filter(None, [import_path, os.environ.get("PYTHONPATH")]))},
        )
        worker_end.close()
        self.connection.send(sys.path)

    def start_item(self, function: Callable[[Item], Result], item: Item, limits: Limits) -> None:
        self.item, self._limits = item, limits
        self.busy, self._timed_out = True, False
        self.deadline = time.monotonic() + limits.seconds
        self.connection.send((function, item, limits.memory_bytes))

    def poll(self) -> _Finished[Result] | None:
        """The result if the item is finished, else None; does not block."""
        if not self.connection.poll():
            if time.monotonic() >= self.deadline and not self._timed_out:
                self._timed_out = True
                self.deadline += 60.0
                self.connection.send(_STOP)
            return None
        self.busy = False
        try:
            kind, value = cast("_Message", self.connection.recv())
        except (EOFError, ConnectionError):
            self.close()
            self._start()
            return _Finished(self._worker_died("its worker was killed"))
        if kind == "result":
            return _Finished(value)
        if kind == "error" and not isinstance(value, ItemError):
            raise value
        return _Finished(value if isinstance(value, ItemError) else self._worker_died(value))

    def _worker_died(self, how: str) -> ItemError:
        if self._timed_out:
            seconds = self._limits.seconds
            return ItemError(
                "worker_died",
                f"took longer than its limit of {seconds:.0f} s; the file may be malicious",
                measured=seconds,
                threshold=seconds,
            )
        if how == "memory":
            limit = self._limits.memory_bytes
            return ItemError(
                "worker_died",
                f"needs more than {limit / 1024**2:.0f} MiB of memory; the file may be malicious",
                threshold=float(limit),
            )
        return WorkerDiedError(
            "worker_died",
            f"its process died ({how}), also alone; the file may be malicious, or the machine is out of memory: run the command again",
        )

    def close(self) -> None:
        """End the worker and its running item."""
        self.connection.close()
        self._process.wait()


def worker_main(file_descriptor: int) -> None:
    """Main function of a worker: forks a process for each item received through the pipe `file_descriptor`."""
    # Ctrl-C is sent to the whole process group; the parent then closes the pipe, and workers print no traceback.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(file_descriptor)
    with contextlib.suppress(EOFError, ConnectionError):  # the parent has ended, or has no more items
        sys.path[:] = connection.recv()
        while True:
            message = connection.recv_bytes()
            try:
                request = pickle.loads(message)  # noqa: S301 - from our own parent process
            except Exception as error:  # noqa: BLE001 - sent to the parent, which raises it
                connection.send(("error", error))
                continue
            if request == _STOP:
                continue  # sent when the item had just finished
            reader, writer = Pipe(duplex=False)
            gc.freeze()  # the child's garbage collector then skips imported objects and copies none of their pages
            child = os.fork()
            if child == 0:
                connection.close()
                _run_item(writer, *request)
            writer.close()
            connection.send(_wait_for_item(connection, reader, child))
            reader.close()


def _wait_for_item(connection: Connection, reader: Connection, child: int) -> _Message:
    """Wait for the item's process; kill it if the parent requests it or ends."""
    if connection in wait([connection, reader]):
        os.kill(child, signal.SIGKILL)
        connection.recv()  # _STOP; raises if the parent has ended
    try:
        message = cast("_Message | None", reader.recv())
    except (EOFError, OSError):
        message = None
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return message or ("died", f"signal {-code}" if code < 0 else f"exit code {code}")


def _run_item(writer: Connection, function: Callable[[Any], Any], item: Any, memory_bytes: int) -> None:
    """Main function of an item's process."""
    _limit_memory(memory_bytes)
    try:
        message: _Message = ("result", function(item))
    except ItemError as error:
        message = ("error", error)
    except MemoryError:
        message = ("died", "memory")
    except Exception as error:  # noqa: BLE001 - sent to the parent, which raises it
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
