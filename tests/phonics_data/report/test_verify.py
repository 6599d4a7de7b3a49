"""Every kind of damage to a dataset is reported."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from phonics_data.contract.sample import Sample, quantize_audio
from phonics_data.contract.shard import add_sample, encode
from phonics_data.dataset.layout import MetadataRow, read_metadata, write_checksums, write_metadata
from phonics_data.errors import DatasetError
from phonics_data.media import probe
from phonics_data.report.verify import verify
from phonics_data.stages.shard.stage import ShardOptions, shard
from phonics_data.storage.tables import write_table
from phonics_data.storage.workspace import Workspace, file_sha256
from phonics_data.types import FetchedVideo, Segment, segment_id
from tests.counted_videos import clicks, constant, make_source, modulated_noise, numbered_picture


def make_dataset(root: Path) -> Path:
    """A dataset of three sources with two clips each, and its workspace ROOT/work."""
    workspace = Workspace(root / "work")
    videos, segments = [], []
    for number, name in enumerate("abc"):
        path = workspace.media / name / "video.mkv"
        path.parent.mkdir(parents=True)
        sound = clicks(2, [0.1, 0.9, 1.2], 16_000) + modulated_noise(2, number, 16_000)
        pictures = [numbered_picture(20_000 * number + index) for index in range(50)]
        make_source(path, constant(25, 2), sound, sound_rate_hz=16_000, pictures=pictures)
        info = probe(path)
        videos.append(
            FetchedVideo(
                video_id=name, path=workspace.relative(path), sha256=file_sha256(path), num_bytes=path.stat().st_size,
                duration_seconds=info.duration_seconds, frame_rate=info.frame_rate, width=info.width,
                height=info.height, audio_rate_hz=info.audio_rate_hz, captions=None,
                fetched_at="2026-01-01T00:00:00Z", fetcher_version="test",
            )
        )  # fmt: skip
        segments += [
            Segment(
                segment_id=segment_id(name, start), video_id=name, letter=letter, object_word="ant", start_seconds=start,
                end_seconds=start + 0.8, rule="phrase", evidence="captions", confidence=0.5,
            )
            for letter, start in (("A", 0.0), ("B", 1.0))
        ]  # fmt: skip
    write_table(workspace.table("videos"), FetchedVideo, videos)
    write_table(workspace.table("segments"), Segment, segments)
    shard(workspace, root / "dataset", ShardOptions())
    return root / "dataset"


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("verify"))


@pytest.fixture
def dataset(complete: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(complete, tmp_path / "dataset"))


def test_a_dataset_of_the_version_without_counts_by_frame_rate_is_whole(dataset: Path) -> None:
    description = json.loads((dataset / "dataset.json").read_text())
    del description["counts"]["clips_by_frame_rate"]
    (dataset / "dataset.json").write_text(json.dumps(description))
    write_checksums(dataset, {})
    assert verify(dataset).faults == ()
    del description["counts"]["clips_by_label"]
    (dataset / "dataset.json").write_text(json.dumps(description))
    write_checksums(dataset, {})
    assert verify(dataset).faults == ("dataset.json: lacks counts or label_set",)


def change_row(dataset: Path, **changes: object) -> None:
    rows = read_metadata(dataset)
    rows[0] = dataclasses.replace(rows[0], **changes)
    write_metadata(dataset / "metadata.parquet", rows)
    write_checksums(dataset, {})


def flip_byte(dataset: Path) -> None:
    path = dataset / "train-000000.tar"
    data = bytearray(path.read_bytes())
    data[200_000] ^= 0xFF
    path.write_bytes(data)


def cut_short(dataset: Path) -> None:
    path = dataset / "train-000000.tar"
    path.write_bytes(path.read_bytes()[:100_000])
    write_checksums(dataset, {})


def drop_shard(dataset: Path) -> None:
    (dataset / "test-000000.tar").unlink()


def foreign_shard(dataset: Path) -> None:
    shutil.copyfile(dataset / "test-000000.tar", dataset / "test-000001.tar")


def escaping_member(dataset: Path) -> None:
    with tarfile.open(dataset / "train-000000.tar", "w") as tar:
        info = tarfile.TarInfo("../../x.frames.npy")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"evil"))
    write_checksums(dataset, {})


def extra_sample(dataset: Path) -> None:
    sample = Sample(
        key="extra", frames_LHWC=np.zeros((2, 64, 64, 3), np.uint8), frame_rate=Fraction(25),
        audio_N=quantize_audio(np.zeros(1280)), audio_rate_hz=16_000, label="A", label_set="letters", video_id="a",
        start_seconds=0.0,
    )  # fmt: skip
    with tarfile.open(dataset / "train-000000.tar", "a") as tar:
        add_sample(tar, "extra", encode(sample))
    write_checksums(dataset, {})


def wrong_count(dataset: Path) -> None:
    path = dataset / "dataset.json"
    description = json.loads(path.read_bytes())
    description["counts"]["clips"] = 7
    path.write_text(json.dumps(description))
    write_checksums(dataset, {})


def other_split(rows: list[MetadataRow]) -> dict[str, object]:
    return {"split": "test" if rows[0].split != "test" else "train"}


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "one byte": (flip_byte, "train-000000.tar: changed"),
    "cut short": (cut_short, "not a whole tar|broken member|is missing"),
    "missing shard": (drop_shard, "test-000000.tar: missing"),
    "foreign shard": (foreign_shard, "not listed in SHA256SUMS"),
    "escaping member": (escaping_member, "train-000000.tar: sample"),
    "extra sample": (extra_sample, "sample extra has no row"),
    "count": (wrong_count, "7 clips, but 6 in metadata.parquet"),
    "frames": (
        lambda dataset: change_row(dataset, num_frames=99),
        "num_frames is 20 in the shard, 99 in metadata.parquet",
    ),
    "label": (lambda dataset: change_row(dataset, label="Z"), "label is [AB] in the shard, Z in metadata.parquet"),
    "hash": (lambda dataset: change_row(dataset, sha256="0" * 64), "sha256 is"),
    "leak": (lambda dataset: change_row(dataset, **other_split(read_metadata(dataset))), "leaks"),
    "no sums": (lambda dataset: (dataset / "SHA256SUMS").unlink(), "SHA256SUMS is missing"),
}


def test_complete_dataset_has_no_faults(complete: Path) -> None:
    result = verify(complete)
    assert result.faults == ()
    assert (result.num_samples, result.num_shards) == (6, 3)


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_found(dataset: Path, kind: str) -> None:
    import re

    damage, message = DAMAGE[kind]
    damage(dataset)
    faults = verify(dataset).faults
    assert any(re.search(message, fault) for fault in faults), faults
    assert all("\n" not in fault for fault in faults)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda dataset: (dataset / "dataset.json").unlink(), "contains no dataset.json"),
        (lambda dataset: (dataset / "dataset.json").write_text("{"), "not JSON"),
        (lambda dataset: (dataset / "dataset.json").write_text('{"schema_version": 99}'), "schema version 99"),
        (lambda dataset: (dataset / "metadata.parquet").unlink(), "contains no metadata.parquet"),
        (lambda dataset: (dataset / "metadata.parquet").write_text("x"), "not a readable parquet file"),
        (shutil.rmtree, "no such dataset folder"),
    ],
)
def test_unreadable_dataset_is_one_error(dataset: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(dataset)
    with pytest.raises(DatasetError, match=message):
        verify(dataset)
