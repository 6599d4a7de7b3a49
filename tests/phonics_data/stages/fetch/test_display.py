"""Displays of a run: bars, lines, JSON."""

from __future__ import annotations

import io
import json

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from phonics_data.stages.fetch.display import Bars, JsonLines, PlainLines
from phonics_data.stages.fetch.progress import FetchProgress


def report_one_run(progress: FetchProgress) -> None:
    progress.run_started(3, 1)
    progress.video_started("a")
    progress.bytes_received("a", 500, 1000, 250.0)
    progress.bytes_received("a", 510, 1000, 250.0)
    progress.video_finished("a", "ok", "")
    progress.waiting("b", 1.0, "between two videos")
    progress.video_started("b")
    progress.waiting("b", 60.0, "before the next try")
    progress.video_finished("b", "blocked", "HTTP Error 429")
    progress.run_stopped("too many requests")


def test_plain_lines() -> None:
    out = io.StringIO()
    report_one_run(PlainLines(out))
    assert out.getvalue().splitlines() == [
        "fetch: 3 videos, 1 finished before",
        "fetch: 2/3 a ok",
        "fetch: b waits 60 s before the next try",
        "fetch: 3/3 b blocked: HTTP Error 429",
        "fetch: stopped: too many requests",
    ]


def test_json_lines_report_bytes_at_most_twice_a_second() -> None:
    out = io.StringIO()
    report_one_run(JsonLines(out))
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [event["event"] for event in events] == [
        "began", "started", "moved", "ended", "waits", "started", "waits", "ended", "stopped",
    ]  # fmt: skip
    assert events[2] == {
        "event": "moved",
        "video_id": "a",
        "num_bytes": 500,
        "total_bytes": 1000,
        "bytes_per_second": 250.0,
    }


def test_bars_are_removed_and_failures_stay() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"))
    with Progress(*columns, console=console, auto_refresh=False) as progress:
        report_one_run(Bars(progress))
        assert [task.description for task in progress.tasks] == ["all videos"]
        assert (progress.tasks[0].completed, progress.tasks[0].total) == (3, 3)
    assert "b blocked: HTTP Error 429" in out.getvalue()
    assert "stopped: too many requests" in out.getvalue()
