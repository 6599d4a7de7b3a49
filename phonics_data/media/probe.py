"""Properties of a media file, and a check that it is complete."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import av.error

from phonics_data.contract.media_input import MAX_FRAME_PIXELS
from phonics_data.contract.shown_frames import ShownFrames
from phonics_data.contract.streams import audio_stream, describe_choice, video_stream
from phonics_data.errors import MediaError
from phonics_data.media.container import as_fraction, frames_of, open_media, time_base
from phonics_data.media.scaler import orientation_of

if TYPE_CHECKING:
    from av.container import InputContainer


MAX_SECONDS = 6 * 3600.0
"""Longest file. A header can announce any duration, and the stages need time and memory for all of it."""
_END_SLACK_SECONDS = 0.5
"""Containers can announce a few frames more than they contain."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaInfo:
    """Properties of one media file."""

    duration_seconds: float
    """Of the longest stream, from the container; measured from the packets where the container has none. 0 if empty."""
    frame_rate: Fraction
    """Frames per second as `nominal_rate`; 0 without video."""
    width: int
    """Of the stored frame in pixels, before rotation and pixel aspect ratio; 0 without video."""
    height: int
    video_codec: str
    """FFmpeg codec name, e.g. ``h264``; empty without video."""
    audio_rate_hz: int
    """0 without audio."""
    has_video: bool
    has_audio: bool
    num_frames: int | None
    """Number of frames in the container header; None if it has none."""
    audio_choice: str = ""
    """Which of several audio streams is used, in words; empty if there is one or none."""


def probe(path: Path, *, need_video: bool = True, need_audio: bool = False) -> MediaInfo:
    """Read a file's headers.

    Args:
        need_video: reject files without a video stream.
        need_audio: reject files without an audio stream.

    Raises:
        MediaError: reason ``file_missing``, ``not_a_video`` (no media container), ``too_large``, ``no_video_stream`` or
            ``no_audio_stream``.
    """
    with open_media(path) as container:
        video, audio = video_stream(container), audio_stream(container)
        if video is None and audio is None:
            raise MediaError("not_a_video", f"{path}: neither video nor audio in it; expected a video file")
        if need_video and video is None:
            raise MediaError(
                "no_video_stream", f"{path}: audio only, expected a video; remove the row or provide the video"
            )
        if need_audio and audio is None:
            raise MediaError(
                "no_audio_stream", f"{path}: has no audio stream, expected one; download it again with audio"
            )
        if video is not None and (video.width <= 0 or video.height <= 0):
            raise MediaError(
                "not_a_video",
                f"{path}: it gives no frame size of up to {MAX_FRAME_PIXELS / 1e6:.0f} million pixels; the file is damaged, or its "
                "frames are larger",
            )
        return MediaInfo(
            duration_seconds=_duration_seconds(container),
            frame_rate=_frame_rate(path, video) if video is not None else Fraction(0),
            width=video.width if video is not None else 0,
            height=video.height if video is not None else 0,
            video_codec=video.codec_context.name if video is not None else "",
            audio_rate_hz=audio.rate if audio is not None else 0,
            has_video=video is not None,
            has_audio=audio is not None,
            num_frames=(video.frames or None) if video is not None else None,
            audio_choice=describe_choice(container, audio) if audio is not None else "",
        )


COMMON_RATES = tuple(
    Fraction(rate, base)
    for rate, base in ((24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1), (50, 1), (60000, 1001), (60, 1))
)
_SAME_RATE = Fraction(4, 10_000)
"""Relative difference of two rates that are the same: containers round durations. 24000/1001 and 24 differ by 1/1000."""
_FULL_SHARE = Fraction(9, 10)
"""A file whose average is at least this share of its regular rate has lost single frames; a lower one has no regular rate."""
MIN_RATE, MAX_RATE = Fraction(1), Fraction(240)


def nominal_rate(average: Fraction | None, regular: Fraction | None) -> Fraction | None:
    """The frame rate of a source.

    * A constant rate is that rate, exactly: one that differs from one of `COMMON_RATES` by rounding only is the common rate.
    * A variable rate is the regular rate if at most a tenth of its frames is missing (dropped frames), else the average.
    * Rates below 1 and above 240 frames a second become these limits.

    Args:
        average: frames by duration; None or 0 if the file does not give it.
        regular: the rate on whose grid the frames lie, by FFmpeg's estimate; None if unknown. Containers with times in
            milliseconds can give 1000.

    Returns:
        None if the file gives neither.
    """
    if not average and not regular:
        return None
    rate = average or regular
    assert rate is not None
    if average and regular and _FULL_SHARE * regular <= average <= regular / _FULL_SHARE:
        rate = regular
    rate = next((common for common in COMMON_RATES if abs(rate - common) <= _SAME_RATE * common), rate)
    return clip_rate(rate)


