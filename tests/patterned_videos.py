"""Videos that carry their truth, in every container and codec that an ffmpeg program writes.

Each frame shows its number as blocks of black and white, and a colour in each corner. The sound has clicks at known times.
Planes of Y, U and V are computed here and not by FFmpeg, so that its conversions are not their own measure.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile

from phonics_data.media import ffmpeg_path

CORNERS = ((200, 40, 50), (50, 180, 60), (60, 70, 200), (210, 190, 70))
"""RGB at the top left, top right, bottom left and bottom right. All four differ, so that turned and mirrored frames differ."""
NUM_BITS = 8
"""Bits of the number: 2 rows of 4 blocks in the middle half of the frame. Black and white are not at the limits."""
_BLACK, _WHITE, _GREY = 30, 225, 120

CLICK_HZ, _CLICK_SIGMA = 1500.0, 0.0008
"""A click is a tone under a Gaussian window: it has energy only where every codec and every rate from 8 kHz on keeps it."""

Matrix = Literal["bt601", "bt709"]
_KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
_SETPARAMS = {
    "bt601": "colorspace=smpte170m:color_primaries=smpte170m:color_trc=smpte170m",
    "bt709": "colorspace=bt709:color_primaries=bt709:color_trc=bt709",
}


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """What one video carries and how it is written.

    Args:
        tagged: whether the file names matrix and range. Without it the matrix must be the one that readers assume.
        times: presentation time of each frame in seconds, rising from 0; a function of `rate` if empty.
        channels: name of the layout as FFmpeg writes it.
        click_channels: channels (by number) that have the clicks; all if empty.
        before: arguments before the output, `after`: behind the codecs.
        sound_start: time of the first sample of the sound on the clock of the frames.
    """

    suffix: str
    video: tuple[str, ...]
    audio: tuple[str, ...]
    pixels: str = "yuv420p"
    matrix: Matrix = "bt601"
    is_full_range: bool = False
    tagged: bool = True
    width: int = 160
    height: int = 128
    rate: Fraction = Fraction(25)
    times: tuple[Fraction, ...] = ()
    seconds: float = 2.0
    audio_rate_hz: int = 48_000
    channels: str = "mono"
    num_channels: int = 1
    click_channels: tuple[int, ...] = ()
    clicks: tuple[Fraction, ...] = (Fraction(1, 5), Fraction(4, 5), Fraction(7, 5))
    sound_start: Fraction = Fraction(0)
    filters: str = ""
    input_options: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    pictures: str = "upright"
    note: str = field(default="", compare=False)

    @property
    def frame_times(self) -> tuple[Fraction, ...]:
        return self.times or tuple(Fraction(n) / self.rate for n in range(int(self.seconds * self.rate)))


def picture(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """uint8 RGB (height, width, 3). Edges of blocks lie on even pixels."""
    rgb = np.full((height, width, 3), _GREY, np.uint8)
    xs, ys = _edges(width), _edges(height)
    for corner, color in enumerate(CORNERS):
        rows = slice(0, ys[1]) if corner < 2 else slice(ys[3], height)
        columns = slice(0, xs[1]) if corner % 2 == 0 else slice(xs[3], width)
        rgb[rows, columns] = color
    for bit in range(NUM_BITS):
        row, column = divmod(bit, 4)
        rows, columns = slice(ys[1 + row], ys[2 + row]), slice(xs[column], xs[column + 1] if column < 3 else width)
        rgb[rows, columns] = _WHITE if number >> bit & 1 else _BLACK
    return rgb


def _edges(side: int) -> list[int]:
    return [2 * round(side * quarter / 8) for quarter in range(5)]


def read_number(rgb: NDArray[np.uint8]) -> int:
    """The number that a frame shows, at any size."""
    number = 0
    for bit in range(NUM_BITS):
        row, column = divmod(bit, 4)
        number |= int(_mean(rgb, (column + 0.5) / 4, (row + 1.5) / 4).mean() > 128) << bit
    return number


def read_corners(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(4, 3): the mean colour of the inner half of each corner, in the order of `CORNERS`."""
    return np.stack([_mean(rgb, x, y) for y in (0.125, 0.875) for x in (0.125, 0.875)])


def _mean(rgb: NDArray[np.uint8], x: float, y: float) -> NDArray[np.float64]:
    height, width = rgb.shape[:2]
    part = rgb[
        round((y - 0.06) * height) : max(round((y + 0.06) * height), round((y - 0.06) * height) + 1),
        round((x - 0.06) * width) : max(round((x + 0.06) * width), round((x - 0.06) * width) + 1),
    ]
    return part.reshape(-1, 3).mean(axis=0)


