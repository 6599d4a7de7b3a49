"""The survey in Chromium: by mouse, by keyboard, on a small window, and without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cssgan.survey.store import Store
from tests.cssgan.survey.http_client import served
from tests.cssgan.survey.videos import make_survey

ENDED = "video => video.ended || new Promise(done => video.addEventListener('ended', done))"


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    folder = make_survey(tmp_path_factory.mktemp("browser"), singles=1, pairs=1, checks=2, contact="us@example.org")
    with served(folder) as (port, store):
        yield f"http://127.0.0.1:{port}/", store


def open_page(browser: Any, address: str, **options: Any) -> tuple[Any, list[str]]:
    page = browser.new_context(**options).new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text))
    # Chromium aborts the first request of a video and requests the rest separately, so failed requests are ignored.
    page.on("response", lambda answer: errors.append(answer.url) if answer.status >= 400 else None)
    page.goto(address)
    return page, errors


def on_page(page: Any, number: int) -> None:
    """Wait until page `number` is loaded with its style and script."""
    page.get_by_role("heading", name=f"page {number} of 4").wait_for()
    page.wait_for_load_state("load")


def play_all(page: Any) -> None:
    for video in page.locator("video").all():
        video.evaluate("video => video.play()")
        video.evaluate(ENDED)


def expected_answer(page: Any, default: int) -> int:
    """The answer that a check requests, or `default`."""
    text = page.locator("legend").first.inner_text()
    return int(text.partition("please choose ")[2].rstrip(".")) if "please choose" in text else default


def test_without_https_on_another_machine(browser: Any, survey: tuple[str, Store]) -> None:
    """Browsers send no Sec-Fetch-Site there, and the forms are accepted by their Origin."""
    address = survey[0].replace("127.0.0.1", "survey.test")
    page, errors = open_page(browser, address)
    page.get_by_role("checkbox").check()
    with page.expect_request(lambda request: request.method == "POST") as sent:
        page.get_by_role("button", name="Begin").click()
    on_page(page, 1)
    assert "sec-fetch-site" not in sent.value.all_headers()
    assert sent.value.all_headers()["origin"] == address.rstrip("/")
    assert errors == []


@pytest.mark.parametrize("width", [1100, pytest.param(400, marks=pytest.mark.slow)])
def test_by_mouse(browser: Any, survey: tuple[str, Store], tmp_path: Path, width: int) -> None:
    address, store = survey
    before = store.counts()["finished"]
    page, errors = open_page(browser, address, viewport={"width": width, "height": 900})
    page.get_by_role("button", name="Begin").click()
    assert page.url == address, "the box must be ticked first"
    page.get_by_label("I have read this").check()
    page.screenshot(path=tmp_path / "welcome.png", full_page=True)
    page.get_by_role("button", name="Begin").click()
    for number in range(4):
        on_page(page, number + 1)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
            "the page does not overflow horizontally"
        )
        videos = page.locator("video")
        assert videos.count() in (1, 2)
        step = expected_answer(page, 4)
        for group in page.get_by_role("group").all():
            group.get_by_label(str(step)).first.check()
        page.screenshot(path=tmp_path / f"page-{number}.png", full_page=True)
        page.get_by_role("button", name="Next").click()
        assert "to" in page.get_by_role("status").inner_text(), "the hint requests to play the videos"
        play_all(page)
        decoded = videos.first.evaluate("video => [video.videoWidth, video.webkitAudioDecodedByteCount, video.error]")
        assert decoded[0] == 128
        assert decoded[1] > 0, "the video has audio"
        assert decoded[2] is None
        page.get_by_role("button", name="Next").click()
    page.wait_for_url("**/done")
    page.get_by_label("Do you have any comments?").fill("nice <b>videos</b>")
    page.screenshot(path=tmp_path / "done.png", full_page=True)
    page.get_by_role("button", name="Send").click()
    page.get_by_text("Your comment is stored.").wait_for()
    assert store.counts()["finished"] == before + 1
    assert errors == []
    page.context.close()


def focused(page: Any) -> str:
    return page.evaluate(
        "(e => [e.tagName, e.type || '', e.name || '', e.id].join(' ').toLowerCase())(document.activeElement)"
    )


def tab_to(page: Any, start: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if focused(page).startswith(start):
            return
    raise AssertionError(f"Tab does not reach {start!r}")


def test_by_keyboard(browser: Any, survey: tuple[str, Store]) -> None:
    address, store = survey
    before = store.counts()["finished"]
    page, errors = open_page(browser, address)
    tab_to(page, "input checkbox")
    page.keyboard.press("Space")
    tab_to(page, "button")
    page.keyboard.press("Enter")
    for number in range(4):
        on_page(page, number + 1)
        for index in range(page.locator("video").count()):
            tab_to(page, f"video   {page.locator('video').nth(index).get_attribute('id')}")
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid", "the focus is visible"
            page.keyboard.press("Space")
            page.locator("video").nth(index).evaluate(ENDED)
        step = expected_answer(page, 4)
        for name in page.eval_on_selector_all("fieldset input[value='1']", "all => all.map(one => one.name)"):
            tab_to(page, f"input radio {name}")
            page.keyboard.press("Space")
            for _ in range(step - 1):
                page.keyboard.press("ArrowRight")
            assert page.evaluate("document.activeElement.value") == str(step)
        page.keyboard.press("Enter")
    page.get_by_role("heading", name="Thank you").wait_for()
    rater = max(answer.rater for answer in store.answers())
    mine = [answer.value for answer in store.answers() if answer.rater == rater]
    assert mine.count(4) >= 7
    assert store.counts()["finished"] == before + 1
    assert errors == []
    page.context.close()


@pytest.mark.slow
def test_screen_reader_texts(browser: Any, survey: tuple[str, Store]) -> None:
    page, _ = open_page(browser, survey[0])
    page.get_by_label("I have read this").check()
    page.get_by_role("button", name="Begin").click()
    for number in range(4):
        on_page(page, number + 1)
        assert page.title().startswith("Page ")
        assert page.locator("html").get_attribute("lang") == "en"
        assert page.get_by_role("progressbar", name="Pages answered").count() == 1
        groups = page.get_by_role("group").all()
        for group, legend in zip(groups, page.locator("legend").all_inner_texts(), strict=True):
            assert page.get_by_role("group", name=legend).count() == 1
            names = [label.inner_text() for label in group.locator("label").all()]
            assert len(names) in (7, 9)
            assert all(name.split()[0] == str(n) for n, name in enumerate(names, 1))
            assert group.get_by_role("radio").count() == len(names)
        assert all(video.get_attribute("aria-label", timeout=100) for video in page.locator("video").all())
        step = expected_answer(page, 4)
        page.evaluate("document.querySelectorAll('input').forEach(one => one.required = false)")
        play_all(page)
        if len(groups) > 1:  # the server names the missing answers and sets the focus on the message
            page.get_by_role("button", name="Next").click()
            page.locator("[role=alert]:focus").wait_for()
            page.locator(".error a").last.click()
            play_all(page)
        for group in page.get_by_role("group").all():
            group.get_by_role("radio").nth(step - 1).check()
        page.get_by_role("button", name="Next").click()
    page.wait_for_url("**/done")
    page.context.close()


@pytest.mark.slow
def test_without_javascript(browser: Any, survey: tuple[str, Store]) -> None:
    address, store = survey
    before = store.counts()["finished"]
    page, _ = open_page(browser, address, java_script_enabled=False)
    page.get_by_label("I have read this").check()
    page.get_by_role("button", name="Begin").click()
    for number in range(4):
        on_page(page, number + 1)
        step = expected_answer(page, 4)
        for group in page.get_by_role("group").all():
            group.get_by_role("radio").nth(step - 1).check()
        page.get_by_role("button", name="Next").click()
    page.wait_for_url("**/done")
    assert store.counts()["finished"] == before + 1
    page.context.close()
