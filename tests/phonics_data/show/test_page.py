"""The picture of a video's evidence: that it shows what is there, at its time, and names what boundaries lie on."""

from __future__ import annotations

import dataclasses
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from phonics_data.cli.app import app
from phonics_data.errors import InputError, OptionError
from phonics_data.ocr.trace import trace_path
from phonics_data.show import show, timeline
from phonics_data.show.boundary_reasons import reasons
from phonics_data.show.video_evidence import PEAKS_A_SECOND, VideoEvidence, gather
from phonics_data.storage.tables import write_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, Rejection, ScreenLetter, Segment, TranscriptWord, TrueSegment
from tests.counted_videos import clicks, constant, make_source
from tests.phonics_data.stages.test_segment import video

RATE, SECONDS = 8, 12


def word(text: str, start: float, end: float) -> TranscriptWord:
    return TranscriptWord(
        video_id="song", index=0, text=text, start_seconds=start, end_seconds=end, confidence=None, timing="native",
        language="en", origin="auto_captions", engine_version="test",
    )  # fmt: skip


def segment(letter: str, start: float, end: float, **other: object) -> Segment:
    plain = Segment(
        segment_id=f"song-{round(start * 1000):07d}", video_id="song", letter=letter, object_word=None, start_seconds=start,
        end_seconds=end, rule="phrase", evidence="captions", confidence=0.5,
    )  # fmt: skip
    return dataclasses.replace(plain, **other)


def seen(letter: str, start: float, end: float) -> ScreenLetter:
    return ScreenLetter(
        video_id="song", letter=letter, start_seconds=start, end_seconds=end, score=0.9, box=(0.1, 0.1, 0.4, 0.4)
    )


