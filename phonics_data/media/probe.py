"""What a media file says about itself, and whether its end is really there."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import av.error

from phonics_data.errors import MediaError
from phonics_data.media.container import audio_stream, frames_of, open_media, time_base, video_stream

if TYPE_CHECKING:
    from av.container import InputContainer


_END_SLACK_SECONDS = 0.5
"""Containers announce up to some frames more than they hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaInfo:
    """The facts of one media file."""

    duration_seconds: float
    """Of the longest stream, as the container says; measured from the packets where it says nothing. 0 if empty."""
    frame_rate: Fraction
    """Average frames a second; 0 without video."""
    width: int
    """Of the stored picture in pixels, before rotation and pixel aspect; 0 without video."""
    height: int
    video_codec: str
    """FFmpeg's name of the codec, e.g. ``h264``; empty without video."""
    audio_rate_hz: int
    """0 without audio."""
    has_video: bool
    has_audio: bool
    num_frames: int | None
    """Frames that the container announces; None where it announces none."""


def probe(path: Path, *, need_video: bool = True, need_audio: bool = False) -> MediaInfo:
    """Read a file's headers.

    Args:
        need_video: a file without a video stream is an error.
        need_audio: a file without an audio stream is an error.

    Raises:
        MediaError: reason ``file_missing``, ``not_a_video`` (no media container), ``no_video_stream`` or
            ``no_audio_stream``.
    """
    with open_media(path) as container:
        video, audio = video_stream(container), audio_stream(container)
        if video is None and audio is None:
            raise MediaError("not_a_video", f"{path}: holds neither picture nor sound; wanted a video file")
        if need_video and video is None:
            raise MediaError("no_video_stream", f"{path}: sound only, wanted a video; remove the row or give its video")
        if need_audio and audio is None:
            raise MediaError(
                "no_audio_stream", f"{path}: has no audio stream, wanted one; download it again with its sound"
            )
        if video is not None and (video.width <= 0 or video.height <= 0):
            raise MediaError("not_a_video", f"{path}: its header gives no frame size; the file is damaged")
        rate = (video.average_rate or video.guessed_rate or video.base_rate) if video is not None else None
        return MediaInfo(
            duration_seconds=_duration_seconds(container),
            frame_rate=Fraction(rate) if rate else Fraction(0),
            width=video.width if video is not None else 0,
            height=video.height if video is not None else 0,
            video_codec=video.codec_context.name if video is not None else "",
            audio_rate_hz=audio.rate if audio is not None else 0,
            has_video=video is not None,
            has_audio=audio is not None,
            num_frames=(video.frames or None) if video is not None else None,
        )


def _duration_seconds(container: InputContainer) -> float:
    if container.duration and container.duration > 0:
        return container.duration / av.time_base
    streams = [s for s in (video_stream(container), audio_stream(container)) if s is not None]
    said = [float(s.duration * time_base(s)) for s in streams if s.duration]
    if said:
        return max(said)
    # Live recordings carry no duration anywhere: the packets tell.
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
        pass  # A cut-off end: what was readable until there is the duration.
    return float(last - first) if first is not None else 0.0


def decodes_to_end(path: Path, seconds: float = 2.0) -> None:
    """Decode the last `seconds` of picture and sound; a file whose download broke off has none.

    Raises:
        MediaError: reason ``does_not_decode``, or those of `probe`.
    """
    info = probe(path)
    enough = info.duration_seconds - _END_SLACK_SECONDS
    reached = _decoded_seconds(path, max(0.0, info.duration_seconds - seconds))
    if not reached >= enough:
        # A jump may land behind the last key frame, and in some containers nowhere: only a whole pass condemns a file.
        reached = _decoded_seconds(path, 0.0)
    if not reached >= enough:
        raise MediaError(
            "does_not_decode",
            f"{path}: says it lasts {info.duration_seconds:.2f} s, but its picture or sound decodes only to "
            f"{max(0.0, reached):.2f} s; the download broke off or the file is damaged: fetch it again",
            measured=max(0.0, reached),
            threshold=info.duration_seconds,
        )


def _decoded_seconds(path: Path, from_seconds: float) -> float:
    """Where the last frame ends when decoding begins about `from_seconds`; -1 when there is no picture at all."""
    last: dict[str, float] = {}
    with open_media(path) as container:
        streams = [s for s in (video_stream(container), audio_stream(container)) if s is not None]
        start = (cast("int | None", container.start_time) or 0) / av.time_base
        try:
            if from_seconds > 0:
                container.seek(int((start + from_seconds) * av.time_base), backward=True)
            for packet in container.demux(streams):
                for frame in frames_of(packet):
                    if frame.pts is not None:
                        end = float((frame.pts + frame.duration) * time_base(packet.stream)) - start
                        last[packet.stream.type] = max(last.get(packet.stream.type, 0.0), end)
        except av.error.FFmpegError:
            pass  # What is readable up to there is the answer.
    return max(last.values()) if "video" in last else -1.0
