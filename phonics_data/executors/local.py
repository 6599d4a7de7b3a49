"""Map a function over items on this machine, in this process or in several."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from phonics_data.errors import ItemError

Item = TypeVar("Item")
Result = TypeVar("Result")


def _attempt(function: Callable[[Item], Result], item: Item) -> Result | ItemError:
    try:
        return function(item)
    except ItemError as error:
        return error


def map_items(
    function: Callable[[Item], Result], items: Sequence[Item], *, workers: int
) -> Iterator[tuple[Item, Result | ItemError]]:
    """(item, result) for every item, in the order in which they finish.

    An `ItemError` is handed on as the result; any other exception ends the map, for it is a defect of ours.
    A worker process that dies takes only its own item along: that item's result is an `ItemError` with the reason
    ``worker_died``, the others that were under way are done again.

    Args:
        function: with more than one worker it must be importable (a module's function or a `functools.partial`).
        workers: 1 works in this process; more start that many processes.
    """
    if workers <= 1 or len(items) <= 1:
        for item in items:
            yield item, _attempt(function, item)
        return
    left = list(items)
    while left:
        suspects: list[Item] = []
        for item, result in _pool_map(function, left, workers, suspects):
            left.remove(item)
            yield item, result
        # Whoever was under way when a worker died is tried alone, so that the culprit can be told from the rest.
        for item in suspects:
            left.remove(item)
            yield item, _isolated(function, item)


def _pool_map(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, suspects: list[Item]
) -> Iterator[tuple[Item, Result | ItemError]]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(items)), mp_context=context) as pool:
        queue = list(reversed(items))
        running: dict[Future[Result | ItemError], Item] = {}
        try:
            while queue or running:
                # Never more in the pool than it has workers: what is under way is then exactly what may have crashed.
                while queue and len(running) < workers:
                    item = queue.pop()
                    running[pool.submit(_attempt, function, item)] = item
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    yield running.pop(future), result
        except BrokenProcessPool:
            # A pool that breaks before anything ran still has to lose an item, or the caller would never end.
            suspects.extend(running.values() or queue[-1:])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _isolated(function: Callable[[Item], Result], item: Item) -> Result | ItemError:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_attempt, function, item).result()
        except BrokenProcessPool:
            return ItemError(
                "worker_died", "the process that worked on it died; the file may be hostile or memory short"
            )
