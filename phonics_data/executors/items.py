"""Run one stage over its items: skip what is finished, do the rest, mark each as it ends, count everything."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from phonics_data.errors import ItemError
from phonics_data.executors.isolated import Limits, map_isolated
from phonics_data.executors.local import map_items
from phonics_data.storage.tables import from_plain, read_table, to_plain, write_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import Reason, Rejection, Stage, StageCount

Task = TypeVar("Task")
Record = TypeVar("Record")

OnProgress = Callable[[str, int, int], None]
"""(stage, items done, items in all): called once at the start and after every item."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome(Generic[Record]):
    """What became of one item: the records that it gave, and what was left out of it."""

    kept: tuple[Record, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    again: bool = False
    """Whether this stands for this run alone, and the next one does the item anew: what it needed was not to be had now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageResult(Generic[Record]):
    """All outcomes of one run of a stage, new and from before, in the order of the items."""

    kept: list[Record]
    rejections: list[Rejection]
    count: StageCount


def run_items(
    workspace: Workspace,
    stage: Stage,
    tasks: Mapping[str, Task],
    content_hashes: Mapping[str, str],
    function: Callable[[Task], Outcome[Record]],
    record_type: type[Record],
    *,
    workers: int = 1,
    limits: Callable[[Task], Limits] | None = None,
    on_progress: OnProgress | None = None,
) -> StageResult[Record]:
    """Do every task that is not finished, mark it, and gather all outcomes.

    Args:
        tasks: item id -> what `function` needs; picklable when ``workers > 1``.
        fingerprints: item id -> name of the item's inputs and options; a finished item of another fingerprint is done
            again.
        function: one task -> its `Outcome`; an `ItemError` becomes a rejection of the whole item.
        record_type: what `Outcome.kept` holds.
        limits: what a task may use; each task then runs in a process of its own, even with one worker. For tasks that
            open files of strangers.
    """
    started = time.monotonic()
    ledger = workspace.ledger(stage)
    todo = [item for item in tasks if ledger.read(item, content_hashes[item]) is None]
    num_skipped = len(tasks) - len(todo)
    done = num_skipped
    if on_progress:
        on_progress(stage, done, len(tasks))
    by_task = _Numbered(function)
    numbered = [(item, tasks[item]) for item in todo]
    unfinished: dict[str, dict[str, Any]] = {}
    results = (
        map_items(by_task, numbered, workers=workers)
        if limits is None
        else map_isolated(by_task, numbered, workers=workers, limits=lambda pair: limits(pair[1]))
    )
    for (item, _), result in results:
        outcome = rejected(stage, item, result) if isinstance(result, ItemError) else result
        if outcome.again:
            unfinished[item] = to_plain(outcome)
        else:
            ledger.write(item, content_hashes[item], to_plain(outcome))
        done += 1
        if on_progress:
            on_progress(stage, done, len(tasks))
    kept: list[Record] = []
    rejections: list[Rejection] = []
    num_kept_items = 0
    for item in tasks:
        outcome = unfinished.get(item) or ledger.read(item, content_hashes[item])
        assert outcome is not None, item
        rows = cast("Sequence[Mapping[str, Any]]", outcome["kept"])
        num_kept_items += bool(rows)
        kept.extend(from_plain(record_type, row) for row in rows)
        rejections.extend(from_plain(Rejection, row) for row in outcome["rejections"])
    count = StageCount(
        stage=stage,
        num_in=len(tasks),
        num_kept=num_kept_items,
        num_rejected=len(tasks) - num_kept_items,
        num_skipped=num_skipped,
        by_reason=dict(Counter(rejection.reason for rejection in rejections)),
        wall_seconds=time.monotonic() - started,
    )
    return StageResult(kept=kept, rejections=rejections, count=count)


class _Numbered(Generic[Task, Record]):
    """`function` on (item id, task) pairs; a class, since a closure cannot travel to another process."""

    def __init__(self, function: Callable[[Task], Outcome[Record]]) -> None:
        self.function = function

    def __call__(self, numbered: tuple[str, Task]) -> Outcome[Record]:
        return self.function(numbered[1])


def rejected(stage: Stage, item_id: str, error: ItemError) -> Outcome[Any]:
    """The outcome of an item that failed as a whole."""
    return Outcome(
        rejections=(
            Rejection(
                stage=stage,
                item_id=item_id,
                reason=cast("Reason", error.reason),
                measured=error.measured,
                threshold=error.threshold,
                detail=error.detail,
            ),
        )
    )


def write_rejections(workspace: Workspace, stage: Stage, rejections: Sequence[Rejection]) -> None:
    """Put this run's rejections of `stage` into rejections.parquet in the place of its earlier ones."""
    path = workspace.table("rejections")
    earlier = read_table(path, Rejection) if path.exists() else []
    rows = [row for row in earlier if row.stage != stage] + list(rejections)
    order = {"fetch": 0, "transcribe": 1, "segment": 2, "shard": 3}
    rows.sort(key=lambda row: (order[row.stage], row.item_id, row.reason))
    write_table(path, Rejection, rows)
