"""Decoder of a stream: codes at 1x1x1 -> a clip, with the image's skips, the class and the sound at every block."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cssgan.models.blocks import FoldedWeights, TemporalDeconv, leaky, norm_2d
from cssgan.models.cpu_convolutions import compose, doubling_phases, enlarge_2d, tanh


def temporal_plan(num_frames: int, num_blocks: int, plan: str) -> list[int]:
    """Frames after each block and after the rgb layer (num_blocks + 1 numbers), from 1 frame at the bottleneck.

    ``middle`` doubles in the last blocks before the rgb layer, then earlier ones, then the rgb layer (1,2,4,8 and 8 for
    8 frames and 4 blocks; 2,4,8,16,32 for 32); ``late`` begins with the rgb layer; ``early`` with block 1. What is left
    when every layer doubles goes to block 1.
    """
    doublings = num_frames.bit_length() - 1
    blocks = list(range(num_blocks))
    order = {
        "middle": [*reversed(blocks), num_blocks],
        "late": [num_blocks, *reversed(blocks)],
        "early": [*blocks, num_blocks],
    }[plan]
    factors = [1] * (num_blocks + 1)
    for place in order[:doublings]:
        factors[place] = 2
    factors[0] *= 2 ** max(doublings - len(order), 0)
    frames, plan_frames = 1, list[int]()
    for factor in factors:
        frames *= factor
        plan_frames.append(frames)
    return plan_frames


@dataclass(frozen=True, slots=True, eq=False)
class FoldedBlock:
    """Weights of a block laid out for use; made once a step and shared by all streams."""

    temporal: FoldedWeights
    phases: Tensor | None
    """Of the spatial layer where it doubles, for `enlarge_2d`; without gradient."""


class DecoderBlock(nn.Module):
    """Temporal deconvolution to a wide middle, norm, LeakyReLU, then spatial 4x4 deconvolution, time in the batch."""

    def __init__(self, *, temporal: TemporalDeconv, out_channels: int, first: bool, last: bool, norm: str) -> None:
        super().__init__()
        self.temporal = temporal
        self.temporal_norm = norm_2d(norm, temporal.out_channels)
        stride, padding = (1, 0) if first else (2, 1)
        self.spatial = nn.ConvTranspose2d(temporal.out_channels, out_channels, 4, stride, padding)
        self.spatial_norm = None if last else norm_2d(norm, out_channels)

    def fold(self) -> FoldedBlock:
        """See `FoldedBlock`."""
        return FoldedBlock(self.temporal.fold(), doubling_phases(self.spatial.weight))

    def forward(self, x_BTEHW: Tensor, skip_BEHW: Tensor | None, code_BTO: Tensor, folded: FoldedBlock) -> Tensor:
        y = self.temporal(x_BTEHW, skip_BEHW, code_BTO, folded.temporal)
        batch, frames = y.shape[:2]
        y = self._enlarge(leaky(self.temporal_norm(y.flatten(0, 1))), folded.phases)
        if self.spatial_norm is not None:
            y = leaky(self.spatial_norm(y))
        return y.view(batch, frames, *y.shape[1:])

    def _enlarge(self, x: Tensor, phases: Tensor | None) -> Tensor:
        weight, bias = self.spatial.weight, self.spatial.bias
        assert bias is not None
        if x.shape[2:] != (1, 1):
            # Only the first block does not double, and it begins at one place.
            return enlarge_2d(x, weight, bias, 2, 1, phases)
        # From a single place every output pixel has one tap: a matrix product.
        return functional.linear(x.flatten(1), weight.flatten(1).t()).view(-1, *weight.shape[1:]) + bias[:, None, None]


class Decoder(nn.Module):
    """All blocks of a stream.

    Args:
        widths: channels of the image encoder's levels, from size/2 down to 4 pixels (`level_widths`).
        bottleneck: channels of the joined codes at 1x1x1.
        class_dim: one-hot classes that enter every later block.
        inject_dim: audio channels that enter every later block; 0: audio at the bottleneck only.
        frames: `temporal_plan`.
        middle_first, middle: middle channels as multiples of a block's output (of 3 in the rgb layer).
        compose: the rgb layer gives a fourth channel, the mask that blends its picture onto the start image.
    """

    def __init__(
        self,
        *,
        widths: list[int],
        bottleneck: int,
        class_dim: int,
        inject_dim: int,
        frames: list[int],
        middle_first: int,
        middle: int,
        compose: bool,
        norm: str,
    ) -> None:
        super().__init__()
        self.frames, self.compose = frames, compose
        self.blocks = nn.ModuleList()
        channels, frames_in = bottleneck, 1
        outs = [*reversed(widths), 4 if compose else 3]
        for index, (out, frames_out) in enumerate(zip(outs, frames, strict=True)):
            first, last = index == 0, index == len(widths)
            wide = (middle_first if first else middle) * (3 if last else out)
            temporal = TemporalDeconv(
                features=channels,
                skip=0 if first else outs[index - 1],
                constants=0 if first else class_dim + inject_dim,
                out_channels=wide,
                frames_in=frames_in,
                frames_out=frames_out,
                first=first,
            )
            self.blocks.append(DecoderBlock(temporal=temporal, out_channels=out, first=first, last=last, norm=norm))
            channels, frames_in = out, frames_out

    def fold(self) -> list[FoldedBlock]:
        """Weights laid out for use: once a step, for all streams."""
        return [block.fold() for block in self.blocks]  # type: ignore[union-attr]

    def codes(self, label_BK: Tensor, inject_BFA: Tensor | None, folded: list[FoldedBlock]) -> list[Tensor]:
        """What class and audio codes add to each block, as `TemporalDeconv.code` gives it; nothing in the first."""
        out: list[Tensor] = []
        for block, frames, weights in zip(self.blocks, [0, *self.frames[:-1]], folded, strict=True):
            constants_BET = None
            if frames:
                parts = [label_BK[:, :, None].expand(-1, -1, frames)]
                if inject_BFA is not None:
                    parts.append(functional.adaptive_avg_pool1d(inject_BFA.transpose(1, 2), frames))
                constants_BET = torch.cat(parts, dim=1)
            out.append(block.temporal.code(constants_BET, weights.temporal))  # type: ignore[union-attr]
        return out

    def forward(
        self,
        bottleneck_BE: Tensor,
        skips: list[Tensor],
        codes: list[Tensor],
        start_BCHW: Tensor,
        folded: list[FoldedBlock],
    ) -> Tensor:
        """clip_BCFHW in [-1, 1]. `skips` come from size/2 down to 4 pixels, as `ImageEncoder` gives them."""
        x = bottleneck_BE[:, None, :, None, None]
        for block, skip, code, weights in zip(self.blocks, [None, *reversed(skips)], codes, folded, strict=True):
            x = block(x, skip, code, weights)
        x = x.to(start_BCHW.dtype)  # half precision has too few steps for a picture of 256 levels
        return compose(x, start_BCHW) if self.compose else tanh(x).transpose(1, 2)
