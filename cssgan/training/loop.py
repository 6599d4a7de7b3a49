"""A whole training run: set up or resume, train, log, write checkpoints, stop on signals."""

from __future__ import annotations

import io
import logging
import signal
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console

from cssgan import config as configs
from cssgan.config import Config
from cssgan.data import loaders
from cssgan.data.loaders import TrainingData
from cssgan.data.shards import Dataset
from cssgan.data.streaming import LoaderTimeoutError
from cssgan.errors import ReaderLostError
from cssgan.models import factory
from cssgan.storage.files import locked
from cssgan.training import (
    checkpoint,
    distributed,
    initial_weights,
    precision,
    run_folder,
    sample_videos,
    trackers,
)
from cssgan.training.collapse import CollapseDetector
from cssgan.training.cuda_graph import CudaGraphStep
from cssgan.training.device import choose_device, keep_freed_memory
from cssgan.training.distributed import DistContext
from cssgan.training.initial_weights import InitialWeights
from cssgan.training.run import TrainingRun
from cssgan.training.run_log import PARTIAL, Display, RunLog
from cssgan.training.sample_videos import SampleWindows
from cssgan.training.step import Terms, new_train_state, train_step
from cssgan.training.summary import headline, num_steps
from cssgan.types import Batch, Progress
from phonics_data.contract.console import printable

log = logging.getLogger("cssgan")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainResult:
    """How `train` ended."""

    status: Literal["finished", "already_finished", "interrupted"]
    progress: Progress
    signal_number: int = 0
    """The signal that interrupted the run."""


def train(
    config: Config, dataset: Dataset, run: Path, *, init: str | Path | None = None, console: Console | None = None
) -> TrainResult:
    """Train until `train.num_videos` videos were seen. Resumes from the newest checkpoint in the run folder.

    Args:
        dataset: folder or address with {train,validation,test}-*.tar; samples are generated for the validation split
            if there is one.
        run: run folder, created if missing: config.json, checkpoints/, stats.jsonl, samples/, tensorboard/.
        init: start from these weights (`cssgan.training.initial_weights`): the name of a model that comes with the package,
            an exported folder or a run folder; None: new weights. They are not read when a run resumes.
        console: for progress messages; default stderr.

    Raises:
        DatasetError: there are no train shards, or they are unusable.
        CheckpointError: `init` is unknown or damaged.
        RunError: the folder belongs to a run with another configuration, other shards or another `init`, or the weights of
            `init` do not fit `config` and the dataset.
        DivergenceError: a loss or weight is not finite, or training collapsed; the last good checkpoint stays.
        WorkspaceLockedError: another process trains in this folder.
        MemoryFullError: a step did not fit into memory; the message names options that help.
        DeviceLostError: the GPU failed, or another process of the run ended.
        DependencyError: `train.tracker` is not installed.
    """
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    device = choose_device(config)
    trackers.check_installed(config.train.tracker)
    if device.type == "cpu":
        keep_freed_memory()
    dist_context = distributed.initialize(device.type)
    try:
        distributed.check_world_size(config, dist_context.world_size)
        console = (console or Console(stderr=True)) if dist_context.is_main else Console(file=io.StringIO())
        # Opened before the run folder is created, so that unusable shards leave no folder. The main process fills the
        # cache first.
        training = loaders.open_training_data(config, dataset) if dist_context.is_main else None
        dist_context.barrier()
        training = training or loaders.open_training_data(config, dataset)
        initial = None
        began = run_folder.read_init(run)
        if init is not None and not checkpoint.folders(run):
            initial = initial_weights.read_initial_weights(init, began)
            initial_weights.check(initial, config, training.label_set)
        record = (
            initial.record()
            if initial
            else None
            if init is None
            else {"source": initial_weights.source_name(init, began)}
        )
        refusal = "another process trains in this folder; wait for it or stop it"
        with locked(run, refusal) if dist_context.is_main else nullcontext():
            if dist_context.is_main:
                run_folder.claim(run, config, training.digest, record)
            dist_context.barrier()
            return _train_locked(config, dataset, training, run, console, dist_context, device, initial)
    finally:
        distributed.shut_down()


