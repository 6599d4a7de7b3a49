"""Detection of black bars (letterbox, pillarbox)."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from phonics_data.contract.display import Region, on_white
from phonics_data.contract.shown_frames import ShownFrames
from phonics_data.contract.streams import video_stream
from phonics_data.media.container import frames_of, open_media
from phonics_data.media.scaler import FULL_FRAME, orientation_of


def content_region(path: Path, duration_seconds: float, *, num_frames: int = 12, dark_level: int = 24) -> Region:
    """The part of the upright frame without black bars.

    * `num_frames` key frames at equal distances are examined.
    * A row or column belongs to a bar if it is dark (luma <= `dark_level`) in all of them.
    * Bars come in pairs: the smaller of two opposite bars is used for both sides.
    * Bars under 2 % of the size are ignored. A video that is dark everywhere has no bars.

    Raises:
        MediaError: not a video, or damaged.
    """
    brightest: NDArray[np.uint8] | None = None
    with open_media(path) as container:
        video = video_stream(container)
        if video is None:
            return FULL_FRAME
        video.codec_context.skip_frame = "NONKEY"
        shown = ShownFrames(video)
        _key_frame_at(container, shown, video, 0.0)  # an orientation can be in the first frame only
        for index in range(num_frames):
            frame = _key_frame_at(container, shown, video, duration_seconds * (index + 0.5) / num_frames)
            if frame is None:
                continue
            turned = orientation_of(frame, str(path))
            luma = turned.upright(np.asarray(on_white(frame).to_ndarray(format="gray"), np.uint8))
            if brightest is not None and luma.shape != brightest.shape:
                return FULL_FRAME  # the frame size changes: no single region fits
            brightest = luma if brightest is None else np.maximum(brightest, luma)
    if brightest is None:
        return FULL_FRAME
    # Single bright pixels (noise) are ignored: a line is lit if more than 1 % of its pixels are.
    lit = brightest > dark_level
    top, bottom = _bar_fractions(lit.mean(axis=1) > 0.01)
    left, right = _bar_fractions(lit.mean(axis=0) > 0.01)
    return (left, top, 1 - right, 1 - bottom)


def _key_frame_at(
    container: InputContainer, shown: ShownFrames, video: av.VideoStream, seconds: float
) -> VideoFrame | None:
    start = cast("int | None", container.start_time) or 0
    try:
        container.seek(start + int(seconds * av.time_base), backward=True)
        for packet in container.demux(video):
            for frame in shown.single(packet, frames_of(packet)):
                return frame
    except av.error.FFmpegError:
        return None  # the other key frames are enough
    return None


def _bar_fractions(lit: NDArray[np.bool_]) -> tuple[float, float]:
    """The bars at both ends of an axis, as fractions of its length."""
    where = np.flatnonzero(lit)
    if not where.size:
        return 0.0, 0.0
    bar = min(int(where[0]), lit.size - 1 - int(where[-1])) / lit.size
    return (bar, bar) if 0.02 <= bar < 0.45 else (0.0, 0.0)
