"""A training step: which weights each part updates, and that every combination of options runs."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cssgan import clip_permutations
from cssgan.config import Config
from cssgan.data import resident
from cssgan.data.batches import ResidentLoader, cut_clips
from cssgan.models import factory
from cssgan.training import losses, step
from cssgan.training.step import TERMS, TrainState, new_train_state, train_step
from cssgan.types import Batch, MelStats
from tests.cssgan.toy_dataset import tiny_config

OTHER_TERMS = {
    *("r1", "r2", "g_l2", "g_class", "d_class", "class_acc_real", "class_acc_fake"),
    *("g_place", "g_presence"),
    *("g_seam", "d_seam", "d_mismatch", "mismatch_logit_margin"),
}
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
        ("discriminator.d_audio=true", "discriminator.video_d=both", "loss.mismatch_weight=1"),
        ("discriminator.seam_clips=true", "order.shuffle=none", "model.streams=1", "discriminator.d_class=false"),
        ("loss.l2_weight=100", "loss.l1_late_fraction=1"),
        (
            *("model.audio_inject=film", "model.z_dim=3", "model.g_output=warp", "model.norm=group"),
            *("discriminator.d_audio=true", "loss.mismatch_weight=1", "discriminator.seam_clips=true"),
            *("order.p_in_order=0.5", "model.audio_context=window", "model.shuffled_starts=real"),
            *("loss.gan=rpgan", "loss.r1_gamma=1", "loss.r2_gamma=1", "loss.penalty_every=2"),
            *("discriminator.spectral=false", "discriminator.augment=all"),
        ),
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
    assert window.given_B.tolist() == (~batch.in_order_B).tolist()
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


def test_large_gradients_are_scaled_down(batch_of) -> None:
    def after(max_norm: float) -> tuple[Tensor, float]:
        config = tiny_config(f"optim.max_grad_norm={max_norm}", "loss.adv_start=100")
        train_state = new_state(config)
        terms = train_step(train_state, batch_of(config), config, num_steps=0, num_videos=0)
        gradients = [p.grad for p in train_state.generator.parameters() if p.grad is not None]
        return torch.cat([gradient.flatten() for gradient in gradients]), float(terms["g_grad_norm"])

    whole, norm = after(0.0)
    assert float(whole.norm()) == pytest.approx(norm, rel=1e-4)
    scaled, norm_before = after(norm / 4)
    assert norm_before == pytest.approx(norm, rel=1e-4)
    torch.testing.assert_close(scaled, whole / 4, atol=1e-7, rtol=1e-3)
    unchanged, _ = after(norm * 2)
    torch.testing.assert_close(unchanged, whole)


def test_learning_rates_decay_to_a_tenth_over_the_last_fraction(batch_of) -> None:
    config = tiny_config("optim.lr_decay_fraction=0.5", "train.num_videos=100", "optim.g_lr=0.01")
    train_state, batch = new_state(config), batch_of(config)
    rates: list[float] = []

    for seen in (0, 50, 75, 100):
        train_step(train_state, batch, config, num_steps=0, num_videos=seen)
        rates.append(train_state.g_optim.param_groups[0]["lr"])

    assert rates == pytest.approx([0.01, 0.01, 0.0055, 0.001])


MISMATCH = ("discriminator.d_audio=true", "loss.mismatch_weight=1")


def test_a_wrong_sound_is_that_of_another_video_or_of_another_quarter(batch_of) -> None:
    config = tiny_config(*MISMATCH, "train.batch_size=60")
    batch = batch_of(config)
    # Each clip's number in its sound, instead of values that may repeat.
    number = torch.arange(60 * 4, dtype=torch.float32).view(60, 4, 1, 1, 1)
    batch = dataclasses.replace(batch, mels_BTMU=number.expand(-1, -1, 4, 1, 1).flatten(1, 2), item_B=torch.arange(60))

    wrong = step.mismatched_mels(batch, 4)

    assert wrong.shape == (60, 4, 4, 1, 1)
    assert bool((wrong == wrong[:, :, :1]).all())  # the sound of a clip has no cut
    sources = (wrong[:, :, 0, 0, 0].long() // 4).tolist()
    clips = (wrong[:, :, 0, 0, 0].long() % 4).tolist()
    rotations: list[int] = []
    for row in range(60):
        assert len(set(sources[row])) == 1
        if sources[row][0] == row:
            rotations.append(clips[row][0])
            assert clips[row] == [(clips[row][0] + k) % 4 for k in range(4)]
        else:
            assert clips[row] == [0, 1, 2, 3]
    assert set(rotations) == {1, 2, 3}
    assert 15 < len(rotations) < 45
    assert len({row[0] for row in sources}) > 20


def test_a_clip_that_is_in_the_batch_twice_gives_itself_no_right_sound(batch_of) -> None:
    config = tiny_config(*MISMATCH, "train.batch_size=60", "order.sampling=enumerate")
    batch = batch_of(config)
    assert batch.item_B is not None
    assert len(set(batch.item_B.tolist())) < 6
    clip = batch.item_B[:, None].expand(-1, 4) * 4 + torch.arange(4)
    batch = dataclasses.replace(
        batch, mels_BTMU=clip.float()[:, :, None, None, None].expand(-1, -1, 4, 1, 1).flatten(1, 2)
    )

    wrong = step.mismatched_mels(batch, 4)[:, :, 0, 0, 0].long()

    assert not bool((wrong == clip).any())


def test_a_wrong_sound_depends_on_seed_and_position_and_is_shuffled_with_the_clips(batch_of) -> None:
    config = tiny_config(*MISMATCH)
    batch = batch_of(config)
    part = step.micro_batch(batch, config)

    in_time = step.mismatched_mels(batch, 4)
    for row, order in enumerate(clip_permutations.clip_at(batch.order_B, 4).tolist()):
        for position, clip in enumerate(order):
            assert part.wrong_mels_BSFMU is not None
            assert torch.equal(part.wrong_mels_BSFMU[row, position], in_time[row, clip])
            assert not torch.equal(part.wrong_mels_BSFMU[row, position], part.real.mels_BSFMU[row, position])
    assert torch.equal(step.mismatched_mels(batch_of(config), 4), in_time)
    plain = batch_of(tiny_config())
    assert plain.mismatch_BU is None
    assert torch.equal(plain.order_B, batch.order_B)  # the other random values are those without the option
    assert torch.equal(plain.frame_index_BS, batch.frame_index_BS)


def test_the_discriminator_learns_to_refuse_a_wrong_sound(batch_of) -> None:
    config = tiny_config(*MISMATCH, "loss.mismatch_weight=3", "optim.d_lr=5e-3", "discriminator.width=4")
    train_state, batch = new_state(config), batch_of(config)
    part = step.micro_batch(batch, config)
    fakes = [torch.rand_like(part.real.clips_BSCFHW)]
    margins: list[float] = []

    for _ in range(60):
        step.iterate_spectral_norms(train_state.discriminators)
        terms = step.discriminator_step(train_state, [part], fakes, config)
        margins.append(float(terms["mismatch_logit_margin"]))

    assert margins[-1] > margins[0] + 0.2


def test_frames_held_beyond_the_end_are_no_wrong_pair(batch_of) -> None:
    config = tiny_config(*MISMATCH)
    train_state = new_state(config)
    batch = dataclasses.replace(batch_of(config), num_valid_B=torch.tensor([0, 0, 0]))
    part = step.micro_batch(batch, config)

    _, terms = step.discriminator_losses(train_state, part, torch.rand_like(part.real.clips_BSCFHW), config)

    assert float(terms["d_mismatch"].detach()) == 0.0


def test_clips_across_seams_count_only_in_windows_in_time_order(batch_of) -> None:
    config = tiny_config("discriminator.seam_clips=true", "order.p_in_order=0.5")
    train_state = new_state(config)
    batch = dataclasses.replace(
        batch_of(config), order_B=torch.tensor([0, 7, 0]), in_order_B=torch.tensor([True, False, True])
    )
    part = step.micro_batch(batch, config)
    fake = torch.rand_like(part.real.clips_BSCFHW)

    _, terms = step.discriminator_losses(train_state, part, fake, config)

    def seam_logits(clips: torch.Tensor) -> torch.Tensor:
        videos = clips.transpose(1, 2).flatten(2, 3)[[0, 2]]  # frames in time order
        parts = torch.stack([videos[:, :, first : first + 4] for first in (2, 6, 10)], dim=1)
        return train_state.discriminators.clip_logits(parts, batch.label_BK[[0, 2]])

    real, generated = seam_logits(part.real.clips_BSCFHW), seam_logits(fake)
    assert real.shape == (2, 3)
    # Two of three windows, divided by p_in_order=0.5.
    torch.testing.assert_close(terms["d_seam"], losses.discriminator_loss(real, generated) * 2 / 3 / 0.5)
    fake[1] += 1.0
    _, changed = step.discriminator_losses(train_state, part, fake, config)
    assert torch.equal(changed["d_seam"], terms["d_seam"])


def test_the_generator_gets_a_gradient_across_the_seams(batch_of) -> None:
    config = tiny_config("discriminator.seam_clips=true", "order.p_in_order=1.0", "discriminator.d_audio=true")
    train_state, batch = new_state(config), batch_of(config)
    part = step.micro_batch(batch, config)

    _, loss, terms = step.generator_losses(train_state, part, config, adversarial=True)

    adversarial = terms["g_image"] + terms["g_video"] + terms["g_seam"] + 0.2 * terms["g_order"]
    torch.testing.assert_close(loss, 100 * terms["g_l1"] + adversarial)
    gradients = torch.autograd.grad(terms["g_seam"], list(train_state.generator.parameters()))
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
    assert sum(float(gradient.abs().sum()) for gradient in gradients) > 0


PENALTIES = ("loss.gan=rpgan", "loss.r1_gamma=2", "loss.r2_gamma=1", "discriminator.spectral=false")


def test_lazy_penalties_have_the_expected_gradient_of_those_in_every_step(batch_of) -> None:
    def mean_gradient(every: int) -> list[torch.Tensor]:
        """Over six steps with the same weights and batch."""
        config = tiny_config(*PENALTIES, f"loss.penalty_every={every}")
        train_state, batch = new_state(config), batch_of(config)
        part = step.micro_batch(batch, config)
        torch.manual_seed(2)
        fake = torch.rand_like(part.real.clips_BSCFHW)
        for number in range(6):
            loss, terms = step.discriminator_losses(
                train_state, part, fake, config, penalized=step.is_penalized(config, number)
            )
            assert ("r1" in terms) == ("r2" in terms) == (number % every == 0)
            (loss / 6).backward()
        return [parameter.grad for parameter in train_state.discriminators.parameters() if parameter.grad is not None]

    plain, lazy = mean_gradient(1), mean_gradient(3)

    assert len(plain) == len(lazy) > 0
    for expected, got in zip(plain, lazy, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


def test_discriminators_without_spectral_norm_start_with_gradients(batch_of) -> None:
    config = tiny_config(*PENALTIES)

    terms = train_step(new_state(config), batch_of(config), config, num_steps=0, num_videos=0)

    assert float(terms["r1"]) > 0.01
    assert float(terms["r2"]) > 0.01


def test_the_squared_error_goes_over_to_l1_in_the_last_fraction(batch_of) -> None:
    config = tiny_config(
        *("loss.l1_weight=20", "loss.l2_weight=150", "loss.l1_late_fraction=0.5", "loss.l1_late_weight=60"),
        *("train.num_videos=100", "loss.adv_start=1000"),
    )
    train_state, batch = new_state(config), batch_of(config)
    weights_of: list[tuple[float, float]] = []

    for seen in (0, 50, 75, 100):
        terms = train_step(train_state, batch, config, num_steps=0, num_videos=seen)
        weights_of.append((float(train_state.l1_weight), float(train_state.l2_weight)))
        expected = weights_of[-1][0] * terms["g_l1"] + weights_of[-1][1] * terms["g_l2"]
        torch.testing.assert_close(terms["g_loss"], expected)

    assert weights_of == [(20.0, 150.0), (20.0, 150.0), (40.0, 75.0), (60.0, 0.0)]
