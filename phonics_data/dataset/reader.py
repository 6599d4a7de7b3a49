"""Reading a dataset: metadata as a table, samples as an iterator for notebooks and loaders of any framework.

import phonics_data
clips = phonics_data.load_metadata("dataset")          # pandas, one row per clip
for sample in phonics_data.open_dataset("dataset", split="train"):
    sample.frames_LHWC, sample.audio_N, sample.label
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from phonics_data.contract import tar_reader
from phonics_data.contract.address import file_system, is_address, remote_errors, shown
from phonics_data.contract.sample import Sample
from phonics_data.contract.shard import read_shard
from phonics_data.contract.untrusted import MAX_JSON_BYTES, parse_json_object, read_limited_stream
from phonics_data.dataset.layout import DESCRIPTION, MANIFEST, METADATA, SHARD_NAME, has_shards, shard_paths
from phonics_data.errors import DatasetError, OptionError
from phonics_data.quality.split import SPLITS
from phonics_data.types import Split

if TYPE_CHECKING:
    import pandas


def load_metadata(dataset: Path | str) -> pandas.DataFrame:
    """metadata.parquet of a dataset folder, or of a dataset at an address, as a table, one row per clip; columns:
    `phonics_data.dataset.layout.MetadataRow`.

    Raises:
        DatasetError: the folder contains no metadata.parquet, or the address cannot be read.
        DependencyError: the package that reads the address is not installed.
    """
    import pandas

    missing = DatasetError(f"{shown(str(dataset))}: no {METADATA} in it; is this a dataset of `phonics-data shard`?")
    if not is_address(dataset):
        path = Path(dataset) / METADATA
        if not path.is_file():
            raise missing
        return pandas.read_parquet(path)
    with tempfile.TemporaryDirectory() as folder:
        try:
            tar_reader.copy_file(f"{str(dataset).rstrip('/')}/{METADATA}", Path(folder) / METADATA)
        except FileNotFoundError:
            raise missing from None
        return pandas.read_parquet(Path(folder) / METADATA)


def open_dataset(
    source: Path | str | Sequence[str],
    *,
    split: Split | None = None,
    shuffle_buffer: int = 0,
    seed: int = 0,
) -> Iterator[Sample]:
    """Every sample of a dataset, decoded one at a time. Nothing is unpickled or extracted.

    Args:
        source: one of the following, or a sequence of them:

            * a dataset folder, a shard, or a glob of shards (``dataset/train-*.tar``);
            * the same at an address (``https://.../dataset``, ``s3://.../train-000000.tar``, ``hf://datasets/user/name``). A folder
              at an address must contain dataset.json.

        split: for folders: read only the shards of this split.
        shuffle_buffer: 0: file order; otherwise shards are shuffled, and samples through a buffer of this many.
        seed: of the shuffling.

    Raises:
        DatasetError: no shard there, or an unreadable one; network errors are retried before.
        DependencyError: the package that reads the address is not installed.
    """
    if split is not None and split not in SPLITS:
        raise OptionError("split", split, ", ".join(SPLITS))
    if shuffle_buffer < 0:
        raise OptionError("shuffle_buffer", shuffle_buffer, "0 or more samples")
    addresses = _addresses(source, split)
    if not shuffle_buffer:
        return _read_all(addresses)
    random.Random(seed).shuffle(addresses)
    return _shuffled(_read_all(addresses), shuffle_buffer, seed)


def _read_all(addresses: Sequence[str]) -> Iterator[Sample]:
    for address in addresses:
        yield from read_shard(address)


def _addresses(source: Path | str | Sequence[str], split: Split | None) -> list[str]:
    """The shards of `source`, sorted for each of several sources."""
    if not isinstance(source, Path | str):
        return [address for one in source for address in _addresses(one, split)]
    text = str(source)
    if is_address(text):
        found = _remote_addresses(text, split)
    elif "*" in text:
        root = Path(Path(text).anchor or ".")
        found = [str(path) for path in root.glob(str(Path(text).relative_to(Path(text).anchor)))]
    elif Path(text).is_dir():
        found = [str(path) for path in shard_paths(Path(text)) if split is None or path.name.startswith(f"{split}-")]
    else:
        found = [text] if Path(text).is_file() else []
    if not found:
        what = f" of split {split}" if split else ""
        raise DatasetError(
            f"{shown(text)}: no shards{what} there; allowed: a dataset folder, a .tar, a glob or an address"
        )
    return sorted(found)


def _remote_addresses(text: str, split: Split | None) -> list[str]:
    if "*" in text:
        try:
            system, path = file_system(text)
            with remote_errors():
                return [str(system.unstrip_protocol(found)) for found in system.glob(path)]
        except OSError as error:
            raise DatasetError(f"{shown(text)}: cannot be listed ({shown(str(error))})") from error
    if text.endswith(".tar"):
        return [text]
    folder = text.rstrip("/")
    description = f"{folder}/{DESCRIPTION}"
    try:
        with tar_reader.open_stream(description) as file, remote_errors():
            description_bytes = read_limited_stream(file, MAX_JSON_BYTES)
        found = parse_json_object(description_bytes)
        names = [str(entry["name"]) for entry in found["shards"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{shown(text)}: no dataset there ({shown(f'{description}: {error}')}); allowed: a folder with {DESCRIPTION}, or addresses of "
            "shards"
        ) from error
    if not has_shards(found):
        raise DatasetError(
            f"{shown(text)}: was published without its shards; rebuild it: phonics-data build {shown(folder)}/{MANIFEST} --work work --out "
            "dataset"
        )
    names = [name for name in names if SHARD_NAME.fullmatch(name)]
    return [f"{folder}/{name}" for name in names if split is None or name.startswith(f"{split}-")]


def _shuffled(samples: Iterator[Sample], size: int, seed: int) -> Iterator[Sample]:
    """The samples in an order that is random within a sliding window of `size`."""
    rng = random.Random(seed + 1)
    window: list[Sample] = []
    for sample in samples:
        window.append(sample)
        if len(window) > size:
            place = rng.randrange(len(window))
            window[place], window[-1] = window[-1], window[place]
            yield window.pop()
    rng.shuffle(window)
    yield from window
