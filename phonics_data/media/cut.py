"""Exact clips from one decode pass of a source.

The clock of a source begins with its first video frame. The output grid cuts that clock into intervals of 1/rate
seconds; a clip is a run of whole intervals. Its frame for the interval ``[k, k + 1) / rate`` is the source frame on
display in the middle of the interval, so that rounded timestamps never pick a neighbour, and its sound begins exactly
where its first interval does.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phonics_data.contract.sample import num_audio_samples, quantize_audio
from phonics_data.errors import MediaError
from phonics_data.media.audio_track import SoundTrack
from phonics_data.media.container import audio_stream, frames_of, open_media, time_base, video_stream
from phonics_data.media.scaler import Fit, Region, Scaler
from phonics_data.media.timestamps import Grid, half_up

if TYPE_CHECKING:
    import av
    from av.audio.frame import AudioFrame
    from av.container import InputContainer
    from av.video.frame import VideoFrame


_JUMP_SECONDS = 8
"""Stretches longer than this that no segment needs are jumped over, if a key frame lies behind them."""

_RUN_UP_SECONDS = 2
"""Decoded before a segment after a jump, so that picture and sound have settled."""

_LAG_SECONDS = 10
"""Sound that lies further than this behind its picture in the file, or has ended, is read by itself: finished pictures
would wait for it in memory until the end of the source. So is sound that begins further than this before it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Cut:
    """One clip as it comes from its source."""

    index: int
    """Place of its segment in the list that was asked for."""
    start_seconds: float
    """Where its first frame's interval begins: the asked start, moved to the nearest border of the grid."""
    end_seconds: float
    frames_LHWC: NDArray[np.uint8]
    audio_N: NDArray[np.float32]
    """Mono in [-1, 1] on the 16-bit grid, as long as the frames last."""


@dataclass(slots=True)
class _Open:
    """A segment that is still being filled: output intervals ``first <= k < end``."""

    index: int
    first: int
    end: int
    frames: list[NDArray[np.uint8]] = field(default_factory=list[NDArray[np.uint8]])
    picture_done: bool = False


def cut_segments(
    path: Path,
    segments: Sequence[tuple[float, float]],
    *,
    frame_rate: Fraction,
    width: int,
    height: int,
    fit: Fit = "crop",
    audio_rate_hz: int,
    region: Region = (0.0, 0.0, 1.0, 1.0),
    threads: int = 1,
) -> Iterator[Cut]:
    """Cut all `segments` out of one source, each as soon as it is complete.

    Args:
        segments: (start, end) in seconds from the first video frame; they may overlap and come in any order.
        frame_rate: of the clips; any rate, whatever the source's is.
        width: of the clips in pixels.
        height: of the clips in pixels.
        region: (left, top, right, bottom) of the stored picture that is used, as shares of its size.
        threads: decoder threads.

    Yields:
        One `Cut` a segment. A segment that reaches past the end of the picture gives the frames that there are, perhaps none.

    Raises:
        MediaError: ``no_video_stream``, ``no_audio_stream``, ``does_not_decode`` or ``not_a_video``.
    """
    wanted = [
        _Open(index=index, first=max(0, _border(start, frame_rate)), end=_border(end, frame_rate))
        for index, (start, end) in enumerate(segments)
    ]
    wanted.sort(key=lambda segment: (segment.first, segment.end, segment.index))
    target = _Target(frame_rate, width, height, fit, audio_rate_hz, region, threads)
    try:
        for cut in _one_pass(path, wanted, target, jump=True):
            wanted = [segment for segment in wanted if segment.index != cut.index]
            yield cut
    except _CannotJumpError:
        for segment in wanted:
            segment.frames.clear()
            segment.picture_done = False
        yield from _one_pass(path, wanted, target, jump=False)


class _CannotJumpError(Exception):
    """The file's index lies or fails: a jump landed behind the frames that it was for, or nowhere."""


@dataclass(frozen=True, slots=True)
class _Target:
    frame_rate: Fraction
    width: int
    height: int
    fit: Fit
    audio_rate_hz: int
    region: Region
    threads: int


