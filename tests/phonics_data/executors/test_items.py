from __future__ import annotations

import os
import signal
from pathlib import Path

from phonics_data.errors import MediaError
from phonics_data.executors.isolated import Limits
from phonics_data.executors.items import Outcome, run_items, write_rejections
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import Rejection, Word


class RecordingFunction:
    """The function of a stage; records its arguments."""

    def __init__(self) -> None:
        self.tasks: list[int] = []

    def __call__(self, task: int) -> Outcome[Word]:
        self.tasks.append(task)
        if task < 0:
            raise MediaError("not_a_video", f"{task} is below zero", measured=float(task), threshold=0.0)
        return Outcome(kept=(Word(text=str(task), start_seconds=0.5, end_seconds=task + 1.0),))


def run(workspace: Workspace, work: RecordingFunction, tasks: dict[str, int], option: str = "a", **more: object):
    return run_items(workspace, "segment", tasks, dict.fromkeys(tasks, option), work, Word, **more)


def test_finished_items_are_skipped_and_their_records_returned(tmp_path: Path) -> None:
    workspace, tasks = Workspace(tmp_path / "work"), {"a": 1, "b": -1, "c": 2}
    first, second, other = RecordingFunction(), RecordingFunction(), RecordingFunction()
    result = run(workspace, first, tasks)
    assert [word.text for word in result.kept] == ["1", "2"]
    assert result.rejections == [
        Rejection(
            stage="segment", item_id="b", reason="not_a_video", measured=-1.0, threshold=0.0, detail="-1 is below zero"
        )
    ]
    assert (result.count.num_in, result.count.num_kept, result.count.num_rejected) == (3, 2, 1)
    assert (result.count.num_skipped, result.count.by_reason) == (0, {"not_a_video": 1})

    repeated = run(workspace, second, {**tasks, "d": 3})
    assert second.tasks == [3]
    assert [word.text for word in repeated.kept] == ["1", "2", "3"]
    assert repeated.rejections == result.rejections
    assert repeated.count.num_skipped == 3

    run(workspace, other, tasks, option="b")
    assert other.tasks == [1, -1, 2]


def test_temporary_outcomes_are_processed_again_by_the_next_run(tmp_path: Path) -> None:
    workspace, calls = Workspace(tmp_path / "work"), list[int]()

    def paused(task: int) -> Outcome[Word]:
        calls.append(task)
        return Outcome(kept=(Word(text=str(task), start_seconds=0.5, end_seconds=1.0),), is_temporary=task == 2)

    for num_skipped in (0, 1):
        result = run_items(workspace, "segment", {"a": 1, "b": 2}, dict.fromkeys("ab", "x"), paused, Word)
        assert [word.text for word in result.kept] == ["1", "2"]
        assert (result.count.num_kept, result.count.num_skipped) == (2, num_skipped)
    assert calls == [1, 2, 2]


def die_once(path: Path) -> Outcome[Word]:
    if not path.exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome(kept=(Word(text="a", start_seconds=0.5, end_seconds=1.0),))


def test_item_whose_process_died_is_counted_and_never_finished(tmp_path: Path) -> None:
    workspace, path = Workspace(tmp_path / "work"), tmp_path / "memory is free"

    def run_once():
        return run_items(
            workspace, "segment", {"a": path}, {"a": "x"}, die_once, Word, limits=lambda _: Limits(seconds=60)
        )

    died = run_once()
    assert (died.count.num_kept, died.count.by_reason) == (0, {"worker_died": 1})
    assert "the processes of 1 items died" in died.count.notes[0]
    path.touch()
    again = run_once()
    assert (again.count.num_kept, again.count.num_skipped, again.rejections) == (1, 0, [])


def test_progress_starts_with_finished_items(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    run(workspace, RecordingFunction(), {"a": 1})
    events: list[tuple[str, int, int]] = []
    run(workspace, RecordingFunction(), {"a": 1, "b": 2}, on_progress=lambda *event: events.append(event))
    assert events == [("segment", 1, 2), ("segment", 2, 2)]


def test_write_rejections_replaces_those_of_one_stage(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    fetch = Rejection(stage="fetch", item_id="z", reason="gone")
    old = Rejection(stage="segment", item_id="a", reason="too_short", measured=3.0, threshold=14.0)
    new = Rejection(stage="segment", item_id="b", reason="no_letters")
    write_rejections(workspace, "fetch", [fetch])
    write_rejections(workspace, "segment", [old])
    write_rejections(workspace, "segment", [new])
    assert read_table(workspace.table("rejections"), Rejection) == [fetch, new]
