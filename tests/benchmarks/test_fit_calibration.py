"""The fit of the calibration on small samples, and its record."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fit_calibration import (
    CalibrationSample,
    collect,
    curve_table,
    fit_and_validate,
    fit_weighted,
    precision_curve,
    proposed_threshold,
    song_table,
)
from benchmarks.segmentation_real import SCREEN
from phonics_data.segmentation.calibration import FEATURES, CalibrationWeights, confidence_of
from tests.benchmarks.test_fit_segmentation import RECORD, cards


def sample(song: str, *, is_real: bool, size: int = 200, share_right: float = 0.5, seed: int = 1) -> CalibrationSample:
    """Segments that are right where a neighbour is the alphabet's, with 5 % exceptions."""
    rng = np.random.default_rng(seed)
    is_right = rng.random(size) < share_right
    features = np.zeros((size, len(FEATURES)))
    features[:, FEATURES.index("screen")] = 1.0
    features[:, FEATURES.index("neighbours")] = np.where(rng.random(size) < 0.05, ~is_right, is_right)
    return CalibrationSample(
        song=song,
        evidence="screen",
        is_real=is_real,
        features_NK=features,
        confidence_N=np.full(size, 0.5),
        is_right_N=is_right,
    )


def test_each_real_song_is_validated_without_itself() -> None:
    samples = [
        sample("rendered", is_real=False),
        sample("one", is_real=True, seed=2),
        sample("two", is_real=True, seed=3),
    ]
    found = fit_and_validate(samples)
    assert [one.song for one in found.songs] == ["one", "two"]
    assert all(one.error < 0.1 and one.wrong_mean < 0.2 < 0.8 < one.right_mean for one in found.songs)
    assert (found.num_segments, found.num_real_segments, found.num_rendered_songs) == (600, 400, 1)
    assert found.curve[0].kept_wrong == 1.0
    assert found.proposed_min_confidence < 0.1  # 5 % of the right segments look wrong
    assert [row[0] for row in song_table(found)] == ["one", "two"]
    assert curve_table(found)[0][0] == "0"
    record = found.merged_into({"values": {"x": 1.0}, "calibration": {}, "calibration_before": 0.1})
    assert record["values"] == {"x": 1.0}
    assert record["calibration"] == asdict(found.calibration)
    assert "calibration_before" not in record
    json.dumps(record)


def test_a_short_real_song_counts_as_much_as_all_rendered_songs() -> None:
    rendered = [sample(f"rendered {index}", is_real=False, share_right=1.0, size=400) for index in range(4)]
    real = sample("real", is_real=True, share_right=0.0, size=20)
    features = np.zeros((1, len(FEATURES)))
    features[0, FEATURES.index("screen")] = 1.0
    for one in (*rendered, real):
        one.features_NK[:, FEATURES.index("neighbours")] = 0.0
    assert confidence_of(features, fit_weighted([*rendered, real]))[0] == pytest.approx(0.5, abs=0.02)


def test_precision_curve_and_proposal() -> None:
    confidence = np.array([0.02, 0.12, 0.2, 0.35, 0.8, 0.95])
    is_right = np.array([False, False, False, True, True, True])
    curve = precision_curve(confidence, is_right)
    assert (curve[0].precision, curve[0].kept_wrong) == (0.5, 1.0)
    best = proposed_threshold(curve)
    assert best == 0.3
    point = next(one for one in curve if one.min_confidence == best)
    assert (point.precision, point.kept_right, point.wrong_mean) == (1.0, 1.0, 0.0)


def test_segments_are_judged_after_the_length_rule(tmp_path: Path) -> None:
    (found,) = collect([cards(tmp_path, "song")], [SCREEN], is_real=True)
    assert found.is_right_N.all()
    assert found.features_NK.shape == (26, len(FEATURES))


def test_defaults_are_those_of_the_record() -> None:
    record = json.loads(RECORD.read_text())
    assert record["calibration"] == asdict(CalibrationWeights())
    songs = record["calibration_fit"]["songs"]
    assert len(songs) >= 4
    assert all(one["wrong_mean"] < one["right_mean"] - 0.2 for one in songs if one["num_wrong"] > 5)
