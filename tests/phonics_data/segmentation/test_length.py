from __future__ import annotations

import itertools
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


def whole(*lengths: int) -> list[Phrase]:
    """Adjacent phrases of so many frames at 25 a second, from time 0."""
    borders = [0, *itertools.accumulate(lengths)]
    return [phrase(low / 25, high / 25) for low, high in itertools.pairwise(borders)]


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        # One frame from each side; the neighbours keep theirs.
        ((31, 12, 31), [(0, 31, "phrase"), (30, 44, "phrase_lent"), (43, 74, "phrase")]),
        ((14, 11, 14), [(0, 14, "phrase"), (13, 27, "phrase_lent"), (25, 39, "phrase")]),
        # Short neighbours share frames, too. The first one cannot be extended before the video.
        ((12, 12, 12), [(0, 14, "phrase_lent"), (11, 25, "phrase_lent"), (22, 36, "phrase_lent")]),
        # A phrase of more than half the minimum is kept, a shorter one would mostly show its neighbours.
        ((40, 8, 40), [(0, 40, "phrase"), (37, 51, "phrase_lent"), (48, 88, "phrase")]),
        ((40, 7, 40), [(0, 40, "phrase"), (47, 87, "phrase")]),
    ],
)
def test_neighbours_lend_frames(lengths: tuple[int, ...], expected: list[tuple[int, int, str]]) -> None:
    phrases = whole(*lengths)
    good, short = apply_length_rule(phrases, LengthLimits(), sum(lengths) / 25 + 0.01)
    assert frames(good) == expected
    assert len(short) == len(lengths) - len(expected)


def test_gaps_are_used_before_frames_of_neighbours() -> None:
    phrases = [phrase(0, 1), phrase(1.04, 1.44), phrase(1.48, 3)]  # 1 frame of gap on each side of 10
    good, _ = apply_length_rule(phrases, LengthLimits(), 3.0)
    assert frames(good) == [(0, 25, "phrase"), (24, 38, "phrase_lent"), (37, 75, "phrase")]


def test_short_phrases_share_a_gap() -> None:
    phrases = [phrase(0, 1), phrase(1, 1.4), phrase(1.72, 2.12), phrase(2.12, 3)]  # 10 frames, a gap of 8, 10 frames
    good, short = apply_length_rule(phrases, LengthLimits(), 3.0)
    assert frames(good)[1:3] == [(25, 39, "phrase_grown"), (39, 53, "phrase_grown")]
    assert short == []


def test_lent_frames_lower_the_confidence() -> None:
    good, _ = apply_length_rule(whole(40, 12, 40, 8, 40), LengthLimits(), 141 / 25)
    assert [one.own_share for one in good] == pytest.approx([1, 12 / 14, 1, 8 / 14, 1])
    assert [one.confidence for one in good] == pytest.approx([1, 12 / 14, 1, 8 / 14, 1])


@pytest.mark.parametrize(("num_own", "confidence"), [(13, 1.0), (7, 1.0), (6, 12 / 14), (1, 2 / 14)])
def test_gaps_lower_the_confidence_where_they_are_most_of_the_segment(num_own: int, confidence: float) -> None:
    (grown,), short = apply_length_rule([phrase(1.0, 1.0 + num_own / 25)], LengthLimits(), 3)
    assert (grown.rule, grown.num_frames, short) == ("phrase_grown", 14, [])
    assert grown.confidence == pytest.approx(confidence)


def test_two_halves_of_the_shortest_video_are_no_clips_of_the_same_frames() -> None:
    good, short = apply_length_rule(whole(7, 7), LengthLimits(), 14 / 25)
    assert (good, [one.reach for one in short]) == ([], [13, 13])
    good, short = apply_length_rule(whole(7, 7), LengthLimits(min_frames=13), 14 / 25)
    assert frames(good) == [(0, 13, "phrase_lent"), (1, 14, "phrase_lent")]
    assert short == []


