"""One training step: generator, then discriminators on the same fakes; losses as in `cssgan.training.losses`.

The step proper (`update`) works on tensors of one device alone and reads nothing back, so that it can be recorded as a
CUDA graph (`cssgan.training.cuda_graph`); what changes from step to step outside of the batch is set by `prepare`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from cssgan.config import Config
from cssgan.data import clip_orders
from cssgan.data.batches import split, streams
from cssgan.models.blocks import iterate_spectral_norms
from cssgan.models.interface import DiscriminatorOutput, Discriminators, VideoGenerator
from cssgan.training import augmentation, losses, precision
from cssgan.training.distributed import SINGLE_PROCESS, DistContext
from cssgan.types import Batch, Streams

TERMS = {
    "g_loss": "weighted sum of the generator's terms",
    "g_l1": "equation (4): mean absolute difference to the real clips, pictures in [-1, 1]",
    "g_image": "equation (1) for the generator",
    "g_video": "equation (2) for the generator",
    "g_order": "equation (3) on fakes",
    "g_class": "cross entropy of the class that the video discriminator names on fakes (with model.kind=mocogan)",
    "d_loss": "weighted sum of the discriminators' terms",
    "d_image": "equation (1) for the image discriminator; 1.386 where it knows nothing",
    "d_video": "equation (2) for the clip or video discriminator; 1.386 where it knows nothing",
    "d_order": "equation (3) on real clips; 3.178 (ln 24) where it knows nothing",
    "d_class": "the same on reals",
    "image_logit_margin": "mean logit of the image discriminator on reals less that on fakes",
    "video_logit_margin": "the same for the clip or video discriminator",
    "vote_acc_real": "share of real windows that the clips vote real",
    "vote_acc_fake": "share of fake windows that the clips vote fake",
    "order_acc_real": "share of real windows whose order is told right; chance 1 in 24",
    "order_acc_fake": "the same for fakes",
    "class_acc_real": "share of places in time of real windows whose class is named right (with model.kind=mocogan)",
    "class_acc_fake": "the same for fakes",
    "motion_ratio": "mean absolute change from frame to frame inside clips, fake / real",
    "r1": "mean squared gradient of the discriminators on reals (with loss.r1_gamma)",
    "r2": "the same on fakes (with loss.r2_gamma)",
    "g_grad_norm": "length of the generator's gradient",
    "d_grad_norm": "length of the discriminators' gradient",
}
"""What stats.jsonl holds. Terms that a configuration does not have, or that `loss.adv_start` holds back, are left out."""

Terms = dict[str, Tensor]


@dataclass(kw_only=True, slots=True, eq=False)
class TrainState:
    """The networks of a run with their optimizers."""

    generator: VideoGenerator
    discriminators: Discriminators
    g_optim: torch.optim.Adam
    d_optim: torch.optim.Adam
    average: VideoGenerator | None
    """The running average of the generator, if the run keeps one."""
    average_weight: Tensor
    """Scalar on the device: how far the average moves towards the generator in this step."""
    dist_context: DistContext = SINGLE_PROCESS
    """The processes that share each batch."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Part:
    """A batch, or a part of one that is worked on at a time, as it is presented."""

    batch: Batch
    real: Streams
    permutation_BS: Tensor
    """The order in which the predictor is shown the features of the clips, on top of the order of `real`."""


def new_train_state(
    config: Config,
    generator: VideoGenerator,
    discriminators: Discriminators,
    *,
    dist_context: DistContext = SINGLE_PROCESS,
) -> TrainState:
    """Optimizers, and the averaged copy, for freshly built networks (already on their device)."""
    device = next(generator.parameters()).device
    recorded = config.compute.cuda_graph and device.type == "cuda"

    def adam(network: torch.nn.Module, rate: float) -> torch.optim.Adam:
        return torch.optim.Adam(
            network.parameters(),
            lr=torch.tensor(rate, device=device) if recorded else rate,
            betas=(config.optim.beta1, config.optim.beta2),
            weight_decay=config.optim.weight_decay,
            fused=config.compute.fused_adam,
            capturable=recorded,
        )

    average = copy.deepcopy(generator).requires_grad_(False).eval() if config.train.ema_half_life else None
    return TrainState(
        generator=generator,
        discriminators=discriminators,
        g_optim=adam(generator, config.optim.g_lr),
        d_optim=adam(discriminators, config.optim.d_lr),
        average=average,
        average_weight=torch.zeros((), device=device),
        dist_context=dist_context,
    )


