"""The reviewed state of a workspace: reads its tables, and writes reviews.csv before it answers.

The tables can change while the pages are open: they are read again when their files change.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from phonics_data import __version__
from phonics_data.contract.untrusted import read_json
from phonics_data.errors import InputError, WorkspaceLockedError
from phonics_data.executors.items import finished_outcome
from phonics_data.review.evidence import cached_evidence
from phonics_data.review.state import PageState, decisions, page_state, state_to_plain
from phonics_data.segmentation.reviewed import moved_reviews
from phonics_data.stages.reviewed_segments import REVIEWS_FILE, review_offset, video_loudness, workspace_reviews
from phonics_data.storage.reviews import Review, ReviewedCopy, Reviews, copies_by_key, write_reviews
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace, write_json
from phonics_data.types import FetchedVideo, Rejection, Segment

_Stamp = tuple[int, int, int]


class ConflictError(InputError):
    """The decisions about a video changed since the page read them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Song:
    """One video with its automatic segments and its reviewed state.

    Args:
        revision: changes with each change of the decisions.
        rejection: why `segment` refused the video; None if it did not.
        note: a remark for the page, e.g. that the decisions are about another copy.
        is_seen: a person opened it.
    """

    video: FetchedVideo
    automatic: tuple[Segment, ...]
    rejection: Rejection | None
    state: PageState
    revision: str
    note: str
    is_seen: bool
    has_unused: bool = False
    """The decisions are about a copy to which this one cannot be aligned. They are not in `state`."""

    @property
    def missing_letters(self) -> str:
        """Letters of the manifest row that no segment has; empty unless half of them are there."""
        found = {one.interval.letter for one in self.state.segments}
        missing = [letter for letter in self.video.letters if letter not in found]
        return "".join(missing) if 2 * len(missing) <= len(self.video.letters) else ""

    @property
    def worth(self) -> float:
        """How much a look is worth: the expected number of wrong, missing and refused segments.

        A refused video counts the pairs of letter and example that were found in it, but at least one.
        """
        if self.state.is_complete:
            return 0.0
        unsure = sum(1 - one.confidence for one in self.state.segments if not one.is_decided)
        refused = max(1.0, self.rejection.measured or 0.0) if self.rejection and not self.state.segments else 0.0
        return unsure + len(self.missing_letters) + refused


