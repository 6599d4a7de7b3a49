"""Transcoded previews of videos that browsers do not play: made on demand, one at a time, bounded on the disk."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Literal

from phonics_data.errors import ItemError
from phonics_data.executors.isolated import Limits, call_isolated
from phonics_data.media.preview import write_preview
from phonics_data.review.evidence import cache_folder
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo

PreviewState = Literal["ready", "running", "failed"]
MAX_CACHE_BYTES = 2_000_000_000


PREVIEW_LIMITS = Limits(seconds=1800)


def _write(task: tuple[Path, Path]) -> None:
    source, path = task
    write_preview(source, path)


class Previews:
    """The previews below WORK/review/previews. The oldest are deleted when all together exceed `MAX_CACHE_BYTES`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock, self._one = threading.Lock(), threading.Lock()
        self._running: set[Path] = set()
        self._failed: dict[Path, str] = {}

    def path(self, video: FetchedVideo) -> Path:
        return cache_folder(self._workspace) / "previews" / f"{video.video_id}-{video.sha256[:16]}.mp4"

    def state(self, video: FetchedVideo) -> tuple[PreviewState, str]:
        """(state, what failed); starts making the preview if there is none."""
        path = self.path(video)
        with self._lock:
            if path.exists():
                return "ready", ""
            if path in self._failed:
                return "failed", self._failed[path]
            if path not in self._running:
                self._running.add(path)
                source = self._workspace.root / video.path
                threading.Thread(target=self._make, args=(source, path), daemon=True).start()
        return "running", ""

    def _make(self, source: Path, path: Path) -> None:
        fault = ""
        try:
            with self._one:
                call_isolated(_write, (source, path), PREVIEW_LIMITS)
                self._delete_old(path)
        except (ItemError, OSError) as error:
            fault = str(error)
        with self._lock:
            self._running.discard(path)
            if fault:
                self._failed[path] = fault

    def _delete_old(self, newest: Path) -> None:
        files = sorted(newest.parent.glob("*.mp4"), key=lambda one: one.stat().st_mtime)
        total = sum(one.stat().st_size for one in files)
        for one in files:
            if total > MAX_CACHE_BYTES and one != newest:
                total -= one.stat().st_size
                one.unlink(missing_ok=True)
