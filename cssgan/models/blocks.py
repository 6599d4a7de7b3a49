"""Layers of generator and discriminators in fast forms, equal to the plain ones (tests/cssgan/models/test_blocks.py).

A decoder block of the paper's backbone is ConvTranspose3d (k,1,1) - norm - LeakyReLU - ConvTranspose3d (1,4,4). Its input
is the concatenation of features, an image skip repeated over time, and class and audio conditioning repeated over space.
The fast form avoids this large tensor:

* The temporal layer is linear. Each part of the input is multiplied by its own columns of the weight at its original
  size, and the results are added.
* The spatial layer does not extend over time. Time is folded into the batch, and the layer is 2-D.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional

from cssgan.models.cpu_convolutions import pointwise_conv2d, strided_conv

LEAK = 0.2
_MAX_FRAMES_AS_CHANNELS = 2
"""Up to this number of input frames, a temporal layer treats the frames as channels; this also needs fewer FLOPs."""


def is_autocast(tensor: Tensor) -> bool:
    """Whether autocast to half precision is enabled for the tensor's device."""
    return tensor.device.type != "meta" and torch.is_autocast_enabled(tensor.device.type)


def norm_2d(kind: str, channels: int) -> nn.Module:
    """Batch or group norm for (batch x time, C, H, W)."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    groups = next(n for n in (8, 4, 3, 2, 1) if channels % n == 0)
    return nn.GroupNorm(groups, channels)


def initialize(module: nn.Module) -> None:
    """N(0, 0.02) for (transposed) convolutions, N(1, 0.02) for the scales of norms, biases 0."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, TemporalConvTranspose)):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, (nn.BatchNorm2d, nn.GroupNorm)):
            nn.init.normal_(layer.weight, 1.0, 0.02)
            nn.init.zeros_(layer.bias)


@dataclass(frozen=True, slots=True, eq=False)
class FoldedWeights:
    """Rearranged weights of a `TemporalConvTranspose`, computed once per step and shared by all streams."""

    features: Tensor
    skip: Tensor | None
    conditioning: Tensor | None


class TemporalConvTranspose(nn.Module):
    """ConvTranspose3d with a (k, 1, 1) kernel over concat(features, skip, conditioning), without the concatenation.

    Kernel, stride and padding follow from the numbers of frames:

    * first block, from 1 frame to T: kernel T, stride 1;
    * doubling: (4, 2, 1); of a single frame, only the two inner taps have an effect;
    * same number of frames: (3, 1, 1), for a single frame kernel 1.

    Args:
        features: channels of the features (vary over time and space).
        skip: channels of the image skip (constant over time); 0: none.
        conditioning: channels of the class and audio conditioning (constant over space); 0: none.
    """

    def __init__(
        self,
        *,
        features: int,
        skip: int,
        conditioning: int,
        out_channels: int,
        frames_in: int,
        frames_out: int,
        first: bool,
    ) -> None:
        super().__init__()
        if first or frames_in == frames_out == 1:
            assert frames_in == 1
            self.kernel, self.stride, self.padding = frames_out, 1, 0
        elif frames_out == 2 * frames_in:
            self.kernel, self.stride, self.padding = 4, 2, 1
        else:
            assert frames_out == frames_in, (frames_in, frames_out)
            self.kernel, self.stride, self.padding = 3, 1, 1
        self.parts = (features, skip, conditioning)
        self.out_channels, self.frames_in, self.frames_out = out_channels, frames_in, frames_out
        self._frames_as_channels = frames_in <= _MAX_FRAMES_AS_CHANNELS
        self.weight = nn.Parameter(torch.empty(sum(self.parts), out_channels, self.kernel))
        self.bias = nn.Parameter(torch.empty(out_channels))

    def fold(self) -> FoldedWeights:
        """The weight split into its parts: 1x1 convolutions with the output frames among their output channels."""
        weight = self.weight
        if is_autocast(weight):
            weight = weight.to(torch.get_autocast_dtype(weight.device.type))  # one cast for all streams
        features_EOk, skip_EOk, conditioning = weight.split(self.parts)
        if self._frames_as_channels:
            # Each input frame reaches each output frame by at most one tap. The skip is the same at all input frames,
            # so its taps are summed.
            first, *later = self._taps_by_frame(skip_EOk)
            joined_EOT = torch.cat((*self._taps_by_frame(features_EOk), sum(later, first)))
            joined = joined_EOT.permute(2, 1, 0).reshape(self.frames_out * self.out_channels, -1)
            return FoldedWeights(joined[:, :, None, None], None, conditioning)
        taps_EO = features_EOk.unbind(-1)
        if self.stride == 2:
            zero = torch.zeros_like(taps_EO[0])
            # Input channels: frames i-1, i, i+1; output channels: frames 2i, 2i+1.
            taps = ((3, 1, None), (None, 2, 0))
            rows = [torch.cat([zero if k is None else taps_EO[k] for k in row]) for row in taps]
            skip_taps = skip_EOk.unbind(-1)
            skip_rows = [skip_taps[1] + skip_taps[3], skip_taps[2] + skip_taps[0], skip_taps[3], skip_taps[0]]
        else:
            rows = [torch.cat([taps_EO[k] for k in (2, 1, 0)])]
            skip_taps = skip_EOk.unbind(-1)
            skip_rows = [skip_taps[0] + skip_taps[1] + skip_taps[2], skip_taps[2], skip_taps[0]]
        features = torch.cat(rows, dim=1).t()[:, :, None, None]
        skip = torch.cat(skip_rows, dim=1).t()[:, :, None, None] if self.parts[1] else None
        return FoldedWeights(features, skip, conditioning)

    def _taps_by_frame(self, weight_EOk: Tensor) -> list[Tensor]:
        """For each input frame (inputs, out_channels, frames_out): its tap at each output frame, or 0."""
        firsts = [self.stride * frame - self.padding for frame in range(self.frames_in)]  # output frame of tap 0
        return [functional.pad(weight_EOk, (first, self.frames_out - first - self.kernel)) for first in firsts]

    def conditioning_term(self, conditioning_BET: Tensor | None, folded: FoldedWeights) -> Tensor:
        """The part of the output that class and audio contribute, with the bias: (B or 1, frames_out or 1, channels).

        It does not depend on images: one call serves all streams of a cascade.
        """
        if conditioning_BET is None or folded.conditioning is None:
            return self.bias[None, None]
        term = functional.conv_transpose1d(
            conditioning_BET, folded.conditioning, self.bias, stride=self.stride, padding=self.padding
        )
        return term.transpose(1, 2)

    def forward(
        self, features_BTEHW: Tensor, skip_BEHW: Tensor | None, term_BTO: Tensor, folded: FoldedWeights
    ) -> Tensor:
        """(B, frames_out, out_channels, H, W), contiguous; `term_BTO` is the `conditioning_term`."""
        batch, frames, _, height, width = features_BTEHW.shape
        assert frames == self.frames_in
        if self._frames_as_channels:
            x = features_BTEHW.flatten(1, 2)
            x = x if skip_BEHW is None else torch.cat((x, skip_BEHW), dim=1)
            conv = full_kernel_conv if height == width == 1 else pointwise_conv2d
            out = conv(x, folded.features)
        else:
            x = cast(Tensor, _WithNeighbourFrames.apply(features_BTEHW)).flatten(0, 1)
            out = pointwise_conv2d(x, folded.features)
        out = out.view(batch, self.frames_out, self.out_channels, height, width)
        skip = None if folded.skip is None or skip_BEHW is None else pointwise_conv2d(skip_BEHW, folded.skip)
        return cast(Tensor, _AddTerms.apply(out, skip, term_BTO.to(out.dtype), self.stride))


