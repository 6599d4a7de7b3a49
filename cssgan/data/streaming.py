"""The streaming feed: shards read anew every epoch, on a disk or at an address, by processes that read ahead.

For sets that do not fit: nothing of the frames is kept. Before the first step each shard is read once for the lengths
of its samples and the statistics of its log-mels, which stay in the cache, one small file a shard.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import count
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from cssgan.config import Config
from cssgan.data import windowing
from cssgan.data.batches import Gathered, GatherLoader, gather, look, share_of
from cssgan.data.index import StreamIndex, readers
from cssgan.data.resident import MEL_SPEC
from cssgan.data.shards import read_members, resize
from cssgan.data.stream_order import Visits
from cssgan.errors import ReaderLostError
from cssgan.types import MelStats, Window
from phonics_data.contract.labels import LabelSet
from phonics_data.contract.sample import Sample
from phonics_data.contract.shard import decode
from phonics_data.errors import DatasetError, PhonicsDataError

BLOCK = 4
"""Reads of each process that travel together."""
PATIENCE_SECONDS = 10
"""The loop looks for signals at least so often while it waits for data."""

Shown = tuple[int, Window]
"""A visit and its windowing."""


class StillWaitingError(Exception):
    """No data within `PATIENCE_SECONDS`; asking again goes on waiting."""


def cut(sample: Sample, start_frame: int, config: Config, label_set: LabelSet) -> Window:
    """The window of a sample from `start_frame` on; the same as `ResidentSplit.window` cuts."""
    num_frames, length = config.data.num_frames, sample.num_frames
    rows = windowing.frame_rows(start_frame, num_frames, length)
    shown, places = np.unique(rows, return_inverse=True)
    mel = windowing.raw_mel(sample.audio_N, sample.audio_rate_hz, MEL_SPEC)
    silence = np.full((1, MEL_SPEC.num_bands), MEL_SPEC.silence, np.float32)
    hops = windowing.segment_hops(
        start_frame, num_frames, sample.frame_rate, len(mel), MEL_SPEC, clip_frames=config.context_frames
    )
    seen = replace(sample, frames_LHWC=sample.frames_LHWC[shown])
    return Window(
        key=sample.key,
        start_frame=start_frame,
        frames_THWC=resize(seen, config.data.size)[places],
        raw_mels_TMU=windowing.segments(np.concatenate([silence, mel, silence]), hops),
        label_index=label_set.index(sample.label),
        num_valid_frames=min(num_frames, length - start_frame),
        frame_rate=sample.frame_rate,
    )


class _Reading(IterableDataset[Any]):
    """What one process reads, in blocks, so that no process runs ahead of the others by more than a few of them.

    Args:
        start: first visit that is needed.
        rank, world: of the training processes; this one needs the windows of its rows alone.
    """

    def __init__(self, index: StreamIndex, config: Config, *, start: int, rank: int, world: int) -> None:
        self.index, self.config = index, config
        self.start, self.rank, self.world = start, rank, world

    def __iter__(self) -> Iterator[list[Shown] | PhonicsDataError]:
        try:
            yield from self._blocks()
        except PhonicsDataError as error:  # travels as it is: the loader would wrap it into a page of text
            yield error

    def _blocks(self) -> Iterator[list[Shown]]:
        worker = get_worker_info()
        number, readers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        visits = Visits(self.config, self.index.shard_sizes, self.index.lengths)
        share = share_of(self.config.train.batch_size, self.rank, self.world)
        size, block = self.config.train.batch_size, BLOCK * readers
        for epoch in count(self.start // visits.per_sample // len(self.index.samples)):
            plan = visits.epoch(epoch)
            needed = {
                sample: [
                    n for n in visits.of(epoch, sample) if n >= self.start and share.start <= n % size < share.stop
                ]
                for sample in plan.reads.tolist()
            }
            mine = self._mine(plan.read_lanes, number, readers, len(plan.lanes))
            wanted = {n for n, is_mine in zip(plan.reads.tolist(), mine, strict=True) if is_mine and needed[n]}
            lanes = [self._lane(shards, wanted) for shards in plan.lanes]
            # The same in each process: the first block of which anybody in this run needs anything.
            late = [any(n >= self.start for n in visits.of(epoch, sample)) for sample in plan.reads.tolist()]
            first = late.index(True) // block * block
            for at in range(first, len(plan.reads), block):
                out: list[Shown] = []
                for row in range(at, min(at + block, len(plan.reads))):
                    sample = int(plan.reads[row])
                    if sample in wanted:
                        out += self._shown(next(lanes[int(plan.read_lanes[row])]), needed[sample], visits)
                yield out

    def _mine(self, read_lanes: NDArray[np.int64], number: int, readers: int, num_lanes: int) -> NDArray[np.bool_]:
        """Which reads are this process's: whole lanes, or every so-manieth of a lane that several share."""
        if readers <= num_lanes:
            return read_lanes % readers == number
        lane = number % num_lanes
        sharing = len(range(lane, readers, num_lanes))
        turn = np.zeros(len(read_lanes), np.int64)
        turn[read_lanes == lane] = np.arange(int((read_lanes == lane).sum()))
        return (read_lanes == lane) & (turn % sharing == number // num_lanes)

    def _lane(self, shards: tuple[int, ...], wanted: set[int]) -> Iterator[Sample]:
        """The wanted samples of one lane; shards that hold none are not opened."""
        for number in shards:
            keys = {self.index.samples[n].key: n for n in self.index.rows(number) if n in wanted}
            found = 0
            if keys:
                shard = self.index.shards[number]
                for key, members in read_members(shard, keys.__contains__):
                    found += 1
                    yield decode(key, members, where=shard.address)
            if found != len(keys):
                raise DatasetError(
                    f"{self.index.shards[number].address}: holds {found} of the {len(keys)} samples that it held when "
                    "the run began; training shards must not change during a run"
                )

    def _shown(self, sample: Sample, needed: list[int], visits: Visits) -> list[Shown]:
        cuts = ((visit, cut(sample, visits.start(visit), self.config, self.index.label_set)) for visit in needed)
        return [(visit, replace(part, frames_THWC=look(part.frames_THWC, self.config, visit))) for visit, part in cuts]


def reader_lost(error: RuntimeError) -> ReaderLostError | None:
    """What torch says when a process that reads ahead died: it says so at any moment, from a handler of signals."""
    if "DataLoader worker" not in str(error):
        return None
    return ReaderLostError(
        f"a process that reads shards died ({' '.join(str(error).split())[:120]}); run the same command again, with "
        "fewer --set data.workers=... if memory ran out"
    )


@dataclass(kw_only=True, slots=True, eq=False)
class StreamingLoader(GatherLoader):
    """An endless row of batches out of shards that are read as it goes. `prepare` is cheapest in a row.

    Args:
        rank, world: of the processes that share every batch, this one's number and how many there are.
    """

    index: StreamIndex
    config: Config
    mel_stats: MelStats
    device: torch.device
    rank: int = 0
    world: int = 1
    _visits: Visits = field(init=False)
    _blocks: Iterator[Any] | None = None
    _held: dict[int, Window] = field(default_factory=lambda: dict[int, Window]())
    _next: int = -1

    def __post_init__(self) -> None:
        self._visits = Visits(self.config, self.index.shard_sizes, self.index.lengths)

    @property
    def label_set(self) -> LabelSet:
        return self.index.label_set

    @property
    def frame_rate(self) -> Fraction:
        return self.index.frame_rate

    def prepare(self, position: int) -> Gathered:
        """See `PreparedFeed`.

        Raises:
            StillWaitingError: nothing came for a while; call again.
            DatasetError: a shard cannot be read, or changed.
            ReaderLostError: a process that reads ahead died.
        """
        if position != self._next or self._blocks is None:
            self._restart(position)
        rows = share_of(self.config.train.batch_size, self.rank, self.world)
        visits = range(position + rows.start, position + rows.stop)
        while any(visit not in self._held for visit in visits):
            self._pull()
        windows = [self._held.pop(visit) for visit in visits]
        # Fill the buffer up, a little at a time, so that the next epoch has begun when this one ends.
        room = self._visits.buffer * self._visits.per_sample // self.world
        pulled = 0
        while len(self._held) < room and pulled < len(windows):
            pulled += max(self._pull(), 1)
        self._next = position + self.config.train.batch_size
        return gather(windows, self._visits.draws(position), rows, self.mel_stats)

    def close(self) -> None:
        """Stop the processes that read ahead."""
        self._blocks = None
        self._held.clear()

    def _restart(self, position: int) -> None:
        self.close()
        self._next = position
        if self.config.data.workers:  # what log-mels need is loaded here once, not by each reader
            windowing.raw_mel(np.zeros(MEL_SPEC.hop_samples, np.float32), MEL_SPEC.rate_hz, MEL_SPEC)
        reading = _Reading(self.index, self.config, start=position, rank=self.rank, world=self.world)
        self._blocks = readers(reading, self.config.data.workers, patience_seconds=PATIENCE_SECONDS)

    def _pull(self) -> int:
        """Take what was read next; the number of windows in it."""
        assert self._blocks is not None
        try:
            block = next(self._blocks)
        except RuntimeError as error:
            if "timed out" in str(error):
                raise StillWaitingError from error
            lost = reader_lost(error)
            if lost is None:
                raise
            raise lost from error
        if isinstance(block, PhonicsDataError):
            raise block
        self._held.update(cast("list[Shown]", block))
        return len(cast("list[Shown]", block))
