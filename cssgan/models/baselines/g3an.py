"""G3AN (Wang et al., CVPR 2020) with the conditions of this project: three streams for space, time and video.

What was changed, and why:

* Unconditional there; here the appearance vector is the encoded start image with the class beside it, and the motion
  vector is a GRU over the log-mel segments, as the CSSGAN paper says (section 4). Both keep their sizes, 128 and 10.
  The sound is one motion vector of a window (`model.motion=vector`): a motion vector has no time in the original either.
  `sequence` gives five, the GRU's states averaged over time, which is nearer to sound but another model.
* 32 frames instead of 16: one block more doubles the frames, and the video discriminator ends at 17 places in time.
  The class joins the video discriminator's first feature map.
* The generator moves first, as everywhere in this trainer; the published code moves the discriminators first, on the
  same generated videos.

Known to be wrong in the published code and not carried over: both attention modules reshape their output as if channels
came before space and time, so that permuting the frames of the input does not permute those of the output; here attention
is the equation, y_i = x_i + gamma sum_j softmax_j(q_i k_j) v_j (tests/cssgan/models/baselines/test_g3an.py). Attention is off there
and here unless asked for. The number that its evaluation calls FID is one of videos, by another network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cssgan.models.baselines.window_model import VideoOutput, WindowGenerator
from cssgan.models.blocks import SpectralClassConv, SpectralConv, initialize, leaky
from cssgan.models.encoders import AudioEncoder, ImageEncoder, level_widths

FIRST_FRAMES = 4  # kernel of the first temporal layer
SEQUENCE = 5
"""Motion vectors of `model.motion=sequence`; the first layer makes 8 frames of them."""


def frame_plan(num_frames: int, num_blocks: int, num_vectors: int = 1) -> list[tuple[int, int, int]]:
    """(kernel, stride, padding) over time of each block: the first from the motion vectors, then doubling, then keeping."""
    rest = num_blocks - 1
    if num_vectors == 1:
        kernel = max(FIRST_FRAMES, num_frames >> rest)
        first, made = (kernel, 1, 0), kernel
    else:
        first, made = (FIRST_FRAMES, 1, 0), num_vectors + FIRST_FRAMES - 1
    doublings = (num_frames // made).bit_length() - 1
    assert made << doublings == num_frames, (num_frames, made)
    assert doublings <= rest, (num_frames, num_blocks)
    return [first, *[(4, 2, 1)] * doublings, *[(1, 1, 0)] * (rest - doublings)]


class TemporalLayer(SpectralConv):
    """ConvTranspose3d with a (k, 1, 1) kernel and spectral norm on (batch, frames, channels, H, W).

    One 1x1 convolution for all taps, whose results are added at their frames: no multiplication more, and no 3-D kernel.
    """

    def __init__(self, in_channels: int, out_channels: int, form: tuple[int, int, int]) -> None:
        super().__init__(in_channels, out_channels, (form[0],), form[1], form[2])
        self.form = form

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride, padding = self.form
        batch, frames, _, height, width = x.shape
        weight_kOE = self.normalized().permute(2, 0, 1)
        out_channels = weight_kOE.shape[1]
        taps = functional.conv2d(x.flatten(0, 1), weight_kOE.flatten(0, 1)[:, :, None, None])
        taps = taps.view(batch, frames, kernel, out_channels, height, width)
        whole = taps.new_zeros(batch, (frames - 1) * stride + kernel, out_channels, height, width)
        for tap in range(kernel):
            whole[:, tap : tap + (frames - 1) * stride + 1 : stride] += taps[:, :, tap]
        return whole[:, padding : whole.shape[1] - padding] + self.bias[:, None, None]


class SpatialLayer(SpectralConv):
    """ConvTranspose3d with a (1, 4, 4) kernel and spectral norm, time folded into the batch."""

    def __init__(self, in_channels: int, out_channels: int, *, first: bool) -> None:
        super().__init__(in_channels, out_channels, (4, 4), *((1, 0) if first else (2, 1)))

    def forward(self, x: Tensor) -> Tensor:
        weight_EOHW = self.normalized().transpose(0, 1)
        frames = functional.conv_transpose2d(x.flatten(0, 1), weight_EOHW, self.bias, self.stride, self.padding)
        return frames.unflatten(0, x.shape[:2])


class Normed(nn.Module):
    """A layer, batch norm over batch, time and space, ReLU."""

    def __init__(self, layer: SpectralConv) -> None:
        super().__init__()
        self.layer, self.norm = layer, nn.BatchNorm2d(layer.weight.shape[0])

    def forward(self, x_BTEHW: Tensor) -> Tensor:
        y = self.layer(x_BTEHW)
        return torch.relu(self.norm(y.flatten(0, 1))).view_as(y)


Streams = tuple[Tensor, Tensor, Tensor]
"""Spatial (one frame), temporal (one pixel) and video features, each (batch, frames, channels, H, W)."""


class G3Block(nn.Module):
    """One level of the three streams; the video stream takes in what the two others made."""

    def __init__(
        self, *, spatial_in: int, temporal_in: int, video_in: int, out: int, form: tuple[int, int, int], first: bool
    ) -> None:
        super().__init__()
        self.spatial = Normed(SpatialLayer(spatial_in, out, first=first))
        self.temporal = Normed(TemporalLayer(temporal_in, out, form))
        self.video_time = Normed(TemporalLayer(video_in, out, form))
        self.video_space = Normed(SpatialLayer(out, out, first=first))

    def forward(self, streams: Streams) -> Streams:
        spatial, temporal, video = streams
        spatial, temporal = self.spatial(spatial), self.temporal(temporal)
        video = self.video_space(self.video_time(video)) + temporal
        return spatial, temporal, torch.cat((spatial.expand_as(video), video), dim=2)


class SelfAttention(nn.Module):
    """x + gamma attention(x) over rows of positions (Zhang et al., ICML 2019); gamma begins at 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        code = max(channels // 8, 1)
        self.query, self.key, self.value = (nn.Linear(channels, out) for out in (code, code, channels))
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x_NPE: Tensor) -> Tensor:
        """N independent rows of P positions."""
        mixed = functional.scaled_dot_product_attention(
            self.query(x_NPE), self.key(x_NPE), self.value(x_NPE), scale=1.0
        )
        return x_NPE + self.gamma * mixed


