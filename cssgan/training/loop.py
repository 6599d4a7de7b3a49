"""A whole run: build, resume, train, log, checkpoint, stop in good order."""

from __future__ import annotations

import copy
import ctypes
import io
import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal

import filelock
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from cssgan import build
from cssgan import config as configs
from cssgan.config import RESUMABLE, Config
from cssgan.data import resident
from cssgan.data.batch import Feed, pictures, to_uint8
from cssgan.data.shards import digest, shard_paths
from cssgan.errors import DivergenceError, MemoryFullError, RunError
from cssgan.models.interface import VideoGenerator
from cssgan.training import checkpoint, cost, distributed, health, speed
from cssgan.training.distributed import ALONE, Peers
from cssgan.training.graph import RecordedStep
from cssgan.training.runlog import Display, RunLog
from cssgan.training.step import (
    Players,
    Terms,
    load_optimiser_state,
    optimiser_state,
    players,
    train_step,
)
from cssgan.types import Batch, EvalWindows, LossTerms, MelStats, Progress
from phonics_data.errors import OptionError, WorkspaceLockedError

log = logging.getLogger("cssgan")
NUM_SAMPLE_VIDEOS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainResult:
    """How a start of a run ended."""

    status: Literal["finished", "was_finished", "interrupted"]
    progress: Progress
    signal_number: int = 0
    """What interrupted it."""


@dataclass(kw_only=True, slots=True, eq=False)
class _Run:
    """Everything alive during a run."""

    folder: Path
    config: Config
    feed: Feed
    players: Players
    progress: Progress
    preview: EvalWindows | None
    sums: dict[str, torch.Tensor]
    """For each term the pair (sum, number of steps) since the last line of the log, of this process."""
    peers: Peers = ALONE
    val_l1: float | None = None
    """The readout of the last sample, if one was taken since the last checkpoint."""

    def save(self) -> Path | None:
        """A checkpoint, unless something in it is not finite; written by the process that leads."""
        sums = _summed(self)
        if not self.peers.leads:
            self.peers.wait()
            return None
        try:
            return self._save(sums)
        finally:
            self.peers.wait()

    def _save(self, sums: dict[str, torch.Tensor]) -> Path:
        named = {"generator": self.players.generator, "discriminators": self.players.discriminators}
        for who, network in named.items():
            for name, tensor in network.state_dict().items():
                if not bool(torch.isfinite(tensor).all()):
                    raise _divergence(self, f"{who} weight {name}")
        weights = {
            checkpoint.GENERATOR: self.players.generator.state_dict(),
            checkpoint.DISCRIMINATORS: self.players.discriminators.state_dict(),
        }
        if self.players.average is not None:
            weights[checkpoint.AVERAGE] = self.players.average.state_dict()
        return checkpoint.save(
            self.folder,
            weights=weights,
            state={**optimiser_state(self.players), "sums": sums},
            config=self.config,
            label_set=self.feed.label_set,
            mel_stats=self.feed.mel_stats,
            frame_rate=self.feed.frame_rate,
            progress=self.progress,
            val_l1=self.val_l1,
        )


def train(config: Config, dataset: Path, run: Path, *, console: Console | None = None) -> TrainResult:
    """Train until `train.num_videos` videos were seen; go on where the run folder says that an earlier start stopped.

    Args:
        dataset: folder with {train,validation,test}-*.tar; samples are shown from validation where there is one.
        run: created if missing; holds config.json, checkpoints/, stats.jsonl, samples/, tensorboard/.
        console: where progress goes, default stderr.

    Raises:
        DatasetError: no train shards, or unusable ones.
        RunError: the folder holds a run of another configuration or other shards.
        DivergenceError: a loss or weight left the finite numbers; the last good checkpoint stays.
        WorkspaceLockedError: another process trains in this folder.
        MemoryFullError: a step did not fit; says which options help.
    """
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    device = choose_device(config)
    if device.type == "cpu":
        keep_freed_memory()
    shards = shard_paths(dataset, "train")
    peers = distributed.join(device.type)
    try:
        _check_share(config, peers)
        console = (console or Console(stderr=True)) if peers.leads else Console(file=io.StringIO())
        if peers.leads:
            # Before the run folder: shards that cannot be used leave nothing behind. The others then find the cache.
            resident.load(dataset, "train", config.data.size)
        peers.wait()
        return _train_in(config, dataset, digest(shards), run, console, peers)
    finally:
        distributed.leave()


