"""``--splits``: given splits in the shards, tables, page, checks, readers and exports of a dataset."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phonics_data import open_dataset
from phonics_data.cli.app import app
from phonics_data.dataset.export import export
from phonics_data.dataset.layout import DESCRIPTION, read_description, read_metadata, shard_paths
from phonics_data.errors import InputError
from phonics_data.quality.filters import FilterOptions
from phonics_data.quality.split import GivenSplit, Ratios
from phonics_data.report import write_report
from phonics_data.report.repair import repair
from phonics_data.report.stats import stats
from phonics_data.report.verify import verify
from phonics_data.stages.shard.stage import ShardOptions, shard
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, Segment, Split
from tests.phonics_data.stages.shard.test_stage import put_video, segments_of, write_inputs

IDS = ("video-0", "video-1", "video-2", "video-3")


def options(filters: FilterOptions | None = None, **splits: Split) -> ShardOptions:
    given = tuple(GivenSplit(video_id=name.replace("_", "-"), split=split) for name, split in sorted(splits.items()))
    return ShardOptions(
        given_splits=given,
        filters=filters or FilterOptions(),
        ratios=Ratios(train=1, validation=0, test=0),
        object_pictures=False,
    )


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, list[FetchedVideo], list[Segment]]:
    workspace = Workspace(tmp_path_factory.mktemp("given") / "work")
    videos = [put_video(workspace, video_id, seconds=2) for video_id in IDS]
    segments = [segment for video_id in IDS for segment in segments_of(video_id, "AB")]
    write_inputs(workspace, videos, segments)
    return workspace, videos, segments


@pytest.fixture(scope="module")
def dataset(inputs: tuple[Workspace, list[FetchedVideo], list[Segment]]) -> Path:
    workspace, _, _ = inputs
    count = shard(workspace, workspace.root.parent / "dataset", options(video_1="unseen-styles", video_2="test"))
    assert (count.num_kept, count.notes) == (8, ())
    return workspace.root.parent / "dataset"


def test_shards_and_tables_have_the_given_splits(dataset: Path) -> None:
    assert [path.name for path in shard_paths(dataset)] == [
        "test-000000.tar",
        "train-000000.tar",
        "unseen-styles-000000.tar",
    ]
    assert {row.video_id: row.split for row in read_metadata(dataset)} == {
        "video-0": "train",
        "video-1": "unseen-styles",
        "video-2": "test",
        "video-3": "train",
    }
    assert read_description(dataset)["counts"]["clips_by_split"] == {
        "train": 4,
        "validation": 0,
        "test": 2,
        "unseen-styles": 2,
    }
    assert verify(dataset).faults == ()


def test_card_page_and_statistics_name_the_split(dataset: Path) -> None:
    card = (dataset / "README.md").read_text()
    assert "  - {split: unseen_styles, path: unseen-styles-*.tar}" in card
    assert "| class | train | validation | test | unseen-styles |\n| --- | ---: | ---: | ---: | ---: |" in card
    page = write_report(dataset).read_text()
    assert '<div class="card"><b>2</b>unseen-styles</div>' in page
    by_class, by_split, *_ = stats(dataset)
    assert by_class.columns == ("class", "train", "validation", "test", "unseen-styles", "all")
    assert [row[0] for row in by_split.values] == ["train", "validation", "test", "unseen-styles", "all"]


def test_reader_and_exports(dataset: Path, tmp_path: Path) -> None:
    assert {sample.video_id for sample in open_dataset(dataset, split="unseen-styles")} == {"video-1"}
    assert export(dataset, tmp_path / "folder") == 8
    assert len(list((tmp_path / "folder" / "unseen-styles").rglob("*.mp4"))) == 2
    assert export(dataset, tmp_path / "hf", "huggingface") == 8
    lines = (tmp_path / "hf" / "unseen-styles" / "metadata.jsonl").read_text().splitlines()
    assert {json.loads(line)["split"] for line in lines} == {"unseen-styles"}
    entries = [line for line in (tmp_path / "hf" / "README.md").read_text().splitlines() if "{split" in line]
    assert entries == [
        "  - {split: train, path: train/**}",
        "  - {split: test, path: test/**}",
        "  - {split: unseen_styles, path: unseen-styles/**}",
    ]


def test_the_datasets_library_reads_every_split(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets", reason="the library datasets is not installed")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    export(dataset, tmp_path / "clips", "huggingface")
    found = datasets.load_dataset(str(tmp_path / "clips"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in found.items()} == {"train": 4, "test": 2, "unseen_styles": 2}
    assert set(found["unseen_styles"].remove_columns("video")["video_id"]) == {"video-1"}


def test_an_unused_split_is_shown_nowhere(
    inputs: tuple[Workspace, list[FetchedVideo], list[Segment]], tmp_path: Path
) -> None:
    shard(inputs[0], tmp_path / "dataset", options(video_2="test"))
    write_report(tmp_path / "dataset")
    for name in ("README.md", "croissant.json"):
        assert "unseen" not in (tmp_path / "dataset" / name).read_text()
    assert "unseen-styles</" not in (tmp_path / "dataset" / "report.html").read_text()
    assert "unseen-styles" not in json.dumps([table.as_plain() for table in stats(tmp_path / "dataset")])
    assert set(read_description(tmp_path / "dataset")["counts"]["clips_by_split"]) == {"train", "validation", "test"}


def test_repair_keeps_the_given_splits(
    inputs: tuple[Workspace, list[FetchedVideo], list[Segment]], dataset: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "dataset"
    shutil.copytree(dataset, copy)
    before = (copy / "unseen-styles-000000.tar").read_bytes()
    (copy / "unseen-styles-000000.tar").write_bytes(before[:-600] + b"\1" * 600)
    assert verify(copy).faults
    assert repair(copy, inputs[0]).rewritten == ("unseen-styles-000000.tar",)
    assert (copy / "unseen-styles-000000.tar").read_bytes() == before


def test_an_interrupted_run_with_that_split_is_continued(
    inputs: tuple[Workspace, list[FetchedVideo], list[Segment]], dataset: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "dataset"
    shutil.copytree(dataset, copy)
    for name in (DESCRIPTION, "metadata.parquet", ".shards.json"):
        (copy / name).unlink()
    for path in copy.iterdir():
        if path.suffix != ".tar":
            path.unlink()
    shard(inputs[0], copy, options(video_1="unseen-styles", video_2="test"))
    assert verify(copy).faults == ()


def test_ids_that_are_not_in_the_dataset_are_reported(
    inputs: tuple[Workspace, list[FetchedVideo], list[Segment]], tmp_path: Path
) -> None:
    count = shard(inputs[0], tmp_path / "dataset", options(video_1="test", other="train", gone="test"))
    assert count.notes == ("--splits: 2 of 3 ids are not in the dataset: gone, other",)
    with pytest.raises(
        InputError, match=r"none of its 1 ids \(other, \.\.\.\) is a source .*video-0, video-1, video-2"
    ):
        shard(inputs[0], tmp_path / "none", options(other="train"))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("drop", [True, False])
def test_near_duplicates_in_two_given_splits_are_reported(
    inputs: tuple[Workspace, list[FetchedVideo], list[Segment]], tmp_path: Path, drop: bool
) -> None:
    old, videos, segments = inputs
    workspace = Workspace(tmp_path / "work")
    shutil.copytree(old.media, workspace.media)
    twins = [
        dataclasses.replace(
            videos[0], video_id=video_id, path=workspace.relative(workspace.media / "video-0/video.mkv")
        )
        for video_id in ("twin", "twin2")
    ]
    twin_segments = [
        dataclasses.replace(segment, confidence=0.5)
        for video_id in ("twin", "twin2")
        for segment in segments_of(video_id, "AB")
    ]
    write_inputs(workspace, [*videos, *twins], [*segments, *twin_segments])
    chosen = options(FilterOptions(drop_near_duplicates=drop), video_0="test", twin="unseen-styles")
    count = shard(workspace, tmp_path / "dataset", chosen)
    splits = {row.video_id: row.split for row in read_metadata(tmp_path / "dataset")}
    if drop:  # nothing of the two twins is left, so nothing leaks
        assert "twin" not in splits
        assert count.by_reason == {"near_duplicate": 4}
        assert count.notes == ("--splits: 1 of 2 ids are not in the dataset: twin",)
    else:
        assert (splits["video-0"], splits["twin"], splits["twin2"]) == ("test", "unseen-styles", "test")
        assert count.notes == (
            "--splits: near duplicates are in different splits, as given: twin (unseen-styles), video-0 (test)",
        )


def test_files_of_one_group_stay_together(
    inputs: tuple[Workspace, list[FetchedVideo], list[Segment]], tmp_path: Path
) -> None:
    old, videos, segments = inputs
    workspace = Workspace(tmp_path / "work")
    shutil.copytree(old.media, workspace.media)
    grouped = [dataclasses.replace(video, group="odd" if index % 2 else "even") for index, video in enumerate(videos)]
    write_inputs(workspace, grouped, segments)
    for seed in range(6):
        chosen = ShardOptions(ratios=Ratios(train=0.5, validation=0, test=0.5), seed=seed)
        shard(workspace, tmp_path / "dataset", chosen)
        splits = {row.video_id: row.split for row in read_metadata(tmp_path / "dataset")}
        assert splits["video-0"] == splits["video-2"] != splits["video-1"] == splits["video-3"]
    assert verify(tmp_path / "dataset").faults == ()
    with pytest.raises(InputError, match="video-1 is test, video-3 is train, but these are parts of one source"):
        shard(workspace, tmp_path / "dataset", options(video_1="test", video_3="train"))
    leaking = [dataclasses.replace(video, group="all") for video in videos]
    from phonics_data.storage.tables import write_table

    write_table(tmp_path / "dataset" / "videos.parquet", FetchedVideo, leaking)
    assert any("group all of videos.parquet leaks" in fault for fault in verify(tmp_path / "dataset").faults)


def test_command(inputs: tuple[Workspace, list[FetchedVideo], list[Segment]], tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_text("video_id,split,style\nvideo-1,unseen-styles,card\nnowhere,test,\n")
    arguments = ["shard", "--work", str(inputs[0].root), "--out", str(tmp_path / "dataset"), "--split-ratios", "1,0,0"]
    done = CliRunner().invoke(app, [*arguments, "--splits", str(tmp_path / "splits.csv")])
    assert done.exit_code == 0, done.output
    assert "--splits: 1 of 2 ids are not in the dataset: nowhere" in done.output
    assert {row.split for row in read_metadata(tmp_path / "dataset")} == {"train", "unseen-styles"}
    done = CliRunner().invoke(app, [*arguments, "--splits", str(tmp_path / "gone.csv")])
    assert isinstance(done.exception, InputError)
