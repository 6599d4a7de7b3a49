"""The tables of `stats` match the dataset."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from phonics_data.errors import DatasetError
from phonics_data.report.stats import stats
from tests.phonics_data.report.test_verify import make_dataset

pytestmark = pytest.mark.dependencies


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("stats"))


def test_tables(dataset: Path) -> None:
    by_class, by_split, by_evidence, by_fit, limits, rejected = stats(dataset)
    assert [len(row) == len(table.headings) for table in stats(dataset) for row in table.rows].count(False) == 0
    assert by_class.rows[:3] == [("A", "1", "1", "1", "3"), ("B", "1", "1", "1", "3"), ("C", "0", "0", "0", "0")]
    assert by_split.rows[-1] == ("all", "6", "3", "0.1", "0.80", "0.50")
    assert by_evidence.rows == [("captions", "6", "3", "0.1", "0.80", "0.50")]
    assert by_fit.rows == [("squash", "6")]
    assert limits.rows == [("none", "", "")]
    assert rejected.rows == [("none", "", "")]


def test_command_prints_the_tables_and_writes_the_page(dataset: Path) -> None:
    command = [sys.executable, "-m", "phonics_data", "stats", str(dataset)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "clips by class" in done.stdout
    assert str(dataset / "report.html") in done.stdout
    assert (dataset / "report.html").is_file()


def test_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="contains no"):
        stats(tmp_path)
