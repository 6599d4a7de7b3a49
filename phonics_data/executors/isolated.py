"""Run a function on items, each in its own process with limits, so that untrusted files cannot harm the run.

- A crash, a hang or excessive memory ends the item's process only and becomes the item's result.
- Each worker is a new Python process that imports the function once and forks for every item, which costs milliseconds.
- A worker is the leader of a process group, which contains everything that its item starts. The group is ended when the item
  exceeds its time limit, and when the process that started the worker ends for any reason.
- Unlike `multiprocessing`, workers do not import the main script, so scripts need no ``if __name__ == "__main__"``.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import gc
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
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


MAX_DECODING_SECONDS = 3 * 3600.0
"""Longest time for one file: its header can announce any duration."""


def decoding_limits(duration_seconds: float) -> Limits:
    """Limits for decoding a whole file: more than valid files need on a slow machine.

    Args:
        duration_seconds: as the file announces it.
    """
    return Limits(seconds=min(600 + 10 * max(0.0, duration_seconds), MAX_DECODING_SECONDS))


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
    pool: list[_Worker[Item, Result]] = []
    try:
        pool.extend(_Worker[Item, Result]() for _ in range(min(max(1, workers), len(items))))
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
            yield item, pool[0].run(function, item, limits(item), tries=NUM_REPEATS)
    finally:
        for worker in pool:
            worker.close()


def call_isolated(function: Callable[[Item], Result], item: Item, limits: Limits) -> Result:
    """``function(item)`` in its own process with limits. Thread-safe; the workers of earlier calls are used again.

    Args:
        function, item: as for `map_isolated`.

    Raises:
        ItemError: what the function raised; ``worker_died`` if a limit was exceeded; `WorkerDiedError` if the process died
            each time, also when the item was repeated.
    """
    worker = _idle_worker()
    try:
        value = cast("Result | ItemError", worker.run(function, item, limits, tries=1 + NUM_REPEATS))
    except BaseException:
        worker.close()  # the item is still running, or its result has not been read
        raise
    with _idle_lock:
        _idle.append(worker)
    if isinstance(value, ItemError):
        raise value
    return value


_idle: list[_Worker[Any, Any]] = []
"""The workers of earlier calls of `call_isolated` that have no item."""
_idle_lock = threading.Lock()


def _idle_worker() -> _Worker[Any, Any]:
    with _idle_lock:
        return _idle.pop() if _idle else _Worker()


@atexit.register
def close_idle() -> None:
    """End the workers that `call_isolated` keeps."""
    with _idle_lock:
        while _idle:
            _idle.pop().close()


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
_Message = tuple[Literal["result", "error", "died"], Any]


@contextmanager
def interrupts_blocked() -> Generator[None]:
    """Processes that are started inside never receive SIGINT (Ctrl-C), also while they start: their parent ends them.

    A handler in the new process would come too late: until Python has imported it, SIGINT prints a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
        self._start()

    def _start(self) -> None:
        self.connection, worker_end = Pipe()
        program = "import sys; from phonics_data.executors import isolated; isolated.worker_main(int(sys.argv[1]))"
        import_path = str(Path(__file__).parents[2])  # where this package was imported from
        with interrupts_blocked():
            self._process = subprocess.Popen(
                [sys.executable, "-c", program, str(worker_end.fileno())],
                pass_fds=[worker_end.fileno()],
                stdin=subprocess.DEVNULL,
                process_group=0,
                env=_ENVIRONMENT
                | os.environ
                | {"PYTHONPATH": os.pathsep.join(filter(None, [import_path, os.environ.get("PYTHONPATH")]))},
            )
        worker_end.close()
        with contextlib.suppress(ConnectionError):  # it was killed at once; the item notices
            self.connection.send(sys.path)

    def run(self, function: Callable[[Item], Result], item: Item, limits: Limits, *, tries: int) -> Result | ItemError:
        """The result of an item, from the first of `tries` in which its process does not die."""
        value: Result | ItemError = WorkerDiedError("worker_died", "not tried")
        for _ in range(tries):
            self.start_item(function, item, limits)
            while (finished := self.poll()) is None:
                wait([self.connection], timeout=max(0.0, self.deadline - time.monotonic()))
            value = finished.value
            if not isinstance(value, WorkerDiedError):
                break
        return value

    def start_item(self, function: Callable[[Item], Result], item: Item, limits: Limits) -> None:
        request = pickle.dumps((function, item, limits.memory_bytes, Path.cwd()))
        try:
            self.connection.send_bytes(request)
        except ConnectionError:  # it was killed while it had no item
            self._restart()
            with contextlib.suppress(ConnectionError):
                self.connection.send_bytes(request)
        self.item, self._limits, self.busy = item, limits, True
        self.deadline = time.monotonic() + limits.seconds

    def poll(self) -> _Finished[Result] | None:
        """The result if the item is finished, else None; does not block."""
        if not self.connection.poll():
            if time.monotonic() < self.deadline:
                return None
            self._restart()
            return _Finished(self._timed_out())
        self.busy = False
        try:
            kind, value = cast("_Message", self.connection.recv())
        except (EOFError, ConnectionError):
            self._restart()
            return _Finished(_died("its worker was killed"))
        if kind == "died":
            return _Finished(self._out_of_memory() if value == "memory" else _died(str(value)))
        if kind == "error" and not isinstance(value, ItemError):
            raise value
        return _Finished(value)

    def _timed_out(self) -> ItemError:
        seconds = self._limits.seconds
        return ItemError(
            "worker_died",
            f"took longer than its limit of {seconds:.0f} s; the file is too long or too large, or malicious: remove it, or use "
            "a smaller copy",
            measured=seconds,
            threshold=seconds,
        )

    def _out_of_memory(self) -> ItemError:
        limit = self._limits.memory_bytes
        return ItemError(
            "worker_died",
            f"needs more than {limit / 1024**2:.0f} MiB of memory; the file is too long or too large, or malicious: remove it, or "
            "use a smaller copy",
            threshold=float(limit),
        )

    def _restart(self) -> None:
        self.close()
        self.busy = False
        self._start()

    def close(self) -> None:
        """End the worker, its running item, and all that the item has started."""
        # Before `wait`: until then, no other process can get the number of the group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.connection.close()