def train_step(train_state: TrainState, batch: Batch, config: Config, *, num_steps: int, num_videos: int) -> Terms:
    """Generator step, discriminator step, running average.

    Args:
        batch: this process's share.
        num_steps, num_videos: what was done before this step (for `loss.adv_start` and the learning rates).

    Returns:
        The terms of `TERMS`, detached, on the device; those of this process's share.
    """
    prepare(train_state, config, num_videos=num_videos)
    return update(train_state, batch, config, adversarial=is_adversarial(config, num_steps))


def is_adversarial(config: Config, num_steps: int) -> bool:
    """Whether the adversarial and order terms count in the step after `num_steps`."""
    return num_steps >= config.loss.adv_start


def prepare(train_state: TrainState, config: Config, *, num_videos: int) -> None:
    """Set what follows from the position in the run: learning rates, and how far the average moves."""
    _set_rates(train_state, config, num_videos)
    if train_state.average is not None:
        half_life = min(config.train.ema_half_life, max(num_videos, 1))
        train_state.average_weight.fill_(1.0 - 0.5 ** (config.train.batch_size / half_life))


def update(train_state: TrainState, batch: Batch, config: Config, *, adversarial: bool) -> Terms:
    """The step proper."""
    parts = [present(part, config) for part in split(batch, config.train.accumulate)]
    iterate_spectral_norms(train_state.generator)
    if adversarial:
        iterate_spectral_norms(train_state.discriminators)
    fakes, terms = generator_step(train_state, parts, config, adversarial=adversarial)
    if adversarial:
        terms |= discriminator_step(train_state, parts, fakes, config)
    if train_state.average is not None:
        _update_average(train_state.average, train_state.generator, train_state.average_weight)
    return terms


def present(batch: Batch, config: Config) -> Part:
    """The batch cut into clips, in the order in which generator and discriminators see them."""
    clip_at_BS = _clip_at(batch, config)
    in_time_BS = torch.arange(config.model.num_clips, device=clip_at_BS.device).expand_as(clip_at_BS)
    real = streams(batch, config.model.num_clips, clip_at_BS if config.order.shuffle == "gen" else in_time_BS)
    # Clips that the discriminator shuffles for itself are shuffled among the features of its trunk.
    permutation_BS = clip_at_BS if config.order.shuffle == "disc" else in_time_BS
    return Part(batch=batch, real=real, permutation_BS=permutation_BS)


def fakes(generator: VideoGenerator, batch: Batch, real: Streams, config: Config) -> Tensor:
    """The generator's clips in the presentation order of `real`, clips_BSCFHW."""
    if config.order.shuffle == "gen" and config.model.cascade_order == "chrono":
        clip_at_BS = _clip_at(batch, config)
        in_time = generator(
            batch.video_BCTHW[:, :, 0], clip_orders.restore(real.mels_BSFMU, clip_at_BS), batch.label_BK, batch.noise_BZ
        )
        return clip_orders.present(in_time, clip_at_BS)
    return generator(start_image(batch, real, config), real.mels_BSFMU, batch.label_BK, batch.noise_BZ)


def start_image(batch: Batch, real: Streams, config: Config) -> Tensor:
    """The image that stream 1 starts from, by `model.start_image`."""
    if config.model.start_image == "clip_first":
        return real.clips_BSCFHW[:, 0, :, 0]
    if config.model.start_image == "clip_prev" and config.order.shuffle == "gen":
        first_clip_B = _clip_at(batch, config)[:, 0]
        frame_B = (first_clip_B * config.frames_per_clip - 1).clamp(min=0)
        return batch.video_BCTHW[torch.arange(batch.num_videos, device=frame_B.device), :, frame_B]
    return batch.video_BCTHW[:, :, 0]


