"""The prefetching loader gives the batches of its loader, and its errors when their batch is requested."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from cssgan.config import Config
from cssgan.data import resident
from cssgan.data.batches import HostBatch, ResidentLoader
from cssgan.data.prefetch import PrefetchLoader
from cssgan.types import Batch, MelStats
from tests.cssgan.toy_dataset import tiny_config


@dataclass(kw_only=True, eq=False)
class RecordingLoader(ResidentLoader):
    """Records which thread prepares which position, and fails at chosen positions."""

    prepared: list[tuple[int, bool]] = field(default_factory=list[tuple[int, bool]])
    fail_at: set[int] = field(default_factory=set[int])
    hold_at: int | None = None
    """A position that is prepared only after `released` is set; `ended` is set after that."""
    released: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    is_closed: bool = False

    def prepare(self, position: int) -> HostBatch:
        self.prepared.append((position, threading.current_thread() is threading.main_thread()))
        if position in self.fail_at:
            self.fail_at.remove(position)
            raise OSError(f"nothing at {position}")
        if position == self.hold_at:
            self.released.wait()
            self.ended.set()
        return ResidentLoader.prepare(self, position)

    def close(self) -> None:
        self.is_closed = True


def loader(config: Config, dataset: Path, **options: Any) -> RecordingLoader:
    data = resident.load(dataset, "train", config.data.size)
    stats = MelStats(mean=data.mean, std=data.std, clamp=4.0)
    return RecordingLoader(data=data, config=config, mel_stats=stats, device=torch.device("cpu"), **options)


def same(mine: Batch, other: Batch) -> bool:
    return mine.keys == other.keys and all(
        torch.equal(getattr(mine, name), getattr(other, name))
        for name in ("video_BCTHW", "mels_BTMU", "order_B", "frame_index_BS", "label_BK", "num_valid_B")
    )


def test_batches_at_consecutive_and_other_positions_are_those_of_the_loader(dataset: Path) -> None:
    config = tiny_config("train.batch_size=3", "order.p_in_order=0.5")
    direct, host = loader(config, dataset), loader(config, dataset)
    prefetching = PrefetchLoader(wrapped=host)
    positions = [0, 3, 6, 30, 33, 33, 0]
    assert all(same(prefetching.batch(position), direct.batch(position)) for position in positions)
    prefetching.close()
    assert host.is_closed
    assert [position for position, _ in host.prepared] == [0, 3, 6, 9, 30, 33, 36, 33, 36, 0, 3]
    # The caller prepares batches at other positions; the thread prepares the following one.
    assert [position for position, is_mine in host.prepared if is_mine] == [0, 30, 33, 0]


def test_an_error_is_raised_when_its_batch_is_requested_and_can_be_retried(dataset: Path) -> None:
    config = tiny_config("train.batch_size=3")
    direct = loader(config, dataset)
    prefetching = PrefetchLoader(wrapped=loader(config, dataset, fail_at={3, 9}))
    assert same(prefetching.batch(0), direct.batch(0))
    with pytest.raises(OSError, match="nothing at 3"):
        prefetching.batch(3)
    assert same(prefetching.batch(3), direct.batch(3))
    assert same(prefetching.batch(6), direct.batch(6))
    prefetching.close()  # the batch at 9 was never requested, so its error is ignored


def test_closing_does_not_block(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a reader was killed while it sent data, the thread waits forever for the rest."""
    monkeypatch.setattr("cssgan.data.prefetch.CLOSE_TIMEOUT_SECONDS", 0.1)
    host = loader(tiny_config("train.batch_size=3"), dataset, hold_at=3)
    before = set(threading.enumerate())
    prefetching = PrefetchLoader(wrapped=host)
    prefetching.batch(0)
    (waiting,) = set(threading.enumerate()) - before
    prefetching.close()
    assert waiting.is_alive()
    assert waiting.daemon  # so the process can end before it
    assert not host.is_closed
    host.released.set()
    waiting.join(timeout=30)
    assert not waiting.is_alive()


def test_close_waits_for_the_thread_after_an_interrupt(dataset: Path) -> None:
    host = loader(tiny_config("train.batch_size=3"), dataset, hold_at=3)
    prefetching = PrefetchLoader(wrapped=host)
    prefetching.batch(0)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        prefetching.batch(3)
    assert not host.ended.is_set()
    threading.Timer(0.2, host.released.set).start()
    prefetching.close()
    assert host.ended.is_set()
    assert host.is_closed


def test_an_unreferenced_loader_ends_its_thread(dataset: Path) -> None:
    before = set(threading.enumerate())
    prefetching = PrefetchLoader(wrapped=loader(tiny_config("train.batch_size=3"), dataset))
    prefetching.batch(0)
    (serving,) = set(threading.enumerate()) - before
    del prefetching
    serving.join(timeout=30)
    assert not serving.is_alive()


def test_a_closed_loader_can_be_used_again(dataset: Path) -> None:
    config = tiny_config("train.batch_size=3")
    direct, prefetching = loader(config, dataset), PrefetchLoader(wrapped=loader(config, dataset))
    for position in (0, 3, 6):
        assert same(prefetching.batch(position), direct.batch(position))
        prefetching.close()
