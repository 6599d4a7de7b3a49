"""What runs a function on many items: the processes of this machine, or a Ray cluster (`phonics_data.executors.ray_cluster`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from phonics_data.errors import ItemError
from phonics_data.executors.isolated import Limits, map_isolated
from phonics_data.executors.local import map_items

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    def __call__(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        workers: int,
        limits: Callable[[Item], Limits] | None = None,
    ) -> Iterator[tuple[Item, Result | ItemError]]:
        """(item, result) for every item, in the order in which they finish; errors and deaths as in `map_isolated`.

        Args:
            function: importable and picklable.
            workers: number of items processed at the same time on this machine; a cluster decides by itself.
            limits: resource limits of an item, which then runs in a process of its own.
        """
        ...


def on_this_machine(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    limits: Callable[[Item], Limits] | None = None,
) -> Iterator[tuple[Item, Result | ItemError]]:
    """The default `Executor`: `map_items`, or `map_isolated` if there are limits."""
    if limits is None:
        return map_items(function, items, workers=workers)
    return map_isolated(function, items, workers=workers, limits=limits)
