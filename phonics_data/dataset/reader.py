"""The reading side of a dataset, for notebooks and loaders of any framework.

::

    import phonics_data
    clips = phonics_data.load_metadata("dataset")          # pandas, one row a clip
    for sample in phonics_data.open_dataset("dataset", split="train"):
        sample.frames_LHWC, sample.audio_N, sample.label
"""

from __future__ import annotations

import json
import random
import tarfile
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from phonics_data.contract.sample import Sample
from phonics_data.contract.shard import decode
from phonics_data.dataset.layout import DESCRIPTION, METADATA, SHARD_NAME, shard_paths
from phonics_data.errors import DatasetError, OptionError
from phonics_data.quality.split import SPLITS
from phonics_data.types import Split

if TYPE_CHECKING:
    import pandas


def load_metadata(dataset: Path | str) -> pandas.DataFrame:
    """metadata.parquet of a dataset folder as a table, one row a clip; `phonics_data.dataset.layout.MetadataRow` has the columns.

    Raises:
        DatasetError: no dataset there.
    """
    import pandas

    path = Path(dataset) / METADATA
    if not path.is_file():
        raise DatasetError(f"{dataset}: holds no {METADATA}; is this a dataset that `phonics-data shard` wrote?")
    return pandas.read_parquet(path)


def open_dataset(
    source: Path | str | Sequence[str],
    *,
    split: Split | None = None,
    shuffle_buffer: int = 0,
    seed: int = 0,
) -> Iterator[Sample]:
    """Every sample of a dataset, decoded one at a time. Nothing is unpickled or extracted, whatever the shards hold.

    Args:
        source: a dataset folder, a shard, a glob of shards (``dataset/train-*.tar``), the same at any address that
            fsspec opens (``https://.../dataset``, ``s3://.../train-000000.tar``), or several of these. A folder at an
            address is one whose dataset.json can be read there.
        split: of a folder: only its train, validation or test shards.
        shuffle_buffer: 0 keeps the order of the files; otherwise shards come in random order, and samples through a
            buffer of this many.
        seed: of the random order.

    Raises:
        DatasetError: no shard there, or a broken one.
    """
    if split is not None and split not in SPLITS:
        raise OptionError("split", split, ", ".join(SPLITS))
    if shuffle_buffer < 0:
        raise OptionError("shuffle_buffer", shuffle_buffer, "0 or more samples")
    addresses = _addresses(source, split)
    samples = (sample for address in _ordered(addresses, shuffle_buffer, seed) for sample in _read(address))
    return _buffered(samples, shuffle_buffer, seed) if shuffle_buffer else samples


def _addresses(source: Path | str | Sequence[str], split: Split | None) -> list[str]:
    if not isinstance(source, Path | str):
        return [address for one in source for address in _addresses(one, split)]
    text = str(source)
    if "://" in text:
        found = _far_addresses(text, split)
    elif "*" in text:
        found = [
            str(path) for path in Path(Path(text).anchor or ".").glob(str(Path(text).relative_to(Path(text).anchor)))
        ]
    elif Path(text).is_dir():
        found = [str(path) for path in shard_paths(Path(text)) if split is None or path.name.startswith(f"{split}-")]
    else:
        found = [text] if Path(text).is_file() else []
    if not found:
        what = f" of split {split}" if split else ""
        raise DatasetError(f"{text}: no shards{what} there; allowed: a dataset folder, a .tar, a glob or an address")
    return sorted(found)


def _far_addresses(text: str, split: Split | None) -> list[str]:
    if "*" in text:
        import fsspec

        system = fsspec.filesystem(text.partition("://")[0])
        return [str(system.unstrip_protocol(path)) for path in system.glob(text)]
    if text.endswith(".tar"):
        return [text]
    description = f"{text.rstrip('/')}/{DESCRIPTION}"
    try:
        with _open(description) as file:
            names = [str(entry["name"]) for entry in json.load(file)["shards"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{text}: no dataset there ({description}: {error}); allowed: a folder with {DESCRIPTION}, or addresses of shards"
        ) from error
    return [
        f"{text.rstrip('/')}/{name}"
        for name in names
        if SHARD_NAME.fullmatch(name) and (split is None or name.startswith(f"{split}-"))
    ]


def _ordered(addresses: list[str], shuffle_buffer: int, seed: int) -> list[str]:
    if shuffle_buffer:
        random.Random(seed).shuffle(addresses)
    return addresses


def _open(address: str) -> IO[bytes]:
    if address.startswith(("http://", "https://")):
        # The standard library streams these; fsspec would need one more package for them.
        return cast("IO[bytes]", urllib.request.urlopen(address, timeout=60))
    import fsspec

    return cast("Any", fsspec.open(address, "rb")).open()


def _read(address: str) -> Iterator[Sample]:
    try:
        with _open(address) as file:
            for key, members in _members(file, address):
                yield decode(key, members, where=address)
    except FileNotFoundError:
        raise DatasetError(f"{address}: no such shard") from None
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DatasetError(f"{address}: cannot be read as a shard ({error})") from error


def _members(file: IO[bytes], address: str) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Samples of an open tar as (key, member name -> bytes), read forwards only, as a stream from afar must be."""
    key, members = "", dict[str, bytes]()
    with tarfile.open(fileobj=file, mode="r|") as tar:
        for info in tar:
            if not info.isfile():
                continue
            this_key, dot, name = info.name.partition(".")
            if not dot:
                raise DatasetError(f"{address}: member {info.name!r} has no sample key; is this a dataset shard?")
            if this_key != key and members:
                yield key, members
                members = {}
            stream = tar.extractfile(info)
            assert stream is not None  # info.isfile()
            key, members[name] = this_key, stream.read()
    if members:
        yield key, members


def _buffered(samples: Iterator[Sample], size: int, seed: int) -> Iterator[Sample]:
    """Samples in an order that is random within a sliding window of `size`."""
    chance = random.Random(seed + 1)
    window: list[Sample] = []
    for sample in samples:
        window.append(sample)
        if len(window) > size:
            place = chance.randrange(len(window))
            window[place], window[-1] = window[-1], window[place]
            yield window.pop()
    chance.shuffle(window)
    yield from window
