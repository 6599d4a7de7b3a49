"""Interfaces of all generators and discriminators, those of the paper and of the baselines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import cast

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WindowInputs:
    """Inputs that the cssgan alone uses. None: the default of each field."""

    clip_at_BS: Tensor | None = None
    """The clip (number in time) at each position; default: time order. Used with `model.audio_context` = window."""
    starts_BSCHW: Tensor | None = None
    """A start image for each stream, used where `given_B` is true; default: those of the cascade."""
    given_B: Tensor | None = None
    """bool; required with `starts_BSCHW`."""
    object_BCHW: Tensor | None = None
    """Object pictures with alpha, C = 4 (`cssgan.data.object_pictures`); default: no object. Used with
    `model.object_condition`."""
    word_BE: Tensor | None = None
    """Embedded object words; default: no words. Used with `model.word_dim`."""
    placings: list[Tensor] | None = None
    """An empty list, to which the generator appends the placing_BFP of each stream (`cssgan.models.object_picture`); default: not kept."""


class VideoGenerator(nn.Module, ABC):
    """Start image, audio of each frame, class -> video. Created by `cssgan.models.factory.generator`."""

    @abstractmethod
    def forward(
        self,
        image_BCHW: Tensor,
        mels_BSFMU: Tensor,
        label_BK: Tensor,
        noise_BZ: Tensor,
        window: WindowInputs | None = None,
    ) -> Tensor:
        """Training: generate the clips of a window, in the order of their mel segments.

        Args:
            image_BCHW: start image, [-1, 1].
            mels_BSFMU: standardized mel segments of S clips of F frames.
            label_BK: one-hot class.
            noise_BZ: Z may be 0.
            window: inputs that models other than the cssgan ignore.

        Returns:
            clips_BSCFHW in [-1, 1].
        """

    @abstractmethod
    def rollout(
        self,
        image_BCHW: Tensor,
        mels_BTMU: Tensor,
        label_BK: Tensor,
        noise_BZ: Tensor,
        *,
        window: WindowInputs | None = None,
    ) -> Tensor:
        """Inference: generate video_BCTHW in time order, of any whole number of streams.

        Args:
            window: only its object pictures and words are used.
        """

    def rollout_held(
        self,
        image_BCHW: Tensor,
        mels_BTMU: Tensor,
        label_BK: Tensor,
        noise_BZ: Tensor,
        *,
        stride: int,
        window: WindowInputs | None = None,
    ) -> Tensor:
        """`rollout` at the frame rate of the source: one mel segment in and one frame out for each of its frames.

        The model generates a frame from every `stride`-th segment (`data.frame_stride`), and that frame is held until the
        next one. Frames in between are not interpolated: a mixture of two frames is a picture that the model never
        generated, and it would begin to show a frame before the sound that this frame belongs to.

        Args:
            mels_BTMU: T is a multiple of `stride` times the frames of a stream.

        Returns:
            video_BCTHW in [-1, 1]; frames 0 .. stride - 1 are equal, and so on.
        """
        video_BCTHW = self.rollout(image_BCHW, mels_BTMU[:, ::stride], label_BK, noise_BZ, window=window)
        return video_BCTHW if stride == 1 else video_BCTHW.repeat_interleave(stride, dim=2)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DiscriminatorOutput:
    """Logits (positive: real) and features of a batch. None: this model has no such discriminator."""

    image_BS: Tensor
    """Of single frames: one logit per frame, or one per patch of it."""
    clip_BS: Tensor | None = None
    video_B: Tensor | None = None
    """Of whole windows; (B, V) for discriminators with a logit at each of V positions in time."""
    features_BSDHW: Tensor | None = None
    """Features of the clips, for the order predictor."""
    edges_BSECHW: Tensor | None = None
    """First and last frame of each clip (E = 2), for the order predictor with `discriminator.order_head` = seam."""
    class_BVK: Tensor | None = None
    """Class logits at each position in time, of a video discriminator that predicts the class."""

    def in_float32(self) -> DiscriminatorOutput:
        """A copy with logits in float32; features and frames keep their dtype."""
        kept = {"features_BSDHW": self.features_BSDHW, "edges_BSECHW": self.edges_BSECHW}
        return replace(self._map(lambda value, _: value.float()), **kept)

    def take(self, count: int) -> DiscriminatorOutput:
        """The output of the first `count` videos."""
        return self._map(lambda value, _: value[:count])

    def concat(self, other: DiscriminatorOutput) -> DiscriminatorOutput:
        """The output of this batch followed by that of `other`."""
        return self._map(lambda value, name: torch.cat((value, cast(Tensor, getattr(other, name)))))

    def _map(self, function: Callable[[Tensor, str], Tensor]) -> DiscriminatorOutput:
        values = {field.name: cast("Tensor | None", getattr(self, field.name)) for field in fields(self)}
        return replace(self, **{name: function(value, name) for name, value in values.items() if value is not None})


class Discriminators(nn.Module, ABC):
    """All discriminators of a model as one module. Created by `cssgan.models.factory.discriminators`."""

    mixes_videos = False
    """Whether batch norm mixes the videos of a batch. If so, real and generated videos need separate forward passes."""

    @abstractmethod
    def forward(
        self, clips_BSCFHW: Tensor, label_BK: Tensor, frame_index_BS: Tensor, mels_BSFMU: Tensor | None = None
    ) -> DiscriminatorOutput:
        """Discriminate windows that are cut into clips in presentation order.

        Args:
            clips_BSCFHW: [-1, 1], real or generated.
            label_BK: one-hot class.
            frame_index_BS: frames for the image discriminator (`cssgan.config.Config.discriminator_frames`).
            mels_BSFMU: mel segments of the clips, for audio-conditioned discriminators.
        """

    def clip_logits(self, clips_BSCFHW: Tensor, label_BK: Tensor, mels_BSFMU: Tensor | None = None) -> Tensor:
        """The clip discriminator alone, logits_BS; any number of clips. Only the cssgan has it.

        Arguments as in `forward`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no clip discriminator")

    def predict_order(self, output: DiscriminatorOutput, permutation_BS: Tensor) -> Tensor | None:
        """Order logits_BP of clips whose position k holds clip permutation_BS[:, k]; None without an order predictor.

        Args:
            output: of `forward` on the clips before this permutation.
        """
        return None
