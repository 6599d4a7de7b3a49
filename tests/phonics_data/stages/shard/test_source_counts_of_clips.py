"""Clips that lack something of their source are flagged or rejected, and the run says so; the others are not touched."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from phonics_data.dataset.layout import METADATA, read_metadata
from phonics_data.quality.filters import FilterOptions
from phonics_data.sources.importer import LabelledFile, LabelledSegment, import_files
from phonics_data.stages.shard.stage import ShardOptions, shard
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import Rejection, SourceCounts
from tests.counted_videos import constant, make_source, modulated_noise, numbered_picture
from tests.phonics_data.media.test_source_counts import break_packet

SOUND_HZ = 16_000


def write(folder: Path, name: str, number: int, times: list[Fraction], sound_seconds: float = 4.0) -> LabelledFile:
    """A file with one clip of 4 s; `number` makes it differ from the others."""
    path = folder / f"{name}.mp4"
    pictures = [numbered_picture(number << 8 | index) for index in range(len(times))]
    sound = modulated_noise(sound_seconds, number, SOUND_HZ)
    make_source(
        path, times, sound, sound_rate_hz=SOUND_HZ, pictures=pictures, audio_codec="aac", video_options={"g": "25"}
    )
    return LabelledFile(video_id=name, path=path, segments=(LabelledSegment(label="A"),))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("sources")
    files = [
        write(folder, "whole", 0x5A, constant(25, 4)),
        write(folder, "damaged", 0xA5, constant(25, 4)),
        write(folder, "short-sound", 0x33, constant(25, 4), sound_seconds=2.5),
        write(folder, "late-video", 0xCC, [2 + time for time in constant(25, 2)]),
        write(folder, "fast", 0x0F, constant(50, 4)),
    ]
    break_packet(folder / "damaged.mp4", 30)
    workspace = Workspace(folder / "work")
    assert import_files(workspace, files, evidence="csv").num_kept == 5
    return workspace


def test_differences_are_columns_flags_and_notes(workspace: Workspace, tmp_path: Path) -> None:
    count = shard(workspace, tmp_path / "dataset", ShardOptions(object_pictures=False))
    assert (count.num_kept, count.num_rejected) == (5, 0)
    rows = {row.video_id: row for row in read_metadata(tmp_path / "dataset")}
    assert {name: row.flags for name, row in rows.items()} == {
        "whole": "", "damaged": "damaged_frames", "short-sound": "missing_sound",
        "late-video": "missing_frames,unused_sound", "fast": "",
    }  # fmt: skip
    assert (rows["whole"].source_frames, rows["whole"].dropped_frames, rows["whole"].repeated_frames) == (100, 0, 0)
    assert (rows["fast"].source_frames, rows["fast"].dropped_frames) == (200, 100)
    assert rows["damaged"].damaged_frames >= 5
    assert rows["short-sound"].missing_audio_seconds == pytest.approx(1.5, abs=0.1)
    assert rows["late-video"].missing_video_seconds == pytest.approx(2.0, abs=0.1)
    assert rows["late-video"].unused_audio_seconds == pytest.approx(2.0, abs=0.1)
    frames, incomplete = count.notes
    assert "100 dropped" in frames
    assert incomplete.startswith(
        "incomplete: 3 of 5 clips (1 damaged_frames, 1 missing_frames, 1 missing_sound, 1 unused_sound)"
    )


def test_incomplete_clips_can_be_rejected(workspace: Workspace, tmp_path: Path) -> None:
    options = ShardOptions(object_pictures=False, filters=FilterOptions(drop_incomplete=True))
    count = shard(workspace, tmp_path / "dataset", options)
    assert count.by_reason == {"damaged_frames": 1, "missing_sound": 1, "missing_frames": 1}
    rows = {row.item_id: row for row in read_table(tmp_path / "dataset" / "rejections.parquet", Rejection)}
    assert rows["short-sound-0000000"].measured == pytest.approx(1.5, abs=0.1)
    assert rows["short-sound-0000000"].threshold == FilterOptions().max_missing_seconds


def test_datasets_without_the_columns_are_read(workspace: Workspace, tmp_path: Path) -> None:
    shard(workspace, tmp_path / "dataset", ShardOptions(object_pictures=False))
    path = tmp_path / "dataset" / METADATA
    names = [field.name for field in dataclasses.fields(SourceCounts)]
    pq.write_table(pq.read_table(path).drop_columns(names), path)
    assert {row.source_frames for row in read_metadata(tmp_path / "dataset")} == {0}
