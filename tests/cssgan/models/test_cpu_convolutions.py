"""Forms of convolutions for CPUs: they give what the plain ones give, and so do their gradients of both orders."""

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


def made(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, dtype=dtype, requires_grad=True)


Function = Callable[..., Tensor]

HALVED: tuple[Function, Function] = (
    lambda x, w, b: cpu_convolutions.halve(x, w, b, 2, 1),
    lambda x, w, b: functional.conv3d(x, w, b, 2, 1),
)
DOUBLED: tuple[Function, Function] = (
    lambda x, w, b: cpu_convolutions.enlarge_2d(x, w, b, 2, 1),
    lambda x, w, b: functional.conv_transpose2d(x, w, b, 2, 1),
)

CASES: dict[str, tuple[Function, Function, tuple[tuple[int, ...], ...]]] = {
    "one place": (
        cpu_convolutions.convolve_each,
        functional.conv2d,
        ((3, 5, 4, 6), (7, 5, 1, 1)),
    ),
    "one place, many channels": (
        cpu_convolutions.convolve_each,
        functional.conv2d,
        ((2, 100, 2, 3), (90, 100, 1, 1)),
    ),
    "halved, many channels": (
        *HALVED,
        ((2, 20, 2, 4, 4), (3, 20, 4, 4, 4), (3,)),
    ),
    "doubled to few channels": (
        *DOUBLED,
        ((3, 5, 4, 6), (5, 4, 4, 4), (4,)),
    ),
    "doubled to many channels": (
        *DOUBLED,
        ((3, 5, 4, 6), (5, 16, 4, 4), (16,)),
    ),
    "another stride": (
        lambda x, w, b: cpu_convolutions.enlarge_2d(x, w, b, 1, 0),
        lambda x, w, b: functional.conv_transpose2d(x, w, b, 1, 0),
        ((3, 5, 2, 3), (5, 4, 4, 4), (4,)),
    ),
    "halved pictures": (
        *HALVED,
        ((2, 3, 4, 4, 6), (5, 3, 4, 4, 4), (5,)),
    ),
    "doubled by phases at hand": (
        lambda x, w, b: cpu_convolutions.enlarge_2d(x, w, b, 2, 1, cpu_convolutions.doubling_phases(w)),
        DOUBLED[1],
        ((3, 5, 4, 6), (5, 4, 4, 4), (4,)),
    ),
    "halved, single pictures": (
        lambda x, w, b: cpu_convolutions.halve(x, w, b, 2, 1),
        lambda x, w, b: functional.conv2d(x, w, b, 2, 1),
        ((2, 3, 4, 6), (5, 3, 4, 4), (5,)),
    ),
    "halved, four frames": (
        *HALVED,
        ((2, 6, 4, 4, 6), (5, 6, 4, 4, 4), (5,)),
    ),
    "halved, six frames": (
        *HALVED,
        ((2, 6, 6, 4, 6), (5, 6, 4, 4, 4), (5,)),
    ),
    "halved features": (
        lambda x, w, b: cpu_convolutions.halve(x, w, b, (2, 2, 2), (1, 1, 1)),
        lambda x, w, b: functional.conv3d(x, w, b, 2, 1),
        ((2, 6, 2, 4, 6), (5, 6, 4, 4, 4), (5,)),
    ),
    "odd sizes": (
        *HALVED,
        ((2, 3, 5, 4, 7), (5, 3, 4, 4, 4), (5,)),
    ),
    "time kept": (
        lambda x, w, b: cpu_convolutions.halve(x, w, b, (1, 2, 2), (0, 1, 1)),
        lambda x, w, b: functional.conv3d(x, w, b, (1, 2, 2), (0, 1, 1)),
        ((2, 3, 2, 4, 4), (5, 3, 1, 4, 4), (5,)),
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[Function, Function, tuple[tuple[int, ...], ...]]:
    return CASES[request.param]


@pytest.fixture
def also_for_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Differences of a function tell its gradient only in double precision."""
    monkeypatch.setattr(cpu_convolutions, "_is_here", lambda _: True)


def test_same_outputs_and_gradients(case: tuple[Function, Function, tuple[tuple[int, ...], ...]]) -> None:
    ours, plain, shapes = case
    tensors = [made(*shape) for shape in shapes]
    got, wanted = ours(*tensors), plain(*tensors)
    torch.testing.assert_close(got, wanted, atol=2e-5, rtol=1e-4)
    slopes = torch.randn_like(wanted)
    for mine, its in zip(
        torch.autograd.grad(got, tensors, slopes), torch.autograd.grad(wanted, tensors, slopes), strict=True
    ):
        torch.testing.assert_close(mine, its, atol=2e-4, rtol=1e-4)


@pytest.mark.usefixtures("also_for_doubles")
def test_gradients_of_both_orders(case: tuple[Function, Function, tuple[tuple[int, ...], ...]]) -> None:
    ours, _, shapes = case
    tensors = tuple(made(*shape, dtype=torch.float64) for shape in shapes)
    assert gradcheck(ours, tensors, fast_mode=True)
    assert gradgradcheck(ours, tensors, fast_mode=True)


@pytest.mark.parametrize(("channels", "axes"), [(3, 3), (6, 3), (3, 2)])
@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2), (1, 2)])
def test_only_the_wanted_gradients(wanted: tuple[int, ...], channels: int, axes: int) -> None:
    """In the generator's step the discriminators are frozen; in theirs their pictures need no gradient."""
    sizes = (4, 4, 6)[-axes:]
    tensors = [torch.randn(shape) for shape in ((2, channels, *sizes), (5, channels, *(4,) * axes), (5,))]
    for place in wanted:
        tensors[place].requires_grad_()
    leaves = [tensors[place] for place in wanted]
    plain: Function = functional.conv3d if axes == 3 else functional.conv2d
    got = torch.autograd.grad(cpu_convolutions.halve(*tensors, 2, 1).square().sum(), leaves)
    right = torch.autograd.grad(plain(*tensors, 2, 1).square().sum(), leaves)
    for mine, its in zip(got, right, strict=True):
        torch.testing.assert_close(mine, its, atol=1e-3, rtol=1e-4)


def test_pictures_before_frozen_layers_take_the_fast_way_back() -> None:
    frozen = torch.randn(5, 3, 4, 4), torch.randn(5)
    assert "_Halve" in str(cpu_convolutions.halve(made(2, 3, 4, 6), *frozen, 2, 1).grad_fn)
    assert "_Halve" not in str(cpu_convolutions.halve(made(2, 3, 4, 6), made(5, 3, 4, 4), made(5), 2, 1).grad_fn)


def test_tanh() -> None:
    x = torch.linspace(-20, 20, 4001, requires_grad=True)
    torch.testing.assert_close(cpu_convolutions.tanh(x), torch.tanh(x), atol=3e-7, rtol=0)
    (slope,), (right,) = (torch.autograd.grad(f(x).sum(), x) for f in (cpu_convolutions.tanh, torch.tanh))
    torch.testing.assert_close(slope, right, atol=1e-6, rtol=0)
    assert cpu_convolutions.tanh(x).abs().max() <= 1.0


def blended(painted_BTCHW: Tensor, start_BCHW: Tensor) -> Tensor:
    picture, mask = torch.tanh(painted_BTCHW[:, :, :3]), torch.sigmoid(painted_BTCHW[:, :, 3:] - 1.0)
    return (mask * picture + (1 - mask) * start_BCHW[:, None]).transpose(1, 2)


@pytest.mark.parametrize("start_moves", [True, False])
def test_blending(start_moves: bool) -> None:
    painted, start = made(2, 5, 4, 6, 3), torch.randn(2, 3, 6, 3, requires_grad=start_moves)
    leaves = [painted, start] if start_moves else [painted]
    got, wanted = cpu_convolutions.compose(painted, start), blended(painted, start)
    torch.testing.assert_close(got, wanted, atol=1e-6, rtol=1e-5)
    slopes = torch.randn_like(wanted)
    for mine, its in zip(
        torch.autograd.grad(got, leaves, slopes), torch.autograd.grad(wanted, leaves, slopes), strict=True
    ):
        torch.testing.assert_close(mine, its, atol=1e-5, rtol=1e-4)


@pytest.mark.usefixtures("also_for_doubles")
def test_gradients_of_blending_of_both_orders() -> None:
    leaves = made(2, 3, 4, 2, 2, dtype=torch.float64), made(2, 3, 2, 2, dtype=torch.float64)
    assert gradcheck(cpu_convolutions.compose, leaves)
    assert gradgradcheck(cpu_convolutions.compose, leaves)


def test_half_precision_takes_the_plain_form() -> None:
    x, weight, bias = made(2, 5, 4, 4), made(5, 4, 4, 4), made(4)
    with torch.autocast("cpu", torch.bfloat16):
        assert cpu_convolutions.enlarge_2d(x, weight, bias, 2, 1).dtype == torch.bfloat16
        assert cpu_convolutions.convolve_each(x, made(3, 5, 1, 1)).dtype == torch.bfloat16
        assert cpu_convolutions.doubling_phases(weight) is None
    painted, start = made(2, 3, 4, 4, 4, dtype=torch.bfloat16), made(2, 3, 4, 4, dtype=torch.bfloat16)
    torch.testing.assert_close(cpu_convolutions.compose(painted, start), blended(painted, start), atol=0.03, rtol=0.03)
