"""Packing: clips of many videos -> shards. The same clips always give the same bytes.

- Clips are sorted by the hash of their video id. A shard ends after a clip with a probability proportional to the
  clip's size; the decision is a hash of the clip's id.
- An added video therefore changes one or two shards. All other shards keep their bytes, but may get other numbers.
- Inside a shard the clips are shuffled by a hash of their ids, for readers that read them in file order.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from phonics_data.contract.files import atomic_path
from phonics_data.contract.records import from_plain, to_plain
from phonics_data.contract.untrusted import read_json
from phonics_data.dataset.layout import shard_paths
from phonics_data.quality.split import SPLITS, hash_fraction
from phonics_data.storage.workspace import write_json
from phonics_data.types import Split

_BLOCK = 10_240
"""The size of a tar file is a multiple of this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedClip:
    """A clip as a byte range in the tar of its video."""

    sample_id: str
    video_id: str
    split: Split
    path: Path
    """The tar of the video."""
    offset: int
    num_bytes: int
    content_key: str
    """SHA-256 over the contents of its members."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """The name and the clips of one shard."""

    name: str
    clips: tuple[PackedClip, ...]
    key: str
    """Hash of the content: equal keys mean equal bytes."""

    @property
    def num_bytes(self) -> int:
        """Of the tar file."""
        content = sum(clip.num_bytes for clip in self.clips) + 1024
        return -(-content // _BLOCK) * _BLOCK

    def offsets(self) -> list[int]:
        """The position of each clip in the tar file."""
        offsets, position = list[int](), 0
        for clip in self.clips:
            offsets.append(position)
            position += clip.num_bytes
        return offsets


def assign_to_shards(clips: Sequence[PackedClip], *, target_bytes: int, seed: int) -> list[Shard]:
    """The shards of a dataset, numbered within each split."""
    shards: list[Shard] = []
    for split in SPLITS:
        in_split = [clip for clip in clips if clip.split == split]
        in_split.sort(key=lambda clip: (hash_fraction(f"video {clip.video_id}", seed), clip.sample_id))
        for index, group in enumerate(_grouped(in_split, target_bytes, seed)):
            group.sort(key=lambda clip: (hash_fraction(f"place {clip.sample_id}", seed), clip.sample_id))
            shards.append(Shard(name=f"{split}-{index:06d}.tar", clips=tuple(group), key=_shard_key(group)))
    return shards


def _shard_key(clips: Sequence[PackedClip]) -> str:
    lines = [f"{clip.sample_id} {clip.content_key}" for clip in clips]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _grouped(clips: Sequence[PackedClip], target_bytes: int, seed: int) -> list[list[PackedClip]]:
    groups: list[list[PackedClip]] = []
    size = 0
    starts_new = True
    for clip in clips:
        if starts_new or size + clip.num_bytes > 2 * target_bytes:
            groups.append([])
            size = 0
        groups[-1].append(clip)
        size += clip.num_bytes
        # Sizes are between half and twice the target; an end probability of 2 / target a byte gives the target on average.
        probability = 2 * clip.num_bytes / target_bytes
        starts_new = size >= target_bytes / 2 and hash_fraction(f"end {clip.sample_id}", seed) < probability
    return groups


def pack(folder: Path, shards: Sequence[Shard], *, workers: int = 1) -> dict[str, str]:
    """Write `shards` to `folder` and remove all other shards; existing ones, also under another number, are kept.

    An interrupted call is continued by the next one: a shard file counts as finished only while it is in the record of
    finished shards, and it is removed from the record before its file is changed.

    Args:
        workers: number of threads; each copies one shard.

    Returns:
        shard name -> SHA-256 of the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = _ShardRecord(folder)
    wanted = {shard.name: shard.key for shard in shards}
    kept = {name: entry for name, entry in record.entries.items() if wanted.get(name) == entry.key}
    renamed = {entry.key: entry for name, entry in record.entries.items() if name not in kept}
    if kept != record.entries:
        record.entries = dict(kept)
        record.save()
    for entry in renamed.values():
        if entry.key in wanted.values():
            # Renamed in two steps, since its old name may be the new name of another shard.
            (folder / entry.name).replace(folder / f".{entry.key}.moved")
    missing: list[Shard] = []
    for shard in shards:
        if shard.name in kept:
            continue
        if shard.key in renamed:
            (folder / f".{shard.key}.moved").replace(folder / shard.name)
            record.add(shard, renamed[shard.key].sha256)
        else:
            missing.append(shard)
    _write_shards(folder, missing, record, workers)
    leftovers = [path for path in shard_paths(folder) if path.name not in wanted]
    for path in [*leftovers, *folder.glob(".*.moved"), *folder.glob(".*.partial.tar")]:
        path.unlink()
    return {name: record.entries[name].sha256 for name in wanted}


