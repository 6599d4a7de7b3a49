"""Frames as an MP4 in a shard, for frame sizes at which raw frames are too large. Not lossless."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any, cast

import av
import av.error
import numpy as np

from phonics_data.contract.media_input import DECODER_OPTIONS
from phonics_data.contract.sample import MAX_DECODED_BYTES, Frames

CRF = 14
"""Constant rate factor of H.264, 0 (best) to 51; 14 is visually almost lossless."""

REPEATABLE_H264 = {"mbtree": "0"}
"""Options of libx264 without which equal frames do not always give equal bytes: the AVX2 code of macroblock tree reads
memory that nothing has written when a side is not a multiple of 16 (x264 165; at 98x130 one encoding in three differed).
"""


BROWSER_PIXEL_FORMATS = ("yuv420p", "yuvj420p")
"""Of H.264, VP9 and AV1 some browsers play no other ones."""


def with_even_sides(frames_LHWC: Frames) -> Frames:
    """`frames_LHWC` with its last row and column repeated where a side is odd.

    H.264 of odd sides needs 4:4:4 or 4:2:2, which browsers do not play.
    """
    height, width = frames_LHWC.shape[1:3]
    if height % 2 == 0 and width % 2 == 0:
        return frames_LHWC
    return np.pad(frames_LHWC, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def encode_video(frames_LHWC: Frames, frame_rate: Fraction) -> bytes:
    """H.264 in an MP4 without audio; equal frames give equal bytes with the same release of PyAV.

    Args:
        frames_LHWC: uint8 RGB.
    """
    height, width = frames_LHWC.shape[1:3]
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        options = {"crf": str(CRF), "preset": "medium"} | REPEATABLE_H264
        video: Any = container.add_stream("libx264", rate=frame_rate, options=options)
        video.width, video.height = width, height
        # Chroma subsampling needs even sides.
        video.pix_fmt = "yuv420p" if width % 2 == 0 and height % 2 == 0 else "yuv444p"
        video.codec_context.thread_count = 1
        for index, frame_HWC in enumerate(frames_LHWC):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_HWC), format="rgb24")
            frame.pts, frame.time_base = index, 1 / frame_rate
            container.mux(video.encode(frame))
        container.mux(video.encode())
    return file.getvalue()


def decode_video(content: bytes) -> Frames:
    """Every frame of an MP4, uint8 (L, H, W, 3) in RGB.

    Raises:
        ValueError: not an MP4, a damaged one, or one of more than `MAX_DECODED_BYTES` of frames.
    """
    try:
        with av.open(io.BytesIO(content), "r", format="mp4") as container:
            if not container.streams.video:
                raise ValueError("an MP4 without a video stream")
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            stream.codec_context.options = dict(DECODER_OPTIONS)
            frames: list[Frames] = []
            num_bytes = 0
            for frame in container.decode(stream):
                num_bytes += frame.width * frame.height * 3
                if num_bytes > MAX_DECODED_BYTES:
                    raise ValueError(f"an MP4 of more than {MAX_DECODED_BYTES / 1024**3:g} GiB of frames")
                frames.append(cast("Frames", frame.to_ndarray(format="rgb24")))
    except av.error.FFmpegError as error:
        raise ValueError(f"not a whole MP4 ({error.strerror})") from error
    if not frames or any(frame.shape != frames[0].shape for frame in frames):
        raise ValueError("an MP4 without frames, or with frames of several sizes")
    return np.stack(frames).astype(np.uint8, copy=False)
