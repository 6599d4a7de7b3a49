"""Test videos whose frames contain their number as a pattern of squares and whose audio contains clicks."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray

CELLS = 4
"""The number is drawn as a grid of 4 x 4 squares; the lowest bit is at the top left, white means 1."""


def numbered_picture(number: int, size: int = 128) -> NDArray[np.uint8]:
    """uint8 (size, size, 3) that encodes `number` (up to 16 bits)."""
    bits = (number >> np.arange(CELLS * CELLS)) & 1
    squares = np.where(bits.reshape(CELLS, CELLS), 235, 20).astype(np.uint8)
    side = size // CELLS
    return np.repeat(np.repeat(squares, side, 0), side, 1)[..., None].repeat(3, 2)


def read_number(picture_HWC: NDArray[np.uint8]) -> int:
    """The number in a frame made by `numbered_picture`, at any size."""
    side = picture_HWC.shape[0] // CELLS
    grid = picture_HWC[: side * CELLS, : side * CELLS].mean(axis=2).reshape(CELLS, side, CELLS, side)
    inner = grid[:, side // 4 : side - side // 4, :, side // 4 : side - side // 4].mean(axis=(1, 3))
    return int(((inner > 128).reshape(-1).astype(np.int64) << np.arange(CELLS * CELLS)).sum())


def clicks(seconds: float, at_seconds: Sequence[float], rate_hz: int) -> NDArray[np.float32]:
    """Silence with a click of 1 ms at each of `at_seconds`."""
    sound = np.zeros(round(seconds * rate_hz), np.float32)
    for at in at_seconds:
        start = round(at * rate_hz)
        sound[start : start + rate_hz // 1000] = 0.9
    return sound


def modulated_noise(seconds: float, seed: int, rate_hz: int) -> NDArray[np.float32]:
    """Soft noise with a loudness curve that depends on `seed`; the audio hashes of different seeds differ."""
    rng = np.random.default_rng(seed)
    num_samples = round(seconds * rate_hz)
    colour = np.convolve(rng.normal(size=num_samples), rng.normal(size=9), "same")[:num_samples]
    knots = np.arange(0, num_samples + rate_hz, rate_hz // 8)
    gain = np.interp(np.arange(num_samples), knots, rng.uniform(0.0, 1.0, knots.size))
    sound = colour * gain
    return (0.05 * sound / np.abs(sound).max()).astype(np.float32)


def click_times(sound: NDArray[np.float32], rate_hz: int) -> list[float]:
    """Start of each click in seconds: the first sample above 0.3, at least 50 ms after the click before."""
    loud = np.flatnonzero(np.abs(sound) > 0.3)
    times: list[float] = []
    for index in loud:
        if not times or index / rate_hz - times[-1] > 0.05:
            times.append(float(index / rate_hz))
    return times


def constant(rate: Fraction | int, seconds: float) -> list[Fraction]:
    """Presentation times of frames at a constant rate."""
    return [Fraction(index) / rate for index in range(int(seconds * rate))]


def make_source(
    path: Path,
    times: Sequence[Fraction],
    sound: NDArray[np.float32] | None,
    *,
    sound_rate_hz: int = 48_000,
    sound_start: Fraction = Fraction(0),
    video_codec: str = "libx264",
    audio_codec: str = "pcm_s16le",
    video_options: dict[str, str] | None = None,
    time_base: Fraction = Fraction(1, 90_000),
    rotation: int = 0,
    pictures: Sequence[NDArray[np.uint8]] | None = None,
    audio_placement: Literal["interleaved", "after", "before"] = "interleaved",
) -> Path:
    """Write a source: frame i is `numbered_picture(i)` (or ``pictures[i]``), displayed from ``times[i]`` on.

    The file's suffix selects the container. The last frame has the duration of the one before it. `audio_placement`:
    interleaved as in real files, or after or before all video packets.
    """
    pictures = pictures if pictures is not None else [numbered_picture(index) for index in range(len(times))]
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w") as container:
        rate = Fraction(len(times), 1) / (times[-1] + times[-1] - times[-2]) if len(times) > 1 else Fraction(25)
        video: Any = container.add_stream(video_codec, rate=rate.limit_denominator(1001), options=video_options or {})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.time_base = time_base
        if rotation:
            video.set_display_rotation(rotation)
        audio: Any = None
        if sound is not None:
            audio = container.add_stream(audio_codec, rate=sound_rate_hz)
            audio.layout = "mono"
        blocks = _blocks(sound, sound_rate_hz, sound_start)
        for index, picture in enumerate(pictures):
            while blocks and audio_placement != "after":
                if audio_placement == "interleaved" and blocks[0].pts * blocks[0].time_base > times[index]:
                    break
                container.mux(audio.encode(blocks.pop(0)))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = int(times[index] / time_base), time_base
            after = times[index + 1] - times[index] if index + 1 < len(times) else times[-1] - times[max(0, index - 1)]
            frame.duration = int(after / time_base)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if sound is not None:
            for block in blocks:
                container.mux(audio.encode(block))
            container.mux(audio.encode())
    return path


def _blocks(sound: NDArray[np.float32] | None, rate_hz: int, start: Fraction) -> list[Any]:
    blocks: list[Any] = []
    for begin in range(0, sound.size if sound is not None else 0, 1024):
        assert sound is not None
        block = av.AudioFrame.from_ndarray(sound[None, begin : begin + 1024], format="fltp", layout="mono")
        block.sample_rate = rate_hz
        block.pts, block.time_base = begin + int(start * rate_hz), Fraction(1, rate_hz)
        blocks.append(block)
    return blocks


def write_cut_off(path: Path) -> Path:
    """Write the first half of the bytes of a video of four seconds without sound; .mp4 with the index at its start."""
    whole = path.with_suffix(".whole" + path.suffix)
    options = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(whole), "w", options=options) as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        noise = np.random.default_rng(0).integers(0, 256, (100, 64, 64, 3), np.uint8)  # all parts have the same size
        for picture in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    whole.unlink()
    return path