def _train_locked(
    config: Config,
    dataset: Dataset,
    training: TrainingData,
    folder: Path,
    console: Console,
    dist_context: DistContext,
    device: torch.device,
    initial: InitialWeights | None,
) -> TrainResult:
    found = None
    if checkpoint.folders(folder):
        found = checkpoint.load_newest(
            folder, config=config, label_set=training.label_set, train_shards=training.digest
        )
    if found is not None and found.progress.num_videos >= config.train.num_videos:
        line = printable(f"{folder}: finished, {found.progress.num_videos} videos seen")
        console.print(line, highlight=False, soft_wrap=True, markup=False)
        return TrainResult(status="already_finished", progress=found.progress)
    if len(training.labels) == 1 and len(training.label_set) > 1 and dist_context.is_main:
        log.warning(
            "%s: all training clips are of class %s; the model cannot generate other classes",
            dataset,
            min(training.labels),
        )
    if (source := found or initial) is not None:
        training = replace(training, given_mel_stats=source.mel_stats)
    run = _set_up(config, training, folder, dist_context, device, initial)
    if found is not None:
        run.restore(found)
    windows = None
    if dist_context.is_main:
        windows = sample_videos.load_windows(config, dataset, training.label_set, run.mel_stats)
    with (
        run_folder.stop_signals() as signals,
        _open_log(run) if dist_context.is_main else nullcontext() as run_log,
        Display(console, total_steps=num_steps(config), done_steps=run.progress.num_steps) as display,
    ):
        if found is None:
            networks = (run.train_state.generator, run.train_state.discriminators)
            display.message(headline(config, training, networks, device))
            display.message(training.reason)
            if initial is not None:
                display.message(initial.headline())
        else:
            display.message(f"{folder}: resuming after step {run.progress.num_steps} ({found.folder.name})")
        try:
            return _training_loop(run, windows, signals, run_log, display)
        except RuntimeError as error:
            translated = run.translate_error(error)
            if translated is None:
                raise
            raise translated from error
        finally:
            run.loader.close()


def _open_log(run: TrainingRun) -> RunLog:
    resumed_at = run.progress.num_steps
    opened = trackers.open_trackers(
        run.folder, tracker=run.config.train.tracker, config=configs.to_json(run.config), resumed_at=resumed_at
    )
    return RunLog(run.folder, resumed_at=resumed_at, trackers=opened)


def _set_up(
    config: Config,
    training: TrainingData,
    folder: Path,
    dist_context: DistContext,
    device: torch.device,
    initial: InitialWeights | None,
) -> TrainingRun:
    """A run at step 0 with newly initialized networks, or with those of `initial`."""
    if precision.uses_bf16(config, device):
        precision.check_convolutions(device)
    torch.manual_seed(config.train.seed)
    num_classes = len(training.label_set)
    generator = factory.generator(config, num_classes=num_classes).to(device)
    discriminators = factory.discriminators(config, num_classes=num_classes).to(device)
    if initial is not None:  # before the running average is copied from the generator
        generator.load_state_dict(initial.generator)
        if initial.discriminators is not None:
            discriminators.load_state_dict(initial.discriminators)
    for network in (generator, discriminators):
        distributed.synchronize_batch_norms(network, dist_context, device)
        precision.set_memory_format(network, config)
    train_state = new_train_state(config, generator, discriminators, dist_context=dist_context)
    precision.compile_networks(generator, discriminators, config)
    return TrainingRun(
        folder=folder,
        config=config,
        loader=loaders.training_loader(training, config, device, rank=dist_context.rank, world=dist_context.world_size),
        mel_stats=training.mel_stats(config),
        train_state=train_state,
        progress=Progress(),
        train_shards=training.digest,
        collapse_detector=CollapseDetector(patience=config.train.collapse_steps),
        dist_context=dist_context,
    )


