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


def test_negatives_come_from_the_song_alone() -> None:
    sources = ("a", "a", "a", "b", "c", "d", "d")
    mask = events.negatives(sources)
    assert mask[0].tolist() == [False, True, True, False, False, False, False]
    assert not mask[3:5].any()
    assert mask[5].tolist() == [False] * 6 + [True]
    alone = events.negatives_of_other_songs(sources)
    assert np.argwhere(alone).tolist() == [[3, 4], [4, 3]]
    for sizes in ([10] * 12 + [2] * 10, [1] * 100, [100, 1, 1, 2]):
        names = [f"song-{number}" for number, size in enumerate(sizes) for _ in range(size)]
        for found in (events.negatives(names), events.negatives_of_other_songs(names)):
            assert (found == found.T).all()


def test_match_of_own_other_and_no_events() -> None:
    real = [np.array([0.5]), np.array([1.0]), np.array([1.5])]
    seconds = np.full(3, 2.0)
    pairs = events.clip_pairs(real, seconds, events.negatives(("a", "a", "a")), 0.12)
    wins, comparisons, shown = events.match_counts(real, pairs, 0.12)
    assert wins.tolist() == comparisons.tolist() == [2.0, 2.0, 2.0]
    assert shown.all()
    shifted, _, _ = events.match_counts([times + 0.5 for times in real], pairs, 0.12)
    assert shifted.tolist() == [0.5, 0.5, 1.0]
    none, _, shown = events.match_counts([np.empty(0)] * 3, pairs, 0.12)
    assert none.tolist() == [1.0, 1.0, 1.0]
    assert not shown.any()


def test_match_compares_the_time_that_both_clips_have() -> None:
    """The long clip's late event is no advantage against a short clip that cannot have it."""
    real, seconds = [np.array([0.3, 3.0]), np.array([0.5])], np.array([4.0, 1.0])
    pairs = events.clip_pairs(real, seconds, ~np.eye(2, dtype=np.bool_), 0.12)
    wins, comparisons, shown = events.match_counts([np.array([3.0]), np.array([0.3, 0.5])], pairs, 0.12)
    assert wins.tolist() == [0.5, 0.5]
    assert comparisons.tolist() == [1.0, 1.0]
    assert shown.tolist() == [False, True]


def test_events_that_two_clips_share_decide_nothing() -> None:
    real = [np.array([0.2, 1.0]), np.array([0.25, 1.3]), np.array([0.2])]
    pairs = events.clip_pairs(real, np.full(3, 2.0), ~np.eye(3, dtype=np.bool_), 0.12)
    assert [(pair.clip, pair.negative, pair.own.tolist(), pair.other.tolist()) for pair in pairs] == [
        (0, 1, [1.0], [1.3]),
        (1, 0, [1.3], [1.0]),
    ]
    wins, comparisons, _ = events.match_counts([np.array([0.2]), np.array([0.2, 1.3]), np.array([0.2])], pairs, 0.12)
    assert wins[:2].tolist() == [0.5, 1.0]
    assert comparisons[:2].tolist() == [1.0, 1.0]
    assert np.isnan([wins[2], comparisons[2]]).all()


def test_each_clip_of_a_large_group_has_the_same_number_of_negatives() -> None:
    for size in (64, 65, 66, 100):
        mask = events.negatives(["a"] * size)
        assert (mask == mask.T).all()
        assert not mask.diagonal().any()
        assert set(mask.sum(axis=1).tolist()) == {min(size - 1, 64)}


@pytest.mark.parametrize("clips", [2, 8, 18, 40, 100])
def test_a_fixed_event_list_of_each_song_is_exactly_at_chance(clips: int) -> None:
    """Also where the events of a song scatter little: typical clips then have few comparisons, untypical ones many."""
    rng = np.random.default_rng(0)
    songs = np.repeat(np.arange(10), clips)
    typical = [np.sort(rng.uniform(0.2, 1.2, 2)) for _ in range(10)]
    real = [np.sort(typical[song] + rng.normal(0, 0.08, 2)) for song in songs]
    pairs = events.clip_pairs(
        real, rng.uniform(1.0, 2.0, len(songs)), events.negatives([f"song-{song}" for song in songs]), 0.12
    )
    wins, comparisons, _ = events.match_counts([typical[song] for song in songs], pairs, 0.12)
    assert np.nansum(wins) / np.nansum(comparisons) == 0.5
    if clips >= 8:
        assert np.nanmean(wins / comparisons) > 0.55  # the mean of the rates of clips is too large


def test_fixed_times_are_the_most_typical_list_of_the_other_clips() -> None:
    real = [np.array([time]) for time in (1.0, 1.06, 1.02, 1.04)]
    found = events.fixed_times([*real, np.array([0.5]), np.empty(0)], ["a"] * 4 + ["b", "c"], 0.12)
    assert [times.tolist() for times in found] == [[1.04], [1.02], [1.04], [1.02], [], []]


def test_f1_matches_one_to_one() -> None:
    truth = [np.array([1.0, 2.0])]
    assert events.f1_scores([np.array([0.9, 1.1])], truth, 0.12).tolist() == [0.5]
    assert events.f1_scores(truth, truth, 0.12).tolist() == [1.0]
    none = np.empty(0)
    assert events.f1_scores([none], truth, 0.12).tolist() == [0.0]


def test_the_clips_that_f1_counts_do_not_depend_on_the_model() -> None:
    """A model with an event in a clip without events must not be measured on other clips than a model without."""
    none, some = np.empty(0), np.array([1.0])
    real = [some, none, none]
    right, invents, still = [some, none, none], [some, some, none], [none, none, none]
    for times, expected, false in ((right, 1.0, 0.0), (invents, 1.0, 0.5), (still, 0.0, 0.0)):
        f1 = events.f1_scores(times, real, 0.12)
        assert np.isfinite(f1).tolist() == [True, False, False]
        assert np.nanmean(f1) == expected
        assert np.nanmean(events.false_events(times, real)) == false


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


def test_other_changes_than_the_real_one_do_not_persist() -> None:
    """At the right time and to the end: a lamp, a square of the complementary colour, and random squares."""
    rng = np.random.default_rng(0)
    background = rng.integers(80, 120, (64, 64, 3)).astype(np.uint8)
    real = np.repeat(background[None], 40, axis=0)
    real[10:, 20:40, 20:40] = (250, 200, 120)
    values: dict[str, float] = {}
    for name in ("lamp 40", "lamp 80", "dark", "squares", "paler"):
        video = np.repeat(background[None], 40, axis=0)
        if name.startswith("lamp"):
            video[10:] += np.uint8(name.split()[1])
        elif name == "dark":
            video[10:, 20:40, 20:40] = 20
        elif name == "paler":
            video[10:, 20:40, 20:40] = (220, 190, 140)
        else:
            for top, left in rng.integers(0, 40, (4, 2)):
                video[10:, top : top + 24, left : left + 24] = rng.integers(0, 256, 3)
        found = events.event_values(real[None], {name: video[None]}, np.array([40]), np.array([25.0]), SPEC)[""]
        values[name] = float(found[name].persistence_N[0])
    assert max(values["lamp 40"], values["lamp 80"], values["dark"]) < 0.05
    assert values["squares"] < 0.5
    assert values["paler"] > 0.7