class _WithNeighbourFrames(torch.autograd.Function):
    """Concatenate each frame with the previous and the next one, zeros beyond the ends: (B, T, 3E, H, W).

    Slicing and torch.cat give the same result, but copy three times as much in the backward pass.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x_BTEHW: Tensor) -> Tensor:
        batch, frames, channels, height, width = x_BTEHW.shape
        out = x_BTEHW.new_empty(batch, frames, 3, channels, height, width)
        out[:, 0, 0].zero_()
        out[:, 1:, 0].copy_(x_BTEHW[:, :-1])
        out[:, :, 1].copy_(x_BTEHW)
        out[:, :-1, 2].copy_(x_BTEHW[:, 1:])
        out[:, -1, 2].zero_()
        return out.flatten(2, 3)

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> Tensor:
        grad = grads[0].unflatten(2, (3, -1))
        out = grad[:, :, 1].clone()
        out[:, :-1].add_(grad[:, 1:, 0])
        out[:, 1:].add_(grad[:, :-1, 2])
        return out


class _AddTerms(torch.autograd.Function):
    """Add the contributions of the skip (constant over time) and of the conditioning (constant over space).

    The skip has one term per phase of the stride, and two terms to subtract at the first and the last frame, where taps
    reach beyond the ends.
    """

    @staticmethod
    def forward(ctx: Any, out_BTOHW: Tensor, skip_BEHW: Tensor | None, term_BTO: Tensor, stride: int) -> Tensor:
        ctx.stride, ctx.term_shape, ctx.has_skip = stride, term_BTO.shape, skip_BEHW is not None
        conditioning = term_BTO[..., None, None]
        if skip_BEHW is None:
            return out_BTOHW + conditioning
        skip = skip_BEHW.unflatten(1, (stride + 2, -1))
        out = (out_BTOHW.unflatten(1, (-1, stride)) + skip[:, None, :stride]).flatten(1, 2)
        out[:, 0].sub_(skip[:, stride])
        out[:, -1].sub_(skip[:, stride + 1])
        return out.add_(conditioning)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad = grads[0]
        skip_grad = None
        if ctx.has_skip:
            inside = grad.unflatten(1, (-1, ctx.stride)).sum(1)
            skip_grad = torch.cat((inside, -grad[:, :1], -grad[:, -1:]), dim=1).flatten(1, 2)
        return grad, skip_grad, grad.sum((3, 4)).sum_to_size(ctx.term_shape), None


class SpectralConv(nn.Module):
    """2-D or 3-D convolution, or linear layer (empty kernel), with optional spectral normalization.

    `iterate` runs the power iteration once per training step instead of once per forward pass: the weight does not change
    in between, and at paper width the iterations would be 40 % of all kernel launches.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, ...],
        stride: tuple[int, ...] | int = 1,
        padding: tuple[int, ...] | int = 0,
        *,
        spectral: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.stride, self.padding, self.spectral = stride, padding, spectral
        self.dims = len(kernel)
        if spectral:
            nn.init.normal_(self.weight, 0.0, 0.02)
        else:  # without normalization, weights of 0.02 would give logits and gradients near 0 (He et al., ICCV 2015)
            nn.init.kaiming_normal_(self.weight.flatten(1), a=LEAK)
        columns = self.weight[0].numel()
        self.register_buffer("weight_u", functional.normalize(torch.randn(out_channels), dim=0))
        self.register_buffer("weight_v", functional.normalize(torch.randn(columns), dim=0))
        if spectral and not self.weight.is_meta:
            self.iterate(15)

    @torch.no_grad()
    def iterate(self, times: int = 1) -> None:
        """Power iterations for the largest singular value."""
        matrix = self.weight.flatten(1)
        for _ in range(times):
            self.weight_v.copy_(functional.normalize(matrix.t() @ self.weight_u, dim=0))
            self.weight_u.copy_(functional.normalize(matrix @ self.weight_v, dim=0))

    def normalized(self) -> Tensor:
        """The weight divided by its spectral norm, in float32; gradients flow through both."""
        if not self.spectral:
            return self.weight
        # Autograd must not see the next in-place change of the buffers.
        u, v = self.weight_u.clone(), self.weight_v.clone()
        if is_autocast(u):
            with torch.autocast(u.device.type, enabled=False):
                return self.weight / torch.dot(u, torch.mv(self.weight.flatten(1), v))
        return self.weight / torch.dot(u, torch.mv(self.weight.flatten(1), v))

    def forward(self, x: Tensor) -> Tensor:
        if self.dims == 0:
            return functional.linear(x, self.normalized(), self.bias)
        if self.padding == 0 and x.shape[2:] == self.weight.shape[2:]:
            return full_kernel_conv(x, self.normalized(), self.bias)
        return strided_conv(x, self.normalized(), self.bias, self.stride, self.padding)


