"""One training step: a generator step, then a discriminator step on the same fakes.

The weighted sums of the losses are in `generator_losses` and `discriminator_losses`, the equations in
`cssgan.training.losses`.

`run_updates` uses tensors of one device only and reads no values back, so that it can be captured as a CUDA graph
(`cssgan.training.cuda_graph`). `set_schedules` sets everything that changes between steps, except the batch.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cssgan import clip_permutations
from cssgan.config import Config
from cssgan.data.batches import cut_clips, micro_batches
from cssgan.models.blocks import iterate_spectral_norms
from cssgan.models.interface import DiscriminatorOutput, Discriminators, VideoGenerator, WindowInputs
from cssgan.models.object_picture import placing_loss
from cssgan.training import augmentation, held_frames, losses, precision
from cssgan.training.distributed import SINGLE_PROCESS, DistContext
from cssgan.types import Batch, ClipBatch

TERMS = {
    "g_loss": "generator's loss: weighted sum of its terms",
    "g_l1": "equation (4): mean absolute difference to the real clips, pixels in [-1, 1]",
    "g_l2": "mean squared difference to the real clips (with loss.l2_weight)",
    "g_place": "distance of the edges of the object picture from the object's boxes (with loss.place_weight)",
    "g_presence": "cross entropy of the object's presence in each frame (with loss.place_weight)",
    "g_image": "equation (1), generator: adversarial loss against the image discriminator",
    "g_video": "equation (2), generator: adversarial loss against the clip or video discriminator",
    "g_seam": "as g_video, on clips across the seams (with discriminator.seam_clips)",
    "g_order": "equation (3) on fakes",
    "g_class": "class cross entropy of the video discriminator on fakes (with model.kind=mocogan)",
    "d_loss": "discriminators' loss: weighted sum of their terms",
    "d_image": "equation (1), image discriminator; chance level 1.386 (2 ln 2)",
    "d_video": "equation (2), clip or video discriminator; chance level 1.386 (2 ln 2)",
    "d_seam": "as d_video, on clips across the seams (with discriminator.seam_clips)",
    "d_mismatch": "discriminators' loss on real clips with a wrong sound (with loss.mismatch_weight)",
    "d_order": "equation (3) on real clips; chance level 3.178 (ln 24)",
    "d_class": "class cross entropy of the video discriminator on reals (with model.kind=mocogan)",
    "image_logit_margin": "image discriminator: mean logit on reals minus mean logit on fakes",
    "video_logit_margin": "clip or video discriminator: mean logit on reals minus mean logit on fakes",
    "mismatch_logit_margin": "clip discriminator: mean logit on reals minus mean logit on reals with a wrong sound",
    "vote_acc_real": "fraction of real windows with a majority vote for real",
    "vote_acc_fake": "fraction of fake windows with a majority vote for fake",
    "order_acc_real": "accuracy of the order predictor on real windows; chance level 1 in 24",
    "order_acc_fake": "accuracy of the order predictor on fake windows; chance level 1 in 24",
    "class_acc_real": "class accuracy over positions in time of real windows (with model.kind=mocogan)",
    "class_acc_fake": "class accuracy over positions in time of fake windows (with model.kind=mocogan)",
    "motion_ratio": "mean absolute difference between neighbouring frames of a clip, fake / real",
    "r1": "mean squared gradient of the discriminators on reals (with loss.r1_gamma)",
    "r2": "mean squared gradient of the discriminators on fakes (with loss.r2_gamma)",
    "g_grad_norm": "L2 norm of the generator's gradient",
    "d_grad_norm": "L2 norm of the discriminators' gradient",
}
"""Columns of stats.jsonl. Terms that a configuration lacks, or that `loss.adv_start` disables, are left out."""

Terms = dict[str, Tensor]


@dataclass(kw_only=True, slots=True, eq=False)
class TrainState:
    """What a training step changes: networks, optimizers and running average. `TrainingRun` holds the rest of a run."""

    generator: VideoGenerator
    discriminators: Discriminators
    g_optim: torch.optim.Adam
    d_optim: torch.optim.Adam
    ema_generator: VideoGenerator | None
    """Running average of the generator's weights; None without `train.ema_half_life`."""
    ema_weight: Tensor
    """Scalar on the device: weight of the current generator in this step's update of the average."""
    l1_weight: Tensor
    l2_weight: Tensor
    """Scalars on the device: weights of L1 and of the squared error in this step (`loss.l1_late_fraction`)."""
    dist_context: DistContext = SINGLE_PROCESS
    """The processes that share each batch."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MicroBatch:
    """A batch, or with gradient accumulation a part of one, cut into ordered clips."""

    batch: Batch
    real: ClipBatch
    """The real clips in presentation order."""
    permutation_BS: Tensor
    """Permutation of the clip features for the order predictor, applied after the order of `real`."""
    weights: held_frames.LossWeights
    wrong_mels_BSFMU: Tensor | None = None
    """A wrong sound for each clip of `real` (`mismatched_mels`); None without `loss.mismatch_weight`."""


def new_train_state(
    config: Config,
    generator: VideoGenerator,
    discriminators: Discriminators,
    *,
    dist_context: DistContext = SINGLE_PROCESS,
) -> TrainState:
    """Create optimizers and the running average for new networks, which are already on their device."""
    device = next(generator.parameters()).device
    capturable = config.compute.cuda_graph and device.type == "cuda"

    def adam(network: torch.nn.Module, lr: float) -> torch.optim.Adam:
        return torch.optim.Adam(
            network.parameters(),
            lr=torch.tensor(lr, device=device) if capturable else lr,
            betas=(config.optim.beta1, config.optim.beta2),
            weight_decay=config.optim.weight_decay,
            fused=config.compute.fused_adam,
            capturable=capturable,
        )

    ema_generator = copy.deepcopy(generator).requires_grad_(False).eval() if config.train.ema_half_life else None
    return TrainState(
        generator=generator,
        discriminators=discriminators,
        g_optim=adam(generator, config.optim.g_lr),
        d_optim=adam(discriminators, config.optim.d_lr),
        ema_generator=ema_generator,
        ema_weight=torch.zeros((), device=device),
        l1_weight=torch.full((), config.loss.l1_weight, device=device),
        l2_weight=torch.full((), config.loss.l2_weight, device=device),
        dist_context=dist_context,
    )


def train_step(train_state: TrainState, batch: Batch, config: Config, *, num_steps: int, num_videos: int) -> Terms:
    """Generator step, discriminator step, update of the running average.

    Args:
        batch: this process's rows.
        num_steps, num_videos: position before this step (for `loss.adv_start`, `loss.penalty_every` and what
            `set_schedules` sets).

    Returns:
        The terms of `TERMS` over this process's rows: scalars on the device, detached.
    """
    set_schedules(train_state, config, num_videos=num_videos)
    return run_updates(
        train_state,
        batch,
        config,
        adversarial=is_adversarial(config, num_steps),
        penalized=is_penalized(config, num_steps),
    )


def is_adversarial(config: Config, num_steps: int) -> bool:
    """Whether the step after `num_steps` has adversarial and order losses."""
    return num_steps >= config.loss.adv_start


def is_penalized(config: Config, num_steps: int) -> bool:
    """Whether the step after `num_steps` has gradient penalties, if it is adversarial (`loss.penalty_every`)."""
    has_penalties = config.loss.r1_gamma > 0 or config.loss.r2_gamma > 0
    return has_penalties and num_steps % config.loss.penalty_every == 0


def set_schedules(train_state: TrainState, config: Config, *, num_videos: int) -> None:
    """Set what depends on the position in the run: learning rates, weights of L1 and of the squared error, and the weight
    of the running average's update."""
    _set_learning_rates(train_state, config, num_videos)
    if config.loss.l1_late_fraction > 0:
        _set_reconstruction_weights(train_state, config, num_videos)
    if train_state.ema_generator is not None:
        half_life = min(config.train.ema_half_life, max(num_videos, 1))
        train_state.ema_weight.fill_(1.0 - 0.5 ** (config.train.batch_size / half_life))


