"""Map a function over items in this process or in several processes of this machine."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from phonics_data.errors import ItemError

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
    # Ctrl-C ends a worker without a traceback.
    on_sigint = (signal.SIGINT, signal.SIG_DFL)
    with ProcessPoolExecutor(min(workers, len(items)), context, signal.signal, on_sigint) as pool:
        queue = list(reversed(items))
        running: dict[Future[Result | ItemError], Item] = {}
        try:
            while queue or running:
                # At most one item for each worker: if the pool breaks, the suspects are exactly the running items.
                while queue and len(running) < workers:
                    item = queue.pop()
                    running[pool.submit(_call, function, item)] = item
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    yield running.pop(future), result
        except BrokenProcessPool:
            # If nothing ran, one queued item becomes the suspect, else the caller would loop forever.
            suspects.extend(running.values() or queue[-1:])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _call_alone(function: Callable[[Item], Result], item: Item) -> Result | ItemError:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_call, function, item).result()
        except BrokenProcessPool:
            return ItemError(
                "worker_died", "its worker process died; the file may be malicious, or the machine out of memory"
            )
