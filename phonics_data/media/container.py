"""Reading of untrusted media files, with the errors of this package."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av.error

from phonics_data.contract.display import DisplayError
from phonics_data.contract.media_input import TooLargeError, open_input
from phonics_data.contract.streams import audio_stream, video_stream
from phonics_data.errors import MediaError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

_CONTAINERS = "MP4, MOV, 3GP, Matroska, WebM, AVI, MPEG, MPEG-TS, FLV, Ogg, WMV, MXF"


@contextmanager
def open_media(path: Path) -> Generator[InputContainer]:
    """Open a container.

    Raises:
        MediaError: ``file_missing``, ``not_a_video``, or ``too_large`` (limits of `phonics_data.contract.media_input`);
            ``does_not_decode`` for errors of the media libraries inside the ``with`` block, ``unsupported`` for `DisplayError`.
    """
    if not path.is_file():
        raise MediaError("file_missing", f"{path}: no such file; fetch the video again")
    try:
        container = open_input(path)
    except TooLargeError as error:
        raise MediaError("too_large", f"{path}: {error}", measured=error.measured, threshold=error.threshold) from error
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(
            "not_a_video", f"{path}: not a readable media file ({_text(error)}); allowed: {_CONTAINERS}"
        ) from error
    try:
        yield container
    except DisplayError as error:
        raise MediaError("unsupported", f"{path}: {error}") from error
    except av.error.FFmpegError as error:
        raise MediaError("does_not_decode", f"{path}: damaged media file ({_text(error)}); fetch it again") from error
    finally:
        container.close()


def _text(error: Exception) -> str:
    """The library's message without the path."""
    if isinstance(error, MemoryError):  # also for sizes in a damaged header
        return "it needs too much memory"
    return (getattr(error, "strerror", None) or str(error)).strip()


def frames_of(packet: Packet[Any]) -> list[Any]:
    """The frames (`VideoFrame` or `AudioFrame`) that a packet completes; none if its data is invalid.

    Like players, this tolerates MPEG files that start inside a group of pictures.
    """
    return decode_packet(packet)[0]


def decode_packet(packet: Packet[Any]) -> tuple[list[Any], bool]:
    """The frames that a packet completes, and whether its data could be decoded."""
    try:
        return packet.decode(), True
    except av.error.InvalidDataError:
        return [], False


def time_base(stream: Stream) -> Fraction:
    """Seconds per unit of the stream's timestamps."""
    return as_fraction(stream.time_base) or Fraction(1, 1_000_000)


def as_fraction(value: Any) -> Fraction | None:
    """A rational number of PyAV as a `Fraction`; None if the file has none.

    PyAV up to 18 returns a `Fraction` or None, from 19 on its own type, which is 0 for a missing value.
    """
    return Fraction(value.numerator, value.denominator) if value else None


def pixel_aspect(video: av.VideoStream) -> Fraction:
    """Width of a stored pixel divided by its height."""
    return as_fraction(video.sample_aspect_ratio) or as_fraction(video.codec_context.sample_aspect_ratio) or Fraction(1)


def decode_all(path: Path) -> int:
    """Decode all video and audio frames and discard them: the minimum cost of reading a source, for benchmarks.

    Returns:
        Number of decoded frames.
    """
    num_frames = 0
    with open_media(path) as container:
        streams = [stream for stream in (video_stream(container), audio_stream(container)) if stream is not None]
        for stream in streams:
            stream.codec_context.thread_count = 1
        for packet in container.demux(streams):
            num_frames += len(frames_of(packet))
    return num_frames


def ffmpeg_path() -> str:
    """The ffmpeg executable: from PATH, else from imageio-ffmpeg."""
    import shutil

    import imageio_ffmpeg

    return shutil.which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()
