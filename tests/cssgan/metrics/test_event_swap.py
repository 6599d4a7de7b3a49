"""The audio swap test of events: pairs, and generators that ignore the audio."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from cssgan.evaluation.evaluate import event_swap
from cssgan.metrics.conditions import Generate
from cssgan.metrics.controls import ControlVideos
from cssgan.metrics.event_swap import swap_partners
from cssgan.metrics.events import EventSpec
from cssgan.types import EvalWindows
from tests.cssgan.metrics import toy_phrases


def test_partners_have_the_same_song_and_frame_rate() -> None:
    sources = ["a"] * 5 + ["b", "b", "c"]
    rates = [Fraction(24)] * 2 + [Fraction(30)] * 3 + [Fraction(24), Fraction(30), Fraction(24)]
    found = swap_partners(sources, rates, np.random.default_rng(0)).tolist()
    assert found[:2] == [1, 0]
    assert sorted(found[2:5]) == [2, 3, 4]
    assert all(partner != n for n, partner in enumerate(found))
    assert found[5:] == [-1, -1, -1]


def _of_rates(data: EvalWindows, rates: tuple[int, ...]) -> EvalWindows:
    """The windows, with the frame rates in turn and one clip in a song of its own."""
    frame_rates = tuple(Fraction(rates[n % len(rates)]) for n in range(len(data)))
    sources = ("alone", *data.video_ids[1:])
    return EvalWindows(
        keys=data.keys, video_ids=sources, label_set=data.label_set, labels_N=data.labels_N,
        video_NTHWC=data.video_NTHWC, raw_mels_NTMU=data.raw_mels_NTMU, mels_NTMU=data.mels_NTMU,
        num_valid_N=data.num_valid_N, frame_rates=frame_rates, start_seconds=data.start_seconds,
        object_words=data.object_words,
    )  # fmt: skip


@pytest.mark.parametrize("rates", [(25,), (24, 30)])
def test_a_generator_that_ignores_the_audio_is_exactly_at_chance(rates: tuple[int, ...]) -> None:
    """Here it makes the real video of the image."""
    data = _of_rates(toy_phrases.make(num_songs=2, clips_per_song=8)[1], rates)

    def memorized(images: NDArray[np.uint8], mels: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
        return data.video_NTHWC[toy_phrases.rows_of(data, labels, images)]

    generate: Generate = memorized
    result, value_N = event_swap(generate, None, data, data.video_NTHWC, ControlVideos(data=data), EventSpec())
    assert result.value == 0.5
    assert set(value_N[1:]) == {0.5}
    assert np.isnan(value_N[0])
    assert (result.n_real, result.num_undefined) == (16, 1)
    assert (result.protocol["clips_compared"], result.protocol["songs_compared"]) == (15, 2)
    assert result.controls["real"] > 0.8
    assert {result.controls[name] for name in ("held", "song_mean", "mismatched")} == {0.5}


def test_without_two_clips_of_a_song_there_is_no_value() -> None:
    data = toy_phrases.make(num_songs=4, clips_per_song=1)[1]
    generate: Generate = lambda images, mels, labels: data.video_NTHWC  # noqa: E731
    result, value_N = event_swap(generate, None, data, data.video_NTHWC, ControlVideos(data=data), EventSpec())
    assert "no two clips of a source video" in result.unavailable
    assert np.isnan(value_N).all()