def _write_shards(folder: Path, shards: Sequence[Shard], record: _ShardRecord, workers: int) -> None:
    """Write `shards` and record each finished one; after an error or a signal all threads stop at once."""
    stop = threading.Event()
    futures: dict[Future[str], Shard] = {}
    with ThreadPoolExecutor(max(1, workers)) as pool:
        try:
            for shard in shards:
                futures[pool.submit(_write_shard, folder / shard.name, shard, stop)] = shard
            for future in as_completed(futures):
                record.add(futures[future], future.result())
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            for future, shard in futures.items():
                if not future.cancelled() and future.exception() is None:
                    record.add(shard, future.result())
            raise


@dataclass(frozen=True, kw_only=True, slots=True)
class _ShardEntry:
    name: str
    key: str
    sha256: str
    num_bytes: int


class _ShardRecord:
    """The finished shards of a folder, stored in ``.shards.json``; files that are missing or of another size are not."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".shards.json"
        self.entries: dict[str, _ShardEntry] = {}
        try:
            entries = [from_plain(_ShardEntry, plain) for plain in read_json(self._path)]
        except (FileNotFoundError, ValueError, TypeError):
            return  # without a record, all shards are written again
        for entry in entries:
            path = folder / entry.name
            if path.is_file() and path.stat().st_size == entry.num_bytes:
                self.entries[entry.name] = entry

    def add(self, shard: Shard, sha256: str) -> None:
        self.entries[shard.name] = _ShardEntry(name=shard.name, key=shard.key, sha256=sha256, num_bytes=shard.num_bytes)
        self.save()

    def save(self) -> None:
        write_json(self._path, [to_plain(self.entries[name]) for name in sorted(self.entries)])


class LostClipsError(Exception):
    """The clips of `video_id` in the workspace are missing or changed: the video must be cut again."""

    def __init__(self, video_id: str) -> None:
        super().__init__(video_id)
        self.video_id = video_id


class _StoppedError(Exception):
    """Another shard could not be written."""


def _write_shard(path: Path, shard: Shard, stop: threading.Event) -> str:
    """Copy the clips of a shard to `path`, until `stop` is set. Returns the SHA-256 of the file.

    Raises:
        LostClipsError: a clip is missing, or its bytes have changed since it was cut.
    """
    digest = hashlib.sha256()
    with atomic_path(path) as temporary, temporary.open("wb") as out:
        for clip in shard.clips:
            if stop.is_set():
                raise _StoppedError
            block = _read_clip(clip)
            digest.update(block)
            out.write(block)
        zeros = bytes(shard.num_bytes - out.tell())
        digest.update(zeros)
        out.write(zeros)
    return digest.hexdigest()


def _read_clip(clip: PackedClip) -> bytes:
    try:
        with clip.path.open("rb") as source:
            source.seek(clip.offset)
            block = source.read(clip.num_bytes)
        digest, content = hashlib.sha256(), memoryview(block)
        with tarfile.open(fileobj=io.BytesIO(block), mode="r:") as tar:
            for member in tar:
                digest.update(content[member.offset_data : member.offset_data + member.size])
    except (FileNotFoundError, tarfile.TarError):
        raise LostClipsError(clip.video_id) from None
    if len(block) != clip.num_bytes or digest.hexdigest() != clip.content_key:
        raise LostClipsError(clip.video_id)
    return block
