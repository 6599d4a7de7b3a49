"""MoCoGAN (Tulyakov et al., CVPR 2018) with the conditions of this project: content from the picture, motion from sound.

Written from the paper's text and from tables of layer sizes; the published code (CC BY-NC-ND) was not copied or adapted.

What was changed, and why:

* The content vector is the encoded start image and the motion vectors are a GRU over the log-mel segments, as the CSSGAN
  paper says (section 4). Both keep their native sizes, 50 and 10: the paper blames these models' small vectors.
  There are no skips and no noise.
* 32 frames instead of 16, so that the video discriminator ends at 17 places in time; each gives a logit and a class.
* The category is given, not drawn: the generator is asked for the class that it was told (the published code has a term
  of InfoGAN for a category that it draws itself). The discriminator names the class on reals.
* The generator moves first and the discriminators see the same generated videos, as everywhere in this trainer; the
  published code makes fresh ones for each of three passes.
* One random frame of each video goes to the image discriminator; its optional noise on inputs is left out (off there).

Known to be wrong in the published code and not carried over: the number of frames and the stride over time that a user
gives are ignored by its dataset (16 and 2 stand in it); it samples 2 x 16 sequences for each frame that it keeps.
Batch norm in the discriminators, over real and generated videos apart, is the model's own and stays.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cssgan.models.baselines.window_model import FrameDecoder, VideoOutput, WindowGenerator, at_every_frame
from cssgan.models.blocks import initialize, leaky
from cssgan.models.encoders import ImageEncoder, level_widths


class MocoganGenerator(WindowGenerator):
    """Content + class + motion of each frame -> frame.

    Args:
        code_dim: content vector.
        motion_dim: motion vector, the state of the GRU.
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

    def window(self, image_BCHW: Tensor, mels_BTMU: Tensor, label_BK: Tensor, noise_BZ: Tensor) -> Tensor:
        """See `WindowGenerator.window`."""
        content_BD, _ = self.image_encoder(image_BCHW)
        motion_BTD, _ = self.motion(mels_BTMU.flatten(2))
        whole_BD = torch.cat((content_BD, label_BK, noise_BZ), dim=1)
        return self.decoder(torch.cat((at_every_frame(whole_BD, motion_BTD.shape[1]), motion_BTD), dim=2))


class PatchImageDiscriminator(nn.Module):
    """Frames -> a 4x4 map of logits: 4x4 convolutions of stride 2 without bias, batch norm but for the first."""

    def __init__(self, *, size: int, width: int) -> None:
        super().__init__()
        widths = level_widths(size, width)[:-1]
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, 4, 2, 1, bias=False) for i, o in zip([3, *widths], [*widths, 1], strict=True)
        )
        self.norms = nn.ModuleList(_batch_norm(channels) for channels in widths[1:])
        initialize(self)

    def forward(self, frames_BCHW: Tensor) -> Tensor:
        x = leaky(self.convs[0](frames_BCHW))
        for conv, norm in zip(self.convs[1:-1], self.norms, strict=True):
            x = leaky(norm(conv(x)))
        return self.convs[-1](x).flatten()


class CategoricalVideoDiscriminator(nn.Module):
    """Windows -> a logit and class logits at each place in time: 4x4x4 convolutions that keep the rate of frames."""

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
        x = leaky(self.convs[0](video_BCTHW))
        for conv, norm in zip(self.convs[1:], self.norms, strict=True):
            y = conv(x)
            x = leaky(norm(y.flatten(2, 3)).view_as(y))  # the statistics of a 3-D norm, by a 2-D one
        out_BKV = self.out(x)[..., 0, 0]
        return out_BKV[:, 0], out_BKV[:, 1:].transpose(1, 2)


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    """Discriminators are never used outside of training: no running statistics, so nothing moves while they only look."""
    return nn.BatchNorm2d(channels, track_running_stats=False)
