"""The pages of the review as an ASGI application.

* Ids are looked up in the workspace; no path of a request is used as a path of the disk.
* Texts of videos and people reach the pages as JSON and are set as text, never as HTML.
* Everything that changes something needs JSON from a page of this server (`phonics_data.contract.web`).
"""

from __future__ import annotations

import errno
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import jinja2
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from phonics_data.contract.files import file_inside
from phonics_data.contract.untrusted import read_json_object
from phonics_data.contract.web import HEADERS, allowed_hosts, media_response, read_json
from phonics_data.errors import UNUSABLE_PATH, InputError, ItemError, PhonicsDataError
from phonics_data.executors.isolated import Limits, call_isolated
from phonics_data.media.preview import frame_jpeg, playable_type
from phonics_data.review.evidence import collect
from phonics_data.review.previews import Previews
from phonics_data.review.state import PageSegment, PageState, StateError, state_from_plain
from phonics_data.review.store import ConflictError, ReviewStore, Song, song_to_plain
from phonics_data.segmentation.length import LengthLimits
from phonics_data.storage.reviews import Interval, reviewer_fault
from phonics_data.types import FetchedVideo

MAX_STATE_BYTES, MAX_DECISIONS, MAX_CACHED_FRAMES = 400_000, 500, 400
MAX_TITLE = 200
FRAME_LIMITS = Limits(seconds=30)
"""Of what a page waits for: the header of a file, or one frame."""
STATIC_FILES = {"style.css": "text/css", "common.js": "text/javascript"} | {
    f"{name}.js": "text/javascript" for name in ("queue", "song", "clips", "candidates")
}


