"""Layers of generator and discriminators, written for speed, equal to the plain ones (tests/cssgan/models/test_blocks.py).

A decoder block of the paper's backbone is ConvTranspose3d (k,1,1) - norm - LeakyReLU - ConvTranspose3d (1,4,4), and its
input is the concatenation of features, an image skip repeated over time, and class and audio codes repeated over
space. Nothing of this has to be written out: the temporal layer is linear, so each part goes through its own columns of
the same weight where it is small, and only the results are added; the spatial layer has no extent in time, so time is
folded into the batch and the layer is 2-D.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional

from cssgan.models.cpu_convolutions import convolve_each, halve

LEAK = 0.2
_FEW_FRAMES = 2
"""Up to so many frames a temporal layer sees all of them as channels of one picture: with 2 this is also less work."""


def is_autocast(tensor: Tensor) -> bool:
    """Whether matrix products on the tensor's device run in half precision just now."""
    return tensor.device.type != "meta" and torch.is_autocast_enabled(tensor.device.type)


def norm_2d(kind: str, channels: int) -> nn.Module:
    """Batch or group normalization for (batch x time, C, H, W)."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    groups = next(n for n in (8, 4, 3, 2, 1) if channels % n == 0)
    return nn.GroupNorm(groups, channels)


def initialize(module: nn.Module) -> None:
    """N(0, 0.02) for convolutions, transposed ones too, and N(1, 0.02) for the scale of norms; biases 0."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, TemporalDeconv)):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, (nn.BatchNorm2d, nn.GroupNorm)):
            nn.init.normal_(layer.weight, 1.0, 0.02)
            nn.init.zeros_(layer.bias)


@dataclass(frozen=True, slots=True, eq=False)
class FoldedWeights:
    """Weights of a `TemporalDeconv` laid out for use; made once a step and shared by all streams."""

    features: Tensor
    skip: Tensor | None
    constants: Tensor | None


