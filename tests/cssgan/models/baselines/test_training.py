"""The baselines in the common trainer: updates, losses, resuming, options."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import nn

from cssgan.config import Config, override
from cssgan.data import resident
from cssgan.data.batches import ResidentLoader
from cssgan.errors import ConfigError
from cssgan.inference.generate import load_generator
from cssgan.models import factory
from cssgan.models.blocks import iterate_spectral_norms
from cssgan.presets import preset
from cssgan.training import checkpoint, loop, step
from cssgan.training.cost import synthetic_batch
from cssgan.training.step import TrainState, new_train_state, train_step
from cssgan.types import Batch, MelStats
from tests.cssgan.toy_dataset import tiny_version

KINDS = ("mocogan", "g3an", "imaginator", "phonicsgan_like")
CPU = torch.device("cpu")


@pytest.fixture
def batch_of(dataset: Path):
    def make(config: Config) -> Batch:
        data = resident.load(dataset, "train", config.data.size)
        stats = MelStats(mean=data.mean, std=data.std, clamp=4.0)
        return ResidentLoader(data=data, config=config, mel_stats=stats, device=CPU).batch(0)

    return make


def small(kind: str, *settings: str) -> Config:
    return tiny_version(f"{kind}-tiny", *settings)


def new_state(config: Config) -> TrainState:
    torch.manual_seed(0)
    return new_train_state(
        config, factory.generator(config, num_classes=26), factory.discriminators(config, num_classes=26)
    )


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def changed_weights(module: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}


def millions(module: nn.Module) -> float:
    return round(sum(parameter.numel() for parameter in module.parameters()) / 1e6, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_each_step_updates_only_its_own_network(batch_of, kind: str) -> None:
    config = small(kind)
    train_state = new_state(config)
    part = step.micro_batch(batch_of(config), config)
    discriminators, generator = state(train_state.discriminators), state(train_state.generator)

    fakes, terms = step.generator_step(train_state, [part], config, adversarial=True)

    assert changed_weights(train_state.discriminators, discriminators) == set()
    weights = {name for name, parameter in train_state.generator.named_parameters() if parameter.grad is not None}
    assert weights == {name for name, _ in train_state.generator.named_parameters()}
    assert {"g_l1", "g_image", "g_video"} <= set(terms)
    generator = state(train_state.generator)
    step.discriminator_step(train_state, [part], fakes, config)

    assert changed_weights(train_state.generator, generator) == set()
    assert changed_weights(train_state.discriminators, discriminators) == {
        name for name, _ in train_state.discriminators.named_parameters()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_lowers_the_loss_of_its_own_batch(batch_of, kind: str) -> None:
    config = small(kind, "loss.l1_weight=100", "optim.g_lr=1e-2")
    train_state, batch = new_state(config), batch_of(config)

    seen = [train_step(train_state, batch, config, num_steps=n, num_videos=3 * n) for n in range(8)]

    assert all(math.isfinite(float(value)) for terms in seen for value in terms.values())
    assert float(seen[-1]["g_l1"]) < 0.9 * float(seen[0]["g_l1"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_discriminators_learn_to_separate_real_from_fake(batch_of, kind: str) -> None:
    config = small(kind, "optim.d_lr=2e-3", "discriminator.width=4")
    train_state = new_state(config)
    part = step.micro_batch(batch_of(config), config)
    black = [-torch.ones_like(part.real.clips_BSCFHW)]

    losses: list[float] = []
    for _ in range(8):
        iterate_spectral_norms(train_state.discriminators)
        losses.append(float(step.discriminator_step(train_state, [part], black, config)["d_video"]))

    assert losses[-1] < 0.8 * losses[0]


def test_only_mocogan_has_class_losses(batch_of) -> None:
    names = {
        kind: set(train_step(new_state(small(kind)), batch_of(small(kind)), small(kind), num_steps=0, num_videos=0))
        for kind in KINDS
    }

    class_terms = {"g_class", "d_class", "class_acc_real", "class_acc_fake"}
    assert {kind: class_terms & got for kind, got in names.items()} == {
        kind: class_terms if kind == "mocogan" else set() for kind in KINDS
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_resumes_bit_equal_and_generates_videos(dataset: Path, tmp_path: Path, kind: str) -> None:
    quiet = Console(file=io.StringIO())
    config = small(kind, "train.sample_every=2", "train.ema_half_life=6")
    loop.train(config, dataset, tmp_path / "whole", console=quiet)

    for videos in (6, 12):
        shorter = override(config, [f"train.num_videos={videos}"])
        loop.train(shorter, dataset, tmp_path / "resumed", console=quiet)

    whole, resumed = (checkpoint.load_newest(tmp_path / name) for name in ("whole", "resumed"))
    for one, other in (
        (whole.generator_weights(), resumed.generator_weights()),
        (whole.discriminator_weights(), resumed.discriminator_weights()),
    ):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)
    loaded = load_generator(tmp_path / "whole")
    video = loaded.generate(torch.zeros(2, 3, 16, 16), torch.randn(2, 21, 64, 20), torch.tensor([0, 1]))
    assert video.shape == (2, 3, 21, 16, 16)
    assert float(video.abs().max()) <= 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_depends_on_image_audio_and_class(kind: str) -> None:
    config = small(kind)
    generator = new_state(config).generator.eval()
    batch = synthetic_batch(config, 2, num_classes=26, device=CPU)
    image, mels, label, noise = batch.video_BCTHW[:, :, 0], batch.mels_BTMU, batch.label_BK, batch.noise_BZ

    video = generator.rollout(image, mels, label, noise)

    assert video.shape == (2, 3, 16, 16, 16)
    clips = generator(image, mels.unflatten(1, (4, 4)), label, noise)
    torch.testing.assert_close(clips.transpose(1, 2).flatten(2, 3), video)
    for changed in (
        (image + 1, mels, label, noise),
        (image, mels + 1, label, noise),
        (image, mels, label.flip(0), noise),
    ):
        assert not torch.equal(generator.rollout(*changed), video)
    longer = generator.rollout(image, torch.cat((mels, mels), dim=1), label, noise)
    torch.testing.assert_close(longer[:, :, 16:], generator.rollout(video[:, :, -1], mels, label, noise))


def test_recurrent_generators_are_causal() -> None:
    for kind in ("mocogan", "phonicsgan_like"):
        config = small(kind)
        generator = new_state(config).generator.eval()
        batch = synthetic_batch(config, 2, num_classes=26, device=CPU)
        other = batch.mels_BTMU.clone()
        other[:, 9:] += 1.0
        videos = [
            generator.rollout(batch.video_BCTHW[:, :, 0], mels, batch.label_BK, batch.noise_BZ)
            for mels in (batch.mels_BTMU, other)
        ]

        same = [torch.equal(videos[0][:, :, t], videos[1][:, :, t]) for t in range(16)]
        assert same == [True] * 9 + [False] * 7


def test_sizes_of_the_original_models() -> None:
    """Sizes of the published ImaGINator and MoCoGAN with the six classes of their data."""
    with torch.device("meta"):
        imaginator, mocogan = (factory.generator(preset(name), num_classes=6) for name in ("imaginator", "mocogan"))
        discriminators = {
            name: factory.discriminators(preset(name), num_classes=6) for name in ("imaginator", "mocogan")
        }

    assert millions(imaginator.image_encoder) + millions(imaginator.decoder) == pytest.approx(75.4)  # type: ignore[arg-type]
    assert millions(mocogan.decoder) == 3.3  # type: ignore[arg-type]
    sizes = {name: (millions(own.video), millions(own.image)) for name, own in discriminators.items()}  # type: ignore[arg-type]
    assert sizes == {"imaginator": (11.1, 2.8), "mocogan": (11.3, 0.7)}


def test_mocogan_has_logits_at_seventeen_positions_and_sixteen_patches() -> None:
    config = preset("mocogan")
    with torch.device("meta"):
        discriminators = factory.discriminators(config, num_classes=26)
        output = discriminators(
            torch.empty(2, 4, 3, 8, 64, 64), torch.empty(2, 26), torch.zeros(2, 1, dtype=torch.long)
        )

    assert output.image_BS.shape == (2, 16)
    assert output.video_B.shape == (2, 17)
    assert output.class_BVK.shape == (2, 17, 26)


@pytest.mark.parametrize("kind", KINDS)
def test_the_image_discriminator_uses_one_frame_of_the_window(kind: str) -> None:
    discriminators = new_state(small(kind)).discriminators
    clips, index = torch.randn(2, 4, 3, 4, 16, 16), torch.tensor([[6], [15]])

    logits = discriminators(clips, torch.eye(26)[:2], index).image_BS
    changed = clips.clone()
    changed[0, 1, :, 2] += 1.0  # frame 6
    changed[1, 3, :, 2] += 1.0  # frame 14

    other = discriminators(changed, torch.eye(26)[:2], index).image_BS
    assert not torch.allclose(other[0], logits[0])
    if kind != "mocogan":  # its batch norm mixes the videos of a batch
        torch.testing.assert_close(other[1], logits[1])


@pytest.mark.parametrize(
    ("kind", "setting", "words"),
    [
        ("mocogan", "model.g_output=compose", "model.g_output: got 'compose', allowed: direct with model.kind=mocogan"),
        ("g3an", "order.shuffle=gen", "order.shuffle: got 'gen', allowed: none with model.kind=g3an"),
        ("imaginator", "model.streams=4", "model.streams: got 4, allowed: 1 with model.kind=imaginator"),
        ("imaginator", "model.attention=true", "model.attention: got True, allowed: false with model.kind=imaginator"),
        ("mocogan", "loss.r1_gamma=1", "loss.r1_gamma: got 1.0, allowed: 0 with model.kind=mocogan"),
        ("mocogan", "discriminator.d_class=false", "discriminator.d_class: got False, allowed: true"),
        ("g3an", "data.num_frames=8", "data.num_frames: got 8, allowed: at least 13 with model.kind=g3an"),
        ("g3an", "model.audio_inject=film", "model.audio_inject: got 'film', allowed: bottleneck with model.kind=g3an"),
        ("g3an", "discriminator.seam_clips=true", "discriminator.seam_clips: got True, allowed: false with model.kind"),
        ("mocogan", "model.audio_encoder=conv", "model.audio_encoder: got 'conv', allowed: linear with model.kind=mocogan"),
        ("g3an", "model.kind=gan", "model.kind: got 'gan', allowed: cssgan | mocogan"),
    ],
)  # fmt: skip
def test_options_that_a_model_does_not_support_are_refused(kind: str, setting: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override(preset(f"{kind}-tiny"), [setting])

    assert words in str(caught.value)


@pytest.mark.parametrize("setting", ["model.motion=sequence", "model.attention=true", "discriminator.d_class=false"])
def test_options_of_g3an_run(batch_of, setting: str) -> None:
    config = small("g3an", setting)

    terms = train_step(new_state(config), batch_of(config), config, num_steps=0, num_videos=0)

    assert all(math.isfinite(float(value)) for value in terms.values())


@pytest.mark.parametrize("kind", ["g3an", "imaginator"])
def test_convolutions_for_the_sound_run(batch_of, kind: str) -> None:
    config = small(kind, "model.audio_encoder=conv")
    state = new_state(config)
    encoder = state.generator.get_submodule("audio_encoder.segment")
    before = {name: weight.detach().clone() for name, weight in encoder.named_parameters()}

    terms = train_step(state, batch_of(config), config, num_steps=0, num_videos=0)

    assert math.isfinite(float(terms["g_loss"]))
    assert {"convs.0.weight", "norms.0.weight", "out.weight"} <= before.keys()
    assert all(not torch.equal(weight, before[name]) for name, weight in encoder.named_parameters() if "weight" in name)


@pytest.mark.parametrize("kind", ["g3an", "imaginator", "phonicsgan_like"])
def test_the_relativistic_loss_with_gradient_penalties_runs(batch_of, kind: str) -> None:
    config = small(kind, "loss.gan=rpgan", "loss.r1_gamma=1", "loss.r2_gamma=1", "discriminator.spectral=false")

    terms = train_step(new_state(config), batch_of(config), config, num_steps=0, num_videos=0)

    assert all(math.isfinite(float(value)) for value in terms.values())
