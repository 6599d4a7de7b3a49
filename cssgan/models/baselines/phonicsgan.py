"""A reconstruction in the place of PhonicsGAN (Aldausari et al., ICANN 2021); in configurations `phonicsgan_like`.

No code of PhonicsGAN is public, and its text was not at hand. What the CSSGAN paper says of it: it makes videos from sound
at the level of pixels, was trained on phonics songs, knows no start image, has a smaller content vector than the CSSGAN,
and was given the start image as a further condition for the comparison. Everything else here is the smallest recurrent
generator that fits: a small 2-D network on each log-mel segment, a GRU of two layers over the frames, and for each frame
its state, the class, noise of one draw a video and the image code into a DCGAN decoder. The discriminators are those of
ImaGINator. Read its numbers as those of a recurrent baseline, not as PhonicsGAN's.

It differs from the MoCoGAN beside it in the width of the GRU (256 against 10), the noise, spectral norm instead of
batch norm in the discriminators, and a class that the video discriminator is told instead of one that it names.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cssgan.models.baselines.window_model import FrameDecoder, WindowGenerator, at_every_frame
from cssgan.models.blocks import initialize, leaky
from cssgan.models.encoders import ImageEncoder


class SegmentEncoder(nn.Module):
    """Log-mel segments -> features: three 3x3 convolutions of stride 2, then linear."""

    def __init__(self, *, num_bands: int, segment_hops: int, features: int) -> None:
        super().__init__()
        widths = [max(features // share, 1) for share in (8, 4, 2)]
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, 2, 1) for i, o in zip([1, *widths[:-1]], widths, strict=True))
        for _ in widths:
            num_bands, segment_hops = -(-num_bands // 2), -(-segment_hops // 2)
        self.out = nn.Linear(widths[-1] * num_bands * segment_hops, features)

    def forward(self, mels_BTMU: Tensor) -> Tensor:
        """features_BTD"""
        x = mels_BTMU.flatten(0, 1)[:, None]
        for conv in self.convs:
            x = leaky(conv(x))
        return self.out(x.flatten(1)).unflatten(0, mels_BTMU.shape[:2])


class PhonicsganLikeGenerator(WindowGenerator):
    """State of the sound + class + noise + image code of each frame -> frame.

    Args:
        code_dim: image code, the CSSGAN paper's addition.
        audio_dim: features of a segment.
        gru_dim: state of the GRU.
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
        gru_dim: int,
        z_dim: int,
    ) -> None:
        super().__init__(num_frames)
        self.image_encoder = ImageEncoder(size=size, width=width, code_dim=code_dim, norm="batch")
        self.segment_encoder = SegmentEncoder(num_bands=num_bands, segment_hops=segment_hops, features=audio_dim)
        self.gru = nn.GRU(audio_dim, gru_dim, num_layers=2, batch_first=True)
        self.decoder = FrameDecoder(code_dim=gru_dim + num_classes + z_dim + code_dim, size=size, width=width)
        initialize(self)

    def window(self, image_BCHW: Tensor, mels_BTMU: Tensor, label_BK: Tensor, noise_BZ: Tensor) -> Tensor:
        """See `WindowGenerator.window`."""
        code_BD, _ = self.image_encoder(image_BCHW)
        states_BTD, _ = self.gru(self.segment_encoder(mels_BTMU))
        whole_BD = torch.cat((label_BK, noise_BZ, code_BD), dim=1)
        return self.decoder(torch.cat((states_BTD, at_every_frame(whole_BD, states_BTD.shape[1])), dim=2))
