"""Encoders of the generator: the start image with its skip connections, and the audio."""

from __future__ import annotations

from torch import Tensor, nn

from cssgan.errors import ConfigError
from cssgan.models.blocks import full_kernel_conv, leaky_relu, norm_2d


def level_widths(size: int, width: int) -> list[int]:
    """Channels at size/2, size/4, ..., 4 pixels: doubled at each level, at most 8 x width."""
    levels = (size // 4).bit_length() - 1
    return [width * min(2**level, 8) for level in range(levels)]


class ImageEncoder(nn.Module):
    """Start image -> latent code, and one skip per level (4x4 convolutions of stride 2, norm, LeakyReLU)."""

    def __init__(self, *, size: int, width: int, code_dim: int, norm: str) -> None:
        super().__init__()
        widths = level_widths(size, width)
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 4, 2, 1) for i, o in zip([3, *widths[:-1]], widths, strict=True))
        self.norms = nn.ModuleList(norm_2d(norm, channels) for channels in widths)
        self.code = nn.Conv2d(widths[-1], code_dim, 4)

    def forward(self, image_BCHW: Tensor) -> tuple[Tensor, list[Tensor]]:
        """code_BD, and the skips from size/2 down to 4 pixels."""
        skips: list[Tensor] = []
        x = image_BCHW
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = leaky_relu(norm(conv(x)))
            skips.append(x)
        return full_kernel_conv(x, self.code.weight, self.code.bias)[:, :, 0, 0], skips


class SegmentEncoder(nn.Module):
    """Mel segments -> features: three 3x3 convolutions of stride 2, each with LeakyReLU, then linear.

    Args:
        norm: group norm after each convolution.
    """

    def __init__(self, *, num_bands: int, segment_hops: int, features: int, norm: bool) -> None:
        super().__init__()
        widths = [max(features // divisor, 1) for divisor in (8, 4, 2)]
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, 2, 1) for i, o in zip([1, *widths[:-1]], widths, strict=True))
        self.norms = nn.ModuleList(norm_2d("group", channels) if norm else nn.Identity() for channels in widths)
        for _ in widths:
            num_bands, segment_hops = -(-num_bands // 2), -(-segment_hops // 2)
        self.out = nn.Linear(widths[-1] * num_bands * segment_hops, features)

    def forward(self, mels_BTMU: Tensor) -> Tensor:
        """features_BTD"""
        x = mels_BTMU.flatten(0, 1)[:, None]
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = leaky_relu(norm(conv(x)))
        return self.out(x.flatten(1)).unflatten(0, mels_BTMU.shape[:2])


class AudioEncoder(nn.Module):
    """Mel segments -> GRU states. The state is zero at the start of each sequence.

    Args:
        segment: ``linear``: one linear layer for each segment; ``conv``: `SegmentEncoder` with group norm.
        features: of a segment.
        state: size D of the states.
        both_directions: half of each state is that of a GRU from the last frame to the first.
    """

    def __init__(
        self,
        *,
        num_bands: int,
        segment_hops: int,
        segment: str,
        features: int,
        state: int,
        both_directions: bool = False,
    ) -> None:
        super().__init__()
        self.segment = (
            SegmentEncoder(num_bands=num_bands, segment_hops=segment_hops, features=features, norm=True)
            if segment == "conv"
            else nn.Linear(num_bands * segment_hops, features)
        )
        if both_directions and state % 2:
            raise ConfigError("model.gru_dim", state, "an even number with model.audio_context=window")
        self.gru = nn.GRU(
            features, state // 2 if both_directions else state, batch_first=True, bidirectional=both_directions
        )

    def forward(self, mels_BFMU: Tensor) -> Tensor:
        """states_BFD: one state per frame; the last one of a stream represents its audio."""
        is_linear = isinstance(self.segment, nn.Linear)
        states_BFD, _ = self.gru(leaky_relu(self.segment(mels_BFMU.flatten(2) if is_linear else mels_BFMU)))
        return states_BFD
