"""The page of the candidates as an ASGI application; the protections are those of `phonics_data.review.app`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from phonics_data.contract.web import HEADERS, check_origin, read_json
from phonics_data.review.app import application, failure, page, static, templates
from phonics_data.review.candidates import Candidate, CandidateStore, DetailFetcher, progress_of
from phonics_data.review.state import StateError
from phonics_data.review.store import ConflictError
from phonics_data.storage.manifest import is_http_url

MAX_BYTES = 10_000


class CandidatePages:
    """The endpoints. `base` and `reviewer` as in `phonics_data.review.app.Pages`."""

    def __init__(self, store: CandidateStore, fetcher: DetailFetcher, *, base: str = "", reviewer: str = "") -> None:
        self.store, self.fetcher, self.base, self.reviewer = store, fetcher, base, reviewer
        self.templates = templates()

    async def candidates_page(self, _: Request) -> Response:
        return page(self.templates, "candidates", self.base, {"reviewer": self.reviewer})

    def _candidate(self, request: Request) -> Candidate:
        found = self.store.candidate(request.path_params["video_id"])
        if found is None:
            raise HTTPException(404, "There is no such video in the manifest.")
        return found

    async def candidates(self, _: Request) -> Response:
        found = self.store.candidates()
        value = {
            "rows": [candidate_to_plain(one) for one in found],
            "progress": progress_of(found),
            "out": str(self.store.out),
        }
        return JSONResponse(value, headers=dict(HEADERS))

    async def decide(self, request: Request) -> Response:
        video_id = self._candidate(request).video.video_id
        body = await read_json(request, MAX_BYTES)
        reviewer = body.get("reviewer", self.reviewer)
        try:
            found = await run_in_threadpool(
                self.store.decide, video_id, str(body.get("revision", "")), body, str(reviewer)
            )
        except StateError as error:
            return failure(400, str(error))
        except ConflictError as error:
            current = candidate_to_plain(self._candidate(request))
            return JSONResponse({"error": str(error), "current": current}, status_code=409, headers=dict(HEADERS))
        value = {"row": candidate_to_plain(found), "progress": progress_of(self.store.candidates())}
        return JSONResponse(value, headers=dict(HEADERS))

    async def details(self, request: Request) -> Response:
        """What the video's page says. It sends requests to other servers, so only a page of this server may ask."""
        candidate = self._candidate(request)
        await read_json(request, 100)
        found = await run_in_threadpool(self.fetcher.get, candidate.video)
        value: dict[str, Any] = {
            name: getattr(found, name) for name in ("state", "text", "title", "channel", "seconds")
        } | {"thumbnail": bool(found.thumbnail)}
        return JSONResponse(value, headers=dict(HEADERS))

    async def thumbnail(self, request: Request) -> Response:
        candidate = self._candidate(request)
        check_origin(request)
        found = await run_in_threadpool(self.fetcher.get, candidate.video)
        if not found.thumbnail:
            raise HTTPException(404, "There is no thumbnail.")
        return Response(found.thumbnail, media_type="image/jpeg", headers=dict(HEADERS))

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self.candidates_page),
            Route("/api/candidates", self.candidates),
            Route("/api/candidates/{video_id}", self.decide, methods=["PUT"]),
            Route("/api/candidates/{video_id}/details", self.details, methods=["POST"]),
            Route("/thumbnail/{video_id}", self.thumbnail),
            Route("/static/{name}", static),
        ]


def candidate_to_plain(one: Candidate) -> dict[str, Any]:
    """A candidate as JSON values."""
    video = one.video
    return {
        "video_id": video.video_id,
        "title": video.title,
        "channel": video.channel,
        "url": video.url if is_http_url(video.url) else "",
        "seconds": video.duration_seconds,
        "kind": video.kind,
        "letters": video.letters,
        "language": video.language,
        "tier": video.tier,
        "note": video.note,
        "decision": one.decision,
        "reason": one.reason,
        "revision": one.revision,
    }


def make_candidates_app(
    store: CandidateStore, fetcher: DetailFetcher, *, base: str = "", reviewer: str = "", public: Sequence[str] = ()
) -> Starlette:
    """The choice of candidates."""
    pages = CandidatePages(store, fetcher, base=base, reviewer=reviewer)
    return application(pages.routes(), pages.routes(), base, public)
