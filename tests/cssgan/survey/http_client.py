"""A server of the survey on loopback, and an HTTP client with cookies that answers like a rater."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from cssgan.survey.app import make_app
from cssgan.survey.definition import RESULTS_FILE, read_survey
from cssgan.survey.store import Store
from phonics_data.contract.web import listen
from phonics_data.contract.web_connections import LimitedServer


@contextmanager
def served(folder: Path, *, base: str = "") -> Iterator[tuple[int, Store]]:
    """Serve the survey on a free port. Yields (port, store)."""
    survey = read_survey(folder)
    store = Store(folder / RESULTS_FILE, survey.digest())
    listener = listen("127.0.0.1", 0)
    server = LimitedServer(make_app(survey, folder, store, base=base), lifespan="off")
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield listener.getsockname()[1], store
    finally:
        server.should_exit = True
        thread.join()
        store.close()


@dataclass
class Page:
    status: int
    headers: Mapping[str, str]
    text: str


@dataclass
class RaterClient:
    port: int
    base: str = ""
    cookie: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def send(
        self, method: str, path: str, body: bytes | str | None = None, headers: Mapping[str, str] | None = None
    ) -> Page:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {**self.headers, "Cookie": self.cookie, **(headers or {})})
            response = connection.getresponse()
            found = dict(response.getheaders())
            if cookie := found.get("set-cookie"):
                self.cookie = cookie.partition(";")[0]
            return Page(response.status, found, response.read().decode("utf-8", "replace"))
        finally:
            connection.close()

    def get(self, path: str) -> Page:
        return self.send("GET", self.base + path)

    def post(self, path: str, fields: Mapping[str, str | int]) -> Page:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.send("POST", self.base + path, urlencode(fields), kind)

    def begin(self) -> RaterClient:
        assert self.post("/start", {"consent": "yes"}).status == 303
        return self

    def answers_for(self, page: str) -> dict[str, str | int]:
        """Answers of an attentive rater: the answer that a check requests, else 5 or "no difference"."""
        found = re.search(r'name="trial" value="(\d+)"', page)
        assert found is not None, page
        instructed = re.search(r"please choose (\d)", page)
        names = dict.fromkeys(re.findall(r'type="radio" id="[^"]+" name="(\w+)"', page))
        value = instructed[1] if instructed else 4 if len(names) > 1 else 5
        return {"trial": found[1], **dict.fromkeys(names, value)}

    def finish(self) -> int:
        """Answer all pages. Returns their number."""
        for number in range(100):
            page = self.get("/trial")
            if page.status == 303:
                assert page.headers["location"].endswith("/done")
                return number
            assert self.post("/trial", self.answers_for(page.text)).status == 303
        raise AssertionError("the survey does not end")
