"""What became of each video: the entries in the ledger, and which of them still hold."""

from __future__ import annotations

import json
import shutil
import urllib.parse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from phonics_data.stages.fetch.download_result import CaptionsFound
from phonics_data.stages.fetch.local import beside
from phonics_data.stages.fetch.options import FetchOptions, Retry
from phonics_data.storage.manifest import is_web
from phonics_data.storage.tables import from_plain, to_plain
from phonics_data.storage.workspace import Workspace, fingerprint, write_json
from phonics_data.types import FetchedVideo, FetchStatus, Rejection, SourceVideo

OUTCOME = "outcome.json"
"""The ledger's entry as it travels with a video's folder."""

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
_RETRIED: dict[Retry, tuple[FetchStatus, ...]] = {
    "": ("blocked",),
    "failed": ("blocked", "failed", "invalid"),
    "gone": ("blocked", "gone"),
    "all": ("blocked", "failed", "invalid", "gone"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What the ledger keeps of one video."""

    status: FetchStatus
    video: FetchedVideo | None
    rejection: Rejection | None
    url: str
    max_height: int
    """The limit under which it was fetched."""
    format_id: str = ""
    captions_found: CaptionsFound = "none"
    num_tries: int = 1
    warnings: tuple[str, ...] = ()


class FetchLedger:
    """The entries of one workspace.

    Args:
        options: a video that was fetched for less height than they ask is fetched again, and `FetchOptions.retry` says
            which failures are.
    """

    def __init__(self, workspace: Workspace, options: FetchOptions) -> None:
        self._workspace = workspace
        self._options = options
        self._items = workspace.ledger("fetch")

    def partial(self, video_id: str) -> Path:
        """Where a video is brought together."""
        return self._workspace.media / ".partial" / video_id

    def final(self, video_id: str) -> Path:
        return self._workspace.media / video_id

    def finished(self, video: SourceVideo) -> Entry | None:
        """The entry of a video that needs no work in this run; None when it has to be fetched."""
        entry = self._entry(video)
        if entry is None or entry.status in _RETRIED[self._options.retry]:
            return None
        if is_web(video.url) and entry.max_height < self._options.max_height and entry.status == "ok":
            return None
        return entry if self._is_there(entry) else None

    def known(self, video: SourceVideo) -> Entry | None:
        """The entry of a video that this run does not touch; None when it was never tried, or its file is lost."""
        entry = self._entry(video)
        return entry if entry is not None and self._is_there(entry) else None

    def write(self, video: SourceVideo, entry: Entry) -> None:
        self._items.write(video.video_id, item_fingerprint(video), to_plain(entry))

    def publish(self, video: SourceVideo, entry: Entry, names: Sequence[str]) -> None:
        """Give the video's folder its final name, with the files `names` and nothing else, and write the entry.

        The entry travels inside, so that a crash between the two steps loses nothing.
        """
        folder = self.partial(video.video_id)
        write_json(folder / OUTCOME, {"fingerprint": item_fingerprint(video), "outcome": to_plain(entry)})
        self._move(folder, self.final(video.video_id), [*names, OUTCOME])
        self.write(video, entry)

    def _entry(self, video: SourceVideo) -> Entry | None:
        expected = item_fingerprint(video)
        outcome = self._items.read(video.video_id, expected)
        if outcome is not None:
            return from_plain(Entry, outcome)
        final, partial = self.final(video.video_id), self.partial(video.video_id)
        for folder in (partial, final):
            outcome = _outcome_in(folder, expected)
            if outcome is not None:
                entry = from_plain(Entry, outcome)
                if folder is partial:
                    self._move(partial, final, None)
                self.write(video, entry)
                return entry
        return None

    def _is_there(self, entry: Entry) -> bool:
        if entry.video is None:
            return True
        path = self._workspace.root / entry.video.path
        return path.is_file() and path.stat().st_size == entry.video.num_bytes

    @staticmethod
    def _move(folder: Path, final: Path, names: Sequence[str] | None) -> None:
        if names is not None:
            for path in folder.iterdir():
                if path.name not in names:
                    path.unlink()
        if final.exists():
            shutil.rmtree(final)
        folder.rename(final)


ENTRY_VERSION = 2
"""Of the fields of `Entry`; entries of another version are fetched again."""


def item_fingerprint(video: SourceVideo) -> str:
    """Name of what a video's files depend on: its address, and its language, by which captions are chosen.

    Of a local file it is also the sizes and times of the file and of what lies beside it.
    """
    if is_web(video.url):
        return fingerprint(ENTRY_VERSION, address_key(video.url), video.language)
    source = Path(video.url)
    files = [source, *beside(source)] if source.is_file() else []
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return fingerprint(ENTRY_VERSION, video.url, video.language, stats)


def address_key(url: str) -> str:
    """`url` without what changes from one start of a server on this machine to the next: its port."""
    parts = urllib.parse.urlsplit(url)
    if parts.hostname in LOCAL_HOSTS:
        return urllib.parse.urlunsplit(parts._replace(netloc="localhost"))
    return url


def host_of(url: str) -> str:
    """The name of the server of a web address; empty for a path."""
    return (urllib.parse.urlsplit(url).hostname or "") if is_web(url) else ""


def is_local_host(url: str) -> bool:
    """Whether `url` is served by this very machine, which needs no mercy."""
    return host_of(url) in LOCAL_HOSTS


def _outcome_in(folder: Path, expected_fingerprint: str) -> dict[str, Any] | None:
    try:
        noted = json.loads((folder / OUTCOME).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return cast("dict[str, Any]", noted["outcome"]) if noted.get("fingerprint") == expected_fingerprint else None


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchReport:
    """Where fetching stands in a workspace, for a person."""

    by_status: dict[FetchStatus, int]
    lines: list[str]
    """One line for each video that is not ok or carries a warning: id, status, reason, detail."""
    next_commands: list[str]


def fetched_entries(workspace: Workspace) -> dict[str, Entry]:
    """Every entry of the ledger by video id, whatever its status."""
    items = workspace.ledger("fetch")
    outcomes = {name: items.read(name) for name in items.item_ids()}
    return {name: from_plain(Entry, outcome) for name, outcome in outcomes.items() if outcome and "url" in outcome}


def fetch_report(workspace: Workspace) -> FetchReport:
    """The ledger of `workspace` in words; empty when nothing was fetched there."""
    run = read_run(workspace)
    entries = fetched_entries(workspace)
    counts: Counter[FetchStatus] = Counter(entry.status for entry in entries.values())
    untried = [name for name in run.get("untried", []) if name not in entries]
    if untried:
        counts["skipped"] = len(untried)
    lines: list[str] = []
    for name, entry in entries.items():
        if entry.rejection is not None:
            lines.append(f"{name}  {entry.status}  {entry.rejection.reason}: {entry.rejection.detail}")
        lines += [f"{name}  {entry.status}  warning: {warning}" for warning in entry.warnings]
    base = f"phonics-data fetch {run.get('manifest') or 'MANIFEST'} --work {workspace.root}"
    commands: list[str] = []
    if untried or counts["blocked"]:
        commands.append(base)
    if counts["failed"] or counts["invalid"]:
        commands.append(f"{base} --retry failed")
    if counts["gone"]:
        commands.append(f"{base} --retry gone")
    return FetchReport(by_status=dict(counts), lines=lines, next_commands=commands)


def write_run(workspace: Workspace, *, manifest: str, untried: Sequence[str], stopped: str) -> None:
    """Note what the last run was about: its manifest, the videos that it did not try, and why it stopped."""
    path = workspace.root / "items" / "fetch-run.json"
    write_json(path, {"manifest": manifest, "untried": list(untried), "stopped": stopped})


def read_run(workspace: Workspace) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", json.loads((workspace.root / "items" / "fetch-run.json").read_bytes()))
    except (FileNotFoundError, ValueError):
        return {}
