"""Timestamps on a grid, in exact integers: the clock of a source begins with its first video frame."""

from __future__ import annotations

from fractions import Fraction
from math import floor, lcm


def half_up(value: Fraction) -> int:
    """`value` rounded to the nearest integer, halves upwards (Python's own round goes to even)."""
    return floor(value + Fraction(1, 2))


class Grid:
    """Where timestamps lie on a grid of `rate` intervals a second.

    Whole arithmetic on plain integers: it is done for every frame, and fractions cost ten times as much.

    Args:
        tick: seconds a tick of the timestamps.
        origin: seconds, in the timestamps' own count, at which the source's clock begins.
        rate: intervals a second.
    """

    def __init__(self, tick: Fraction, origin: Fraction, rate: Fraction | int) -> None:
        scale, offset = tick * rate, origin * rate
        self._one = lcm(scale.denominator, offset.denominator)
        self._scale = scale.numerator * (self._one // scale.denominator)
        self._offset = offset.numerator * (self._one // offset.denominator)

    def nearest(self, timestamp: int) -> int:
        """The border of the grid nearest to a timestamp, halves upwards."""
        return (2 * (timestamp * self._scale - self._offset) + self._one) // (2 * self._one)

    def first_middle(self, timestamp: int) -> int:
        """The first interval whose middle is not before a timestamp."""
        return -((self._one - 2 * (timestamp * self._scale - self._offset)) // (2 * self._one))
