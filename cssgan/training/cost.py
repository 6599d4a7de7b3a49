"""What a training step costs, counted without running it: on tensors that have shapes and no values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from cssgan import config as configs
from cssgan.config import Config
from cssgan.data.batches import AUGMENT_DRAWS
from cssgan.models import factory
from cssgan.training.step import TrainState, discriminator_losses, generator_losses, new_train_state, present
from cssgan.types import Batch
from phonics_data.contract.logmel import LogMelSpec

META = torch.device("meta")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Of one step of one process."""

    generator_weights: int
    discriminator_weights: int
    flops: float
    """Multiplications and additions of generator and discriminator step, forward and backward, without optimizers."""
    state_bytes: int
    """Weights, gradients, moments of Adam, and the averaged weights."""
    activation_bytes: int
    """What a backward pass keeps in float32, at its largest; about half of it in bf16."""

    @property
    def total_bytes(self) -> int:
        return self.state_bytes + self.activation_bytes


def batch_like(config: Config, num_videos: int, *, num_classes: int, device: torch.device) -> Batch:
    """A batch of the right shapes; its values are noise (or none, on ``meta``)."""
    size, frames, spec = config.data.size, config.data.num_frames, LogMelSpec()
    augmented = config.discriminator.augment != "none"
    with device:
        return Batch(
            keys=(),
            video_BCTHW=torch.rand(num_videos, 3, frames, size, size).mul_(2).sub_(1),
            mels_BTMU=torch.randn(num_videos, frames, spec.num_bands, spec.segment_hops),
            label_BK=functional.one_hot(torch.arange(num_videos) % num_classes, num_classes).float(),
            num_valid_B=torch.full((num_videos,), frames),
            order_B=torch.arange(num_videos) % config.num_orders,
            order_counts_B=torch.ones(num_videos),
            frame_index_BS=torch.zeros(num_videos, config.discriminator_frames[0], dtype=torch.long),
            noise_BZ=torch.zeros(num_videos, config.model.z_dim),
            augment_BUA=torch.rand(num_videos, *AUGMENT_DRAWS) if augmented else None,
        )


def cost(config: Config, *, num_classes: int, world: int = 1) -> Cost:
    """The cost of a step of `config` on one of `world` processes."""
    # Counting needs no kernels: whatever only chooses among them is off.
    config = configs.replace(
        config, {"compute.fused_adam": False, "compute.precision": "fp32", "compute.cuda_graph": False}
    )
    with META:
        train_state = new_train_state(
            config,
            factory.generator(config, num_classes=num_classes),
            factory.discriminators(config, num_classes=num_classes),
        )
    each = max(config.train.batch_size // world // config.train.accumulate, 1)
    batch = batch_like(config, each, num_classes=num_classes, device=META)
    with FlopCounterMode(display=False) as counter:
        activations = _activations(train_state, batch, config)
    generator, discriminators = (
        sum(p.numel() for p in network.parameters()) for network in (train_state.generator, train_state.discriminators)
    )
    return Cost(
        generator_weights=generator,
        discriminator_weights=discriminators,
        flops=float(counter.get_total_flops() * config.train.accumulate),
        state_bytes=16 * (generator + discriminators) + (4 * generator if train_state.average is not None else 0),
        activation_bytes=activations,
    )


def _activations(train_state: TrainState, batch: Batch, config: Config) -> int:
    """Run both losses forward and backward; the bytes that the larger one kept for its backward pass."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[_key(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    part = present(batch, config)
    own = {_key(p) for net in (train_state.generator, train_state.discriminators) for p in net.parameters()}
    peaks: list[int] = []
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        train_state.discriminators.requires_grad_(False)
        fake, total, _ = generator_losses(train_state, part, config, adversarial=True)
        peaks.append(sum(size for key, size in kept.items() if key not in own))
        total.backward()
        kept.clear()
        train_state.discriminators.requires_grad_(True)
        total, _ = discriminator_losses(train_state, part, fake.detach(), config)
        peaks.append(sum(size for key, size in kept.items() if key not in own))
        total.backward()
    return max(peaks)


def _key(tensor: Tensor) -> int:
    """What tells memory from memory; tensors without values have no address."""
    return int(tensor.untyped_storage()._cdata)  # pyright: ignore[reportPrivateUsage]
