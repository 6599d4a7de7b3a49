"""The CSSGAN generator: streams with shared weights over one image encoder, one audio encoder and one decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cssgan.models.blocks import initialize
from cssgan.models.cascade import cascade
from cssgan.models.decoder import Decoder, temporal_plan
from cssgan.models.encoders import AudioEncoder, ImageEncoder, level_widths
from cssgan.models.interface import VideoGenerator


class CascadedGenerator(VideoGenerator):
    """G(i, c, a) of the paper; with one stream and no cascade it is the baseline of the ablation.

    Args:
        frames_per_stream: frames that one stream makes; a window has frames_per_stream x streams.
        others: as in `cssgan.config.ModelConfig`.
    """

    def __init__(
        self,
        *,
        size: int,
        num_classes: int,
        frames_per_stream: int,
        num_bands: int,
        segment_hops: int,
        width: int,
        middle_first: int,
        middle: int,
        plan: str,
        code_dim: int,
        audio_dim: int,
        gru_dim: int,
        inject_dim: int,
        inject_every: bool,
        z_dim: int,
        norm: str,
        compose: bool,
        use_cascade: bool,
        detach: bool,
    ) -> None:
        super().__init__()
        self.frames_per_stream, self.use_cascade, self.detach = frames_per_stream, use_cascade, detach
        widths = level_widths(size, width)
        self.image_encoder = ImageEncoder(size=size, width=width, code_dim=code_dim, norm=norm)
        self.audio_encoder = AudioEncoder(
            num_bands=num_bands, segment_hops=segment_hops, features=audio_dim, state=gru_dim
        )
        self.inject = nn.Linear(gru_dim, inject_dim) if inject_every else None
        self.decoder = Decoder(
            widths=widths,
            bottleneck=gru_dim + code_dim + num_classes + z_dim,
            class_dim=num_classes,
            inject_dim=inject_dim if inject_every else 0,
            frames=temporal_plan(frames_per_stream, len(widths), plan),
            middle_first=middle_first,
            middle=middle,
            compose=compose,
            norm=norm,
        )
        initialize(self)

    def forward(self, image_BCHW: Tensor, mels_BSFMU: Tensor, label_BK: Tensor, noise_BZ: Tensor) -> Tensor:
        """See `VideoGenerator.forward`. A single stream makes all S clips in one go."""
        num_clips, frames = mels_BSFMU.shape[1:3]
        if frames == self.frames_per_stream:
            return self._streams(image_BCHW, mels_BSFMU, label_BK, noise_BZ)
        whole = self._streams(image_BCHW, mels_BSFMU.flatten(1, 2)[:, None], label_BK, noise_BZ)[:, 0]
        return whole.unflatten(2, (num_clips, frames)).transpose(1, 2)

    def rollout(self, image_BCHW: Tensor, mels_BTMU: Tensor, label_BK: Tensor, noise_BZ: Tensor) -> Tensor:
        """See `VideoGenerator.rollout`. A single stream goes on from its own last frame, window after window."""
        mels_BSFMU = mels_BTMU.unflatten(1, (-1, self.frames_per_stream))
        return self._streams(image_BCHW, mels_BSFMU, label_BK, noise_BZ).transpose(1, 2).flatten(2, 3)

    def _streams(self, image_BCHW: Tensor, mels_BSFMU: Tensor, label_BK: Tensor, noise_BZ: Tensor) -> Tensor:
        """One stream for every entry of S: in a cascade, or all from the same image, folded into the batch."""
        num_streams = mels_BSFMU.shape[1]
        # The sound does not depend on the cascade: one call for all streams.
        states = self.audio_encoder(mels_BSFMU.flatten(0, 1))
        folded = self.decoder.fold()
        label = label_BK.repeat_interleave(num_streams, dim=0)
        added = self.decoder.codes(label, None if self.inject is None else self.inject(states), folded)
        codes = torch.cat((states[:, -1], label, noise_BZ.repeat_interleave(num_streams, dim=0)), dim=1)

        def run(start: Tensor, codes_BE: Tensor, added_BTO: list[Tensor]) -> Tensor:
            code, skips = self.image_encoder(start)
            return self.decoder(torch.cat((codes_BE, code), dim=1), skips, added_BTO, start, folded)

        if not self.use_cascade:
            clips = run(image_BCHW.repeat_interleave(num_streams, dim=0), codes, added)
            return clips.unflatten(0, (-1, num_streams))
        codes_of = codes.unflatten(0, (-1, num_streams)).unbind(1)
        # Of the first block there is a bias alone, the same for every stream.
        first, *later = added
        added_of = [term.unflatten(0, (-1, num_streams)).unbind(1) for term in later]

        def make_clip(start: Tensor, index: int) -> Tensor:
            return run(start, codes_of[index], [first, *(terms[index] for terms in added_of)])

        return cascade(make_clip, image_BCHW, num_streams, detach=self.detach)
