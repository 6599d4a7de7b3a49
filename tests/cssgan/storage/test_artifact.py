"""Artifacts: folders are replaced atomically, and every defect of a file is refused by name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cssgan.errors import CheckpointError
from cssgan.storage import artifact
from cssgan.storage.artifact import ArtifactFormat
from phonics_data.errors import InputError

FORMAT = ArtifactFormat(kind="test artifact", record_name="record.json", version=3, error=CheckpointError)
FILES = {"a.bin": b"first", "b.bin": b"second"}
FIELDS = {"name": "Zoë", "files": {name: artifact.file_entry(content) for name, content in FILES.items()}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "artifact"
    FORMAT.replace_folder(path, FILES, FIELDS)
    return path


def read(folder: Path) -> dict[str, bytes]:
    with FORMAT.reading(folder) as record:
        return {name: FORMAT.read_file(folder / name, entry) for name, entry in record["files"].items()}


def verify(folder: Path) -> None:
    with FORMAT.reading(folder) as record:
        for name, entry in record["files"].items():
            FORMAT.verify_file(folder / name, entry)


def test_what_is_written_is_read_back(folder: Path) -> None:
    assert read(folder) == FILES
    verify(folder)
    with FORMAT.reading(folder) as record:
        assert record == {"format": 3, **FIELDS}
    assert [path.name for path in folder.parent.iterdir()] == ["artifact"], "no temporary folders remain"


def test_a_folder_is_replaced_as_a_whole_and_updated_in_place(folder: Path) -> None:
    FORMAT.update_folder(folder, {"c.bin": b"third"}, {"files": {}})
    assert sorted(path.name for path in folder.iterdir()) == ["a.bin", "b.bin", "c.bin", "record.json"]
    FORMAT.replace_folder(folder, {"d.bin": b"fourth"}, {"files": {}})
    assert sorted(path.name for path in folder.iterdir()) == ["d.bin", "record.json"]


def test_a_failed_write_keeps_the_old_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artifact, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        FORMAT.replace_folder(folder, {"a.bin": b"new"}, FIELDS)

    assert read(folder) == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["artifact"]


def test_a_failed_rename_keeps_the_old_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if path.name.startswith(".writing-"):
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="Input/output error"):
        FORMAT.replace_folder(folder, {"a.bin": b"new"}, FIELDS)

    assert read(folder) == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["artifact"]


def test_an_interrupted_update_leaves_a_folder_that_is_not_complete(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_no_record(path: Path, content: bytes) -> None:
        if path.name == FORMAT.record_name:
            raise KeyboardInterrupt
        path.write_bytes(content)

    monkeypatch.setattr(artifact, "write_bytes", write_no_record)
    with pytest.raises(KeyboardInterrupt):
        FORMAT.update_folder(folder, {"a.bin": b"new"}, FIELDS)

    with pytest.raises(CheckpointError, match=r"no complete test artifact .*record\.json"):
        read(folder)


def test_only_folders_are_replaced(folder: Path) -> None:
    link = folder.with_name("link")
    link.symlink_to(folder)
    with pytest.raises(NotADirectoryError):
        FORMAT.replace_folder(link, {"a.bin": b"new"}, FIELDS)
    assert read(link) == FILES


@pytest.mark.parametrize("check", [read, verify])
def test_defective_files_are_refused_by_name(folder: Path, check: object) -> None:
    assert callable(check)
    for content, reason in (
        (b"secon", "truncated or changed, 5 of 6 bytes"),
        (b"sEcond", "changed since it was written"),
    ):
        (folder / "b.bin").write_bytes(content)
        with pytest.raises(CheckpointError, match=rf"b\.bin: .*{reason}"):
            check(folder)
    (folder / "b.bin").unlink()
    with pytest.raises(CheckpointError, match=r"b\.bin: missing, the test artifact is not complete"):
        check(folder)
    (folder / "b.bin").mkdir()
    with pytest.raises(CheckpointError, match=r"b\.bin: cannot be read"):
        check(folder)


def test_an_entry_without_a_length_is_enough(folder: Path) -> None:
    entry = {"sha256": artifact.file_entry(b"first")["sha256"]}
    assert FORMAT.read_file(folder / "a.bin", entry) == b"first"
    with pytest.raises(CheckpointError, match=r"b\.bin: truncated, or changed"):
        FORMAT.read_file(folder / "b.bin", entry)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "no complete test artifact .*record.json"),
        ("{", r"record.json: not a test artifact"),
        ("[]", r"record.json: not a test artifact"),
        ("{}", r"record.json: not a test artifact that this program reads \(no 'format'\)"),
        (json.dumps({"format": 4}), r"record.json: test artifact format 4, this program reads 3"),
        (json.dumps({"format": 3}), r"record.json: not a test artifact that this program reads \(no 'files'\)"),
        (json.dumps({"format": 3, "files": 1}), r"record.json: not a test artifact"),
    ],
)
def test_records_that_cannot_be_used_are_refused(folder: Path, text: str | None, reason: str) -> None:
    (folder / "record.json").unlink()
    if text is not None:
        (folder / "record.json").write_text(text)
    with pytest.raises(CheckpointError, match=reason):
        read(folder)


def test_errors_of_the_body_name_the_record(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"record.json: not a test artifact .*\(size\)"), FORMAT.reading(folder):
        raise InputError("size")


def test_weights_are_read_back_and_have_one_form() -> None:
    weights = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.ones(2, requires_grad=True)}

    content = artifact.encode_weights(weights, metadata={"format": "pt"})

    assert content == artifact.encode_weights(weights, metadata={"format": "pt"})
    assert all(torch.equal(tensor, weights[name]) for name, tensor in artifact.decode_weights(content).items())


def test_the_module_does_not_import_torch() -> None:
    code = "import sys, cssgan.storage.artifact; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
