"""Order predictor: in which of the S! orders were the clips presented? (paper, equation 3)

`OrderPredictor` uses the features of the clip discriminator, so both share the weights of the trunk. `SeamScores` adds
what these features lack: the frames on both sides of each cut.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from cssgan import clip_permutations
from cssgan.models.blocks import LEAK, SpectralConv, leaky_relu, spectral_linear
from cssgan.models.encoders import level_widths

DIFFERENCE_GAIN = 3.0
"""Factor of the difference between two frames, which is small beside the frames themselves."""


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


class SeamScores(nn.Module):
    """First and last frames of S clips in presentation order -> one logit per order (ours, not in the paper).

    Every ordered pair of clips (i, j) has a score for *j directly follows i*, computed by a 2-D network from the last frame
    of i, the first frame of j, and their difference. The logit of an order is the sum of the scores of its S - 1
    neighbours. A permutation of the clips permutes the logits.

    No layer has spectral normalization: the network classifies real clips and is no adversary of the generator.

    Args:
        size: height and width of the frames.
        width: channels of the first layer, as in the discriminators.
        max_orders: as in `cssgan.clip_permutations.permutations`.
    """

    before_X: Tensor
    """Place of the first clip of each of the X ordered pairs; `after_X`: of the second."""
    after_X: Tensor
    neighbours_XP: Tensor

    def __init__(self, *, size: int, width: int, num_clips: int, max_orders: int) -> None:
        super().__init__()
        self.pairs = tuple(itertools.permutations(range(num_clips), 2))
        widths = level_widths(size, width)
        layers = [
            SpectralConv(i, o, (4, 4), 2, 1, spectral=False) for i, o in zip([9, *widths[:-1]], widths, strict=True)
        ]
        self.layers = nn.ModuleList(layers)
        self.out = SpectralConv(widths[-1], 1, (4, 4), spectral=False)
        for layer in (*layers, self.out):
            nn.init.kaiming_normal_(layer.weight, LEAK)
        # Buffers: a captured step must not copy from the host.
        before, after = zip(*self.pairs, strict=True)
        self.register_buffer("before_X", torch.tensor(before), persistent=False)
        self.register_buffer("after_X", torch.tensor(after), persistent=False)
        self.register_buffer("neighbours_XP", _neighbours(num_clips, max_orders, self.pairs), persistent=False)

    def forward(self, edges_BSECHW: Tensor) -> Tensor:
        """logits_BP"""
        first_BSCHW, last_BSCHW = edges_BSECHW.unbind(2)
        end, start = last_BSCHW.index_select(1, self.before_X), first_BSCHW.index_select(1, self.after_X)
        x = torch.cat((end, start, DIFFERENCE_GAIN * (start - end)), dim=2).flatten(0, 1)
        for layer in self.layers:
            x = leaky_relu(layer(x))
        return self.out(x).view(len(edges_BSECHW), len(self.pairs)) @ self.neighbours_XP


def _neighbours(num_clips: int, max_orders: int, pairs: tuple[tuple[int, int], ...]) -> Tensor:
    """(X, P) for X ordered pairs of places: 1 where order p says that the clip at the second place follows that at the first."""
    columns: list[list[float]] = []
    for clip_at in clip_permutations.permutations(num_clips, max_orders).tolist():
        places = [clip_at.index(clip) for clip in range(num_clips)]
        neighbours = set(itertools.pairwise(places))
        columns.append([float(pair in neighbours) for pair in pairs])
    return torch.tensor(columns).t().contiguous()
