"""The audio of a source on the clock of its video; only the samples that requested segments need are kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from math import gcd
from typing import TYPE_CHECKING

import numpy as np
import soxr
from numpy.typing import NDArray

from phonics_data.contract.mono import LossTable, cancelled_db, mix_frames
from phonics_data.errors import MediaError
from phonics_data.media.timestamps import Grid, half_up

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

MonoAudio = NDArray[np.float32]
"""(N,) float32, nominally in [-1, 1]."""

_MARGIN_SECONDS = Fraction(1, 20)
"""Source audio kept on both sides of a segment, so that the resampling filter sees real samples at the edges."""

_JITTER_SECONDS = Fraction(1, 1000)
"""Containers round timestamps by up to 1 ms; deviations up to this limit are ignored in favour of the sample count."""

_JITTER_SECONDS_BY_CODEC = {"pcm_dvd": Fraction(1, 40)}
"""In a DVD's PCM, the time of a packet is that of the first block that begins in it, not of its first sample. FFmpeg writes blocks of
1,024 samples, 21 ms at 48 kHz."""

_MAX_BATCH_FRAMES = 32


def resample(audio_N: MonoAudio, rate_hz: int, to_rate_hz: int) -> MonoAudio:
    """`audio_N` at another sampling rate, without delay: sample 0 stays sample 0."""
    if rate_hz == to_rate_hz or not audio_N.size:
        return audio_N
    return soxr.resample(audio_N, rate_hz, to_rate_hz, quality="HQ")


class AudioTrack:
    """Collects decoded audio frames and returns segments of them at one sampling rate.

    Args:
        segments: requested segments ``[start, end)`` in seconds on the video's clock, sorted by start.
        rate_hz: sampling rate of the result of `take`.
        source: name of the source in messages.
        codec: FFmpeg's name of the source's codec.
    """

    def __init__(
        self, segments: Sequence[tuple[Fraction, Fraction]], rate_hz: int, source: str, codec: str = ""
    ) -> None:
        self._segments = list(segments)
        self._windows: list[tuple[int, int]] = []
        self._to_rate_hz = rate_hz
        self.cancelled_db = 0.0
        """`phonics_data.contract.mono.cancelled_db` of the samples that `take` returned last."""
        self._source = source
        self._jitter_seconds = _JITTER_SECONDS_BY_CODEC.get(codec, _JITTER_SECONDS)
        self._rate_hz = 0
        self._grid: Grid | None = None
        self._tolerance = 0
        self._cursor: int | None = None
        self._ended = False
        self._before_origin = Fraction(0)
        self._is_repeated = False
        self._skipped: list[tuple[int, int]] = []
        """Position and number of the samples whose times run backwards."""
        self._held: tuple[AudioFrame, int] | None = None
        self._chunks: deque[tuple[int, MonoAudio, LossTable]] = deque()
        self._batch: list[AudioFrame] = []
        self._batch_start = (0, 0)
        self._batch_end = 0

    def covers(self, end: Fraction) -> bool:
        """Whether a segment that ends at `end` can be taken without further frames."""
        return self._ended or (self._cursor is not None and self._cursor >= (end + _MARGIN_SECONDS) * self._rate_hz)

    def expect_repetition(self) -> None:
        """The next frames are read again, by another reader or after a seek, until the first new one."""
        self._is_repeated = True

    def start_at(self, start: Fraction) -> None:
        """Note the start of the source's audio by its header, in seconds on the video's clock; audio before 0 is not always read."""
        self._before_origin = max(self._before_origin, -start)

    def seconds_held(self, start: Fraction, end: Fraction) -> float:
        """Seconds in ``[start, end)`` for which the source has audio, of a segment that has not been forgotten."""
        self._convert_batch()
        low, high = half_up(start * self._rate_hz), half_up(end * self._rate_hz)
        held = sum(max(0, min(place + chunk.size, high) - max(place, low)) for place, chunk, _ in self._chunks)
        return held / self._rate_hz if held else 0.0

    def seconds_unused(self, start: Fraction, end: Fraction) -> float:
        """Seconds of audio that are not on the clock: with times that run backwards, in ``[start, end)``; if `start` is 0,
        also before the first video frame."""
        before = float(self._before_origin) if start == 0 else 0.0
        low, high = half_up(start * self._rate_hz), half_up(end * self._rate_hz)
        number = sum(count for place, count in self._skipped if low <= place < high)
        return before + (number / self._rate_hz if number else 0.0)

    def end(self) -> None:
        """Mark the end of the source: no more frames follow."""
        self._ended = True

    def add(self, frame: AudioFrame, tick: Fraction, origin: Fraction) -> None:
        """Place one frame on the clock by its timestamp; a frame without a timestamp follows the frame before it.

        Args:
            tick: seconds per unit of the frame's timestamp.
            origin: start of the video's clock, in seconds on the timestamps' clock.
        """
        if self._grid is None:
            self._rate_hz = frame.sample_rate
            self._grid = Grid(tick, origin, self._rate_hz)
            self._tolerance = int(max(self._jitter_seconds, tick) * self._rate_hz)
            self.forget(self._segments)
        if frame.sample_rate != self._rate_hz:
            raise MediaError(
                "does_not_decode",
                f"{self._source}: the audio sampling rate changes from {self._rate_hz} to {frame.sample_rate} Hz; "
                "convert the file to a single rate",
            )
        place = self._grid.nearest_boundary(frame.pts) if frame.pts is not None else None
        if place is not None and place < 0:
            self._before_origin = max(self._before_origin, Fraction(-place, self._rate_hz))
        if self._held is not None:
            # One wrong timestamp, as Ogg has them where Vorbis changes the size of its blocks, is no gap: the frame after it
            # follows the frame before it.
            held, held_place = self._held
            self._held = None
            assert self._cursor is not None
            follows = place is not None and abs(place - self._cursor - held.samples) <= self._tolerance
            self._place(held, self._cursor if follows else held_place)
        if place is not None and self._cursor is not None and abs(place - self._cursor) > self._tolerance:
            self._held = (frame, place)
        else:
            self._place(frame, self._cursor if self._cursor is not None else place or 0)

    def _place(self, frame: AudioFrame, place: int) -> None:
        """Put a frame at a sample number of the source's rate; what is there already is kept, a gap is filled with zeros."""
        begin = place if self._cursor is None else max(place, self._cursor)
        skip = begin - place
        if skip and not self._is_repeated:
            self._skipped.append((place, min(skip, frame.samples)))
        if skip >= frame.samples:
            return
        self._is_repeated = False
        self._cursor = begin + frame.samples - skip
        for low, high in self._windows:
            if low < self._cursor and begin < high:
                self._append(frame, begin, skip)
                return

    def _append(self, frame: AudioFrame, begin: int, skip: int) -> None:
        """Collect frames of one format to convert them together: converting each alone costs as much as its decoding."""
        if self._batch:
            first = self._batch[0]
            follows = begin == self._batch_end and not skip and len(self._batch) < _MAX_BATCH_FRAMES
            same_format = (
                frame.format.name == first.format.name and frame.layout.nb_channels == first.layout.nb_channels
            )
            if not (follows and same_format):
                self._convert_batch()
        if not self._batch:
            self._batch_start = (begin, skip)
        self._batch.append(frame)
        self._batch_end = begin + frame.samples - skip

    def _convert_batch(self) -> None:
        if self._batch:
            begin, skip = self._batch_start
            mono, losses = mix_frames(self._batch)
            if not np.isfinite(losses).all():
                raise MediaError(
                    "does_not_decode", f"{self._source}: its audio contains NaN or infinity; encode the file again"
                )
            losses[:, 0] += begin - skip
            self._chunks.append((begin, mono[skip:], losses))
            self._batch = []

    def take(self, start: Fraction, num_samples: int) -> MonoAudio:
        """(num_samples,) samples from `start` on; zeros where the source has no audio."""
        if self._rate_hz == 0:
            return np.zeros(num_samples, np.float32)
        if self._held is not None and not self.covers(start + Fraction(num_samples, self._to_rate_hz)):
            (held, place), self._held = self._held, None  # no frame follows it
            self._place(held, place)
        self._convert_batch()
        common = gcd(self._rate_hz, self._to_rate_hz)
        up, down = self._to_rate_hz // common, self._rate_hz // common
        # The margin is a whole number of periods of both rates, so that sample 0 of the result falls on a source sample.
        periods = -(-int(_MARGIN_SECONDS * self._rate_hz) // down)
        begin = half_up(start * self._rate_hz) - periods * down
        end = begin + 2 * periods * down + -(-num_samples * down // up)
        native = np.zeros(end - begin, np.float32)
        heard: list[LossTable] = []
        for place, chunk, losses in self._chunks:
            low, high = max(place, begin), min(place + chunk.size, end)
            if low < high:
                native[low - begin : high - begin] = chunk[low - place : high - place]
                heard.append(_within(losses, low, high))
        self.cancelled_db = cancelled_db(np.concatenate(heard)) if heard else 0.0
        out = resample(native, self._rate_hz, self._to_rate_hz)[periods * up :][:num_samples]
        return np.pad(out, (0, num_samples - out.size))

    def forget(self, segments: Sequence[tuple[Fraction, Fraction]]) -> None:
        """Drop all samples except those that `segments`, the segments still to be taken, need."""
        self._segments = list(segments)
        margin = 2 * _MARGIN_SECONDS
        self._windows = [
            (half_up((start - margin) * self._rate_hz), half_up((end + margin) * self._rate_hz))
            for start, end in segments
        ]
        earliest = min((low for low, _ in self._windows), default=None)
        while self._chunks and (earliest is None or self._chunks[0][0] + self._chunks[0][1].size < earliest):
            self._chunks.popleft()


def _within(losses_K4: LossTable, low: int, high: int) -> LossTable:
    """The rows whose windows lie in the samples ``[low, high)``, those at the ends in proportion."""
    first, size = losses_K4[:, 0], losses_K4[:, 1]
    inside = np.minimum(first + size, high) - np.maximum(first, low)
    rows = losses_K4[inside > 0].copy()
    rows[:, 1:] *= (inside / np.maximum(size, 1))[inside > 0, None]
    return rows
