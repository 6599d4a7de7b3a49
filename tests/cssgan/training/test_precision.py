"""What makes a step faster leaves it the same step: loss curves against plain eager float32, and what a graph may hold.

The tolerance that the options promise: every loss of the first ten steps within 2 % of plain float32 (bf16), within
0.1 % (layout, compilation, optimizers).
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


def train_state(config: Config) -> step.TrainState:
    torch.manual_seed(0)
    return step.new_train_state(
        config, factory.generator(config, num_classes=26), factory.discriminators(config, num_classes=26)
    )


def curve(dataset: Path, *settings: str, steps: int = 10, backend: str = "eager") -> torch.Tensor:
    """The losses of the first steps, (steps, terms)."""
    config = tiny_config("train.num_videos=300", *settings)
    ours, loader = train_state(config), loader_of(dataset, config)
    for network in (ours.generator, ours.discriminators):
        precision.lay_out(network, config)
    precision.compile_parts(ours.generator, ours.discriminators, config, backend=backend)
    rows: list[list[float]] = []
    for number in range(steps):
        seen = number * config.train.batch_size
        terms = step.train_step(ours, loader.batch(seen), config, num_steps=number, num_videos=seen)
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
def test_each_option_leaves_the_loss_curve_as_it_is(dataset: Path, settings: tuple[str, ...], tolerance: float) -> None:
    plain = curve(dataset, "compute.precision=fp32")

    torch.testing.assert_close(curve(dataset, *settings), plain, rtol=tolerance, atol=0.0)


def test_bf16_is_in_use_where_it_is_asked_for(dataset: Path) -> None:
    assert not torch.equal(curve(dataset, "compute.precision=bf16", steps=2), curve(dataset, steps=2))
    assert precision.uses_bf16(tiny_config(), torch.device("cuda"))
    assert not precision.uses_bf16(tiny_config(), CPU)
    assert not precision.uses_bf16(tiny_config("compute.precision=fp32"), torch.device("cuda"))


def test_channels_last_lays_out_every_convolution() -> None:
    config = tiny_config("compute.channels_last=true")
    discriminators = factory.discriminators(config, num_classes=3)
    precision.lay_out(discriminators, config)

    weights = [layer.weight for layer in discriminators.trunk.layers]  # type: ignore[union-attr]
    assert all(w.is_contiguous(memory_format=torch.channels_last_3d) for w in weights)
    assert not weights[-1].is_contiguous()


# torch's tracer looks at .grad of tensors in between.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_compiled_parts_trace_without_breaks_of_the_curve(dataset: Path) -> None:
    plain = curve(dataset, steps=3)

    compiled = curve(dataset, "compute.compile=true", steps=3, backend="aot_eager")

    torch.testing.assert_close(compiled, plain, rtol=0.001, atol=0.0)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("ignore")
def test_code_made_by_the_compiler_gives_the_same_curve(dataset: Path) -> None:
    compiled = curve(dataset, "compute.compile=true", steps=3, backend="inductor")

    torch.testing.assert_close(compiled, curve(dataset, steps=3), rtol=0.001, atol=0.0)


@pytest.mark.parametrize("parts", [3])
def test_accumulated_parts_have_the_loss_and_gradient_of_the_whole(dataset: Path, parts: int) -> None:
    # Without batch statistics the parts must give exactly what the whole batch gives.
    settings = ("model.norm=group", "order.p_in_order=0.5", "train.batch_size=6")
    whole = curve(dataset, *settings, steps=4)

    torch.testing.assert_close(
        curve(dataset, *settings, f"train.accumulate={parts}", steps=4), whole, rtol=0.001, atol=1e-6
    )


class NothingOnTheHost(TorchDispatchMode):
    """Fails at any operation of a step on the device ``meta`` that makes or reads a tensor of the host.

    A CUDA graph records no copies from the host and no decisions on values; values of ``meta`` cannot be read at all.
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, out)):
            if isinstance(leaf, torch.Tensor) and leaf.device.type != "meta" and leaf.dim() > 0:
                raise AssertionError(f"{func} touches the host")
        return out


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("discriminator.augment=all", "discriminator.d_audio=true", "loss.gan=rpgan", "loss.r1_gamma=1"),
        ("discriminator.video_d=both", "model.start_image=clip_prev", "order.shuffle=disc"),
    ],
)
def test_a_step_stays_on_its_device(dataset: Path, settings: tuple[str, ...]) -> None:
    config = tiny_config(*settings)
    batch = loader_of(dataset, config).batch(0)
    moved = {
        name: value.to("meta")
        for name in type(batch).__slots__
        if isinstance(value := getattr(batch, name), torch.Tensor)
    }
    on_meta = type(batch)(keys=batch.keys, **moved)
    with torch.device("meta"):
        ours = train_state(tiny_config(*settings, "compute.fused_adam=false"))
    step.clip_orders.clip_at(on_meta.order_B, 4)  # the table of orders goes to the device once, before the first step

    with NothingOnTheHost():
        part = step.present(on_meta, config)
        step.iterate_spectral_norms(ours.discriminators)
        fake, total, _ = step.generator_losses(ours, part, config, adversarial=True)
        total.backward()
        total, _ = step.discriminator_losses(ours, part, fake.detach(), config)
        total.backward()


@pytest.mark.slow
def test_the_check_before_bf16_passes_here_and_fails_where_convolutions_are_wrong(
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