class ClassConditionalConv(SpectralConv):
    """3-D `SpectralConv` over concat(x, class map), without the class map.

    The class map is constant over time and space. Its contribution depends only on which taps are in the padding: a
    sum over the weight, computed for every class and selected by the one-hot vector.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        out_channels: int,
        kernel: tuple[int, int, int],
        stride: tuple[int, int, int],
        padding: tuple[int, int, int],
        *,
        spectral: bool = True,
    ) -> None:
        super().__init__(in_channels + num_classes, out_channels, kernel, stride, padding, spectral=spectral)
        self.in_channels, self.kernel = in_channels, kernel
        self.strides, self.paddings = stride, padding

    def forward(self, x: Tensor, label_BK: Tensor | None = None) -> Tensor:
        assert label_BK is not None
        weight = self.normalized()
        out = strided_conv(x, weight[:, : self.in_channels], self.bias, self.strides, self.paddings)
        time, height, width = (
            _taps_inside(size, *axis, like=weight)
            for size, axis in zip(x.shape[2:], zip(self.kernel, self.strides, self.paddings, strict=True), strict=True)
        )
        terms = torch.einsum("okabc,ta,hb,wc->kothw", weight[:, self.in_channels :], time, height, width)
        return out.add_((label_BK @ terms.flatten(1)).view_as(out))


def _taps_inside(size: int, kernel: int, stride: int, padding: int, *, like: Tensor) -> Tensor:
    """(outputs, taps): 1 if the tap is inside an axis of `size`, 0 if it is in the padding."""
    outputs = (size + 2 * padding - kernel) // stride + 1
    # Created on the device: a captured step must not copy from the host.
    first = torch.arange(outputs, device=like.device)[:, None] * stride - padding
    positions = first + torch.arange(kernel, device=like.device)
    return ((positions >= 0) & (positions < size)).to(like)


def spectral_linear(in_features: int, out_features: int, *, spectral: bool = True) -> SpectralConv:
    """A linear layer with spectral normalization."""
    return SpectralConv(in_features, out_features, (), spectral=spectral)


def iterate_spectral_norms(module: nn.Module) -> None:
    """One power iteration for every layer of `module` with spectral normalization."""
    for layer in module.modules():
        if isinstance(layer, SpectralConv) and layer.spectral:
            layer.iterate()


def full_kernel_conv(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A convolution whose kernel covers its whole input, as one matrix product: (batch, channels, 1, ..., 1)."""
    out = functional.linear(x.flatten(1), weight.flatten(1), bias)
    return out[(...,) + (None,) * (x.dim() - 2)]


def leaky_relu(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, LEAK, inplace=True)