Step = Callable[[Batch, Progress], Terms]


def _step_function(run: TrainingRun) -> Step:
    """The training step: eager, or captured with `compute.cuda_graph` on a GPU."""
    train_state, config = run.train_state, run.config
    if config.compute.cuda_graph and run.loader.device.type == "cuda":
        captured = CudaGraphStep(train_state, config)
        return lambda batch, at: captured(batch, num_steps=at.num_steps, num_videos=at.num_videos)
    return lambda batch, at: train_step(train_state, batch, config, num_steps=at.num_steps, num_videos=at.num_videos)


def _training_loop(
    run: TrainingRun, windows: SampleWindows | None, signals: list[int], run_log: RunLog | None, display: Display
) -> TrainResult:
    options, earlier_seconds = run.config.train, run.progress.wall_seconds
    start = time.monotonic()
    saved_at = run.progress.num_steps
    step_function = _step_function(run)
    data_wait = 0.0
    signal_number = 0
    while run.progress.num_videos < options.num_videos:
        # A signal may reach only some of the processes, or reach them at different steps; they must stop together.
        if signal_number := run.dist_context.all_reduce_max(signals[0] if signals else 0):
            break
        position = run.progress
        wait_start = time.monotonic()
        batch = _next_batch(run, signals)
        if batch is None:
            signal_number = signals[0]
            break
        data_wait += time.monotonic() - wait_start
        run.add_terms(step_function(batch, position))
        # Free the batch before the next one is requested; freed later, the loader's thread would run first.
        del batch
        seconds = time.monotonic() - start
        run.progress = Progress(
            num_videos=position.num_videos + options.batch_size,
            num_steps=position.num_steps + 1,
            wall_seconds=earlier_seconds + seconds,
        )
        step = run.progress.num_steps
        is_last = run.progress.num_videos >= options.num_videos
        display.step(step)
        is_complete = step % options.log_every == 0
        if is_complete or is_last:
            means = run.pop_means() if is_complete else run.means()
            if run_log is not None:
                run_log.write(run.progress, means, kind="train" if is_complete else PARTIAL)
                run_log.write_timing(run.progress, data_wait_share=data_wait / max(seconds, 1e-9))
            display.report(step, seconds, means)
        if windows is not None and run_log is not None and (step % options.sample_every == 0 or is_last):
            generator = run.train_state.ema_generator or run.train_state.generator
            terms = sample_videos.log_samples(
                windows, generator, run.train_state.discriminators, run.config, run.progress, run_log, run.loader.device
            )
            run.val_l1 = terms["val_l1"]
            display.report(step, time.monotonic() - start, terms)
        if step % options.checkpoint_every == 0:
            run.check_finite()
            saved_at = step
            run.save_checkpoint()
            run.val_l1 = None
    if saved_at != run.progress.num_steps:
        run.check_finite()
        run.save_checkpoint()
    if signal_number:
        display.message(
            f"stopped by {signal.Signals(signal_number).name} after step {run.progress.num_steps}, all saved; "
            "run the same command again to resume"
        )
        return TrainResult(status="interrupted", progress=run.progress, signal_number=signal_number)
    return TrainResult(status="finished", progress=run.progress)


def _next_batch(run: TrainingRun, signals: list[int]) -> Batch | None:
    """The next batch; None if a signal arrived while a single process waited for it."""
    start = time.monotonic()
    while True:
        try:
            return run.loader.batch(run.progress.num_videos)
        except (LoaderTimeoutError, ReaderLostError) as error:
            # A signal to the process group may have ended the readers too. One of several processes must not stop alone.
            if signals and run.dist_context.world_size == 1:
                return None
            if isinstance(error, ReaderLostError):
                raise
            log.warning("waiting for data for %.0f s", time.monotonic() - start)
