"""Draw strips of frames above their audio with Matplotlib, as PNG and SVG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from numpy.typing import NDArray

from cssgan.metrics.motion import motion_curves

AudioPlot = Literal["waveform", "mel"]
COLORS = ("#4d4d4d", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#b58900")
"""First the real video, then the models: a palette for all types of colour vision (after Okabe and Ito)."""
REAL = "real"
"""Name of the row of the real video."""
TILE_INCHES, AUDIO_INCHES, TITLE_INCHES, CHARACTER_INCHES = 0.82, 0.72, 0.5, 0.088
GAP = 0.06
"""Gap between two tiles, as a fraction of a tile."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Row:
    """One video of a strip.

    Args:
        video_THWC: uint8 RGB.
    """

    name: str
    video_THWC: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Block:
    """Videos with the same audio.

    Args:
        rows: videos of T frames each.
        audio_N: mono in [-1, 1]; sample 0 is the start of frame 0.
        mel_MH: log-mel of the T frames, low bands first; drawn with ``audio_plot="mel"``.
    """

    title: str
    rows: Sequence[Row]
    audio_N: NDArray[np.float32]
    audio_rate_hz: int
    frame_rate: Fraction
    mel_MH: NDArray[np.floating]


def draw(blocks: Sequence[Block], steps: Sequence[int], *, audio_plot: AudioPlot = "waveform") -> Figure:
    """Draw the blocks one below another.

    Each block shows the frames of `steps` (from 1), the audio, the motion of each row, and a line from each frame to its
    time. Motion is the mean absolute difference from the previous frame (`cssgan.metrics.motion`), in the colour of the
    row's name, with the same scale in the whole figure.
    """
    longest_name = max(len(line) for block in blocks for row in block.rows for line in row.name.split("\n"))
    names_width = CHARACTER_INCHES * longest_name + 0.2
    max_motion = max(
        float(motion_curves(row.video_THWC[None]).max(initial=1e-9)) for block in blocks for row in block.rows
    )
    heights = [
        height for block in blocks for height in (TITLE_INCHES, len(block.rows) * TILE_INCHES, AUDIO_INCHES + 0.42)
    ]
    titles_width = max(0.075 * len(block.title) for block in blocks)
    width, height = names_width + max(len(steps) * TILE_INCHES, titles_width) + 0.15, sum(heights) + 0.1
    figure = Figure(figsize=(width, height), dpi=200, facecolor="white")
    top = height
    for number, block in enumerate(blocks):
        title_height, strip_height, audio_height = heights[3 * number : 3 * number + 3]
        figure.text(names_width / width, (top - 0.2) / height, block.title, fontsize=9, color="#222222")
        top -= title_height + strip_height
        left, strip_width = names_width / width, len(steps) * TILE_INCHES / width
        frames = figure.add_axes((left, top / height, strip_width, strip_height / height))
        top -= audio_height
        audio = figure.add_axes((left, (top + 0.24) / height, strip_width, AUDIO_INCHES / height))
        _draw_frames(frames, block, steps)
        _draw_audio(audio, block, audio_plot, max_motion)
        _draw_lines(figure, frames, audio, steps)
    return figure


def _draw_frames(axes: Axes, block: Block, steps: Sequence[int]) -> None:
    axes.set_xlim(0, len(steps))
    axes.set_ylim(len(block.rows), 0)
    axes.axis("off")
    for index, row in enumerate(block.rows):
        for column, step in enumerate(steps):
            axes.imshow(
                row.video_THWC[step - 1],
                extent=(column + GAP / 2, column + 1 - GAP / 2, index + 1 - GAP / 2, index + GAP / 2),
                interpolation="nearest",
                aspect="auto",
            )
        axes.text(
            -0.08, index + 0.5, row.name, ha="right", va="center", fontsize=9, color=_color(block, index),
            fontweight="bold",
        )  # fmt: skip
    # imshow changes the limits to those of its image.
    axes.set_xlim(0, len(steps))
    axes.set_ylim(len(block.rows), 0)


