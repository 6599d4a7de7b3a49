"""Small encoded videos for the tests of `fetch`."""

from __future__ import annotations

import functools
import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = 25
AUDIO_RATE_HZ = 16000


@functools.cache
def clip_bytes(
    seconds: float = 2.0, *, picture: bool = True, sound: bool = True, height: int = 72, seed: int = 0
) -> bytes:
    """An mp4 (H.264 and AAC) with a changing grey level and a tone; each `seed` gives other bytes."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        if picture:
            video = container.add_stream("libx264", rate=RATE)
            video.width, video.height, video.pix_fmt = height * 4 // 3 // 2 * 2, height, "yuv420p"
        if sound:
            audio = container.add_stream("aac", rate=AUDIO_RATE_HZ)
        if picture:
            for index in range(round(seconds * RATE)):
                grey = (index * 5 + seed * 31) % 256
                frame = av.VideoFrame.from_ndarray(
                    np.full((video.height, video.width, 3), grey, np.uint8), format="rgb24"
                )
                frame.pts, frame.time_base = index, Fraction(1, RATE)
                container.mux(video.encode(frame))
            container.mux(video.encode())
        if sound:
            num_samples = round(seconds * AUDIO_RATE_HZ)
            tone = np.sin(np.arange(num_samples) * 0.05 * (1 + seed % 7)).astype(np.float32)[None]
            for start in range(0, num_samples, 1024):
                frame = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(tone[:, start : start + 1024]), format="fltp", layout="mono"
                )
                frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE_HZ, start, Fraction(1, AUDIO_RATE_HZ)
                container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return out.getvalue()


def write_clip(path: Path, seconds: float = 2.0, *, picture: bool = True, sound: bool = True, seed: int = 0) -> Path:
    path.write_bytes(clip_bytes(seconds, picture=picture, sound=sound, seed=seed))
    return path
