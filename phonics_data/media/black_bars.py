"""Black bars around a picture that was made for another screen."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame

from phonics_data.media.container import frames_of, open_media, video_stream
from phonics_data.media.scaler import Region

WHOLE: Region = (0.0, 0.0, 1.0, 1.0)


def picture_region(path: Path, duration_seconds: float, *, num_looks: int = 12, dark_level: int = 24) -> Region:
    """The part of the stored picture that is not black bars: (left, top, right, bottom) as shares of its size.

    Looks at key frames spread over the video. A row or column belongs to a bar when it is dark in all of them; bars
    come in pairs, so the smaller of two opposite ones counts for both. Bars under 2 % are none, and what is dark
    everywhere is a dark video and no bar.

    Raises:
        MediaError: not a video, or broken.
    """
    brightest: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | None = None
    with open_media(path) as container:
        video = video_stream(container)
        if video is None:
            return WHOLE
        video.codec_context.skip_frame = "NONKEY"
        for look in range(num_looks):
            frame = _key_frame_at(container, video, duration_seconds * (look + 0.5) / num_looks)
            if frame is None:
                continue
            luma = frame.to_ndarray(format="gray")
            if brightest is not None and luma.shape != brightest.shape:
                return WHOLE  # the picture changes its size on the way: no one region fits
            brightest = cast(
                "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]",
                luma if brightest is None else np.maximum(brightest, luma),
            )
    if brightest is None:
        return WHOLE
    # A logo's spark of noise is no picture: a line counts as lit when one pixel in a hundred is.
    lit = brightest > dark_level
    top, bottom = _ends(lit.mean(axis=1) > 0.01)
    left, right = _ends(lit.mean(axis=0) > 0.01)
    return (left, top, 1 - right, 1 - bottom)


def _key_frame_at(container: InputContainer, video: av.VideoStream, seconds: float) -> VideoFrame | None:
    start = cast("int | None", container.start_time) or 0
    try:
        container.seek(start + int(seconds * av.time_base), backward=True)
        for packet in container.demux(video):
            for frame in frames_of(packet):
                return cast("VideoFrame", frame)
    except av.error.FFmpegError:
        return None  # one look less
    return None


def _ends(lit: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> tuple[float, float]:
    """The bar at both ends of an axis, as shares of its length."""
    where = np.flatnonzero(lit)
    if not where.size:
        return 0.0, 0.0
    bar = min(int(where[0]), lit.size - 1 - int(where[-1])) / lit.size
    return (bar, bar) if 0.02 <= bar < 0.45 else (0.0, 0.0)
