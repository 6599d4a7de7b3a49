"""Parts of a stage: which items they have, and what their locks exclude."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest

from phonics_data.errors import InputError, OptionError, WorkspaceLockedError
from phonics_data.storage import locks
from phonics_data.storage.locks import running_parts
from phonics_data.storage.parts import Part
from phonics_data.storage.workspace import Workspace
from tests.processes import waiting_process

HOLDER = """
import sys
from pathlib import Path
from phonics_data.storage.parts import Part
from phonics_data.storage.workspace import Workspace
part = Part.parse(sys.argv[3]) if sys.argv[3] else None
with Workspace(Path(sys.argv[1])).lock(sys.argv[2], part):
    print("locked", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def held(work: Path, stage: str, part: str) -> Generator[subprocess.Popen[str]]:
    with waiting_process(HOLDER, work, stage, part, says="locked") as process:
        yield process


def test_every_item_is_in_one_part() -> None:
    names = [f"song-{number}" for number in range(2000)]
    parts = [Part(index=index, total=8) for index in range(1, 9)]
    counts = Counter(str(part) for name in names for part in parts if part.has(name))
    assert counts.total() == 2000
    assert min(counts.values()) > 200, "hashes divide evenly"
    assert all(Part(index=1, total=1).has(name) for name in names)


def test_parts_are_the_same_on_all_machines() -> None:
    """Not Python's hash, which differs from process to process: results of SHA-256 that do not change."""
    found = {
        name: next(k for k in range(1, 11) if Part(index=k, total=10).has(name)) for name in ("a", "song-0003", "-_x")
    }
    assert found == {"a": 1, "song-0003": 3, "-_x": 2}


@pytest.mark.parametrize(
    "text", ["0/8", "9/8", "-1/8", "3", "3/", "/8", "3/0", "3:8", "1/1000000", "٣/٨", " 3/8", "3/8/2", "a/b"]
)
def test_other_parts_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r"--part: got .*, allowed: K/N, two whole numbers with 1 <= K <= N"):
        Part.parse(text)


def test_parts_of_one_stage_run_at_the_same_time_and_nothing_else(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    with held(workspace.root, "shard", "1/3") as first, held(workspace.root, "shard", "3/3"):
        with workspace.lock("shard", Part.parse("2/3")):
            pass
        refused = {
            (
                "shard",
                "1/3",
            ): f"part 1/3 of shard is running already \\(process {first.pid} on .*\\); wait until it ends",
            (
                "shard",
                "2/4",
            ): "1 part is running: shard 1/3 .*only parts of one stage with the same N run at the same time",
            ("transcribe", "2/3"): "1 part is running: shard .*start part 2/3 of transcribe again",
            (
                "",
                "",
            ): f"2 parts are running: shard 1/3 \\(process {first.pid} on .*, 3/3 .*; wait until all parts have ended",
        }
        for (stage, part), message in refused.items():
            with (
                pytest.raises(WorkspaceLockedError, match=message),
                workspace.lock(stage, Part.parse(part) if part else None),
            ):
                pass
        assert [(stage, str(part)) for stage, part, _ in running_parts(workspace.root)] == [
            ("shard", "1/3"),
            ("shard", "3/3"),
        ]
    # The locks of killed processes are released.
    with workspace.lock("transcribe", Part.parse("2/3")):
        pass
    assert running_parts(workspace.root) == []
    with workspace.lock():
        pass


def test_no_part_runs_beside_a_command_without_one(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    with (
        held(workspace.root, "", "") as process,
        pytest.raises(
            WorkspaceLockedError, match=f"process {process.pid} on .* is using this workspace, .*part 1/2 again"
        ),
        workspace.lock("shard", Part.parse("1/2")),
    ):
        pass


def test_many_parts_that_start_at_once_all_get_their_locks(tmp_path: Path) -> None:
    """Also the first ones, which create the workspace."""
    program = (
        "import sys; from pathlib import Path\nfrom phonics_data.storage.parts import Part\n"
        "from phonics_data.storage.workspace import Workspace\n"
        "sys.stdin.readline()\n"
        "with Workspace(Path(sys.argv[1])).lock('fetch', Part.parse(sys.argv[2])):\n"
        "    print('locked', flush=True); sys.stdin.readline()\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "work"), f"{k}/12"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for k in range(1, 13)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.stdout.readline() for process in processes if process.stdout is not None]
    assert said == ["locked\n"] * 12
    assert len(running_parts(tmp_path / "work")) == 12
    for process in processes:
        process.communicate("\n")
        assert process.returncode == 0


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of Lustre that is mounted without the option flock; such a file system cannot be made here."""

    def flock(_descriptor: int, _operation: int) -> None:
        raise OSError(38, "Function not implemented")

    workspace = Workspace(tmp_path / "work")
    monkeypatch.setattr(locks.fcntl, "flock", flock)
    with (
        pytest.raises(InputError, match=r"work/.lock: its file system has no locks .*Lustre: the option flock"),
        workspace.lock("shard", Part.parse("1/2")),
    ):
        pass


def test_items_of_an_earlier_layout_are_moved_once(tmp_path: Path) -> None:
    root = tmp_path / "work"
    flat = root / "items" / "transcribe"
    flat.mkdir(parents=True)
    (root / "workspace.json").write_text(json.dumps({"layout_version": 1}))
    (root / "items" / "fetch-run.json").write_text("{}")
    for number in range(300):
        (flat / f"song-{number}.json").write_text(json.dumps({"fingerprint": "f", "outcome": {"kept": [number]}}))
    (flat / ".song-1.12-0123abcd.partial.json").write_text("half")
    ledger = Workspace(root).ledger("transcribe")
    assert len(ledger.item_ids()) == 300
    assert ledger.read("song-299", "f") == {"kept": [299]}
    assert sorted(path.name for path in flat.iterdir() if path.is_file()) == [".song-1.12-0123abcd.partial.json"]
    assert json.loads((root / "workspace.json").read_text()) == {"layout_version": 2}
    assert (root / "items" / "fetch-run.json").exists()
    assert len(Workspace(root).ledger("transcribe").item_ids()) == 300
