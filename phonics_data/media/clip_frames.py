"""All frames of a file that is one clip, at the file's own frame rate. Audio is not needed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phonics_data.contract.shown_frames import ShownFrames
from phonics_data.contract.streams import video_stream
from phonics_data.errors import MediaError
from phonics_data.media.container import as_fraction, decode_packet, open_media, pixel_aspect
from phonics_data.media.probe import decodes_to_end
from phonics_data.media.scaler import Fit, Scaler, upright_frame


def read_clip(path: Path, *, width: int, height: int, fit: Fit = "squash") -> tuple[NDArray[np.uint8], Fraction]:
    """Every decoded frame in order, and the average frame rate.

    Frames that have the size already are not scaled, so that their chroma is not interpolated once more.

    Args:
        width: of the result in pixels.
        height: of the result in pixels.

    Returns:
        (uint8 (T >= 1, height, width, 3) RGB, frames per second)

    Raises:
        MediaError: ``no_video_stream``, ``does_not_decode`` (no frame, no frame rate, a damaged frame, or a file that ends before its
            duration, as `decodes_to_end`), ``file_missing`` or ``not_a_video``.
    """
    decodes_to_end(path)
    with open_media(path) as container:
        stream = video_stream(container)
        if stream is None:
            raise MediaError("no_video_stream", f"{path}: has no video stream")
        rate = as_fraction(stream.average_rate or stream.guessed_rate)
        shown = ShownFrames(stream)
        scaler = Scaler(width, height, fit, pixel_aspect(stream), source=str(path))
        stream.codec_context.thread_count = 1
        frames: list[NDArray[np.uint8]] = []
        for packet in container.demux(stream):
            decoded, is_valid = decode_packet(packet)
            if frames and not is_valid:  # files can start inside a group of pictures
                raise MediaError(
                    "does_not_decode",
                    f"{path}: a frame after frame {len(frames)} does not decode; the file is damaged: provide it again",
                )
            for frame in shown.add(packet, decoded):
                has_size = (frame.width, frame.height) == (width, height)
                upright = upright_frame(frame, str(path)) if has_size else None
                # A frame of the right size that is shown turned has another size.
                fits = upright is not None and upright.shape[:2] == (height, width)
                frames.append(upright if upright is not None and fits else scaler.scale(frame))
    if not frames or not rate:
        raise MediaError("does_not_decode", f"{path}: no video frame decodes, or the file gives no frame rate")
    return np.stack(frames), rate
