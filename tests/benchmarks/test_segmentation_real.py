"""`benchmarks segmentation-real` on small inputs; the real videos only where their folder exists."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from benchmarks.segmentation_real import (
    ONE_LETTER_TRUTH,
    SCREEN,
    SONGS,
    Cue,
    FalseSegments,
    RealBenchmark,
    as_plain,
    controls,
    false_segments,
    joined,
    joined_traces,
    line_cues,
    markdown,
    one_letter_result,
    phrase_cues,
    read_one_letter_truth,
    real_songs,
    segment_video,
    shared_media,
    song_result,
    song_table,
    target_table,
    with_targets,
    words_of_cues,
    wrong_segments,
)
from benchmarks.segmentation_songs import BenchmarkVideo, SourceWords
from phonics_data.errors import InputError
from phonics_data.types import Segment, TrueSegment, Word, segment_id
from tests.benchmarks.test_fit_segmentation import cards
from tests.phonics_data.segmentation.traces import RATE, Detection, trace_of


def true(letter: str, start: float, end: float, word: str | None = None, video_id: str = "song") -> TrueSegment:
    return TrueSegment(
        video_id=video_id, letter=letter, object_word=word, start_seconds=start, end_seconds=end, words=()
    )


def segment(letter: str, start: float, end: float, word: str | None = None, video_id: str = "song") -> Segment:
    return Segment(
        segment_id=segment_id(video_id, start),
        video_id=video_id,
        letter=letter,
        object_word=word,
        start_seconds=start,
        end_seconds=end,
        rule="phrase",
        evidence="screen",
        confidence=0.7,
    )


def video(truth: tuple[TrueSegment, ...], duration: float = 40.0) -> BenchmarkVideo:
    return BenchmarkVideo(
        video_id=truth[0].video_id,
        path=Path("song.mp4"),
        kind="",
        way="",
        is_whole=False,
        is_rendered=False,
        truth=truth,
        duration_seconds=duration,
        letters=truth[0].letter,
    )


def test_song_is_scored_before_and_after_the_length_rule(tmp_path: Path) -> None:
    song = cards(tmp_path, "rows")
    result = song_result(song, SCREEN)
    assert (result.phrases_50.f1, result.finished_50.f1, result.ceiling_75, result.refusal) == (1.0, 1.0, 1.0, "")
    assert math.isnan(result.wrong_confidence)
    # A letter of 4 frames between others cannot become a clip of 14 frames with an IoU of 0.5.
    short = replace(
        song,
        truth=(
            *song.truth[:3],
            true("D", 6.0, 6.16, video_id="rows"),
            true("E", 6.16, 10.0, video_id="rows"),
            *song.truth[5:],
        ),
    )
    assert song_result(short, SCREEN).ceiling_50 < 1.0
    assert song_table([result])[0][:3] == ("rows", "screen", "1.000")


def test_refusal_is_reported(tmp_path: Path) -> None:
    song = cards(tmp_path, "rows")
    trace = tmp_path / "empty.npz"
    trace.write_bytes(trace_of([], 10 * RATE, []).to_bytes())
    result = song_result(replace(song, trace=trace), SCREEN)
    assert result.finished_50.f1 == 0.0
    assert "letters in order" in result.refusal


def test_wrong_segments() -> None:
    truth = [true("A", 0, 2), true("B", 2, 4)]
    assert [one.letter for one in wrong_segments([segment("A", 0, 2), segment("C", 2, 4)], truth)] == ["C"]


def test_controls_guess_the_right_letters_at_wrong_places() -> None:
    even = video(tuple(true(letter, 10.0 * index, 10.0 * index + 10) for index, letter in enumerate("ABCD")))
    late = replace(
        video(
            tuple(
                true(letter, 30 + 2.0 * index, 32 + 2.0 * index, video_id="late") for index, letter in enumerate("ABCD")
            )
        ),
        video_id="late",
    )
    found = {(one.song, one.name): one.f1_at_50 for one in controls([even, late])}
    assert found["song", "even"] == found["song", "even, sung part"] == found["late", "even, sung part"] == 1.0
    assert found["song", "other song"] == 0.0
    assert found["late", "even"] == 0.0


def test_traces_are_joined_with_later_frames() -> None:
    one = trace_of([Detection(frame=3, letter="A")], 16, [0])
    both = joined_traces([one, one])
    assert both.num_frames == 32
    assert both.frame_R.tolist() == [3, 19]
    assert both.box_R4.shape == (2, 4)
    assert np.array_equal(both.edges_TGG[16:], one.edges_TGG)


def test_joined_videos_have_later_words_and_truth(tmp_path: Path) -> None:
    words = SourceWords(words=(Word(text="A", start_seconds=1.0, end_seconds=1.5),), origin="whisper")
    song = replace(cards(tmp_path, "rows"), words={"speech": words})
    both = joined("both", "both", [song, song], tmp_path / "joined")
    assert both.duration_seconds == 104.0
    assert [word.start_seconds for word in both.words["speech"].words] == [1.0, 53.0]
    assert both.truth[26].start_seconds == 52.0
    assert {one.video_id for one in both.truth} == {"both"}
    assert len(segment_video(both, SCREEN).finished) == 52


def test_cues_last_from_the_first_word_until_half_a_second_after_the_last_one() -> None:
    song = video((true("A", 0.0, 5.0), true("B", 5.0, 10.0), true("C", 10.0, 15.0)))
    speech = [
        Word(text="eh", start_seconds=1.0, end_seconds=1.4),
        Word(text="apple", start_seconds=2.0, end_seconds=2.5),
        Word(text="bee", start_seconds=4.8, end_seconds=5.2),
    ]
    cues = phrase_cues(song, ["A is for apple", "B is for ball", "C is for cat"], speech)
    assert [(cue.start_seconds, cue.end_seconds) for cue in cues] == [(1.0, 3.0), (4.8, 5.7), (10.3, 15.0)]
    found = words_of_cues(cues, 40.0)
    assert [word.text for word in found.words][:4] == ["A", "is", "for", "apple"]
    assert {word.timing for word in found.words} == {"interpolated"}


def test_lines_of_letters_become_cues() -> None:
    song = video(tuple(true(letter, 1.0 * index, 1.0 * index + 1) for index, letter in enumerate("ABCDEFGABCD")))
    assert [cue.text for cue in line_cues(song, [])] == ["A B C D", "E F G", "A B C D"]
    assert line_cues(song, [])[1] == Cue(start_seconds=4.0, end_seconds=7.0, text="E F G")


def test_one_letter_videos_are_scored_by_object_phrase() -> None:
    own = video((true("B", 0, 2, "bat"), true("B", 2, 4, "ball"), true("B", 4, 7)), 7.0)
    right = [segment("B", 0, 2, "bat"), segment("B", 2, 4.2, "ball"), segment("B", 4.2, 7)]
    found = one_letter_result("all", [own], {"song": right}, {}, {"song: D": False})
    assert (found.num_wrong_rows, found.kept_of_wrong_rows) == (1, ())
    assert (found.num_object_words, found.num_true_words) == (2, 2)
    assert found.objects.f1 == 1.0  # the part without an object word is neither right nor wrong
    assert found.num_phrases == {"song": 3}
    assert 0 < found.control_f1 <= 1.0
    wrong = one_letter_result(
        "all", [own], {"song": [segment("D", 0, 2, "bat"), segment("B", 2, 4, "boat")]}, {}, {"song: D": True}
    )
    assert (wrong.kept_of_wrong_rows, wrong.num_object_words) == (("song: D",), 1)
    assert wrong.objects.f1 == 0.5


def benchmark(tmp_path: Path, *, false: tuple[FalseSegments, ...] = ()) -> RealBenchmark:
    songs = [cards(tmp_path, song.name) for song in SONGS]
    return with_targets(
        RealBenchmark(
            songs=tuple(song_result(song, SCREEN) for song in songs),
            controls=tuple(controls(songs)),
            one_letter=(),
            captions=(),
            false_segments=false,
            num_without_letters=3,
            cpu_ratios={"screen": 0.1, "segment": 0.01, "speech tiny.en": 0.1},
            targets=(),
        ),
        default_evidence="screen",
    )


def test_targets_are_met(tmp_path: Path) -> None:
    found = benchmark(tmp_path)
    assert found.within_targets
    rows = target_table(found)
    assert rows[0][:4] == ("drawn cards", "F1 at 0.5 (letters)", "1.000 (26 of 26; ceiling 1.00)", ">= 0.9")
    assert rows[0][4] == "1.00 / 1.00 / 1.00"
    assert as_plain(found)["within_targets"] is True
    assert "| drawn cards | F1 at 0.5 (letters) | 1.000 (26 of 26; ceiling 1.00) | >= 0.9 |" in markdown(found)


def test_missed_targets_are_marked(tmp_path: Path) -> None:
    false = FalseSegments(
        video_id="counting", evidence="default", kind="letter B", by_evidence={"manifest": 3}, num_kept=1
    )
    found = benchmark(tmp_path, false=(false,))
    assert [row[1] for row in target_table(found) if row[-1] == "MISSED"] == ["segments kept by default"]
    assert not found.within_targets
    kept = benchmark(tmp_path, false=(replace(false, num_kept=0),))
    assert kept.within_targets


def test_table_of_one_letter_phrases() -> None:
    truth = read_one_letter_truth(ONE_LETTER_TRUTH)
    assert "".join(dict.fromkeys(one.letter for one in truth)) == "ABCDEFGHIJ"
    words = [one.object_word for one in truth if one.object_word is not None]
    assert len(words) == 20
    assert all(one.letter == one.object_word[0].upper() for one in truth if one.object_word is not None)
    for before, after in pairwise(truth):
        assert after.letter != before.letter or after.start_seconds == before.end_seconds


def test_missing_folder_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PHONICS_SHARED_DATA", str(tmp_path))
    with pytest.raises(InputError, match="PHONICS_SHARED_DATA"):
        shared_media()


def test_real_songs_have_their_letters(shared_data: Path) -> None:
    songs = real_songs(shared_data / "media")
    assert [len(song.truth) for song in songs] == [26, 52, 26, 26]
    assert all(song.truth[-1].end_seconds <= song.duration_seconds + 0.5 for song in songs)


def test_segments_of_a_video_without_letters_are_counted_by_manifest_row(tmp_path: Path) -> None:
    song = replace(cards(tmp_path, "song"), truth=())
    found = {one.kind: one for one in false_segments([song], SCREEN)}
    assert found["alphabet"].by_evidence == {"screen": 26}
    assert found["alphabet"].num_kept == 26