def test_rejected_phrases_say_why() -> None:
    _, (hopeless,) = apply_length_rule(whole(40, 6, 40), LengthLimits(), 10)
    assert (hopeless.start_frame, hopeless.end_frame) == (40, 46)
    assert hopeless.why_short == (
        "6 frames; extended to 14, it would mostly show the letters beside it; --min-frames 11 keeps it"
    )
    assert hopeless.reach == 11
    _, (early,) = apply_length_rule([phrase(0.0, 0.4)], LengthLimits(), 12 / 25)
    assert early.why_short == "10 frames, and the video has fewer than 14; --min-frames 12 keeps it"
    _, (empty,) = apply_length_rule([phrase(1.0, 1.01)], LengthLimits(), 2)
    assert (empty.reach, empty.why_short) == (0, "nothing of it is inside the video")


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


def test_the_advised_minimum_keeps_the_phrase_although_its_neighbour_is_extended_too() -> None:
    phrases = [phrase(0.0, 1.0), phrase(2.0, 3.0)]
    good, short = apply_length_rule(phrases, LengthLimits(frame_rate=Fraction(5), min_frames=11), 3.0)
    assert good == []
    for one in short:
        kept, _ = apply_length_rule(phrases, LengthLimits(frame_rate=Fraction(5), min_frames=one.reach), 3.0)
        assert one.phrase in [other.phrase for other in kept]
    # With 10, the first one takes the gap between them.
    assert [one.reach for one in short] == [10, 9]


@given(
    st.lists(st.tuples(st.floats(0, 3), st.floats(0, 30)), max_size=12),
    st.integers(1, 30),
    st.integers(0, 100),
    st.sampled_from([Fraction(5), Fraction(25), Fraction(30000, 1001)]),
    st.data(),
)
def test_segments_satisfy_the_limits(
    gaps: list[tuple[float, float]], low: int, extra: int, rate: Fraction, data: st.DataObject
) -> None:
    here, phrases = 0.0, list[Phrase]()
    for gap, length in gaps:
        start, here = here + gap, here + gap + length
        cuts = tuple(data.draw(st.lists(st.floats(start, here), max_size=4)))
        phrases.append(phrase(start, here, cuts, len(cuts) // 2))
    limits = LengthLimits(frame_rate=rate, min_frames=low, max_frames=2 * low + extra)
    good, short = apply_length_rule(phrases, limits, here)
    own = {
        id(one): tuple(min(round(Fraction(t) * rate), int(here * rate)) for t in (one.start_seconds, one.end_seconds))
        for one in phrases
    }
    for one in good:
        assert low <= one.num_frames <= limits.max_frames
        assert one.start_frame >= 0
        assert one.end_frame <= here * rate
        first, last = own[id(one.phrase)]
        if one.rule in ("phrase", "phrase_split"):
            assert first <= one.start_frame
            assert one.end_frame <= last
        elif one.rule == "phrase_grown":
            assert (one.start_frame <= first, last <= one.end_frame) == (True, True)
            assert not any(
                max(one.start_frame, other[0]) < min(one.end_frame, other[1])
                for key, other in own.items()
                if key != id(one.phrase)
            )
        elif one.rule == "phrase_lent":
            assert one.num_frames == low
            assert 2 * (min(last, one.end_frame) - max(first, one.start_frame)) > low
    assert all(one.num_frames < low and one.why_short for one in short)
    intervals = [(one.start_frame, one.end_frame) for one in good]
    assert len(set(intervals)) == len(intervals)
    for one in short:
        assert min(one.num_frames, 1) <= one.reach < low
        if one.reach > 0:
            lower, _ = apply_length_rule(phrases, LengthLimits(frame_rate=rate, min_frames=one.reach), here)
            assert one.phrase in [other.phrase for other in lower]
    assert sorted({id(one.phrase) for one in good} | {id(one.phrase) for one in short}) == sorted(map(id, phrases))
    assert {id(one.phrase) for one in good}.isdisjoint(id(one.phrase) for one in short)


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
