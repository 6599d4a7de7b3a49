"""Candidate videos of a manifest: accepted, rejected with a reason, or given another kind, letters and language.

Two files are written after each decision: the decisions (``OUT.decisions.csv``), and the manifest of the accepted rows (``OUT``).
"""

from __future__ import annotations

import hashlib
import io
import ipaddress
import queue
import re
import socket
import threading
import urllib.parse
import urllib.request
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from phonics_data.contract.csv_table import read_csv
from phonics_data.contract.image_file import opened_image
from phonics_data.contract.untrusted import split_address, web_address_fault
from phonics_data.errors import InputError, ItemError, OptionError, WorkspaceLockedError
from phonics_data.executors.isolated import Limits, call_isolated
from phonics_data.media.preview import frame_jpeg
from phonics_data.media.probe import probe
from phonics_data.review.state import StateError
from phonics_data.review.store import ConflictError
from phonics_data.stages.fetch.download import page_infos
from phonics_data.stages.fetch.download_result import plausible_seconds
from phonics_data.stages.fetch.failures import DownloadError
from phonics_data.stages.fetch.options import FetchOptions
from phonics_data.storage.manifest import COLUMNS, is_http_url, manifest_faults, read_manifest, write_csv
from phonics_data.storage.reviews import reviewer_fault
from phonics_data.types import SourceVideo

DECISION_COLUMNS = ("video_id", "decision", "reason", "kind", "letters", "language", "reviewer", "reviewed_at")
MAX_REASON, MAX_THUMBNAIL_BYTES, MAX_PIXELS = 200, 3_000_000, 20_000_000
FILE_LIMITS = Limits(seconds=60)
"""Of the header of a local file and one frame of it."""
# A first character such as "=" would make a spreadsheet program run the cell as a formula.
_REASON = re.compile(rf"(?:[^\W_][^\x00-\x1f\x7f]{{0,{MAX_REASON - 1}}})?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A row of the manifest with its decision: ``accept``, ``reject`` or empty. `video` has the kind, letters and language of the decision."""

    video: SourceVideo
    decision: str = ""
    reason: str = ""
    reviewer: str = ""
    reviewed_at: str = ""

    @property
    def revision(self) -> str:
        """Changes with each change of the decision."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


class CandidateStore:
    """Thread-safe.

    Args:
        manifest: path or http URL; it is not changed.
        out: CSV manifest to write.

    Raises:
        ManifestError: the manifest is not valid. InputError: the decisions of an earlier review are not valid.
        OptionError: `out` is the manifest itself, or not a CSV.
    """

    def __init__(self, manifest: str, out: Path) -> None:
        if out.suffix.lower() != ".csv" or (not is_http_url(manifest) and out.absolute() == Path(manifest).absolute()):
            raise OptionError("--out", str(out), "a .csv file other than the manifest")
        self.out, self.decisions_path = out, out.with_name(f"{out.stem}.decisions.csv")
        self._lock = threading.RLock()
        self._candidates = {video.video_id: Candidate(video=video) for video in read_manifest(manifest)}
        if self.decisions_path.exists():
            self._read_decisions()

    @contextmanager
    def locked(self) -> Generator[None]:
        """Hold the lock of the decisions, which a second process would overwrite.

        Raises:
            WorkspaceLockedError: another review writes them.
        """
        import filelock

        lock = filelock.FileLock(self.decisions_path.with_name(f".{self.decisions_path.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise WorkspaceLockedError(
                f"--out {self.out}: another `phonics-data review` is writing it; open its page, end it first, or give another --out"
            ) from None
        try:
            if self.decisions_path.exists():
                self._read_decisions()  # again: another process may have written until now
                self._write_manifest()  # a process that ended between both files has written only the decisions
            yield
        finally:
            lock.release()

    def _read_decisions(self) -> None:
        for row in read_csv("--out", self.decisions_path, DECISION_COLUMNS, optional=(), may_be_empty=True):
            cells = row.cells
            where = f"{self.decisions_path}: line {row.line}"
            if cells["video_id"] not in self._candidates:
                raise InputError(f"{where}: {cells['video_id'][:64]!r} is not in the manifest; give another --out")
            try:
                found = self._decided(cells["video_id"], cells, cells["reviewer"], cells["reviewed_at"])
            except StateError as error:
                raise InputError(f"{where}: {error}") from error
            self._candidates[cells["video_id"]] = found

    def candidates(self) -> list[Candidate]:
        """All rows, in the order of the manifest."""
        with self._lock:
            return list(self._candidates.values())

    def candidate(self, video_id: str) -> Candidate | None:
        with self._lock:
            return self._candidates.get(video_id)

    def decide(self, video_id: str, revision: str, values: dict[str, Any], reviewer: str) -> Candidate:
        """Store a decision; when this returns, it is on the disk.

        Args:
            values: ``decision``, ``reason``, ``kind``, ``letters``, ``language``.

        Raises:
            StateError: a value is not allowed. ConflictError: somebody else decided. OSError: the disk cannot be written.
        """
        with self._lock:
            before = self._candidates[video_id]
            if before.revision != revision:
                raise ConflictError(f"{video_id}: decided meanwhile by another page or person")
            at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            self._candidates[video_id] = found = self._decided(video_id, values, reviewer, at)
            try:
                self._write()
            except OSError:
                self._candidates[video_id] = before
                raise
            return found

    def _decided(self, video_id: str, values: dict[str, Any], reviewer: str, at: str) -> Candidate:
        before = self._candidates[video_id]
        texts = {name: values.get(name) for name in ("decision", "reason", "kind", "letters", "language")}
        if any(not isinstance(text, str) for text in texts.values()):
            raise StateError(f"allowed: {', '.join(texts)} as text")
        plain = cast("dict[str, str]", texts)
        if plain["decision"] not in ("", "accept", "reject"):
            raise StateError(f"decision: got {plain['decision'][:40]!r}, allowed: accept, reject or empty")
        if not _REASON.fullmatch(plain["reason"]):
            raise StateError(f"reason: allowed: up to {MAX_REASON} characters, the first a letter or digit")
        if plain["decision"] == "reject" and not plain["reason"]:
            raise StateError("reason: empty, allowed: why the video is rejected")
        if fault := reviewer_fault(reviewer):
            raise StateError(f"reviewer: {fault}")
        changed = {name: plain[name] for name in ("kind", "letters", "language")}
        row = {name: getattr(before.video, name) for name in COLUMNS} | changed
        if faults := manifest_faults([row], COLUMNS):
            raise StateError("; ".join(fault.partition(", column ")[2] or fault for fault in faults))
        video = replace(before.video, **cast("dict[str, Any]", {name: text for name, text in changed.items() if text}))
        return Candidate(
            video=video, decision=plain["decision"], reason=plain["reason"], reviewer=reviewer, reviewed_at=at
        )

    def _write(self) -> None:
        decided = [one for one in self._candidates.values() if one.reviewed_at]
        rows = [
            {
                "video_id": one.video.video_id,
                **{name: getattr(one.video, name) for name in ("kind", "letters", "language")},
            }
            | {name: getattr(one, name) for name in ("decision", "reason", "reviewer", "reviewed_at")}
            for one in decided
        ]
        write_csv(self.decisions_path, DECISION_COLUMNS, rows)
        self._write_manifest()

    def _write_manifest(self) -> None:
        decided = [one for one in self._candidates.values() if one.reviewed_at]
        chosen = [asdict(one.video) for one in decided if one.decision == "accept"]
        write_csv(
            self.out, COLUMNS, [{name: "" if value is None else value for name, value in row.items()} for row in chosen]
        )


@dataclass(kw_only=True, slots=True)
class Details:
    """What the page of a video says: ``waiting``, ``ready`` or ``failed`` with a text."""

    state: str = "waiting"
    text: str = ""
    title: str = ""
    channel: str = ""
    seconds: float | None = None
    thumbnail: bytes = field(default=b"", repr=False)


class DetailFetcher:
    """Fetches titles, lengths and thumbnails of candidates, one after the other with the pauses of `fetch`; no media."""

    def __init__(self, options: FetchOptions) -> None:
        self._options = options
        self._queue: queue.Queue[SourceVideo] = queue.Queue()
        self._found: dict[str, Details] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def get(self, video: SourceVideo) -> Details:
        """The details of a video, which are requested the first time."""
        with self._lock:
            if video.video_id not in self._found:
                self._found[video.video_id] = Details()
                if is_http_url(video.url):
                    self._queue.put(video)
                    if self._thread is None:
                        self._thread = threading.Thread(target=self._run, daemon=True)
                        self._thread.start()
                else:
                    self._found[video.video_id] = _of_file(video)
            return self._found[video.video_id]

    def _run(self) -> None:
        asked: list[SourceVideo] = []

        def urls() -> Iterator[str]:
            while True:
                asked.append(self._queue.get())
                yield asked[-1].url

        for url, info in page_infos(urls(), self._options):
            details = (
                Details(state="failed", text=str(info)) if isinstance(info, DownloadError) else _of_page(url, info)
            )
            with self._lock:
                self._found[asked[-1].video_id] = details


def _of_file(video: SourceVideo) -> Details:
    try:
        seconds, thumbnail = call_isolated(_length_and_thumbnail, Path(video.url), FILE_LIMITS)
    except ItemError as error:
        return Details(state="failed", text=str(error))
    return Details(state="ready", seconds=seconds, thumbnail=thumbnail)


def _length_and_thumbnail(path: Path) -> tuple[float, bytes]:
    seconds = probe(path).duration_seconds
    return seconds, frame_jpeg(path, seconds / 3)


def _of_page(page: str, info: dict[str, Any]) -> Details:
    seconds = info.get("duration")
    details = Details(
        state="ready",
        title=_plain(info.get("title")),
        channel=_plain(info.get("channel") or info.get("uploader")),
        seconds=plausible_seconds(seconds),
    )
    thumbnail = info.get("thumbnail")
    if isinstance(thumbnail, str) and may_fetch(thumbnail, page):
        try:
            details.thumbnail = _thumbnail(thumbnail)
        except (OSError, ValueError) as error:
            details.text = f"no thumbnail: {error}"
    return details


def _plain(text: object) -> str:
    return "".join(char for char in str(text or "") if char.isprintable())[:200]


def may_fetch(url: str, page: str) -> bool:
    """Whether a thumbnail may be requested: from the host of its page, or from a public address.

    A page could otherwise make this machine send requests into its own network.
    """
    if not is_http_url(url) or web_address_fault(url):
        return False
    parts = urllib.parse.urlsplit(url)
    if parts.netloc == split_address(page).netloc:
        return True
    try:
        found = socket.getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(ipaddress.ip_address(str(one[4][0]).partition("%")[0]).is_global for one in found)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _thumbnail(url: str) -> bytes:
    """The image at an address as a small JPEG. Raises `OSError` or `ValueError`."""
    with urllib.request.build_opener(_NoRedirect).open(url, timeout=15) as answer:
        data = answer.read(MAX_THUMBNAIL_BYTES + 1)
    if len(data) > MAX_THUMBNAIL_BYTES:
        raise ValueError(f"over {MAX_THUMBNAIL_BYTES} bytes")
    with opened_image(data, formats=("JPEG", "PNG", "WEBP"), max_pixels=MAX_PIXELS) as image:
        small = image.convert("RGB")
    small.thumbnail((320, 320))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=80)
    return file.getvalue()


def progress_of(candidates: Sequence[Candidate]) -> dict[str, int]:
    """Numbers of candidates: all, accepted, rejected, left."""
    accepted = sum(one.decision == "accept" for one in candidates)
    rejected = sum(one.decision == "reject" for one in candidates)
    return {
        "all": len(candidates),
        "accepted": accepted,
        "rejected": rejected,
        "left": len(candidates) - accepted - rejected,
    }
