"""Repair restores a damaged dataset and writes only damaged files."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phonics_data.cli.app import app
from phonics_data.dataset.layout import MetadataRow, read_metadata, shard_paths
from phonics_data.errors import DatasetError, InputError
from phonics_data.report.repair import repair
from phonics_data.report.verify import verify
from phonics_data.storage.tables import read_table, write_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, Segment
from tests.phonics_data.report.test_verify import make_dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return make_dataset(tmp_path)


def content(dataset: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in dataset.iterdir() if not path.name.startswith(".")}


def test_only_damaged_shards_are_written_again(dataset: Path) -> None:
    before = content(dataset)
    times = {path.name: path.stat().st_mtime_ns for path in shard_paths(dataset)}
    with (dataset / "train-000000.tar").open("r+b") as file:
        file.seek(5000)
        file.write(b"damage")
    (dataset / "test-000000.tar").unlink()
    (dataset / "metadata.parquet").write_bytes(b"x")
    shutil.copyfile(dataset / "validation-000000.tar", dataset / "validation-000007.tar")
    result = repair(dataset, Workspace(dataset.parent / "work"))
    assert result.rewritten == ("test-000000.tar", "train-000000.tar", "validation-000007.tar")
    assert result.after.faults == ()
    assert content(dataset) == before
    kept = dataset / "validation-000000.tar"
    assert kept.stat().st_mtime_ns == times[kept.name]


@pytest.mark.parametrize("damage", ["changed", "cut short", "deleted"])
def test_clips_missing_in_the_workspace_are_cut_again(dataset: Path, damage: str) -> None:
    before = content(dataset)
    for path in shard_paths(dataset):
        path.unlink()
    clips = dataset.parent / "work" / "clips" / "b" / "clips.tar"
    data = bytearray(clips.read_bytes())
    data[3000] ^= 0xFF
    if damage == "deleted":
        clips.unlink()
    else:
        clips.write_bytes(data if damage == "changed" else data[:2048])
    assert repair(dataset, Workspace(dataset.parent / "work")).after.faults == ()
    assert content(dataset) == before


def test_dataset_without_options_cannot_be_repaired(dataset: Path) -> None:
    (dataset / "dataset.json").write_text('{"schema_version": 1}')
    with pytest.raises(DatasetError, match=r"does not contain the options"):
        repair(dataset, Workspace(dataset.parent / "work"))
    assert verify_raises_nothing(dataset)


@pytest.mark.parametrize("damaged", ["metadata.parquet", "videos.parquet", "train-000000.tar"])
def test_workspace_of_another_dataset_is_refused(dataset: Path, damaged: str) -> None:
    (dataset / damaged).write_bytes(b"x")
    before = content(dataset)
    workspace = Workspace(dataset.parent / "work")
    segments = read_table(workspace.table("segments"), Segment)
    write_table(workspace.table("segments"), Segment, [segment for segment in segments if segment.video_id != "b"])
    with pytest.raises(InputError, match=r"contains no segments of 1 of the \d+ sources .* \(b\); give the workspace"):
        repair(dataset, workspace)
    assert content(dataset) == before


def test_sources_in_changed_tables_are_ignored(dataset: Path) -> None:
    before = content(dataset)
    rows = [dataclasses.replace(row, video_id="unknown") for row in read_metadata(dataset)]
    write_table(dataset / "metadata.parquet", MetadataRow, rows)
    videos = read_table(dataset / "videos.parquet", FetchedVideo)
    others = [dataclasses.replace(video, video_id=f"unknown-{n}", sha256="0" * 64) for n, video in enumerate(videos)]
    write_table(dataset / "videos.parquet", FetchedVideo, others)
    (dataset / "train-000000.tar").write_bytes(b"x")
    assert repair(dataset, Workspace(dataset.parent / "work")).after.faults == ()
    assert content(dataset) == before


def verify_raises_nothing(dataset: Path) -> bool:
    return any("lacks counts" in fault for fault in verify(dataset).faults)


def test_verify_command_reports_repaired_shards(dataset: Path) -> None:
    before = content(dataset)
    (dataset / "train-000000.tar").write_bytes(b"not a tar")
    broken = CliRunner().invoke(app, ["verify", str(dataset)])
    assert broken.exit_code != 0
    assert "train-000000.tar" in broken.output
    assert "--repair" in str(broken.exception)
    work = str(dataset.parent / "work")
    repaired = CliRunner().invoke(app, ["verify", str(dataset), "--repair", "--work", work], catch_exceptions=False)
    assert "written again: train-000000.tar" in repaired.output
    assert "6 samples in 3 shards, no fault" in repaired.output
    (dataset / "report.html").unlink()
    assert content(dataset) == before
