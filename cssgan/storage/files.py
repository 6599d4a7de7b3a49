"""The cache folder, folders that are created or refused by name, and locks on folders."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import filelock

from phonics_data.contract.files import remove_leftovers
from phonics_data.errors import InputError, WorkspaceLockedError


def cache_root() -> Path:
    """Folder of all caches: $CSSGAN_CACHE, else $XDG_CACHE_HOME/cssgan, else ~/.cache/cssgan."""
    if chosen := os.environ.get("CSSGAN_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cssgan"


def check_folder(folder: Path) -> None:
    """Raises `InputError` if the folder cannot exist: its path or a parent is a file, or the name is invalid."""
    try:
        blocking = [path for path in (folder, *folder.parents) if path.exists() and not path.is_dir()]
    except OSError as error:  # for example a name that is too long
        raise InputError(f"{folder}: {error.strerror}; choose another folder") from error
    if blocking:
        raise InputError(f"{folder}: {blocking[0]} is a file; choose another folder")


def make_folder(folder: Path) -> None:
    """Create a folder and its parents. Raises `InputError` if that fails."""
    check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be created ({error.strerror}); choose another folder, or free disk space"
        ) from error


def replace_folder(new: Path, folder: Path) -> None:
    """Rename `new`, a folder beside `folder`, to `folder`. The old folder is deleted only after that.

    Raises:
        OSError: renaming failed, or `folder` is a file or a symbolic link; `folder` is unchanged.
    """
    if folder.is_symlink() or folder.is_file():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    old = folder.with_name(f".replaced-{folder.name}")  # exists already if a process was killed here
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def locked(folder: Path, refusal: str) -> Generator[None]:
    """Create the folder, lock it for this process, and remove temporary files that killed processes have left in it.

    Args:
        refusal: error message, after the path, if another process has the lock.

    Raises:
        InputError: the folder cannot be created.
        WorkspaceLockedError: another process has the lock.
    """
    make_folder(folder)
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise WorkspaceLockedError(f"{folder}: {refusal}") from error
    try:
        remove_leftovers(folder)
        yield
    finally:
        lock.release()
