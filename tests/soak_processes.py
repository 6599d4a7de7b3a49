"""One run of the command in the soak test, and its processes, as ``/proc`` shows them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

MAX_RUN_SECONDS = 400.0
TOKEN = "SOAK_RUN"
"""Environment variable that marks all processes of one run."""


@dataclass
class Build:
    """One run of the command `build`."""

    process: subprocess.Popen[str]
    token: str
    begun: dict[str, threading.Event]
    """Set when the stage has begun."""
    stderr: list[str] = field(default_factory=list[str])
    reader: threading.Thread | None = None
    """Reads the messages of the process."""

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def wait_for(self, stage: str) -> None:
        """Wait until the stage begins, or until the process ends."""
        deadline = time.monotonic() + MAX_RUN_SECONDS
        while not self.begun[stage].wait(0.02) and self.is_running and time.monotonic() < deadline:
            pass

    def workers(self) -> list[int]:
        """Its running descendants that work on items, or are started for that."""
        pids = _descendants(self.process.pid)
        return [pid for pid in pids if re.search(r"worker_main|spawn_main|ffmpeg", command_line(pid))]

    def leftover_processes(self) -> list[int]:
        """Processes of this run, also those that no longer have a parent."""
        mark = f"{TOKEN}={self.token}\0".encode()
        return [pid for pid in _pids() if mark in _read(f"/proc/{pid}/environ") + b"\0" and _state(pid) != "Z"]


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _state(pid: int) -> str:
    return _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[:1][0].decode() if _read(f"/proc/{pid}/stat") else "Z"


def command_line(pid: int) -> str:
    return _read(f"/proc/{pid}/cmdline").decode(errors="replace")


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for one in _pids():
        fields = _read(f"/proc/{one}/stat").rpartition(b")")[2].split()
        if len(fields) > 1:
            children.setdefault(int(fields[1]), []).append(one)
    found, todo = list[int](), [pid]
    while todo:
        of_one = children.get(todo.pop(), [])
        found += of_one
        todo += of_one
    return found


def send_signal(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
