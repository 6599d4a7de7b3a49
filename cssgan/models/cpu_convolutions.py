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
_MANY_INPUTS, _MANY_FRAMES = 12, 4
"""Up to so many channels and frames the gradients of a 3-D convolution gain by the 2-D form."""

Sizes = tuple[int, ...] | int


def _is_here(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


def _is(sizes: Sizes, value: int) -> bool:
    return {sizes} <= {value, (value, value), (value, value, value)}


def tanh(x: Tensor) -> Tensor:
    """`torch.tanh`, which takes a CPU five times as long as the sigmoid that it is a stretched form of."""
    return torch.sigmoid(2 * x).mul(2).sub(1) if _is_here(x) else torch.tanh(x)


def compose(painted_BTCHW: Tensor, start_BCHW: Tensor) -> Tensor:
    """Pictures blended onto a start image by a learnt mask, clip_BCTHW in [-1, 1].

    Args:
        painted_BTCHW: three channels of picture before their tanh, and one of the mask before its sigmoid.
    """
    if _is_here(painted_BTCHW):
        return _Compose.apply(painted_BTCHW, start_BCHW)  # type: ignore[no-any-return]
    start_BTCHW = start_BCHW[:, None]
    picture, mask = _picture_and_mask(painted_BTCHW)
    return (start_BTCHW + mask * (picture - start_BTCHW)).transpose(1, 2)


def _picture_and_mask(painted_BTCHW: Tensor) -> tuple[Tensor, Tensor]:
    # The shift of -1 lets an untrained stream begin near its start image (mask about 0.27).
    return tanh(painted_BTCHW[:, :, :3]), torch.sigmoid(painted_BTCHW[:, :, 3:] - 1.0)


def convolve_each(x: Tensor, weight: Tensor) -> Tensor:
    """`conv2d` of kernel 1 without a bias."""
    if not _is_here(x) or weight.numel() > _SMALL_WEIGHT:
        return functional.conv2d(x, weight)
    # A matrix product for each picture: half of the time of so small a convolution, there and back.
    places = torch.bmm(weight.flatten(1).expand(len(x), -1, -1), x.flatten(2))
    return places.view(len(x), -1, *x.shape[2:])


def enlarge_2d(
    x: Tensor, weight: Tensor, bias: Tensor, stride: Sizes, padding: Sizes, phases: Tensor | None = None
) -> Tensor:
    """`conv_transpose2d`; fast where it doubles (kernel 4, stride 2, padding 1) to few channels.

    Args:
        phases: `doubling_phases` of the weight, where they are at hand.
    """
    doubles = _is(stride, 2) and _is(padding, 1)
    if doubles and _doubles_fast(weight) and _is_here(x):
        return _Enlarge2d.apply(x, weight, bias, phases)  # type: ignore[no-any-return]
    return functional.conv_transpose2d(x, weight, bias, stride, padding)  # type: ignore[arg-type]


def doubling_phases(weight: Tensor) -> Tensor | None:
    """What `enlarge_2d` makes of the weight of a layer that doubles, without gradient; None where it needs nothing."""
    return _phases(weight.detach()) if _doubles_fast(weight) and _is_here(weight) else None


def _doubles_fast(weight: Tensor) -> bool:
    return weight.shape[2:] == (4, 4) and weight.shape[1] <= _FEW_OUTPUTS


def halve(x: Tensor, weight: Tensor, bias: Tensor, stride: Sizes, padding: Sizes) -> Tensor:
    """`conv2d` or `conv3d`; with fast ways back where it halves (kernel 4, stride 2, padding 1)."""
    axes = x.dim() - 2
    halves = weight.shape[2:] == (4,) * axes and _is(stride, 2) and _is(padding, 1)
    if not halves or any(size % 2 for size in x.shape[2:]) or not _is_here(x):
        return _convolve(axes)(x, weight, bias, stride, padding)
    if axes == 3 and x.shape[2] == 2:
        # From two frames to one the two inner taps alone see anything: half of the work, and all in one picture.
        inner = weight[:, :, 1:3].flatten(1, 2)
        return functional.conv2d(x.flatten(1, 2), inner, bias, 2, 1)[:, :, None]
    # Of a 2-D one the plain way back is as fast but for the gradient of few channels. And where both have one, as with
    # penalties, ours would make both whichever is asked for.
    few = weight.shape[1] <= _FEW_INPUTS and x.requires_grad and not weight.requires_grad
    if axes == 3 or few:
        return _Halve.apply(x, weight, bias)  # type: ignore[no-any-return]
    return functional.conv2d(x, weight, bias, 2, 1)


def _convolve(axes: int) -> Any:
    return functional.conv2d if axes == 2 else functional.conv3d


class _Compose(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, painted_BTCHW: Tensor, start_BCHW: Tensor) -> Tensor:
        picture, mask = _picture_and_mask(painted_BTCHW)
        ctx.save_for_backward(painted_BTCHW, picture, mask, start_BCHW)
        return torch.lerp(start_BCHW[:, None], picture, mask).transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None]:
        painted_BTCHW, picture, mask, start_BCHW = ctx.saved_tensors
        if torch.is_grad_enabled():  # what was made inside knows nothing of where it came from
            picture, mask = _picture_and_mask(painted_BTCHW)
        grad_BTCHW = grads[0].transpose(1, 2)
        of_picture = grad_BTCHW * mask
        of_mask = ((picture - start_BCHW[:, None]) * grad_BTCHW).sum(2, keepdim=True)
        back = torch.ops.aten
        painted = torch.cat((back.tanh_backward(of_picture, picture), back.sigmoid_backward(of_mask, mask)), dim=2)
        return painted, (grad_BTCHW - of_picture).sum(1) if ctx.needs_input_grad[1] else None


