"""Large arrays are in files; their memory is released after each block, their content stays."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from cssgan.storage import memmap


def resident_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(("RssFile:", "RssShmem:")))


@pytest.fixture(autouse=True)
def _low_memory_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memmap, "IN_MEMORY_BYTES", 1000)


def test_small_arrays_are_ordinary_ones(tmp_path: Path) -> None:
    assert not isinstance(memmap.empty((10, 100), np.uint8), np.memmap)
    assert isinstance(memmap.empty((10, 101), np.uint8), np.memmap)
    assert not isinstance(memmap.empty((0, 500), np.uint8), np.memmap)


def test_content_survives_the_release_and_no_file_remains(tmp_path: Path) -> None:
    array = memmap.empty((64, 1000), np.float32)
    for rows in memmap.blocks(64, 10, array):
        array[rows] = np.arange(64)[rows, None]
    memmap.release_pages(array[3:], array.reshape(-1, 10))
    assert array[:, 7].tolist() == list(range(64))
    assert list(Path(os.environ["CSSGAN_CACHE"]).iterdir()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_is_released_block_by_block() -> None:
    array = memmap.empty((40, 1_000_000), np.uint8)
    before = resident_bytes()
    for rows in memmap.blocks(40, 4, array):
        array[rows] = 7
        assert resident_bytes() - before < 12_000_000
    assert int(array[39, 5]) == 7
    array[:] = 8
    assert resident_bytes() - before > 30_000_000  # without a release the loop above would have used this


def test_content_that_exists_only_in_memory_is_kept(tmp_path: Path) -> None:
    ordinary = np.arange(5000)
    np.save(tmp_path / "kept.npy", ordinary)
    private = np.load(tmp_path / "kept.npy", mmap_mode="c")
    private[:] = -1
    memmap.release_pages(ordinary[1:], private[1:], private)
    assert ordinary.sum() == 4999 * 2500
    assert (private == -1).all()


def test_blocks_cover_everything_once() -> None:
    assert [index for rows in memmap.blocks(70, 32) for index in range(70)[rows]] == list(range(70))
