"""Output of the commands: progress, counts of stages, tables."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from phonics_data.contract.console import printable, say
from phonics_data.errors import NothingKeptError
from phonics_data.types import StageCount

if TYPE_CHECKING:
    from phonics_data.storage.workspace import Workspace


class OnProgress(Protocol):
    def __call__(self, step: str, done: int, total: int, /) -> None: ...


@contextmanager
def progress() -> Generator[OnProgress]:
    """A callback that displays progress: bars on a terminal, otherwise plain lines every few seconds."""
    if sys.stderr.isatty():
        with _bars() as on_progress:
            yield on_progress
    else:
        yield _PlainLines()


@contextmanager
def _bars() -> Generator[OnProgress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<12}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def on_progress(step: str, done: int, total: int, /) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(printable(step), total=total)
            bars.update(tasks[step], completed=done, total=total)

        yield on_progress


class _PlainLines:
    """For log files: the first and last line of each step, and one line every five seconds."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def __call__(self, step: str, done: int, total: int, /) -> None:
        now = time.monotonic()
        if done in (0, total) or now - self._last.get(step, 0.0) >= 5.0:
            self._last[step] = now
            say(f"{step}: {done}/{total}", err=True)


def stage_line(count: StageCount) -> str:
    """The counts of one stage as one line."""
    reasons = ", ".join(f"{reason} {number}" for reason, number in sorted(count.by_reason.items()))
    return (
        f"{count.stage:<10} {count.num_in} in, {count.num_kept} kept, {count.num_rejected} rejected"
        + (f"; rejections: {reasons}" if reasons else "")
        + (f"; {count.num_skipped} finished before" if count.num_skipped else "")
        + f"  ({count.wall_seconds:.1f} s)"
    )


def print_counts(counts: Iterable[StageCount]) -> None:
    """Print the counts of each stage as soon as they are available."""
    for count in counts:
        say(stage_line(count), *(f"{'':<10} {note}" for note in count.notes))


def require_kept(counts: Iterable[StageCount], workspace: Workspace) -> Iterator[StageCount]:
    """`counts`, up to the first stage that kept nothing; then raises the error of `check_kept`."""
    for count in counts:
        yield count
        check_kept(count, workspace)


def check_kept(count: StageCount, workspace: Workspace) -> None:
    """Check that a stage kept something. What an earlier run kept counts as kept.

    Raises:
        NothingKeptError: the stage kept nothing, and the next one has no other input.
    """
    from phonics_data.stages.pipeline import needs_no_words

    if not count.num_kept and not (count.stage == "transcribe" and needs_no_words(workspace)):
        raise NothingKeptError(_nothing_kept(count, workspace))


def _nothing_kept(count: StageCount, workspace: Workspace) -> str:
    from phonics_data.executors.items import frequent_reasons
    from phonics_data.storage.tables import read_table
    from phonics_data.types import Rejection

    if not count.num_in:
        what = "videos of the manifest are selected (--only, --letters, --tier)"
        return f"{count.stage}: no {what if count.stage == 'fetch' else f'videos in {workspace.root}'}"
    rows = [row for row in read_table(workspace.table("rejections"), Rejection) if row.stage == count.stage]
    first = f"; the first: {rows[0].detail}; reasons: {frequent_reasons(rows)}" if rows else ""
    items = "segments" if count.stage == "shard" else "videos"
    return (
        f"{count.stage}: nothing is kept of {count.num_in} {items}{first}; "
        f"`phonics-data status --work {workspace.root}` counts the reasons and says what to do"
    )


def with_limit_messages(counts: Iterable[StageCount], workspace: Workspace) -> Iterator[StageCount]:
    """`counts`; after that of segment, prints how many letters the limits of length cost."""
    for count in counts:
        yield count
        if count.stage == "segment":
            print_limits(workspace)


def print_limits(workspace: Workspace) -> None:
    """Print how many letters the limits of length cost, from the tables of a workspace."""
    from phonics_data.report.limits import limit_effects, limit_line
    from phonics_data.storage.tables import read_table
    from phonics_data.types import Rejection, Segment

    segments = read_table(workspace.table("segments"), Segment)
    rejections = read_table(workspace.table("rejections"), Rejection)
    if line := limit_line(limit_effects((segment.rule for segment in segments), rejections)):
        say(f"{'':<10} {line}")


def print_dataset(dataset: Path) -> None:
    """Write the dataset's report and print both paths."""
    from phonics_data.report import write_report

    say(f"dataset: {dataset}   page: {write_report(dataset)}")


def print_table(title: str, rows: Sequence[tuple[str, ...]], headings: Sequence[str] = ()) -> None:
    """Print a table; without a terminal, as plain text."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(printable(title)), title_justify="left", box=box.SIMPLE, show_header=bool(headings))
    for heading in headings or rows[0]:
        table.add_column(Text(heading) if headings else "", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    # Wrapped paths cannot be copied, so lines are long if there is no terminal.
    console = Console() if sys.stdout.isatty() else Console(width=160)
    console.print(table)
