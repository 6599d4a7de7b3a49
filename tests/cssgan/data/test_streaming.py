"""The streaming feed: every sample once an epoch, the windows of the resident feed, any number of readers, any start."""

from __future__ import annotations

import contextlib
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
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from rich.console import Console

from cssgan.config import Config
from cssgan.data import loaders, resident, streaming
from cssgan.data.batches import ResidentLoader, look
from cssgan.data.index import StreamIndex
from cssgan.data.prefetch import PrefetchLoader
from cssgan.data.shards import Shard, digest, find, read_members
from cssgan.data.stream_order import Visits, plan
from cssgan.data.streaming import StillWaitingError, StreamingLoader
from cssgan.training import checkpoint, loop
from cssgan.types import Batch
from phonics_data.errors import DatasetError
from tests.cssgan.toy_dataset import TINY, make_sample, tiny_config, write_shard
from tests.cssgan.training.test_loop import same_weights, stats

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
    entries = [
        {"name": path.name, "sha256": digest_of(path), "samples": 1, "bytes": path.stat().st_size}
        for path in sorted(folder.glob("*.tar"))
    ]
    (folder / "dataset.json").write_text(json.dumps({"schema_version": 1, "shards": entries}))
    return folder


def digest_of(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def stream_config(*settings: str) -> Config:
    return tiny_config("data.loader=streaming", "data.shuffle_buffer=4", "data.workers=0", *settings)


def stream(dataset: Path | str, config: Config, *, rank: int = 0, world: int = 1) -> StreamingLoader:
    loader = loaders.loader(loaders.open_set(config, dataset), config, CPU, rank=rank, world=world)
    assert isinstance(loader, PrefetchLoader)
    assert isinstance(loader.host, StreamingLoader)
    return loader.host


def same(a: Batch, b: Batch) -> bool:
    fields = [name for name in type(a).__slots__ if isinstance(getattr(a, name), torch.Tensor)]
    return a.keys == b.keys and all(torch.equal(getattr(a, name), getattr(b, name)) for name in fields)


def test_a_plan_reads_and_shows_every_sample_once() -> None:
    for epoch in range(3):
        made = plan([5, 2, 4], seed=1, epoch=epoch, buffer=4)
        assert sorted(made.reads) == sorted(made.shown) == list(range(11))
        assert all(made.shown[made.places[n]] == n for n in range(11))
        when = {int(sample): place for place, sample in enumerate(made.reads)}
        # Nothing is shown before the buffer can hold it.
        assert all(when[int(sample)] < place + 4 for place, sample in enumerate(made.shown))
    assert not np.array_equal(plan([11], seed=1, epoch=0, buffer=4).shown, plan([11], seed=1, epoch=1, buffer=4).shown)
    assert np.array_equal(plan([11], seed=1, epoch=0, buffer=1).shown, np.arange(11))


def test_every_epoch_shows_every_clip_once(shards: Path) -> None:
    loader = stream(shards, stream_config("train.batch_size=11"))

    for epoch in range(3):
        assert Counter(loader.batch(11 * epoch).keys) == Counter(f"clip-{n:04d}" for n in range(11))


@pytest.mark.parametrize(
    "settings",
    [(), ("data.segment_context=clip", "data.augment_colour=true", "data.augment_shift=2"), ("model.z_dim=2",)],
)
def test_batches_are_the_records_that_the_resident_feed_makes(shards: Path, settings: tuple[str, ...]) -> None:
    config = stream_config(*settings)
    loader = stream(shards, config)
    data = resident.load(shards, "train", config.data.size)
    clips = {clip.key: clip for clip in data.clips}
    visits = Visits(config, loader.index.shard_sizes, loader.index.lengths)
    assert (loader.index.mean, loader.index.std) == pytest.approx((data.mean, data.std), rel=1e-12)
    assert (loader.frame_rate, loader.label_set) == (data.frame_rate, data.label_set)
    clip_frames = config.frames_per_clip if config.data.segment_context == "clip" else None

    for position in (0, 3, 6, 9, 12):
        batch, draws = loader.batch(position), visits.draws(position)
        for row, key in enumerate(batch.keys):
            window = data.window(clips[key], draws.starts[row], config.data.num_frames, clip_frames=clip_frames)
            frames = look(window.frames_THWC, config, position + row)
            pictures = torch.from_numpy(np.ascontiguousarray(frames)).permute(3, 0, 1, 2).float() / 127.5 - 1
            mels = (window.raw_mels_TMU - np.float32(loader.mel_stats.mean)) / np.float32(loader.mel_stats.std)
            torch.testing.assert_close(batch.video_BCTHW[row], pictures, rtol=0, atol=1e-6)
            assert np.array_equal(batch.mels_BTMU[row].numpy(), mels.clip(-4, 4))
            assert int(batch.num_valid_B[row]) == window.num_valid_frames
            assert int(batch.label_BK[row].argmax()) == window.label_index


@pytest.mark.parametrize("settings", [("data.workers=2",), ("data.workers=4",)])
def test_any_number_of_readers_gives_the_same_batches(shards: Path, settings: tuple[str, ...]) -> None:
    alone, helped = stream(shards, stream_config()), stream(shards, stream_config(*settings))

    for position in range(0, 24, 3):
        assert same(alone.batch(position), helped.batch(position))
    helped.close()


def test_a_feed_may_begin_anywhere_and_reads_no_more_than_it_must(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = stream(shards, stream_config())
    expected = {position: whole.batch(position) for position in range(0, 30, 3)}

    for position in (27, 9, 12, 0):
        assert same(stream(shards, stream_config()).batch(position), expected[position])
    jumping = stream(shards, stream_config())
    assert all(same(jumping.batch(position), expected[position]) for position in (3, 6, 21, 24))


def test_all_orders_of_a_clip_come_one_after_the_other(shards: Path) -> None:
    config = stream_config("order.draw=enumerate", "train.batch_size=8", "data.shuffle_buffer=48")
    loader = stream(shards, config)

    batches = [loader.batch(position) for position in range(0, 48, 8)]

    keys = [key for batch in batches for key in batch.keys]
    assert [len(set(keys[n : n + 24])) for n in (0, 24)] == [1, 1]
    assert sorted(torch.cat([batch.order_B for batch in batches[:3]]).tolist()) == list(range(24))


def test_the_shares_of_processes_are_the_batch(shards: Path) -> None:
    config = stream_config("train.batch_size=4")
    whole, parts = stream(shards, config), [stream(shards, config, rank=rank, world=2) for rank in range(2)]

    for position in range(0, 16, 4):
        expected, shares = whole.batch(position), [part.batch(position) for part in parts]
        assert sum((share.keys for share in shares), ()) == expected.keys
        assert torch.equal(torch.cat([share.video_BCTHW for share in shares]), expected.video_BCTHW)


def test_windows_in_hand_stay_few(shards: Path) -> None:
    loader = stream(shards, stream_config())
    for position in range(0, 60, 3):
        loader.batch(position)
        assert len(loader._held) <= 4 + 3 + 2 * 4  # the buffer, a batch, blocks on their way


def test_auto_streams_what_is_larger_than_the_limit_and_says_so(shards: Path) -> None:
    found = find(shards, "train")

    assert loaders.choose(tiny_config(), found)[0] == "resident"
    kind, why = loaders.choose(tiny_config("data.resident_gb=0"), found)
    assert (kind, "3 training shard(s)" in why, "over data.resident_gb=0" in why) == ("streaming", True, True)
    assert loaders.choose(tiny_config("data.resident_gb=0", "data.shuffle_audio=true"), found)[0] == "resident"


def test_the_index_is_made_once_a_shard(shards: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="cssgan")
    for _ in range(2):
        loaders.open_set(stream_config(), shards)
    write_shard(shards / "train-000001.tar", [make_sample(50)])
    larger = loaders.open_set(stream_config(), shards).content

    assert [record.getMessage().split()[1] for record in caplog.records if "once" in record.getMessage()] == ["3", "1"]
    assert isinstance(larger, StreamIndex)
    assert larger.shard_sizes == (5, 1, 4)


@pytest.fixture
def served(shards: Path) -> Iterator[tuple[str, threading.Event]]:
    """The shards over HTTP; nothing is sent while the event is not set."""
    goes = threading.Event()
    goes.set()

    class Quiet(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            goes.wait(60)
            super().do_GET()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(shards))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", goes
        goes.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def in_memory(shards: Path) -> Iterator[str]:
    files = fsspec.filesystem("memory")
    for path in shards.iterdir():
        files.pipe(f"/letters/{path.name}", path.read_bytes())
    yield "memory://letters"
    files.rm("/letters", recursive=True)


@pytest.mark.parametrize("where", ["served", "in_memory"])
def test_an_address_is_as_good_as_a_folder(shards: Path, request: pytest.FixtureRequest, where: str) -> None:
    value = request.getfixturevalue(where)
    address: str = value if isinstance(value, str) else value[0]
    near, far = stream(shards, stream_config()), stream(address, stream_config())

    assert digest(find(address, "train")) == digest(find(shards, "train"))
    assert all(same(near.batch(position), far.batch(position)) for position in (0, 3, 6))
    assert len(resident.load(address, "validation", 16).clips) == 2


def test_a_shard_is_asked_for_again_where_the_network_fails(
    shards: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("cssgan.data.shards.RETRY_SECONDS", (0.0, 0.0))

    class Unsteady(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            whole = (shards / self.path[1:]).read_bytes() if "gone" not in self.path else b""
            if not whole or len(asked) == 2:
                self.send_error(503 if whole else 404)
                return
            if len(asked) == 1:  # a part that looks whole: it ends where a member ends, and says no length
                with tarfile.open(shards / self.path[1:]) as tar:
                    whole = whole[: tar.getmembers()[-3].offset]
            elif "000002" in self.path:
                whole = whole[: len(whole) * 2 // 3]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(whole)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Unsteady) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        def shard(name: str) -> Shard:
            size = (shards / name).stat().st_size if (shards / name).exists() else 1
            return Shard(name=name, address=f"http://127.0.0.1:{server.server_port}/{name}", num_bytes=size)

        try:
            here = next(one for one in find(shards, "train") if one.name == "train-000000.tar")
            assert list(read_members(shard("train-000000.tar"))) == list(read_members(here))
            assert asked == ["/train-000000.tar"] * 3
            assert caplog.text.count("asking again in 0 s") == 2
            assert re.search(r"train-000000.tar: \d+ of \d+ bytes came; asking", caplog.text)
            with pytest.raises(DatasetError, match="if its server or the network failed, run the same command again"):
                list(read_members(shard("train-000002.tar")))
            assert len(asked) == 6
            with pytest.raises(DatasetError, match=r"gone.tar: cannot be read .*HTTP Error 404"):
                list(read_members(shard("gone.tar")))
            assert len(asked) == 7, "what is not there is not asked for again"
        finally:
            server.shutdown()
            thread.join()


def test_an_address_without_a_dataset_is_refused(served: tuple[str, threading.Event]) -> None:
    for address in (f"{served[0]}/elsewhere", "memory://nothing", "nosuchprotocol://x"):
        with pytest.raises(DatasetError, match=r"no dataset there .*dataset\.json"):
            find(address, "train")


def test_bad_shards_are_refused_by_name(shards: Path) -> None:
    with pytest.raises(DatasetError, match=r"frames are 32x32, the model's data.size is 64"):
        loaders.open_set(stream_config("data.size=64"), shards)
    loader = stream(shards, stream_config("data.workers=2"))
    write_shard(shards / "train-000000.tar", [make_sample(77)])
    with pytest.raises(DatasetError, match="must not change during a run"):
        loader.batch(0)
    loader.close()
    whole = (shards / "train-000002.tar").read_bytes()
    (shards / "train-000002.tar").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match=r"train-000002.tar: cannot be read as a whole tar"):
        loaders.open_set(stream_config(), shards)
    write_shard(shards / "train-000002.tar", [make_sample(77)])
    with pytest.raises(DatasetError, match=r"sample clip-0077 is in .* already"):
        loaders.open_set(stream_config(), shards)


def patiently(loader: StreamingLoader, position: int) -> Batch:
    while True:
        with contextlib.suppress(StillWaitingError):
            return loader.batch(position)


def test_waiting_is_told(shards: Path, served: tuple[str, threading.Event], monkeypatch: pytest.MonkeyPatch) -> None:
    address, goes = served
    monkeypatch.setattr(streaming, "PATIENCE_SECONDS", 1)
    loader, expected = stream(address, stream_config("data.workers=1")), stream(shards, stream_config())
    goes.clear()
    with pytest.raises(StillWaitingError):
        loader.batch(0)
    goes.set()
    assert same(patiently(loader, 0), expected.batch(0))
    loader.close()


def test_a_stopped_stream_goes_on_bit_for_bit_with_other_readers(shards: Path, tmp_path: Path) -> None:
    def train(run: str, *settings: str) -> None:
        config = stream_config("train.checkpoint_every=3", *settings)
        loop.train(config, shards, tmp_path / run, console=Console(file=io.StringIO()))

    train("whole", "train.num_videos=27")
    train("broken", "train.num_videos=15", "data.workers=2")
    train("broken", "train.num_videos=27", "data.workers=3")

    assert stats(tmp_path / "broken") == stats(tmp_path / "whole")
    assert same_weights(tmp_path / "broken", tmp_path / "whole")


def started(shards: Path, run: Path) -> subprocess.Popen[str]:
    """A streaming run in a process group of its own, after some steps."""
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
def test_a_stream_that_is_killed_goes_on_and_ctrl_c_saves(shards: Path, tmp_path: Path) -> None:
    with started(shards, tmp_path) as child:
        os.kill(child.pid, signal.SIGKILL)
        child.communicate(timeout=30)  # its readers end with it, else this would wait for them
    killed_after = checkpoint.load_newest(tmp_path).progress.num_steps

    with started(shards, tmp_path) as child:
        os.killpg(child.pid, signal.SIGINT)
        rest = child.communicate(timeout=30)[1]

    assert child.returncode == 128 + signal.SIGINT, rest
    assert "stopped by SIGINT after step" in rest
    assert checkpoint.load_newest(tmp_path).progress.num_steps >= killed_after + 8


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the reader to kill in /proc")
def test_a_reader_that_dies_ends_the_run_with_one_line(shards: Path, tmp_path: Path) -> None:
    with started(shards, tmp_path) as child:
        readers = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        os.kill(int(readers[0]), signal.SIGKILL)
        rest = child.communicate(timeout=60)[1]

    assert child.returncode == 1, rest
    assert "cssgan: a process that reads shards died (DataLoader worker (pid" in rest.splitlines()[-1]
    assert "Traceback" not in rest


def test_the_feed_on_a_device_gathers_the_same_batches(shards: Path) -> None:
    from cssgan.data.device_loader import DeviceLoader

    looks = ("data.augment_colour=true", "data.augment_shift=2")
    for settings in ((), looks, ("data.segment_context=clip",), ("data.shuffle_audio=true", *looks)):
        config = tiny_config("train.batch_size=4", *settings)
        training = loaders.open_set(config, shards)
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
            there = DeviceLoader(host=host)
            assert all(same(host.batch(position), there.batch(position)) for position in (0, 4, 12))
            ahead = PrefetchLoader(host=there)
            assert all(same(there.batch(position), ahead.batch(position)) for position in (0, 4, 8, 4))
            ahead.close()


@pytest.mark.parametrize("loader", ["resident", "streaming"])
def test_a_sample_of_an_unknown_class_is_named(tmp_path: Path, loader: str) -> None:
    write_shard(tmp_path / "train-000000.tar", [make_sample(1), make_sample(2, key="odd-one", label="ZZ")])

    with pytest.raises(
        DatasetError, match=r"^1 of 2 samples, the first odd-one: label 'ZZ' is not in label set 'letters'"
    ):
        loaders.open_set(tiny_config(f"data.loader={loader}"), tmp_path)
