"""Time of listing and reading the finished items of a large workspace."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.memory import peak_bytes
from phonics_data.contract.files import remove_leftovers
from phonics_data.storage.workspace import Workspace, json_bytes

MAX_LIST_SECONDS_PER_MILLION = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemCost:
    """Seconds of wall clock for all items; of processor time (user and system) where the name says so."""

    num_items: int
    write_seconds: float
    """Of plain writes, without waiting for the disk."""
    list_seconds: float
    list_cpu_seconds: float
    read_seconds: float
    read_cpu_seconds: float
    leftovers_seconds: float
    """Of the search for incomplete files at the start of a command without ``--part``."""
    peak_bytes: int

    @property
    def within_limits(self) -> bool:
        return self.list_seconds <= MAX_LIST_SECONDS_PER_MILLION * max(1.0, self.num_items / 1e6)


def measure_items(folder: Path, num_items: int) -> ItemCost:
    """Write, list and read `num_items` finished items in a new workspace at `folder`; its files are left there."""
    ledger = Workspace(folder).ledger("transcribe")
    entry = json_bytes({"fingerprint": "0" * 16, "outcome": {"kept": [], "rejections": []}}, indent=None)
    names = [f"video-{number:07d}" for number in range(num_items)]
    started = time.monotonic()
    for number in range(256):
        (ledger.folder / f"{number:02x}").mkdir(parents=True)
    for name in names:
        ledger.path(name).write_bytes(entry)
    written, written_cpu = time.monotonic(), time.process_time()
    assert ledger.item_ids() == names
    listed, listed_cpu = time.monotonic(), time.process_time()
    assert all(ledger.read(name, "0" * 16) is not None for name in names)
    read, read_cpu = time.monotonic(), time.process_time()
    remove_leftovers(folder)
    return ItemCost(
        num_items=num_items,
        write_seconds=written - started,
        list_seconds=listed - written,
        list_cpu_seconds=listed_cpu - written_cpu,
        read_seconds=read - listed,
        read_cpu_seconds=read_cpu - listed_cpu,
        leftovers_seconds=time.monotonic() - read,
        peak_bytes=peak_bytes(),
    )