def run_updates(train_state: TrainState, batch: Batch, config: Config, *, adversarial: bool, penalized: bool) -> Terms:
    """`train_step` without `set_schedules`."""
    parts = [micro_batch(part, config) for part in micro_batches(batch, config)]
    iterate_spectral_norms(train_state.generator)
    if adversarial:
        iterate_spectral_norms(train_state.discriminators)
    fakes, terms = generator_step(train_state, parts, config, adversarial=adversarial)
    if adversarial:
        terms |= discriminator_step(train_state, parts, fakes, config, penalized=penalized)
    if train_state.ema_generator is not None:
        _update_average(train_state.ema_generator, train_state.generator, train_state.ema_weight)
    return terms


def micro_batch(batch: Batch, config: Config) -> MicroBatch:
    """Cut `batch` into clips and put them into the order that generator and discriminators receive."""
    order_BS = _clip_order(batch, config)
    in_time_BS = torch.arange(config.model.num_clips, device=order_BS.device).expand_as(order_BS)
    presented_BS = order_BS if config.order.shuffle == "gen" else in_time_BS
    real = cut_clips(batch, config.model.num_clips, presented_BS)
    permutation_BS = order_BS if config.order.shuffle == "disc" else in_time_BS
    wrong_mels = None
    if config.loss.mismatch_weight > 0:
        wrong_mels = clip_permutations.permute(mismatched_mels(batch, config.model.num_clips), presented_BS)
    return MicroBatch(
        batch=batch,
        real=real,
        permutation_BS=permutation_BS,
        weights=held_frames.loss_weights(batch, real, config),
        wrong_mels_BSFMU=wrong_mels,
    )


