"""Manifest rows from the videos' own pages, without downloading them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from phonics_data.errors import ManifestError
from phonics_data.stages.fetch.failures import DownloadError
from phonics_data.stages.fetch.ledger import is_local_host
from phonics_data.stages.fetch.options import FetchOptions
from phonics_data.stages.fetch.progress import FetchProgress
from phonics_data.stages.fetch.rate_limiter import RateLimiter
from phonics_data.storage.manifest import VIDEO_ID, is_web, youtube_id
from phonics_data.types import SourceVideo

_ONE_LETTER = re.compile(r"\b(?i:letter)\s+([A-Z])\b")


def describe_urls(urls: Iterable[str], options: FetchOptions) -> Iterator[SourceVideo | tuple[str, str]]:
    """A row for each address, as its page describes the video; (address, why) where it gives none.

    Raises:
        ManifestError: an address is no web address.
    """
    from phonics_data.stages.fetch.download import Downloader

    rate_limiter = RateLimiter(options.sleep_seconds, options.seed)
    downloader = Downloader(options, log=None, rate_limiter=rate_limiter, watch=FetchProgress())
    try:
        for url in urls:
            if not is_web(url):
                raise ManifestError(f"{url}: not a web address; a row for a local file is written by hand")
            if not is_local_host(url):
                rate_limiter.wait(rate_limiter.seconds_to_turn())
            try:
                yield row_of(url, downloader.describe(url))
            except DownloadError as error:
                yield url, error.detail
    finally:
        downloader.close()


def row_of(url: str, info: dict[str, Any]) -> SourceVideo:
    """The manifest row of a page (yt-dlp's info dict); what a page cannot tell stays for a person to correct.

    "Letter X" in the title makes it a song of that letter; anything else counts as a whole alphabet. The tier is 1: whoever
    adds an address vouches for it.
    """
    identity = youtube_id(url)
    title = " ".join(str(info.get("title") or "").split())
    letter = _ONE_LETTER.search(title)
    found = str(info.get("id") or "")
    language = str(info.get("language") or "en").split("-")[0].lower()
    duration = info.get("duration")
    return SourceVideo(
        video_id=identity or (found if VIDEO_ID.fullmatch(found) else re.sub(r"[^A-Za-z0-9_-]", "_", found)[:64]),
        url=f"https://www.youtube.com/watch?v={identity}" if identity else url,
        title=title,
        channel=str(info.get("channel") or info.get("uploader") or ""),
        kind="letter" if letter else "alphabet",
        letters=letter[1] if letter else "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        language=language if re.fullmatch(r"[a-z]{2,3}", language) else "en",
        tier=1,
        duration_seconds=float(duration) if isinstance(duration, int | float) and duration > 0 else None,
    )
