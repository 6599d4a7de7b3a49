"""Image discriminator, clip discriminator (its trunk is shared with the order predictor), and video discriminator."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from cssgan.config import Config
from cssgan.models.blocks import ClassConditionalConv, SpectralConv, leaky_relu, spectral_linear
from cssgan.models.encoders import level_widths
from cssgan.models.interface import DiscriminatorOutput, Discriminators
from cssgan.models.order_predictor import OrderPredictor, SeamScores
from phonics_data.contract.logmel import LogMelSpec


class ImageDiscriminator(nn.Module):
    """Frames -> one logit each; unconditional."""

    def __init__(self, *, size: int, width: int, spectral: bool = True) -> None:
        super().__init__()
        widths = level_widths(size, width)
        self.layers = nn.ModuleList(
            SpectralConv(i, o, (4, 4), 2, 1, spectral=spectral) for i, o in zip([3, *widths[:-1]], widths, strict=True)
        )
        self.out = SpectralConv(widths[-1], 1, (4, 4), spectral=spectral)

    def forward(self, frames_BCHW: Tensor) -> Tensor:
        x = frames_BCHW
        for layer in self.layers:
            x = leaky_relu(layer(x))
        return self.out(x).flatten()


class ClipTrunk(nn.Module):
    """Clips of any multiple of `frames_per_clip` frames -> 4x4 feature maps.

    Every layer halves height and width. The first layers also halve time, until a clip is one frame long.

    Args:
        class_dim: classes that condition the second layer; 0: unconditional.
        audio_dim: audio channels per frame that are concatenated to the input of the second layer; 0: none.
    """

    def __init__(
        self,
        *,
        size: int,
        width: int,
        frames_per_clip: int,
        class_dim: int,
        audio_dim: int = 0,
        spectral: bool = True,
    ) -> None:
        super().__init__()
        widths = level_widths(size, width)
        self.channels = widths[-1]
        halvings = frames_per_clip.bit_length() - 1
        self.layers = nn.ModuleList()
        for level, (i, o) in enumerate(zip([3, *widths[:-1]], widths, strict=True)):
            shape = ((4, 4, 4), (2, 2, 2), (1, 1, 1)) if level < halvings else ((1, 4, 4), (1, 2, 2), (0, 1, 1))
            if level == 1:
                i += audio_dim
            self.layers.append(
                ClassConditionalConv(i, class_dim, o, *shape, spectral=spectral)
                if level == 1 and class_dim > 0
                else SpectralConv(i, o, *shape, spectral=spectral)
            )
        self.frames_out_per_clip = frames_per_clip >> min(halvings, len(widths))

    def forward(self, clips_BCFHW: Tensor, label_BK: Tensor | None, audio_BFD: Tensor | None = None) -> Tensor:
        x = clips_BCFHW
        for level, layer in enumerate(self.layers):
            if level == 1 and audio_BFD is not None:
                audio_BDF = functional.adaptive_avg_pool1d(audio_BFD.transpose(1, 2), x.shape[2])
                x = torch.cat((x, audio_BDF[..., None, None].expand(-1, -1, -1, *x.shape[3:])), dim=1)
            x = leaky_relu(layer(x, label_BK) if isinstance(layer, ClassConditionalConv) else layer(x))
        return x


class CascadedDiscriminators(Discriminators):
    """Image discriminator, clip discriminator, video discriminator and order predictor, each as configured.

    Args:
        segment_dim: values of one frame's mel segment, for an audio-conditioned clip discriminator; 0: no audio.
        seams: the order predictor also receives the frames on both sides of each cut.
        num_orders: number of orders to classify; None: all S!.
        others: as in `cssgan.config.DiscriminatorConfig`.
    """

    def __init__(
        self,
        *,
        size: int,
        width: int,
        num_clips: int,
        frames_per_clip: int,
        class_dim: int,
        use_clips: bool,
        use_video: bool,
        predict_order: bool,
        pairwise: bool,
        seams: bool = False,
        segment_dim: int = 0,
        num_orders: int | None = None,
        spectral: bool = True,
    ) -> None:
        super().__init__()
        self.num_clips = num_clips
        self.image = ImageDiscriminator(size=size, width=width, spectral=spectral)
        audio_dim = max(width // 4, 2) if segment_dim else 0
        self.trunk = ClipTrunk(
            size=size,
            width=width,
            frames_per_clip=frames_per_clip,
            class_dim=class_dim,
            audio_dim=audio_dim,
            spectral=spectral,
        )
        self.audio_layer = spectral_linear(segment_dim, audio_dim, spectral=spectral) if segment_dim else None
        self.class_dim = class_dim
        channels, frames_out = self.trunk.channels, self.trunk.frames_out_per_clip
        self.clip_head = SpectralConv(channels, 1, (frames_out, 4, 4), spectral=spectral) if use_clips else None
        self.video_head = (
            SpectralConv(channels, 1, (frames_out * num_clips, 4, 4), spectral=spectral) if use_video else None
        )
        self.order = (
            OrderPredictor(
                channels=channels * frames_out,
                num_clips=num_clips,
                pairwise=pairwise,
                num_orders=num_orders,
                spectral=spectral,
            )
            if predict_order
            else None
        )
        self.seams = (
            SeamScores(size=size, width=width, num_clips=num_clips, max_orders=num_orders or math.factorial(num_clips))
            if predict_order and seams
            else None
        )

    def forward(
        self, clips_BSCFHW: Tensor, label_BK: Tensor, frame_index_BS: Tensor, mels_BSFMU: Tensor | None = None
    ) -> DiscriminatorOutput:
        """See `Discriminators.forward`. `mels_BSFMU` is used only with a `segment_dim`."""
        batch, clips = clips_BSCFHW.shape[:2]
        image_BS = self.image(_frames(clips_BSCFHW, frame_index_BS)).view(batch, clips)
        label = label_BK if self.class_dim else None
        audio_BSFD = self._audio(mels_BSFMU)
        clip_BS = video_B = features = None
        if self.clip_head is not None or self.order is not None:
            maps = self._clip_maps(clips_BSCFHW, label, audio_BSFD)
            if self.clip_head is not None:
                clip_BS = self.clip_head(maps).view(batch, clips)
            features = maps.flatten(1, 2).unflatten(0, (batch, clips))
        if self.video_head is not None:
            video_BCTHW = clips_BSCFHW.transpose(1, 2).flatten(2, 3)
            audio_BTD = None if audio_BSFD is None else audio_BSFD.flatten(1, 2)
            video_B = self.video_head(self.trunk(video_BCTHW, label, audio_BTD)).view(batch)
        edges = None
        if self.seams is not None:
            edges = torch.stack((clips_BSCFHW[:, :, :, 0], clips_BSCFHW[:, :, :, -1]), dim=2)
        return DiscriminatorOutput(
            image_BS=image_BS, clip_BS=clip_BS, video_B=video_B, features_BSDHW=features, edges_BSECHW=edges
        )

    def clip_logits(self, clips_BSCFHW: Tensor, label_BK: Tensor, mels_BSFMU: Tensor | None = None) -> Tensor:
        """See `Discriminators.clip_logits`."""
        assert self.clip_head is not None
        maps = self._clip_maps(clips_BSCFHW, label_BK if self.class_dim else None, self._audio(mels_BSFMU))
        return self.clip_head(maps).view(clips_BSCFHW.shape[:2])

    def _audio(self, mels_BSFMU: Tensor | None) -> Tensor | None:
        """audio_BSFD that the trunk receives; None without audio."""
        if self.audio_layer is None:
            return None
        assert mels_BSFMU is not None
        return leaky_relu(self.audio_layer(mels_BSFMU.flatten(3)))

    def _clip_maps(self, clips_BSCFHW: Tensor, label_BK: Tensor | None, audio_BSFD: Tensor | None) -> Tensor:
        """Feature maps of the trunk for each clip, (B x S, ...)."""
        clip_label = None if label_BK is None else label_BK.repeat_interleave(clips_BSCFHW.shape[1], dim=0)
        audio_BFD = None if audio_BSFD is None else audio_BSFD.flatten(0, 1)
        return self.trunk(clips_BSCFHW.flatten(0, 1), clip_label, audio_BFD)

    def predict_order(self, output: DiscriminatorOutput, permutation_BS: Tensor) -> Tensor | None:
        """See `Discriminators.predict_order`."""
        if self.order is None:
            return None
        assert output.features_BSDHW is not None
        rows = torch.arange(len(permutation_BS), device=permutation_BS.device)[:, None]
        logits_BP = self.order(output.features_BSDHW[rows, permutation_BS])
        if self.seams is None:
            return logits_BP
        assert output.edges_BSECHW is not None
        return logits_BP + self.seams(output.edges_BSECHW[rows, permutation_BS])

    @classmethod
    def from_config(cls, config: Config, *, num_classes: int, mel_spec: LogMelSpec) -> CascadedDiscriminators:
        """New discriminators for `config`, with the order predictor if clips are shuffled."""
        options = config.discriminator
        return cls(
            size=config.data.size,
            width=options.width,
            num_clips=config.model.num_clips,
            frames_per_clip=config.frames_per_clip,
            class_dim=num_classes if options.d_class else 0,
            use_clips=options.video_d != "whole",
            use_video=options.video_d != "clips",
            predict_order=config.order.shuffle != "none",
            pairwise=options.order_head == "pairwise",
            seams=options.order_head == "seam",
            segment_dim=mel_spec.num_bands * mel_spec.segment_hops if options.d_audio else 0,
            num_orders=config.num_orders,
            spectral=options.spectral,
        )


def _frames(clips_BSCFHW: Tensor, frame_index_BS: Tensor) -> Tensor:
    """One frame of each clip, (B x S, C, H, W)."""
    batch, clips, channels, frames = clips_BSCFHW.shape[:4]
    first_BSC = torch.arange(batch * clips * channels, device=clips_BSCFHW.device).view(batch, clips, channels) * frames
    # One index of whole rows: the backward pass of indexing by three indices is slow, value by value.
    rows = (first_BSC + frame_index_BS[..., None]).flatten()
    return clips_BSCFHW.flatten(0, 3).index_select(0, rows).unflatten(0, (-1, channels))
