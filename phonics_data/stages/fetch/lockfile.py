"""The lock file of a workspace: which bytes somebody had, so that others can tell whether they have the same."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from phonics_data.errors import InputError
from phonics_data.stages.fetch.ledger import fetched_entries
from phonics_data.storage.manifest import is_web, write_csv
from phonics_data.storage.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class LockRow:
    """One video that lies in a workspace."""

    video_id: str
    url: str
    """Of a local file only its name: the rest of the path is nobody's business."""
    sha256: str
    """Of the media file. The joined file of two streams depends on the ffmpeg that joined them: compare duration and
    format too before calling two videos different."""
    num_bytes: int
    duration_seconds: float
    width: int
    height: int
    frame_rate: str
    format: str
    """The source's name of the fetched format, ``133+140``; empty for a local file."""
    captions: str
    """The track that was taken, or why there is none."""
    fetched_at: str
    fetcher_version: str


def lock_rows(workspace: Workspace) -> list[LockRow]:
    """One row for each whole video, sorted by id."""
    rows: list[LockRow] = []
    for name, entry in sorted(fetched_entries(workspace).items()):
        video = entry.video
        if video is not None:
            rows.append(
                LockRow(
                    video_id=name,
                    url=entry.url if is_web(entry.url) else Path(entry.url).name,
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
            )
    return rows


def write_lock(workspace: Workspace, path: Path) -> int:
    """Write the lock file to `path` (CSV); the number of its rows.

    Raises:
        InputError: nothing was fetched yet.
    """
    rows = lock_rows(workspace)
    if not rows:
        raise InputError(f"{workspace.root}: no fetched video in it; run `phonics-data fetch MANIFEST` first")
    write_csv(path, [field.name for field in dataclasses.fields(LockRow)], [dataclasses.asdict(row) for row in rows])
    return len(rows)
