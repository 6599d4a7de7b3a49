"""The dataset of real phonics clips (skipped without the material)."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks import real_phonics
from benchmarks.__main__ import app
from phonics_data import open_dataset
from phonics_data.dataset.layout import read_metadata
from phonics_data.errors import InputError
from phonics_data.report.verify import verify


@pytest.mark.slow
def test_thirty_clips_at_their_own_rates(shared_data: Path, tmp_path: Path) -> None:
    if not (shared_data / "paper").is_dir() or not (shared_data / "media" / "one-letter").is_dir():
        pytest.skip(f"no material of the authors at {shared_data}")
    dataset = real_phonics.build(shared_data, tmp_path / "work", tmp_path / "real")
    assert verify(dataset).faults == ()
    rows = read_metadata(dataset)
    assert len(rows) == real_phonics.NUM_PAPER_CLIPS + real_phonics.NUM_ONE_LETTER_PHRASES
    assert {row.frame_rate for row in rows} == {
        Fraction(rate) for rate in ("24000/1001", "24", "25", "30000/1001", "30")
    }
    assert {row.split for row in rows} == {"train"}
    assert all(row.object_word for row in rows)
    phrases = [row for row in rows if row.video_id.startswith("one-letter-")]
    assert len({(row.label, row.object_word) for row in phrases}) == real_phonics.NUM_ONE_LETTER_PHRASES
    assert all(1.0 <= row.duration_seconds <= 2.5 for row in phrases)
    sample = next(sample for sample in open_dataset(dataset) if sample.object_word == "apple")
    assert (sample.label, sample.frame_rate, sample.video_id) == ("A", Fraction(30), "one-letter-a")


def test_missing_material_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHONICS_SHARED_DATA", str(tmp_path / "gone"))
    with pytest.raises(InputError, match=r"PHONICS_SHARED_DATA: got .*gone, allowed"):
        real_phonics.shared_folder()
    monkeypatch.delenv("PHONICS_SHARED_DATA")
    done = CliRunner().invoke(app, ["real-phonics", str(tmp_path / "out")])
    assert isinstance(done.exception, InputError)
    with pytest.raises(InputError, match="no such folder"):
        real_phonics.build(tmp_path, tmp_path / "work", tmp_path / "out")
