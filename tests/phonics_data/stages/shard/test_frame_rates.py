"""``--frame-rate source``: each clip keeps the frame rate of its own source, in all files and commands."""

from __future__ import annotations

import dataclasses
import json
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from phonics_data import open_dataset
from phonics_data.cli.app import app
from phonics_data.cli.options import parse_frame_rate
from phonics_data.dataset.export import export
from phonics_data.dataset.layout import rates_text, read_description, read_metadata
from phonics_data.errors import OptionError
from phonics_data.media import probe
from phonics_data.media.probe import nominal_rate
from phonics_data.report import write_report
from phonics_data.report.verify import verify
from phonics_data.stages.segment import SegmentOptions
from phonics_data.stages.shard.stage import ShardOptions, shard
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, Segment, segment_id
from tests.counted_videos import clicks, constant, make_source, modulated_noise, numbered_picture, read_number
from tests.phonics_data.stages.shard.test_stage import write_inputs

RATES = {
    "cine": Fraction(24000, 1001),
    "cinema": Fraction(24),
    "pal": Fraction(25),
    "ntsc": Fraction(30000, 1001),
    "odd": Fraction(17),
}
SECONDS = 3
CLICKS = [0.25, 1.25, 2.25]
SOURCE_RATE = ShardOptions(frame_rate=None)


def put_source(workspace: Workspace, name: str, times: list[Fraction], number: int) -> FetchedVideo:
    path = workspace.media / name / "video.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = clicks(SECONDS, CLICKS, 44_100) + modulated_noise(SECONDS, number, 44_100)
    pictures = [numbered_picture((number << 8) + index) for index in range(len(times))]
    make_source(path, times, sound, sound_rate_hz=44_100, audio_codec="aac", pictures=pictures)
    info = probe(path)
    return FetchedVideo(
        video_id=name, path=workspace.relative(path), sha256=name.encode().hex(), num_bytes=path.stat().st_size,
        duration_seconds=info.duration_seconds, frame_rate=info.frame_rate, width=info.width, height=info.height,
        audio_rate_hz=info.audio_rate_hz, captions=None, fetched_at="2026-01-01T00:00:00Z", fetcher_version="test",
    )  # fmt: skip


def one_second(video_id: str, start: float, letter: str) -> Segment:
    return Segment(
        segment_id=segment_id(video_id, start), video_id=video_id, letter=letter, object_word=None,
        start_seconds=start, end_seconds=start + 1, rule="given", evidence="folder", confidence=1.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Path]:
    root = tmp_path_factory.mktemp("rates")
    workspace = Workspace(root / "work")
    videos = [
        put_source(workspace, name, constant(rate, SECONDS), number)
        for number, (name, rate) in enumerate(RATES.items(), start=0x51)
    ]
    write_inputs(
        workspace, videos, [one_second(name, start, "AB"[int(start > 1)]) for name in RATES for start in (0.0, 1.5)]
    )
    assert shard(workspace, root / "dataset", SOURCE_RATE).num_kept == 10
    return workspace, root / "dataset"


def test_probe_gives_the_exact_rate_of_constant_sources(built: tuple[Workspace, Path]) -> None:
    for name, rate in RATES.items():
        assert probe(built[0].media / name / "video.mp4").frame_rate == rate


def test_each_clip_has_every_frame_of_its_source_once(built: tuple[Workspace, Path]) -> None:
    samples = list(open_dataset(built[1]))
    assert len(samples) == 10
    for sample in samples:
        rate = RATES[sample.video_id]
        assert sample.frame_rate == rate
        numbers = np.array([read_number(frame) & 0xFF for frame in sample.frames_LHWC])
        assert (np.diff(numbers) == 1).all(), (sample.key, numbers)
        assert numbers[0] / float(rate) == pytest.approx(sample.start_seconds, abs=1e-6)
        assert abs(sample.duration_seconds - 1) <= 1 / float(rate)
        click = CLICKS[0] if sample.start_seconds == 0 else CLICKS[2]
        found = np.flatnonzero(np.abs(sample.audio_N) > 0.3)[0] / sample.audio_rate_hz + sample.start_seconds
        assert found == pytest.approx(click, abs=0.002)


def test_tables_card_page_croissant_and_verify_know_the_rates(built: tuple[Workspace, Path]) -> None:
    workspace, dataset = built
    rows = read_metadata(dataset)
    assert {row.video_id: row.frame_rate for row in rows} == RATES
    assert all(row.duration_seconds == pytest.approx(float(row.num_frames / row.frame_rate)) for row in rows)
    description = read_description(dataset)
    assert description["options"]["frame_rate"] is None
    assert description["counts"]["clips_by_frame_rate"] == {str(rate): 2 for rate in RATES.values()}
    words = (
        "17 (2 clips) or 24000/1001 (2 clips) or 24 (2 clips) or 25 (2 clips) or 30000/1001 (2 clips) frames a second"
    )
    assert words in (dataset / "README.md").read_text()
    assert words in json.loads((dataset / "croissant.json").read_text())["description"]
    assert words in write_report(dataset).read_text()
    assert verify(dataset).faults == ()
    again = shard(workspace, dataset, SOURCE_RATE)
    assert again.num_skipped == 10


def test_export_writes_each_clip_at_its_rate(built: tuple[Workspace, Path], tmp_path: Path) -> None:
    export(built[1], tmp_path / "files")
    for row in read_metadata(built[1]):
        (path,) = (tmp_path / "files").rglob(f"{row.sample_id}.mp4")
        info = probe(path)
        assert info.frame_rate == row.frame_rate
        assert info.num_frames == row.num_frames


