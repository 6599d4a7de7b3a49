"""Shapes of one colour in a frame that may be letters. Pure but for OpenCV."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from phonics_data.ocr.recognizer import LETTERS, Shape

Frame = NDArray[np.uint8]
Mask = NDArray[np.uint8]

_EDGE = 14
"""Difference of neighbouring pixels (of 255, largest channel) at which one colour ends and another begins."""

_MIN_HEIGHT, _MAX_HEIGHT = 0.07, 0.85
_MIN_WIDTH, _MAX_WIDTH = 0.01, 0.6
_MIN_ASPECT, _MAX_ASPECT = 0.1, 2.2
"""Width over height: from an I to an outlined M that leans."""
_NARROW, _USUAL_ASPECT = 0.45, 0.65
"""Narrow fonts make a T and an L look like an I; made wider, they are themselves again."""
_MIN_FILL, _MAX_FILL = 0.08, 0.92
"""Share of its box that a shape covers; a full box is a card or a bar, unless it is as narrow as an I."""

_ONE_COLOUR = 25.0

_COUNTERS = frozenset("OQDICU")
"""What the hole inside of A, B, D, O, P, Q and R reads as."""
_HOLED = frozenset("ABDOPQRG")
_PLAIN = frozenset("IOLCJ")


@dataclass(frozen=True, slots=True, eq=False)
class Glyph:
    """One shape.

    Args:
        box: left, top, right, bottom in pixels.
        shape: what it covers of its box.
        wide_shape: the same made as wide as most letters are, for narrow shapes that are not small; else None.
        print_20: (20, 20) float32 coverage, by which an equal shape is known again.
        colour: mean RGB.
        ground: RGB of what is around it.
    """

    box: tuple[int, int, int, int]
    shape: Shape
    wide_shape: Shape | None
    print_20: NDArray[np.float32]
    colour: tuple[float, float, float]
    ground: tuple[float, float, float]

    @property
    def aspect(self) -> float:
        left, top, right, bottom = self.box
        return (right - left) / (bottom - top)


def find_glyphs(frame_HWC: Frame, changed_HW: Mask, *, min_changed: float, at_most: int = 10) -> list[Glyph]:
    """Shapes of letter-like size that have changed, those with the largest change first.

    Args:
        frame_HWC: uint8 RGB.
        changed_HW: 1 where the picture has changed, else 0.
        min_changed: share of a shape's box that must have changed; 0 takes all shapes.
    """
    height, width = frame_HWC.shape[:2]
    gradient = cv2.morphologyEx(frame_HWC, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8))
    flat: Mask = (largest_channel(gradient) <= _EDGE).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(flat, connectivity=4)
    lefts, tops, widths, heights, areas = np.maximum(stats.T.astype(np.float64), [[0], [0], [1], [1], [1]])
    aspect, fill = widths / heights, areas / (widths * heights)
    fits = (
        (heights >= _MIN_HEIGHT * height)
        & (heights <= _MAX_HEIGHT * height)
        & (widths >= _MIN_WIDTH * width)
        & (widths <= _MAX_WIDTH * width)
        & (aspect >= _MIN_ASPECT)
        & (aspect <= _MAX_ASPECT)
        & (fill >= _MIN_FILL)
        & ((fill <= _MAX_FILL) | (aspect < 0.45))
        # What touches the edge of the frame is cut off, or the ground.
        & (lefts > 1)
        & (tops > 1)
        & (lefts + widths < width - 1)
        & (tops + heights < height - 1)
    )
    ranked: list[tuple[float, int]] = []
    for label in np.flatnonzero(fits).tolist():
        left, top, w, h = stats[label, :4].tolist()
        share = float(changed_HW[top : top + h, left : left + w].mean())
        if share >= min_changed:
            ranked.append((share * float(areas[label]) ** 0.5, label))
    ranked.sort(reverse=True)
    chosen = [label for _, label in ranked[:at_most]]
    glyphs = [_glyph(frame_HWC, labels, stats, [label]) for label in chosen]
    return glyphs + [_glyph(frame_HWC, labels, stats, [chosen[one], chosen[other]]) for one, other in _halves(glyphs)]


def _halves(glyphs: Sequence[Glyph]) -> list[tuple[int, int]]:
    """Pairs of shapes of one colour that stand so close that they may be one letter: the stem and the arms of some Ks."""
    pairs: list[tuple[int, int]] = []
    for one, other in itertools.combinations(range(len(glyphs)), 2):
        a, b = glyphs[one].box, glyphs[other].box
        height = max(a[3] - a[1], b[3] - b[1])
        beside = max(a[0], b[0]) - min(a[2], b[2])
        level = min(a[3], b[3]) - max(a[1], b[1])
        alike = max(abs(x - y) for x, y in zip(glyphs[one].colour, glyphs[other].colour, strict=True)) < _ONE_COLOUR
        if alike and beside < 0.12 * height and level > 0.7 * height:
            pairs.append((one, other))
    return pairs


def largest_channel(picture_HWC: NDArray[np.uint8] | cv2.typing.MatLike) -> Mask:
    """(H, W) the largest of the three channels; ten times faster than NumPy's maximum over an axis."""
    red, green, blue = cv2.split(picture_HWC)
    return np.asarray(cv2.max(cv2.max(red, green), blue), np.uint8)


