"""The order predictor (equation 3): its accuracy on real clips, what is possible on them, and the size of its gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cssgan.config import Config
from cssgan.data import loaders, resident
from cssgan.data.loaders import TrainingData
from cssgan.data.shards import available_splits
from cssgan.errors import ConfigError
from cssgan.evaluators import inference
from cssgan.models import factory
from cssgan.models.blocks import iterate_spectral_norms
from cssgan.models.interface import Discriminators
from cssgan.training import checkpoint, losses, order_readouts
from cssgan.training.step import TrainState, generator_losses, micro_batch, new_train_state
from cssgan.types import Batch, EvalWindows, Split

STILL_GREY_LEVELS = 2
"""Two neighbouring clips are still if no pixel of them differs by more from the first frame."""
MAX_WINDOWS = 100
CPU = torch.device("cpu")
Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderRow:
    """Accuracy on one set of real windows without held frames.

    Args:
        name: of the set.
        accuracy, pairs: of the order predictor; chance levels 1 / orders and 1/2.
        nearest_accuracy, nearest_pairs: of the order with the least change at its cuts, a rule without a network.
        still_share: share of windows with two neighbouring clips that are still, whose order cannot be known.
    """

    name: str
    num_windows: int
    accuracy: float
    pairs: float
    nearest_accuracy: float
    nearest_pairs: float
    still_share: float

    def cells(self) -> tuple[str, ...]:
        shares = (self.accuracy, self.pairs, self.nearest_accuracy, self.nearest_pairs, self.still_share)
        return (self.name, str(self.num_windows), *(f"{share:.3f}" for share in shares))


COLUMNS = (
    "windows of",
    "number",
    "accuracy",
    "pairs",
    "nearest frames: accuracy",
    "nearest frames: pairs",
    "still neighbours",
)


def held_out(config: Config, training: TrainingData, dataset: str, others: Sequence[Path]) -> dict[str, EvalWindows]:
    """Windows without held frames, from a random start: of each split of `dataset`, and of all clips of `others`."""
    if config.data.frame_stride > 1:
        raise ConfigError("data.frame_stride", config.data.frame_stride, "1 for this benchmark")
    sets: list[tuple[str, str, Split]] = []
    for title, source in (("", dataset), *((path.name, str(path)) for path in others)):
        for split in available_splits(source):
            sets.append((f"{title} ({split})" if title else split, source, split))
    found: dict[str, EvalWindows] = {}
    for name, source, split in sets:
        windows = resident.eval_windows(
            source, split, config=config, label_set=training.label_set, mel_stats=training.mel_stats(config),
            num_videos=MAX_WINDOWS, start="anywhere",
        )  # fmt: skip
        found[name] = windows.select(np.flatnonzero(windows.num_valid_N == config.data.num_frames))
    return {name: windows for name, windows in found.items() if len(windows)}


def measure(name: str, discriminators: Discriminators, windows: EvalWindows, config: Config) -> OrderRow:
    """Accuracy of an order predictor on the CPU; `windows` has at least one window without held frames."""
    windows = windows.select(np.flatnonzero(windows.num_valid_N == windows.video_NTHWC.shape[1]))
    found = order_readouts.order_accuracy(discriminators, windows, config, CPU)
    nearest = inference.order_by_boundary_change(windows.video_NTHWC, windows.num_valid_N)
    return OrderRow(
        name=name,
        num_windows=len(windows),
        accuracy=float(found.accuracy_N.mean()),
        pairs=float(found.pairs_N.mean()),
        nearest_accuracy=float(nearest.accuracy_N.mean()),
        nearest_pairs=float(nearest.pairs_N.mean()),
        still_share=float(has_still_neighbours(windows.video_NTHWC, config.frames_per_clip).mean()),
    )


def has_still_neighbours(video_NTHWC: NDArray[np.uint8], frames_per_clip: int) -> NDArray[np.bool_]:
    """Whether two neighbouring clips of a window are still and equal, (N,)."""
    video = video_NTHWC.astype(np.int16)
    clips = video.reshape(len(video), -1, frames_per_clip, *video.shape[2:])
    pairs = np.concatenate((clips[:, :-1], clips[:, 1:]), axis=2)
    change = np.abs(pairs - pairs[:, :, :1]).max(axis=(2, 3, 4, 5))
    return (change <= STILL_GREY_LEVELS).any(axis=1)


def train_alone(config: Config, training: TrainingData, num_steps: int) -> Iterator[tuple[int, Discriminators]]:
    """Train the discriminators of `config` with equation (3) on real clips alone, without a generator.

    Yields:
        The number of steps and the discriminators, halfway and at the end.
    """
    torch.manual_seed(config.train.seed)
    discriminators = factory.discriminators(config, num_classes=len(training.label_set))
    optim = torch.optim.Adam(
        discriminators.parameters(), lr=config.optim.d_lr, betas=(config.optim.beta1, config.optim.beta2)
    )
    loader = loaders.training_loader(training, config, CPU)
    try:
        for step in range(1, num_steps + 1):
            batch = loader.batch((step - 1) * config.train.batch_size)
            part = micro_batch(batch, config)
            iterate_spectral_norms(discriminators)
            output = discriminators(part.real.clips_BSCFHW, batch.label_BK, batch.frame_index_BS, part.real.mels_BSFMU)
            logits_BP = discriminators.predict_order(output, part.permutation_BS)
            assert logits_BP is not None
            optim.zero_grad()
            losses.order_loss(logits_BP, batch.order_B, batch.order_mask_B).backward()
            optim.step()
            if step in (num_steps // 2, num_steps):
                yield step, discriminators
    finally:
        loader.close()


def load_state(run: Path) -> tuple[Config, TrainState]:
    """Networks of the newest checkpoint of a run, on the CPU. Raises `CheckpointError` without one."""
    found = checkpoint.load_newest(run)
    generator = factory.generator(found.config, num_classes=len(found.label_set))
    discriminators = factory.discriminators(found.config, num_classes=len(found.label_set))
    generator.load_state_dict(found.generator_weights())
    discriminators.load_state_dict(found.discriminator_weights())
    return found.config, new_train_state(found.config, generator, discriminators)


def gradient_norms(train_state: TrainState, batches: Sequence[Batch], config: Config) -> Mapping[str, float]:
    """L2 norm of the gradient of each term of the generator's loss, with its weight, with respect to the generated clips.

    Means over `batches`. ``reconstruction`` is the gradient of L1 and squared error together. Nothing is updated.
    """
    loss = config.loss
    weights = {
        "g_l1": loss.l1_weight, "g_l2": loss.l2_weight, "g_image": loss.image_weight, "g_video": loss.video_weight,
        "g_order": loss.order_weight,
    }  # fmt: skip
    norms: dict[str, list[float]] = {}
    train_state.generator.train()
    for batch in batches:
        fake, _, terms = generator_losses(train_state, micro_batch(batch, config), config, adversarial=True)
        gradients: dict[str, Tensor] = {}
        for name, weight in weights.items():
            if name in terms:
                (gradient,) = torch.autograd.grad(terms[name], fake, retain_graph=True)
                gradients[name] = weight * gradient
        gradients["reconstruction"] = torch.stack(
            [gradients[name] for name in ("g_l1", "g_l2") if name in gradients]
        ).sum(dim=0)
        for name, gradient in gradients.items():
            norms.setdefault(name, []).append(float(gradient.norm()))
    return {name: float(np.mean(values)) for name, values in norms.items()}
