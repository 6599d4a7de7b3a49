from __future__ import annotations

from pathlib import Path

import pytest

from phonics_data.contract.files import atomic_path, write_bytes


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "table.parquet"
    write_bytes(target, b"old")

    def write_half() -> None:
        with atomic_path(target) as temporary:
            temporary.write_bytes(b"half of the n")
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        write_half()
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["table.parquet"]


def test_temporary_name_keeps_the_suffix(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "new folder" / "clip.mp4") as temporary:
        assert temporary.suffix == ".mp4"
        temporary.write_bytes(b"x")
    assert (tmp_path / "new folder" / "clip.mp4").read_bytes() == b"x"
