"""CPU forms of convolutions equal torch's forms, as do their first and second derivatives."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional

from cssgan.models import cpu_convolutions


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def random(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, dtype=dtype, requires_grad=True)


Function = Callable[..., Tensor]

STRIDED: tuple[Function, Function] = (
    lambda x, w, b: cpu_convolutions.strided_conv(x, w, b, 2, 1),
    lambda x, w, b: functional.conv3d(x, w, b, 2, 1),
)
TRANSPOSED: tuple[Function, Function] = (
    lambda x, w, b: cpu_convolutions.conv_transpose2d(x, w, b, 2, 1),
    lambda x, w, b: functional.conv_transpose2d(x, w, b, 2, 1),
)

CASES: dict[str, tuple[Function, Function, tuple[tuple[int, ...], ...]]] = {
    "pointwise": (
        cpu_convolutions.pointwise_conv2d,
        functional.conv2d,
        ((3, 5, 4, 6), (7, 5, 1, 1)),
    ),
    "pointwise, many channels": (
        cpu_convolutions.pointwise_conv2d,
        functional.conv2d,
        ((2, 100, 2, 3), (90, 100, 1, 1)),
    ),
    "strided, many channels": (
        *STRIDED,
        ((2, 20, 2, 4, 4), (3, 20, 4, 4, 4), (3,)),
    ),
    "transposed, few channels": (
        *TRANSPOSED,
        ((3, 5, 4, 6), (5, 4, 4, 4), (4,)),
    ),
    "transposed, many channels": (
        *TRANSPOSED,
        ((3, 5, 4, 6), (5, 16, 4, 4), (16,)),
    ),
    "transposed, another stride": (
        lambda x, w, b: cpu_convolutions.conv_transpose2d(x, w, b, 1, 0),
        lambda x, w, b: functional.conv_transpose2d(x, w, b, 1, 0),
        ((3, 5, 2, 3), (5, 4, 4, 4), (4,)),
    ),
    "strided, images": (
        *STRIDED,
        ((2, 3, 4, 4, 6), (5, 3, 4, 4, 4), (5,)),
    ),
    "strided, 2-D": (
        lambda x, w, b: cpu_convolutions.strided_conv(x, w, b, 2, 1),
        lambda x, w, b: functional.conv2d(x, w, b, 2, 1),
        ((2, 3, 4, 6), (5, 3, 4, 4), (5,)),
    ),
    "strided, four frames": (
        *STRIDED,
        ((2, 6, 4, 4, 6), (5, 6, 4, 4, 4), (5,)),
    ),
    "strided, six frames": (
        *STRIDED,
        ((2, 6, 6, 4, 6), (5, 6, 4, 4, 4), (5,)),
    ),
    "strided, two frames": (
        lambda x, w, b: cpu_convolutions.strided_conv(x, w, b, (2, 2, 2), (1, 1, 1)),
        lambda x, w, b: functional.conv3d(x, w, b, 2, 1),
        ((2, 6, 2, 4, 6), (5, 6, 4, 4, 4), (5,)),
    ),
    "odd sizes": (
        *STRIDED,
        ((2, 3, 5, 4, 7), (5, 3, 4, 4, 4), (5,)),
    ),
    "time not strided": (
        lambda x, w, b: cpu_convolutions.strided_conv(x, w, b, (1, 2, 2), (0, 1, 1)),
        lambda x, w, b: functional.conv3d(x, w, b, (1, 2, 2), (0, 1, 1)),
        ((2, 3, 2, 4, 4), (5, 3, 1, 4, 4), (5,)),
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[Function, Function, tuple[tuple[int, ...], ...]]:
    return CASES[request.param]


@pytest.fixture
def double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numerical derivatives need double precision."""
    monkeypatch.setattr(cpu_convolutions, "_is_supported", lambda _: True)


def test_same_outputs_and_gradients(case: tuple[Function, Function, tuple[tuple[int, ...], ...]]) -> None:
    ours, plain, shapes = case
    tensors = [random(*shape) for shape in shapes]
    got, wanted = ours(*tensors), plain(*tensors)
    torch.testing.assert_close(got, wanted, atol=2e-5, rtol=1e-4)
    probe = torch.randn_like(wanted)
    for gradient, reference in zip(
        torch.autograd.grad(got, tensors, probe), torch.autograd.grad(wanted, tensors, probe), strict=True
    ):
        torch.testing.assert_close(gradient, reference, atol=2e-4, rtol=1e-4)


