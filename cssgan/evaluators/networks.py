"""The three evaluators as networks. They are small: a few hundred clips are all that a dataset may have.

None shares a weight, a layer or an idea of the input with the models that they evaluator; above all, the order evaluator is not
the order predictor of `cssgan.models`, which generators are trained against.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from cssgan.evaluators.spec import SEGMENTS

MOTION_SIZE = 32
"""Larger frames are averaged down to it for synchrony and order: when something moves does not hang on fine lines."""
MOTION_GAIN_FLOOR = 0.005
"""Motion is divided by its own strength plus this, in [-1, 1] units, so that faint motion counts by its timing and a
still video stays still."""
EDGE = 4
"""Frames at either end of what is valid that the synchrony evaluator does not compare: its filters look past the end there, and
two codes that both begin to see nothing would agree on that."""
ORDERS: tuple[tuple[int, ...], ...] = tuple(itertools.permutations(range(SEGMENTS)))
"""Every order of the segments; the first is the true one."""


class FrameClassifier(nn.Module):
    """Frames -> one logit a class."""

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
        # Where a stroke lies is kept, coarsely: pooled over all places, hundreds of steps learned nothing.
        quarters = functional.adaptive_avg_pool2d(self.trunk(frames_BCHW), 2)
        return self.out(self.drop(quarters.flatten(1)))


class SyncNet(nn.Module):
    """Two towers, video and sound, whose codes of each frame rise and fall together where the two belong together.

    The video tower sees changes from frame to frame alone, scaled by their own strength, so that neither the look of a song
    nor how much a video moves can tell which sound is its own.
    """

    CODE = 16

    def __init__(self, num_bands: int, num_hops: int) -> None:
        super().__init__()
        self.frame = nn.Sequential(
            nn.Conv2d(6, 16, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(32, 48, 3, stride=2, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.video = _Along(48, self.CODE)
        self.segment = nn.Sequential(
            nn.Conv1d(2 * num_bands, 48, 3, padding=1), nn.ReLU(), nn.Conv1d(48, 32, 3), nn.ReLU()
        )
        self.hops = nn.Sequential(nn.Linear(32 * (num_hops - 2), 64), nn.ReLU())
        self.sound = _Along(64, self.CODE)
        self.log_scale = nn.Parameter(torch.tensor(2.0))

    def embed_video(self, video_BTCHW: Tensor) -> Tensor:
        """Frames in [-1, 1] -> codes (B, T, D)."""
        change = motion(video_BTCHW)
        both = torch.cat([change, change.abs()], dim=2)
        maps = self.frame(both.flatten(0, 1))
        return self.video(maps.mean((2, 3)).unflatten(0, both.shape[:2]))

    def embed_sound(self, mels_BTMU: Tensor) -> Tensor:
        """Standardized log-mel segments -> codes (B, T, D)."""
        rise = functional.pad(mels_BTMU.diff(dim=3).clamp_min(0.0), (1, 0))
        both = torch.cat([mels_BTMU, rise], dim=2).flatten(0, 1)
        return self.sound(self.hops(self.segment(both).flatten(1)).unflatten(0, mels_BTMU.shape[:2]))


class _Along(nn.Module):
    """Rows of frames -> codes, each from a frame and the three to either side."""

    def __init__(self, width: int, code: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(width, 48, 5, padding=2), nn.ReLU(), nn.Dropout(0.1), nn.Conv1d(48, code, 3, padding=1)
        )

    def forward(self, rows_BTD: Tensor) -> Tensor:
        return self.layers(rows_BTD.transpose(1, 2)).transpose(1, 2)


def motion(video_BTCHW: Tensor) -> Tensor:
    """Change of each frame from the one before (0 for the first), over its root mean square in the whole window."""
    change = functional.pad(video_BTCHW.diff(dim=1), (0, 0, 0, 0, 0, 0, 1, 0))
    strength = change.square().mean((1, 2, 3, 4), keepdim=True).sqrt()
    return change / (strength + MOTION_GAIN_FLOOR)


def correlation(video_ITD: Tensor, use_IT: Tensor, sound_JTD: Tensor, use_JT: Tensor) -> Tensor:
    """How codes of videos and sounds rise and fall together: (I, J), -1..1.

    Pearson's correlation over the frames that both have and over all D codes at once, each less its own mean over time:
    with one code it would be the onset-motion correlation of `cssgan.metrics.synchrony`. Where a code is constant, 0.

    Args:
        use_IT, use_JT: float 0 or 1, frames that count.
    """
    x, y = video_ITD * use_IT[..., None], sound_JTD * use_JT[..., None]
    count = (use_IT @ use_JT.T).clamp_min(1.0)
    flat = (x.flatten(1), y.flatten(1))
    squares = ((x * x).sum(2) @ use_JT.T, use_IT @ (y * y).sum(2).T)
    sums = (torch.einsum("itd,jt->ijd", x, use_JT), torch.einsum("it,jtd->ijd", use_IT, y))
    covariance = flat[0] @ flat[1].T - (sums[0] * sums[1]).sum(2) / count
    spread = [square - (part * part).sum(2) / count for square, part in zip(squares, sums, strict=True)]
    return _ratio(covariance, spread[0], spread[1], count)


def inner_frames(num_valid_B: Tensor, num_frames: int) -> Tensor:
    """float (B, T), 1 where the codes of both towers see valid frames alone."""
    frame = torch.arange(num_frames, device=num_valid_B.device)[None, :]
    return ((frame >= EDGE) & (frame < num_valid_B[:, None] - EDGE)).float()


def shifted_correlation(video_BTD: Tensor, sound_BTD: Tensor, use_BT: Tensor, shifts: Sequence[int]) -> Tensor:
    """`agreement` of each video with its own sound moved by some frames: (B, len(shifts)).

    Args:
        shifts: at k, frame t of the video stands against frame t - k of the sound: motion comes k frames after it.
    """
    length = video_BTD.shape[1]
    columns: list[Tensor] = []
    for shift in shifts:
        low, high = max(shift, 0), length + min(shift, 0)
        use = use_BT[:, low:high] * use_BT[:, low - shift : high - shift]
        x, y = (
            codes * use[..., None]
            for codes in (video_BTD[:, low:high], sound_BTD[:, low - shift : high - shift])
        )  # fmt: skip
        count = use.sum(1).clamp_min(1.0)
        sums = x.sum(1), y.sum(1)
        covariance = (x * y).sum((1, 2)) - (sums[0] * sums[1]).sum(1) / count
        spread = [(c * c).sum((1, 2)) - (s * s).sum(1) / count for c, s in zip((x, y), sums, strict=True)]
        columns.append(_ratio(covariance, spread[0], spread[1], count))
    return torch.stack(columns, dim=1)


def _ratio(covariance: Tensor, spread_x: Tensor, spread_y: Tensor, count: Tensor) -> Tensor:
    """Correlation, and 0 where either side is constant (no gradient flows from there)."""
    defined = torch.minimum(spread_x, spread_y) > 1e-6 * count
    product = torch.where(defined, spread_x * spread_y, torch.ones_like(covariance))
    return torch.where(defined, covariance / product.sqrt(), torch.zeros_like(covariance))


class OrderClassifier(nn.Module):
    """In which order did these segments come? Every ordered pair is asked two things, and the answers are added up.

    *Does B begin where A ends?* from the two frames on either side of the cut. *Is A earlier than B?* from both segments as a
    whole, antisymmetric. An order's logit is the sum of the first over its neighbours and of the second over its pairs: it
    cannot depend on how the segments were laid out, and a still video makes all orders equally likely.
    """

    CODE = 48

    def __init__(self) -> None:
        super().__init__()
        self.cut = _picture_embedding(18, self.CODE)
        self.joined = nn.Sequential(nn.ReLU(), nn.Linear(self.CODE, 1))
        self.whole = _picture_embedding(12, self.CODE)
        self.earlier = nn.Sequential(nn.Linear(2 * self.CODE, self.CODE), nn.ReLU(), nn.Linear(self.CODE, 1))

    def forward(self, segments_BSFCHW: Tensor) -> Tensor:
        """Segments in time order, in [-1, 1] -> logits (B, S!) of `ORDERS`."""
        joined_BSS, earlier_BSS = self.pairs(segments_BSFCHW)
        logits = [
            sum((joined_BSS[:, a, b] for a, b in itertools.pairwise(order)), torch.zeros(()))
            + sum((earlier_BSS[:, a, b] for a, b in itertools.combinations(order, 2)), torch.zeros(()))
            for order in ORDERS
        ]
        return torch.stack(logits, dim=1)

    def pairs(self, segments_BSFCHW: Tensor) -> tuple[Tensor, Tensor]:
        """(does b follow a without a break, is a earlier than b): (B, S, S) each; the second is antisymmetric."""
        x = segments_BSFCHW
        size = x.shape[1]
        first, second = zip(*itertools.permutations(range(size), 2), strict=True)
        end, before = x[:, first, -1], x[:, first, -2]
        start, after = x[:, second, 0], x[:, second, 1]
        across = start - end
        cut = torch.cat(
            [end, start, 3.0 * across, 3.0 * across.abs(), 3.0 * (end - before), 3.0 * (after - start)], dim=2
        )
        joined = self.joined(self.cut(cut.flatten(0, 1))).view(len(x), len(first))
        change = x[:, :, -1] - x[:, :, 0]
        amount = x.diff(dim=2).abs().mean(2)
        code = self.whole(torch.cat([x[:, :, 0], x[:, :, -1], 3.0 * change, 6.0 * amount], dim=2).flatten(0, 1))
        code = code.view(len(x), size, -1)
        both = [self.earlier(torch.cat([code[:, a], code[:, b]], dim=2)) for a, b in ((first, second), (second, first))]
        earlier = (both[0] - both[1]).squeeze(2)
        out = x.new_zeros(2, len(x), size, size)
        out[0][:, first, second] = joined
        out[1][:, first, second] = earlier
        return out[0], out[1]


def _picture_embedding(channels: int, code: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, 24, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(24, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(32, 48, 3, stride=2, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * 48, code),
    )  # fmt: skip


def small(video_BTCHW: Tensor) -> Tensor:
    """Frames averaged down to `MOTION_SIZE`, if they are larger."""
    if video_BTCHW.shape[-1] <= MOTION_SIZE:
        return video_BTCHW
    frames = functional.adaptive_avg_pool2d(video_BTCHW.flatten(0, 1), MOTION_SIZE)
    return frames.unflatten(0, video_BTCHW.shape[:2])


def cut_into_segments(video_BTCHW: Tensor) -> Tensor:
    """(B, T, ...) -> (B, S, T / S, ...)."""
    return video_BTCHW.unflatten(1, (SEGMENTS, -1))
