"""Segments a frame into shapes that may be letters. Pure but for OpenCV.

There are three kinds of shapes, because letters are printed, drawn and painted:

* flat shapes: connected regions of one colour;
* holes in large flat regions and in cards, whatever fills them: letters of chalk on a board, with dots, gradients or
  faces;
* changed boxes: what has just been drawn, has appeared or has moved on a background that is not flat.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from phonics_data.ocr.geometry import PixelBox, contains, overlap_of, pixel_area
from phonics_data.ocr.recognizer import LETTERS, Frame, Mask

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

_BOARD_AREA = 0.05
"""Fraction of the frame from which a flat region is searched for holes."""
_CARD_AREA, _CARD_SOLIDITY = 0.01, 0.93
"""The same for cards and disks: regions that, with their holes, fill their convex hull to this fraction."""
_JOIN = 5
"""Changed parts at most this far apart, in pixels of the change mask, are one box."""
_SAME_PLACE = 0.7
"""Intersection over union from which two shapes are read only once."""
_MARGIN = 0.12
"""Pixels around a textured shape, as a fraction of its height, from which its background is measured."""
_MAIN_PART, _HATCHING = 0.7, 0.08
"""If no region has this fraction of a box's ink, gaps of up to this fraction of the box's height are closed."""
_DOT = 0.01
"""Holes smaller than this fraction of a letter's box do not belong to its form."""
_MIN_CONTRAST = 24
"""Smallest difference between a textured letter and its background (of 255, largest channel)."""
_BLOB_SOLIDITY, _BLOB_STROKES = 0.93, 5.5
"""A shape that fills its convex hull to this fraction, or whose area is less than so many times its squared half stroke
width, has no strokes. A disk has 3.1, the letters of a very bold font 6 to 9, others over 10."""
_WIDEST_BAR = 0.6
"""Width over height of the I of a very bold font."""
_CARD_FILL = 0.93
"""A shape that fills its box to this fraction, with its holes, is a card or a board."""
_BOARD_FILL = 0.8
"""A card that fills its box to this fraction, without its holes, is read as the letter in its hole, which is read anyway."""
_READ_IN_CARDS = frozenset("DOQICU")
"""Letters that cards and boards are read as."""

_CONTAINMENT_TOLERANCE = 2
"""Pixels by which the outline of a letter and its filling may differ."""

_MIN_SYMMETRY = {"I": 0.68, "O": 0.6}
"""Letters that look the same upside down: fraction of the area that a shape and its half turn have in common. Horns,
sticks, blades of grass and halves of rings, which are read as I and O, are below."""

_HOLE_READS_AS = frozenset("OQDICU")
"""Letters that the hole of A, B, D, O, P, Q or R is read as."""
_HAS_HOLE = frozenset("ABDOPQRG")
SIMPLE = frozenset("IOLCJ")
"""Letters that parts of other letters and simple drawings are read as."""


@dataclass(frozen=True, slots=True, eq=False)
class LetterShape:
    """A shape that may be a letter.

    Args:
        box: in pixels.
        mask: the pixels of the box that the shape covers.
        pixels: of textured shapes: RGB pixels of the box and a margin. They are read too, because a mask of chalk or of a face has
            gaps. None for flat shapes.
        is_card: whether it fills its box, with its holes.
        stretched_mask: for narrow shapes that are not small, the mask stretched to the usual width of a letter.
        thumbnail_20: (20, 20) float32 coverage, used to recognize an equal shape in later frames.
        colour: mean RGB; of textured shapes the median.
        background: median RGB around the shape.
    """

    box: PixelBox
    mask: Mask
    pixels: Frame | None
    is_card: bool
    stretched_mask: Mask | None
    thumbnail_20: NDArray[np.float32]
    colour: tuple[float, float, float]
    background: tuple[float, float, float]

    @property
    def aspect(self) -> float:
        left, top, right, bottom = self.box
        return (right - left) / (bottom - top)


