"""The timeline of a video: collected data, reasons of boundaries, drawn content and its position, the command."""

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
from phonics_data.show.boundary_reasons import boundary_reasons
from phonics_data.show.video_evidence import PEAK_RATE, VideoEvidence, collect_evidence
from phonics_data.storage.tables import write_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, Rejection, ScreenLetter, Segment, TranscriptWord, TrueSegment
from tests.counted_videos import clicks, constant, make_source
from tests.phonics_data.stages.test_segment import video

pytestmark = pytest.mark.dependencies

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


def track(letter: str, start: float, end: float) -> ScreenLetter:
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
def evidence(work: Path) -> VideoEvidence:
    return collect_evidence(Workspace(work), "song", TRUTH)


# --- collected data ------------------------------------------------------------------------------------------------


def test_evidence_contains_only_data_of_its_video(evidence: VideoEvidence) -> None:
    assert [item.text for item in evidence.words] == ["a", "apple", "b", "ball"]
    assert [item.letter for item in evidence.segments] == ["A", "B"]
    assert [item.item_id for item in evidence.rejections] == ["song-0009000"]
    assert evidence.truth is not None
    assert [item.letter for item in evidence.truth] == ["A", "B", "C"]
    assert evidence.trace is None
    assert len(evidence.thumbnails) == SECONDS


def test_cuts_are_found_and_flashes_are_not_cuts(evidence: VideoEvidence) -> None:
    assert evidence.cuts == pytest.approx([3.0, 6.0, 9.0], abs=0.13)


def test_audio_peaks_have_the_right_times(evidence: VideoEvidence) -> None:
    loud = np.flatnonzero(evidence.peaks_N > 0.5) / PEAK_RATE
    assert loud == pytest.approx([3.0, 6.0], abs=0.02)


def test_data_of_stages_that_have_not_run_are_empty(work: Path, tmp_path: Path) -> None:
    bare = Workspace(tmp_path / "bare")
    (bare.root / "media").symlink_to(work / "media")
    song = dataclasses.replace(video("song", float(SECONDS)), path="media/song/video.mkv")
    write_table(bare.table("videos"), FetchedVideo, [song])
    found = collect_evidence(bare, "song")
    assert (found.words, found.screen, found.segments, found.truth) == ((), (), (), None)
    assert "no words; screen not read" in timeline.summary_lines(found)[0]
    assert len(timeline.draw_timeline(found)) == 1


def test_unknown_video_error_suggests_similar_ids(work: Path) -> None:
    with pytest.raises(InputError, match=r"sung: no such video in .*which contains 2, such as song, song-2"):
        collect_evidence(Workspace(work), "sung")


def test_trace_of_another_release_is_refused(work: Path, tmp_path: Path) -> None:
    old = Workspace(tmp_path / "old")
    (old.root / "media").symlink_to(work / "media")
    song = dataclasses.replace(video("song", float(SECONDS)), path="media/song/video.mkv")
    write_table(old.table("videos"), FetchedVideo, [song])
    path = trace_path(old.root, "song")
    path.parent.mkdir()
    np.savez(path, rate=8)
    with pytest.raises(InputError, match="run `phonics-data transcribe` again"):
        collect_evidence(old, "song")


# --- reasons of boundaries -----------------------------------------------------------------------------------------


def kinds(
    segments: list[Segment], words: list[TranscriptWord], screen: list[ScreenLetter], cuts: list[float]
) -> list[str]:
    return [reason.kind for pair in boundary_reasons(segments, words, screen, cuts) for reason in pair]


def test_word_segments_have_word_reasons_only() -> None:
    found = boundary_reasons(SEGMENTS, WORDS, [track("A", 3.1, 6.0)], [3.1, 6.05])
    assert [pair[0].kind for pair in found] == ["word", "word"]
    assert found[0][0].text == '"a" at 3.10 s, which names A'
    assert found[1][1].text == 'end of "ball" at 7.00 s'


def test_screen_segments_have_cuts_and_their_own_letter_as_reasons() -> None:
    screen = [track("A", 3.02, 5.9), track("Q", 6.1, 8.0)]
    segments = [segment("A", 3.0, 5.9, evidence="screen"), segment("B", 6.1, 8.0, evidence="screen")]
    assert kinds(segments, WORDS, screen, [3.0]) == ["cut", "screen", "none", "none"]


def test_segments_of_both_sources_have_reasons_of_either() -> None:
    segments = [segment("A", 3.12, 5.0, evidence="captions,screen"), segment("B", 6.0, 7.0, evidence="captions,screen")]
    assert kinds(segments, WORDS, [], [5.95]) == ["word", "none", "cut", "word"]


def test_length_rule_and_adjacent_segments_are_reasons() -> None:
    segments = [segment("A", 1.0, 3.0, rule="phrase_split"), segment("A", 3.0, 5.0, rule="phrase_split"), segment("B", 5.0, 5.6),
             segment("C", 8.0, 8.6, rule="phrase_grown")]  # fmt: skip
    assert kinds(segments, [], [], []) == ["none", "split", "split", "next", "next", "none", "grown", "grown"]


