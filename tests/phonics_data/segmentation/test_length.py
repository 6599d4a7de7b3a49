from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonics_data.errors import OptionError
from phonics_data.segmentation.length import FrameSegment, LengthLimits, apply_length_rule
from phonics_data.segmentation.phrases import Phrase


def phrase(start: float, end: float, cuts: tuple[float, ...] = (), strong: int = 0) -> Phrase:
    return Phrase(
        letter="A",
        object_word=None,
        start_seconds=start,
        end_seconds=end,
        confidence=1,
        cut_points=cuts,
        num_strong_cuts=strong,
    )


def frames(segments: list[FrameSegment]) -> list[tuple[int, int, str]]:
    return [(one.start_frame, one.end_frame, one.rule) for one in segments]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (1.0, 1.56, [(25, 39, "phrase")]),
        (1.0, 5.0, [(25, 125, "phrase")]),
        (1.0, 1.55, [(25, 39, "phrase")]),  # rounds to 14 frames
        (1.0, 1.4, [(25, 39, "phrase_grown")]),
        (9.8, 10.0, [(236, 250, "phrase_grown")]),  # the video ends: extended backwards
        (1.0, 5.04, [(25, 75, "phrase_split"), (75, 126, "phrase_split")]),
    ],
)
def test_limits_at_25_frames_per_second(start: float, end: float, expected: list[tuple[int, int, str]]) -> None:
    good, short = apply_length_rule([phrase(start, end)], LengthLimits(), 10.0)
    assert frames(good) == expected
    assert short == []


def test_short_phrase_without_a_gap_is_returned_as_too_short() -> None:
    good, short = apply_length_rule([phrase(1, 3), phrase(3, 3.3), phrase(3.3, 5)], LengthLimits(), 10.0)
    assert frames(good) == [(25, 75, "phrase"), (82, 125, "phrase")]
    assert frames(short) == [(75, 82, "phrase_grown")]


def test_short_phrase_extends_into_the_gap_after_it_then_before_it() -> None:
    good, _ = apply_length_rule([phrase(1, 2), phrase(2.4, 2.6), phrase(2.7, 4)], LengthLimits(), 10.0)
    # 10 frames of the gap before it, 2 of the gap after it, 5 of its own.
    assert frames(good)[1] == (54, 68, "phrase_grown")


def test_long_phrases_are_divided_at_names_rather_than_other_words() -> None:
    long = phrase(0, 6, cuts=(0.0, 3.6, 2.8), strong=2)
    good, _ = apply_length_rule([long], LengthLimits(), 10.0)
    assert [piece.end_frame for piece in good] == [90, 150]


def test_other_frame_rates() -> None:
    limits = LengthLimits(frame_rate=Fraction(30000, 1001), min_frames=14, max_frames=100)
    good, _ = apply_length_rule([phrase(1.0, 3.0)], limits, 10.0)
    assert frames(good) == [(30, 90, "phrase")]


@given(
    st.lists(st.tuples(st.floats(0, 3), st.floats(0, 30)), max_size=12),
    st.integers(1, 30),
    st.integers(0, 100),
    st.sampled_from([Fraction(5), Fraction(25), Fraction(30000, 1001)]),
    st.data(),
)
def test_segments_satisfy_the_limits_and_do_not_overlap(
    gaps: list[tuple[float, float]], low: int, extra: int, rate: Fraction, data: st.DataObject
) -> None:
    here, phrases = 0.0, list[Phrase]()
    for gap, length in gaps:
        start, here = here + gap, here + gap + length
        cuts = tuple(data.draw(st.lists(st.floats(start, here), max_size=4)))
        phrases.append(phrase(start, here, cuts, len(cuts) // 2))
    limits = LengthLimits(frame_rate=rate, min_frames=low, max_frames=2 * low + extra)
    good, short = apply_length_rule(phrases, limits, here)
    end = 0
    for one in good:
        assert one.start_frame >= end
        assert low <= one.num_frames <= limits.max_frames
        end = one.end_frame
    assert end <= here * rate
    assert all(one.num_frames < low for one in short)
    covered = {id(one.phrase) for one in [*good, *short]}
    assert covered == {id(item) for item in phrases}


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"frame_rate": Fraction(1, 2)}, "--frame-rate"),
        ({"min_frames": 0}, "--min-frames"),
        ({"min_frames": 14, "max_frames": 27}, "--max-frames"),
    ],
)
def test_impossible_limits_are_refused(changes: dict[str, Fraction | int], flag: str) -> None:
    with pytest.raises(OptionError, match=flag):
        LengthLimits(**changes)  # pyright: ignore[reportArgumentType]