class ReviewStore:
    """Thread-safe. Holds WORK/.review.lock, so that two servers do not write one reviews.csv.

    Raises:
        InputError: reviews.csv is not valid. TableError: no video was fetched yet.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.path = workspace.root / REVIEWS_FILE
        self._lock = threading.RLock()
        self._stamps: dict[Path, _Stamp | None] = {}
        self._videos: dict[str, FetchedVideo] = {}
        self._reviews = Reviews()
        self._rows: Mapping[str, tuple[Review, ...]] = {}
        self._songs: dict[str, tuple[object, Song]] = {}
        self._seen_path = workspace.root / "review" / "seen.json"
        self._seen: set[str] = set()
        with self._lock:
            self._read()
            try:
                value = read_json(self._seen_path)
                self._seen = {str(one) for one in cast("list[object]", value)} if isinstance(value, list) else set()
            except (OSError, ValueError):
                self._seen = set()

    def _read(self) -> None:
        """Read what changed on the disk."""
        videos_path = self.workspace.table("videos")
        if self._has_changed(videos_path) or not self._videos:
            self._videos = {video.video_id: video for video in read_table(videos_path, FetchedVideo)}
        if self._has_changed(self.path):
            self._use(workspace_reviews(self.workspace))

    def _use(self, reviews: Reviews) -> None:
        self._reviews, self._rows = reviews, reviews.by_video()

    def _has_changed(self, path: Path) -> bool:
        stamp = _stamp(path)
        if path in self._stamps and self._stamps[path] == stamp:
            return False
        self._stamps[path] = stamp
        return True

    def video_ids(self) -> list[str]:
        with self._lock:
            self._read()
            return list(self._videos)

    def video(self, video_id: str) -> FetchedVideo | None:
        with self._lock:
            self._read()
            return self._videos.get(video_id)

    def is_import(self, video_id: str) -> bool:
        """Whether the video is from `phonics-data import`, which applies decisions itself."""
        video = self.video(video_id)
        return video is not None and video.fetcher_version == "import"

    def songs(self) -> list[Song]:
        """All videos, the one that is most worth a look first."""
        with self._lock:
            songs = [self.song(video_id) for video_id in self.video_ids()]
        return sorted(songs, key=lambda song: (-song.worth, song.video.video_id))

    def song(self, video_id: str) -> Song:
        """Raises `KeyError` for an id that is not in the workspace."""
        with self._lock:
            self._read()
            video = self._videos[video_id]
            rows = self._rows.get(video_id, ())
            item = self.workspace.ledger("segment").path(video_id)
            key = (video.sha256, rows, _stamp(item))
            known = self._songs.get(video_id)
            if known is None or known[0] != key:
                self._songs[video_id] = known = (key, self._song(video, rows, has_item=_stamp(item) is not None))
            song = known[1]
            return replace(song, is_seen=video_id in self._seen)

    def _song(self, video: FetchedVideo, rows: Sequence[Review], *, has_item: bool) -> Song:
        outcome = finished_outcome(self.workspace.ledger("segment"), video.video_id, Segment) if has_item else None
        rejection = None
        automatic: tuple[Segment, ...] = ()
        if outcome is not None:
            automatic = outcome.kept
            rejection = next((one for one in outcome.rejections if one.item_id == video.video_id), None)
        used, note, has_unused = list(rows), "", False
        if any(row.sha256 != video.sha256 for row in rows):
            offset, unused = review_offset(self.workspace, video, rows, copies_by_key(self._reviews.copies))
            used = [] if unused is not None else moved_reviews(rows, offset)
            has_unused = unused is not None
            where = f"; a change here replaces them, and keeps them in {self._replaced_path(video.video_id, rows)}"
            note = (
                unused.detail + where
                if unused is not None
                else f"moved by {offset:+.2f} s from another copy of the video"
            )
        return Song(
            video=video,
            automatic=automatic,
            rejection=rejection,
            state=page_state(automatic, used),
            revision=_revision(rows),
            note=note,
            is_seen=video.video_id in self._seen,
            has_unused=has_unused,
        )

    def _replaced_path(self, video_id: str, rows: Sequence[Review]) -> Path:
        return self.workspace.root / "review" / f"replaced-{video_id}-{rows[0].sha256[:16]}.csv"

    def mark_seen(self, video_id: str) -> None:
        """Record that a person opened a video."""
        with self._lock:
            if video_id not in self._seen:
                self._seen.add(video_id)
                write_json(self._seen_path, sorted(self._seen), indent=None)

    def save(self, video_id: str, revision: str, state: PageState, reviewer: str) -> Song:
        """As `save_all`, for one video."""
        return self.save_all({video_id: (revision, state)}, reviewer)[0]

    def save_all(self, changes: Mapping[str, tuple[str, PageState]], reviewer: str) -> list[Song]:
        """Replace the decisions about videos; when this returns, they are on the disk.

        Args:
            changes: video id -> (revision of the song that the page changed, its new state).

        Raises:
            ConflictError: somebody else changed the decisions about one of them; nothing is saved.
            OSError: the disk is full or cannot be written; reviews.csv is unchanged.
        """
        with self._lock:
            at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            self._read()  # what others wrote to the file
            reviews = self._reviews
            for video_id, (revision, state) in changes.items():
                song = self.song(video_id)
                if song.revision != revision:
                    raise ConflictError(f"{video_id}: changed meanwhile by another page or person")
                earlier = self._rows.get(video_id, ())
                if song.has_unused:
                    copies = tuple(one for one in self._reviews.copies if one.video_id == video_id)
                    write_reviews(self._replaced_path(video_id, earlier), Reviews(rows=earlier, copies=copies))
                sha256 = song.video.sha256
                rows = decisions(
                    state, earlier, video_id=video_id, sha256=sha256, reviewer=reviewer, at=at, version=__version__
                )
                reviews = reviews.with_video(video_id, rows, self._copy(song.video))
            if changes:
                self._write(reviews)
            return [self.song(video_id) for video_id in changes]

    def _copy(self, video: FetchedVideo) -> ReviewedCopy | None:
        evidence = cached_evidence(self.workspace, video)
        if evidence is None:
            return None
        return ReviewedCopy(
            video_id=video.video_id,
            sha256=video.sha256,
            duration_seconds=video.duration_seconds,
            loudness=str(evidence["loudness"]),
        )

    def add_copy(self, video_id: str) -> None:
        """Store the loudness of a reviewed video in reviews.csv once its evidence was collected."""
        with self._lock:
            self._read()
            video = self._videos[video_id]
            rows = self._rows.get(video_id, ())
            if not rows or (video_id, video.sha256) in copies_by_key(self._reviews.copies):
                return
            if (copy := self._copy(video)) is not None:
                self._write(self._reviews.with_video(video_id, rows, copy))

    def add_loudness(self, video_id: str) -> None:
        """Store the loudness of a reviewed video in reviews.csv; it decodes the sound, which takes a second."""
        with self._lock:
            video = self._videos[video_id]
        loudness = video_loudness(self.workspace, video)
        copy = ReviewedCopy(
            video_id=video_id, sha256=video.sha256, duration_seconds=video.duration_seconds, loudness=loudness
        )
        with self._lock:
            self._read()
            rows = self._rows.get(video_id, ())
            self._write(self._reviews.with_video(video_id, rows, copy))

    def lacks_copy(self) -> list[str]:
        """Reviewed videos of which reviews.csv does not have the loudness yet."""
        with self._lock:
            self._read()
            known = copies_by_key(self._reviews.copies)
            keys = dict.fromkeys((row.video_id, row.sha256) for row in self._reviews.rows)
            return [
                video_id
                for video_id, sha256 in keys
                if (video_id, sha256) not in known
                and video_id in self._videos
                and self._videos[video_id].sha256 == sha256
            ]

    def _write(self, reviews: Reviews) -> None:
        write_reviews(self.path, reviews)
        self._use(reviews)
        self._stamps[self.path] = _stamp(self.path)

    @contextmanager
    def locked(self) -> Generator[None]:
        """Hold the lock of the review.

        Raises:
            WorkspaceLockedError: another review of this workspace is running.
        """
        import filelock

        lock = filelock.FileLock(self.workspace.root / ".review.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise WorkspaceLockedError(
                f"--work {self.workspace.root}: another `phonics-data review` is using it; open its page, or end it first"
            ) from None
        try:
            yield
        finally:
            lock.release()


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _revision(rows: Sequence[Review]) -> str:
    text = repr(sorted(repr(row) for row in rows))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def song_to_plain(song: Song) -> dict[str, Any]:
    """A song as JSON values for its page."""
    return {"video_id": song.video.video_id, "revision": song.revision, **state_to_plain(song.state)}
