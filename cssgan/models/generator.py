"""The CSSGAN generator: streams that share one image encoder, one audio encoder and one decoder."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from cssgan import clip_permutations
from cssgan.config import Config, object_size
from cssgan.models.blocks import initialize
from cssgan.models.cascade import cascade
from cssgan.models.decoder import Decoder, frames_after_blocks
from cssgan.models.encoders import AudioEncoder, ImageEncoder, level_widths
from cssgan.models.interface import VideoGenerator, WindowInputs
from cssgan.models.object_picture import OBJECT_DIM, ObjectEncoder, ObjectPlacer, PlacedPicture, place
from phonics_data.contract.logmel import LogMelSpec


class CascadedGenerator(VideoGenerator):
    """G(i, c, a) of the paper; with one stream and no cascade, the baseline of the ablation.

    Args:
        frames_per_stream: frames that one stream generates; a window has frames_per_stream x streams.
        object_size: height and width of the object picture; 0: without `model.object_condition`.
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
        audio_encoder: str,
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
        object_size: int = 0,
        word_dim: int = 0,
    ) -> None:
        super().__init__()
        self.frames_per_stream, self.use_cascade, self.detach = frames_per_stream, use_cascade, detach
        self.audio_of_window, self.word_dim = audio_of_window, word_dim
        widths = level_widths(size, width)
        self.image_encoder = ImageEncoder(size=size, width=width, code_dim=code_dim, norm=norm)
        self.audio_encoder = AudioEncoder(
            num_bands=num_bands,
            segment_hops=segment_hops,
            segment=audio_encoder,
            features=audio_dim,
            state=gru_dim,
            both_directions=audio_of_window,
        )
        self.inject = nn.Linear(gru_dim, inject_dim) if audio_inject == "every" else None
        object_dim = word_dim + (OBJECT_DIM if object_size else 0)
        self.decoder = Decoder(
            widths=widths,
            bottleneck=gru_dim + code_dim + num_classes + z_dim + object_dim,
            class_dim=num_classes,
            inject_dim=inject_dim if audio_inject == "every" else 0,
            modulation_dim=gru_dim if audio_inject == "film" else 0,
            frames=frames_after_blocks(frames_per_stream, len(widths), temporal_upsampling),
            middle_first=middle_first,
            middle=middle,
            output=output,
            norm=norm,
        )
        self.object_encoder = ObjectEncoder(size=object_size, width=width) if object_size else None
        self.object_placer = None
        if object_size:
            self.object_placer = ObjectPlacer(audio=gru_dim, context=num_classes + object_dim + code_dim)
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
        whole = self._streams(image_BCHW, whole_mels, label_BK, noise_BZ, _object_of(window))[:, 0]
        return whole.unflatten(2, (num_clips, frames)).transpose(1, 2)

    def rollout(
        self,
        image_BCHW: Tensor,
        mels_BTMU: Tensor,
        label_BK: Tensor,
        noise_BZ: Tensor,
        *,
        window: WindowInputs | None = None,
    ) -> Tensor:
        """See `VideoGenerator.rollout`. A single stream starts each window from the last frame of the previous one."""
        mels_BSFMU = mels_BTMU.unflatten(1, (-1, self.frames_per_stream))
        clips = self._streams(image_BCHW, mels_BSFMU, label_BK, noise_BZ, _object_of(window))
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

    def _object_conditions(self, window: WindowInputs, like_BD: Tensor) -> Tensor:
        """Code of the object picture and embedding of its word, (B, any number, 0 without both options)."""
        parts: list[Tensor] = []
        if self.object_encoder is not None:
            picture = window.object_BCHW
            parts.append(
                like_BD.new_zeros(len(like_BD), OBJECT_DIM) if picture is None else self.object_encoder(picture)
            )
        if self.word_dim:
            word = window.word_BE
            parts.append(like_BD.new_zeros(len(like_BD), self.word_dim) if word is None else word)
        return torch.cat(parts, dim=1) if parts else like_BD.new_zeros(len(like_BD), 0)

    def _placed(
        self, window: WindowInputs, states_BFD: Tensor, context_BE: Tensor, start_BCHW: Tensor
    ) -> PlacedPicture | None:
        """The object in each frame of the streams; with several streams folded into the batch, those of a video are neighbours."""
        picture_BCHW = window.object_BCHW
        if self.object_placer is None or picture_BCHW is None:
            return None
        placing_BFP = self.object_placer(states_BFD, context_BE).to(start_BCHW.dtype)
        repeats = len(start_BCHW) // len(picture_BCHW)
        if window.placings is not None:
            window.placings.extend(placing_BFP.unflatten(0, (-1, repeats)).unbind(1))
        return place(picture_BCHW.repeat_interleave(repeats, dim=0), placing_BFP, start_BCHW.shape[-1])

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
        object_BE = self._object_conditions(window, label_BK)
        constant_BE = torch.cat((label_BK, noise_BZ, object_BE), dim=1)
        conditions = torch.cat((states[:, -1], constant_BE.repeat_interleave(num_streams, dim=0)), dim=1)
        context_BE = torch.cat((label_BK, object_BE), dim=1)

        def run_stream(
            start: Tensor,
            states_BFD: Tensor,
            conditions_BE: Tensor,
            terms: list[Tensor],
            modulations: list[Tensor],
        ) -> Tensor:
            code, skips = self.image_encoder(start)
            context = context_BE.repeat_interleave(len(start) // len(context_BE), dim=0)
            placed = self._placed(window, states_BFD, torch.cat((context, code), dim=1), start)
            return self.decoder(
                torch.cat((conditions_BE, code), dim=1), skips, terms, start, folded, modulations, placed
            )

        if not self.use_cascade:
            starts = image_BCHW.repeat_interleave(num_streams, dim=0)
            clips = run_stream(starts, states, conditions, terms, modulations)
            return clips.unflatten(0, (-1, num_streams))

        def by_stream(of_all_streams: Tensor) -> tuple[Tensor, ...]:
            return of_all_streams.unflatten(0, (-1, num_streams)).unbind(1)

        states_of, conditions_of = by_stream(states), by_stream(conditions)
        # The first block has only a bias, which is the same for all streams.
        first, *later = terms
        terms_of = [by_stream(term) for term in later]
        modulations_of = [by_stream(modulation) for modulation in modulations]

        def make_clip(start: Tensor, index: int) -> Tensor:
            return run_stream(
                start,
                states_of[index],
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
            audio_encoder=model.audio_encoder,
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
            object_size=object_size(config.data.size) if model.object_condition else 0,
            word_dim=model.word_dim,
        )


def _object_of(window: WindowInputs | None) -> WindowInputs:
    """The inputs of the object alone."""
    return WindowInputs() if window is None else replace(window, clip_at_BS=None, starts_BSCHW=None, given_B=None)
