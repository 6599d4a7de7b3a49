"""The resident feed on a GPU: frames and log-mels lie in its memory, and a batch is a gather there.

Only row numbers and small draws travel. They are drawn on the host, as functions of the seed and the videos seen, so
that a batch is the same to the bit on every device.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from cssgan.config import Config
from cssgan.data.batches import LoaderWrapper, Plan, PreparedLoader, ResidentLoader, look_rng, moves, record
from cssgan.types import Batch


def num_bytes(loader: ResidentLoader) -> int:
    """What the frames and log-mels of `feed` take on a device."""
    return loader.data.frames_NHWC.nbytes + loader.data.hops_HM.nbytes


@dataclass(kw_only=True, slots=True, eq=False)
class DeviceLoader(LoaderWrapper[ResidentLoader], PreparedLoader[Plan]):
    """`host`, whose device it fills: the same batches."""

    config: Config = field(init=False)
    device: torch.device = field(init=False)
    _frames_NHWC: Tensor = field(init=False)
    _hops_HM: Tensor = field(init=False)

    def __post_init__(self) -> None:
        data, self.config, self.device = self.host.data, self.host.config, self.host.device
        self._frames_NHWC = torch.from_numpy(np.array(data.frames_NHWC)).to(self.device)
        self._hops_HM = torch.from_numpy(np.array(data.hops_HM)).to(self.device)

    def prepare(self, position: int) -> Plan:
        """See `PreparedFeed`: the rows' places alone."""
        return self.host.plan(position)

    def place(self, prepared: Plan) -> Batch:
        """The gather on the device."""
        stats = self.host.mel_stats
        mels_BTUM = self._hops_HM[torch.from_numpy(prepared.hops_BTU).to(self.device)]
        mels_BTUM = ((mels_BTUM - stats.mean) / stats.std).clamp_(-stats.clamp, stats.clamp)
        return record(
            self.config,
            prepared.share,
            video_BCTHW=self._pictures(prepared.frames_BT, prepared.first_visit),
            mels_BTMU=mels_BTUM.transpose(-1, -2).contiguous(),
            num_classes=len(self.label_set),
        )

    def _pictures(self, frames_BT: np.ndarray[tuple[int, int], np.dtype[np.int64]], visit: int) -> Tensor:
        """The frames as the visits from `visit` on show them, video_BCTHW in [-1, 1]."""
        config = self.config
        whole_BTHWC = self._frames_NHWC[torch.from_numpy(frames_BT).to(self.device)]
        video_BCTHW = whole_BTHWC.permute(0, 4, 1, 2, 3)
        colour, shift = config.data.augment_colour, config.data.augment_shift
        if colour or shift:
            size = (int(whole_BTHWC.shape[2]), int(whole_BTHWC.shape[3]))
            each = [
                moves(look_rng(config, visit + row), size, colour=colour, shift=shift) for row in range(len(frames_BT))
            ]
            channels, inverted, lines, columns = (
                torch.from_numpy(np.stack([move[part] for move in each])).to(self.device) for part in range(4)
            )
            videos = torch.arange(len(frames_BT), device=self.device)
            video_BCTHW = video_BCTHW[videos[:, None], channels] ^ inverted[:, :, None, None, None]
            moved_BHWCT = video_BCTHW[videos[:, None, None], :, :, lines[:, :, None], columns[:, None, :]]
            video_BCTHW = moved_BHWCT.permute(0, 3, 4, 1, 2)
        return video_BCTHW.float().div_(127.5).sub_(1.0).contiguous()
