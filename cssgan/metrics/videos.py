"""Pairs of real and generated videos, the common input of all metrics, and the masks of valid frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cssgan.storage.memmap import blocks as blocks

Videos = NDArray[np.uint8]
"""uint8 (N, T, H, W, 3), RGB, 0..255."""
ReadVideos = Callable[[slice], Videos]
"""A set of videos that is read or made in blocks: rows -> uint8 (rows, T, H, W, 3)."""
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CLIP_FRAMES = 8
"""Frames of one clip of the cascade: 32 frames in four streams (paper, section 4.1)."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class VideoPairs:
    """Real videos and the videos generated from their conditions; row n of both belongs together.

    Args:
        real_NTHWC, fake_NTHWC: uint8 RGB of the same shape, N >= 1, T >= 2.
        num_valid_N: frames 0..num_valid-1 of a row are valid. Later frames repeat the last valid one and are ignored.
    """

    real_NTHWC: Videos
    fake_NTHWC: Videos
    num_valid_N: Ints

    def __post_init__(self) -> None:
        _check_videos("real videos", self.real_NTHWC)
        _check_videos("generated videos", self.fake_NTHWC)
        if self.real_NTHWC.shape != self.fake_NTHWC.shape:
            raise ValueError(
                f"videos: got real {self.real_NTHWC.shape} and generated {self.fake_NTHWC.shape}; "
                "allowed: one shape; generate at the size and length of the real windows"
            )
        valid_N, (n, t) = self.num_valid_N, self.real_NTHWC.shape[:2]
        if valid_N.shape != (n,) or int(valid_N.min()) < 1 or int(valid_N.max()) > t:
            raise ValueError(
                f"num_valid: got shape {valid_N.shape}, {valid_N.min()}..{valid_N.max()}; allowed: ({n},), 1..{t}"
            )

    def __len__(self) -> int:
        return len(self.real_NTHWC)

    @property
    def valid(self) -> Mask:
        """bool (N, T): frame t of row n is valid."""
        return np.arange(self.real_NTHWC.shape[1])[None, :] < self.num_valid_N[:, None]


def _check_videos(name: str, videos_NTHWC: NDArray[Any]) -> None:
    shape = videos_NTHWC.shape
    if videos_NTHWC.dtype != np.uint8 or len(shape) != 5 or shape[0] < 1 or shape[1] < 2 or shape[4] != 3:
        raise ValueError(f"{name}: got {videos_NTHWC.dtype} {shape}, allowed: uint8 (N >= 1, T >= 2, H, W, 3)")


def last_frames_of_clips(num_frames: int, clip_frames: int = CLIP_FRAMES) -> Mask:
    """bool (T,): frame t is the last of its clip (7, 15, 23, 31 for clips of eight frames)."""
    return np.arange(num_frames) % clip_frames == clip_frames - 1


def hold_first_frame(videos_NTHWC: Videos, clip_frames: int = 0) -> Videos:
    """Videos that repeat their first frame: the baseline that copies its condition and never moves.

    Args:
        clip_frames: 0 repeats the first frame of the whole video. Otherwise each clip repeats its own first real frame,
            a harder baseline that contains four real frames.
    """
    num_frames = videos_NTHWC.shape[1]
    source = np.arange(num_frames) // clip_frames * clip_frames if clip_frames else np.zeros(num_frames, np.int64)
    return videos_NTHWC[:, source]


def hold_last_valid_frame(videos_NTHWC: Videos, num_valid_N: Ints) -> Videos:
    """Videos whose frames from `num_valid_N` on repeat the last valid frame, as in windows of real videos.

    The video networks process whole windows; this gives real and generated videos the same padding.
    """
    num_frames = videos_NTHWC.shape[1]
    if int(num_valid_N.min()) >= num_frames:
        return videos_NTHWC
    source_NT = np.minimum(np.arange(num_frames)[None, :], num_valid_N[:, None] - 1)
    return np.take_along_axis(videos_NTHWC, source_NT[:, :, None, None, None], axis=1)


def mean_defined(values: Floats) -> tuple[float | None, int]:
    """Mean over the entries that are not NaN (None if all are NaN), and the number of NaN entries."""
    undefined = int(np.isnan(values).sum())
    return (None if undefined == values.size else float(np.nanmean(values))), undefined