class _Enlarge2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, phases: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _by_phases(x, _phases(weight) if phases is None else phases, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wants_x, wants_weight, wants_bias, _ = ctx.needs_input_grad
        (grad,) = grads
        x_grad, _, _ = _plain_gradients(grad, x, weight, (wants_x, False, False), transposed=True)
        # The libraries are at their slowest at this gradient unless the channels of a place lie together.
        together = x.contiguous(memory_format=torch.channels_last)
        _, weight_grad, _ = _plain_gradients(grad, together, weight, (False, wants_weight, False), transposed=True)
        # Asked for the bias, they make the gradient of the weight as well.
        return x_grad, weight_grad, grad.sum((0, 2, 3)) if wants_bias else None, None


class _Halve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolve(x.dim() - 2)(x, weight, bias, 2, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,), (x, weight) = grads, ctx.saved_tensors
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad
        few = weight.shape[1] <= _FEW_INPUTS
        if x.dim() == 5 and not few and weight.shape[1] <= _MANY_INPUTS and x.shape[2] <= _MANY_FRAMES:
            x_grad, weight_grad = _gradients_by_frames(grad, x, weight, (wants_x, wants_weight, False))
        else:
            wanted = (wants_x and not few, wants_weight, False)
            x_grad, weight_grad, _ = _plain_gradients(grad, x, weight, wanted, transposed=False)
        if wants_x and few:
            x_grad = _by_phases(grad, _phases(weight))
        return x_grad, weight_grad, grad.sum([0, *range(2, x.dim())]) if wants_bias else None


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


def _phases(weight: Tensor) -> Tensor:
    """The weight of a transposed convolution (in, out, 4, ..., 4), stride 2, padding 1, for `_by_phases`.

    Two taps an axis reach an output, and which two depends on whether its place is even or odd. So an ordinary
    convolution of kernel 2 gives all phases as channels: (out x phases, in, 2, ..., 2).
    """
    axes = weight.dim() - 2
    for axis in reversed(range(2, 2 + axes)):
        weight = weight.unflatten(axis, (2, 2))  # reach, phase
    reaches, phases = range(2, 2 + 2 * axes, 2), range(3, 3 + 2 * axes, 2)
    # What lies one place back meets the farther tap: a convolution walks the other way.
    return weight.flip(tuple(reaches)).permute(1, *phases, 0, *reaches).flatten(0, axes)


def _by_phases(x: Tensor, taps: Tensor, bias: Tensor | None = None) -> Tensor:
    """The transposed convolution of kernel 4, stride 2 and padding 1, in two or three axes.

    The phases that an ordinary convolution by `_phases` gives are interleaved (Shi et al. 2016, "Is the deconvolution
    layer the same as a convolutional layer?").
    """
    axes = x.dim() - 2
    found = _convolve(axes)(x, taps, None if bias is None else bias.repeat_interleave(2**axes), padding=1)
    found = found.unflatten(1, (-1, *(2,) * axes))
    out = x.new_empty(len(x), found.shape[1], *(2 * size for size in x.shape[2:]))
    for phase in itertools.product((0, 1), repeat=axes):
        # The even places are the second phase: the first place of the first phase lies in the padding.
        to = tuple(slice(1 - one, None, 2) for one in phase)
        kept = tuple(slice(None, -1) if one else slice(1, None) for one in phase)
        out[(slice(None), slice(None), *to)] = found[(slice(None), slice(None), *phase, *kept)]
    return out


def _gradients_by_frames(
    grad_NOTHW: Tensor, x_NITHW: Tensor, weight_OI444: Tensor, wanted: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None]:
    """For (x, weight) of a 3-D convolution, as those of a 2-D one that sees all frames as channels of one picture.

    With few frames it is not much more than the 3-D one does with the zeros before and after them.
    """
    outputs, inputs, taps = weight_OI444.shape[:3]
    frames_in, frames_out = x_NITHW.shape[2], grad_NOTHW.shape[2]
    # Tap 0 of output frame n lies on input frame 2n - 1.
    edges = [(2 * frame - 1, frames_in - taps - 2 * frame + 1) for frame in range(frames_out)]
    seen = torch.stack([functional.pad(weight_OI444, (0, 0, 0, 0, *edge)) for edge in edges], dim=1)
    x_grad, seen_grad, _ = _plain_gradients(
        grad_NOTHW.flatten(1, 2), x_NITHW.flatten(1, 2), seen.flatten(2, 3).flatten(0, 1), wanted, transposed=False
    )
    weight_grad = None
    if seen_grad is not None:
        of_frames = seen_grad.unflatten(1, (inputs, frames_in)).unflatten(0, (outputs, frames_out)).unbind(1)
        cut = [functional.pad(one, (0, 0, 0, 0, -a, -b)) for one, (a, b) in zip(of_frames, edges, strict=True)]
        weight_grad = torch.stack(cut).sum(0)
    return None if x_grad is None else x_grad.view_as(x_NITHW), weight_grad
