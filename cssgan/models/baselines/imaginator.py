"""ImaGINator (Wang et al., WACV 2020) with an audio encoder: the model that the CSSGAN's stream is built on.

What was changed, and why:

* The noise of 512 numbers gives way to a code of the sound as large, the last state of a GRU over the log-mel segments:
  "we adjusted the model to have an audio encoder" (the CSSGAN paper, section 4). `model.z_dim` adds noise beside it.
* The category is the letter (or the speaker) instead of an expression; it enters at the bottleneck and at every block, as
  in the published code. The weight of L1 stays 100.
* Optimizers: one for both discriminators instead of two; they do not interact, and Adam treats each weight alone.

Known to be wrong or odd in the published code and not carried over: its initialization looks for convolutions and passes
by the decoder's transposed ones (here all begin with N(0, 0.02)); one index of a frame is drawn for a whole batch
(here one for each video); discriminators collect gradients in the generator's step and throw them away; comments that say
16 frames where the shapes give 32; previews stretched by the batch's own extremes, which hides a loss of contrast.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cssgan.models.baselines.window_model import VideoOutput, WindowGenerator
from cssgan.models.blocks import SpectralConv, initialize
from cssgan.models.decoder import Decoder, temporal_plan
from cssgan.models.discriminators import ClipTrunk
from cssgan.models.encoders import AudioEncoder, ImageEncoder, level_widths


class ImaginatorGenerator(WindowGenerator):
    """Image code + code of the whole sound + class -> window, with skips and class at every block.

    Args:
        sound_dim: code of the sound, in the place of the noise.
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
        audio_dim: int,
        sound_dim: int,
        middle_first: int,
        middle: int,
        plan: str,
        z_dim: int,
        norm: str,
        compose: bool,
    ) -> None:
        super().__init__(num_frames)
        widths = level_widths(size, width)
        self.image_encoder = ImageEncoder(size=size, width=width, code_dim=code_dim, norm=norm)
        self.audio_encoder = AudioEncoder(
            num_bands=num_bands, segment_hops=segment_hops, features=audio_dim, state=sound_dim
        )
        self.decoder = Decoder(
            widths=widths,
            bottleneck=sound_dim + code_dim + num_classes + z_dim,
            class_dim=num_classes,
            inject_dim=0,
            frames=temporal_plan(num_frames, len(widths), plan),
            middle_first=middle_first,
            middle=middle,
            compose=compose,
            norm=norm,
        )
        initialize(self)

    def window(self, image_BCHW: Tensor, mels_BTMU: Tensor, label_BK: Tensor, noise_BZ: Tensor) -> Tensor:
        """See `WindowGenerator.window`."""
        sound_BD = self.audio_encoder(mels_BTMU)[:, -1]
        code_BD, skips = self.image_encoder(image_BCHW)
        bottleneck_BE = torch.cat((sound_BD, label_BK, noise_BZ, code_BD), dim=1)
        folded = self.decoder.fold()
        codes = self.decoder.codes(label_BK, None, folded)
        return self.decoder(bottleneck_BE, skips, codes, image_BCHW, folded)


class ConditionalVideoDiscriminator(nn.Module):
    """Windows -> one logit: 4x4x4 convolutions of stride 2 with spectral norm; the class joins after the first."""

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
