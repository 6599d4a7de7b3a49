"""What a user can ask of fetching, and how patient it is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from phonics_data.errors import OptionError

BROWSERS = ("brave", "chrome", "chromium", "edge", "firefox", "opera", "safari", "vivaldi", "whale")
"""Whose cookies yt-dlp can read."""

Retry = Literal["", "failed", "gone", "all"]
_SIZES = ((128, 360), (256, 480), (512, 1080))


def default_max_height(frame_size: int) -> int:
    """The picture height worth fetching for clips of `frame_size` pixels, from YouTube's steps.

    240 lines are enough for clips of 64 pixels, at 0.4 of the cost of decoding; but the letters on the screen are read
    from the same file, and small ones in a row want 360.
    """
    return next((height for size, height in _SIZES if frame_size <= size), 2160)


@dataclass(frozen=True, kw_only=True, slots=True)
class BackOff:
    """How long to wait after a failure before trying again."""

    num_tries: int = 4
    """Tries of one video in one run."""
    first_seconds: float = 5.0
    max_seconds: float = 120.0
    max_retry_after_seconds: float = 900.0
    """A server that asks for a longer pause ends the run instead."""
    outage_seconds: float = 1800.0
    """How long to wait for a connection that was there earlier in the run."""

    def seconds(self, num_failures: int, jitter: float) -> float:
        """The pause after failure number `num_failures` (from 1): doubled each time, and half to all of it.

        Args:
            jitter: 0..1, drawn anew for each pause, so that several clients do not come back in step.
        """
        whole = min(self.first_seconds * 2 ** (num_failures - 1), self.max_seconds)
        return whole * (0.5 + 0.5 * jitter)


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchOptions:
    """Checked when it is built: `OptionError` names the flag to change."""

    max_height: int = 360
    """Tallest picture to fetch, in pixels; where a video has none so small, its smallest is taken."""
    cookies: Path | None = None
    """Cookies in Netscape format; read, never written."""
    cookies_from_browser: str = ""
    """A browser's name, and after a colon its profile."""
    proxy: str = ""
    limit_rate: int = 0
    """Bytes a second and worker; 0 is as fast as it goes."""
    sleep_seconds: tuple[float, float] = (5.0, 10.0)
    """Shortest and longest pause between the starts of two videos, over all workers. None for this machine's own."""
    workers: int = 1
    only: tuple[str, ...] = ()
    letters: str = ""
    max_tier: int = 2
    retry: Retry = ""
    """Which videos that an earlier run could not get are tried again; blocked ones always are."""
    seed: int = 0
    """Of the jitter in pauses."""
    back_off: BackOff = field(default_factory=BackOff)

    def __post_init__(self) -> None:
        low, high = self.sleep_seconds
        browser = self.cookies_from_browser.partition(":")[0].lower()
        faults = {
            "--max-height": (self.max_height, self.max_height >= 64, "64 or more, in pixels"),
            "--limit-rate": (self.limit_rate, self.limit_rate >= 0, "bytes a second, e.g. 500K or 2M"),
            "--sleep": (f"{low:g} {high:g}", 0 <= low <= high, "two numbers of seconds, the smaller first"),
            "--workers": (self.workers, 1 <= self.workers <= 16, "1 to 16; a server counts addresses, not workers"),
            "--tier": (self.max_tier, self.max_tier in (1, 2, 3), "1, 2 or 3"),
            "--retry": (self.retry, self.retry in ("", "failed", "gone", "all"), "failed, gone, all"),
            "--cookies-from-browser": (self.cookies_from_browser, browser in ("", *BROWSERS), ", ".join(BROWSERS)),
        }
        for flag, (got, is_fine, allowed) in faults.items():
            if not is_fine:
                raise OptionError(flag, got, allowed)
        if self.cookies is not None and self.cookies_from_browser:
            raise OptionError("--cookies-from-browser", self.cookies_from_browser, "nothing, beside --cookies")


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
