"""Records of the trainer, and the legend of tensor shapes.

The last letters of a tensor's name are its axes:

    B batch            T frames of a window (32)    S streams (4; also: clips of a window)
    F frames of a clip (8)                          C channels (3)
    H W height, width (64)                          M mel bands (64)       U mel steps of a segment (20)
    K classes (26)     P orders (24)                L frames of a dataset clip
    N audio samples, or videos of a whole set       D features             Z noise
    V positions in time of a discriminator's logits                E word embedding

Frames are float32 in [-1, 1] inside the trainer and uint8 0..255 outside. Mels are log-mel segments, one per frame,
standardized with the training set's mean and standard deviation and clamped; names with ``raw``: not standardized.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from phonics_data.contract.records import from_plain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from phonics_data.contract.labels import LabelSet

Split = Literal["train", "validation", "test", "unseen-styles"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test", "unseen-styles")
"""``unseen-styles``: songs of styles that no training song has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MelStats:
    """Mean and standard deviation of the log-mel values of the training set, and the clamp of standardized values."""

    mean: float
    std: float
    clamp: float

    @classmethod
    def from_json(cls, fields: object) -> MelStats:
        """Of a file. Raises ValueError for values that are not finite, or a deviation or clamp that is not above 0."""
        stats = from_plain(cls, fields)
        if stats.std <= 0 or stats.clamp <= 0:
            raise ValueError(f"mel_stats: got std {stats.std:g} and clamp {stats.clamp:g}, allowed: above 0")
        return stats


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Window:
    """`T` consecutive frames of one dataset clip with the mel segment of each frame."""

    key: str
    start_frame: int
    frames_THWC: NDArray[np.uint8]
    """Frames past `num_valid_frames` repeat the last valid one."""
    raw_mels_TMU: NDArray[np.float32]
    """Log-mel, not standardized; silence past the end of the audio."""
    label_index: int
    num_valid_frames: int
    frame_rate: Fraction


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EvalWindows:
    """The windows that a model is evaluated on: `T` frames of each clip of a split."""

    keys: tuple[str, ...]
    video_ids: tuple[str, ...]
    """Source video of each window; of videos in a group (all clips of one song), the group."""
    label_set: LabelSet
    labels_N: NDArray[np.int64]
    """Class indices in `label_set`."""
    video_NTHWC: NDArray[np.uint8]
    """RGB at the model's size; frames past `num_valid_N` repeat the last valid one."""
    raw_mels_NTMU: NDArray[np.float32]
    """Log-mel of `phonics_data.contract.logmel`."""
    mels_NTMU: NDArray[np.float32]
    """Standardized and clamped: the model's input."""
    num_valid_N: NDArray[np.int64]
    frame_rates: tuple[Fraction, ...]
    start_seconds: tuple[float, ...]
    """Time of each window's first frame in its source video."""
    object_words: tuple[str, ...]
    """Object word of each clip; empty if it has none."""
    objects_NHWC: NDArray[np.uint8] | None = None
    """Object picture of each clip, RGBA (`cssgan.data.object_pictures`), zeros if it has none; None: no pictures at all."""

    def __len__(self) -> int:
        return len(self.keys)

    def select(self, index_M: NDArray[np.int64]) -> EvalWindows:
        """The windows `index_M`, in that order."""
        return EvalWindows(
            keys=tuple(self.keys[n] for n in index_M),
            video_ids=tuple(self.video_ids[n] for n in index_M),
            label_set=self.label_set,
            labels_N=self.labels_N[index_M],
            video_NTHWC=self.video_NTHWC[index_M],
            raw_mels_NTMU=self.raw_mels_NTMU[index_M],
            mels_NTMU=self.mels_NTMU[index_M],
            num_valid_N=self.num_valid_N[index_M],
            frame_rates=tuple(self.frame_rates[n] for n in index_M),
            start_seconds=tuple(self.start_seconds[n] for n in index_M),
            object_words=tuple(self.object_words[n] for n in index_M),
            objects_NHWC=None if self.objects_NHWC is None else self.objects_NHWC[index_M],
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Batch:
    """Inputs of one training step in time order, all random numbers included."""

    keys: tuple[str, ...]
    video_BCTHW: Tensor
    mels_BTMU: Tensor
    label_BK: Tensor
    """One-hot, float32."""
    num_valid_B: Tensor
    """int64, 1..T. Later frames are held: they repeat the last frame of the clip, and no loss depends on them."""
    order_B: Tensor
    """int64 rank of the permutation, 0..P-1: position k holds clip `permutations(S)[rank][k]`."""
    order_mask_B: Tensor
    """float32, 1: counts in the order loss; 0: left out, because its time order was forced or frames are held."""
    in_order_B: Tensor
    """bool: the time order was forced (`order.p_in_order`)."""
    frame_index_BS: Tensor
    """int64, the frame that the image discriminator receives, a valid one if there is one: of each clip in presentation
    order, 0..F-1; baselines: of the window, (B, 1), 0..T-1."""
    noise_BZ: Tensor
    augment_BUA: Tensor | None = None
    """Uniform random numbers for `cssgan.training.augmentation`; None without augmentation."""
    mismatch_BU: Tensor | None = None
    """Uniform random numbers that choose a wrong sound (`loss.mismatch_weight`); None without it."""
    item_B: Tensor | None = None
    """int64 number of the clip of each row, which may be in a batch more than once; set with `mismatch_BU`."""
    object_BCHW: Tensor | None = None
    """Object pictures (`cssgan.data.object_pictures.to_input`), C = 4: all zeros where `model.object_dropout` or the clip
    leaves none; None without `model.object_condition`."""
    word_BE: Tensor | None = None
    """Embeddings of the object words (`cssgan.data.word_embedding`), zeros for none; None without `model.word_dim`."""
    boxes_BT4: Tensor | None = None
    """The box of the object of `object_BCHW` in each frame (`phonics_data.contract.sample.Sample`): NaN where it is not known and
    where the picture was left out; None without `loss.place_weight`."""
    l1_denominator: Tensor | None = None
    """Scalar float32. Set in a part of a larger batch (micro-batches, several processes): the mean number of valid frames
    per part. L1 is divided by it, so that the mean over the parts is the L1 of the whole batch."""
    order_denominator: Tensor | None = None
    """The same for the order loss and `order_mask_B`."""
    image_denominator: Tensor | None = None
    """The same for the image discriminator: the mean number of clips with a valid frame per part."""

    @property
    def num_videos(self) -> int:
        return int(self.video_BCTHW.shape[0])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClipBatch:
    """A batch cut into clips, in the order given by `order_B`."""

    clips_BSCFHW: Tensor
    mels_BSFMU: Tensor
    valid_BSF: Tensor
    """float32, 1: valid frame; 0: held frame."""
    last_valid_B: Tensor
    """int64, place of the window's last valid frame among the S x F frames in presentation order."""
    order_B: Tensor
    boxes_BSF4: Tensor | None = None
    """`Batch.boxes_BT4`."""


LossTerms = dict[str, float]
"""Mean values since the last line of stats.jsonl, by name. `cssgan.training.step.TERMS` describes them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Position in a run. All randomness in training is a function of the seed and `num_videos`."""

    num_videos: int = 0
    """Videos seen."""
    num_steps: int = 0
    wall_seconds: float = 0.0
    """Training time, over all starts of the run."""

    @classmethod
    def from_json(cls, fields: object) -> Progress:
        """Of a file. Raises ValueError for other values than numbers from 0 on."""
        progress = from_plain(cls, fields)
        if min(progress.num_videos, progress.num_steps, progress.wall_seconds) < 0:
            raise ValueError(f"progress: got {progress}, allowed: numbers from 0 on")
        return progress
