"""Frames of a source at a fixed low rate, for OCR and for display."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phonics_data.contract.display import on_white
from phonics_data.contract.shown_frames import ShownFrames
from phonics_data.contract.streams import video_stream
from phonics_data.errors import MediaError
from phonics_data.media.container import frames_of, open_media, pixel_aspect, time_base
from phonics_data.media.scaler import orientation_of

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_THUMBNAIL = (96, 54)
_THUMBNAIL_CHANGED = 20
"""Two frames differ if a channel of a pixel of their thumbnails differs by more than this (of 255)."""


@dataclass(frozen=True, slots=True, eq=False)
class SampledFrame:
    """A frame of the source at one sampling time.

    Args:
        seconds: from the first video frame.
        frame_HWC: uint8 RGB, upright.
        change_seconds: when the picture changed since the previous sampled frame: the time of the source's frame that
            differs most from the one before it. None if there is no such frame, or the change was gradual.
    """

    seconds: float
    frame_HWC: NDArray[np.uint8]
    change_seconds: float | None = None


def sample_frames(path: Path, *, rate: int = 8, max_width: int = 640, threads: int = 1) -> Iterator[SampledFrame]:
    """The frame displayed at 0, 1 / rate, 2 / rate ... seconds, up to the end of the video.

    Args:
        rate: frames per second.
        max_width: wider frames are scaled down to this width; the displayed aspect ratio is kept, both sides are even.
        threads: decoder threads.

    Raises:
        MediaError: ``no_video_stream``, ``does_not_decode`` or ``not_a_video``.
    """
    step = Fraction(1, rate)
    with open_media(path) as container:
        stream = video_stream(container)
        if stream is None:
            raise MediaError("no_video_stream", f"{path}: has no video stream")
        stream.codec_context.thread_count = threads
        tick, frames = time_base(stream), ShownFrames(stream)
        origin: Fraction | None = None
        number = 0
        shown: VideoFrame | None = None
        # The frames since the previous sampling time, with their times.
        recent: list[tuple[VideoFrame, float]] = []
        scalers = _Scalers(max_width, pixel_aspect(stream), str(path))
        for packet in container.demux(stream):
            for frame in frames.add(packet, frames_of(packet)):
                assert frame.pts is not None
                seconds = frame.pts * tick
                origin = seconds if origin is None else origin
                # `shown` is displayed until this frame replaces it.
                while shown is not None and number * step < seconds - origin:
                    yield SampledFrame(float(number * step), scalers.pixels(shown), _change_seconds(recent, scalers))
                    recent = recent[-1:]
                    number += 1
                shown = frame
                recent.append((frame, float(seconds - origin)))
        if shown is None:
            raise MediaError("does_not_decode", f"{path}: no video frame decodes; fetch it again")
        yield SampledFrame(float(number * step), scalers.pixels(shown), _change_seconds(recent, scalers))


class _Scalers:
    """Two scalers for all frames of a file: a frame that is scaled by its own methods keeps a scaler with threads, so that
    sources of many frames a second would start hundreds of them."""

    def __init__(self, max_width: int, pixel_aspect: Fraction, source: str) -> None:
        from av.video.reformatter import VideoReformatter

        self._max_width, self._pixel_aspect, self._source = max_width, pixel_aspect, source
        self._small, self._large = VideoReformatter(), VideoReformatter()

    def thumbnail(self, frame: VideoFrame) -> NDArray[np.int16]:
        width, height = _THUMBNAIL
        small = self._small.reformat(frame, width, height, format="rgb24", interpolation="FAST_BILINEAR")
        return small.to_ndarray().astype(np.int16)

    def pixels(self, frame: VideoFrame) -> NDArray[np.uint8]:
        turned = orientation_of(frame, self._source)
        frame = on_white(frame)
        shown_width = float(frame.width * self._pixel_aspect)
        scale = min(1.0, self._max_width / (frame.height if turned.is_transposed else shown_width))
        width, height = max(2, round(shown_width * scale / 2) * 2), max(2, round(frame.height * scale / 2) * 2)
        pixels = np.asarray(self._large.reformat(frame, width, height, format="rgb24").to_ndarray(), np.uint8)
        return np.ascontiguousarray(turned.upright(pixels))


def _change_seconds(frames: list[tuple[VideoFrame, float]], scalers: _Scalers) -> float | None:
    """`SampledFrame.change_seconds` of the last of `frames` since the first."""
    if len(frames) < 2:
        return None
    ends = [scalers.thumbnail(frame) for frame, _ in (frames[0], frames[-1])]
    if not np.abs(ends[1] - ends[0]).max() > _THUMBNAIL_CHANGED:
        return None
    thumbnails = [ends[0], *(scalers.thumbnail(frame) for frame, _ in frames[1:-1]), ends[1]]
    changes = [float(np.abs(after - before).sum()) for before, after in pairwise(thumbnails)]
    most = int(np.argmax(changes))
    return frames[most + 1][1] if changes[most] > 0.5 * sum(changes) else None
