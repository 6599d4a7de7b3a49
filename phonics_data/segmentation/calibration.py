"""Calibrated confidence of phrases: a logistic regression on features of the phrase and its neighbours. Pure.

The weights are fitted on labelled songs (`benchmarks.fit_segmentation`), so that about nine of ten segments with a
confidence of 0.9 are right at an IoU of 0.5. The evidence for the letter alone is a poor predictor: a letter detected once
between its neighbours of the alphabet is more certain than one detected often where another letter is expected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.phrases import Phrase


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationWeights:
    """Weights of the features; their weighted sum is the log odds that a phrase is right.

    The defaults are those of benchmarks/segmentation-fit.json.

    Args:
        captions, speech, screen: 1 for a phrase of this one source.
        several_sources: 1 for a phrase that two sources contain.
        source_confidence: log odds of the confidence that the source gives.
        neighbours: fraction (0, 0.5, 1) of the two neighbours that are the alphabet's.
        odd_length: absolute log ratio of the phrase's length to the song's median.
    """

    captions: float = 2.502
    speech: float = 1.422
    screen: float = 3.06
    several_sources: float = 3.103
    source_confidence: float = 0.483
    neighbours: float = 2.068
    odd_length: float = -6.017


FEATURES = tuple(field.name for field in fields(CalibrationWeights))
"""Columns of `features_of`, named as their weights."""


def features_of(phrases: Sequence[Phrase]) -> NDArray[np.float64]:
    """(phrases, len(FEATURES)) features of one song's phrases.

    Args:
        phrases: in time order, with the confidence that their sources give.
    """
    features = np.zeros((len(phrases), len(FEATURES)))
    lengths = [max(phrase.end_seconds - phrase.start_seconds, 1e-3) for phrase in phrases]
    usual = median(lengths) if lengths else 1.0
    indices = [LETTERS.index(phrase.letter) for phrase in phrases]
    for row, (phrase, length) in enumerate(zip(phrases, lengths, strict=True)):
        source = "several_sources" if "," in phrase.evidence else phrase.evidence
        features[row, FEATURES.index(source)] = 1.0
        confidence = min(max(phrase.confidence, 0.02), 0.98)
        follows = [
            row > 0 and indices[row - 1] == indices[row] - 1,
            row + 1 < len(indices) and indices[row + 1] == indices[row] + 1,
        ]
        features[row, 4:] = (np.log(confidence / (1 - confidence)), sum(follows) / 2, abs(np.log(length / usual)))
    return features


def calibrated(phrases: Sequence[Phrase], calibration: CalibrationWeights) -> list[Phrase]:
    """The phrases of one song with calibrated confidence."""
    weights = np.array([getattr(calibration, name) for name in FEATURES])
    log_odds = features_of(phrases) @ weights
    return [
        replace(phrase, confidence=round(float(1 / (1 + np.exp(-value))), 3))
        for phrase, value in zip(phrases, log_odds.tolist(), strict=True)
    ]


def fit_calibration(
    features_NK: NDArray[np.float64], is_right_N: NDArray[np.bool_], *, ridge: float = 1.0
) -> CalibrationWeights:
    """The weights with the highest likelihood, with a ridge penalty of `ridge` / 2 times the sum of their squares.

    Args:
        features_NK: (segments, len(FEATURES)) from `features_of`.
        is_right_N: whether each segment is right.
    """
    from scipy.optimize import minimize

    sign_N = np.where(is_right_N, 1.0, -1.0)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin_N = sign_N * (features_NK @ weights)
        slope_N = -sign_N / (1 + np.exp(margin_N))
        value = float(np.logaddexp(0, -margin_N).sum() + ridge / 2 * (weights @ weights))
        return value, features_NK.T @ slope_N + ridge * weights

    found = minimize(loss, np.zeros(features_NK.shape[1]), jac=True, method="L-BFGS-B")
    values = {name: round(float(weight), 3) for name, weight in zip(FEATURES, found.x, strict=True)}
    return CalibrationWeights(**values)
