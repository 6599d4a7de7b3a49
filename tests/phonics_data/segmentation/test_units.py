"""Division of a letter's phrase into one for each object word."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest

from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.length import LengthLimits
from phonics_data.segmentation.phrases import Phrase, PhrasePart
from phonics_data.segmentation.segmenter import SegmenterOptions
from phonics_data.segmentation.units import Unit, divide_phrases
from tests.phonics_data.segmentation.test_single_letter import LEFT, RIGHT, shown

Found = list[tuple[str, str | None, str, float, float]]


def phrase(
    letter: str = "L", start: float = 0.0, end: float = 6.0, *parts: tuple[float, str], evidence: str = "captions"
) -> Phrase:
    return Phrase(
        letter=letter,
        object_word=parts[0][1] if parts else None,
        object_word_source="words" if parts else "",
        start_seconds=start,
        end_seconds=end,
        confidence=0.9,
        evidence=evidence,
        parts=tuple(PhrasePart(*part) for part in parts),
        cut_points=(1.0, 4.0),
        num_strong_cuts=1,
    )


def divided(phrases: Sequence[Phrase], trace: ScreenTrace | None = None, unit: Unit = "phrase") -> Found:
    found = divide_phrases(phrases, trace, unit)
    assert all(not one.parts for one in found)
    return [(one.letter, one.object_word, one.object_word_source, one.start_seconds, one.end_seconds) for one in found]


def test_parts_of_the_words_become_units() -> None:
    one = phrase("L", 0.0, 6.0, (0.0, "lion"), (3.0, "lamp"))
    assert divided([one]) == [("L", "lion", "words", 0.0, 3.0), ("L", "lamp", "words", 3.0, 6.0)]
    assert divided([one], unit="letter") == [("L", "lion", "words", 0.0, 6.0)]
    first, second = divide_phrases([one], None, "phrase")
    assert (first.cut_points, first.num_strong_cuts) == ((1.0,), 1)
    assert (second.cut_points, second.num_strong_cuts) == ((4.0,), 0)
    assert first.confidence == second.confidence == 0.9


def test_parts_outside_the_phrase_or_too_short_for_a_clip_divide_nothing() -> None:
    # The boundaries of a phrase can be those of the screen, and its parts those of the words.
    assert divided([phrase("L", 2.0, 6.0, (0.0, "lion"), (1.5, "lamp"))]) == [("L", "lion", "words", 2.0, 6.0)]
    assert divided([phrase("L", 0.0, 3.2, (0.0, "lion"), (3.0, "lamp"))]) == [("L", "lion", "words", 0.0, 3.2)]


@pytest.mark.parametrize(("rate", "frames", "number"), [("25", 14, 2), ("25/2", 14, 1), ("25", 24, 1), ("25", 7, 2)])
def test_shortest_part_follows_from_the_limits_of_length(rate: str, frames: int, number: int) -> None:
    limits = LengthLimits(frame_rate=Fraction(rate), min_frames=frames)
    one = phrase("L", 1.0, 2.2, (1.0, "lion"), (1.6, "lamp"))
    assert len(divide_phrases([one], None, "phrase", min_seconds=limits.min_seconds)) == number
    assert SegmenterOptions.of("auto", "phrase", limits).min_seconds == limits.min_seconds


def test_text_lines_one_after_the_other_divide_and_name() -> None:
    trace = shown([(1.0, 2.5, "Apple", LEFT), (3.5, 5.5, "Ant", LEFT)], letter="A")
    assert divided([phrase("A")], trace) == [
        ("A", "apple", "screen", 0.0, pytest.approx(2.44, abs=0.01)),
        ("A", "ant", "screen", pytest.approx(2.44, abs=0.01), 6.0),
    ]
    assert divided([phrase("A")], trace, unit="letter") == [("A", "apple", "screen", 0.0, 6.0)]
    # Lines of another letter, and of another time, name nothing.
    assert divided([phrase("B")], trace) == [("B", None, "", 0.0, 6.0)]
    assert divided([phrase("A", 6.0, 7.0)], trace) == [("A", None, "", 6.0, 7.0)]


def test_several_objects_at_once_are_one_unit() -> None:
    trace = shown([(1.0, 5.5, "Apple", LEFT), (1.0, 5.5, "Ant", RIGHT)], letter="A")
    assert len(divided([phrase("A")], trace)) == 1


def test_line_that_returns_is_no_new_unit() -> None:
    trace = shown([(1.0, 2.0, "Apple", LEFT), (3.5, 5.5, "Apple", LEFT)], letter="A")
    assert divided([phrase("A")], trace) == [("A", "apple", "screen", 0.0, 6.0)]


def test_printed_word_replaces_one_of_speech_recognition_and_not_one_of_captions() -> None:
    trace = shown([(1.0, 5.0, "Ball", LEFT)])
    heard = phrase("B", 0.0, 6.0, (0.0, "bone"), evidence="screen,speech")
    written = phrase("B", 0.0, 6.0, (0.0, "bone"), evidence="captions")
    assert divided([heard], trace) == [("B", "ball", "screen", 0.0, 6.0)]
    assert divided([written], trace) == [("B", "bone", "words", 0.0, 6.0)]
