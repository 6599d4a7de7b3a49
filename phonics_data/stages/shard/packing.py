"""Clips of many videos -> shards, so that the same clips always give the same bytes.

Which clips share a shard is decided by the clips themselves: they are laid out by the hash of their video, and a shard
ends where the hash of a clip says so (more likely the larger the clip is against the wanted size). A new video
then changes the shard or two into which its clips fall, and all others keep their bytes, at most under another number.
Inside a shard the clips are shuffled by their hashes, for readers that take them in file order.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from phonics_data.dataset.layout import shard_paths
from phonics_data.quality.split import SPLITS, share_of
from phonics_data.storage.tables import from_plain, to_plain
from phonics_data.storage.workspace import atomic_path, write_json
from phonics_data.types import Split

_BLOCK = 10_240
"""Tar files end with zeros up to a multiple of this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A clip as the packer sees it: a run of bytes in the tar of its video."""

    sample_id: str
    video_id: str
    split: Split
    path: Path
    offset: int
    num_bytes: int
    content_key: str
    """SHA-256 over the contents of the run's members: equal keys, equal bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """One planned shard."""

    name: str
    pieces: tuple[Piece, ...]
    key: str
    """Names the content: equal keys, equal bytes."""

    @property
    def num_bytes(self) -> int:
        """Of the tar file."""
        content = sum(piece.num_bytes for piece in self.pieces) + 1024
        return -(-content // _BLOCK) * _BLOCK

    def offsets(self) -> list[int]:
        """Where each piece begins."""
        offsets, place = list[int](), 0
        for piece in self.pieces:
            offsets.append(place)
            place += piece.num_bytes
        return offsets


def plan(pieces: Sequence[Piece], *, target_bytes: int, seed: int) -> list[Shard]:
    """The shards of a dataset, numbered within each split."""
    shards: list[Shard] = []
    for split in SPLITS:
        mine = [piece for piece in pieces if piece.split == split]
        mine.sort(key=lambda piece: (share_of(f"video {piece.video_id}", seed), piece.sample_id))
        for index, group in enumerate(_grouped(mine, target_bytes, seed)):
            group.sort(key=lambda piece: (share_of(f"place {piece.sample_id}", seed), piece.sample_id))
            shards.append(Shard(name=f"{split}-{index:06d}.tar", pieces=tuple(group), key=_content_key(group)))
    return shards


def _content_key(pieces: Sequence[Piece]) -> str:
    lines = [f"{piece.sample_id} {piece.content_key}" for piece in pieces]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _grouped(pieces: Sequence[Piece], target_bytes: int, seed: int) -> list[list[Piece]]:
    groups: list[list[Piece]] = []
    size = 0
    fresh = True
    for piece in pieces:
        if fresh or size + piece.num_bytes > 2 * target_bytes:
            groups.append([])
            size = 0
        groups[-1].append(piece)
        size += piece.num_bytes
        # Between half and twice the wanted size, where the bytes' own chance of 2 / target gives the target on average.
        chance = 2 * piece.num_bytes / target_bytes
        fresh = size >= target_bytes / 2 and share_of(f"end {piece.sample_id}", seed) < chance
    return groups


def pack(folder: Path, shards: Sequence[Shard], *, workers: int = 1) -> dict[str, str]:
    """Make `folder` hold exactly `shards`; those that lie there already, perhaps under another number, are kept.

    Interrupted at any moment, the next call goes on: a shard is trusted only while the record of finished shards
    names it, and its name leaves the record before its file is touched.

    Args:
        workers: shards that are copied together at the same time, by threads: hashes and files wait for no lock.

    Returns:
        shard name -> SHA-256 of the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = _Record(folder)
    wanted = {shard.name: shard.key for shard in shards}
    kept = {name: entry for name, entry in record.entries.items() if wanted.get(name) == entry.key}
    elsewhere = {entry.key: entry for name, entry in record.entries.items() if name not in kept}
    if kept != record.entries:
        record.entries = dict(kept)
        record.save()
    for entry in elsewhere.values():
        if entry.key in wanted.values():
            # Moved aside first, since its old name may be another shard's new one.
            (folder / entry.name).replace(folder / f".{entry.key}.moved")
    missing: list[Shard] = []
    for shard in shards:
        if shard.name in kept:
            continue
        if shard.key in elsewhere:
            (folder / f".{shard.key}.moved").replace(folder / shard.name)
            record.put(shard, elsewhere[shard.key].sha256)
        else:
            missing.append(shard)
    _copy(folder, missing, record, workers)
    leftovers = [path for path in shard_paths(folder) if path.name not in wanted]
    for path in [*leftovers, *folder.glob(".*.moved"), *folder.glob(".*.partial.tar")]:
        path.unlink()
    return {name: record.entries[name].sha256 for name in wanted}


def _copy(folder: Path, shards: Sequence[Shard], record: _Record, workers: int) -> None:
    """Write `shards` and put each on the record as it ends; when one fails or a signal comes, all stop at once."""
    stop = threading.Event()
    copies: dict[Future[str], Shard] = {}
    with ThreadPoolExecutor(max(1, workers)) as pool:
        try:
            for shard in shards:
                copies[pool.submit(_write, folder / shard.name, shard, stop)] = shard
            for copy in as_completed(copies):
                record.put(copies[copy], copy.result())
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            for copy, shard in copies.items():
                if not copy.cancelled() and copy.exception() is None:
                    record.put(shard, copy.result())
            raise


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    name: str
    key: str
    sha256: str
    num_bytes: int


class _Record:
    """Which shards of a folder are finished; `entries` holds those whose file is there with its size."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".shards.json"
        self.entries: dict[str, _Entry] = {}
        try:
            found = json.loads(self._path.read_bytes())
        except (FileNotFoundError, ValueError):
            return  # no record, nothing to trust: all shards are written
        for plain in found:
            entry = from_plain(_Entry, plain)
            path = folder / entry.name
            if path.is_file() and path.stat().st_size == entry.num_bytes:
                self.entries[entry.name] = entry

    def put(self, shard: Shard, sha256: str) -> None:
        self.entries[shard.name] = _Entry(name=shard.name, key=shard.key, sha256=sha256, num_bytes=shard.num_bytes)
        self.save()

    def save(self) -> None:
        write_json(self._path, [to_plain(self.entries[name]) for name in sorted(self.entries)])


class LostClipsError(Exception):
    """What lies in the workspace is no longer what was cut; `video_id` has to be cut again."""

    def __init__(self, video_id: str) -> None:
        super().__init__(video_id)
        self.video_id = video_id


class _StoppedError(Exception):
    """Another shard could not be written."""


def _write(path: Path, shard: Shard, stop: threading.Event) -> str:
    """Copy the pieces together, until `stop` is set. Returns the SHA-256 of the file.

    Raises:
        LostClipsError: a piece is not there any more, or not the bytes that were cut.
    """
    digest = hashlib.sha256()
    with atomic_path(path) as temporary, temporary.open("wb") as out:
        for piece in shard.pieces:
            if stop.is_set():
                raise _StoppedError
            block = _read(piece)
            digest.update(block)
            out.write(block)
        zeros = bytes(shard.num_bytes - out.tell())
        digest.update(zeros)
        out.write(zeros)
    return digest.hexdigest()


def _read(piece: Piece) -> bytes:
    try:
        with piece.path.open("rb") as source:
            source.seek(piece.offset)
            block = source.read(piece.num_bytes)
        digest, content = hashlib.sha256(), memoryview(block)
        with tarfile.open(fileobj=io.BytesIO(block), mode="r:") as tar:
            for member in tar:
                digest.update(content[member.offset_data : member.offset_data + member.size])
    except (FileNotFoundError, tarfile.TarError):
        raise LostClipsError(piece.video_id) from None
    if len(block) != piece.num_bytes or digest.hexdigest() != piece.content_key:
        raise LostClipsError(piece.video_id)
    return block
