"""The confidence of a segment is the share of right ones among its like."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from phonics_data.segmentation.calibration import SIGNS, CalibrationFeatures, calibrated, features_of, fit_calibration
from phonics_data.segmentation.phrases import Phrase


def phrase(letter: str, start: float, end: float, confidence: float = 0.8, evidence: str = "screen") -> Phrase:
    return Phrase(
        letter=letter, object_word=None, start_seconds=start, end_seconds=end, confidence=confidence, evidence=evidence
    )


SONG = [phrase(letter, 2.0 * at, 2.0 * at + 2) for at, letter in enumerate("ABCDEFGH")]


def sign(name: str, row: int, song: list[Phrase]) -> float:
    return float(features_of(song)[row, SIGNS.index(name)])


def test_signs_tell_source_neighbours_and_length() -> None:
    song = [*SONG[:3], phrase("X", 6.0, 8.0), *SONG[4:]]
    song[6] = replace(song[6], end_seconds=12.5, evidence="captions,screen")
    assert [sign("neighbours", row, song) for row in range(8)] == [0.5, 1.0, 0.5, 0.0, 0.5, 1.0, 1.0, 0.5]
    assert sign("odd_length", 6, song) == np.log(4)
    assert sign("odd_length", 0, song) == 0.0
    assert (sign("screen", 0, song), sign("agreed", 0, song)) == (1.0, 0.0)
    assert (sign("screen", 6, song), sign("agreed", 6, song)) == (0.0, 1.0)


def test_a_letter_beside_its_neighbours_is_surer_than_a_stray() -> None:
    song = [*SONG[:3], phrase("X", 6.0, 8.0), *SONG[4:]]
    found = calibrated(song, CalibrationFeatures())
    assert found[3].confidence < min(one.confidence for row, one in enumerate(found) if row != 3)
    assert [replace(one, confidence=0.0) for one in found] == [replace(one, confidence=0.0) for one in song]
    assert calibrated([], CalibrationFeatures()) == []


def test_the_fit_claims_the_share_that_is_right() -> None:
    rng = np.random.default_rng(3)
    signs = np.zeros((4000, len(SIGNS)))
    signs[:, SIGNS.index("screen")] = 1.0
    signs[:, SIGNS.index("own")] = rng.normal(size=4000)
    chance = 1 / (1 + np.exp(-(0.5 + 1.5 * signs[:, SIGNS.index("own")])))
    found = fit_calibration(signs, rng.random(4000) < chance)
    assert abs(found.screen - 0.5) < 0.15
    assert abs(found.own - 1.5) < 0.15
    unseen = {field.name: getattr(found, field.name) for field in fields(found) if field.name not in ("screen", "own")}
    assert set(unseen.values()) == {0.0}
