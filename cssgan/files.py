"""Files that are whole or not there, and where caches lie."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


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
