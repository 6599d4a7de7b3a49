"""The review in Chromium: a damaged song is corrected by keyboard alone; reloads, dead servers and other tabs lose nothing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas
import pytest

from phonics_data.sources.synthetic import render
from phonics_data.stages.reviewed_segments import automatic_segments
from phonics_data.storage.reviews import read_reviews
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import Segment
from tests.phonics_data.review.served_review import ReviewServer

pytestmark = pytest.mark.dependencies
RATE = 25


def phonics_data(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "phonics_data", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


SONG = "song-0001"
"""Of two rendered songs with seed 1: 18 segments, captions with words."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the workspace `work` and the dataset `dataset` of one rendered song."""
    folder = tmp_path_factory.mktemp("review")
    render.render_songs(folder / "songs", num_songs=2, seed=1, workers=1)
    arguments = ["--only", SONG, "--engine", "captions", "--ocr", "never", "--split-ratios", "1,0,0"]
    phonics_data(
        "build", folder / "songs" / "manifest.csv", "--work", folder / "work", "--out", folder / "dataset", *arguments
    )
    return folder


@pytest.fixture
def work(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built / "work", tmp_path / "work"))


def true_segments(work: Path) -> tuple[Segment, ...]:
    return automatic_segments(Workspace(work), SONG)


def damage(work: Path) -> int:
    """Damage the automatic segments in ten ways. Returns the number of segments after it."""
    path = Workspace(work).ledger("segment").path(SONG)
    entry = json.loads(path.read_text())
    kept = entry["outcome"]["kept"]
    assert len(kept) >= 18
    one = [dict(row) for row in kept]
    one[1]["start_seconds"] += 0.4
    one[3]["end_seconds"] -= 0.4
    one[5]["letter"] = "X"
    one[7]["end_seconds"] = one[8]["end_seconds"]
    one[15]["object_word"] = "wrong word"
    one[17]["start_seconds"] += 0.28
    one[17]["end_seconds"] += 0.28
    one[16]["letter"], one[16]["end_seconds"] = "A", one[16]["end_seconds"] - 0.4
    extra = {**one[12], "letter": "Z", "start_seconds": one[12]["start_seconds"] + 0.2}
    halves = [dict(one[13]), dict(one[13])]
    middle = round((one[13]["start_seconds"] + one[13]["end_seconds"]) / 2 * RATE) / RATE
    halves[0]["end_seconds"] = halves[1]["start_seconds"] = middle
    damaged = [*one[:8], *one[9:10], *one[11:13], extra, *halves, *one[14:]]
    entry["outcome"]["kept"] = damaged
    path.write_text(json.dumps(entry))
    return len(damaged)


