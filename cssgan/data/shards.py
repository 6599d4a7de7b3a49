"""The shards of a dataset, DATASET/{train,validation,test,unseen-styles}-000000.tar ..., on a disk or at an address, and their samples."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cssgan.storage.files import cache_root, make_folder
from cssgan.types import SPLITS, Split
from phonics_data.contract import tar_reader
from phonics_data.contract.address import is_address, remote_errors, shown
from phonics_data.contract.files import write_bytes
from phonics_data.contract.labels import KNOWN, LabelSet, label_set
from phonics_data.contract.sample import Sample
from phonics_data.contract.shard import decode
from phonics_data.contract.tar_reader import TarSample
from phonics_data.contract.untrusted import (
    MAX_JSON_BYTES,
    count_of_json,
    parse_json_object,
    read_json_object,
    read_limited_stream,
)
from phonics_data.errors import DatasetError

Dataset = Path | str
"""A folder, or the address of one that fsspec opens (``s3://...``, ``https://...``)."""

DESCRIPTION = "dataset.json"
_NAME = re.compile(rf"({'|'.join(SPLITS)})-.*\.tar")
_SHA256 = re.compile(r"[0-9a-f]{64}")
log = logging.getLogger("cssgan")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """One tar of a split."""

    name: str
    address: str
    """Path or address."""
    num_bytes: int
    sha256: str | None = None
    """Of the whole file, from dataset.json; None for local shards, whose digest `checksum` computes."""


def as_dataset(text: str) -> Dataset:
    """The argument of ``--shards``: an address unchanged, anything else as a path."""
    return text if is_address(text) else Path(text)


def available_splits(dataset: Dataset) -> set[Split]:
    """The splits of which a dataset has shards."""
    names = _listing(dataset)
    return {split for split in SPLITS if any(name.startswith(f"{split}-") for name in names)}


def find_shards(dataset: Dataset, split: Split) -> list[Shard]:
    """The shards of one split, sorted by name.

    Raises:
        DatasetError: no dataset, no shard of the split, or a local shard that is smaller than dataset.json lists.
    """
    listed = _listing(dataset)
    found = [shard for name, shard in sorted(listed.items()) if name.startswith(f"{split}-")]
    if not found:
        others = [other for other in SPLITS if any(name.startswith(f"{other}-") for name in listed)]
        words = f"found shards of {', '.join(others)} only" if others else "found no shards"
        raise DatasetError(f"{dataset}: no {split}-*.tar, {words}; build the dataset with `phonics-data build`")
    if not is_address(dataset):
        _check_sizes(Path(dataset), found)
    return found


def _check_sizes(folder: Path, shards: Sequence[Shard]) -> None:
    """Compare the sizes of local shards with dataset.json: a tar that ends between two samples can be read without error.

    Raises:
        DatasetError: a shard is too small, or dataset.json is damaged. Datasets without dataset.json are not checked.
    """
    path = folder / DESCRIPTION
    try:
        entries = cast("list[dict[str, Any]]", read_json_object(path).get("shards", []))
        sizes = {str(entry["name"]): count_of_json(entry["bytes"]) for entry in entries}
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path}: cannot be read ({type(error).__name__}: {error}); run `phonics-data shard` again"
        ) from error
    for shard in shards:
        expected = sizes.get(shard.name, 0)  # of the samples; the file has padding after them
        if shard.num_bytes < expected:
            raise DatasetError(
                f"{shard.address}: truncated, {shard.num_bytes} bytes but {expected} in {DESCRIPTION}; run "
                f"`phonics-data verify {folder} --repair`"
            )


def _listing(dataset: Dataset) -> dict[str, Shard]:
    if is_address(dataset):
        return _remote_listing(str(dataset).rstrip("/"))
    folder = Path(dataset)
    if folder.is_file():
        raise DatasetError(f"{folder}: is a file; give the dataset's folder, which contains its shards")
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such dataset folder; build one with `phonics-data build`")
    return {
        path.name: Shard(name=path.name, address=str(path), num_bytes=path.stat().st_size)
        for path in folder.glob("*.tar")
        if _NAME.fullmatch(path.name)
    }


def _remote_listing(address: str) -> dict[str, Shard]:
    """The shards that dataset.json lists: many servers cannot list a folder."""
    description = f"{address}/{DESCRIPTION}"
    try:
        with tar_reader.open_stream(description) as file, remote_errors():
            found = parse_json_object(read_limited_stream(file, MAX_JSON_BYTES))
        if found.get("shards_included") is False:
            raise DatasetError(
                f"{shown(address)}: was published without its shards; rebuild it: phonics-data build {shown(address)}/manifest.csv --work "
                "work --out dataset"
            )
        entries = cast("list[dict[str, Any]]", found["shards"])
        return {
            str(entry["name"]): Shard(
                name=str(entry["name"]),
                address=f"{address}/{entry['name']}",
                num_bytes=count_of_json(entry["bytes"]),
                sha256=str(entry["sha256"]),
            )
            for entry in entries
            if _NAME.fullmatch(str(entry["name"]))
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{shown(address)}: no dataset there ({shown(f'{description}: {type(error).__name__} {error}')}); allowed: a folder, or an "
            f"address with {DESCRIPTION} and the shards of `phonics-data shard`"
        ) from error


