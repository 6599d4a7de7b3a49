"""What was sent to Google from one working folder, and how much more may be."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from phonics_data.errors import EnginePausedError


class UsageBudget:
    """Counts the seconds of sound that were sent, in a file that a person can read: one JSON object a line.

    Several processes may share it. A request counts before it is made, so that a crash never hides one; it is given back
    when Google refused it.

    Args:
        path: the file; made with its first line.
        max_minutes: no request is let go that would lead over it.
    """

    def __init__(self, path: Path, *, max_minutes: float) -> None:
        self._path = path
        self._max_minutes = max_minutes

    def sent_seconds(self) -> float:
        """What counts so far, of all runs."""
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return 0.0
        return sum(_seconds(line) for line in lines)

    def take(self, seconds: float, what: str) -> None:
        """Count `seconds` for the request `what`.

        Raises:
            EnginePausedError: they would lead over the cap; nothing is counted.
        """
        import filelock

        self._path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self._path.with_suffix(".lock")):
            sent = self.sent_seconds()
            if sent + seconds > self._max_minutes * 60:
                raise EnginePausedError(
                    f"Google: {sent / 60:.1f} minutes were sent from this folder, {seconds / 60:.1f} more would pass "
                    f"--max-minutes {self._max_minutes:g}; raise it to go on"
                )
            self._append(seconds, what)

    def give_back(self, seconds: float, what: str) -> None:
        """The request `what` was refused: it cost nothing."""
        import filelock

        with filelock.FileLock(self._path.with_suffix(".lock")):
            self._append(-seconds, what)

    def _append(self, seconds: float, what: str) -> None:
        line = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "seconds": round(seconds, 3), "what": what}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _seconds(line: str) -> float:
    try:
        return float(json.loads(line)["seconds"])
    except (ValueError, KeyError, TypeError):
        return 0.0  # a line that a crash cut short