class Pages:
    """The endpoints of the review of one workspace.

    Args:
        limits: lengths outside them are marked.
        base: path prefix at a reverse proxy, such as ``/review``; empty: none.
        reviewer: default name of the reviewer.
    """

    def __init__(self, store: ReviewStore, limits: LengthLimits, *, base: str = "", reviewer: str = "") -> None:
        self.store, self.limits, self.base, self.reviewer = store, limits, base, reviewer
        self.previews = Previews(store.workspace)
        self.templates = templates()
        self._frames: OrderedDict[tuple[str, float], bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._collecting = threading.Lock()

    def page(self, name: str, **data: Any) -> HTMLResponse:
        return page(self.templates, name, self.base, {"reviewer": self.reviewer, **data})

    async def queue_page(self, _: Request) -> Response:
        return self.page("queue")

    async def clips_page(self, _: Request) -> Response:
        return self.page("clips")

    async def song_page(self, request: Request) -> Response:
        video = self._video(request)
        await run_in_threadpool(self.store.mark_seen, video.video_id)
        return self.page("song", video_id=video.video_id)

    def _video(self, request: Request) -> FetchedVideo:
        video = self.store.video(request.path_params["video_id"])
        if video is None:
            raise HTTPException(404, "There is no such video in the workspace.")
        return video

    async def queue(self, _: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self._queue), headers=dict(HEADERS))

    def _queue(self) -> dict[str, Any]:
        songs = self.store.songs()
        videos = [self._queue_row(song) for song in songs]
        return {
            "videos": videos,
            "progress": {
                "videos": len(videos),
                "seen": sum(row["seen"] for row in videos),
                "changed": sum(row["decided"] > 0 or row["dropped"] > 0 for row in videos),
                "complete": sum(row["complete"] for row in videos),
                "clips": sum(row["clips"] for row in videos),
                "decided": sum(row["decided"] for row in videos),
            },
        }

    def _queue_row(self, song: Song) -> dict[str, Any]:
        state = song.state
        unsure = [one.confidence for one in state.segments if not one.is_decided]
        return {
            "video_id": song.video.video_id,
            "title": title_of(self.store.workspace.root, song.video),
            "source": song.video.video_id.rsplit("-", 1)[0] if song.video.fetcher_version == "import" else "web",
            "seconds": round(song.video.duration_seconds, 1),
            "clips": len(state.segments),
            "decided": sum(one.is_decided for one in state.segments),
            "dropped": len(state.dropped),
            "letters": "".join(sorted({one.interval.letter for one in state.segments})),
            "missing": song.missing_letters,
            "lowest": round(min(unsure), 3) if unsure else None,
            "refused": song.rejection.detail if song.rejection and not state.segments else "",
            "worth": round(song.worth, 2),
            "seen": song.is_seen,
            "complete": state.is_complete,
            "note": song.note,
        }

    async def clips(self, request: Request) -> Response:
        """The clips of ``?letter=``, or all, the least certain first."""
        letter = request.query_params.get("letter", "")
        return JSONResponse(await run_in_threadpool(self._clips, letter), headers=dict(HEADERS))

    def _clips(self, letter: str) -> dict[str, Any]:
        counts: dict[str, int] = {}
        found: list[dict[str, Any]] = []
        for song in self.store.songs():
            for one in song.state.segments:
                counts[one.interval.letter] = counts.get(one.interval.letter, 0) + 1
                if not letter or one.interval.letter == letter:
                    found.append(
                        {
                            "video_id": song.video.video_id,
                            "letter": one.interval.letter,
                            "start": one.interval.start_seconds,
                            "end": one.interval.end_seconds,
                            "word": one.word,
                            "confidence": round(one.confidence, 3),
                            "decided": one.is_decided,
                        }
                    )
        found.sort(key=lambda clip: (clip["decided"], clip["confidence"], clip["video_id"], clip["start"]))
        return {"letters": dict(sorted(counts.items())), "clips": found}

    async def song(self, request: Request) -> Response:
        video = self._video(request)
        return JSONResponse(await run_in_threadpool(self._song, video), headers=dict(HEADERS))

    def _song(self, video: FetchedVideo) -> dict[str, Any]:
        song = self.store.song(video.video_id)
        ids = [one.video.video_id for one in self.store.songs() if not one.state.is_complete]
        others = [one for one in ids if one != video.video_id]
        return {
            **song_to_plain(song),
            "title": title_of(self.store.workspace.root, video),
            "duration": video.duration_seconds,
            "rate": float(self.limits.frame_rate),
            "min_frames": self.limits.min_frames,
            "max_frames": self.limits.max_frames,
            "refused": song.rejection.detail if song.rejection else "",
            "note": song.note,
            "letters": video.letters,
            "next": others[0] if others else "",
        }

    async def evidence(self, request: Request) -> Response:
        video = self._video(request)
        try:
            value = await run_in_threadpool(self._evidence, video)
        except PhonicsDataError as error:
            return failure(422, str(error))
        return JSONResponse(value, headers=dict(HEADERS))

    def _evidence(self, video: FetchedVideo) -> dict[str, Any]:
        with self._collecting:  # one video at a time
            value = collect(self.store.workspace, video)
        self.store.add_copy(video.video_id)
        return value

    async def save(self, request: Request) -> Response:
        video = self._video(request)
        body = await read_json(request, MAX_STATE_BYTES)
        reviewer = self._reviewer(body)
        try:
            state = state_from_plain(body, video.duration_seconds)
            song = await run_in_threadpool(
                self.store.save, video.video_id, str(body.get("revision", "")), state, reviewer
            )
        except StateError as error:
            return failure(400, str(error))
        except ConflictError as error:
            current = await run_in_threadpool(self._song, video)
            return JSONResponse({"error": str(error), "current": current}, status_code=409, headers=dict(HEADERS))
        task = BackgroundTask(self._add_copy, video)
        return JSONResponse(song_to_plain(song), headers=dict(HEADERS), background=task)

    def _add_copy(self, video: FetchedVideo) -> None:
        if video.video_id in self.store.lacks_copy():
            try:
                self._evidence(video)
            except PhonicsDataError:
                return  # the song page shows the error; `segment` reports decisions without a copy

    def _reviewer(self, body: dict[str, Any]) -> str:
        name = body.get("reviewer", self.reviewer)
        if not isinstance(name, str) or reviewer_fault(name):
            raise HTTPException(400, f"reviewer: {reviewer_fault(str(name)) or 'allowed: text'}")
        return name

    async def decide(self, request: Request) -> Response:
        """One decision for clips of several videos: confirm, drop or relabel."""
        body = await read_json(request, MAX_STATE_BYTES)
        reviewer = self._reviewer(body)
        clips, action, letter = body.get("clips"), body.get("action"), str(body.get("letter", ""))
        if not isinstance(clips, list) or not 0 < len(cast("list[object]", clips)) <= MAX_DECISIONS:
            return failure(400, f"clips: allowed: 1 to {MAX_DECISIONS}")
        if action not in ("keep", "drop", "relabel"):
            return failure(400, f"action: got {str(action)[:40]!r}, allowed: keep, drop, relabel")
        if action == "relabel" and (len(letter) != 1 or not "A" <= letter <= "Z"):
            return failure(400, f"letter: got {letter[:40]!r}, allowed: A to Z")
        done = await run_in_threadpool(self._decide, cast("list[object]", clips), str(action), letter, reviewer)
        return JSONResponse(done, headers=dict(HEADERS))

    def _decide(self, clips: Sequence[object], action: str, letter: str, reviewer: str) -> dict[str, Any]:
        by_video: dict[str, set[Interval]] = {}
        for clip in clips:
            item = cast("dict[str, Any]", clip) if isinstance(clip, dict) else {}
            try:
                interval = Interval(
                    letter=str(item["letter"]), start_seconds=float(item["start"]), end_seconds=float(item["end"])
                )
            except (KeyError, TypeError, ValueError):
                raise HTTPException(400, "clips: allowed: video_id, letter, start, end") from None
            by_video.setdefault(str(item.get("video_id")), set()).add(interval)
        before: list[dict[str, Any]] = []
        changes: dict[str, tuple[str, PageState]] = {}
        missing: list[str] = []
        for video_id, wanted in by_video.items():
            if self.store.video(video_id) is None:
                missing.append(video_id[:64])
                continue
            song = self.store.song(video_id)
            found = wanted & {one.interval for one in song.state.segments}
            missing += [f"{one.letter} of {video_id}" for one in wanted - found]
            if found:
                before.append(song_to_plain(song))
                changes[video_id] = (song.revision, _with_action(song.state, found, action, letter))
        try:
            songs = self.store.save_all(changes, reviewer)
        except ConflictError as error:  # between reading and writing
            raise HTTPException(409, f"Nothing was saved: {error}; try again.") from error
        return {"before": before, "changed": [song_to_plain(song) for song in songs], "missing": missing}

    async def preview(self, request: Request) -> Response:
        """The state of the media of a video: ``ready`` with an address, ``running``, or ``failed``."""
        video = self._video(request)
        await read_json(request, 100)
        return JSONResponse(await run_in_threadpool(self._preview, video), headers=dict(HEADERS))

    def _preview(self, video: FetchedVideo) -> dict[str, str]:
        try:
            path = self._media_path(video)
            if call_isolated(playable_type, path, FRAME_LIMITS):
                return {"state": "ready", "url": f"{self.base}/media/{video.video_id}"}
        except ItemError as error:
            return {"state": "failed", "detail": str(error)}
        state, detail = self.previews.state(video)
        return {"state": state, "detail": detail, "url": f"{self.base}/preview/{video.video_id}"}

    async def media(self, request: Request) -> Response:
        video = self._video(request)
        try:
            path = self._media_path(video)
            media_type = await run_in_threadpool(call_isolated, playable_type, path, FRAME_LIMITS)
        except ItemError as error:
            raise HTTPException(404, "The media file is missing or damaged.") from error
        if not media_type:
            raise HTTPException(415, "Browsers do not play this file; its preview is at /preview.")
        return media_response(path, path.parent, media_type)

    async def preview_file(self, request: Request) -> Response:
        return media_response(self.previews.path(self._video(request)), self.store.workspace.root, "video/mp4")

    async def frame(self, request: Request) -> Response:
        """The frame displayed at ``?at=SECONDS``, as JPEG."""
        video = self._video(request)
        try:
            at = round(float(request.query_params.get("at", "")), 3)
        except ValueError:
            at = -1.0
        if not 0 <= at <= video.duration_seconds + 1:
            raise HTTPException(400, "at: allowed: seconds inside the video")
        try:
            data = await run_in_threadpool(self._frame, video, at)
        except ItemError as error:
            raise HTTPException(404, "No frame can be decoded there.") from error
        return Response(data, media_type="image/jpeg", headers={**HEADERS, "Cache-Control": "private, max-age=3600"})

    def _media_path(self, video: FetchedVideo) -> Path:
        """The media file of a video. Raises `ItemError` if it is missing, or a link that leads out of the workspace."""
        path = self.store.workspace.root / video.path
        # An import records absolute paths, and the folder that was imported may consist of links.
        folder = path.resolve().parent if Path(video.path).is_absolute() else self.store.workspace.root
        real = file_inside(path, folder)
        if real is None:
            raise ItemError("file_missing", f"{video.path}: is missing, or a link that leads out of the workspace")
        return real

    def _frame(self, video: FetchedVideo, at: float) -> bytes:
        key = (video.sha256, at)
        with self._lock:
            if key in self._frames:
                self._frames.move_to_end(key)
                return self._frames[key]
        data = call_isolated(_jpeg_at, (self._media_path(video), at), FRAME_LIMITS)
        with self._lock:
            self._frames[key] = data
            while len(self._frames) > MAX_CACHED_FRAMES:
                self._frames.popitem(last=False)
        return data

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self.queue_page),
            Route("/clips", self.clips_page),
            Route("/song/{video_id}", self.song_page),
            Route("/api/queue", self.queue),
            Route("/api/clips", self.clips),
            Route("/api/decide", self.decide, methods=["POST"]),
            Route("/api/song/{video_id}", self.song),
            Route("/api/song/{video_id}", self.save, methods=["PUT"]),
            Route("/api/song/{video_id}/evidence", self.evidence),
            Route("/api/song/{video_id}/preview", self.preview, methods=["POST"]),
            Route("/media/{video_id}", self.media),
            Route("/preview/{video_id}", self.preview_file),
            Route("/frame/{video_id}", self.frame),
            Route("/static/{name}", static),
        ]


