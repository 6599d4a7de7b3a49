"""Description of a run before it starts: data, sizes of the networks, cost, steps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from cssgan.config import Config
from cssgan.data import loaders
from cssgan.data.loaders import TrainingData
from cssgan.data.shards import Dataset
from cssgan.models import factory
from cssgan.storage.files import check_folder
from cssgan.training import checkpoint, distributed, initial_weights, run_folder, sample_videos, trackers
from cssgan.training.cost import step_cost
from cssgan.training.device import choose_device, free_bytes
from cssgan.training.run import memory_advice
from phonics_data.contract.logmel import LogMelSpec


def num_steps(config: Config) -> int:
    return -(-config.train.num_videos // config.train.batch_size)


def headline(config: Config, training: TrainingData, networks: Sequence[torch.nn.Module], device: torch.device) -> str:
    """Data, numbers of weights, steps and device in one line."""
    generator, discriminators = (sum(p.numel() for p in network.parameters()) / 1e6 for network in networks)
    return (
        f"{training.num_clips} training clips of {len(training.labels)} classes; generator "
        f"{generator:.2f} M weights, discriminators {discriminators:.2f} M; {num_steps(config)} steps of "
        f"{config.train.batch_size} videos on {device} ({config.train.threads or torch.get_num_threads()} threads)"
    )


def describe(config: Config, dataset: Dataset, run: Path | None = None, *, init: str | Path | None = None) -> list[str]:
    """Lines that describe what `cssgan.training.loop.train` would do. Writes nothing into the run folder.

    Args:
        run: run folder, checked as by `train`; None: not checked.
        init: weights to start from, checked as by `train`.

    Raises:
        DatasetError, DependencyError, OptionError, RunError, CheckpointError: as `cssgan.training.loop.train`.
    """
    trackers.check_installed(config.train.tracker)
    distributed.check_world_size(config, int(os.environ.get("WORLD_SIZE", "1")))
    training = loaders.open_training_data(config, dataset)
    record, lines = None, list[str]()
    if init is not None:
        began = None if run is None else run_folder.read_init(run)
        record = {"source": initial_weights.source_name(init, began)}
        if run is None or not checkpoint.folders(run):
            initial = initial_weights.read_initial_weights(init, began)
            initial_weights.check(initial, config, training.label_set)
            training = replace(training, given_mel_stats=initial.mel_stats)
            record, lines = initial.record(), [initial.headline()]
    if run is not None:
        check_folder(run)
        run_folder.check(run, config, training.digest, record)
        if checkpoint.folders(run):
            found = checkpoint.load_newest(
                run, config=config, label_set=training.label_set, train_shards=training.digest
            )
            training = replace(training, given_mel_stats=found.mel_stats)
    sample_videos.load_windows(config, dataset, training.label_set, training.mel_stats(config))
    num_classes, spec = len(training.label_set), LogMelSpec()
    with torch.device("meta"):
        networks = (
            factory.generator(config, num_classes=num_classes),
            factory.discriminators(config, num_classes=num_classes),
        )
    batch, size, frames = config.train.batch_size, config.data.size, config.data.num_frames
    stats, stride = training.mel_stats(config), config.data.frame_stride
    device = choose_device(config)
    return [
        headline(config, training, networks, device),
        training.reason,
        *lines,
        f"video_BCTHW ({batch}, 3, {frames}, {size}, {size}), cut into {config.model.num_clips} clips of "
        f"{config.frames_per_clip} frames; {config.model.streams} stream(s) of {config.frames_per_stream} frames"
        + (f"; every {stride} frames of the clips, {config.source_frames} in all" if stride > 1 else ""),
        f"mels_BTMU ({batch}, {frames}, {spec.num_bands}, {spec.segment_hops}), log-mel mean {stats.mean:.3f}, "
        f"deviation {stats.std:.3f}; label_BK ({batch}, {num_classes}); {config.num_orders} orders",
        *_cost_lines(config, num_classes, device),
    ]


def _cost_lines(config: Config, num_classes: int, device: torch.device) -> list[str]:
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    cost = step_cost(config, num_classes=num_classes, world_size=world_size)
    each = f" of each of {world_size} processes" if world_size > 1 else ""
    line = (
        f"{cost.flops / 1e9:.1f} GFLOP per step{each}, {cost.flops * num_steps(config) / 1e15:.3g} PFLOP in total; about "
        f"{cost.total_bytes / 1e9:.2f} GB: weights, gradients and Adam {cost.state_bytes / 1e9:.2f}, activations "
        f"{cost.activation_bytes / 1e9:.2f} in float32 (about half in bf16)"
    )
    free = free_bytes(device)
    if free is None or cost.total_bytes < free:
        return [line]
    return [line, f"{device} has {free / 1e9:.2f} GB free, which may not be enough: {memory_advice(config)}"]
