from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from phonics_data.errors import InputError, WorkspaceLockedError
from phonics_data.storage.workspace import Workspace, fingerprint


def test_fingerprint_is_equal_for_equal_parts_only() -> None:
    assert fingerprint({"b": 1, "a": [1, 2]}) == fingerprint({"a": [1, 2], "b": 1})
    assert fingerprint({"a": [1, 2]}) != fingerprint({"a": [2, 1]})
    assert fingerprint("1") != fingerprint(1)


def test_ledger_returns_an_outcome_only_for_its_fingerprint(tmp_path: Path) -> None:
    ledger = Workspace(tmp_path / "work").ledger("fetch")
    assert ledger.read("v1", "f") is None
    ledger.write("v1", "f", {"kept": [1]})
    assert ledger.read("v1", "f") == {"kept": [1]}
    assert ledger.read("v1") == {"kept": [1]}
    assert ledger.read("v1", "g") is None
    assert ledger.item_ids() == ["v1"]
    ledger.forget("v1")
    assert ledger.read("v1") is None


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b'{"fingerprint": "f"}', b"\xff\xfe"])
def test_invalid_item_file_means_not_finished(tmp_path: Path, broken: bytes) -> None:
    ledger = Workspace(tmp_path / "work").ledger("fetch")
    ledger.write("v1", "f", {})
    ledger.path("v1").write_bytes(broken)
    assert ledger.read("v1", "f") is None


def test_lock_error_names_the_process_that_has_the_lock(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    code = (
        "import sys; from pathlib import Path; from phonics_data.storage.workspace import Workspace\n"
        "with Workspace(Path(sys.argv[1])).lock(): print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "work")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder:
        try:
            assert holder.stdout.readline() == "held\n"
            with (
                pytest.raises(WorkspaceLockedError, match=f"process {holder.pid} on .* is using this workspace"),
                workspace.lock(),
            ):
                pass
        finally:
            holder.kill()
    with workspace.lock():  # the lock of a killed process is released
        pass


def test_folders_with_other_files_or_versions_are_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="contains other files"):
        Workspace(tmp_path)
    with pytest.raises(InputError, match="no workspace here; run `phonics-data fetch"):
        Workspace(tmp_path / "nowhere", must_exist=True)
    with pytest.raises(InputError, match="is a file"):
        Workspace(tmp_path / "holiday.jpg")
    work = Workspace(tmp_path / "work").root
    (work / "workspace.json").write_text(json.dumps({"layout_version": 99}))
    with pytest.raises(InputError, match="layout version 99"):
        Workspace(work)
