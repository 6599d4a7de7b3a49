"""Results of synchrony: clips of several frame rates, saturation of the audio swap test, draws of the mismatched control."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from cssgan.metrics import synchrony
from cssgan.metrics.controls import ControlVideos, flash
from cssgan.metrics.motion import motion_curves
from cssgan.metrics.result import MetricResult
from cssgan.metrics.synchrony import SynchronySpec
from cssgan.metrics.synchrony_results import Curves, control_curves, synchrony_results
from cssgan.metrics.videos import VideoPairs
from cssgan.types import EvalWindows
from phonics_data.contract.labels import LETTERS
from phonics_data.contract.logmel import log_mel, mel_segments

NUM_CLIPS, NUM_FRAMES, SIZE = 24, 64, 8


def windows(rates: tuple[Fraction, ...]) -> EvalWindows:
    """Clips of noise with four onsets at random times in 2.1 s, two songs; pictures that never change."""
    rng = np.random.default_rng(0)
    mels: list[NDArray[np.floating]] = []
    for rate in rates:
        audio = 1e-4 * rng.standard_normal(48_000)
        for seconds in rng.uniform(0.2, 2.0, 4):
            first = int(seconds * 16_000)
            audio[first : first + 1600] += rng.standard_normal(1600) * np.exp(-np.arange(1600) / 400)
        mels.append(mel_segments(log_mel(audio.astype(np.float32)), NUM_FRAMES, rate))
    raw = np.stack(mels).astype(np.float32)
    picture = rng.integers(40, 120, (NUM_CLIPS, 1, SIZE, SIZE, 3)).astype(np.uint8)
    return EvalWindows(
        keys=tuple(str(n) for n in range(NUM_CLIPS)), video_ids=tuple(f"song{n % 2}" for n in range(NUM_CLIPS)),
        label_set=LETTERS, labels_N=np.zeros(NUM_CLIPS, np.int64), video_NTHWC=picture.repeat(NUM_FRAMES, axis=1),
        raw_mels_NTMU=raw, mels_NTMU=raw, frame_rates=rates,
        num_valid_N=np.array([min(NUM_FRAMES, int(2.1 * float(rate))) for rate in rates]),
        start_seconds=(0.0,) * NUM_CLIPS, object_words=("",) * NUM_CLIPS,
    )  # fmt: skip


def results_of_lamps(data: EvalWindows, *, real: str) -> dict[str, MetricResult]:
    """The results of a generator that is the control ``flash``.

    Args:
        real: ``flash``: the real videos flash as well; ``held``: nothing happens in them.
    """
    other = synchrony.mismatched_pairing(len(data), np.random.default_rng(0))
    hops = np.array([synchrony.hops_per_frame(rate) for rate in data.frame_rates])
    swapped = motion_curves(
        flash(data.video_NTHWC[:, 0], synchrony.onset_curves(data.raw_mels_NTMU[other], hops[other]))
    )
    lamps = ControlVideos(data=data)
    fake = lamps.read("flash", slice(None))
    real_videos = fake if real == "flash" else data.video_NTHWC
    curves = Curves.of_videos(
        VideoPairs(real_NTHWC=real_videos, fake_NTHWC=fake, num_valid_N=data.num_valid_N),
        data,
        synchrony.window_onset_curves(data),
        controls=control_curves(lamps),
        swapped={"fake": swapped, "flash": swapped},
        other_N=other,
    )
    spec = SynchronySpec(num_resamples=200, num_pairings=10)
    return {result.name: result for result in synchrony_results(curves, spec).results}


@pytest.mark.parametrize(
    "rates",
    [(Fraction(24),), (Fraction(24), Fraction(30)), (Fraction(24_000, 1001), Fraction(25), Fraction(30))],
    ids=["one", "two", "three"],
)
def test_videos_from_audio_of_another_frame_rate_follow_that_audio(rates: tuple[Fraction, ...]) -> None:
    found = results_of_lamps(windows(rates * (NUM_CLIPS // len(rates))), real="flash")["audio_swap_auc"]
    assert found.value == pytest.approx(1.0, abs=0.03)
    assert found.controls["flash"] == found.value
    assert found.controls["real"] == pytest.approx(1.0, abs=0.03)
    assert found.saturated_by == "flash"


def test_the_real_value_of_the_audio_swap_test_is_measured() -> None:
    found = results_of_lamps(windows((Fraction(25),) * NUM_CLIPS), real="held")["audio_swap_auc"]
    assert found.value == pytest.approx(1.0, abs=0.03)
    assert found.controls["real"] == 0.5  # nothing moves in these real videos
    assert found.saturated_by == "flash"


def test_the_mismatched_control_is_a_mean_over_several_choices_of_the_other_clip() -> None:
    """Its clips are negatives of each other: with 12 clips a song it beats on average 5 of 11, and so loses to chance."""
    data = windows((Fraction(25),) * NUM_CLIPS)
    values = []
    for seed in range(4):
        controls = ControlVideos(data=data, seed=seed)
        fake = controls.read("flash", slice(None))
        curves = Curves.of_videos(
            VideoPairs(real_NTHWC=fake, fake_NTHWC=fake, num_valid_N=data.num_valid_N), data,
            synchrony.window_onset_curves(data), controls=control_curves(controls),
        )  # fmt: skip
        spec = SynchronySpec(num_resamples=50, num_pairings=10, seed=seed)
        results = {result.name: result for result in synchrony_results(curves, spec).results}
        values.append(results["sync_auc"].controls["mismatched"])
    assert np.std(values) < 0.025
    assert np.mean(values) == pytest.approx(5 / 11, abs=0.05)
