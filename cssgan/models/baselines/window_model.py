"""Base classes of the baselines, which generate and discriminate whole windows instead of clips."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from cssgan.models.encoders import level_widths
from cssgan.models.interface import DiscriminatorOutput, Discriminators, VideoGenerator, WindowInputs

VideoOutput = tuple[Tensor, Tensor | None]
"""logits_BV at V positions in time, and class logits_BVK of a discriminator that predicts the class."""


class WindowGenerator(VideoGenerator):
    """A generator of all frames of a window at once, without clips."""

    def __init__(self, num_frames: int) -> None:
        super().__init__()
        self.num_frames = num_frames

    @abstractmethod
    def generate_window(self, image_BCHW: Tensor, mels_BTMU: Tensor, label_BK: Tensor, noise_BZ: Tensor) -> Tensor:
        """One window, video_BCTHW in [-1, 1]; arguments as in `rollout`, with `num_frames` mel segments."""

    def forward(
        self,
        image_BCHW: Tensor,
        mels_BSFMU: Tensor,
        label_BK: Tensor,
        noise_BZ: Tensor,
        window: WindowInputs | None = None,
    ) -> Tensor:
        """See `VideoGenerator.forward`."""
        video_BCTHW = self.generate_window(image_BCHW, mels_BSFMU.flatten(1, 2), label_BK, noise_BZ)
        return video_BCTHW.unflatten(2, mels_BSFMU.shape[1:3]).transpose(1, 2)

    def rollout(
        self,
        image_BCHW: Tensor,
        mels_BTMU: Tensor,
        label_BK: Tensor,
        noise_BZ: Tensor,
        *,
        window: WindowInputs | None = None,
    ) -> Tensor:
        """See `VideoGenerator.rollout`. Each window starts from the last frame of the previous one."""
        videos: list[Tensor] = []
        start = image_BCHW
        for mels in mels_BTMU.split(self.num_frames, dim=1):
            videos.append(self.generate_window(start, mels, label_BK, noise_BZ))
            start = videos[-1][:, :, -1]
        return torch.cat(videos, dim=2)


class WindowDiscriminators(Discriminators):
    """An image discriminator on single frames of a window, and a video discriminator on the whole window.

    Args:
        image: frames_BCHW -> logits, any number per frame.
        video: (video_BCTHW, label_BK) -> `VideoOutput`.
        mixes_videos: see `Discriminators`.
    """

    def __init__(self, image: nn.Module, video: nn.Module, *, mixes_videos: bool = False) -> None:
        super().__init__()
        self.image, self.video, self.mixes_videos = image, video, mixes_videos

    def forward(
        self, clips_BSCFHW: Tensor, label_BK: Tensor, frame_index_BS: Tensor, mels_BSFMU: Tensor | None = None
    ) -> DiscriminatorOutput:
        """See `Discriminators.forward`. `frame_index_BS` counts the frames of the window; `mels_BSFMU` is not used."""
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
    """Latent codes of single frames -> frames: 4x4 transposed convolutions without bias, batch norm, ReLU, tanh (DCGAN).

    Args:
        code_dim: size of a frame's latent code.
        width: channels at half resolution; doubled at each lower resolution, up to 8 times this value.
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
        """video_BCTHW in [-1, 1]; the frames are folded into the batch."""
        frames = self.layers(codes_BTD.flatten(0, 1)[:, :, None, None])
        return frames.unflatten(0, codes_BTD.shape[:2]).transpose(1, 2)


def repeat_over_time(code_BD: Tensor, num_frames: int) -> Tensor:
    """The same code at every frame, code_BTD."""
    return code_BD[:, None].expand(-1, num_frames, -1)
