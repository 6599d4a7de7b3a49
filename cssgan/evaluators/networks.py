"""The three evaluators as networks. They are small, because a dataset can have only a few hundred clips.

They share no weights, layers or input representation with the evaluated models. In particular, the order evaluator is
not the order predictor of `cssgan.models` that generators are trained against.

Names of submodules are keys of the saved weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from cssgan.evaluators.spec import NUM_CHUNKS

MOTION_SIZE = 32
"""Larger frames are downscaled to it for synchrony and order, which do not depend on fine detail."""
MOTION_GAIN_FLOOR = 0.005
"""Added to the strength of the motion before division, in [-1, 1] units, so that static videos stay static."""
MARGIN = 4
"""Frames at both ends of the valid range that synchrony ignores. The filters see padding there, which would make
embeddings of video and audio similar."""
ORDERS: tuple[tuple[int, ...], ...] = tuple(itertools.permutations(range(NUM_CHUNKS)))
"""All orders of the chunks; the first is the true one."""


class FrameClassifier(nn.Module):
    """Frames -> class logits."""

    WIDTHS = (24, 48, 96, 128)

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in itertools.pairwise((3, *self.WIDTHS)):
            layers += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            layers += [nn.MaxPool2d(2)]
        self.trunk = nn.Sequential(*layers)
        self.drop = nn.Dropout(0.3)
        self.out = nn.Linear(4 * self.WIDTHS[-1], num_classes)

    def forward(self, frames_BCHW: Tensor) -> Tensor:
        """float32 in [-1, 1] -> logits_BK."""
        # The coarse position of strokes is kept: with global pooling, the loss did not decrease in hundreds of steps.
        quarters = functional.adaptive_avg_pool2d(self.trunk(frames_BCHW), 2)
        return self.out(self.drop(quarters.flatten(1)))


class SyncNet(nn.Module):
    """Two towers, video and audio, with one embedding per frame. Embeddings of matching pairs are correlated over time.

    The input of the video tower is the frame-to-frame difference, scaled by its own strength, so that neither the
    appearance of a song nor the amount of motion can predict the audio.
    """

    EMBEDDING_DIM = 16

    def __init__(self, num_bands: int, num_hops: int) -> None:
        super().__init__()
        self.frame = nn.Sequential(
            nn.Conv2d(6, 16, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(32, 48, 3, stride=2, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.video = _TemporalConvolution(48, self.EMBEDDING_DIM)
        self.segment = nn.Sequential(
            nn.Conv1d(2 * num_bands, 48, 3, padding=1), nn.ReLU(), nn.Conv1d(48, 32, 3), nn.ReLU()
        )
        self.hops = nn.Sequential(nn.Linear(32 * (num_hops - 2), 64), nn.ReLU())
        self.sound = _TemporalConvolution(64, self.EMBEDDING_DIM)
        self.log_scale = nn.Parameter(torch.tensor(2.0))

    def embed_video(self, video_BTCHW: Tensor) -> Tensor:
        """Frames in [-1, 1] -> embeddings (B, T, D)."""
        change = normalized_motion(video_BTCHW)
        both = torch.cat([change, change.abs()], dim=2)
        maps = self.frame(both.flatten(0, 1))
        return self.video(maps.mean((2, 3)).unflatten(0, both.shape[:2]))

    def embed_audio(self, mels_BTMU: Tensor) -> Tensor:
        """Standardized log-mel segments -> embeddings (B, T, D)."""
        rise = functional.pad(mels_BTMU.diff(dim=3).clamp_min(0.0), (1, 0))
        both = torch.cat([mels_BTMU, rise], dim=2).flatten(0, 1)
        return self.sound(self.hops(self.segment(both).flatten(1)).unflatten(0, mels_BTMU.shape[:2]))


class _TemporalConvolution(nn.Module):
    """Features of frames -> embeddings, each from a frame and its three neighbours on both sides."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(width, 48, 5, padding=2), nn.ReLU(), nn.Dropout(0.1), nn.Conv1d(48, dim, 3, padding=1)
        )

    def forward(self, rows_BTD: Tensor) -> Tensor:
        return self.layers(rows_BTD.transpose(1, 2)).transpose(1, 2)


