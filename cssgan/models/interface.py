"""What every generator of this project can do, and all that discriminators its videos, whichever paper they come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import cast

import torch
from torch import Tensor, nn


class VideoGenerator(nn.Module, ABC):
    """One picture, the sound of each frame, a class -> a video. `cssgan.models.factory.generator` makes one from a config."""

    @abstractmethod
    def forward(self, image_BCHW: Tensor, mels_BSFMU: Tensor, label_BK: Tensor, noise_BZ: Tensor) -> Tensor:
        """Training: the clips of a window, in the order in which their sounds are presented.

        Args:
            image_BCHW: start image, [-1, 1].
            mels_BSFMU: standardized segments of S clips of F frames.
            label_BK: one-hot class.
            noise_BZ: Z may be 0.

        Returns:
            clips_BSCFHW in [-1, 1].
        """

    @abstractmethod
    def rollout(self, image_BCHW: Tensor, mels_BTMU: Tensor, label_BK: Tensor, noise_BZ: Tensor) -> Tensor:
        """Use: a video in time order, video_BCTHW, of any whole number of streams."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DiscriminatorOutput:
    """What the discriminators say of a batch: logits, > 0 for real. None: nobody discriminators that."""

    image_BS: Tensor
    """Of single frames: one logit a frame, or one a patch of it."""
    clip_BS: Tensor | None = None
    video_B: Tensor | None = None
    """Of whole windows; (batch, places) where a discriminator gives a logit at several places in time."""
    features_BSDHW: Tensor | None = None
    """Features of the clips, for the order predictor."""
    class_BVK: Tensor | None = None
    """Class logits at each place in time, of a video discriminator that names the class."""

    def in_float32(self) -> DiscriminatorOutput:
        """The same with logits in float32; features stay as they are."""
        return replace(self._each(lambda value, _: value.float()), features_BSDHW=self.features_BSDHW)

    def first(self, count: int) -> DiscriminatorOutput:
        """What is said of the first `count` videos."""
        return self._each(lambda value, _: value[:count])

    def then(self, other: DiscriminatorOutput) -> DiscriminatorOutput:
        """This verdict and that on further videos, as one."""
        return self._each(lambda value, name: torch.cat((value, cast(Tensor, getattr(other, name)))))

    def _each(self, change: Callable[[Tensor, str], Tensor]) -> DiscriminatorOutput:
        values = {field.name: cast("Tensor | None", getattr(self, field.name)) for field in fields(self)}
        return replace(self, **{name: change(value, name) for name, value in values.items() if value is not None})


class Discriminators(nn.Module, ABC):
    """All discriminators of a model as one. `cssgan.models.factory.discriminators` makes one from a config."""

    together = True
    """Whether real and generated videos may be judged in one pass; not where norms take the statistics of a batch."""

    @abstractmethod
    def forward(
        self, clips_BSCFHW: Tensor, label_BK: Tensor, frame_index_BS: Tensor, mels_BSFMU: Tensor | None = None
    ) -> DiscriminatorOutput:
        """Judge windows, cut into clips in presentation order.

        Args:
            clips_BSCFHW: [-1, 1], real or generated.
            label_BK: one-hot class.
            frame_index_BS: which frames the image discriminator sees (`cssgan.config.Config.discriminator_frames`).
            mels_BSFMU: sounds of the clips, for discriminators that hear.
        """

    def predict_order(self, features_BSDHW: Tensor | None, permutation_BS: Tensor) -> Tensor | None:
        """Order logits_BP for clips whose position k shows entry permutation_BS[:, k]; None without an order predictor."""
        return None
