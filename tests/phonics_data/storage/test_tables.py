from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phonics_data.contract.records import from_plain, to_plain
from phonics_data.errors import TableError
from phonics_data.storage.tables import read_table, write_table
from phonics_data.types import Captions, FetchedVideo, Rejection, ScreenLetter, Transcript, Word

pytestmark = pytest.mark.dependencies

VIDEO = FetchedVideo(
    video_id="song-1",
    path="media/song-1/video.mp4",
    sha256="00",
    num_bytes=12,
    duration_seconds=61.25,
    frame_rate=Fraction(30000, 1001),
    width=640,
    height=360,
    audio_rate_hz=44100,
    captions=Captions(track="en-orig", kind="auto", path="media/song-1/captions.en-orig.json3"),
    fetched_at="2026-01-01T00:00:00Z",
    fetcher_version="1",
)
RECORDS = [
    VIDEO,
    replace(VIDEO, video_id="song-2", captions=None),
    Rejection(stage="fetch", item_id="x", reason="gone", detail="removed"),
    ScreenLetter(video_id="v", letter="A", start_seconds=1, end_seconds=2, score=0.5, box=(0.0, 0.25, 0.5, 1.0)),
    Transcript(
        video_id="v",
        language="en",
        origin="file",
        engine_version="",
        words=(Word(text="é ♪", start_seconds=0.1, end_seconds=0.2), Word(text="a", start_seconds=1, end_seconds=2)),
    ),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_round_trip_through_plain_values_and_parquet(tmp_path: Path, record: object) -> None:
    assert from_plain(type(record), to_plain(record)) == record
    write_table(tmp_path / "t.parquet", type(record), [record, record])
    assert read_table(tmp_path / "t.parquet", type(record)) == [record, record]


def test_empty_table_keeps_its_columns(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", Rejection, [])
    assert read_table(tmp_path / "t.parquet", Rejection) == []
    assert list(pandas.read_parquet(tmp_path / "t.parquet").columns) == [
        "stage", "item_id", "reason", "measured", "threshold", "detail",
    ]  # fmt: skip


def test_missing_column_takes_its_default(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, FetchedVideo, [replace(VIDEO, language="de")])
    whole = pq.read_table(path)
    pq.write_table(whole.drop_columns(["language"]), path)
    assert read_table(path, FetchedVideo) == [replace(VIDEO, language="en")]
    pq.write_table(whole.drop_columns(["width"]), path)
    with pytest.raises(TableError, match="width: is missing"):
        read_table(path, FetchedVideo)


def test_frame_rates_stay_exact(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", FetchedVideo, [VIDEO])
    assert pandas.read_parquet(tmp_path / "t.parquet")["frame_rate"].tolist() == ["30000/1001"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with pytest.raises(TableError, match="no such table"):
        read_table(path, Rejection)
    path.write_bytes(b"PAR1 not parquet")
    with pytest.raises(TableError, match="not a readable parquet file"):
        read_table(path, Rejection)
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(TableError, match="contains unknown records of schema version none"):
        read_table(path, Rejection)
    write_table(path, FetchedVideo, [VIDEO])
    with pytest.raises(TableError, match=r"contains FetchedVideo records .* expected Rejection"):
        read_table(path, Rejection)
