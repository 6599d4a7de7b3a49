"""Frame-exact cutting of sources with all kinds of timestamps."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from phonics_data import open_dataset
from phonics_data.contract.sample import Sample, num_audio_samples
from phonics_data.dataset.layout import MetadataRow, read_metadata
from phonics_data.media import ffmpeg_path
from phonics_data.quality.filters import FilterOptions
from phonics_data.report.verify import verify
from phonics_data.sources.folder import files_by_csv
from phonics_data.sources.importer import import_files
from phonics_data.stages.shard.stage import ShardOptions, shard
from phonics_data.storage.workspace import Workspace
from tests.counted_videos import clicks, constant, make_source, numbered_picture, read_number

RATE = Fraction(25)
CLICKS = [0.5, 1.5, 2.5, 3.5]
SECONDS = 4.4
SEGMENTS = ((0.0, 1.2), (0.77, 2.9), (2.2, 4.0))


def variable() -> list[Fraction]:
    steps = np.random.default_rng(3).choice([1, 2, 3, 7, 20], size=110)
    times = [Fraction(int(total), 100) for total in np.concatenate([[0], np.cumsum(steps)])]
    return [at for at in times if at < Fraction(44, 10)]


def turned(times: list[Fraction]) -> list[np.ndarray]:
    return [np.ascontiguousarray(np.rot90(numbered_picture(index), -1)) for index in range(len(times))]


def ffmpeg(*arguments: object) -> None:
    subprocess.run([ffmpeg_path(), "-loglevel", "error", "-y", *map(str, arguments)], check=True)


def put(path: Path, times: list[Fraction], *, audio: str = "pcm_s16le", **more: object) -> list[Fraction]:
    """Write a source; returns the presentation time of each frame."""
    make_source(path, times, clicks(SECONDS, CLICKS, 48_000), audio_codec=audio, **more)  # type: ignore[arg-type]
    if path.suffix == ".mkv":  # its timestamps are whole milliseconds
        return [Fraction(int(at * 1000 + Fraction(1, 2)), 1000) for at in times]
    return times


def edited(path: Path) -> list[Fraction]:
    """A source whose edit list starts 0.52 s into the stream, inside a group of pictures."""
    times = put(path.with_name("whole.mov"), constant(25, SECONDS), video_options={"bf": "2", "g": "50"})
    ffmpeg("-ss", "0.52", "-i", path.with_name("whole.mov"), "-c", "copy", path)
    path.with_name("whole.mov").unlink()
    return [at - Fraction(52, 100) for at in times]


def anamorphic(path: Path) -> list[Fraction]:
    pictures = [np.repeat(numbered_picture(index), 2, axis=0) for index in range(110)]  # stored at half their width
    narrow = path.with_name("narrow.mov")
    times = put(narrow, constant(25, SECONDS), pictures=pictures)
    ffmpeg("-i", narrow, "-c", "copy", "-aspect", "1:1", path)
    narrow.unlink()
    return times


B_FRAMES = {"bf": "3", "g": "48"}
FORMS: dict[str, Callable[[Path], list[Fraction]]] = {
    "a-23976.mov": lambda path: put(path, constant(Fraction(24000, 1001), SECONDS), video_options=B_FRAMES),
    "b-25.mov": lambda path: put(path, constant(25, SECONDS), video_options={"bf": "0"}),
    "c-2997.mkv": lambda path: put(path, constant(Fraction(30000, 1001), SECONDS), video_options=B_FRAMES),
    "d-30.mp4": lambda path: put(path, constant(30, SECONDS), audio="aac", video_options=B_FRAMES),
    "e-50.mov": lambda path: put(path, constant(50, SECONDS), video_options=B_FRAMES),
    "f-60.mkv": lambda path: put(path, constant(60, SECONDS), video_options={"bf": "2"}),
    "g-variable.mkv": lambda path: put(path, variable()),
    "h-rotated.mov": lambda path: put(
        path, constant(30, SECONDS), rotation=90, pictures=turned(constant(30, SECONDS)), video_options=B_FRAMES
    ),
    "i-edit-list.mov": edited,
    "j-anamorphic.mov": anamorphic,
    "k-no-timestamps.avi": lambda path: put(
        path, constant(25, SECONDS), video_codec="mpeg4", time_base=Fraction(1, 25), video_options={"b": "2M", "bf": "0"}
    ),
    "l-odd-size.mkv": lambda path: put(
        path,
        constant(25, SECONDS),
        video_codec="ffv1",
        pictures=[numbered_picture(index)[:125, :127] for index in range(110)],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[Fraction]], Path]:
    """(source name -> presentation times of its frames, dataset of all sources)."""
    root = tmp_path_factory.mktemp("exact")
    (root / "videos").mkdir()
    shown = {name: make(root / "videos" / name) for name, make in FORMS.items()}
    rows = [f"{name},{name.partition('.')[0]},{start},{end}" for name in FORMS for start, end in SEGMENTS]
    (root / "segments.csv").write_text("\n".join(["path,label,start,end", *rows]) + "\n")
    workspace = Workspace(root / "work")
    import_files(workspace, files_by_csv(root / "videos", root / "segments.csv"), evidence="csv")
    # The frames are mostly black and equal in all sources, and clicks are at full scale: these filters are disabled.
    rules = FilterOptions(drop_near_duplicates=False, min_bright_level=0.0, max_clipped_share=1.0)
    shard(workspace, root / "dataset", ShardOptions(frame_rate=RATE, label_set="forms", filters=rules))
    return shown, root / "dataset"


def test_dataset_is_complete_and_valid(made: tuple[dict[str, list[Fraction]], Path]) -> None:
    assert len(read_metadata(made[1])) == len(FORMS) * len(SEGMENTS)
    assert verify(made[1]).faults == ()


@pytest.mark.parametrize("name", FORMS)
def test_frames_and_clicks(made: tuple[dict[str, list[Fraction]], Path], name: str) -> None:
    shown, dataset = made
    rows = {row.sample_id: row for row in read_metadata(dataset) if row.label == name.partition(".")[0]}
    samples = [sample for sample in open_dataset(dataset) if sample.key in rows]
    assert len(samples) == len(SEGMENTS)
    cut_away = 0.52 if name.startswith("i-") else 0.0
    for sample in samples:
        check_frames(sample, rows[sample.key], shown[name])
        check_clicks(sample, [at - cut_away for at in CLICKS])


def check_frames(sample: Sample, row: MetadataRow, shown: list[Fraction]) -> None:
    first = round(row.start_seconds * RATE)
    start, end = min(SEGMENTS, key=lambda segment: abs(segment[0] - row.start_seconds))
    assert abs(row.start_seconds - start) <= 0.5 / RATE + 1e-9
    # The clip has all frames of the segment that the source has.
    last = min(Fraction(str(end)), shown[-1] + Fraction(1, 30))
    assert sample.num_frames == row.num_frames == int(last * RATE + Fraction(1, 2)) - first
    moments = [(first + index + Fraction(1, 2)) / RATE for index in range(row.num_frames)]
    expected = [max(index for index, at in enumerate(shown) if at <= moment) for moment in moments]
    assert [read_number(frame) for frame in sample.frames_LHWC] == expected
    assert sample.audio_N.size == row.num_audio_samples == num_audio_samples(row.num_frames, RATE, 16_000)


def check_clicks(sample: Sample, at_seconds: list[float]) -> None:
    """The loudest sample near each click is at most 1 ms before and 2 ms after the click's start.

    The loudest sample is used and not the first loud one, since AAC spreads a click over some milliseconds.
    """
    inside = [at for at in at_seconds if sample.start_seconds + 0.03 < at < sample.start_seconds + 1.1]
    assert inside
    for at in inside:
        place = round((at - sample.start_seconds) * 16_000)
        around = np.abs(sample.audio_N[max(0, place - 400) : place + 400])
        loudest = (int(np.argmax(around)) + max(0, place - 400)) / 16_000 + sample.start_seconds
        assert -0.001 <= loudest - at <= 0.002
