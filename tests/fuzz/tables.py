"""Parquet tables of a workspace and of a dataset, tables of object pictures, OCR traces. The first byte selects one."""

from __future__ import annotations

import dataclasses
import io
import random
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phonics_data.contract.records import to_plain
from phonics_data.dataset.layout import METADATA, MetadataRow, read_metadata
from phonics_data.errors import PhonicsDataError
from phonics_data.ocr.trace import ScreenTrace
from phonics_data.sources.synthetic.render import read_truth
from phonics_data.storage.object_table import ObjectBox, ObjectRow, read_objects, write_objects
from phonics_data.storage.tables import read_table, schema
from phonics_data.types import FetchedVideo, Rejection, Segment
from tests.fuzz.inputs import TEXTS, damaged, json_value

INPUTS = 7_000
MODULES = ("phonics_data.storage.tables", "phonics_data.contract.records", "phonics_data.contract.untrusted")
_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-tables-"))
_VIDEO = FetchedVideo(
    video_id="a1", path="media/a1/a1.mp4", sha256="ab" * 32, num_bytes=1, duration_seconds=60.0, frame_rate=Fraction(30000, 1001), width=64,
    height=64, audio_rate_hz=48000, captions=None, fetched_at="2026-01-01T00:00:00Z", fetcher_version="x",
)  # fmt: skip
_SEGMENT = Segment(
    segment_id="a1-0000001", video_id="a1", letter="A", object_word="apple", start_seconds=1.0, end_seconds=2.0, rule="phrase",
    evidence="captions", confidence=0.9,
)  # fmt: skip
_REJECTION = Rejection(stage="segment", item_id="a1", reason="no_letters", measured=0.1)
_TRUTH = {
    "video_id": "a1", "letter": "A", "object_word": "apple", "start_seconds": 1.0, "end_seconds": 2.0,
    "words": [{"text": "A", "start": 1.0, "end": 1.5}],
}  # fmt: skip
_TRACE = ScreenTrace(
    rate=5, changed_T=np.ones(4, np.float32), cut_T=np.zeros(4, bool), edges_TGG=np.zeros((4, 18, 32), np.uint8), frame_R=np.zeros(2, np.int32),
    box_R4=np.zeros((2, 4), np.float32), letters_R26=np.zeros((2, 26), np.float32), colour_R6=np.zeros((2, 6), np.float32),
    after_cut_R=np.zeros(2, bool),
)  # fmt: skip


def _parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def _metadata_row() -> dict[str, object]:
    values: dict[str, object] = {}
    for field in schema(MetadataRow):
        kind = field.type
        values[field.name] = (
            "25" if field.name == "frame_rate" else "x" if kind == pa.string() else True if kind == pa.bool_() else 1
        )
    return values


def _objects() -> bytes:
    path = _FOLDER / "seed.objects.parquet"
    box = ObjectBox(start_seconds=0.0, end_seconds=1.0, left=0.0, top=0.0, right=1.0, bottom=1.0)
    row = ObjectRow(object_word="apple", start_seconds=0.0, end_seconds=1.0, shown_seconds=0.5, png=b"x", boxes=(box,))
    write_objects(path, [row], plan="p")
    return path.read_bytes()


_RECORDS = (
    (FetchedVideo, to_plain(_VIDEO)),
    (Segment, to_plain(_SEGMENT)),
    (Rejection, to_plain(_REJECTION)),
    (MetadataRow, _metadata_row()),
)
SEEDS = (
    *(
        bytes([number]) + _parquet(pa.Table.from_pylist([row] * 2, schema=schema(kind)))
        for number, (kind, row) in enumerate(_RECORDS)
    ),
    b"\4" + _objects(),
    b"\5" + _parquet(pa.Table.from_pylist([_TRUTH])),
    b"\6" + _TRACE.to_bytes(),
)
WORDS = (
    *TEXTS,
    b"PAR1",
    b"phonics_data.record",
    b"FetchedVideo",
    b"\x15\x00",
    b"\x15\x02",
    b"NUMPY",
    b"PK\x03\x04",
    b"'|O'",
    b"(9999999999,)",
)


def sample(rng: random.Random) -> bytes:
    number = rng.randrange(len(SEEDS))
    if number < len(_RECORDS) and rng.random() < 0.6:
        return bytes([number]) + _odd_table(number, rng)
    if number == 6 and rng.random() < 0.5:
        return b"\6" + _odd_trace(rng)
    return bytes([number]) + damaged(SEEDS[number][1:], rng, WORDS, is_binary=True)


def _odd_table(number: int, rng: random.Random) -> bytes:
    """A whole table of our own of which columns are missing, empty or of another type."""
    kind, row = _RECORDS[number]
    table = pa.Table.from_pylist([row] * 2, schema=schema(kind))
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(table.num_columns)
        name = table.column_names[place]
        way = rng.randint(0, 4)
        if way == 0 and table.num_columns > 1:
            table = table.drop_columns([name])
            continue
        value = (None, [1], {"a": 1}, rng.choice((float("nan"), 1e300, float("inf"))), json_value(rng))[way]
        try:
            table = table.set_column(place, pa.field(name, pa.array([value, value]).type), pa.array([value, value]))
        except (pa.ArrowException, OverflowError, UnicodeError):
            table = table.set_column(place, name, pa.array([b"\xff", b""]))
    try:
        return _parquet(table.replace_schema_metadata(schema(kind).metadata))
    except pa.ArrowNotImplementedError:  # a column of objects without fields cannot be written
        return _parquet(pa.Table.from_pylist([row], schema=schema(kind)))


def _odd_trace(rng: random.Random) -> bytes:
    values = {field.name: getattr(_TRACE, field.name) for field in dataclasses.fields(ScreenTrace)}
    name = rng.choice(list(values))
    values[name] = rng.choice(
        (
            np.zeros(3),
            np.full(4, np.nan, np.float32),
            np.array("x"),
            np.zeros((2, 4, 4), np.int64),
            np.array([-1, 99], np.int32),
            np.array(10**9),
        )
    )
    file = io.BytesIO()
    np.savez_compressed(file, **values)
    return file.getvalue()


def read(data: bytes) -> bool:
    number, path = data[0] % len(SEEDS), _FOLDER / METADATA
    path.write_bytes(data[1:])
    try:
        if number == 3:
            read_metadata(_FOLDER)
        elif number < len(_RECORDS):
            kind = _RECORDS[number][0]
            for record in read_table(path, kind):
                pa.Table.from_pylist([to_plain(record)], schema=schema(kind))
                assert kind is not Segment or abs(getattr(record, "start_seconds")) <= 1e300  # noqa: B009 - of one of several types
        elif number == 4:
            read_objects(path)
        elif number == 5:
            read_truth(path)
        else:
            trace = ScreenTrace.from_file(path)
            assert trace.duration_seconds >= 0
            assert len(trace.letter_R) == len(trace.frame_R)
    except PhonicsDataError:
        return False
    return True
