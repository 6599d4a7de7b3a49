"""The log file of the stage: the messages of yt-dlp, without secrets."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

from phonics_data.contract.console import printable
from phonics_data.stages.fetch.redaction import Redactor

MAX_BYTES = 20_000_000
"""A longer log is renamed to ``<name>.1`` when the next run starts."""


class RunLog:
    """Lines with time and video id, appended to `path`. Thread-safe."""

    def __init__(self, path: Path, redactor: Redactor) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > MAX_BYTES:
            path.replace(path.with_name(f"{path.name}.1"))
        self._redactor = redactor
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8", errors="replace", buffering=1)

    def write(self, video_id: str, text: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        lines = self._redactor.redact(text).splitlines()
        with self._lock:
            if not self._file.closed:  # a worker thread can outlive the run
                self._file.writelines(f"{now} {printable(video_id) or '-'} {printable(line)}\n" for line in lines)

    def close(self) -> None:
        with self._lock:
            self._file.close()
