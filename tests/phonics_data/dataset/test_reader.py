"""Datasets are read from folders, globs, single shards and addresses."""

from __future__ import annotations

import http.server
import io
import json
import pickle
import tarfile
import threading
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import phonics_data.dataset.reader as reading
from phonics_data.contract.sample import Sample, quantize_audio
from phonics_data.contract.shard import add_sample, encode
from phonics_data.errors import DatasetError, OptionError

pytestmark = pytest.mark.dependencies


def sample(key: str) -> Sample:
    rng = np.random.default_rng(len(key))
    return Sample(
        key=key, frames_LHWC=rng.integers(0, 255, (3, 8, 8, 3), dtype=np.uint8), frame_rate=Fraction(25),
        audio_N=quantize_audio(rng.uniform(-1, 1, 1920)), audio_rate_hz=16_000, label="A", label_set="letters",
        video_id="v", start_seconds=0.5,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    for shard, keys in {"train-000000": "abcd", "train-000001": "efgh", "test-000000": "xy"}.items():
        with tarfile.open(folder / f"{shard}.tar", "w") as tar:
            for key in keys:
                add_sample(tar, key, encode(sample(key)))
    shards = [{"name": path.name} for path in sorted(folder.glob("*.tar"))]
    (folder / "dataset.json").write_text(json.dumps({"shards": [*shards, {"name": "../../etc/passwd"}]}))
    return folder


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def keys(*arguments: object, **more: object) -> str:
    return "".join(one.key for one in reading.open_dataset(*arguments, **more))  # type: ignore[arg-type]


def test_folders_splits_globs_and_lists(folder: Path) -> None:
    assert keys(folder) == "xyabcdefgh"
    assert keys(str(folder), split="train") == "abcdefgh"
    assert keys(f"{folder}/train-*.tar") == "abcdefgh"
    assert keys(folder / "test-000000.tar") == "xy"
    assert keys([f"{folder}/test-000000.tar", str(folder / "train-000001.tar")]) == "xyefgh"
    assert keys(f"file://{folder}/train-*.tar") == "abcdefgh"


def test_samples_are_read_exactly(folder: Path) -> None:
    first = next(iter(reading.open_dataset(folder, split="train")))
    assert np.array_equal(first.frames_LHWC, sample("a").frames_LHWC)
    assert np.array_equal(first.audio_N, sample("a").audio_N)


def test_over_http(address: str) -> None:
    assert keys([f"{address}/train-000000.tar", f"{address}/train-000001.tar"]) == "abcdefgh"
    with pytest.raises(DatasetError, match="404"):
        keys(f"{address}/train-000009.tar")


@pytest.fixture
def memory(folder: Path) -> Iterator[str]:
    """The same dataset in fsspec's in-memory file system."""
    import fsspec

    system = fsspec.filesystem("memory")
    for path in folder.iterdir():
        system.pipe(f"/remote/{path.name}", path.read_bytes())
    yield "memory://remote"
    system.rm("/remote", recursive=True)


def test_over_a_file_system_of_fsspec(memory: str) -> None:
    assert keys(f"{memory}/train-000001.tar") == "efgh"
    assert keys(f"{memory}/train-*.tar") == "abcdefgh"
    assert keys([f"{memory}/test-000000.tar", f"{memory}/train-000000.tar"]) == "xyabcd"
    with pytest.raises(DatasetError, match="no such shard"):
        keys(f"{memory}/train-000009.tar")


def test_a_folder_at_an_address(address: str, memory: str) -> None:
    for place in (address, f"{address}/", memory):
        assert keys(place) == "xyabcdefgh"
        assert keys(place, split="train") == "abcdefgh"
    with pytest.raises(DatasetError, match="no shards of split validation"):
        keys(memory, split="validation")
    for place in ("memory://nowhere", f"{address}/none"):
        with pytest.raises(DatasetError, match=r"no dataset there .*dataset\.json"):
            keys(place)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    """Members with suffixes that other readers unpickle are ignored."""

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)  # type: ignore[return-value]

    members = encode(sample("a")) | {"pyd": pickle.dumps(Trap()), "pickle": pickle.dumps(Trap())}
    frames = io.BytesIO()
    np.save(frames, np.array([Trap()], dtype=object), allow_pickle=True)
    for name, number in (("good.tar", members), ("bad.tar", members | {"frames.npy": frames.getvalue()})):
        with tarfile.open(tmp_path / name, "w") as tar:
            for member, data in number.items():
                info = tarfile.TarInfo(f"a.{member}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    assert keys(tmp_path / "good.tar") == "a"
    with pytest.raises(DatasetError, match="broken member"):
        keys(tmp_path / "bad.tar")
    assert not (tmp_path / "sprung").exists()


def test_shuffling_is_seeded_and_complete(folder: Path) -> None:
    one = keys(folder, shuffle_buffer=4, seed=1)
    assert sorted(one) == sorted("xyabcdefgh")
    assert one == keys(folder, shuffle_buffer=4, seed=1)
    assert len({keys(folder, shuffle_buffer=4, seed=seed) for seed in range(8)}) > 4


@pytest.mark.parametrize("source", ["nowhere", "nowhere/*.tar", "nowhere.tar", "file:///nowhere-at-all/*.tar"])
def test_missing_sources_are_refused(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match="no shards there"):
        list(reading.open_dataset(source))


def test_empty_splits_and_wrong_options_are_refused(folder: Path) -> None:
    with pytest.raises(DatasetError, match="no shards of split validation"):
        list(reading.open_dataset(folder, split="validation"))
    with pytest.raises(OptionError, match="train, validation, test"):
        reading.open_dataset(folder, split="dev")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="shuffle_buffer"):
        reading.open_dataset(folder, shuffle_buffer=-1)


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no tar" * 1000)
    with pytest.raises(DatasetError, match=r"a\.tar"):
        list(reading.open_dataset(tmp_path / "a.tar"))
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        info = tarfile.TarInfo("../../x.frames.npy")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"evil"))
    with pytest.raises(DatasetError, match=r"b\.tar"):
        list(reading.open_dataset(tmp_path / "b.tar"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "b.tar"]


def test_metadata_needs_a_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no metadata\.parquet in it"):
        reading.load_metadata(tmp_path)
