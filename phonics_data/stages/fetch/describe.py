"""Manifest rows from the pages of videos, without downloading the videos."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from phonics_data.errors import ManifestError
from phonics_data.stages.fetch.failures import DownloadError
from phonics_data.stages.fetch.options import FetchOptions
from phonics_data.storage.manifest import VIDEO_ID, is_http_url, youtube_id
from phonics_data.types import SourceVideo

_ONE_LETTER = re.compile(r"\b(?i:letter)\s+([A-Z])\b")


def describe_urls(urls: Iterable[str], options: FetchOptions) -> Iterator[SourceVideo | tuple[str, str]]:
    """For each address the manifest row by its page, or (address, error message).

    Raises:
        ManifestError: an address is not a web address.
    """
    from phonics_data.stages.fetch.download import page_infos

    for url, info in page_infos(_checked(urls), options):
        yield (url, info.detail) if isinstance(info, DownloadError) else manifest_row(url, info)


def _checked(urls: Iterable[str]) -> Iterator[str]:
    for url in urls:
        if not is_http_url(url):
            raise ManifestError(f"{url}: not a web address; a row of a local file must be written manually")
        yield url


def manifest_row(url: str, info: dict[str, Any]) -> SourceVideo:
    """The manifest row of a page (yt-dlp's info dict); the user has to check it.

    - "Letter X" in the title means one letter; any other title means the whole alphabet.
    - The tier is 1, since the user has chosen the video.
    """
    identity = youtube_id(url)
    title = " ".join(str(info.get("title") or "").split())
    letter = _ONE_LETTER.search(title)
    page_id = str(info.get("id") or "")
    language = str(info.get("language") or "en").split("-")[0].lower()
    duration = info.get("duration")
    return SourceVideo(
        video_id=identity or (page_id if VIDEO_ID.fullmatch(page_id) else re.sub(r"[^A-Za-z0-9_-]", "_", page_id)[:64]),
        url=f"https://www.youtube.com/watch?v={identity}" if identity else url,
        title=title,
        channel=str(info.get("channel") or info.get("uploader") or ""),
        kind="letter" if letter else "alphabet",
        letters=letter[1] if letter else "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        language=language if re.fullmatch(r"[a-z]{2,3}", language) else "en",
        tier=1,
        duration_seconds=float(duration) if isinstance(duration, int | float) and duration > 0 else None,
    )
