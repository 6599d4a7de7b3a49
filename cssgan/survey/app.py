"""The survey's pages: plain HTML forms that work without a script, one page a question, answers stored as they come.

A rater is a secret in a cookie. Nothing else is known of a person: no address is stored or logged. Every page is built
on the server from `cssgan.survey.trials`, so nothing that a browser sends decides what was shown.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import jinja2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from cssgan.survey.definition import HIGHEST, MEDIA, Survey, questions
from cssgan.survey.store import Rater, Store
from cssgan.survey.trials import Trial, plan

COOKIE = "rater"
COOKIE_SECONDS = 90 * 24 * 3600
MOST_BYTES, MOST_FIELDS, BODY_SECONDS = 16_384, 20, 15.0
MOST_COMMENT = 2_000
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; media-src 'self'; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
STATIC = {"style.css": "text/css", "survey.js": "text/javascript"}
Fields = Mapping[str, str]
Endpoint = Callable[[Request], Awaitable[Response]]


class Pages:
    """The endpoints of one survey.

    Args:
        folder: of the survey; its videos are served under the names in survey.json and no others.
        base: path under which a reverse proxy shows the survey, such as ``/study``; empty for none.
    """

    def __init__(self, survey: Survey, folder: Path, store: Store, base: str = "") -> None:
        self.survey, self.store, self.base = survey, store, base
        self.files = {video.file: folder / MEDIA / video.file for video in survey.videos}
        self.templates = jinja2.Environment(
            loader=jinja2.PackageLoader("cssgan.survey", "."), autoescape=True, undefined=jinja2.StrictUndefined
        )

    def page(self, name: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        template = self.templates.get_template(f"{name}.html.j2")
        html = template.render(survey=self.survey, base=self.base, **values)
        return HTMLResponse(html, status_code=status, headers=HEADERS)

    def to(self, path: str) -> RedirectResponse:
        return RedirectResponse(self.base + path, status_code=303, headers=HEADERS)

    async def rater(self, request: Request) -> Rater | None:
        token = request.cookies.get(COOKIE, "")
        return await run_in_threadpool(self.store.find, token) if token else None

    async def plan(self, rater: Rater) -> tuple[Trial, ...]:
        return await run_in_threadpool(plan, self.survey, rater.rater - 1)

    async def welcome(self, request: Request) -> Response:
        rater = await self.rater(request)
        trials = plan(self.survey, 0)
        minutes = max(1, round(sum(2 * trial.seconds + 8 for trial in trials) / 60))
        return self.page("welcome", rater=rater, num_pages=len(trials), minutes=minutes, error="")

    async def start(self, request: Request) -> Response:
        fields = await read_form(request)
        if await self.rater(request) is not None:  # pressed twice, or in a second window
            return self.to("/trial")
        if fields.get("consent") != "yes":
            error = "Please tick the box if you want to take part."
            return self.page("welcome", status=422, rater=None, num_pages=None, minutes=None, error=error)
        token = secrets.token_urlsafe(24)
        await run_in_threadpool(self.store.enrol, token)
        return self._with_cookie(request, token)

    def _with_cookie(self, request: Request, token: str) -> Response:
        response = self.to("/trial")
        response.set_cookie(
            COOKIE, token, max_age=COOKIE_SECONDS, path=self.base or "/", httponly=True, samesite="lax",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return response

    async def trial(self, request: Request) -> Response:
        rater = await self.rater(request)
        if rater is None:
            return self.to("/")
        trials = await self.plan(rater)
        if rater.num_answered >= len(trials):
            return self.to("/done")
        await run_in_threadpool(self.store.shown, rater.rater, rater.num_answered)
        return self._trial(trials, rater.num_answered)

    def _trial(self, trials: tuple[Trial, ...], index: int, given: Fields | None = None) -> Response:
        trial, given = trials[index], given or {}
        asked = questions(trial.kind)
        texts = {name: self.survey.texts[name] for name in asked}
        if trial.check == "instructed":
            texts = dict.fromkeys(asked, f"This page checks that questions are read: please choose {trial.wanted}.")
        missing = [name for name in asked if name not in given] if given else []
        return self.page(
            "trial", status=422 if missing else 200, trial=trial, num_pages=len(trials), texts=texts, given=given,
            missing=missing, ends=self.survey.ends[trial.kind], steps=range(1, HIGHEST[trial.kind] + 1),
        )  # fmt: skip

    async def answer(self, request: Request) -> Response:
        fields = await read_form(request)
        rater = await self.rater(request)
        if rater is None:
            return self.to("/")
        trials = await self.plan(rater)
        number = fields.get("trial", "")
        index = int(number) if re.fullmatch(r"[0-9]{1,4}", number) else len(trials)
        if index >= len(trials):
            raise HTTPException(400, "This survey has no such page.")
        trial = trials[index]
        allowed = {str(step): step for step in range(1, HIGHEST[trial.kind] + 1)}
        wrong = [name for name in questions(trial.kind) if fields.get(name, "1") not in allowed]
        if wrong:
            raise HTTPException(400, f"An answer is a number from 1 to {HIGHEST[trial.kind]}.")
        values = {name: allowed[fields[name]] for name in questions(trial.kind) if name in fields}
        if len(values) < len(questions(trial.kind)):
            if index != rater.num_answered:
                return self.to("/trial")
            return self._trial(trials, index, fields)
        last = index == len(trials) - 1
        outcome = await run_in_threadpool(self.store.answer, rater.rater, index, values, last=last)
        if outcome == "not its turn":
            raise HTTPException(409, "That page has not been shown yet.")
        return self.to("/trial")

    async def done(self, request: Request) -> Response:
        rater = await self.rater(request)
        if rater is None:
            return self.to("/")
        if not rater.finished:
            return self.to("/trial")
        return self.page("done", said=False, withdrawn=False)

    async def comment(self, request: Request) -> Response:
        fields = await read_form(request)
        rater = await self.rater(request)
        if rater is None or not rater.finished:
            return self.to("/")
        text = "".join(sign for sign in fields.get("comment", "") if sign.isprintable() or sign == "\n")
        await run_in_threadpool(self.store.comment, rater.rater, text[:MOST_COMMENT].strip())
        return self.page("done", said=True, withdrawn=False)

    async def ask_withdraw(self, request: Request) -> Response:
        return self.to("/") if await self.rater(request) is None else self.page("withdraw")

    async def withdraw(self, request: Request) -> Response:
        await read_form(request)
        rater = await self.rater(request)
        if rater is None:
            return self.to("/")
        await run_in_threadpool(self.store.withdraw, rater.rater)
        response = self.page("done", said=False, withdrawn=True)
        response.delete_cookie(COOKIE, path=self.base or "/")
        return response

    async def media(self, request: Request) -> Response:
        path = self.files.get(request.path_params["name"])
        if path is None:
            raise HTTPException(404, "There is no such video.")
        headers = {**HEADERS, "Cache-Control": "private, max-age=86400"}
        return FileResponse(path, media_type="video/mp4", headers=headers)

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            raise HTTPException(404, "There is no such page.")
        return FileResponse(Path(__file__).with_name(name), media_type=STATIC[name], headers=HEADERS)

    async def refuse(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = "There is no such page." if error.status_code == 404 else error.detail
        response = self.page("error", status=error.status_code, detail=detail)
        response.headers.update(error.headers or {})
        return response

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self.welcome),
            Route("/start", self.start, methods=["POST"]),
            Route("/trial", self.trial),
            Route("/trial", self.answer, methods=["POST"]),
            Route("/done", self.done),
            Route("/comment", self.comment, methods=["POST"]),
            Route("/withdraw", self.ask_withdraw),
            Route("/withdraw", self.withdraw, methods=["POST"]),
            Route("/media/{name}", self.media),
            Route("/static/{name}", self.static),
        ]


def make_app(survey: Survey, folder: Path, store: Store, *, base: str = "") -> Starlette:
    """The ASGI application. With `base` it answers below that path and at the root: proxies cut it off, or do not."""
    pages = Pages(survey, folder, store, base)
    routes = pages.routes()
    if base:
        routes = [Mount(base, routes=pages.routes()), *routes]
    return Starlette(routes=routes, exception_handlers={HTTPException: pages.refuse})


async def read_form(request: Request) -> Fields:
    """The fields of a form that this survey's own page sent, each at most once.

    Raises:
        HTTPException: 403 for a form of another site, 413 for a long body, 408 for a slow one, 415 and 400 for others.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "This form was sent by another site.")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415, "Answers come as a form.")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MOST_BYTES:
                    raise HTTPException(413, f"A form holds at most {MOST_BYTES} bytes.", {"Connection": "close"})
    except TimeoutError as error:
        raise HTTPException(408, "The form did not arrive in time.", {"Connection": "close"}) from error
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:  # also: bytes that are no UTF-8
        raise HTTPException(400, "The form cannot be read.") from error
    if len(dict(pairs)) != len(pairs):
        raise HTTPException(400, "A field came twice.")
    return dict(pairs)
