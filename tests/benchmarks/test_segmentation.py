"""`benchmarks segmentation` on videos with known letters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.segmentation import EVIDENCE_SETS, SegmentationBenchmarkOptions, as_plain, measure, table
from benchmarks.segmentation_songs import BenchmarkVideo, SourceWords, with_uneven_rhythm
from phonics_data.errors import OptionError
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.sources.synthetic.letters_plan import plan_letters_song
from phonics_data.types import Word
from tests.benchmarks.test_fit_segmentation import cards
from tests.phonics_data.segmentation.traces import RATE, Detection, trace_of

SCREEN = next(one for one in EVIDENCE_SETS if one.name == "screen")
BOTH = next(one for one in EVIDENCE_SETS if one.name == "captions, word times + screen")
SPEECH = next(one for one in EVIDENCE_SETS if one.name == "speech at 5 dB")
WORDS = (
    "nest drum lion kite apple frog zebra ice tiger umbrella queen moon goat hat ball violin sun rain cat egg".split()
)


def words_video(folder: Path) -> BenchmarkVideo:
    """Printed words of which every third letter is detected."""
    letters = "".join(WORDS).upper()[::3]
    cuts = [2 * RATE * index for index in range(len(letters))]
    detections = [Detection(frame=cut, letter=one, after_cut=True) for cut, one in zip(cuts, letters, strict=True)]
    trace = folder / "cards-of-words.npz"
    trace.write_bytes(trace_of(detections, 2 * RATE * len(letters), cuts).to_bytes())
    return replace(cards(folder, "words"), kind="no letters", truth=(), trace=trace)


def test_table_shows_scores_and_missing_sources(tmp_path: Path) -> None:
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


def test_segments_in_a_video_without_letters_miss_the_target(tmp_path: Path) -> None:
    nameless = replace(cards(tmp_path, "song"), kind="no letters", truth=())
    found = measure([nameless], [SCREEN])
    assert found.false_segments == (("screen", "song", 26),)
    assert not found.within_targets
    assert as_plain(found, SegmentationBenchmarkOptions(num_songs=1))["within_targets"] is False


def test_targets_apply_to_rendered_songs(tmp_path: Path) -> None:
    song = replace(cards(tmp_path, "song"), is_rendered=True)
    assert [one.meets_target for one in measure([song], [SCREEN]).results if one.group == "all"] == [True]
    late = tuple(replace(one, start_seconds=one.start_seconds + 1.1) for one in song.truth)
    found = measure([replace(song, truth=late)], [SCREEN])
    assert [one.meets_target for one in found.results if one.group == "all"] == [False]
    assert not found.within_targets


def test_words_and_screen_are_fused(tmp_path: Path) -> None:
    spoken = tuple(
        Word(text=letter, start_seconds=2.0 * index, end_seconds=2.0 * index + 1.5, timing="interpolated")
        for index, letter in enumerate(LETTERS)
    )
    song = replace(cards(tmp_path, "song"), words={"words": SourceWords(words=spoken, origin="auto_captions")})
    result = measure([song], [BOTH]).results[0]
    assert result.at_50.f1 == 1.0
    assert result.calibration_error < 0.1


def test_unknown_evidence_set_is_refused() -> None:
    with pytest.raises(OptionError, match="captions, cues"):
        SegmentationBenchmarkOptions(evidence=("smell",))
    with pytest.raises(OptionError, match="--folder"):
        SegmentationBenchmarkOptions(num_songs=0, num_negatives=0)


def test_uneven_rhythm_changes_only_the_pauses() -> None:
    plan = plan_letters_song(31, 3)
    uneven = with_uneven_rhythm(plan)
    assert (uneven.letters, uneven.voice, uneven.way) == (plan.letters, plan.voice, plan.way)
    assert uneven == with_uneven_rhythm(plan)
    pauses = [section.rest_half_beats for section in uneven.sections if section.kind == "letter"]
    assert max(pauses) >= 8
    assert min(pauses) == 0
    assert [section.tokens for section in uneven.sections] == [section.tokens for section in plan.sections]
    assert uneven.video_id != plan.video_id
