"""Atomic file writes: a file appears under its final name only when it is complete and flushed to disk."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Generator[Path]:
    """Yield a temporary path beside `path`; when the block ends, flush that file to disk and rename it to `path`.

    Missing parent folders are created. After an exception, the temporary file is removed and `path` is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix is kept because encoders choose the container by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{secrets.token_hex(4)}.partial{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
