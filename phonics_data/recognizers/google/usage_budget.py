"""Accounting of the audio that was sent to Google from one workspace, with a limit."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from phonics_data.contract.untrusted import number_of_json, parse_json_object
from phonics_data.errors import EnginePausedError


class UsageBudget:
    """Counts the seconds of audio that were sent, in a JSON Lines file.

    Several processes can share it. A request is reserved before it is sent, so that a crash cannot lose it, and released
    if Google rejects it.

    Args:
        path: the file; created with its first line.
        max_minutes: upper limit of the total.
    """

    def __init__(self, path: Path, *, max_minutes: float) -> None:
        self._path = path
        self._max_minutes = max_minutes

    def sent_seconds(self) -> float:
        """Total of all runs so far."""
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return 0.0
        return sum(_seconds(line) for line in lines)

    def reserve(self, seconds: float, request: str) -> None:
        """Count `seconds` for `request`.

        Raises:
            EnginePausedError: the total would exceed the limit; nothing is counted.
        """
        import filelock

        self._path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self._path.with_suffix(".lock")):
            sent = self.sent_seconds()
            if sent + seconds > self._max_minutes * 60:
                raise EnginePausedError(
                    f"Google: {sent / 60:.1f} minutes were sent from this folder, {seconds / 60:.1f} more would exceed "
                    f"--max-minutes {self._max_minutes:g}; increase it to continue"
                )
            self._append(seconds, request)

    def release(self, seconds: float, request: str) -> None:
        """Undo the reservation of a rejected `request`, which is not billed."""
        import filelock

        with filelock.FileLock(self._path.with_suffix(".lock")):
            self._append(-seconds, request)

    def _append(self, seconds: float, request: str) -> None:
        line = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "seconds": round(seconds, 3), "what": request}
        with self._path.open("a+b") as file:
            # After a line that a crash has truncated, the new one would be unreadable as well.
            is_truncated = file.seek(0, os.SEEK_END) > 0 and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n"
            file.write(b"\n" * is_truncated + json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())  # what was sent is billed


def _seconds(line: str) -> float:
    try:
        return number_of_json(parse_json_object(line)["seconds"])
    except (ValueError, KeyError):
        return 0.0  # a line truncated by a crash