def generator_step(
    train_state: TrainState, parts: list[Part], config: Config, *, adversarial: bool
) -> tuple[list[Tensor], Terms]:
    """Move the generator; gives the fakes of each part, detached, and the mean terms."""
    train_state.generator.train()
    train_state.discriminators.requires_grad_(False)
    train_state.g_optim.zero_grad(set_to_none=True)
    made: list[Tensor] = []
    all_terms: list[Terms] = []
    for part in parts:
        fake, total, terms = generator_losses(train_state, part, config, adversarial=adversarial)
        _backward(total, len(parts))
        made.append(fake.detach())
        all_terms.append({**terms, "g_loss": total})
    terms = _means(all_terms)
    terms["g_grad_norm"] = _optimizer_step(train_state.generator, train_state.g_optim, train_state.dist_context)
    train_state.discriminators.requires_grad_(True)
    terms["motion_ratio"] = _motion_ratio(made, parts)
    return made, terms


def generator_losses(
    train_state: TrainState, part: Part, config: Config, *, adversarial: bool
) -> tuple[Tensor, Tensor, Terms]:
    """The generator's clips, its weighted loss, and the terms of it."""
    batch, real, weights = part.batch, part.real, config.loss
    device = batch.video_BCTHW.device
    with precision.autocast(config, device):
        fake = fakes(train_state.generator, batch, real, config)
    terms: Terms = {"g_l1": losses.l1_loss(fake, real.clips_BSCFHW, real.valid_BSF, batch.mean_valid)}
    total = weights.l1_weight * terms["g_l1"]
    if adversarial:
        with precision.autocast(config, device):
            output = _discriminate(train_state, part, _augmented(fake, batch, config, augmentation.FAKES_G), config)
            logits_BP = train_state.discriminators.predict_order(output.features_BSDHW, part.permutation_BS)
            real_output = None
            if weights.gan == "rpgan":
                real_output = _discriminate(
                    train_state, part, _augmented(real.clips_BSCFHW, batch, config, augmentation.REALS), config
                )
        terms["g_image"], terms["g_video"] = _generator_adversarial_losses(output, real_output, config)
        total = total + weights.image_weight * terms["g_image"] + weights.video_weight * terms["g_video"]
        if logits_BP is not None:
            logits_BP = logits_BP.float()
            terms["g_order"] = losses.order_loss(logits_BP, real.order_B, batch.order_counts_B, batch.mean_counts)
            terms["order_acc_fake"] = _order_accuracy(logits_BP, batch)
            total = total + weights.order_weight * terms["g_order"]
        if output.class_BVK is not None:
            terms["g_class"], terms["class_acc_fake"] = losses.class_loss(output.class_BVK, batch.label_BK)
            total = total + weights.class_weight * terms["g_class"]
    return fake, total, terms


def discriminator_step(train_state: TrainState, parts: list[Part], fakes: list[Tensor], config: Config) -> Terms:
    """Move the discriminators; gives the mean terms."""
    train_state.d_optim.zero_grad(set_to_none=True)
    all_terms: list[Terms] = []
    for part, fake in zip(parts, fakes, strict=True):
        total, terms = discriminator_losses(train_state, part, fake, config)
        _backward(total, len(parts))
        all_terms.append({**terms, "d_loss": total})
    terms = _means(all_terms)
    terms["d_grad_norm"] = _optimizer_step(train_state.discriminators, train_state.d_optim, train_state.dist_context)
    train_state.d_optim.zero_grad(set_to_none=True)
    return terms


