"""Order predictor: in which of the S! orders were the clips presented? (paper, equation 3)

It uses the features of the clip discriminator, so both share the weights of the trunk.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from cssgan.models.blocks import SpectralConv, leaky_relu, spectral_linear


class OrderPredictor(nn.Module):
    """Features of S clips in presentation order -> one logit per order.

    Args:
        channels: channels of the clips' 4x4 feature maps.
        pairwise: join the clips in pairs (as in clip-order prediction) before the last layer.
        num_orders: number of orders to classify; None: all S!.
        spectral: spectral normalization of the layers.
    """

    def __init__(
        self, *, channels: int, num_clips: int, pairwise: bool, num_orders: int | None = None, spectral: bool = True
    ) -> None:
        super().__init__()
        self.pairs = list(itertools.combinations(range(num_clips), 2)) if pairwise else None
        features = max(channels // 2, 4)
        self.squeeze = SpectralConv(channels, features, (4, 4), spectral=spectral)
        self.join = spectral_linear(features * (2 if pairwise else num_clips), channels, spectral=spectral)
        num_joined = len(self.pairs) if self.pairs else 1
        self.out = spectral_linear(channels * num_joined, num_orders or math.factorial(num_clips), spectral=spectral)

    def forward(self, features_BSDHW: Tensor) -> Tensor:
        """logits_BP"""
        batch, clips = features_BSDHW.shape[:2]
        x_BSD = leaky_relu(self.squeeze(features_BSDHW.flatten(0, 1))).view(batch, clips, -1)
        if self.pairs is None:
            joined = leaky_relu(self.join(x_BSD.flatten(1)))
        else:
            pairs = torch.stack([torch.cat((x_BSD[:, i], x_BSD[:, j]), dim=1) for i, j in self.pairs], dim=1)
            joined = leaky_relu(self.join(pairs)).flatten(1)
        return self.out(joined)
