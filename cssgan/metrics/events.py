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
from phonics_data.contract.change import (
    CHANGED_GREY_LEVELS,
    doubled_lasting_changes,
    doubled_median,
    median_frames,
    share_not_lasting,
)

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
    max_negatives: int = 64
    """Of a clip of a source video with more clips, a random choice."""
    read_words: bool = True
    """False: `word_read` is unavailable."""
    seed: int = 0
    """Of the bootstrap and of everything that is sampled."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EventValues:
    """What one set of videos shows, one entry per video.

    Args:
        times: times of the events of each video.
        persistence_N: see `persistence`; NaN where nothing stays in the real clip.
        similarity_N: see `change_similarity`; NaN where nothing stays in the real clip.
        flicker_N: share of the change that does not last, at most 1; NaN for a video without change, or too short for it.
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
    return VideoChange.of(frames_THWC, frames_per_second).event_times(spec, where_HW)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class VideoChange:
    """Lasting change of each pixel of one video, from which the events of several regions are found.

    Args:
        frames_THWC: the video.
        padded_THWC: the same with `lead` copies of its first frame before it.
        change_PT: lasting change of each pixel times 6; column 0 belongs to frame ``lead / 2`` of the padded video.
    """

    frames_THWC: NDArray[np.uint8]
    padded_THWC: NDArray[np.uint8]
    change_PT: NDArray[np.float32]
    lead: int
    frames_per_second: float

    @classmethod
    def of(cls, frames_THWC: NDArray[np.uint8], frames_per_second: float) -> VideoChange:
        lead = 2 * median_frames(frames_per_second)
        padded = np.concatenate([np.repeat(frames_THWC[:1], lead, axis=0), frames_THWC])
        # Sums over slices of the channels: NumPy is slow on short last axes.
        changes = [
            (doubled_HWC[..., 0] + doubled_HWC[..., 1] + doubled_HWC[..., 2]).ravel()
            for _, doubled_HWC in doubled_lasting_changes(padded, frames_per_second)
        ]
        return cls(
            frames_THWC=frames_THWC,
            padded_THWC=padded,
            change_PT=np.stack(changes).astype(np.float32).T,
            lead=lead,
            frames_per_second=frames_per_second,
        )

    def event_times(self, spec: EventSpec, where_HW: Mask | None = None) -> Times:
        """See `event_times`."""
        rate, share = self.frames_per_second, spec.min_prominence_share
        candidates: list[tuple[float, int]] = []
        for cell_HW, curve in self._cell_curves(where_HW):
            smooth = gaussian_filter1d(curve, spec.smoothing_seconds * rate, mode="nearest")
            peaks, found = find_peaks(smooth, prominence=spec.min_prominence)
            for peak, prominence in zip(map(int, peaks), map(float, found["prominences"]), strict=True):
                frame = peak + self.lead // 2
                if prominence >= share * smooth[peak] and self._long_change(frame, cell_HW) >= share * curve[peak]:
                    candidates.append((prominence, frame - self.lead))
        chosen: list[int] = []
        for _, frame in sorted(candidates, reverse=True):
            if all(abs(frame - other) >= spec.min_distance_seconds * rate for other in chosen):
                chosen.append(frame)
        return np.array(sorted(chosen), np.float64) / rate

    def _cell_curves(self, where_HW: Mask | None) -> list[tuple[Mask, Floats]]:
        """Pixels and curve of lasting change of each cell, in grey levels.

        Cells with few pixels of the region are left out, unless the whole region is small.
        """
        height, width = self.frames_THWC.shape[1:3]
        rows, columns = (np.arange(size) * CELLS // size for size in (height, width))
        cell_HW = rows[:, None] * CELLS + columns[None, :]
        inside = np.ones((height, width), np.bool_) if where_HW is None else where_HW
        size_C = np.bincount(cell_HW[inside], minlength=CELLS * CELLS)
        enough = max(1.0, min(MIN_CELL_SHARE * height * width / CELLS**2, size_C.max()))
        where = [inside & (cell_HW == cell) for cell in np.flatnonzero(size_C >= enough)]
        if not where:
            return []
        # One product instead of a sum over each cell.
        weights_CP = np.stack([mask.ravel() / mask.sum() for mask in where]).astype(np.float32)
        curves_CT = (weights_CP @ self.change_PT).astype(np.float64) / 6
        return list(zip(where, curves_CT, strict=True))

    def _long_change(self, frame: int, where_HW: Mask) -> float:
        """Lasting change with medians over twice the time: smaller than `change_PT` if the change soon goes again."""
        before, after = (
            np.median(self.padded_THWC[part][:, where_HW], axis=0)
            for part in (slice(max(0, frame - self.lead), frame), slice(frame, frame + self.lead))
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


def negatives(sources: Sequence[str], spec: EventSpec | None = None) -> Mask:
    """bool (N, N), symmetric: clip j is a negative of clip i, another clip of the same source video.

    A clip alone in its source video has none: against clips of other songs it would be enough to know the song. In a group
    of more than `max_negatives` clips, each is compared with that many random ones, and is a negative of these in turn.

    Args:
        sources: source video of each clip.
    """
    spec = spec or EventSpec()
    rng = np.random.default_rng(spec.seed)
    out = np.zeros((len(sources), len(sources)), np.bool_)
    names = np.array(sources)
    for name in np.unique(names):
        ring = rng.permutation(np.flatnonzero(names == name))
        for step in range(1, (min(len(ring) - 1, spec.max_negatives) + 1) // 2 + 1):
            out[ring, np.roll(ring, step)] = True
            out[ring, np.roll(ring, -step)] = True
    np.fill_diagonal(out, False)
    return out


def negatives_of_other_songs(sources: Sequence[str], spec: EventSpec | None = None) -> Mask:
    """bool (N, N), symmetric: both clips are alone in their source videos. For sets without two clips of any song."""
    _, index_N, counts = np.unique(np.array(sources), return_inverse=True, return_counts=True)
    alone_N = counts[index_N] == 1
    return negatives(["alone" if alone else "" for alone in alone_N], spec) & alone_N[:, None] & alone_N[None, :]


def fixed_times(real: Sequence[Times], groups: Sequence[str], tolerance_seconds: float) -> list[Times]:
    """For each clip one event list that knows its group and not the clip: the medoid of the group's other clips.

    The medoid is the list that coincides best with those of the others. Without another clip there is no event.

    Args:
        real: events of the real clips.
        groups: group of each clip, for example its source video.
    """
    out: list[Times] = [np.empty(0)] * len(real)
    names = np.array(groups)
    for name in np.unique(names):
        group: list[int] = np.flatnonzero(names == name).tolist()
        score_GG = np.array([[coincidence(real[i], real[j], tolerance_seconds) for j in group] for i in group])
        np.fill_diagonal(score_GG, 0.0)
        for row, n in enumerate(group):
            total_G = score_GG.sum(axis=1) - score_GG[:, row]
            total_G[row] = -1.0
            if len(group) > 1:
                out[n] = real[group[int(total_G.argmax())]]
    return out


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClipPair:
    """A real clip and a negative in the time that both have.

    Args:
        clip, negative: their indices.
        own, other: events of each with which no event of the other one coincides. Neither is empty.
        end_seconds: duration of the shorter clip.
    """

    clip: int
    negative: int
    own: Times
    other: Times
    end_seconds: float


def clip_pairs(
    real: Sequence[Times], seconds_N: Floats, negatives_NN: Mask, tolerance_seconds: float
) -> list[ClipPair]:
    """The pairs of `negatives_NN` that can be told apart by their events.

    Args:
        real: events of the real clips.
        seconds_N: duration of each clip.
    """
    pairs: list[ClipPair] = []
    for clip, negative in zip(*map(np.ndarray.tolist, np.nonzero(negatives_NN)), strict=True):
        end = float(min(seconds_N[clip], seconds_N[negative]))
        own, other = (real[n][real[n] < end] for n in (clip, negative))
        apart = np.abs(own[:, None] - other[None, :]) > tolerance_seconds
        own, other = own[apart.all(axis=1)], other[apart.all(axis=0)]
        if len(own) and len(other):
            pairs.append(ClipPair(clip=clip, negative=negative, own=own, other=other, end_seconds=end))
    return pairs


def match_counts(
    times: Sequence[Times], pairs: Sequence[ClipPair], tolerance_seconds: float
) -> tuple[Floats, Floats, Mask]:
    """How often each video beats a negative of its real clip, in how many comparisons, and whether it shows any event.

    A video's events are compared (`coincidence`) with those of its own real clip and with those of the negative, both
    in the time that the two real clips share. Events that the two have in common decide nothing and are left out. Equal
    scores count .5, so that a video without events has exactly .5.

    The rate of a set is the sum of wins / the sum of comparisons. If the mask of negatives is symmetric, one event list for
    all clips of a song wins one of the two comparisons of each pair and loses the other: exactly .5. The mean of the rates
    of clips would be larger, since typical clips win their few comparisons and untypical ones lose their many.

    Args:
        times: events of the videos.
        pairs: `clip_pairs`.

    Returns:
        (wins, comparisons: float64 (N,), both NaN for a video without pairs; bool (N,): the video has events in the
        compared time)
    """
    wins, counts, shown = np.zeros(len(times)), np.zeros(len(times)), np.zeros(len(times), np.bool_)
    for pair in pairs:
        events = times[pair.clip][times[pair.clip] < pair.end_seconds]
        own, other = (coincidence(events, real, tolerance_seconds) for real in (pair.own, pair.other))
        wins[pair.clip] += 0.5 + 0.5 * np.sign(own - other)
        counts[pair.clip] += 1
        shown[pair.clip] |= len(events) > 0
    compared = counts > 0
    return np.where(compared, wins, np.nan), np.where(compared, counts, np.nan), shown


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
    """float64 (N,): F1 of the events of each video against those of its real clip.

    NaN where the real clip has no event, whatever the video shows, so that all models are measured on the same clips;
    `false_events` counts events there.
    """
    out = np.full(len(times), np.nan)
    for n, (found, truth) in enumerate(zip(times, real, strict=True)):
        if len(truth):
            out[n] = 2.0 * matched(found, truth, tolerance_seconds) / (len(found) + len(truth))
    return out


def false_events(times: Sequence[Times], real: Sequence[Times]) -> Floats:
    """float64 (N,): 1 if the video has an event, else 0; NaN where the real clip has one."""
    return np.array([np.nan if len(truth) else float(len(found) > 0) for found, truth in zip(times, real, strict=True)])


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


def lasting_changes(video: VideoChange, spec: EventSpec, where_HW: Mask | None = None) -> LastingChanges:
    """Events of a real clip with what they change; `where_HW` as in `event_times`."""
    frames_THWC, frames_per_second = video.frames_THWC, video.frames_per_second
    times = video.event_times(spec, where_HW)
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
        real = _change(frames_THWC, old, new)
        changed: Mask = np.asarray((np.abs(real) > CHANGED_GREY_LEVELS).any(axis=2))
        if where_HW is not None:
            changed = changed & where_HW
        if not changed.any():
            continue
        share = _along(_change(frames_THWC, old, end), real, changed)
        if share >= MIN_KEPT:
            before.append(old)
            after.append(new)
            where.append(changed)
            kept.append(share)
    return LastingChanges(
        times=times, before=tuple(before), after=tuple(after), where=tuple(where), kept=tuple(kept), end=end
    )


def persistence(real_THWC: NDArray[np.uint8], video_THWC: NDArray[np.uint8], changes: LastingChanges) -> float:
    """Share of what appears in the real clip that appears in a video and is still there at its end, 0..1.

    At each event of the real clip that lasts, in the pixels that it changes: the video's change along the direction of the
    real change (`_along`), from before the event to after it and from before it to the end, of which the smaller one
    counts. The latter is relative to the real clip. A change of the brightness of the whole frame, other colours and other
    shapes count little or nothing. NaN if nothing lasts in the real clip.
    """
    values: list[float] = []
    for old, new, where, kept in zip(changes.before, changes.after, changes.where, changes.kept, strict=True):
        real = _change(real_THWC, old, new)
        appeared, left = (_along(_change(video_THWC, old, part), real, where) for part in (new, changes.end))
        values.append(float(np.clip(min(appeared, left / kept), 0.0, 1.0)))
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
    regions: Mapping[str, Mask | None] | None = None,
) -> dict[str, dict[str, EventValues]]:
    """The values of several sets of videos against the same real clips, and of the real clips themselves (``real``).

    Args:
        real_NTHWC, num_valid_N: as in `VideoPairs`.
        videos: name -> uint8 (N, T, H, W, 3), or a function that reads rows of it; row n of each belongs to real clip n.
        frames_per_second_N: float64 (N,).
        regions: name -> bool (N, H, W), in which events are searched and compared, or None for the whole frame. Default:
            the whole frame under the name "".

    Returns:
        region -> set -> values. `flicker_N` is that of the whole frame in every region.
    """
    regions = {"": None} if regions is None else regions
    sets: dict[str, Videos | ReadVideos] = {"real": real_NTHWC, **videos}
    count = len(real_NTHWC)
    times: dict[tuple[str, str], list[Times]] = {(region, name): [] for region in regions for name in sets}
    numbers = {key: np.full((3, count), np.nan) for key in times}
    for rows in blocks(count, 32, *(videos for videos in sets.values() if isinstance(videos, np.ndarray))):
        block = {
            name: videos[rows] if isinstance(videos, np.ndarray) else videos(rows) for name, videos in sets.items()
        }
        for n in range(rows.start, rows.stop):
            valid, rate = int(num_valid_N[n]), float(frames_per_second_N[n])
            where = {region: None if mask is None else mask[n] for region, mask in regions.items()}
            changes: dict[str, LastingChanges] = {}
            real = np.ascontiguousarray(real_NTHWC[n, :valid])
            for name, array in block.items():
                frames = np.ascontiguousarray(array[n - rows.start, :valid])
                video = VideoChange.of(frames, rate)
                flicker = share_not_lasting(frames, rate) if valid > 1 else np.nan
                for region, where_HW in where.items():
                    if name == "real":
                        changes[region] = lasting_changes(video, spec, where_HW)
                    real_changes = changes[region]
                    found = real_changes.times if name == "real" else video.event_times(spec, where_HW)
                    times[region, name].append(found)
                    numbers[region, name][:, n] = (
                        persistence(real, frames, real_changes),
                        change_similarity(real, frames, real_changes, where_HW),
                        flicker,
                    )
    return {
        region: {
            name: EventValues(
                times=tuple(times[region, name]),
                persistence_N=numbers[region, name][0],
                similarity_N=numbers[region, name][1],
                flicker_N=numbers[region, name][2],
            )
            for name in sets
        }
        for region in regions
    }


def _change(frames_THWC: NDArray[np.uint8], before: slice, after: slice) -> NDArray[np.float32]:
    """Change of the state of the picture, float32 (H, W, 3)."""
    return _state(frames_THWC, after) - _state(frames_THWC, before)


def _along(change_HWC: NDArray[np.float32], real_HWC: NDArray[np.float32], where_HW: Mask) -> float:
    """How much of a real change a change contains, -1..1: projection on the real one, over the larger one's size.

    Of both, the mean over the whole frame of each channel is removed: a brighter frame is no object.
    """
    change, real = ((one - one.mean(axis=(0, 1)))[where_HW] for one in (change_HWC, real_HWC))
    size, real_size = float(np.linalg.norm(change)), float(np.linalg.norm(real))
    return float((change * real).sum()) / (real_size * max(size, real_size)) if real_size else 0.0


def _state(frames_THWC: NDArray[np.uint8], frames: slice) -> NDArray[np.float32]:
    """Median of some frames, float32 (H, W, 3)."""
    return doubled_median(frames_THWC[frames]).astype(np.float32) * np.float32(0.5)