def discriminator_losses(
    train_state: TrainState, part: Part, fake_BSCFHW: Tensor, config: Config
) -> tuple[Tensor, Terms]:
    """The discriminators' weighted loss, and the terms of it."""
    batch, real, discriminators, weights = part.batch, part.real, train_state.discriminators, config.loss
    size, penalized = batch.num_videos, weights.r1_gamma > 0 or weights.r2_gamma > 0
    shown = torch.cat(
        (
            _augmented(real.clips_BSCFHW, batch, config, augmentation.REALS),
            _augmented(fake_BSCFHW, batch, config, augmentation.FAKES_D),
        )
    ).requires_grad_(penalized)
    # Penalties are gradients of gradients; half precision is too coarse for them.
    with precision.autocast(config, shown.device, enabled=not penalized):
        if discriminators.together:
            # One pass for both: without batch statistics this changes nothing but the time.
            both = _discriminate(train_state, part, shown, config, times=2)
        else:
            both = _discriminate(train_state, part, shown[:size], config).then(
                _discriminate(train_state, part, shown[size:], config)
            )
        logits_BP = discriminators.predict_order(both.first(size).features_BSDHW, part.permutation_BS)
    image_real, image_fake = both.image_BS.split(size)
    video = [logits.split(size) for logits in _video_logits(both, config)]
    game = losses.adversarial_d if weights.gan == "bce" else losses.relativistic_loss
    terms: Terms = {
        "d_image": game(image_real, image_fake),
        "d_video": sum_of([game(real, fake) for real, fake in video]),
        "image_logit_margin": image_real.mean() - image_fake.mean(),
        "video_logit_margin": sum_of([real.mean() - fake.mean() for real, fake in video]),
    }
    total = terms["d_image"] + terms["d_video"]
    if logits_BP is not None:
        logits_BP = logits_BP.float()
        terms["d_order"] = losses.order_loss(logits_BP, real.order_B, batch.order_counts_B, batch.mean_counts)
        terms["order_acc_real"] = _order_accuracy(logits_BP, batch)
        total = total + weights.order_weight_d * terms["d_order"]
    if both.clip_BS is not None:
        votes_real, votes_fake = losses.vote(both.clip_BS).split(size)
        terms["vote_acc_real"] = votes_real.float().mean()
        terms["vote_acc_fake"] = 1.0 - votes_fake.float().mean()
    if both.class_BVK is not None:
        terms["d_class"], terms["class_acc_real"] = losses.class_loss(both.class_BVK[:size], batch.label_BK)
        total = total + weights.class_weight_d * terms["d_class"]
    for name, gamma, rows in (("r1", weights.r1_gamma, slice(size)), ("r2", weights.r2_gamma, slice(size, None))):
        if gamma > 0:
            terms[name] = sum_of([losses.gradient_penalty(logits[rows], shown) for logits in _all_logits(both)])
            total = total + gamma / 2 * terms[name]
    return total, terms


def _discriminate(
    train_state: TrainState, part: Part, clips_BSCFHW: Tensor, config: Config, *, times: int = 1
) -> DiscriminatorOutput:
    """What the discriminators say of clips that follow the conditions of `part`, `times` times over; float32."""
    batch = part.batch
    mels = part.real.mels_BSFMU.repeat(times, 1, 1, 1, 1) if config.discriminator.d_audio else None
    output = train_state.discriminators(
        clips_BSCFHW, batch.label_BK.repeat(times, 1), batch.frame_index_BS.repeat(times, 1), mels
    )
    return output.in_float32()


def _generator_adversarial_losses(
    output: DiscriminatorOutput, real_output: DiscriminatorOutput | None, config: Config
) -> tuple[Tensor, Tensor]:
    """Equations (1) and (2) for the generator; against `rival`, the verdict on reals, in the relativistic game."""
    video = _video_logits(output, config)
    if real_output is None:
        return losses.real_loss(output.image_BS), sum_of([losses.real_loss(logits) for logits in video])
    pairs = zip(video, _video_logits(real_output, config), strict=True)
    return (
        losses.relativistic_loss(output.image_BS, real_output.image_BS),
        sum_of([losses.relativistic_loss(fake, real) for fake, real in pairs]),
    )


def _augmented(clips_BSCFHW: Tensor, batch: Batch, config: Config, use: int) -> Tensor:
    if batch.augment_BUA is None:
        return clips_BSCFHW
    return augmentation.augment(clips_BSCFHW, batch.augment_BUA[:, use], config.discriminator.augment)


def _backward(total: Tensor, parts: int) -> None:
    (total if parts == 1 else total / parts).backward()