def _died(how: str) -> WorkerDiedError:
    return WorkerDiedError(
        "worker_died",
        f"its process died ({how}), also alone; the file may be malicious, or the machine is out of memory: run the command again",
    )


def worker_main(file_descriptor: int) -> None:
    """Main function of a worker: forks a process for each item received through the pipe `file_descriptor`."""
    connection = Connection(file_descriptor)
    with contextlib.suppress(EOFError, ConnectionError):  # the parent has ended
        sys.path[:] = connection.recv()
        while True:
            message = connection.recv_bytes()
            try:
                request = pickle.loads(message)  # noqa: S301 - from our own parent process
            except Exception as error:  # noqa: BLE001 - sent to the parent, which raises it
                connection.send(("error", error))
                continue
            reader, writer = Pipe(duplex=False)
            gc.freeze()  # the child's garbage collector then skips imported objects and copies none of their pages
            child = os.fork()
            if child == 0:
                connection.close()
                reader.close()
                _run_item(writer, *request)
            writer.close()
            if connection in wait([connection, reader]):
                break  # nothing is sent while an item runs: the parent has ended
            connection.send_bytes(_result_of(reader, child))
            reader.close()
    os.killpg(os.getpid(), signal.SIGKILL)


def _result_of(reader: Connection, child: int) -> bytes:
    """The pickled `_Message` of the item's process, which has sent it or died."""
    try:
        result = reader.recv_bytes()
    except (EOFError, OSError):
        result = b""
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return result or pickle.dumps(("died", f"signal {-code}" if code < 0 else f"exit code {code}"))


def _run_item(
    writer: Connection, function: Callable[[Any], Any], item: Any, memory_bytes: int, working_folder: Path
) -> None:
    """Main function of an item's process."""
    os.chdir(working_folder)  # that of the parent can have changed since the worker started
    _limit_memory(memory_bytes)
    try:
        message: _Message = ("result", function(item))
    except ItemError as error:
        message = ("error", error)
    except Exception as error:  # noqa: BLE001 - sent to the parent, which raises it
        if _is_out_of_memory(error):
            message = ("died", "memory")
        else:
            error.add_note(f"while working on {item!r:.300}")
            message = ("error", error)
    try:
        data = pickle.dumps(message)
    except MemoryError:
        data = pickle.dumps(("died", "memory"))
    except Exception as error:  # noqa: BLE001 - sent to the parent, which raises it
        data = pickle.dumps(("error", TypeError(f"{function!r:.200}: its result cannot be sent ({error})")))
    with contextlib.suppress(BrokenPipeError):
        writer.send_bytes(data)
    sys.stderr.flush()
    os._exit(0)


_OUT_OF_MEMORY = re.compile(
    r"bad[_ ]?alloc|insufficient memory|out of memory|cannot allocate memory|failed to allocate|failed to map segment|"
    r"can't start new thread",
    re.IGNORECASE,
)
"""Messages of OpenCV, ONNX Runtime, the dynamic loader and Python at the limit of memory."""


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return not isinstance(error, AssertionError) and bool(_OUT_OF_MEMORY.search(str(error)))


def _limit_memory(memory_bytes: int) -> None:
    if not sys.platform.startswith("linux"):
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    ceiling = pages * resource.getpagesize() + memory_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or ceiling < hard:
        resource.setrlimit(resource.RLIMIT_AS, (ceiling, hard))
