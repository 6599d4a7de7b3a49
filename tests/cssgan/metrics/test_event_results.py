"""The event measures of small songs, with their controls: what must be 1, at chance, or drop."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pytest

from cssgan.metrics.event_results import EventEvaluation, event_results
from cssgan.metrics.videos import VideoPairs, Videos, hold_first_frame
from cssgan.types import EvalWindows
from phonics_data.contract.labels import LETTERS

RATE = 25.0
MEASURES = ("event_match", "event_f1", "persistence", "object_similarity", "flicker_share")


def songs(num_songs: int = 3, clips: int = 5, frames: int = 40, seed: int = 0) -> Videos:
    """Clips of songs: a letter stands, an object and a word appear once, at times of their own, and stay."""
    rng = np.random.default_rng(seed)
    out = np.empty((num_songs * clips, frames, 64, 64, 3), np.uint8)
    for n in range(len(out)):
        background = np.random.default_rng(100 + n // clips).integers(60, 200, 3)
        out[n] = background
        out[n, :, 5:25, 5:15] = 255 - background
        object_frame, word_frame = rng.choice(np.arange(5, frames - 6, 5), 2, replace=False)
        out[n, object_frame:, 20:40, 30:50] = (background + rng.integers(80, 170, 3)) % 256
        out[n, word_frame:, 50:58, 8:50] = (background + 128) % 256
    return out


def windows(videos: Videos, clips: int = 5, words: tuple[str, ...] | None = None) -> EvalWindows:
    count, frames = videos.shape[:2]
    mels = np.zeros((count, frames, 2, 2), np.float32)
    return EvalWindows(
        keys=tuple(map(str, range(count))),
        video_ids=tuple(f"song-{n // clips}" for n in range(count)),
        label_set=LETTERS,
        labels_N=np.zeros(count, np.int64),
        video_NTHWC=videos,
        raw_mels_NTMU=mels,
        mels_NTMU=mels,
        num_valid_N=np.full(count, frames),
        frame_rates=(Fraction(25),) * count,
        start_seconds=(0.0,) * count,
        object_words=words or ("",) * count,
    )


def later(videos: Videos, seconds: float) -> Videos:
    return videos[:, np.maximum(np.arange(videos.shape[1]) - round(seconds * RATE), 0)]


def flashing(videos: Videos, seed: int = 1) -> Videos:
    """The first frame with flashes of three frames at random times."""
    out = hold_first_frame(videos).astype(np.int16)
    rng = np.random.default_rng(seed)
    for video in out:
        for start in rng.integers(0, len(video), 3):
            video[start : start + 3] += 60
    return np.clip(out, 0, 255).astype(np.uint8)


def evaluate(fake: Videos, real: Videos, controls: Mapping[str, Videos] | None = None) -> EventEvaluation:
    pairs = VideoPairs(real_NTHWC=real, fake_NTHWC=fake, num_valid_N=np.full(len(real), real.shape[1]))
    return event_results(pairs, windows(real), controls or {})


def values(fake: Videos, real: Videos) -> dict[str, float | None]:
    return {result.name: result.value for result in evaluate(fake, real).results}


def test_real_held_flash_and_shifted_videos() -> None:
    real = songs()
    found = {
        "real": values(real, real),
        "held": values(hold_first_frame(real), real),
        "flash": values(flashing(real), real),
        "late": values(later(real, 0.2), real),
        "slightly late": values(later(real, 0.04), real),
    }
    assert [found["real"][name] for name in MEASURES[:4]] == pytest.approx([1.0] * 4)
    assert found["held"]["event_match"] == 0.5
    assert found["held"]["event_f1"] == found["held"]["persistence"] == found["held"]["object_similarity"] == 0.0
    assert found["held"]["flicker_share"] is None
    assert found["flash"]["event_match"] == pytest.approx(0.5, abs=0.1)
    assert found["flash"]["persistence"] < 0.2  # type: ignore[operator]
    assert found["late"]["event_match"] < 0.6  # type: ignore[operator]
    assert found["late"]["event_f1"] < 0.3  # type: ignore[operator]
    assert found["slightly late"]["event_match"] > 0.85  # type: ignore[operator]
    assert found["flash"]["flicker_share"] > found["real"]["flicker_share"] + 0.3  # type: ignore[operator]


def test_controls_stand_beside_the_value_and_per_video_values_agree() -> None:
    real = songs()
    evaluation = evaluate(later(real, 0.08), real, {"held": hold_first_frame(real), "flash": flashing(real)})
    for result in evaluation.results:
        if result.value is None:
            continue
        assert {"real", "flash"} <= set(result.controls)
        if result.name == "event_match":
            wins, comparisons = (evaluation.per_video[f"event_match_{column}"] for column in ("wins", "comparisons"))
            assert np.nansum(wins) / np.nansum(comparisons) == pytest.approx(result.value)
        else:
            assert np.nanmean(evaluation.per_video[result.name]) == pytest.approx(result.value)
    match = evaluation.results[0]
    assert match.controls["held"] == match.controls["chance_level"] == 0.5
    assert not match.saturated_by


def test_controls_may_be_read_in_blocks() -> None:
    real = songs()
    held = hold_first_frame(real)
    pairs = VideoPairs(real_NTHWC=real, fake_NTHWC=held, num_valid_N=np.full(len(real), real.shape[1]))
    read = event_results(pairs, windows(real), {"held": lambda rows: held[rows]}).results
    given = event_results(pairs, windows(real), {"held": held}).results
    assert [result.as_json() for result in read] == [result.as_json() for result in given]


def test_a_control_as_good_as_real_saturates() -> None:
    real = songs()
    match = evaluate(later(real, 0.08), real, {"mismatched": real}).results[0]
    assert match.saturated_by == "mismatched"


def test_still_clips_have_no_events() -> None:
    still = hold_first_frame(songs(1))
    evaluation = evaluate(still, still)
    reasons = {result.name: result.unavailable for result in evaluation.results}
    assert "different events" in reasons["event_match"]
    assert reasons["object_similarity"] == reasons["persistence"] == "nothing lasts in any real clip"
    assert reasons["word_read"] == "no clip has an object word"


def test_clips_alone_in_their_songs_have_no_match_but_one_with_a_caution() -> None:
    """Against clips of other songs, a generator that plays its song's fixed times wins without hearing the audio."""
    real = songs(6, 1)
    pairs = VideoPairs(real_NTHWC=real, fake_NTHWC=real, num_valid_N=np.full(6, real.shape[1]))
    found = {result.name: result for result in event_results(pairs, windows(real, clips=1), {}).results}
    assert "no two real clips of a source video" in found["event_match"].unavailable
    other = found["event_match_other_songs"]
    assert other.value == 1.0
    assert "other songs" in other.caution
    assert other.controls["fixed_times"] < 0.9
    several = {result.name: result for result in evaluate(songs(), songs()).results}
    assert several["event_match_other_songs"].unavailable


def test_the_number_of_clips_and_songs_with_a_comparison_is_in_the_result() -> None:
    """A clip alone in its song, and a song without events, are not compared."""
    real = np.concatenate([songs(2, 5), hold_first_frame(songs(1, 5, seed=4)), songs(1, 1, seed=5)])
    match = evaluate(later(real, 0.08), real).results[0]
    assert (match.n_real, match.num_undefined) == (16, 6)
    assert (match.protocol["clips_compared"], match.protocol["songs_compared"]) == (10, 2)
    assert match.protocol["clips_without_events"] == 0
    assert match.controls["fixed_times"] < 0.6
