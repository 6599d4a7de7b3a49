"""Half downloads that can be trusted: a journal of how many bytes of each file are known to be right.

A `.part` file is continued where it ends, whatever stands in it. After a crash of the machine that can be anything, so
the journal keeps a size and the SHA-256 of that many bytes, and only what agrees with it is continued.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from phonics_data.storage.workspace import write_json

JOURNAL = "parts.json"
STEP_BYTES = 1 << 22
"""The journal is brought up to date every so many bytes: what is lost at most when the process dies."""
_CHUNK_BYTES = 1 << 20


class PartialFiles:
    """The unfinished files of one video in its folder.

    Opening cuts every ``.part`` down to what the journal vouches for, and deletes every file that it does not know.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hashes: dict[str, Any] = {}
        self._sizes: dict[str, int] = {}
        for name, (size, digest) in _read(folder / JOURNAL).items():
            known = _hash_of_first(folder, name, size)
            if known is not None and known.hexdigest() == digest:
                self._hashes[name], self._sizes[name] = known, size
        for path in folder.iterdir():
            name = path.name.removesuffix(".part")
            if name == JOURNAL:
                continue
            if name not in self._sizes:
                path.unlink()
            elif path.name != name:
                with path.open("rb+") as file:
                    file.truncate(self._sizes[name])
        self._write()

    def progressed(self, path: Path, *, is_whole: bool) -> None:
        """Take note of the bytes that lie in `path` (with or without ``.part``) by now.

        Args:
            is_whole: nothing more will come; else it is enough to look every `STEP_BYTES`.
        """
        name = path.name.removesuffix(".part")
        size = path.stat().st_size if path.exists() else 0
        if name in self._sizes and size < self._sizes[name]:
            self._forget(name)  # the server could not continue, and it began anew
        is_known = name in self._sizes
        if is_known and not is_whole and size < self._sizes[name] + STEP_BYTES:
            return
        hashed, done = self._hashes.setdefault(name, hashlib.sha256()), self._sizes.get(name, 0)
        if path.exists():
            with path.open("rb") as file:
                file.seek(done)
                while chunk := file.read(_CHUNK_BYTES):
                    hashed.update(chunk)
                    done += len(chunk)
        self._sizes[name] = done
        self._write()

    def settle(self) -> None:
        """Take note of all that lies there, after a try that ended in good order."""
        for name in list(self._sizes):
            for path in (self._folder / name, self._folder / f"{name}.part"):
                if path.is_file():
                    self.progressed(path, is_whole=True)

    def _forget(self, name: str) -> None:
        self._hashes.pop(name, None)
        self._sizes.pop(name, None)

    def _write(self) -> None:
        entries = {name: [size, self._hashes[name].hexdigest()] for name, size in self._sizes.items()}
        write_json(self._folder / JOURNAL, entries)


def _read(path: Path) -> dict[str, tuple[int, str]]:
    try:
        entries = json.loads(path.read_bytes())
        return {str(name): (int(size), str(digest)) for name, (size, digest) in entries.items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}  # without a journal nothing is vouched for


def _hash_of_first(folder: Path, name: str, size: int) -> Any:
    """SHA-256 over the first `size` bytes of the file, finished or ``.part``; None when it has fewer."""
    for path in (folder / name, folder / f"{name}.part"):
        if path.is_file():
            hashed, left = hashlib.sha256(), size
            with path.open("rb") as file:
                while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
                    hashed.update(chunk)
                    left -= len(chunk)
            return None if left else hashed
    return None
