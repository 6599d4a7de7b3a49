"""One training step: generator, then discriminators on the same fakes (section 3.6 of the specification)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cssgan import losses
from cssgan.config import Config
from cssgan.data import order
from cssgan.data.batch import streams
from cssgan.models.blocks import iterate_spectral_norms
from cssgan.models.discriminators import Discriminators, Verdict
from cssgan.models.interface import VideoGenerator
from cssgan.types import Batch, Streams

TERMS = {
    "g_loss": "weighted sum of the generator's terms",
    "g_l1": "equation (4): mean absolute difference to the real clips, pictures in [-1, 1]",
    "g_image": "equation (1) for the generator",
    "g_video": "equation (2) for the generator",
    "g_order": "equation (3) on fakes",
    "d_loss": "weighted sum of the discriminators' terms",
    "d_image": "equation (1) for the image discriminator; 1.386 where it knows nothing",
    "d_video": "equation (2) for the clip or video discriminator; 1.386 where it knows nothing",
    "d_order": "equation (3) on real clips; 3.178 (ln 24) where it knows nothing",
    "image_gap": "mean logit of the image discriminator on reals less that on fakes",
    "video_gap": "the same for the clip or video discriminator",
    "vote_acc_real": "share of real windows that the clips vote real",
    "vote_acc_fake": "share of fake windows that the clips vote fake",
    "order_acc_real": "share of real windows whose order is told right; chance 1 in 24",
    "order_acc_fake": "the same for fakes",
    "motion_ratio": "mean absolute change from frame to frame inside clips, fake / real",
}
"""What stats.jsonl holds. Terms that a configuration does not have, or that `loss.adv_start` holds back, are left out."""

Terms = dict[str, Tensor]


@dataclass(kw_only=True, slots=True, eq=False)
class Players:
    """The networks of a run with their optimisers."""

    generator: VideoGenerator
    discriminators: Discriminators
    g_optim: torch.optim.Adam
    d_optim: torch.optim.Adam
    average: VideoGenerator | None
    """The running average of the generator, if the run keeps one."""


def players(config: Config, generator: VideoGenerator, discriminators: Discriminators) -> Players:
    """Optimisers, and the averaged copy, for freshly built networks (already on their device)."""

    def adam(network: torch.nn.Module, rate: float) -> torch.optim.Adam:
        betas = (config.optim.beta1, config.optim.beta2)
        return torch.optim.Adam(network.parameters(), lr=rate, betas=betas, fused=True)

    average = copy.deepcopy(generator).requires_grad_(False).eval() if config.train.ema_half_life else None
    return Players(
        generator=generator,
        discriminators=discriminators,
        g_optim=adam(generator, config.optim.g_lr),
        d_optim=adam(discriminators, config.optim.d_lr),
        average=average,
    )


def train_step(players: Players, batch: Batch, config: Config, *, num_steps: int, num_videos: int) -> Terms:
    """Generator step, discriminator step, running average.

    Args:
        num_steps, num_videos: what was done before this step (for `loss.adv_start` and the learning rates).

    Returns:
        The terms of `TERMS`, detached, on the device.
    """
    _set_rates(players, config, num_videos)
    adversarial = num_steps >= config.loss.adv_start
    clip_at_BS = order.clip_at(batch.order_B, config.model.num_clips)
    in_time_BS = torch.arange(config.model.num_clips, device=clip_at_BS.device).expand_as(clip_at_BS)
    real = streams(batch, config.model.num_clips, clip_at_BS if config.order.shuffle == "gen" else in_time_BS)
    # Clips that the discriminator shuffles for itself are shuffled among the features of its trunk.
    puzzle_BS = clip_at_BS if config.order.shuffle == "disc" else in_time_BS
    if adversarial:
        iterate_spectral_norms(players.discriminators)
    fake_BSCFHW, terms = generator_step(players, batch, real, puzzle_BS, config, adversarial=adversarial)
    if adversarial:
        terms |= discriminator_step(players, batch, real, fake_BSCFHW, puzzle_BS, config)
    if players.average is not None:
        _update_average(players.average, players.generator, config, num_videos)
    return terms


def fakes(generator: VideoGenerator, batch: Batch, real: Streams, config: Config) -> Tensor:
    """The generator's clips in the presentation order of `real`, clips_BSCFHW."""
    if config.order.shuffle == "gen" and config.model.cascade_order == "chrono":
        clip_at_BS = order.clip_at(batch.order_B, config.model.num_clips)
        in_time = generator(
            batch.video_BCTHW[:, :, 0], order.restore(real.mels_BSFMU, clip_at_BS), batch.label_BK, batch.noise_BZ
        )
        return order.present(in_time, clip_at_BS)
    return generator(start_image(batch, real, config), real.mels_BSFMU, batch.label_BK, batch.noise_BZ)


