"""Arrays too large to be held: thousands of videos lie in a file, and what was looked at is given back.

2,048 windows of 32 frames of 64x64 are 0.8 GB of pictures and 0.3 GB of sound. An evaluation holds two sets of pictures and
two of sounds, goes through them a block at a time, and needs no more than a block at once.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cssgan.storage.files import cache_root, make_folder

IN_MEMORY_BYTES = 1 << 27
"""Smaller arrays are ordinary ones (128 MB)."""


def empty(shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """An array to be written, on the disk of the caches where it is large; its file is gone when it is."""
    if int(np.prod(shape)) * np.dtype(dtype).itemsize <= IN_MEMORY_BYTES:
        return np.empty(tuple(shape), dtype)
    make_folder(cache_root())
    with tempfile.TemporaryFile(dir=cache_root(), prefix=".scratch-") as file:
        return np.memmap(file, dtype, "w+", shape=tuple(shape))


def release_pages(*arrays: NDArray[Any]) -> None:
    """Give the memory of arrays that lie in a file back to the system; what was written stays in the file.

    Ordinary arrays are left alone, as are files on systems that take no such advice.
    """
    for array in arrays:
        held: Any = array
        written_back = True
        while isinstance(held, np.ndarray):
            # What is written into a copy-on-write map is in memory alone.
            written_back &= getattr(held, "mode", "r") != "c"
            held = held.base
        if written_back and isinstance(held, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            held.madvise(mmap.MADV_DONTNEED)


def blocks(num_items: int, block: int = 32, *arrays: NDArray[Any]) -> Iterator[slice]:
    """Slices over 0..num_items: measures convert to float a block at a time, so thousands of videos fit in memory.

    Args:
        arrays: those that are sliced; after each block they are let go.
    """
    for start in range(0, num_items, block):
        yield slice(start, min(start + block, num_items))
        release_pages(*arrays)
