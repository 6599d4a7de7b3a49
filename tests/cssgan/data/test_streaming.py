"""Streaming loader: every sample once per epoch, the batches of the resident loader, any number of readers, any start."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest
import torch
from rich.console import Console

from cssgan.config import Config
from cssgan.data import loaders, resident, streaming
from cssgan.data.batches import ResidentLoader
from cssgan.data.index import StreamIndex
from cssgan.data.prefetch import PrefetchLoader
from cssgan.data.sampler import BatchSampler, BatchSpec
from cssgan.data.shards import Shard, find_shards, read_tar_samples, shards_digest
from cssgan.data.streaming import LoaderTimeoutError, StreamingLoader
from cssgan.errors import ReaderLostError
from cssgan.storage.files import cache_root
from cssgan.types import Batch
from phonics_data.errors import DatasetError
from tests.cssgan.toy_dataset import TINY, make_sample, tiny_config, write_shard

pytestmark = pytest.mark.dependencies

CPU = torch.device("cpu")
COUNTS = (5, 2, 4)
"""Samples of the three shards."""


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Eleven clips of different lengths in three shards, two for validation, with their dataset.json."""
    folder, seed = tmp_path / "shards", 0
    for number, count in enumerate(COUNTS):
        samples = [make_sample(seed + n, num_frames=10 + 2 * (seed + n), size=32) for n in range(count)]
        write_shard(folder / f"train-{number:06d}.tar", samples)
        seed += count
    write_shard(folder / "validation-000000.tar", [make_sample(100), make_sample(101)])
    write_description(folder)
    return folder


def write_description(folder: Path) -> None:
    """Write dataset.json for the shards in the folder; as in real ones, ``bytes`` is without the padding of the tar."""
    entries = [
        {"name": path.name, "sha256": digest_of(path), "samples": 1, "bytes": bytes_of_samples(path)}
        for path in sorted(folder.glob("*.tar"))
    ]
    (folder / "dataset.json").write_text(json.dumps({"schema_version": 1, "shards": entries}))


