"""Real and generated videos side by side: the one input of every measure, and the masks that go with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cssgan.storage.memmap import blocks as blocks

Videos = NDArray[np.uint8]
"""uint8 (N, T, H, W, 3), RGB, 0..255."""
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CLIP_FRAMES = 8
"""Frames of one clip: 32 frames in four streams (paper, section 4.1)."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class VideoPairs:
    """Real videos and the videos generated from their conditions, row by row.

    Args:
        real_NTHWC, fake_NTHWC: uint8 RGB of one shape, N >= 1, T >= 2.
        num_valid_N: frames 0..num_valid-1 of a row are real; those after it repeat the last one and count nowhere.
    """

    real_NTHWC: Videos
    fake_NTHWC: Videos
    num_valid_N: Ints

    def __post_init__(self) -> None:
        check_videos("real videos", self.real_NTHWC)
        check_videos("generated videos", self.fake_NTHWC)
        if self.real_NTHWC.shape != self.fake_NTHWC.shape:
            raise ValueError(
                f"videos: got real {self.real_NTHWC.shape} and generated {self.fake_NTHWC.shape}; "
                "allowed: one shape; generate at the size and length of the real windows"
            )
        check_num_valid(self.num_valid_N, self.real_NTHWC)

    @property
    def valid(self) -> Mask:
        """bool (N, T): frame t of row n is a real one."""
        return valid_frames(self.num_valid_N, self.real_NTHWC.shape[1])


def check_videos(what: str, videos_NTHWC: NDArray[Any]) -> None:
    """Raises ValueError unless uint8 (N >= 1, T >= 2, H, W, 3)."""
    shape = videos_NTHWC.shape
    if videos_NTHWC.dtype != np.uint8 or len(shape) != 5 or shape[0] < 1 or shape[1] < 2 or shape[4] != 3:
        raise ValueError(f"{what}: got {videos_NTHWC.dtype} {shape}, allowed: uint8 (N >= 1, T >= 2, H, W, 3)")


def check_num_valid(num_valid_N: Ints, videos_NTHWC: Videos) -> None:
    """Raises ValueError unless there is one count in 1..T for each video."""
    n, t = videos_NTHWC.shape[:2]
    if num_valid_N.shape != (n,) or int(num_valid_N.min()) < 1 or int(num_valid_N.max()) > t:
        raise ValueError(
            f"num_valid: got shape {num_valid_N.shape}, {num_valid_N.min()}..{num_valid_N.max()}; allowed: ({n},), 1..{t}"
        )


def valid_frames(num_valid_N: Ints, num_frames: int) -> Mask:
    """bool (N, T): frame t of row n is a real one."""
    return np.arange(num_frames)[None, :] < num_valid_N[:, None]


def last_frames_of_clips(num_frames: int, clip_frames: int = CLIP_FRAMES) -> Mask:
    """bool (T,): frame t is the last of its clip (7, 15, 23, 31 at eight frames a clip)."""
    return np.arange(num_frames) % clip_frames == clip_frames - 1


def first_frame_held(videos_NTHWC: Videos, clip_frames: int = 0) -> Videos:
    """Each video's first frame, held: the baseline that copies its condition and never moves.

    Args:
        clip_frames: 0 holds the first frame of the whole video; otherwise the first *real* frame of each clip is held
            for that clip, a harder baseline that has seen four real frames.
    """
    num_frames = videos_NTHWC.shape[1]
    source = np.arange(num_frames) // clip_frames * clip_frames if clip_frames else np.zeros(num_frames, np.int64)
    return videos_NTHWC[:, source]


def held_after_valid(videos_NTHWC: Videos, num_valid_N: Ints) -> Videos:
    """Videos whose frames past `num_valid_N` repeat the last valid one, as the windows of real videos do.

    The video networks see whole windows; this puts real and generated ones under the same rule.
    """
    num_frames = videos_NTHWC.shape[1]
    if int(num_valid_N.min()) >= num_frames:
        return videos_NTHWC
    source_NT = np.minimum(np.arange(num_frames)[None, :], num_valid_N[:, None] - 1)
    return np.take_along_axis(videos_NTHWC, source_NT[:, :, None, None, None], axis=1)


def mean_defined(values: Floats) -> tuple[float | None, int]:
    """Mean over the entries that are not NaN, and the number of those that are; None if all are."""
    undefined = int(np.isnan(values).sum())
    return (None if undefined == values.size else float(np.nanmean(values))), undefined
