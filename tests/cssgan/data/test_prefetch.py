"""A feed that works one batch ahead gives the batches of the feed itself, and its errors at their time."""

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
from cssgan.data.batches import Gathered, ResidentLoader
from cssgan.data.prefetch import PrefetchLoader
from cssgan.types import Batch, MelStats
from tests.cssgan.toy_dataset import tiny_config


@dataclass(kw_only=True, eq=False)
class Watched(ResidentLoader):
    """Notes which positions were prepared by which threads, and fails where it is told to."""

    prepared: list[tuple[int, bool]] = field(default_factory=list[tuple[int, bool]])
    fail_at: set[int] = field(default_factory=set[int])
    hold_at: int | None = None
    """A position that is not prepared before `goes_on` is set; then `ended` is."""
    goes_on: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    is_closed: bool = False

    def prepare(self, position: int) -> Gathered:
        self.prepared.append((position, threading.current_thread() is threading.main_thread()))
        if position in self.fail_at:
            self.fail_at.remove(position)
            raise OSError(f"nothing at {position}")
        if position == self.hold_at:
            self.goes_on.wait()
            self.ended.set()
        return ResidentLoader.prepare(self, position)

    def close(self) -> None:
        self.is_closed = True


def loader(config: Config, dataset: Path, **options: Any) -> Watched:
    data = resident.load(dataset, "train", config.data.size)
    stats = MelStats(mean=data.mean, std=data.std, clamp=4.0)
    return Watched(data=data, config=config, mel_stats=stats, device=torch.device("cpu"), **options)


def same(mine: Batch, other: Batch) -> bool:
    return mine.keys == other.keys and all(
        torch.equal(getattr(mine, name), getattr(other, name))
        for name in ("video_BCTHW", "mels_BTMU", "order_B", "frame_index_BS", "label_BK", "num_valid_B")
    )


def test_batches_in_a_row_and_out_of_it_are_those_of_the_feed(dataset: Path) -> None:
    config = tiny_config("train.batch_size=3", "order.p_in_order=0.5")
    plain, host = loader(config, dataset), loader(config, dataset)
    ahead = PrefetchLoader(host=host)
    positions = [0, 3, 6, 30, 33, 33, 0]
    assert all(same(ahead.batch(position), plain.batch(position)) for position in positions)
    ahead.close()
    assert host.is_closed
    assert [position for position, _ in host.prepared] == [0, 3, 6, 9, 30, 33, 36, 33, 36, 0, 3]
    # What jumps is prepared by who asks; what follows was prepared beside the step.
    assert [position for position, is_mine in host.prepared if is_mine] == [0, 30, 33, 0]


def test_an_error_is_raised_when_its_batch_is_asked_for_and_the_batch_is_tried_again(dataset: Path) -> None:
    config = tiny_config("train.batch_size=3")
    plain = loader(config, dataset)
    ahead = PrefetchLoader(host=loader(config, dataset, fail_at={3, 9}))
    assert same(ahead.batch(0), plain.batch(0))
    with pytest.raises(OSError, match="nothing at 3"):
        ahead.batch(3)
    assert same(ahead.batch(3), plain.batch(3))
    assert same(ahead.batch(6), plain.batch(6))
    ahead.close()  # the batch at 9 was never asked for, so nobody needs its error


def test_closing_does_not_wait_for_ever(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that was killed in the middle of a message leaves the thread waiting for its end."""
    monkeypatch.setattr("cssgan.data.prefetch.PATIENCE_SECONDS", 0.1)
    host = loader(tiny_config("train.batch_size=3"), dataset, hold_at=3)
    before = set(threading.enumerate())
    ahead = PrefetchLoader(host=host)
    ahead.batch(0)
    (waiting,) = set(threading.enumerate()) - before
    ahead.close()
    assert waiting.is_alive()
    assert waiting.daemon  # so the process can end beside it
    assert not host.is_closed
    host.goes_on.set()
    waiting.join(timeout=30)
    assert not waiting.is_alive()


def test_an_interrupted_wait_leaves_the_thread_to_be_waited_for(dataset: Path) -> None:
    host = loader(tiny_config("train.batch_size=3"), dataset, hold_at=3)
    ahead = PrefetchLoader(host=host)
    ahead.batch(0)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        ahead.batch(3)
    assert not host.ended.is_set()
    threading.Timer(0.2, host.goes_on.set).start()
    ahead.close()
    assert host.ended.is_set()
    assert host.is_closed


def test_a_feed_that_nobody_holds_ends_its_thread(dataset: Path) -> None:
    before = set(threading.enumerate())
    ahead = PrefetchLoader(host=loader(tiny_config("train.batch_size=3"), dataset))
    ahead.batch(0)
    (serving,) = set(threading.enumerate()) - before
    del ahead
    serving.join(timeout=30)
    assert not serving.is_alive()


def test_a_closed_feed_can_be_asked_again(dataset: Path) -> None:
    config = tiny_config("train.batch_size=3")
    plain, ahead = loader(config, dataset), PrefetchLoader(host=loader(config, dataset))
    for position in (0, 3, 6):
        assert same(ahead.batch(position), plain.batch(position))
        ahead.close()