def shards_digest(shards: Sequence[Shard]) -> str:
    """A digest of the names and contents of shards, 16 hexadecimal digits."""
    total = hashlib.sha256()
    for shard in shards:
        total.update(f"{shard.name}:{checksum(shard)}\n".encode())
    return total.hexdigest()[:16]


def checksum(shard: Shard) -> str:
    """SHA-256 of a shard's content in hex.

    Digests of local shards are cached by path, size, modification time and inode, so large datasets are hashed once.
    """
    if shard.sha256 is not None:
        return shard.sha256
    status = Path(shard.address).stat()
    stamp = f"{Path(shard.address).resolve()}:{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
    cached = cache_root() / "sums" / hashlib.sha256(stamp.encode()).hexdigest()[:32]
    try:
        known = cached.read_text()
        if _SHA256.fullmatch(known):
            return known
        log.warning("%s: not a SHA-256 digest; hashing %s again", cached, shard.address)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        log.warning("%s: cannot be read (%s); hashing %s again", cached, error, shard.address)
    with Path(shard.address).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    make_folder(cached.parent)
    write_bytes(cached, found.encode())
    return found


def read_tar_samples(shard: Shard, wanted: Callable[[str], bool] | None = None) -> Iterator[TarSample]:
    """The undecoded samples of one shard, in file order.

    Args:
        wanted: whether a sample of this key is read; the others are skipped.

    Raises:
        DatasetError: not a tar, truncated, or unreachable.
    """
    num_bytes = shard.num_bytes if is_address(shard.address) else None
    return tar_reader.read_samples(shard.address, num_bytes=num_bytes, wanted=wanted)


def read_samples(shards: Sequence[Shard]) -> Iterator[Sample]:
    """Every sample of the shards. Raises `DatasetError` for a key that occurs twice, or for mixed label sets."""
    check = SplitCheck()
    for shard in shards:
        for found in read_tar_samples(shard):
            sample = decode(found.key, found.members, where=shard.address)
            check.add(sample.key, sample.label_set, shard.address)
            yield sample


def read_samples_by_key(shards: Sequence[Shard], keys: Sequence[str]) -> dict[str, Sample]:
    """The samples with these keys. Raises `DatasetError` if one is not there."""
    missing, samples = set(keys), dict[str, Sample]()
    for shard in shards:
        if not missing:
            break
        for found in read_tar_samples(shard, missing.copy().__contains__):
            samples[found.key] = decode(found.key, found.members, where=shard.address)
            missing.discard(found.key)
    if missing:
        raise DatasetError(f"{', '.join(sorted(missing))}: not in the {len(shards)} shard(s) of the split")
    return samples


def read_evenly_spaced(dataset: Dataset, split: Split, num_samples: int) -> list[Sample]:
    """`num_samples` samples of a split, evenly spaced in the order of its shards (all, if it has fewer).

    Only these are decoded.

    Raises:
        DatasetError: no shards, or no samples in them.
    """
    shards = find_shards(dataset, split)
    count = sum(1 for shard in shards for _ in read_tar_samples(shard))
    if not count:
        raise DatasetError(f"{dataset}: the shards of {split} contain no samples; build the dataset again")
    wanted = {i * count // num_samples for i in range(num_samples)} if num_samples < count else set(range(count))
    numbered = enumerate((found, shard) for shard in shards for found in read_tar_samples(shard))
    return [
        decode(found.key, found.members, where=shard.address) for number, (found, shard) in numbered if number in wanted
    ]


class SplitCheck:
    """Checks that the samples of a split have different keys and one label set."""

    def __init__(self) -> None:
        self._shard_of_key: dict[str, str] = {}
        self.label_set = ""

    def add(self, key: str, label_set: str, where: str) -> None:
        """Raises `DatasetError` for a key that was added before, or another label set than before."""
        if key in self._shard_of_key:
            raise DatasetError(f"{where}: sample {key} is in {self._shard_of_key[key]} already")
        self.label_set = self.label_set or label_set
        if label_set != self.label_set:
            raise DatasetError(
                f"{where}: sample {key} is of label set {label_set!r}, those before it of "
                f"{self.label_set!r}; a dataset has one label set"
            )
        self._shard_of_key[key] = where


class ClipInfo(Protocol):
    """The properties of a clip that decide which batches contain it."""

    @property
    def key(self) -> str: ...

    @property
    def label(self) -> str: ...

    @property
    def num_frames(self) -> int: ...

    @property
    def object_word(self) -> str: ...


def label_set_of(name: str, clips: Sequence[ClipInfo]) -> LabelSet:
    """See `phonics_data.contract.labels.label_set`. Raises `DatasetError` that names the first sample of an unknown class."""
    try:
        return label_set(name, (clip.label for clip in clips))
    except DatasetError as error:
        known = KNOWN[name].names
        wrong = [clip.key for clip in clips if clip.label not in known]
        raise DatasetError(
            f"{len(wrong)} of {len(clips)} samples, the first {wrong[0]}: {error}; build the dataset again, or give "
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
    """The sample's frames at size x size by area averaging, uint8 (L, size, size, 3).

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
