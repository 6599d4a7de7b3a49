"""Exported clips are plain files with their metadata."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas
import pytest
import soundfile

from phonics_data.contract.shard import read_shard
from phonics_data.contract.untrusted import read_sound
from phonics_data.dataset.export import export
from phonics_data.dataset.layout import METADATA, read_metadata, shard_paths, write_metadata
from phonics_data.dataset.reader import open_dataset
from phonics_data.errors import DatasetError, InputError
from phonics_data.media import probe
from tests.phonics_data.report.test_verify import make_dataset

pytestmark = pytest.mark.dependencies


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("export"))


def test_folder(dataset: Path, tmp_path: Path) -> None:
    assert export(dataset, tmp_path / "clips") == 6
    table = pandas.read_csv(tmp_path / "clips" / "clips.csv")
    assert len(table) == 6
    assert not {"image_hash", "audio_hash"} & set(table.columns)
    samples = {sample.key: sample for path in shard_paths(dataset) for sample in read_shard(path)}
    for row in table.itertuples():
        path = tmp_path / "clips" / row.file_name
        assert path.parts[-3:-1] == (row.split, row.label)
        info = probe(path, need_audio=True)
        assert (info.width, info.height, info.num_frames, info.frame_rate) == (64, 64, 20, 25)
        audio, rate = soundfile.read(path.with_suffix(".wav"), dtype="float32")
        assert rate == 16_000
        assert (audio == samples[row.sample_id].audio_N).all()


def test_clips_that_shards_and_metadata_do_not_both_have_are_an_error(dataset: Path, tmp_path: Path) -> None:
    incomplete = shutil.copytree(dataset, tmp_path / "incomplete")
    shard_paths(incomplete)[0].unlink()
    with pytest.raises(DatasetError, match=r"of 6 clips of metadata.parquet are in no shard"):
        export(incomplete, tmp_path / "one")
    rows = read_metadata(dataset)
    changed = shutil.copytree(dataset, tmp_path / "changed")
    write_metadata(changed / METADATA, [dataclasses.replace(rows[0], num_frames=21), *rows[1:]])
    with pytest.raises(DatasetError, match=r"has 20 frames and .* lists 21 frames"):
        export(changed, tmp_path / "two")
    write_metadata(changed / METADATA, rows[1:])
    with pytest.raises(DatasetError, match="lists no such clip"):
        export(changed, tmp_path / "three")


def test_huggingface_layout(dataset: Path, tmp_path: Path) -> None:
    export(dataset, tmp_path / "clips", "huggingface")
    for split in ("train", "validation", "test"):
        lines = (tmp_path / "clips" / split / "metadata.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        assert {path.name for path in (tmp_path / "clips" / split).glob("*.mp4")} == {row["file_name"] for row in rows}
        assert {row["split"] for row in rows} == {split}


def test_datasets_library_reads_export_and_shards(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets", reason="the library datasets is not installed")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    export(dataset, tmp_path / "clips", "huggingface")
    found = datasets.load_dataset(str(tmp_path / "clips"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in found.items()} == {"train": 2, "validation": 2, "test": 2}
    row = found["train"].cast_column("video", datasets.Video(decode=False))[0]
    assert row["label"] in "AB"
    assert Path(row["video"]["path"]).name == f"{row['sample_id']}.mp4"


def test_datasets_library_streams_shards_in_which_some_clips_have_a_picture(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets", reason="the library datasets is not installed (extra cloud-test)")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert {sample.object_picture is None for sample in open_dataset(dataset)} == {True, False}
    builder = datasets.load_dataset_builder(str(dataset), cache_dir=str(tmp_path / "cache"))
    assert builder.info.features["audio.flac"] == datasets.Audio()
    # Without the package torchcodec, sound can be read as bytes only.
    features = datasets.Features({**builder.info.features, "audio.flac": datasets.Value("binary")})
    shards = datasets.load_dataset(str(dataset), streaming=True, features=features, cache_dir=str(tmp_path / "cache"))
    assert sorted(shards) == ["test", "train", "validation"]
    rows = {row["__key__"]: row for split in shards.values() for row in split}
    for sample in open_dataset(dataset):
        row = rows.pop(sample.key)
        assert np.array_equal(row["frames.npy"], sample.frames_LHWC)
        assert (row["meta.json"]["label"], row["meta.json"]["start_seconds"]) == (sample.label, sample.start_seconds)
        assert (row["object.png"] is None) == (sample.object_picture is None)
        assert np.array_equal(read_sound(row["audio.flac"])[0][:, 0], sample.audio_N)
    assert rows == {}


def test_second_export_keeps_files_and_other_folders_are_refused(dataset: Path, tmp_path: Path) -> None:
    export(dataset, tmp_path / "clips")
    one = next((tmp_path / "clips").rglob("*.mp4"))
    before = one.stat().st_mtime_ns
    export(dataset, tmp_path / "clips")
    assert one.stat().st_mtime_ns == before
    with pytest.raises(InputError, match="contains other files"):
        export(dataset, tmp_path / "clips", "huggingface")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="file: is a file, allowed: a folder"):
        export(dataset, tmp_path / "file")
    with pytest.raises(DatasetError, match=r"no dataset\.json|no such"):
        export(tmp_path / "none", tmp_path / "out")
