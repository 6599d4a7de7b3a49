"""Which feed a run has: all in memory, in the memory of its GPU, or read as it goes; chosen by size and said."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol

import torch

from cssgan.config import Config
from cssgan.data import resident
from cssgan.data.batches import ResidentLoader
from cssgan.data.device_loader import DeviceLoader, num_bytes
from cssgan.data.index import StreamIndex, open_index
from cssgan.data.prefetch import PrefetchLoader
from cssgan.data.resident import ResidentSplit
from cssgan.data.shards import Dataset, Shard, digest, find
from cssgan.data.streaming import StreamingLoader
from cssgan.types import Batch, MelStats
from phonics_data.contract.labels import LabelSet

log = logging.getLogger("cssgan")
DEVICE_SHARE = 0.4
"""Share of a GPU's free memory that a training set may take; larger ones stay on the host."""


class TrainingLoader(Protocol):
    """An endless row of batches; the one at a position is a function of the seed and that position."""

    @property
    def label_set(self) -> LabelSet: ...

    @property
    def frame_rate(self) -> Fraction:
        """The commonest of the training set."""
        ...

    @property
    def device(self) -> torch.device: ...

    def batch(self, position: int) -> Batch:
        """This process's share of the batch that begins after so many videos were seen."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrainingSet:
    """The training shards, opened in the way in which a run reads them."""

    content: ResidentSplit | StreamIndex
    digest: str
    """Name of the shards' bytes; a run belongs to it."""
    why: str
    """Which feed was chosen, in words."""

    @property
    def label_set(self) -> LabelSet:
        return self.content.label_set

    @property
    def labels(self) -> set[str]:
        """Classes that have samples."""
        content = self.content
        return {one.label for one in (content.clips if isinstance(content, ResidentSplit) else content.samples)}

    @property
    def num_clips(self) -> int:
        content = self.content
        return len(content.clips) if isinstance(content, ResidentSplit) else len(content.samples)

    def mel_stats(self, config: Config) -> MelStats:
        return MelStats(mean=self.content.mean, std=self.content.std, clamp=config.data.mel_clamp)


def choose(config: Config, shards: list[Shard]) -> tuple[Literal["resident", "streaming"], str]:
    """`data.loader`, and the choice in words."""
    size, limit = sum(shard.num_bytes for shard in shards) / 1e9, config.data.resident_gb
    words = f"{len(shards)} training shard(s), {size:.2f} GB"
    if config.data.loader != "auto":
        return config.data.loader, f"{words}: {config.data.loader} feed (data.loader)"
    if config.data.shuffle_audio:
        return "resident", f"{words}: resident feed (data.shuffle_audio needs all sounds)"
    if size > limit:
        return "streaming", f"{words}: streaming feed (over data.resident_gb={limit:g})"
    return "resident", f"{words}: resident feed (up to data.resident_gb={limit:g})"


def open_set(config: Config, dataset: Dataset) -> TrainingSet:
    """The training shards of `dataset`, decoded into the cache or indexed.

    Raises:
        DatasetError: no training shards, or unusable ones.
    """
    shards = find(dataset, "train")
    kind, why = choose(config, shards)
    if kind == "streaming":
        content = open_index(dataset, shards, size=config.data.size, workers=config.data.workers)
    else:
        content = resident.load(dataset, "train", config.data.size)
    return TrainingSet(content=content, digest=digest(shards), why=why)


def loader(
    training: TrainingSet, config: Config, device: torch.device, *, rank: int = 0, world: int = 1
) -> TrainingLoader:
    """The feed of one of `world` processes."""
    content, stats = training.content, training.mel_stats(config)
    if isinstance(content, StreamIndex):
        streaming = StreamingLoader(
            index=content, config=config, mel_stats=stats, device=device, rank=rank, world=world
        )
        return PrefetchLoader(host=streaming)
    return resident_loader(
        ResidentLoader(data=content, config=config, mel_stats=stats, device=device, rank=rank, world=world)
    )


def resident_loader(host: ResidentLoader) -> PrefetchLoader:
    """`host` a batch ahead, out of the memory of its GPU where there is room."""
    if host.device.type == "cpu":
        return PrefetchLoader(host=host)
    free, _ = torch.cuda.mem_get_info(host.device)
    if num_bytes(host) > DEVICE_SHARE * free:
        log.info(
            "the training set takes %.1f GB and stays on the host: %s has %.1f GB free",
            num_bytes(host) / 1e9,
            host.device,
            free / 1e9,
        )
        return PrefetchLoader(host=host)
    log.info("the training set, %.1f GB, lies on %s", num_bytes(host) / 1e9, host.device)
    return PrefetchLoader(host=DeviceLoader(host=host))
