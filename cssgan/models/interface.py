"""What every generator of this project can do, whichever paper it comes from."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class VideoGenerator(nn.Module, ABC):
    """One picture, the sound of each frame, a class -> a video. `cssgan.build.generator` makes one from a config."""

    @abstractmethod
    def forward(self, image_BCHW: Tensor, mels_BSFMU: Tensor, label_BK: Tensor, noise_BZ: Tensor) -> Tensor:
        """Training: the clips of a window, in the order in which their sounds are presented.

        Args:
            image_BCHW: start image, [-1, 1].
            mels_BSFMU: standardised segments of S clips of F frames.
            label_BK: one-hot class.
            noise_BZ: Z may be 0.

        Returns:
            clips_BSCFHW in [-1, 1].
        """

    @abstractmethod
    def rollout(self, image_BCHW: Tensor, mels_BTMU: Tensor, label_BK: Tensor, noise_BZ: Tensor) -> Tensor:
        """Use: a video in time order, video_BCTHW, of any whole number of streams."""