@pytest.mark.usefixtures("double_precision")
def test_first_and_second_derivatives(case: tuple[Function, Function, tuple[tuple[int, ...], ...]]) -> None:
    ours, _, shapes = case
    tensors = tuple(random(*shape, dtype=torch.float64) for shape in shapes)
    assert gradcheck(ours, tensors, fast_mode=True)
    assert gradgradcheck(ours, tensors, fast_mode=True)


@pytest.mark.parametrize(("channels", "axes"), [(3, 3), (6, 3), (3, 2)])
@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2), (1, 2)])
def test_gradients_of_subsets_of_the_inputs(wanted: tuple[int, ...], channels: int, axes: int) -> None:
    """In the generator step, discriminators are frozen; in the discriminator step, images need no gradient."""
    sizes = (4, 4, 6)[-axes:]
    tensors = [torch.randn(shape) for shape in ((2, channels, *sizes), (5, channels, *(4,) * axes), (5,))]
    for index in wanted:
        tensors[index].requires_grad_()
    leaves = [tensors[index] for index in wanted]
    plain: Function = functional.conv3d if axes == 3 else functional.conv2d
    got = torch.autograd.grad(cpu_convolutions.strided_conv(*tensors, 2, 1).square().sum(), leaves)
    expected = torch.autograd.grad(plain(*tensors, 2, 1).square().sum(), leaves)
    for gradient, reference in zip(got, expected, strict=True):
        torch.testing.assert_close(gradient, reference, atol=1e-3, rtol=1e-4)


def test_images_before_frozen_layers_use_the_fast_backward_pass() -> None:
    frozen = torch.randn(5, 3, 4, 4), torch.randn(5)
    assert "_StridedConv" in str(cpu_convolutions.strided_conv(random(2, 3, 4, 6), *frozen, 2, 1).grad_fn)
    assert "_StridedConv" not in str(
        cpu_convolutions.strided_conv(random(2, 3, 4, 6), random(5, 3, 4, 4), random(5), 2, 1).grad_fn
    )


def test_tanh() -> None:
    x = torch.linspace(-20, 20, 4001, requires_grad=True)
    torch.testing.assert_close(cpu_convolutions.tanh(x), torch.tanh(x), atol=3e-7, rtol=0)
    (got,), (expected,) = (torch.autograd.grad(f(x).sum(), x) for f in (cpu_convolutions.tanh, torch.tanh))
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)
    assert cpu_convolutions.tanh(x).abs().max() <= 1.0


def blended(painted_BTCHW: Tensor, start_BCHW: Tensor) -> Tensor:
    frames, mask = torch.tanh(painted_BTCHW[:, :, :3]), torch.sigmoid(painted_BTCHW[:, :, 3:] - 1.0)
    return (mask * frames + (1 - mask) * start_BCHW[:, None]).transpose(1, 2)


@pytest.mark.parametrize("start_has_gradient", [True, False])
def test_compose(start_has_gradient: bool) -> None:
    painted, start = random(2, 5, 4, 6, 3), torch.randn(2, 3, 6, 3, requires_grad=start_has_gradient)
    leaves = [painted, start] if start_has_gradient else [painted]
    got, wanted = cpu_convolutions.compose(painted, start), blended(painted, start)
    torch.testing.assert_close(got, wanted, atol=1e-6, rtol=1e-5)
    probe = torch.randn_like(wanted)
    for gradient, reference in zip(
        torch.autograd.grad(got, leaves, probe), torch.autograd.grad(wanted, leaves, probe), strict=True
    ):
        torch.testing.assert_close(gradient, reference, atol=1e-5, rtol=1e-4)


@pytest.mark.usefixtures("double_precision")
def test_first_and_second_derivatives_of_compose() -> None:
    leaves = random(2, 3, 4, 2, 2, dtype=torch.float64), random(2, 3, 2, 2, dtype=torch.float64)
    assert gradcheck(cpu_convolutions.compose, leaves)
    assert gradgradcheck(cpu_convolutions.compose, leaves)


def test_half_precision_uses_the_plain_form() -> None:
    x, weight, bias = random(2, 5, 4, 4), random(5, 4, 4, 4), random(4)
    with torch.autocast("cpu", torch.bfloat16):
        assert cpu_convolutions.conv_transpose2d(x, weight, bias, 2, 1).dtype == torch.bfloat16
        assert cpu_convolutions.pointwise_conv2d(x, random(3, 5, 1, 1)).dtype == torch.bfloat16
    painted, start = random(2, 3, 4, 4, 4, dtype=torch.bfloat16), random(2, 3, 4, 4, dtype=torch.bfloat16)
    torch.testing.assert_close(cpu_convolutions.compose(painted, start), blended(painted, start), atol=0.03, rtol=0.03)
