"""Axis-aligned boxes: left, top, right, bottom, in pixels or as fractions of the frame's width and height."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PixelBox = tuple[int, int, int, int]
Box = NDArray[np.float32]
"""(4,) fractions of the frame's width and height."""


def area(box: Box) -> float:
    # Plain floats: NumPy is twenty times slower for four numbers, and this is called about 100,000 times per song.
    left, top, right, bottom = box.tolist()
    return (right - left) * (bottom - top)


def intersection(one: Box, other: Box) -> float:
    """Area that two boxes share."""
    left, top, right, bottom = one.tolist()
    left_2, top_2, right_2, bottom_2 = other.tolist()
    return max(min(right, right_2) - max(left, left_2), 0.0) * max(min(bottom, bottom_2) - max(top, top_2), 0.0)


def intersection_over_union(one: Box, other: Box) -> float:
    """0..1."""
    shared = intersection(one, other)
    return shared / (area(one) + area(other) - shared) if shared > 0 else 0.0


def intersections_over_union(boxes_R4: NDArray[np.float32], box: Box) -> NDArray[np.float64]:
    """(boxes,) `intersection_over_union` of each box with `box`."""
    boxes, other = boxes_R4.astype(np.float64), box.astype(np.float64)
    size_R2 = np.minimum(boxes[:, 2:], other[2:]) - np.maximum(boxes[:, :2], other[:2])
    shared_R = np.maximum(size_R2, 0.0).prod(axis=1)
    union_R = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (other[2:] - other[:2]).prod() - shared_R
    return np.divide(shared_R, union_R, out=np.zeros_like(shared_R), where=shared_R > 0)


def contains(outer: PixelBox, inner: PixelBox, *, tolerance: int) -> bool:
    """Whether `inner` is the smaller box and is within `outer`, grown by `tolerance` pixels on each side."""
    is_inside = all(outer[side] - tolerance <= inner[side] for side in (0, 1))
    is_inside = is_inside and all(inner[side] <= outer[side] + tolerance for side in (2, 3))
    return is_inside and pixel_area(inner) < pixel_area(outer)


def pixel_area(box: PixelBox) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def overlap_of(one: PixelBox, other: PixelBox) -> float:
    """`intersection_over_union` of two boxes in pixels."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (pixel_area(one) + pixel_area(other) - shared) if shared else 0.0