class TemporalDeconv(nn.Module):
    """ConvTranspose3d with a (k, 1, 1) kernel over concat(features, skip, constants), without the concatenation.

    Forms, by the numbers of frames: in the first block from 1 frame to T (kernel T, stride 1), elsewhere doubling
    (4, 2, padding 1) and keeping (3, 1, padding 1; for a single frame kernel 1). Doubling a single frame uses the two
    inner taps only; the outer ones are kept, idle, so that the layer is the specification's.

    Args:
        features: channels of the features (vary over time and space).
        skip: channels of the image skip (constant over time); 0: none.
        constants: channels of class and audio codes (constant over space); 0: none.
        frames_in, frames_out: see above.
        first: whether this is the first block.
    """

    def __init__(
        self,
        *,
        features: int,
        skip: int,
        constants: int,
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
        self.parts = (features, skip, constants)
        self.out_channels, self.frames_in, self.frames_out = out_channels, frames_in, frames_out
        self._as_channels = frames_in <= _FEW_FRAMES
        self.weight = nn.Parameter(torch.empty(sum(self.parts), out_channels, self.kernel))
        self.bias = nn.Parameter(torch.empty(out_channels))

    def fold(self) -> FoldedWeights:
        """The weight by parts: features and skip as 1x1 convolutions with the frames among the output channels."""
        weight = self.weight
        if is_autocast(weight):
            weight = weight.to(torch.get_autocast_dtype(weight.device.type))  # once, not once a stream
        features_EOk, skip_EOk, constants = weight.split(self.parts)
        if self._as_channels:
            # Every input frame reaches every output frame at most by one tap; the skip, the same at all of them, by
            # all of these together. So all are channels of one picture.
            first, *later = self._reaches(skip_EOk)
            joined_EOT = torch.cat((*self._reaches(features_EOk), sum(later, first)))
            joined = joined_EOT.permute(2, 1, 0).reshape(self.frames_out * self.out_channels, -1)
            return FoldedWeights(joined[:, :, None, None], None, constants)
        taps_EO = features_EOk.unbind(-1)
        if self.stride == 2:
            none = torch.zeros_like(taps_EO[0])
            # Channels in: frames i-1, i, i+1; out: frames 2i, 2i+1.
            taps = ((3, 1, None), (None, 2, 0))
            rows = [torch.cat([none if k is None else taps_EO[k] for k in row]) for row in taps]
            edges = skip_EOk.unbind(-1)
            skip_rows = [edges[1] + edges[3], edges[2] + edges[0], edges[3], edges[0]]
        else:
            rows = [torch.cat([taps_EO[k] for k in (2, 1, 0)])]
            edges = skip_EOk.unbind(-1)
            skip_rows = [edges[0] + edges[1] + edges[2], edges[2], edges[0]]
        features = torch.cat(rows, dim=1).t()[:, :, None, None]
        skip = torch.cat(skip_rows, dim=1).t()[:, :, None, None] if self.parts[1] else None
        return FoldedWeights(features, skip, constants)

    def _reaches(self, weight_EOk: Tensor) -> list[Tensor]:
        """For each input frame (inputs, out_channels, frames_out): the tap by which it reaches each output frame, or 0."""
        firsts = [self.stride * frame - self.padding for frame in range(self.frames_in)]  # where tap 0 reaches
        return [functional.pad(weight_EOk, (first, self.frames_out - first - self.kernel)) for first in firsts]

    def code(self, constants_BET: Tensor | None, folded: FoldedWeights) -> Tensor:
        """What class and audio codes add everywhere on a frame, with the bias: (batch or 1, frames_out or 1, channels).

        It depends on no picture: one call serves all streams of a cascade.
        """
        if constants_BET is None or folded.constants is None:
            return self.bias[None, None]
        code = functional.conv_transpose1d(
            constants_BET, folded.constants, self.bias, stride=self.stride, padding=self.padding
        )
        return code.transpose(1, 2)

    def forward(
        self, features_BTEHW: Tensor, skip_BEHW: Tensor | None, code_BTO: Tensor, folded: FoldedWeights
    ) -> Tensor:
        """(batch, frames_out, out_channels, H, W), contiguous; `code_BTO` as `code` gives it."""
        batch, frames, _, height, width = features_BTEHW.shape
        assert frames == self.frames_in
        if self._as_channels:
            x = features_BTEHW.flatten(1, 2)
            x = x if skip_BEHW is None else torch.cat((x, skip_BEHW), dim=1)
            out = convolve_all(x, folded.features) if height == width == 1 else convolve_each(x, folded.features)
        else:
            x = cast(Tensor, _WithNeighbours.apply(features_BTEHW)).flatten(0, 1)
            out = convolve_each(x, folded.features)
        out = out.view(batch, self.frames_out, self.out_channels, height, width)
        terms = None if folded.skip is None or skip_BEHW is None else convolve_each(skip_BEHW, folded.skip)
        return cast(Tensor, _AddTerms.apply(out, terms, code_BTO.to(out.dtype), self.stride))


class _WithNeighbours(torch.autograd.Function):
    """Each frame with the one before and the one after it among its channels, zeros beyond the ends: (B, T, 3E, H, W).

    Sliced and concatenated by torch's own functions it would give the same, with three times the copies backward.
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
    """Features of all frames, plus what a picture constant over time gives, plus what codes constant over space give.

    A picture gives one term inside (one for each phase of the stride), less the taps that reach beyond either end.
    """

    @staticmethod
    def forward(ctx: Any, out_BTOHW: Tensor, terms_BEHW: Tensor | None, code_BTO: Tensor, stride: int) -> Tensor:
        ctx.stride, ctx.code_shape, ctx.has_terms = stride, code_BTO.shape, terms_BEHW is not None
        code = code_BTO[..., None, None]
        if terms_BEHW is None:
            return out_BTOHW + code
        terms = terms_BEHW.unflatten(1, (stride + 2, -1))
        out = (out_BTOHW.unflatten(1, (-1, stride)) + terms[:, None, :stride]).flatten(1, 2)
        out[:, 0].sub_(terms[:, stride])
        out[:, -1].sub_(terms[:, stride + 1])
        return out.add_(code)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad = grads[0]
        terms = None
        if ctx.has_terms:
            inside = grad.unflatten(1, (-1, ctx.stride)).sum(1)
            terms = torch.cat((inside, -grad[:, :1], -grad[:, -1:]), dim=1).flatten(1, 2)
        return grad, terms, grad.sum((3, 4)).sum_to_size(ctx.code_shape), None


class SpectralConv(nn.Module):
    """Convolution (2-D or 3-D) whose weight is divided by its largest singular value, or is not, without `spectral`.

    The power iteration runs when `iterate` is called, once a training step, not at every forward pass: the weight does
    not change in between, and at paper width the iterations would be 40 % of all kernel launches.
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
        nn.init.normal_(self.weight, 0.0, 0.02)
        columns = self.weight[0].numel()
        self.register_buffer("weight_u", functional.normalize(torch.randn(out_channels), dim=0))
        self.register_buffer("weight_v", functional.normalize(torch.randn(columns), dim=0))
        if spectral and not self.weight.is_meta:
            self.iterate(15)

    @torch.no_grad()
    def iterate(self, times: int = 1) -> None:
        """Power iterations towards the largest singular pair."""
        matrix = self.weight.flatten(1)
        for _ in range(times):
            self.weight_v.copy_(functional.normalize(matrix.t() @ self.weight_u, dim=0))
            self.weight_u.copy_(functional.normalize(matrix @ self.weight_v, dim=0))

    def normalized(self) -> Tensor:
        """The weight divided by its spectral norm, in float32; gradients flow through both."""
        if not self.spectral:
            return self.weight
        # Clones: the next iteration changes the buffers in place, and autograd must not see that.
        u, v = self.weight_u.clone(), self.weight_v.clone()
        if is_autocast(u):
            with torch.autocast(u.device.type, enabled=False):
                return self.weight / torch.dot(u, torch.mv(self.weight.flatten(1), v))
        return self.weight / torch.dot(u, torch.mv(self.weight.flatten(1), v))

    def forward(self, x: Tensor) -> Tensor:
        if self.dims == 0:
            return functional.linear(x, self.normalized(), self.bias)
        if self.padding == 0 and x.shape[2:] == self.weight.shape[2:]:
            return convolve_all(x, self.normalized(), self.bias)
        return halve(x, self.normalized(), self.bias, self.stride, self.padding)


class SpectralClassConv(SpectralConv):
    """A `SpectralConv` (3-D, 4^3 stride 2, or (1, 4, 4)) over concat(x, class map), without the class map.

    The map of a class is constant over time and space, so its convolution depends only on which taps fall inside the
    padding: a small sum over the weight, made for every class at once and picked by the one-hot vector.
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
        out = halve(x, weight[:, : self.in_channels], self.bias, self.strides, self.paddings)
        time, height, width = (
            _taps_inside(size, *axis, like=weight)
            for size, axis in zip(x.shape[2:], zip(self.kernel, self.strides, self.paddings, strict=True), strict=True)
        )
        terms = torch.einsum("okabc,ta,hb,wc->kothw", weight[:, self.in_channels :], time, height, width)
        return out.add_((label_BK @ terms.flatten(1)).view_as(out))


def _taps_inside(size: int, kernel: int, stride: int, padding: int, *, like: Tensor) -> Tensor:
    """(outputs, taps): 1 where the tap of an output lies inside an axis of `size`, 0 where it meets the padding."""
    outputs = (size + 2 * padding - kernel) // stride + 1
    # On the device from the start: a step that is recorded must copy nothing from the host.
    first = torch.arange(outputs, device=like.device)[:, None] * stride - padding
    places = first + torch.arange(kernel, device=like.device)
    return ((places >= 0) & (places < size)).to(like)


def spectral_linear(in_features: int, out_features: int, *, spectral: bool = True) -> SpectralConv:
    """A linear layer with spectral norm: a convolution without extent."""
    return SpectralConv(in_features, out_features, (), spectral=spectral)


def iterate_spectral_norms(module: nn.Module) -> None:
    """One power iteration for every spectrally normed layer of `module`."""
    for layer in module.modules():
        if isinstance(layer, SpectralConv) and layer.spectral:
            layer.iterate()


def convolve_all(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A convolution whose kernel covers its whole input: one matrix product. (batch, channels, 1, ..., 1)."""
    out = functional.linear(x.flatten(1), weight.flatten(1), bias)
    return out[(...,) + (None,) * (x.dim() - 2)]


def leaky(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, LEAK, inplace=True)
