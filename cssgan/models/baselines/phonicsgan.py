"""A substitute for PhonicsGAN (Aldausari et al., ICANN 2021); in configurations `phonicsgan_like`.

No code of PhonicsGAN is public, and its paper was not available. The CSSGAN paper states that PhonicsGAN generates videos
from audio at the pixel level, was trained on phonics songs, has no start image, has a smaller content vector than the
CSSGAN, and received the start image as an additional condition for the comparison. The rest is the smallest matching
recurrent generator: a small 2-D network on each mel segment, a two-layer GRU over the frames, and a DCGAN decoder that
receives for each frame the GRU state, the class, noise (one sample per video) and the latent code of the image. The
discriminators are those of ImaGINator. Its results are those of a recurrent baseline, not of PhonicsGAN.

Differences to `cssgan.models.baselines.mocogan`: the width of the GRU (256 instead of 10), the noise, spectral norm
instead of batch norm in the discriminators, and a video discriminator that is conditioned on the class instead of
predicting it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cssgan.config import Config
from cssgan.models.baselines.window_model import FrameDecoder, WindowGenerator, repeat_over_time
from cssgan.models.blocks import initialize
from cssgan.models.encoders import ImageEncoder, SegmentEncoder
from phonics_data.contract.logmel import LogMelSpec


class PhonicsganLikeGenerator(WindowGenerator):
    """GRU state of each frame + class + noise + latent code of the image -> frame.

    Args:
        code_dim: size of the latent code of the image, which the CSSGAN paper added.
        audio_dim: features of a mel segment.
        gru_dim: size of the GRU state.
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
        self.segment_encoder = SegmentEncoder(
            num_bands=num_bands, segment_hops=segment_hops, features=audio_dim, norm=False
        )
        self.gru = nn.GRU(audio_dim, gru_dim, num_layers=2, batch_first=True)
        self.decoder = FrameDecoder(code_dim=gru_dim + num_classes + z_dim + code_dim, size=size, width=width)
        initialize(self)

    def generate_window(self, image_BCHW: Tensor, mels_BTMU: Tensor, label_BK: Tensor, noise_BZ: Tensor) -> Tensor:
        """See `WindowGenerator.generate_window`."""
        code_BD, _ = self.image_encoder(image_BCHW)
        states_BTD, _ = self.gru(self.segment_encoder(mels_BTMU))
        constant_BD = torch.cat((label_BK, noise_BZ, code_BD), dim=1)
        return self.decoder(torch.cat((states_BTD, repeat_over_time(constant_BD, states_BTD.shape[1])), dim=2))

    @classmethod
    def from_config(cls, config: Config, *, num_classes: int, mel_spec: LogMelSpec) -> PhonicsganLikeGenerator:
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
            audio_dim=model.audio_dim,
            gru_dim=model.gru_dim,
            z_dim=model.z_dim,
        )
