"""Choice of the loader of a run: in host memory, in GPU memory, or streaming."""

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
from cssgan.data.shards import Dataset, Shard, find_shards, shards_digest
from cssgan.data.streaming import StreamingLoader
from cssgan.types import Batch, MelStats
from phonics_data.contract.labels import LabelSet

log = logging.getLogger("cssgan")
MAX_DEVICE_FRACTION = 0.4
"""Fraction of a GPU's free memory that a training set may occupy; larger sets stay in host memory."""


class TrainingLoader(Protocol):
    """Batches by position; each is a function of the seed and the position."""

    @property
    def label_set(self) -> LabelSet: ...

    @property
    def frame_rate(self) -> Fraction:
        """The most common one of the training set."""
        ...

    @property
    def device(self) -> torch.device: ...

    def batch(self, position: int) -> Batch:
        """This process's rows of the batch that follows after `position` videos."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrainingData:
    """The opened training shards."""

    content: ResidentSplit | StreamIndex
    digest: str
    """`shards_digest`; a run is bound to it."""
    reason: str
    """Which loader was chosen, and why, for the log."""
    given_mel_stats: MelStats | None = None
    """Mean and deviation to standardize with; None: those of the content."""

    @property
    def label_set(self) -> LabelSet:
        return self.content.label_set

    @property
    def labels(self) -> set[str]:
        """Classes that have samples."""
        return {clip.label for clip in self.content.clips}

    @property
    def num_clips(self) -> int:
        return len(self.content.clips)

    def mel_stats(self, config: Config) -> MelStats:
        """`given_mel_stats` or those of the content, with the clamp of `config`."""
        stats = self.given_mel_stats or self.content
        return MelStats(mean=stats.mean, std=stats.std, clamp=config.data.mel_clamp)


def choose_loader(config: Config, shards: list[Shard]) -> tuple[Literal["resident", "streaming"], str]:
    """The loader by `data.loader` and the size of the shards, and the reason in words."""
    size, limit = sum(shard.num_bytes for shard in shards) / 1e9, config.data.resident_gb
    words = f"{len(shards)} training shard(s), {size:.2f} GB"
    if config.data.loader != "auto":
        return config.data.loader, f"{words}: {config.data.loader} loader (data.loader)"
    if config.data.shuffle_audio:
        return "resident", f"{words}: resident loader (data.shuffle_audio needs all audio)"
    if size > limit:
        return "streaming", f"{words}: streaming loader (over data.resident_gb={limit:g})"
    return "resident", f"{words}: resident loader (up to data.resident_gb={limit:g})"


def open_training_data(config: Config, dataset: Dataset) -> TrainingData:
    """The training shards of `dataset`, decoded into the cache (resident) or indexed (streaming).

    Raises:
        DatasetError: no training shards, or unusable ones.
    """
    shards = find_shards(dataset, "train")
    kind, reason = choose_loader(config, shards)
    if kind == "streaming":
        content = open_index(dataset, shards, size=config.data.size, workers=config.data.workers)
    else:
        content = resident.load(dataset, "train", config.data.size)
    return TrainingData(content=content, digest=shards_digest(shards), reason=reason)


def training_loader(
    training: TrainingData, config: Config, device: torch.device, *, rank: int = 0, world: int = 1
) -> TrainingLoader:
    """The loader of process `rank` of `world`."""
    content, stats = training.content, training.mel_stats(config)
    if isinstance(content, StreamIndex):
        return PrefetchLoader(
            wrapped=StreamingLoader(data=content, config=config, mel_stats=stats, device=device, rank=rank, world=world)
        )
    return resident_loader(
        ResidentLoader(data=content, config=config, mel_stats=stats, device=device, rank=rank, world=world)
    )


def resident_loader(loader: ResidentLoader) -> PrefetchLoader:
    """`loader` with prefetching, from GPU memory if the training set fits there."""
    if loader.device.type == "cpu":
        return PrefetchLoader(wrapped=loader)
    free, _ = torch.cuda.mem_get_info(loader.device)
    size_gb = num_bytes(loader) / 1e9
    if num_bytes(loader) > MAX_DEVICE_FRACTION * free:
        log.info(
            "the training set (%.1f GB) stays in host memory: %s has %.1f GB free", size_gb, loader.device, free / 1e9
        )
        return PrefetchLoader(wrapped=loader)
    log.info("the training set (%.1f GB) is in the memory of %s", size_gb, loader.device)
    return PrefetchLoader(wrapped=DeviceLoader(wrapped=loader))
