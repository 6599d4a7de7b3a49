from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonics_data.segmentation.scoring import matched_pairs, score_spans, whole_phrases
from phonics_data.types import LetterSpan


def span(letter: str, start: float, end: float, video: str = "v", rule: str = "phrase") -> LetterSpan:
    return LetterSpan(
        span_id=f"{video}-{start}",
        video_id=video,
        letter=letter,
        object_word=None,
        start_seconds=start,
        end_seconds=end,
        rule=rule,
        evidence="captions",
        confidence=1.0,
    )


def test_equal_spans_score_one() -> None:
    spans = [span("A", 0, 1), span("B", 1, 2.5)]
    score = score_spans(spans, spans)
    assert (score.precision, score.recall, score.f1, score.median_boundary_error_seconds) == (1, 1, 1, 0)


def test_iou_threshold_is_included_and_letters_must_agree() -> None:
    truth = [span("A", 0, 2)]
    assert score_spans([span("A", 0, 1)], truth).f1 == 1
    assert score_spans([span("A", 0, 0.99)], truth).f1 == 0
    assert score_spans([span("B", 0, 2)], truth).f1 == 0
    assert score_spans([span("A", 0, 1)], truth, iou=0.75).f1 == 0


def test_precision_recall_and_errors_by_hand() -> None:
    truth = [span("A", 0, 2), span("B", 2, 4), span("C", 4, 6), span("D", 6, 8)]
    found = [span("A", 0.1, 2), span("B", 2, 4.3), span("X", 9, 10)]
    score = score_spans(found, truth)
    assert (score.num_found, score.num_truth, score.num_matched) == (3, 4, 2)
    assert score.precision == pytest.approx(2 / 3)
    assert score.recall == pytest.approx(1 / 2)
    assert score.f1 == pytest.approx(4 / 7)
    assert score.median_boundary_error_seconds == pytest.approx(0.05)  # of 0, 0, 0.1, 0.3


def test_one_truth_is_matched_once_and_never_in_another_video() -> None:
    found = [span("A", 0, 1), span("A", 0.1, 1), span("A", 0, 1, video="w")]
    score = score_spans(found, [span("A", 0, 1)])
    assert (score.num_found, score.num_matched) == (2, 1)


def test_as_many_pairs_as_possible_before_the_best_overlap() -> None:
    # The best single overlap would leave the other two alone.
    truth = [span("A", 0, 10), span("A", 5, 15)]
    found = [span("A", 2, 12), span("A", 8, 16)]
    assert len(matched_pairs(found, truth, 0.4)) == 2


def test_pieces_of_a_divided_phrase_count_as_one_span() -> None:
    pieces = [span("A", 0, 3, rule="phrase_split"), span("A", 3, 6, rule="phrase_split"), span("A", 6, 7)]
    assert [(one.start_seconds, one.end_seconds) for one in whole_phrases(pieces)] == [(0, 6), (6, 7)]
    assert score_spans(pieces[:2], [span("A", 0, 6)]).f1 == 1


def test_nothing_found_or_nothing_true() -> None:
    assert score_spans([], [span("A", 0, 1)]).f1 == 0
    assert math.isnan(score_spans([], [span("A", 0, 1)]).median_boundary_error_seconds)
    assert score_spans([span("A", 0, 1)], []).num_found == 0


@given(st.lists(st.tuples(st.sampled_from("AB"), st.floats(0, 50), st.floats(0.1, 5)), max_size=12), st.randoms())
def test_the_order_of_spans_makes_no_difference(items: list[tuple[str, float, float]], rng: object) -> None:
    found = [span(letter, start, start + length) for letter, start, length in items]
    truth = [replace(one, start_seconds=one.start_seconds + 0.2) for one in found]
    shuffled = list(found)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert repr(score_spans(shuffled, truth)) == repr(score_spans(found, truth))  # NaN is not equal to itself
