"""One video: try, look at what came, wait and try again, until it has its status."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from phonics_data.errors import ItemError
from phonics_data.executors.items import rejected
from phonics_data.stages.fetch.download_result import DownloadResult, inspect_download
from phonics_data.stages.fetch.failures import ADVICE, DownloadError, advice_for
from phonics_data.stages.fetch.ledger import Entry, FetchLedger, host_of
from phonics_data.stages.fetch.local import take_local
from phonics_data.stages.fetch.options import FetchOptions
from phonics_data.stages.fetch.progress import FetchProgress
from phonics_data.stages.fetch.rate_limiter import RateLimiter
from phonics_data.storage.manifest import is_web
from phonics_data.storage.workspace import Workspace, file_sha256
from phonics_data.types import Captions, FetchedVideo, FetchStatus, SourceVideo

if TYPE_CHECKING:
    from phonics_data.stages.fetch.download import Downloader

MAX_LENGTH_ERROR = 0.2
"""Share of the manifest's length by which a video may differ from it without a warning: lists give round numbers."""
MIN_LENGTH_SLACK_SECONDS = 10.0
MIN_TITLE_LIKENESS = 0.6
MAX_FORBIDDEN_IN_A_ROW = 3
"""After so many videos in a row that a server forbids it is we who are not welcome, not the videos."""


class QueueStop(Exception):  # noqa: N818 - no error of an item: it ends the queue
    """The server does not want us now: no further video may be tried.

    Args:
        entry: of the video that met it; None leaves the video untried.
        why: one line: what was met and what to do.
    """

    def __init__(self, entry: Entry | None, why: str) -> None:
        super().__init__(why)
        self.entry = entry
        self.why = why


class Unanswered(Exception):  # noqa: N818 - a state of the host, which the run judges in the end
    """No answer from the video's host, which has not answered before in this run either.

    Args:
        entry: for the ledger, if other hosts answer and it is this one that is missing.
    """

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self.entry = entry