def normalized_motion(video_BTCHW: Tensor) -> Tensor:
    """Difference of each frame to the previous one (0 for the first), over its root mean square in the whole window."""
    change = functional.pad(video_BTCHW.diff(dim=1), (0, 0, 0, 0, 0, 0, 1, 0))
    strength = change.square().mean((1, 2, 3, 4), keepdim=True).sqrt()
    return change / (strength + MOTION_GAIN_FLOOR)


def correlation(video_ITD: Tensor, use_IT: Tensor, audio_JTD: Tensor, use_JT: Tensor) -> Tensor:
    """Correlation of the embeddings of all videos with those of all audio signals: (I, J), -1..1.

    Pearson's correlation over the frames that both have and over all D dimensions at once, each minus its own mean over
    time. With D = 1 it is the onset-motion correlation of `cssgan.metrics.synchrony`. 0 for constant embeddings.

    Args:
        use_IT, use_JT: float 0 or 1, frames that count.
    """
    x, y = video_ITD * use_IT[..., None], audio_JTD * use_JT[..., None]
    count = (use_IT @ use_JT.T).clamp_min(1.0)
    flat = (x.flatten(1), y.flatten(1))
    squares = ((x * x).sum(2) @ use_JT.T, use_IT @ (y * y).sum(2).T)
    sums = (torch.einsum("itd,jt->ijd", x, use_JT), torch.einsum("it,jtd->ijd", use_IT, y))
    covariance = flat[0] @ flat[1].T - (sums[0] * sums[1]).sum(2) / count
    spread = [square - (part * part).sum(2) / count for square, part in zip(squares, sums, strict=True)]
    return _pearson(covariance, spread[0], spread[1], count)


def inner_frames(num_valid_B: Tensor, num_frames: int) -> Tensor:
    """float (B, T), 1 where the embeddings of both towers depend on valid frames only."""
    frame = torch.arange(num_frames, device=num_valid_B.device)[None, :]
    return ((frame >= MARGIN) & (frame < num_valid_B[:, None] - MARGIN)).float()


def shifted_correlation(video_BTD: Tensor, audio_BTD: Tensor, use_BT: Tensor, shifts: Sequence[int]) -> Tensor:
    """`correlation` of each video with its own audio, shifted by some frames: (B, len(shifts)).

    Args:
        shifts: for shift k, frame t of the video is compared with frame t - k of the audio: motion is k frames later.
    """
    length = video_BTD.shape[1]
    columns: list[Tensor] = []
    for shift in shifts:
        low, high = max(shift, 0), length + min(shift, 0)
        use = use_BT[:, low:high] * use_BT[:, low - shift : high - shift]
        x = video_BTD[:, low:high] * use[..., None]
        y = audio_BTD[:, low - shift : high - shift] * use[..., None]
        count = use.sum(1).clamp_min(1.0)
        sums = x.sum(1), y.sum(1)
        covariance = (x * y).sum((1, 2)) - (sums[0] * sums[1]).sum(1) / count
        spread = [(c * c).sum((1, 2)) - (s * s).sum(1) / count for c, s in zip((x, y), sums, strict=True)]
        columns.append(_pearson(covariance, spread[0], spread[1], count))
    return torch.stack(columns, dim=1)


def _pearson(covariance: Tensor, spread_x: Tensor, spread_y: Tensor, count: Tensor) -> Tensor:
    """Correlation; 0 without gradient where one side is constant."""
    defined = torch.minimum(spread_x, spread_y) > 1e-6 * count
    product = torch.where(defined, spread_x * spread_y, torch.ones_like(covariance))
    return torch.where(defined, covariance / product.sqrt(), torch.zeros_like(covariance))


