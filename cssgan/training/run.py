"""A training run in progress: its checkpoints, its logged means, and the errors that stop it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch

from cssgan.config import Config
from cssgan.data.loaders import TrainingLoader
from cssgan.data.reader_processes import reader_lost_error
from cssgan.errors import DeviceLostError, DivergenceError, MemoryFullError
from cssgan.training import checkpoint
from cssgan.training.collapse import CollapseDetector
from cssgan.training.distributed import SINGLE_PROCESS, DistContext
from cssgan.training.step import Terms, TrainState, load_optimizer_state, optimizer_state
from cssgan.types import LossTerms, MelStats, Progress
from phonics_data.errors import PhonicsDataError

TermSums = dict[str, torch.Tensor]
"""For each term the float64 pair (sum, number of steps) since the last line of the log."""


@dataclass(kw_only=True, slots=True, eq=False)
class TrainingRun:
    """One process's view of a run. `train_state` is what a step changes; the rest surrounds it."""

    folder: Path
    config: Config
    loader: TrainingLoader
    mel_stats: MelStats
    train_state: TrainState
    progress: Progress
    train_shards: str
    """Digest of the training shards."""
    collapse_detector: CollapseDetector
    dist_context: DistContext = SINGLE_PROCESS
    term_sums: TermSums = field(default_factory=dict[str, torch.Tensor])
    """Of this process."""
    val_l1: float | None = None
    """Validation L1 of the last samples, if there were samples since the last checkpoint."""

    def restore(self, found: checkpoint.Checkpoint) -> None:
        """Load a checkpoint: weights, optimizers, position, partial means, state of the collapse detector."""
        train_state = self.train_state
        train_state.generator.load_state_dict(found.generator_weights())
        train_state.discriminators.load_state_dict(found.discriminator_weights())
        if train_state.ema_generator is not None:
            train_state.ema_generator.load_state_dict(found.generator_weights("ema"))
        saved = found.state()
        load_optimizer_state(train_state, saved)
        if self.dist_context.is_main:  # the saved sums are those of all processes
            self.term_sums = {name: tensor.to(self.loader.device) for name, tensor in saved["sums"].items()}
        since = int(saved.get("trouble_since", -1))
        self.collapse_detector.since = None if since < 0 else since
        self.progress = found.progress

    def add_terms(self, terms: Terms) -> None:
        """Add the terms of one step to the sums."""
        for name, value in terms.items():
            pair = torch.stack((value.double(), torch.ones_like(value, dtype=torch.float64)))
            self.term_sums[name] = self.term_sums[name] + pair if name in self.term_sums else pair

    def pop_means(self) -> LossTerms:
        """The means over all steps and processes since the last call; resets the sums.

        Raises:
            DivergenceError: a mean is not finite, or a collapse has lasted for `train.collapse_steps`.
        """
        means = self.means()
        self.term_sums = {}
        step = self.progress.num_steps
        if problem := self.collapse_detector.update(means, step=step, num_steps=self.config.train.log_every):
            raise DivergenceError(
                f"{self.folder}: collapse: {problem}, until step {step}; "
                f"{_last_good(self._checkpoint_before_collapse())}. In a new run folder try a lower --set "
                "optim.d_lr=..., discriminator.augment=all, or loss.gan=rpgan with loss.r1_gamma and loss.r2_gamma; "
                "train.collapse_steps=0 disables this check"
            )
        return means

    def means(self) -> LossTerms:
        """The means without a reset. Raises `DivergenceError` if one is not finite."""
        sums = self._reduced_sums()
        self._check_finite(sums)
        return {name: float(pair[0] / pair[1]) for name, pair in sums.items()}

    def check_finite(self) -> None:
        """Raise `DivergenceError` if a term was not finite since the last reset."""
        self._check_finite(self._reduced_sums())

    def save_checkpoint(self) -> None:
        """Write a checkpoint in the main process. Raises `DivergenceError` if a weight is not finite."""
        sums = self._reduced_sums()
        try:
            if self.dist_context.is_main:
                self._save_checkpoint(sums)
        finally:
            self.dist_context.barrier()

    def _save_checkpoint(self, sums: TermSums) -> None:
        generator, discriminators = (
            self.train_state.generator.state_dict(),
            self.train_state.discriminators.state_dict(),
        )
        for network, tensors in (("generator", generator), ("discriminators", discriminators)):
            for name, tensor in tensors.items():
                if not bool(torch.isfinite(tensor).all()):
                    raise self._divergence(f"{network} weight {name}")
        weights = {checkpoint.GENERATOR: generator, checkpoint.DISCRIMINATORS: discriminators}
        if self.train_state.ema_generator is not None:
            weights[checkpoint.AVERAGE] = self.train_state.ema_generator.state_dict()
        since = self.collapse_detector.since
        checkpoint.save(
            self.folder,
            weights=weights,
            state={
                **optimizer_state(self.train_state),
                "sums": sums,
                "trouble_since": -1 if since is None else since,
            },
            config=self.config,
            label_set=self.loader.label_set,
            mel_stats=self.mel_stats,
            frame_rate=self.loader.frame_rate,
            progress=self.progress,
            train_shards=self.train_shards,
            val_l1=self.val_l1,
            keep_also=None if since is None else self._checkpoint_before_collapse(),
        )

    def _reduced_sums(self) -> TermSums:
        """The sums over all processes. All processes must call it at the same step."""
        names = sorted({name for names in self.dist_context.all_gather(sorted(self.term_sums)) for name in names})
        zero = torch.zeros(2, dtype=torch.float64, device=self.loader.device)
        return {name: self.dist_context.all_reduce_sum(self.term_sums.get(name, zero)) for name in names}

    def _check_finite(self, sums: TermSums) -> None:
        for name, pair in sums.items():
            if not bool(torch.isfinite(pair).all()):
                raise self._divergence(name)

    def _divergence(self, what: str) -> DivergenceError:
        return DivergenceError(
            f"{self.folder}: {what} is no longer finite at step {self.progress.num_steps}; "
            f"{_last_good(self._newest_checkpoint())}. Lower the learning rates (--set optim.g_lr=..., optim.d_lr=...) "
            "in a new run folder"
        )

    def _newest_checkpoint(self) -> Path | None:
        """The newest checkpoint of this run; those of later steps were refused."""
        return next(iter(checkpoint.folders(self.folder, up_to=self.progress.num_steps)), None)

    def _checkpoint_before_collapse(self) -> Path | None:
        return next(iter(checkpoint.folders(self.folder, up_to=self.collapse_detector.since)), None)

    def translate_error(self, error: RuntimeError) -> PhonicsDataError | None:
        """The error of this project for an error of torch; None if the cause is a bug."""
        kept = _last_good(self._newest_checkpoint())
        step, options = self.progress.num_steps, self.config.train
        if is_out_of_memory(error):
            return MemoryFullError(
                f"{self.folder}: out of memory at step {step} with train.batch_size={options.batch_size}; {kept}. The "
                f"same command resumes from it with {memory_advice(self.config)}"
            )
        first_line = str(error).strip().partition("\n")[0]
        if isinstance(error, torch.AcceleratorError) or "CUDA error" in first_line or "CUDA driver" in first_line:
            return DeviceLostError(
                f"{self.folder}: the GPU failed at step {step} ({first_line}); {kept}. The same command resumes from "
                "it, on another GPU with CUDA_VISIBLE_DEVICES=..., or with --set train.device=cpu"
            )
        lost = ("Connection closed by peer", "Connection reset by peer", "NCCL", "Gloo")
        if self.dist_context.world_size > 1 and any(word in str(error) for word in lost):
            return DeviceLostError(
                f"{self.folder}: another process of the run ended at step {step} ({first_line}); {kept}. The same "
                "command resumes from it; torchrun --max-restarts=3 restarts it automatically"
            )
        return reader_lost_error(error)


def memory_advice(config: Config) -> str:
    """The options that reduce the memory of a step."""
    return (
        f"--set train.accumulate={2 * config.train.accumulate} (smaller parts, same batch) or --set "
        "compute.precision=bf16; a new run may use a smaller train.batch_size, or --preset lean"
    )


def _last_good(folder: Path | None) -> str:
    return f"the last good checkpoint is {folder}" if folder else "there is no checkpoint yet"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch ran out of memory, on a GPU or on a CPU (for which torch has no error class)."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
