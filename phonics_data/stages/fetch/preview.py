"""What a fetch would do, without doing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonics_data.errors import PhonicsDataError
from phonics_data.stages.fetch.failures import ADVICE, DownloadError
from phonics_data.stages.fetch.ledger import FetchLedger, host_of, is_local_host
from phonics_data.stages.fetch.options import FetchOptions
from phonics_data.stages.fetch.progress import FetchProgress
from phonics_data.stages.fetch.rate_limiter import RateLimiter
from phonics_data.stages.fetch.redaction import Redactor, secrets_of_proxy
from phonics_data.storage.manifest import is_web, select
from phonics_data.storage.workspace import Workspace
from phonics_data.types import SourceVideo

NUM_ASKED = 3
"""Pages that are opened for the estimate: enough for its first digit, and no load for the server."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What `fetch` would do with the same arguments."""

    num_rows: int
    num_chosen: int
    """After --only, --letters and --tier."""
    num_finished: int
    """Of them: need no work."""
    todo: list[SourceVideo]
    num_asked: int
    """Videos whose page was opened and told a size."""
    mean_bytes: float
    """Over them; 0 when none told."""

    @property
    def estimated_bytes(self) -> float:
        """Of all that would be downloaded."""
        return self.mean_bytes * sum(is_web(video.url) for video in self.todo)


def preview(work: Path, videos: Sequence[SourceVideo], options: FetchOptions) -> Preview:
    """Which videos a fetch would take up, and about how large they are, judged by the first few that answer.

    Args:
        work: the workspace's folder; it need not exist, and nothing is written to it.

    Raises:
        PhonicsDataError: nothing answers, or the server turns us away.
    """
    chosen = select(videos, only=options.only, letters=options.letters, max_tier=options.max_tier)
    todo = chosen
    if (work / "workspace.json").exists():
        ledger = FetchLedger(Workspace(work), options)
        todo = [video for video in chosen if ledger.finished(video) is None]
    sizes: list[float] = []
    online = [video for video in todo if is_web(video.url)]
    if online:
        sizes = _sizes(online, options)
    return Preview(
        num_rows=len(videos),
        num_chosen=len(chosen),
        num_finished=len(chosen) - len(todo),
        todo=todo,
        num_asked=len(sizes),
        mean_bytes=sum(sizes) / len(sizes) if sizes else 0.0,
    )


def _sizes(videos: Sequence[SourceVideo], options: FetchOptions) -> list[float]:
    from phonics_data.stages.fetch.download import Downloader

    rate_limiter = RateLimiter(options.sleep_seconds, options.seed)
    downloader = Downloader(options, log=None, rate_limiter=rate_limiter, watch=FetchProgress())
    redactor = Redactor(secrets_of_proxy(options.proxy))
    sizes: list[float] = []
    try:
        for video in videos[: 2 * NUM_ASKED]:
            if len(sizes) == NUM_ASKED:
                break
            if not is_local_host(video.url):
                rate_limiter.wait(rate_limiter.seconds_to_turn())
            try:
                size = size_of(downloader.describe(video.url))
            except DownloadError as error:
                if error.cause in ("unreachable", "bot_check", "rate_limited"):
                    raise PhonicsDataError(
                        f"--dry-run: {host_of(video.url)}: {redactor.clean(error.detail)}; {ADVICE[error.cause]}"
                    ) from error
                continue
            if size:
                sizes.append(size)
    finally:
        downloader.close()
    return sizes


def size_of(info: dict[str, Any]) -> float:
    """Bytes of the formats that yt-dlp chose, as far as the page tells; 0 when it does not."""
    formats: list[dict[str, Any]] = info.get("requested_formats") or [info]
    return float(sum(one.get("filesize") or one.get("filesize_approx") or 0 for one in formats))