def test_only_clips_of_another_rate_are_cut_again(built: tuple[Workspace, Path], tmp_path: Path) -> None:
    workspace, _ = built
    count = shard(workspace, tmp_path / "at-25", ShardOptions())
    assert count.num_skipped == 2  # those of the source that has 25 frames a second itself
    assert {row.frame_rate for row in read_metadata(tmp_path / "at-25")} == {Fraction(25)}
    assert shard(workspace, tmp_path / "own", SOURCE_RATE).num_skipped == 2


def test_a_variable_rate_becomes_one_constant_rate(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    every = constant(30, SECONDS)
    dropped = [time for index, time in enumerate(every) if index % 20 != 7]  # a camera that lost each twentieth frame
    slow = [Fraction(index * (index + 7), 400) for index in range(30)]  # no regular rate at all
    slow = [time for time in slow if time < SECONDS]
    videos = [put_source(workspace, "dropped", dropped, 0x51), put_source(workspace, "slow", slow, 0x6A)]
    rates = {video.video_id: video.frame_rate for video in videos}
    assert rates["dropped"] == 30
    assert 10 < rates["slow"] < 13  # frames by duration; the container leaves the length of the last one open
    write_inputs(workspace, videos, [one_second(video.video_id, 1.0, "A") for video in videos])
    shard(workspace, tmp_path / "dataset", SOURCE_RATE)
    times = {"dropped": dropped, "slow": slow}
    for sample in open_dataset(tmp_path / "dataset"):
        assert sample.frame_rate == rates[sample.video_id]
        shown = [read_number(frame) & 0xFF for frame in sample.frames_LHWC]
        for index, number in enumerate(shown):  # the frame that is on the screen at the middle of each interval
            middle = (
                Fraction(sample.start_seconds).limit_denominator(10**6) + (index + Fraction(1, 2)) / sample.frame_rate
            )
            expected = sum(time <= middle for time in times[sample.video_id]) - 1
            assert number == expected


@pytest.mark.parametrize(
    ("average", "regular", "rate"),
    [
        ("24000/1001", "24000/1001", "24000/1001"),
        ("24", "24", "24"),
        ("2997/100", "2997/100", "30000/1001"),
        ("23976/1000", None, "24000/1001"),
        ("25", "50", "25"),
        ("2985/100", "30", "30"),
        ("20", "30", "20"),
        ("14123/1000", "1000", "14123/1000"),
        (None, "15", "15"),
        ("1/2", "1/2", "1"),
        ("1000", "1000", "240"),
        (None, None, None),
        ("0", "0", None),
    ],
)
def test_nominal_rate(average: str | None, regular: str | None, rate: str | None) -> None:
    found = nominal_rate(
        Fraction(average) if average is not None else None, Fraction(regular) if regular is not None else None
    )
    assert found == (Fraction(rate).limit_denominator(1001) if rate else None)


def test_option(built: tuple[Workspace, Path], tmp_path: Path) -> None:
    assert parse_frame_rate("source") is None
    with pytest.raises(OptionError, match="or source"):
        parse_frame_rate("Source")
    arguments = ["shard", "--work", str(built[0].root), "--out", str(tmp_path / "dataset"), "--frame-rate", "source"]
    assert CliRunner().invoke(app, arguments, catch_exceptions=False).exit_code == 0
    assert {row.frame_rate for row in read_metadata(tmp_path / "dataset")} == set(RATES.values())


def test_filters_count_seconds(built: tuple[Workspace, Path], tmp_path: Path) -> None:
    limited = dataclasses.replace(SOURCE_RATE, filters=dataclasses.replace(SOURCE_RATE.filters, min_seconds=0.99))
    # A clip of 17 frames and one of 30 last a second each: neither is too short.
    count = shard(built[0], tmp_path / "dataset", limited)
    lasting = [row.duration_seconds for row in read_metadata(built[1])]
    assert count.num_kept == sum(duration >= 0.99 for duration in lasting) >= 8


def test_one_clip_is_no_plural() -> None:
    assert rates_text({"25": 2, "24": 1}) == "24 (1 clip) or 25 (2 clips) frames a second"
    assert rates_text({"25": 1}) == "25 frames a second"


@pytest.mark.parametrize(
    ("stored", "rate"), [("1000", "240"), ("1/2", "1"), ("20000/1223", "13426/821"), ("30000/1001", "30000/1001")]
)
def test_rates_that_an_older_version_stored_get_the_limits(stored: str, rate: str) -> None:
    assert SOURCE_RATE.clip_rate(Fraction(stored)) == Fraction(rate)
    assert SegmentOptions(frame_rate=None).limits(Fraction(stored)).frame_rate == Fraction(rate)
    assert ShardOptions(frame_rate=Fraction(24)).clip_rate(Fraction(stored)) == 24


@pytest.mark.parametrize("text", ["1e99999999", "1e-99999999", "9" * 5000, "1/0", "0", "nan", "25 fps", "-25", ""])
def test_rates_that_are_none(text: str) -> None:
    started = time.monotonic()
    with pytest.raises(OptionError, match=r"--frame-rate: got .*, allowed: a number or fraction over 0 and up to 240"):
        parse_frame_rate(text)
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("text", "rate"), [("25", "25"), (" 12.5 ", "25/2"), (".5", "1/2"), ("25.", "25"), ("30000/1001", "30000/1001")]
)
def test_rates_in_text(text: str, rate: str) -> None:
    assert parse_frame_rate(text) == Fraction(rate)
