"""Verified resumption of downloads: a journal of how many bytes of each file are known to be correct.

yt-dlp continues a `.part` file at its end without checking its content, which can be wrong after a system crash. The
journal stores a size and the SHA-256 of that many bytes for each file. Only bytes that match the journal are kept.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from phonics_data.contract.untrusted import count_of_json, read_json_object
from phonics_data.storage.workspace import write_json

JOURNAL = "parts.json"
STEP_BYTES = 1 << 22
"""Bytes between two updates of the journal: the most that is lost when the process is killed."""
_CHUNK_BYTES = 1 << 20


class PartialFiles:
    """The unfinished files of one video in its folder.

    The constructor truncates every ``.part`` file to its verified size and deletes every file that is not in the
    journal or does not match it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hashes: dict[str, Any] = {}
        self._sizes: dict[str, int] = {}
        for name, (size, digest) in _read_journal(folder / JOURNAL).items():
            prefix_hash = _hash_prefix(folder, name, size)
            if prefix_hash is not None and prefix_hash.hexdigest() == digest:
                self._hashes[name], self._sizes[name] = prefix_hash, size
        for path in folder.iterdir():
            name = path.name.removesuffix(".part")
            if name == JOURNAL:
                continue
            if name not in self._sizes:
                path.unlink()
            elif path.name != name:
                with path.open("rb+") as file:
                    file.truncate(self._sizes[name])
        self._write_journal()

    def update(self, path: Path, *, is_complete: bool) -> None:
        """Add the current bytes of `path` (with or without ``.part``) to the journal.

        Args:
            is_complete: no more bytes follow. If false, the journal is only updated every `STEP_BYTES`.
        """
        name = path.name.removesuffix(".part")
        size = path.stat().st_size if path.exists() else 0
        if name in self._sizes and size < self._sizes[name]:
            # The server does not support ranges: the download has restarted at byte 0.
            del self._hashes[name], self._sizes[name]
        if name in self._sizes and not is_complete and size < self._sizes[name] + STEP_BYTES:
            return
        sha256, num_hashed = self._hashes.setdefault(name, hashlib.sha256()), self._sizes.get(name, 0)
        if path.exists():
            with path.open("rb") as file:
                file.seek(num_hashed)
                while chunk := file.read(_CHUNK_BYTES):
                    sha256.update(chunk)
                    num_hashed += len(chunk)
        self._sizes[name] = num_hashed
        self._write_journal()

    def update_all(self) -> None:
        """Add the current bytes of all known files to the journal."""
        for name in list(self._sizes):
            for path in (self._folder / name, self._folder / f"{name}.part"):
                if path.is_file():
                    self.update(path, is_complete=True)

    def _write_journal(self) -> None:
        entries = {name: [size, self._hashes[name].hexdigest()] for name, size in self._sizes.items()}
        write_json(self._folder / JOURNAL, entries)


def _read_journal(path: Path) -> dict[str, tuple[int, str]]:
    """File name -> (verified bytes, their SHA-256); empty where the journal is missing or unreadable."""
    try:
        entries = read_json_object(path)
        return {name: (count_of_json(size), str(digest)) for name, (size, digest) in entries.items()}
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def _hash_prefix(folder: Path, name: str, size: int) -> Any:
    """SHA-256 object over the first `size` bytes of the file, complete or ``.part``; None when it is shorter."""
    for path in (folder / name, folder / f"{name}.part"):
        if path.is_file():
            sha256, remaining = hashlib.sha256(), size
            with path.open("rb") as file:
                while remaining and (chunk := file.read(min(remaining, _CHUNK_BYTES))):
                    sha256.update(chunk)
                    remaining -= len(chunk)
            return None if remaining else sha256
    return None
