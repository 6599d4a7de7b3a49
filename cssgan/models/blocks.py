"""Layers of generator and discriminators, written for speed, equal to the plain ones (tests/cssgan/test_blocks.py).

A decoder block of the paper's backbone is ConvTranspose3d (k,1,1) - norm - LeakyReLU - ConvTranspose3d (1,4,4), and its
input is the concatenation of features, an image skip repeated over time, and class and audio codes repeated over
space. Nothing of this has to be written out: the temporal layer is linear, so each part goes through its own columns of
the same weight where it is small, and only the results are added; the spatial layer has no extent in time, so time is
folded into the batch and the layer is 2-D.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAK = 0.2


def is_autocast(tensor: Tensor) -> bool:
    """Whether matrix products on the tensor's device run in half precision just now."""
    return tensor.device.type != "meta" and torch.is_autocast_enabled(tensor.device.type)


def norm_2d(kind: str, channels: int) -> nn.Module:
    """Batch or group normalisation for (batch x time, C, H, W)."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    groups = next(n for n in (8, 4, 3, 2, 1) if channels % n == 0)
    return nn.GroupNorm(groups, channels)


def initialise(module: nn.Module) -> None:
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
        self.weight = nn.Parameter(torch.empty(sum(self.parts), out_channels, self.kernel))
        self.bias = nn.Parameter(torch.empty(out_channels))

    def fold(self) -> FoldedWeights:
        """The weight by parts: features and skip as 1x1 convolutions with the frames among the output channels."""
        weight = self.weight
        if is_autocast(weight):
            weight = weight.to(torch.get_autocast_dtype(weight.device.type))  # once, not once a stream
        features_EOk, skip_EOk, constants = weight.split(self.parts)
        if self.frames_in == 1:
            # The only input frame makes every output frame, each by one tap; the skip joins it as more channels.
            joined = torch.cat((features_EOk, skip_EOk))[..., self.padding : self.padding + self.frames_out]
            joined = joined.permute(2, 1, 0).reshape(self.frames_out * self.out_channels, -1)
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

    def forward(
        self, features_BTEHW: Tensor, skip_BEHW: Tensor | None, constants_BET: Tensor | None, folded: FoldedWeights
    ) -> Tensor:
        """(batch, frames_out, out_channels, H, W), contiguous."""
        batch, frames, _, height, width = features_BTEHW.shape
        assert frames == self.frames_in
        if frames == 1:
            x = features_BTEHW[:, 0] if skip_BEHW is None else torch.cat((features_BTEHW[:, 0], skip_BEHW), dim=1)
            out = functional.conv2d(x, folded.features)
        else:
            padded = functional.pad(features_BTEHW, (0, 0, 0, 0, 0, 0, 1, 1))
            x = torch.cat((padded[:, :-2], padded[:, 1:-1], padded[:, 2:]), dim=2).flatten(0, 1)
            out = functional.conv2d(x, folded.features)
        out = out.view(batch, self.frames_out, self.out_channels, height, width)
        if folded.skip is not None:
            assert skip_BEHW is not None
            self._add_skip(out, functional.conv2d(skip_BEHW, folded.skip))
        if folded.constants is not None and constants_BET is not None:
            code = functional.conv_transpose1d(
                constants_BET, folded.constants, self.bias, stride=self.stride, padding=self.padding
            )
            return out + code.transpose(1, 2)[..., None, None]
        return out + self.bias[:, None, None].to(out.dtype)

    def _add_skip(self, out_BTOHW: Tensor, terms_BEHW: Tensor) -> None:
        """Add what a picture that is constant over time gives: one term inside, less taps at both ends."""
        batch, _, _, height, width = out_BTOHW.shape
        terms = terms_BEHW.view(batch, self.stride + 2, self.out_channels, height, width)
        inside, first, last = terms[:, : self.stride], terms[:, self.stride], terms[:, self.stride + 1]
        out_BTOHW.view(batch, self.frames_in, self.stride, self.out_channels, height, width).add_(inside[:, None])
        out_BTOHW[:, 0].sub_(first)
        out_BTOHW[:, -1].sub_(last)


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

    def normalised(self) -> Tensor:
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
            return functional.linear(x, self.normalised(), self.bias)
        convolve = functional.conv2d if self.dims == 2 else functional.conv3d
        return convolve(x, self.normalised(), self.bias, self.stride, self.padding)  # type: ignore[arg-type]


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
        weight = self.normalised()
        out = functional.conv3d(x, weight[:, : self.in_channels], self.bias, self.strides, self.paddings)
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


def leaky(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, LEAK, inplace=True)
