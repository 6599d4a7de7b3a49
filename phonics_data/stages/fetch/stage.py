"""The stage `fetch`: SourceVideo -> FetchedVideo. Downloads and checks every video of a manifest.

- Files are written to WORK/media/.partial/<video_id>/ and checked there; one rename then moves the complete folder to
  WORK/media/<video_id>/.
- Videos are fetched one at a time, or by a few workers with one shared rate limit.
- The queue stops when the server blocks the client.
"""

from __future__ import annotations

import dataclasses
import itertools
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from phonics_data.errors import InputError, PhonicsDataError
from phonics_data.executors.items import OnProgress, count_of_part, write_rejections
from phonics_data.stages.fetch.failures import ADVICE
from phonics_data.stages.fetch.ledger import FetchEntry, FetchLedger, host_of, is_local_url, write_run
from phonics_data.stages.fetch.options import BackOff, FetchOptions
from phonics_data.stages.fetch.progress import FetchProgress
from phonics_data.stages.fetch.rate_limiter import FetchCancelledError, RateLimiter
from phonics_data.stages.fetch.redaction import Redactor, proxy_secrets
from phonics_data.stages.fetch.run_log import RunLog
from phonics_data.stages.fetch.worker import FetchWorker, HostStatus, HostUnreachable, StopFetching
from phonics_data.storage.manifest import is_http_url, select_videos
from phonics_data.storage.parts import Part
from phonics_data.storage.tables import write_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, SourceVideo, StageCount

if TYPE_CHECKING:
    from phonics_data.stages.fetch.download import Downloader

__all__ = ["BackOff", "FetchOptions", "FetchStoppedError", "fetch"]

MAX_JOIN_SECONDS = 1.0
"""How long the end of a run waits for its threads; a thread that still waits for the network is abandoned."""


class FetchStoppedError(PhonicsDataError):
    """The server blocks the client or no host responds, and some videos were never tried. Fetched videos are kept."""


def fetch(
    workspace: Workspace,
    videos: Sequence[SourceVideo],
    options: FetchOptions,
    *,
    manifest: str = "",
    on_progress: OnProgress | None = None,
    progress: FetchProgress | None = None,
    part: Part | None = None,
) -> StageCount:
    """Fetch every chosen video that is not finished; write videos.parquet and the rejections of this stage.

    - A video is finished when the ledger has an ok entry for its address and its file still has its size.
    - A video that cannot be fetched becomes a rejection, and the run continues.
    - The tables contain all rows of `videos` that were ever fetched into this workspace, including those that
      `options` exclude in this run.

    Args:
        manifest: the source of `videos`, for the commands that `fetch_report` proposes.
        on_progress: called with ("fetch", done, total) after each video.
        progress: receives every event of every video.
        part: fetch only the videos of this part, and write no table; a call without it then does so.

    Raises:
        FetchStoppedError: a bot check, repeated 429 or 403, or no connection, and some videos were never tried; raised
            after the tables are written. If all videos were tried, blocked ones are rejections.
        OptionError: an id of ``--only`` is not in `videos`.
        InputError: the cookies cannot be read.
    """
    started = time.monotonic()
    if options.cookies is not None and not options.cookies.is_file():
        raise InputError(f"--cookies {options.cookies}: no such file; export it from a browser in Netscape format")
    chosen = select_videos(videos, only=options.only, letters=options.letters, max_tier=options.max_tier)
    if part is not None:
        chosen = [video for video in chosen if part.has(video.video_id)]
    ledger = FetchLedger(workspace, options)
    entries = {video.video_id: entry for video in chosen if (entry := ledger.finished_entry(video)) is not None}
    num_skipped = len(entries)
    todo = [video for video in chosen if video.video_id not in entries]
    # Videos that failed before come last: a few blocked ones could stop every run before it reaches a new video.
    todo.sort(key=lambda video: ledger.stored_entry(video) is not None)
    log = "fetch" if part is None else f"fetch-{part.index}-of-{part.total}"
    run = _FetchRun(workspace, options, ledger, todo, progress or FetchProgress(), log=log)
    if on_progress:
        on_progress("fetch", num_skipped, len(chosen))
    run.progress.run_started(len(chosen), num_skipped)
    try:
        for video_id, entry in run.entries():
            entries[video_id] = entry
            if on_progress:
                on_progress("fetch", len(entries), len(chosen))
        entries |= run.resolve_unreachable()
    finally:
        run.end()
        remaining = (video for video in chosen if video.video_id not in entries)
        entries |= {video.video_id: entry for video in remaining if (entry := ledger.stored_entry(video)) is not None}
        untried = [video.video_id for video in chosen if video.video_id not in entries]
        if part is None:
            _write_tables(workspace, videos, ledger, entries)
            write_run(workspace, manifest=manifest, untried=untried, stopped=run.stopped)
    if run.stopped and untried:
        raise FetchStoppedError(
            f"fetching stopped: {run.stopped} ({len(untried)} of {len(chosen)} videos were not tried; "
            "fetched videos are kept)"
        )
    rejections = [entry.rejection for entry in entries.values() if entry.rejection is not None]
    count = StageCount(
        stage="fetch",
        num_in=len(chosen),
        num_kept=sum(entry.video is not None for entry in entries.values()),
        num_rejected=len(rejections),
        num_skipped=num_skipped,
        by_reason=dict(Counter(rejection.reason for rejection in rejections)),
        wall_seconds=time.monotonic() - started,
    )
    return count if part is None else count_of_part(count, part)


