"""The dry run: which videos a fetch would download, and their estimated size."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonics_data.errors import PhonicsDataError
from phonics_data.stages.fetch.failures import ADVICE, DownloadError
from phonics_data.stages.fetch.ledger import FetchLedger, host_of
from phonics_data.stages.fetch.options import FetchOptions
from phonics_data.stages.fetch.redaction import Redactor, proxy_secrets
from phonics_data.storage.manifest import is_http_url, select_videos
from phonics_data.storage.parts import Part
from phonics_data.storage.workspace import Workspace
from phonics_data.types import SourceVideo

NUM_SAMPLED_PAGES = 3
"""Pages that are opened for the estimate: enough for one significant digit, with few requests."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchPreview:
    """What `fetch` would do with the same arguments."""

    num_rows: int
    num_chosen: int
    """Rows selected by --only, --letters, --tier and --part."""
    num_finished: int
    """Chosen rows that need no work."""
    todo: list[SourceVideo]
    num_sampled: int
    """Videos whose page was opened and gives a size."""
    mean_bytes: float
    """Mean size of the sampled videos; 0 when there are none."""

    @property
    def estimated_bytes(self) -> float:
        """Of all downloads."""
        return self.mean_bytes * sum(is_http_url(video.url) for video in self.todo)


def preview_fetch(
    work: Path, videos: Sequence[SourceVideo], options: FetchOptions, part: Part | None = None
) -> FetchPreview:
    """Which videos a fetch would download, and their size, estimated from the first pages that give one.

    Args:
        work: folder of the workspace; it need not exist, and nothing is written to it.

    Raises:
        PhonicsDataError: the host is unreachable or blocks the requests.
    """
    chosen = select_videos(videos, only=options.only, letters=options.letters, max_tier=options.max_tier)
    if part is not None:
        chosen = [video for video in chosen if part.has(video.video_id)]
    todo = chosen
    if (work / "workspace.json").exists():
        ledger = FetchLedger(Workspace(work), options)
        todo = [video for video in chosen if ledger.finished_entry(video) is None]
    online = [video for video in todo if is_http_url(video.url)]
    sizes = _sample_sizes(online, options) if online else []
    return FetchPreview(
        num_rows=len(videos),
        num_chosen=len(chosen),
        num_finished=len(chosen) - len(todo),
        todo=todo,
        num_sampled=len(sizes),
        mean_bytes=sum(sizes) / len(sizes) if sizes else 0.0,
    )


def _sample_sizes(videos: Sequence[SourceVideo], options: FetchOptions) -> list[float]:
    from phonics_data.stages.fetch.download import page_infos

    redactor = Redactor(proxy_secrets(options.proxy))
    sizes: list[float] = []
    urls = [video.url for video in videos[: 2 * NUM_SAMPLED_PAGES]]
    with contextlib.closing(page_infos(urls, options)) as pages:
        for url, info in pages:
            if not isinstance(info, DownloadError):
                if size := download_bytes(info):
                    sizes.append(size)
                if len(sizes) == NUM_SAMPLED_PAGES:
                    break
            elif info.cause in ("unreachable", "bot_check", "rate_limited"):
                detail = redactor.redact(info.detail)
                raise PhonicsDataError(f"--dry-run: {host_of(url)}: {detail}; {ADVICE[info.cause]}") from info
    return sizes


def download_bytes(info: dict[str, Any]) -> float:
    """Size of the formats that yt-dlp chose (`info` is its info dict); 0 when the page gives none."""
    formats: list[dict[str, Any]] = info.get("requested_formats") or [info]
    return float(sum(entry.get("filesize") or entry.get("filesize_approx") or 0 for entry in formats))
