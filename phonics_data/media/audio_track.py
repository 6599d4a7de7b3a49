"""The sound of a source on the clock of its picture, kept only where somebody wants it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from math import gcd
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import soxr
from numpy.typing import NDArray

from phonics_data.errors import MediaError
from phonics_data.media.timestamps import Grid, half_up

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

Mono = NDArray[np.float32]

_MARGIN_SECONDS = Fraction(1, 20)
"""Native sound kept on both sides of a segment, so that the resampling filter rings on real sound and not on an edge."""

_JITTER_SECONDS = Fraction(1, 1000)
"""Containers round timestamps to as much as a millisecond; within this the count of samples is the better clock."""

_GATHERED_FRAMES = 32


def mono(frames: Sequence[AudioFrame]) -> Mono:
    """The mean of the channels of consecutive frames of one format, float32 in about [-1, 1]."""
    first = frames[0]
    channels = first.layout.nb_channels
    if first.format.name == "fltp":  # what nearly all compressed sound decodes to, without the detour of to_ndarray
        planes = [cast("tuple[bytes, ...]", frame.planes) for frame in frames]  # buffers, which the stubs do not say
        total, *others = (
            np.concatenate(
                [
                    np.frombuffer(mine[channel], np.float32, frame.samples)
                    for mine, frame in zip(planes, frames, strict=True)
                ]
            )
            for channel in range(channels)
        )
        for other in others:
            total += other
        total /= np.float32(channels)
        return total
    samples = np.concatenate([_by_channel(frame, channels) for frame in frames], axis=1)
    if np.issubdtype(samples.dtype, np.floating):
        return samples.mean(axis=0, dtype=np.float32)
    if samples.dtype == np.uint8:
        return ((samples.astype(np.float32) - 128.0) / 128.0).mean(axis=0, dtype=np.float32)
    full_scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
    return (samples.astype(np.float64).mean(axis=0) / full_scale).astype(np.float32)


def _by_channel(frame: AudioFrame, channels: int) -> NDArray[Any]:
    samples = frame.to_ndarray()
    return samples if frame.format.is_planar else samples.reshape(-1, channels).T


def resample(audio_N: Mono, rate_hz: int, to_rate_hz: int) -> Mono:
    """`audio_N` at another rate; sample 0 stays sample 0, without delay."""
    if rate_hz == to_rate_hz or not audio_N.size:
        return audio_N
    return soxr.resample(audio_N, rate_hz, to_rate_hz, quality="HQ")


class SoundTrack:
    """Collects decoded audio frames and gives out stretches of them at one rate.

    Args:
        segments: the wanted stretches ``[start, end)`` in seconds of the picture's clock, sorted by start.
        rate_hz: of what `take` gives.
    """

    def __init__(self, segments: Sequence[tuple[Fraction, Fraction]], rate_hz: int, where: str) -> None:
        self._segments = list(segments)
        self._windows: list[tuple[int, int]] = []
        self._to_rate_hz = rate_hz
        self._where = where
        self._rate_hz = 0
        self._grid: Grid | None = None
        self._tolerance = 0
        self._cursor: int | None = None
        self._ended = False
        self._chunks: deque[tuple[int, Mono]] = deque()
        self._gathered: list[AudioFrame] = []
        self._gathered_from = (0, 0)
        self._gathered_end = 0

    def covers(self, end: Fraction) -> bool:
        """Whether a stretch that ends at `end` can be taken without waiting for more frames."""
        return self._ended or (self._cursor is not None and self._cursor >= (end + _MARGIN_SECONDS) * self._rate_hz)

    def end(self) -> None:
        """Say that no more frames come: silence needs no waiting."""
        self._ended = True

    def add(self, frame: AudioFrame, tick: Fraction, origin: Fraction) -> None:
        """Put one frame in its place.

        Args:
            tick: seconds a tick of the frame's timestamp; without a timestamp it continues where the last one ended.
            origin: where the picture's clock begins, in the timestamps' count.
        """
        if self._grid is None:
            self._rate_hz = frame.sample_rate
            self._grid = Grid(tick, origin, self._rate_hz)
            self._tolerance = int(max(_JITTER_SECONDS, tick) * self._rate_hz)
            self.forget(self._segments)
        if frame.sample_rate != self._rate_hz:
            raise MediaError(
                "does_not_decode",
                f"{self._where}: its sound changes from {self._rate_hz} to {frame.sample_rate} Hz on the way; "
                "convert the file to one rate",
            )
        expected, pts, samples = self._cursor, frame.pts, frame.samples
        place = self._grid.nearest(pts) if pts is not None else expected or 0
        skip = 0
        if expected is None or place - expected > self._tolerance:
            begin = place  # a hole before it stays silent
        else:
            begin = expected
            skip = expected - place if expected - place > self._tolerance else 0
        if skip >= samples:
            return
        self._cursor = begin + samples - skip
        for low, high in self._windows:
            if low < self._cursor and begin < high:
                self._gather(frame, begin, skip)
                return

    def _gather(self, frame: AudioFrame, begin: int, skip: int) -> None:
        """Keep a frame until more of its like have come: each by itself would cost as much as its decoding."""
        if self._gathered:
            first = self._gathered[0]
            follows = begin == self._gathered_end and not skip and len(self._gathered) < _GATHERED_FRAMES
            alike = frame.format.name == first.format.name and frame.layout.nb_channels == first.layout.nb_channels
            if not (follows and alike):
                self._settle()
        if not self._gathered:
            self._gathered_from = (begin, skip)
        self._gathered.append(frame)
        self._gathered_end = begin + frame.samples - skip

    def _settle(self) -> None:
        if self._gathered:
            begin, skip = self._gathered_from
            self._chunks.append((begin, mono(self._gathered)[skip:]))
            self._gathered = []

    def take(self, start: Fraction, num_samples: int) -> Mono:
        """`num_samples` samples from `start` on; digital silence where the source has no sound."""
        if self._rate_hz == 0:
            return np.zeros(num_samples, np.float32)
        self._settle()
        common = gcd(self._rate_hz, self._to_rate_hz)
        up, down = self._to_rate_hz // common, self._rate_hz // common
        # The margin is a whole number of periods of both rates: sample 0 of the result then falls on a sample.
        periods = -(-int(_MARGIN_SECONDS * self._rate_hz) // down)
        begin = half_up(start * self._rate_hz) - periods * down
        end = begin + 2 * periods * down + -(-num_samples * down // up)
        native = np.zeros(end - begin, np.float32)
        for place, chunk in self._chunks:
            low, high = max(place, begin), min(place + chunk.size, end)
            if low < high:
                native[low - begin : high - begin] = chunk[low - place : high - place]
        out = resample(native, self._rate_hz, self._to_rate_hz)[periods * up :][:num_samples]
        return np.pad(out, (0, num_samples - out.size))

    def forget(self, segments: Sequence[tuple[Fraction, Fraction]]) -> None:
        """Keep only what `segments` (those still to be taken) need."""
        self._segments = list(segments)
        margin = 2 * _MARGIN_SECONDS
        self._windows = [
            (half_up((start - margin) * self._rate_hz), half_up((end + margin) * self._rate_hz))
            for start, end in segments
        ]
        earliest = min((low for low, _ in self._windows), default=None)
        while self._chunks and (earliest is None or self._chunks[0][0] + self._chunks[0][1].size < earliest):
            self._chunks.popleft()
