"""Decoder of a stream: latent code at 1x1x1 -> clip, with image skips, class and audio at every block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from cssgan.models.blocks import FoldedWeights, TemporalConvTranspose, leaky_relu, norm_2d
from cssgan.models.cpu_convolutions import compose, conv_transpose2d, tanh
from cssgan.models.object_picture import PlacedPicture, paste

OUTPUT_CHANNELS = {"direct": 3, "compose": 4, "warp": 6, "warp_still": 6}
"""Channels of the rgb layer for each `model.g_output`."""
FLOW_PIXELS = 4.0
"""Pixels by which an output of 1 moves the start image."""
STILL_PIXELS = 0.5
"""``warp_still``: a movement of so many pixels is halved, smaller ones are damped more."""
STILL_MASK = 0.1
"""``warp_still``: a mask of this value becomes .55 of it, smaller ones are damped more, and 1 stays 1."""


def frames_after_blocks(num_frames: int, num_blocks: int, upsampling: str) -> list[int]:
    """Frames after each block and after the rgb layer (num_blocks + 1 numbers), from 1 frame at the bottleneck.

    Order in which layers double the frames, until there are `num_frames`:

    * ``middle``: from the last block to the first, then the rgb layer (8 frames, 4 blocks: 1,2,4,8,8; 32: 2,4,8,16,32);
    * ``late``: the rgb layer, then from the last block to the first;
    * ``early``: from the first block to the last, then the rgb layer.

    If all layers double, block 1 multiplies by what remains.
    """
    doublings = num_frames.bit_length() - 1
    blocks = list(range(num_blocks))
    order = {
        "middle": [*reversed(blocks), num_blocks],
        "late": [num_blocks, *reversed(blocks)],
        "early": [*blocks, num_blocks],
    }[upsampling]
    factors = [1] * (num_blocks + 1)
    for layer in order[:doublings]:
        factors[layer] = 2
    factors[0] *= 2 ** max(doublings - len(order), 0)
    frames, frames_after = 1, list[int]()
    for factor in factors:
        frames *= factor
        frames_after.append(frames)
    return frames_after


class DecoderBlock(nn.Module):
    """Temporal transposed convolution with many channels, norm, LeakyReLU, spatial 4x4 transposed convolution.

    Args:
        modulation_dim: size of the audio states that scale and shift the normalized channels of each frame; 0: none.
    """

    def __init__(
        self,
        *,
        temporal: TemporalConvTranspose,
        out_channels: int,
        first: bool,
        last: bool,
        norm: str,
        modulation_dim: int = 0,
    ) -> None:
        super().__init__()
        self.temporal = temporal
        self.temporal_norm = norm_2d(norm, temporal.out_channels)
        self.modulator = nn.Linear(modulation_dim, 2 * temporal.out_channels) if modulation_dim else None
        stride, padding = (1, 0) if first else (2, 1)
        self.spatial = nn.ConvTranspose2d(temporal.out_channels, out_channels, 4, stride, padding)
        self.spatial_norm = None if last else norm_2d(norm, out_channels)

    def forward(
        self,
        x_BTEHW: Tensor,
        skip_BEHW: Tensor | None,
        term_BTO: Tensor,
        folded: FoldedWeights,
        modulation_BTO: Tensor | None = None,
    ) -> Tensor:
        """See `TemporalConvTranspose.forward`; `modulation_BTO` is that of `modulation`."""
        y = self.temporal(x_BTEHW, skip_BEHW, term_BTO, folded)
        batch, frames = y.shape[:2]
        y = self.temporal_norm(y.flatten(0, 1))
        if modulation_BTO is not None:
            scale, shift = modulation_BTO.to(y.dtype).flatten(0, 1)[..., None, None].chunk(2, dim=1)
            y = torch.addcmul(shift, y, scale)
        y = self._spatial(leaky_relu(y))
        if self.spatial_norm is not None:
            y = leaky_relu(self.spatial_norm(y))
        return y.view(batch, frames, *y.shape[1:])

    def modulation(self, states_BFD: Tensor) -> Tensor:
        """Factors and summands of each frame's channels, (B, frames, 2 x channels); the factors are 1 + linear.

        It does not depend on images: one call serves all streams of a cascade. (Perez et al., "FiLM: Visual Reasoning
        with a General Conditioning Layer", AAAI 2018.)

        Args:
            states_BFD: audio states, averaged over time to the block's frames.
        """
        assert self.modulator is not None
        pooled_BDT = functional.adaptive_avg_pool1d(states_BFD.transpose(1, 2), self.temporal.frames_out)
        scale, shift = self.modulator(pooled_BDT.transpose(1, 2)).chunk(2, dim=2)
        return torch.cat((scale + 1.0, shift), dim=2)

    def _spatial(self, x: Tensor) -> Tensor:
        weight, bias = self.spatial.weight, self.spatial.bias
        assert bias is not None
        if x.shape[2:] != (1, 1):
            # All blocks but the first double height and width.
            return conv_transpose2d(x, weight, bias, 2, 1)
        # First block: from 1x1, each output pixel has one tap, so this is a matrix product.
        return functional.linear(x.flatten(1), weight.flatten(1).t()).view(-1, *weight.shape[1:]) + bias[:, None, None]


class Decoder(nn.Module):
    """All blocks of a stream.

    Args:
        widths: channels of the image encoder's levels, from size/2 down to 4 pixels (`level_widths`).
        bottleneck: channels of the concatenated input at 1x1x1.
        class_dim: one-hot classes that every later block receives.
        inject_dim: audio channels that every later block receives; 0: none.
        modulation_dim: size of the audio states that modulate every later block (`DecoderBlock.modulation`); 0: none.
        frames: `frames_after_blocks`.
        middle_first, middle: middle channels as multiples of a block's output channels (3 in the rgb layer).
        output: ``direct``: the rgb layer paints every pixel; ``compose``: its fourth channel is a mask that blends the
            frames onto the start image; ``warp``: two more channels move the pixels of the start image first;
            ``warp_still``: the same with small movements and faint masks damped.
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
        output: str,
        norm: str,
        modulation_dim: int = 0,
    ) -> None:
        super().__init__()
        self.frames, self.output = frames, output
        self.blocks = nn.ModuleList()
        channels, frames_in = bottleneck, 1
        outs = [*reversed(widths), OUTPUT_CHANNELS[output]]
        for index, (out, frames_out) in enumerate(zip(outs, frames, strict=True)):
            first, last = index == 0, index == len(widths)
            temporal = TemporalConvTranspose(
                features=channels,
                skip=0 if first else outs[index - 1],
                conditioning=0 if first else class_dim + inject_dim,
                out_channels=(middle_first if first else middle) * (3 if last else out),
                frames_in=frames_in,
                frames_out=frames_out,
                first=first,
            )
            self.blocks.append(
                DecoderBlock(
                    temporal=temporal,
                    out_channels=out,
                    first=first,
                    last=last,
                    norm=norm,
                    modulation_dim=0 if first else modulation_dim,
                )
            )
            channels, frames_in = out, frames_out

    def fold(self) -> list[FoldedWeights]:
        """The rearranged weights of all blocks, computed once per step for all streams."""
        return [cast(DecoderBlock, block).temporal.fold() for block in self.blocks]

    def conditioning_terms(
        self, label_BK: Tensor, inject_BFA: Tensor | None, folded: list[FoldedWeights]
    ) -> list[Tensor]:
        """`TemporalConvTranspose.conditioning_term` of each block; the first block has no conditioning."""
        terms: list[Tensor] = []
        for block, frames, weights in zip(self.blocks, [0, *self.frames[:-1]], folded, strict=True):
            conditioning_BET = None
            if frames:
                parts = [label_BK[:, :, None].expand(-1, -1, frames)]
                if inject_BFA is not None:
                    parts.append(functional.adaptive_avg_pool1d(inject_BFA.transpose(1, 2), frames))
                conditioning_BET = torch.cat(parts, dim=1)
            terms.append(cast(DecoderBlock, block).temporal.conditioning_term(conditioning_BET, weights))
        return terms

    def modulations(self, states_BFD: Tensor) -> list[Tensor]:
        """`DecoderBlock.modulation` of each block after the first; empty without `modulation_dim`."""
        later = [cast(DecoderBlock, block) for block in self.blocks][1:]
        return [block.modulation(states_BFD) for block in later if block.modulator is not None]

    def forward(
        self,
        bottleneck_BE: Tensor,
        skips: list[Tensor],
        terms: list[Tensor],
        start_BCHW: Tensor,
        folded: list[FoldedWeights],
        modulations: Sequence[Tensor] = (),
        picture: PlacedPicture | None = None,
    ) -> Tensor:
        """clip_BCFHW in [-1, 1].

        Args:
            skips: from size/2 down to 4 pixels, of `ImageEncoder`.
            terms: `conditioning_terms`.
            modulations: `modulations`; default: none.
            picture: the object in each frame; None: no object.
        """
        x = bottleneck_BE[:, None, :, None, None]
        modulation_of = [None, *(modulations or [None] * len(skips))]
        for block, skip, term, weights, modulation in zip(
            self.blocks, [None, *reversed(skips)], terms, folded, modulation_of, strict=True
        ):
            x = block(x, skip, term, weights, modulation)
        x = x.to(start_BCHW.dtype)  # half precision cannot represent 256 levels per channel
        clip_BCFHW = self._frames(x, start_BCHW)
        return clip_BCFHW if picture is None else paste(clip_BCFHW, picture)

    def _frames(self, painted_BTCHW: Tensor, start_BCHW: Tensor) -> Tensor:
        if self.output == "direct":
            return tanh(painted_BTCHW).transpose(1, 2)
        if self.output == "compose":
            return compose(painted_BTCHW, start_BCHW)
        return warp_and_paint(painted_BTCHW, start_BCHW, still=self.output == "warp_still")


