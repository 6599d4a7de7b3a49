"""The index of a streamed split: byte range and properties of each sample, mean and standard deviation of all log-mels."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset as MapDataset

from cssgan.data import windowing
from cssgan.data.reader_processes import reader_lost_error, reader_processes
from cssgan.data.resident import MEL_SPEC, MelSums
from cssgan.data.shards import Dataset, Shard, SplitCheck, check_size, checksum, label_set_of, read_tar_samples
from cssgan.storage.files import cache_root, make_folder
from phonics_data.contract import tar_reader
from phonics_data.contract.files import write_bytes
from phonics_data.contract.labels import LabelSet
from phonics_data.contract.records import from_plain
from phonics_data.contract.shard import decode
from phonics_data.contract.untrusted import count_of_json, number_of_json, read_json_object
from phonics_data.errors import DatasetError, PhonicsDataError

log = logging.getLogger("cssgan")
VERSION = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexedClip:
    """One clip: its place in the shard, and the properties that decide which batches contain it."""

    key: str
    label: str
    label_set: str
    frame_rate: str
    num_frames: int
    object_word: str
    """Empty if the clip has none."""
    height: int
    width: int
    offset: int
    """First byte in the shard."""
    num_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StreamIndex:
    """The clips of a split, in the order of the shards."""

    shards: tuple[Shard, ...]
    shard_sizes: tuple[int, ...]
    """Clips in each shard."""
    clips: tuple[IndexedClip, ...]
    label_set: LabelSet
    mean: float
    std: float

    @property
    def frame_rate(self) -> Fraction:
        """The most common one."""
        return Fraction(Counter(clip.frame_rate for clip in self.clips).most_common(1)[0][0])

    def shard_of(self, item: int) -> Shard:
        """The shard that contains clip number `item`."""
        return self.shards[int(np.searchsorted(np.cumsum(self.shard_sizes), item, side="right"))]


def open_index(dataset: Dataset, shards: Sequence[Shard], *, size: int, workers: int) -> StreamIndex:
    """The index of a split. `workers` processes read the shards that are not in the cache.

    Args:
        size: height and width of the model's frames.

    Raises:
        DatasetError: no samples, damaged or compressed shards, a server without range requests, mixed label sets, duplicate
            keys, frames that do not fit.
        ReaderLostError: a reader process died.
    """
    known = {shard.name: _cached_record(shard) for shard in shards}
    unknown = [shard for shard in shards if known[shard.name] is None]
    if unknown:
        log.info("reading %d shard(s) once for lengths and log-mel statistics", len(unknown))
        _read_shards(unknown, workers)
        known |= {shard.name: _cached_record(shard) for shard in unknown}
    records = [record for record in known.values() if record is not None]
    if len(records) < len(shards):
        raise DatasetError(f"{cache_root()}: does not keep what is written; choose another $CSSGAN_CACHE")
    check = SplitCheck()
    clips: list[IndexedClip] = []
    for shard, record in zip(shards, records, strict=True):
        for clip in record.clips:
            check.add(clip.key, clip.label_set, shard.address)
            check_size(clip.key, clip.height, clip.width, size)
            clips.append(clip)
    sums = MelSums(*(sum(numbers) for numbers in zip(*(astuple(record.mel_sums) for record in records), strict=True)))
    mean, std = sums.statistics(f"{dataset}: the {len(shards)} shard(s)", len(clips))
    return StreamIndex(
        shards=tuple(shards),
        shard_sizes=tuple(len(record.clips) for record in records),
        clips=tuple(clips),
        label_set=label_set_of(check.label_set, clips),
        mean=mean,
        std=std,
    )


def _read_shards(shards: Sequence[Shard], workers: int) -> None:
    """Write the records of shards into the cache. Raises as `open_index`."""
    try:
        for outcome in reader_processes(_IndexPass(shards), min(workers, len(shards))):
            if isinstance(outcome, PhonicsDataError):
                raise outcome
    except RuntimeError as error:
        lost = reader_lost_error(error)
        if lost is None:
            raise
        raise lost from error


def _cache_file(shard: Shard) -> Path:
    return cache_root() / "streams" / f"{checksum(shard)[:32]}-{MEL_SPEC.digest()}-v{VERSION}.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Record:
    """The clips of one shard, and the sums of its log-mel values."""

    clips: tuple[IndexedClip, ...]
    mel_sums: MelSums


def _cached_record(shard: Shard) -> _Record | None:
    """The record of a shard in the cache; None if it is missing or damaged."""
    path = _cache_file(shard)
    try:
        found = read_json_object(path)
        total, squares, num_values = found["mel_sums"]
        sums = MelSums(number_of_json(total), number_of_json(squares), count_of_json(num_values))
        clips = tuple(from_plain(IndexedClip, fields) for fields in found["clips"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s: damaged (%s: %s); reading its shard again", path, type(error).__name__, error)
        return None
    return _Record(clips=clips, mel_sums=sums)


class _IndexPass(MapDataset[Any]):
    """Item n reads shard n and writes its record into the cache. The item is None, or an error."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self.shards = shards

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, number: int) -> PhonicsDataError | None:
        shard = self.shards[number]
        try:
            tar_reader.check_random_access(shard.address)
            record = json.dumps(_read_record(shard))
            make_folder(_cache_file(shard).parent)
            write_bytes(_cache_file(shard), record.encode())
        except PhonicsDataError as error:
            return error
        except OSError as error:
            return DatasetError(f"{cache_root()}: cannot be written ({error.strerror}); choose another $CSSGAN_CACHE")
        return None


def _read_record(shard: Shard) -> dict[str, Any]:
    """The clips of one shard, and the sums of its log-mel values."""
    clips: list[dict[str, Any]] = []
    sums = MelSums()
    for found in read_tar_samples(shard):
        sample = decode(found.key, found.members, where=shard.address)
        sums.add(windowing.raw_mel(sample.audio_N, sample.audio_rate_hz, MEL_SPEC))
        length, height, width = sample.frames_LHWC.shape[:3]
        clip = IndexedClip(
            key=sample.key,
            label=sample.label,
            label_set=sample.label_set,
            frame_rate=str(sample.frame_rate),
            num_frames=length,
            object_word=sample.object_word or "",
            height=height,
            width=width,
            offset=found.offset,
            num_bytes=found.num_bytes,
        )
        clips.append(asdict(clip))
    return {"clips": clips, "mel_sums": astuple(sums)}
