"""Locks of a workspace and of a dataset folder. The operating system releases the locks of a process that dies.

    FOLDER/.lock             exclusive for a command that uses the whole folder; shared by the parts of a stage
    FOLDER/.lock.holder      the process that has it exclusively
    WORK/.parts/<stage>-K-of-N   exclusive for the part K/N; contains its process
    WORK/.parts/.mutex       exclusive while a part starts

All are locks of ``flock(2)``. Between machines they hold where the file system passes them on, as Linux does on NFS (not mounted
with ``nolock`` or ``local_lock``), and Lustre if it is mounted with ``flock``.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import re
import socket
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from phonics_data.contract.files import remove_leftovers
from phonics_data.errors import InputError, WorkspaceLockedError
from phonics_data.storage.parts import Part

_LOCK = ".lock"
_PARTS = ".parts"
_PART_NAME = re.compile(r"(?P<stage>[a-z]+)-(?P<index>\d+)-of-(?P<total>\d+)")
_MUTEX_SECONDS = 120.0
"""Longest wait for other parts that start: each needs milliseconds."""
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


def this_process() -> str:
    """The name of this process in messages to users of any machine."""
    return f"process {os.getpid()} on {socket.gethostname()}"


@contextmanager
def lock_folder(folder: Path, name: str, doing: str, *, is_shared: bool = False) -> Generator[None]:
    """Lock an existing folder by its file ``.lock``.

    Args:
        name: of the folder in the message.
        doing: what the process that has the lock does, such as ``is using this workspace``.
        is_shared: this process may have the lock already.

    What processes that died have left in the folder is removed.

    Raises:
        WorkspaceLockedError: another process has the lock; the message contains its id.
    """
    import filelock

    holder = folder / ".lock.holder"
    lock = filelock.FileLock(folder / _LOCK, is_singleton=is_shared)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        if parts := running_parts(folder):
            raise WorkspaceLockedError(
                f"{name}: {_listed(parts)}; wait until all parts have ended, or give another folder"
            ) from None
        raise WorkspaceLockedError(
            f"{name}: {_holder(folder)} {doing}; wait until it ends, or give another folder"
        ) from None
    try:
        if lock.lock_counter == 1:
            remove_leftovers(folder)  # first: they can have filled the disk
        holder.write_text(this_process())
        yield
    finally:
        if lock.lock_counter == 1:
            holder.unlink(missing_ok=True)
        lock.release()


@contextmanager
def lock_part(folder: Path, name: str, stage: str, part: Part) -> Generator[None]:
    """Lock the part of a stage in a workspace folder. Parts of one stage with equal N run at the same time, and nothing else.

    Args:
        name: of the folder in the message.

    Raises:
        WorkspaceLockedError: a command without a part, the same part, or a part of another stage or of another N is
            running; the message contains its process.
        InputError: the file system has no locks.
    """
    parts = folder / _PARTS
    with contextlib.ExitStack() as stack:
        if stack.enter_context(_flocked(folder / _LOCK, fcntl.LOCK_SH)) is None:
            raise WorkspaceLockedError(
                f"{name}: {_holder(folder)} is using this workspace, and parts run only without it; wait until it ends, and start "
                f"part {part} again"
            )
        with _mutex(parts):
            own = parts / f"{stage}-{part.index}-of-{part.total}"
            # The other parts of this stage and N may run: there can be thousands, and each check costs a network file system
            # some requests.
            others = [path for path in parts.iterdir() if not _is_beside(path.name, stage, part)]
            for held in _held_parts([path for path in others if path != own]):
                raise WorkspaceLockedError(
                    f"{name}: {_listed([held])}, and only parts of one stage with the same N run at the same time; wait until it "
                    f"ends, and start part {part} of {stage} again"
                )
            descriptor = stack.enter_context(_flocked(own, fcntl.LOCK_EX))
            if descriptor is None:
                raise WorkspaceLockedError(
                    f"{name}: part {part} of {stage} is running already ({_process_in(own)}); wait until it ends"
                )
            os.ftruncate(descriptor, 0)
            os.write(descriptor, this_process().encode())
        yield


def running_parts(folder: Path) -> list[tuple[str, Part, str]]:
    """(stage, part, process) of each part that has its lock, sorted. Files of parts that have ended are removed."""
    if not (folder / _PARTS).is_dir():
        return []
    with _mutex(folder / _PARTS):
        held = _held_parts((folder / _PARTS).iterdir())
    return sorted(held, key=lambda one: (one[0], one[1].total, one[1].index))


def _is_beside(file_name: str, stage: str, part: Part) -> bool:
    """Whether a lock is that of another part of the same stage and N."""
    match = _PART_NAME.fullmatch(file_name)
    return (
        match is not None
        and (match["stage"], int(match["total"])) == (stage, part.total)
        and int(match["index"]) != part.index
    )


def _held_parts(paths: Iterable[Path]) -> list[tuple[str, Part, str]]:
    """As `running_parts`, of some files; the caller has the mutex."""
    held: list[tuple[str, Part, str]] = []
    for path in list(paths):
        match = _PART_NAME.fullmatch(path.name)
        if match is None:
            continue
        with _flocked(path, fcntl.LOCK_EX) as descriptor:
            if descriptor is not None:
                path.unlink(missing_ok=True)
            else:
                part = Part(index=int(match["index"]), total=int(match["total"]))
                held.append((match["stage"], part, _process_in(path)))
    return held


def _process_in(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip() or "an unknown process"
    except FileNotFoundError:
        return "an unknown process"


def _listed(parts: list[tuple[str, Part, str]]) -> str:
    shown = ", ".join(f"{part} ({process})" for _, part, process in parts[:3])
    more = f" and {len(parts) - 3} more" if len(parts) > 3 else ""
    are = "parts are" if len(parts) > 1 else "part is"
    return f"{len(parts)} {are} running: {parts[0][0]} {shown}{more}"


def _holder(folder: Path) -> str:
    return _process_in(folder / ".lock.holder")


@contextmanager
def _mutex(parts: Path) -> Generator[None]:
    parts.mkdir(exist_ok=True)
    deadline = time.monotonic() + _MUTEX_SECONDS
    while True:
        with _flocked(parts / ".mutex", fcntl.LOCK_EX) as descriptor:
            if descriptor is not None:
                yield
                return
        if time.monotonic() > deadline:
            raise WorkspaceLockedError(
                f"{parts / '.mutex'}: another process has had its lock for {_MUTEX_SECONDS:.0f} s; end it, or, if there is none, "
                "check that the file system releases locks"
            )
        # Not a blocking lock: clients of NFS wait up to half a minute before they ask for one again.
        time.sleep(random.uniform(0.01, 0.05))


@contextmanager
def _flocked(path: Path, kind: int) -> Generator[int | None]:
    """Lock the file `path`, which is created. Yields its descriptor, or None if another process has a lock that excludes this one.

    Raises:
        InputError: the file system has no locks.
    """
    descriptor = _locked_descriptor(path, kind)
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _locked_descriptor(path: Path, kind: int) -> int | None:
    while True:
        # For writing, since NFS gives an exclusive lock only then.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            os.close(descriptor)
            return None
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _NO_LOCKS:
                raise
            raise InputError(
                f"{path}: its file system has no locks ({error.strerror}); give a folder on another one, or mount it with locks "
                "(Lustre: the option flock; NFS: without nolock)"
            ) from error
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # removed between opening and locking: such a lock excludes nobody
