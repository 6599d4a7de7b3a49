"""Cost of a training step, counted without running it: on ``meta`` tensors, which have shapes but no values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from cssgan import config as configs
from cssgan.config import Config, object_size
from cssgan.data.sampler import AUGMENT_SHAPE, MISMATCH_NUMBERS
from cssgan.models import factory
from cssgan.training.step import TrainState, discriminator_losses, generator_losses, micro_batch, new_train_state
from cssgan.types import Batch
from phonics_data.contract.logmel import LogMelSpec

META = torch.device("meta")


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCost:
    """Cost of one step in one process."""

    generator_weights: int
    discriminator_weights: int
    flops: float
    """Multiplications and additions, forward and backward, of generator and discriminator step, without optimizers."""
    state_bytes: int
    """Weights, gradients, Adam's moments, and the running average."""
    activation_bytes: int
    """Peak of the tensors saved for a backward pass, in float32; about half in bf16."""

    @property
    def total_bytes(self) -> int:
        return self.state_bytes + self.activation_bytes


def synthetic_batch(config: Config, num_videos: int, *, num_classes: int, device: torch.device) -> Batch:
    """A batch of random values with the shapes of `config` (shapes only on ``meta``)."""
    size, frames, spec = config.data.size, config.data.num_frames, LogMelSpec()
    augmented, picture = config.discriminator.augment != "none", object_size(size)
    with device:
        return Batch(
            keys=(),
            video_BCTHW=torch.rand(num_videos, 3, frames, size, size).mul_(2).sub_(1),
            mels_BTMU=torch.randn(num_videos, frames, spec.num_bands, spec.segment_hops),
            label_BK=functional.one_hot(torch.arange(num_videos) % num_classes, num_classes).float(),
            num_valid_B=torch.full((num_videos,), frames),
            order_B=torch.arange(num_videos) % config.num_orders,
            order_mask_B=torch.ones(num_videos),
            in_order_B=torch.zeros(num_videos, dtype=torch.bool),
            frame_index_BS=torch.zeros(num_videos, config.discriminator_frames[0], dtype=torch.long),
            noise_BZ=torch.zeros(num_videos, config.model.z_dim),
            augment_BUA=torch.rand(num_videos, *AUGMENT_SHAPE) if augmented else None,
            mismatch_BU=torch.rand(num_videos, MISMATCH_NUMBERS) if config.loss.mismatch_weight > 0 else None,
            item_B=torch.arange(num_videos) if config.loss.mismatch_weight > 0 else None,
            object_BCHW=torch.rand(num_videos, 4, picture, picture) if config.model.object_condition else None,
            boxes_BT4=torch.full((num_videos, config.data.num_frames, 4), torch.nan)
            if config.loss.place_weight
            else None,
            word_BE=torch.zeros(num_videos, config.model.word_dim) if config.model.word_dim else None,
        )


def step_cost(config: Config, *, num_classes: int, world_size: int = 1) -> StepCost:
    """The cost of a step of `config` in one of `world_size` processes."""
    # These options choose kernels, which meta tensors do not have.
    config = configs.replace(
        config, {"compute.fused_adam": False, "compute.precision": "fp32", "compute.cuda_graph": False}
    )
    with META:
        train_state = new_train_state(
            config,
            factory.generator(config, num_classes=num_classes),
            factory.discriminators(config, num_classes=num_classes),
        )
    num_videos = max(config.train.batch_size // world_size // config.train.accumulate, 1)
    batch = synthetic_batch(config, num_videos, num_classes=num_classes, device=META)
    with FlopCounterMode(display=False) as counter:
        activation_bytes = _activation_bytes(train_state, batch, config)
    generator, discriminators = (
        sum(p.numel() for p in network.parameters()) for network in (train_state.generator, train_state.discriminators)
    )
    return StepCost(
        generator_weights=generator,
        discriminator_weights=discriminators,
        flops=float(counter.get_total_flops() * config.train.accumulate),
        state_bytes=16 * (generator + discriminators) + (4 * generator if train_state.ema_generator is not None else 0),
        activation_bytes=activation_bytes,
    )


def _activation_bytes(train_state: TrainState, batch: Batch, config: Config) -> int:
    """Run both losses forward and backward. Returns the larger of their sizes of saved tensors."""
    saved: dict[int, int] = {}

    def save(tensor: Tensor) -> Tensor:
        saved[_storage_id(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    def saved_bytes() -> int:
        return sum(size for storage, size in saved.items() if storage not in weights)

    part = micro_batch(batch, config)
    weights = {_storage_id(p) for net in (train_state.generator, train_state.discriminators) for p in net.parameters()}
    with saved_tensors_hooks(save, lambda tensor: tensor):
        train_state.discriminators.requires_grad_(False)
        fake, loss, _ = generator_losses(train_state, part, config, adversarial=True)
        generator_bytes = saved_bytes()
        loss.backward()
        saved.clear()
        train_state.discriminators.requires_grad_(True)
        loss, _ = discriminator_losses(train_state, part, fake.detach(), config)
        discriminator_bytes = saved_bytes()
        loss.backward()
    return max(generator_bytes, discriminator_bytes)


def _storage_id(tensor: Tensor) -> int:
    """Identifies a storage; those of meta tensors have no address."""
    return int(tensor.untyped_storage()._cdata)  # pyright: ignore[reportPrivateUsage]
