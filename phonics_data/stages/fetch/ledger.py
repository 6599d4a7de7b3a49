"""The ledger of the stage `fetch`: the result of each video, and the report of a workspace."""

from __future__ import annotations

import dataclasses
import shutil
import urllib.parse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from phonics_data.contract.console import printable
from phonics_data.contract.records import from_plain, to_plain
from phonics_data.contract.untrusted import read_json_object, split_address
from phonics_data.stages.fetch.download_result import CaptionsFound
from phonics_data.stages.fetch.local import sidecar_files
from phonics_data.stages.fetch.options import FetchOptions, Retry
from phonics_data.storage.manifest import is_http_url
from phonics_data.storage.public_text import without_secrets
from phonics_data.storage.workspace import Workspace, fingerprint, write_json
from phonics_data.types import FetchedVideo, FetchStatus, Rejection, SourceVideo

ENTRY_VERSION = 2
"""Version of the fields of `FetchEntry`; videos with an entry of another version are fetched again."""

OUTCOME = "outcome.json"
"""Copy of the ledger entry inside the video's folder."""

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
_RETRIED: dict[Retry, tuple[FetchStatus, ...]] = {
    "": ("blocked",),
    "failed": ("blocked", "failed", "invalid"),
    "gone": ("blocked", "gone"),
    "all": ("blocked", "failed", "invalid", "gone"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchEntry:
    """The ledger's record of one video."""

    status: FetchStatus
    video: FetchedVideo | None
    rejection: Rejection | None
    url: str
    max_height: int
    """`FetchOptions.max_height` of the run that fetched it."""
    format_id: str = ""
    captions_found: CaptionsFound = "none"
    num_tries: int = 1
    warnings: tuple[str, ...] = ()


class FetchLedger:
    """The entries of one workspace.

    Args:
        options: `FetchOptions.retry` selects the failed videos that are fetched again; a video that was fetched with a
            smaller `FetchOptions.max_height` is fetched again too.
    """

    def __init__(self, workspace: Workspace, options: FetchOptions) -> None:
        self._workspace = workspace
        self._options = options
        self._items = workspace.ledger("fetch")

    def partial_folder(self, video_id: str) -> Path:
        """The folder of a video that is not complete yet."""
        return self._workspace.media / ".partial" / video_id

    def final_folder(self, video_id: str) -> Path:
        return self._workspace.media / video_id

    def finished_entry(self, video: SourceVideo) -> FetchEntry | None:
        """The entry of a video that needs no work in this run; None when it must be fetched."""
        entry = self.stored_entry(video)
        if entry is None or entry.status in _RETRIED[self._options.retry]:
            return None
        if is_http_url(video.url) and entry.max_height < self._options.max_height and entry.status == "ok":
            return None
        return entry

    def stored_entry(self, video: SourceVideo) -> FetchEntry | None:
        """The entry of a video from any run; None when it was never tried, or its media file is missing."""
        entry = self._read(video)
        return entry if entry is not None and self._has_media(entry) else None

    def write(self, video: SourceVideo, entry: FetchEntry) -> None:
        entry = _public(entry)
        self._items.write(video.video_id, video_fingerprint(video), to_plain(entry))

    def publish(self, video: SourceVideo, entry: FetchEntry, names: Sequence[str]) -> None:
        """Delete all files except `names` from the partial folder, rename it to the final folder, write the entry.

        The folder contains a copy of the entry, so a crash between the rename and the last write loses nothing.
        """
        entry = _public(entry)
        folder = self.partial_folder(video.video_id)
        write_json(folder / OUTCOME, {"fingerprint": video_fingerprint(video), "outcome": to_plain(entry)})
        for path in folder.iterdir():
            if path.name not in (*names, OUTCOME):
                path.unlink()
        self._move_to_final(video.video_id)
        self.write(video, entry)

    def _read(self, video: SourceVideo) -> FetchEntry | None:
        expected = video_fingerprint(video)
        outcome = self._items.read(video.video_id, expected)
        if entry := _entry_of(outcome):
            return entry
        final, partial = self.final_folder(video.video_id), self.partial_folder(video.video_id)
        for folder in (partial, final):
            if entry := _entry_of(_outcome_in(folder, expected)):
                if folder is partial:
                    self._move_to_final(video.video_id)
                self.write(video, entry)
                return entry
        return None

    def _has_media(self, entry: FetchEntry) -> bool:
        if entry.video is None:
            return True
        path = self._workspace.root / entry.video.path
        return path.is_file() and path.stat().st_size == entry.video.num_bytes

    def _move_to_final(self, video_id: str) -> None:
        final = self.final_folder(video_id)
        if final.exists():
            shutil.rmtree(final)
        self.partial_folder(video_id).rename(final)


def _public(entry: FetchEntry) -> FetchEntry:
    """`entry` without the secrets of its address, as it stands in the ledger and in lock files, which papers cite."""
    warnings = tuple(printable(without_secrets(warning)) for warning in entry.warnings)
    return dataclasses.replace(entry, url=without_secrets(entry.url), warnings=warnings)


def video_fingerprint(video: SourceVideo) -> str:
    """Fingerprint of the inputs of a video's files: the address, and the language, which selects the captions.

    For a local file also the sizes and modification times of the file and its sidecar files.
    """
    if is_http_url(video.url):
        return fingerprint(ENTRY_VERSION, address_key(video.url), video.language)
    source = Path(video.url)
    try:
        files = [source, *sidecar_files(source)] if source.is_file() else []
        stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    except OSError:  # as without the file; its error is that of its copy, when this row is fetched
        stats = []
    return fingerprint(ENTRY_VERSION, video.url, video.language, stats)


def address_key(url: str) -> str:
    """`url` without the port of a local server, which changes each time the server starts."""
    parts = split_address(url)
    if parts.hostname in LOCAL_HOSTS:
        return urllib.parse.urlunsplit(parts._replace(netloc="localhost"))
    return url


def host_of(url: str) -> str:
    """The host of a web address; empty for a path."""
    return (split_address(url).hostname or "") if is_http_url(url) else ""


def is_local_url(url: str) -> bool:
    """Whether `url` is served by this machine: its requests are not rate-limited."""
    return host_of(url) in LOCAL_HOSTS


def _entry_of(outcome: Mapping[str, Any] | None) -> FetchEntry | None:
    """The entry that a file stores; None without one, or if it is damaged: the video is then fetched again."""
    try:
        return None if outcome is None else from_plain(FetchEntry, outcome)
    except ValueError:
        return None


def _outcome_in(folder: Path, expected_fingerprint: str) -> dict[str, Any] | None:
    try:
        stored = read_json_object(folder / OUTCOME, any_numbers=True)
    except (FileNotFoundError, ValueError):
        return None
    outcome = stored.get("outcome") if stored.get("fingerprint") == expected_fingerprint else None
    return cast("dict[str, Any]", outcome) if isinstance(outcome, dict) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchNote:
    """A video that is not ok, or a warning about one; then the reason is ``warning``."""

    video_id: str
    status: FetchStatus
    reason: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchReport:
    """Summary of the ledger for users."""

    by_status: dict[FetchStatus, int]
    videos: list[FetchNote]
    next_commands: list[str]

    @property
    def lines(self) -> list[str]:
        """One line for each of `videos`: id, status, reason, detail."""
        return [f"{one.video_id}  {one.status}  {one.reason}: {one.detail}" for one in self.videos]


def fetch_entries(workspace: Workspace) -> dict[str, FetchEntry]:
    """Video id -> its entry in the ledger, for all statuses."""
    items = workspace.ledger("fetch")
    outcomes = {video_id: items.read(video_id) for video_id in items.item_ids()}
    entries = {video_id: _entry_of(outcome) for video_id, outcome in outcomes.items()}
    return {video_id: entry for video_id, entry in entries.items() if entry is not None}


def fetch_report(workspace: Workspace) -> FetchReport:
    """The report of `workspace`; empty when nothing was fetched."""
    run = read_run(workspace)
    entries = fetch_entries(workspace)
    counts: Counter[FetchStatus] = Counter(entry.status for entry in entries.values())
    untried = [video_id for video_id in run.get("untried", []) if video_id not in entries]
    if untried:
        counts["skipped"] = len(untried)
    notes: list[FetchNote] = []
    for video_id, entry in entries.items():
        found = [] if entry.rejection is None else [(str(entry.rejection.reason), entry.rejection.detail)]
        found += [("warning", warning) for warning in entry.warnings]
        notes += [
            FetchNote(video_id=video_id, status=entry.status, reason=reason, detail=detail) for reason, detail in found
        ]
    base = f"phonics-data fetch {run.get('manifest') or 'MANIFEST'} --work {workspace.root}"
    commands: list[str] = []
    if untried or counts["blocked"]:
        commands.append(base)
    if counts["failed"] or counts["invalid"]:
        commands.append(f"{base} --retry failed")
    if counts["gone"]:
        commands.append(f"{base} --retry gone")
    return FetchReport(by_status=dict(counts), videos=notes, next_commands=commands)


def write_run(workspace: Workspace, *, manifest: str, untried: Sequence[str], stopped: str) -> None:
    """Store the manifest of the last run, the videos that it did not try, and why it stopped."""
    path = workspace.root / "items" / "fetch-run.json"
    write_json(path, {"manifest": manifest, "untried": list(untried), "stopped": stopped})


def read_run(workspace: Workspace) -> dict[str, Any]:
    """The manifest of the last run and the videos that it did not try; empty without a readable record."""
    try:
        run = read_json_object(workspace.root / "items" / "fetch-run.json")
    except (FileNotFoundError, ValueError):
        return {}
    untried = run.get("untried")
    named = [one for one in cast("list[object]", untried) if isinstance(one, str)] if isinstance(untried, list) else []
    return {**run, "untried": named}
