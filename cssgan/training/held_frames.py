"""Held frames: past the end of its clip, a window repeats the last frame. No loss depends on what such a frame shows.

The discriminators receive in their place the last valid frame, of real and of generated windows alike, and each loss counts
a clip or window by its share of valid frames (docs/paper-gaps.md, row 28).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cssgan.config import Config
from cssgan.types import Batch, ClipBatch


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LossWeights:
    """Factors of the adversarial losses, in presentation order. Their mean over the whole batch is 1, of which this may be a
    part (micro-batches, several processes). Exactly 1 if no frame is held."""

    image_BS: Tensor
    """0 for a clip without a valid frame; (B, 1) for models whose image discriminator receives one frame of a window."""
    clip_BS: Tensor
    """Share of valid frames."""
    window_B: Tensor
    """Share of valid frames."""

    def of_windows(self, logits: Tensor) -> Tensor:
        """`window_B` with the axes of the logits of windows: (B,), or (B, 1) for (B, V)."""
        return self.window_B if logits.ndim == 1 else self.window_B[:, None]


def loss_weights(batch: Batch, real: ClipBatch, config: Config) -> LossWeights:
    """The weights of a batch or of a part of one."""
    num_clips_BS = real.valid_BSF.shape[:2].numel()
    num_valid = real.valid_BSF.sum() if batch.l1_denominator is None else batch.l1_denominator
    mean_share = num_valid / real.valid_BSF.numel()
    image_BS = torch.ones_like(real.valid_BSF[:, :1, 0])
    if config.model.kind == "cssgan":
        has_frames_BS = real.valid_BSF.amax(dim=2)
        num_images = has_frames_BS.sum() if batch.image_denominator is None else batch.image_denominator
        image_BS = has_frames_BS / (num_images / num_clips_BS)
    return LossWeights(
        image_BS=image_BS,
        clip_BS=real.valid_BSF.mean(dim=2) / mean_share,
        window_B=real.valid_BSF.mean(dim=(1, 2)) / mean_share,
    )


def hold(clips_BSCFHW: Tensor, real: ClipBatch) -> Tensor:
    """`clips_BSCFHW` with the window's last valid frame in place of its held frames; gradients flow to that frame."""
    batch, clips, channels, frames = clips_BSCFHW.shape[:4]
    clip_B, frame_B = real.last_valid_B // frames, real.last_valid_B % frames
    videos_B = torch.arange(batch, device=clips_BSCFHW.device)
    # One index of whole rows: the backward pass of indexing by three indices is slow, value by value.
    first_BC = (videos_B * clips + clip_B)[:, None] * channels + torch.arange(channels, device=clips_BSCFHW.device)
    rows = (first_BC * frames + frame_B[:, None]).flatten()
    last_BCHW = clips_BSCFHW.flatten(0, 3).index_select(0, rows).unflatten(0, (batch, channels))
    return torch.where(real.valid_BSF[:, :, None, :, None, None] > 0, clips_BSCFHW, last_BCHW[:, None, :, None])
