"""Frame rates as text: typed by a user, or read from a file."""

from __future__ import annotations

import re
from fractions import Fraction

_FRACTION = re.compile(r"[0-9]{1,12}(/[0-9]{1,12})?")
_NUMBER = re.compile(r"\d{1,9}(\.\d{0,9})?|\.\d{1,9}|\d{1,9}/\d{1,9}")


def rate_of_text(text: str) -> Fraction:
    """``25``, ``12.5`` or ``30000/1001`` as an exact number; 0 for any other text.

    Without exponents: `Fraction` writes all digits of ``1e99999999`` out, which takes hours.
    """
    if not _NUMBER.fullmatch(text.strip()):
        return Fraction(0)
    try:
        return Fraction(text.strip())
    except ZeroDivisionError:
        return Fraction(0)


def rate_of_file(value: object) -> Fraction:
    """A frame rate that this program wrote into a file, ``25`` or ``30000/1001``.

    Raises:
        ValueError: anything else; in particular exponents, as in `rate_of_text`.
    """
    text = str(value)[:40]
    if not _FRACTION.fullmatch(text) or not int(text.partition("/")[2] or 1):
        raise ValueError(f"{text!r} is not a fraction")
    return Fraction(text)