def warp_and_paint(painted_BTCHW: Tensor, start_BCHW: Tensor, *, still: bool = False) -> Tensor:
    """Move the pixels of a start image and paint over them: m tanh(rgb) + (1 - m) moved, clip_BCTHW in [-1, 1].

    Args:
        painted_BTCHW: six channels: rgb before tanh, the mask m before the sigmoid, and the distance, to the right and
            down, at which each pixel reads the start image (bilinear; 1 is `FLOW_PIXELS` pixels).
        still: damp small movements and faint masks. A network never gives exactly 0, so each stream reads what stands still
            between its pixels and paints faintly over it, and a cascade of streams blurs it more and more.
    """
    frames, height, width = painted_BTCHW.shape[1], *painted_BTCHW.shape[3:]
    rgb, mask, flow = painted_BTCHW.flatten(0, 1).split((3, 1, 2), dim=1)
    # With the offset of -1, an untrained generator starts near the start image (mask about 0.27).
    mask = torch.sigmoid(mask - 1.0)
    if still:
        flow = flow * flow.abs() / (flow.abs() + STILL_PIXELS / FLOW_PIXELS)
        mask = mask.square() * (1.0 + STILL_MASK) / (mask + STILL_MASK)
    # Two scalars and no tensor of them: a CUDA graph must not copy from the host.
    moves = torch.stack((flow[:, 0] * (2 * FLOW_PIXELS / width), flow[:, 1] * (2 * FLOW_PIXELS / height)), dim=-1)
    identity = functional.affine_grid(
        torch.eye(2, 3, dtype=flow.dtype, device=flow.device)[None], [1, 1, height, width], align_corners=False
    )
    grid = identity + moves
    start = start_BCHW.repeat_interleave(frames, dim=0)
    moved = functional.grid_sample(start, grid, padding_mode="border", align_corners=False)
    out = moved + mask * (tanh(rgb) - moved)
    return out.unflatten(0, (-1, frames)).transpose(1, 2)
