"""Upper-case letters as pen strokes, for songs that draw them gradually."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from PIL import Image, ImageDraw

Point = tuple[float, float]


def _arc(cx: float, cy: float, rx: float, ry: float, start: float, end: float) -> list[Point]:
    """Points of an elliptic arc from `start` to `end` degrees; 0 is right, 90 is down."""
    steps = max(3, int(abs(end - start) / 5))
    turns = [math.radians(start + (end - start) * step / steps) for step in range(steps + 1)]
    return [(cx + rx * math.cos(turn), cy + ry * math.sin(turn)) for turn in turns]


STROKES: dict[str, list[list[Point]]] = {
    "A": [[(0.5, 0), (0.05, 1)], [(0.5, 0), (0.95, 1)], [(0.22, 0.64), (0.78, 0.64)]],
    "B": [
        [(0.12, 0), (0.12, 1)],
        [(0.12, 0), (0.5, 0), *_arc(0.5, 0.24, 0.34, 0.24, -90, 90), (0.12, 0.48)],
        [(0.12, 0.48), (0.55, 0.48), *_arc(0.55, 0.74, 0.37, 0.26, -90, 90), (0.12, 1)],
    ],
    "C": [_arc(0.52, 0.5, 0.45, 0.5, -45, -315)],
    "D": [[(0.12, 0), (0.12, 1)], [(0.12, 0), (0.4, 0), *_arc(0.4, 0.5, 0.52, 0.5, -90, 90), (0.12, 1)]],
    "E": [[(0.15, 0), (0.15, 1)], [(0.15, 0), (0.85, 0)], [(0.15, 0.5), (0.72, 0.5)], [(0.15, 1), (0.85, 1)]],
    "F": [[(0.15, 0), (0.15, 1)], [(0.15, 0), (0.85, 0)], [(0.15, 0.48), (0.72, 0.48)]],
    "G": [[*_arc(0.52, 0.5, 0.45, 0.5, -45, -350)], [(0.96, 0.57), (0.6, 0.57)]],
    "H": [[(0.12, 0), (0.12, 1)], [(0.88, 0), (0.88, 1)], [(0.12, 0.5), (0.88, 0.5)]],
    "I": [[(0.5, 0), (0.5, 1)], [(0.22, 0), (0.78, 0)], [(0.22, 1), (0.78, 1)]],
    "J": [[(0.68, 0), (0.68, 0.7), *_arc(0.4, 0.7, 0.28, 0.3, 0, 165)], [(0.4, 0), (0.95, 0)]],
    "K": [[(0.14, 0), (0.14, 1)], [(0.85, 0), (0.16, 0.56)], [(0.4, 0.42), (0.88, 1)]],
    "L": [[(0.18, 0), (0.18, 1)], [(0.18, 1), (0.85, 1)]],
    "M": [[(0.05, 1), (0.14, 0)], [(0.14, 0), (0.5, 0.7), (0.86, 0)], [(0.86, 0), (0.95, 1)]],
    "N": [[(0.12, 1), (0.12, 0)], [(0.12, 0), (0.88, 1)], [(0.88, 1), (0.88, 0)]],
    "O": [_arc(0.5, 0.5, 0.47, 0.5, -90, -450)],
    "P": [[(0.14, 0), (0.14, 1)], [(0.14, 0), (0.52, 0), *_arc(0.52, 0.27, 0.36, 0.27, -90, 90), (0.14, 0.54)]],
    "Q": [_arc(0.5, 0.5, 0.47, 0.5, -90, -450), [(0.6, 0.68), (0.97, 1)]],
    "R": [
        [(0.14, 0), (0.14, 1)],
        [(0.14, 0), (0.52, 0), *_arc(0.52, 0.26, 0.36, 0.26, -90, 90), (0.14, 0.52)],
        [(0.45, 0.52), (0.9, 1)],
    ],
    "S": [[*_arc(0.5, 0.26, 0.36, 0.26, -30, -270), *_arc(0.5, 0.75, 0.4, 0.25, -90, 150)]],
    "T": [[(0.5, 0), (0.5, 1)], [(0.08, 0), (0.92, 0)]],
    "U": [[(0.12, 0), (0.12, 0.62), *_arc(0.5, 0.62, 0.38, 0.38, 180, 0), (0.88, 0)]],
    "V": [[(0.06, 0), (0.5, 1)], [(0.5, 1), (0.94, 0)]],
    "W": [[(0.02, 0), (0.27, 1)], [(0.27, 1), (0.5, 0.3), (0.73, 1)], [(0.73, 1), (0.98, 0)]],
    "X": [[(0.1, 0), (0.9, 1)], [(0.9, 0), (0.1, 1)]],
    "Y": [[(0.08, 0), (0.5, 0.5)], [(0.92, 0), (0.5, 0.5), (0.5, 1)]],
    "Z": [[(0.1, 0), (0.9, 0)], [(0.9, 0), (0.1, 1)], [(0.1, 1), (0.92, 1)]],
}
"""Letter -> strokes in writing order, each a polyline in the unit square (y down)."""


def draw(letter: str, progress: float, size: int, colour: str) -> Image.Image:
    """RGBA (size, size): the first `progress` (0..1) of the total length of the letter's strokes."""
    pen = size * 0.13
    oversampling = 2  # for smooth edges
    inner = size - pen - 4
    lines = [
        [(oversampling * (2 + pen / 2 + inner * x), oversampling * (2 + pen / 2 + inner * y)) for x, y in line]
        for line in STROKES[letter]
    ]
    remaining = progress * sum(_length(line) for line in lines)
    mask = Image.new("L", (size * oversampling, size * oversampling))
    canvas = ImageDraw.Draw(mask)
    for line in lines:
        if remaining <= 0:
            break
        _draw_line(canvas, _line_start(line, remaining), pen * oversampling)
        remaining -= _length(line)
    image = Image.new("RGBA", (size, size), colour)
    image.putalpha(mask.resize((size, size), Image.Resampling.BOX))
    return image


def _length(line: Sequence[Point]) -> float:
    return sum(math.dist(a, b) for a, b in pairwise(line))


def _line_start(line: Sequence[Point], length: float) -> list[Point]:
    """The first part of `line` with the given length."""
    out = [line[0]]
    for a, b in pairwise(line):
        step = math.dist(a, b)
        if step >= length:
            part = length / step if step else 0.0
            return [*out, (a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1]))]
        out.append(b)
        length -= step
    return out


def _draw_line(canvas: ImageDraw.ImageDraw, points: Sequence[Point], pen: float) -> None:
    canvas.line(points, fill=255, width=round(pen), joint="curve")
    for x, y in points:  # round ends and joints
        canvas.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=255)
