"""Discriminators: single frames, clips (with the order predictor on the same trunk), and optionally whole windows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cssgan.models.blocks import SpectralClassConv, SpectralConv, leaky, spectral_linear
from cssgan.models.encoders import level_widths
from cssgan.models.interface import DiscriminatorOutput, Discriminators
from cssgan.models.order_predictor import OrderPredictor


class ImageDiscriminator(nn.Module):
    """Frames -> one logit each; unconditional, spectral norm, LeakyReLU."""

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
            x = leaky(layer(x))
        return self.out(x).flatten()


class ClipTrunk(nn.Module):
    """Clips of any multiple of `frames_per_clip` frames -> 4x4 maps; the class joins after the first layer.

    Every layer halves the picture; the first ones halve time as well, until a clip is one frame long.

    Args:
        audio_dim: channels of sound that join the second layer's input, each frame's own; 0: none.
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
            halve = ((4, 4, 4), (2, 2, 2), (1, 1, 1)) if level < halvings else ((1, 4, 4), (1, 2, 2), (0, 1, 1))
            if level == 1:
                i += audio_dim
            told = level == 1 and class_dim > 0
            self.layers.append(
                SpectralClassConv(i, class_dim, o, *halve, spectral=spectral)
                if told
                else SpectralConv(i, o, *halve, spectral=spectral)
            )
        self.frames_out_per_clip = frames_per_clip >> min(halvings, len(widths))

    def forward(self, clips_BCFHW: Tensor, label_BK: Tensor | None, sound_BFD: Tensor | None = None) -> Tensor:
        x = clips_BCFHW
        for level, layer in enumerate(self.layers):
            if level == 1 and sound_BFD is not None:
                sound_BDF = functional.adaptive_avg_pool1d(sound_BFD.transpose(1, 2), x.shape[2])
                x = torch.cat((x, sound_BDF[..., None, None].expand(-1, -1, -1, *x.shape[3:])), dim=1)
            x = leaky(layer(x, label_BK) if isinstance(layer, SpectralClassConv) else layer(x))
        return x


class CascadedDiscriminators(Discriminators):
    """Image discriminator, clip discriminator with order predictor, video discriminator: all that discriminators a window.

    Args:
        segment_dim: values of one frame's log-mel segment, for a clip discriminator that hears; 0: it is deaf.
        num_orders: orders that the predictor tells apart; None: all S!.
        spectral: whether the layers are spectrally normed.
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
        self.ear = spectral_linear(segment_dim, audio_dim, spectral=spectral) if segment_dim else None
        self.class_dim = class_dim
        channels, left = self.trunk.channels, self.trunk.frames_out_per_clip
        self.clip_head = SpectralConv(channels, 1, (left, 4, 4), spectral=spectral) if use_clips else None
        self.video_head = SpectralConv(channels, 1, (left * num_clips, 4, 4), spectral=spectral) if use_video else None
        self.order = (
            OrderPredictor(
                channels=channels * left,
                num_clips=num_clips,
                pairwise=pairwise,
                num_orders=num_orders,
                spectral=spectral,
            )
            if predict_order
            else None
        )

    def forward(
        self, clips_BSCFHW: Tensor, label_BK: Tensor, frame_index_BS: Tensor, mels_BSFMU: Tensor | None = None
    ) -> DiscriminatorOutput:
        """See `Discriminators.forward`. `mels_BSFMU` is heard by discriminators with an ear and not looked at by others."""
        batch, clips = clips_BSCFHW.shape[:2]
        image_BS = self.image(_frames(clips_BSCFHW, frame_index_BS)).view(batch, clips)
        label = label_BK if self.class_dim else None
        sound_BSFD = None
        if self.ear is not None:
            assert mels_BSFMU is not None
            sound_BSFD = leaky(self.ear(mels_BSFMU.flatten(3)))
        clip_BS = video_B = features = None
        if self.clip_head is not None or self.order is not None:
            repeated = None if label is None else label.repeat_interleave(clips, dim=0)
            heard = None if sound_BSFD is None else sound_BSFD.flatten(0, 1)
            maps = self.trunk(clips_BSCFHW.flatten(0, 1), repeated, heard)
            if self.clip_head is not None:
                clip_BS = self.clip_head(maps).view(batch, clips)
            features = maps.flatten(1, 2).unflatten(0, (batch, clips))
        if self.video_head is not None:
            video_BCTHW = clips_BSCFHW.transpose(1, 2).flatten(2, 3)
            heard = None if sound_BSFD is None else sound_BSFD.flatten(1, 2)
            video_B = self.video_head(self.trunk(video_BCTHW, label, heard)).view(batch)
        return DiscriminatorOutput(image_BS=image_BS, clip_BS=clip_BS, video_B=video_B, features_BSDHW=features)

    def predict_order(self, features_BSDHW: Tensor | None, permutation_BS: Tensor) -> Tensor | None:
        """See `Discriminators.predict_order`."""
        if self.order is None:
            return None
        assert features_BSDHW is not None
        rows = torch.arange(len(permutation_BS), device=permutation_BS.device)[:, None]
        return self.order(features_BSDHW[rows, permutation_BS])


def _frames(clips_BSCFHW: Tensor, frame_index_BS: Tensor) -> Tensor:
    """One frame of each clip, (clips, C, H, W)."""
    batch, clips, channels, frames = clips_BSCFHW.shape[:4]
    first_BSC = torch.arange(batch * clips * channels, device=clips_BSCFHW.device).view(batch, clips, channels) * frames
    # Whole rows by one index: the way back of three indices puts value after value.
    rows = (first_BSC + frame_index_BS[..., None]).flatten()
    return clips_BSCFHW.flatten(0, 3).index_select(0, rows).unflatten(0, (-1, channels))
