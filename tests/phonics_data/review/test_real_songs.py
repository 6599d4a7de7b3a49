"""The four real songs with ground truth are brought to F1 1.0 in Chromium; the test states the number of actions and keys."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest

from phonics_data.segmentation.scoring import iou, join_split_segments, matched_pairs, read_truth_table, score_segments
from phonics_data.stages.reviewed_segments import automatic_segments
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import Segment, TrueSegment
from tests.phonics_data.review.served_review import ReviewServer
from tests.phonics_data.review.test_browser import Person, phonics_data

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
SONGS = {
    "cards": "Mahesh-Abeykoon+dyslexia-app-for-kids",
    "rounds": "Dls96+Aprenda_Ingles_Projeto",
    "rows": "Dev4X+Alpha-Moon",
    "pairs": "aleezaraza3+myapp",
}
MIN_IOU = 0.75


@dataclasses.dataclass
class Actions:
    """Decisions of a person: segments dropped, moved and added, and keys pressed."""

    dropped: int = 0
    moved: int = 0
    added: int = 0
    keys: int = 0


def review_to_truth(person: Person, automatic: tuple[Segment, ...], truth: list[TrueSegment]) -> Actions:
    """Go through the segments of the open song once: drop or move the wrong ones, add the missing ones, complete it.

    A segment that is right is passed with one key; of a divided phrase, each part.
    """
    phrases = join_split_segments(automatic)
    right = {id(one): true for one, true in matched_pairs(phrases, truth, MIN_IOU)}
    near = {
        id(one): true
        for one, true in matched_pairs(
            [one for one in phrases if id(one) not in right and one in automatic],
            [true for true in truth if true not in right.values()],
            0.01,
        )
    }
    done = Actions()
    person.keys("p")
    for one in phrases:
        parts = sum(
            one.start_seconds <= part.start_seconds < one.end_seconds for part in automatic if part.letter == one.letter
        )
        if id(one) in right:
            person.keys(*["n"] * parts)
        elif id(one) in near:
            true = near[id(one)]
            person.fill("t", f"{true.start_seconds:.3f}", f"{true.end_seconds:.3f}")
            person.select(true.letter, true.start_seconds).keys("n")
            done.moved += 1
        else:
            person.keys(*["d"] * parts)
            done.dropped += parts
    for true in truth:
        if true in right.values() or true in near.values():
            continue
        before = len(person.rows())
        person.keys("<", "a")
        assert len(person.rows()) == before + 1, person.page.locator("#status").text_content()
        person.keys(f"Shift+{true.letter}").fill("t", f"{true.start_seconds:.3f}", f"{true.end_seconds:.3f}")
        done.added += 1
    person.keys("c").saved()
    done.keys = person.num_keys
    return done


def bring_to_truth(browser: Any, work: Path, folder: Path, name: str) -> str:
    """Review one song; returns a line with the measured values."""
    workspace = Workspace(work)
    truth = read_truth_table(folder / "truth.tsv", name)
    automatic = automatic_segments(workspace, name)
    before = [score_segments(automatic, truth, at).f1 for at in (0.5, MIN_IOU)]
    server = ReviewServer(work, ("--min-frames", "1")).start()
    start = time.monotonic()
    try:
        person = Person(browser, server).open(f"/song/{name}")
        done = review_to_truth(person, automatic, truth)
        assert person.errors == []
        person.context.close()
    finally:
        server.stop()
    seconds = time.monotonic() - start
    # Letters shorter than the minimum of a clip are in the truth too.
    phonics_data("segment", "--work", work, "--min-frames", "1")
    found = [one for one in read_table(workspace.table("segments"), Segment) if one.video_id == name]
    after = [score_segments(found, truth, at).f1 for at in (0.5, MIN_IOU)]
    assert after == [1.0, 1.0], (name, [one for one in truth if not any(iou(one, other) > MIN_IOU for other in found)])
    return (
        f"{name}: {len(truth)} letters, F1 {before[0]:.3f} / {before[1]:.3f} -> 1.0: {done.moved} moved, {done.dropped} dropped, "
        f"{done.added} added, {done.keys} keys, {seconds:.0f} s of the browser"
    )


def test_real_songs_reach_their_truth(browser: Any, shared_data: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    rows = ["video_id,url"]
    for name, folder in SONGS.items():
        media = next(one for one in (shared_data / "media" / folder).iterdir() if one.suffix != ".tsv")
        rows.append(f"{name},{media}")
    (tmp_path / "songs.csv").write_text("\n".join(rows) + "\n")
    phonics_data("fetch", tmp_path / "songs.csv", "--work", work, "--sleep", "0", "0")
    phonics_data("transcribe", "--work", work, "--engine", "captions")
    phonics_data("segment", "--work", work)
    for name, folder in SONGS.items():
        print(bring_to_truth(browser, work, shared_data / "media" / folder, name))
