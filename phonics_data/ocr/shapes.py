"""Segments a frame into shapes of one colour that may be letters. Pure but for OpenCV."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from phonics_data.ocr.geometry import PixelBox, contains
from phonics_data.ocr.recognizer import LETTERS, Mask

Frame = NDArray[np.uint8]

_EDGE = 14
"""Difference of neighbouring pixels (of 255, largest channel) at which a colour region ends."""

_MIN_HEIGHT, _MAX_HEIGHT = 0.07, 0.85
_MIN_WIDTH, _MAX_WIDTH = 0.01, 0.6
_MIN_ASPECT, _MAX_ASPECT = 0.1, 2.2
"""Width over height: from an I to an outlined, slanted M."""
_NARROW, _USUAL_ASPECT = 0.45, 0.65
"""In narrow fonts T and L look like I. Narrow shapes are therefore also read stretched to the usual aspect."""
_MIN_FILL, _MAX_FILL = 0.08, 0.92
"""Fraction of its box that a shape fills. A full box is a card or a bar, unless it is as narrow as an I."""

_SAME_COLOUR = 25.0

_CONTAINMENT_TOLERANCE = 2
"""Pixels by which the outline of a letter and its filling may differ."""

_HOLE_READS_AS = frozenset("OQDICU")
"""Letters that the hole of A, B, D, O, P, Q or R is read as."""
_HAS_HOLE = frozenset("ABDOPQRG")
_SIMPLE = frozenset("IOLCJ")
"""Letters that parts of other letters and simple drawings are read as."""


@dataclass(frozen=True, slots=True, eq=False)
class LetterShape:
    """A shape of one colour.

    Args:
        box: in pixels.
        mask: the pixels of the box that the shape covers.
        stretched_mask: for narrow shapes that are not small, the mask stretched to the usual width of a letter.
        thumbnail_20: (20, 20) float32 coverage, used to recognize an equal shape in later frames.
        colour: mean RGB.
        background: median RGB around the shape.
    """

    box: PixelBox
    mask: Mask
    stretched_mask: Mask | None
    thumbnail_20: NDArray[np.float32]
    colour: tuple[float, float, float]
    background: tuple[float, float, float]

    @property
    def aspect(self) -> float:
        left, top, right, bottom = self.box
        return (right - left) / (bottom - top)


def find_shapes(frame_HWC: Frame, changed_HW: Mask, *, min_changed: float, at_most: int = 10) -> list[LetterShape]:
    """Shapes of the size of a letter that have changed, those with the largest change first.

    Args:
        frame_HWC: uint8 RGB.
        changed_HW: 1 where the frame has changed, else 0.
        min_changed: fraction of a shape's box that must have changed; 0 keeps all shapes.
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
        & ((fill <= _MAX_FILL) | (aspect < _NARROW))
        # Shapes at the frame's border are cropped, or they are the background.
        & (lefts > 1)
        & (tops > 1)
        & (lefts + widths < width - 1)
        & (tops + heights < height - 1)
    )
    ranked: list[tuple[float, int]] = []
    for label in np.flatnonzero(fits).tolist():
        left, top, w, h = stats[label, :4].tolist()
        changed = float(changed_HW[top : top + h, left : left + w].mean())
        if changed >= min_changed:
            ranked.append((changed * float(areas[label]) ** 0.5, label))
    ranked.sort(reverse=True)
    chosen = [label for _, label in ranked[:at_most]]
    shapes = [_shape(frame_HWC, labels, stats, [label]) for label in chosen]
    pairs = _adjacent_pairs(shapes)
    return shapes + [_shape(frame_HWC, labels, stats, [chosen[one], chosen[other]]) for one, other in pairs]