def _check_share(config: Config, peers: Peers) -> None:
    parts = peers.world * config.train.accumulate
    if config.train.batch_size % parts:
        raise OptionError(
            "train.batch_size", config.train.batch_size, f"a multiple of processes x train.accumulate ({parts})"
        )
    if peers.world > 1 and config.compute.cuda_graph:
        raise OptionError("compute.cuda_graph", True, "false with more than one process")


def _train_in(config: Config, dataset: Path, shards: str, run: Path, console: Console, peers: Peers) -> TrainResult:
    """Lock the run folder, in the process that leads, and train in it."""
    if not peers.leads:
        peers.wait()
        return _train_locked(config, dataset, shards, run, console, peers)
    run.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(run / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise WorkspaceLockedError(f"{run}: another process trains in this folder; wait for it or stop it") from error
    try:
        _claim(run, config, shards)
        peers.wait()
        return _train_locked(config, dataset, shards, run, console, peers)
    finally:
        lock.release()


def _train_locked(config: Config, dataset: Path, shards: str, run: Path, console: Console, peers: Peers) -> TrainResult:
    found = _newest(run)
    if found is not None and found.progress.num_videos >= config.train.num_videos:
        console.print(f"{run}: finished, {found.progress.num_videos} videos seen", highlight=False, soft_wrap=True)
        return TrainResult(status="was_finished", progress=found.progress)
    state = _set_up(config, dataset, run, found, peers)
    with (
        _stop_signals() as stop,
        RunLog(run, resumed_at=state.progress.num_steps) if peers.leads else nullcontext() as runlog,
        Display(console, total_steps=_steps(config), done_steps=state.progress.num_steps) as display,
    ):
        if found is None:
            team = state.players
            display.say(_headline(config, state.feed.data, (team.generator, team.discriminators), state.feed.device))
        else:
            display.say(f"{run}: going on after step {state.progress.num_steps} ({found.folder.name})")
        try:
            return _loop(state, stop, runlog, display)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise MemoryFullError(_memory_advice(state)) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch ran out of memory, on a GPU or on a CPU (where it has no error class of its own)."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _memory_advice(state: _Run) -> str:
    kept = checkpoint.folders(state.folder)
    good = f"the last checkpoint is {kept[0]}" if kept else "there was no checkpoint yet"
    return (
        f"{state.folder}: out of memory at step {state.progress.num_steps} with train.batch_size="
        f"{state.config.train.batch_size}; {good}. The same command goes on from it with --set train.accumulate="
        f"{2 * state.config.train.accumulate} (smaller parts, same batch) or --set compute.precision=bf16; a new run "
        "may take a smaller train.batch_size, or --preset lean"
    )


def keep_freed_memory() -> None:
    """Let glibc keep what is freed instead of giving it back: it halves the page faults of a CPU step.

    Changes nothing where the C library has no such knob.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    mallopt(mmap_threshold, 1 << 25)  # the most that glibc takes
    mallopt(trim_threshold, (1 << 31) - 1)


def describe(config: Config, dataset: Path) -> list[str]:
    """What `train` would do, in lines, without a run folder: data, sizes of the networks, cost, steps."""
    data = resident.load(dataset, "train", config.data.size)
    with torch.device("meta"):
        num_classes = len(data.label_set)
        networks = (
            build.generator(config, num_classes=num_classes),
            build.discriminators(config, num_classes=num_classes),
        )
    size, frames = config.data.size, config.data.num_frames
    return [
        _headline(config, data, networks, choose_device(config)),
        f"video_BCTHW ({config.train.batch_size}, 3, {frames}, {size}, {size}), cut into {config.model.num_clips} clips "
        f"of {config.frames_per_clip} frames; {config.model.streams} stream(s) of {config.frames_per_stream} frames",
        f"log-mel mean {data.mean:.3f}, deviation {data.std:.3f}",
        _cost_line(config, num_classes),
    ]


def _cost_line(config: Config, num_classes: int) -> str:
    price = cost.cost(config, num_classes=num_classes)
    return (
        f"{price.flops / 1e9:.1f} GFLOP a step; about {price.total_bytes / 1e9:.2f} GB: weights, gradients and Adam "
        f"{price.state_bytes / 1e9:.2f}, activations {price.activation_bytes / 1e9:.2f} in float32 (about half in bf16)"
    )


def _claim(run: Path, config: Config, shards: str) -> None:
    """Write config.json before any work, or compare with the one that is there."""
    path = run / "config.json"
    if path.exists():
        try:
            record = json.loads(path.read_text())
            old = configs.from_json(record["config"])
        except (ValueError, KeyError) as error:
            raise RunError(f"{path}: not a run's configuration ({error}); train into a new folder") from error
        if changed := configs.differences(old, config, ignore=RESUMABLE):
            raise RunError(
                f"{run}: holds a run of another configuration; it differs in {'; '.join(changed)}. "
                "Train into a new folder, or give the same options"
            )
        if record["train_shards"] != shards:
            raise RunError(f"{run}: holds a run on other training shards; train into a new folder")
    record = {"config": configs.to_json(config), "train_shards": shards}
    temporary = path.with_suffix(".tmp")
    checkpoint.write_synced(temporary, json.dumps(record, indent=1).encode())
    temporary.replace(path)


def _newest(run: Path) -> checkpoint.Checkpoint | None:
    if not checkpoint.folders(run):
        return None
    return checkpoint.load_newest(run)


def _set_up(config: Config, dataset: Path, run: Path, found: checkpoint.Checkpoint | None, peers: Peers) -> _Run:
    device = choose_device(config)
    if speed.uses_bf16(config, device):
        speed.check_convolutions(device)
    data = resident.load(dataset, "train", config.data.size)
    if len({clip.label for clip in data.clips}) == 1 and len(data.label_set) > 1:
        log.warning(
            "%s: all training clips are of class %s; the model cannot tell others", dataset, data.clips[0].label
        )
    mel_stats = MelStats(mean=data.mean, std=data.std, clamp=config.data.mel_clamp)
    torch.manual_seed(config.train.seed)
    num_classes = len(data.label_set)
    generator = build.generator(config, num_classes=num_classes).to(device)
    judges = build.discriminators(config, num_classes=num_classes).to(device)
    for network in (generator, judges):
        distributed.share_norms(network, peers, device)
        speed.lay_out(network, config)
    team = players(config, generator, judges, peers=peers)
    speed.compile_parts(generator, judges, config)
    state = _Run(
        folder=run,
        config=config,
        feed=Feed(data=data, config=config, mel_stats=mel_stats, device=device, rank=peers.rank, world=peers.world),
        players=team,
        progress=Progress(),
        preview=_preview(config, dataset, data, mel_stats) if peers.leads else None,
        sums={},
        peers=peers,
    )
    if found is not None:
        team.generator.load_state_dict(found.generator_weights())
        team.discriminators.load_state_dict(found.discriminator_weights())
        if team.average is not None:
            team.average.load_state_dict(found.generator_weights("ema"))
        saved = found.state()
        load_optimiser_state(team, saved)
        if peers.leads:  # they are the sums of all processes
            state.sums = {name: tensor.to(device) for name, tensor in saved["sums"].items()}
        state.progress = found.progress
    return state


def choose_device(config: Config) -> torch.device:
    """`train.device`; auto means a GPU where torch finds one."""
    if config.train.device == "cuda" and not torch.cuda.is_available():
        raise OptionError("train.device", "cuda", "auto or cpu: torch finds no GPU here")
    if config.train.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda")


def _preview(config: Config, dataset: Path, data: resident.ResidentSplit, mel_stats: MelStats) -> EvalWindows | None:
    if not config.train.sample_every:
        return None
    split = "validation" if any(dataset.glob("validation-*.tar")) else "train"
    return resident.eval_windows(
        dataset, split, config=config, label_set=data.label_set, mel_stats=mel_stats, num_videos=NUM_SAMPLE_VIDEOS
    )


def _headline(
    config: Config, data: resident.ResidentSplit, networks: Sequence[torch.nn.Module], device: torch.device
) -> str:
    generator, judges = (sum(p.numel() for p in network.parameters()) / 1e6 for network in networks)
    return (
        f"{len(data.clips)} training clips of {len({clip.label for clip in data.clips})} classes; generator "
        f"{generator:.2f} M weights, discriminators {judges:.2f} M; {_steps(config)} steps of "
        f"{config.train.batch_size} videos on {device} ({torch.get_num_threads()} threads)"
    )


def _steps(config: Config) -> int:
    return -(-config.train.num_videos // config.train.batch_size)


Step = Callable[[Batch, Progress], Terms]


def _stepper(state: _Run) -> Step:
    """The training step: eager, or recorded with `compute.cuda_graph` on a GPU."""
    team, config = state.players, state.config
    if config.compute.cuda_graph and state.feed.device.type == "cuda":
        recorded = RecordedStep(team, config)
        return lambda batch, at: recorded(batch, num_steps=at.num_steps, num_videos=at.num_videos)
    return lambda batch, at: train_step(team, batch, config, num_steps=at.num_steps, num_videos=at.num_videos)


def _loop(state: _Run, stop: list[int], runlog: RunLog | None, display: Display) -> TrainResult:
    options, before = state.config.train, state.progress.wall_seconds
    start = time.monotonic()
    saved_at = state.progress.num_steps
    train_once = _stepper(state)
    waited = 0.0
    signal_number = 0
    while state.progress.num_videos < options.num_videos:
        # A signal may reach one process only, or some a step later: they stop together.
        if signal_number := state.peers.any(stop[0] if stop else 0):
            break
        position = state.progress
        asked = time.monotonic()
        batch = state.feed.batch(position.num_videos)
        waited += time.monotonic() - asked
        _accumulate(state, train_once(batch, position))
        seconds = time.monotonic() - start
        state.progress = Progress(
            num_videos=position.num_videos + options.batch_size,
            num_steps=position.num_steps + 1,
            wall_seconds=before + seconds,
        )
        step = state.progress.num_steps
        display.step(step)
        if step % options.log_every == 0:
            means = _flush(state)
            if runlog is not None:
                runlog.write(state.progress, means)
                runlog.timing(state.progress, data_wait_share=waited / max(seconds, 1e-9))
            display.report(step, seconds, means)
        if runlog is not None and options.sample_every and step % options.sample_every == 0:
            display.report(step, time.monotonic() - start, _sample(state, runlog))
        if step % options.checkpoint_every == 0:
            _check(state)
            saved_at = step
            state.save()
            state.val_l1 = None
    if saved_at != state.progress.num_steps:
        _check(state)
        state.save()
    if signal_number:
        display.say(
            f"stopped by {signal.Signals(signal_number).name} after step {state.progress.num_steps}, all saved; "
            "the same command goes on from here"
        )
        return TrainResult(status="interrupted", progress=state.progress, signal_number=signal_number)
    return TrainResult(status="finished", progress=state.progress)


def _accumulate(state: _Run, terms: Terms) -> None:
    for name, value in terms.items():
        pair = torch.stack((value.double(), torch.ones_like(value, dtype=torch.float64)))
        state.sums[name] = state.sums[name] + pair if name in state.sums else pair


def _summed(state: _Run) -> dict[str, torch.Tensor]:
    """`state.sums` of all processes together. Each must ask for it at the same step."""
    names = sorted({name for names in state.peers.gather(sorted(state.sums)) for name in names})
    empty = torch.zeros(2, dtype=torch.float64, device=state.feed.device)
    return {name: state.peers.sum(state.sums.get(name, empty)) for name in names}


def _flush(state: _Run) -> LossTerms:
    sums = _summed(state)
    _check_finite(state, sums)
    state.sums = {}
    return {name: float(pair[0] / pair[1]) for name, pair in sums.items()}


def _check(state: _Run) -> None:
    """Stop if a term left the finite numbers since the last look (sums keep what one step broke)."""
    _check_finite(state, _summed(state))


def _check_finite(state: _Run, sums: dict[str, torch.Tensor]) -> None:
    for name, pair in sums.items():
        if not bool(torch.isfinite(pair).all()):
            raise _divergence(state, name)


def _divergence(state: _Run, what: str) -> DivergenceError:
    kept = checkpoint.folders(state.folder)
    good = f"the last good checkpoint is {kept[0]}" if kept else "there was no checkpoint yet"
    return DivergenceError(
        f"{state.folder}: {what} is no longer finite at step {state.progress.num_steps}; {good}. Lower the learning "
        "rates (--set optim.g_lr=..., optim.d_lr=...) in a new run folder"
    )


def _sample(state: _Run, runlog: RunLog) -> LossTerms:
    """Generate the fixed windows in time order, as in use; log readouts and a picture."""
    preview = state.preview
    assert preview is not None  # train.sample_every
    generator = state.players.average or state.players.generator
    fake = render(generator, preview, state)
    terms = health.readouts(preview.video_NTHWC, fake, preview.num_valid_N)
    terms["val_seam_ratio"] = health.seam_ratio(fake, state.config.frames_per_clip)
    if state.config.model.norm == "batch":
        terms["val_l1_batch_norm_gap"] = _batch_norm_gap(generator, preview, state) - terms["val_l1"]
    state.val_l1 = terms["val_l1"]
    runlog.write(state.progress, terms, kind="sample")
    runlog.picture(state.progress, health.strip(preview.video_NTHWC[:4], fake[:4]))
    return terms


def _batch_norm_gap(generator: VideoGenerator, preview: EvalWindows, state: _Run) -> float:
    """L1 of the preview when norms take the statistics of the preview itself instead of their running ones."""
    trial = copy.deepcopy(generator)  # the running statistics of the run must not see the preview
    for module in trial.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.track_running_stats = False
            module.running_mean = module.running_var = None
    fake = render(trial, preview, state)
    return health.readouts(preview.video_NTHWC, fake, preview.num_valid_N)["val_l1"]


@torch.no_grad()
def render(generator: VideoGenerator, preview: EvalWindows, state: _Run) -> NDArray[np.uint8]:
    """The preview's windows by `generator` in evaluation mode, uint8 NTHWC."""
    device = state.feed.device
    label = torch.nn.functional.one_hot(torch.from_numpy(preview.labels_N), len(preview.label_set)).float()
    noise = torch.zeros(len(preview), state.config.model.z_dim)
    image = pictures(preview.video_NTHWC[:, :1], device)[:, :, 0]
    was_training = generator.training
    generator.eval()
    video = generator.rollout(image, torch.from_numpy(preview.mels_NTMU).to(device), label.to(device), noise.to(device))
    generator.train(was_training)
    return to_uint8(video)


@contextmanager
def _stop_signals() -> Generator[list[int]]:
    """Within, SIGTERM and SIGINT put their number into the list instead of killing; a second one kills as ever."""
    got: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield got
        return

    def note(number: int, frame: FrameType | None) -> None:
        got.append(number)
        signal.signal(number, before[signal.Signals(number)])

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield got
    finally:
        for number in numbers:
            signal.signal(number, before[number])
