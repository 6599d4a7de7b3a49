"""Exact clips from one decode pass of a source.

* The clock of a source begins with its first video frame.
* The output grid divides that clock into intervals of 1/rate seconds. A clip consists of whole intervals.
* Frame k of the grid is the source frame that is displayed at the midpoint of ``[k, k + 1) / rate``, so that rounded
  timestamps cannot select a neighbouring frame.
* The audio of a clip begins exactly at its first interval.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phonics_data.contract.display import Region
from phonics_data.contract.sample import num_audio_samples, quantize_audio
from phonics_data.contract.shown_frames import ShownFrames
from phonics_data.contract.streams import audio_stream, video_stream
from phonics_data.errors import MediaError
from phonics_data.media.audio_track import AudioTrack
from phonics_data.media.container import as_fraction, decode_packet, frames_of, open_media, pixel_aspect, time_base
from phonics_data.media.scaler import FULL_FRAME, Fit, Scaler, orientation_of
from phonics_data.media.timestamps import Grid, half_up
from phonics_data.types import SourceCounts

if TYPE_CHECKING:
    import av
    from av.audio.frame import AudioFrame
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame


_MIN_SEEK_SECONDS = 8
"""Longer intervals that no segment needs are skipped by seeking, if a key frame follows them."""

_PREROLL_SECONDS = 2
"""Decoded before a segment after a seek, so that the decoders have settled."""

_MAX_LAG_SECONDS = 10
"""If the audio is interleaved more than this before or after its video, or has ended, a second reader decodes it.
Otherwise completed frames would stay in memory until the end of the source."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DecodedClip:
    """One clip decoded from its source."""

    index: int
    """Index of its segment in the requested list."""
    start_seconds: float
    """Start of its first frame's interval: the requested start, rounded to the nearest boundary of the grid."""
    end_seconds: float
    frames_LHWC: NDArray[np.uint8]
    region: Region
    """The part of the upright frame that the clip shows, the same in all its frames."""
    audio_N: NDArray[np.float32]
    """Mono in [-1, 1], quantized to 16 bits, of the same duration as the frames."""
    cancelled_db: float
    """How much quieter the mono sound is than the loudest channel of the source in the quarter of it that loses most."""
    samples_THWC: NDArray[np.uint8]
    """Some whole frames at (about) the source's size, uint8 RGB, as asked for by `Samples`; empty if they were not."""
    sample_frames_T: NDArray[np.int64]
    """Number of the frame of each sample."""
    counts: SourceCounts
    """What the source holds in the segment, against the clip."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """Which whole frames a cut gives besides those of the clips.

    Args:
        per_second: their number, about; evenly spaced from the first frame of the clip on.
        max_number: in one clip.
        max_side: their longest side in pixels; larger frames are scaled down. The pixel aspect ratio is taken into account.
    """

    per_second: float
    max_number: int
    max_side: int


@dataclass(slots=True)
class _PendingSegment:
    """A segment that is being decoded: output intervals ``first <= k < end``."""

    index: int
    first: int
    end: int
    focus: Region | None = None
    frames: list[NDArray[np.uint8]] = field(default_factory=list[NDArray[np.uint8]])
    samples: list[NDArray[np.uint8]] = field(default_factory=list[NDArray[np.uint8]])
    stride: int = 0
    """Of the samples, in frames of the clip; 0: none."""
    num_shown: int = 0
    """Frames of the source among `frames`."""
    num_damaged: int = 0
    """Of these the damaged ones."""
    video_done: bool = False
    region: Region = FULL_FRAME


def cut_segments(
    path: Path,
    segments: Sequence[tuple[float, float]],
    *,
    frame_rate: Fraction,
    width: int,
    height: int,
    fit: Fit = "squash",
    audio_rate_hz: int,
    region: Region = FULL_FRAME,
    focus: Sequence[Region | None] | None = None,
    samples: Samples | None = None,
    threads: int = 1,
) -> Iterator[DecodedClip]:
    """Cut all `segments` from one source; each is yielded as soon as it is complete.

    Args:
        segments: (start, end) in seconds from the first video frame; they may overlap, in any order.
        frame_rate: of the clips; independent of the source's rate.
        width: of the clips in pixels.
        height: of the clips in pixels.
        fit: how frames of another aspect ratio are fitted.
        audio_rate_hz: of the clips.
        region: the part of the frame that may be used.
        focus: for each segment, the box that its clip must show, if `fit` is ``focus``; None where none is known.
        samples: whole frames to give besides; None: none.
        threads: decoder threads.

    Yields:
        One `DecodedClip` per segment. A segment that exceeds the end of the video has fewer frames, possibly none.

    Raises:
        MediaError: ``no_video_stream``, ``no_audio_stream``, ``does_not_decode`` or ``not_a_video``.
    """
    wanted = [
        _PendingSegment(
            index=index,
            first=max(0, _boundary(start, frame_rate)),
            end=_boundary(end, frame_rate),
            focus=focus[index] if focus is not None else None,
        )
        for index, (start, end) in enumerate(segments)
    ]
    if samples is not None:
        for segment in wanted:
            most = ceil((segment.end - segment.first) / samples.max_number)
            segment.stride = max(1, half_up(frame_rate / Fraction(samples.per_second)), most)
    wanted.sort(key=lambda segment: (segment.first, segment.end, segment.index))
    output = _OutputFormat(frame_rate, width, height, fit, audio_rate_hz, region, threads, samples)
    try:
        for clip in _decode_pass(path, wanted, output, use_seek=True):
            wanted = [segment for segment in wanted if segment.index != clip.index]
            yield clip
    except _SeekError:
        for segment in wanted:
            segment.frames.clear()
            segment.samples.clear()
            segment.num_shown = segment.num_damaged = 0
            segment.video_done = False
        yield from _decode_pass(path, wanted, output, use_seek=False)


class _SeekError(Exception):
    """The file's index is wrong: a seek failed, or landed after the frames that it was for."""