# --- drawing -------------------------------------------------------------------------------------------------------


def band_top(evidence: VideoEvidence, band: str) -> int:
    bands = timeline._bands(evidence)
    return timeline._header_height(evidence) + timeline._height(bands[: bands.index(band)])


def column(seconds: float) -> int:
    return round(timeline.LEFT + seconds / timeline.ROW_SECONDS * (timeline.WIDTH - timeline.LEFT - timeline.RIGHT))


def test_filled_height_of_a_segment_is_its_confidence(evidence: VideoEvidence) -> None:
    pixels = np.asarray(timeline.draw_timeline(evidence)[0])
    top, height = band_top(evidence, "segments"), timeline._BANDS["segments"].height
    for item in SEGMENTS:
        strip = pixels[top + 3 : top + height - 3, column(item.end_seconds) - 6]
        filled = (strip == timeline.letter_colour(item.letter)).all(axis=1).mean()
        assert filled == pytest.approx(item.confidence, abs=0.1)


def test_cuts_and_audio_are_drawn_at_their_times(evidence: VideoEvidence) -> None:
    pixels = np.asarray(timeline.draw_timeline(evidence)[0])
    top, height = band_top(evidence, "audio"), timeline._BANDS["audio"].height
    band = pixels[top + 2 : top + height - 2]
    red = (band == timeline.REASON_STYLES["cut"][0]).all(axis=2).mean(axis=0)
    assert [column(cut) for cut in evidence.cuts] == pytest.approx(np.flatnonzero(red > 0.8).tolist(), abs=1)
    loud = (band == timeline._WAVE).all(axis=2).mean(axis=0)
    columns = np.flatnonzero(loud > 0.5)
    assert columns.min() == pytest.approx(column(3.0), abs=2)
    assert columns.max() == pytest.approx(column(6.0), abs=3)


def test_bands_without_data_are_not_drawn(evidence: VideoEvidence) -> None:
    assert timeline._bands(evidence) == ["time", "frames", "truth", "segments", "reasons", "audio", "words", "change"]
    bare = dataclasses.replace(evidence, words=(), segments=(), truth=None, peaks_N=np.zeros(0, np.float32))
    assert timeline._bands(bare) == ["time", "frames", "change"]
    assert timeline.draw_timeline(bare)[0].height < timeline.draw_timeline(evidence)[0].height


def test_long_videos_take_several_images_of_bounded_height(evidence: VideoEvidence) -> None:
    long = dataclasses.replace(evidence, video=dataclasses.replace(evidence.video, duration_seconds=810.0))
    images = timeline.draw_timeline(long)
    assert len(images) == 3
    assert max(image.height for image in images) < 12_000
    assert len(timeline.draw_timeline(long, start_seconds=100.0, end_seconds=140.0)) == 1


def test_neighbouring_letters_have_distant_colours() -> None:
    for one, other in zip("ABCDEFGHIJKLMNOPQRSTUVWXY", "BCDEFGHIJKLMNOPQRSTUVWXYZ", strict=True):
        assert (
            sum(abs(a - b) for a, b in zip(timeline.letter_colour(one), timeline.letter_colour(other), strict=True))
            > 60
        )


@pytest.mark.parametrize("confidence", [0.0, 1.0])
@pytest.mark.parametrize("edges", [(19.999, 23.0), (17.0, 20.001), (5.0, 5.01), (5.0, 5.0), (0.0, 3600.0)])
def test_segments_of_any_length_and_confidence_can_be_drawn(
    evidence: VideoEvidence, confidence: float, edges: tuple[float, float]
) -> None:
    start, end = edges
    found = dataclasses.replace(
        evidence,
        video=dataclasses.replace(evidence.video, duration_seconds=40.0),
        segments=(segment("A", start, end, confidence=confidence, object_word="apple"),),
        truth=(dataclasses.replace(TRUTH[0], start_seconds=start, end_seconds=end),),
        words=(word("a", start, end),),
        screen=(track("A", start, end),),
    )
    assert timeline.draw_timeline(found)[0].width == timeline.WIDTH


def test_long_dense_and_foreign_words_can_be_drawn(evidence: VideoEvidence) -> None:
    dense = tuple(
        word(text, 5 + 0.01 * n, 5.2) for n, text in enumerate(["wonderful" * 20, "слово", "語", "a", "b"] * 5)
    )
    assert timeline.draw_timeline(dataclasses.replace(evidence, words=dense))[0].width == timeline.WIDTH


# --- command -------------------------------------------------------------------------------------------------------


def test_command_writes_an_image_and_a_self_contained_page(work: Path, tmp_path: Path) -> None:
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


def test_intervals_outside_of_the_video_are_refused(work: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--from / --to"):
        show(Workspace(work), "song", tmp_path, start_seconds=20.0)
