"""The box around a letter and its object, on handmade traces."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from phonics_data.ocr.trace import ScreenTrace
from phonics_data.stages.shard.focus import LetterPlace, letter_focus, letter_places, phrase_intervals
from phonics_data.types import ScreenLetter, Segment, segment_id
from tests.phonics_data.segmentation.traces import RATE, Detection, trace_of

PHRASE = (2.0, 4.0)


def segment(letter: str, start: float, end: float, rule: str = "phrase_split") -> Segment:
    return Segment(
        segment_id=segment_id("v", start), video_id="v", letter=letter, object_word=None, start_seconds=start,
        end_seconds=end, rule=rule, evidence="screen", confidence=0.9,
    )  # fmt: skip


def track(letter: str, start: float, end: float, box: tuple[float, float, float, float]) -> ScreenLetter:
    return ScreenLetter(video_id="v", letter=letter, start_seconds=start, end_seconds=end, score=1.0, box=box)


def quiet_trace(num_frames: int = 48) -> ScreenTrace:
    return trace_of([], num_frames)


def with_edges(trace: ScreenTrace, first: int, rows: slice, columns: slice, level: int = 90) -> ScreenTrace:
    """An object that is at a place of the grid from sampled frame `first` on."""
    edges = trace.edges_TGG.copy()
    edges[first:, rows, columns] = level
    return dataclasses.replace(trace, edges_TGG=edges)


def with_text(trace: ScreenTrace, *lines: tuple[int, str, tuple[float, float, float, float]]) -> ScreenTrace:
    return dataclasses.replace(
        trace,
        text_frame_N=np.array([frame for frame, _, _ in lines], np.int32),
        text_N=np.array([text for _, text, _ in lines]),
        text_box_N4=np.array([box for _, _, box in lines], np.float32),
        text_score_N=np.ones(len(lines), np.float32),
    )


B_PLACE = LetterPlace(2.0, 4.0, (0.1, 0.3, 0.25, 0.7))


def test_focus_is_the_letter_where_nothing_else_appears() -> None:
    assert letter_focus(PHRASE, [B_PLACE], quiet_trace()) == (0.1, 0.3, 0.25, 0.7)


def test_focus_holds_the_object_that_appears_in_the_segment() -> None:
    trace = with_edges(quiet_trace(), 22, slice(9, 12), slice(12, 16))
    assert letter_focus(PHRASE, [B_PLACE], trace) == (0.1, 0.3, 0.5, 0.7)


def test_focus_does_not_hold_what_stood_there_before_or_leaves() -> None:
    trace = with_edges(quiet_trace(), 0, slice(0, 3), slice(0, 3))
    leaving = with_edges(with_edges(trace, 0, slice(15, 18), slice(28, 32)), 17, slice(15, 18), slice(28, 32), 40)
    assert letter_focus(PHRASE, [B_PLACE], leaving) == (0.1, 0.3, 0.25, 0.7)


def test_codec_noise_is_no_object() -> None:
    rng = np.random.default_rng(0)
    trace = quiet_trace()
    noisy = (trace.edges_TGG + rng.integers(0, 6, trace.edges_TGG.shape)).astype(np.uint8)
    assert letter_focus(PHRASE, [B_PLACE], dataclasses.replace(trace, edges_TGG=noisy)) == (0.1, 0.3, 0.25, 0.7)


def test_focus_holds_new_text_but_no_standing_titles() -> None:
    """Lines are read again and again; only the word has appeared. The end of its line is too pale to change the edges."""
    title, word = (0.3, 0.0, 0.7, 0.1), (0.125, 0.75, 0.5, 0.95)
    trace = with_edges(quiet_trace(), 20, slice(13, 18), slice(4, 13))
    trace = with_text(trace, (10, "ABC SONG", title), (18, "ABC SONG", title), (21, "Ball", word))
    assert letter_focus(PHRASE, [B_PLACE], trace) == pytest.approx((0.1, 0.3, 0.5, 1.0))


def test_focus_is_unknown_without_the_letter_or_the_trace() -> None:
    assert letter_focus(PHRASE, [], quiet_trace()) is None
    assert letter_focus(PHRASE, [LetterPlace(4.5, 6.0, (0.1, 0.3, 0.25, 0.7))], quiet_trace()) is None
    assert letter_focus(PHRASE, [B_PLACE], None) is None


def test_places_follow_a_letter_that_moves() -> None:
    """Its best detection is at the end of its way; a segment at the beginning needs its first place."""
    trace = trace_of([Detection(frame=8, letter="B", score=0.9), Detection(frame=40, letter="B")], 48)
    boxes = trace.box_R4.copy()
    boxes[1, [1, 3]] -= 0.2
    trace = dataclasses.replace(trace, box_R4=boxes)
    (first, second) = letter_places(
        "B", [track("B", 1.0, 6.0, tuple(boxes[1].tolist())), track("C", 1.0, 6.0, (0, 0, 1, 1))], trace
    )
    assert (first.start_seconds, first.end_seconds, second.end_seconds) == (1.0, 40 / RATE - 0.5 / RATE, 6.0)
    assert first.box == pytest.approx((0.05, 0.3, 0.2, 0.7))
    assert second.box == pytest.approx((0.05, 0.1, 0.2, 0.5))


def test_places_do_not_mix_two_letters_of_one_name() -> None:
    """ "Aa": both are tracks of A."""
    detections = [Detection(frame=frame, letter="A", cell=cell) for frame, cell in ((8, 0), (16, 2), (24, 0), (32, 2))]
    trace = trace_of(detections, 48)
    tracks = [track("A", 1.0, 6.0, (0.05, 0.3, 0.2, 0.7)), track("A", 2.0, 6.0, (0.49, 0.3, 0.64, 0.7))]
    places = letter_places("A", tracks, trace)
    assert [(round(place.start_seconds, 2), round(place.box[0], 2)) for place in places] == [
        (1.0, 0.05),
        (2.94, 0.05),
        (2.0, 0.49),
        (3.94, 0.49),
    ]


def test_places_without_a_trace_are_the_boxes_of_the_tracks() -> None:
    assert letter_places("B", [track("B", 1.0, 6.0, (0.1, 0.2, 0.3, 0.4))], None) == [
        LetterPlace(1.0, 6.0, (0.1, 0.2, 0.3, 0.4))
    ]


def test_parts_of_a_phrase_have_one_interval() -> None:
    """The object appears in the first part; all parts show it at one place."""
    segments = [
        segment("A", 0.0, 2.0, "phrase"),
        *(segment("B", start, start + 2.0) for start in (2.0, 4.0, 6.0)),
        *(segment("C", start, start + 2.0) for start in (8.0, 10.0)),
        segment("C", 13.0, 15.0),
    ]
    assert phrase_intervals(segments) == [(0.0, 2.0), *[(2.0, 8.0)] * 3, *[(8.0, 12.0)] * 2, (13.0, 15.0)]
    assert phrase_intervals([]) == []
