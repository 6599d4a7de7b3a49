"""Batches: which windows, orders and frames a step sees, as a function of the seed and the videos seen so far.

No generator of randomness lives from one step to the next, so a run that goes on after a kill sees exactly what it
would have seen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Generic, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cssgan.config import Config
from cssgan.data import clip_orders, windowing
from cssgan.data.resident import ResidentSplit
from cssgan.types import Batch, MelStats, Streams, Window
from phonics_data.contract.labels import LabelSet

AUGMENT_DRAWS = (3, 7)
"""Uniform numbers of a video for `cssgan.training.augmentation`: for three uses, seven each."""
_EPOCH, _STEP, _SOUND, _LOOK = 1, 2, 3, 4  # one stream of randomness for each use


def pictures(frames_BTHWC: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 0..255 -> video_BCTHW float32 in [-1, 1]."""
    whole = torch.from_numpy(np.require(frames_BTHWC, requirements=["C", "W"])).to(device)
    shown = whole.permute(0, 4, 1, 2, 3)
    return torch.empty(shown.shape, device=device).copy_(shown).div_(127.5).sub_(1.0)


def to_uint8(video_BCTHW: Tensor) -> NDArray[np.uint8]:
    """The way back: [-1, 1] -> uint8 0..255 (rounded, clipped), (B, T, H, W, C)."""
    whole = ((video_BCTHW + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return whole.permute(0, 2, 3, 4, 1).cpu().numpy()


def derangement(count: int, seed: int) -> NDArray[np.int64]:
    """A seeded permutation of 0..count-1 that leaves nothing in place (for count > 1): one cycle through all."""
    cycle = np.random.default_rng([seed, _SOUND]).permutation(count)
    out = np.empty(count, np.int64)
    out[cycle] = np.roll(cycle, 1)
    return out


def moves(
    rng: np.random.Generator, size: tuple[int, int], *, colour: bool, shift: int
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """How a window is shown: its channels' order, what inverts each (0 or 255), and its rows and columns.

    Letters are never mirrored. `colour` permutes the channels and inverts each with probability 1/2; `shift` moves the
    picture by up to so many pixels each way and repeats its edge.
    """
    channels, inverted = np.arange(3), np.zeros(3, np.uint8)
    if colour:
        channels, inverted = rng.permutation(3), (rng.integers(2, size=3) * 255).astype(np.uint8)
    by = rng.integers(-shift, shift + 1, size=2) if shift else np.zeros(2, np.int64)
    rows, columns = (np.clip(np.arange(side) - move, 0, side - 1) for side, move in zip(size, by, strict=True))
    return channels, inverted, rows, columns


def augment(frames_THWC: NDArray[np.uint8], rng: np.random.Generator, *, colour: bool, shift: int) -> NDArray[np.uint8]:
    """The window in other colours and another place, alike in all frames, so that motion stays what it was."""
    size = (frames_THWC.shape[1], frames_THWC.shape[2])
    channels, inverted, rows, columns = moves(rng, size, colour=colour, shift=shift)
    return frames_THWC[:, rows[:, None], columns][..., channels] ^ inverted


def look_rng(config: Config, visit: int) -> np.random.Generator:
    """The randomness of how the n-th visit shows its windowing."""
    return np.random.default_rng([config.train.seed, _LOOK, visit])


def look(frames_THWC: NDArray[np.uint8], config: Config, visit: int) -> NDArray[np.uint8]:
    """The window as the n-th visit shows it, by `data.augment_colour` and `data.augment_shift`."""
    colour, shift = config.data.augment_colour, config.data.augment_shift
    if not colour and not shift:
        return frames_THWC
    return augment(frames_THWC, look_rng(config, visit), colour=colour, shift=shift)


def look_at(frames_BTHWC: NDArray[np.uint8], config: Config, visit: int) -> NDArray[np.uint8]:
    """The windows of the visits from `visit` on."""
    if not config.data.augment_colour and not config.data.augment_shift:
        return frames_BTHWC
    return np.stack([look(frames, config, visit + row) for row, frames in enumerate(frames_BTHWC)])


def share_of(size: int, rank: int, world: int) -> slice:
    """The rows of a batch that process `rank` of `world` works on."""
    each = size // world
    return slice(rank * each, (rank + 1) * each)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Draws:
    """Every random number of a batch, drawn for all of its rows whoever works on them."""

    starts: list[int]
    """First frame of each windowing."""
    num_valid_B: NDArray[np.int64]
    orders_B: NDArray[np.int64]
    forced_B: NDArray[np.bool_]
    """Rows whose time order was forced."""
    frame_index_BS: NDArray[np.int64]
    noise_BZ: NDArray[np.float32]
    augment_BUA: NDArray[np.float32] | None


def draw(config: Config, position: int, lengths: Sequence[int]) -> Draws:
    """The draws of the batch that begins after `position` videos were seen, for short videos of these lengths."""
    size, frames = len(lengths), config.data.num_frames
    rng = np.random.default_rng([config.train.seed, _STEP, position])
    starts = [int(rng.integers(max(length - frames, 0) + 1)) for length in lengths]
    drawn = rng.integers(config.num_orders, size=size)
    visits = range(position, position + size)
    in_turn = config.order.draw == "enumerate"
    orders = np.array([n % config.num_orders for n in visits]) if in_turn else drawn
    forced = rng.random(size) < config.order.p_in_order
    num_judged, out_of = config.discriminator_frames
    frame_index = rng.integers(out_of, size=(size, num_judged))
    noise = rng.standard_normal((size, config.model.z_dim), dtype=np.float32)
    augmented = config.discriminator.augment != "none"
    return Draws(
        starts=starts,
        num_valid_B=np.array([min(frames, length - at) for length, at in zip(lengths, starts, strict=True)], np.int64),
        orders_B=np.where(forced | (config.order.shuffle == "none"), 0, orders),
        forced_B=forced,
        frame_index_BS=frame_index,
        noise_BZ=noise,
        augment_BUA=rng.random((size, *AUGMENT_DRAWS), dtype=np.float32) if augmented else None,
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Share:
    """The rows of a batch that a process works on, without their pictures and sounds."""

    keys: tuple[str, ...]
    labels: list[int]
    draws: Draws
    rows: slice


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Plan:
    """Rows of a resident batch as places in the split."""

    share: Share
    first_visit: int
    """Videos seen before the first row."""
    frames_BT: NDArray[np.int64]
    """In `ResidentSplit.frames_NHWC`."""
    hops_BTU: NDArray[np.int64]
    """In `ResidentSplit.hops_HM`."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Gathered:
    """Rows of a batch on the host, as small as they can be: what may be prepared while a step runs."""

    share: Share
    frames_BTHWC: NDArray[np.uint8]
    mels_BTMU: NDArray[np.float32]
    """Standardized."""


def gather(windows: Sequence[Window], draws: Draws, rows: slice, mel_stats: MelStats) -> Gathered:
    """The rows `rows` of a batch from their windows."""
    keys, labels = tuple(part.key for part in windows), [part.label_index for part in windows]
    return Gathered(
        share=Share(keys=keys, labels=labels, draws=draws, rows=rows),
        frames_BTHWC=np.stack([part.frames_THWC for part in windows]),
        mels_BTMU=windowing.standardize(np.stack([part.raw_mels_TMU for part in windows]), mel_stats),
    )


def record(config: Config, share: Share, *, video_BCTHW: Tensor, mels_BTMU: Tensor, num_classes: int) -> Batch:
    """The rows of `share`, whose pictures and sounds are on their device already.

    The means that make a part of the whole batch of them come from the draws.
    """
    draws, rows = share.draws, share.rows
    device = video_BCTHW.device
    part = len(share.keys) / len(draws.starts)
    counts_B = (~draws.forced_B).astype(np.float32)

    def move(array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(device)

    def mean(whole: NDArray[Any]) -> Tensor | None:
        if part == 1.0:
            return None
        return torch.tensor(max(float(whole.sum()), 1.0) * part, dtype=torch.float32, device=device)

    return Batch(
        keys=share.keys,
        video_BCTHW=video_BCTHW,
        mels_BTMU=mels_BTMU,
        label_BK=functional.one_hot(torch.tensor(share.labels, device=device), num_classes).float(),
        num_valid_B=move(draws.num_valid_B[rows]),
        order_B=move(draws.orders_B[rows]),
        order_counts_B=move(counts_B[rows]),
        frame_index_BS=move(draws.frame_index_BS[rows]),
        noise_BZ=move(draws.noise_BZ[rows]),
        augment_BUA=None if draws.augment_BUA is None else move(draws.augment_BUA[rows]),
        mean_valid=mean(draws.num_valid_B),
        mean_counts=mean(counts_B),
    )


def split(batch: Batch, parts: int) -> list[Batch]:
    """`batch` in equal parts whose mean losses have the mean of the whole."""
    if parts == 1:
        return [batch]
    size = batch.num_videos // parts
    whole_valid = batch.num_valid_B.sum().float() if batch.mean_valid is None else batch.mean_valid
    whole_counts = batch.order_counts_B.sum().clamp(min=1.0) if batch.mean_counts is None else batch.mean_counts

    def part(rows: slice) -> Batch:
        cut = {
            name: value[rows]
            for name in ("keys", *_PER_ROW)
            if (value := cast("Tensor | None", getattr(batch, name))) is not None
        }
        return replace(batch, **cut, mean_valid=whole_valid / parts, mean_counts=whole_counts / parts)

    return [part(slice(first, first + size)) for first in range(0, batch.num_videos, size)]


_PER_ROW = (
    "video_BCTHW", "mels_BTMU", "label_BK", "num_valid_B", "order_B", "order_counts_B", "frame_index_BS", "noise_BZ",
    "augment_BUA",
)  # fmt: skip


Prepared = TypeVar("Prepared")


class PreparedLoader(ABC, Generic[Prepared]):
    """A feed whose batches are prepared on the host, which may be done ahead, and then placed on their device."""

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
        """The host's part of this process's share of the batch after so many videos; it touches no device."""

    @abstractmethod
    def place(self, prepared: Prepared) -> Batch:
        """The rest of it, on the device."""

    def batch(self, position: int) -> Batch:
        """This process's share of the batch that begins after `position` videos were seen; raises as `prepare`."""
        return self.place(self.prepare(position))

    def close(self) -> None:
        """End what the feed has open."""


class GatherLoader(PreparedLoader[Gathered]):
    """A feed that prepares the pictures and sounds themselves."""

    __slots__ = ()

    def place(self, prepared: Gathered) -> Batch:
        """See `PreparedFeed`."""
        return record(
            self.config,
            prepared.share,
            video_BCTHW=pictures(prepared.frames_BTHWC, self.device),
            mels_BTMU=torch.from_numpy(prepared.mels_BTMU).to(self.device),
            num_classes=len(self.label_set),
        )


Host = TypeVar("Host", bound=PreparedLoader[Any])


@dataclass(kw_only=True, slots=True, eq=False)
class LoaderWrapper(Generic[Host]):
    """What gives the batches of `host` in another way."""

    host: Host

    @property
    def label_set(self) -> LabelSet:
        return self.host.label_set

    @property
    def frame_rate(self) -> Fraction:
        return self.host.frame_rate


@dataclass(kw_only=True, slots=True, eq=False)
class ResidentLoader(GatherLoader):
    """A decoded training set as an endless row of batches; `batch(position)` gives the one at any place in it.

    Args:
        rank, world: of the processes that share every batch, this one's number and how many there are.
    """

    data: ResidentSplit
    config: Config
    mel_stats: MelStats
    device: torch.device
    rank: int = 0
    world: int = 1
    _epoch: tuple[int, NDArray[np.int64]] = field(default_factory=lambda: (-1, np.zeros(0, np.int64)))
    _sound: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.config.data.shuffle_audio:
            self._sound = derangement(len(self.data.clips), self.config.train.seed)

    @property
    def label_set(self) -> LabelSet:
        return self.data.label_set

    @property
    def frame_rate(self) -> Fraction:
        return self.data.frame_rate

    def prepare(self, position: int) -> Gathered:
        """See `PreparedFeed`."""
        plan, data = self.plan(position), self.data
        return Gathered(
            share=plan.share,
            frames_BTHWC=look_at(data.frames_NHWC[plan.frames_BT], self.config, plan.first_visit),
            mels_BTMU=windowing.standardize(windowing.segments(data.hops_HM, plan.hops_BTU), self.mel_stats),
        )

    def plan(self, position: int) -> Plan:
        """The batch that begins at `position`, undecoded."""
        config, data = self.config, self.data
        in_turn = config.order.draw == "enumerate"
        visits = range(position, position + config.train.batch_size)
        items = [self._item(n // config.num_orders if in_turn else n) for n in visits]
        draws = draw(config, position, [data.clips[item].num_frames for item in items])
        rows = share_of(len(items), self.rank, self.world)
        mine = items[rows]
        clips = [data.clips[item] for item in mine]
        # Each with the sound of itself, but for the control run.
        sounds = clips if self._sound is None else [data.clips[self._sound[item]] for item in mine]
        frames_BT, hops_BTU = data.rows(
            list(zip(clips, sounds, strict=True)),
            draws.starts[rows],
            config.data.num_frames,
            clip_frames=config.context_frames,
        )
        keys, labels = tuple(clip.key for clip in clips), [data.label_set.index(clip.label) for clip in clips]
        return Plan(
            share=Share(keys=keys, labels=labels, draws=draws, rows=rows),
            first_visit=position + rows.start,
            frames_BT=frames_BT,
            hops_BTU=hops_BTU,
        )

    def _item(self, visit: int) -> int:
        """The short video of the n-th visit: every epoch goes through all of them in a new order."""
        count = len(self.data.clips)
        epoch = visit // count
        held = self._epoch  # once: another thread may be at another epoch
        if held[0] != epoch:
            held = epoch, np.random.default_rng([self.config.train.seed, _EPOCH, epoch]).permutation(count)
            self._epoch = held
        return int(held[1][visit % count])


def streams(batch: Batch, num_clips: int, clip_at_BS: Tensor) -> Streams:
    """The batch cut into clips, presented in the order `clip_at_BS` (`cssgan.data.clip_orders.clip_at`)."""
    clips = batch.video_BCTHW.unflatten(2, (num_clips, -1)).transpose(1, 2)
    mels = batch.mels_BTMU.unflatten(1, (num_clips, -1))
    frames = batch.video_BCTHW.shape[2]
    valid_BT = (torch.arange(frames, device=batch.num_valid_B.device) < batch.num_valid_B[:, None]).float()
    return Streams(
        clips_BSCFHW=clip_orders.present(clips, clip_at_BS),
        mels_BSFMU=clip_orders.present(mels, clip_at_BS),
        valid_BSF=clip_orders.present(valid_BT.unflatten(1, (num_clips, -1)), clip_at_BS),
        order_B=batch.order_B,
    )
