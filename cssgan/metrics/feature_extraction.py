"""Videos -> features, a few videos at a time: the one path for real, generated and deliberately spoilt ones.

A set of thousands of videos is never copied and never stands in memory as floats; what is done to it (held, shuffled,
frozen) is done to each handful of videos on its way to the network.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cssgan.metrics.networks.random_features import Extractor
from cssgan.metrics.statistics import Features
from cssgan.metrics.videos import Ints, Videos, blocks, first_frame_held, held_after_valid

Change = Callable[[Videos, Ints], Videos]
"""(uint8 videos (n, T, H, W, 3), valid frames of each) -> videos of the same shape."""
Choose = Callable[[int, int], Ints]
"""(number of the video in its set, its valid frames) -> the frames that are taken from it; one or more."""
VIDEOS_AT_ONCE = 8
"""Videos that are changed at once, before they go to the network in portions of its own size."""


def held(videos_NTHWC: Videos, num_valid_N: Ints) -> Videos:
    """Nothing is done, but that the last valid frame is held to the end."""
    return held_after_valid(videos_NTHWC, num_valid_N)


def frozen(videos_NTHWC: Videos, num_valid_N: Ints) -> Videos:
    """The first frame, held: the ceiling of a model that never moves."""
    del num_valid_N
    return first_frame_held(videos_NTHWC)


def shuffled(order_T: Ints) -> Change:
    """The valid frames of each video in one random order: the ceiling of a model that knows nothing of time.

    Frames are shuffled before the last of them is held, so that the order changes and nothing else.
    """

    def change(videos_NTHWC: Videos, num_valid_N: Ints) -> Videos:
        out = np.empty_like(videos_NTHWC)
        for n, valid in enumerate(num_valid_N):
            rows = order_T[order_T < int(valid)]
            out[n] = videos_NTHWC[n, rows[np.minimum(np.arange(len(order_T)), len(rows) - 1)]]
        return out

    return change


def of_videos(
    extractor: Extractor, videos_NTHWC: Videos, num_valid_N: Ints, change: Change = held, num_frames: int | None = None
) -> Features:
    """One row a video.

    Args:
        num_frames: only the first so many frames are shown.
    """
    length = num_frames or videos_NTHWC.shape[1]
    values = [
        extractor(change(videos_NTHWC[rows, :length], np.minimum(num_valid_N[rows], length)))
        for rows in blocks(len(videos_NTHWC), max(1, extractor.frames_at_once // length), videos_NTHWC)
    ]
    return Features(values_ND=np.concatenate(values), extractor=extractor.name)


def of_frames(
    extractor: Extractor, videos_NTHWC: Videos, num_valid_N: Ints, choose: Choose, change: Change = held
) -> tuple[Features, Ints]:
    """One row for each chosen frame, and the number of the video that it belongs to (M,)."""
    values: list[NDArray[np.float64]] = []
    groups: list[Ints] = []
    for rows in blocks(len(videos_NTHWC), VIDEOS_AT_ONCE, videos_NTHWC):
        changed = change(videos_NTHWC[rows], num_valid_N[rows])
        numbers = range(rows.start, rows.stop)
        chosen = [choose(n, int(num_valid_N[n])) for n in numbers]
        frames = np.concatenate([video[index] for video, index in zip(changed, chosen, strict=True)])
        values += [extractor(frames[part]) for part in blocks(len(frames), extractor.frames_at_once)]
        groups += [np.full(len(index), n, np.int64) for n, index in zip(numbers, chosen, strict=True)]
    return Features(values_ND=np.concatenate(values), extractor=extractor.name), np.concatenate(groups)


def every(step: int) -> Choose:
    """Valid frames step // 2, step // 2 + step, ... of each video (4, 12, 20, 28 of 32 with a step of 8).

    Neighbouring frames are nearly equal and would only pretend to a larger set. A video too short for any gives its last
    valid frame, so that every video is represented. A step of 1 takes all valid frames.
    """

    def choose(number: int, valid: int) -> Ints:
        del number
        index = np.arange(step // 2, valid, step)
        return index if index.size else np.array([valid - 1])

    return choose
