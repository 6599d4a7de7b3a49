"""Exact integer arithmetic for timestamps. The clock of a source begins with its first video frame."""

from __future__ import annotations

from fractions import Fraction
from math import floor, lcm


def half_up(value: Fraction) -> int:
    """`value` rounded to the nearest integer, halves upwards (Python's `round` rounds halves to even)."""
    return floor(value + Fraction(1, 2))


class Grid:
    """Maps timestamps to a grid of `rate` intervals per second.

    Plain integers are used because every frame needs this and `Fraction` takes ten times as long.

    Args:
        tick: seconds per unit of the timestamps.
        origin: start of the source's clock, in seconds on the timestamps' clock.
        rate: intervals per second.
    """

    def __init__(self, tick: Fraction, origin: Fraction, rate: Fraction | int) -> None:
        scale, offset = tick * rate, origin * rate
        self._one = lcm(scale.denominator, offset.denominator)
        self._scale = scale.numerator * (self._one // scale.denominator)
        self._offset = offset.numerator * (self._one // offset.denominator)

    def nearest_boundary(self, timestamp: int) -> int:
        """The interval boundary nearest to a timestamp, halves upwards."""
        return (2 * (timestamp * self._scale - self._offset) + self._one) // (2 * self._one)

    def first_interval(self, timestamp: int) -> int:
        """The first interval whose midpoint is not before a timestamp."""
        return -((self._one - 2 * (timestamp * self._scale - self._offset)) // (2 * self._one))
