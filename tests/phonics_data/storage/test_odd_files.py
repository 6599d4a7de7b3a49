"""Damaged and malicious files in a workspace and beside a manifest: one error, or the item is processed again."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phonics_data.dataset.layout import read_description, read_metadata
from phonics_data.errors import DatasetError, InputError, ManifestError, TableError
from phonics_data.executors.items import finished_outcome
from phonics_data.ocr.trace import ScreenTrace
from phonics_data.recognizers.cache import read_cached
from phonics_data.stages.fetch.ledger import fetch_report
from phonics_data.storage.manifest import read_manifest
from phonics_data.storage.object_table import read_objects
from phonics_data.storage.tables import read_table, schema
from phonics_data.storage.toml_file import read_toml
from phonics_data.storage.workspace import Workspace
from phonics_data.types import Segment

NESTED = b"[" * 100_000
ODD_JSON = (NESTED, b'{"a":' * 5_000, b"9" * 5_000, b"NaN", b'"\\ud800"', b"\xff\xfe{\0}\0", b"[]", b"null", b"")
HEAD = b"video_id,url\n"


@pytest.mark.parametrize("data", ODD_JSON)
def test_json_of_a_workspace(data: bytes, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    items = [workspace.ledger(stage).path("a1") for stage in ("segment", "fetch")]
    for path in [*items, workspace.root / "items/fetch-run.json", workspace.root / "dataset.json"]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert finished_outcome(workspace.ledger("segment"), "a1", Segment) is None
    assert not fetch_report(workspace).by_status
    assert read_cached(workspace.root / "dataset.json") is None
    with pytest.raises(DatasetError):
        read_description(workspace.root)
    (workspace.root / "workspace.json").write_bytes(data)
    with pytest.raises(InputError, match="layout version unreadable"):
        Workspace(workspace.root)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"a1,http://[::1", "invalid address"),
        (b"a1,http://a b", "space or control character"),
        (b"a1,http://h:65536/a.mp4", "invalid address"),
        (b"a1,http://h:x/a.mp4", "invalid address"),
        (b"a1,http://" + b"a" * 64 + b".org", "invalid host name"),
        (b"a1,http:///x", "without a host"),
        (b"a1,http://h/" + b"a" * 5000, "5,009 characters"),
        (b"a1," + b"a" * 300 + b".mp4", "more than 255 bytes"),
        (b"a1," + b"a/" * 3000, "6,000 characters"),
        (b"a1,a\x1b[2J.mp4", "control character"),
        (b"a1,a\0.mp4", "NUL character in line 2"),
        (b"a1," + b"a" * 200_000, "field larger than field limit"),
        (b"a1,\xff", "not UTF-8"),
        ("a1,a.mp4".encode("utf-16"), "not UTF-8"),
    ],
)
def test_odd_rows_of_a_manifest(row: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(HEAD + row + b"\n")
    with pytest.raises(ManifestError, match=message):
        read_manifest(str(path))


def test_encodings_and_line_ends_of_a_manifest(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    for data in (b"\xef\xbb\xbfvideo_id,url\na1,a.mp4\n", b"video_id,url\ra1,a.mp4\r", b"video_id,url\r\na1,a.mp4"):
        path.write_bytes(data)
        assert [video.video_id for video in read_manifest(str(path))] == ["a1"]
    path.write_bytes("video_id,url\na1,a.mp4\n".encode("utf-16"))
    with pytest.raises(ManifestError, match="UTF-16 text, allowed: UTF-8"):
        read_manifest(str(path))


@pytest.mark.parametrize(
    "address", ["http://[::1/m.csv", "http://h:99999/m.csv", "http://a b/m.csv", "http://a..b/m.csv"]
)
def test_odd_addresses_of_a_manifest(address: str) -> None:
    with pytest.raises(ManifestError, match=r"address|host"):
        read_manifest(address)


@pytest.mark.parametrize("values", [[["x"]], [b"x"], [{"a": 1}], [None]])
def test_columns_of_other_types_in_a_manifest(values: list[object], tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    pq.write_table(pa.table({"video_id": ["a1"], "url": values}), path)
    with pytest.raises(ManifestError, match="row 2, column url"):
        read_manifest(str(path))


@pytest.mark.parametrize("value", [None, "x", [1.0], float("nan"), float("inf"), b"\xff", True])
def test_columns_of_other_types_in_a_table(value: object, tmp_path: Path) -> None:
    row = {
        "segment_id": "a1-0000001", "video_id": "a1", "letter": "A", "object_word": None, "end_seconds": 2.0, "rule": "phrase",
        "evidence": "captions", "confidence": 0.9,
    }  # fmt: skip
    table = pa.Table.from_pylist([{**row, "start_seconds": value}]).replace_schema_metadata(schema(Segment).metadata)
    path = tmp_path / "segments.parquet"
    pq.write_table(table, path)
    with pytest.raises(TableError, match="start_seconds"):
        read_table(path, Segment)
    pq.write_table(table, tmp_path / "metadata.parquet")
    with pytest.raises(DatasetError):
        read_metadata(tmp_path)
    with pytest.raises(TableError):
        read_objects(path)
    with pytest.raises(InputError):
        ScreenTrace.from_file(path)


@pytest.mark.parametrize(
    "text", [b"a = " + b"[" * 5_000, b"a = " + b"9" * 5_000, b"a = nan", b"a = 0x" + b"f" * 40, b"\0", b"\xff\xfea\0"]
)
def test_odd_toml(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(text)
    with pytest.raises(InputError, match="not TOML"):
        read_toml("--config", tmp_path / "a.toml")
