"""The answers on disk: results.sqlite, written before the page that follows an answer is sent."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from phonics_data.errors import InputError

SCHEMA = """
CREATE TABLE IF NOT EXISTS survey (digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS raters (
    rater INTEGER PRIMARY KEY,          -- from 1; rater - 1 is the number that `plan` takes
    token_sha256 TEXT UNIQUE,           -- of the secret in the rater's cookie; NULL once withdrawn
    consented_at REAL NOT NULL,         -- all times: seconds since 1970, UTC
    finished_at REAL, withdrawn_at REAL, comment TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS trials (
    rater INTEGER NOT NULL, trial INTEGER NOT NULL, shown_at REAL NOT NULL, answered_at REAL,
    PRIMARY KEY (rater, trial)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (
    rater INTEGER NOT NULL, trial INTEGER NOT NULL, question TEXT NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (rater, trial, question)
) WITHOUT ROWID;
"""
Outcome = Literal["stored", "answered before", "not its turn"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rater:
    """Somebody who consented and did not withdraw."""

    rater: int
    num_answered: int
    """Pages answered; the next one has this index."""
    finished: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One row of the results."""

    rater: int
    trial: int
    question: str
    value: int
    shown_at: float
    answered_at: float


class Store:
    """Results of one survey. Safe to use from many threads, and from several processes on one file.

    Args:
        path: made if it is not there.
        digest: of the survey; a file with answers to another one is refused.
        clock: seconds since 1970.

    Raises:
        InputError: no database, or one of another survey.
    """

    def __init__(self, path: Path, digest: str, *, clock: Callable[[], float] = time.time) -> None:
        self._clock, self._lock = clock, threading.Lock()
        try:
            self._connection = sqlite3.connect(path, timeout=30.0, isolation_level=None, check_same_thread=False)
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._connection.executescript(SCHEMA)
            with self._transaction():
                found = self._connection.execute("SELECT digest FROM survey").fetchone()
                if found is None:
                    self._connection.execute("INSERT INTO survey VALUES (?)", (digest,))
        except sqlite3.Error as error:
            raise InputError(f"{path}: cannot be used as results ({error}); move it away") from error
        if found is not None and found[0] != digest:
            self.close()
            raise InputError(
                f"{path}: holds answers to another version of survey.json (got {found[0]}, this one is {digest}); "
                "undo the edit, or move the file away and begin anew"
            )

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def enrol(self, token: str) -> int:
        """A new rater, who has consented and carries `token`. Returns the number."""
        with self._transaction() as run:
            row = run.execute(
                "INSERT INTO raters (token_sha256, consented_at) VALUES (?, ?)", (_hash(token), self._clock())
            )
            assert row.lastrowid is not None
            return row.lastrowid

    def find(self, token: str) -> Rater | None:
        """Whose token it is."""
        with self._lock:
            row = self._connection.execute(
                "SELECT rater, finished_at IS NOT NULL,"
                " (SELECT COUNT(*) FROM trials WHERE trials.rater = raters.rater AND answered_at IS NOT NULL)"
                " FROM raters WHERE token_sha256 = ?",
                (_hash(token),),
            ).fetchone()
        return None if row is None else Rater(rater=row[0], finished=bool(row[1]), num_answered=row[2])

    def shown(self, rater: int, trial: int) -> None:
        """The page went out; its first time counts."""
        with self._transaction() as run:
            # Nothing may come back of somebody who withdraws in this moment in another window.
            run.execute(
                "INSERT OR IGNORE INTO trials (rater, trial, shown_at)"
                " SELECT rater, ?, ? FROM raters WHERE rater = ? AND withdrawn_at IS NULL",
                (trial, self._clock(), rater),
            )

    def answer(self, rater: int, trial: int, values: Mapping[str, int], *, last: bool) -> Outcome:
        """Keep the answers to a page. The first ones stand, and no page can be answered before its turn.

        Args:
            last: whether the rater has finished with it.
        """
        with self._transaction() as run:
            known = run.execute(
                "SELECT answered_at FROM trials WHERE rater = ? AND trial = ?", (rater, trial)
            ).fetchone()
            if known is None:
                return "not its turn"
            if known[0] is not None:
                return "answered before"
            now = self._clock()
            run.execute("UPDATE trials SET answered_at = ? WHERE rater = ? AND trial = ?", (now, rater, trial))
            run.executemany(
                "INSERT INTO answers VALUES (?, ?, ?, ?)",
                [(rater, trial, question, value) for question, value in values.items()],
            )
            if last:
                run.execute("UPDATE raters SET finished_at = ? WHERE rater = ?", (now, rater))
            return "stored"

    def comment(self, rater: int, text: str) -> None:
        """What a rater wants to say at the end; the last one stands."""
        with self._transaction() as run:
            run.execute("UPDATE raters SET comment = ? WHERE rater = ? AND withdrawn_at IS NULL", (text, rater))

    def withdraw(self, rater: int) -> None:
        """Delete all that a rater said; only that somebody withdrew remains."""
        with self._transaction() as run:
            for table in ("answers", "trials"):
                run.execute(f"DELETE FROM {table} WHERE rater = ?", (rater,))
            run.execute(
                "UPDATE raters SET token_sha256 = NULL, comment = '', finished_at = NULL, withdrawn_at = ?"
                " WHERE rater = ?",
                (self._clock(), rater),
            )
        with self._lock:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # the log holds the rows as well

    def answers(self) -> list[Answer]:
        """Every answer, by rater and page."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT rater, trial, question, value, shown_at, answered_at FROM answers"
                " JOIN trials USING (rater, trial) ORDER BY rater, trial, question"
            ).fetchall()
        return [
            Answer(rater=row[0], trial=row[1], question=row[2], value=row[3], shown_at=row[4], answered_at=row[5])
            for row in rows
        ]

    def counts(self) -> dict[str, int]:
        """How many raters consented, finished and withdrew."""
        with self._lock:
            row = self._connection.execute(
                "SELECT COUNT(*), COUNT(finished_at), COUNT(withdrawn_at) FROM raters"
            ).fetchone()
        return dict(zip(("consented", "finished", "withdrew"), row, strict=True))

    def finished(self) -> set[int]:
        with self._lock:
            return {
                row[0] for row in self._connection.execute("SELECT rater FROM raters WHERE finished_at IS NOT NULL")
            }

    def comments(self) -> list[str]:
        with self._lock:
            return [row[0] for row in self._connection.execute("SELECT comment FROM raters WHERE comment <> ''")]


def _hash(token: str) -> str:
    # The file of results alone must not allow anybody to answer in a rater's name.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
