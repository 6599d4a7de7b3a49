"""Manifests, reviews and other CSV tables, manifests as parquet: rows with valid values, or one error.

The first byte selects the format.
"""

from __future__ import annotations

import io
import random
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from phonics_data.errors import PhonicsDataError
from phonics_data.quality.split import read_given_splits
from phonics_data.stages.fetch.ledger import address_key, host_of
from phonics_data.storage.manifest import is_http_url, read_manifest, youtube_id
from phonics_data.storage.reviews import read_reviews, reviews_text
from tests.fuzz.inputs import TEXTS, damaged, json_value

INPUTS = 15_000
MODULES = (
    "phonics_data.storage.manifest",
    "phonics_data.storage.reviews",
    "phonics_data.contract.csv_table",
    "phonics_data.contract.untrusted",
)
_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-manifests-"))
_NAMES = ("m.csv", "m.parquet", "reviews.csv", "splits.csv")
_CSV = (
    b"video_id,url,title,channel,kind,letters,language,tier,duration_seconds\n"
    b"a1,https://www.youtube.com/watch?v=abcdefghijk,ABC Song,Kids,alphabet,,en,1,120.5\n"
    b'b2,songs/b.mp4,"B, bat",,letter,B,en/hi,2,\n'
    b"c3,http://127.0.0.1:8000/c.html,C,,range,CDE,en-GB,3,60\n"
)
_REVIEWS = (
    b"video_id,sha256,decision,before_letter,before_start,before_end,letter,start,end,word,reviewer,reviewed_at,tool_version,duration,loudness\n"
    b"a1," + b"ab" * 32 + b",change,A,1.0,2.0,A,1.1,2.1,apple,Ann,2026-01-31T12:00:00Z,0.1,,\n"
    b"a1," + b"ab" * 32 + b",source,,,,,,,,,,,60.0,0011aaff\n"
)
_SPLITS = b"video_id,split\na1,train\nb2,test\n"


def _parquet(rows: list[dict[str, object]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


_ROW = {
    "video_id": "a1",
    "url": "https://h.org/a.mp4",
    "title": "A",
    "letters": "A",
    "tier": 1,
    "duration_seconds": 3.5,
}
SEEDS = (
    b"\0" + _CSV,
    b"\1" + _parquet([_ROW, {**_ROW, "video_id": "b2", "url": "b.mp4"}]),
    b"\2" + _REVIEWS,
    b"\3" + _SPLITS,
)
WORDS = (
    *TEXTS, b"http://[::1", b"http://[::1]:80/", b"http://a b/", b"http://h:99999/", b"http://h:x/", b"http://", b"https://a..b/",
    b"http://" + b"a" * 64 + b".org/", b"http://h/\x1b]0;x\x07", b"file:///etc/passwd", b"http://user:pw@h/", b"http://\xe2\x84\x80.com/", b"keep",
    b"drop", b"source", b"letter", b"range", b"ABCDEF", b"https://youtu.be/abcdefghijk",
)  # fmt: skip


def sample(rng: random.Random) -> bytes:
    kind = rng.choice((0, 0, 0, 1, 2, 2, 3))
    if kind == 1 and rng.random() < 0.7:
        return b"\1" + _odd_parquet(rng)
    return bytes([kind]) + damaged(SEEDS[kind][1:], rng, WORDS, is_binary=kind == 1)


def _odd_parquet(rng: random.Random) -> bytes:
    """A whole file with odd values, or columns of odd types."""
    rows = [{name: json_value(rng) if rng.random() < 0.2 else value for name, value in _ROW.items()} for _ in range(2)]
    try:
        return _parquet(rows)
    except (pa.ArrowException, OverflowError, UnicodeError):
        columns = {
            "video_id": pa.array(["a1"]),
            "url": rng.choice((pa.array([["x"]]), pa.array([b"\xff"]), pa.array([{"a": 1}]), pa.array(["u"]))),
            "tier": rng.choice((pa.array([2**62]), pa.array([10**18], pa.timestamp("us")), pa.array([1.0]))),
        }
        file = io.BytesIO()
        pq.write_table(pa.table(columns), file)
        return file.getvalue()


def read(data: bytes) -> bool:
    name = _NAMES[data[0] % len(_NAMES)]
    path = _FOLDER / name
    path.write_bytes(data[1:])
    try:
        if name == "reviews.csv":
            text = reviews_text(read_reviews(path))
            path.write_text(text, encoding="utf-8")
            assert reviews_text(read_reviews(path)) == text, "reviews that are written are not read alike"
        elif name == "splits.csv":
            read_given_splits(path)
        else:
            for video in read_manifest(str(path)):
                youtube_id(video.url)
                host_of(video.url)
                address_key(video.url)
                assert not is_http_url(video.url) or urlsplit(video.url).port is None or video.url.isprintable()
                assert video.duration_seconds is None or 0 < video.duration_seconds < 1e9
                Path(video.url).exists()
    except PhonicsDataError:
        return False
    return True
