"""The benchmark writes, lists and reads as many items as it says."""

from __future__ import annotations

from pathlib import Path

from benchmarks.workspace_items import measure_items
from phonics_data.storage.workspace import Workspace


def test_all_items_are_found(tmp_path: Path) -> None:
    found = measure_items(tmp_path / "work", 500)
    assert found.within_limits
    assert found.num_items == len(Workspace(tmp_path / "work").ledger("transcribe").item_ids()) == 500
