"""phonics_data: from videos on the web to a dataset of short videos, one letter each.

Importing this package loads nothing heavy; each stage imports what it needs when it runs.
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
    """A manifest as a table: ``load_manifest("alphabet")``, or a path; see `phonics_data.storage.manifest.load_manifest`."""
    from phonics_data.storage import manifest

    return manifest.load_manifest(location)


def load_metadata(dataset: str | Path) -> pandas.DataFrame:
    """A dataset's clips as a table, one row each; see `phonics_data.dataset.reader.load_metadata`."""
    from phonics_data.dataset import reader

    return reader.load_metadata(dataset)


def open_dataset(
    source: str | Path | Sequence[str], *, split: Split | None = None, shuffle_buffer: int = 0, seed: int = 0
) -> Iterator[Sample]:
    """Every sample of a dataset folder, glob or address, decoded; see `phonics_data.dataset.reader.open_dataset`."""
    from phonics_data.dataset import reader

    return reader.open_dataset(source, split=split, shuffle_buffer=shuffle_buffer, seed=seed)
