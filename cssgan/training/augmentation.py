"""Differentiable augmentation of the discriminators' inputs: equal in all frames of a video, never mirrored.

On small datasets discriminators overfit. Applying the same random transforms to real and generated videos prevents this,
and gradients pass through the transforms (Zhao et al., NeurIPS 2020). Letters must not be mirrored. The random numbers
are arguments, so that a step remains a function of its batch.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

GENERATOR_FAKES, REALS, DISCRIMINATOR_FAKES = range(3)
"""Uses of a batch's random numbers (axis U): fakes of the generator step, reals, fakes of the discriminator step."""
SHIFT = 0.125  # maximum shift as a fraction of the frame side, as in the paper
CUTOUT = 0.5  # side of the cutout as a fraction of the frame side


def augment(clips_BSCFHW: Tensor, uniform_BA: Tensor, policy: str) -> Tensor:
    """Apply `policy` (``colour``, ``shift``, ``cutout`` or ``all``) to clips in [-1, 1]; same shape.

    Args:
        uniform_BA: uniform in [0, 1): brightness, saturation, contrast, shift (2), cutout (2).
    """
    x = clips_BSCFHW
    if policy in ("colour", "all"):
        x = _colour(x, uniform_BA[:, :3])
    if policy in ("shift", "all"):
        x = _shift(x, uniform_BA[:, 3:5])
    if policy in ("cutout", "all"):
        x = _cutout(x, uniform_BA[:, 5:7])
    return x


def _colour(x: Tensor, uniform_BA: Tensor) -> Tensor:
    brightness, saturation, contrast = (value[:, None, None, None, None, None] for value in uniform_BA.unbind(1))
    x = x + (brightness - 0.5)
    grey = x.mean(dim=2, keepdim=True)
    x = grey + (x - grey) * (2.0 * saturation)
    mean = x.mean(dim=(1, 2, 3, 4, 5), keepdim=True)
    return mean + (x - mean) * (contrast + 0.5)


def _shift(x: Tensor, uniform_BA: Tensor) -> Tensor:
    """Shift by up to `SHIFT` of the side; the uncovered border is grey (0)."""
    batch, size = x.shape[0], x.shape[-1]
    max_shift = int(size * SHIFT + 0.5)
    offsets_BA = (uniform_BA * (2 * max_shift + 1)).floor().long()  # 0 .. 2 max_shift, in the padded frame
    positions = torch.arange(size, device=x.device)
    rows, columns = (offsets_BA[:, axis, None] + positions for axis in (0, 1))
    padded = functional.pad(x, (max_shift, max_shift, max_shift, max_shift))
    videos = torch.arange(batch, device=x.device)
    shifted = padded.permute(0, 4, 5, 1, 2, 3)[videos[:, None, None], rows[:, :, None], columns[:, None, :]]
    return shifted.permute(0, 3, 4, 5, 1, 2)


def _cutout(x: Tensor, uniform_BA: Tensor) -> Tensor:
    """Replace a square of `CUTOUT` of the side, centred anywhere in the frame, by grey (0)."""
    size = x.shape[-1]
    half = size * CUTOUT / 2
    positions = torch.arange(size, device=x.device)
    rows, columns = ((positions - (uniform_BA[:, axis, None] * size).floor()).abs() < half for axis in (0, 1))
    hole = (rows[:, :, None] & columns[:, None, :])[:, None, None, None]
    return x.masked_fill(hole, 0.0)
