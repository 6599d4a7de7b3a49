"""What `benchmarks segmentation` says of videos whose letters are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.segmentation import EVIDENCE, LettersBenchOptions, as_plain, measure, table
from benchmarks.segmentation_songs import BenchVideo, Heard
from phonics_data.errors import OptionError
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.types import Word
from tests.benchmarks.test_fit_segmentation import cards
from tests.phonics_data.segmentation.traces import RATE, Reading, trace_of

SCREEN = next(one for one in EVIDENCE if one.name == "screen")
BOTH = next(one for one in EVIDENCE if one.name == "captions, word times + screen")
SPEECH = next(one for one in EVIDENCE if one.name == "speech at 5 dB")
WORDS = (
    "nest drum lion kite apple frog zebra ice tiger umbrella queen moon goat hat ball violin sun rain cat egg".split()
)


def words_video(folder: Path) -> BenchVideo:
    """Printed words of which every third letter could be read."""
    letters = "".join(WORDS).upper()[::3]
    looks = [2 * RATE * at for at in range(len(letters))]
    readings = [Reading(look=look, letter=one, after_cut=True) for look, one in zip(looks, letters, strict=True)]
    trace = folder / "cards-of-words.npz"
    trace.write_bytes(trace_of(readings, 2 * RATE * len(letters), looks).to_bytes())
    return replace(cards(folder, "words"), kind="no letters", truth=(), trace=trace)


def test_the_table_says_what_was_found_and_where_there_was_nothing(tmp_path: Path) -> None:
    found = measure([cards(tmp_path, "song"), words_video(tmp_path)], [SCREEN, SPEECH])
    result = found.results[0]
    assert (result.group, result.num_videos, result.at_50.f1, result.at_75.f1) == ("cards", 1, 1.0, 1.0)
    assert result.at_50.num_truth == 26
    assert found.false_segments == ()
    assert found.num_without_letters == 1
    assert found.unavailable == {"speech at 5 dB": "no recognizer"}
    assert found.within_targets
    rows = table(found, "cards")
    assert rows[0][:5] == ("screen", "1", "1.000", "1.000", "1.000")


def test_spans_where_no_letter_is_are_told_and_miss_the_target(tmp_path: Path) -> None:
    nameless = replace(cards(tmp_path, "song"), kind="no letters", truth=())
    found = measure([nameless], [SCREEN])
    assert found.false_segments == (("screen", "song", 26),)
    assert not found.within_targets
    assert as_plain(found, LettersBenchOptions(num_songs=1))["within_targets"] is False


def test_rendered_songs_are_held_to_the_target(tmp_path: Path) -> None:
    song = replace(cards(tmp_path, "song"), is_rendered=True)
    assert [one.meets_target for one in measure([song], [SCREEN]).results if one.group == "all"] == [True]
    late = tuple(replace(one, start_seconds=one.start_seconds + 1.1) for one in song.truth)
    found = measure([replace(song, truth=late)], [SCREEN])
    assert [one.meets_target for one in found.results if one.group == "all"] == [False]
    assert not found.within_targets


def test_words_beside_the_screen_name_the_same_letters(tmp_path: Path) -> None:
    said = tuple(
        Word(text=letter, start_seconds=2.0 * at, end_seconds=2.0 * at + 1.5, timing="interpolated")
        for at, letter in enumerate(LETTERS)
    )
    song = replace(cards(tmp_path, "song"), heard={"words": Heard(words=said, origin="auto_captions")})
    result = measure([song], [BOTH]).results[0]
    assert result.at_50.f1 == 1.0
    assert result.calibration_error < 0.1


def test_an_unknown_evidence_is_refused() -> None:
    with pytest.raises(OptionError, match="captions, cues"):
        LettersBenchOptions(evidence=("smell",))
    with pytest.raises(OptionError, match="--folder"):
        LettersBenchOptions(num_songs=0, num_negatives=0)
