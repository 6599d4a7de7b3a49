"""Large arrays in memory-mapped temporary files, processed in blocks whose memory is released afterwards.

2,048 windows of 32 frames of 64x64 take 0.8 GB for frames and 0.3 GB for log-mels. An evaluation needs two sets of each, but
only one block of them at a time.
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
"""Arrays up to this size (128 MB) are ordinary ones."""


def empty(shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """An uninitialized array; if it is large, in an unnamed file of the cache folder that ends with the array."""
    if int(np.prod(shape)) * np.dtype(dtype).itemsize <= IN_MEMORY_BYTES:
        return np.empty(tuple(shape), dtype)
    make_folder(cache_root())
    with tempfile.TemporaryFile(dir=cache_root(), prefix=".temporary-") as file:
        return np.memmap(file, dtype, "w+", shape=tuple(shape))


def release_pages(*arrays: NDArray[Any]) -> None:
    """Release the memory of memory-mapped arrays; their content stays in the file.

    Ordinary arrays are ignored, and systems without ``madvise`` too.
    """
    for array in arrays:
        base: Any = array
        written_back = True
        while isinstance(base, np.ndarray):
            # Changes of a copy-on-write map exist only in memory.
            written_back &= getattr(base, "mode", "r") != "c"
            base = base.base
        if written_back and isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            base.madvise(mmap.MADV_DONTNEED)


def blocks(num_items: int, block: int = 32, *arrays: NDArray[Any]) -> Iterator[slice]:
    """Slices over 0..num_items, for metrics that convert to float one block at a time.

    Args:
        arrays: the arrays that are sliced; after each block their memory is released.
    """
    for start in range(0, num_items, block):
        yield slice(start, min(start + block, num_items))
        release_pages(*arrays)
