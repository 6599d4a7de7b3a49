"""Atomic file writes: a file appears under its final name only when it is complete and flushed to disk."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import re
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_LEFTOVER = re.compile(r"\..+\.\d+-[0-9a-f]{8}\.partial(\.\w+)?")


@contextmanager
def atomic_path(path: Path) -> Generator[Path]:
    """Yield a temporary path beside `path`; when the block ends, flush that file to disk and rename it to `path`.

    Missing parent folders are created. After an exception, the temporary file is removed and `path` is unchanged. The file of a process
    that was killed is removed by `remove_leftovers`: it exists, empty, from the start and is locked as long as its process lives.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix is kept because encoders choose the container by it.
    temporary = path.with_name(f".{path.stem}.{_unique()}.partial{path.suffix}")
    try:
        with temporary.open("xb") as held:
            _try_lock(held.fileno())
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def temporary_folder(beside: Path) -> Generator[Path]:
    """Yield a new folder beside the path `beside`, which the block may rename; what is left of it is removed at the end.

    Folders of the same name that killed processes have left are removed first.
    """
    beside.parent.mkdir(parents=True, exist_ok=True)
    for path in beside.parent.glob(f".{glob.escape(beside.name)}.*.partial"):
        _remove_if_left(path)
    temporary = beside.with_name(f".{beside.name}.{_unique()}.partial")
    temporary.mkdir()
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        _try_lock(descriptor)
        yield temporary
    finally:
        os.close(descriptor)
        shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders below `folder` that killed processes have left; those of living ones are kept."""
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            if _LEFTOVER.fullmatch(name):
                _remove_if_left(Path(parent) / name)


def _unique() -> str:
    return f"{os.getpid()}-{secrets.token_hex(4)}"


def _try_lock(descriptor: int) -> bool:
    """Lock an open file for this process. False if another one holds the lock, or the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_if_left(path: Path) -> None:
    with contextlib.suppress(OSError):  # removed by another process, or not ours to remove
        # A file for writing, since NFS gives a lock only then.
        descriptor = os.open(path, (os.O_RDONLY if path.is_dir() else os.O_RDWR) | os.O_NOFOLLOW)
        try:
            if _try_lock(descriptor):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        finally:
            os.close(descriptor)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def file_inside(path: Path, folder: Path) -> Path | None:
    """`path` without links; None if it is no regular file, or a link leads out of `folder`."""
    try:
        real = path.resolve(strict=True)
    except (OSError, ValueError, RuntimeError):  # missing, a zero byte, or links in a circle
        return None
    return real if real.is_relative_to(folder.resolve()) and real.is_file() else None
