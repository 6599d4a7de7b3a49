"""Frame rates as text, of users and of files."""

from __future__ import annotations

from fractions import Fraction

import pytest

from phonics_data.contract.frame_rate import rate_of_file, rate_of_text


def test_rates_that_this_program_writes_are_read() -> None:
    for rate in (Fraction(25), Fraction(30_000, 1001), Fraction(1, 3), Fraction(0)):
        assert rate_of_file(str(rate)) == rate
    assert rate_of_file(25) == 25


@pytest.mark.timeout(5)
@pytest.mark.parametrize(
    "text", ["1e99999999", "25/0", "25/00", "-1", "1.5", "nan", "", None, [1], "9" * 10_000_000, "\u0661"]
)
def test_other_text_is_an_error_at_once(text: object) -> None:
    with pytest.raises(ValueError, match="is not a fraction"):
        rate_of_file(text)


@pytest.mark.parametrize("text", ["1e99999999", "25/0", "nan", ""])
def test_other_text_of_a_user_is_zero(text: str) -> None:
    assert rate_of_text(text) == 0
