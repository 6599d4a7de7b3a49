"""Differentiable augmentation of what the discriminators see: alike in all frames of a video, never mirrored.

Small sets of videos are learnt by heart by their discriminators; showing real and generated videos through the same
random changes keeps them from it, and gradients flow through the changes (Zhao et al., NeurIPS 2020). Letters are not
mirrored. Every random number comes in, so that a step stays a function of its batch.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

FAKES_G, REALS, FAKES_D = range(3)
"""What one batch's draws are for: fakes of the generator's step, reals, fakes of the discriminators' step."""
SHIFT = 0.125  # of the picture's side, each way, as in the paper
CUTOUT = 0.5  # of the picture's side


def augment(clips_BSCFHW: Tensor, draws_BA: Tensor, policy: str) -> Tensor:
    """`clips` changed by `policy` (``colour``, ``shift``, ``cutout`` or ``all``); same shape.

    Args:
        draws_BA: uniform in [0, 1): brightness, saturation, contrast, shift (2), cutout (2).
    """
    x = clips_BSCFHW
    if policy in ("colour", "all"):
        x = _colour(x, draws_BA[:, :3])
    if policy in ("shift", "all"):
        x = _shift(x, draws_BA[:, 3:5])
    if policy in ("cutout", "all"):
        x = _cutout(x, draws_BA[:, 5:7])
    return x


def _colour(x: Tensor, draws_BA: Tensor) -> Tensor:
    brightness, saturation, contrast = (draw[:, None, None, None, None, None] for draw in draws_BA.unbind(1))
    x = x + (brightness - 0.5)
    grey = x.mean(dim=2, keepdim=True)
    x = grey + (x - grey) * (2.0 * saturation)
    mean = x.mean(dim=(1, 2, 3, 4, 5), keepdim=True)
    return mean + (x - mean) * (contrast + 0.5)


def _shift(x: Tensor, draws_BA: Tensor) -> Tensor:
    """Moved by up to an eighth of the side; what comes in is grey (0)."""
    batch, size = x.shape[0], x.shape[-1]
    reach = int(size * SHIFT + 0.5)
    moves_BA = (draws_BA * (2 * reach + 1)).floor().long()  # 0 .. 2 reach, into the padded picture
    places = torch.arange(size, device=x.device)
    rows, columns = (moves_BA[:, axis, None] + places for axis in (0, 1))
    padded = functional.pad(x, (reach, reach, reach, reach))
    videos = torch.arange(batch, device=x.device)
    picked = padded.permute(0, 4, 5, 1, 2, 3)[videos[:, None, None], rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 4, 5, 1, 2)


def _cutout(x: Tensor, draws_BA: Tensor) -> Tensor:
    """A grey square of half the side; its centre may lie anywhere in the picture."""
    size = x.shape[-1]
    half = size * CUTOUT / 2
    places = torch.arange(size, device=x.device)
    rows, columns = ((places - (draws_BA[:, axis, None] * size).floor()).abs() < half for axis in (0, 1))
    hole = (rows[:, :, None] & columns[:, None, :])[:, None, None, None]
    return x.masked_fill(hole, 0.0)