def _draw_audio(axes: Axes, block: Block, audio_plot: AudioPlot, max_motion: float) -> None:
    num_frames = len(block.rows[0].video_THWC)
    axes.set_xlim(0, num_frames)
    axes.set_yticks([])
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="x", labelsize=7, length=2, pad=1)
    ticks = np.arange(0, float(num_frames / block.frame_rate) + 1e-9, 0.25)
    axes.set_xticks(ticks * float(block.frame_rate), [f"{tick:g} s" for tick in ticks])
    if audio_plot == "mel":
        axes.imshow(
            block.mel_MH,
            extent=(0, num_frames, 0, 1),
            origin="lower",
            aspect="auto",
            cmap="Greys",
            interpolation="bilinear",
        )
        axes.set_ylim(0, 1)
    else:
        low, high = envelope(block.audio_N, block.audio_rate_hz, num_frames, block.frame_rate)
        peak = max(float(np.abs([low, high]).max()), 1e-6)
        times = (np.arange(len(low)) + 0.5) * num_frames / len(low)
        axes.fill_between(times, low / peak, high / peak, color="#c3c8d0", linewidth=0)
        axes.set_ylim(-1.05, 1.05)
    motion = axes.twinx()
    motion.axis("off")
    motion.set_ylim(0, 1.05)
    for index, row in enumerate(block.rows):
        curve = motion_curves(row.video_THWC[None])[0] / max_motion
        # The difference between frames k and k + 1 is drawn at the end of frame k.
        motion.plot(np.arange(1, num_frames), curve, color=_color(block, index), linewidth=1.1)
    axes.set_xlim(0, num_frames)


def _draw_lines(figure: Figure, frames: Axes, audio: Axes, steps: Sequence[int]) -> None:
    low, high = frames.get_ylim()[0], audio.get_ylim()[1]
    for column, step in enumerate(steps):
        line = ConnectionPatch(
            (column + 0.5, low), (step - 0.5, high), "data", "data", axesA=frames, axesB=audio, color="#9aa0a8",
            linewidth=0.6, shrinkA=0, shrinkB=0,
        )  # fmt: skip
        figure.add_artist(line)
        audio.axvline(step - 0.5, color="#9aa0a8", linewidth=0.4, zorder=0)
        frames.text(column + 0.5, -0.03, str(step), ha="center", va="bottom", fontsize=7, color="#666666")


def _color(block: Block, index: int) -> str:
    if block.rows[0].name == REAL:
        return COLORS[0] if index == 0 else COLORS[1 + (index - 1) % (len(COLORS) - 1)]
    return COLORS[1 + index % (len(COLORS) - 1)]


def envelope(
    audio_N: NDArray[np.float32], rate_hz: int, num_frames: int, frame_rate: Fraction, *, bins: int = 800
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Minimum and maximum sample in each of `bins` equal intervals of `num_frames` frames; after the end, silence."""
    num_samples = round(num_frames / frame_rate * rate_hz)
    padded = np.zeros(max(num_samples, bins), np.float32)
    padded[: min(len(audio_N), num_samples)] = audio_N[:num_samples]
    edges = np.linspace(0, len(padded), bins + 1).astype(np.int64)[:-1]
    return np.minimum.reduceat(padded, edges), np.maximum.reduceat(padded, edges)


def encode(figure: Figure, file_format: Literal["png", "svg"]) -> bytes:
    """The figure as a PNG or SVG file; equal figures give equal bytes."""
    file = io.BytesIO()
    # Each frame is a separate image in the SVG, so that a drawing program can move it.
    with mpl.rc_context({"svg.hashsalt": "cssgan", "image.composite_image": False}):
        figure.savefig(
            file, format=file_format, metadata={"Date": None} if file_format == "svg" else {"Software": None}
        )
    return file.getvalue()
