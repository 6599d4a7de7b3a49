"""What a stream has to know before it begins: the samples of each shard, and mean and deviation of all log-mels."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as MapDataset

from cssgan.data import windowing
from cssgan.data.resident import MEL_SPEC, mel_statistics
from cssgan.data.shards import (
    Dataset,
    OneSet,
    Shard,
    cache_root,
    check_size,
    checksum,
    label_set_of,
    read_members,
    write_small,
)
from phonics_data.contract.labels import LabelSet
from phonics_data.contract.shard import decode
from phonics_data.errors import DatasetError, PhonicsDataError

log = logging.getLogger("cssgan")
VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamSample:
    """What the order of a stream depends on."""

    key: str
    label: str
    label_set: str
    frame_rate: str
    num_frames: int
    height: int
    width: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StreamIndex:
    """The samples of a split, numbered as the shards hold them."""

    shards: tuple[Shard, ...]
    shard_sizes: tuple[int, ...]
    """Samples of each."""
    samples: tuple[StreamSample, ...]
    label_set: LabelSet
    mean: float
    std: float

    @property
    def lengths(self) -> list[int]:
        return [sample.num_frames for sample in self.samples]

    @property
    def frame_rate(self) -> Fraction:
        """The commonest one."""
        return Fraction(Counter(sample.frame_rate for sample in self.samples).most_common(1)[0][0])

    def rows(self, shard: int) -> range:
        """The numbers of the samples of one shard."""
        first = sum(self.shard_sizes[:shard])
        return range(first, first + self.shard_sizes[shard])


def open_index(dataset: Dataset, shards: Sequence[Shard], *, size: int, workers: int) -> StreamIndex:
    """The index of a split; shards that the cache does not know are read once, by `workers` processes.

    Args:
        size: height and width that the model sees.

    Raises:
        DatasetError: no samples, broken shards, mixed label sets, doubled keys, frames that do not fit.
    """
    unknown = [shard for shard in shards if not _file(shard).exists()]
    if unknown:
        log.info("reading %d shard(s) once for lengths and log-mel statistics", len(unknown))
        for failure in readers(_Pass(unknown), min(workers, len(unknown))):
            if isinstance(failure, PhonicsDataError):
                raise failure
    records = [json.loads(_file(shard).read_text()) for shard in shards]
    samples = tuple(StreamSample(**fields) for record in records for fields in record["samples"])
    unique = OneSet()
    for shard, record in zip(shards, records, strict=True):
        for fields in record["samples"]:
            unique.check(fields["key"], fields["label_set"], shard.address)
            check_size(fields["key"], fields["height"], fields["width"], size)
    mean, std = mel_statistics(
        dataset, len(shards), len(samples), *(sum(record[name] for record in records) for name in _SUMS)
    )
    full = [(shard, len(record["samples"])) for shard, record in zip(shards, records, strict=True) if record["samples"]]
    return StreamIndex(
        shards=tuple(shard for shard, _ in full),
        shard_sizes=tuple(number for _, number in full),
        samples=samples,
        label_set=label_set_of(unique.label_set, samples),
        mean=mean,
        std=std,
    )


def readers(items: MapDataset[Any], workers: int, *, patience_seconds: float = 0) -> Iterator[Any]:
    """torch's loader over `items` as they come, read by `workers` processes (0: by this one).

    Args:
        patience_seconds: raise RuntimeError after so long without an item; 0: never.
    """
    with warnings.catch_warnings():
        # Readers wait for disks and networks: more of them than cores may be just right.
        warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
        loader = DataLoader(
            items,
            batch_size=None,
            num_workers=workers,
            collate_fn=_as_is,
            worker_init_fn=_begin_reading,
            timeout=patience_seconds if workers else 0,
            generator=torch.Generator(),  # the loader draws a number: not from the run's randomness
        )
        return iter(loader)


def _as_is(item: Any) -> Any:
    return item


def _begin_reading(number: int) -> None:
    """Signals are for the process that trains; its readers end with it, however it ends."""
    os.setpgrp()  # Ctrl-C goes to a whole process group
    if sys.platform.startswith("linux"):
        # A reader whose pipe is full does not notice by itself that nobody reads from it any more.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


_PR_SET_PDEATHSIG = 1


_SUMS = ("total", "squares", "values")


def _file(shard: Shard) -> Path:
    return cache_root() / "streams" / f"{checksum(shard)[:32]}-{MEL_SPEC.digest()}-v{VERSION}.json"


class _Pass(MapDataset[Any]):
    """Reading one shard, as a loader's processes do it; what comes back is an error or nothing."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self.shards = shards

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, number: int) -> PhonicsDataError | int:
        shard = self.shards[number]
        try:
            write_small(_file(shard), json.dumps(read_record(shard)))
        except PhonicsDataError as error:
            return error
        except OSError as error:
            return DatasetError(f"{cache_root()}: cannot be written ({error.strerror}); choose another $CSSGAN_CACHE")
        return number


def read_record(shard: Shard) -> dict[str, Any]:
    """Samples, and sums over the log-mel values, of one shard."""
    samples: list[dict[str, Any]] = []
    total = squares = 0.0
    values = 0
    for key, members in read_members(shard):
        sample = decode(key, members, where=shard.address)
        mel = windowing.raw_mel(sample.audio_N, sample.audio_rate_hz, MEL_SPEC)
        length, height, width = sample.frames_LHWC.shape[:3]
        known = StreamSample(
            key=key,
            label=sample.label,
            label_set=sample.label_set,
            frame_rate=str(sample.frame_rate),
            num_frames=length,
            height=height,
            width=width,
        )
        samples.append(asdict(known))
        total += float(mel.sum(dtype=np.float64))
        squares += float(np.square(mel, dtype=np.float64).sum())
        values += mel.size
    return {"samples": samples, "total": total, "squares": squares, "values": values}
