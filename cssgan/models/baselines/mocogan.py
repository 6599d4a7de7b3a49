"""MoCoGAN (Tulyakov et al., CVPR 2018), conditioned on start image, audio and class.

Written from the paper's text and tables of layer sizes; the published code (CC BY-NC-ND) was not copied or adapted.

Changes, with reasons:

* The content vector is the encoded start image and the motion vectors are a GRU over the log-mel segments, as the CSSGAN
  paper states (section 4). Both keep their original sizes, 50 and 10: the paper names the small vectors of these models as
  the reason for their results. There are no skips and no noise.
* 32 frames instead of 16, so that the video discriminator ends at 17 positions in time, each with a logit and a class.
* The category is an input instead of a sample: the generator must produce the given class (the published code has an
  InfoGAN loss for a category that it samples). The discriminator is trained to predict the class on reals.
* The generator is updated first, and the discriminators are trained on the same generated videos, as for all models of
  this trainer; the published code generates new videos for each of three passes.
* The image discriminator receives one random frame of each video. Its optional input noise is left out (off by default
  in the published code).

Errors of the published code that were not carried over: its dataset ignores the options for number of frames and temporal
stride (16 and 2 are hard-coded); it samples 2 x 16 sequences for each frame that it keeps.
Batch norm in the discriminators, separate for real and generated videos, is part of the model and was kept.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cssgan.config import Config
from cssgan.models.baselines.window_model import (
    FrameDecoder,
    VideoOutput,
    WindowDiscriminators,
    WindowGenerator,
    repeat_over_time,
)
from cssgan.models.blocks import initialize, leaky_relu
from cssgan.models.encoders import ImageEncoder, level_widths
from phonics_data.contract.logmel import LogMelSpec


class MocoganGenerator(WindowGenerator):
    """Content vector + class + motion vector of each frame -> frame.

    Args:
        code_dim: size of the content vector.
        motion_dim: size of the motion vector, the state of the GRU.
    """

    def __init__(
        self,
        *,
        size: int,
        num_frames: int,
        num_classes: int,
        segment_dim: int,
        width: int,
        code_dim: int,
        motion_dim: int,
        z_dim: int,
    ) -> None:
        super().__init__(num_frames)
        self.image_encoder = ImageEncoder(size=size, width=width, code_dim=code_dim, norm="batch")
        self.motion = nn.GRU(segment_dim, motion_dim, batch_first=True)
        self.decoder = FrameDecoder(code_dim=code_dim + num_classes + motion_dim + z_dim, size=size, width=width)
        initialize(self)

    def generate_window(self, image_BCHW: Tensor, mels_BTMU: Tensor, label_BK: Tensor, noise_BZ: Tensor) -> Tensor:
        """See `WindowGenerator.generate_window`."""
        content_BD, _ = self.image_encoder(image_BCHW)
        motion_BTD, _ = self.motion(mels_BTMU.flatten(2))
        constant_BD = torch.cat((content_BD, label_BK, noise_BZ), dim=1)
        return self.decoder(torch.cat((repeat_over_time(constant_BD, motion_BTD.shape[1]), motion_BTD), dim=2))

    @classmethod
    def from_config(cls, config: Config, *, num_classes: int, mel_spec: LogMelSpec) -> MocoganGenerator:
        """A new generator for `config`, initialized with torch's global random state."""
        model = config.model
        return cls(
            size=config.data.size,
            num_frames=config.data.num_frames,
            num_classes=num_classes,
            segment_dim=mel_spec.num_bands * mel_spec.segment_hops,
            width=model.width,
            code_dim=model.code_dim,
            motion_dim=model.gru_dim,
            z_dim=model.z_dim,
        )


class PatchImageDiscriminator(nn.Module):
    """Frames -> a 4x4 map of logits: 4x4 convolutions of stride 2 without bias, batch norm except in the first layer."""

    def __init__(self, *, size: int, width: int) -> None:
        super().__init__()
        widths = level_widths(size, width)[:-1]
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, 4, 2, 1, bias=False) for i, o in zip([3, *widths], [*widths, 1], strict=True)
        )
        self.norms = nn.ModuleList(_batch_norm(channels) for channels in widths[1:])
        initialize(self)

    def forward(self, frames_BCHW: Tensor) -> Tensor:
        x = leaky_relu(self.convs[0](frames_BCHW))
        for conv, norm in zip(self.convs[1:-1], self.norms, strict=True):
            x = leaky_relu(norm(conv(x)))
        return self.convs[-1](x).flatten()


class CategoricalVideoDiscriminator(nn.Module):
    """Windows -> a logit and class logits at each position in time: 4x4x4 convolutions with stride 1 over time."""

    def __init__(self, *, size: int, width: int, num_classes: int) -> None:
        super().__init__()
        widths = level_widths(size, width)
        self.convs = nn.ModuleList(
            nn.Conv3d(i, o, 4, (1, 2, 2), (0, 1, 1), bias=False) for i, o in zip([3, *widths[:-1]], widths, strict=True)
        )
        self.norms = nn.ModuleList(_batch_norm(channels) for channels in widths[1:])
        self.out = nn.Conv3d(widths[-1], 1 + num_classes, 4, bias=False)
        initialize(self)

    def forward(self, video_BCTHW: Tensor, label_BK: Tensor) -> VideoOutput:
        x = leaky_relu(self.convs[0](video_BCTHW))
        for conv, norm in zip(self.convs[1:], self.norms, strict=True):
            y = conv(x)
            x = leaky_relu(norm(y.flatten(2, 3)).view_as(y))  # a 2-D norm with the statistics of a 3-D one
        out_BKV = self.out(x)[..., 0, 0]
        return out_BKV[:, 0], out_BKV[:, 1:].transpose(1, 2)


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    """Without running statistics: discriminators always use those of the batch, and a forward pass changes no buffers."""
    return nn.BatchNorm2d(channels, track_running_stats=False)


def discriminators(config: Config, *, num_classes: int) -> WindowDiscriminators:
    """New discriminators for `config`."""
    size, width = config.data.size, config.discriminator.width
    return WindowDiscriminators(
        PatchImageDiscriminator(size=size, width=width),
        CategoricalVideoDiscriminator(size=size, width=width, num_classes=num_classes),
        mixes_videos=True,
    )
