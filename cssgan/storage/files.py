"""Files that are whole or not there, folders that one process works in at a time, and where caches lie."""

from __future__ import annotations

import os
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import filelock

from phonics_data.errors import InputError, WorkspaceLockedError


def cache_root() -> Path:
    """Where caches lie: $CSSGAN_CACHE, else $XDG_CACHE_HOME/cssgan, else ~/.cache/cssgan."""
    if chosen := os.environ.get("CSSGAN_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cssgan"


def write_bytes(path: Path, content: bytes) -> None:
    """`content` into a temporary file beside `path`, flushed to disk, then renamed."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def check_folder(folder: Path) -> None:
    """Raises `InputError` where there can be no such folder: a file stands in its place, or in that of one above it."""
    try:
        in_the_way = [place for place in (folder, *folder.parents) if place.exists() and not place.is_dir()]
    except OSError as error:  # a name that no file system takes
        raise InputError(f"{folder}: {error.strerror}; choose another folder") from error
    if in_the_way:
        raise InputError(f"{folder}: {in_the_way[0]} is a file; choose another folder")


def make_folder(folder: Path) -> None:
    """Make a folder and those above it. Raises `InputError` where that cannot be."""
    check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}); choose another folder, or make room") from error


@contextmanager
def locked(folder: Path, refusal: str) -> Generator[None]:
    """Make the folder and keep others out.

    Args:
        refusal: what to say of it, after its path, where another process works in it already.

    Raises:
        InputError: there can be no such folder.
        WorkspaceLockedError: another process works in it.
    """
    make_folder(folder)
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise WorkspaceLockedError(f"{folder}: {refusal}") from error
    try:
        yield
    finally:
        lock.release()
