"""What a run will do, in lines: data, sizes of the networks, cost, steps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from cssgan.config import Config
from cssgan.data import loaders
from cssgan.data.loaders import TrainingSet
from cssgan.data.shards import Dataset
from cssgan.models import factory
from cssgan.storage.files import check_folder
from cssgan.training import checkpoint, cost, distributed, run_folder, sample_videos, trackers
from cssgan.training.device import choose_device, free_bytes
from cssgan.training.state import memory_advice
from phonics_data.contract.logmel import LogMelSpec


def num_steps(config: Config) -> int:
    return -(-config.train.num_videos // config.train.batch_size)


def headline(config: Config, training: TrainingSet, networks: Sequence[torch.nn.Module], device: torch.device) -> str:
    """Data, weights, steps and device in one line."""
    generator, discriminators = (sum(p.numel() for p in network.parameters()) / 1e6 for network in networks)
    return (
        f"{training.num_clips} training clips of {len(training.labels)} classes; generator "
        f"{generator:.2f} M weights, discriminators {discriminators:.2f} M; {num_steps(config)} steps of "
        f"{config.train.batch_size} videos on {device} ({config.train.threads or torch.get_num_threads()} threads)"
    )


def describe(config: Config, dataset: Dataset, run: Path | None = None) -> list[str]:
    """What `cssgan.training.loop.train` would do, without writing into a run folder.

    Args:
        run: folder of the run; one that cannot be used is refused as `train` would; None: not looked at.

    Raises:
        DatasetError, DependencyError, OptionError, RunError, CheckpointError: as `cssgan.training.loop.train`.
    """
    trackers.check_installed(config.train.tracker)
    distributed.check_share(config, int(os.environ.get("WORLD_SIZE", "1")))
    training = loaders.open_set(config, dataset)
    if run is not None:
        check_folder(run)
        run_folder.check(run, config, training.digest)
        if checkpoint.folders(run):
            checkpoint.load_newest(run, config=config, label_set=training.label_set, train_shards=training.digest)
    sample_videos.preview(config, dataset, training.label_set, training.mel_stats(config))
    num_classes, spec = len(training.label_set), LogMelSpec()
    with torch.device("meta"):
        networks = (
            factory.generator(config, num_classes=num_classes),
            factory.discriminators(config, num_classes=num_classes),
        )
    batch, size, frames = config.train.batch_size, config.data.size, config.data.num_frames
    stats = training.mel_stats(config)
    device = choose_device(config)
    return [
        headline(config, training, networks, device),
        training.why,
        f"video_BCTHW ({batch}, 3, {frames}, {size}, {size}), cut into {config.model.num_clips} clips of "
        f"{config.frames_per_clip} frames; {config.model.streams} stream(s) of {config.frames_per_stream} frames",
        f"mels_BTMU ({batch}, {frames}, {spec.num_bands}, {spec.segment_hops}), log-mel mean {stats.mean:.3f}, "
        f"deviation {stats.std:.3f}; label_BK ({batch}, {num_classes}); {config.num_orders} orders",
        *_cost_lines(config, num_classes, device),
    ]


def _cost_lines(config: Config, num_classes: int, device: torch.device) -> list[str]:
    # torchrun's processes share the batch.
    world = int(os.environ.get("WORLD_SIZE", "1"))
    price = cost.cost(config, num_classes=num_classes, world=world)
    each = f" of each of {world} processes" if world > 1 else ""
    line = (
        f"{price.flops / 1e9:.1f} GFLOP a step{each}, {price.flops * num_steps(config) / 1e15:.3g} PFLOP in all; about "
        f"{price.total_bytes / 1e9:.2f} GB: weights, gradients and Adam {price.state_bytes / 1e9:.2f}, activations "
        f"{price.activation_bytes / 1e9:.2f} in float32 (about half in bf16)"
    )
    free = free_bytes(device)
    if free is None or price.total_bytes < free:
        return [line]
    return [line, f"{device} has {free / 1e9:.2f} GB free, which may be too little: {memory_advice(config)}"]
