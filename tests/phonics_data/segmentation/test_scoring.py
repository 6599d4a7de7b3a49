from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonics_data.segmentation.scoring import join_split_segments, matched_pairs, score_segments
from phonics_data.types import Segment


def segment(letter: str, start: float, end: float, video: str = "v", rule: str = "phrase") -> Segment:
    return Segment(
        segment_id=f"{video}-{start}",
        video_id=video,
        letter=letter,
        object_word=None,
        start_seconds=start,
        end_seconds=end,
        rule=rule,
        evidence="captions",
        confidence=1.0,
    )


def test_equal_segments_score_one() -> None:
    segments = [segment("A", 0, 1), segment("B", 1, 2.5)]
    score = score_segments(segments, segments)
    assert (score.precision, score.recall, score.f1, score.median_boundary_error_seconds) == (1, 1, 1, 0)


def test_iou_threshold_is_inclusive_and_letters_must_be_equal() -> None:
    truth = [segment("A", 0, 2)]
    assert score_segments([segment("A", 0, 1)], truth).f1 == 1
    assert score_segments([segment("A", 0, 0.99)], truth).f1 == 0
    assert score_segments([segment("B", 0, 2)], truth).f1 == 0
    assert score_segments([segment("A", 0, 1)], truth, iou=0.75).f1 == 0


def test_precision_recall_and_errors_by_hand() -> None:
    truth = [segment("A", 0, 2), segment("B", 2, 4), segment("C", 4, 6), segment("D", 6, 8)]
    found = [segment("A", 0.1, 2), segment("B", 2, 4.3), segment("X", 9, 10)]
    score = score_segments(found, truth)
    assert (score.num_found, score.num_truth, score.num_matched) == (3, 4, 2)
    assert score.precision == pytest.approx(2 / 3)
    assert score.recall == pytest.approx(1 / 2)
    assert score.f1 == pytest.approx(4 / 7)
    assert score.median_boundary_error_seconds == pytest.approx(0.05)  # of 0, 0, 0.1, 0.3


def test_true_segment_is_matched_once_and_only_in_its_video() -> None:
    found = [segment("A", 0, 1), segment("A", 0.1, 1), segment("A", 0, 1, video="w")]
    score = score_segments(found, [segment("A", 0, 1)])
    assert (score.num_found, score.num_matched) == (2, 1)


def test_number_of_pairs_has_priority_over_their_overlap() -> None:
    # The pair with the largest overlap would leave the other two segments unmatched.
    truth = [segment("A", 0, 10), segment("A", 5, 15)]
    found = [segment("A", 2, 12), segment("A", 8, 16)]
    assert len(matched_pairs(found, truth, 0.4)) == 2


def test_segments_of_a_divided_phrase_count_as_one() -> None:
    parts = [segment("A", 0, 3, rule="phrase_split"), segment("A", 3, 6, rule="phrase_split"), segment("A", 6, 7)]
    assert [(one.start_seconds, one.end_seconds) for one in join_split_segments(parts)] == [(0, 6), (6, 7)]
    assert score_segments(parts[:2], [segment("A", 0, 6)]).f1 == 1


def test_no_found_or_no_true_segments() -> None:
    assert score_segments([], [segment("A", 0, 1)]).f1 == 0
    assert math.isnan(score_segments([], [segment("A", 0, 1)]).median_boundary_error_seconds)
    assert score_segments([segment("A", 0, 1)], []).num_found == 0


@given(st.lists(st.tuples(st.sampled_from("AB"), st.floats(0, 50), st.floats(0.1, 5)), max_size=12), st.randoms())
def test_order_of_segments_does_not_matter(items: list[tuple[str, float, float]], rng: object) -> None:
    found = [segment(letter, start, start + length) for letter, start, length in items]
    truth = [replace(one, start_seconds=one.start_seconds + 0.2) for one in found]
    shuffled = list(found)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert repr(score_segments(shuffled, truth)) == repr(score_segments(found, truth))  # NaN is not equal to itself
