"""The shards of a dataset, DATASET/{train,validation,test}-000000.tar ..., on a disk or at an address -> samples."""

from __future__ import annotations

import hashlib
import http.client
import json
import logging
import re
import tarfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cssgan.storage.files import cache_root as cache_root
from cssgan.storage.files import make_folder
from cssgan.types import SPLITS, Split
from phonics_data.contract.labels import KNOWN, LabelSet, label_set
from phonics_data.contract.sample import Sample
from phonics_data.contract.shard import decode
from phonics_data.errors import DatasetError

Dataset = Path | str
"""A folder, or the address of one that fsspec opens (``s3://...``, ``https://...``)."""

DESCRIPTION = "dataset.json"
_NAME = re.compile(rf"({'|'.join(SPLITS)})-.*\.tar")
_TIMEOUT_SECONDS = 60.0
RETRY_SECONDS = (1.0, 5.0, 20.0)
"""Waits before a shard at an address is asked for again."""
log = logging.getLogger("cssgan")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """One tar of a split."""

    name: str
    address: str
    """Path or address."""
    num_bytes: int
    sha256: str | None = None
    """Of its bytes, where dataset.json says it; those on a disk are summed by `digest`."""

    @property
    def is_far(self) -> bool:
        return is_far(self.address)

    def open(self) -> IO[bytes]:
        """The tar as a stream of bytes, read forwards."""
        return _open(self.address)


def is_far(dataset: Dataset) -> bool:
    """Whether `dataset` is an address and no path."""
    return "://" in str(dataset)


def as_dataset(text: str) -> Dataset:
    """What ``--shards`` names: an address as it is, anything else as a path."""
    return text if is_far(text) else Path(text)


def splits(dataset: Dataset) -> set[str]:
    """The splits of which a dataset has shards."""
    return {name.partition("-")[0] for name in _listing(dataset)}


def find(dataset: Dataset, split: Split) -> list[Shard]:
    """The shards of one split, by name. Raises `DatasetError` if there is no dataset or no such shard."""
    listed = _listing(dataset)
    found = [shard for name, shard in sorted(listed.items()) if name.startswith(f"{split}-")]
    if not found:
        others = [other for other in SPLITS if any(name.startswith(f"{other}-") for name in listed)]
        words = f"found shards of {', '.join(others)} only" if others else "found no shards"
        raise DatasetError(f"{dataset}: no {split}-*.tar, {words}; build the dataset with `phonics-data build`")
    return found


def _listing(dataset: Dataset) -> dict[str, Shard]:
    if is_far(dataset):
        return _far_listing(str(dataset).rstrip("/"))
    folder = Path(dataset)
    if folder.is_file():
        raise DatasetError(f"{folder}: is a file; give the folder of the dataset, which holds its shards")
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such dataset folder; build one with `phonics-data build`")
    return {
        path.name: Shard(name=path.name, address=str(path), num_bytes=path.stat().st_size)
        for path in folder.glob("*.tar")
        if _NAME.fullmatch(path.name)
    }


def _far_listing(address: str) -> dict[str, Shard]:
    """By its dataset.json: many servers list no folders."""
    description = f"{address}/{DESCRIPTION}"
    try:
        with _open(description) as file:
            entries = cast("list[dict[str, Any]]", json.load(file)["shards"])
        return {
            str(entry["name"]): Shard(
                name=str(entry["name"]),
                address=f"{address}/{entry['name']}",
                num_bytes=int(entry["bytes"]),
                sha256=str(entry["sha256"]),
            )
            for entry in entries
            if _NAME.fullmatch(str(entry["name"]))
        }
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise DatasetError(
            f"{address}: no dataset there ({description}: {type(error).__name__} {error}); allowed: a folder, or an "
            f"address at which {DESCRIPTION} and the shards of `phonics-data shard` lie"
        ) from error


def _open(address: str) -> IO[bytes]:
    if not is_far(address):
        return Path(address).open("rb")
    if address.startswith(("http://", "https://")):
        # The standard library streams these; fsspec would need one more package for them.
        return cast("IO[bytes]", urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS))
    import fsspec

    return cast("IO[bytes]", cast("Any", fsspec.open(address, "rb")).open())