def raw_frame(rgb: NDArray[np.uint8], pixels: str, matrix: Matrix, *, is_full_range: bool) -> bytes:
    """A frame in a raw pixel format of FFmpeg: yuv(j)4xxp with 8 to 16 bits, gray, rgb24, bgr0, rgba, gbrp."""
    if pixels == "rgb24":
        return rgb.tobytes()
    if pixels == "gbrp":
        return rgb[..., 1].tobytes() + rgb[..., 2].tobytes() + rgb[..., 0].tobytes()
    bits = int(pixels.removesuffix("le").rpartition("p")[2] or 8)
    kr, kb = _KR_KB[matrix]
    red, green, blue = (rgb[..., channel] / 255.0 for channel in range(3))
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma_u, chroma_v = (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)
    unit, top = 1 << (bits - 8), (1 << bits) - 1
    if is_full_range:
        planes = [luma * top, chroma_u * top + 128 * unit, chroma_v * top + 128 * unit]
    else:
        planes = [
            (16 + 219 * luma) * unit,
            (128 + 224 * chroma_u) * unit,
            (128 + 224 * chroma_v) * unit,
        ]
    step_x, step_y = {"444": (1, 1), "422": (2, 1), "420": (2, 2), "440": (1, 2), "411": (4, 1)}[
        pixels.removeprefix("yuv").removeprefix("j")[:3]
    ]
    planes[1:] = [plane[::step_y, ::step_x] for plane in planes[1:]]
    dtype = np.uint8 if bits == 8 else np.dtype("<u2")
    return b"".join(np.clip(plane + 0.5, 0, top).astype(dtype).tobytes() for plane in planes)


def click_wave(rate_hz: int) -> NDArray[np.float64]:
    """One click; its middle sample is the time of the click."""
    t = np.arange(-round(0.004 * rate_hz), round(0.004 * rate_hz) + 1) / rate_hz
    return np.exp(-((t / _CLICK_SIGMA) ** 2) / 2) * np.cos(2 * np.pi * CLICK_HZ * t)


def click_track(pattern: Pattern) -> NDArray[np.int16]:
    """(N, C) int16, from `sound_start` to the end of the frames."""
    rate_hz = pattern.audio_rate_hz
    end = pattern.frame_times[-1] + 1 / pattern.rate
    sound = np.zeros((int((end - pattern.sound_start) * rate_hz), pattern.num_channels))
    wave = 0.7 * click_wave(rate_hz)
    chosen = pattern.click_channels or range(pattern.num_channels)
    for at in pattern.clicks:
        first = round((at - pattern.sound_start) * rate_hz) - len(wave) // 2
        sound[first : first + len(wave), list(chosen)] += wave[: max(0, len(sound) - first), None]
    return np.round(sound * 32_767).astype(np.int16)


def click_error_seconds(audio_N: NDArray[np.float32], rate_hz: int, at_seconds: float, reach: float = 0.06) -> float:
    """How much later than `at_seconds` the click is, by a matched filter; NaN without one within `reach` seconds.

    The envelope of the correlation is taken, because codecs change the phase.
    """
    t = np.arange(-round(0.004 * rate_hz), round(0.004 * rate_hz) + 1) / rate_hz
    template = np.exp(-((t / _CLICK_SIGMA) ** 2) / 2) * np.exp(-2j * np.pi * CLICK_HZ * t)
    first = round((at_seconds - reach) * rate_hz)
    part = np.zeros(round(2 * reach * rate_hz) + 1)
    low, high = max(first, 0), min(first + part.size, audio_N.size)
    part[low - first : high - first] = audio_N[low:high]
    envelope = np.abs(np.convolve(part, template[::-1], "same"))
    peak = int(np.argmax(envelope))
    if envelope[peak] < 0.02 * np.abs(template).sum():
        return float("nan")
    return (first + peak) / rate_hz - at_seconds


class WriteError(RuntimeError):
    """The ffmpeg program cannot write this combination."""


def write_pattern(path: Path, pattern: Pattern, program: str | None = None) -> Path:
    """Write the video that `pattern` describes. Raises `WriteError` with the last line of ffmpeg."""
    sound = path.with_suffix(".click.wav")
    wavfile.write(sound, pattern.audio_rate_hz, click_track(pattern))
    filters = [f"setparams=range={'pc' if pattern.is_full_range else 'tv'}"]
    if pattern.tagged:
        filters = [f"{filters[0]}:{_SETPARAMS[pattern.matrix]}"]
    if pattern.pixels in ("rgb24", "gbrp"):
        filters = []
    if pattern.filters:
        filters.append(pattern.filters)
    if pattern.times:
        steps = "+".join(f"eq(N,{n})*{at.numerator}/{at.denominator}" for n, at in enumerate(pattern.times) if at)
        filters.append(f"setpts='({steps})/TB'")
    layout = f"aformat=channel_layouts={pattern.channels}"
    command = [
        program or ffmpeg_path(), "-v", "error", "-y", "-nostdin", *pattern.input_options,
        "-f", "rawvideo", "-pix_fmt", pattern.pixels, "-video_size", f"{pattern.width}x{pattern.height}",
        "-framerate", str(pattern.rate), "-i", "pipe:0",
        *(("-itsoffset", str(float(pattern.sound_start))) if pattern.sound_start else ()),
        "-channel_layout", pattern.channels, "-i", str(sound),
        "-map", "0:v", "-map", "1:a",
        *(("-vf", ",".join(filters)) if filters else ()), "-af", layout,
        *(("-fps_mode", "passthrough") if pattern.times else ()),
        *pattern.video, *pattern.audio, *pattern.after, str(path),
    ]  # fmt: skip
    frames = b"".join(
        raw_frame(
            _turned(picture(number, *_upright_size(pattern)), pattern.pictures),
            pattern.pixels, pattern.matrix, is_full_range=pattern.is_full_range,
        )
        for number in range(len(pattern.frame_times))
    )  # fmt: skip
    done = subprocess.run(command, input=frames, capture_output=True, check=False)
    sound.unlink()
    if done.returncode:
        path.unlink(missing_ok=True)
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise WriteError(lines[0] if lines else f"ffmpeg ended with {done.returncode}")
    return path