@dataclass(frozen=True, slots=True)
class _OutputFormat:
    frame_rate: Fraction
    width: int
    height: int
    fit: Fit
    audio_rate_hz: int
    region: Region
    threads: int
    samples: Samples | None


def _decode_pass(
    path: Path, segments: Sequence[_PendingSegment], output: _OutputFormat, *, use_seek: bool
) -> Iterator[DecodedClip]:
    wanted = list(segments)
    with ExitStack() as opened:
        container = opened.enter_context(open_media(path))
        video, audio = video_stream(container), audio_stream(container)
        if video is None:
            raise MediaError("no_video_stream", f"{path}: has no video stream")
        if audio is None:
            raise MediaError("no_audio_stream", f"{path}: has no audio stream")
        video.codec_context.thread_count = output.threads
        scalers = _Scalers(output, pixel_aspect(video), str(path))
        track = AudioTrack(
            _seconds(wanted, output.frame_rate), output.audio_rate_hz, str(path), audio.codec_context.name
        )
        index = video
        if use_seek and "matroska" in container.format.name:
            # A seek reads the index, which is often at the end of the file. In the container that is decoded, it would lose the
            # first packet of Opus, whose time is negative.
            other = opened.enter_context(open_media(path))
            _seek(other, 0)
            index = other.streams[video.index]
        display = _Display(video, output.frame_rate, index=index if use_seek else None)
        for covered, frame in _decode_streams(path, container, audio, display, track, wanted):
            if frame is not None and not _append_frame(wanted, covered, frame, scalers, is_damaged=display.is_damaged):
                continue
            ready = [
                segment for segment in wanted if segment.video_done and track.covers(segment.end / output.frame_rate)
            ]
            for segment in ready:
                wanted.remove(segment)
                yield _finish(segment, track, output, display)
            if ready:
                track.forget(_seconds(wanted, output.frame_rate))
                scalers.forget(wanted)
            if not wanted:
                return
        if display.is_lost:
            raise _SeekError
        for segment in wanted:
            yield _finish(segment, track, output, display)


def _boundary(seconds: float, frame_rate: Fraction) -> int:
    """The grid boundary nearest to `seconds`; the float is first converted back to its decimal value."""
    return half_up(Fraction(seconds).limit_denominator(1_000_000) * frame_rate)


def _seconds(segments: Sequence[_PendingSegment], frame_rate: Fraction) -> list[tuple[Fraction, Fraction]]:
    return [(segment.first / frame_rate, segment.end / frame_rate) for segment in segments]


def _seek(container: InputContainer, timestamp: int, video: av.VideoStream | None = None) -> None:
    import av.error

    try:
        container.seek(timestamp, stream=video, backward=True)
    except av.error.FFmpegError as error:  # the container returns no packets after this
        raise _SeekError from error