def bytes_of_samples(path: Path) -> int:
    try:
        with tarfile.open(path, "r:") as tar:
            return max(member.offset_data + -(-member.size // 512) * 512 for member in tar)
    except tarfile.ReadError:  # compressed or damaged by the test
        return path.stat().st_size


def digest_of(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def stream_config(*settings: str) -> Config:
    return tiny_config("data.loader=streaming", "data.workers=0", *settings)


def stream(dataset: Path | str, config: Config, *, rank: int = 0, world: int = 1) -> StreamingLoader:
    loader = loaders.training_loader(loaders.open_training_data(config, dataset), config, CPU, rank=rank, world=world)
    assert isinstance(loader, PrefetchLoader)
    assert isinstance(loader.wrapped, StreamingLoader)
    return loader.wrapped


def same(a: Batch, b: Batch) -> bool:
    fields = [name for name in type(a).__slots__ if isinstance(getattr(a, name), torch.Tensor)]
    return a.keys == b.keys and all(torch.equal(getattr(a, name), getattr(b, name)) for name in fields)


def test_every_epoch_shows_every_clip_once(shards: Path) -> None:
    loader = stream(shards, stream_config("train.batch_size=11"))

    for epoch in range(3):
        assert Counter(loader.batch(11 * epoch).keys) == Counter(f"clip-{n:04d}" for n in range(11))


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("data.segment_context=clip", "data.augment_colour=true", "data.augment_shift=2"),
        ("model.z_dim=2",),
        ("order.sampling=enumerate",),
    ],
)
def test_batches_are_those_of_the_resident_loader(shards: Path, settings: tuple[str, ...]) -> None:
    config = stream_config(*settings)
    loader = stream(shards, config)
    data = resident.load(shards, "train", config.data.size)
    assert (loader.data.mean, loader.data.std) == pytest.approx((data.mean, data.std), rel=1e-12)
    assert (loader.frame_rate, loader.label_set) == (data.frame_rate, data.label_set)
    other = ResidentLoader(data=data, config=config, mel_stats=loader.mel_stats, device=CPU)

    for position in (0, 3, 6, 9, 12):
        assert same(loader.batch(position), other.batch(position))


@pytest.mark.parametrize("settings", [("data.workers=2",), ("data.workers=4",)])
def test_any_number_of_readers_gives_the_same_batches(shards: Path, settings: tuple[str, ...]) -> None:
    in_process, with_readers = stream(shards, stream_config()), stream(shards, stream_config(*settings))

    for position in range(0, 24, 3):
        assert same(in_process.batch(position), with_readers.batch(position))
    with_readers.close()


def test_a_loader_may_start_at_any_position(shards: Path) -> None:
    whole = stream(shards, stream_config())
    expected = {position: whole.batch(position) for position in range(0, 30, 3)}

    for position in (27, 9, 12, 0):
        assert same(stream(shards, stream_config()).batch(position), expected[position])
    jumping = stream(shards, stream_config())
    assert all(same(jumping.batch(position), expected[position]) for position in (3, 6, 21, 24))


def test_enumerated_orders_of_a_clip_are_consecutive(shards: Path) -> None:
    config = stream_config("order.sampling=enumerate", "train.batch_size=8")
    loader = stream(shards, config)

    batches = [loader.batch(position) for position in range(0, 48, 8)]

    keys = [key for batch in batches for key in batch.keys]
    assert [len(set(keys[n : n + 24])) for n in (0, 24)] == [1, 1]
    assert sorted(torch.cat([batch.order_B for batch in batches[:3]]).tolist()) == list(range(24))


def test_the_rows_of_all_processes_are_the_batch(shards: Path) -> None:
    config = stream_config("train.batch_size=4")
    whole, parts = stream(shards, config), [stream(shards, config, rank=rank, world=2) for rank in range(2)]

    for position in range(0, 16, 4):
        expected, found = whole.batch(position), [part.batch(position) for part in parts]
        assert sum((part.keys for part in found), ()) == expected.keys
        assert torch.equal(torch.cat([part.video_BCTHW for part in found]), expected.video_BCTHW)


def test_few_batches_are_read_in_advance(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requested: list[int] = []
    spec = BatchSampler.spec

    def counting(sampler: BatchSampler, position: int) -> BatchSpec:
        requested.append(position)
        return spec(sampler, position)

    monkeypatch.setattr(BatchSampler, "spec", counting)
    loader = stream(shards, stream_config("data.workers=2"))
    for position in range(0, 60, 3):
        loader.batch(position)
        assert max(requested) <= position + 3 * 2 * 2, "at most two batches per reader process"
    loader.close()


def test_auto_streams_datasets_over_the_limit_and_logs_the_reason(shards: Path) -> None:
    found = find_shards(shards, "train")

    assert loaders.choose_loader(tiny_config(), found)[0] == "resident"
    kind, reason = loaders.choose_loader(tiny_config("data.resident_gb=0"), found)
    assert (kind, "3 training shard(s)" in reason, "over data.resident_gb=0" in reason) == ("streaming", True, True)
    assert loaders.choose_loader(tiny_config("data.resident_gb=0", "data.shuffle_audio=true"), found)[0] == "resident"


def test_each_shard_is_indexed_once(shards: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="cssgan")
    for _ in range(2):
        loaders.open_training_data(stream_config(), shards)
    write_shard(shards / "train-000001.tar", [make_sample(50)])
    write_description(shards)
    larger = loaders.open_training_data(stream_config(), shards).content

    assert [record.getMessage().split()[1] for record in caplog.records if "once" in record.getMessage()] == ["3", "1"]
    assert isinstance(larger, StreamIndex)
    assert larger.shard_sizes == (5, 1, 4)


class RangeHandler(SimpleHTTPRequestHandler):
    """Serves files and byte ranges of them, without logging."""

    supports_ranges = True

    def do_GET(self) -> None:
        requested = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if requested is None or not self.supports_ranges or not path.is_file():
            super().do_GET()
            return
        content = path.read_bytes()[int(requested[1]) : int(requested[2]) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of an HTTP server on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def served(shards: Path) -> Iterator[tuple[str, threading.Event]]:
    """The shards over HTTP; the server answers only while the event is set."""
    answers = threading.Event()
    answers.set()

    class Pausing(RangeHandler):
        def do_GET(self) -> None:
            answers.wait(60)
            super().do_GET()

    with serving(partial(Pausing, directory=str(shards))) as address:
        yield address, answers
        answers.set()


@pytest.fixture
def in_memory(shards: Path) -> Iterator[str]:
    files = fsspec.filesystem("memory")
    for path in shards.iterdir():
        files.pipe(f"/letters/{path.name}", path.read_bytes())
    yield "memory://letters"
    files.rm("/letters", recursive=True)


@pytest.mark.parametrize("where", ["served", "in_memory"])
def test_an_address_gives_the_batches_of_a_folder(shards: Path, request: pytest.FixtureRequest, where: str) -> None:
    value = request.getfixturevalue(where)
    address: str = value if isinstance(value, str) else value[0]
    local, remote = stream(shards, stream_config()), stream(address, stream_config())

    assert shards_digest(find_shards(address, "train")) == shards_digest(find_shards(shards, "train"))
    assert all(same(local.batch(position), remote.batch(position)) for position in (0, 3, 6))
    assert len(resident.load(address, "validation", 16).clips) == 2


def test_servers_without_range_requests_are_refused(shards: Path) -> None:
    class WholeFiles(RangeHandler):
        supports_ranges = False

    with (
        serving(partial(WholeFiles, directory=str(shards))) as address,
        pytest.raises(DatasetError, match=r"train-00000\d.tar: its server does not support range requests.*resident"),
    ):
        stream(address, stream_config())


def test_compressed_shards_are_refused(shards: Path) -> None:
    path = shards / "train-000001.tar"
    path.write_bytes(gzip.compress(path.read_bytes()))
    write_description(shards)
    with pytest.raises(DatasetError, match=r"train-000001.tar: compressed shards cannot be read in random order"):
        stream(shards, stream_config())
    assert len(resident.load(shards, "train", 16).clips) == 11


@pytest.mark.parametrize("num_failures", [2, 3])
def test_byte_ranges_are_requested_again_after_failures(
    shards: Path, monkeypatch: pytest.MonkeyPatch, num_failures: int
) -> None:
    monkeypatch.setattr("phonics_data.contract.tar_reader.RETRY_SECONDS", (0.0, 0.0))
    failures: Counter[str] = Counter()

    class Unreliable(RangeHandler):
        """The first answers for each range are an error, then half of the content."""

        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "bytes=0-511")
            failures[wanted] += 1
            if wanted == "bytes=0-511" or failures[wanted] > num_failures:
                super().do_GET()
            elif failures[wanted] == 1:
                self.send_error(503)
            else:
                self.send_response(206)
                self.end_headers()
                self.wfile.write(b"half")

    local = stream(shards, stream_config())
    with serving(partial(Unreliable, directory=str(shards))) as address:
        remote = stream(address, stream_config())
        if num_failures == 2:
            assert same(remote.batch(0), local.batch(0))
        else:
            with pytest.raises(DatasetError, match=r"not a whole tar file \(4 of \d+ bytes received\)"):
                remote.batch(0)


def test_a_shard_is_requested_again_after_network_failures(
    shards: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    requests: list[str] = []
    monkeypatch.setattr("phonics_data.contract.tar_reader.RETRY_SECONDS", (0.0, 0.0))

    class Unreliable(RangeHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            whole = (shards / self.path[1:]).read_bytes() if "gone" not in self.path else b""
            if not whole or len(requests) == 2:
                self.send_error(503 if whole else 404)
                return
            if len(requests) == 1:  # truncated between two members and sent without a length, so it looks complete
                with tarfile.open(shards / self.path[1:]) as tar:
                    whole = whole[: tar.getmembers()[-3].offset]
            elif "000002" in self.path:
                whole = whole[: len(whole) * 2 // 3]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(whole)

    def contents(shard: Shard) -> list[tuple[str, dict[str, bytes]]]:
        return [(sample.key, sample.members) for sample in read_tar_samples(shard)]

    with serving(Unreliable) as address:

        def shard(name: str) -> Shard:
            size = (shards / name).stat().st_size if (shards / name).exists() else 1
            return Shard(name=name, address=f"{address}/{name}", num_bytes=size)

        local = next(one for one in find_shards(shards, "train") if one.name == "train-000000.tar")
        assert contents(shard("train-000000.tar")) == contents(local)
        assert requests == ["/train-000000.tar"] * 3
        assert caplog.text.count("retrying in 0 s") == 2
        assert re.search(r"train-000000.tar: \d+ of \d+ bytes received; retrying", caplog.text)
        with pytest.raises(DatasetError, match="if its server or the network failed, run the same command again"):
            contents(shard("train-000002.tar"))
        assert len(requests) == 6
        with pytest.raises(DatasetError, match=r"gone.tar: cannot be read .*HTTP Error 404"):
            contents(shard("gone.tar"))
        assert len(requests) == 7, "a missing file is not requested again"


def test_an_address_without_a_dataset_is_refused(served: tuple[str, threading.Event]) -> None:
    for address in (f"{served[0]}/elsewhere", "memory://nothing"):
        with pytest.raises(DatasetError, match=r"no dataset there .*dataset\.json"):
            find_shards(address, "train")
    with pytest.raises(DatasetError, match=r"nosuchprotocol://x/dataset\.json: cannot be read"):
        find_shards("nosuchprotocol://x", "train")


def test_unusable_shards_are_refused_by_name(shards: Path) -> None:
    with pytest.raises(DatasetError, match=r"frames are 32x32, the model's data.size is 64"):
        loaders.open_training_data(stream_config("data.size=64"), shards)
    loader = stream(shards, stream_config("data.workers=2"))
    write_shard(shards / "train-000000.tar", [make_sample(77)])
    with pytest.raises(DatasetError, match="must not change during a run"):
        loader.batch(0)
    loader.close()
    whole = (shards / "train-000002.tar").read_bytes()
    (shards / "train-000002.tar").write_bytes(whole[: len(whole) // 2])
    write_description(shards)
    with pytest.raises(DatasetError, match=r"train-000002.tar: not a whole tar file"):
        loaders.open_training_data(stream_config(), shards)
    write_shard(shards / "train-000002.tar", [make_sample(77)])
    write_description(shards)
    with pytest.raises(DatasetError, match=r"sample clip-0077 is in .* already"):
        loaders.open_training_data(stream_config(), shards)


def test_a_shard_truncated_between_two_samples_is_refused_by_its_size(shards: Path) -> None:
    path = shards / "train-000001.tar"
    assert len(shards_digest(find_shards(shards, "train"))) == 16  # caches the digest of the whole shard
    whole, size = path.read_bytes(), bytes_of_samples(path)
    path.write_bytes(whole[: list(read_tar_samples(find_shards(shards, "train")[1]))[1].offset])
    refusal = rf"train-000001.tar: truncated, \d+ bytes but {size} in dataset.json; run .*--repair`$"
    for loader in ("resident", "streaming"):
        with pytest.raises(DatasetError, match=refusal):
            loaders.open_training_data(tiny_config(f"data.loader={loader}"), shards)
    assert len(find_shards(shards, "validation")) == 1

    (shards / "dataset.json").write_text("{")
    with pytest.raises(DatasetError, match=r"dataset.json: cannot be read .* run `phonics-data shard` again$"):
        find_shards(shards, "train")
    (shards / "dataset.json").unlink()
    assert loaders.open_training_data(stream_config(), shards).num_clips == 10


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", '{"clips": [{}], "mel_sums": [0, 0, 0]}'])
def test_damaged_index_files_are_built_again(shards: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    expected = loaders.open_training_data(stream_config(), shards).content
    damaged = sorted((cache_root() / "streams").iterdir())[0]
    damaged.write_text(content)

    found = loaders.open_training_data(stream_config(), shards).content

    assert isinstance(found, StreamIndex)
    assert isinstance(expected, StreamIndex)
    assert (found.clips, found.mean, found.std) == (expected.clips, expected.mean, expected.std)
    assert f"{damaged}: damaged" in caplog.text


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff" * 64])
def test_damaged_digests_are_computed_again(shards: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    expected = shards_digest(find_shards(shards, "train"))
    for path in (cache_root() / "sums").iterdir():
        path.write_bytes(content)

    assert shards_digest(find_shards(shards, "train")) == expected
    assert caplog.text.count("again") == 3


def test_a_reader_that_dies_while_shards_are_indexed_is_one_error(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cssgan.data.index._read_record", lambda shard: os.kill(os.getpid(), signal.SIGKILL))  # pyright: ignore

    with pytest.raises(ReaderLostError, match=r"a process that reads shards died \(DataLoader worker"):
        loaders.open_training_data(stream_config("data.workers=2"), shards)


def batch_without_timeout(loader: StreamingLoader, position: int) -> Batch:
    while True:
        with contextlib.suppress(LoaderTimeoutError):
            return loader.batch(position)


def test_a_timeout_is_reported_and_waiting_can_continue(
    shards: Path, served: tuple[str, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, answers = served
    monkeypatch.setattr(streaming, "TIMEOUT_SECONDS", 1)
    loader, expected = stream(address, stream_config("data.workers=1")), stream(shards, stream_config())
    answers.clear()
    with pytest.raises(LoaderTimeoutError):
        loader.batch(0)
    answers.set()
    assert same(batch_without_timeout(loader, 0), expected.batch(0))
    loader.close()


def test_a_streaming_run_resumes_bit_equal_with_other_readers(shards: Path, tmp_path: Path) -> None:
    from cssgan.training import loop
    from tests.cssgan.training.test_loop import same_weights, stats

    def train(run: str, *settings: str) -> None:
        config = stream_config("train.checkpoint_every=3", *settings)
        loop.train(config, shards, tmp_path / run, console=Console(file=io.StringIO()))

    train("whole", "train.num_videos=27")
    train("broken", "train.num_videos=15", "data.workers=2")
    train("broken", "train.num_videos=27", "data.workers=3")

    assert stats(tmp_path / "broken") == stats(tmp_path / "whole")
    assert same_weights(tmp_path / "broken", tmp_path / "whole")


def started(shards: Path, run: Path) -> subprocess.Popen[str]:
    """A streaming run in its own process group, after eight steps."""
    settings = (*TINY, "data.loader=streaming", "data.workers=2", "train.num_videos=100000", "train.checkpoint_every=5")
    command = [
        *(sys.executable, "-m", "cssgan", "train", "--shards", str(shards), "--run", str(run), "--preset", "tiny"),
        *(word for setting in settings for word in ("--set", setting)),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert child.stderr is not None
    steps = 0
    for line in iter(child.stderr.readline, ""):
        steps += line.startswith("step ")
        if steps == 8:
            break
    return child


@pytest.mark.slow
def test_a_killed_streaming_run_resumes_and_ctrl_c_saves(shards: Path, tmp_path: Path) -> None:
    from cssgan.training import checkpoint

    with started(shards, tmp_path) as child:
        os.kill(child.pid, signal.SIGKILL)
        child.communicate(timeout=30)  # returns because the readers end too
    killed_after = checkpoint.load_newest(tmp_path).progress.num_steps

    with started(shards, tmp_path) as child:
        os.killpg(child.pid, signal.SIGINT)
        rest = child.communicate(timeout=30)[1]

    assert child.returncode == 128 + signal.SIGINT, rest
    assert "stopped by SIGINT after step" in rest
    assert checkpoint.load_newest(tmp_path).progress.num_steps >= killed_after + 8


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the reader process in /proc")
def test_a_dead_reader_ends_the_run_with_one_line(shards: Path, tmp_path: Path) -> None:
    with started(shards, tmp_path) as child:
        readers = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        os.kill(int(readers[0]), signal.SIGKILL)
        rest = child.communicate(timeout=60)[1]

    assert child.returncode == 1, rest
    assert "cssgan: a process that reads shards died (DataLoader worker (pid" in rest.splitlines()[-1]
    assert "Traceback" not in rest


def test_the_device_loader_gathers_the_same_batches(shards: Path) -> None:
    from cssgan.data.device_loader import DeviceLoader

    augmented = ("data.augment_colour=true", "data.augment_shift=2")
    for settings in ((), augmented, ("data.segment_context=clip",), ("data.shuffle_audio=true", *augmented)):
        config = tiny_config("train.batch_size=4", *settings)
        training = loaders.open_training_data(config, shards)
        assert isinstance(training.content, resident.ResidentSplit)
        for rank, world in ((0, 1), (1, 2)):
            host = ResidentLoader(
                data=training.content,
                config=config,
                mel_stats=training.mel_stats(config),
                device=CPU,
                rank=rank,
                world=world,
            )
            on_device = DeviceLoader(wrapped=host)
            assert all(same(host.batch(position), on_device.batch(position)) for position in (0, 4, 12))
            prefetching = PrefetchLoader(wrapped=on_device)
            assert all(same(on_device.batch(position), prefetching.batch(position)) for position in (0, 4, 8, 4))
            prefetching.close()


@pytest.mark.parametrize("loader", ["resident", "streaming"])
def test_a_sample_of_an_unknown_class_is_named(tmp_path: Path, loader: str) -> None:
    write_shard(tmp_path / "train-000000.tar", [make_sample(1), make_sample(2, key="odd-one", label="ZZ")])

    with pytest.raises(
        DatasetError, match=r"^1 of 2 samples, the first odd-one: label 'ZZ' is not in label set 'letters'"
    ):
        loaders.open_training_data(tiny_config(f"data.loader={loader}"), tmp_path)
