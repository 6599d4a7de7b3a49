"""The workspace: the folder in which the stages store their files.

    WORK/
      .lock .parts/                held by the process that uses the workspace, or by the parts of a stage
      workspace.json               layout version
      media/<video_id>/            video, captions, info.json             (fetch)
      media/.partial/              incomplete downloads                   (fetch)
      logs/fetch.log               output of yt-dlp                       (fetch)
      options/<command>.toml       the options of the last run            (fetch, transcribe, segment, shard, build)
      recognitions/<key>.json      words recognized in one audio          (transcribe)
      clips/<video_id>/            encoded samples before packing         (shard)
      items/<stage>/<2 hex digits>/<item>.json    one finished item: fingerprint of its inputs and options, records, rejections
      items/import/<2 hex digits>/<item>.json     one checked file of an import
      reviews.csv                  decisions of people                    (review, import labels; read by segment)
      review/                      evidence and previews of the pages     (review)
      videos.parquet words.parquet segments.parquet rejections.parquet

All files are written atomically (`phonics_data.contract.files`), so a crash loses no finished item. An item is finished
if its file in items/ has the fingerprint of the current inputs and options; all other items are processed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from phonics_data.contract.files import write_bytes
from phonics_data.contract.untrusted import read_json_object
from phonics_data.errors import InputError
from phonics_data.storage.locks import lock_folder, lock_part
from phonics_data.storage.parts import Part

LAYOUT_VERSION = 2
_FLAT_LAYOUT_VERSION = 1
"""Has the files of all items of a stage in one folder; a workspace of it is changed when it is opened."""


def write_json(path: Path, value: object, *, indent: int | None = 1) -> None:
    """Write `value` atomically as JSON with sorted keys; large values are written faster with ``indent=None``."""
    write_bytes(path, json_bytes(value, indent=indent))


def json_bytes(value: object, *, indent: int | None = 1) -> bytes:
    """The content of the file that `write_json` writes."""
    return (json.dumps(value, sort_keys=True, ensure_ascii=False, indent=indent) + "\n").encode()


def fingerprint(*parts: object) -> str:
    """16 hex digits that depend on `parts` (JSON values) only, equal on all machines."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Ledger:
    """The finished items of one stage, one JSON file per item, in 256 folders by the hash of the id."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, item_id: str) -> Path:
        """The file of an item, which need not exist."""
        return self.folder / hashlib.sha256(os.fsencode(item_id)).hexdigest()[:2] / f"{item_id}.json"

    def read(self, item_id: str, expected_fingerprint: str | None = None) -> dict[str, Any] | None:
        """The outcome of a finished item; None if it is not finished or has another fingerprint.

        Args:
            expected_fingerprint: None accepts any fingerprint.
        """
        try:
            entry = read_json_object(self.path(item_id), any_numbers=True)
        except (FileNotFoundError, IsADirectoryError, ValueError):  # an invalid file is treated like a missing one
            return None
        if "fingerprint" not in entry or not isinstance(entry.get("outcome"), dict):
            return None
        if expected_fingerprint is not None and entry["fingerprint"] != expected_fingerprint:
            return None
        return cast("dict[str, Any]", entry["outcome"])

    def write(self, item_id: str, item_fingerprint: str, outcome: Mapping[str, Any]) -> None:
        """Mark `item_id` as finished with `outcome`."""
        write_json(self.path(item_id), {"fingerprint": item_fingerprint, "outcome": dict(outcome)}, indent=None)

    def forget(self, item_id: str) -> None:
        """Make the next run process `item_id` again."""
        self.path(item_id).unlink(missing_ok=True)

    def item_ids(self) -> list[str]:
        """All finished items, sorted."""
        return sorted(name.removesuffix(".json") for folder in _entries(self.folder) for name in _item_files(folder))

    def move_flat(self) -> None:
        """Move the files of a flat layout into their folders. Several processes can do it at the same time."""
        for name in _item_files(self.folder):
            path = self.path(name.removesuffix(".json"))
            path.parent.mkdir(exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # another process has moved it
                (self.folder / name).replace(path)


def _entries(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir()]
    except FileNotFoundError:
        return []


def _item_files(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if entry.name.endswith(".json") and not entry.name.startswith(".")]


class Workspace:
    """A workspace folder.

    Args:
        root: the folder of ``--work``; created if it does not exist.
        must_exist: raise if there is no workspace at `root` yet.

    Raises:
        InputError: `root` is a file, contains other files, or has another layout version.
    """

    def __init__(self, root: Path, *, must_exist: bool = False) -> None:
        self.root = root
        marker = root / "workspace.json"
        if must_exist and not marker.exists():
            raise InputError(f"{root}: no workspace here; run `phonics-data fetch MANIFEST --work {root}` first")
        if root.exists() and not root.is_dir():
            raise InputError(f"--work {root}: is a file, allowed: a folder (created if it does not exist)")
        if marker.exists():
            try:
                version = read_json_object(marker)["layout_version"]
            except (ValueError, KeyError):
                version = "unreadable"
            if version == _FLAT_LAYOUT_VERSION:
                for folder in _entries(root / "items"):
                    Ledger(folder).move_flat()
                write_json(marker, {"layout_version": LAYOUT_VERSION})
            elif version != LAYOUT_VERSION:
                raise InputError(
                    f"{root}: workspace of layout version {version}, this release uses {LAYOUT_VERSION}; "
                    "give another folder to --work"
                )
            return
        names = {path.name for path in root.iterdir() if not path.name.startswith(".")} if root.exists() else set[str]()
        # Another part of a stage can have created the workspace meanwhile.
        if names and marker.name not in names and not marker.exists():
            raise InputError(f"--work {root}: the folder contains other files; give an empty or a new one")
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
        """`path` relative to the workspace with forward slashes, as records store it."""
        return path.relative_to(self.root).as_posix()

    @contextmanager
    def lock(self, stage: str = "", part: Part | None = None) -> Generator[None]:
        """Lock the workspace for this process. The operating system releases the lock of a process that dies.

        Args:
            part: lock only this part of `stage`: the other parts of the stage may run, and nothing else.

        Raises:
            WorkspaceLockedError: another process has a lock that excludes this one; the message contains its id.
        """
        name = f"--work {self.root}"
        if part is None:
            with lock_folder(self.root, name, "is using this workspace"):
                yield
        else:
            with lock_part(self.root, name, stage, part):
                yield
