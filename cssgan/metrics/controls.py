"""Control videos: videos that need no trained model, evaluated beside the generated ones.

A measure of synchrony or of events is worth what it says about these videos:

* ``held``: the first frame of the real clip, held. Nothing happens.
* ``flash``: the first frame, brighter by the onset curve of the audio. It follows the sound and shows nothing.
* ``untrained``: a generator of the same configuration with random weights.
* ``song_mean``: mean of the other real clips of the same source video at the same time after the beginning of the clip.
  It knows the song, not the clip. For a clip alone in its source video, the mean of all other clips.
* ``mismatched``: the real video of another clip of the same source video.

Controls are generated a block at a time, so that a large set needs no second copy of its videos for each control.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cssgan.metrics import synchrony
from cssgan.metrics.conditions import Generate, generate_rows
from cssgan.metrics.result import CONTROL_NAMES, ControlName
from cssgan.metrics.videos import Floats, Ints, ReadVideos, Videos, blocks, hold_first_frame
from cssgan.storage import memmap
from cssgan.types import EvalWindows

FLASH_GREY_LEVELS = 64.0
"""Brightness that ``flash`` adds at the strongest onset of a window."""
_BLOCK = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class ControlVideos:
    """The control videos of a set of windows.

    Args:
        data: the windows.
        untrained: generator of random weights; None: there is no control ``untrained``.
        whole_clips: windows of the same clips in the same order that begin at the first frame of each clip, from which
            ``song_mean`` is computed; None: the windows of `data` begin there.
        seed: of the choice of the other clip.
    """

    data: EvalWindows
    untrained: Generate | None = None
    whole_clips: EvalWindows | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        whole = self.whole_clips
        if whole is not None and whole.keys != self.data.keys:
            raise ValueError("controls: whole_clips contains other clips than data, allowed: the same ones in order")

    @property
    def names(self) -> tuple[ControlName, ...]:
        """The controls that exist for this set. One clip has no other clip, so no song mean and no mismatched video."""
        absent: set[ControlName] = set() if self.untrained is not None else {"untrained"}
        if len(self.data) < 2:
            absent |= {"song_mean", "mismatched"}
        return tuple(name for name in CONTROL_NAMES if name not in absent)

    def read(self, name: ControlName, rows: slice) -> Videos:
        """The videos of some rows, uint8 (rows, T, H, W, 3), where T is the length of the windows.

        Frames past `num_valid_N` have no meaning.

        Raises:
            ValueError: the control does not exist for this set (`names`).
        """
        if name not in self.names:
            raise ValueError(f"controls: got {name!r}, available for this set: {', '.join(self.names)}")
        data = self.data
        if name == "held":
            return hold_first_frame(data.video_NTHWC[rows])
        if name == "flash":
            return flash(data.video_NTHWC[rows, 0], self._onset_curves[rows])
        if name == "untrained":
            assert self.untrained is not None
            return generate_rows(self.untrained, data, rows)
        if name == "song_mean":
            return self._song_means.read(rows)
        return np.stack([self._mismatched(n) for n in range(len(data))[rows]])

    def reader(self, name: ControlName) -> ReadVideos:
        """`read` of one control."""
        return lambda rows: self.read(name, rows)

    @cached_property
    def others(self) -> Ints:
        """The clip whose real video is the ``mismatched`` control of each clip."""
        return other_clips(self.data.video_ids, np.random.default_rng(self.seed))

    @cached_property
    def _onset_curves(self) -> Floats:
        return synchrony.window_onset_curves(self.data)

    def _mismatched(self, n: int) -> Videos:
        """Of a clip of another frame rate, the frames at the same times are shown."""
        data, other = self.data, int(self.others[n])
        ratio = float(data.frame_rates[other] / data.frame_rates[n])
        last = int(data.num_valid_N[other]) - 1
        frames = np.floor(np.arange(data.video_NTHWC.shape[1]) * ratio + 1e-9).astype(np.int64)
        return data.video_NTHWC[other, np.minimum(frames, last)]

    @cached_property
    def _song_means(self) -> _SongMeans:
        return _SongMeans(self.data, self.whole_clips or self.data)


def flash(images_NHWC: NDArray[np.uint8], onset_NT: Floats) -> Videos:
    """Each image, brighter by `FLASH_GREY_LEVELS` x the onset curve of its audio, of which the maximum is 1."""
    peak_N1 = onset_NT.max(axis=1, keepdims=True)
    light_NT = FLASH_GREY_LEVELS * onset_NT / np.where(peak_N1 > 0.0, peak_N1, 1.0)
    level_NT = np.round(light_NT).astype(np.int16)[:, :, None, None, None]
    return np.clip(images_NHWC[:, None].astype(np.int16) + level_NT, 0, 255).astype(np.uint8)


def flash_generator(frames_per_second: float) -> Generate:
    """The control ``flash`` as a generator of windows of one frame rate: (images, mels, class indices) -> videos."""

    def generate(images_NHWC: NDArray[np.uint8], mels_NTMU: NDArray[np.float32], labels_N: Ints) -> Videos:
        hops_N = np.full(len(mels_NTMU), 100.0 / frames_per_second)
        return flash(images_NHWC, synchrony.onset_curves(mels_NTMU, hops_N))

    return generate


def other_clips(sources: Sequence[str], rng: np.random.Generator) -> Ints:
    """For each clip, another clip of its source video (one random cycle through them); any other if it is alone there.

    Raises:
        ValueError: fewer than two clips.
    """
    if len(sources) < 2:
        raise ValueError(f"mismatched control: got {len(sources)} clip, allowed: 2 or more")
    names = np.array(sources)
    out = synchrony.random_cycles((np.flatnonzero(names == name) for name in np.unique(names)), len(sources), rng)
    for n in np.flatnonzero(out == np.arange(len(out))):
        out[n] = (n + rng.integers(1, len(out))) % len(out)
    return out


class _SongMeans:
    """Sums of the clips of each source video at each frame after the beginning of the clip.

    A group is (source video, frame rate), or ("", frame rate) for all clips, which clips alone in their source use.
    Clips of another frame rate than the group's are added at the same times.
    """

    def __init__(self, data: EvalWindows, whole: EvalWindows) -> None:
        self._data, self._whole = data, whole
        names, index_N, counts = np.unique(np.array(whole.video_ids), return_inverse=True, return_counts=True)
        alone_N = counts[index_N] == 1
        self._group_of = [
            ("" if alone else str(names[index]), rate)
            for index, alone, rate in zip(index_N, alone_N, whole.frame_rates, strict=True)
        ]
        self._groups = {group: row for row, group in enumerate(dict.fromkeys(self._group_of))}
        shape = whole.video_NTHWC.shape[1:]
        self._sums = memmap.empty((len(self._groups), *shape), np.uint32)
        self._sums[:] = 0
        self._counts_GT = np.zeros((len(self._groups), shape[0]), np.int64)
        for rows in blocks(len(whole), _BLOCK, whole.video_NTHWC, self._sums):
            for n in range(len(whole))[rows]:
                for (source, rate), row in self._groups.items():
                    if source in {"", whole.video_ids[n]}:
                        frames = self._frames(n, float(rate))
                        self._sums[row, : len(frames)] += whole.video_NTHWC[n, frames]
                        self._counts_GT[row, : len(frames)] += 1

    def _frames(self, n: int, rate: float) -> Ints:
        """Valid frames of clip n at the times of a video of `rate` frames a second."""
        ratio, valid = float(self._whole.frame_rates[n]) / rate, int(self._whole.num_valid_N[n])
        frames = np.floor(np.arange(self._whole.video_NTHWC.shape[1]) * ratio + 1e-9).astype(np.int64)
        return frames[frames < valid]

    def read(self, rows: slice) -> Videos:
        out = np.stack([self._mean(n) for n in range(len(self._data))[rows]])
        memmap.release_pages(self._sums)
        return out

    def _mean(self, n: int) -> Videos:
        """Mean of the others; where no other clip is long enough, the last mean frame is held."""
        rate = self._data.frame_rates[n]
        row = self._groups[self._group_of[n]]
        own = self._frames(n, float(rate))
        counts_T = self._counts_GT[row].copy()
        counts_T[: len(own)] -= 1
        length = max(1, int((counts_T > 0).sum()))
        first = round((self._data.start_seconds[n] - self._whole.start_seconds[n]) * float(rate))
        wanted = np.minimum(first + np.arange(self._data.video_NTHWC.shape[1]), length - 1)
        used, index = np.unique(wanted, return_inverse=True)
        sums = self._sums[row, used].astype(np.int64)
        sums[used < len(own)] -= self._whole.video_NTHWC[n, own[used[used < len(own)]]]
        means = np.round(sums / np.maximum(counts_T[used], 1)[:, None, None, None]).astype(np.uint8)
        return means[index]
