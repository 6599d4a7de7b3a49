"""Calibrated confidence: the fraction of similar segments that are right."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

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
    assert feature("odd_length", 6, song) == np.log(4)
    assert feature("odd_length", 0, song) == 0.0
    assert (feature("screen", 0, song), feature("several_sources", 0, song)) == (1.0, 0.0)
    assert (feature("screen", 6, song), feature("several_sources", 6, song)) == (0.0, 1.0)


def test_letter_between_its_neighbours_has_more_confidence_than_an_isolated_letter() -> None:
    song = [*SONG[:3], phrase("X", 6.0, 8.0), *SONG[4:]]
    found = calibrated(song, CalibrationWeights())
    assert found[3].confidence < min(one.confidence for row, one in enumerate(found) if row != 3)
    assert [replace(one, confidence=0.0) for one in found] == [replace(one, confidence=0.0) for one in song]
    assert calibrated([], CalibrationWeights()) == []


def test_fit_recovers_the_log_odds() -> None:
    rng = np.random.default_rng(3)
    features = np.zeros((4000, len(FEATURES)))
    features[:, FEATURES.index("screen")] = 1.0
    features[:, FEATURES.index("source_confidence")] = rng.normal(size=4000)
    probability = 1 / (1 + np.exp(-(0.5 + 1.5 * features[:, FEATURES.index("source_confidence")])))
    found = fit_calibration(features, rng.random(4000) < probability)
    assert abs(found.screen - 0.5) < 0.15
    assert abs(found.source_confidence - 1.5) < 0.15
    unseen = {
        field.name: getattr(found, field.name)
        for field in fields(found)
        if field.name not in ("screen", "source_confidence")
    }
    assert set(unseen.values()) == {0.0}