def _adjacent_pairs(shapes: Sequence[LetterShape]) -> list[tuple[int, int]]:
    """Pairs of adjacent shapes of one colour that may be one letter, such as the stem and the arms of a K."""
    pairs: list[tuple[int, int]] = []
    for one, other in itertools.combinations(range(len(shapes)), 2):
        a, b = shapes[one].box, shapes[other].box
        height = max(a[3] - a[1], b[3] - b[1])
        gap = max(a[0], b[0]) - min(a[2], b[2])
        shared_height = min(a[3], b[3]) - max(a[1], b[1])
        difference = max(abs(x - y) for x, y in zip(shapes[one].colour, shapes[other].colour, strict=True))
        if difference < _SAME_COLOUR and gap < 0.12 * height and shared_height > 0.7 * height:
            pairs.append((one, other))
    return pairs


def largest_channel(image_HWC: NDArray[np.uint8] | cv2.typing.MatLike) -> Mask:
    """(H, W) maximum of the three channels; ten times faster than NumPy's maximum over an axis."""
    red, green, blue = cv2.split(image_HWC)
    return np.asarray(cv2.max(cv2.max(red, green), blue), np.uint8)


def _shape(frame_HWC: Frame, labels: NDArray[Any], stats: NDArray[Any], own: Sequence[int]) -> LetterShape:
    """The shape made of the connected components `own`."""
    left, top = (int(value) for value in stats[own, :2].min(axis=0))
    right, bottom = (int(value) for value in (stats[own, :2] + stats[own, 2:4]).max(axis=0))
    pixels = frame_HWC[top:bottom, left:right]
    inside: Mask = np.isin(labels[top:bottom, left:right], own).astype(np.uint8)
    height, width = inside.shape
    colour = pixels[inside > 0].mean(axis=0)
    # Edge detection removed one pixel on each side.
    mask: Mask = np.asarray(cv2.dilate(inside, np.ones((3, 3), np.uint8)), np.uint8)
    stretched: Mask | None = None
    if width / height < _NARROW and height >= 0.12 * frame_HWC.shape[0]:
        size = (round(_USUAL_ASPECT * height), height)
        stretched = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    return LetterShape(
        box=(left, top, right, bottom),
        mask=mask,
        stretched_mask=stretched,
        thumbnail_20=np.asarray(
            cv2.resize(mask.astype(np.float32), (20, 20), interpolation=cv2.INTER_AREA), np.float32
        ),
        colour=(float(colour[0]), float(colour[1]), float(colour[2])),
        background=_background(frame_HWC, (left, top, right, bottom)),
    )


def _background(frame_HWC: Frame, box: PixelBox) -> tuple[float, float, float]:
    """Median colour on a rectangle around the box, at a distance that leaves out the shape's outline."""
    left, top, right, bottom = box
    away = max(3, round(0.12 * (bottom - top)))
    left, top, right, bottom = max(left - away, 0), max(top - away, 0), right + away, bottom + away
    outer = frame_HWC[top:bottom, left:right]
    around = np.concatenate([outer[0], outer[-1], outer[:, 0], outer[:, -1]])
    red, green, blue = np.median(around, axis=0)
    return float(red), float(green), float(blue)


def without_contained(boxes: Sequence[PixelBox], letters_R26: NDArray[np.float32]) -> list[int]:
    """Rows that remain after one of every two nested shapes is removed: a hole or part of a letter, or the card around it."""
    removed: set[int] = set()
    best = letters_R26.argmax(axis=1)
    # Simple letters may be parts of other letters.
    scores = letters_R26.max(axis=1) * np.array([0.6 if LETTERS[letter] in _SIMPLE else 1.0 for letter in best])
    for outer, inner in itertools.permutations(range(len(boxes)), 2):
        if removed & {outer, inner} or not contains(boxes[outer], boxes[inner], tolerance=_CONTAINMENT_TOLERANCE):
            continue
        is_hole = scores[outer] > 0.5 and LETTERS[best[outer]] in _HAS_HOLE and LETTERS[best[inner]] in _HOLE_READS_AS
        removed.add(inner if is_hole or scores[outer] >= scores[inner] else outer)
    return [row for row in range(len(boxes)) if row not in removed]
