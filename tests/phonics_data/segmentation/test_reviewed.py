"""Decisions applied to automatic segments: each kind, later changes of the automatic result, limits, other copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from phonics_data.segmentation.length import LengthLimits
from phonics_data.segmentation.reviewed import ReviewedSegments, apply_reviews
from phonics_data.storage.reviews import Review
from phonics_data.types import Segment, segment_id
from tests.phonics_data.storage.test_reviews import interval, review

LIMITS = LengthLimits()


def automatic(letter: str, start: float, end: float, **other: object) -> Segment:
    plain = Segment(
        segment_id=segment_id("song", start), video_id="song", letter=letter, object_word=None, start_seconds=start,
        end_seconds=end, rule="phrase", evidence="captions", confidence=0.4,
    )  # fmt: skip
    return replace(plain, **other)


def applied(found: Sequence[Segment], *rows: Review, offset: float = 0.0) -> ReviewedSegments:
    return apply_reviews("song", found, rows, LIMITS, 60.0, offset)


def parts(result: ReviewedSegments) -> list[tuple[str, float, float, str]]:
    return [(one.letter, one.start_seconds, one.end_seconds, one.evidence) for one in result.segments]


A, B, C = automatic("A", 1, 2), automatic("B", 2, 4), automatic("C", 4, 6)


def test_a_confirmed_segment_is_only_marked() -> None:
    word = automatic("A", 1.0353, 2.2, object_word="apple", object_word_source="words", rule="phrase_split")
    keep = review("keep", interval("A", 1.035, 2.2), interval("A", 1.035, 2.2), word="apple")
    (found,) = applied([word], keep).segments
    assert found == replace(word, evidence="review", confidence=1.0)
    (other,) = applied([word], replace(keep, word="ant")).segments
    assert (other.object_word, other.object_word_source) == ("ant", "")


def test_each_decision_and_untouched_segments() -> None:
    result = applied(
        [A, B, C],
        review("change", interval("A", 1, 2), interval("D", 1.013, 1.9), word="dog"),
        review("drop", interval("B", 2, 4), None),
        review("add", None, interval("E", 7, 8)),
    )
    assert parts(result) == [
        ("D", 1.0, 1.88, "review"), ("C", 4, 6, "captions"), ("E", 7, 8, "review"),
    ]  # fmt: skip
    assert [(one.reason, one.item_id) for one in result.rejections] == [("dropped_in_review", B.segment_id)]
    assert result.segments[0].object_word == "dog"
    assert result.segments[0].confidence == 1.0


def test_split_and_joined_segments() -> None:
    split = [
        review("change", interval("B", 2, 4), interval("B", 2, 3)),
        review("change", interval("B", 2, 4), interval("C", 3, 4)),
    ]
    assert parts(applied([A, B], *split))[1:] == [("B", 2, 3, "review"), ("C", 3, 4, "review")]
    joined = [
        review("change", interval("A", 1, 2), interval("A", 1, 4)),
        review("drop", interval("B", 2, 4), None),
    ]
    assert parts(applied([A, B], *joined)) == [("A", 1, 4, "review")]


def test_decisions_hold_if_the_automatic_result_changes() -> None:
    rows = [
        review("change", interval("A", 1, 2), interval("A", 1, 3)),
        review("drop", interval("C", 4, 6), None),
    ]
    later = [automatic("A", 0.8, 2.1), automatic("Q", 1.2, 2.9), automatic("C", 4.2, 6.3), automatic("F", 8, 9)]
    assert parts(applied(later, *rows)) == [("A", 1, 3, "review"), ("F", 8, 9, "captions")]
    moved_away = [automatic("A", 1, 2), automatic("K", 4, 6)]  # another letter was not decided on
    assert parts(applied(moved_away, *rows)) == [("A", 1, 3, "review"), ("K", 4, 6, "captions")]


def test_a_complete_video_has_no_other_segments() -> None:
    keep = review("keep", interval("A", 1, 2), interval("A", 1, 2))
    result = applied([A, B, C], keep, review("complete", None, None))
    assert parts(result) == [("A", 1, 2, "review")]
    assert [one.reason for one in result.rejections] == ["dropped_in_review"] * 2


def test_lengths_outside_the_limits() -> None:
    result = applied([], review("add", None, interval("A", 1, 1.4)), review("add", None, interval("B", 2, 12)))
    assert parts(result) == [("B", 2, 5.32, "review"), ("B", 5.32, 8.68, "review"), ("B", 8.68, 12, "review")]
    assert {one.rule for one in result.segments} == {"phrase_split"}
    (short,) = result.rejections
    assert (short.reason, short.measured, short.threshold) == ("too_short", 10, 14)
    assert "--min-frames 10 keeps it" in short.detail


def test_another_copy() -> None:
    rows = [review("change", interval("A", 1, 2), interval("A", 1.2, 2.2)), review("add", None, interval("Z", 59, 60))]
    result = applied([automatic("A", 3, 4)], *rows, offset=2.0)
    assert parts(result) == [("A", 3.2, 4.2, "review")]
    (outside,) = result.rejections
    assert outside.reason == "review_not_applied"
    assert "outside the video of 60.00 s" in outside.detail


def test_two_segments_of_one_frame() -> None:
    result = applied([], review("add", None, interval("A", 1, 2)), review("add", None, interval("B", 1.01, 3)))
    assert parts(result) == [("A", 1, 2, "review")]
    assert result.rejections[0].reason == "review_not_applied"


@pytest.mark.parametrize("count", [0, 3])
def test_without_reviews_nothing_changes(count: int) -> None:
    found = [A, B, C][:count]
    assert applied(found).segments == tuple(found)
