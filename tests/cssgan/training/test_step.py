"""A training step: which weights each part updates, and that every combination of options runs."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch

from cssgan import clip_permutations
from cssgan.config import Config
from cssgan.data import resident
from cssgan.data.batches import ResidentLoader, cut_clips
from cssgan.models import factory
from cssgan.training import step
from cssgan.training.step import TERMS, TrainState, new_train_state, train_step
from cssgan.types import Batch, MelStats
from tests.cssgan.toy_dataset import tiny_config

OTHER_TERMS = {"r1", "r2", "g_l2", "g_class", "d_class", "class_acc_real", "class_acc_fake"}
"""Terms of gradient penalties, of options that are off, and of other models."""


@pytest.fixture
def batch_of(dataset: Path):
    def make(config: Config) -> Batch:
        data = resident.load(dataset, "train", config.data.size)
        stats = MelStats(mean=data.mean, std=data.std, clamp=4.0)
        return ResidentLoader(data=data, config=config, mel_stats=stats, device=torch.device("cpu")).batch(0)

    return make


def new_state(config: Config) -> TrainState:
    torch.manual_seed(0)
    return new_train_state(
        config, factory.generator(config, num_classes=26), factory.discriminators(config, num_classes=26)
    )


def weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def changed_weights(module: torch.nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}


def test_the_generator_step_changes_only_the_generator(batch_of) -> None:
    config = tiny_config()
    train_state, batch = new_state(config), batch_of(config)
    discriminators, generator = weights(train_state.discriminators), weights(train_state.generator)

    (fake,), terms = step.generator_step(train_state, [step.micro_batch(batch, config)], config, adversarial=True)

    assert changed_weights(train_state.discriminators, discriminators) == set()
    assert all(parameter.grad is None for parameter in train_state.discriminators.parameters())
    assert all(parameter.requires_grad for parameter in train_state.discriminators.parameters())
    assert "decoder.blocks.0.spatial.weight" in changed_weights(train_state.generator, generator)
    assert not fake.requires_grad
    assert {"g_l1", "g_image", "g_video", "g_order"} <= set(terms)


def test_the_discriminator_step_changes_only_the_discriminators(batch_of) -> None:
    config = tiny_config()
    train_state, batch = new_state(config), batch_of(config)
    part = step.micro_batch(batch, config)
    discriminators, generator = weights(train_state.discriminators), weights(train_state.generator)

    step.discriminator_step(train_state, [part], [torch.rand_like(part.real.clips_BSCFHW)], config)

    assert changed_weights(train_state.generator, generator) == set()
    assert all(parameter.grad is None for parameter in train_state.generator.parameters())
    trained = {name for name, _ in train_state.discriminators.named_parameters()}
    assert changed_weights(train_state.discriminators, discriminators) == trained


def test_a_step_reports_all_its_terms(batch_of) -> None:
    config = tiny_config()

    terms = train_step(new_state(config), batch_of(config), config, num_steps=0, num_videos=0)

    assert set(terms) == set(TERMS) - OTHER_TERMS
    assert all(math.isfinite(float(value)) and not value.requires_grad for value in terms.values())


COMBINATIONS = list(
    itertools.product(
        ("1", "4"), ("none", "disc", "gen"), ("clips", "whole", "both"), ("true", "false"), ("stream", "chrono")
    )
)


@pytest.mark.parametrize(("streams_", "shuffle", "video_d", "cascade", "cascade_order"), COMBINATIONS)
def test_every_combination_of_the_ablation_options_runs(
    batch_of, streams_: str, shuffle: str, video_d: str, cascade: str, cascade_order: str
) -> None:
    config = tiny_config(
        f"model.streams={streams_}",
        f"order.shuffle={shuffle}",
        f"discriminator.video_d={video_d}",
        f"model.cascade={cascade}",
        f"model.cascade_order={cascade_order}",
    )
    train_state = new_state(config)
    before = weights(train_state.generator)

    terms = train_step(train_state, batch_of(config), config, num_steps=0, num_videos=0)

    assert all(math.isfinite(float(value)) for value in terms.values())
    assert ("g_order" in terms) == (shuffle != "none")
    assert ("vote_acc_real" in terms) == (video_d != "whole")
    assert changed_weights(train_state.generator, before)


@pytest.mark.parametrize(
    "settings",
    [
        ("model.start_image=clip_first",),
        ("model.start_image=clip_prev",),
        ("model.cascade_detach=true",),
        ("model.norm=group",),
        ("model.g_output=warp",),
        ("model.audio_context=window",),
        ("model.audio_context=window", "model.shuffled_starts=real", "order.p_in_order=0.5"),
        ("model.audio_context=window", "order.shuffle=disc", "model.streams=1"),
        ("loss.l2_weight=100", "loss.change_weight=2"),
        ("model.g_output=direct",),
        ("model.audio_inject=bottleneck",),
        ("model.z_dim=4",),
        ("discriminator.d_class=false",),
        ("discriminator.order_head=pairwise",),
        ("discriminator.order_head=seam",),
        ("loss.vote_loss=mean_logit",),
        ("order.p_in_order=1.0",),
        ("order.sampling=enumerate",),
        ("data.segment_context=clip",),
        ("train.ema_half_life=10",),
        ("model.num_clips=2", "model.streams=2"),
        ("model.num_clips=8", "model.streams=8"),
        ("loss.gan=rpgan", "loss.r1_gamma=1", "loss.r2_gamma=1", "discriminator.spectral=false"),
        ("loss.gan=rpgan", "discriminator.video_d=both", "loss.r1_gamma=1"),
        ("discriminator.augment=all",),
        ("discriminator.d_audio=true",),
        ("discriminator.d_audio=true", "discriminator.video_d=both", "discriminator.d_class=false"),
    ],
)
def test_every_other_option_runs(batch_of, settings: tuple[str, ...]) -> None:
    config = tiny_config(*settings)

    terms = train_step(new_state(config), batch_of(config), config, num_steps=0, num_videos=0)

    assert all(math.isfinite(float(value)) for value in terms.values())


def test_before_adv_start_the_loss_is_l1_and_discriminators_are_not_trained(batch_of) -> None:
    config = tiny_config("loss.adv_start=2")
    train_state, batch = new_state(config), batch_of(config)
    before = weights(train_state.discriminators)

    early = train_step(train_state, batch, config, num_steps=1, num_videos=3)
    assert set(early) == {"g_l1", "g_loss", "g_grad_norm", "motion_ratio"}
    assert changed_weights(train_state.discriminators, before) == set()
    later = train_step(train_state, batch, config, num_steps=2, num_videos=6)

    assert set(later) == set(TERMS) - OTHER_TERMS
    assert changed_weights(train_state.discriminators, before)


def test_the_chronological_cascade_does_not_depend_on_the_order(batch_of) -> None:
    config = tiny_config("model.cascade_order=chrono")
    generator = new_state(config).generator.eval()
    batch = batch_of(config)
    clip_at = clip_permutations.clip_at(batch.order_B, 4)
    assert batch.order_B.tolist() != [0, 0, 0]

    generated = step.generate_clips(generator, batch, cut_clips(batch, 4, clip_at), config)

    in_time = generator(
        batch.video_BCTHW[:, :, 0], batch.mels_BTMU.unflatten(1, (4, -1)), batch.label_BK, batch.noise_BZ
    )
    assert torch.equal(clip_permutations.unpermute(generated, clip_at), in_time)


def test_start_images(batch_of) -> None:
    batch = batch_of(tiny_config())
    clip_at = clip_permutations.clip_at(batch.order_B, 4)
    real = cut_clips(batch, 4, clip_at)
    first = clip_at[:, 0]

    def start(choice: str) -> torch.Tensor:
        return step.start_image(batch, real, tiny_config(f"model.start_image={choice}"))

    for b in range(3):
        clip = int(first[b])
        assert torch.equal(start("video_first")[b], batch.video_BCTHW[b, :, 0])
        assert torch.equal(start("clip_first")[b], batch.video_BCTHW[b, :, 4 * clip])
        assert torch.equal(start("clip_prev")[b], batch.video_BCTHW[b, :, max(4 * clip - 1, 0)])


def test_shuffled_streams_can_start_at_the_real_frame_before_their_clip(batch_of) -> None:
    config = tiny_config("model.shuffled_starts=real", "order.p_in_order=0.5")
    batch = batch_of(config)
    window = step.window_inputs(batch, config)

    assert window.clip_at_BS is not None
    assert window.starts_BSCHW is not None
    assert window.given_B is not None
    assert window.given_B.tolist() == (batch.order_mask_B > 0).tolist()
    for b, k in itertools.product(range(3), range(4)):
        before = max(4 * int(window.clip_at_BS[b, k]) - 1, 0)
        assert torch.equal(window.starts_BSCHW[b, k], batch.video_BCTHW[b, :, before])
    assert step.window_inputs(batch, tiny_config()).starts_BSCHW is None


def test_the_running_average_has_the_configured_half_life(batch_of) -> None:
    config = tiny_config("train.ema_half_life=3")
    train_state = new_state(config)
    assert train_state.ema_generator is not None
    before = weights(train_state.ema_generator)

    train_step(train_state, batch_of(config), config, num_steps=9, num_videos=27)

    name = "decoder.blocks.0.spatial.weight"
    now = train_state.generator.state_dict()[name]
    torch.testing.assert_close(train_state.ema_generator.state_dict()[name], (before[name] + now) / 2)


def test_learning_rates_decay_to_a_tenth_over_the_last_fraction(batch_of) -> None:
    config = tiny_config("optim.lr_decay_fraction=0.5", "train.num_videos=100", "optim.g_lr=0.01")
    train_state, batch = new_state(config), batch_of(config)
    rates: list[float] = []

    for seen in (0, 50, 75, 100):
        train_step(train_state, batch, config, num_steps=0, num_videos=seen)
        rates.append(train_state.g_optim.param_groups[0]["lr"])

    assert rates == pytest.approx([0.01, 0.01, 0.0055, 0.001])
