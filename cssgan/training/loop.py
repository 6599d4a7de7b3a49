"""A whole run: build, resume, train, log, checkpoint, stop in good order."""

from __future__ import annotations

import io
import logging
import signal
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console

from cssgan import config as configs
from cssgan.config import Config
from cssgan.data import loaders
from cssgan.data.loaders import TrainingSet
from cssgan.data.shards import Dataset
from cssgan.data.streaming import StillWaitingError
from cssgan.errors import ReaderLostError
from cssgan.models import factory
from cssgan.storage.files import locked
from cssgan.training import checkpoint, distributed, precision, run_folder, sample_videos, trackers
from cssgan.training.collapse import CollapseWatch
from cssgan.training.cuda_graph import RecordedStep
from cssgan.training.device import choose_device, keep_freed_memory
from cssgan.training.distributed import DistContext
from cssgan.training.run_log import LAST, Display, RunLog
from cssgan.training.sample_videos import Preview
from cssgan.training.state import RunState
from cssgan.training.step import Terms, new_train_state, train_step
from cssgan.training.summary import headline, num_steps
from cssgan.types import Batch, Progress

log = logging.getLogger("cssgan")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainResult:
    """How a start of a run ended."""

    status: Literal["finished", "was_finished", "interrupted"]
    progress: Progress
    signal_number: int = 0
    """What interrupted it."""


def train(config: Config, dataset: Dataset, run: Path, *, console: Console | None = None) -> TrainResult:
    """Train until `train.num_videos` videos were seen; go on where the run folder says that an earlier start stopped.

    Args:
        dataset: folder, or address, with {train,validation,test}-*.tar; samples are shown from validation where there
            is one.
        run: created if missing; holds config.json, checkpoints/, stats.jsonl, samples/, tensorboard/.
        console: where progress goes, default stderr.

    Raises:
        DatasetError: no train shards, or unusable ones.
        RunError: the folder holds a run of another configuration or other shards.
        DivergenceError: a loss or weight left the finite numbers, or the game collapsed; the last good checkpoint stays.
        WorkspaceLockedError: another process trains in this folder.
        MemoryFullError: a step did not fit; says which options help.
        DeviceLostError: the GPU failed, or another process of the run is gone.
        DependencyError: `train.tracker` is not installed.
    """
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    device = choose_device(config)
    trackers.check_installed(config.train.tracker)
    if device.type == "cpu":
        keep_freed_memory()
    dist_context = distributed.join(device.type)
    try:
        distributed.check_share(config, dist_context.world)
        console = (console or Console(stderr=True)) if dist_context.is_main else Console(file=io.StringIO())
        # Before the run folder: shards that cannot be used leave nothing behind. The others then find the cache.
        training = loaders.open_set(config, dataset) if dist_context.is_main else None
        dist_context.wait()
        training = training or loaders.open_set(config, dataset)
        # In the process that leads the others wait for the folder to be claimed.
        refusal = "another process trains in this folder; wait for it or stop it"
        with locked(run, refusal) if dist_context.is_main else nullcontext():
            if dist_context.is_main:
                run_folder.claim(run, config, training.digest)
            dist_context.wait()
            return _train_locked(config, dataset, training, run, console, dist_context, device)
    finally:
        distributed.leave()


def _train_locked(
    config: Config,
    dataset: Dataset,
    training: TrainingSet,
    run: Path,
    console: Console,
    dist_context: DistContext,
    device: torch.device,
) -> TrainResult:
    found = None
    if checkpoint.folders(run):
        found = checkpoint.load_newest(run, config=config, label_set=training.label_set, train_shards=training.digest)
    if found is not None and found.progress.num_videos >= config.train.num_videos:
        console.print(f"{run}: finished, {found.progress.num_videos} videos seen", highlight=False, soft_wrap=True)
        return TrainResult(status="was_finished", progress=found.progress)
    if len(training.labels) == 1 and len(training.label_set) > 1 and dist_context.is_main:
        log.warning(
            "%s: all training clips are of class %s; the model cannot tell others", dataset, min(training.labels)
        )
    state = _set_up(config, training, run, dist_context, device)
    if found is not None:
        state.take_over(found)
    preview = (
        sample_videos.preview(config, dataset, training.label_set, state.mel_stats) if dist_context.is_main else None
    )
    with (
        run_folder.stop_signals() as stop,
        _open_log(state) if dist_context.is_main else nullcontext() as runlog,
        Display(console, total_steps=num_steps(config), done_steps=state.progress.num_steps) as display,
    ):
        if found is None:
            train_state = state.train_state
            display.say(headline(config, training, (train_state.generator, train_state.discriminators), device))
            display.say(training.why)
        else:
            display.say(f"{run}: going on after step {state.progress.num_steps} ({found.folder.name})")
        try:
            return _loop(state, preview, stop, runlog, display)
        except RuntimeError as error:
            named = state.named(error)
            if named is None:
                raise
            raise named from error
        finally:
            state.loader.close()


