"""Videos -> features, a few videos at a time, with the same code for real, generated and modified videos.

Sets of thousands of videos are not copied and not held in memory as floats: transforms (hold, shuffle, freeze) are
applied to a few videos at a time before they enter the network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cssgan.metrics.features import Features
from cssgan.metrics.videos import Floats, Ints, Videos, blocks, hold_first_frame, hold_last_valid_frame

Transform = Callable[[Videos, Ints], Videos]
"""(uint8 videos (n, T, H, W, 3), valid frames of each) -> videos of the same shape."""
FrameSelector = Callable[[int], Ints]
"""Number of valid frames of a video -> indices of the frames to use, one or more."""
VIDEO_BLOCK = 8
"""Videos that are transformed at once."""


class Extractor(Protocol):
    """A network that returns one row of float64 features per item.

    Frame networks take uint8 (N, H, W, 3), video networks uint8 (N, T, H, W, 3).

    Args:
        name: name and digest of the network.
        frames_at_once: approximate number of frames per call. Small enough that memory for intermediate results is
            reused instead of allocated anew.
    """

    @property
    def name(self) -> str: ...
    @property
    def frames_at_once(self) -> int: ...
    def __call__(self, items: NDArray[np.uint8]) -> Floats: ...


def freeze(videos_NTHWC: Videos, num_valid_N: Ints) -> Videos:
    """Repeat the first frame: the baseline without motion."""
    del num_valid_N
    return hold_first_frame(videos_NTHWC)


def shuffle(order_T: Ints) -> Transform:
    """Permute the valid frames of all videos by one random order: the baseline without temporal structure.

    The padding repeats the last frame of the new order, so that only the order differs.
    """

    def transform(videos_NTHWC: Videos, num_valid_N: Ints) -> Videos:
        out = np.empty_like(videos_NTHWC)
        for n, valid in enumerate(num_valid_N):
            rows = order_T[order_T < int(valid)]
            out[n] = videos_NTHWC[n, rows[np.minimum(np.arange(len(order_T)), len(rows) - 1)]]
        return out

    return transform


def video_features(
    extractor: Extractor,
    videos_NTHWC: Videos,
    num_valid_N: Ints,
    transform: Transform = hold_last_valid_frame,
    num_frames: int | None = None,
) -> Features:
    """One row per video.

    Args:
        num_frames: use only the first frames, this many.
    """
    length = num_frames or videos_NTHWC.shape[1]
    values = [
        extractor(transform(videos_NTHWC[rows, :length], np.minimum(num_valid_N[rows], length)))
        for rows in blocks(len(videos_NTHWC), max(1, extractor.frames_at_once // length), videos_NTHWC)
    ]
    return Features(values_ND=np.concatenate(values), extractor=extractor.name)


def frame_features(
    extractor: Extractor,
    videos_NTHWC: Videos,
    num_valid_N: Ints,
    select: FrameSelector,
    transform: Transform = hold_last_valid_frame,
) -> tuple[Features, Ints]:
    """One row per selected frame, and the index of its video (M,)."""
    values: list[Floats] = []
    groups: list[Ints] = []
    for rows in blocks(len(videos_NTHWC), VIDEO_BLOCK, videos_NTHWC):
        transformed = transform(videos_NTHWC[rows], num_valid_N[rows])
        selected = [select(int(valid)) for valid in num_valid_N[rows]]
        frames = np.concatenate([video[index] for video, index in zip(transformed, selected, strict=True)])
        values += [extractor(frames[part]) for part in blocks(len(frames), extractor.frames_at_once)]
        groups += [np.full(len(index), rows.start + k, np.int64) for k, index in enumerate(selected)]
    return Features(values_ND=np.concatenate(values), extractor=extractor.name), np.concatenate(groups)


def every_nth_frame(step: int) -> FrameSelector:
    """Valid frames step // 2, step // 2 + step, ... of each video (4, 12, 20, 28 of 32 for a step of 8).

    Consecutive frames are nearly equal and would only appear to enlarge the set. A video that is too short uses its
    last valid frame, so that every video is represented. A step of 1 uses all valid frames.
    """

    def select(num_valid: int) -> Ints:
        index = np.arange(step // 2, num_valid, step)
        return index if index.size else np.array([num_valid - 1])

    return select


def frames_around_seams(clip_frames: int) -> FrameSelector:
    """The frames in the middle of each clip of the cascade, and those before and after each seam between two clips.

    For clips of 8 these are 4, 7, 8, 12, 15, 16, 20, 23, 24, 28, 31. The first frame of a video is not used, because it is
    given to the generator. A video that is too short uses its last valid frame. 1 uses all valid frames.
    """

    def select(num_valid: int) -> Ints:
        index = np.arange(num_valid)
        if clip_frames > 1:
            index = index[(index > 0) & np.isin(index % clip_frames, (0, clip_frames // 2, clip_frames - 1))]
        return index if index.size else np.array([num_valid - 1])

    return select
