"""The CSSGAN generator: streams that share one image encoder, one audio encoder and one decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cssgan import clip_permutations
from cssgan.config import Config
from cssgan.models.blocks import initialize
from cssgan.models.cascade import cascade
from cssgan.models.decoder import Decoder, frames_after_blocks
from cssgan.models.encoders import AudioEncoder, ImageEncoder, level_widths
from cssgan.models.interface import VideoGenerator, WindowInputs
from phonics_data.contract.logmel import LogMelSpec


class CascadedGenerator(VideoGenerator):
    """G(i, c, a) of the paper; with one stream and no cascade, the baseline of the ablation.

    Args:
        frames_per_stream: frames that one stream generates; a window has frames_per_stream x streams.
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
        temporal_upsampling: str,
        code_dim: int,
        audio_dim: int,
        gru_dim: int,
        inject_dim: int,
        audio_inject: str,
        z_dim: int,
        norm: str,
        output: str,
        use_cascade: bool,
        detach: bool,
        audio_of_window: bool = False,
    ) -> None:
        super().__init__()
        self.frames_per_stream, self.use_cascade, self.detach = frames_per_stream, use_cascade, detach
        self.audio_of_window = audio_of_window
        widths = level_widths(size, width)
        self.image_encoder = ImageEncoder(size=size, width=width, code_dim=code_dim, norm=norm)
        self.audio_encoder = AudioEncoder(
            num_bands=num_bands,
            segment_hops=segment_hops,
            features=audio_dim,
            state=gru_dim,
            both_directions=audio_of_window,
        )
        self.inject = nn.Linear(gru_dim, inject_dim) if audio_inject == "every" else None
        self.decoder = Decoder(
            widths=widths,
            bottleneck=gru_dim + code_dim + num_classes + z_dim,
            class_dim=num_classes,
            inject_dim=inject_dim if audio_inject == "every" else 0,
            modulation_dim=gru_dim if audio_inject == "film" else 0,
            frames=frames_after_blocks(frames_per_stream, len(widths), temporal_upsampling),
            middle_first=middle_first,
            middle=middle,
            output=output,
            norm=norm,
        )
        initialize(self)

    def forward(
        self,
        image_BCHW: Tensor,
        mels_BSFMU: Tensor,
        label_BK: Tensor,
        noise_BZ: Tensor,
        window: WindowInputs | None = None,
    ) -> Tensor:
        """See `VideoGenerator.forward`. A single stream generates all S clips at once."""
        num_clips, frames = mels_BSFMU.shape[1:3]
        if frames == self.frames_per_stream:
            return self._streams(image_BCHW, mels_BSFMU, label_BK, noise_BZ, window or WindowInputs())
        whole_mels = mels_BSFMU.flatten(1, 2)[:, None]
        whole = self._streams(image_BCHW, whole_mels, label_BK, noise_BZ, WindowInputs())[:, 0]
        return whole.unflatten(2, (num_clips, frames)).transpose(1, 2)

    def rollout(self, image_BCHW: Tensor, mels_BTMU: Tensor, label_BK: Tensor, noise_BZ: Tensor) -> Tensor:
        """See `VideoGenerator.rollout`. A single stream starts each window from the last frame of the previous one."""
        mels_BSFMU = mels_BTMU.unflatten(1, (-1, self.frames_per_stream))
        clips = self._streams(image_BCHW, mels_BSFMU, label_BK, noise_BZ, WindowInputs())
        return clips.transpose(1, 2).flatten(2, 3)

    def _audio_states(self, mels_BSFMU: Tensor, clip_at_BS: Tensor | None) -> Tensor:
        """The audio encoder's states of all streams, (B x S, F, D)."""
        if not self.audio_of_window:
            return self.audio_encoder(mels_BSFMU.flatten(0, 1))
        if clip_at_BS is not None:
            mels_BSFMU = clip_permutations.unpermute(mels_BSFMU, clip_at_BS)
        states_BSFD = self.audio_encoder(mels_BSFMU.flatten(1, 2)).unflatten(1, mels_BSFMU.shape[1:3])
        if clip_at_BS is not None:
            states_BSFD = clip_permutations.permute(states_BSFD, clip_at_BS)
        return states_BSFD.flatten(0, 1)

    def _streams(
        self, image_BCHW: Tensor, mels_BSFMU: Tensor, label_BK: Tensor, noise_BZ: Tensor, window: WindowInputs
    ) -> Tensor:
        """Apply one stream to each entry of S: as a cascade, or all from the same image and folded into the batch."""
        num_streams = mels_BSFMU.shape[1]
        # Audio does not depend on the cascade: one call for all streams.
        states = self._audio_states(mels_BSFMU, window.clip_at_BS)
        folded = self.decoder.fold()
        label = label_BK.repeat_interleave(num_streams, dim=0)
        terms = self.decoder.conditioning_terms(label, None if self.inject is None else self.inject(states), folded)
        modulations = self.decoder.modulations(states)
        conditions = torch.cat((states[:, -1], label, noise_BZ.repeat_interleave(num_streams, dim=0)), dim=1)

        def run_stream(start: Tensor, conditions_BE: Tensor, terms: list[Tensor], modulations: list[Tensor]) -> Tensor:
            code, skips = self.image_encoder(start)
            return self.decoder(torch.cat((conditions_BE, code), dim=1), skips, terms, start, folded, modulations)

        if not self.use_cascade:
            clips = run_stream(image_BCHW.repeat_interleave(num_streams, dim=0), conditions, terms, modulations)
            return clips.unflatten(0, (-1, num_streams))

        def by_stream(of_all_streams: Tensor) -> tuple[Tensor, ...]:
            return of_all_streams.unflatten(0, (-1, num_streams)).unbind(1)

        conditions_of = by_stream(conditions)
        # The first block has only a bias, which is the same for all streams.
        first, *later = terms
        terms_of = [by_stream(term) for term in later]
        modulations_of = [by_stream(modulation) for modulation in modulations]

        def make_clip(start: Tensor, index: int) -> Tensor:
            return run_stream(
                start,
                conditions_of[index],
                [first, *(term[index] for term in terms_of)],
                [modulation[index] for modulation in modulations_of],
            )

        return cascade(
            make_clip,
            image_BCHW,
            num_streams,
            detach=self.detach,
            starts_BSCHW=window.starts_BSCHW,
            given_B=window.given_B,
        )

    @classmethod
    def from_config(cls, config: Config, *, num_classes: int, mel_spec: LogMelSpec) -> CascadedGenerator:
        """A new generator for `config`, initialized with torch's global random state."""
        model = config.model
        return cls(
            size=config.data.size,
            num_classes=num_classes,
            frames_per_stream=config.frames_per_stream,
            num_bands=mel_spec.num_bands,
            segment_hops=mel_spec.segment_hops,
            width=model.width,
            middle_first=model.middle_first,
            middle=model.middle,
            temporal_upsampling=model.temporal_upsampling,
            code_dim=model.code_dim,
            audio_dim=model.audio_dim,
            gru_dim=model.gru_dim,
            inject_dim=model.inject_dim,
            audio_inject=model.audio_inject,
            z_dim=model.z_dim,
            norm=model.norm,
            output=model.g_output,
            # A single stream has no cascade within a window; at inference each window starts from its own last frame.
            use_cascade=model.cascade or model.streams == 1,
            detach=model.cascade_detach,
            audio_of_window=model.audio_context == "window",
        )