def _open_log(state: RunState) -> RunLog:
    return RunLog(
        state.folder,
        resumed_at=state.progress.num_steps,
        trackers=trackers.open_trackers(
            state.folder,
            tracker=state.config.train.tracker,
            config=configs.to_json(state.config),
            resumed_at=state.progress.num_steps,
        ),
    )


def _set_up(
    config: Config, training: TrainingSet, run: Path, dist_context: DistContext, device: torch.device
) -> RunState:
    """The networks as they are born, and all that a run needs."""
    if precision.uses_bf16(config, device):
        precision.check_convolutions(device)
    torch.manual_seed(config.train.seed)
    num_classes = len(training.label_set)
    generator = factory.generator(config, num_classes=num_classes).to(device)
    discriminators = factory.discriminators(config, num_classes=num_classes).to(device)
    for network in (generator, discriminators):
        distributed.share_norms(network, dist_context, device)
        precision.lay_out(network, config)
    train_state = new_train_state(config, generator, discriminators, dist_context=dist_context)
    precision.compile_parts(generator, discriminators, config)
    return RunState(
        folder=run,
        config=config,
        loader=loaders.loader(training, config, device, rank=dist_context.rank, world=dist_context.world),
        mel_stats=training.mel_stats(config),
        train_state=train_state,
        progress=Progress(),
        train_shards=training.digest,
        watch=CollapseWatch(patience=config.train.collapse_steps),
        dist_context=dist_context,
    )


Step = Callable[[Batch, Progress], Terms]


def _stepper(state: RunState) -> Step:
    """The training step: eager, or recorded with `compute.cuda_graph` on a GPU."""
    train_state, config = state.train_state, state.config
    if config.compute.cuda_graph and state.loader.device.type == "cuda":
        recorded = RecordedStep(train_state, config)
        return lambda batch, at: recorded(batch, num_steps=at.num_steps, num_videos=at.num_videos)
    return lambda batch, at: train_step(train_state, batch, config, num_steps=at.num_steps, num_videos=at.num_videos)


def _loop(
    state: RunState, preview: Preview | None, stop: list[int], runlog: RunLog | None, display: Display
) -> TrainResult:
    options, before = state.config.train, state.progress.wall_seconds
    start = time.monotonic()
    saved_at = state.progress.num_steps
    train_once = _stepper(state)
    waited = 0.0
    signal_number = 0
    while state.progress.num_videos < options.num_videos:
        # A signal may reach one process only, or some a step later: they stop together.
        if signal_number := state.dist_context.any(stop[0] if stop else 0):
            break
        position = state.progress
        asked = time.monotonic()
        batch = _next_batch(state, stop)
        if batch is None:
            signal_number = stop[0]
            break
        waited += time.monotonic() - asked
        state.add(train_once(batch, position))
        # Kept until the next is here, it would be freed then, and a thread that prepares a batch have its turn first.
        del batch
        seconds = time.monotonic() - start
        state.progress = Progress(
            num_videos=position.num_videos + options.batch_size,
            num_steps=position.num_steps + 1,
            wall_seconds=before + seconds,
        )
        step = state.progress.num_steps
        is_last = state.progress.num_videos >= options.num_videos
        display.step(step)
        whole = step % options.log_every == 0
        if whole or is_last:
            means = state.means() if whole else state.means_so_far()
            if runlog is not None:
                runlog.write(state.progress, means, kind="train" if whole else LAST)
                runlog.timing(state.progress, data_wait_share=waited / max(seconds, 1e-9))
            display.report(step, seconds, means)
        if preview is not None and runlog is not None and (step % options.sample_every == 0 or is_last):
            generator = state.train_state.average or state.train_state.generator
            terms = sample_videos.show(preview, generator, state.config, state.progress, runlog, state.loader.device)
            state.val_l1 = terms["val_l1"]
            display.report(step, time.monotonic() - start, terms)
        if step % options.checkpoint_every == 0:
            state.check()
            saved_at = step
            state.save()
            state.val_l1 = None
    if saved_at != state.progress.num_steps:
        state.check()
        state.save()
    if signal_number:
        display.say(
            f"stopped by {signal.Signals(signal_number).name} after step {state.progress.num_steps}, all saved; "
            "the same command goes on from here"
        )
        return TrainResult(status="interrupted", progress=state.progress, signal_number=signal_number)
    return TrainResult(status="finished", progress=state.progress)


def _next_batch(state: RunState, stop: list[int]) -> Batch | None:
    """The next batch; None if a signal came while a lone process waited for it."""
    waiting_since = time.monotonic()
    while True:
        try:
            return state.loader.batch(state.progress.num_videos)
        except (StillWaitingError, ReaderLostError) as error:
            # A signal to all may have ended the readers too. Of several processes none may leave alone.
            if stop and state.dist_context.world == 1:
                return None
            if isinstance(error, ReaderLostError):
                raise
            log.warning("waiting for data for %.0f s", time.monotonic() - waiting_since)
