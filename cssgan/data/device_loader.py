"""The resident loader on a GPU: frames and log-mels are in its memory, and a batch is gathered there.

Only row numbers, random values, object pictures and their boxes (a few kB) are copied from the host, where they are computed as functions
of seed and position. Batches are therefore bit-equal on every device.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cssgan.config import Config
from cssgan.data.batches import (
    LoaderWrapper,
    PreparedLoader,
    ResidentLoader,
    ResidentRows,
    sample_augmentation,
    to_batch,
)
from cssgan.data.sampler import augmentation_rng
from cssgan.types import Batch


def num_bytes(loader: ResidentLoader) -> int:
    """Device memory for the frames and log-mels of `loader`."""
    return loader.data.frames_NHWC.nbytes + loader.data.hops_HM.nbytes


@dataclass(kw_only=True, slots=True, eq=False)
class DeviceLoader(LoaderWrapper[ResidentLoader], PreparedLoader[ResidentRows]):
    """The batches of `wrapped`, gathered on its device."""

    config: Config = field(init=False)
    device: torch.device = field(init=False)
    _frames_NHWC: Tensor = field(init=False)
    _hops_HM: Tensor = field(init=False)

    def __post_init__(self) -> None:
        data, self.config, self.device = self.wrapped.data, self.wrapped.config, self.wrapped.device
        self._frames_NHWC = torch.from_numpy(np.array(data.frames_NHWC)).to(self.device)
        self._hops_HM = torch.from_numpy(np.array(data.hops_HM)).to(self.device)

    def prepare(self, position: int) -> ResidentRows:
        """See `PreparedLoader`: only the row numbers."""
        return self.wrapped.rows(position)

    def place(self, prepared: ResidentRows) -> Batch:
        """The gather on the device."""
        stats = self.wrapped.mel_stats
        mels_BTUM = self._hops_HM[torch.from_numpy(prepared.hops_BTU).to(self.device)]
        mels_BTUM = ((mels_BTUM - stats.mean) / stats.std).clamp_(-stats.clamp, stats.clamp)
        return to_batch(
            self.config,
            prepared.spec,
            video_BCTHW=self._video(prepared.frames_BT, prepared.spec.first_position),
            mels_BTMU=mels_BTUM.transpose(-1, -2).contiguous(),
            objects_BHWC=prepared.objects_BHWC,
            boxes_BT4=prepared.boxes_BT4,
            num_classes=len(self.label_set),
        )

    def _video(self, frames_BT: NDArray[np.int64], first_position: int) -> Tensor:
        """The augmented windows, video_BCTHW in [-1, 1]."""
        config = self.config
        whole_BTHWC = self._frames_NHWC[torch.from_numpy(frames_BT).to(self.device)]
        video_BCTHW = whole_BTHWC.permute(0, 4, 1, 2, 3)
        colour, shift = config.data.augment_colour, config.data.augment_shift
        if colour or shift:
            size = (int(whole_BTHWC.shape[2]), int(whole_BTHWC.shape[3]))
            augmentations = [
                sample_augmentation(augmentation_rng(config, first_position + row), size, colour=colour, shift=shift)
                for row in range(len(frames_BT))
            ]
            channels, inversion, rows, columns = (
                torch.from_numpy(np.stack(values)).to(self.device) for values in zip(*augmentations, strict=True)
            )
            videos = torch.arange(len(frames_BT), device=self.device)
            video_BCTHW = video_BCTHW[videos[:, None], channels] ^ inversion[:, :, None, None, None]
            shifted_BHWCT = video_BCTHW[videos[:, None, None], :, :, rows[:, :, None], columns[:, None, :]]
            video_BCTHW = shifted_BHWCT.permute(0, 3, 4, 1, 2)
        return video_BCTHW.float().div_(127.5).sub_(1.0).contiguous()