def find_shapes(frame_HWC: Frame, changed_HW: Mask, *, min_changed: float, at_most: int = 10) -> list[LetterShape]:
    """Shapes of the size of a letter that have changed, those with the largest change first, flat ones before textured.

    Args:
        frame_HWC: uint8 RGB.
        changed_HW: 1 where the frame has changed, else 0.
        min_changed: fraction of a shape's box that must have changed; 0 keeps all shapes and searches no changed boxes.
        at_most: number of shapes of each kind.
    """
    gradient = cv2.morphologyEx(frame_HWC, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8))
    flat: Mask = (largest_channel(gradient) <= _EDGE).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(flat, connectivity=4)
    shapes = _flat_shapes(frame_HWC, changed_HW, labels, stats, min_changed=min_changed, at_most=at_most)
    regions = _ranked(_holes(labels, stats), changed_HW, min_changed)[:at_most]
    if min_changed > 0:
        regions += _ranked(_changed_boxes(changed_HW), changed_HW, min_changed)[:at_most]
    places = [shape.box for shape in shapes]
    for box, inside in regions:
        shape = textured_shape(frame_HWC, box, inside)
        if shape is not None and not any(overlap_of(shape.box, place) >= _SAME_PLACE for place in places):
            shapes.append(shape)
            places.append(shape.box)
    return shapes


def _flat_shapes(
    frame_HWC: Frame,
    changed_HW: Mask,
    labels: NDArray[Any],
    stats: NDArray[Any],
    *,
    min_changed: float,
    at_most: int,
) -> list[LetterShape]:
    height, width = frame_HWC.shape[:2]
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
    return [one for one in shapes if not _is_blob(one.mask) and not _is_board(one)] + [
        _shape(frame_HWC, labels, stats, [chosen[one], chosen[other]]) for one, other in pairs
    ]


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


def _holes(labels: NDArray[Any], stats: NDArray[Any]) -> Iterator[tuple[PixelBox, Mask]]:
    """Box and mask of what large flat regions and cards enclose."""
    for label in (np.flatnonzero(stats[1:, 4] >= _CARD_AREA * labels.size) + 1).tolist():
        left, top, w, h, area = stats[label].tolist()
        own = labels[top : top + h, left : left + w] == label
        if area < _BOARD_AREA * labels.size and not _is_convex(own.astype(np.uint8)):
            continue
        other: Mask = (~own).astype(np.uint8)
        _, inner_labels, inner_stats, _ = cv2.connectedComponentsWithStats(other, connectivity=8)
        for inner in _inner(inner_stats, other, labels):
            x, y, inner_w, inner_h, _ = inner_stats[inner].tolist()
            mask = (inner_labels[y : y + inner_h, x : x + inner_w] == inner).astype(np.uint8)
            yield (left + x, top + y, left + x + inner_w, top + y + inner_h), mask


def _is_convex(mask: Mask) -> bool:
    """Whether the mask, with its holes, is a card, a disk or another convex form."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outline = max(contours, key=cv2.contourArea)
    return cv2.contourArea(outline) >= _CARD_SOLIDITY * cv2.contourArea(cv2.convexHull(outline))


def _changed_boxes(changed_HW: Mask) -> Iterator[tuple[PixelBox, None]]:
    """Boxes of what has changed, with parts that are close to each other joined."""
    height, width = changed_HW.shape
    factor = max(1, round(width / 320))
    small = changed_HW[::factor, ::factor]
    joined = cv2.morphologyEx(small, cv2.MORPH_CLOSE, np.ones((_JOIN, _JOIN), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    for label in range(1, len(stats)):
        left, top, w, h = (int(value) * factor for value in stats[label, :4])
        if _is_letter_size(w, h, changed_HW):
            yield (left, top, min(left + w, width), min(top + h, height)), None


def _inner(stats: NDArray[Any], image: Mask, frame: NDArray[Any]) -> list[int]:
    """Components of an image that have the size of a letter in the frame and do not touch the image's border."""
    left_L, top_L, width_L, height_L = stats[:, :4].T
    height, width = image.shape
    is_inner_L = (left_L > 0) & (top_L > 0) & (left_L + width_L < width) & (top_L + height_L < height)
    is_inner_L &= height_L >= _MIN_HEIGHT * frame.shape[0]
    return [
        label
        for label in np.flatnonzero(is_inner_L).tolist()
        if label and _is_letter_size(int(width_L[label]), int(height_L[label]), frame)
    ]