def _write_tables(
    workspace: Workspace, videos: Sequence[SourceVideo], ledger: FetchLedger, entries: dict[str, FetchEntry]
) -> None:
    found = [(video, entries.get(video.video_id) or ledger.stored_entry(video)) for video in videos]
    # The files do not depend on kind and letters, so a changed row needs no new download, only a new record.
    kept = [
        dataclasses.replace(entry.video, kind=video.kind, letters=video.letters)
        for video, entry in found
        if entry is not None and entry.video is not None
    ]
    rejections = [entry.rejection for _, entry in found if entry is not None and entry.rejection is not None]
    write_table(workspace.table("videos"), FetchedVideo, kept)
    write_rejections(workspace, "fetch", rejections)


class _FetchRun:
    """The worker threads of one run and their shared state.

    The threads are daemons and the calling thread only waits for them, so that Ctrl-C is handled at once and a hanging
    connection cannot keep the process alive.
    """

    def __init__(
        self,
        workspace: Workspace,
        options: FetchOptions,
        ledger: FetchLedger,
        todo: Sequence[SourceVideo],
        progress: FetchProgress,
        *,
        log: str,
    ) -> None:
        self.progress = progress
        self.stopped = ""
        """Why the run stopped early; empty if it did not."""
        self._options = options
        self._todo: queue.SimpleQueue[SourceVideo] = queue.SimpleQueue()
        for video in todo:
            self._todo.put(video)
        self._results: queue.SimpleQueue[tuple[str, FetchEntry] | BaseException | None] = queue.SimpleQueue()
        self._rate_limiter = RateLimiter(options.sleep_seconds, options.seed)
        self._stop_event = threading.Event()
        self._ledger = ledger
        self._host_status = HostStatus()
        self._lock = threading.Lock()
        self._unreachable: dict[str, list[tuple[SourceVideo, FetchEntry]]] = {}
        needs_web = any(is_http_url(video.url) for video in todo)
        redactor = Redactor(proxy_secrets(options.proxy))
        self._log = RunLog(workspace.root / "logs" / f"{log}.log", redactor) if needs_web else None
        # Created here and not in the threads, so that unreadable cookies raise before anything is fetched.
        try:
            self._downloaders = [
                self._new_downloader() if needs_web else None for _ in range(min(options.workers, len(todo)))
            ]
        except PhonicsDataError:
            if self._log is not None:
                self._log.close()
            raise
        self._worker = FetchWorker(
            workspace,
            options,
            ledger,
            rate_limiter=self._rate_limiter,
            host_status=self._host_status,
            progress=progress,
        )
        self._threads = [
            threading.Thread(target=self._run_worker, args=(downloader,), daemon=True, name=f"fetch-{number}")
            for number, downloader in enumerate(self._downloaders)
        ]

    def _new_downloader(self) -> Downloader:
        # Imported only when needed, since yt-dlp takes half a second to load.
        from phonics_data.stages.fetch.download import Downloader

        return Downloader(self._options, log=self._log, rate_limiter=self._rate_limiter, progress=self.progress)

    def entries(self) -> Iterator[tuple[str, FetchEntry]]:
        """(video id, entry) for each finished video; ends when the queue is empty or stopped."""
        for thread in self._threads:
            thread.start()
        num_working = len(self._threads)
        while num_working:
            try:
                result = self._results.get(timeout=0.5)  # with a timeout, signals are handled on every platform
            except queue.Empty:
                continue
            if result is None:
                num_working -= 1
            elif isinstance(result, BaseException):
                raise result
            else:
                yield result

    def resolve_unreachable(self) -> dict[str, FetchEntry]:
        """Write the entries of videos whose host has never responded, if another host has: then the row is wrong.

        If no host has responded, the network is down: no entry is written, and the run counts as stopped.
        """
        if not self._unreachable:
            return {}
        if not self._host_status.has_responded(""):
            hosts = ", ".join(sorted(self._unreachable))
            self.stopped = self.stopped or f"no response from {hosts}; {ADVICE['unreachable']}"
            self.progress.run_stopped(self.stopped)
            return {}
        entries: dict[str, FetchEntry] = {}
        for video, entry in itertools.chain.from_iterable(self._unreachable.values()):
            self._ledger.write(video, entry)
            entries[video.video_id] = entry
            self._report_finished(video, entry)
        return entries

    def end(self) -> None:
        """End the threads, within `MAX_JOIN_SECONDS`."""
        self._stop_event.set()
        self._rate_limiter.cancel()
        deadline = time.monotonic() + MAX_JOIN_SECONDS
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        for thread, downloader in zip(self._threads, self._downloaders, strict=True):
            if downloader is not None and not thread.is_alive():
                downloader.close()
        if self._log is not None:
            self._log.close()

    def _run_worker(self, downloader: Downloader | None) -> None:
        try:
            while not self._stop_event.is_set():
                try:
                    video = self._todo.get_nowait()
                except queue.Empty:
                    break
                self._fetch_one(video, downloader)
        except FetchCancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - passed to the calling thread, which raises it
            self._results.put(error)
        finally:
            self._results.put(None)

    def _fetch_one(self, video: SourceVideo, downloader: Downloader | None) -> None:
        host = host_of(video.url)
        with self._lock:
            if host in self._unreachable:
                # Not tried: it gets the entry of the first video of this host.
                entry = self._unreachable[host][0][1]
                self._unreachable[host].append((video, _copy_for(video, entry)))
                return
        if host and not is_local_url(video.url):
            seconds = self._rate_limiter.reserve_start()
            if seconds:
                self.progress.waiting(video.video_id, seconds, "between two videos (--sleep)")
                self._rate_limiter.wait(seconds)
        if self._stop_event.is_set():
            return
        self.progress.video_started(video.video_id)
        try:
            entry = self._worker.fetch(video, downloader)
        except HostUnreachable as unreachable:
            with self._lock:
                self._unreachable.setdefault(host, []).append((video, unreachable.entry))
            return
        except StopFetching as stop:
            self._stop(stop.why)
            if stop.entry is None:
                return
            entry = stop.entry
        self._report_finished(video, entry)
        self._results.put((video.video_id, entry))

    def _report_finished(self, video: SourceVideo, entry: FetchEntry) -> None:
        detail = entry.rejection.detail if entry.rejection is not None else ""
        self.progress.video_finished(video.video_id, entry.status, detail)

    def _stop(self, why: str) -> None:
        with self._lock:
            if self._stop_event.is_set():
                return
            self._stop_event.set()
            self.stopped = why
        self._rate_limiter.cancel()  # ends the other workers; the next run continues their downloads
        self.progress.run_stopped(why)


def _copy_for(video: SourceVideo, entry: FetchEntry) -> FetchEntry:
    """The failure `entry` of another video, as the entry of `video`."""
    assert entry.rejection is not None
    rejection = dataclasses.replace(entry.rejection, item_id=video.video_id)
    return dataclasses.replace(entry, url=video.url, rejection=rejection, num_tries=0)
