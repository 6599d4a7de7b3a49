"""Calibrated confidence: the fraction of similar segments that are right."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from phonics_data.segmentation.calibration import FEATURES, CalibrationWeights, calibrated, features_of, fit_calibration
from phonics_data.segmentation.phrases import Phrase


def phrase(letter: str, start: float, end: float, confidence: float = 0.8, evidence: str = "screen") -> Phrase:
    return Phrase(
        letter=letter, object_word=None, start_seconds=start, end_seconds=end, confidence=confidence, evidence=evidence
    )


SONG = [phrase(letter, 2.0 * index, 2.0 * index + 2) for index, letter in enumerate("ABCDEFGH")]


def feature(name: str, row: int, song: list[Phrase]) -> float:
    return float(features_of(song)[row, FEATURES.index(name)])


def test_features_of_source_neighbours_and_length() -> None:
    song = [*SONG[:3], phrase("X", 6.0, 8.0), *SONG[4:]]
    song[6] = replace(song[6], end_seconds=12.5, evidence="captions,screen")
    assert [feature("neighbours", row, song) for row in range(8)] == [0.5, 1.0, 0.5, 0.0, 0.5, 1.0, 1.0, 0.5]
    assert feature("too_short", 6, song) == np.log(4)
    assert feature("too_short", 0, song) == feature("too_long", 6, song) == 0.0
    # The song without the phrase itself: X breaks two of the seven pairs, B none.
    assert feature("song_order", 3, song) == 5 / 6
    assert feature("song_order", 1, song) == 3 / 6
    assert feature("song_letters", 0, song) == 8 / 26
    assert (feature("screen", 0, song), feature("several_sources", 0, song)) == (1.0, 0.0)
    assert (feature("screen", 6, song), feature("several_sources", 6, song)) == (0.0, 1.0)


def test_missing_letters_between_neighbours() -> None:
    song = [phrase(letter, 2.0 * index, 2.0 * index + 2) for index, letter in enumerate("ABNCDGYZAB")]
    assert [feature("neighbours", row, song) for row in range(10)] == [0.5, 0.5, 0, 0.5, 0.5, 0, 0.5, 1, 1, 0.5]
    assert [feature("skipped", row, song) for row in range(10)] == [0, 0.5, 0.5, 0, 0.25, 0.25, 0, 0, 0, 0]


def test_length_ratios_are_bounded() -> None:
    song = [replace(one, end_seconds=one.start_seconds + 1.6) for one in SONG]
    song[3] = replace(song[3], end_seconds=song[3].start_seconds + 0.4)
    song[5] = replace(song[5], end_seconds=song[5].start_seconds + 160)
    song[6] = replace(song[6], end_seconds=song[6].start_seconds + 0.0001)
    assert feature("too_short", 3, song) == pytest.approx(np.log(4))
    assert feature("below_clip", 3, song) == pytest.approx(np.log(0.56 / 0.4))
    assert feature("below_clip", 0, song) == 0.0
    assert feature("too_long", 5, song) == feature("too_short", 6, song) == feature("below_clip", 6, song) == 1.5


def test_sources_other_than_the_three_do_not_count() -> None:
    song = [replace(SONG[0], evidence="screen,manifest"), replace(SONG[1], evidence="manifest"), *SONG[2:]]
    assert (feature("screen", 0, song), feature("several_sources", 0, song)) == (1.0, 0.0)
    assert [feature(name, 1, song) for name in ("captions", "speech", "screen", "several_sources")] == [0.0] * 4


def test_letter_between_its_neighbours_has_more_confidence_than_an_isolated_letter() -> None:
    song = [*SONG[:3], phrase("X", 6.0, 8.0), *SONG[4:]]
    found = calibrated(song, CalibrationWeights())
    assert found[3].confidence < min(one.confidence for row, one in enumerate(found) if row != 3)
    assert [replace(one, confidence=0.0) for one in found] == [replace(one, confidence=0.0) for one in song]
    assert calibrated([], CalibrationWeights()) == []


def test_fit_keeps_the_sign_of_known_features() -> None:
    features = np.ones((100, len(FEATURES)))
    always_right = fit_calibration(features, np.ones(100, np.bool_))
    never_right = fit_calibration(features, np.zeros(100, np.bool_))
    assert always_right.screen > 0 == always_right.skipped == always_right.too_short
    assert never_right.screen < 0 == never_right.neighbours == never_right.source_confidence


def test_fit_recovers_the_log_odds() -> None:
    rng = np.random.default_rng(3)
    features = np.zeros((4000, len(FEATURES)))
    features[:, FEATURES.index("screen")] = 1.0
    features[:, FEATURES.index("source_confidence")] = rng.normal(size=4000)
    probability = 1 / (1 + np.exp(-(0.5 + 1.5 * features[:, FEATURES.index("source_confidence")])))
    found = fit_calibration(features, rng.random(4000) < probability)
    assert abs(found.screen - 0.5) < 0.15
    assert abs(found.source_confidence - 1.5) < 0.15
    weighted = fit_calibration(
        features, np.arange(4000) % 2 == 0, weight_N=np.where(np.arange(4000) % 2 == 0, 3.0, 1.0)
    )
    assert abs(weighted.screen - np.log(3)) < 0.1
    unseen = {
        field.name: getattr(found, field.name)
        for field in fields(found)
        if field.name not in ("screen", "source_confidence")
    }
    assert set(unseen.values()) == {0.0}
