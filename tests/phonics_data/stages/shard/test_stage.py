"""The stage `shard`: content and reproducibility of the dataset, resumption, rejections, errors."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import subprocess
import threading
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import webdataset
from typer.testing import CliRunner

from phonics_data import open_dataset
from phonics_data.cli.app import app
from phonics_data.contract.shard import read_shard
from phonics_data.dataset.layout import read_description, read_metadata, shard_paths
from phonics_data.errors import DatasetError, InputError, OptionError
from phonics_data.media import probe
from phonics_data.ocr.trace import trace_path
from phonics_data.quality.filters import MIN_CONFIDENCE, FilterOptions
from phonics_data.quality.split import Ratios
from phonics_data.report.stats import stats
from phonics_data.report.verify import verify
from phonics_data.stages.shard.options import DatasetFit
from phonics_data.stages.shard.stage import ShardOptions, check_folder, shard
from phonics_data.storage.tables import read_table, write_table
from phonics_data.storage.workspace import Workspace, file_sha256
from phonics_data.types import FetchedVideo, Rejection, ScreenLetter, Segment, segment_id
from tests.counted_videos import clicks, constant, make_source, modulated_noise, numbered_picture, read_number
from tests.phonics_data.segmentation.traces import trace_of

SMALL = ShardOptions(target_shard_bytes=1_000_000)


PATTERNS = dict(
    zip(
        ["video-0", "video-1", "video-2", "video-3", "video-4", "new", "good", "broken"],
        [0x5A, 0xA5, 0x33, 0xCC, 0x0F, 0xF0, 0x96, 0x69],
        strict=True,
    )
)


def first_number(video_id: str) -> int:
    """The number shown in the first frame. Sources differ in half of its bits, so that they are not near duplicates."""
    return PATTERNS.get(video_id, 0xFF) << 8


def put_video(workspace: Workspace, video_id: str, *, seconds: float = 6, pictures: Any = None) -> FetchedVideo:
    """A source with numbered frames in the workspace, as after `fetch`."""
    folder = workspace.media / video_id
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "video.mkv"
    sound = clicks(seconds, [0.1 + 0.5 * k for k in range(int(2 * seconds) - 1)], 16_000)
    if pictures is None:
        pictures = [numbered_picture(first_number(video_id) + index) for index in range(int(25 * seconds))]
    sound += modulated_noise(seconds, first_number(video_id), 16_000)
    make_source(path, constant(25, seconds), sound, sound_rate_hz=16_000, pictures=pictures)
    info = probe(path)
    return FetchedVideo(
        video_id=video_id, path=workspace.relative(path), sha256=file_sha256(path), num_bytes=path.stat().st_size,
        duration_seconds=info.duration_seconds, frame_rate=info.frame_rate, width=info.width, height=info.height,
        audio_rate_hz=info.audio_rate_hz, captions=None, fetched_at="2026-01-01T00:00:00Z", fetcher_version="test",
    )  # fmt: skip


def segments_of(video_id: str, letters: str = "ABCDE", seconds: float = 1.0) -> list[Segment]:
    return [
        Segment(
            segment_id=segment_id(video_id, index * seconds), video_id=video_id, letter=letter, object_word=None,
            start_seconds=index * seconds, end_seconds=(index + 1) * seconds, rule="phrase", evidence="captions",
            confidence=0.9,
        )
        for index, letter in enumerate(letters)
    ]  # fmt: skip


def write_inputs(workspace: Workspace, videos: Sequence[FetchedVideo], segments: Sequence[Segment]) -> None:
    write_table(workspace.table("videos"), FetchedVideo, videos)
    write_table(workspace.table("segments"), Segment, segments)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Path]:
    """A workspace of five small videos, and its dataset, written by one worker."""
    root = tmp_path_factory.mktemp("shard")
    workspace = Workspace(root / "work")
    ids = [f"video-{index}" for index in range(5)]
    videos = [put_video(workspace, video_id) for video_id in ids]
    write_inputs(workspace, videos, [segment for video_id in ids for segment in segments_of(video_id)])
    count = shard(workspace, root / "dataset", SMALL)
    assert (count.num_in, count.num_kept, count.num_rejected, count.num_skipped) == (25, 25, 0, 0)
    return workspace, root / "dataset"


def copy_inputs(finished: tuple[Workspace, Path], root: Path) -> Workspace:
    """The same inputs in a new workspace without cut clips."""
    old = finished[0]
    workspace = Workspace(root)
    shutil.copytree(old.media, workspace.media)
    for name in ("videos", "segments"):
        shutil.copyfile(old.table(name), workspace.table(name))
    return workspace


def identity(path: Path) -> tuple[int, int]:
    """Unchanged when a file is renamed, changed when it is written; inode numbers alone can be reused."""
    return path.stat().st_ino, path.stat().st_mtime_ns


def digests(dataset: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(dataset.iterdir())
        if not path.name.startswith(".")
    }


def test_every_sample_holds_the_frames_of_its_segment(finished: tuple[Workspace, Path]) -> None:
    _, dataset = finished
    samples = [sample for path in shard_paths(dataset) for sample in read_shard(path)]
    assert len(samples) == 25
    for sample in samples:
        first = first_number(sample.video_id) + round(sample.start_seconds * 25)
        assert [read_number(frame) for frame in sample.frames_LHWC] == list(range(first, first + 25))
        assert sample.audio_N.size == 16_000
        assert np.abs(sample.audio_N[1600:1616]).min() > 0.5
        assert sample.label == "ABCDE"[round(sample.start_seconds)]


# webdataset leaves closing of its files to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_plain_webdataset_opens_every_shard(finished: tuple[Workspace, Path]) -> None:
    seen = []
    for path in shard_paths(finished[1]):
        for sample in webdataset.WebDataset(str(path), shardshuffle=False).decode():
            assert sample["frames.npy"].shape == (25, 64, 64, 3)
            assert sample["meta.json"]["label_set"] == "letters"
            seen.append(sample["__key__"])
    assert len(seen) == len(set(seen)) == 25


def test_metadata_has_one_row_per_clip_with_its_shard(finished: tuple[Workspace, Path]) -> None:
    _, dataset = finished
    frame = pandas.read_parquet(dataset / "metadata.parquet")
    assert len(frame) == 25
    assert frame.sample_id.is_unique
    assert set(frame.columns) >= {"label", "split", "shard", "offset", "sha256", "moving_share", "loudness_dbfs"}
    for row in read_metadata(dataset):
        with (dataset / row.shard).open("rb") as file:
            file.seek(row.offset)
            assert file.read(100).rstrip(b"\0").decode() == f"{row.sample_id}.frames.npy"
    assert frame.groupby("video_id").split.nunique().max() == 1
    assert frame.made_with.nunique() == 1
    assert "av " in frame.made_with[0]
    assert set(frame.split) == {"train", "validation", "test"}


def test_checksums_cover_every_file(finished: tuple[Workspace, Path]) -> None:
    _, dataset = finished
    lines = dict(reversed(line.split("  ")) for line in (dataset / "SHA256SUMS").read_text().splitlines())
    files = digests(dataset)
    files.pop("SHA256SUMS")
    assert lines == files


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the dependencies of mlcroissant
def test_croissant_is_valid_and_reads_the_table(finished: tuple[Workspace, Path]) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    described = mlcroissant.Dataset(jsonld=finished[1] / "croissant.json")
    assert described.metadata.issues.errors == set()
    assert described.metadata.ctx.is_v1_1()
    assert "A person reviewed 0 of 25 clips." in described.metadata.data_annotation_protocol[0]
    assert described.metadata.personal_sensitive_information[0].startswith("Voices")
    rows = list(described.records("clips"))
    assert len(rows) == 25
    assert {row["clips/label"].decode() for row in rows} == set("ABCDE")


@pytest.mark.parametrize("workers", [1, 2])
def test_bytes_do_not_depend_on_workers_or_order(
    finished: tuple[Workspace, Path], tmp_path: Path, workers: int
) -> None:
    workspace = copy_inputs(finished, tmp_path / "work")
    videos = read_table(workspace.table("videos"), FetchedVideo)
    segments = read_table(workspace.table("segments"), Segment)
    write_inputs(workspace, videos[::-1], segments[::-1])
    shard(workspace, tmp_path / "dataset", SMALL, workers=workers)
    found, expected = digests(tmp_path / "dataset"), digests(finished[1])
    for name in ("videos.parquet", "README.md", "SHA256SUMS"):  # these keep the order of the manifest
        found.pop(name)
        expected.pop(name)
    assert found == expected


class InterruptionError(Exception):
    """Simulates a power failure."""


@pytest.mark.parametrize("after", [0, 2, 4])
def test_interrupted_cutting_is_resumed(finished: tuple[Workspace, Path], tmp_path: Path, after: int) -> None:
    workspace = copy_inputs(finished, tmp_path / "work")

    def stop(stage: str, done: int, total: int) -> None:
        if done >= after:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        shard(workspace, tmp_path / "dataset", SMALL, on_progress=stop)
    count = shard(workspace, tmp_path / "dataset", SMALL)
    assert count.num_skipped == 5 * after
    assert digests(tmp_path / "dataset") == digests(finished[1])


def test_interrupted_packing_is_resumed(
    finished: tuple[Workspace, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phonics_data.stages.shard import packing

    workspace, dataset = finished
    write, written = packing._write_shard, []

    def write_some(path: Path, shard: packing.Shard, stop: threading.Event) -> str:
        if len(written) == 2:
            path.with_name(".half.partial.tar").write_bytes(b"half a shard")
            raise InterruptionError
        written.append(path.name)
        return write(path, shard, stop)

    with monkeypatch.context() as patch:
        patch.setattr(packing, "_write_shard", write_some)
        with pytest.raises(InterruptionError):
            shard(workspace, tmp_path / "dataset", SMALL)
    times = {name: (tmp_path / "dataset" / name).stat().st_mtime_ns for name in written}
    shard(workspace, tmp_path / "dataset", SMALL)
    assert digests(tmp_path / "dataset") == digests(dataset)
    assert {name: (tmp_path / "dataset" / name).stat().st_mtime_ns for name in written} == times
    assert not list((tmp_path / "dataset").glob(".*.tar"))


def test_second_run_rewrites_nothing(finished: tuple[Workspace, Path]) -> None:
    workspace, dataset = finished
    before = {path.name: path.stat().st_mtime_ns for path in shard_paths(dataset)}
    count = shard(workspace, dataset, SMALL)
    assert count.num_skipped == 25
    assert {path.name: path.stat().st_mtime_ns for path in shard_paths(dataset)} == before


def test_another_split_needs_no_cutting(finished: tuple[Workspace, Path], tmp_path: Path) -> None:
    workspace, _ = finished
    before = (workspace.clips / "video-0" / "clips.tar").stat().st_mtime_ns
    options = ShardOptions(ratios=Ratios(train=1.0, validation=0.0, test=0.0), seed=7)
    count = shard(workspace, tmp_path / "dataset", options)
    assert count.num_skipped == 25
    assert (workspace.clips / "video-0" / "clips.tar").stat().st_mtime_ns == before
    assert set(pandas.read_parquet(tmp_path / "dataset" / "metadata.parquet").split) == {"train"}


def test_deleted_clips_are_cut_again(finished: tuple[Workspace, Path], tmp_path: Path) -> None:
    workspace = copy_inputs(finished, tmp_path / "work")
    shard(workspace, tmp_path / "dataset", SMALL)
    shutil.rmtree(workspace.clips / "video-3")
    count = shard(workspace, tmp_path / "again", SMALL)
    assert count.num_skipped == 20
    assert digests(tmp_path / "again") == digests(tmp_path / "dataset")


def test_adding_a_video_keeps_the_other_shards(finished: tuple[Workspace, Path], tmp_path: Path) -> None:
    workspace = copy_inputs(finished, tmp_path / "work")
    shard(workspace, tmp_path / "dataset", SMALL)
    before = {identity(path) for path in shard_paths(tmp_path / "dataset")}
    videos = read_table(workspace.table("videos"), FetchedVideo)
    segments = read_table(workspace.table("segments"), Segment)
    write_inputs(workspace, [*videos, put_video(workspace, "new")], [*segments, *segments_of("new")])
    count = shard(workspace, tmp_path / "dataset", SMALL)
    assert (count.num_in, count.num_skipped) == (30, 25)
    kept = {identity(path) for path in shard_paths(tmp_path / "dataset")} & before
    assert len(kept) >= len(before) - 2
    fresh = shard(workspace, tmp_path / "fresh", SMALL)
    assert fresh.num_kept == 30
    assert digests(tmp_path / "fresh") == digests(tmp_path / "dataset"), (
        "adding videos must give the same bytes as building all at once"
    )


def test_invalid_clips_and_videos_become_rejections(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    good = put_video(workspace, "good")
    still = put_video(workspace, "still", pictures=[np.full((64, 64, 3), 120, np.uint8)] * 150)
    black = put_video(workspace, "black", pictures=[np.zeros((64, 64, 3), np.uint8)] * 150)
    broken = put_video(workspace, "broken")
    (workspace.root / broken.path).write_text("not a video")
    segments = [
        *segments_of("good"),
        *segments_of("still", "AB"),
        *segments_of("black", "C"),
        *segments_of("broken", "D"),
    ]
    late = Segment(
        segment_id=segment_id("good", 60), video_id="good", letter="Z", object_word=None, start_seconds=60.0,
        end_seconds=61.0, rule="phrase", evidence="captions", confidence=0.9,
    )  # fmt: skip
    write_inputs(workspace, [good, still, black, broken], [*segments, late])
    count = shard(workspace, tmp_path / "dataset", SMALL)
    assert (count.num_in, count.num_kept, count.num_rejected) == (10, 7, 3)
    assert count.by_reason == {"black": 1, "not_a_video": 1, "no_frames": 1}
    rows = {row.item_id: row for row in read_table(tmp_path / "dataset" / "rejections.parquet", Rejection)}
    assert rows["black-0000000"].measured < rows["black-0000000"].threshold
    assert rows["good-0060000"].reason == "no_frames"
    flagged = [row.video_id for row in read_metadata(tmp_path / "dataset") if row.flags == "static_picture"]
    assert flagged == ["still", "still"]
    count = shard(workspace, tmp_path / "moving", ShardOptions(filters=FilterOptions(drop_static=True)))
    assert count.by_reason["static_picture"] == 2


def test_duplicate_of_another_source_is_dropped(finished: tuple[Workspace, Path], tmp_path: Path) -> None:
    workspace = copy_inputs(finished, tmp_path / "work")
    videos = read_table(workspace.table("videos"), FetchedVideo)
    segments = read_table(workspace.table("segments"), Segment)
    copy = workspace.media / "copy" / "video.mkv"
    copy.parent.mkdir()
    shutil.copyfile(workspace.root / videos[0].path, copy)
    doubled = dataclasses.replace(videos[0], video_id="copy", path=workspace.relative(copy))
    less_confident = [dataclasses.replace(segment, confidence=0.5) for segment in segments_of("copy")]
    write_inputs(workspace, [*videos, doubled], [*segments, *less_confident])
    count = shard(workspace, tmp_path / "dataset", SMALL)
    assert (count.num_kept, count.by_reason) == (25, {"near_duplicate": 5})
    rows = read_table(tmp_path / "dataset" / "rejections.parquet", Rejection)
    assert all(row.item_id.startswith("copy-") and "repeats video-0" in row.detail for row in rows)
    kept = ShardOptions(filters=FilterOptions(drop_near_duplicates=False))
    assert shard(workspace, tmp_path / "all", kept).num_kept == 30
    splits = {row.video_id: row.split for row in read_metadata(tmp_path / "all")}
    assert splits["copy"] == splits["video-0"]
    duplicates = {row.sample_id: row.duplicate_of for row in read_metadata(tmp_path / "all") if row.flags}
    assert duplicates["copy-0001000"] == "video-0-0001000"


def test_clip_whose_letter_was_not_detected_on_the_screen_is_flagged(
    finished: tuple[Workspace, Path], tmp_path: Path
) -> None:
    workspace = copy_inputs(finished, tmp_path / "work")
    # A is detected for half of its second, B never; OCR did not read the screens of the other videos.
    detections = [
        ScreenLetter(
            video_id="video-1", letter="A", start_seconds=start, end_seconds=start + 0.3, score=0.9, box=(0, 0, 1, 1)
        )
        for start in (0.4, 0.6)
    ]
    write_table(workspace.table("screen_letters"), ScreenLetter, detections)
    shard(workspace, tmp_path / "dataset", SMALL)
    rows = {row.sample_id: row for row in read_metadata(tmp_path / "dataset")}
    assert (rows["video-1-0000000"].letter_seen_share, rows["video-1-0000000"].flags) == (0.5, "")
    assert (rows["video-1-0001000"].letter_seen_share, rows["video-1-0001000"].flags) == (0.0, "letter_not_visible")
    assert rows["video-2-0001000"].letter_seen_share is None
    dropping = ShardOptions(target_shard_bytes=1_000_000, filters=FilterOptions(drop_letter_not_visible=True))
    assert shard(workspace, tmp_path / "dropped", dropping).by_reason == {"letter_not_visible": 4}


def test_segments_of_low_confidence_are_dropped_and_say_how_to_keep_them(
    finished: tuple[Workspace, Path], tmp_path: Path
) -> None:
    workspace = copy_inputs(finished, tmp_path / "work")
    segments = read_table(workspace.table("segments"), Segment)
    segments[0] = dataclasses.replace(segments[0], confidence=0.0999)
    segments[1] = dataclasses.replace(segments[1], confidence=0.05, evidence="manifest")
    segments[2] = dataclasses.replace(segments[2], confidence=MIN_CONFIDENCE)
    write_table(workspace.table("segments"), Segment, segments)
    count = shard(workspace, tmp_path / "dataset", SMALL)
    assert count.by_reason == {"low_confidence": 2}
    rows = {row.item_id: row for row in read_table(tmp_path / "dataset" / "rejections.parquet", Rejection)}
    first, second = rows[segments[0].segment_id], rows[segments[1].segment_id]
    assert (first.measured, first.threshold) == (0.0999, MIN_CONFIDENCE)
    assert first.detail == "A: starts at 0.00 s; --min-confidence 0.09 keeps it"
    assert second.detail == (
        "B: starts at 1.00 s; its letter is known from the manifest only; --min-confidence 0.05 keeps it"
    )
    arguments = ["shard", "--work", workspace.root, "--out", tmp_path / "more", "--min-confidence", "0.05"]
    assert CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False).exit_code == 0
    assert len(read_metadata(tmp_path / "more")) == 25


WIDE = 128 / 228
"""Share of the width of a numbered picture with black to its right."""


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace of one video of 228 x 128 pixels whose picture is at the left; A is in its left half and B in its right."""
    workspace = Workspace(tmp_path_factory.mktemp("wide") / "work")
    pictures = [
        np.pad(numbered_picture(first_number("good") + index), ((0, 0), (0, 100), (0, 0))) for index in range(50)
    ]
    video = put_video(workspace, "good", seconds=2, pictures=pictures)
    write_inputs(workspace, [video], segments_of("good", "AB"))
    tracks = [
        ScreenLetter(video_id="good", letter=letter, start_seconds=start, end_seconds=start + 1, score=0.9, box=box)
        for letter, start, box in (("A", 0.0, (0.0, 0.0, WIDE, 1.0)), ("B", 1.0, (0.6, 0.2, 0.7, 0.6)))
    ]
    write_table(workspace.table("screen_letters"), ScreenLetter, tracks)
    trace = trace_of([], 16)
    (workspace.root / "ocr").mkdir()
    trace_path(workspace.root, "good").write_bytes(trace.to_bytes())
    return workspace


