"""fetch: SourceVideo -> FetchedVideo. Every video of a manifest, whole and checked, in WORK/media/<video_id>/.

A video is brought into WORK/media/.partial/<video_id>/ and inspected there; then the folder takes its final name in one
rename. Videos come one at a time, or a few with one shared pace, and no more when the server has had enough of us.
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
from phonics_data.executors.items import OnProgress, write_rejections
from phonics_data.stages.fetch.failures import ADVICE
from phonics_data.stages.fetch.ledger import Entry, FetchLedger, host_of, is_local_host, write_run
from phonics_data.stages.fetch.options import BackOff, FetchOptions
from phonics_data.stages.fetch.progress import FetchProgress
from phonics_data.stages.fetch.rate_limiter import RateLimiter, RunEndingError
from phonics_data.stages.fetch.redaction import Redactor, secrets_of_proxy
from phonics_data.stages.fetch.run_log import RunLog
from phonics_data.stages.fetch.worker import FetchWorker, HostStatus, QueueStop, Unanswered
from phonics_data.storage.manifest import is_web, select
from phonics_data.storage.tables import write_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, SourceVideo, StageCount

if TYPE_CHECKING:
    from phonics_data.stages.fetch.download import Downloader

__all__ = ["BackOff", "FetchOptions", "QueueStoppedError", "fetch"]

MAX_ENDING_SECONDS = 1.0
"""How long the end of a run waits for workers; one that hangs in the network longer is left behind."""


class QueueStoppedError(PhonicsDataError):
    """The server does not want us now, and videos are left that were never tried. What was fetched is kept; the message says what to do."""


def fetch(
    workspace: Workspace,
    videos: Sequence[SourceVideo],
    options: FetchOptions,
    *,
    manifest: str = "",
    on_progress: OnProgress | None = None,
    watch: FetchProgress | None = None,
) -> StageCount:
    """Get every chosen video that is not there yet; write videos.parquet and the rejections of this stage.

    A video is there when the ledger says ok for the same address and its file still has its size. One that cannot be
    had becomes a rejection, and the others go on. The tables hold all rows of `videos` that were ever fetched into
    this workspace, also those that `options` leave out today.

    Args:
        manifest: where `videos` come from, for the commands that `fetch_report` proposes.
        on_progress: called with ("fetch", done, all) as the batch goes on.
        watch: sees every step of every video.

    Raises:
        QueueStoppedError: a bot check, repeated 429 or 403, or no connection, while there are videos that were never
            tried; raised after the tables are written. When all were tried, those turned away are rejections.
        OptionError: an id of ``--only`` is not in `videos`.
        InputError: the cookies cannot be read.
    """
    started = time.monotonic()
    if options.cookies is not None and not options.cookies.is_file():
        raise InputError(f"--cookies {options.cookies}: no such file; export it from a browser in Netscape format")
    chosen = select(videos, only=options.only, letters=options.letters, max_tier=options.max_tier)
    ledger = FetchLedger(workspace, options)
    entries = {video.video_id: entry for video in chosen if (entry := ledger.finished(video)) is not None}
    num_skipped = len(entries)
    todo = [video for video in chosen if video.video_id not in entries]
    # Who was turned away before waits at the end: else a few such videos could stop every run before it has begun.
    todo.sort(key=lambda video: ledger.known(video) is not None)
    run = _Run(workspace, options, ledger, todo, watch or FetchProgress())
    if on_progress:
        on_progress("fetch", num_skipped, len(chosen))
    run.watch.began(len(chosen), num_skipped)
    try:
        for video_id, entry in run.entries():
            entries[video_id] = entry
            if on_progress:
                on_progress("fetch", len(entries), len(chosen))
        entries |= run.judge_unanswered()
    finally:
        run.end()
        left = (video for video in chosen if video.video_id not in entries)
        entries |= {video.video_id: entry for video in left if (entry := ledger.known(video)) is not None}
        _write_tables(workspace, videos, ledger, entries)
        untried = [video.video_id for video in chosen if video.video_id not in entries]
        write_run(workspace, manifest=manifest, untried=untried, stopped=run.stopped)
    if run.stopped and untried:
        raise QueueStoppedError(
            f"fetching stopped: {run.stopped} ({len(untried)} of {len(chosen)} videos were not tried; "
            "what was fetched is kept)"
        )
    kept = [entry for entry in entries.values() if entry.video is not None]
    rejections = [entry.rejection for entry in entries.values() if entry.rejection is not None]
    return StageCount(
        stage="fetch",
        num_in=len(chosen),
        num_kept=len(kept),
        num_rejected=len(rejections),
        num_skipped=num_skipped,
        by_reason=dict(Counter(rejection.reason for rejection in rejections)),
        wall_seconds=time.monotonic() - started,
    )


def _write_tables(
    workspace: Workspace, videos: Sequence[SourceVideo], ledger: FetchLedger, entries: dict[str, Entry]
) -> None:
    found = [entries.get(video.video_id) or ledger.known(video) for video in videos]
    kept = [entry.video for entry in found if entry is not None and entry.video is not None]
    rejections = [entry.rejection for entry in found if entry is not None and entry.rejection is not None]
    write_table(workspace.table("videos"), FetchedVideo, kept)
    write_rejections(workspace, "fetch", rejections)


class _Run:
    """The workers of one run, and what they share.

    They are daemon threads, and the caller's thread does nothing but wait for them, so that Ctrl-C is heard at once and
    a connection that hangs cannot hold the program.
    """

    def __init__(
        self,
        workspace: Workspace,
        options: FetchOptions,
        ledger: FetchLedger,
        todo: Sequence[SourceVideo],
        watch: FetchProgress,
    ) -> None:
        self.watch = watch
        self.stopped = ""
        self._options = options
        self._todo: queue.SimpleQueue[SourceVideo] = queue.SimpleQueue()
        for video in todo:
            self._todo.put(video)
        self._results: queue.SimpleQueue[tuple[str, Entry] | BaseException | None] = queue.SimpleQueue()
        self._rate_limiter = RateLimiter(options.sleep_seconds, options.seed)
        self._halted = threading.Event()
        self._ledger = ledger
        self._host_status = HostStatus()
        self._lock = threading.Lock()
        self._unanswered: dict[str, list[tuple[SourceVideo, Entry]]] = {}
        needs_web = any(is_web(video.url) for video in todo)
        redactor = Redactor(secrets_of_proxy(options.proxy))
        self._log = RunLog(workspace.root / "logs" / "fetch.log", redactor) if needs_web else None
        num_workers = min(options.workers, len(todo))
        # Made here and not in the threads: unreadable cookies are the caller's error, before anything is fetched.
        try:
            self._downloaders = [self._downloader() if needs_web else None for _ in range(num_workers)]
        except PhonicsDataError:
            if self._log is not None:
                self._log.close()
            raise
        self._threads = [
            threading.Thread(
                target=self._work,
                args=(
                    FetchWorker(
                        workspace,
                        options,
                        ledger,
                        rate_limiter=self._rate_limiter,
                        host_status=self._host_status,
                        watch=watch,
                    ),
                    downloader,
                ),
                daemon=True,
                name=f"fetch-{number}",
            )
            for number, downloader in enumerate(self._downloaders)
        ]

    def _downloader(self) -> Downloader:
        # yt-dlp takes half a second to load: only when something is on the web and not there yet.
        from phonics_data.stages.fetch.download import Downloader

        return Downloader(self._options, log=self._log, rate_limiter=self._rate_limiter, watch=self.watch)

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """(video id, entry) as they come; ends when the queue is empty or stopped."""
        for thread in self._threads:
            thread.start()
        num_working = len(self._threads)
        while num_working:
            try:
                result = self._results.get(timeout=0.5)  # wakes up, so that a signal is heard on every platform
            except queue.Empty:
                continue
            if result is None:
                num_working -= 1
            elif isinstance(result, BaseException):
                raise result
            else:
                yield result

    def judge_unanswered(self) -> dict[str, Entry]:
        """Entries of the videos whose host never answered, while others did: there it is the row that is wrong.

        When nothing answered at all, it is the line: no video is blamed, and the run counts as stopped.
        """
        if not self._unanswered:
            return {}
        if not self._host_status.has_reached(""):
            hosts = ", ".join(sorted(self._unanswered))
            self.stopped = self.stopped or f"nothing answers at {hosts}; {ADVICE['unreachable']}"
            self.watch.stopped(self.stopped)
            return {}
        entries: dict[str, Entry] = {}
        for video, entry in itertools.chain.from_iterable(self._unanswered.values()):
            self._ledger.write(video, entry)
            entries[video.video_id] = entry
            self.watch.ended(video.video_id, entry.status, entry.rejection.detail if entry.rejection else "")
        return entries

    def end(self) -> None:
        """Let the workers go, within `MAX_ENDING_SECONDS`."""
        self._halted.set()
        self._rate_limiter.end()
        deadline = time.monotonic() + MAX_ENDING_SECONDS
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        for thread, downloader in zip(self._threads, self._downloaders, strict=True):
            if downloader is not None and not thread.is_alive():
                downloader.close()
        if self._log is not None:
            self._log.close()

    def _work(self, attempt: FetchWorker, downloader: Downloader | None) -> None:
        try:
            while not self._halted.is_set():
                try:
                    video = self._todo.get_nowait()
                except queue.Empty:
                    break
                self._one(video, attempt, downloader)
        except RunEndingError:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, which raises it
            self._results.put(error)
        finally:
            self._results.put(None)

    def _one(self, video: SourceVideo, attempt: FetchWorker, downloader: Downloader | None) -> None:
        host = host_of(video.url)
        with self._lock:
            if host in self._unanswered:
                # Asked in vain already; it shares the verdict of the first.
                entry = self._unanswered[host][0][1]
                self._unanswered[host].append((video, _for_another(entry, video)))
                return
        if host and not is_local_host(video.url):
            seconds = self._rate_limiter.seconds_to_turn()
            if seconds:
                self.watch.waits(video.video_id, seconds, "between two videos (--sleep)")
                self._rate_limiter.wait(seconds)
        if self._halted.is_set():
            return
        self.watch.started(video.video_id)
        try:
            entry = attempt.fetch(video, downloader)
        except Unanswered as silence:
            with self._lock:
                self._unanswered.setdefault(host, []).append((video, silence.entry))
            return
        except QueueStop as stop:
            self._halt(stop.why)
            if stop.entry is None:
                return
            entry = stop.entry
        detail = entry.rejection.detail if entry.rejection is not None else ""
        self.watch.ended(video.video_id, entry.status, detail)
        self._results.put((video.video_id, entry))

    def _halt(self, why: str) -> None:
        with self._lock:
            if self._halted.is_set():
                return
            self._halted.set()
            self.stopped = why
        self._rate_limiter.end()  # other workers leave what they are at; the next run continues it
        self.watch.stopped(why)


def _for_another(entry: Entry, video: SourceVideo) -> Entry:
    assert entry.rejection is not None
    rejection = dataclasses.replace(entry.rejection, item_id=video.video_id)
    return dataclasses.replace(entry, url=video.url, rejection=rejection, num_tries=0)