class Person:
    """Uses the page by keyboard, and reads it."""

    def __init__(self, browser: Any, server: ReviewServer, context: Any = None) -> None:
        self.context = context or browser.new_context(viewport={"width": 1400, "height": 1000})
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.server = server
        self.num_keys = 0

    def open(self, path: str = f"/song/{SONG}") -> Person:
        self.page.goto(self.server.url + path)
        self.page.locator("body[data-ready=yes]").wait_for()
        return self

    def keys(self, *names: str) -> Person:
        for name in names:
            self.page.keyboard.press(name)
            self.num_keys += 1
        return self

    def type(self, text: str) -> Person:
        self.page.keyboard.type(text)
        self.num_keys += len(text)
        return self

    def saved(self) -> Person:
        self.page.locator("#status", has_text=re.compile(r"^Saved\.$")).wait_for()
        return self

    def rows(self) -> list[tuple[str, str, float, float]]:
        texts = self.page.locator("#segments button").all_text_contents()
        found = [re.match(r"([A-Z]) (.*), ([\d.]+) to ([\d.]+) s, ", text) for text in texts]
        return [(row[1], row[2], float(row[3]), float(row[4])) for row in found if row is not None]

    def select(self, letter: str, near: float) -> Person:
        """Select the segment of a letter whose start is nearest, with n and p."""
        rows = self.rows()
        target = min((i for i, row in enumerate(rows) if row[0] == letter), key=lambda i: abs(rows[i][2] - near))
        current = int(self.page.locator("#segments button[aria-current=true]").get_attribute("data-row"))
        return self.keys(*(["n"] if target > current else ["p"]) * abs(target - current))

    def position(self, start: float, wanted: float) -> Person:
        """Move the position from `start`, where it is, to `wanted`, by seconds and frames."""
        frames = round((wanted - start) * RATE)
        return self.keys(*[">"] * (frames // RATE), *["."] * (frames % RATE))

    def fill(self, key: str, *values: str) -> Person:
        """Type values into the field that `key` selects and the following ones."""
        self.keys(key)
        for number, value in enumerate(values):
            if number:
                self.keys("Tab")
            self.keys("Control+A").type(value)
        return self.keys("Enter")


def repair(person: Person, true: tuple[Segment, ...]) -> None:
    """Correct the ten damages with keys."""
    at = [one.start_seconds for one in true]
    letters = [one.letter for one in true]
    word = [one.object_word or "" for one in true]

    person.select(letters[1], at[1]).keys("[", "Shift+ArrowLeft")
    person.select(letters[3], at[3]).keys("]", "Shift+ArrowRight")
    person.select("X", at[5]).keys(f"Shift+{letters[5]}")
    person.select(letters[7], at[7]).keys("[").position(at[7], at[8]).keys("x")
    person.keys(f"Shift+{letters[8]}").fill("w", word[8])  # the second part is selected
    person.select(letters[9], at[9]).keys("[").position(at[9], at[10]).keys("a", f"Shift+{letters[10]}")
    person.fill("t", f"{at[10]:.3f}", f"{true[10].end_seconds:.3f}").fill("w", word[10])
    person.select("Z", at[12] + 0.2).keys("d")
    person.select(letters[13], at[13]).keys("j")
    person.select(letters[15], at[15]).fill("w", word[15])
    person.select(letters[17], at[17]).fill("t", f"{at[17]:.3f}", f"{true[17].end_seconds:.3f}")
    person.select("A", at[16]).keys(f"Shift+{letters[16]}", "]", "Shift+ArrowRight")
    person.keys("c")


def expected(true: tuple[Segment, ...]) -> list[tuple[str, str, float, float]]:
    return [(one.letter, one.object_word or "", round(one.start_seconds, 3), round(one.end_seconds, 3)) for one in true]


def clips(dataset: Path) -> list[tuple[Any, ...]]:
    """What identifies the clips of a dataset: label, word, times, and the SHA-256 of frames and audio."""
    table = pandas.read_parquet(dataset / "metadata.parquet").sort_values("start_seconds")
    return list(
        table[["sample_id", "label", "object_word", "start_seconds", "end_seconds", "sha256"]].itertuples(
            index=False, name=None
        )
    )


def test_a_damaged_song_is_corrected_by_keyboard_alone(browser: Any, built: Path, work: Path, tmp_path: Path) -> None:
    true = true_segments(work)
    num_damaged = damage(work)
    server = ReviewServer(work).start()
    try:
        person = Person(browser, server).open()
        assert len(person.rows()) == num_damaged
        assert person.rows() != expected(true)
        repair(person, true)
        person.saved()
        assert person.rows() == expected(true)
        print(f"{person.num_keys} keys for ten damages and the completion of a song of {len(true)} segments")
        person.page.locator("body[data-evidence=yes]").wait_for(timeout=120_000)  # the loudness is stored with it
        assert person.errors == []
        person.context.close()
    finally:
        assert server.stop() == ""
    reviews = read_reviews(work / "reviews.csv")
    assert {row.reviewer for row in reviews.rows} == {"Ada"}
    assert reviews.copies[0].loudness
    phonics_data("segment", "--work", work)
    segments = read_table(work / "segments.parquet", Segment)
    assert {(one.evidence, one.confidence) for one in segments} == {("review", 1.0)}
    phonics_data("shard", "--work", work, "--out", tmp_path / "dataset", "--split-ratios", "1,0,0")
    assert "no fault" in phonics_data("verify", tmp_path / "dataset")
    assert clips(tmp_path / "dataset") == clips(built / "dataset")
    assert set(pandas.read_parquet(tmp_path / "dataset" / "metadata.parquet").evidence) == {"review"}


def test_reload_undo_and_kill_lose_nothing(browser: Any, work: Path) -> None:
    true = true_segments(work)
    server = ReviewServer(work).start()
    try:
        person = Person(browser, server).open()
        before = person.rows()
        first = before[0]
        person.keys("Shift+X").saved()
        person.keys("n", "d").saved()
        changed = person.rows()
        person.page.reload()
        person.page.locator("body[data-ready=yes]").wait_for()
        assert person.rows() == changed
        person.keys("Control+z").saved()
        assert len(person.rows()) == len(before)
        person.keys("u").saved()
        assert person.rows() == before, "undo works after a reload"
        person.keys("r", "r").saved()
        assert person.rows() == changed

        server.kill()
        person.select("X", first[2]).keys("[", "ArrowRight")
        person.page.locator("#status.error", has_text="Not saved yet").wait_for()
        moved = person.rows()
        assert moved != changed
        server.start()
        person.saved()
        assert [row.after.start_seconds for row in read_reviews(work / "reviews.csv").rows if row.after] == [
            moved[0][2]
        ]

        server.kill()
        person.keys("ArrowRight")
        person.page.locator("#status.error", has_text="Not saved yet").wait_for()
        later = person.rows()
        person.page.close()  # the tab dies before the server is back
        server.start()
        again = Person(browser, server, person.context).open().saved()
        assert again.rows() == later
        assert read_reviews(work / "reviews.csv").rows[0].after is not None
        assert person.errors == again.errors == []
        assert automatic_segments(Workspace(work), SONG) == true
        person.context.close()
    finally:
        server.stop()


def test_two_tabs_do_not_overwrite_each_other(browser: Any, work: Path) -> None:
    server = ReviewServer(work).start()
    try:
        one = Person(browser, server).open()
        other = Person(browser, server).open()
        second = true_segments(work)[1].letter
        one.keys("Shift+Z").saved()
        other.keys("n", "Shift+R")
        other.page.locator("#conflict").wait_for()
        assert [row[0] for row in one.rows()][:2] == ["Z", second]
        other.page.keyboard.press("Enter")  # the first button has the focus: show their version
        assert [row[0] for row in other.rows()][:2] == ["Z", second]
        other.page.locator("#segments button").first.focus()
        other.keys("Shift+R").saved()
        assert [row[0] for row in other.rows()][:2] == ["Z", "R"]
        one.keys("Shift+S")
        one.page.locator("#conflict").wait_for()
        one.page.locator("#keep-mine").press("Enter")
        one.saved()
        assert {row.after.letter for row in read_reviews(work / "reviews.csv").rows if row.after} == {"S"}
        assert one.errors == other.errors == []
        for person in (one, other):
            person.context.close()
    finally:
        server.stop()


def test_every_control_has_a_name_and_keys_are_listed(browser: Any, work: Path) -> None:
    server = ReviewServer(work, ("--root-path", "/review/one")).start()
    try:
        person = Person(browser, server).open()
        for path in (f"/song/{SONG}", "/", "/clips?letter=A"):
            person.page.goto(server.url + path)
            person.page.locator("main").wait_for()
            person.page.wait_for_timeout(500)
            unnamed = person.page.evaluate(
                """() => [...document.querySelectorAll("button, input, select, a, canvas, li[tabindex]")]
                .filter(one => !(one.ariaLabel || one.textContent.trim() || one.labels?.length)).map(one => one.outerHTML)"""
            )
            assert unnamed == [], path
            person.page.keyboard.press("?")
            assert person.page.locator("#help").is_visible()
            assert person.page.locator("#keys tr").count() >= 5
            person.page.keyboard.press("Escape")
        assert person.errors == []
        person.context.close()
    finally:
        server.stop()


def test_clips_of_a_letter_are_confirmed_relabelled_and_dropped(browser: Any, work: Path) -> None:
    letter = true_segments(work)[0].letter
    server = ReviewServer(work).start()
    try:
        person = Person(browser, server)
        person.page.goto(f"{server.url}/clips?letter={letter}")
        clip = person.page.locator("#grid li").first
        clip.wait_for()
        count = person.page.locator("#grid li").count()
        # The clip with the focus plays.
        clip.locator("video").evaluate(
            "video => video.currentTime > 0 || new Promise(done => video.addEventListener('timeupdate', done))"
        )
        person.keys("a")
        person.page.locator("#status", has_text=f"Confirmed: {count}").wait_for()
        person.page.locator("#grid li.decided").first.wait_for()
        person.keys("Shift+X")
        person.page.locator("#status", has_text="Relabelled as X: 1").wait_for()
        assert person.page.locator("#grid li").count() == count - 1
        person.keys("u")
        person.page.locator("#status", has_text="Done. Saved.").wait_for()
        assert person.page.locator("#grid li").count() == count
        person.keys("d")
        person.page.locator("#status", has_text="Dropped: 1").wait_for()
        rows = read_reviews(work / "reviews.csv").rows
        assert sorted(row.decision for row in rows) == sorted(["drop", *["keep"] * (count - 1)])
        assert person.errors == []
        person.context.close()
    finally:
        server.stop()