def _glyph(frame_HWC: Frame, labels: NDArray[Any], stats: NDArray[Any], own: Sequence[int]) -> Glyph:
    left, top = (int(value) for value in stats[own, :2].min(axis=0))
    right, bottom = (int(value) for value in (stats[own, :2] + stats[own, 2:4]).max(axis=0))
    pixels = frame_HWC[top:bottom, left:right]
    inside: Mask = np.isin(labels[top:bottom, left:right], own).astype(np.uint8)
    height, width = inside.shape
    colour = pixels[inside > 0].mean(axis=0)
    # The edge took a pixel from each side.
    whole: Mask = np.asarray(cv2.dilate(inside, np.ones((3, 3), np.uint8)), np.uint8)
    is_narrow = width / height < _NARROW and height >= 0.12 * frame_HWC.shape[0]
    return Glyph(
        box=(left, top, right, bottom),
        shape=whole,
        wide_shape=_stretched(whole, round(_USUAL_ASPECT * height)) if is_narrow else None,
        print_20=np.asarray(cv2.resize(whole.astype(np.float32), (20, 20), interpolation=cv2.INTER_AREA), np.float32),
        colour=(float(colour[0]), float(colour[1]), float(colour[2])),
        ground=_ground(frame_HWC, (left, top, right, bottom)),
    )


def _ground(frame_HWC: Frame, box: tuple[int, int, int, int]) -> tuple[float, float, float]:
    """Median colour of a frame around a shape, at a distance that leaves out its outline."""
    left, top, right, bottom = box
    away = max(3, round(0.12 * (bottom - top)))
    left, top, right, bottom = max(left - away, 0), max(top - away, 0), right + away, bottom + away
    outer = frame_HWC[top:bottom, left:right]
    around = np.concatenate([outer[0], outer[-1], outer[:, 0], outer[:, -1]])
    red, green, blue = np.median(around, axis=0)
    return float(red), float(green), float(blue)


def _stretched(shape: Shape, width: int) -> Shape:
    return np.asarray(cv2.resize(shape, (width, shape.shape[0]), interpolation=cv2.INTER_NEAREST), np.uint8)


def without_parts(boxes: Sequence[tuple[int, int, int, int]], letters_R26: NDArray[np.float32]) -> list[int]:
    """Rows that stay: of a shape inside of another, the hole or half of a letter goes, and so does the card around one."""
    gone: set[int] = set()
    best = letters_R26.argmax(axis=1)
    # What looks like many things may well be a part of a letter that does not.
    scores = letters_R26.max(axis=1) * np.array([0.6 if LETTERS[letter] in _PLAIN else 1.0 for letter in best])
    for outer, inner in ((one, two) for one in range(len(boxes)) for two in range(len(boxes)) if one != two):
        if not _holds(boxes[outer], boxes[inner]) or gone & {outer, inner}:
            continue
        is_hole = scores[outer] > 0.5 and LETTERS[best[outer]] in _HOLED and LETTERS[best[inner]] in _COUNTERS
        gone.add(inner if is_hole or scores[outer] >= scores[inner] else outer)
    return [row for row in range(len(boxes)) if row not in gone]


def _holds(outer: tuple[int, int, int, int], inner: tuple[int, int, int, int]) -> bool:
    """Whether one box lies in another; the outline of a letter and its filling may differ by a pixel or two."""
    slack = 2
    is_inside = outer[0] - slack <= inner[0] and outer[1] - slack <= inner[1]
    is_inside = is_inside and inner[2] <= outer[2] + slack and inner[3] <= outer[3] + slack
    return is_inside and _area(inner) < _area(outer)


def _area(box: tuple[int, int, int, int]) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
