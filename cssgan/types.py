"""Shapes and the records that travel through the trainer.

Shape legend, the last letters of a tensor's name::

    B batch            T frames of a video (32)     S streams (4; also: clips of a video)
    F frames of a clip (8)                          C channels (3)
    H W height, width (64)                          M mel bands (64)       U mel steps of a segment (20)
    K classes (26)     P orders (24)                L frames of a short video
    N audio samples, or videos of a whole set       D features             Z noise

Pictures are float32 in [-1, 1] inside the trainer and uint8 0..255 outside. Mels are log-mel segments, one a frame,
standardized with the training set's mean and deviation and clamped (model inputs), unless a name says ``raw``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from phonics_data.contract.labels import LabelSet

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class MelStats:
    """Mean and standard deviation of the log-mel values of the training set (scalars), and the clamp after both."""

    mean: float
    std: float
    clamp: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Window:
    """`T` consecutive frames of one short video with the sound of each frame."""

    key: str
    start_frame: int
    frames_THWC: NDArray[np.uint8]
    """Past `num_valid_frames` the last frame is held."""
    raw_mels_TMU: NDArray[np.float32]
    """Log-mel, not standardized; silence past the end of the sound."""
    label_index: int
    num_valid_frames: int
    frame_rate: Fraction


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EvalWindows:
    """The windows that a model is judged on: the first `T` frames of every short video of a split, one each."""

    keys: tuple[str, ...]
    video_ids: tuple[str, ...]
    """Source video of each."""
    label_set: LabelSet
    labels_N: NDArray[np.int64]
    """Class indices in `label_set`."""
    video_NTHWC: NDArray[np.uint8]
    """RGB at the model's size; past `num_valid_N` the last frame is held."""
    raw_mels_NTMU: NDArray[np.float32]
    """Log-mel as `phonics_data.contract.logmel` gives it."""
    mels_NTMU: NDArray[np.float32]
    """The same, standardized and clamped: what the model is given."""
    num_valid_N: NDArray[np.int64]
    frame_rates: tuple[Fraction, ...]

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Batch:
    """What one training step needs, in time order, with every random draw already made."""

    keys: tuple[str, ...]
    video_BCTHW: Tensor
    mels_BTMU: Tensor
    label_BK: Tensor
    """One-hot, float32."""
    num_valid_B: Tensor
    """int64, 1..T: frames past it are held copies and are masked out of L1."""
    order_B: Tensor
    """int64 rank of the permutation, 0..P-1: position k shows clip `permutations(S)[rank][k]`."""
    order_counts_B: Tensor
    """float32, 1 where the order is a puzzle, 0 where time order was forced (`order.p_in_order`)."""
    frame_index_BS: Tensor
    """int64, 0..F-1: the frame of each clip that the image discriminator sees; for models that know no clips (B, 1),
    0..T-1: the frame of the window."""
    noise_BZ: Tensor
    augment_BUA: Tensor | None = None
    """Uniform numbers for `cssgan.training.augmentation`, where that is on."""
    mean_valid: Tensor | None = None
    """Scalar float32. In a part of a larger batch (`cssgan.data.batches.split`, several processes): the mean number of
    valid frames of its parts, which L1 is divided by, so that the mean over parts is that of the whole."""
    mean_counts: Tensor | None = None
    """The same for `order_counts_B`."""

    @property
    def num_videos(self) -> int:
        return int(self.video_BCTHW.shape[0])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Streams:
    """A batch cut into clips, in presentation order (`order_B` says which)."""

    clips_BSCFHW: Tensor
    mels_BSFMU: Tensor
    valid_BSF: Tensor
    """float32, 1 for a true frame, 0 for a held one."""
    order_B: Tensor


LossTerms = dict[str, float]
"""Mean values since the last line of stats.jsonl, by name. `cssgan.training.step.TERMS` says what each one is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Where a run stands. Everything random in training is a function of the seed and `num_videos`."""

    num_videos: int = 0
    """Videos seen, the trainer's clock."""
    num_steps: int = 0
    wall_seconds: float = 0.0
    """Training time, over all starts of the run."""