@pytest.mark.parametrize(
    ("fit", "seen", "fits"),
    [
        ("squash", [1.0, 1.0], ["squash"] * 2),
        ("pad", [1.0, 1.0], ["pad"] * 2),
        ("crop", [0.0, 1.0], ["crop"] * 2),
        ("letter", [1.0, 1.0], ["letter"] * 2),
    ],
)
def test_visibility_is_measured_in_the_picture(
    wide: Workspace, tmp_path: Path, fit: DatasetFit, seen: list[float], fits: list[str]
) -> None:
    filters = FilterOptions(max_bar_share=1.0)
    shard(wide, tmp_path / "dataset", ShardOptions(fit=fit, filters=filters))
    rows = sorted(read_metadata(tmp_path / "dataset"), key=lambda row: row.start_seconds)
    assert [row.letter_seen_share for row in rows] == seen
    assert [row.fit for row in rows] == fits


def test_letter_fit_shows_the_letter_undistorted(wide: Workspace, tmp_path: Path) -> None:
    shard(wide, tmp_path / "dataset", ShardOptions(fit="letter"))
    (sample,) = [sample for sample in open_dataset(tmp_path / "dataset") if sample.label == "A"]
    first = first_number("good")
    assert [read_number(frame) for frame in sample.frames_LHWC] == list(range(first, first + 25))
    (row,) = [row for row in read_metadata(tmp_path / "dataset") if row.label == "A"]
    assert (row.region_left, row.region_top, row.region_bottom) == (0.0, 0.0, 1.0)
    assert row.region_right == pytest.approx(WIDE)


