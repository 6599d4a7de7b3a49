"""From windows to batches: augmentation, tensors on the device, and the interface of the loaders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cssgan import clip_permutations
from cssgan.config import Config
from cssgan.data import object_pictures, windowing
from cssgan.data.resident import ResidentSplit
from cssgan.data.sampler import BatchSampler, BatchSpec, augmentation_rng, derangement
from cssgan.data.shards import ClipInfo
from cssgan.types import Batch, ClipBatch, MelStats
from phonics_data.contract.labels import LabelSet


def to_video(frames_BTHWC: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 0..255 -> video_BCTHW float32 in [-1, 1]."""
    whole = torch.from_numpy(np.require(frames_BTHWC, requirements=["C", "W"])).to(device)
    channels_first = whole.permute(0, 4, 1, 2, 3)
    return torch.empty(channels_first.shape, device=device).copy_(channels_first).div_(127.5).sub_(1.0)


def to_uint8(video_BCTHW: Tensor) -> NDArray[np.uint8]:
    """The inverse of `to_video`: [-1, 1] -> uint8 0..255 (rounded, clipped), (B, T, H, W, C)."""
    whole = ((video_BCTHW + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return whole.permute(0, 2, 3, 4, 1).cpu().numpy()


class Augmentation(NamedTuple):
    """A random change of a window, the same for all of its frames."""

    channels: NDArray[np.int64]
    """Order of the colour channels, (3,)."""
    inversion: NDArray[np.uint8]
    """XOR mask of each channel, 0 or 255, (3,)."""
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    """Source row and column of each pixel; the edge is repeated. Letters are never mirrored."""


def sample_augmentation(rng: np.random.Generator, size: tuple[int, int], *, colour: bool, shift: int) -> Augmentation:
    """An augmentation for frames of `size` (height, width).

    Args:
        colour: permute the channels and invert each with probability 1/2.
        shift: translate by up to so many pixels in each direction.
    """
    channels, inversion = np.arange(3), np.zeros(3, np.uint8)
    if colour:
        channels, inversion = rng.permutation(3), (rng.integers(2, size=3) * 255).astype(np.uint8)
    offsets = rng.integers(-shift, shift + 1, size=2) if shift else np.zeros(2, np.int64)
    rows, columns = (np.clip(np.arange(n) - offset, 0, n - 1) for n, offset in zip(size, offsets, strict=True))
    return Augmentation(channels, inversion, rows, columns)


def augment(frames_THWC: NDArray[np.uint8], rng: np.random.Generator, *, colour: bool, shift: int) -> NDArray[np.uint8]:
    """A window with a random augmentation; motion is unchanged because all frames get the same one."""
    size = (frames_THWC.shape[1], frames_THWC.shape[2])
    channels, inversion, rows, columns = sample_augmentation(rng, size, colour=colour, shift=shift)
    return frames_THWC[:, rows[:, None], columns][..., channels] ^ inversion


def augment_window(frames_THWC: NDArray[np.uint8], config: Config, position: int) -> NDArray[np.uint8]:
    """The window of the video at `position`, augmented by `data.augment_colour` and `data.augment_shift`."""
    colour, shift = config.data.augment_colour, config.data.augment_shift
    if not colour and not shift:
        return frames_THWC
    return augment(frames_THWC, augmentation_rng(config, position), colour=colour, shift=shift)


def augment_boxes(
    boxes_T4: NDArray[np.float32], config: Config, position: int, size: tuple[int, int]
) -> NDArray[np.float32]:
    """The object's boxes in the window of the video at `position`, moved as `augment_window` moves its pixels.

    Args:
        size: height and width of the frames.
    """
    shift = config.data.augment_shift
    if not shift:
        return boxes_T4
    drawn = sample_augmentation(
        augmentation_rng(config, position), size, colour=config.data.augment_colour, shift=shift
    )
    # Row and column from which the middle pixel is read; shifts are smaller than half of the frame.
    middle_y, middle_x = size[0] // 2, size[1] // 2
    moved_y, moved_x = (middle_y - drawn.rows[middle_y]) / size[0], (middle_x - drawn.columns[middle_x]) / size[1]
    moved_T4 = np.clip(boxes_T4 + np.array([moved_x, moved_y, moved_x, moved_y]), 0.0, 1.0).astype(np.float32)
    return np.where((boxes_T4 == 0).all(axis=1, keepdims=True), np.float32(0.0), moved_T4)


def augment_object(picture_HWC: NDArray[np.uint8], config: Config, position: int) -> NDArray[np.uint8]:
    """The object picture (RGBA) of the video at `position`, with the colours that `augment_window` gives to its window."""
    if not config.data.augment_colour:
        return picture_HWC
    channels, inversion, _, _ = sample_augmentation(augmentation_rng(config, position), (1, 1), colour=True, shift=0)
    return np.concatenate((picture_HWC[..., :3][..., channels] ^ inversion, picture_HWC[..., 3:]), axis=2)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ResidentRows:
    """The local rows of a batch as row numbers of a `ResidentSplit`."""

    spec: BatchSpec
    frames_BT: NDArray[np.int64]
    """In `ResidentSplit.frames_NHWC`."""
    hops_BTU: NDArray[np.int64]
    """In `ResidentSplit.hops_HM`."""
    objects_BHWC: NDArray[np.uint8] | None
    """Object pictures, augmented (`cssgan.data.object_pictures`); None without `model.object_condition`."""
    boxes_BT4: NDArray[np.float32] | None
    """Boxes of the objects, augmented; None without `loss.place_weight`."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HostBatch:
    """The local rows of a batch in host memory, in compact form. It can be prepared while a step runs."""

    spec: BatchSpec
    frames_BTHWC: NDArray[np.uint8]
    mels_BTMU: NDArray[np.float32]
    """Standardized."""
    objects_BHWC: NDArray[np.uint8] | None
    boxes_BT4: NDArray[np.float32] | None
    """Both as in `ResidentRows`."""


def to_batch(
    config: Config,
    spec: BatchSpec,
    *,
    video_BCTHW: Tensor,
    mels_BTMU: Tensor,
    objects_BHWC: NDArray[np.uint8] | None,
    boxes_BT4: NDArray[np.float32] | None,
    num_classes: int,
) -> Batch:
    """The local rows of a batch; `video_BCTHW` and `mels_BTMU` are on the device already.

    With several processes, the denominators of the losses come from the random values of the whole batch.

    Args:
        objects_BHWC, boxes_BT4: see `ResidentRows`.
    """
    randomness, rows = spec.randomness, spec.rows
    device = video_BCTHW.device
    fraction = len(spec.keys) / len(randomness.starts)
    num_valid_B = randomness.num_valid_B
    mask_B = (~randomness.forced_B & (num_valid_B == config.data.num_frames)).astype(np.float32)

    def to_device(array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(device)

    def denominator(whole: NDArray[Any]) -> Tensor | None:
        if fraction == 1.0:
            return None
        return torch.tensor(max(float(whole.sum()), 1.0) * fraction, dtype=torch.float32, device=device)

    keeps_picture, keeps_word = randomness.keeps_object_B[rows], randomness.keeps_word_B[rows]
    pictures = None if objects_BHWC is None else objects_BHWC * keeps_picture[:, None, None, None]
    words = [word if kept else "" for word, kept in zip(spec.object_words, keeps_word, strict=True)]
    object_BCHW, word_BE = object_pictures.model_inputs(config, pictures, words, device)
    boxes = None
    if boxes_BT4 is not None:
        boxes = to_device(np.where(keeps_picture[:, None, None], boxes_BT4, np.float32(np.nan)))
    return Batch(
        keys=spec.keys,
        video_BCTHW=video_BCTHW,
        mels_BTMU=mels_BTMU,
        label_BK=functional.one_hot(torch.tensor(spec.labels, device=device), num_classes).float(),
        num_valid_B=to_device(num_valid_B[rows]),
        order_B=to_device(randomness.orders_B[rows]),
        order_mask_B=to_device(mask_B[rows]),
        in_order_B=to_device(randomness.forced_B[rows]),
        frame_index_BS=to_device(randomness.frame_index_BS[rows]),
        noise_BZ=to_device(randomness.noise_BZ[rows]),
        augment_BUA=None if randomness.augment_BUA is None else to_device(randomness.augment_BUA[rows]),
        mismatch_BU=None if randomness.mismatch_BU is None else to_device(randomness.mismatch_BU[rows]),
        item_B=None if randomness.mismatch_BU is None else torch.tensor(spec.items, device=device),
        object_BCHW=object_BCHW,
        word_BE=word_BE,
        boxes_BT4=boxes,
        l1_denominator=denominator(num_valid_B),
        order_denominator=denominator(mask_B),
        image_denominator=denominator(num_clips_with_frames(num_valid_B, config.frames_per_clip)),
    )


def micro_batches(batch: Batch, config: Config) -> list[Batch]:
    """`batch` in `train.accumulate` equal parts; the mean of their mean losses is the mean loss of the whole batch."""
    parts = config.train.accumulate
    if parts == 1:
        return [batch]
    size = batch.num_videos // parts
    num_valid = batch.num_valid_B.sum().float() if batch.l1_denominator is None else batch.l1_denominator
    num_masked = batch.order_mask_B.sum().clamp(min=1.0) if batch.order_denominator is None else batch.order_denominator
    num_images = batch.image_denominator
    if num_images is None:
        num_images = num_clips_with_frames(batch.num_valid_B, config.frames_per_clip).sum().float()

    def part(rows: slice) -> Batch:
        cut = {
            name: value[rows]
            for name in ("keys", *_PER_ROW)
            if (value := cast("Tensor | None", getattr(batch, name))) is not None
        }
        return replace(
            batch, **cut, l1_denominator=num_valid / parts, order_denominator=num_masked / parts,
            image_denominator=num_images / parts,
        )  # fmt: skip

    return [part(slice(first, first + size)) for first in range(0, batch.num_videos, size)]


Counts = TypeVar("Counts", NDArray[np.int64], Tensor)


def num_clips_with_frames(num_valid_B: Counts, frames_per_clip: int) -> Counts:
    """Number of clips of a window that have a valid frame."""
    return -(-num_valid_B // frames_per_clip)


_PER_ROW = (
    "video_BCTHW", "mels_BTMU", "label_BK", "num_valid_B", "order_B", "order_mask_B", "in_order_B", "frame_index_BS",
    "noise_BZ", "augment_BUA", "mismatch_BU", "item_B", "object_BCHW", "word_BE", "boxes_BT4",
)  # fmt: skip


Prepared = TypeVar("Prepared")


class PreparedLoader(ABC, Generic[Prepared]):
    """A loader in two steps: `prepare` on the host, which `PrefetchLoader` runs in advance, and `place` on the device."""

    __slots__ = ()
    config: Config
    device: torch.device

    @property
    @abstractmethod
    def label_set(self) -> LabelSet: ...

    @property
    @abstractmethod
    def frame_rate(self) -> Fraction: ...

    @abstractmethod
    def prepare(self, position: int) -> Prepared:
        """The host's part of this process's rows of the batch at `position`; it does not use the device."""

    @abstractmethod
    def place(self, prepared: Prepared) -> Batch:
        """The batch on the device."""

    def batch(self, position: int) -> Batch:
        """This process's rows of the batch at `position`; raises as `prepare`."""
        return self.place(self.prepare(position))

    def close(self) -> None:
        """Close files and end processes."""


class DecodableData(Protocol):
    """A training set: resident or indexed."""

    @property
    def clips(self) -> Sequence[ClipInfo]: ...

    @property
    def label_set(self) -> LabelSet: ...

    @property
    def frame_rate(self) -> Fraction: ...


Data = TypeVar("Data", bound=DecodableData)


@dataclass(kw_only=True, slots=True, eq=False)
class GatherLoader(PreparedLoader[HostBatch], Generic[Data]):
    """A loader that gathers frames and audio on the host.

    Args:
        rank, world: number of this training process, and how many processes share each batch.
    """

    data: Data
    config: Config
    mel_stats: MelStats
    device: torch.device
    rank: int = 0
    world: int = 1
    sampler: BatchSampler = field(init=False)

    def __post_init__(self) -> None:
        self.sampler = BatchSampler(
            config=self.config, clips=self.data.clips, label_set=self.label_set, rank=self.rank, world=self.world
        )

    @property
    def label_set(self) -> LabelSet:
        return self.data.label_set

    @property
    def frame_rate(self) -> Fraction:
        return self.data.frame_rate

    def place(self, prepared: HostBatch) -> Batch:
        """See `PreparedLoader`."""
        return to_batch(
            self.config,
            prepared.spec,
            video_BCTHW=to_video(prepared.frames_BTHWC, self.device),
            mels_BTMU=torch.from_numpy(prepared.mels_BTMU).to(self.device),
            objects_BHWC=prepared.objects_BHWC,
            boxes_BT4=prepared.boxes_BT4,
            num_classes=len(self.label_set),
        )


Wrapped = TypeVar("Wrapped", bound=PreparedLoader[Any])


@dataclass(kw_only=True, slots=True, eq=False)
class LoaderWrapper(Generic[Wrapped]):
    """A loader that yields the batches of `wrapped`."""

    wrapped: Wrapped

    @property
    def label_set(self) -> LabelSet:
        return self.wrapped.label_set

    @property
    def frame_rate(self) -> Fraction:
        return self.wrapped.frame_rate


@dataclass(kw_only=True, slots=True, eq=False)
class ResidentLoader(GatherLoader[ResidentSplit]):
    """Batches from a decoded training set."""

    _audio_of: NDArray[np.int64] | None = None
    """Control run (`data.shuffle_audio`): for each clip, the clip whose audio it gets."""

    def __post_init__(self) -> None:
        GatherLoader.__post_init__(self)
        if self.config.data.shuffle_audio:
            self._audio_of = derangement(len(self.data.clips), self.config.train.seed)

    def prepare(self, position: int) -> HostBatch:
        """See `PreparedLoader`."""
        found, data = self.rows(position), self.data
        frames_BTHWC = data.frames_NHWC[found.frames_BT]
        if self.config.data.augment_colour or self.config.data.augment_shift:
            first = found.spec.first_position
            windows = [augment_window(window, self.config, first + row) for row, window in enumerate(frames_BTHWC)]
            frames_BTHWC = np.stack(windows)
        return HostBatch(
            spec=found.spec,
            frames_BTHWC=frames_BTHWC,
            mels_BTMU=windowing.standardize(windowing.segments(data.hops_HM, found.hops_BTU), self.mel_stats),
            objects_BHWC=found.objects_BHWC,
            boxes_BT4=found.boxes_BT4,
        )

    def rows(self, position: int) -> ResidentRows:
        """The row numbers of the batch at `position`."""
        data, spec = self.data, self.sampler.spec(position)
        audio_items = spec.items if self._audio_of is None else [int(self._audio_of[item]) for item in spec.items]
        frames_BT, hops_BTU = data.rows(
            [(data.clips[item], data.clips[audio]) for item, audio in zip(spec.items, audio_items, strict=True)],
            spec.starts,
            self.config.data.num_frames,
            stride=self.config.data.frame_stride,
            clip_frames=self.config.context_frames,
        )
        return ResidentRows(
            spec=spec,
            frames_BT=frames_BT,
            hops_BTU=hops_BTU,
            objects_BHWC=self._objects(spec),
            boxes_BT4=self._boxes(spec, frames_BT),
        )

    def _boxes(self, spec: BatchSpec, frames_BT: NDArray[np.int64]) -> NDArray[np.float32] | None:
        if not self.config.loss.place_weight:
            return None
        size = (int(self.data.frames_NHWC.shape[1]), int(self.data.frames_NHWC.shape[2]))
        return np.stack(
            [
                augment_boxes(boxes_T4, self.config, spec.first_position + row, size)
                for row, boxes_T4 in enumerate(self.data.boxes_N4[frames_BT])
            ]
        )

    def _objects(self, spec: BatchSpec) -> NDArray[np.uint8] | None:
        if not self.config.model.object_condition:
            return None
        pictures = self.data.objects_NHWC[[self.data.clips[item].object_row for item in spec.items]]
        return np.stack(
            [augment_object(picture, self.config, spec.first_position + row) for row, picture in enumerate(pictures)]
        )


def cut_clips(batch: Batch, num_clips: int, clip_at_BS: Tensor) -> ClipBatch:
    """The batch cut into clips, presented in the order `clip_at_BS` (`cssgan.clip_permutations.clip_at`)."""

    def cut(values_BT: Tensor) -> Tensor:
        return clip_permutations.permute(values_BT.unflatten(1, (num_clips, -1)), clip_at_BS)

    clips = batch.video_BCTHW.unflatten(2, (num_clips, -1)).transpose(1, 2)
    frames_T = torch.arange(batch.video_BCTHW.shape[2], device=batch.num_valid_B.device)
    valid_BT = (frames_T < batch.num_valid_B[:, None]).float()
    is_last_BT = (frames_T == batch.num_valid_B[:, None] - 1).int()
    return ClipBatch(
        clips_BSCFHW=clip_permutations.permute(clips, clip_at_BS),
        mels_BSFMU=cut(batch.mels_BTMU),
        valid_BSF=cut(valid_BT),
        last_valid_B=cut(is_last_BT).flatten(1).argmax(dim=1),
        order_B=batch.order_B,
        boxes_BSF4=None if batch.boxes_BT4 is None else cut(batch.boxes_BT4),
    )
