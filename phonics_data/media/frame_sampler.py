"""Frames of a source at a fixed low rate, for OCR and for display."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phonics_data.errors import MediaError
from phonics_data.media.container import frames_of, open_media, time_base, video_stream
from phonics_data.media.scaler import quarter_turns

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


@dataclass(frozen=True, slots=True, eq=False)
class SampledFrame:
    """A frame of the source at one sampling time.

    Args:
        seconds: from the first video frame.
        frame_HWC: uint8 RGB, upright.
    """

    seconds: float
    frame_HWC: NDArray[np.uint8]


def sample_frames(path: Path, *, rate: int = 8, max_width: int = 640, threads: int = 1) -> Iterator[SampledFrame]:
    """The frame displayed at 0, 1 / rate, 2 / rate ... seconds, up to the end of the video.

    Args:
        rate: frames per second.
        max_width: wider frames are scaled down to this width; the aspect ratio is kept, both sides are even.
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
        tick = time_base(stream)
        origin: Fraction | None = None
        number = 0
        shown: VideoFrame | None = None
        for packet in container.demux(stream):
            for frame in frames_of(packet):
                if frame.pts is None:
                    continue
                seconds = frame.pts * tick
                origin = seconds if origin is None else origin
                # `shown` is displayed until this frame replaces it.
                while shown is not None and number * step < seconds - origin:
                    yield SampledFrame(float(number * step), _pixels(shown, max_width))
                    number += 1
                shown = frame
        if shown is None:
            raise MediaError("does_not_decode", f"{path}: no video frame decodes; fetch it again")
        yield SampledFrame(float(number * step), _pixels(shown, max_width))


def _pixels(frame: VideoFrame, max_width: int) -> NDArray[np.uint8]:
    turns = quarter_turns(frame)
    scale = min(1.0, max_width / (frame.height if turns % 2 else frame.width))
    width, height = max(2, round(frame.width * scale / 2) * 2), max(2, round(frame.height * scale / 2) * 2)
    pixels = np.asarray(frame.to_ndarray(format="rgb24", width=width, height=height), np.uint8)
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels
