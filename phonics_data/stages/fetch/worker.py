"""Fetch of one video: try, check the files, wait and try again, until the video has a status."""

from __future__ import annotations

import difflib
import errno
import os
import re
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from phonics_data.errors import FetchError, ItemError, WorkerDiedError
from phonics_data.executors.isolated import Limits, call_isolated
from phonics_data.executors.items import rejected
from phonics_data.stages.fetch.download_result import DownloadResult, inspect_download
from phonics_data.stages.fetch.failures import ADVICE, DownloadError, advice_for
from phonics_data.stages.fetch.ledger import FetchEntry, FetchLedger, host_of
from phonics_data.stages.fetch.local import copy_local_video
from phonics_data.stages.fetch.options import FetchOptions
from phonics_data.stages.fetch.partial_files import JOURNAL
from phonics_data.stages.fetch.progress import FetchProgress
from phonics_data.stages.fetch.rate_limiter import RateLimiter
from phonics_data.storage.manifest import is_http_url
from phonics_data.storage.object_table import objects_path
from phonics_data.storage.public_text import without_secrets
from phonics_data.storage.workspace import Workspace, file_sha256
from phonics_data.types import Captions, FetchedVideo, FetchStatus, SourceVideo

if TYPE_CHECKING:
    from phonics_data.stages.fetch.download import Downloader

MAX_DURATION_DEVIATION = 0.2
"""Relative difference from the manifest's duration that causes no warning: manifests have rounded durations."""
MIN_DURATION_TOLERANCE_SECONDS = 10.0
MIN_TITLE_SIMILARITY = 0.6
UNUSABLE_WORKSPACE = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS))
"""Errors of the disk of the workspace, which every other video would have too."""
MAX_CONSECUTIVE_FORBIDDEN = 3
"""After this many forbidden videos in a row, the server blocks the client and not the videos."""


class StopFetching(Exception):  # noqa: N818 - not an error of a video: it ends the queue
    """The server blocks the client or is down: no further video may be tried.

    Args:
        entry: of the video that caused it; None if the video counts as untried.
        why: one line: the cause and what to do.
    """

    def __init__(self, entry: FetchEntry | None, why: str) -> None:
        super().__init__(why)
        self.entry = entry
        self.why = why


class HostUnreachable(Exception):  # noqa: N818 - a state of the host, evaluated at the end of the run
    """No response from the video's host, which has not responded before in this run.

    Args:
        entry: is written to the ledger if another host has responded at the end of the run.
    """

    def __init__(self, entry: FetchEntry) -> None:
        super().__init__()
        self.entry = entry


class HostStatus:
    """The responses of all hosts to all workers. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_forbidden = 0
        self._responded: set[str] = set()

    def has_responded(self, host: str) -> bool:
        """Whether `host` (empty: any host) has responded in this run."""
        with self._lock:
            return host in self._responded if host else bool(self._responded)

    def record_response(self, host: str, *, is_forbidden: bool = False) -> bool:
        """Record a response; returns whether there were too many forbidden ones in a row."""
        with self._lock:
            self._responded.add(host)
            self._num_forbidden = self._num_forbidden + 1 if is_forbidden else 0
            return self._num_forbidden >= MAX_CONSECUTIVE_FORBIDDEN


class FetchWorker:
    """Fetches single videos. Stateless: all threads share one instance."""

    def __init__(
        self,
        workspace: Workspace,
        options: FetchOptions,
        ledger: FetchLedger,
        *,
        rate_limiter: RateLimiter,
        host_status: HostStatus,
        progress: FetchProgress,
    ) -> None:
        self._workspace = workspace
        self._options = options
        self._ledger = ledger
        self._rate_limiter = rate_limiter
        self._host_status = host_status
        self._progress = progress

    def fetch(self, video: SourceVideo, downloader: Downloader | None) -> FetchEntry:
        """The entry of `video`, already written to the ledger, unless its check died: then the next run tries it again.

        Raises:
            StopFetching: after a bot check, repeated 429, repeated 403, or when a host no longer responds.
            HostUnreachable: the host has never responded; nothing was written.
            FetchCancelledError: nothing was written; the next run continues the partial download.
        """
        folder = self._ledger.partial_folder(video.video_id)
        waited_seconds, num_tries, was_discarded = 0.0, 0, False
        num_kept_bytes = _num_bytes(folder)
        while True:
            num_tries += 1
            try:
                return self._checked_try(video, folder, downloader, num_tries)
            except DownloadError as error:
                pause = self._retry_pause(video, error, num_tries, waited_seconds)
                num_kept_before, num_kept_bytes = num_kept_bytes, _num_bytes(folder)
                has_stalled = 0 < num_kept_before == num_kept_bytes and _has_stalled(error)
                if pause is None and has_stalled and not was_discarded:
                    # The kept part is the cause: the server sends nothing after it. It is thrown away once.
                    shutil.rmtree(folder, ignore_errors=True)
                    was_discarded, num_tries, pause = True, num_tries - 1, 0.0
                if pause is None:
                    return self._record_failure(video, error, num_tries)
            except WorkerDiedError as error:
                # The system can have ended the process: the file is kept, and no entry makes the video a finished one.
                return self._failed_entry(video, error, num_tries)
            except ItemError as error:
                # An invalid file must not be continued. An invalid download is discarded and repeated once.
                shutil.rmtree(folder, ignore_errors=True)
                self._host_status.record_response(host_of(video.url))
                if was_discarded or not is_http_url(video.url):
                    return self._record_failure(video, error, num_tries)
                was_discarded, pause = True, 0.0
            if pause:
                self._progress.waiting(video.video_id, pause, "before the next try")
            waited_seconds += pause
            self._rate_limiter.wait(pause)

    def _checked_try(
        self, video: SourceVideo, folder: Path, downloader: Downloader | None, num_tries: int
    ) -> FetchEntry:
        """As `_try_fetch`; what its page, its info.json or its file causes becomes an error of this video alone."""
        try:
            return self._try_fetch(video, folder, downloader, num_tries)
        except OSError as error:
            if error.errno in UNUSABLE_WORKSPACE:
                raise
            where = error.filename or video.url
            raise FetchError(
                "fetch_failed", f"{where}: {error.strerror or error}; check the file and its disk, or remove the row"
            ) from error
        except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError) as error:
            raise FetchError(
                "fetch_failed",
                f"{video.url}: its page or info.json has an unusable value ({type(error).__name__}: {error})",
            ) from error

    def _retry_pause(
        self, video: SourceVideo, error: DownloadError, num_tries: int, waited_seconds: float
    ) -> float | None:
        """Seconds until the next try; None to give up."""
        back_off = self._options.back_off
        if error.cause in ("gone", "bot_check", "permanent"):
            return None
        pause = back_off.seconds(num_tries, self._rate_limiter.sample_jitter())
        if error.cause == "unreachable":
            # A host that has responded may return after an outage; one that has never responded is tried twice.
            if self._host_status.has_responded(host_of(video.url)):
                return pause if waited_seconds + pause <= back_off.outage_seconds else None
            return pause if num_tries < 2 else None
        if num_tries >= (2 if error.cause == "forbidden" else back_off.num_tries):
            return None
        if error.retry_after_seconds is not None:
            if error.retry_after_seconds > back_off.max_retry_after_seconds:
                return None
            pause = max(pause, error.retry_after_seconds)
        if error.cause == "rate_limited":
            self._rate_limiter.delay_starts(pause)
        return pause

    def _record_failure(self, video: SourceVideo, error: ItemError, num_tries: int) -> FetchEntry:
        entry = self._failed_entry(video, error, num_tries)
        if isinstance(error, DownloadError):
            self._raise_if_host_failed(video, error, entry)
        self._ledger.write(video, entry)
        if entry.status == "gone":
            shutil.rmtree(self._ledger.partial_folder(video.video_id), ignore_errors=True)
        return entry

    def _failed_entry(self, video: SourceVideo, error: ItemError, num_tries: int) -> FetchEntry:
        status: FetchStatus = "invalid"
        if isinstance(error, DownloadError):
            status = {"gone": "gone", "blocked": "blocked"}.get(error.reason, "failed")  # type: ignore[assignment]
            detail = f"{error.detail.rstrip('.')}; {advice_for(error.cause, error.detail)}"
            error = DownloadError(error.cause, detail, retry_after_seconds=error.retry_after_seconds)
        return FetchEntry(
            status=status,
            video=None,
            rejection=rejected("fetch", video.video_id, error).rejections[0],
            url=video.url,
            max_height=self._options.max_height,
            num_tries=num_tries,
        )

    def _raise_if_host_failed(self, video: SourceVideo, error: DownloadError, entry: FetchEntry) -> None:
        """Raise `StopFetching` or `HostUnreachable` if the host or the network failed and not only this video."""
        host = host_of(video.url)
        if error.cause == "unreachable":
            if self._host_status.has_responded(host):
                raise StopFetching(None, f"{host} does not respond any more; {ADVICE['unreachable']}")
            raise HostUnreachable(entry)
        too_many_forbidden = self._host_status.record_response(host, is_forbidden=error.cause == "forbidden")
        why = {
            "bot_check": "the server requires a bot check",
            "rate_limited": "the server answers 429, too many requests",
            "forbidden": f"{MAX_CONSECUTIVE_FORBIDDEN} videos in a row were forbidden" if too_many_forbidden else "",
        }.get(error.cause)
        if why:
            self._ledger.write(video, entry)
            raise StopFetching(entry, f"{why}; {ADVICE[error.cause]}")

    def _try_fetch(self, video: SourceVideo, folder: Path, downloader: Downloader | None, num_tries: int) -> FetchEntry:
        if is_http_url(video.url):
            assert downloader is not None
            folder.mkdir(parents=True, exist_ok=True)
            result = downloader.download(video, folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            result = copy_local_video(video, folder)
        try:
            entry, names = self._checked_entry(video, result, num_tries)
        except ItemError as error:
            # The message names the user's file or address, since the copy in the workspace is deleted.
            named = without_secrets(video.url) if is_http_url(video.url) else video.url
            detail = error.detail.replace(str(result.media), named).replace(result.media.name, Path(named).name)
            raise type(error)(error.reason, detail, measured=error.measured, threshold=error.threshold) from error
        self._ledger.publish(video, entry, names)
        self._host_status.record_response(host_of(video.url))
        return entry

    def _checked_entry(
        self, video: SourceVideo, result: DownloadResult, num_tries: int
    ) -> tuple[FetchEntry, list[str]]:
        """The entry of a video and the names of its files; raises `ItemError` if the video is invalid."""
        # A foreign file can need any time and memory, or crash a decoder.
        info = call_isolated(inspect_download, result, _INSPECTION)
        media, captions = result.media, result.captions
        final = self._ledger.final_folder(video.video_id)
        if is_http_url(video.url):
            # The download must be on disk before the ledger calls it complete.
            with media.open("rb+") as file:
                os.fsync(file.fileno())
        fetched = FetchedVideo(
            video_id=video.video_id,
            path=self._workspace.relative(final / media.name),
            sha256=file_sha256(media),
            num_bytes=media.stat().st_size,
            duration_seconds=info.duration_seconds,
            frame_rate=info.frame_rate,
            width=info.width,
            height=info.height,
            audio_rate_hz=info.audio_rate_hz,
            captions=captions
            and Captions(
                track=captions.track, kind=captions.kind, path=self._workspace.relative(final / captions.path.name)
            ),
            fetched_at=datetime.now(UTC).isoformat(timespec="seconds"),
            fetcher_version=result.fetcher_version,
            language=video.language,
            page_language=result.language,
            kind=video.kind,
            letters=video.letters,
        )
        entry = FetchEntry(
            status="ok",
            video=fetched,
            rejection=None,
            url=video.url,
            max_height=self._options.max_height,
            format_id=result.format_id,
            captions_found=result.captions_found,
            num_tries=num_tries,
            warnings=(
                *result.warnings,
                *filter(None, [info.audio_choice]),
                *_identity_warnings(video, result.title, info.duration_seconds),
            ),
        )
        names = [media.name, f"{video.video_id}.info.json", *([captions.path.name] if captions else [])]
        if (objects := objects_path(media)).is_file():
            names.append(objects.name)
        return entry, names


_INSPECTION = Limits(seconds=300)
"""A file that needs more to read its header and its last seconds is no song."""


_STALLED = re.compile(
    r"without a new byte|did not get any data|HTTP Error 416|requested range|conflicting range|bytes? (read|missing|expected)|"
    r"incomplete ?read|file is empty",
    re.IGNORECASE,
)


def _has_stalled(error: DownloadError) -> bool:
    """Whether the server answered, but sent none of the bytes that are missing."""
    return error.cause in ("transient", "permanent") and bool(_STALLED.search(error.detail))


def _num_bytes(folder: Path) -> int:
    """Size of the kept parts of a download."""
    if not folder.is_dir():
        return 0
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file() and path.name != JOURNAL)


def _identity_warnings(video: SourceVideo, title: str, duration_seconds: float) -> list[str]:
    """Warnings if title or duration differ from the manifest's: ids can be reused, and manifests can be wrong."""
    differences: list[str] = []
    if not _are_similar(_normalized(video.title), _normalized(title)):
        differences.append(f"its page calls it {title!r}, the manifest {video.title!r}")
    if (expected := video.duration_seconds) is not None:
        tolerance = max(MIN_DURATION_TOLERANCE_SECONDS, MAX_DURATION_DEVIATION * expected)
        if abs(duration_seconds - expected) > tolerance:
            differences.append(f"its duration is {duration_seconds:.0f} s, the manifest gives {expected:.0f} s")
    return [f"{difference}; check that it is the right video" for difference in differences]


_STOP_WORDS = frozenset("a an and at for from in it kid kids of on or the to video videos with youtube".split())


def _are_similar(title: str, other: str) -> bool:
    """Whether two normalized titles share a word or are spelled alike; an empty title is similar to all."""
    if not title or not other or set(title.split()) & set(other.split()) - _STOP_WORDS:
        return True
    return difflib.SequenceMatcher(None, title, other, autojunk=False).ratio() >= MIN_TITLE_SIMILARITY


def _normalized(title: str) -> str:
    return re.sub(r"[\W_]+", " ", title.lower()).strip()