class HostStatus:
    """How we stand with the servers, over all workers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_forbidden = 0
        self._reached: set[str] = set()

    def has_reached(self, host: str) -> bool:
        """Whether `host` (empty: any) has answered in this run."""
        with self._lock:
            return host in self._reached if host else bool(self._reached)

    def answered(self, host: str, *, forbidden: bool = False) -> bool:
        """Note an answer; whether it was one no too many in a row."""
        with self._lock:
            self._reached.add(host)
            self._num_forbidden = self._num_forbidden + 1 if forbidden else 0
            return self._num_forbidden >= MAX_FORBIDDEN_IN_A_ROW


class FetchWorker:
    """The tries of one worker; used for one video after the other."""

    def __init__(
        self,
        workspace: Workspace,
        options: FetchOptions,
        ledger: FetchLedger,
        *,
        rate_limiter: RateLimiter,
        host_status: HostStatus,
        watch: FetchProgress,
    ) -> None:
        self._workspace = workspace
        self._options = options
        self._ledger = ledger
        self._rate_limiter = rate_limiter
        self._host_status = host_status
        self._progress = watch

    def fetch(self, video: SourceVideo, downloader: Downloader | None) -> Entry:
        """The entry of `video`, which stands in the ledger when this returns or raises `QueueStop`.

        Raises:
            QueueStop: after a bot check, repeated 429, repeated 403, or when a host answers no more.
            Unanswered: the host never answered; nothing was written.
            RunEndingError: nothing was written; what lies half downloaded is continued by the next run.
        """
        folder = self._ledger.partial(video.video_id)
        waited_seconds, num_tries, was_thrown_away = 0.0, 0, False
        while True:
            num_tries += 1
            try:
                return self._bring(video, folder, downloader, num_tries)
            except DownloadError as error:
                pause = self._pause_after(video, error, num_tries, waited_seconds)
                if pause is None:
                    return self._give_up(video, error, num_tries)
            except ItemError as error:
                # What is broken must not be continued; a download is thrown away once and fetched anew.
                shutil.rmtree(folder, ignore_errors=True)
                self._host_status.answered(host_of(video.url))
                if was_thrown_away or not is_web(video.url):
                    return self._give_up(video, error, num_tries)
                was_thrown_away, pause = True, 0.0
            if pause:
                self._progress.waits(video.video_id, pause, "before the next try")
            waited_seconds += pause
            self._rate_limiter.wait(pause)

    def _pause_after(
        self, video: SourceVideo, error: DownloadError, num_tries: int, waited_seconds: float
    ) -> float | None:
        """Seconds until the next try; None when there is none."""
        back_off = self._options.back_off
        if error.cause in ("gone", "bot_check", "lasting"):
            return None
        pause = back_off.seconds(num_tries, self._rate_limiter.draw())
        if error.cause == "unreachable":
            # A line that is down in the middle of the night may come back; one that never was there will not.
            if self._host_status.has_reached(host_of(video.url)):
                return pause if waited_seconds + pause <= back_off.outage_seconds else None
            return pause if num_tries < 2 else None
        if num_tries >= (2 if error.cause == "forbidden" else back_off.num_tries):
            return None
        if error.retry_after_seconds is not None:
            if error.retry_after_seconds > back_off.max_retry_after_seconds:
                return None
            pause = max(pause, error.retry_after_seconds)
        if error.cause == "rate_limited":
            self._rate_limiter.hold(pause)
        return pause

    def _give_up(self, video: SourceVideo, error: ItemError, num_tries: int) -> Entry:
        status: FetchStatus = "invalid"
        if isinstance(error, DownloadError):
            status = {"gone": "gone", "blocked": "blocked"}.get(error.reason, "failed")  # type: ignore[assignment]
            error = _with_advice(error)
        entry = Entry(
            status=status,
            video=None,
            rejection=rejected("fetch", video.video_id, error).rejections[0],
            url=video.url,
            max_height=self._options.max_height,
            num_tries=num_tries,
        )
        if isinstance(error, DownloadError):
            self._judge(video, error, entry)
        self._ledger.write(video, entry)
        if status == "gone":
            shutil.rmtree(self._ledger.partial(video.video_id), ignore_errors=True)
        return entry

    def _judge(self, video: SourceVideo, error: DownloadError, entry: Entry) -> None:
        """Raises `QueueStop` or `Unanswered` when this failure speaks of us or of the line, and not of the video."""
        host = host_of(video.url)
        if error.cause == "unreachable":
            if self._host_status.has_reached(host):
                raise QueueStop(None, f"{host} does not answer any more; {ADVICE['unreachable']}")
            raise Unanswered(entry)
        too_often = self._host_status.answered(host, forbidden=error.cause == "forbidden")
        met = {
            "bot_check": "the server asks whether this is a bot",
            "rate_limited": "the server answers 429, too many requests",
            "forbidden": f"{MAX_FORBIDDEN_IN_A_ROW} videos in a row were forbidden" if too_often else "",
        }.get(error.cause)
        if met:
            self._ledger.write(video, entry)
            raise QueueStop(entry, f"{met}; {ADVICE[error.cause]}")

    def _bring(self, video: SourceVideo, folder: Path, downloader: Downloader | None, num_tries: int) -> Entry:
        if is_web(video.url):
            assert downloader is not None
            folder.mkdir(parents=True, exist_ok=True)
            result = downloader.download(video, folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            result = take_local(video, folder)
        try:
            entry, names = self._accept(video, result, num_tries)
        except ItemError as error:
            if is_web(video.url):
                raise
            # As the manifest names it: the copy in the workspace is gone when the message is read.
            detail = error.detail.replace(str(result.media), video.url)
            raise type(error)(error.reason, detail, measured=error.measured, threshold=error.threshold) from error
        self._ledger.publish(video, entry, names)
        self._host_status.answered(host_of(video.url))
        return entry

    def _accept(self, video: SourceVideo, result: DownloadResult, num_tries: int) -> tuple[Entry, list[str]]:
        """The entry of a video that passed inspection, and the names of its files; raises `ItemError`."""
        info = inspect_download(result)
        media, captions = result.media, result.captions
        final = self._ledger.final(video.video_id)
        if is_web(video.url):
            _flush(media)
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
        )
        entry = Entry(
            status="ok",
            video=fetched,
            rejection=None,
            url=video.url,
            max_height=self._options.max_height,
            format_id=result.format_id,
            captions_found=result.captions_found,
            num_tries=num_tries,
            warnings=(*result.warnings, *_doubts(video, result.title, info.duration_seconds)),
        )
        names = [media.name, f"{video.video_id}.info.json", *([captions.path.name] if captions else [])]
        return entry, names


def _with_advice(error: DownloadError) -> DownloadError:
    detail = f"{error.detail.rstrip('.')}; {advice_for(error.cause, error.detail)}"
    return DownloadError(error.cause, detail, retry_after_seconds=error.retry_after_seconds)


def _doubts(video: SourceVideo, title: str, duration_seconds: float) -> list[str]:
    """A title or a length far from the row's: an id can be given to another video, and lists can be wrong."""
    doubts: list[str] = []
    if not _is_like(_plain(video.title), _plain(title)):
        doubts.append(f"its page calls it {title!r}, the manifest {video.title!r}")
    if (said := video.duration_seconds) is not None:
        slack = max(MIN_LENGTH_SLACK_SECONDS, MAX_LENGTH_ERROR * said)
        if abs(duration_seconds - said) > slack:
            doubts.append(f"it lasts {duration_seconds:.0f} s, the manifest says {said:.0f} s")
    return [f"{doubt}; check that it is the video you mean" for doubt in doubts]


def _is_like(ours: str, theirs: str) -> bool:
    if not ours or not theirs or set(ours.split()) & set(theirs.split()) - _COMMON:
        return True
    return difflib.SequenceMatcher(None, ours, theirs, autojunk=False).ratio() >= MIN_TITLE_LIKENESS


_COMMON = frozenset("a an and at for from in it kid kids of on or the to video videos with youtube".split())


def _plain(title: str) -> str:
    return re.sub(r"[\W_]+", " ", title.lower()).strip()


def _flush(path: Path) -> None:
    """On the disk before it is called whole."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