def _one_pass(path: Path, segments: Sequence[_Open], target: _Target, *, jump: bool) -> Iterator[Cut]:
    wanted = list(segments)
    with open_media(path) as container:
        video, audio = video_stream(container), audio_stream(container)
        if video is None:
            raise MediaError("no_video_stream", f"{path}: holds no video stream")
        if audio is None:
            raise MediaError("no_audio_stream", f"{path}: holds no audio stream")
        video.codec_context.thread_count = target.threads
        scaler = Scaler(target.width, target.height, target.fit, _pixel_aspect(video), target.region)
        sound = SoundTrack(_seconds(wanted, target.frame_rate), target.audio_rate_hz, str(path))
        shown = _Shown(video, target.frame_rate, can_jump=jump)
        if jump and "matroska" in container.format.name:
            _seek(container, 0)  # reads the index, which often stands at the end of the file
        for covered, frame in _merged(path, container, audio, shown, sound, wanted):
            if frame is not None and not _paint(wanted, covered, frame, scaler):
                continue
            ready = [
                segment for segment in wanted if segment.picture_done and sound.covers(segment.end / target.frame_rate)
            ]
            for segment in ready:
                wanted.remove(segment)
                yield _finish(segment, sound, target)
            if ready:
                sound.forget(_seconds(wanted, target.frame_rate))
            if not wanted:
                return
        if shown.lost:
            raise _CannotJumpError
        for segment in wanted:
            yield _finish(segment, sound, target)


def _border(seconds: float, frame_rate: Fraction) -> int:
    """The border of the grid that is nearest to `seconds`, which are taken as the decimal number that they were."""
    return half_up(Fraction(seconds).limit_denominator(1_000_000) * frame_rate)


def _seconds(segments: Sequence[_Open], frame_rate: Fraction) -> list[tuple[Fraction, Fraction]]:
    return [(segment.first / frame_rate, segment.end / frame_rate) for segment in segments]


def _pixel_aspect(video: av.VideoStream) -> Fraction:
    return video.sample_aspect_ratio or video.codec_context.sample_aspect_ratio or Fraction(1)


def _seek(container: InputContainer, target: int, video: av.VideoStream | None = None) -> None:
    import av.error

    try:
        container.seek(target, stream=video, backward=True)
    except av.error.FFmpegError as error:  # after which the container has nothing more to give
        raise _CannotJumpError from error


def _merged(
    path: Path,
    container: InputContainer,
    audio: av.AudioStream,
    shown: _Shown,
    sound: SoundTrack,
    wanted: Sequence[_Open],
) -> Iterator[tuple[range, VideoFrame | None]]:
    """Decode both streams in the file's order, and jump over stretches that no segment of `wanted` needs.

    Yields (output intervals that a video frame covers, the frame), and (empty, None) after sound that a segment waits for.
    """
    early: list[AudioFrame] = []
    early_seconds, is_early_dropped = 0.0, False
    apart: Iterator[AudioFrame] | None = None
    tick, audio_index = time_base(audio), audio.index
    with ExitStack() as opened:
        for packet in container.demux([shown.video, audio]):
            if packet.stream_index == audio_index:
                if apart is not None or is_early_dropped:
                    continue
                # Sound that comes before the first picture waits until it is known where the clock begins.
                for sounding in frames_of(packet):
                    early.append(sounding)
                    early_seconds += sounding.samples / sounding.sample_rate
                if shown.origin is not None:
                    for sounding in early:
                        sound.add(sounding, tick, shown.origin)
                    early.clear()
                    if wanted and wanted[0].picture_done:
                        yield range(0), None
                elif early_seconds > _LAG_SECONDS:  # perhaps all of it comes first: it is read again by itself
                    early.clear()
                    is_early_dropped = True
                continue
            for frame in frames_of(packet):
                covered = shown.replace(frame)
                lags = wanted and wanted[0].picture_done and shown.seconds_since(wanted[0]) > _LAG_SECONDS
                if apart is None and (is_early_dropped or lags):
                    apart = opened.enter_context(closing(_sound_alone(path, audio_index)))
                if covered is None:
                    continue
                yield covered
                if wanted and (target := shown.jump(wanted[0].first)) is not None:
                    _seek(container, target, shown.video)
                if apart is not None:
                    _catch_up(apart, sound, shown, tick)
        if shown.origin is not None:
            for sounding in early:
                sound.add(sounding, tick, shown.origin)
        if (covered := shown.end()) is not None:
            yield covered
        if apart is not None:
            _catch_up(apart, sound, shown, tick)


def _sound_alone(path: Path, audio_index: int) -> Generator[AudioFrame]:
    """The sound of a source from its start, by a reader of its own."""
    with open_media(path) as container:
        for packet in container.demux(container.streams[audio_index]):
            yield from frames_of(packet)


def _catch_up(apart: Iterator[AudioFrame], sound: SoundTrack, shown: _Shown, tick: Fraction) -> None:
    """Read sound until it is as far as the picture. What came before from the container is told by its time."""
    assert shown.origin is not None
    while not sound.covers(shown.now):
        frame = next(apart, None)
        if frame is None:
            sound.end()
            return
        sound.add(frame, tick, shown.origin)