def clip_rate(source_rate: Fraction) -> Fraction:
    """The rate of clips that keep the rate of their source: that of the source, within `MIN_RATE` and `MAX_RATE`.

    `nominal_rate` gives such rates already; tables of older versions contain others.
    """
    return min(max(source_rate.limit_denominator(1001), MIN_RATE), MAX_RATE)


def _frame_rate(path: Path, video: av.VideoStream) -> Fraction:
    average = as_fraction(video.average_rate)
    regular = as_fraction(video.guessed_rate) or as_fraction(video.base_rate)
    return nominal_rate(average or _measured_rate(path, video.index), regular) or Fraction(0)


def _measured_rate(path: Path, index: int) -> Fraction | None:
    """The mean rate by the packets of a stream. FFmpeg estimates twice the rate of some streams that give no average."""
    times: list[int] = []
    with open_media(path) as container:
        stream = container.streams[index]
        with suppress(av.error.FFmpegError):  # the readable part is the result
            times.extend(packet.dts for packet in container.demux(stream) if packet.dts is not None)
        span = (max(times) - min(times)) * time_base(stream) if times else Fraction(0)
    return (len(times) - 1) / span if span else None


def _duration_seconds(container: InputContainer) -> float:
    if container.duration and container.duration > 0:
        return container.duration / av.time_base
    streams = [s for s in (video_stream(container), audio_stream(container)) if s is not None]
    durations = [float(s.duration * time_base(s)) for s in streams if s.duration]
    if durations:
        return max(durations)
    # Live recordings have no duration in any header: measure it from the packets.
    first: Fraction | None = None
    last = Fraction(0)
    try:
        for packet in container.demux(streams):
            if packet.pts is None:
                continue
            base = time_base(packet.stream)
            start = packet.pts * base
            first = start if first is None else min(first, start)
            last = max(last, start + (packet.duration or 0) * base)
    except av.error.FFmpegError:
        pass  # truncated: the readable part determines the duration
    return float(last - first) if first is not None else 0.0


def decodes_to_end(path: Path, seconds: float = 2.0) -> None:
    """Check that the last `seconds` of video and audio decode; they are missing after an interrupted download.

    Raises:
        MediaError: reason ``does_not_decode``, ``unsupported`` (as `orientation_of`), ``too_large`` (longer than `MAX_SECONDS`), or
            the reasons of `probe`.
    """
    info = probe(path)
    if info.duration_seconds > MAX_SECONDS:
        raise MediaError(
            "too_large",
            f"{path}: {info.duration_seconds / 3600:.1f} hours, allowed: up to {MAX_SECONDS / 3600:g}; remove it, or give a part of it",
            measured=info.duration_seconds,
            threshold=MAX_SECONDS,
        )
    enough = info.duration_seconds - _END_SLACK_SECONDS
    reached = _decoded_seconds(path, max(0.0, info.duration_seconds - seconds))
    if not reached >= enough:
        # A seek can land after the last key frame or fail. A file is rejected only after a full decode.
        reached = _decoded_seconds(path, 0.0)
    if not reached >= enough:
        raise MediaError(
            "does_not_decode",
            f"{path}: its duration is {info.duration_seconds:.2f} s, but video or audio decodes only up to "
            f"{max(0.0, reached):.2f} s; the download was interrupted or the file is damaged: fetch it again",
            measured=max(0.0, reached),
            threshold=info.duration_seconds,
        )


def _decoded_seconds(path: Path, from_seconds: float) -> float:
    """End of the last frame if decoding starts near `from_seconds`; -1 without any video frame."""
    last: dict[str, float] = {}
    with open_media(path) as container:
        streams = [s for s in (video_stream(container), audio_stream(container)) if s is not None]
        start = (cast("int | None", container.start_time) or 0) / av.time_base
        video = video_stream(container)
        shown = ShownFrames(video) if video is not None else None
        try:
            if from_seconds > 0:
                container.seek(int((start + from_seconds) * av.time_base), backward=True)
            for packet in container.demux(streams):
                frames = frames_of(packet)
                if shown is not None and video is not None and packet.stream.index == video.index:
                    frames = shown.add(packet, frames)
                for frame in frames:
                    if packet.stream.type == "video":
                        orientation_of(frame, str(path))  # refused before any work
                    if frame.pts is not None:
                        end = float((frame.pts + frame.duration) * time_base(packet.stream)) - start
                        last[packet.stream.type] = max(last.get(packet.stream.type, 0.0), end)
        except av.error.FFmpegError:
            pass  # the readable part is the result
    return max(last.values()) if "video" in last else -1.0
