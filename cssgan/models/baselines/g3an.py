"""G3AN (Wang et al., CVPR 2020), conditioned on start image, audio and class: three streams for space, time and video.

Changes, with reasons:

* The original is unconditional. Here the appearance vector is the encoded start image with the class, and the motion
  vector comes from a GRU over the mel segments, as the CSSGAN paper states (section 4). Both keep their sizes, 128 and 10.
  The audio of a window becomes one motion vector (`model.motion=vector`): in the original the motion vector has no time
  axis either. `sequence` gives five, the GRU states averaged over time; this is closer to the audio, but another model.
* 32 frames instead of 16: one more block doubles the frames, and the video discriminator ends at 17 positions in time.
  The class conditions the second layer of the video discriminator.
* The generator is updated first, as for all models of this trainer; the published code updates the discriminators first,
  on the same generated videos.

Errors of the published code that were not carried over: both attention modules reshape their output as if channels came
before space and time, so that a permutation of the input frames does not permute the output frames. Here attention
follows the equation, y_i = x_i + gamma sum_j softmax_j(q_i k_j) v_j (tests/cssgan/models/baselines/test_g3an.py). It is
off by default in both. The value called FID in its evaluation is computed on videos, with another network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cssgan.config import Config
from cssgan.models.baselines.window_model import VideoOutput, WindowDiscriminators, WindowGenerator
from cssgan.models.blocks import ClassConditionalConv, SpectralConv, initialize, leaky_relu
from cssgan.models.discriminators import ImageDiscriminator
from cssgan.models.encoders import AudioEncoder, ImageEncoder, level_widths
from phonics_data.contract.logmel import LogMelSpec

FIRST_KERNEL = 4  # of the first temporal layer
NUM_MOTION_VECTORS = 5
"""Motion vectors of `model.motion=sequence`; the first layer turns them into 8 frames."""

ConvShape = tuple[int, int, int]
"""(kernel, stride, padding) over time."""


def temporal_shapes(num_frames: int, num_blocks: int, num_vectors: int = 1) -> list[ConvShape]:
    """Temporal convolution of each block: the first from the motion vectors, then doubling, then of the same length."""
    rest = num_blocks - 1
    if num_vectors == 1:
        kernel = max(FIRST_KERNEL, num_frames >> rest)
        first, frames = (kernel, 1, 0), kernel
    else:
        first, frames = (FIRST_KERNEL, 1, 0), num_vectors + FIRST_KERNEL - 1
    doublings = (num_frames // frames).bit_length() - 1
    assert frames << doublings == num_frames, (num_frames, frames)
    assert doublings <= rest, (num_frames, num_blocks)
    return [first, *[(4, 2, 1)] * doublings, *[(1, 1, 0)] * (rest - doublings)]


class TemporalLayer(SpectralConv):
    """ConvTranspose3d with a (k, 1, 1) kernel and spectral norm on (batch, frames, channels, H, W).

    One 1x1 convolution computes all taps; the results are added at their frames.
    """

    def __init__(self, in_channels: int, out_channels: int, shape: ConvShape) -> None:
        super().__init__(in_channels, out_channels, (shape[0],), shape[1], shape[2])
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride, padding = self.shape
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
    """ConvTranspose3d with a (1, 4, 4) kernel and spectral norm; time is folded into the batch."""

    def __init__(self, in_channels: int, out_channels: int, *, first: bool) -> None:
        super().__init__(in_channels, out_channels, (4, 4), *((1, 0) if first else (2, 1)))

    def forward(self, x: Tensor) -> Tensor:
        weight_EOHW = self.normalized().transpose(0, 1)
        frames = functional.conv_transpose2d(x.flatten(0, 1), weight_EOHW, self.bias, self.stride, self.padding)
        return frames.unflatten(0, x.shape[:2])


class NormReLU(nn.Module):
    """A layer, then batch norm over batch, time and space, then ReLU."""

    def __init__(self, layer: SpectralConv) -> None:
        super().__init__()
        self.layer, self.norm = layer, nn.BatchNorm2d(layer.weight.shape[0])

    def forward(self, x_BTEHW: Tensor) -> Tensor:
        y = self.layer(x_BTEHW)
        return torch.relu(self.norm(y.flatten(0, 1))).view_as(y)


Streams = tuple[Tensor, Tensor, Tensor]
"""Spatial (one frame), temporal (one pixel) and video features, each (batch, frames, channels, H, W)."""


class G3Block(nn.Module):
    """One level of the three streams; the video stream receives the features of the other two."""

    def __init__(
        self, *, spatial_in: int, temporal_in: int, video_in: int, out: int, shape: ConvShape, first: bool
    ) -> None:
        super().__init__()
        self.spatial = NormReLU(SpatialLayer(spatial_in, out, first=first))
        self.temporal = NormReLU(TemporalLayer(temporal_in, out, shape))
        self.video_time = NormReLU(TemporalLayer(video_in, out, shape))
        self.video_space = NormReLU(SpatialLayer(out, out, first=first))

    def forward(self, streams: Streams) -> Streams:
        spatial, temporal, video = streams
        spatial, temporal = self.spatial(spatial), self.temporal(temporal)
        video = self.video_space(self.video_time(video)) + temporal
        return spatial, temporal, torch.cat((spatial.expand_as(video), video), dim=2)


class SelfAttention(nn.Module):
    """x + gamma attention(x) over sequences of positions (Zhang et al., ICML 2019); gamma starts at 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        dim = max(channels // 8, 1)
        self.query, self.key, self.value = (nn.Linear(channels, out) for out in (dim, dim, channels))
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x_NPE: Tensor) -> Tensor:
        """N independent sequences of P positions."""
        attended = functional.scaled_dot_product_attention(
            self.query(x_NPE), self.key(x_NPE), self.value(x_NPE), scale=1.0
        )
        return x_NPE + self.gamma * attended