def _upright_size(pattern: Pattern) -> tuple[int, int]:
    is_transposed = pattern.pictures in ("90", "270", "transpose", "transverse")
    return (pattern.height, pattern.width) if is_transposed else (pattern.width, pattern.height)


def _turned(rgb: NDArray[np.uint8], how: str) -> NDArray[np.uint8]:
    """What is stored, if the upright frame is `rgb`."""
    turned = {
        "upright": lambda: rgb,
        "90": lambda: np.rot90(rgb, 1),
        "180": lambda: np.rot90(rgb, 2),
        "270": lambda: np.rot90(rgb, 3),
        "hflip": lambda: rgb[:, ::-1],
        "vflip": lambda: rgb[::-1],
        "transpose": lambda: rgb.swapaxes(0, 1),
        "transverse": lambda: np.rot90(rgb, 2).swapaxes(0, 1),
    }[how]()
    return np.ascontiguousarray(turned)


@dataclass(frozen=True)
class Reading:
    """What a clip shows against the truth.

    Attributes:
        wrong_frames: (position in the clip, number shown, numbers allowed).
        color_error: largest difference of a corner from its colour, in levels.
        is_turned: whether another corner's colour is nearer.
        click_errors: seconds that each click is late.
    """

    num_frames: int
    wrong_frames: tuple[tuple[int, int, tuple[int, ...]], ...]
    color_error: float
    is_turned: bool
    click_errors: tuple[float, ...]

    @property
    def click_error(self) -> float:
        return max(map(abs, self.click_errors), default=0.0) if not np.isnan(self.click_errors).any() else float("nan")


def read_clip(
    pattern: Pattern,
    frames_LHWC: NDArray[np.uint8],
    frame_rate: Fraction,
    audio_N: NDArray[np.float32],
    audio_rate_hz: int,
    start_seconds: float,
    *,
    slack: Fraction = Fraction(1, 1000),
    shift: Fraction = Fraction(0),
) -> Reading:
    """Compare a clip with the truth.

    Args:
        slack: rounding of the container's timestamps in seconds; a frame that begins so near to the middle of an interval
            may or may not be shown in it.
        shift: what was cut off at the start of the source.
    """
    start = Fraction(start_seconds).limit_denominator(1_000_000)
    times = pattern.frame_times
    wrong: list[tuple[int, int, tuple[int, ...]]] = []
    for place, frame in enumerate(frames_LHWC):
        moment = start + (place + Fraction(1, 2)) / frame_rate + shift
        allowed = {
            max(n for n, at in enumerate(times) if at <= max(moment + near, times[0])) for near in (-slack, slack)
        }
        if (number := read_number(frame)) not in allowed:
            wrong.append((place, number, tuple(sorted(allowed))))
    truth = np.array(CORNERS, float)
    worst, is_turned = 0.0, False
    for frame in frames_LHWC[:: max(1, len(frames_LHWC) // 8)]:
        corners = read_corners(frame)
        worst = max(worst, float(np.abs(corners - truth).max()))
        nearest = [int(np.abs(truth - corner).sum(axis=1).argmin()) for corner in corners]
        is_turned = is_turned or nearest != [0, 1, 2, 3]
    end = start + len(frames_LHWC) / frame_rate
    errors = [
        click_error_seconds(audio_N, audio_rate_hz, float(at - shift - start))
        for at in pattern.clicks
        if start + Fraction(1, 100) < at - shift < end - Fraction(1, 100)
    ]
    return Reading(len(frames_LHWC), tuple(wrong), worst, is_turned, tuple(errors))


def constant(rate: Fraction, number: int) -> tuple[Fraction, ...]:
    return tuple(Fraction(n) / rate for n in range(number))


def variable(number: int, steps: Sequence[int] = (4, 2, 7, 4, 12, 3)) -> tuple[Fraction, ...]:
    """Times of frames that are displayed for different numbers of hundredths of a second."""
    times = [Fraction(0)]
    while len(times) < number:
        times.append(times[-1] + Fraction(steps[(len(times) - 1) % len(steps)], 100))
    return tuple(times)