WORDS = [word("a", 3.1, 3.4), word("apple", 3.6, 4.0), word("b", 6.05, 6.4), word("ball", 6.6, 7.0)]
SEGMENTS = [segment("A", 3.1, 6.05, object_word="apple", confidence=0.75), segment("B", 6.05, 7.0, confidence=0.25)]
TRUTH = [
    TrueSegment(video_id="song", letter="A", object_word="apple", start_seconds=3.0, end_seconds=6.0, words=()),
    TrueSegment(video_id="song", letter="B", object_word="ball", start_seconds=6.0, end_seconds=7.5, words=()),
    TrueSegment(video_id="song", letter="C", object_word=None, start_seconds=9.0, end_seconds=11.0, words=()),
    TrueSegment(video_id="other", letter="Z", object_word=None, start_seconds=0.0, end_seconds=1.0, words=()),
]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one video: cuts at 3, 6 and 9 s, a flash of two frames at 4.5 s, clicks at 3 and 6 s."""
    root = tmp_path_factory.mktemp("work") / "work"
    workspace = Workspace(root)
    grounds = [(20, 20, 60), (200, 40, 40), (40, 200, 40), (220, 220, 60)]
    pictures = [np.full((90, 160, 3), grounds[frame // (3 * RATE)], np.uint8) for frame in range(RATE * SECONDS)]
    for frame in (36, 37):
        pictures[frame] = np.full((90, 160, 3), 255, np.uint8)
    folder = workspace.media / "song"
    folder.mkdir(parents=True)
    sound = clicks(SECONDS, [3.0, 6.0], 48_000)
    make_source(folder / "video.mkv", constant(Fraction(RATE), SECONDS), sound, pictures=pictures)
    song = dataclasses.replace(video("song", float(SECONDS)), path="media/song/video.mkv", width=160, height=90)
    write_table(workspace.table("videos"), FetchedVideo, [song, dataclasses.replace(song, video_id="song-2")])
    write_table(workspace.table("words"), TranscriptWord, WORDS)
    write_table(workspace.table("segments"), Segment, [*SEGMENTS, segment("Q", 0.0, 1.0, video_id="song-2")])
    rejections = [
        Rejection(stage="segment", item_id="song-0009000", reason="too_short", detail="letter C at 9.00 s: <3 frames>"),
        Rejection(stage="segment", item_id="song-2-0000100", reason="too_short", detail="of the other video"),
    ]
    write_table(workspace.table("rejections"), Rejection, rejections)
    return root


@pytest.fixture(scope="module")
def story(work: Path) -> VideoEvidence:
    return gather(Workspace(work), "song", TRUTH)


# --- what is gathered ----------------------------------------------------------------------------------------------


def test_a_story_holds_what_is_known_of_its_video_and_of_no_other(story: VideoEvidence) -> None:
    assert [item.text for item in story.words] == ["a", "apple", "b", "ball"]
    assert [item.letter for item in story.segments] == ["A", "B"]
    assert [item.item_id for item in story.left_out] == ["song-0009000"]
    assert story.truth is not None
    assert [item.letter for item in story.truth] == ["A", "B", "C"]
    assert story.trace is None
    assert len(story.thumbs) == SECONDS


def test_cuts_are_found_and_a_flash_is_none(story: VideoEvidence) -> None:
    assert story.cuts == pytest.approx([3.0, 6.0, 9.0], abs=0.13)


def test_peaks_stand_where_the_sound_is(story: VideoEvidence) -> None:
    loud = np.flatnonzero(story.peaks_N > 0.5) / PEAKS_A_SECOND
    assert loud == pytest.approx([3.0, 6.0], abs=0.02)


def test_stages_that_have_not_run_leave_their_part_empty(work: Path, tmp_path: Path) -> None:
    bare = Workspace(tmp_path / "bare")
    (bare.root / "media").symlink_to(work / "media")
    song = dataclasses.replace(video("song", float(SECONDS)), path="media/song/video.mkv")
    write_table(bare.table("videos"), FetchedVideo, [song])
    found = gather(bare, "song")
    assert (found.words, found.screen, found.segments, found.truth) == ((), (), (), None)
    assert "no words; the screen was not read" in timeline.facts(found)[0]
    assert len(timeline.pictures(found)) == 1


def test_an_unknown_video_is_refused_with_those_that_are_near(work: Path) -> None:
    with pytest.raises(InputError, match=r"sung: no such video in .*it holds 2, such as song, song-2"):
        gather(Workspace(work), "sung")


def test_a_trace_of_another_release_says_what_to_do(work: Path, tmp_path: Path) -> None:
    old = Workspace(tmp_path / "old")
    (old.root / "media").symlink_to(work / "media")
    song = dataclasses.replace(video("song", float(SECONDS)), path="media/song/video.mkv")
    write_table(old.table("videos"), FetchedVideo, [song])
    path = trace_path(old.root, "song")
    path.parent.mkdir()
    np.savez(path, rate=8)
    with pytest.raises(InputError, match="run `phonics-data transcribe` again"):
        gather(old, "song")


# --- what boundaries lie on ----------------------------------------------------------------------------------------


def signs(
    segments: list[Segment], words: list[TranscriptWord], screen: list[ScreenLetter], cuts: list[float]
) -> list[str]:
    return [reason.sign for pair in reasons(segments, words, screen, cuts) for reason in pair]


def test_segments_of_words_lie_on_words_whatever_the_picture_does() -> None:
    found = reasons(SEGMENTS, WORDS, [seen("A", 3.1, 6.0)], [3.1, 6.05])
    assert [pair[0].sign for pair in found] == ["word", "word"]
    assert found[0][0].text == '"a" at 3.10 s, which names A'
    assert found[1][1].text == 'end of "ball" at 7.00 s'


def test_segments_of_the_screen_lie_on_cuts_and_on_their_own_letter() -> None:
    screen = [seen("A", 3.02, 5.9), seen("Q", 6.1, 8.0)]
    segments = [segment("A", 3.0, 5.9, evidence="screen"), segment("B", 6.1, 8.0, evidence="screen")]
    assert signs(segments, WORDS, screen, [3.0]) == ["cut", "screen", "none", "none"]


def test_a_sign_of_either_source_explains_a_segment_of_both() -> None:
    segments = [segment("A", 3.12, 5.0, evidence="captions,screen"), segment("B", 6.0, 7.0, evidence="captions,screen")]
    assert signs(segments, WORDS, [], [5.95]) == ["word", "none", "cut", "word"]


def test_the_length_rule_and_the_neighbour_are_named() -> None:
    segments = [segment("A", 1.0, 3.0, rule="phrase_split"), segment("A", 3.0, 5.0, rule="phrase_split"), segment("B", 5.0, 5.6),
             segment("C", 8.0, 8.6, rule="phrase_grown")]  # fmt: skip
    assert signs(segments, [], [], []) == ["none", "split", "split", "next", "next", "none", "grown", "grown"]


# --- what is drawn -------------------------------------------------------------------------------------------------


def lane_top(story: VideoEvidence, lane: str) -> int:
    lanes = timeline._lanes(story)
    return timeline._head(story) + sum(timeline._HEIGHTS[name] for name in lanes[: lanes.index(lane)])


def column(seconds: float) -> int:
    return round(timeline.LEFT + seconds / timeline.ROW_SECONDS * (timeline.WIDTH - timeline.LEFT - timeline.RIGHT))


def test_a_segments_box_is_as_full_as_the_decision_is_sure(story: VideoEvidence) -> None:
    pixels = np.asarray(timeline.pictures(story)[0])
    top, height = lane_top(story, "segments"), timeline._HEIGHTS["segments"]
    for item in SEGMENTS:
        strip = pixels[top + 3 : top + height - 3, column(item.end_seconds) - 6]
        full = (strip == timeline.letter_colour(item.letter)).all(axis=1).mean()
        assert full == pytest.approx(item.confidence, abs=0.1)


def test_cuts_run_through_the_sound_and_the_sound_stands_at_its_time(story: VideoEvidence) -> None:
    pixels = np.asarray(timeline.pictures(story)[0])
    top, height = lane_top(story, "sound"), timeline._HEIGHTS["sound"]
    lane = pixels[top + 2 : top + height - 2]
    red = (lane == timeline.SIGN_COLOURS["cut"]).all(axis=2).mean(axis=0)
    assert [column(cut) for cut in story.cuts] == pytest.approx(np.flatnonzero(red > 0.8).tolist(), abs=1)
    loud = (lane == timeline._WAVE).all(axis=2).mean(axis=0)
    columns = np.flatnonzero(loud > 0.5)
    assert columns.min() == pytest.approx(column(3.0), abs=2)
    assert columns.max() == pytest.approx(column(6.0), abs=3)


def test_lanes_without_anything_to_show_are_left_out(story: VideoEvidence) -> None:
    assert timeline._lanes(story) == ["time", "frames", "truth", "segments", "why", "sound", "words", "change"]
    bare = dataclasses.replace(story, words=(), segments=(), truth=None, peaks_N=np.zeros(0, np.float32))
    assert timeline._lanes(bare) == ["time", "frames", "change"]
    assert timeline.pictures(bare)[0].height < timeline.pictures(story)[0].height


def test_a_long_video_takes_several_pictures_of_bounded_height(story: VideoEvidence) -> None:
    long = dataclasses.replace(story, video=dataclasses.replace(story.video, duration_seconds=810.0))
    pages = timeline.pictures(long)
    assert len(pages) == 3
    assert max(page.height for page in pages) < 12_000
    assert len(timeline.pictures(long, start_seconds=100.0, end_seconds=140.0)) == 1


def test_letters_next_to_each_other_have_colours_far_apart() -> None:
    for one, other in zip("ABCDEFGHIJKLMNOPQRSTUVWXY", "BCDEFGHIJKLMNOPQRSTUVWXYZ", strict=True):
        assert (
            sum(abs(a - b) for a, b in zip(timeline.letter_colour(one), timeline.letter_colour(other), strict=True))
            > 60
        )


@pytest.mark.parametrize("confidence", [0.0, 1.0])
@pytest.mark.parametrize("edges", [(19.999, 23.0), (17.0, 20.001), (5.0, 5.01), (5.0, 5.0), (0.0, 3600.0)])
def test_segments_of_any_size_and_sureness_can_be_drawn(
    story: VideoEvidence, confidence: float, edges: tuple[float, float]
) -> None:
    start, end = edges
    found = dataclasses.replace(
        story,
        video=dataclasses.replace(story.video, duration_seconds=40.0),
        segments=(segment("A", start, end, confidence=confidence, object_word="apple"),),
        truth=(dataclasses.replace(TRUTH[0], start_seconds=start, end_seconds=end),),
        words=(word("a", start, end),),
        screen=(seen("A", start, end),),
    )
    assert timeline.pictures(found)[0].width == timeline.WIDTH


def test_words_that_are_long_close_together_or_foreign_do_not_break_the_picture(story: VideoEvidence) -> None:
    crowd = tuple(
        word(text, 5 + 0.01 * n, 5.2) for n, text in enumerate(["wonderful" * 20, "слово", "語", "a", "b"] * 5)
    )
    assert timeline.pictures(dataclasses.replace(story, words=crowd))[0].width == timeline.WIDTH


# --- the command ---------------------------------------------------------------------------------------------------


def test_the_command_writes_a_picture_and_a_page_that_needs_nothing_else(work: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth.tsv"
    truth.write_text("A\t3.0\t6.0\nB\t6.0\t7.5\nC\t9.0\t11.0\n")
    arguments = ["show", "song", "--work", str(work), "--out", str(tmp_path / "out"), "--truth", str(truth)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert [Path(line).name for line in done.output.split()] == ["song.html", "song.png"]
    with Image.open(tmp_path / "out" / "song.png") as picture:
        assert picture.width == timeline.WIDTH
    page = (tmp_path / "out" / "song.html").read_text()
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    assert "http" not in page.replace("http-equiv", "")
    assert "&#34;a&#34; at 3.10 s, which names A (+0.00)" in page
    assert "+0.10 / +0.05" in page
    assert "Not found: C (9.00 to 11.00 s)" in page
    assert "&lt;3 frames&gt;" in page


def test_parts_outside_of_the_video_are_refused(work: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--from / --to"):
        show(Workspace(work), "song", tmp_path, start_seconds=20.0)
