"""The answers in results.sqlite. An answer is written before the next page is sent."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from phonics_data.errors import InputError

SCHEMA = """
CREATE TABLE IF NOT EXISTS survey (digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS raters (
    rater INTEGER PRIMARY KEY,          -- from 1; rater - 1 is the argument of `rater_trials`
    token_sha256 TEXT UNIQUE,           -- digest of the token in the rater's cookie; NULL after withdrawal
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
AnswerOutcome = Literal["stored", "answered before", "not shown yet"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rater:
    """A rater who consented and did not withdraw.

    Args:
        num_answered: number of answered pages, which is the index of the next page.
    """

    rater: int
    num_answered: int
    finished: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One answer; times are seconds since 1970."""

    rater: int
    trial: int
    question: str
    value: int
    shown_at: float
    answered_at: float


class Store:
    """Results of one survey. Thread-safe; several processes can use one file.

    Args:
        path: created if missing.
        digest: digest of the survey.
        clock: seconds since 1970.

    Raises:
        InputError: not a database, or a database of another survey.
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
            raise InputError(f"{path}: cannot be used as results ({error}); move it to another folder") from error
        if found is not None and found[0] != digest:
            self.close()
            raise InputError(
                f"{path}: contains answers to another version of survey.json (got {found[0]}, expected {digest}); "
                "undo the edit, or move the file to another folder and start a new survey"
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

    def _query(self, sql: str, *values: str) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def add_rater(self, token: str) -> int:
        """Add a rater who has consented. Returns the number."""
        with self._transaction() as run:
            row = run.execute(
                "INSERT INTO raters (token_sha256, consented_at) VALUES (?, ?)", (_hash(token), self._clock())
            )
            assert row.lastrowid is not None
            return row.lastrowid

    def find_rater(self, token: str) -> Rater | None:
        """The rater with this token; None if unknown."""
        rows = self._query(
            "SELECT rater, finished_at IS NOT NULL,"
            " (SELECT COUNT(*) FROM trials WHERE trials.rater = raters.rater AND answered_at IS NOT NULL)"
            " FROM raters WHERE token_sha256 = ?",
            _hash(token),
        )
        return Rater(rater=rows[0][0], finished=bool(rows[0][1]), num_answered=rows[0][2]) if rows else None

    def record_shown(self, rater: int, trial: int) -> None:
        """Record the time at which a page was sent. The first time is kept."""
        with self._transaction() as run:
            # Nothing may be stored for a rater who withdraws at the same time in another window.
            run.execute(
                "INSERT OR IGNORE INTO trials (rater, trial, shown_at)"
                " SELECT rater, ?, ? FROM raters WHERE rater = ? AND withdrawn_at IS NULL",
                (trial, self._clock(), rater),
            )

    def record_answers(self, rater: int, trial: int, values: Mapping[str, int], *, last: bool) -> AnswerOutcome:
        """Store the answers to a page that was shown. Only the first answers are kept.

        Args:
            last: whether this is the last page of the rater.
        """
        with self._transaction() as run:
            row = run.execute("SELECT answered_at FROM trials WHERE rater = ? AND trial = ?", (rater, trial)).fetchone()
            if row is None:
                return "not shown yet"
            if row[0] is not None:
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

    def record_comment(self, rater: int, text: str) -> None:
        """Store the comment of a rater. The last comment is kept."""
        with self._transaction() as run:
            run.execute("UPDATE raters SET comment = ? WHERE rater = ? AND withdrawn_at IS NULL", (text, rater))

    def withdraw(self, rater: int) -> None:
        """Delete all data of a rater except the time of the withdrawal."""
        with self._transaction() as run:
            for table in ("answers", "trials"):
                run.execute(f"DELETE FROM {table} WHERE rater = ?", (rater,))
            run.execute(
                "UPDATE raters SET token_sha256 = NULL, comment = '', finished_at = NULL, withdrawn_at = ?"
                " WHERE rater = ?",
                (self._clock(), rater),
            )
        self._query("PRAGMA wal_checkpoint(TRUNCATE)")  # the write-ahead log contains the rows as well

    def answers(self) -> list[Answer]:
        """All answers, ordered by rater and page."""
        columns = ("rater", "trial", "question", "value", "shown_at", "answered_at")
        rows = self._query(
            f"SELECT {', '.join(columns)} FROM answers JOIN trials USING (rater, trial) ORDER BY rater, trial, question"
        )
        return [Answer(**dict(zip(columns, row, strict=True))) for row in rows]

    def counts(self) -> dict[str, int]:
        """Numbers of raters who consented, finished and withdrew."""
        (row,) = self._query("SELECT COUNT(*), COUNT(finished_at), COUNT(withdrawn_at) FROM raters")
        return dict(zip(("consented", "finished", "withdrew"), row, strict=True))

    def finished_raters(self) -> set[int]:
        return {rater for (rater,) in self._query("SELECT rater FROM raters WHERE finished_at IS NOT NULL")}

    def comments(self) -> list[str]:
        return [comment for (comment,) in self._query("SELECT comment FROM raters WHERE comment <> ''")]


def _hash(token: str) -> str:
    # Only digests are stored, so that the results file cannot be used to answer as a rater.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
