"""Frame rates that a user types."""

from __future__ import annotations

import re
from fractions import Fraction

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