class OrderClassifier(nn.Module):
    """Predicts the order of the chunks of a video from two scores of each ordered pair (A, B).

    * *B directly follows A*: from the two frames on each side of the boundary.
    * *A is earlier than B*: from both chunks as a whole, antisymmetric.

    The logit of an order is the sum of the first score over its neighbours and of the second over its pairs. It does not
    depend on the order in which the chunks are presented, and all orders of a static video are equally likely.
    """

    EMBEDDING_DIM = 48

    def __init__(self) -> None:
        super().__init__()
        self.cut = _image_embedding(18, self.EMBEDDING_DIM)
        self.joined = nn.Sequential(nn.ReLU(), nn.Linear(self.EMBEDDING_DIM, 1))
        self.whole = _image_embedding(12, self.EMBEDDING_DIM)
        self.earlier = nn.Sequential(
            nn.Linear(2 * self.EMBEDDING_DIM, self.EMBEDDING_DIM), nn.ReLU(), nn.Linear(self.EMBEDDING_DIM, 1)
        )

    def forward(self, chunks_BSFCHW: Tensor) -> Tensor:
        """Chunks in time order, in [-1, 1] -> logits (B, S!) of `ORDERS`."""
        follows_BSS, earlier_BSS = self.pairs(chunks_BSFCHW)
        logits = [
            sum((follows_BSS[:, a, b] for a, b in itertools.pairwise(order)), torch.zeros(()))
            + sum((earlier_BSS[:, a, b] for a, b in itertools.combinations(order, 2)), torch.zeros(()))
            for order in ORDERS
        ]
        return torch.stack(logits, dim=1)

    def pairs(self, chunks_BSFCHW: Tensor) -> tuple[Tensor, Tensor]:
        """(b directly follows a, a is earlier than b): (B, S, S) each; the second is antisymmetric."""
        x = chunks_BSFCHW
        size = x.shape[1]
        first, second = zip(*itertools.permutations(range(size), 2), strict=True)
        end, before = x[:, first, -1], x[:, first, -2]
        start, after = x[:, second, 0], x[:, second, 1]
        across = start - end
        boundary = torch.cat(
            [end, start, 3.0 * across, 3.0 * across.abs(), 3.0 * (end - before), 3.0 * (after - start)], dim=2
        )
        follows = self.joined(self.cut(boundary.flatten(0, 1))).view(len(x), len(first))
        change = x[:, :, -1] - x[:, :, 0]
        amount = x.diff(dim=2).abs().mean(2)
        embedding = self.whole(torch.cat([x[:, :, 0], x[:, :, -1], 3.0 * change, 6.0 * amount], dim=2).flatten(0, 1))
        embedding = embedding.view(len(x), size, -1)
        both = [
            self.earlier(torch.cat([embedding[:, a], embedding[:, b]], dim=2))
            for a, b in ((first, second), (second, first))
        ]
        out = x.new_zeros(2, len(x), size, size)
        out[0][:, first, second] = follows
        out[1][:, first, second] = (both[0] - both[1]).squeeze(2)
        return out[0], out[1]


def _image_embedding(channels: int, dim: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, 24, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(24, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(32, 48, 3, stride=2, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * 48, dim),
    )  # fmt: skip


def downscale(video_BTCHW: Tensor) -> Tensor:
    """Frames averaged down to `MOTION_SIZE`, if they are larger."""
    if video_BTCHW.shape[-1] <= MOTION_SIZE:
        return video_BTCHW
    frames = functional.adaptive_avg_pool2d(video_BTCHW.flatten(0, 1), MOTION_SIZE)
    return frames.unflatten(0, video_BTCHW.shape[:2])


def split_into_chunks(video_BTCHW: Tensor) -> Tensor:
    """(B, T, ...) -> (B, S, T / S, ...)."""
    return video_BTCHW.unflatten(1, (NUM_CHUNKS, -1))
