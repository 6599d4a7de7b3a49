"""Forms of convolutions that are faster on CPUs; each equals torch's form except for rounding.

The functions use torch's form on other devices, in half precision and for shapes outside their conditions. All have
gradients of every order. Forms for transposed convolutions are sub-pixel convolutions (Shi et al. 2016, "Is the
deconvolution layer the same as a convolutional layer?").

Each form changes the rounding of the demo's training, so it cannot be removed without changing the demo's figures. CPU
time of a step of preset `smoke` (one thread of an AMD EPYC, torch 2.13, medians of 296 steps in one run), with one form
replaced by torch's:

=============================================  ======  =====
replaced                                          ms   ratio
=============================================  ======  =====
none                                             61.0  1
`tanh`                                           61.7  1.009
`compose`                                        61.1  1.004
`pointwise_conv2d`                               62.4  1.020
`conv_transpose2d`                               61.5  1.005
`strided_conv`                                   66.1  1.085
  two frames as one image                        61.8  1.012
  sub-pixel input gradient                       63.4  1.043
  gradients with frames as channels              63.3  1.044
all                                              68.6  1.131
=============================================  ======  =====
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_MAX_SUBPIXEL_OUTPUTS = 8
"""Largest number of output channels for which the sub-pixel form of a transposed convolution is faster."""
_MAX_SUBPIXEL_INPUTS = 4
"""The same for the input gradient of a convolution. Images with a mask have four channels."""
_MAX_POINTWISE_WEIGHT = 8192
"""Largest weight (elements) of `pointwise_conv2d`; its backward pass creates one weight gradient per image."""
_MAX_2D_INPUTS, _MAX_2D_FRAMES = 12, 4
"""Largest numbers of channels and frames for which the gradients of a 3-D convolution are faster as those of a 2-D one."""

Sizes = tuple[int, ...] | int


def _is_supported(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


def _all_equal(sizes: Sizes, value: int) -> bool:
    return set(sizes if isinstance(sizes, tuple) else (sizes,)) == {value}


def tanh(x: Tensor) -> Tensor:
    """`torch.tanh`, on CPUs as a sigmoid."""
    return torch.sigmoid(2 * x).mul(2).sub(1) if _is_supported(x) else torch.tanh(x)


def compose(painted_BTCHW: Tensor, start_BCHW: Tensor) -> Tensor:
    """Blend frames onto a start image by a learned mask: m tanh(rgb) + (1 - m) start, clip_BCTHW in [-1, 1].

    Args:
        painted_BTCHW: three channels of rgb before tanh, and one mask channel before the sigmoid.
    """
    if _is_supported(painted_BTCHW):
        return _Compose.apply(painted_BTCHW, start_BCHW)  # type: ignore[no-any-return]
    start_BTCHW = start_BCHW[:, None]
    frames, mask = _frames_and_mask(painted_BTCHW)
    return (start_BTCHW + mask * (frames - start_BTCHW)).transpose(1, 2)


def _frames_and_mask(painted_BTCHW: Tensor) -> tuple[Tensor, Tensor]:
    # With the offset of -1, an untrained generator starts near the start image (mask about 0.27).
    return tanh(painted_BTCHW[:, :, :3]), torch.sigmoid(painted_BTCHW[:, :, 3:] - 1.0)


def pointwise_conv2d(x: Tensor, weight: Tensor) -> Tensor:
    """`conv2d` with kernel 1 and no bias; on CPUs one matrix product per image if the weight is small."""
    if not _is_supported(x) or weight.numel() > _MAX_POINTWISE_WEIGHT:
        return functional.conv2d(x, weight)
    out = torch.bmm(weight.flatten(1).expand(len(x), -1, -1), x.flatten(2))
    return out.view(len(x), -1, *x.shape[2:])


def conv_transpose2d(x: Tensor, weight: Tensor, bias: Tensor, stride: Sizes, padding: Sizes) -> Tensor:
    """`conv_transpose2d`; fast with kernel 4, stride 2, padding 1 and few output channels."""
    doubles = weight.shape[2:] == (4, 4) and _all_equal(stride, 2) and _all_equal(padding, 1)
    if doubles and weight.shape[1] <= _MAX_SUBPIXEL_OUTPUTS and _is_supported(x):
        return _SubpixelConvTranspose2d.apply(x, weight, bias)  # type: ignore[no-any-return]
    return functional.conv_transpose2d(x, weight, bias, stride, padding)  # type: ignore[arg-type]


def strided_conv(x: Tensor, weight: Tensor, bias: Tensor, stride: Sizes, padding: Sizes) -> Tensor:
    """`conv2d` or `conv3d`; fast with kernel 4, stride 2, padding 1 and even sizes."""
    axes = x.dim() - 2
    halves = weight.shape[2:] == (4,) * axes and _all_equal(stride, 2) and _all_equal(padding, 1)
    if not halves or any(size % 2 for size in x.shape[2:]) or not _is_supported(x):
        return _conv(axes)(x, weight, bias, stride, padding)
    if axes == 3 and x.shape[2] == 2:
        # From two frames to one, the outer taps are in the padding: a 2-D convolution with half of the work.
        inner_taps = weight[:, :, 1:3].flatten(1, 2)
        return functional.conv2d(x.flatten(1, 2), inner_taps, bias, 2, 1)[:, :, None]
    # 2-D: only the input gradient for few channels is faster. If the weight has a gradient too (gradient penalties),
    # the second derivative would compute both.
    input_gradient_only = x.requires_grad and not weight.requires_grad
    if axes == 3 or (weight.shape[1] <= _MAX_SUBPIXEL_INPUTS and input_gradient_only):
        return _StridedConv.apply(x, weight, bias)  # type: ignore[no-any-return]
    return functional.conv2d(x, weight, bias, 2, 1)


def _conv(axes: int) -> Any:
    return functional.conv2d if axes == 2 else functional.conv3d


class _Compose(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, painted_BTCHW: Tensor, start_BCHW: Tensor) -> Tensor:
        frames, mask = _frames_and_mask(painted_BTCHW)
        ctx.save_for_backward(painted_BTCHW, frames, mask, start_BCHW)
        return torch.lerp(start_BCHW[:, None], frames, mask).transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None]:
        painted_BTCHW, frames, mask, start_BCHW = ctx.saved_tensors
        if torch.is_grad_enabled():  # second derivative: the saved tensors have no graph
            frames, mask = _frames_and_mask(painted_BTCHW)
        grad_BTCHW = grads[0].transpose(1, 2)
        frames_grad = grad_BTCHW * mask
        mask_grad = ((frames - start_BCHW[:, None]) * grad_BTCHW).sum(2, keepdim=True)
        aten = torch.ops.aten
        painted_grad = torch.cat(
            (aten.tanh_backward(frames_grad, frames), aten.sigmoid_backward(mask_grad, mask)), dim=2
        )
        return painted_grad, (grad_BTCHW - frames_grad).sum(1) if ctx.needs_input_grad[1] else None


class _SubpixelConvTranspose2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _subpixel_conv_transpose(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,), (x, weight) = grads, ctx.saved_tensors
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad
        # The weight gradient is fastest in channels-last format.
        x = x.contiguous(memory_format=torch.channels_last)
        x_grad, weight_grad = _conv_gradients(grad, x, weight, (wants_x, wants_weight), transposed=True)
        return x_grad, weight_grad, grad.sum((0, 2, 3)) if wants_bias else None


class _StridedConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _conv(x.dim() - 2)(x, weight, bias, 2, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,), (x, weight) = grads, ctx.saved_tensors
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad
        if weight.shape[1] <= _MAX_SUBPIXEL_INPUTS:
            _, weight_grad = _conv_gradients(grad, x, weight, (False, wants_weight), transposed=False)
            x_grad = _subpixel_conv_transpose(grad, weight) if wants_x else None
        elif x.dim() == 5 and weight.shape[1] <= _MAX_2D_INPUTS and x.shape[2] <= _MAX_2D_FRAMES:
            x_grad, weight_grad = _gradients_with_frames_as_channels(grad, x, weight, (wants_x, wants_weight))
        else:
            x_grad, weight_grad = _conv_gradients(grad, x, weight, (wants_x, wants_weight), transposed=False)
        return x_grad, weight_grad, grad.sum([0, *range(2, x.dim())]) if wants_bias else None


def _conv_gradients(
    grad: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, bool], *, transposed: bool
) -> tuple[Tensor | None, Tensor | None]:
    """torch's gradients for (x, weight) of a convolution with stride 2 and padding 1; None where not wanted.

    The caller sums the bias gradient: with it, the library computes the weight gradient again.
    """
    if not any(wanted):
        return None, None
    axes = x.dim() - 2
    twos, ones, zeros = [2] * axes, [1] * axes, [0] * axes
    x_grad, weight_grad, _ = torch.ops.aten.convolution_backward(
        grad, x, weight, [grad.shape[1]], twos, ones, ones, transposed, zeros, 1, [*wanted, False]
    )
    return x_grad, weight_grad


def _subpixel_conv_transpose(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Transposed convolution with kernel 4, stride 2 and padding 1, in two or three axes, as a sub-pixel convolution.

    Per axis, two taps reach each output position; which two depends on its parity. A convolution with kernel 2 computes
    all parities as channels, which are then interleaved.
    """
    axes = x.dim() - 2
    for axis in reversed(range(2, 2 + axes)):
        weight = weight.unflatten(axis, (2, 2))  # distance, parity
    distances, parities = range(2, 2 + 2 * axes, 2), range(3, 3 + 2 * axes, 2)
    # Flipped, because a convolution applies its taps in the opposite direction.
    taps = weight.flip(tuple(distances)).permute(1, *parities, 0, *distances).flatten(0, axes)
    channels = _conv(axes)(x, taps, None if bias is None else bias.repeat_interleave(2**axes), padding=1)
    channels = channels.unflatten(1, (-1, *(2,) * axes))
    out = x.new_empty(len(x), channels.shape[1], *(2 * size for size in x.shape[2:]))
    for parity in itertools.product((0, 1), repeat=axes):
        # Even positions have parity 1: the first position of parity 0 is in the padding.
        target = tuple(slice(1 - one, None, 2) for one in parity)
        source = tuple(slice(None, -1) if one else slice(1, None) for one in parity)
        out[(slice(None), slice(None), *target)] = channels[(slice(None), slice(None), *parity, *source)]
    return out


