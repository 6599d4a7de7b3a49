"""Validation of the options, parsing, and the pauses of the back-off."""

from __future__ import annotations

from pathlib import Path

import pytest
import yt_dlp.cookies

from phonics_data.errors import OptionError
from phonics_data.stages.fetch.options import BROWSERS, BackOff, FetchOptions, default_max_height, parse_rate


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"max_height": 10}, "--max-height"),
        ({"limit_rate": -1}, "--limit-rate"),
        ({"sleep_seconds": (3.0, 1.0)}, "--sleep"),
        ({"sleep_seconds": (-1.0, 1.0)}, "--sleep"),
        ({"workers": 0}, "--workers"),
        ({"max_tier": 4}, "--tier"),
        ({"retry": "everything"}, "--retry"),
        ({"cookies_from_browser": "lynx:me"}, "--cookies-from-browser"),
        ({"cookies": Path("c.txt"), "cookies_from_browser": "firefox"}, "--cookies-from-browser"),
    ],
)
def test_error_names_the_invalid_option(options: dict[str, object], flag: str) -> None:
    with pytest.raises(OptionError, match=flag):
        FetchOptions(**options)  # type: ignore[arg-type]


def test_browsers_are_those_of_ytdlp() -> None:
    assert sorted(yt_dlp.cookies.SUPPORTED_BROWSERS) == sorted(BROWSERS)


@pytest.mark.parametrize(("text", "expected"), [("500K", 512_000), ("2m", 2_097_152), ("1.5M", 1_572_864), ("99", 99)])
def test_parse_rate(text: str, expected: int) -> None:
    assert parse_rate(text) == expected


@pytest.mark.parametrize("text", ["", "fast", "-1M", "0", "1MB/s"])
def test_invalid_rates(text: str) -> None:
    with pytest.raises(OptionError, match="--limit-rate"):
        parse_rate(text)


def test_back_off_doubles_up_to_its_maximum_with_jitter() -> None:
    back_off = BackOff(first_seconds=4.0, max_seconds=30.0)
    assert [back_off.seconds(number, 1.0) for number in (1, 2, 3, 4, 5)] == [4, 8, 16, 30, 30]
    assert [back_off.seconds(number, 0.0) for number in (1, 2, 9)] == [2, 4, 15]


def test_default_max_height() -> None:
    heights = [default_max_height(size) for size in (64, 96, 128, 256, 512, 1024)]
    assert heights == [360, 360, 360, 480, 1080, 2160]
