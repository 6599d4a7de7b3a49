"""Where each stage's files live, and how they are written so that a crash loses nothing that was finished.

::

    WORK/
      .lock                        held by the one process that works here
      workspace.json               layout version
      media/<video_id>/            video, captions, info.json         (fetch)
      media/.partial/              downloads that are not whole yet   (fetch)
      logs/fetch.log               all that yt-dlp says               (fetch)
      recognitions/<key>.json      what a recognizer heard in one sound     (transcribe)
      clips/<video_id>/            the cut samples, before packing    (shard)
      items/<stage>/<item>.json    one finished item each: fingerprint of inputs and options, records, rejections
      videos.parquet words.parquet segments.parquet rejections.parquet

Every file appears under its final name only when it is whole (`atomic_path`). An item is finished when its marker is
there with the fingerprint of today's inputs and options; anything else is done again.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from phonics_data.errors import InputError, WorkspaceLockedError

LAYOUT_VERSION = 1


@contextmanager
def atomic_path(path: Path) -> Generator[Path]:
    """A temporary name beside `path`; when the block ends without error it is flushed to disk and takes `path`'s place.

    On error the temporary file is removed and whatever stood at `path` before stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix is kept, since encoders choose the container by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{secrets.token_hex(4)}.partial{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """`data` at `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: object, *, indent: int | None = 1) -> None:
    """`value` as JSON with sorted keys at `path`, whole or not at all; much of it is written quicker without `indent`."""
    write_bytes(path, (json.dumps(value, sort_keys=True, ensure_ascii=False, indent=indent) + "\n").encode())


def fingerprint(*parts: object) -> str:
    """A short name for `parts` (anything that JSON can hold): equal parts, equal name, on every machine."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Ledger:
    """The finished items of one stage, one JSON file each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, item_id: str) -> Path:
        return self.folder / f"{item_id}.json"

    def read(self, item_id: str, expected_fingerprint: str | None = None) -> dict[str, Any] | None:
        """The outcome of a finished item; None when it is not finished, or was with another fingerprint.

        Args:
            expected_fingerprint: None takes an outcome of any fingerprint.
        """
        try:
            entry = json.loads(self._path(item_id).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            # Only a hand or a failing disk makes a marker that is no JSON; the item is then done again.
            return None
        if not isinstance(entry, dict) or "fingerprint" not in entry or "outcome" not in entry:
            return None
        if expected_fingerprint is not None and entry["fingerprint"] != expected_fingerprint:
            return None
        return cast("dict[str, Any]", entry["outcome"])

    def write(self, item_id: str, item_fingerprint: str, outcome: Mapping[str, Any]) -> None:
        """Mark `item_id` as finished."""
        write_json(self._path(item_id), {"fingerprint": item_fingerprint, "outcome": dict(outcome)}, indent=None)

    def forget(self, item_id: str) -> None:
        """Let the next run do `item_id` again."""
        self._path(item_id).unlink(missing_ok=True)

    def item_ids(self) -> list[str]:
        """Every item with a marker, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.json") if not path.name.startswith("."))


class Workspace:
    """A folder in which the stages keep their files.

    Args:
        root: the folder of ``--work``; made when it does not exist.
        must_exist: for commands that only read: a missing folder is an error that says so.
    """

    def __init__(self, root: Path, *, must_exist: bool = False) -> None:
        self.root = root
        marker = root / "workspace.json"
        if must_exist and not marker.exists():
            raise InputError(f"{root}: no workspace here; run `phonics-data fetch MANIFEST --work {root}` first")
        if root.exists() and not root.is_dir():
            raise InputError(f"--work {root}: is a file, allowed: a folder (it is made if it does not exist)")
        if marker.exists():
            try:
                version = json.loads(marker.read_bytes())["layout_version"]
            except (ValueError, KeyError, TypeError):
                version = "unreadable"
            if version != LAYOUT_VERSION:
                raise InputError(
                    f"{root}: workspace of layout version {version}, this program works with {LAYOUT_VERSION}; "
                    "give another folder to --work"
                )
        elif root.exists() and any(not path.name.startswith(".") for path in root.iterdir()):
            raise InputError(f"--work {root}: the folder holds other files; give an empty or a new one")
        else:
            write_json(marker, {"layout_version": LAYOUT_VERSION})

    @property
    def media(self) -> Path:
        return self.root / "media"

    @property
    def clips(self) -> Path:
        return self.root / "clips"

    def table(self, name: str) -> Path:
        """Path of the table `name` (``videos``, ``words``, ``segments``, ``rejections``)."""
        return self.root / f"{name}.parquet"

    def ledger(self, stage: str) -> Ledger:
        return Ledger(self.root / "items" / stage)

    def relative(self, path: Path) -> str:
        """`path` as the records keep it: relative to the workspace, with forward slashes."""
        return path.relative_to(self.root).as_posix()

    @contextmanager
    def lock(self) -> Generator[None]:
        """Hold the workspace for one process.

        Raises `WorkspaceLockedError` with the holder's process id when another one has it. The operating system
        drops the lock of a process that dies, so nothing has to be cleaned up by hand.
        """
        import filelock

        holder = self.root / ".lock.holder"
        lock = filelock.FileLock(self.root / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            who = holder.read_text().strip() if holder.exists() else "an unknown process"
            raise WorkspaceLockedError(
                f"--work {self.root}: {who} is working here; wait until it ends, or give another folder"
            ) from None
        try:
            holder.write_text(f"process {os.getpid()}")
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()
