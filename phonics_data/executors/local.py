"""Map a function over items in this process or in several processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar, cast

from phonics_data.errors import ItemError, WorkerDiedError
from phonics_data.executors.isolated import NUM_REPEATS

_PARENT_CHECK_SECONDS = 1.0

Item = TypeVar("Item")
Result = TypeVar("Result")


def _call(function: Callable[[Item], Result], item: Item) -> Result | ItemError:
    try:
        return function(item)
    except ItemError as error:
        return error


def map_items(
    function: Callable[[Item], Result], items: Sequence[Item], *, workers: int
) -> Iterator[tuple[Item, Result | ItemError]]:
    """(item, result) for every item, in the order in which they finish.

    - An `ItemError` is returned as the result. Any other exception is a defect of the program and ends the map.
    - If a worker process dies, the result of its item is an `ItemError` with the reason ``worker_died``; the other
      items in progress are repeated.

    Args:
        function: with more than one worker it must be importable (a module's function or a `functools.partial`).
        workers: 1 works in this process; more start that many processes.
    """
    if workers <= 1 or len(items) <= 1:
        for item in items:
            yield item, _call(function, item)
        return
    remaining = list(items)
    while remaining:
        suspects: list[Item] = []
        for item, result in _map_in_pool(function, remaining, workers, suspects):
            remaining.remove(item)
            yield item, result
        # One of the items in progress has killed its worker: each runs in its own pool, to find which one.
        for item in suspects:
            remaining.remove(item)
            yield item, _call_alone(function, item)


def _map_in_pool(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, suspects: list[Item]
) -> Iterator[tuple[Item, Result | ItemError]]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(items)), context, _initialize_worker, (os.getpid(),)) as pool:
        queue = list(reversed(items))
        running: dict[Future[Result | ItemError], Item] = {}
        try:
            while queue or running:
                # At most one item for each worker: if the pool breaks, the suspects are exactly the running items.
                while queue and len(running) < workers:
                    item = queue.pop()
                    running[_submit(pool, function, item)] = item
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    yield running.pop(future), result
        except BrokenProcessPool:
            # If nothing ran, one queued item becomes the suspect, else the caller would loop forever.
            suspects.extend(running.values() or queue[-1:])
            # The executor waits for ever for a process that it was starting when another one died.
            for process in list(cast("dict[int, Any]", cast("Any", pool)._processes or {}).values()):
                process.kill()
        except BaseException:
            # Their results are lost anyway, and an item can take minutes.
            for process in list(cast("dict[int, Any]", cast("Any", pool)._processes or {}).values()):
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _submit(pool: ProcessPoolExecutor, function: Callable[[Item], Result], item: Item) -> Future[Result | ItemError]:
    try:
        return pool.submit(_call, function, item)
    except OSError as error:  # it has started a process, and that one or another one died meanwhile
        raise BrokenProcessPool("a worker died while another one was started") from error


def _initialize_worker(parent: int) -> None:
    """Ctrl-C and SIGTERM end a worker without a traceback, and it ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_SECONDS)
    os._exit(1)


def _call_alone(function: Callable[[Item], Result], item: Item) -> Result | ItemError:
    context = multiprocessing.get_context("spawn")
    for _ in range(NUM_REPEATS):
        with ProcessPoolExecutor(1, context, _initialize_worker, (os.getpid(),)) as pool:
            try:
                return _submit(pool, function, item).result()
            except BrokenProcessPool:
                continue
    return WorkerDiedError(
        "worker_died", "its worker process died, also alone; the file may be malicious, or the machine out of memory"
    )
