"""What the models that the paper compares with have in common: a window made in one go, and judged as a whole."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from cssgan.models.encoders import level_widths
from cssgan.models.interface import DiscriminatorOutput, Discriminators, VideoGenerator

VideoOutput = tuple[Tensor, Tensor | None]
"""Logits_BV of a window at V places in time, and class logits_BVK of a discriminator that names the class."""


class WindowGenerator(VideoGenerator):
    """A generator that makes all frames of a window at once and knows no clips.

    Args:
        num_frames: frames of a window.
    """

    def __init__(self, num_frames: int) -> None:
        super().__init__()
        self.num_frames = num_frames

    @abstractmethod
    def window(self, image_BCHW: Tensor, mels_BTMU: Tensor, label_BK: Tensor, noise_BZ: Tensor) -> Tensor:
        """One window, video_BCTHW in [-1, 1], from the sounds of its frames."""

    def forward(self, image_BCHW: Tensor, mels_BSFMU: Tensor, label_BK: Tensor, noise_BZ: Tensor) -> Tensor:
        """See `VideoGenerator.forward`."""
        video_BCTHW = self.window(image_BCHW, mels_BSFMU.flatten(1, 2), label_BK, noise_BZ)
        return video_BCTHW.unflatten(2, mels_BSFMU.shape[1:3]).transpose(1, 2)

    def rollout(self, image_BCHW: Tensor, mels_BTMU: Tensor, label_BK: Tensor, noise_BZ: Tensor) -> Tensor:
        """See `VideoGenerator.rollout`. Goes on from its own last frame, window after window."""
        videos: list[Tensor] = []
        start = image_BCHW
        for mels in mels_BTMU.split(self.num_frames, dim=1):
            videos.append(self.window(start, mels, label_BK, noise_BZ))
            start = videos[-1][:, :, -1]
        return torch.cat(videos, dim=2)


class WindowDiscriminators(Discriminators):
    """An image discriminator on single frames of a window, and a video discriminator on all of it.

    Args:
        image: frames_BCHW -> logits, any number a frame.
        video: (video_BCTHW, label_BK) -> `VideoOutput`.
        together: see `Discriminators`.
    """

    def __init__(self, image: nn.Module, video: nn.Module, *, together: bool = True) -> None:
        super().__init__()
        self.image, self.video, self.together = image, video, together

    def forward(
        self, clips_BSCFHW: Tensor, label_BK: Tensor, frame_index_BS: Tensor, mels_BSFMU: Tensor | None = None
    ) -> DiscriminatorOutput:
        """See `Discriminators.forward`. `frame_index_BS` counts the frames of the window; nobody hears `mels_BSFMU`."""
        video_BCTHW = clips_BSCFHW.transpose(1, 2).flatten(2, 3)
        rows = torch.arange(len(video_BCTHW), device=video_BCTHW.device)[:, None]
        frames_BSCHW = video_BCTHW.transpose(1, 2)[rows, frame_index_BS]
        video: VideoOutput = self.video(video_BCTHW, label_BK)
        return DiscriminatorOutput(
            image_BS=self.image(frames_BSCHW.flatten(0, 1)).view(len(video_BCTHW), -1),
            video_B=video[0],
            class_BVK=video[1],
        )


class FrameDecoder(nn.Module):
    """Codes of single frames -> pictures: 4x4 transposed convolutions without bias, batch norm, ReLU, tanh (DCGAN).

    Args:
        code_dim: of a frame's code.
        width: channels at half resolution; doubled each level down, to 8 times.
    """

    def __init__(self, *, code_dim: int, size: int, width: int) -> None:
        super().__init__()
        widths = [*reversed(level_widths(size, width))]
        layers: list[nn.Module] = []
        for level, (i, o) in enumerate(zip([code_dim, *widths], [*widths, 3], strict=True)):
            stride, padding = (1, 0) if level == 0 else (2, 1)
            layers.append(nn.ConvTranspose2d(i, o, 4, stride, padding, bias=False))
            layers += [nn.BatchNorm2d(o), nn.ReLU(inplace=True)] if o != 3 or level < len(widths) else [nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, codes_BTD: Tensor) -> Tensor:
        """video_BCTHW in [-1, 1]; each frame from its own code, frames folded into the batch."""
        frames = self.layers(codes_BTD.flatten(0, 1)[:, :, None, None])
        return frames.unflatten(0, codes_BTD.shape[:2]).transpose(1, 2)


def at_every_frame(code_BD: Tensor, num_frames: int) -> Tensor:
    """A code of the whole video, repeated: code_BTD."""
    return code_BD[:, None].expand(-1, num_frames, -1)
