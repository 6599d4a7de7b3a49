"""Strips of frames above their sound, by Matplotlib: one drawing for PNG and SVG."""

from __future__ import annotations

import io
import logging
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

logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells of its caches of fonts
SoundForm = Literal["waveform", "mel"]
COLOURS = ("#4d4d4d", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#b58900")
"""Of the real video, then of the others, told apart by people of any colour vision (after Okabe and Ito)."""
REAL = "real"
"""The name of the row of the real video."""
TILE_INCHES, SOUND_INCHES, TITLE_INCHES, LETTER_INCHES = 0.82, 0.72, 0.5, 0.088
GAP = 0.06
"""Between tiles, as a share of one."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Row:
    """One video of a strip: its name and uint8 frames (T, H, W, C)."""

    name: str
    video_THWC: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Block:
    """Videos that share one sound, above it.

    Args:
        rows: all of T frames.
        sound_N: mono in [-1, 1], beginning with the first frame's interval.
        mel_MH: log-mel of the T frames, low bands first; drawn where the mel is asked for.
    """

    title: str
    rows: Sequence[Row]
    sound_N: NDArray[np.float32]
    sound_rate_hz: int
    frame_rate: Fraction
    mel_MH: NDArray[np.floating]


def draw(blocks: Sequence[Block], steps: Sequence[int], *, sound: SoundForm = "waveform") -> Figure:
    """Blocks below one another: the frames of `steps` (from 1), lines that lead from each to its time, sound and motion.

    Motion is the mean absolute change from the frame before (`cssgan.metrics.motion`), one line a row in the colour of
    the row's name, on one scale for the whole figure.
    """
    longest = max(len(line) for block in blocks for row in block.rows for line in row.name.split("\n"))
    names = LETTER_INCHES * longest + 0.2
    most = max(float(motion_curves(row.video_THWC[None]).max(initial=1e-9)) for block in blocks for row in block.rows)
    heights = [part for block in blocks for part in (TITLE_INCHES, len(block.rows) * TILE_INCHES, SOUND_INCHES + 0.42)]
    titles = max(0.075 * len(block.title) for block in blocks)
    width, height = names + max(len(steps) * TILE_INCHES, titles) + 0.15, sum(heights) + 0.1
    figure = Figure(figsize=(width, height), dpi=200, facecolor="white")
    top = height
    for number, block in enumerate(blocks):
        title, strip, below = heights[3 * number : 3 * number + 3]
        figure.text(names / width, (top - 0.2) / height, block.title, fontsize=9, color="#222222")
        top -= title + strip
        left, across = names / width, len(steps) * TILE_INCHES / width
        frames = figure.add_axes((left, top / height, across, strip / height))
        top -= below
        heard = figure.add_axes((left, (top + 0.24) / height, across, SOUND_INCHES / height))
        _frames(frames, block, steps)
        _sound(heard, block, sound, most)
        _lines(figure, frames, heard, steps)
    return figure


def _frames(axes: Axes, block: Block, steps: Sequence[int]) -> None:
    axes.set_xlim(0, len(steps))
    axes.set_ylim(len(block.rows), 0)
    axes.axis("off")
    for place, row in enumerate(block.rows):
        for column, step in enumerate(steps):
            axes.imshow(
                row.video_THWC[step - 1],
                extent=(column + GAP / 2, column + 1 - GAP / 2, place + 1 - GAP / 2, place + GAP / 2),
                interpolation="nearest",
                aspect="auto",
            )
        axes.text(
            -0.08, place + 0.5, row.name, ha="right", va="center", fontsize=9, color=_colour(block, place),
            fontweight="bold",
        )  # fmt: skip
    # imshow moves the limits to its own picture.
    axes.set_xlim(0, len(steps))
    axes.set_ylim(len(block.rows), 0)


def _sound(axes: Axes, block: Block, form: SoundForm, most_motion: float) -> None:
    num_frames = len(block.rows[0].video_THWC)
    axes.set_xlim(0, num_frames)
    axes.set_yticks([])
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="x", labelsize=7, length=2, pad=1)
    ticks = np.arange(0, float(num_frames / block.frame_rate) + 1e-9, 0.25)
    axes.set_xticks(ticks * float(block.frame_rate), [f"{tick:g} s" for tick in ticks])
    if form == "mel":
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
        low, high = envelope(block.sound_N, block.sound_rate_hz, num_frames, block.frame_rate)
        peak = max(float(np.abs([low, high]).max()), 1e-6)
        times = (np.arange(len(low)) + 0.5) * num_frames / len(low)
        axes.fill_between(times, low / peak, high / peak, color="#c3c8d0", linewidth=0)
        axes.set_ylim(-1.05, 1.05)
    over = axes.twinx()
    over.axis("off")
    over.set_ylim(0, 1.05)
    for place, row in enumerate(block.rows):
        curve = motion_curves(row.video_THWC[None])[0] / most_motion
        # The change into frame k + 1 happens where frame k ends.
        over.plot(np.arange(1, num_frames), curve, color=_colour(block, place), linewidth=1.1)
    axes.set_xlim(0, num_frames)


def _lines(figure: Figure, frames: Axes, heard: Axes, steps: Sequence[int]) -> None:
    low, high = frames.get_ylim()[0], heard.get_ylim()[1]
    for column, step in enumerate(steps):
        line = ConnectionPatch(
            (column + 0.5, low), (step - 0.5, high), "data", "data", axesA=frames, axesB=heard, color="#9aa0a8",
            linewidth=0.6, shrinkA=0, shrinkB=0,
        )  # fmt: skip
        figure.add_artist(line)
        heard.axvline(step - 0.5, color="#9aa0a8", linewidth=0.4, zorder=0)
        frames.text(column + 0.5, -0.03, str(step), ha="center", va="bottom", fontsize=7, color="#666666")


def _colour(block: Block, place: int) -> str:
    if block.rows[0].name == REAL:
        return COLOURS[0] if place == 0 else COLOURS[1 + (place - 1) % (len(COLOURS) - 1)]
    return COLOURS[1 + place % (len(COLOURS) - 1)]


def envelope(
    sound_N: NDArray[np.float32], rate_hz: int, num_frames: int, frame_rate: Fraction, *, bins: int = 800
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lowest and highest sample of each of `bins` equal parts of the time of `num_frames` frames; silence past the end."""
    wanted = round(num_frames / frame_rate * rate_hz)
    padded = np.zeros(max(wanted, bins), np.float32)
    padded[: min(len(sound_N), wanted)] = sound_N[:wanted]
    edges = np.linspace(0, len(padded), bins + 1).astype(np.int64)[:-1]
    return np.minimum.reduceat(padded, edges), np.maximum.reduceat(padded, edges)


def rendered(figure: Figure, form: Literal["png", "svg"]) -> bytes:
    """The bytes of the file; the same figure gives the same bytes."""
    file = io.BytesIO()
    # Each frame a picture of its own, which a drawing program can move.
    with mpl.rc_context({"svg.hashsalt": "cssgan", "image.composite_image": False}):
        figure.savefig(file, format=form, metadata={"Date": None} if form == "svg" else {"Software": None})
    return file.getvalue()
