"""Frames past the end of a clip: no loss and no gradient depends on what they show, and whole clips are unaffected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cssgan import clip_permutations
from cssgan.config import Config
from cssgan.data.batches import cut_clips, micro_batches
from cssgan.data.sampler import sample_randomness
from cssgan.models import factory
from cssgan.training import held_frames, losses, step
from cssgan.training.cost import synthetic_batch
from cssgan.types import Batch
from tests.cssgan.toy_dataset import tiny_config, tiny_version

CPU = torch.device("cpu")
LENGTHS = (16, 6, 9)
"""Valid frames of a window of 16: all, one and a half clips of four, two and a quarter."""
MODELS = {
    "clips": ("tiny", ("order.p_in_order=0.3",)),
    "both": ("tiny", ("discriminator.video_d=both", "loss.vote_loss=mean_logit", "discriminator.augment=all")),
    "rpgan": ("tiny", ("loss.gan=rpgan", "loss.r1_gamma=1", "loss.r2_gamma=1", "discriminator.video_d=both")),
    "one stream": ("a1-tiny", ()),
    "mocogan": ("mocogan-tiny", ()),
    "imaginator": ("imaginator-tiny", ("loss.gan=rpgan", "loss.r1_gamma=1", "loss.r2_gamma=1")),
}


def config_of(model: str) -> Config:
    name, settings = MODELS[model]
    return tiny_version(name, *settings)


def batch_of(config: Config, *lengths: int, seed: int = 0) -> Batch:
    """A batch of random frames, with the random values that the sampler gives for clips of these lengths."""
    torch.manual_seed(seed)
    found = sample_randomness(config, 0, lengths)
    complete = found.num_valid_B == config.data.num_frames
    return replace(
        synthetic_batch(config, len(lengths), num_classes=26, device=CPU),
        num_valid_B=torch.from_numpy(found.num_valid_B),
        order_B=torch.from_numpy(found.orders_B),
        order_mask_B=torch.from_numpy((~found.forced_B & complete).astype(np.float32)),
        in_order_B=torch.from_numpy(found.forced_B),
        frame_index_BS=torch.from_numpy(found.frame_index_BS),
    )


def new_state(config: Config) -> step.TrainState:
    torch.manual_seed(1)
    return step.new_train_state(
        config, factory.generator(config, num_classes=26), factory.discriminators(config, num_classes=26)
    )


def gradients(module: torch.nn.Module) -> list[torch.Tensor]:
    found = [parameter.grad.clone() for parameter in module.parameters() if parameter.grad is not None]
    module.zero_grad()
    return found


def noise_in_held_frames(clips_BSCFHW: torch.Tensor, part: step.MicroBatch) -> torch.Tensor:
    held = part.real.valid_BSF[:, :, None, :, None, None] == 0
    return torch.where(held, torch.rand_like(clips_BSCFHW), clips_BSCFHW)


@pytest.mark.parametrize("model", MODELS)
def test_no_loss_depends_on_the_content_of_held_frames(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(model)
    batch = batch_of(config, *LENGTHS)
    part = step.micro_batch(batch, config)
    other = replace(part, real=replace(part.real, clips_BSCFHW=noise_in_held_frames(part.real.clips_BSCFHW, part)))
    assert not torch.equal(part.real.clips_BSCFHW, other.real.clips_BSCFHW)
    state = new_state(config)
    made = (torch.rand_like(part.real.clips_BSCFHW) * 2 - 1).requires_grad_()
    changed = noise_in_held_frames(made.detach(), part).requires_grad_()
    found: list[tuple[dict[str, torch.Tensor], list[torch.Tensor]]] = []
    for current, fake in ((part, made), (other, changed)):
        monkeypatch.setattr(step, "generate_clips", lambda *_, fake=fake: fake)
        _, loss, terms = step.generator_losses(state, current, config, adversarial=True)
        (gradient,) = torch.autograd.grad(loss, fake)
        held = part.real.valid_BSF[:, :, None, :, None, None].expand_as(gradient) == 0
        assert float(gradient[held].abs().max()) == 0.0
        assert float(gradient[~held].abs().max()) > 0.0
        loss, d_terms = step.discriminator_losses(state, current, fake.detach(), config)
        loss.backward()
        terms = {name: value.detach() for name, value in (terms | d_terms).items()}
        terms["motion_ratio"] = step._motion_ratio([fake.detach()], [current])
        found.append((terms, [gradient, *gradients(state.discriminators)]))

    (terms, grads), (other_terms, other_grads) = found
    assert terms == other_terms
    assert all(torch.equal(one, two) for one, two in zip(grads, other_grads, strict=True))


@pytest.mark.parametrize("model", MODELS)
def test_without_held_frames_nothing_changes(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same step without holding and with plain means gives the same bits."""
    config = config_of(model)
    batch = batch_of(config, 16, 40, 20)

    def gradients_of_a_step() -> tuple[dict[str, float], list[torch.Tensor]]:
        state = new_state(config)
        terms = step.train_step(state, batch, config, num_steps=0, num_videos=0)
        return {name: float(value) for name, value in terms.items()}, [
            value.clone() for net in (state.generator, state.discriminators) for value in net.state_dict().values()
        ]

    terms, weights = gradients_of_a_step()
    monkeypatch.setattr(held_frames, "hold", lambda clips, _: clips)
    monkeypatch.setattr(losses, "weighted_mean", lambda values, _: values.mean())
    plain_terms, plain_weights = gradients_of_a_step()

    assert terms == plain_terms
    assert all(torch.equal(one, two) for one, two in zip(weights, plain_weights, strict=True))


