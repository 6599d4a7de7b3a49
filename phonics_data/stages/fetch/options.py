"""Options of the stage `fetch`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from phonics_data.errors import OptionError

BROWSERS = ("brave", "chrome", "chromium", "edge", "firefox", "opera", "safari", "vivaldi", "whale")
"""Browsers whose cookies yt-dlp can read."""

Retry = Literal["", "failed", "gone", "all"]
_HEIGHT_OF_FRAME_SIZE = ((128, 360), (256, 480), (512, 1080))


def default_max_height(frame_size: int) -> int:
    """The video height (one of YouTube's) that clips of `frame_size` pixels need.

    A height of 240 would be enough for clips of 64 pixels, at 0.4 of the decoding cost, but OCR reads the same file
    and needs 360 for small letters in a row.
    """
    return next((height for size, height in _HEIGHT_OF_FRAME_SIZE if frame_size <= size), 2160)


@dataclass(frozen=True, kw_only=True, slots=True)
class BackOff:
    """Pauses after failures: exponential back-off with jitter."""

    num_tries: int = 4
    """Tries of one video in one run."""
    first_seconds: float = 5.0
    max_seconds: float = 120.0
    max_retry_after_seconds: float = 900.0
    """If the server requests a longer pause, the video is not tried again in this run."""
    outage_seconds: float = 1800.0
    """How long to wait for a host that has responded earlier in the run."""

    def seconds(self, num_failures: int, jitter: float) -> float:
        """The pause after failure number `num_failures` (from 1): doubled each time, times 0.5 to 1.

        Args:
            jitter: 0..1, sampled for each pause, so that several clients do not retry at the same time.
        """
        longest = min(self.first_seconds * 2 ** (num_failures - 1), self.max_seconds)
        return longest * (0.5 + 0.5 * jitter)


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchOptions:
    """Validated in the constructor: `OptionError` names the CLI option to change."""

    max_height: int = 360
    """Largest video height to fetch, in pixels; a video without such a format is fetched at its smallest height."""
    cookies: Path | None = None
    """Cookies in Netscape format; read, never written."""
    cookies_from_browser: str = ""
    """Name of a browser, optionally followed by a colon and a profile."""
    proxy: str = ""
    limit_rate: int = 0
    """Bytes a second and worker; 0 for no limit."""
    sleep_seconds: tuple[float, float] = (5.0, 10.0)
    """Shortest and longest pause between the starts of two videos, over all workers. Local servers are not limited."""
    workers: int = 1
    only: tuple[str, ...] = ()
    letters: str = ""
    max_tier: int = 2
    retry: Retry = ""
    """Which failed videos of earlier runs are tried again; blocked ones always are."""
    seed: int = 0
    """Of the jitter in pauses."""
    back_off: BackOff = field(default_factory=BackOff)

    def __post_init__(self) -> None:
        low, high = self.sleep_seconds
        browser = self.cookies_from_browser.partition(":")[0].lower()
        checks = {
            "--max-height": (self.max_height, self.max_height >= 64, "64 or more, in pixels"),
            "--limit-rate": (self.limit_rate, self.limit_rate >= 0, "bytes a second, e.g. 500K or 2M"),
            "--sleep": (f"{low:g} {high:g}", 0 <= low <= high, "two numbers of seconds, the smaller first"),
            "--workers": (self.workers, 1 <= self.workers <= 16, "1 to 16; servers limit addresses, not workers"),
            "--tier": (self.max_tier, self.max_tier in (1, 2, 3), "1, 2 or 3"),
            "--retry": (self.retry, self.retry in get_args(Retry), "failed, gone, all"),
            "--cookies-from-browser": (self.cookies_from_browser, browser in ("", *BROWSERS), ", ".join(BROWSERS)),
        }
        for flag, (value, is_valid, allowed) in checks.items():
            if not is_valid:
                raise OptionError(flag, value, allowed)
        if self.cookies is not None and self.cookies_from_browser:
            raise OptionError("--cookies-from-browser", self.cookies_from_browser, "nothing together with --cookies")


def parse_rate(text: str) -> int:
    """Bytes a second from ``500K``, ``2M``, ``1.5M`` or a plain number; raises `OptionError`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)", text.strip().upper())
    if match is None or not float(match[1]):
        raise OptionError("--limit-rate", text, "bytes a second, e.g. 500K or 2M")
    return round(float(match[1]) * 1024 ** ("", "K", "M", "G").index(match[2]))


def parse_retry(text: str) -> Retry:
    """`text` as the value of ``--retry``; raises `OptionError`."""
    for value in get_args(Retry):
        if text == value:
            return value
    raise OptionError("--retry", text, "failed, gone, all")