def _decode_streams(
    path: Path,
    container: InputContainer,
    audio: av.AudioStream,
    display: _Display,
    track: AudioTrack,
    wanted: Sequence[_PendingSegment],
) -> Iterator[tuple[range, VideoFrame | None]]:
    """Decode both streams in file order; intervals that no segment of `wanted` needs are skipped by seeking.

    Yields (output intervals that a video frame covers, the frame), and (empty, None) after audio that a segment needs.
    """
    # Audio before the first video frame is kept until the start of the clock is known.
    leading: list[AudioFrame] = []
    leading_seconds, is_leading_dropped = 0.0, False
    separate: Iterator[AudioFrame] | None = None
    tick, audio_index, shown = time_base(audio), audio.index, ShownFrames(display.video)
    with ExitStack() as opened:
        for packet in container.demux([display.video, audio]):
            if packet.stream.index == audio_index:
                if separate is not None or is_leading_dropped:
                    continue
                for audio_frame in frames_of(packet):
                    leading.append(audio_frame)
                    leading_seconds += audio_frame.samples / audio_frame.sample_rate
                if display.origin is not None:
                    for audio_frame in leading:
                        track.add(audio_frame, tick, display.origin)
                    leading.clear()
                    if wanted and wanted[0].video_done:
                        yield range(0), None
                elif leading_seconds > _MAX_LAG_SECONDS:  # possibly all audio: a second reader decodes it again
                    leading.clear()
                    is_leading_dropped = True
                continue
            frames, is_valid = decode_packet(packet)
            if not is_valid:
                display.lose(packet)
            for frame in shown.add(packet, frames):
                is_first = display.origin is None
                covered = display.replace(frame)
                if is_first and display.origin is not None and audio.start_time is not None:
                    track.start_at(audio.start_time * tick - display.origin)
                lags = wanted and wanted[0].video_done and display.seconds_since(wanted[0]) > _MAX_LAG_SECONDS
                if separate is None and (is_leading_dropped or lags):
                    separate = opened.enter_context(closing(_audio_frames(path, audio_index)))
                    track.expect_repetition()
                if covered is None:
                    continue
                yield covered
                if wanted and (timestamp := display.seek_timestamp(wanted[0].first)) is not None:
                    _seek(container, timestamp, display.video)
                    track.expect_repetition()
                    shown.reset()
                if separate is not None:
                    _catch_up(separate, track, display, tick)
        if display.origin is not None:
            for audio_frame in leading:
                track.add(audio_frame, tick, display.origin)
        if (covered := display.end()) is not None:
            yield covered
        if separate is not None:
            _catch_up(separate, track, display, tick)


def _audio_frames(path: Path, audio_index: int) -> Generator[AudioFrame]:
    """All audio frames of a source, decoded by a second reader."""
    with open_media(path) as container:
        for packet in container.demux(container.streams[audio_index]):
            yield from frames_of(packet)


def _catch_up(separate: Iterator[AudioFrame], track: AudioTrack, display: _Display, tick: Fraction) -> None:
    """Decode audio up to the video's position. Frames that the track already has are recognized by their timestamps."""
    assert display.origin is not None
    while not track.covers(display.now):
        frame = next(separate, None)
        if frame is None:
            track.end()
            return
        track.add(frame, tick, display.origin)


