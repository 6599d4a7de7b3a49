"""Batches: which windows, orders and frames a step sees, as a function of the seed and the videos seen so far.

No generator of randomness lives from one step to the next, so a run that goes on after a kill sees exactly what it
would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cssgan.config import Config
from cssgan.data import order, window
from cssgan.data.resident import ResidentSplit
from cssgan.types import Batch, MelStats, Streams

_EPOCH, _STEP, _SOUND = 1, 2, 3  # one stream of randomness for each use


def pictures(frames_BTHWC: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 0..255 -> video_BCTHW float32 in [-1, 1]."""
    whole = torch.from_numpy(np.require(frames_BTHWC, requirements=["C", "W"])).to(device)
    return whole.permute(0, 4, 1, 2, 3).float().div_(127.5).sub_(1.0).contiguous()


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


def augment(frames_THWC: NDArray[np.uint8], rng: np.random.Generator, *, colour: bool, shift: int) -> NDArray[np.uint8]:
    """The window in other colours and another place, alike in all frames, so that motion stays what it was.

    Letters are never mirrored. `colour` permutes the channels and inverts each with probability 1/2; `shift` moves the
    picture by up to so many pixels each way and repeats its edge.
    """
    if colour:
        frames_THWC = frames_THWC[..., rng.permutation(3)] ^ (rng.integers(2, size=3) * 255).astype(np.uint8)
    if shift:
        down, right = rng.integers(-shift, shift + 1, size=2)
        rows, columns = (
            np.clip(np.arange(size) - move, 0, size - 1)
            for size, move in zip(frames_THWC.shape[1:3], (down, right), strict=True)
        )
        frames_THWC = frames_THWC[:, rows[:, None], columns]
    return frames_THWC


@dataclass(kw_only=True, slots=True, eq=False)
class Feed:
    """The training set as an endless row of batches; `batch(position)` gives the one at any place in it."""

    data: ResidentSplit
    config: Config
    mel_stats: MelStats
    device: torch.device
    _epoch: tuple[int, NDArray[np.int64]] = field(default_factory=lambda: (-1, np.zeros(0, np.int64)))
    _sound: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.config.data.shuffle_audio:
            self._sound = derangement(len(self.data.clips), self.config.train.seed)

    def batch(self, position: int) -> Batch:
        """The batch that begins after `position` videos were seen."""
        config = self.config
        size, frames, clips = config.train.batch_size, config.data.num_frames, config.model.num_clips
        rng = np.random.default_rng([config.train.seed, _STEP, position])
        visits = range(position, position + size)
        enumerate_orders = config.order.draw == "enumerate"
        items = [self._item(n // config.num_orders if enumerate_orders else n) for n in visits]
        clip_frames = config.frames_per_clip if config.data.segment_context == "clip" else None
        parts = [
            self.data.window(
                clip := self.data.clips[item],
                int(rng.integers(max(clip.num_frames - frames, 0) + 1)),
                frames,
                sound_of=None if self._sound is None else self.data.clips[self._sound[item]],
                clip_frames=clip_frames,
            )
            for item in items
        ]
        drawn = rng.integers(config.num_orders, size=size)
        orders = np.array([n % config.num_orders for n in visits]) if enumerate_orders else drawn
        forced = rng.random(size) < config.order.p_chrono
        orders = np.where(forced | (config.order.shuffle == "none"), 0, orders)
        frame_index = rng.integers(config.frames_per_clip, size=(size, clips))
        noise = rng.standard_normal((size, config.model.z_dim), dtype=np.float32)
        raw_mels = np.stack([part.raw_mels_TMU for part in parts])
        colour, shift = config.data.augment_colour, config.data.augment_shift
        frames_BTHWC = np.stack([augment(part.frames_THWC, rng, colour=colour, shift=shift) for part in parts])
        labels = torch.tensor([part.label_index for part in parts], device=self.device)
        return Batch(
            keys=tuple(part.key for part in parts),
            video_BCTHW=pictures(frames_BTHWC, self.device),
            mels_BTMU=torch.from_numpy(window.standardise(raw_mels, self.mel_stats)).to(self.device),
            label_BK=functional.one_hot(labels, len(self.data.label_set)).float(),
            num_valid_B=torch.tensor([part.num_valid_frames for part in parts], device=self.device),
            order_B=torch.from_numpy(orders).to(self.device),
            order_counts_B=torch.from_numpy(~forced).to(self.device, torch.float32),
            frame_index_BS=torch.from_numpy(frame_index).to(self.device),
            noise_BZ=torch.from_numpy(noise).to(self.device),
        )

    def _item(self, visit: int) -> int:
        """The short video of the n-th visit: every epoch goes through all of them in a new order."""
        count = len(self.data.clips)
        epoch = visit // count
        if self._epoch[0] != epoch:
            shuffled = np.random.default_rng([self.config.train.seed, _EPOCH, epoch]).permutation(count)
            self._epoch = (epoch, shuffled)
        return int(self._epoch[1][visit % count])


def streams(batch: Batch, num_clips: int, clip_at_BS: Tensor) -> Streams:
    """The batch cut into clips, presented in the order `clip_at_BS` (`cssgan.data.order.clip_at`)."""
    clips = batch.video_BCTHW.unflatten(2, (num_clips, -1)).transpose(1, 2)
    mels = batch.mels_BTMU.unflatten(1, (num_clips, -1))
    frames = batch.video_BCTHW.shape[2]
    valid_BT = (torch.arange(frames, device=batch.num_valid_B.device) < batch.num_valid_B[:, None]).float()
    return Streams(
        clips_BSCFHW=order.present(clips, clip_at_BS),
        mels_BSFMU=order.present(mels, clip_at_BS),
        valid_BSF=order.present(valid_BT.unflatten(1, (num_clips, -1)), clip_at_BS),
        order_B=batch.order_B,
    )
