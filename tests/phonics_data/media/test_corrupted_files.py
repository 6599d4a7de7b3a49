"""Corrupted and unusual files: each gives clips or a rejection reason, without crashes or other effects."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from phonics_data.contract.sample import num_audio_samples
from phonics_data.errors import DatasetError, ItemError, MediaError
from phonics_data.executors.isolated import Limits, map_isolated
from phonics_data.media import cut_segments, decodes_to_end, probe
from phonics_data.report.verify import verify
from phonics_data.types import Reason
from tests.counted_videos import clicks, constant, make_source
from tests.phonics_data.report.test_verify import make_dataset

SEGMENTS = [(0.0, 1.0), (0.5, 3.0), (2.5, 4.0), (20.0, 21.0), (1e5, 1e5 + 1)]
RATE = Fraction(25)


def process(path: Path) -> tuple[str, list[tuple[int, int, int]]]:
    """(result of the check, (index, frames, samples) of every clip): all that the pipeline does with a file."""
    info = probe(path, need_audio=True)
    try:
        decodes_to_end(path)
        checked = "whole"
    except MediaError as error:
        checked = error.reason
    cuts = cut_segments(path, SEGMENTS, frame_rate=RATE, width=64, height=64, audio_rate_hz=16_000)
    clips = [(one.index, one.frames_LHWC.shape[0], one.audio_N.size) for one in cuts]
    assert info.duration_seconds >= 0
    return checked, clips


def outcomes(paths: list[Path]) -> dict[str, tuple[str, list[tuple[int, int, int]]] | ItemError]:
    limits = Limits(seconds=100, memory_bytes=1024**3)
    found = {path.name: result for path, result in map_isolated(process, paths, workers=1, limits=lambda _: limits)}
    for name, result in found.items():
        if isinstance(result, ItemError):
            assert result.reason in get_args(Reason), name
            assert "\n" not in str(result)
            assert result.reason != "worker_died", f"{name}: {result}"
        else:
            assert sorted(index for index, *_ in result[1]) == list(range(len(SEGMENTS)))
            for _, frames, samples in result[1]:
                assert samples == num_audio_samples(frames, RATE, 16_000)
    return found


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    return make_source(folder / "good.mp4", constant(25, 6), clicks(6, [0.5, 3.0], 48_000), audio_codec="aac")


def test_truncated_files(good: Path, tmp_path: Path) -> None:
    data = good.read_bytes()
    for tenths in range(11):
        (tmp_path / f"{tenths}.mp4").write_bytes(data[: len(data) * tenths // 10])
    found = outcomes(sorted(tmp_path.glob("*.mp4")))
    assert found["10.mp4"] == ("whole", [(0, 25, 16_000), (1, 62, 39_680), (2, 37, 23_680), (3, 0, 0), (4, 0, 0)])
    assert all(isinstance(found[f"{tenths}.mp4"], ItemError) for tenths in range(10)), (
        "the index is at the end of the file"
    )


def test_random_byte_changes(good: Path, tmp_path: Path) -> None:
    data = good.read_bytes()
    for seed in range(30):
        rng = np.random.default_rng(seed)
        broken = bytearray(data)
        first = data.find(b"moov") if seed % 2 else 0  # every second file: in the index only
        for place in rng.integers(first, len(data), int(10 ** rng.uniform(0, 2.5))):
            broken[place] = int(rng.integers(256))
        (tmp_path / f"{seed}.mp4").write_bytes(broken)
    assert len(outcomes(sorted(tmp_path.glob("*.mp4")))) == 30


def test_unusual_sources(good: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def picture(height: int, width: int) -> np.ndarray:
        return rng.integers(0, 255, (height, width, 3), dtype=np.uint8)

    def source(name: str, seconds: float = 1.0, rate: int = 25, shift: int = 0, **more: object) -> None:
        times = [at + shift for at in constant(rate, seconds)]
        make_source(tmp_path / name, times, clicks(seconds, [0.2], 48_000), audio_codec="aac", **more)  # type: ignore[arg-type]

    source("one-frame.mp4", 0.04)
    source("240-fps.mp4", 3, rate=240)
    source("2x2.mp4", pictures=[picture(2, 2)] * 25)
    source("16x2000.mp4", pictures=[picture(2000, 16)] * 25)
    source("negative.mp4", 4, shift=-2)
    source("negative.mkv", 4, shift=-2)
    source("late.mkv", 2, shift=100_000)
    big = np.repeat(np.repeat(picture(50, 50), 160, 0), 160, 1)
    source("8000x8000.mp4", 0.2, pictures=[big] * 5, video_options={"preset": "ultrafast"})
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("I am text\n" * 500)
    (tmp_path / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/x\n")
    with (tmp_path / "sparse.mp4").open("wb") as file:
        file.write(good.read_bytes()[:2000])
        file.truncate(2 * 1024**3)
    found = outcomes(sorted(tmp_path.iterdir()))
    for name in ("empty.mp4", "text.mp4", "playlist.mp4", "sparse.mp4"):
        error = found[name]
        assert isinstance(error, MediaError), name
        assert error.reason == "not_a_video"
    for name, frames in {
        "one-frame.mp4": 1,
        "2x2.mp4": 25,
        "16x2000.mp4": 25,
        "8000x8000.mp4": 5,
        "late.mkv": 25,
    }.items():
        result = found[name]
        assert not isinstance(result, ItemError), (name, result)
        assert sorted(result[1])[0][1] == frames, name


def test_real_files(shared_data: Path) -> None:
    paths = sorted(path for path in (shared_data / "media").rglob("*") if path.is_file())
    found = outcomes(paths)
    assert len(found) >= 30
    assert sum(not isinstance(result, ItemError) for result in found.values()) >= 12


def add_member(dataset: Path, name: str, data: bytes) -> None:
    with tarfile.open(dataset / "train-000000.tar", "a") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))


def add_link(dataset: Path) -> None:
    with tarfile.open(dataset / "train-000000.tar", "a") as tar:
        info = tarfile.TarInfo("link.frames.npy")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)


@pytest.mark.parametrize(
    "damage",
    [
        lambda dataset: add_member(dataset, "../../x.frames.npy", b"evil"),
        lambda dataset: add_member(dataset, "/tmp/x.meta.json", b"{}"),
        lambda dataset: add_member(dataset, "x.frames.npy", b"\x80\x04cposix\nsystem\n(S'true'\ntR."),
        add_link,
        lambda dataset: (dataset / "metadata.parquet").write_bytes(b"PAR1" + bytes(100) + b"PAR1"),
        lambda dataset: (dataset / "dataset.json").write_text("[" * 100_000),
        lambda dataset: (dataset / "SHA256SUMS").write_bytes(b"\xff\xfe" * 50),
        lambda dataset: (dataset / "SHA256SUMS").write_text(f"{'0' * 64}  ../../etc/passwd\n"),
    ],
)
def test_malicious_datasets(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    dataset = make_dataset(tmp_path)
    damage(dataset)
    before = sorted(tmp_path.rglob("*"))
    try:
        faults = verify(dataset).faults
    except DatasetError as error:
        faults = (str(error),)
    assert faults
    assert all("\n" not in fault for fault in faults)
    assert sorted(tmp_path.rglob("*")) == before
