"""Which clips, windows and random values each batch has: functions of the seed and the position.

The position is the number of videos that training has seen before. No random generator is kept between steps,
so a resumed run gets the batches that it would have got without the interruption, with any number of processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cssgan import clip_permutations
from cssgan.config import Config
from cssgan.data import windowing
from cssgan.data.shards import ClipInfo
from phonics_data.contract.labels import LabelSet

AUGMENT_SHAPE = (3, 7)
"""Uniform numbers of a video for `cssgan.training.augmentation`: seven for each of three uses."""
MISMATCH_NUMBERS = 3
"""Uniform numbers of a video for `cssgan.training.step.mismatched_mels`."""
# One stream of random numbers for each use.
_EPOCH, _STEP, _AUDIO, _AUGMENTATION, _SHORT_CLIPS, _OBJECT = 1, 2, 3, 4, 5, 6


def derangement(count: int, seed: int) -> NDArray[np.int64]:
    """A seeded permutation of 0..count-1 without fixed points (for count > 1): one cycle through all."""
    cycle = np.random.default_rng([seed, _AUDIO]).permutation(count)
    out = np.empty(count, np.int64)
    out[cycle] = np.roll(cycle, 1)
    return out


def augmentation_rng(config: Config, position: int) -> np.random.Generator:
    """The random generator for the augmentation of the window at `position`."""
    return np.random.default_rng([config.train.seed, _AUGMENTATION, position])


def local_rows(size: int, rank: int, world: int) -> slice:
    """The rows of a batch that process `rank` of `world` works on."""
    each = size // world
    return slice(rank * each, (rank + 1) * each)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BatchRandomness:
    """Every random value of a whole batch, whichever processes work on its rows."""

    starts: list[int]
    """First frame of each window, in its clip."""
    num_valid_B: NDArray[np.int64]
    orders_B: NDArray[np.int64]
    forced_B: NDArray[np.bool_]
    """Rows whose time order was forced."""
    frame_index_BS: NDArray[np.int64]
    noise_BZ: NDArray[np.float32]
    augment_BUA: NDArray[np.float32] | None
    mismatch_BU: NDArray[np.float32] | None
    keeps_object_B: NDArray[np.bool_]
    """Rows that get their object picture (`model.object_dropout`)."""
    keeps_word_B: NDArray[np.bool_]
    """Rows that get their object word."""


def sample_randomness(config: Config, position: int, lengths: Sequence[int]) -> BatchRandomness:
    """The random values of the batch at `position`, for clips of these lengths in frames."""
    size, frames, stride = len(lengths), config.data.num_frames, config.data.frame_stride
    rng = np.random.default_rng([config.train.seed, _STEP, position])
    starts = [int(rng.integers(max(length - windowing.span(frames, stride), 0) + 1)) for length in lengths]
    random_orders = rng.integers(config.num_orders, size=size)
    is_enumerated = config.order.sampling == "enumerate"
    orders = np.arange(position, position + size) % config.num_orders if is_enumerated else random_orders
    forced = rng.random(size) < config.order.p_in_order
    num_chosen, out_of = config.discriminator_frames
    random_frames = rng.integers(out_of, size=(size, num_chosen))
    noise = rng.standard_normal((size, config.model.z_dim), dtype=np.float32)
    augment = mismatch = None
    if config.discriminator.augment != "none":
        augment = rng.random((size, *AUGMENT_SHAPE), dtype=np.float32)
    if config.loss.mismatch_weight > 0:
        mismatch = rng.random((size, MISMATCH_NUMBERS), dtype=np.float32)
    num_valid = np.array(
        [windowing.num_valid(at, frames, length, stride) for length, at in zip(lengths, starts, strict=True)], np.int64
    )
    orders = np.where(forced | (config.order.shuffle == "none"), 0, orders)
    # A second draw for clips with held frames, so that the frames of all other clips do not depend on it.
    valid_BS = _valid_frames(config, num_valid, orders)
    short_rng = np.random.default_rng([config.train.seed, _SHORT_CLIPS, position])
    valid_frames = short_rng.integers(np.maximum(valid_BS, 1))
    # A stream of its own, so that the option changes no other random value.
    kept_B2 = (
        np.random.default_rng([config.train.seed, _OBJECT, position]).random((size, 2)) >= config.model.object_dropout
    )
    return BatchRandomness(
        starts=starts,
        num_valid_B=num_valid,
        orders_B=orders,
        forced_B=forced,
        frame_index_BS=np.where(valid_BS < out_of, valid_frames, random_frames),
        noise_BZ=noise,
        augment_BUA=augment,
        mismatch_BU=mismatch,
        keeps_object_B=kept_B2[:, 0],
        keeps_word_B=kept_B2[:, 1],
    )


def _valid_frames(config: Config, num_valid_B: NDArray[np.int64], orders_B: NDArray[np.int64]) -> NDArray[np.int64]:
    """Valid frames of what each frame for the image discriminator is sampled from: clips in presentation order (B, S), or
    the window (B, 1)."""
    num_chosen, out_of = config.discriminator_frames
    if num_chosen == 1:
        return num_valid_B[:, None]
    clip_at_BS = np.broadcast_to(np.arange(num_chosen), (len(num_valid_B), num_chosen))
    if config.order.shuffle == "gen":
        clip_at_BS = clip_permutations.permutations(num_chosen, config.order.max_orders)[orders_B]
    return np.clip(num_valid_B[:, None] - clip_at_BS * out_of, 0, out_of)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BatchSpec:
    """The rows of a batch that a process works on, without their frames and audio."""

    items: list[int]
    """Clip number of each local row."""
    keys: tuple[str, ...]
    labels: list[int]
    object_words: tuple[str, ...]
    """Empty where the clip has none."""
    first_position: int
    """Position of the first local row."""
    rows: slice
    """The local rows in the whole batch."""
    randomness: BatchRandomness

    @property
    def starts(self) -> list[int]:
        """First frame of the window of each local row."""
        return self.randomness.starts[self.rows]


@dataclass(kw_only=True, slots=True, eq=False)
class BatchSampler:
    """Batch specifications by position: every epoch contains every clip once, in a new order.

    Args:
        clips: all clips of the training set.
        rank, world: number of this training process, and how many processes share each batch.
    """

    config: Config
    clips: Sequence[ClipInfo]
    label_set: LabelSet
    rank: int = 0
    world: int = 1
    _epoch: tuple[int, NDArray[np.int64]] = field(default_factory=lambda: (-1, np.zeros(0, np.int64)))

    def spec(self, position: int) -> BatchSpec:
        """The local rows of the batch that begins at `position`."""
        config = self.config
        repeats = config.num_orders if config.order.sampling == "enumerate" else 1
        items = [self._item(n // repeats) for n in range(position, position + config.train.batch_size)]
        randomness = sample_randomness(config, position, [self.clips[item].num_frames for item in items])
        rows = local_rows(len(items), self.rank, self.world)
        local = [self.clips[item] for item in items[rows]]
        return BatchSpec(
            items=items[rows],
            keys=tuple(clip.key for clip in local),
            labels=[self.label_set.index(clip.label) for clip in local],
            object_words=tuple(clip.object_word for clip in local),
            first_position=position + rows.start,
            rows=rows,
            randomness=randomness,
        )

    def _item(self, number: int) -> int:
        """The number of the clip at place `number` of the endless sequence of epochs."""
        epoch, place = divmod(number, len(self.clips))
        current = self._epoch  # read once: another thread may change it
        if current[0] != epoch:
            current = epoch, np.random.default_rng([self.config.train.seed, _EPOCH, epoch]).permutation(len(self.clips))
            self._epoch = current
        return int(current[1][place])
