"""Events of videos: moments at which the picture changes once and stays changed. Pure functions of the frames.

In the songs that the dataset is made of, a word is completed, an object comes in, a scene begins: once, at its place in
the phrase, and it stays. An event is a peak of the curve of lasting change (`phonics_data.contract.change`), which
ignores flashes. A peak stands out from what surrounds it, so that a camera that drifts or zooms, or a wing that beats
all the time, gives none. All times are in seconds from the first frame of the video.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from cssgan.metrics.videos import Floats, Ints, Mask, ReadVideos, Videos, blocks
from phonics_data.contract.change import CHANGED_GREY_LEVELS, doubled_lasting_changes, median_frames, summarize

CELLS = 4
"""The frame is divided into 4 x 4 cells, and a peak in any of them is an event: a word is small in the whole frame."""
MIN_CELL_SHARE = 0.125
"""A cell of which a region covers a smaller part is not used."""
Times = NDArray[np.float64]
"""(E,) times of the events of one video, ascending, in seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EventSpec:
    """Parameters of the event measures."""

    min_prominence: float = 12.0
    """Grey levels by which a peak of the lasting change of a cell exceeds its surroundings."""
    min_prominence_share: float = 0.65
    """Share of the peak's own height that its prominence must reach: rejects ripples on continuous movement."""
    min_distance_seconds: float = 0.2
    """Of two peaks that are closer, only the higher one is an event."""
    smoothing_seconds: float = 0.04
    """Standard deviation of the Gaussian that smooths the curve before its peaks are searched."""
    tolerance_seconds: float = 0.12
    """Two events up to this far apart coincide."""
    min_negatives: int = 2
    """A clip whose source video has fewer other clips is compared with clips of the same style, else with all."""
    seed: int = 0
    """Of the bootstrap and of everything that is sampled."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EventValues:
    """What one set of videos shows, one entry per video.

    Args:
        times: times of the events of each video.
        persistence_N: see `persistence`; NaN where nothing stays in the real clip.
        similarity_N: see `change_similarity`; NaN where nothing stays in the real clip.
        flicker_N: share of the change that does not last, at most 1; NaN for a video without any change.
    """

    times: tuple[Times, ...]
    persistence_N: Floats
    similarity_N: Floats
    flicker_N: Floats


def event_times(
    frames_THWC: NDArray[np.uint8], frames_per_second: float, spec: EventSpec, where_HW: Mask | None = None
) -> Times:
    """Times of the first frames that show a lasting change.

    The first frame counts as if it had stood before the video too, so that a cut to another scene in the first frames
    is an event. The last `median_frames` frames cannot show a lasting change.

    Args:
        frames_THWC: uint8 (T >= 1, H, W, 3), valid frames only.
        where_HW: pixels that count; None: all. Without any pixel there is no event.
    """
    if len(frames_THWC) < 2:
        return np.empty(0)
    width = median_frames(frames_per_second)
    lead = 2 * width
    padded = np.concatenate([np.repeat(frames_THWC[:1], lead, axis=0), frames_THWC])
    candidates: list[tuple[float, int]] = []
    for cell_HW, curve in _cell_curves(padded, frames_per_second, where_HW):
        smooth = gaussian_filter1d(curve, spec.smoothing_seconds * frames_per_second, mode="nearest")
        peaks, found = find_peaks(smooth, prominence=spec.min_prominence)
        for peak, prominence in zip(map(int, peaks), map(float, found["prominences"]), strict=True):
            share = spec.min_prominence_share
            if prominence < share * smooth[peak]:
                continue
            if _long_change(padded, peak + width, lead, cell_HW) >= share * curve[peak]:
                candidates.append((prominence, peak + width - lead))
    chosen: list[int] = []
    for _, frame in sorted(candidates, reverse=True):
        if all(abs(frame - other) >= spec.min_distance_seconds * frames_per_second for other in chosen):
            chosen.append(frame)
    return np.array(sorted(chosen), np.float64) / frames_per_second


def _cell_curves(
    frames_THWC: NDArray[np.uint8], frames_per_second: float, where_HW: Mask | None
) -> list[tuple[Mask, Floats]]:
    """Pixels and curve of lasting change of each cell; entry 0 of a curve belongs to frame `median_frames`.

    Cells with few pixels of the region are left out, unless the whole region is small.
    """
    height, width = frames_THWC.shape[1:3]
    rows, columns = (np.arange(size) * CELLS // size for size in (height, width))
    cell_HW = rows[:, None] * CELLS + columns[None, :]
    inside = np.ones((height, width), np.bool_) if where_HW is None else where_HW
    size_C = np.bincount(cell_HW[inside], minlength=CELLS * CELLS)
    used = np.flatnonzero(size_C >= min(MIN_CELL_SHARE * height * width / CELLS**2, size_C.max(initial=1)))
    if not len(used) or not inside.any():
        return []
    where = [inside & (cell_HW == cell) for cell in used]
    # One product instead of a sum over each cell.
    weights_CP = np.stack([mask.ravel() / mask.sum() for mask in where]).astype(np.float32)
    changes = [
        doubled_HWC.sum(axis=2, dtype=np.int16).ravel()
        for _, doubled_HWC in doubled_lasting_changes(frames_THWC, frames_per_second)
    ]
    curves_CT = weights_CP @ np.stack(changes, axis=1).astype(np.float32) / 6
    return list(zip(where, curves_CT.astype(np.float64), strict=True))


def _long_change(frames_THWC: NDArray[np.uint8], frame: int, width: int, where_HW: Mask) -> float:
    """Lasting change with medians over up to `width` frames: smaller than with shorter ones if the change goes again."""
    before, after = (
        np.median(frames_THWC[part][:, where_HW], axis=0)
        for part in (slice(max(0, frame - width), frame), slice(frame, frame + width))
    )
    return float(np.abs(after - before).mean())


def coincidence(first: Times, second: Times, tolerance_seconds: float) -> float:
    """How well two lists of events coincide, 0..1: a harmonic mean of precision and recall with graded hits.

    A pair of events counts 1 if they are simultaneous and falls linearly to 0 at `tolerance_seconds`. 0 if a list is
    empty.
    """
    if not len(first) or not len(second):
        return 0.0
    hits = np.maximum(0.0, 1.0 - np.abs(first[:, None] - second[None, :]) / tolerance_seconds).sum()
    return float(2.0 * hits / (len(first) + len(second)))


def negatives(sources: Sequence[str], styles: Sequence[str] | None = None, min_negatives: int = 2) -> Mask:
    """bool (N, N): clip j is a negative of clip i: of the same source video, else of the same style, else any other.

    Args:
        sources: source video of each clip.
        styles: style of each clip; None: unknown.
        min_negatives: a wider group is used if a narrower one has fewer other clips.
    """
    count = len(sources)
    out: Mask = ~np.eye(count, dtype=np.bool_)
    for names in (styles, sources):
        if names is None:
            continue
        _, group = np.unique(np.array(names), return_inverse=True)
        same = (group[:, None] == group[None, :]) & ~np.eye(count, dtype=np.bool_)
        enough = same.sum(axis=1) >= min_negatives
        out[enough] = same[enough]
    return out


def match_rates(
    times: Sequence[Times], real: Sequence[Times], seconds_N: Floats, negatives_NN: Mask, tolerance_seconds: float
) -> tuple[Floats, Mask]:
    """For each video the share of negatives that its own real clip beats, float64 (N,), and where it is defined by itself.

    A video's events are compared (`coincidence`) with those of its own real clip and with those of another clip, both
    in the time that the two real clips share. Equal scores count .5, so that a video without events has exactly .5.
    A pair counts if both real clips have events in that time; a video without such a pair has NaN. The comparison is
    symmetric in the two clips: events that do not depend on the clip give .5 on average over the set.

    Args:
        times: events of the videos.
        real: events of the real clips.
        seconds_N: duration of each clip.
        negatives_NN: `negatives`.

    Returns:
        (rates, bool (N,): the video has events in the compared time; otherwise it is a tie)
    """
    rates, shown = np.full(len(times), np.nan), np.zeros(len(times), np.bool_)
    for i, row in enumerate(negatives_NN):
        wins: list[float] = []
        for j in map(int, np.flatnonzero(row)):
            end = min(seconds_N[i], seconds_N[j])
            own, other, events = (part[part < end] for part in (real[i], real[j], times[i]))
            if not len(own) or not len(other):
                continue
            shown[i] |= len(events) > 0
            difference = coincidence(events, own, tolerance_seconds) - coincidence(events, other, tolerance_seconds)
            wins.append(0.5 + 0.5 * float(np.sign(difference)))
        if wins:
            rates[i] = np.mean(wins)
    return rates, shown


def matched(first: Times, second: Times, tolerance_seconds: float) -> int:
    """Size of the largest one-to-one matching of two ascending lists of events within the tolerance."""
    count = i = j = 0
    while i < len(first) and j < len(second):
        gap = first[i] - second[j]
        if abs(gap) <= tolerance_seconds + 1e-9:
            count, i, j = count + 1, i + 1, j + 1
        elif gap < 0:
            i += 1
        else:
            j += 1
    return count


def f1_scores(times: Sequence[Times], real: Sequence[Times], tolerance_seconds: float) -> Floats:
    """float64 (N,): F1 of the events of each video against those of its real clip; NaN if neither has any."""
    out = np.full(len(times), np.nan)
    for n, (found, truth) in enumerate(zip(times, real, strict=True)):
        if len(found) or len(truth):
            out[n] = 2.0 * matched(found, truth, tolerance_seconds) / (len(found) + len(truth))
    return out


def evenly_placed(real: Sequence[Times], seconds_N: Floats) -> list[Times]:
    """As many events as each real clip has, at equal distances over its duration."""
    return [
        (np.arange(len(times)) + 0.5) / max(len(times), 1) * seconds
        for times, seconds in zip(real, seconds_N, strict=True)
    ]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LastingChanges:
    """The events of one real clip after which something stays, and the pixels that they change.

    Args:
        before, after: slices of frames before and after each event.
        where: bool (H, W) of each event: pixels that it changes by more than `CHANGED_GREY_LEVELS`.
        kept: share of each change that is still there at the end, see `kept_share`; at least `MIN_KEPT`.
    """

    times: Times
    before: tuple[slice, ...]
    after: tuple[slice, ...]
    where: tuple[Mask, ...]
    kept: tuple[float, ...]
    end: slice


MIN_KEPT = 0.5
"""A change of the real clip of which less is left at the end counts as gone (an object that leaves again)."""


def lasting_changes(
    frames_THWC: NDArray[np.uint8], frames_per_second: float, spec: EventSpec, where_HW: Mask | None = None
) -> LastingChanges:
    """Events of a real clip with what they change; `where_HW` as in `event_times`."""
    times = event_times(frames_THWC, frames_per_second, spec, where_HW)
    width, count = median_frames(frames_per_second), len(frames_THWC)
    margin = round(spec.tolerance_seconds * frames_per_second)
    end = slice(max(0, count - width), count)
    before: list[slice] = []
    after: list[slice] = []
    where: list[Mask] = []
    kept: list[float] = []
    for frame in np.rint(times * frames_per_second).astype(int):
        stop = max(1, int(frame) - margin)
        start = min(count - 1, int(frame) + margin)
        old, new = slice(max(0, stop - width), stop), slice(start, min(count, start + width))
        change = _state(frames_THWC, new) - _state(frames_THWC, old)
        changed: Mask = np.asarray((np.abs(change) > CHANGED_GREY_LEVELS).any(axis=2))
        if where_HW is not None:
            changed = changed & where_HW
        if not changed.any():
            continue
        share = _kept(frames_THWC, old, new, end, changed, 0.0)
        if share >= MIN_KEPT:
            before.append(old)
            after.append(new)
            where.append(changed)
            kept.append(share)
    return LastingChanges(
        times=times, before=tuple(before), after=tuple(after), where=tuple(where), kept=tuple(kept), end=end
    )


def persistence(real_THWC: NDArray[np.uint8], video_THWC: NDArray[np.uint8], changes: LastingChanges) -> float:
    """Share of what appears in a video that is still there at its end, relative to the real clip, 0..1.

    At each event of the real clip that lasts, in the pixels that it changes: the part of the video's own change there
    (from before to after) that is left in the last frames. A change that is weaker than the real one counts in
    proportion, so that a video in which nothing appears has 0. NaN if nothing lasts in the real clip.
    """
    values: list[float] = []
    for old, new, where, kept in zip(changes.before, changes.after, changes.where, changes.kept, strict=True):
        size = float(np.linalg.norm((_state(real_THWC, new) - _state(real_THWC, old))[where]))
        values.append(float(np.clip(_kept(video_THWC, old, new, changes.end, where, size) / kept, 0.0, 1.0)))
    return float(np.mean(values)) if values else float("nan")


def change_similarity(
    real_THWC: NDArray[np.uint8],
    video_THWC: NDArray[np.uint8],
    changes: LastingChanges,
    region_HW: Mask | None = None,
) -> float:
    """Similarity of what has appeared at the end: cosine between the two videos' change from the first frame, -1..1.

    In `region_HW`, else in the pixels that lasting events of the real clip change. 0 for a video without change, NaN if
    nothing lasts in the real clip or the region is empty. Both changes start from the real clip's first frame.
    """
    where = region_HW
    if where is None and changes.where:
        where = np.logical_or.reduce(changes.where)
    if where is None or not where.any():
        return float("nan")
    first = real_THWC[0].astype(np.float32)
    real, video = ((_state(frames, changes.end) - first)[where].ravel() for frames in (real_THWC, video_THWC))
    if not (np.abs(real) > CHANGED_GREY_LEVELS).any():
        return float("nan")
    size = float(np.linalg.norm(real) * np.linalg.norm(video))
    return float(real @ video) / size if size else 0.0


def event_values(
    real_NTHWC: Videos,
    videos: Mapping[str, Videos | ReadVideos],
    num_valid_N: Ints,
    frames_per_second_N: Floats,
    spec: EventSpec,
    *,
    where_NHW: Mask | None = None,
) -> dict[str, EventValues]:
    """The values of several sets of videos against the same real clips, and of the real clips themselves (``real``).

    Args:
        real_NTHWC, num_valid_N: as in `VideoPairs`.
        videos: name -> uint8 (N, T, H, W, 3), or a function that reads rows of it; row n of each belongs to real clip n.
        frames_per_second_N: float64 (N,).
        where_NHW: region of each clip in which events are searched and compared; None: the whole frame.
    """
    sets: dict[str, Videos | ReadVideos] = {"real": real_NTHWC, **videos}
    count = len(real_NTHWC)
    times: dict[str, list[Times]] = {name: [] for name in sets}
    numbers = {name: np.full((3, count), np.nan) for name in sets}
    for rows in blocks(count, 32, *(videos for videos in sets.values() if isinstance(videos, np.ndarray))):
        block = {
            name: videos[rows] if isinstance(videos, np.ndarray) else videos(rows) for name, videos in sets.items()
        }
        for n in range(rows.start, rows.stop):
            valid, rate = int(num_valid_N[n]), float(frames_per_second_N[n])
            where = None if where_NHW is None else where_NHW[n]
            real = np.ascontiguousarray(real_NTHWC[n, :valid])
            changes = lasting_changes(real, rate, spec, where)
            for name, array in block.items():
                frames = np.ascontiguousarray(array[n - rows.start, :valid])
                times[name].append(changes.times if name == "real" else event_times(frames, rate, spec, where))
                numbers[name][:, n] = (
                    persistence(real, frames, changes),
                    change_similarity(real, frames, changes, where),
                    summarize(frames, rate).share_not_lasting if valid > 1 else np.nan,
                )
    return {
        name: EventValues(
            times=tuple(times[name]),
            persistence_N=numbers[name][0],
            similarity_N=numbers[name][1],
            flicker_N=numbers[name][2],
        )
        for name in sets
    }


def _kept(
    frames_THWC: NDArray[np.uint8], before: slice, after: slice, end: slice, where_HW: Mask, real_size: float
) -> float:
    """Part of the change from `before` to `after` that is left at `end`; weaker changes than `real_size` count less."""
    start = _state(frames_THWC, before)[where_HW]
    change, left = _state(frames_THWC, after)[where_HW] - start, _state(frames_THWC, end)[where_HW] - start
    size = float(np.linalg.norm(change))
    return float((left * change).sum()) / (size * max(size, real_size)) if size else 0.0


def _state(frames_THWC: NDArray[np.uint8], frames: slice) -> NDArray[np.float32]:
    """Median of some frames, float32 (H, W, 3)."""
    return np.median(frames_THWC[frames], axis=0).astype(np.float32)