def test_letter_fit_falls_back_and_cuts_again_when_the_screen_is_read(wide: Workspace, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    shutil.copytree(wide.media, workspace.media)
    for name in ("videos", "segments"):
        shutil.copyfile(wide.table(name), workspace.table(name))
    shard(workspace, tmp_path / "unread", ShardOptions(fit="letter"))
    assert [(row.fit, row.region_right) for row in read_metadata(tmp_path / "unread")] == [("squash", 1.0)] * 2
    fits = next(table for table in stats(tmp_path / "unread") if table.key == "by_fit")
    assert fits.as_plain() == [{"fit": "squash", "clips": 2}]
    shutil.copyfile(wide.table("screen_letters"), workspace.table("screen_letters"))
    shutil.copytree(wide.root / "ocr", workspace.root / "ocr")
    assert shard(workspace, tmp_path / "read", ShardOptions(fit="letter")).num_skipped == 0
    assert {row.fit for row in read_metadata(tmp_path / "read")} == {"letter"}


def test_frames_can_be_stored_as_mp4(finished: tuple[Workspace, Path], tmp_path: Path) -> None:
    workspace = copy_inputs(finished, tmp_path / "work")
    options = ShardOptions(target_shard_bytes=1_000_000, frames="mp4")
    shard(workspace, tmp_path / "mp4", options)
    assert verify(tmp_path / "mp4").faults == ()
    for sample in open_dataset(tmp_path / "mp4"):
        first = first_number(sample.video_id) + round(sample.start_seconds * 25)
        assert [read_number(frame) for frame in sample.frames_LHWC] == list(range(first, first + 25))
    mp4_bytes = sum(path.stat().st_size for path in shard_paths(tmp_path / "mp4"))
    npy_bytes = sum(path.stat().st_size for path in shard_paths(finished[1]))
    assert mp4_bytes < npy_bytes / 3
    shard(workspace, tmp_path / "again", options, workers=2)
    assert digests(tmp_path / "again") == digests(tmp_path / "mp4")


def test_no_clips_is_an_error(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    write_inputs(workspace, [put_video(workspace, "good")], [])
    with pytest.raises(InputError, match="no clip is left of 0 segments"):
        shard(workspace, tmp_path / "dataset")
    assert not (tmp_path / "dataset").exists()


def test_dataset_of_other_videos_is_not_replaced(finished: tuple[Workspace, Path], tmp_path: Path) -> None:
    _, dataset = finished
    dataset_copy = tmp_path / "dataset"
    shutil.copytree(dataset, dataset_copy)
    before = digests(dataset_copy)
    other = Workspace(tmp_path / "other")
    write_inputs(other, [put_video(other, "other")], segments_of("other"))
    with pytest.raises(InputError, match=r"contains a dataset of \d+ other videos .* delete that one first"):
        shard(other, dataset_copy)
    with pytest.raises(InputError, match="contains a dataset of"):
        check_folder(dataset_copy, read_table(other.table("videos"), FetchedVideo))
    assert digests(dataset_copy) == before
    (dataset_copy / "videos.parquet").write_bytes(b"not a table")  # an unreadable table does not identify the videos
    shard(other, dataset_copy, ShardOptions(width=32, height=32))
    assert [row.video_id for row in read_metadata(dataset_copy)] == ["other"] * 5


def test_description_is_written_last(
    finished: tuple[Workspace, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(dataset: Path, known: dict[str, str]) -> None:
        raise InterruptionError

    dataset_copy = tmp_path / "dataset"
    shutil.copytree(finished[1], dataset_copy)
    with monkeypatch.context() as patch:
        patch.setattr("phonics_data.stages.shard.stage.write_checksums", interrupt)
        with pytest.raises(InterruptionError):
            shard(finished[0], dataset_copy, SMALL)
    with pytest.raises(DatasetError, match="incomplete"):
        verify(dataset_copy)
    shard(finished[0], dataset_copy, SMALL)
    assert digests(dataset_copy) == digests(finished[1])


def test_folders_with_other_files_are_not_changed(finished: tuple[Workspace, Path], tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("text")
    with pytest.raises(InputError, match="contains other files"):
        shard(finished[0], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


def test_description_identifies_the_dataset(finished: tuple[Workspace, Path], tmp_path: Path) -> None:
    workspace, dataset = finished
    description = read_description(dataset)
    assert description["counts"]["clips"] == 25
    assert description["label_set"]["names"] == list("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert sum(entry["samples"] for entry in description["shards"]) == 25
    shard(workspace, tmp_path / "wide", ShardOptions(width=80, target_shard_bytes=1_000_000))
    assert read_description(tmp_path / "wide")["digest"] != description["digest"]


@pytest.mark.parametrize(
    ("field", "value", "flag"),
    [
        ("frame_rate", Fraction(0), "--frame-rate"),
        ("width", 4, "--size"),
        ("fit", "stretch", "--fit"),
        ("audio_rate_hz", 0, "audio_rate_hz"),
        ("target_shard_bytes", 10, "--shard-bytes"),
        ("frames", "gif", "--frames"),
    ],
)
def test_invalid_options(field: str, value: object, flag: str) -> None:
    with pytest.raises(OptionError, match=flag):
        ShardOptions(**{field: value})


def test_full_disk_is_reported_and_the_run_is_resumed(finished: tuple[Workspace, Path], tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(small)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        workspace = copy_inputs(finished, small / "work")
        with pytest.raises(InputError, match="no space left on the disk"):
            shard(workspace, small / "dataset", SMALL)
        assert not list(small.rglob("*.partial*")), "incomplete files were not removed"
        bigger = ["mount", "-o", "remount,size=400m", str(small)]
        subprocess.run(bigger, capture_output=True, check=True)
        count = shard(workspace, small / "dataset", SMALL)
        assert count.num_skipped > 0
        assert digests(small / "dataset") == digests(finished[1])
    finally:
        subprocess.run(["umount", str(small)], capture_output=True, check=True)
