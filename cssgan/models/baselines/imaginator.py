"""ImaGINator (Wang et al., WACV 2020) with an audio encoder. The stream of the CSSGAN is based on this model.

Changes, with reasons:

* An audio code of the same size replaces the noise vector of 512 numbers: the last state of a GRU over the mel segments.
  "we adjusted the model to have an audio encoder" (the CSSGAN paper, section 4). `model.z_dim` adds noise to it.
* The category is the letter (or the speaker) instead of an expression; it enters at the bottleneck and at every block, as
  in the published code. The weight of L1 stays 100.
* One optimizer for both discriminators instead of two, which is equivalent: Adam treats each weight separately.

Errors and peculiarities of the published code that were not carried over: its initialization skips the transposed
convolutions of the decoder (here all weights start from N(0, 0.02)); one frame index is sampled for the whole batch (here
one per video); discriminators accumulate unused gradients in the generator step; comments say 16 frames where the shapes
result in 32; sample images are normalized by the extremes of the batch, which hides a loss of contrast.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cssgan.config import Config
from cssgan.models.baselines.window_model import VideoOutput, WindowDiscriminators, WindowGenerator
from cssgan.models.blocks import SpectralConv, initialize
from cssgan.models.decoder import Decoder, frames_after_blocks
from cssgan.models.discriminators import ClipTrunk, ImageDiscriminator
from cssgan.models.encoders import AudioEncoder, ImageEncoder, level_widths
from phonics_data.contract.logmel import LogMelSpec


class ImaginatorGenerator(WindowGenerator):
    """Latent code of the image + audio code + class -> window, with skips and class at every block.

    Args:
        gru_dim: size of the audio code, which replaces the noise.
        others: as in `cssgan.config.ModelConfig`.
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
        gru_dim: int,
        middle_first: int,
        middle: int,
        temporal_upsampling: str,
        z_dim: int,
        norm: str,
        output: str,
    ) -> None:
        super().__init__(num_frames)
        widths = level_widths(size, width)
        self.image_encoder = ImageEncoder(size=size, width=width, code_dim=code_dim, norm=norm)
        self.audio_encoder = AudioEncoder(
            num_bands=num_bands, segment_hops=segment_hops, segment=audio_encoder, features=audio_dim, state=gru_dim
        )
        self.decoder = Decoder(
            widths=widths,
            bottleneck=gru_dim + code_dim + num_classes + z_dim,
            class_dim=num_classes,
            inject_dim=0,
            frames=frames_after_blocks(num_frames, len(widths), temporal_upsampling),
            middle_first=middle_first,
            middle=middle,
            output=output,
            norm=norm,
        )
        initialize(self)

    def generate_window(self, image_BCHW: Tensor, mels_BTMU: Tensor, label_BK: Tensor, noise_BZ: Tensor) -> Tensor:
        """See `WindowGenerator.generate_window`."""
        audio_BD = self.audio_encoder(mels_BTMU)[:, -1]
        code_BD, skips = self.image_encoder(image_BCHW)
        bottleneck_BE = torch.cat((audio_BD, label_BK, noise_BZ, code_BD), dim=1)
        folded = self.decoder.fold()
        terms = self.decoder.conditioning_terms(label_BK, None, folded)
        return self.decoder(bottleneck_BE, skips, terms, image_BCHW, folded)

    @classmethod
    def from_config(cls, config: Config, *, num_classes: int, mel_spec: LogMelSpec) -> ImaginatorGenerator:
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
            gru_dim=model.gru_dim,
            middle_first=model.middle_first,
            middle=model.middle,
            temporal_upsampling=model.temporal_upsampling,
            z_dim=model.z_dim,
            norm=model.norm,
            output=model.g_output,
        )


class ConditionalVideoDiscriminator(nn.Module):
    """Windows -> one logit: 4x4x4 convolutions of stride 2; the class conditions the second layer."""

    def __init__(self, *, size: int, width: int, num_frames: int, class_dim: int, spectral: bool) -> None:
        super().__init__()
        self.class_dim = class_dim
        self.trunk = ClipTrunk(
            size=size, width=width, frames_per_clip=num_frames, class_dim=class_dim, spectral=spectral
        )
        self.out = SpectralConv(self.trunk.channels, 1, (self.trunk.frames_out_per_clip, 4, 4), spectral=spectral)

    def forward(self, video_BCTHW: Tensor, label_BK: Tensor) -> VideoOutput:
        features = self.trunk(video_BCTHW, label_BK if self.class_dim else None)
        return self.out(features).flatten(1), None


def discriminators(config: Config, *, num_classes: int) -> WindowDiscriminators:
    """New discriminators for `config`."""
    size, options = config.data.size, config.discriminator
    image = ImageDiscriminator(size=size, width=options.width, spectral=options.spectral)
    video = ConditionalVideoDiscriminator(
        size=size,
        width=options.width,
        num_frames=config.data.num_frames,
        class_dim=num_classes if options.d_class else 0,
        spectral=options.spectral,
    )
    return WindowDiscriminators(image, video)
