"""Opening media files that strangers made.

Only demuxers of real media containers may look at a file, and only the file itself may be read: a playlist that calls
itself ``song.mp4`` can then neither fetch addresses nor pull in other files of this machine.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
import av.error
import av.logging
import av.stream

from phonics_data.errors import MediaError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

# What broken files make the libraries say belongs into our own messages, not on the user's terminal.
av.logging.set_level(None)

_DEMUXERS = "aac,ac3,aiff,asf,avi,flac,flv,gif,ivf,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,mpegvideo,nut,ogg,rm,wav"
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS}


@contextmanager
def open_media(path: Path) -> Generator[InputContainer]:
    """The opened container.

    Raises `MediaError` (``file_missing``, ``not_a_video``) and turns every error of the media libraries that leaves
    the block into ``does_not_decode``.
    """
    if not path.is_file():
        raise MediaError("file_missing", f"{path}: no such file; fetch the video again")
    try:
        container = av.open(str(path.absolute()), options=dict(_OPTIONS), metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(
            "not_a_video", f"{path}: not a media file that can be read ({_text(error)}); allowed: mp4, webm, mpeg, avi"
        ) from error
    try:
        yield container
    except av.error.FFmpegError as error:
        raise MediaError("does_not_decode", f"{path}: broken media file ({_text(error)}); fetch it again") from error
    finally:
        container.close()


def _text(error: Exception) -> str:
    """The library's words without the path, which our message has already."""
    return (getattr(error, "strerror", None) or str(error)).strip()


def video_stream(container: InputContainer) -> av.VideoStream | None:
    """The first video stream that moves and can be decoded: cover pictures of sound files do not count."""
    still = av.stream.Disposition.attached_pic | av.stream.Disposition.still_image
    for stream in container.streams.video:
        if _has_decoder(stream) and not stream.disposition & still:
            return stream
    return None


def audio_stream(container: InputContainer) -> av.AudioStream | None:
    """The audio stream that players take: the default one, else the first."""
    streams = [stream for stream in container.streams.audio if _has_decoder(stream)]
    for stream in streams:
        if stream.disposition & av.stream.Disposition.default:
            return stream
    return streams[0] if streams else None


def _has_decoder(stream: Stream) -> bool:
    # PyAV gives streams of unknown codecs no context, whatever its type stubs say.
    return cast("object | None", stream.codec_context) is not None


def frames_of(packet: Packet[Any]) -> list[Any]:
    """The frames (`VideoFrame` or `AudioFrame`) that a packet completes; none where its bytes are damaged, as players do.

    MPEG files that begin inside a group of pictures hold such packets without being broken.
    """
    try:
        return packet.decode()
    except av.error.InvalidDataError:
        return []


def time_base(stream: Stream) -> Fraction:
    """Seconds a tick of the stream's timestamps."""
    return stream.time_base or Fraction(1, 1_000_000)


def decode_all(path: Path) -> int:
    """Decode every frame of picture and sound and keep none: the floor under everything that reads a source.

    Returns:
        The number of frames of both.
    """
    number = 0
    with open_media(path) as container:
        streams = [stream for stream in (video_stream(container), audio_stream(container)) if stream is not None]
        for stream in streams:
            stream.codec_context.thread_count = 1
        for packet in container.demux(streams):
            number += len(frames_of(packet))
    return number


def ffmpeg_path() -> str:
    """The ffmpeg program: the one on PATH, else the one that imageio-ffmpeg brings."""
    import shutil

    import imageio_ffmpeg

    return shutil.which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()
