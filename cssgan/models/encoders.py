"""Encoders of the generator: the start image with its skips, and the sound."""

from __future__ import annotations

from torch import Tensor, nn

from cssgan.models.blocks import convolve_all, leaky, norm_2d


def level_widths(size: int, width: int) -> list[int]:
    """Channels at size/2, size/4, ..., 4 pixels: doubled each level, at most 8 x width."""
    levels = (size // 4).bit_length() - 1
    return [width * min(2**level, 8) for level in range(levels)]


class ImageEncoder(nn.Module):
    """Start image -> code and one skip a level (4x4 stride-2 convolutions, norm, LeakyReLU; then 4x4 to a vector)."""

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
            x = leaky(norm(conv(x)))
            skips.append(x)
        return convolve_all(x, self.code.weight, self.code.bias)[:, :, 0, 0], skips


class AudioEncoder(nn.Module):
    """Segments of one stream -> GRU states, zero at the start of each stream, so that all streams go in one call."""

    def __init__(self, *, num_bands: int, segment_hops: int, features: int, state: int) -> None:
        super().__init__()
        self.segment = nn.Linear(num_bands * segment_hops, features)
        self.gru = nn.GRU(features, state, batch_first=True)

    def forward(self, mels_BFMU: Tensor) -> Tensor:
        """states_BFD: one state a frame; the last is the audio code of the stream."""
        states_BFD, _ = self.gru(leaky(self.segment(mels_BFMU.flatten(2))))
        return states_BFD
