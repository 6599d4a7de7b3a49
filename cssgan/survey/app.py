"""The pages of the survey as an ASGI application: HTML forms that work without JavaScript, one trial per page.

* A rater is identified by a secret token in a cookie only; no address is stored or logged.
* The trials are computed on the server (`cssgan.survey.trials`), so that a browser cannot change which videos are recorded as displayed.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from cssgan.survey.definition import MEDIA_FOLDER, SCALE_MAX, Survey, questions
from cssgan.survey.store import Rater, Store
from cssgan.survey.trials import Trial, rater_trials
from phonics_data.contract.web import HEADERS, media_response, read_form

COOKIE = "rater"
COOKIE_SECONDS = 90 * 24 * 3600
MAX_COMMENT_LENGTH = 2_000
STATIC_FILES = {"style.css": "text/css", "survey.js": "text/javascript"}
Fields = Mapping[str, str]
Endpoint = Callable[[Request], Awaitable[Response]]
Handler = Callable[[Rater, Fields], Awaitable[Response]]


class Pages:
    """The endpoints of one survey.

    Args:
        folder: survey folder; only the videos named in survey.json are served.
        base: path prefix at a reverse proxy, such as ``/study``; empty: none.
    """

    def __init__(self, survey: Survey, folder: Path, store: Store, base: str = "") -> None:
        self.survey, self.store, self.base = survey, store, base
        self.files = {video.file: folder / MEDIA_FOLDER / video.file for video in survey.videos}
        self.templates = jinja2.Environment(
            loader=jinja2.PackageLoader("cssgan.survey", "."), autoescape=True, undefined=jinja2.StrictUndefined
        )

    def page(self, name: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        template = self.templates.get_template(f"{name}.html.j2")
        html = template.render(survey=self.survey, base=self.base, **values)
        return HTMLResponse(html, status_code=status, headers=HEADERS)

    def redirect(self, path: str) -> RedirectResponse:
        return RedirectResponse(self.base + path, status_code=303, headers=HEADERS)

    async def rater(self, request: Request) -> Rater | None:
        token = request.cookies.get(COOKIE, "")
        return await run_in_threadpool(self.store.find_rater, token) if token else None

    async def trials(self, rater: Rater) -> tuple[Trial, ...]:
        return await run_in_threadpool(rater_trials, self.survey, rater.rater - 1)

    def for_rater(self, handler: Handler) -> Endpoint:
        """An endpoint that reads the form of a POST request and calls `handler`; without a rater, it redirects."""

        async def endpoint(request: Request) -> Response:
            fields = await read_form(request) if request.method == "POST" else {}
            rater = await self.rater(request)
            return self.redirect("/") if rater is None else await handler(rater, fields)

        return endpoint

    async def welcome(self, request: Request) -> Response:
        rater = await self.rater(request)
        trials = rater_trials(self.survey, 0)
        minutes = max(1, round(sum(2 * trial.seconds + 8 for trial in trials) / 60))
        return self.page("welcome", rater=rater, num_pages=len(trials), minutes=minutes, error="")

    async def start(self, request: Request) -> Response:
        fields = await read_form(request)
        if await self.rater(request) is not None:  # second click, or a second window
            return self.redirect("/trial")
        if fields.get("consent") != "yes":
            error = "Please tick the box if you want to take part."
            return self.page("welcome", status=422, rater=None, num_pages=None, minutes=None, error=error)
        token = secrets.token_urlsafe(24)
        await run_in_threadpool(self.store.add_rater, token)
        return self._set_cookie(request, token)

    def _set_cookie(self, request: Request, token: str) -> Response:
        response = self.redirect("/trial")
        response.set_cookie(
            COOKIE, token, max_age=COOKIE_SECONDS, path=self.base or "/", httponly=True, samesite="lax",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return response

    async def trial(self, rater: Rater, _: Fields) -> Response:
        trials = await self.trials(rater)
        if rater.num_answered >= len(trials):
            return self.redirect("/done")
        await run_in_threadpool(self.store.record_shown, rater.rater, rater.num_answered)
        return self._trial(trials, rater.num_answered)

    def _trial(self, trials: tuple[Trial, ...], index: int, given: Fields | None = None) -> Response:
        trial, given = trials[index], given or {}
        names = questions(trial.kind)
        texts = {name: self.survey.texts[name] for name in names}
        if trial.check == "instructed":
            instruction = f"This page checks that questions are read: please choose {trial.instructed_answer}."
            texts = dict.fromkeys(names, instruction)
        missing = [name for name in names if name not in given] if given else []
        return self.page(
            "trial", status=422 if missing else 200, trial=trial, num_pages=len(trials), texts=texts, given=given,
            missing=missing, ends=self.survey.ends[trial.kind], steps=range(1, SCALE_MAX[trial.kind] + 1),
        )  # fmt: skip

    async def answer(self, rater: Rater, fields: Fields) -> Response:
        trials = await self.trials(rater)
        number = fields.get("trial", "")
        index = int(number) if re.fullmatch(r"[0-9]{1,4}", number) else len(trials)
        if index >= len(trials):
            raise HTTPException(400, "This survey has no such page.")
        trial = trials[index]
        allowed = {str(step): step for step in range(1, SCALE_MAX[trial.kind] + 1)}
        names = questions(trial.kind)
        if any(fields.get(name, "1") not in allowed for name in names):
            raise HTTPException(400, f"An answer is a number from 1 to {SCALE_MAX[trial.kind]}.")
        values = {name: allowed[fields[name]] for name in names if name in fields}
        if len(values) < len(names):
            if index != rater.num_answered:
                return self.redirect("/trial")
            return self._trial(trials, index, fields)
        last = index == len(trials) - 1
        outcome = await run_in_threadpool(self.store.record_answers, rater.rater, index, values, last=last)
        if outcome == "not shown yet":
            raise HTTPException(409, "That page has not been shown yet.")
        return self.redirect("/trial")

    async def done(self, rater: Rater, _: Fields) -> Response:
        if not rater.finished:
            return self.redirect("/trial")
        return self.page("done", comment_stored=False, withdrawn=False)

    async def comment(self, rater: Rater, fields: Fields) -> Response:
        if not rater.finished:
            return self.redirect("/")
        text = "".join(char for char in fields.get("comment", "") if char.isprintable() or char == "\n")
        await run_in_threadpool(self.store.record_comment, rater.rater, text[:MAX_COMMENT_LENGTH].strip())
        return self.page("done", comment_stored=True, withdrawn=False)

    async def confirm_withdraw(self, _rater: Rater, _: Fields) -> Response:
        return self.page("withdraw")

    async def withdraw(self, rater: Rater, _: Fields) -> Response:
        await run_in_threadpool(self.store.withdraw, rater.rater)
        response = self.page("done", comment_stored=False, withdrawn=True)
        response.delete_cookie(COOKIE, path=self.base or "/")
        return response

    async def media(self, request: Request) -> Response:
        path = self.files.get(request.path_params["name"])
        if path is None:
            raise HTTPException(404, "There is no such video.")
        return media_response(path, path.parent, "video/mp4", cache="max-age=86400")

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC_FILES:
            raise HTTPException(404, "There is no such page.")
        return FileResponse(Path(__file__).with_name(name), media_type=STATIC_FILES[name], headers=HEADERS)

    async def error(self, request: Request, exception: Exception) -> Response:
        assert isinstance(exception, HTTPException)
        detail = "There is no such page." if exception.status_code == 404 else exception.detail
        response = self.page("error", status=exception.status_code, detail=detail)
        response.headers.update(exception.headers or {})
        return response

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self.welcome),
            Route("/start", self.start, methods=["POST"]),
            Route("/trial", self.for_rater(self.trial)),
            Route("/trial", self.for_rater(self.answer), methods=["POST"]),
            Route("/done", self.for_rater(self.done)),
            Route("/comment", self.for_rater(self.comment), methods=["POST"]),
            Route("/withdraw", self.for_rater(self.confirm_withdraw)),
            Route("/withdraw", self.for_rater(self.withdraw), methods=["POST"]),
            Route("/media/{name}", self.media),
            Route("/static/{name}", self.static),
        ]


def make_app(survey: Survey, folder: Path, store: Store, *, base: str = "") -> Starlette:
    """The ASGI application. With `base`, it serves with and without that prefix, because some proxies remove it."""
    pages = Pages(survey, folder, store, base)
    routes = pages.routes()
    if base:
        routes = [Mount(base, routes=pages.routes()), *routes]
    return Starlette(routes=routes, exception_handlers={HTTPException: pages.error})