def start_image(batch: Batch, real: Streams, config: Config) -> Tensor:
    """The image that stream 1 starts from, by `model.start_image`."""
    if config.model.start_image == "clip_first":
        return real.clips_BSCFHW[:, 0, :, 0]
    if config.model.start_image == "clip_prev" and config.order.shuffle == "gen":
        first_clip_B = order.clip_at(batch.order_B, config.model.num_clips)[:, 0]
        frame_B = (first_clip_B * config.frames_per_clip - 1).clamp(min=0)
        return batch.video_BCTHW[torch.arange(batch.num_videos, device=frame_B.device), :, frame_B]
    return batch.video_BCTHW[:, :, 0]


def generator_step(
    players: Players, batch: Batch, real: Streams, puzzle_BS: Tensor, config: Config, *, adversarial: bool
) -> tuple[Tensor, Terms]:
    weights = config.loss
    players.generator.train()
    players.discriminators.requires_grad_(False)
    fake = fakes(players.generator, batch, real, config)
    terms: Terms = {"g_l1": losses.l1_loss(fake, real.clips_BSCFHW, real.valid_BSF)}
    total = weights.l1_weight * terms["g_l1"]
    if adversarial:
        verdict = players.discriminators(fake, batch.label_BK, batch.frame_index_BS)
        terms["g_image"] = losses.judged_real(verdict.image_BS)
        terms["g_video"] = sum_of([losses.judged_real(logits) for logits in _video_logits(verdict, config)])
        total = total + weights.image_weight * terms["g_image"] + weights.video_weight * terms["g_video"]
        logits_BP = players.discriminators.predict_order(verdict.features_BSDHW, puzzle_BS)
        if logits_BP is not None:
            terms["g_order"] = losses.order_loss(logits_BP, real.order_B, batch.order_counts_B)
            terms["order_acc_fake"] = _order_accuracy(logits_BP, batch)
            total = total + weights.order_weight * terms["g_order"]
    players.g_optim.zero_grad(set_to_none=True)
    total.backward()
    players.g_optim.step()
    players.discriminators.requires_grad_(True)
    terms["g_loss"] = total
    fake = fake.detach()
    terms["motion_ratio"] = motion(fake) / motion(real.clips_BSCFHW).clamp(min=1e-6)
    return fake, {name: value.detach() for name, value in terms.items()}


