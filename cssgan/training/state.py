"""Everything alive during a run, its checkpoints, and what stops it when it goes wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch

from cssgan.config import Config
from cssgan.data.loaders import TrainingLoader
from cssgan.data.streaming import reader_lost
from cssgan.errors import DeviceLostError, DivergenceError, MemoryFullError
from cssgan.training import checkpoint
from cssgan.training.collapse import CollapseWatch
from cssgan.training.distributed import SINGLE_PROCESS, DistContext
from cssgan.training.step import Terms, TrainState, load_optimizer_state, optimizer_state
from cssgan.types import LossTerms, MelStats, Progress
from phonics_data.errors import PhonicsDataError

Sums = dict[str, torch.Tensor]
"""For each term the pair (sum, number of steps) since the last line of the log."""


def _sums() -> Sums:
    return {}


@dataclass(kw_only=True, slots=True, eq=False)
class RunState:
    """A run in the middle of its work, as one process sees it."""

    folder: Path
    config: Config
    loader: TrainingLoader
    mel_stats: MelStats
    train_state: TrainState
    progress: Progress
    train_shards: str
    """Name of the bytes that the run is trained on."""
    watch: CollapseWatch
    dist_context: DistContext = SINGLE_PROCESS
    sums: Sums = field(default_factory=_sums)
    """Of this process alone."""
    val_l1: float | None = None
    """The readout of the last sample, if one was taken since the last checkpoint."""

    def take_over(self, found: checkpoint.Checkpoint) -> None:
        """Go on from a checkpoint: weights, optimizers, position, half-full averages, trouble in sight."""
        train_state = self.train_state
        train_state.generator.load_state_dict(found.generator_weights())
        train_state.discriminators.load_state_dict(found.discriminator_weights())
        if train_state.average is not None:
            train_state.average.load_state_dict(found.generator_weights("ema"))
        saved = found.state()
        load_optimizer_state(train_state, saved)
        if self.dist_context.is_main:  # they are the sums of all processes
            self.sums = {name: tensor.to(self.loader.device) for name, tensor in saved["sums"].items()}
        since = int(saved.get("trouble_since", -1))
        self.watch.since = None if since < 0 else since
        self.progress = found.progress

    def add(self, terms: Terms) -> None:
        """Count the terms of one step."""
        for name, value in terms.items():
            pair = torch.stack((value.double(), torch.ones_like(value, dtype=torch.float64)))
            self.sums[name] = self.sums[name] + pair if name in self.sums else pair

    def means(self) -> LossTerms:
        """The means over all steps and processes since the last call.

        Raises:
            DivergenceError: one is not finite, or the game has been over for `train.collapse_steps`.
        """
        means = self.means_so_far()
        self.sums = {}
        if trouble := self.watch.look(means, step=self.progress.num_steps, steps=self.config.train.log_every):
            good = self._before_trouble()
            raise DivergenceError(
                f"{self.folder}: collapse: {trouble}, until step {self.progress.num_steps}; {_kept(good)}. In a new run "
                "folder try a lower --set optim.d_lr=..., discriminator.augment=all, or loss.gan=rpgan with "
                "loss.r1_gamma and loss.r2_gamma; train.collapse_steps=0 goes on regardless"
            )
        return means

    def means_so_far(self) -> LossTerms:
        """The same means, and counting goes on. Raises `DivergenceError` if one is not finite."""
        sums = self._summed()
        self._check_finite(sums)
        return {name: float(pair[0] / pair[1]) for name, pair in sums.items()}

    def check(self) -> None:
        """Raise `DivergenceError` if a term left the finite numbers since the last look (sums keep what broke)."""
        self._check_finite(self._summed())

    def save(self) -> Path | None:
        """A checkpoint, unless something in it is not finite; written by the process that leads."""
        sums = self._summed()
        if not self.dist_context.is_main:
            self.dist_context.wait()
            return None
        try:
            return self._save(sums)
        finally:
            self.dist_context.wait()

    def _save(self, sums: Sums) -> Path:
        named = {"generator": self.train_state.generator, "discriminators": self.train_state.discriminators}
        for who, network in named.items():
            for name, tensor in network.state_dict().items():
                if not bool(torch.isfinite(tensor).all()):
                    raise self._divergence(f"{who} weight {name}")
        weights = {
            checkpoint.GENERATOR: self.train_state.generator.state_dict(),
            checkpoint.DISCRIMINATORS: self.train_state.discriminators.state_dict(),
        }
        if self.train_state.average is not None:
            weights[checkpoint.AVERAGE] = self.train_state.average.state_dict()
        since = -1 if self.watch.since is None else self.watch.since
        return checkpoint.save(
            self.folder,
            weights=weights,
            state={**optimizer_state(self.train_state), "sums": sums, "trouble_since": since},
            config=self.config,
            label_set=self.loader.label_set,
            mel_stats=self.mel_stats,
            frame_rate=self.loader.frame_rate,
            progress=self.progress,
            train_shards=self.train_shards,
            val_l1=self.val_l1,
            keep_also=self._before_trouble() if since >= 0 else None,
        )

    def _summed(self) -> Sums:
        """`sums` of all processes together. Each must ask for it at the same step."""
        names = sorted({name for names in self.dist_context.gather(sorted(self.sums)) for name in names})
        empty = torch.zeros(2, dtype=torch.float64, device=self.loader.device)
        return {name: self.dist_context.sum(self.sums.get(name, empty)) for name in names}

    def _check_finite(self, sums: Sums) -> None:
        for name, pair in sums.items():
            if not bool(torch.isfinite(pair).all()):
                raise self._divergence(name)

    def _divergence(self, what: str) -> DivergenceError:
        return DivergenceError(
            f"{self.folder}: {what} is no longer finite at step {self.progress.num_steps}; {_kept(self._newest())}. "
            "Lower the learning rates (--set optim.g_lr=..., optim.d_lr=...) in a new run folder"
        )

    def _newest(self) -> Path | None:
        """The newest checkpoint of this run; those of later steps were refused."""
        return next(iter(checkpoint.folders(self.folder, up_to=self.progress.num_steps)), None)

    def _before_trouble(self) -> Path | None:
        """The newest checkpoint of before the trouble began."""
        return next(iter(checkpoint.folders(self.folder, up_to=self.watch.since)), None)

    def named(self, error: RuntimeError) -> PhonicsDataError | None:
        """What torch's error means for a person; None for one that is nobody's fault but ours."""
        where, kept = f"{self.folder}: ", _kept(self._newest())
        step, options = self.progress.num_steps, self.config.train
        if is_out_of_memory(error):
            return MemoryFullError(
                f"{where}out of memory at step {step} with train.batch_size={options.batch_size}; {kept}. The same "
                f"command goes on from it with {memory_advice(self.config)}"
            )
        first = str(error).strip().partition("\n")[0]
        if isinstance(error, torch.AcceleratorError) or "CUDA error" in first or "CUDA driver" in first:
            return DeviceLostError(
                f"{where}the GPU failed at step {step} ({first}); {kept}. The same command goes on from it, on another "
                "GPU with CUDA_VISIBLE_DEVICES=..., or with --set train.device=cpu"
            )
        lost = ("Connection closed by peer", "Connection reset by peer", "NCCL", "Gloo")
        if self.dist_context.world > 1 and any(word in str(error) for word in lost):
            return DeviceLostError(
                f"{where}another process of the run is gone at step {step} ({first}); {kept}. The same command goes on "
                "from it; torchrun --max-restarts=3 starts it again by itself"
            )
        return reader_lost(error)


def memory_advice(config: Config) -> str:
    """The options that make a step smaller."""
    return (
        f"--set train.accumulate={2 * config.train.accumulate} (smaller parts, same batch) or --set "
        "compute.precision=bf16; a new run may take a smaller train.batch_size, or --preset lean"
    )


def _kept(folder: Path | None) -> str:
    return f"the last good checkpoint is {folder}" if folder else "there was no checkpoint yet"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch ran out of memory, on a GPU or on a CPU (where it has no error class of its own)."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