def _optimizer_step(network: torch.nn.Module, optim: torch.optim.Adam, dist_context: DistContext) -> Tensor:
    """One step of the optimizer on the mean gradient of all processes; its length."""
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    dist_context.average(gradients)
    optim.step()
    return torch.nn.utils.get_total_norm(gradients)


def _means(all_terms: list[Terms]) -> Terms:
    """The mean of each term over parts, detached."""
    if len(all_terms) == 1:
        return {name: value.detach() for name, value in all_terms[0].items()}
    return {name: torch.stack([terms[name].detach() for terms in all_terms]).mean() for name in all_terms[0]}


def _video_logits(output: DiscriminatorOutput, config: Config) -> list[Tensor]:
    """The logits of equation (2): clips (by vote), whole window, or both."""
    logits = [] if output.clip_BS is None else [losses.vote_logits(output.clip_BS, config.loss.vote_loss)]
    return logits if output.video_B is None else [*logits, output.video_B]


def _all_logits(output: DiscriminatorOutput) -> list[Tensor]:
    """The logits of each discriminator, images first."""
    return [logits for logits in (output.image_BS, output.clip_BS, output.video_B) if logits is not None]


def _clip_at(batch: Batch, config: Config) -> Tensor:
    return clip_orders.clip_at(batch.order_B, config.model.num_clips, config.order.max_orders)


def _order_accuracy(logits_BP: Tensor, batch: Batch) -> Tensor:
    right_B = (logits_BP.argmax(dim=1) == batch.order_B).float() * batch.order_counts_B
    total = batch.order_counts_B.sum().clamp(min=1.0) if batch.mean_counts is None else batch.mean_counts
    return right_B.sum() / total


def sum_of(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).sum()


def motion(clips_BSCFHW: Tensor) -> Tensor:
    """Mean absolute change from frame to frame inside clips."""
    return (clips_BSCFHW[:, :, :, 1:] - clips_BSCFHW[:, :, :, :-1]).abs_().mean()


def _motion_ratio(fakes: list[Tensor], parts: list[Part]) -> Tensor:
    fake = torch.stack([motion(clips) for clips in fakes]).mean()
    real = torch.stack([motion(part.real.clips_BSCFHW) for part in parts]).mean()
    return fake / real.clamp(min=1e-6)


def _set_rates(train_state: TrainState, config: Config, num_videos: int) -> None:
    """Constant rates, then linearly down to a tenth over the last `optim.lr_decay_fraction` of the run."""
    share = config.optim.lr_decay_fraction
    left = max(1.0 - num_videos / config.train.num_videos, 0.0)
    factor = 1.0 if share == 0.0 or left >= share else 0.1 + 0.9 * left / share
    for optim, rate in ((train_state.g_optim, config.optim.g_lr), (train_state.d_optim, config.optim.d_lr)):
        for group in optim.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate * factor)
            else:
                group["lr"] = rate * factor


@torch.no_grad()
def _update_average(average: VideoGenerator, generator: VideoGenerator, weight: Tensor) -> None:
    """Weights: exponential average whose half-life grows to `train.ema_half_life`; statistics of norms: as they are."""
    for mine, its in zip(average.parameters(), generator.parameters(), strict=True):
        mine.lerp_(its, weight)
    for mine, its in zip(average.buffers(), generator.buffers(), strict=True):
        mine.copy_(its)


def optimizer_state(train_state: TrainState) -> dict[str, Any]:
    """What a checkpoint keeps beside the weights."""
    return {"g_optim": train_state.g_optim.state_dict(), "d_optim": train_state.d_optim.state_dict()}


def load_optimizer_state(train_state: TrainState, state: dict[str, Any]) -> None:
    """Take over the moments; how an optimizer computes stays as this start of the run has it."""
    for optim, name in ((train_state.g_optim, "g_optim"), (train_state.d_optim, "d_optim")):
        own = [{key: group[key] for key in ("lr", "fused", "capturable")} for group in optim.param_groups]
        saved = cast(dict[str, Any], state[name])
        groups = [{**group, **mine} for group, mine in zip(saved["param_groups"], own, strict=True)]
        optim.load_state_dict({"state": saved["state"], "param_groups": groups})