def discriminator_step(
    players: Players, batch: Batch, real: Streams, fake_BSCFHW: Tensor, puzzle_BS: Tensor, config: Config
) -> Terms:
    size, judges = batch.num_videos, players.discriminators
    # One pass for both: the discriminators have no batch statistics, so this changes nothing but the time.
    both = judges(
        torch.cat((real.clips_BSCFHW, fake_BSCFHW)), batch.label_BK.repeat(2, 1), batch.frame_index_BS.repeat(2, 1)
    )
    image_real, image_fake = both.image_BS.split(size)
    video = [logits.split(size) for logits in _video_logits(both, config)]
    terms: Terms = {
        "d_image": losses.adversarial_d(image_real, image_fake),
        "d_video": sum_of([losses.adversarial_d(real, fake) for real, fake in video]),
        "image_gap": image_real.mean() - image_fake.mean(),
        "video_gap": sum_of([real.mean() - fake.mean() for real, fake in video]),
    }
    total = terms["d_image"] + terms["d_video"]
    features = None if both.features_BSDHW is None else both.features_BSDHW[:size]
    logits_BP = judges.predict_order(features, puzzle_BS)
    if logits_BP is not None:
        terms["d_order"] = losses.order_loss(logits_BP, real.order_B, batch.order_counts_B)
        terms["order_acc_real"] = _order_accuracy(logits_BP, batch)
        total = total + config.loss.order_weight_d * terms["d_order"]
    if both.clip_BS is not None:
        votes_real, votes_fake = losses.vote(both.clip_BS).split(size)
        terms["vote_acc_real"] = votes_real.float().mean()
        terms["vote_acc_fake"] = 1.0 - votes_fake.float().mean()
    players.d_optim.zero_grad(set_to_none=True)
    total.backward()
    players.d_optim.step()
    players.d_optim.zero_grad(set_to_none=True)
    terms["d_loss"] = total
    return {name: value.detach() for name, value in terms.items()}


def _video_logits(verdict: Verdict, config: Config) -> list[Tensor]:
    """The logits of equation (2): clips (by vote), whole window, or both."""
    logits = [] if verdict.clip_BS is None else [losses.vote_logits(verdict.clip_BS, config.loss.vote_loss)]
    return logits if verdict.video_B is None else [*logits, verdict.video_B]


def _order_accuracy(logits_BP: Tensor, batch: Batch) -> Tensor:
    right_B = (logits_BP.argmax(dim=1) == batch.order_B).float() * batch.order_counts_B
    return right_B.sum() / batch.order_counts_B.sum().clamp(min=1.0)


def sum_of(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).sum()


def motion(clips_BSCFHW: Tensor) -> Tensor:
    """Mean absolute change from frame to frame inside clips."""
    return (clips_BSCFHW[:, :, :, 1:] - clips_BSCFHW[:, :, :, :-1]).abs().mean()


def _set_rates(players: Players, config: Config, num_videos: int) -> None:
    """Constant rates, then linearly down to a tenth over the last `optim.decay_share` of the run."""
    share = config.optim.decay_share
    left = max(1.0 - num_videos / config.train.num_videos, 0.0)
    factor = 1.0 if share == 0.0 or left >= share else 0.1 + 0.9 * left / share
    for optim, rate in ((players.g_optim, config.optim.g_lr), (players.d_optim, config.optim.d_lr)):
        for group in optim.param_groups:
            group["lr"] = rate * factor


@torch.no_grad()
def _update_average(average: VideoGenerator, generator: VideoGenerator, config: Config, num_videos: int) -> None:
    """Weights: exponential average whose half-life grows to `train.ema_half_life`; statistics of norms: as they are."""
    half_life = min(config.train.ema_half_life, max(num_videos, 1))
    decay = 0.5 ** (config.train.batch_size / half_life)
    for mine, its in zip(average.parameters(), generator.parameters(), strict=True):
        mine.lerp_(its, 1.0 - decay)
    for mine, its in zip(average.buffers(), generator.buffers(), strict=True):
        mine.copy_(its)


def optimiser_state(players: Players) -> dict[str, Any]:
    """What a checkpoint keeps beside the weights."""
    return {"g_optim": players.g_optim.state_dict(), "d_optim": players.d_optim.state_dict()}


def load_optimiser_state(players: Players, state: dict[str, Any]) -> None:
    players.g_optim.load_state_dict(state["g_optim"])
    players.d_optim.load_state_dict(state["d_optim"])