@pytest.mark.parametrize("model", ["clips", "both", "rpgan", "imaginator"])
def test_the_mean_over_micro_batches_is_the_loss_of_the_batch(model: str) -> None:
    name, settings = MODELS[model]
    config = tiny_version(name, *settings, "train.batch_size=4", "train.accumulate=2")
    batch = batch_of(config, 16, 3, 6, 13)
    state = new_state(config)
    whole = step.micro_batch(batch, config)
    parts = [step.micro_batch(part, config) for part in micro_batches(batch, config)]
    assert len(parts) == 2
    fake = torch.rand_like(whole.real.clips_BSCFHW)

    loss, terms = step.discriminator_losses(state, whole, fake, config)
    loss.backward()
    expected = gradients(state.discriminators)
    of_parts = []
    for part, own in zip(parts, fake.split(2), strict=True):
        part_loss, part_terms = step.discriminator_losses(state, part, own, config)
        (part_loss / 2).backward()
        of_parts.append(part_terms)

    for name in ("d_image", "d_video", "d_order", "r1", "r2", "order_acc_real"):
        if name in terms:
            mean = sum(float(one[name].detach()) for one in of_parts) / 2
            assert mean == pytest.approx(float(terms[name].detach()), rel=1e-5, abs=1e-6), name
    for one, two in zip(gradients(state.discriminators), expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-6)


def test_weights_are_shares_of_valid_frames() -> None:
    config = tiny_config("order.shuffle=disc")
    batch = batch_of(config, 16, 6, 8)
    weights = step.micro_batch(batch, config).weights

    share = 30 / 48
    assert (weights.clip_BS * share).tolist() == [[1, 1, 1, 1], [1, 0.5, 0, 0], [1, 1, 0, 0]]
    torch.testing.assert_close(weights.window_B * share, torch.tensor([1.0, 6 / 16, 8 / 16]))
    torch.testing.assert_close(weights.image_BS * (8 / 12), torch.tensor([[1.0, 1, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]]))
    for one in (weights.clip_BS, weights.window_B, weights.image_BS):
        assert float(one.mean()) == pytest.approx(1.0)


def test_held_frames_show_the_last_valid_frame_in_every_order() -> None:
    config = tiny_config()
    batch = batch_of(config, 16, 6, 9)
    for rank in (0, 8, 23):
        clip_at = clip_permutations.clip_at(torch.full((3,), rank), 4)
        real = cut_clips(batch, 4, clip_at)
        held = clip_permutations.unpermute(held_frames.hold(real.clips_BSCFHW, real), clip_at)
        video = held.transpose(1, 2).flatten(2, 3)
        for b, valid in enumerate((16, 6, 9)):
            assert torch.equal(video[b, :, :valid], batch.video_BCTHW[b, :, :valid])
            for frame in range(valid, 16):
                assert torch.equal(video[b, :, frame], batch.video_BCTHW[b, :, valid - 1])


@pytest.mark.parametrize(("shuffle", "preset"), [("gen", "tiny"), ("disc", "tiny"), ("none", "mocogan-tiny")])
def test_the_image_discriminator_receives_valid_frames(shuffle: str, preset: str) -> None:
    config = tiny_version(preset, f"order.shuffle={shuffle}")
    lengths = (16, 6, 9, 1, 30)
    seen: set[int] = set()
    for position in range(60):
        found = sample_randomness(config, position, lengths)
        clip_at = clip_permutations.permutations(4)[found.orders_B if shuffle == "gen" else np.zeros(5, int)]
        for b, valid in enumerate(found.num_valid_B):
            if preset != "tiny":
                assert 0 <= found.frame_index_BS[b, 0] < valid
                continue
            for k, clip in enumerate(clip_at[b]):
                frames = min(max(int(valid) - 4 * int(clip), 0), 4)
                assert 0 <= found.frame_index_BS[b, k] < max(frames, 1)
                if b == 2 and clip == 1:
                    seen.add(int(found.frame_index_BS[b, k]))
    assert preset != "tiny" or seen == {0, 1, 2, 3}


def test_other_clips_keep_their_random_frames() -> None:
    """A clip with held frames in the batch changes nothing for the others."""
    config = tiny_config()
    whole, short = (sample_randomness(config, 3, lengths) for lengths in ((16, 16, 16), (16, 7, 16)))

    assert np.array_equal(whole.frame_index_BS[[0, 2]], short.frame_index_BS[[0, 2]])
    assert np.array_equal(whole.orders_B, short.orders_B)
    assert np.array_equal(whole.noise_BZ, short.noise_BZ)


def test_windows_with_held_frames_are_left_out_of_the_order_loss(dataset: Path) -> None:
    from cssgan.data import resident
    from cssgan.data.batches import ResidentLoader
    from cssgan.types import MelStats

    config = tiny_config("train.batch_size=7")
    data = resident.load(dataset, "train", config.data.size)
    stats = MelStats(mean=data.mean, std=data.std, clamp=4.0)
    parts = [
        ResidentLoader(data=data, config=config, mel_stats=stats, device=CPU, rank=rank, world=world).batch(0)
        for rank, world in ((0, 1), (0, 7), (6, 7))
    ]
    batch = parts[0]

    assert sorted(batch.num_valid_B.tolist()) == [12, 15, 16, 16, 16, 16, 16]
    assert batch.order_mask_B.tolist() == [float(valid == 16) for valid in batch.num_valid_B.tolist()]
    assert not batch.in_order_B.any()
    for part in parts[1:]:
        assert float(part.order_denominator) * 7 == pytest.approx(5.0)
        assert float(part.image_denominator) * 7 == pytest.approx(3 + 4 * 6)
