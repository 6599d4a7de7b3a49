"""The survey pages over HTTP: a complete survey, resuming, withdrawal, proxies, and hostile input."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cssgan.survey.definition import RESULTS_FILE, read_survey
from cssgan.survey.store import Store
from cssgan.survey.trials import rater_trials
from phonics_data.errors import InputError
from tests.cssgan.survey.http_client import RaterClient, served
from tests.cssgan.survey.videos import make_survey
from tests.slow_clients import HALF_REQUEST, slow_clients

pytestmark = pytest.mark.dependencies


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_survey(tmp_path_factory.mktemp("survey"), title="Videos & <audio>")


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "survey"))


@pytest.fixture
def running(folder: Path) -> Iterator[tuple[int, Store]]:
    with served(folder) as (port, store):
        yield port, store


def test_a_complete_survey(folder: Path, running: tuple[int, Store]) -> None:
    port, store = running
    rater = RaterClient(port)
    welcome = rater.get("/")
    assert welcome.status == 200
    assert "<h1>Videos &amp; &lt;audio&gt;</h1>" in welcome.text
    assert "There are 6 pages" in welcome.text
    assert rater.begin().finish() == 6

    assert "Thank you" in rater.get("/done").text
    assert rater.get("/trial").headers["location"] == "/done"
    assert store.counts() == {"consented": 1, "finished": 1, "withdrew": 0}
    answers = store.answers()
    assert Counter(answer.question for answer in answers) == {
        "synchrony": 3, "quality": 3, "association": 3, "naturalness": 3,
    }  # fmt: skip
    trials = rater_trials(read_survey(folder), 0)
    assert all(trial.passed([a.value for a in answers if a.trial == trial.index]) for trial in trials)
    assert all(answer.answered_at >= answer.shown_at for answer in answers)


def test_only_the_videos_of_the_survey_are_served_with_range_requests(folder: Path, running: tuple[int, Store]) -> None:
    rater = RaterClient(running[0]).begin()
    page = rater.get("/trial").text
    video = re.search(r'src="(/media/[0-9a-f]{16}\.mp4)"', page)
    assert video is not None
    content = (folder / video[1].lstrip("/")).read_bytes()
    part = rater.send("GET", video[1], headers={"Range": "bytes=4-11"})
    assert part.status == 206
    assert part.headers["content-range"] == f"bytes 4-11/{len(content)}"
    assert part.text == content[4:12].decode()
    assert part.headers["content-type"] == "video/mp4"
    for path in (
        "/media/../survey.json", "/media/..%2fsurvey.json", "/media/%2e%2e/results.sqlite", "/media/results.sqlite",
        "/media/%00", "/static/../app.py", "/static/app.py", "/static/..%2f..%2fcli.py", "/survey.json", "/media/",
        "/media//etc/passwd", "/media/..%5csurvey.json",
    ):  # fmt: skip
        page_ = rater.send("GET", path)
        assert page_.status == 404, path
        assert "schema_version" not in page_.text


def test_links_out_of_the_media_folder_are_not_served(tmp_path: Path) -> None:
    folder = make_survey(tmp_path)
    (tmp_path / "secret").write_text("secret")
    with served(folder) as (port, store):
        rater = RaterClient(port)
        names = sorted(path.name for path in (folder / "media").iterdir())
        inside, outside, missing, in_a_circle = (folder / "media" / name for name in names[:4])
        inside.unlink()
        inside.symlink_to(names[5])
        for path, target in ((outside, tmp_path / "secret"), (missing, tmp_path / "no"), (in_a_circle, in_a_circle)):
            path.unlink()
            path.symlink_to(target)
        assert rater.get(f"/media/{inside.name}").status == 200
        for path in (outside, missing, in_a_circle):
            assert rater.get(f"/media/{path.name}").status == 404
        assert rater.begin().get("/trial").status == 200
        assert store.counts()["consented"] == 1


def test_pages_allow_no_external_content(running: tuple[int, Store]) -> None:
    rater = RaterClient(running[0])
    for page in (rater.get("/"), rater.begin().get("/trial"), rater.get("/gone")):
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "same-origin"
        assert "style=" not in page.text
        assert "http" not in page.text
        assert '<html lang="en">' in page.text


def test_consent_is_checked_on_the_server(running: tuple[int, Store]) -> None:
    port, store = running
    rater = RaterClient(port)
    page = rater.post("/start", {"consent": "no"})
    assert page.status == 422
    assert 'role="alert"' in page.text
    assert rater.cookie == ""
    assert rater.get("/trial").headers["location"] == "/"
    assert store.counts()["consented"] == 0


def test_a_rater_resumes_after_a_restart(folder: Path) -> None:
    with served(folder) as (port, _):
        rater = RaterClient(port).begin()
        for _page in range(3):
            rater.post("/trial", rater.answers_for(rater.get("/trial").text))
        before = rater.get("/trial").text
    with served(folder) as (port, store):
        rater = RaterClient(port, cookie=rater.cookie)
        assert "You have answered 3 pages" in rater.get("/").text
        assert rater.get("/trial").text == before
        assert rater.post("/start", {"consent": "yes"}).status == 303, "a second click adds no second rater"
        assert rater.finish() == 3
        assert store.counts() == {"consented": 1, "finished": 1, "withdrew": 0}


def test_missing_answers_are_named_and_given_answers_kept(running: tuple[int, Store]) -> None:
    port, store = running
    rater = RaterClient(port).begin()
    while 'name="quality"' not in (page := rater.get("/trial").text):
        rater.post("/trial", rater.answers_for(page))
    before = len(store.answers())
    fields = {**rater.answers_for(page), "quality": 2}
    fields.pop("naturalness")
    again = rater.post("/trial", fields)
    assert again.status == 422
    assert '<a href="#naturalness-1">' in again.text
    assert '<a href="#quality-1">' not in again.text
    assert re.search(r'name="quality" value="2" required checked', again.text)
    assert len(store.answers()) == before


def test_the_first_answer_is_kept(running: tuple[int, Store]) -> None:
    port, store = running
    rater = RaterClient(port).begin()
    fields = rater.answers_for(rater.get("/trial").text)
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda value: rater.post("/trial", {**fields, "synchrony": value}), range(1, 9)))
    assert {page.status for page in pages} == {303}
    assert len(store.answers()) == 1
    first = store.answers()[0].value
    assert rater.post("/trial", {**fields, "synchrony": 9}).status == 303
    assert store.answers()[0].value == first


def test_withdrawing_deletes_everything(folder: Path, running: tuple[int, Store]) -> None:
    port, store = running
    remaining, withdrawn = RaterClient(port).begin(), RaterClient(port).begin()
    assert remaining.finish() == withdrawn.finish() == 6
    withdrawn.post("/comment", {"comment": "my comment"})
    token = withdrawn.cookie
    assert "will be deleted" in withdrawn.get("/withdraw").text
    assert "Your answers are deleted" in withdrawn.post("/withdraw", {}).text
    assert {answer.rater for answer in store.answers()} == {1}
    assert store.counts() == {"consented": 2, "finished": 1, "withdrew": 1}
    assert RaterClient(port, cookie=token).get("/trial").headers["location"] == "/", "the old cookie is invalid"
    on_disk = b"".join(path.read_bytes() for path in folder.glob(f"{RESULTS_FILE}*"))
    assert b"my comment" not in on_disk
    assert remaining.get("/done").status == 200


def test_behind_a_proxy(folder: Path) -> None:
    with served(folder, base="/study/one") as (port, store):
        without_prefix = RaterClient(port, headers={"X-Forwarded-Proto": "https"})
        start = without_prefix.post("/start", {"consent": "yes"})  # this proxy forwards /start
        assert start.headers["location"] == "/study/one/trial"
        cookie = start.headers["set-cookie"]
        assert "Path=/study/one" in cookie
        assert "Secure" in cookie
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert 'action="/study/one/trial"' in without_prefix.get("/trial").text
        with_prefix = RaterClient(port, base="/study/one")  # this proxy forwards /study/one/start
        page = with_prefix.get("/")
        assert 'href="/study/one/static/style.css"' in page.text
        assert with_prefix.begin().finish() == 6
        assert "Secure" not in with_prefix.post("/start", {"consent": "yes"}).headers.get("set-cookie", "")
        video = re.search(r'src="(/study/one/media/[^"]+)"', without_prefix.get("/trial").text)
        assert video is not None
        assert with_prefix.send("GET", video[1]).status == 200
        assert store.counts()["finished"] == 1


HOSTILE = (
    ({"trial": "0", "synchrony": "10"}, 400),
    ({"trial": "0", "synchrony": "0"}, 400),
    ({"trial": "0", "synchrony": "-1"}, 400),
    ({"trial": "0", "synchrony": "5.0"}, 400),
    ({"trial": "0", "synchrony": "<script>alert(1)</script>"}, 400),
    ({"trial": "0", "synchrony": "٥"}, 400),
    ({"trial": "1", "synchrony": "5"}, (400, 409)),
    ({"trial": "5", "quality": "4", "association": "4", "naturalness": "4"}, 409),
    ({"trial": "99", "synchrony": "5"}, 400),
    ({"trial": "-1", "synchrony": "5"}, 400),
    ({"trial": "9" * 5000, "synchrony": "5"}, 400),
    ({"trial": "' OR 1=1 --", "synchrony": "5"}, 400),
    ({"synchrony": "5"}, 400),
    ({}, 400),
)


def test_hostile_input_changes_nothing(folder: Path, running: tuple[int, Store]) -> None:
    port, store = running
    honest = RaterClient(port).begin()
    honest.post("/trial", honest.answers_for(honest.get("/trial").text))
    before, page = store.answers(), honest.get("/trial").text

    attacker = RaterClient(port).begin()
    attacker.get("/trial")
    for fields, status in HOSTILE:
        got = attacker.post("/trial", fields)
        assert got.status == status or (isinstance(status, tuple) and got.status in status), fields
        assert "<script>alert" not in got.text
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body, headers, status in (
        (b"x" * 20_000, form, 413),
        (b"trial=0&synchrony=5&trial=1", form, 400),
        (b"&".join(b"a%d=1" % n for n in range(500)), form, 400),
        (b"trial=0&synchrony=\xff\xfe", form, 400),
        (b'{"trial": 0, "synchrony": 5}', {"Content-Type": "application/json"}, 415),
        (b"trial=0&synchrony=5", {}, 415),
        (b"trial=0&synchrony=5", {**form, "Sec-Fetch-Site": "cross-site"}, 403),
        (b"trial=0&synchrony=5", {**form, "Sec-Fetch-Site": "same-site"}, 403),
    ):
        assert attacker.send("POST", "/trial", body, headers).status == status, body[:40]
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "POST"):
        assert attacker.send(method, "/done").status == 405
    assert store.answers() == before
    assert honest.get("/trial").text == page
    assert honest.finish() == 5


@pytest.mark.parametrize("token", ["1", "rater-1", "' OR '1'='1", "%00", "x" * 6_000, "\xff\xfe", ""])
def test_forged_tokens_are_invalid(running: tuple[int, Store], token: str) -> None:
    port, store = running
    RaterClient(port).begin().finish()
    before = store.answers()
    forger = RaterClient(port, cookie=f"rater={token}")
    for path in ("/trial", "/done", "/withdraw"):
        assert forger.get(path).headers.get("location") == "/"
    assert forger.post("/trial", {"trial": 0, "synchrony": 1}).headers["location"] == "/"
    assert forger.post("/withdraw", {}).headers["location"] == "/"
    assert forger.post("/comment", {"comment": "x"}).headers["location"] == "/"
    assert store.answers() == before


def test_results_contain_no_token(folder: Path, running: tuple[int, Store]) -> None:
    rater = RaterClient(running[0]).begin()
    secret = rater.cookie.partition("=")[2]
    with sqlite3.connect(folder / RESULTS_FILE) as results:
        dump = "\n".join(results.iterdump())
    results.close()
    assert secret not in dump
    forged = re.search(r"'([0-9a-f]{64})'", dump)
    assert forged is not None
    assert RaterClient(running[0], cookie=f"rater={forged[1]}").get("/trial").headers["location"] == "/"


@pytest.mark.parametrize(
    "sent",
    [
        HALF_REQUEST,
        b"POST /trial HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 1000\r\n\r\ntrial=0",
    ],
)
def test_incomplete_requests_block_no_one(running: tuple[int, Store], sent: bytes) -> None:
    with slow_clients(running[0], 1200, sent):
        assert RaterClient(running[0]).begin().finish() == 6


def test_two_hundred_raters_at_once(tmp_path: Path) -> None:
    folder = make_survey(tmp_path, singles=1, pairs=1, checks=0)
    with served(folder) as (port, store):
        with ThreadPoolExecutor(200) as pool:
            numbers = list(pool.map(lambda _: RaterClient(port).begin().finish(), range(200)))
        assert numbers == [2] * 200
        assert store.counts() == {"consented": 200, "finished": 200, "withdrew": 0}
        found = Counter((answer.rater, answer.trial) for answer in store.answers())
    assert found == {(rater, trial): 1 + 2 * trial for rater in range(1, 201) for trial in (0, 1)}


def test_html_in_a_comment_is_text(running: tuple[int, Store]) -> None:
    port, store = running
    rater = RaterClient(port).begin()
    assert rater.post("/comment", {"comment": "too early"}).headers["location"] == "/"
    rater.finish()
    page = rater.post("/comment", {"comment": "<b>bold</b>\x00\x1b[31m\nline"})
    assert "<b>bold" not in page.text
    assert store.comments() == ["<b>bold</b>[31m\nline"]
    rater.post("/comment", {"comment": "y" * 5_000})
    assert store.comments() == ["y" * 2_000]


def test_results_of_another_survey_are_an_error(folder: Path) -> None:
    Store(folder / RESULTS_FILE, read_survey(folder).digest()).close()
    text = (folder / "survey.json").read_text()
    (folder / "survey.json").write_text(text.replace("Videos &", "Other videos &"))
    with pytest.raises(InputError, match=r"contains answers to another version of survey\.json"):
        Store(folder / RESULTS_FILE, read_survey(folder).digest())
    (folder / RESULTS_FILE).write_bytes(b"this is not a database, but as long as a header" * 20)
    with pytest.raises(InputError, match="cannot be used as results"):
        Store(folder / RESULTS_FILE, "digest")