def digest(shards: Sequence[Shard]) -> str:
    """A short name for the shards' bytes and names.

    Sums of shards on a disk are kept in the cache by path, size and time of change: large sets are read once for them.
    """
    total = hashlib.sha256()
    for shard in shards:
        total.update(f"{shard.name}:{checksum(shard)}\n".encode())
    return total.hexdigest()[:16]


def checksum(shard: Shard) -> str:
    """SHA-256 of a shard's bytes."""
    if shard.sha256 is not None:
        return shard.sha256
    status = Path(shard.address).stat()
    stamp = f"{Path(shard.address).resolve()}:{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
    memo = cache_root() / "sums" / hashlib.sha256(stamp.encode()).hexdigest()[:32]
    try:
        return memo.read_text()
    except OSError:
        with Path(shard.address).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    write_small(memo, found)
    return found


def write_small(path: Path, text: str) -> None:
    """Write a small file of the cache, whole or not at all."""
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_members(shard: Shard, wanted: Callable[[str], bool] | None = None) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Samples of one tar as (key, member name -> bytes), in file order; the tar is read forwards only.

    One at an address is asked for again, after `RETRY_SECONDS`, when the network or its server fails, and read on from
    the sample that was missed.

    Args:
        wanted: keys to read; what others hold is skipped without being kept.

    Raises:
        DatasetError: no tar, one cut short, or one that cannot be reached.
    """
    pauses = iter(RETRY_SECONDS if shard.is_far else ())
    done = 0
    while True:
        try:
            for key, members in islice(_read_once(shard, wanted), done, None):
                done += 1
                yield key, members
        except DatasetError as error:
            pause = next(pauses, None)
            if pause is None or not _may_pass(error.__cause__):
                raise
            log.warning("%s: %s; asking again in %.0f s", shard.address, _reason(error.__cause__), pause)
            time.sleep(pause)
        else:
            return


def _may_pass(cause: BaseException | None) -> bool:
    """Whether asking again may help: not where the server says that the question is wrong."""
    if isinstance(cause, urllib.error.HTTPError):
        return cause.code >= 500 or cause.code in (408, 429)
    return cause is not None


def _reason(error: BaseException | None) -> str:
    if isinstance(error, OSError):
        return str(error)
    # webdataset adds the stream to the words.
    return str(error.args[0]).partition(" @ ")[0] if error is not None and error.args else type(error).__name__


class _Counted:
    """A stream that is read forwards, and how much of it came."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.num_bytes = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.num_bytes += len(data)
        return data

    def read_on(self) -> int:
        """Read to the end; how many bytes there were in all."""
        while self.read(1 << 20):
            pass
        return self.num_bytes


def _read_once(shard: Shard, wanted: Callable[[str], bool] | None) -> Iterator[tuple[str, dict[str, bytes]]]:
    from webdataset import tariterators

    def chosen(name: str) -> bool:
        return wanted is None or wanted(name.partition(".")[0])

    try:
        with shard.open() as opened:
            stream = _Counted(opened)
            files = tariterators.tar_file_expander([{"url": shard.address, "stream": stream}], select_files=chosen)
            for found in tariterators.group_by_keys(files):
                members = {name: data for name, data in found.items() if not name.startswith("__")}
                yield str(found["__key__"]), cast("dict[str, bytes]", members)
            if shard.is_far and stream.read_on() < shard.num_bytes:  # cut between two members it looks whole
                raise EOFError(f"{stream.num_bytes} of {shard.num_bytes} bytes came")
    except FileNotFoundError:
        raise DatasetError(f"{shard.address}: no such shard") from None
    except (tarfile.TarError, OSError, EOFError, ValueError, TypeError, http.client.HTTPException) as error:
        advice = "run `phonics-data verify` on its dataset"
        if shard.is_far:
            advice = f"if its server or the network failed, run the same command again; if not, {advice}"
        raise DatasetError(
            f"{shard.address}: cannot be read as a whole tar file ({_reason(error)}); {advice}"
        ) from error