def _jpeg_at(task: tuple[Path, float]) -> bytes:
    path, seconds = task
    return frame_jpeg(path, seconds)


def _with_action(state: PageState, wanted: set[Interval], action: str, letter: str) -> PageState:
    segments: list[PageSegment] = []
    dropped = list(state.dropped)
    for one in state.segments:
        if one.interval not in wanted:
            segments.append(one)
        elif action == "drop":
            if one.before is not None:
                dropped.append(one.before)
        else:
            interval = one.interval
            if action == "relabel":
                interval = Interval(
                    letter=letter, start_seconds=interval.start_seconds, end_seconds=interval.end_seconds
                )
            segments.append(
                PageSegment(
                    interval=interval,
                    word=one.word,
                    before=one.before,
                    is_decided=True,
                    confidence=1.0,
                    evidence="review",
                )
            )
    return PageState(segments=tuple(segments), dropped=tuple(dict.fromkeys(dropped)), is_complete=state.is_complete)


def title_of(root: Path, video: FetchedVideo) -> str:
    """The title of a video's page from its info.json; empty without one."""
    folder = root / "media" / video.video_id
    try:
        path = next(one for one in folder.iterdir() if one.name.endswith("info.json"))
        title = read_json_object(path, max_bytes=4_000_000, any_numbers=True).get("title")
    except (OSError, ValueError, StopIteration):
        return ""
    return "".join(char for char in str(title or "") if char.isprintable())[:MAX_TITLE]


def templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("phonics_data.review", "."), autoescape=True, undefined=jinja2.StrictUndefined
    )


def page(environment: jinja2.Environment, name: str, base: str, data: dict[str, Any]) -> HTMLResponse:
    """A page that loads ``NAME.js``."""
    html = environment.get_template(f"{name}.html.j2").render(base=base, name=name, **data)
    return HTMLResponse(html, headers=dict(HEADERS))


def failure(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status, headers=dict(HEADERS))


async def static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC_FILES:
        raise HTTPException(404, "There is no such page.")
    return FileResponse(Path(__file__).with_name(name), media_type=STATIC_FILES[name], headers=dict(HEADERS))


async def on_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = failure(error.status_code, error.detail)
    response.headers.update(error.headers or {})
    return response


async def on_input_error(_: Request, error: Exception) -> Response:
    """A table or reviews.csv that cannot be read: somebody changed the workspace."""
    return failure(503, str(error))


async def on_os_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, OSError)
    if error.errno not in UNUSABLE_PATH:
        raise error
    what = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else str(error.strerror)
    return failure(507, f"Not saved: {what}. The page keeps the changes and tries again; free some space.")


def application(routes: list[BaseRoute], again: list[BaseRoute], base: str, public: Sequence[str]) -> Starlette:
    """The ASGI application. With `base`, it serves with and without that prefix, because some proxies remove it."""
    return Starlette(
        routes=[Mount(base, routes=again), *routes] if base else routes,
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=allowed_hosts(public), www_redirect=False)],
        exception_handlers={HTTPException: on_http_error, InputError: on_input_error, OSError: on_os_error},
    )


def make_app(
    store: ReviewStore, limits: LengthLimits, *, base: str = "", reviewer: str = "", public: Sequence[str] = ()
) -> Starlette:
    """The review of a workspace."""
    pages = Pages(store, limits, base=base, reviewer=reviewer)
    return application(pages.routes(), pages.routes(), base, public)
