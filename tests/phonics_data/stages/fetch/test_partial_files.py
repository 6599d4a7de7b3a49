"""Only what the journal vouches for is continued."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from phonics_data.stages.fetch import partial_files as parts_module
from phonics_data.stages.fetch.partial_files import JOURNAL, PartialFiles

DATA = os.urandom(5000)


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_module, "STEP_BYTES", 1000)


def half_download(folder: Path, noted: int, on_disk: int) -> None:
    """A download that died with `on_disk` bytes, of which the journal had noted `noted`."""
    parts = PartialFiles(folder)
    part = folder / "x.mp4.part"
    part.write_bytes(b"")
    parts.progressed(part, is_whole=False)
    part.write_bytes(DATA[:noted])
    parts.progressed(part, is_whole=False)
    part.write_bytes(DATA[:on_disk])


def test_a_part_is_cut_back_to_what_was_noted(tmp_path: Path) -> None:
    half_download(tmp_path, 3000, 3400)
    PartialFiles(tmp_path)
    assert (tmp_path / "x.mp4.part").read_bytes() == DATA[:3000]


@pytest.mark.parametrize("damage", ["flip", "zeros", "short"])
def test_a_part_that_went_bad_is_thrown_away(tmp_path: Path, damage: str) -> None:
    half_download(tmp_path, 3000, 3400)
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


def test_what_the_journal_does_not_know_is_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "x.mp4.part").write_bytes(DATA)
    (tmp_path / "x.temp.mp4").write_bytes(DATA)
    PartialFiles(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [JOURNAL]


@pytest.mark.parametrize("journal", ["", "[]", '{"x.mp4": 3}', '{"x.mp4": ["a", "b"]}'])
def test_an_unreadable_journal_vouches_for_nothing(tmp_path: Path, journal: str) -> None:
    (tmp_path / "x.mp4.part").write_bytes(DATA)
    (tmp_path / JOURNAL).write_text(journal)
    PartialFiles(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [JOURNAL]


def test_a_finished_file_survives_a_death_before_its_last_note(tmp_path: Path) -> None:
    half_download(tmp_path, 3000, 5000)
    (tmp_path / "x.mp4.part").rename(tmp_path / "x.mp4")
    PartialFiles(tmp_path)
    assert (tmp_path / "x.mp4").read_bytes() == DATA


def test_notes_go_on_where_they_were(tmp_path: Path) -> None:
    half_download(tmp_path, 3000, 3000)
    parts = PartialFiles(tmp_path)
    part = tmp_path / "x.mp4.part"
    part.write_bytes(DATA)
    parts.progressed(part, is_whole=True)
    part.rename(tmp_path / "x.mp4")
    assert (tmp_path / "x.mp4").read_bytes() == DATA
    PartialFiles(tmp_path)
    assert (tmp_path / "x.mp4").read_bytes() == DATA
    (tmp_path / "x.mp4").write_bytes(DATA[:-1] + b"?" if DATA[-1:] != b"?" else DATA[:-1] + b"!")
    PartialFiles(tmp_path)
    assert not (tmp_path / "x.mp4").exists()


def test_a_server_that_begins_anew_is_followed(tmp_path: Path) -> None:
    half_download(tmp_path, 3000, 3000)
    parts = PartialFiles(tmp_path)
    part = tmp_path / "x.mp4.part"
    other = os.urandom(4000)
    part.write_bytes(other[:10])
    parts.progressed(part, is_whole=False)
    part.write_bytes(other)
    parts.progressed(part, is_whole=False)
    PartialFiles(tmp_path)
    assert part.read_bytes() == other