class FactorizedAttention(nn.Module):
    """Attention over the frames of each pixel, then over the pixels of each frame."""

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
    """Appearance and motion vectors -> window.

    Args:
        appearance_dim, motion_dim: sizes of the vectors.
        shapes: `temporal_shapes`, one per resolution from 4 pixels to `size`.
        width: channels of the last block; doubled at each lower resolution, up to 8 times this value.
        attention: `FactorizedAttention` before the last block.
    """

    def __init__(
        self,
        *,
        size: int,
        width: int,
        appearance_dim: int,
        motion_dim: int,
        shapes: list[ConvShape],
        attention: bool,
    ) -> None:
        super().__init__()
        widths = [*reversed(level_widths(2 * size, width))]
        self.blocks = nn.ModuleList()
        spatial, temporal, video = appearance_dim, motion_dim, appearance_dim + motion_dim
        for index, (out, shape) in enumerate(zip(widths, shapes, strict=True)):
            self.blocks.append(
                G3Block(
                    spatial_in=spatial, temporal_in=temporal, video_in=video, out=out, shape=shape, first=index == 0
                )
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
    """Start image, class and audio -> window.

    Args:
        code_dim: size of the appearance vector, without the class.
        audio_encoder: as in `cssgan.config.ModelConfig`.
        audio_dim: features of a mel segment before the GRU.
        motion_dim: size of the motion vector, the state of the GRU.
        sequence: `NUM_MOTION_VECTORS` motion vectors instead of one.
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
        audio_encoder: str,
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
            num_bands=num_bands, segment_hops=segment_hops, segment=audio_encoder, features=audio_dim, state=motion_dim
        )
        num_blocks = len(level_widths(2 * size, width))
        self.decoder = G3anDecoder(
            size=size,
            width=width,
            appearance_dim=code_dim + num_classes + z_dim,
            motion_dim=motion_dim,
            shapes=temporal_shapes(num_frames, num_blocks, NUM_MOTION_VECTORS if sequence else 1),
            attention=attention,
        )
        initialize(self)

    def generate_window(self, image_BCHW: Tensor, mels_BTMU: Tensor, label_BK: Tensor, noise_BZ: Tensor) -> Tensor:
        """See `WindowGenerator.generate_window`."""
        code_BD, _ = self.image_encoder(image_BCHW)
        states_BTD = self.audio_encoder(mels_BTMU)
        motion_BTD = states_BTD[:, -1:]
        if self.sequence:
            motion_BTD = functional.adaptive_avg_pool1d(states_BTD.transpose(1, 2), NUM_MOTION_VECTORS).transpose(1, 2)
        return self.decoder(torch.cat((code_BD, label_BK, noise_BZ), dim=1), motion_BTD)

    @classmethod
    def from_config(cls, config: Config, *, num_classes: int, mel_spec: LogMelSpec) -> G3anGenerator:
        """A new generator for `config`, initialized with torch's global random state."""
        model = config.model
        return cls(
            size=config.data.size,
            num_frames=config.data.num_frames,
            num_classes=num_classes,
            num_bands=mel_spec.num_bands,
            segment_hops=mel_spec.segment_hops,
            width=model.width,
            code_dim=model.code_dim,
            audio_encoder=model.audio_encoder,
            audio_dim=model.audio_dim,
            motion_dim=model.gru_dim,
            z_dim=model.z_dim,
            sequence=model.motion == "sequence",
            attention=model.attention,
        )


class SeparableVideoDiscriminator(nn.Module):
    """Windows -> a logit at each position in time: (1,4,4), then (4,1,1) convolutions at every level."""

    def __init__(self, *, size: int, width: int, class_dim: int, spectral: bool) -> None:
        super().__init__()
        self.class_dim = class_dim
        widths = level_widths(size, width)
        self.space, self.time = nn.ModuleList(), nn.ModuleList()
        shape = ((1, 4, 4), (1, 2, 2), (0, 1, 1))
        for level, (i, o) in enumerate(zip([3, *widths[:-1]], widths, strict=True)):
            self.space.append(
                ClassConditionalConv(i, class_dim, o, *shape, spectral=spectral)
                if level == 1 and class_dim
                else SpectralConv(i, o, *shape, spectral=spectral)
            )
            self.time.append(SpectralConv(o, o, (4, 1, 1), spectral=spectral))
        self.last = SpectralConv(widths[-1], widths[-1], (1, 4, 4), spectral=spectral)
        self.out = SpectralConv(widths[-1], 1, (4, 1, 1), spectral=spectral)

    def forward(self, video_BCTHW: Tensor, label_BK: Tensor) -> VideoOutput:
        x = video_BCTHW
        for space, time in zip(self.space, self.time, strict=True):
            x = leaky_relu(space(x, label_BK) if isinstance(space, ClassConditionalConv) else space(x))
            x = leaky_relu(time(x))
        return self.out(leaky_relu(self.last(x))).flatten(1), None


def discriminators(config: Config, *, num_classes: int) -> WindowDiscriminators:
    """New discriminators for `config`."""
    size, options = config.data.size, config.discriminator
    image = ImageDiscriminator(size=size, width=options.width, spectral=options.spectral)
    class_dim = num_classes if options.d_class else 0
    return WindowDiscriminators(
        image,
        SeparableVideoDiscriminator(size=size, width=options.width, class_dim=class_dim, spectral=options.spectral),
    )
