"""Runner of a stage: processes its unfinished items, records each outcome in the ledger, and counts all outcomes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar, cast, get_args

from phonics_data.contract.console import printable
from phonics_data.contract.records import from_plain, to_plain
from phonics_data.errors import ItemError, WorkerDiedError
from phonics_data.executors.executor import Executor, on_this_machine
from phonics_data.executors.isolated import Limits
from phonics_data.storage.parts import Part
from phonics_data.storage.public_text import without_secrets
from phonics_data.storage.tables import read_table, write_table
from phonics_data.storage.workspace import Ledger, Workspace
from phonics_data.types import Reason, Rejection, Stage, StageCount

Task = TypeVar("Task")
Record = TypeVar("Record")

OnProgress = Callable[[str, int, int], None]
"""(stage, finished items, all items): called once at the start and after every item."""


_DIED = "the processes of {} items died, also when they were repeated alone; the next run tries them again"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome(Generic[Record]):
    """The records of one item, and its rejections."""

    kept: tuple[Record, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    is_temporary: bool = False
    """Valid for this run only, e.g. because a service was not available; the next run processes the item again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageResult(Generic[Record]):
    """The outcomes of all items, of this run and of earlier ones, in the order of the items."""

    kept: list[Record]
    rejections: list[Rejection]
    count: StageCount


def run_items(
    workspace: Workspace,
    stage: Stage,
    tasks: Mapping[str, Task],
    fingerprints: Mapping[str, str],
    function: Callable[[Task], Outcome[Record]],
    record_type: type[Record],
    *,
    workers: int = 1,
    limits: Callable[[Task], Limits] | None = None,
    on_progress: OnProgress | None = None,
    executor: Executor = on_this_machine,
    is_lost: Callable[[str, Outcome[Record]], bool] | None = None,
    before: Callable[[Sequence[Task]], None] | None = None,
) -> StageResult[Record]:
    """Process every unfinished task, record its outcome, and return the outcomes of all tasks. Each entry of the ledger is read once.

    Args:
        tasks: item id -> argument of `function`; picklable when ``workers > 1``.
        fingerprints: item id -> fingerprint of the item's inputs and options; a finished item with another fingerprint
            is processed again.
        function: returns the `Outcome` of one task; an `ItemError` becomes a rejection of the whole item.
        record_type: type of the elements of `Outcome.kept`.
        limits: resource limits of a task; each task then runs in its own process, even with one worker. For tasks that
            open untrusted files.
        is_lost: whether the files of a finished item are missing, by its id and outcome; it is then processed again.
        before: called with the unfinished tasks, if there are any, before the first one is processed.
    """
    started = time.monotonic()
    ledger = workspace.ledger(stage)
    finished = {
        item: outcome
        for item in tasks
        if (outcome := finished_outcome(ledger, item, record_type, fingerprints[item])) is not None
        and not (is_lost and is_lost(item, outcome))
    }
    todo = [item for item in tasks if item not in finished]
    if before and todo:
        before([tasks[item] for item in todo])
    num_skipped = len(tasks) - len(todo)
    num_done = num_skipped
    if on_progress:
        on_progress(stage, num_done, len(tasks))
    call = cast("Callable[[tuple[str, Task]], Outcome[Record]]", partial(_call_with_task, function))
    pairs = [(item, tasks[item]) for item in todo]
    num_died = 0
    pair_limits = None if limits is None else (lambda pair: limits(pair[1]))
    for (item, _), result in executor(call, pairs, workers=workers, limits=pair_limits):
        outcome = rejected(stage, item, result) if isinstance(result, ItemError) else result
        num_died += isinstance(result, WorkerDiedError)
        # A process that died can have been ended by the system: the item is never finished by that.
        if not (outcome.is_temporary or isinstance(result, WorkerDiedError)):
            ledger.write(item, fingerprints[item], to_plain(outcome))
        finished[item] = outcome
        num_done += 1
        if on_progress:
            on_progress(stage, num_done, len(tasks))
    kept: list[Record] = []
    rejections: list[Rejection] = []
    num_kept_items = 0
    for item in tasks:
        outcome = finished[item]
        num_kept_items += bool(outcome.kept)
        kept.extend(outcome.kept)
        rejections.extend(outcome.rejections)
    count = StageCount(
        stage=stage,
        num_in=len(tasks),
        num_kept=num_kept_items,
        num_rejected=len(tasks) - num_kept_items,
        num_skipped=num_skipped,
        by_reason=dict(Counter(rejection.reason for rejection in rejections)),
        wall_seconds=time.monotonic() - started,
        notes=(_DIED.format(num_died),) if num_died else (),
    )
    return StageResult(kept=kept, rejections=rejections, count=count)


def count_of_part(count: StageCount, part: Part) -> StageCount:
    """`count` with a note that the tables are not written yet."""
    note = f"part {part}: no table is written; when all parts have ended, run the same command without --part"
    return replace(count, notes=(*count.notes, note))


def finished_outcome(
    ledger: Ledger, item: str, record_type: type[Record], fingerprint: str | None = None
) -> Outcome[Record] | None:
    """The outcome of a finished item; None if it is not finished, or if its entry in the ledger is damaged.

    Args:
        fingerprint: as in `Ledger.read`.
    """
    entry = ledger.read(item, fingerprint)
    if entry is None:
        return None
    try:
        return Outcome(
            kept=tuple(from_plain(record_type, row) for row in entry["kept"]),
            rejections=tuple(from_plain(Rejection, row) for row in entry["rejections"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _call_with_task(function: Callable[[Task], Outcome[Record]], pair: tuple[str, Task]) -> Outcome[Record]:
    """`function` on an (item id, task) pair; at module level, so that it can be pickled."""
    return function(pair[1])


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
                detail=printable(without_secrets(error.detail)),
            ),
        )
    )


def frequent_reasons(rejections: Iterable[Rejection], most: int = 5) -> str:
    """The most frequent reasons with their numbers, such as ``low_confidence 12, black 1``."""
    counts = Counter(str(row.reason) for row in rejections)
    found = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{reason} {number}" for reason, number in found[:most]) + (", ..." if len(found) > most else "")


def write_rejections(workspace: Workspace, stage: Stage, rejections: Sequence[Rejection]) -> None:
    """Replace the rejections of `stage` in rejections.parquet."""
    path = workspace.table("rejections")
    existing = read_table(path, Rejection) if path.exists() else []
    rows = [row for row in existing if row.stage != stage] + list(rejections)
    order = {name: place for place, name in enumerate(get_args(Stage))}
    rows.sort(key=lambda row: (order.get(row.stage, len(order)), row.item_id, row.reason))
    write_table(path, Rejection, rows)
