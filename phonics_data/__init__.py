"""phonics_data: from web videos to a dataset of short clips that each show one letter.

Importing the package loads no heavy library; each stage imports what it needs when it runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas

    from phonics_data.contract.sample import Sample
    from phonics_data.types import Split

__version__ = "0.1.0"


def load_manifest(location: str | Path) -> pandas.DataFrame:
    """A manifest as a table, by name (``"alphabet"``) or path; see `phonics_data.storage.manifest.load_manifest`."""
    from phonics_data.storage import manifest

    return manifest.load_manifest(location)


def load_metadata(dataset: str | Path) -> pandas.DataFrame:
    """The clips of a dataset as a table, one row per clip; see `phonics_data.dataset.reader.load_metadata`."""
    from phonics_data.dataset import reader

    return reader.load_metadata(dataset)


def open_dataset(
    source: str | Path | Sequence[str], *, split: Split | None = None, shuffle_buffer: int = 0, seed: int = 0
) -> Iterator[Sample]:
    """The decoded samples of a dataset folder, glob pattern or URL; see `phonics_data.dataset.reader.open_dataset`."""
    from phonics_data.dataset import reader

    return reader.open_dataset(source, split=split, shuffle_buffer=shuffle_buffer, seed=seed)
