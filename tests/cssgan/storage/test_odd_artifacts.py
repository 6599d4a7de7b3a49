"""Malicious weights, states and records: one error that names the file."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from cssgan.errors import CheckpointError
from cssgan.storage.artifact import ArtifactFormat, decode_weights, encode_weights, load_state

FORMAT = ArtifactFormat(kind="thing", record_name="r.json", version=1, error=CheckpointError)


def _weights(header: object) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(16)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 100_000) + b"{}",
        struct.pack("<Q", 50_000) + b"[" * 50_000,
        _weights({"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 16]}}),
        _weights({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 2**64 - 1]}}),
        _weights({"a": {"dtype": "F32", "shape": [4], "data_offsets": [8, 0]}}),
        _weights({"a": {"dtype": "X9", "shape": [4], "data_offsets": [0, 16]}}),
        _weights({"a": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}}),
        _weights([]),
    ],
)
def test_weights_that_lie(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a safetensors file"):
        decode_weights(content)


class _Program:
    def __reduce__(self) -> Any:
        return print, ("must not run",)


def test_states_that_are_no_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "state.pt"
    torch.save({"a": torch.zeros(2), "b": [1, None, "x"]}, path)
    assert set(load_state(path)) == {"a", "b"}
    torch.save({"a": _Program()}, path)
    with pytest.raises(ValueError, match=r"not a file of torch\.save"):
        load_state(path)
    torch.save([1], path)
    with pytest.raises(ValueError, match="allowed: a dictionary"):
        load_state(path)
    torch.save({"a": 1}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match=r"not a file of torch\.save"):
        load_state(path)
    assert "must not run" not in capsys.readouterr().out


def test_compressed_states_are_refused(tmp_path: Path) -> None:
    path, buffer = tmp_path / "state.pt", io.BytesIO()
    torch.save({"a": torch.zeros(1_000_000)}, buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    with pytest.raises(ValueError, match="compressed"):
        load_state(path)


@pytest.mark.parametrize(
    "record", [b"[" * 100_000, b"[]", b"9" * 5000, b'{"format": 1', b"\xff", b"null", b'{"format": [1]}']
)
def test_records_that_are_none(record: bytes, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_bytes(record)
    with pytest.raises(CheckpointError, match=r"r\.json"), FORMAT.reading(tmp_path):
        pass


def test_weights_are_read() -> None:
    assert torch.equal(decode_weights(encode_weights({"a": torch.arange(3)}))["a"], torch.arange(3))
