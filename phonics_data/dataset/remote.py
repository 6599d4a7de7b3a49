"""A dataset at an address as local files: its tables, and its shards one at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from phonics_data.contract import tar_reader
from phonics_data.contract.address import is_address, shown
from phonics_data.dataset.layout import (
    CARD,
    CHECKSUMS,
    CROISSANT,
    DESCRIPTION,
    MANIFEST,
    METADATA,
    REJECTIONS,
    SHARD_NAME,
    VIDEOS,
    read_checksums,
    shard_paths,
)
from phonics_data.errors import DatasetError

TABLES = (METADATA, VIDEOS, REJECTIONS, CROISSANT, CARD, MANIFEST)
"""The files beside the shards, the description and the checksums."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetFiles:
    """The files of a dataset on this machine.

    Args:
        folder: contains the description and the tables; of a dataset on this machine, also its shards.
        address: where the shards are; None: in `folder`.
    """

    folder: Path
    address: str | None

    def shard_names(self) -> list[str]:
        """The shards that are there, and at an address those of SHA256SUMS, since many servers cannot list a folder."""
        if self.address is None:
            return [path.name for path in shard_paths(self.folder)]
        try:
            return sorted(name for name in read_checksums(self.folder) if SHARD_NAME.fullmatch(name))
        except DatasetError:
            return []

    @contextmanager
    def shard(self, name: str) -> Generator[Path]:
        """The path of one shard; the copy of one at an address is deleted at the end.

        Raises:
            FileNotFoundError: no such shard.
            DatasetError: the address cannot be read.
        """
        path = self.folder / name
        if self.address is None:
            if not path.is_file():
                raise FileNotFoundError(f"{path}: no such file")
            yield path
            return
        try:
            tar_reader.copy_file(f"{self.address}/{name}", path)
            yield path
        finally:
            path.unlink(missing_ok=True)


def dataset_files(dataset: Path | str) -> AbstractContextManager[DatasetFiles]:
    """The files of a dataset folder, or of a dataset at an address, whose description and tables are copied into a temporary folder.

    `DatasetError` of the block names the address in place of the temporary folder.

    Raises:
        DatasetError: no dataset there, or the address cannot be read.
        DependencyError: the package that reads the address is not installed.
    """
    if is_address(dataset):
        return _copied(str(dataset).rstrip("/"))
    return _local(Path(dataset))


@contextmanager
def _local(folder: Path) -> Generator[DatasetFiles]:
    yield DatasetFiles(folder=folder, address=None)


@contextmanager
def _copied(address: str) -> Generator[DatasetFiles]:
    with tempfile.TemporaryDirectory(prefix="phonics-data-") as temporary:
        folder = Path(temporary)
        try:
            tar_reader.copy_file(f"{address}/{DESCRIPTION}", folder / DESCRIPTION)
        except FileNotFoundError:
            raise DatasetError(
                f"{shown(address)}: contains no {DESCRIPTION}: not a dataset, or one that was not sent whole; run `phonics-data push` (again)"
            ) from None
        with suppress(FileNotFoundError):  # reported by `verify`, as is a table that is listed there and missing
            tar_reader.copy_file(f"{address}/{CHECKSUMS}", folder / CHECKSUMS)
        for name in _listed_tables(folder):
            with suppress(FileNotFoundError):
                tar_reader.copy_file(f"{address}/{name}", folder / name)
        try:
            yield DatasetFiles(folder=folder, address=address)
        except DatasetError as error:
            raise DatasetError(str(error).replace(str(folder), shown(address))) from error


def _listed_tables(folder: Path) -> list[str]:
    """The tables of SHA256SUMS. Others are not asked for: a server may refuse, instead of answering that there is none."""
    try:
        return [name for name in TABLES if name in read_checksums(folder)]
    except DatasetError:
        return [METADATA]