def read_samples(shards: Sequence[Shard]) -> Iterator[Sample]:
    """Every sample of the shards. Raises `DatasetError` for a key that comes twice, or for mixed label sets."""
    unique = OneSet()
    for shard in shards:
        for key, members in read_members(shard):
            sample = decode(key, members, where=shard.address)
            unique.check(sample.key, sample.label_set, shard.address)
            yield sample


def read_named(shards: Sequence[Shard], keys: Sequence[str]) -> dict[str, Sample]:
    """The samples of these keys; the rest is skipped. Raises `DatasetError` if one is not there."""
    missing, found = set(keys), dict[str, Sample]()
    for shard in shards:
        if not missing:
            break
        for key, members in read_members(shard, missing.copy().__contains__):
            found[key] = decode(key, members, where=shard.address)
            missing.discard(key)
    if missing:
        raise DatasetError(f"{', '.join(sorted(missing))}: not in the {len(shards)} shard(s) of the split")
    return found


def chosen_samples(dataset: Dataset, split: Split, num_samples: int) -> list[Sample]:
    """`num_samples` samples of a split, spread evenly over it in the order of their shards (all, where it has fewer).

    Only these are decoded.

    Raises:
        DatasetError: no shards, or no samples in them.
    """
    shards = find(dataset, split)
    count = sum(1 for shard in shards for _ in read_members(shard))
    if not count:
        raise DatasetError(f"{dataset}: the shards of {split} hold no samples; build the dataset again")
    wanted = {i * count // num_samples for i in range(num_samples)} if num_samples < count else set(range(count))
    samples: list[Sample] = []
    place = 0
    for shard in shards:
        for key, members in read_members(shard):
            if place in wanted:
                samples.append(decode(key, members, where=shard.address))
            place += 1
    return samples


class OneSet:
    """Holds the samples of a split to different keys and one label set."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}
        self.label_set = ""

    def check(self, key: str, label_set: str, where: str) -> None:
        """Raises `DatasetError` for a key that came before, or another label set than before."""
        if key in self._keys:
            raise DatasetError(f"{where}: sample {key} is in {self._keys[key]} already")
        self.label_set = self.label_set or label_set
        if label_set != self.label_set:
            raise DatasetError(
                f"{where}: sample {key} is of label set {label_set!r}, those before it of "
                f"{self.label_set!r}; a dataset has one label set"
            )
        self._keys[key] = where


class Labelled(Protocol):
    """What has a class."""

    @property
    def key(self) -> str: ...

    @property
    def label(self) -> str: ...


def label_set_of(name: str, samples: Sequence[Labelled]) -> LabelSet:
    """See `phonics_data.contract.labels.label_set`. Raises `DatasetError` that names the sample of an unknown class."""
    try:
        return label_set(name, (sample.label for sample in samples))
    except DatasetError as error:
        known = KNOWN[name].names
        wrong = [sample.key for sample in samples if sample.label not in known]
        raise DatasetError(
            f"{len(wrong)} of {len(samples)} samples, the first {wrong[0]}: {error}; build the dataset again, or give "
            "its labels a label set of their own"
        ) from error


def check_size(key: str, height: int, width: int, size: int) -> None:
    """Raises `DatasetError` for frames that are not square or smaller than `size`."""
    if height != width or height < size:
        raise DatasetError(
            f"sample {key}: frames are {width}x{height}, the model's data.size is {size}; allowed: square "
            f"frames of at least this size. Use --set data.size=..., or build the dataset with larger frames"
        )


def resize(sample: Sample, size: int) -> NDArray[np.uint8]:
    """The sample's frames at size x size, by area averaging.

    Raises `DatasetError` for frames that are not square or smaller than `size`.
    """
    frames = sample.frames_LHWC
    length, height, width, channels = frames.shape
    check_size(sample.key, height, width, size)
    if height == size:
        return frames
    if height % size == 0:
        factor = height // size
        blocks = frames.reshape(length, size, factor, size, factor, channels)
        return np.rint(blocks.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8)
    images = (Image.fromarray(frame).resize((size, size), Image.Resampling.BOX) for frame in frames)
    return np.stack([np.asarray(image) for image in images])
