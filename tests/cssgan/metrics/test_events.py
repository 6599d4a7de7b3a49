"""Events of videos whose events are known: squares that appear once and stay, flashes, drifts."""

from __future__ import annotations

import numpy as np
import pytest

from cssgan.metrics import events
from cssgan.metrics.events import EventSpec

SPEC = EventSpec()


def _square(frame: int, num_frames: int = 40, *, left: int = 20, until: int | None = None) -> np.ndarray:
    """A bright square on grey that appears at `frame`."""
    video = np.full((num_frames, 64, 64, 3), 100, np.uint8)
    video[frame:until, 20:40, left : left + 20] = 250
    return video


@pytest.mark.parametrize("rate", [12.0, 24.0, 25.0, 30000 / 1001])
def test_a_square_that_appears_is_one_event_at_its_first_frame(rate: float) -> None:
    for frame in (1, 3, 10, 30):
        times = events.event_times(_square(frame), rate, SPEC)
        assert times == pytest.approx([frame / rate], abs=0.51 / rate)


def test_flashes_drifts_and_still_videos_have_no_events() -> None:
    flash = np.full((40, 64, 64, 3), 100, np.uint8)
    flash[10:13] = 220
    drift = np.full((40, 64, 64, 3), 100, np.uint8) + np.arange(0, 80, 2, dtype=np.uint8)[:, None, None, None]
    for video in (flash, drift, flash[:1], flash[:2], np.zeros((40, 8, 8, 3), np.uint8)):
        assert not len(events.event_times(video, 25.0, SPEC))


def test_only_the_region_counts() -> None:
    left = np.zeros((64, 64), np.bool_)
    left[:, :20] = True
    assert not len(events.event_times(_square(10), 25.0, SPEC, left))
    assert len(events.event_times(_square(10), 25.0, SPEC, ~left)) == 1
    assert not len(events.event_times(_square(10), 25.0, SPEC, np.zeros_like(left)))


def test_coincidence_falls_with_the_distance_and_counts_extra_events() -> None:
    one = np.array([1.0])
    assert events.coincidence(one, one, 0.12) == 1.0
    assert events.coincidence(one, one + 0.06, 0.12) == pytest.approx(0.5)
    assert events.coincidence(one, one + 0.13, 0.12) == 0.0
    assert events.coincidence(np.array([1.0, 2.0]), one, 0.12) == pytest.approx(2 / 3)
    assert events.coincidence(np.empty(0), one, 0.12) == 0.0


def test_negatives_come_from_the_song_then_the_style_then_all() -> None:
    sources = ("a", "a", "a", "b", "c", "d")
    styles = ("x", "x", "x", "y", "y", "y")
    mask = events.negatives(sources, styles)
    assert mask[0].tolist() == [False, True, True, False, False, False]
    assert mask[3].tolist() == [False, False, False, False, True, True]
    assert events.negatives(sources)[3].tolist() == [True, True, True, False, True, True]


def test_match_of_own_other_and_no_events() -> None:
    real = [np.array([0.5]), np.array([1.0]), np.array([1.5])]
    seconds = np.full(3, 2.0)
    pairs = events.clip_pairs(real, seconds, events.negatives(("a", "a", "a")), 0.12)
    own, shown = events.match_rates(real, pairs, 0.12)
    assert own.tolist() == [1.0, 1.0, 1.0]
    assert shown.all()
    shifted, _ = events.match_rates([times + 0.5 for times in real], pairs, 0.12)
    assert shifted.tolist() == [0.25, 0.25, 0.5]
    none, shown = events.match_rates([np.empty(0)] * 3, pairs, 0.12)
    assert none.tolist() == [0.5, 0.5, 0.5]
    assert not shown.any()


def test_match_compares_the_time_that_both_clips_have() -> None:
    """The long clip's late event is no advantage against a short clip that cannot have it."""
    real, seconds = [np.array([0.3, 3.0]), np.array([0.5])], np.array([4.0, 1.0])
    pairs = events.clip_pairs(real, seconds, ~np.eye(2, dtype=np.bool_), 0.12)
    rates, shown = events.match_rates([np.array([3.0]), np.array([0.3, 0.5])], pairs, 0.12)
    assert rates.tolist() == [0.5, 0.5]
    assert shown.tolist() == [False, True]


def test_events_that_two_clips_share_decide_nothing() -> None:
    real = [np.array([0.2, 1.0]), np.array([0.25, 1.3]), np.array([0.2])]
    pairs = events.clip_pairs(real, np.full(3, 2.0), ~np.eye(3, dtype=np.bool_), 0.12)
    assert [(pair.clip, pair.negative, pair.own.tolist(), pair.other.tolist()) for pair in pairs] == [
        (0, 1, [1.0], [1.3]),
        (1, 0, [1.3], [1.0]),
    ]
    rates, _ = events.match_rates([np.array([0.2]), np.array([0.2, 1.3]), np.array([0.2])], pairs, 0.12)
    assert rates[:2].tolist() == [0.5, 1.0]
    assert np.isnan(rates[2])


def test_each_clip_of_a_large_group_has_the_same_number_of_negatives() -> None:
    for size in (64, 65, 66, 100):
        mask = events.negatives(["a"] * size)
        assert (mask == mask.T).all()
        assert not mask.diagonal().any()
        assert set(mask.sum(axis=1).tolist()) == {min(size - 1, 64)}


def test_events_that_are_the_same_for_all_clips_are_at_chance() -> None:
    rng = np.random.default_rng(0)
    real = [np.sort(rng.uniform(0, 2, size)) for size in rng.integers(1, 4, 40)]
    pairs = events.clip_pairs(real, rng.uniform(1.0, 2.0, 40), events.negatives(["a"] * 40), 0.12)
    rates, _ = events.match_rates([np.array([0.4, 0.9])] * 40, pairs, 0.12)
    assert np.nanmean(rates) == pytest.approx(0.5, abs=0.02)


def test_f1_matches_one_to_one() -> None:
    truth = [np.array([1.0, 2.0])]
    assert events.f1_scores([np.array([0.9, 1.1])], truth, 0.12).tolist() == [0.5]
    assert events.f1_scores(truth, truth, 0.12).tolist() == [1.0]
    assert np.isnan(events.f1_scores([np.empty(0)], [np.empty(0)], 0.12)).all()


def test_what_goes_again_does_not_persist() -> None:
    real = _square(10)
    values = events.event_values(
        real[None],
        {
            "held": real[None, np.zeros(40, int)],
            "gone": _square(10, until=20)[None],
            "elsewhere": _square(10, left=42)[None],
        },
        np.array([40]),
        np.array([25.0]),
        SPEC,
    )[""]
    assert values["real"].persistence_N == pytest.approx(1.0)
    assert values["real"].similarity_N == pytest.approx(1.0)
    for name in ("held", "gone", "elsewhere"):
        assert values[name].persistence_N == pytest.approx(0.0)
        assert values[name].similarity_N == pytest.approx(0.0)
    assert np.isnan(values["held"].flicker_N).all()
