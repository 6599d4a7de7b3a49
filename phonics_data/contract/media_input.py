"""Opening of untrusted media files: one rule for every reader.

* Only demuxers of media containers are allowed, and only the file itself can be read: a playlist with the name ``song.mp4``
  can neither access the network nor include other local files.
* The size of pictures is limited in the header and in the decoder, since a picture inside can be larger than the header says.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.logging

from phonics_data.contract.streams import video_stream

if TYPE_CHECKING:
    from av.container import InputContainer

# The libraries must not log to the terminal; errors are reported in this package's messages.
av.logging.set_level(None)

MAX_FRAME_PIXELS = 8192 * 8192
"""Largest picture, in any aspect ratio: 8K has half of it. A codec can keep 16 of them, which is 1.6 GB."""

_DEMUXERS = "aac,ac3,aiff,asf,avi,flac,flv,gif,ivf,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,mpegvideo,mxf,nut,ogg,rm,wav"
DECODER_OPTIONS = {"max_pixels": str(MAX_FRAME_PIXELS)}
"""Options of every video decoder."""
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS} | DECODER_OPTIONS
# Titles that are not UTF-8 must not prevent opening a file. PyAV 19 keeps the bytes and does not have this argument.
_OLDER: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


class TooLargeError(ValueError):
    """A media file beyond the limits of this module.

    Args:
        message: what was got and what is allowed.
        measured, threshold: the value and its limit.
    """

    def __init__(self, message: str, measured: float, threshold: float) -> None:
        super().__init__(message)
        self.measured = measured
        self.threshold = threshold


def open_input(path: Path) -> InputContainer:
    """Open a container for reading; the caller closes it.

    Raises:
        TooLargeError: the header announces frames of more than `MAX_FRAME_PIXELS`.
        OSError, ValueError: not a readable media file; errors of FFmpeg are `av.error.FFmpegError`.
    """
    container = av.open(str(path.absolute()), options=dict(_OPTIONS), **_OLDER)
    try:
        _limit(container)
    except BaseException:
        container.close()
        raise
    return container


def _limit(container: InputContainer) -> None:
    video = video_stream(container)
    if video is not None and video.width * video.height > MAX_FRAME_PIXELS:
        raise TooLargeError(
            f"frames of {video.width}x{video.height} pixels, allowed: up to {MAX_FRAME_PIXELS / 1e6:.0f} million; "
            "give a smaller copy",
            video.width * video.height,
            MAX_FRAME_PIXELS,
        )
    for stream in container.streams.video:
        context: Any = stream.codec_context  # None for unknown codecs; the type stubs lack this
        if context is not None:
            context.options = dict(DECODER_OPTIONS)
