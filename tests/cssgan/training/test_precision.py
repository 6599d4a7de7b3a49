"""Speed options keep the losses of eager float32; a step uses only its device, as CUDA graphs require.

Tolerance of every loss in the first ten steps, relative to eager float32: 2 % (bf16), 0.1 % (memory format, compilation,
fused optimizers).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cssgan.config import Config
from cssgan.data import resident
from cssgan.data.batches import ResidentLoader
from cssgan.models import factory
from cssgan.training import precision, step
from cssgan.types import MelStats
from phonics_data.errors import DependencyError
from tests.cssgan.toy_dataset import tiny_config

CPU = torch.device("cpu")
LOSSES = ("g_l1", "g_image", "g_video", "g_order", "d_image", "d_video", "d_order")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def loader_of(dataset: Path, config: Config) -> ResidentLoader:
    data = resident.load(dataset, "train", config.data.size)
    return ResidentLoader(
        data=data, config=config, mel_stats=MelStats(mean=data.mean, std=data.std, clamp=4.0), device=CPU
    )


def new_state(config: Config) -> step.TrainState:
    torch.manual_seed(0)
    return step.new_train_state(
        config, factory.generator(config, num_classes=26), factory.discriminators(config, num_classes=26)
    )


def curve(dataset: Path, *settings: str, steps: int = 10, backend: str = "eager") -> torch.Tensor:
    """The losses of the first steps, (steps, terms)."""
    config = tiny_config("train.num_videos=300", *settings)
    train_state, loader = new_state(config), loader_of(dataset, config)
    for network in (train_state.generator, train_state.discriminators):
        precision.set_memory_format(network, config)
    precision.compile_networks(train_state.generator, train_state.discriminators, config, backend=backend)
    rows: list[list[float]] = []
    for number in range(steps):
        seen = number * config.train.batch_size
        terms = step.train_step(train_state, loader.batch(seen), config, num_steps=number, num_videos=seen)
        rows.append([float(terms[name]) for name in LOSSES])
    return torch.tensor(rows)


@pytest.mark.parametrize(
    ("settings", "tolerance"),
    [
        (("compute.precision=bf16",), 0.02),
        (("compute.channels_last=true",), 0.001),
        (("compute.fused_adam=false",), 0.001),
        (("compute.precision=bf16", "compute.channels_last=true"), 0.02),
    ],
)
def test_each_option_keeps_the_losses(dataset: Path, settings: tuple[str, ...], tolerance: float) -> None:
    plain = curve(dataset, "compute.precision=fp32")

    torch.testing.assert_close(curve(dataset, *settings), plain, rtol=tolerance, atol=0.0)


def test_bf16_is_used_if_configured(dataset: Path) -> None:
    assert not torch.equal(curve(dataset, "compute.precision=bf16", steps=2), curve(dataset, steps=2))
    assert precision.uses_bf16(tiny_config(), torch.device("cuda"))
    assert not precision.uses_bf16(tiny_config(), CPU)
    assert not precision.uses_bf16(tiny_config("compute.precision=fp32"), torch.device("cuda"))


def test_channels_last_applies_to_every_convolution() -> None:
    config = tiny_config("compute.channels_last=true")
    discriminators = factory.discriminators(config, num_classes=3)
    precision.set_memory_format(discriminators, config)

    weights = [layer.weight for layer in discriminators.trunk.layers]  # type: ignore[union-attr]
    assert all(w.is_contiguous(memory_format=torch.channels_last_3d) for w in weights)
    assert not weights[-1].is_contiguous()


# torch's tracer reads .grad of non-leaf tensors.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_traced_modules_keep_the_losses(dataset: Path) -> None:
    plain = curve(dataset, steps=3)

    compiled = curve(dataset, "compute.compile=true", steps=3, backend="aot_eager")

    torch.testing.assert_close(compiled, plain, rtol=0.001, atol=0.0)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("ignore")
def test_compiled_modules_keep_the_losses(dataset: Path) -> None:
    compiled = curve(dataset, "compute.compile=true", steps=3, backend="inductor")

    torch.testing.assert_close(compiled, curve(dataset, steps=3), rtol=0.001, atol=0.0)


@pytest.mark.parametrize("parts", [3])
def test_gradient_accumulation_keeps_the_losses(dataset: Path, parts: int) -> None:
    # Without batch statistics, accumulation over the parts equals one step on the whole batch.
    settings = ("model.norm=group", "order.p_in_order=0.5", "train.batch_size=6")
    whole = curve(dataset, *settings, steps=4)

    torch.testing.assert_close(
        curve(dataset, *settings, f"train.accumulate={parts}", steps=4), whole, rtol=0.001, atol=1e-6
    )


class NoHostTensors(TorchDispatchMode):
    """Fails on any operation that creates or reads a tensor outside of the device ``meta``.

    CUDA graphs cannot capture copies from the host or decisions on values; values of ``meta`` tensors cannot be read.
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, out)):
            if isinstance(leaf, torch.Tensor) and leaf.device.type != "meta" and leaf.dim() > 0:
                raise AssertionError(f"{func} uses a host tensor")
        return out


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("discriminator.augment=all", "discriminator.d_audio=true", "loss.gan=rpgan", "loss.r1_gamma=1"),
        ("discriminator.video_d=both", "model.start_image=clip_prev", "order.shuffle=disc"),
        (
            *("discriminator.d_audio=true", "loss.mismatch_weight=1", "discriminator.seam_clips=true"),
            *("order.p_in_order=0.5", "model.audio_inject=film", "loss.l2_weight=1", "loss.l1_late_fraction=0.5"),
        ),
    ],
)
def test_a_step_uses_only_its_device(dataset: Path, settings: tuple[str, ...]) -> None:
    config = tiny_config(*settings)
    batch = loader_of(dataset, config).batch(0)
    on_meta = {
        name: value.to("meta")
        for name in type(batch).__slots__
        if isinstance(value := getattr(batch, name), torch.Tensor)
    }
    meta_batch = type(batch)(keys=batch.keys, **on_meta)
    with torch.device("meta"):
        train_state = new_state(tiny_config(*settings, "compute.fused_adam=false"))
    step.clip_permutations.clip_at(
        meta_batch.order_B, 4
    )  # copies the table of orders to the device once, before the first step

    with NoHostTensors():
        part = step.micro_batch(meta_batch, config)
        step.iterate_spectral_norms(train_state.discriminators)
        fake, loss, _ = step.generator_losses(train_state, part, config, adversarial=True)
        loss.backward()
        loss, _ = step.discriminator_losses(train_state, part, fake.detach(), config)
        loss.backward()


@pytest.mark.slow
def test_the_bf16_check_passes_here_and_fails_with_wrong_convolutions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    precision.check_convolutions(CPU)
    right = torch.nn.functional.conv3d

    def wrong(x: torch.Tensor, *others: object) -> torch.Tensor:
        out = right(x, *others)  # type: ignore[arg-type]
        return out * 1.1 if x.dtype == torch.bfloat16 else out

    monkeypatch.setattr(torch.nn.functional, "conv3d", wrong)
    with pytest.raises(DependencyError, match=r"in bf16 is wrong on cpu: output off by 0\.1.* compute\.precision=fp32"):
        precision.check_convolutions(CPU)
