"""Change between the frames of a video: curves and five summary values. Pure functions of the frames.

*Lasting change* separates what happens once and stays (a word is completed, an object comes in) from what goes back
and forth (a flash, a pulse): the frames before and after a moment are each reduced to their median over time, which
ignores whatever lasts for less than half of that time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
"""uint8 (T, H, W, 3), RGB, 0..255."""
Curve = NDArray[np.float64]

MEDIAN_SECONDS = 0.16
"""Time on each side over which the median is taken: four frames at 24 and 25 frames a second, five at 29.97."""
STILL_GREY_LEVELS = 0.5
"""A frame whose mean change is smaller counts as still."""
CHANGED_GREY_LEVELS = 25
"""A pixel of which a channel differs by more than this within the clip has changed."""
_END_FRAMES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeSummary:
    """How much a clip changes, and how much of it stays."""

    change_per_frame: float
    """Mean absolute change from frame to frame, in grey levels 0..255."""
    still_share: float
    """Share of the frames whose change is below `STILL_GREY_LEVELS`, 0..1."""
    net_over_path: float
    """Change from the mean of the first three frames to that of the last three, over the sum of all changes; 0..1."""
    share_not_lasting: float
    """1 less the sum of lasting change over the sum of all changes; at most 1. NaN, that is not defined, in a clip without
    any change, and in one of fewer than twice `median_frames`, in which no change can last."""
    changed_pixels: float
    """Share of the pixels of which a channel ranges over more than `CHANGED_GREY_LEVELS` within the clip, 0..1."""

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(field.name for field in fields(cls))


def change_curve(frames_THWC: Frames) -> Curve:
    """(T,) mean absolute change of frame t from frame t - 1 over pixels and channels, in grey levels; 0 at t = 0."""
    _check(frames_THWC)
    out = np.zeros(len(frames_THWC))
    for t in range(1, len(frames_THWC)):
        out[t] = np.abs(frames_THWC[t].astype(np.int16) - frames_THWC[t - 1]).mean()
    return out


def median_frames(frames_per_second: float) -> int:
    """Frames of `MEDIAN_SECONDS` at this frame rate, at least two."""
    return max(2, round(MEDIAN_SECONDS * frames_per_second))


def lasting_change(frames_THWC: Frames, frames_per_second: float, where_THW: NDArray[np.bool_] | None = None) -> Curve:
    """(T,) lasting change at frame t, in grey levels: 0 where fewer than `median_frames` lie before or after t.

    With w = `median_frames`: the mean over pixels of ``|median(frames t .. t+w-1) - median(frames t-w .. t-1)|``. A
    step by d at frame s gives w * d when summed over t, in a plateau of height d around s.

    Args:
        frames_THWC: uint8 (T, H, W, 3).
        frames_per_second: of the video.
        where_THW: pixels that count at each t; None: all. 0 where no pixel counts.
    """
    _check(frames_THWC)
    out = np.zeros(len(frames_THWC))
    for t, doubled_HWC in doubled_lasting_changes(frames_THWC, frames_per_second):
        if where_THW is None:
            out[t] = doubled_HWC.mean(dtype=np.float64) / 2
        elif where_THW[t].any():
            out[t] = doubled_HWC[where_THW[t]].mean(dtype=np.float64) / 2
    return out


def doubled_lasting_changes(frames_THWC: Frames, frames_per_second: float) -> Iterator[tuple[int, NDArray[np.int16]]]:
    """(t, twice the lasting change of each pixel, int16 (H, W, 3), 0..510) for each t at which `lasting_change` has one.

    Twice, because the medians of an even number of frames are whole or half grey levels.
    """
    _check(frames_THWC)
    width = median_frames(frames_per_second)
    medians: deque[NDArray[np.int16]] = deque(maxlen=width + 1)
    for t in range(len(frames_THWC) - width + 1):
        medians.append(doubled_median(frames_THWC[t : t + width]))
        if t >= width:
            yield t, np.abs(medians[-1] - medians[0])


def summarize(frames_THWC: Frames, frames_per_second: float) -> ChangeSummary:
    """The five values of a clip of at least two frames; see `ChangeSummary`."""
    _check(frames_THWC)
    change = change_curve(frames_THWC)[1:]
    path = float(change.sum())
    first, last = (
        part.mean(axis=0, dtype=np.float64) for part in (frames_THWC[:_END_FRAMES], frames_THWC[-_END_FRAMES:])
    )
    range_HW = (frames_THWC.max(axis=0) - frames_THWC.min(axis=0)).max(axis=2)
    return ChangeSummary(
        change_per_frame=float(change.mean()),
        still_share=float((change < STILL_GREY_LEVELS).mean()),
        net_over_path=float(np.abs(last - first).mean()) / path if path else 0.0,
        share_not_lasting=share_not_lasting(frames_THWC, frames_per_second),
        changed_pixels=float((range_HW > CHANGED_GREY_LEVELS).mean()),
    )


def share_not_lasting(frames_THWC: Frames, frames_per_second: float) -> float:
    """See `ChangeSummary`."""
    width = median_frames(frames_per_second)
    path = float(change_curve(frames_THWC).sum())
    if not path or len(frames_THWC) < 2 * width:
        return float("nan")
    return 1.0 - float(lasting_change(frames_THWC, frames_per_second).sum()) / width / path


def doubled_median(frames_THWC: Frames) -> NDArray[np.int16]:
    """Twice the median over time; of the usual four and five frames without sorting, which is some thirty times faster."""
    if len(frames_THWC) == 4:
        total = frames_THWC.sum(axis=0, dtype=np.int16)
        return total - frames_THWC.min(axis=0) - frames_THWC.max(axis=0)
    if len(frames_THWC) == 5:
        a, b, c, d, e = frames_THWC
        low = np.maximum(np.minimum(a, b), np.minimum(c, d))
        high = np.minimum(np.maximum(a, b), np.maximum(c, d))
        middle = np.maximum(np.minimum(low, high), np.minimum(np.maximum(low, high), e))
        return middle.astype(np.int16) * 2
    ordered = np.sort(frames_THWC, axis=0)
    middle = len(ordered) // 2
    return ordered[middle].astype(np.int16) + ordered[middle - (len(ordered) + 1) % 2]


def _check(frames_THWC: NDArray[Any]) -> None:
    shape = frames_THWC.shape
    if frames_THWC.dtype != np.uint8 or len(shape) != 4 or shape[0] < 2 or shape[3] != 3:
        raise ValueError(f"frames: got {frames_THWC.dtype} {shape}, allowed: uint8 (T >= 2, H, W, 3)")