class _Shown:
    """The video frame on display, and which output intervals it covers."""

    def __init__(self, video: av.VideoStream, frame_rate: Fraction, *, can_jump: bool) -> None:
        self.video = video
        self.origin: Fraction | None = None
        self._frame_rate = frame_rate
        self._tick = time_base(video)
        usual = 1 / Fraction(video.average_rate or video.guessed_rate or 25)
        self._usual_ticks = max(1, round(usual / self._tick))
        self._grid: Grid | None = None
        self._frame: VideoFrame | None = None
        self._first = 0
        self._end_pts = 0
        # The index of these containers is exact; of others a jump may land anywhere.
        self._can_jump = can_jump and bool({"mp4", "matroska"} & set(video.container.format.name.split(",")))
        self._jump_from = ceil(_JUMP_SECONDS * frame_rate)

    @property
    def lost(self) -> bool:
        """Whether nothing has been shown since the last jump."""
        return self.origin is not None and self._frame is None

    @property
    def now(self) -> Fraction:
        """Seconds from the first frame on up to which pictures have been shown."""
        return self._first / self._frame_rate

    def seconds_since(self, segment: _Open) -> Fraction:
        """How long ago `segment` ended."""
        return self.now - segment.end / self._frame_rate

    def replace(self, frame: VideoFrame) -> tuple[range, VideoFrame] | None:
        """Show `frame`; gives the intervals that the one before it covered, and that one, if any."""
        pts = frame.pts if frame.pts is not None else self._end_pts
        if self._grid is None:
            self.origin = pts * self._tick
            self._grid = Grid(self._tick, self.origin, self._frame_rate)
        first = self._grid.first_middle(pts)
        if self._frame is not None and first < self._first:
            return None  # its time has passed: timestamps that run backwards, or the run-up after a jump
        before, covered = self._frame, range(self._first, first)
        self._frame, self._first = frame, first
        self._end_pts = pts + (frame.duration or self._usual_ticks)
        return (covered, before) if before is not None and covered else None

    def end(self) -> tuple[range, VideoFrame] | None:
        """What the last frame covers: it stays for as long as it says."""
        if self._frame is None or self._grid is None:
            return None
        covered = range(self._first, max(self._first, self._grid.first_middle(self._end_pts)))
        self._first = covered.stop
        return covered, self._frame

    def jump(self, needed: int) -> int | None:
        """The timestamp to seek to when the next needed interval lies far ahead behind another key frame, else None."""
        if not self._can_jump or needed - self._first < self._jump_from:
            return None
        assert self.origin is not None
        ahead = Fraction(needed) / self._frame_rate - _RUN_UP_SECONDS
        target = int((ahead + self.origin) / self._tick)
        entries = self.video.index_entries
        index = entries.search_timestamp(target)
        if index < 0 or entries[index].timestamp <= self._end_pts:
            return None
        self._frame = None
        return target


def _paint(wanted: Sequence[_Open], covered: range, frame: VideoFrame, scaler: Scaler) -> bool:
    """Append the frame to every open segment once for each interval of the segment that it covers.

    Returns whether the picture of one of `wanted` is complete.
    """
    scaled: NDArray[np.uint8] | None = None
    start, stop, done = covered.start, covered.stop, False
    for segment in wanted:
        if segment.first >= stop:
            break  # they are sorted
        if not segment.picture_done and start > segment.first + len(segment.frames):
            raise _CannotJumpError
        number = min(segment.end, stop) - max(segment.first, start)
        if number > 0:
            if scaled is None:
                scaled = scaler.scale(frame)
            segment.frames.extend([scaled] * number)
        segment.picture_done = stop >= segment.end
        done = done or segment.picture_done
    return done


def _finish(segment: _Open, sound: SoundTrack, target: _Target) -> Cut:
    frames, segment.frames = segment.frames, []  # whoever holds the segment need not hold its pictures
    num_frames = len(frames)
    start = segment.first / target.frame_rate
    num_samples = num_audio_samples(num_frames, target.frame_rate, target.audio_rate_hz)
    empty = np.zeros((0, target.height, target.width, 3), np.uint8)
    return Cut(
        index=segment.index,
        start_seconds=float(start),
        end_seconds=float(start + num_frames / target.frame_rate),
        frames_LHWC=np.stack(frames) if frames else empty,
        audio_N=quantize_audio(sound.take(start, num_samples)),
    )
