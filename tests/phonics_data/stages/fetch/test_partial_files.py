"""Only bytes that match the journal are continued."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from phonics_data.stages.fetch import partial_files as partial_files_module
from phonics_data.stages.fetch.partial_files import JOURNAL, PartialFiles

DATA = os.urandom(5000)


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial_files_module, "STEP_BYTES", 1000)


def interrupted_download(folder: Path, in_journal: int, on_disk: int) -> None:
    """A download that was killed with `on_disk` bytes, of which `in_journal` are in the journal."""
    files = PartialFiles(folder)
    part = folder / "x.mp4.part"
    part.write_bytes(b"")
    files.update(part, is_complete=False)
    part.write_bytes(DATA[:in_journal])
    files.update(part, is_complete=False)
    part.write_bytes(DATA[:on_disk])


def test_part_file_is_truncated_to_its_verified_size(tmp_path: Path) -> None:
    interrupted_download(tmp_path, 3000, 3400)
    PartialFiles(tmp_path)
    assert (tmp_path / "x.mp4.part").read_bytes() == DATA[:3000]


@pytest.mark.parametrize("damage", ["flip", "zeros", "short"])
def test_corrupted_part_file_is_deleted(tmp_path: Path, damage: str) -> None:
    interrupted_download(tmp_path, 3000, 3400)
    part = tmp_path / "x.mp4.part"
    data = bytearray(part.read_bytes())
    if damage == "flip":
        data[1234] ^= 1
    elif damage == "zeros":
        data[2000:2512] = bytes(512)
    else:
        del data[2999:]
    part.write_bytes(data)
    PartialFiles(tmp_path)
    assert not part.exists()


def test_files_missing_from_the_journal_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "x.mp4.part").write_bytes(DATA)
    (tmp_path / "x.temp.mp4").write_bytes(DATA)
    PartialFiles(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [JOURNAL]


@pytest.mark.parametrize("journal", ["", "[]", '{"x.mp4": 3}', '{"x.mp4": ["a", "b"]}'])
def test_unreadable_journal_deletes_all_files(tmp_path: Path, journal: str) -> None:
    (tmp_path / "x.mp4.part").write_bytes(DATA)
    (tmp_path / JOURNAL).write_text(journal)
    PartialFiles(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [JOURNAL]


def test_finished_file_is_kept_if_the_process_died_before_the_last_journal_update(tmp_path: Path) -> None:
    interrupted_download(tmp_path, 3000, 5000)
    (tmp_path / "x.mp4.part").rename(tmp_path / "x.mp4")
    PartialFiles(tmp_path)
    assert (tmp_path / "x.mp4").read_bytes() == DATA


def test_journal_of_a_resumed_download_is_extended(tmp_path: Path) -> None:
    interrupted_download(tmp_path, 3000, 3000)
    files = PartialFiles(tmp_path)
    part = tmp_path / "x.mp4.part"
    part.write_bytes(DATA)
    files.update(part, is_complete=True)
    part.rename(tmp_path / "x.mp4")
    assert (tmp_path / "x.mp4").read_bytes() == DATA
    PartialFiles(tmp_path)
    assert (tmp_path / "x.mp4").read_bytes() == DATA
    (tmp_path / "x.mp4").write_bytes(DATA[:-1] + b"?" if DATA[-1:] != b"?" else DATA[:-1] + b"!")
    PartialFiles(tmp_path)
    assert not (tmp_path / "x.mp4").exists()


def test_download_that_restarts_at_byte_zero(tmp_path: Path) -> None:
    interrupted_download(tmp_path, 3000, 3000)
    files = PartialFiles(tmp_path)
    part = tmp_path / "x.mp4.part"
    other = os.urandom(4000)
    part.write_bytes(other[:10])
    files.update(part, is_complete=False)
    part.write_bytes(other)
    files.update(part, is_complete=False)
    PartialFiles(tmp_path)
    assert part.read_bytes() == other
