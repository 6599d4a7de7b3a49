"""What a person sees while a command runs: progress, stage counts, tables. Numbers come in as arguments."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Protocol

from phonics_data.types import StageCount


class OnProgress(Protocol):
    def __call__(self, step: str, done: int, total: int, /) -> None: ...


@contextmanager
def progress() -> Generator[OnProgress]:
    """A callback that shows how far each step is: bars on a terminal, a plain line every few seconds elsewhere."""
    if sys.stderr.isatty():
        with _bars() as on_progress:
            yield on_progress
    else:
        yield _PlainLines()


@contextmanager
def _bars() -> Generator[OnProgress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def on_progress(step: str, done: int, total: int, /) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        yield on_progress


class _PlainLines:
    """For log files: the first, the last, and otherwise a line every five seconds."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def __call__(self, step: str, done: int, total: int, /) -> None:
        now = time.monotonic()
        if done in (0, total) or now - self._last.get(step, 0.0) >= 5.0:
            self._last[step] = now
            print(f"{step}: {done}/{total}", file=sys.stderr, flush=True)  # noqa: T201 - this is the console


def stage_line(count: StageCount) -> str:
    """One line for one stage: in, kept, rejected with reasons, what an earlier run had finished, seconds."""
    reasons = ", ".join(f"{reason} {number}" for reason, number in sorted(count.by_reason.items()))
    return (
        f"{count.stage:<10} {count.num_in} in, {count.num_kept} kept, {count.num_rejected} rejected"
        + (f"; rejections: {reasons}" if reasons else "")
        + (f"; {count.num_skipped} finished before" if count.num_skipped else "")
        + f"  ({count.wall_seconds:.1f} s)"
    )


def print_table(title: str, rows: Sequence[tuple[str, ...]], headings: Sequence[str] = ()) -> None:
    """A small table on standard output; plain text where it is no terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=box.SIMPLE, show_header=bool(headings))
    for heading in headings or rows[0]:
        table.add_column(heading if headings else "", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    # A path that is wrapped cannot be copied: outside a terminal nothing is.
    console = Console() if sys.stdout.isatty() else Console(width=160)
    console.print(table)