def _gradients_with_frames_as_channels(
    grad_NOTHW: Tensor, x_NITHW: Tensor, weight_OI444: Tensor, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients for (x, weight) of a 3-D convolution, as those of a 2-D one with all frames as channels.

    With few frames this adds little work to that of the 3-D form, which includes the padding frames.
    """
    outputs, inputs, taps = weight_OI444.shape[:3]
    frames_in, frames_out = x_NITHW.shape[2], grad_NOTHW.shape[2]
    # Tap 0 of output frame n is at input frame 2n - 1.
    edges = [(2 * frame - 1, frames_in - taps - 2 * frame + 1) for frame in range(frames_out)]
    weight_2d = torch.stack([functional.pad(weight_OI444, (0, 0, 0, 0, *edge)) for edge in edges], dim=1)
    x_grad, weight_2d_grad = _conv_gradients(
        grad_NOTHW.flatten(1, 2), x_NITHW.flatten(1, 2), weight_2d.flatten(2, 3).flatten(0, 1), wanted, transposed=False
    )
    weight_grad = None
    if weight_2d_grad is not None:
        by_frame = weight_2d_grad.unflatten(1, (inputs, frames_in)).unflatten(0, (outputs, frames_out)).unbind(1)
        cut = [functional.pad(one, (0, 0, 0, 0, -a, -b)) for one, (a, b) in zip(by_frame, edges, strict=True)]
        weight_grad = torch.stack(cut).sum(0)
    return None if x_grad is None else x_grad.view_as(x_NITHW), weight_grad
