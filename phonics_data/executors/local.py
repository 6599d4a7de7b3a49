"""Map a function over items in this process or in several processes of this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from phonics_data.errors import ItemError, WorkerDiedError
from phonics_data.executors.isolated import NUM_REPEATS, interrupts_blocked

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
    queue = list(reversed(items))
    running: dict[Future[Result | ItemError], Item] = {}
    try:
        with _pool(min(workers, len(items))) as pool:
            while queue or running:
                # At most one item for each worker: if the pool breaks, the suspects are exactly the running items.
                while queue and len(running) < workers:
                    running[_submit(pool, function, queue[-1])] = queue[-1]
                    queue.pop()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    yield running.pop(future), result
    except BrokenProcessPool:
        # If nothing ran, one queued item becomes the suspect, else the caller would loop forever.
        suspects.extend(running.values() or queue[-1:])


@contextmanager
def _pool(workers: int) -> Generator[ProcessPoolExecutor]:
    """A pool of new processes. If the block is left by an error or a signal, they are killed."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _initialize_worker, (os.getpid(),)) as pool:
        try:
            yield pool
        except BaseException:
            # Their results are lost anyway, and an item can take minutes.
            for process in list(cast("dict[int, Any]", cast("Any", pool)._processes or {}).values()):
                process.kill()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _submit(pool: ProcessPoolExecutor, function: Callable[[Item], Result], item: Item) -> Future[Result | ItemError]:
    try:
        with interrupts_blocked():  # the pool starts its processes here
            return pool.submit(_call, function, item)
    except OSError as error:  # it has started a process, and that one or another one died meanwhile
        raise BrokenProcessPool("a worker died while another one was started") from error


def _initialize_worker(parent: int) -> None:
    """The worker ends with its parent."""
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_SECONDS)
    os._exit(1)


def _call_alone(function: Callable[[Item], Result], item: Item) -> Result | ItemError:
    for _ in range(NUM_REPEATS):
        with contextlib.suppress(BrokenProcessPool), _pool(1) as pool:
            return _submit(pool, function, item).result()
    return WorkerDiedError(
        "worker_died", "its worker process died, also alone; the file may be malicious, or the machine out of memory"
    )