def _is_letter_size(width: int, height: int, image: NDArray[Any]) -> bool:
    image_height, image_width = image.shape[:2]
    return (
        _MIN_HEIGHT * image_height <= height <= _MAX_HEIGHT * image_height
        and _MIN_WIDTH * image_width <= width <= _MAX_WIDTH * image_width
        and _MIN_ASPECT <= width / height <= _MAX_ASPECT
    )


def _ranked(
    regions: Iterable[tuple[PixelBox, Mask | None]], changed_HW: Mask, min_changed: float
) -> list[tuple[PixelBox, Mask | None]]:
    """The regions that have changed, those with the largest change first."""
    ranked: list[tuple[float, PixelBox, Mask | None]] = []
    for box, inside in regions:
        left, top, right, bottom = box
        changed = float(changed_HW[top:bottom, left:right].mean())
        if changed >= min_changed:
            ranked.append((changed * float(pixel_area(box)) ** 0.5, box, inside))
    ranked.sort(key=lambda one: -one[0])
    return [(box, inside) for _, box, inside in ranked]


def textured_shape(frame_HWC: Frame, box: PixelBox, inside: Mask | None = None) -> LetterShape | None:
    """The ink in a box: the largest region that differs from the colour around the box and does not touch its border.

    Args:
        inside: the pixels of the box that may be ink; None for all.

    Returns:
        None if nothing is found.
    """
    left, top, right, bottom = box
    away = max(2, round(_MARGIN * (bottom - top)))
    height, width = frame_HWC.shape[:2]
    outer = (max(left - away, 0), max(top - away, 0), min(right + away, width), min(bottom + away, height))
    pixels = frame_HWC[outer[1] : outer[3], outer[0] : outer[2]]
    around = np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]), axis=0).astype(np.uint8)
    difference = largest_channel(cv2.absdiff(pixels, np.broadcast_to(around, pixels.shape)))
    threshold, binary = cv2.threshold(difference, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    if threshold < _MIN_CONTRAST / 2:
        return None
    ink = np.asarray(binary, np.uint8)
    if inside is not None:
        allowed = np.zeros_like(ink)
        allowed[top - outer[1] : bottom - outer[1], left - outer[0] : right - outer[0]] = inside
        ink &= allowed
    labels, stats, best = _largest_inner(ink, frame_HWC)
    if best is None or stats[best, 4] < _MAIN_PART * stats[1:, 4].sum():
        # Hatching divides a letter into pieces.
        side = max(3, round(_HATCHING * (bottom - top)))
        ink = np.asarray(cv2.morphologyEx(ink, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8)), np.uint8)
        labels, stats, best = _largest_inner(ink, frame_HWC)
    if best is None:
        return None
    h, w = ink.shape
    x, y, inner_w, inner_h, _ = stats[best].tolist()
    mask = _without_dots((labels[y : y + inner_h, x : x + inner_w] == best).astype(np.uint8))
    if _is_blob(mask):
        return None
    red, green, blue = np.median(pixels[y : y + inner_h, x : x + inner_w][mask > 0], axis=0)
    own_box = (outer[0] + x, outer[1] + y, outer[0] + x + inner_w, outer[1] + y + inner_h)
    return LetterShape(
        box=own_box,
        mask=mask,
        pixels=pixels[max(y - away, 0) : min(y + inner_h + away, h), max(x - away, 0) : min(x + inner_w + away, w)],
        is_card=_is_card(mask),
        stretched_mask=None,
        thumbnail_20=_thumbnail(mask),
        colour=(float(red), float(green), float(blue)),
        background=_background(frame_HWC, own_box),
    )


def _without_dots(mask: Mask) -> Mask:
    """The mask with its smallest holes filled: dots and gaps in chalk, but not the inside of an A."""
    contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if len(contours) < 2:
        return mask
    dots = [
        contour
        for contour, (_, _, _, parent) in zip(contours, hierarchy[0].tolist(), strict=True)
        if parent >= 0 and cv2.contourArea(contour) < _DOT * mask.size
    ]
    return np.asarray(cv2.drawContours(mask.copy(), dots, -1, 1, cv2.FILLED), np.uint8) if dots else mask


