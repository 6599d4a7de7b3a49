"""Convolutions in forms that CPUs run faster than the libraries' own; each equals the plain one to rounding.

Where its condition does not hold (on a GPU, in half precision, for other sizes), a function calls the plain one. All
have gradients of every order.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_FEW_OUTPUTS = 8
"""Up to so many channels `enlarge_2d` gains; with 16 the plain form is the faster one."""
_FEW_INPUTS = 4
"""Pictures, with or without a mask: the gradient of so few channels is what plain code is slowest at."""

_SMALL_WEIGHT = 8192
"""Elements up to which `convolve_each` gains: its way back makes a gradient of the weight for each picture."""
_MANY_INPUTS = 16
"""Up to so many channels the gradient of a 3-D weight gains by the 2-D form."""

Sizes = tuple[int, ...] | int


def _is_here(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


def _is(sizes: Sizes, value: int) -> bool:
    return {sizes} <= {value, (value, value), (value, value, value)}


def tanh(x: Tensor) -> Tensor:
    """`torch.tanh`, which takes a CPU five times as long as the sigmoid that it is a stretched form of."""
    return torch.sigmoid(2 * x).mul(2).sub(1) if _is_here(x) else torch.tanh(x)


def convolve_each(x: Tensor, weight: Tensor) -> Tensor:
    """`conv2d` of kernel 1 without a bias."""
    if not _is_here(x) or weight.numel() > _SMALL_WEIGHT:
        return functional.conv2d(x, weight)
    # A matrix product for each picture: half of the time of so small a convolution, there and back.
    places = torch.bmm(weight.flatten(1).expand(len(x), -1, -1), x.flatten(2))
    return places.view(len(x), -1, *x.shape[2:])


def enlarge_2d(x: Tensor, weight: Tensor, bias: Tensor, stride: Sizes, padding: Sizes) -> Tensor:
    """`conv_transpose2d`; fast where it doubles (kernel 4, stride 2, padding 1) to few channels."""
    doubles = weight.shape[2:] == (4, 4) and _is(stride, 2) and _is(padding, 1)
    if doubles and weight.shape[1] <= _FEW_OUTPUTS and _is_here(x):
        return _Enlarge2d.apply(x, weight, bias)  # type: ignore[no-any-return]
    return functional.conv_transpose2d(x, weight, bias, stride, padding)  # type: ignore[arg-type]


def convolve_3d(x: Tensor, weight: Tensor, bias: Tensor, stride: Sizes, padding: Sizes) -> Tensor:
    """`conv3d`; with a fast way back where it halves (kernel 4, stride 2, padding 1)."""
    halves = weight.shape[2:] == (4, 4, 4) and _is(stride, 2) and _is(padding, 1)
    if halves and not any(size % 2 for size in x.shape[2:]) and _is_here(x):
        return _Halve3d.apply(x, weight, bias)  # type: ignore[no-any-return]
    return functional.conv3d(x, weight, bias, stride, padding)  # type: ignore[arg-type]


class _Enlarge2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _by_phases(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        return _plain_gradients(grads[0], x, weight, ctx.needs_input_grad, transposed=True)


class _Halve3d(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return functional.conv3d(x, weight, bias, 2, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,), (x, weight) = grads, ctx.saved_tensors
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad
        few = weight.shape[1] <= _FEW_INPUTS
        flat = not few and weight.shape[1] <= _MANY_INPUTS
        wanted = (wants_x and not few, wants_weight and not flat, False)
        plain = _plain_gradients(grad, x, weight, wanted, transposed=False)
        return (
            _by_phases(grad, weight) if wants_x and few else plain[0],
            _weight_gradient(grad, x, weight) if wants_weight and flat else plain[1],
            grad.sum((0, 2, 3, 4)) if wants_bias else None,
        )


def _plain_gradients(
    grad: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, ...], *, transposed: bool
) -> tuple[Tensor | None, ...]:
    """For (x, weight, bias) of a convolution with stride 2 and padding 1; None where not wanted."""
    if not any(wanted):
        return None, None, None
    axes = x.dim() - 2
    twos, ones, none = [2] * axes, [1] * axes, [0] * axes
    return torch.ops.aten.convolution_backward(
        grad, x, weight, [grad.shape[1]], twos, ones, ones, transposed, none, 1, list(wanted)
    )


def _by_phases(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The transposed convolution of kernel 4, stride 2 and padding 1, in two or three axes.

    Two taps an axis reach an output, and which two depends on whether its place is even or odd. So an ordinary
    convolution of kernel 2 gives all phases as channels, and its outputs are interleaved (Shi et al. 2016, "Is the
    deconvolution layer the same as a convolutional layer?").

    Args:
        x: (batch, in, ...).
        weight: (in, out, 4, ..., 4).
    """
    axes, outputs = x.dim() - 2, weight.shape[1]
    taps = weight
    for axis in reversed(range(2, 2 + axes)):
        taps = taps.unflatten(axis, (2, 2))  # reach, phase
    reaches, phases = range(2, 2 + 2 * axes, 2), range(3, 3 + 2 * axes, 2)
    # What lies one place back meets the farther tap: a convolution walks the other way.
    taps = taps.flip(tuple(reaches)).permute(1, *phases, 0, *reaches).flatten(0, axes)
    convolve = functional.conv2d if axes == 2 else functional.conv3d
    found = convolve(x, taps, None if bias is None else bias.repeat_interleave(2**axes), padding=1)
    found = found.unflatten(1, (outputs, *(2,) * axes))
    out = x.new_empty(len(x), outputs, *(2 * size for size in x.shape[2:]))
    for phase in itertools.product((0, 1), repeat=axes):
        # The even places are the second phase: the first place of the first phase lies in the padding.
        to = tuple(slice(1 - one, None, 2) for one in phase)
        kept = tuple(slice(None, -1) if one else slice(1, None) for one in phase)
        out[(slice(None), slice(None), *to)] = found[(slice(None), slice(None), *phase, *kept)]
    return out


def _weight_gradient(grad_NOTHW: Tensor, x_NCTHW: Tensor, weight: Tensor) -> Tensor:
    """Of the 3-D convolution, as that of a 2-D one: the four frames under a tap are channels of one picture."""
    windows = functional.pad(x_NCTHW, (0, 0, 0, 0, 1, 1)).transpose(1, 2).unfold(1, 4, 2)  # N, T/2, C, H, W, 4
    pictures = windows.permute(0, 1, 5, 2, 3, 4).flatten(0, 1).flatten(1, 2)
    grad = grad_NOTHW.transpose(1, 2).flatten(0, 1)
    like = weight.transpose(1, 2).flatten(1, 2)
    _, out, _ = _plain_gradients(grad, pictures, like, (False, True, False), transposed=False)
    assert out is not None
    return out.unflatten(1, (4, -1)).transpose(1, 2)
