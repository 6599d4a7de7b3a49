"""``--json`` of status, stats, verify and doctor: one document on standard output, and the same exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from phonics_data.cli import app, doctor
from phonics_data.stages.fetch.ledger import FetchNote, FetchReport
from tests.phonics_data.report.test_verify import make_dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``dataset`` and its workspace ``work``."""
    return make_dataset(tmp_path_factory.mktemp("json")).parent


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["phonics-data", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        app.main()
    return int(end.value.code or 0), capsys.readouterr().out


def both(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any]:
    """(exit code, document); the exit code is compared with that of the command without ``--json``."""
    plain, _ = run(monkeypatch, capsys, *arguments)
    code, out = run(monkeypatch, capsys, *arguments, "--json")
    assert code == plain
    return code, json.loads(out)


def test_status(folder: Path, monkeypatch, capsys) -> None:
    code, document = both(monkeypatch, capsys, "status", "--work", folder / "work")
    assert code == 0
    assert set(document) == {"work", "tables", "next_command", "fetch"}
    assert [(one["table"], one["num_rows"]) for one in document["tables"]] == [
        ("videos.parquet", 3),
        ("words.parquet", None),
        ("segments.parquet", 6),
        ("shards", None),
    ]
    assert set(document["fetch"]) == {"by_status", "videos", "next_commands"}


def test_status_lists_videos_that_could_not_be_fetched(folder: Path, monkeypatch, capsys) -> None:
    note = FetchNote(video_id="a", status="gone", reason="gone", detail="404")
    report = FetchReport(by_status={"gone": 1}, videos=[note], next_commands=["phonics-data fetch"])
    monkeypatch.setattr("phonics_data.stages.fetch.ledger.fetch_report", lambda _workspace: report)
    _, document = both(monkeypatch, capsys, "status", "--work", folder / "work")
    assert document["fetch"]["videos"] == [{"video_id": "a", "status": "gone", "reason": "gone", "detail": "404"}]
    assert report.lines == ["a  gone  gone: 404"]


def test_stats(folder: Path, monkeypatch, capsys) -> None:
    code, document = both(monkeypatch, capsys, "stats", folder / "dataset")
    assert code == 0
    assert document["by_class"][0] == {"class": "A", "train": 1, "validation": 1, "test": 1, "all": 3}
    assert document["by_split"][-1].keys() == {
        "split", "clips", "sources", "minutes", "median_seconds", "mean_confidence",
    }  # fmt: skip
    assert document["by_split"][-1]["clips"] == 6
    assert document["rejections"] == []
    assert Path(document["page"]).is_file()


def test_verify(folder: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    code, document = both(monkeypatch, capsys, "verify", folder / "dataset")
    assert (code, document["faults"], document["num_samples"], document["rewritten"]) == (0, [], 6, [])
    copy = tmp_path / "dataset"
    copy.mkdir()
    for path in (folder / "dataset").iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "train-000000.tar").unlink()
    code, document = both(monkeypatch, capsys, "verify", copy)
    assert code == 1
    assert any("train-000000.tar" in fault for fault in document["faults"])


def test_doctor(tmp_path: Path, monkeypatch, capsys) -> None:
    checks = [doctor.Check(name="av", state="missing", found="13.1, needed: av>=14", advice="pip install 'av>=14'")]
    monkeypatch.setattr(doctor, "examine", lambda *_, **__: checks)
    code, document = both(monkeypatch, capsys, "doctor", "--work", tmp_path)
    assert code == 1
    assert document == {
        "checks": [
            {"name": "av", "state": "missing", "found": "13.1, needed: av>=14", "advice": "pip install 'av>=14'"}
        ],
        "missing": ["av"],
    }


def test_errors_leave_standard_output_empty(tmp_path: Path, monkeypatch, capsys) -> None:
    assert run(monkeypatch, capsys, "stats", tmp_path, "--json") == (1, "")
