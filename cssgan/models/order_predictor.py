"""The order predictor: which of the S! orders were these clips shown in? (paper equation 3)

It has no trunk of its own: it reads the features of the clip discriminator, so that the weights are shared by
construction.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from cssgan.models.blocks import SpectralConv, leaky, spectral_linear


class OrderPredictor(nn.Module):
    """Features of S clips in presentation order -> one logit an order.

    Args:
        channels: of the trunk's features; clips come as 4x4 maps.
        pairwise: join the clips pair by pair (as in clip-order prediction) before the last layer.
        num_orders: orders to tell apart; None: all S! of them.
        spectral: whether the layers are spectrally normed.
    """

    def __init__(
        self, *, channels: int, num_clips: int, pairwise: bool, num_orders: int | None = None, spectral: bool = True
    ) -> None:
        super().__init__()
        self.pairs = list(itertools.combinations(range(num_clips), 2)) if pairwise else None
        code = max(channels // 2, 4)
        self.squeeze = SpectralConv(channels, code, (4, 4), spectral=spectral)
        hidden = channels
        self.join = spectral_linear(code * (2 if pairwise else num_clips), hidden, spectral=spectral)
        num_joined = len(self.pairs) if self.pairs else 1
        self.out = spectral_linear(hidden * num_joined, num_orders or math.factorial(num_clips), spectral=spectral)

    def forward(self, features_BSDHW: Tensor) -> Tensor:
        """logits_BP"""
        batch, clips = features_BSDHW.shape[:2]
        code_BSD = leaky(self.squeeze(features_BSDHW.flatten(0, 1))).view(batch, clips, -1)
        if self.pairs is None:
            joined = leaky(self.join(code_BSD.flatten(1)))
        else:
            pairs = torch.stack([torch.cat((code_BSD[:, i], code_BSD[:, j]), dim=1) for i, j in self.pairs], dim=1)
            joined = leaky(self.join(pairs)).flatten(1)
        return self.out(joined)