def mismatched_mels(batch: Batch, num_clips: int) -> Tensor:
    """A wrong sound for each clip of `batch`, (B, S, F, M, U) in time order.

    Half of the windows get the sound of another video of `batch`; the others, and those whose other video is the same clip,
    get their own, rotated by a quarter to half of the window, forwards or backwards. The rotation is by whole clips, so that the sound of no clip has a cut, which would
    tell it from a right one without the picture.
    """
    uniform_BU = batch.mismatch_BU
    assert uniform_BU is not None
    assert batch.item_B is not None
    size, device = batch.num_videos, uniform_BU.device

    def choose(column: int, first: int, last: int) -> Tensor:
        """Whole numbers first..last for each row."""
        count = last - first + 1
        return (uniform_BU[:, column] * count).long().clamp(max=count - 1) + first

    rows_B = torch.arange(size, device=device)
    other_B = (rows_B + choose(1, 1, size - 1)) % size
    from_other_B = (uniform_BU[:, 0] < 0.5) & (batch.item_B[other_B] != batch.item_B)
    source_B = torch.where(from_other_B, other_B, rows_B)
    quarter = -(-num_clips // 4)
    shift_B = torch.where(from_other_B, 0, choose(2, quarter, num_clips - quarter))
    clips_BS = (torch.arange(num_clips, device=device) + shift_B[:, None]) % num_clips
    return batch.mels_BTMU.unflatten(1, (num_clips, -1))[source_B[:, None], clips_BS]


def seam_clips(clips_BSCFHW: Tensor) -> Tensor:
    """The second half of each clip with the first half of the next one, (B, S - 1, C, F, H, W)."""
    half = clips_BSCFHW.shape[3] // 2
    return torch.cat((clips_BSCFHW[:, :-1, :, half:], clips_BSCFHW[:, 1:, :, :half]), dim=3)


def _seam_mels(mels_BSFMU: Tensor) -> Tensor:
    """The mel segments of `seam_clips`."""
    half = mels_BSFMU.shape[2] // 2
    return torch.cat((mels_BSFMU[:, :-1, half:], mels_BSFMU[:, 1:, :half]), dim=2)


def _seam_logits(train_state: TrainState, part: MicroBatch, clips_BSCFHW: Tensor, config: Config) -> Tensor:
    """Logits of the clips across the seams, (B, S - 1) in float32; `clips_BSCFHW` as in `_discriminate`."""
    repeats = len(clips_BSCFHW) // part.batch.num_videos
    mels = _seam_mels(part.real.mels_BSFMU).repeat(repeats, 1, 1, 1, 1) if config.discriminator.d_audio else None
    labels = part.batch.label_BK.repeat(repeats, 1)
    return train_state.discriminators.clip_logits(seam_clips(clips_BSCFHW), labels, mels).float()


def _seam_weights(part: MicroBatch, config: Config) -> Tensor:
    """(B, S - 1): the share of valid frames of each seam clip, and 0 for windows that are not in time order.

    The expected mean is 1 without held frames.
    """
    valid_BSF = part.real.valid_BSF
    half = valid_BSF.shape[2] // 2
    weights_BS = (valid_BSF[:, :-1, half:].mean(dim=2) + valid_BSF[:, 1:, :half].mean(dim=2)) / 2
    if config.order.shuffle != "gen":
        return weights_BS
    # Windows that got the time order by chance are left out: with model.shuffled_starts=real they are no cascade.
    return weights_BS * part.batch.in_order_B.float()[:, None] / config.order.p_in_order


def generate_clips(
    generator: VideoGenerator, batch: Batch, real: ClipBatch, config: Config, placings: list[Tensor] | None = None
) -> Tensor:
    """clips_BSCFHW of the generator, in the order of `real`.

    Args:
        placings: see `WindowInputs.placings`.
    """
    if config.order.shuffle == "gen" and config.model.cascade_order == "chrono":
        order_BS = _clip_order(batch, config)
        in_time = generator(
            batch.video_BCTHW[:, :, 0],
            clip_permutations.unpermute(real.mels_BSFMU, order_BS),
            batch.label_BK,
            batch.noise_BZ,
            WindowInputs(object_BCHW=batch.object_BCHW, word_BE=batch.word_BE),
        )
        return clip_permutations.permute(in_time, order_BS)
    window = window_inputs(batch, config) if config.model.kind == "cssgan" else None
    if window is not None:
        window = replace(window, placings=placings)
    return generator(start_image(batch, real, config), real.mels_BSFMU, batch.label_BK, batch.noise_BZ, window)


def window_inputs(batch: Batch, config: Config) -> WindowInputs:
    """Objects, and order of the clips and given start images as `order.shuffle` and `model.shuffled_starts` say."""
    window = WindowInputs(object_BCHW=batch.object_BCHW, word_BE=batch.word_BE)
    if config.order.shuffle != "gen":
        return window
    clip_at_BS = _clip_order(batch, config)
    if config.model.shuffled_starts == "cascade":
        return replace(window, clip_at_BS=clip_at_BS)
    frame_BS = (clip_at_BS * config.frames_per_clip - 1).clamp(min=0)
    rows = torch.arange(batch.num_videos, device=frame_BS.device)[:, None]
    return replace(
        window,
        clip_at_BS=clip_at_BS,
        starts_BSCHW=batch.video_BCTHW.transpose(1, 2)[rows, frame_BS],
        given_B=~batch.in_order_B,
    )


def start_image(batch: Batch, real: ClipBatch, config: Config) -> Tensor:
    """The start image_BCHW of stream 1 according to `model.start_image`."""
    if config.model.start_image == "clip_first":
        return real.clips_BSCFHW[:, 0, :, 0]
    if config.model.start_image == "clip_prev" and config.order.shuffle == "gen":
        first_clip_B = _clip_order(batch, config)[:, 0]
        frame_B = (first_clip_B * config.frames_per_clip - 1).clamp(min=0)
        return batch.video_BCTHW[torch.arange(batch.num_videos, device=frame_B.device), :, frame_B]
    return batch.video_BCTHW[:, :, 0]


def generator_step(
    train_state: TrainState, parts: list[MicroBatch], config: Config, *, adversarial: bool
) -> tuple[list[Tensor], Terms]:
    """Update the generator. Returns the fakes of each part, detached, and the mean terms."""
    train_state.generator.train()
    train_state.discriminators.requires_grad_(False)
    train_state.g_optim.zero_grad(set_to_none=True)
    fakes: list[Tensor] = []
    terms_of_parts: list[Terms] = []
    for part in parts:
        fake, loss, terms = generator_losses(train_state, part, config, adversarial=adversarial)
        _backward(loss, len(parts))
        fakes.append(fake.detach())
        terms_of_parts.append({**terms, "g_loss": loss})
    terms = _mean_terms(terms_of_parts)
    terms["g_grad_norm"] = _optimizer_step(train_state.generator, train_state.g_optim, train_state.dist_context, config)
    train_state.discriminators.requires_grad_(True)
    terms["motion_ratio"] = _motion_ratio(fakes, parts)
    return fakes, terms


def generator_losses(
    train_state: TrainState, part: MicroBatch, config: Config, *, adversarial: bool
) -> tuple[Tensor, Tensor, Terms]:
    """Generate clips and compute the generator's loss: the weighted sum of equations (1) to (4).

    Returns:
        clips_BSCFHW with gradient, the loss, and its terms without their weights.
    """
    batch, real, weights = part.batch, part.real, config.loss
    device = batch.video_BCTHW.device
    with precision.autocast(config, device):
        placings: list[Tensor] | None = [] if weights.place_weight > 0 else None
        fake = generate_clips(train_state.generator, batch, real, config, placings)
    change_weights = None
    if weights.change_weight > 0:
        change_weights = losses.change_weights(real.clips_BSCFHW, batch.video_BCTHW[:, :, 0], weights.change_weight)
    compared = (fake, real.clips_BSCFHW, real.valid_BSF, batch.l1_denominator, change_weights)
    terms: Terms = {"g_l1": losses.l1_loss(*compared)}
    is_scheduled = weights.l1_late_fraction > 0
    loss = (train_state.l1_weight if is_scheduled else weights.l1_weight) * terms["g_l1"]
    if weights.l2_weight > 0:
        terms["g_l2"] = losses.l2_loss(*compared)
        loss = loss + (train_state.l2_weight if is_scheduled else weights.l2_weight) * terms["g_l2"]
    if placings is not None:
        assert real.boxes_BSF4 is not None
        assert batch.object_BCHW is not None
        placing_BTP = torch.cat(placings, dim=1)
        boxes_BT4, valid_BT = real.boxes_BSF4.flatten(1, 2), real.valid_BSF.flatten(1, 2)
        terms["g_place"], terms["g_presence"] = placing_loss(placing_BTP, batch.object_BCHW, boxes_BT4, valid_BT)
        loss = loss + weights.place_weight * (terms["g_place"] + terms["g_presence"])
    if adversarial:
        with precision.autocast(config, device):
            shown = _shown(fake, part, config, augmentation.GENERATOR_FAKES)
            output = _discriminate(train_state, part, shown, config)
            order_logits_BP = train_state.discriminators.predict_order(output, part.permutation_BS)
            seam_fake_BS = seam_real_BS = None
            if config.discriminator.seam_clips:
                seam_fake_BS = _seam_logits(train_state, part, shown, config)
            real_output = None
            if weights.gan == "rpgan":
                shown = _shown(real.clips_BSCFHW, part, config, augmentation.REALS)
                real_output = _discriminate(train_state, part, shown, config)
                if config.discriminator.seam_clips:
                    seam_real_BS = _seam_logits(train_state, part, shown, config)
        terms["g_image"], terms["g_video"] = _generator_adversarial_losses(output, real_output, part.weights, config)
        loss = loss + weights.image_weight * terms["g_image"] + weights.video_weight * terms["g_video"]
        if seam_fake_BS is not None:
            seam_weights_BS = _seam_weights(part, config)
            if seam_real_BS is None:
                terms["g_seam"] = losses.generator_loss(seam_fake_BS, seam_weights_BS)
            else:
                terms["g_seam"] = losses.relativistic_loss(seam_fake_BS, seam_real_BS, seam_weights_BS)
            loss = loss + weights.video_weight * terms["g_seam"]
        if order_logits_BP is not None:
            terms["g_order"], terms["order_acc_fake"] = _order_terms(order_logits_BP, batch)
            loss = loss + weights.order_weight * terms["g_order"]
        if output.class_BVK is not None:
            terms["g_class"], terms["class_acc_fake"] = losses.class_loss(
                output.class_BVK, batch.label_BK, part.weights.window_B
            )
            loss = loss + weights.class_weight * terms["g_class"]
    return fake, loss, terms


def discriminator_step(
    train_state: TrainState, parts: list[MicroBatch], fakes: list[Tensor], config: Config, *, penalized: bool = True
) -> Terms:
    """Update the discriminators. Returns the mean terms."""
    train_state.d_optim.zero_grad(set_to_none=True)
    terms_of_parts: list[Terms] = []
    for part, fake in zip(parts, fakes, strict=True):
        loss, terms = discriminator_losses(train_state, part, fake, config, penalized=penalized)
        _backward(loss, len(parts))
        terms_of_parts.append({**terms, "d_loss": loss})
    terms = _mean_terms(terms_of_parts)
    terms["d_grad_norm"] = _optimizer_step(
        train_state.discriminators, train_state.d_optim, train_state.dist_context, config
    )
    train_state.d_optim.zero_grad(set_to_none=True)
    return terms


def discriminator_losses(
    train_state: TrainState, part: MicroBatch, fake_BSCFHW: Tensor, config: Config, *, penalized: bool = True
) -> tuple[Tensor, Terms]:
    """The discriminators' loss: the weighted sum of equations (1) to (3) and the gradient penalties.

    Args:
        penalized: whether to compute the penalties of `loss.r1_gamma` and `loss.r2_gamma`, `loss.penalty_every` times
            their weight. They do not extend to clips across seams and to wrong sounds.

    Returns:
        The loss, and its terms without their weights.
    """
    batch, real, discriminators, weights = part.batch, part.real, train_state.discriminators, config.loss
    size = batch.num_videos
    penalized = penalized and (weights.r1_gamma > 0 or weights.r2_gamma > 0)
    real_and_fake = torch.cat(
        (
            _shown(real.clips_BSCFHW, part, config, augmentation.REALS),
            _shown(fake_BSCFHW, part, config, augmentation.DISCRIMINATOR_FAKES),
        )
    ).requires_grad_(penalized)
    # Second derivatives are too inaccurate in half precision.
    with precision.autocast(config, real_and_fake.device, enabled=not penalized):
        if discriminators.mixes_videos:
            output = _discriminate(train_state, part, real_and_fake[:size], config).concat(
                _discriminate(train_state, part, real_and_fake[size:], config)
            )
        else:
            output = _discriminate(train_state, part, real_and_fake, config, repeats=2)
        order_logits_BP = discriminators.predict_order(output.take(size), part.permutation_BS)
        seam_BS = wrong_BS = None
        if config.discriminator.seam_clips:
            seam_BS = _seam_logits(train_state, part, real_and_fake, config)
        if part.wrong_mels_BSFMU is not None:
            wrong_BS = discriminators.clip_logits(real_and_fake[:size], batch.label_BK, part.wrong_mels_BSFMU).float()
    image_real, image_fake = output.image_BS.split(size)
    video = [(logits[:size], logits[size:], weight) for logits, weight in _video_logits(output, part.weights, config)]
    adversarial_loss = losses.discriminator_loss if weights.gan == "bce" else losses.relativistic_loss
    terms: Terms = {
        "d_image": adversarial_loss(image_real, image_fake, part.weights.image_BS),
        "d_video": _sum([adversarial_loss(*real_fake_weight) for real_fake_weight in video]),
        "image_logit_margin": _margin(image_real, image_fake, part.weights.image_BS),
        "video_logit_margin": _sum([_margin(*real_fake_weight) for real_fake_weight in video]),
    }
    loss = terms["d_image"] + terms["d_video"]
    if seam_BS is not None:
        terms["d_seam"] = adversarial_loss(seam_BS[:size], seam_BS[size:], _seam_weights(part, config))
        loss = loss + terms["d_seam"]
    if wrong_BS is not None:
        assert output.clip_BS is not None
        right_BS = output.clip_BS[:size]
        # Frames held beyond the end of a video fit every sound.
        is_whole_BS = real.valid_BSF.amin(dim=2)
        terms["d_mismatch"] = losses.mismatch_loss(right_BS, wrong_BS, is_whole_BS, weights.gan)
        difference_BS = (right_BS - wrong_BS) * is_whole_BS
        terms["mismatch_logit_margin"] = difference_BS.sum() / is_whole_BS.sum().clamp(min=1.0)
        loss = loss + weights.mismatch_weight * terms["d_mismatch"]
    if order_logits_BP is not None:
        terms["d_order"], terms["order_acc_real"] = _order_terms(order_logits_BP, batch)
        loss = loss + weights.order_weight_d * terms["d_order"]
    if output.clip_BS is not None:
        clip_weight_BS = part.weights.clip_BS.repeat(2, 1)
        votes_real, votes_fake = losses.majority_vote(output.clip_BS, clip_weight_BS).split(size)
        terms["vote_acc_real"] = votes_real.float().mean()
        terms["vote_acc_fake"] = 1.0 - votes_fake.float().mean()
    if output.class_BVK is not None:
        terms["d_class"], terms["class_acc_real"] = losses.class_loss(
            output.class_BVK[:size], batch.label_BK, part.weights.window_B
        )
        loss = loss + weights.class_weight_d * terms["d_class"]
    for name, gamma, rows in (("r1", weights.r1_gamma, slice(size)), ("r2", weights.r2_gamma, slice(size, None))):
        if penalized and gamma > 0:
            logits = [(output.image_BS, part.weights.image_BS)]
            logits += [] if output.clip_BS is None else [(output.clip_BS, part.weights.clip_BS)]
            logits += [] if output.video_B is None else [(output.video_B, part.weights.of_windows(output.video_B))]
            penalties = [losses.gradient_penalty(each[rows], real_and_fake, weight) for each, weight in logits]
            terms[name] = _sum(penalties)
            loss = loss + weights.penalty_every * gamma / 2 * terms[name]
    return loss, terms


def _discriminate(
    train_state: TrainState, part: MicroBatch, clips_BSCFHW: Tensor, config: Config, *, repeats: int = 1
) -> DiscriminatorOutput:
    """Discriminator output in float32. `clips_BSCFHW` holds `repeats` x B videos: the conditions of `part` are repeated."""
    batch = part.batch
    mels = part.real.mels_BSFMU.repeat(repeats, 1, 1, 1, 1) if config.discriminator.d_audio else None
    output = train_state.discriminators(
        clips_BSCFHW, batch.label_BK.repeat(repeats, 1), batch.frame_index_BS.repeat(repeats, 1), mels
    )
    return output.in_float32()


def _generator_adversarial_losses(
    output: DiscriminatorOutput,
    real_output: DiscriminatorOutput | None,
    weights: held_frames.LossWeights,
    config: Config,
) -> tuple[Tensor, Tensor]:
    """Equations (1) and (2) for the generator; relativistic if the output on reals is given."""
    video = _video_logits(output, weights, config)
    if real_output is None:
        return (
            losses.generator_loss(output.image_BS, weights.image_BS),
            _sum([losses.generator_loss(logits, weight) for logits, weight in video]),
        )
    pairs = zip(video, _video_logits(real_output, weights, config), strict=True)
    return (
        losses.relativistic_loss(output.image_BS, real_output.image_BS, weights.image_BS),
        _sum([losses.relativistic_loss(fake, real, weight) for (fake, weight), (real, _) in pairs]),
    )


def _order_terms(logits_BP: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Equation (3), and the accuracy of the order predictor."""
    logits_BP = logits_BP.float()
    loss = losses.order_loss(logits_BP, batch.order_B, batch.order_mask_B, batch.order_denominator)
    correct_B = (logits_BP.argmax(dim=1) == batch.order_B).float() * batch.order_mask_B
    total = batch.order_mask_B.sum().clamp(min=1.0) if batch.order_denominator is None else batch.order_denominator
    return loss, correct_B.sum() / total


def _shown(clips_BSCFHW: Tensor, part: MicroBatch, config: Config, use: int) -> Tensor:
    """What the discriminators receive of real or generated clips."""
    clips_BSCFHW = held_frames.hold(clips_BSCFHW, part.real)
    if part.batch.augment_BUA is None:
        return clips_BSCFHW
    return augmentation.augment(clips_BSCFHW, part.batch.augment_BUA[:, use], config.discriminator.augment)


def _backward(loss: Tensor, num_parts: int) -> None:
    (loss if num_parts == 1 else loss / num_parts).backward()


def _optimizer_step(
    network: torch.nn.Module, optim: torch.optim.Adam, dist_context: DistContext, config: Config
) -> Tensor:
    """One optimizer step on the mean gradient of all processes. Returns the L2 norm of that gradient, before scaling."""
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    dist_context.all_reduce_mean(gradients)
    norm = torch.nn.utils.get_total_norm(gradients)
    if config.optim.max_grad_norm > 0:
        torch.nn.utils.clip_grads_with_norm_(network.parameters(), config.optim.max_grad_norm, norm)
    optim.step()
    return norm


def _mean_terms(terms_of_parts: list[Terms]) -> Terms:
    """The mean of each term over the parts, detached."""
    if len(terms_of_parts) == 1:
        return {name: value.detach() for name, value in terms_of_parts[0].items()}
    return {name: torch.stack([terms[name].detach() for terms in terms_of_parts]).mean() for name in terms_of_parts[0]}


def _video_logits(
    output: DiscriminatorOutput, weights: held_frames.LossWeights, config: Config
) -> list[tuple[Tensor, Tensor]]:
    """The logits of equation (2), of clips, of the whole window, or both, each with the weights of one batch.

    `output` may hold several batches, such as reals and fakes.
    """
    found: list[tuple[Tensor, Tensor]] = []
    if output.clip_BS is not None:
        clip_weight_BS = weights.clip_BS.repeat(len(output.clip_BS) // len(weights.clip_BS), 1)
        logits = losses.vote_logits(output.clip_BS, config.loss.vote_loss, clip_weight_BS)
        found.append((logits, weights.clip_BS if config.loss.vote_loss == "per_clip" else weights.window_B))
    if output.video_B is not None:
        found.append((output.video_B, weights.of_windows(output.video_B)))
    return found


def _margin(real: Tensor, fake: Tensor, weight: Tensor) -> Tensor:
    return losses.weighted_mean(real, weight) - losses.weighted_mean(fake, weight)


def _clip_order(batch: Batch, config: Config) -> Tensor:
    """order_BS: the clip at each position."""
    return clip_permutations.clip_at(batch.order_B, config.model.num_clips, config.order.max_orders)


def _sum(scalars: list[Tensor]) -> Tensor:
    return torch.stack(scalars).sum()


def _motion(clips_BSCFHW: Tensor) -> Tensor:
    """Mean absolute difference between neighbouring frames of a clip."""
    return (clips_BSCFHW[:, :, :, 1:] - clips_BSCFHW[:, :, :, :-1]).abs_().mean()


def _motion_ratio(fakes: list[Tensor], parts: list[MicroBatch]) -> Tensor:
    """Held frames do not move, so that they have no effect on the ratio of the two means."""
    held = zip(fakes, parts, strict=True)
    fake = torch.stack([_motion(held_frames.hold(clips, part.real)) for clips, part in held]).mean()
    real = torch.stack([_motion(held_frames.hold(part.real.clips_BSCFHW, part.real)) for part in parts]).mean()
    return fake / real.clamp(min=1e-6)


def _set_learning_rates(train_state: TrainState, config: Config, num_videos: int) -> None:
    """Constant, then linear decay to a tenth over the last `optim.lr_decay_fraction` of the run."""
    fraction = config.optim.lr_decay_fraction
    left = max(1.0 - num_videos / config.train.num_videos, 0.0)
    factor = 1.0 if fraction == 0.0 or left >= fraction else 0.1 + 0.9 * left / fraction
    for optim, lr in ((train_state.g_optim, config.optim.g_lr), (train_state.d_optim, config.optim.d_lr)):
        for group in optim.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(lr * factor)
            else:
                group["lr"] = lr * factor


def _set_reconstruction_weights(train_state: TrainState, config: Config, num_videos: int) -> None:
    """Constant, then linear over the last `loss.l1_late_fraction` of the run: L1 to `l1_late_weight`, squared error to 0."""
    loss = config.loss
    left = max(1.0 - num_videos / config.train.num_videos, 0.0)
    share = min(left / loss.l1_late_fraction, 1.0)
    train_state.l1_weight.fill_(loss.l1_late_weight + share * (loss.l1_weight - loss.l1_late_weight))
    train_state.l2_weight.fill_(share * loss.l2_weight)


@torch.no_grad()
def _update_average(average: VideoGenerator, generator: VideoGenerator, weight: Tensor) -> None:
    """Weights: exponential moving average. Buffers (statistics of batch norm): copied."""
    for averaged, current in zip(average.parameters(), generator.parameters(), strict=True):
        averaged.lerp_(current, weight)
    for averaged, current in zip(average.buffers(), generator.buffers(), strict=True):
        averaged.copy_(current)


def optimizer_state(train_state: TrainState) -> dict[str, Any]:
    """Optimizer states for a checkpoint."""
    return {"g_optim": train_state.g_optim.state_dict(), "d_optim": train_state.d_optim.state_dict()}


def load_optimizer_state(train_state: TrainState, state: dict[str, Any]) -> None:
    """Restore the moments of `optimizer_state`; learning rates and Adam's implementation are those of this start."""
    for optim, name in ((train_state.g_optim, "g_optim"), (train_state.d_optim, "d_optim")):
        own = [{key: group[key] for key in ("lr", "fused", "capturable")} for group in optim.param_groups]
        saved: dict[str, Any] = state[name]
        groups = [{**group, **mine} for group, mine in zip(saved["param_groups"], own, strict=True)]
        optim.load_state_dict({"state": saved["state"], "param_groups": groups})
