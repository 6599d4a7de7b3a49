"""The lock file of a workspace: checksums and formats of its videos, so that others can compare theirs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from phonics_data.errors import InputError
from phonics_data.stages.fetch.ledger import fetch_entries
from phonics_data.storage.manifest import is_http_url, write_csv
from phonics_data.storage.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class LockfileRow:
    """One fetched video of a workspace."""

    video_id: str
    url: str
    """For a local file only its name, since the path is private."""
    sha256: str
    """Of the media file. If two streams were joined, it depends on the ffmpeg version: compare duration and format
    before treating two videos as different."""
    num_bytes: int
    duration_seconds: float
    width: int
    height: int
    frame_rate: str
    format: str
    """The source's name of the fetched format, e.g. ``133+140``; empty for a local file."""
    captions: str
    """The caption track, or why there is none."""
    fetched_at: str
    fetcher_version: str


def lockfile_rows(workspace: Workspace) -> list[LockfileRow]:
    """One row for each fetched video, sorted by id."""
    return [
        LockfileRow(
            video_id=video_id,
            url=entry.url if is_http_url(entry.url) else Path(entry.url).name,
            sha256=video.sha256,
            num_bytes=video.num_bytes,
            duration_seconds=round(video.duration_seconds, 3),
            width=video.width,
            height=video.height,
            frame_rate=str(video.frame_rate),
            format=entry.format_id,
            captions=video.captions.track if video.captions else entry.captions_found,
            fetched_at=video.fetched_at,
            fetcher_version=video.fetcher_version,
        )
        for video_id, entry in sorted(fetch_entries(workspace).items())
        if (video := entry.video) is not None
    ]


def write_lockfile(workspace: Workspace, path: Path) -> int:
    """Write the lock file to `path` (CSV); returns the number of rows.

    Raises:
        InputError: the workspace has no fetched video.
    """
    rows = lockfile_rows(workspace)
    if not rows:
        raise InputError(f"{workspace.root}: no fetched video in it; run `phonics-data fetch MANIFEST` first")
    columns = [field.name for field in dataclasses.fields(LockfileRow)]
    write_csv(path, columns, [dataclasses.asdict(row) for row in rows])
    return len(rows)
