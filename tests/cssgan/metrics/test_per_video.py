"""The file of metrics per video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cssgan.metrics import per_video
from cssgan.metrics.per_video import PerVideo, deviation
from phonics_data.errors import InputError

ROWS = PerVideo(
    keys=("a", "b"), sources=("s", "t"), values={"l1": np.array([0.5, np.nan])}, real_ND=np.arange(6.0).reshape(2, 3),
    fake_ND=np.ones((2, 3)), extractor="rand3d-1",
)  # fmt: skip


def test_a_file_contains_what_was_written(tmp_path: Path) -> None:
    per_video.write(ROWS, tmp_path / "videos.parquet")

    found = per_video.read(tmp_path / "videos.parquet")

    assert (found.keys, found.sources, found.extractor) == (ROWS.keys, ROWS.sources, ROWS.extractor)
    assert found.values["l1"] == pytest.approx(ROWS.values["l1"], nan_ok=True)
    assert found.real_ND.tolist() == ROWS.real_ND.tolist()
    assert found.fake_ND.tolist() == ROWS.fake_ND.tolist()


def test_files_of_an_older_version_and_other_files_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "videos.parquet"
    pq.write_table(pa.table({"key": ["a"]}).replace_schema_metadata({"extractor": "e"}), path)
    with pytest.raises(InputError, match=r"got format 1, allowed: 2; run `cssgan evaluate --per-video` again"):
        per_video.read(path)
    path.write_text("no parquet")
    with pytest.raises(InputError, match="cannot be read"):
        per_video.read(path)
    with pytest.raises(InputError, match="cannot be read"):
        per_video.read(tmp_path / "missing.parquet")


def test_half_and_double_of_the_real_value_are_equally_far_from_it() -> None:
    found = deviation(np.array([1.0, 2.0, 0.5, np.nan]), np.array([1.0, 1.0, 1.0, 1.0]))

    assert found == pytest.approx([0.0, np.log(2), np.log(2), np.nan], nan_ok=True)