class FactorizedAttention(nn.Module):
    """Each pixel over its own frames, then each frame over its own pixels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.temporal, self.spatial = SelfAttention(channels), SelfAttention(channels)

    def forward(self, x_BTEHW: Tensor) -> Tensor:
        batch, frames, channels, height, width = x_BTEHW.shape
        rows = x_BTEHW.permute(0, 3, 4, 1, 2).reshape(-1, frames, channels)
        x = self.temporal(rows).view(batch, height, width, frames, channels)
        rows = x.permute(0, 3, 1, 2, 4).reshape(-1, height * width, channels)
        return self.spatial(rows).view(batch, frames, height, width, channels).permute(0, 1, 4, 2, 3)


class G3anDecoder(nn.Module):
    """Appearance and motion codes -> window.

    Args:
        appearance_dim, motion_dim: of the codes.
        plan: `frame_plan`, of as many blocks as there are sizes from 4 pixels to `size`.
        width: channels of the last block; doubled each level down, to 8 times.
        attention: `FactorizedAttention` before the last block.
    """

    def __init__(
        self,
        *,
        size: int,
        width: int,
        appearance_dim: int,
        motion_dim: int,
        plan: list[tuple[int, int, int]],
        attention: bool,
    ) -> None:
        super().__init__()
        widths = [*reversed(level_widths(2 * size, width))]
        self.blocks = nn.ModuleList()
        spatial, temporal, video = appearance_dim, motion_dim, appearance_dim + motion_dim
        for index, (out, form) in enumerate(zip(widths, plan, strict=True)):
            self.blocks.append(
                G3Block(spatial_in=spatial, temporal_in=temporal, video_in=video, out=out, form=form, first=index == 0)
            )
            spatial, temporal, video = out, out, 2 * out
        self.attention = FactorizedAttention(2 * widths[-2]) if attention else None
        self.rgb = nn.Conv2d(2 * widths[-1], 3, 3, padding=1)

    def forward(self, appearance_BD: Tensor, motion_BTD: Tensor) -> Tensor:
        """video_BCTHW in [-1, 1]"""
        spatial, temporal = appearance_BD[:, None, :, None, None], motion_BTD[..., None, None]
        video = torch.cat((spatial.expand(-1, temporal.shape[1], -1, -1, -1), temporal), dim=2)
        streams: Streams = (spatial, temporal, video)
        for index, block in enumerate(self.blocks):
            if self.attention is not None and index == len(self.blocks) - 1:
                streams = (streams[0], streams[1], self.attention(streams[2]))
            streams = block(streams)
        frames = torch.tanh(self.rgb(streams[2].flatten(0, 1)))
        return frames.unflatten(0, streams[2].shape[:2]).transpose(1, 2)


class G3anGenerator(WindowGenerator):
    """Encoded image (and class) and encoded sound -> window.

    Args:
        code_dim: appearance vector, without the class.
        audio_dim: features of a segment before the GRU.
        motion_dim: motion vector, the state of the GRU.
        sequence: `SEQUENCE` motion vectors instead of one.
    """

    def __init__(
        self,
        *,
        size: int,
        num_frames: int,
        num_classes: int,
        num_bands: int,
        segment_hops: int,
        width: int,
        code_dim: int,
        audio_dim: int,
        motion_dim: int,
        z_dim: int,
        sequence: bool,
        attention: bool,
    ) -> None:
        super().__init__(num_frames)
        self.sequence = sequence
        self.image_encoder = ImageEncoder(size=size, width=width, code_dim=code_dim, norm="batch")
        self.audio_encoder = AudioEncoder(
            num_bands=num_bands, segment_hops=segment_hops, features=audio_dim, state=motion_dim
        )
        num_blocks = len(level_widths(2 * size, width))
        self.decoder = G3anDecoder(
            size=size,
            width=width,
            appearance_dim=code_dim + num_classes + z_dim,
            motion_dim=motion_dim,
            plan=frame_plan(num_frames, num_blocks, SEQUENCE if sequence else 1),
            attention=attention,
        )
        initialize(self)

    def window(self, image_BCHW: Tensor, mels_BTMU: Tensor, label_BK: Tensor, noise_BZ: Tensor) -> Tensor:
        """See `WindowGenerator.window`."""
        code_BD, _ = self.image_encoder(image_BCHW)
        states_BTD = self.audio_encoder(mels_BTMU)
        motion_BTD = states_BTD[:, -1:]
        if self.sequence:
            motion_BTD = functional.adaptive_avg_pool1d(states_BTD.transpose(1, 2), SEQUENCE).transpose(1, 2)
        return self.decoder(torch.cat((code_BD, label_BK, noise_BZ), dim=1), motion_BTD)


class SeparableVideoDiscriminator(nn.Module):
    """Windows -> a logit at each place in time: (1,4,4) then (4,1,1) convolutions with spectral norm at every level."""

    def __init__(self, *, size: int, width: int, class_dim: int, spectral: bool) -> None:
        super().__init__()
        self.class_dim = class_dim
        widths = level_widths(size, width)
        self.space, self.time = nn.ModuleList(), nn.ModuleList()
        halve = ((1, 4, 4), (1, 2, 2), (0, 1, 1))
        for level, (i, o) in enumerate(zip([3, *widths[:-1]], widths, strict=True)):
            self.space.append(
                SpectralClassConv(i, class_dim, o, *halve, spectral=spectral)
                if level == 1 and class_dim
                else SpectralConv(i, o, *halve, spectral=spectral)
            )
            self.time.append(SpectralConv(o, o, (4, 1, 1), spectral=spectral))
        self.last = SpectralConv(widths[-1], widths[-1], (1, 4, 4), spectral=spectral)
        self.out = SpectralConv(widths[-1], 1, (4, 1, 1), spectral=spectral)

    def forward(self, video_BCTHW: Tensor, label_BK: Tensor) -> VideoOutput:
        x = video_BCTHW
        for space, time in zip(self.space, self.time, strict=True):
            x = leaky(space(x, label_BK) if isinstance(space, SpectralClassConv) else space(x))
            x = leaky(time(x))
        return self.out(leaky(self.last(x))).flatten(1), None