class _Display:
    """The video frame that is currently displayed, and the output intervals that it covers."""

    def __init__(self, video: av.VideoStream, frame_rate: Fraction, *, index: Stream | None) -> None:
        self.video = video
        self._index = index
        self.origin: Fraction | None = None
        self._frame_rate = frame_rate
        self._tick = time_base(video)
        frame_seconds = 1 / (as_fraction(video.average_rate) or as_fraction(video.guessed_rate) or Fraction(25))
        self._frame_ticks = max(1, round(frame_seconds / self._tick))
        self._grid: Grid | None = None
        self._frame: VideoFrame | None = None
        self._first = 0
        self._end_pts = 0
        self._dropped: list[int] = []
        self._lost: list[int] = []
        self._is_frame_damaged = False
        self._damaged_from: int | None = None
        self.is_damaged = False
        """Whether the frame that `replace` or `end` returned last is damaged."""
        # These containers have an exact index; in others a seek can land anywhere.
        self._can_seek = index is not None and bool({"mp4", "matroska"} & set(video.container.format.name.split(",")))
        self._min_seek = ceil(_MIN_SEEK_SECONDS * frame_rate)

    @property
    def is_lost(self) -> bool:
        """Whether no frame was decoded since the last seek."""
        return self.origin is not None and self._frame is None

    @property
    def now(self) -> Fraction:
        """Position in seconds from the first frame."""
        return self._first / self._frame_rate

    def seconds_since(self, segment: _PendingSegment) -> Fraction:
        """Seconds from the end of `segment` to the current position."""
        return self.now - segment.end / self._frame_rate

    def replace(self, frame: VideoFrame) -> tuple[range, VideoFrame] | None:
        """Display `frame`. Returns (intervals that the frame before it covered, that frame), if any."""
        assert frame.pts is not None
        pts = frame.pts
        if self._grid is None:
            self.origin = pts * self._tick
            self._grid = Grid(self._tick, self.origin, self._frame_rate)
        first = self._grid.first_interval(pts)
        if self._frame is not None and first < self._first:
            insort(self._dropped, first)
            return None  # timestamps that run backwards
        previous, covered = self._frame, range(self._first, first)
        if previous is not None and not covered:
            insort(self._dropped, first)
        self.is_damaged, self._is_frame_damaged = self._is_frame_damaged, self._depends_on_loss(frame, first)
        self._frame, self._first = frame, first
        self._end_pts = pts + (frame.duration or self._frame_ticks)
        return (covered, previous) if previous is not None and covered else None

    def lose(self, packet: Packet[Any]) -> None:
        """Count a packet that does not decode. The clock begins with the first frame that does."""
        if self._grid is None:
            return
        pts = packet.pts if packet.pts is not None else self._end_pts
        first = self._grid.first_interval(pts)
        insort(self._lost, first)
        if not packet.is_disposable:  # other frames refer to it
            self._damaged_from = first if self._damaged_from is None else min(first, self._damaged_from)

    def _depends_on_loss(self, frame: VideoFrame, first: int) -> bool:
        """Decoders repair frames that refer to a lost one as well as they can, and do not say so."""
        if self._damaged_from is not None and first >= self._damaged_from:
            if not frame.key_frame:
                return True
            self._damaged_from = None
        return frame.is_corrupt

    def num_dropped(self, first: int, end: int) -> int:
        """Frames in the output intervals ``[first, end)`` that were displayed in the middle of none of them."""
        return bisect_left(self._dropped, end) - bisect_left(self._dropped, first)

    def num_lost(self, first: int, end: int) -> int:
        """Packets in the output intervals ``[first, end)`` that did not decode."""
        return bisect_left(self._lost, end) - bisect_left(self._lost, first)

    def end(self) -> tuple[range, VideoFrame] | None:
        """The intervals that the last frame covers, by its own duration, and that frame."""
        if self._frame is None or self._grid is None:
            return None
        covered = range(self._first, max(self._first, self._grid.first_interval(self._end_pts)))
        self._first = covered.stop
        self.is_damaged = self._is_frame_damaged
        return covered, self._frame

    def seek_timestamp(self, needed: int) -> int | None:
        """The timestamp to seek to if the next needed interval is far away and after another key frame, else None."""
        if not self._can_seek or needed - self._first < self._min_seek:
            return None
        assert self.origin is not None
        assert self._index is not None
        start = Fraction(needed) / self._frame_rate - _PREROLL_SECONDS
        timestamp = int((start + self.origin) / self._tick)
        entries = self._index.index_entries
        index = entries.search_timestamp(timestamp)
        if index < 0 or entries[index].timestamp <= self._end_pts:
            return None
        self._frame, self._damaged_from = None, None
        return timestamp