def _largest_inner(ink: Mask, frame_HWC: Frame) -> tuple[NDArray[Any], NDArray[Any], int | None]:
    """Connected components of the ink, and the largest that has the size of a letter and does not touch the border."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    best = max(_inner(stats, ink, frame_HWC), key=lambda label: stats[label, 4], default=None)
    return labels, stats, best


def _is_blob(mask: Mask) -> bool:
    """Whether the mask has no strokes, such as a leaf, an eye or a ball. Narrow masks may be an I and are no blobs."""
    height, width = mask.shape
    if width <= _WIDEST_BAR * height:
        return False
    scale = min(1.0, 48 / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = (cv2.resize(mask * 255, size, interpolation=cv2.INTER_AREA) > 127).astype(np.uint8)
    small = np.pad(small, 1)
    area = float(small.sum())
    half_stroke = float(cv2.distanceTransform(small, cv2.DIST_L2, 3).max())
    hull = cv2.convexHull(cv2.findNonZero(small)) if area else None
    if hull is None:
        return True
    # The hull passes through the centres of its pixels.
    hull_area = cv2.contourArea(hull) + cv2.arcLength(hull, True) / 2 + 1
    return area < _BLOB_STROKES * half_stroke**2 or area > _BLOB_SOLIDITY * hull_area


def _is_board(shape: LetterShape) -> bool:
    return shape.is_card and float(shape.mask.mean()) > _BOARD_FILL


def _is_card(mask: Mask) -> bool:
    """Whether the mask, with its holes, fills its box."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    height, width = mask.shape
    return width > _NARROW * height and max(map(cv2.contourArea, contours), default=0.0) >= _CARD_FILL * (
        (width - 1) * (height - 1)
    )


def _thumbnail(mask: Mask) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(mask.astype(np.float32), (20, 20), interpolation=cv2.INTER_AREA), np.float32)


def _shape(frame_HWC: Frame, labels: NDArray[Any], stats: NDArray[Any], own: Sequence[int]) -> LetterShape:
    """The shape made of the connected components `own`."""
    left, top = (int(value) for value in stats[own, :2].min(axis=0))
    right, bottom = (int(value) for value in (stats[own, :2] + stats[own, 2:4]).max(axis=0))
    pixels = frame_HWC[top:bottom, left:right]
    inside: Mask = np.isin(labels[top:bottom, left:right], own).astype(np.uint8)
    height, width = inside.shape
    colour = pixels[inside > 0].mean(axis=0)
    # Edge detection removed one pixel on each side.
    mask = _without_dots(np.asarray(cv2.dilate(inside, np.ones((3, 3), np.uint8)), np.uint8))
    stretched: Mask | None = None
    if width / height < _NARROW and height >= 0.12 * frame_HWC.shape[0]:
        size = (round(_USUAL_ASPECT * height), height)
        stretched = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    return LetterShape(
        box=(left, top, right, bottom),
        mask=mask,
        pixels=None,
        is_card=_is_card(mask),
        stretched_mask=stretched,
        thumbnail_20=_thumbnail(mask),
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


def is_distorted(shape: LetterShape, letter: str) -> bool:
    """Whether the shape is not symmetrical enough for a letter that is."""
    turned = shape.mask[::-1, ::-1]
    shared, either = int((shape.mask & turned).sum()), int((shape.mask | turned).sum())
    return shared < _MIN_SYMMETRY.get(letter, 0.0) * either


def without_contained(shapes: Sequence[LetterShape], letters_R26: NDArray[np.float32]) -> list[int]:
    """Rows that remain after one of every two nested shapes is removed: a hole or part of a letter, or the card around it."""
    best = letters_R26.argmax(axis=1)
    removed = {row for row, shape in enumerate(shapes) if shape.is_card and LETTERS[best[row]] in _READ_IN_CARDS}
    # Simple letters may be parts of other letters.
    scores = letters_R26.max(axis=1) * np.array([0.6 if LETTERS[letter] in SIMPLE else 1.0 for letter in best])
    boxes = [shape.box for shape in shapes]
    for outer, inner in itertools.permutations(range(len(boxes)), 2):
        if removed & {outer, inner} or not contains(boxes[outer], boxes[inner], tolerance=_CONTAINMENT_TOLERANCE):
            continue
        is_hole = scores[outer] > 0.5 and LETTERS[best[outer]] in _HAS_HOLE and LETTERS[best[inner]] in _HOLE_READS_AS
        removed.add(inner if is_hole or scores[outer] >= scores[inner] else outer)
    return [row for row in range(len(boxes)) if row not in removed]