class _Scalers:
    """One scaler for each focus of the segments that are being decoded."""

    def __init__(self, output: _OutputFormat, pixel_aspect: Fraction, source: str) -> None:
        self._output, self._pixel_aspect, self._source = output, pixel_aspect, source
        self._by_focus: dict[Region | None, Scaler] = {}
        self._sampler: Scaler | None = None

    def sample(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """The whole upright frame at the size of the samples."""
        assert self._output.samples is not None
        width, height = Fraction(frame.width) * self._pixel_aspect, Fraction(frame.height)
        if orientation_of(frame, self._source).is_transposed:
            width, height = height, width
        scale = min(Fraction(1), Fraction(self._output.samples.max_side) / max(width, height))
        size = (max(1, half_up(width * scale)), max(1, half_up(height * scale)))
        if self._sampler is None or (self._sampler.width, self._sampler.height) != size:
            self._sampler = Scaler(*size, "squash", source=self._source)
        return self._sampler.scale(frame)

    def scaler(self, focus: Region | None) -> Scaler:
        if focus not in self._by_focus:
            output = self._output
            self._by_focus[focus] = Scaler(
                output.width, output.height, output.fit, self._pixel_aspect, output.region, focus, self._source
            )
        return self._by_focus[focus]

    def forget(self, wanted: Sequence[_PendingSegment]) -> None:
        """Free the scalers that no segment of `wanted` needs."""
        needed = {segment.focus for segment in wanted}
        self._by_focus = {focus: scaler for focus, scaler in self._by_focus.items() if focus in needed}


def _append_frame(
    wanted: Sequence[_PendingSegment], covered: range, frame: VideoFrame, scalers: _Scalers, *, is_damaged: bool
) -> bool:
    """Append the frame to every pending segment, once for each interval of the segment that it covers.

    Returns whether the video of at least one segment is complete.
    """
    scaled: dict[Region | None, NDArray[np.uint8]] = {}
    sample: NDArray[np.uint8] | None = None
    start, stop, done = covered.start, covered.stop, False
    for segment in wanted:
        if segment.first >= stop:
            break  # segments are sorted
        if not segment.video_done and start > segment.first + len(segment.frames):
            raise _SeekError
        count = min(segment.end, stop) - max(segment.first, start)
        if count > 0:
            steps = range(len(segment.frames), len(segment.frames) + count)
            if segment.stride and (number := sum(step % segment.stride == 0 for step in steps)):
                sample = scalers.sample(frame) if sample is None else sample
                segment.samples.extend([sample] * number)
            scaler = scalers.scaler(segment.focus)
            if segment.focus not in scaled:
                scaled[segment.focus] = scaler.scale(frame)
            segment.frames.extend([scaled[segment.focus]] * count)
            segment.region = scaler.picture
            segment.num_shown += 1
            segment.num_damaged += is_damaged
        segment.video_done = stop >= segment.end
        done = done or segment.video_done
    return done


def _finish(segment: _PendingSegment, track: AudioTrack, output: _OutputFormat, display: _Display) -> DecodedClip:
    # Released even if the segment stays referenced.
    frames, segment.frames, samples, segment.samples = segment.frames, [], segment.samples, []
    num_frames = len(frames)
    start = segment.first / output.frame_rate
    num_samples = num_audio_samples(num_frames, output.frame_rate, output.audio_rate_hz)
    empty = np.zeros((0, output.height, output.width, 3), np.uint8)
    audio_N = track.take(start, num_samples)
    counts = _counts(segment, num_frames, track, output.frame_rate, display)
    return DecodedClip(
        index=segment.index,
        start_seconds=float(start),
        end_seconds=float(start + num_frames / output.frame_rate),
        frames_LHWC=np.stack(frames) if frames else empty,
        region=segment.region,
        audio_N=quantize_audio(audio_N),
        cancelled_db=track.cancelled_db,
        samples_THWC=(alike := _alike(samples)),
        sample_frames_T=np.arange(len(samples) - len(alike), len(samples)) * segment.stride,
        counts=counts,
    )


def _counts(
    segment: _PendingSegment, num_frames: int, track: AudioTrack, frame_rate: Fraction, display: _Display
) -> SourceCounts:
    first, end = segment.first, max(segment.first, segment.end)
    start, reached, stop = (interval / frame_rate for interval in (first, first + num_frames, Fraction(end)))
    num_dropped = display.num_dropped(first, end)
    held = track.seconds_held(start, reached)
    return SourceCounts(
        source_frames=segment.num_shown + num_dropped,
        dropped_frames=num_dropped,
        repeated_frames=num_frames - segment.num_shown,
        damaged_frames=segment.num_damaged + display.num_lost(first, end),
        missing_video_seconds=float(stop - reached),
        missing_audio_seconds=round(max(0.0, float(reached - start) - held), 4),
        unused_audio_seconds=round(track.seconds_held(reached, stop) + track.seconds_unused(start, stop), 4),
    )


def _alike(samples: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """(T, H, W, 3) the samples from the last change of their size on, which a source can have."""
    first = next((t for t in range(len(samples) - 1, 0, -1) if samples[t].shape != samples[t - 1].shape), 0)
    return np.stack(samples[first:]) if samples else np.zeros((0, 1, 1, 3), np.uint8)
