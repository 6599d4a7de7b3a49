"""How likely a segment is right: from what speaks for it to a share of right segments, by a logistic regression. Pure.

The weights are fitted on labelled songs (`benchmarks.fit_segmentation`), so that of the segments that claim 0.9 about nine in
ten are right at an IoU of 0.5. The evidence for the letter alone does not tell: a letter read once between its
neighbours of the alphabet is surer than one read often at a place where another one belongs.
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
class CalibrationFeatures:
    """Weights of the signs; log odds of being right are their sum. The defaults are those of benchmarks/segmentation-fit.json.

    Args:
        captions, speech, screen: of the one source that knows the letter here,
        agreed: or of two that do.
        own: of the log odds that this source gives by itself.
        neighbours: of the share (0, 0.5, 1) of the two neighbours that are the alphabet's.
        odd_length: of how far the length is from the song's usual one: the absolute log of their ratio.
    """

    captions: float = 2.502
    speech: float = 1.422
    screen: float = 3.06
    agreed: float = 3.103
    own: float = 0.483
    neighbours: float = 2.068
    odd_length: float = -6.017


SIGNS = tuple(field.name for field in fields(CalibrationFeatures))
"""Columns of `features_of`, by the names of their weights."""


def features_of(phrases: Sequence[Phrase]) -> NDArray[np.float64]:
    """(phrases, len(SIGNS)) what the log odds are a weighted sum of.

    Args:
        phrases: of one song, in time order, with the confidence that their sources give.
    """
    signs = np.zeros((len(phrases), len(SIGNS)))
    lengths = [max(phrase.end_seconds - phrase.start_seconds, 1e-3) for phrase in phrases]
    usual = median(lengths) if lengths else 1.0
    indices = [LETTERS.index(phrase.letter) for phrase in phrases]
    for row, (phrase, length) in enumerate(zip(phrases, lengths, strict=True)):
        kind = "agreed" if "," in phrase.evidence else phrase.evidence
        signs[row, SIGNS.index(kind)] = 1.0
        own = min(max(phrase.confidence, 0.02), 0.98)
        beside = [
            row > 0 and indices[row - 1] == indices[row] - 1,
            row + 1 < len(indices) and indices[row + 1] == indices[row] + 1,
        ]
        signs[row, 4:] = (np.log(own / (1 - own)), sum(beside) / 2, abs(np.log(length / usual)))
    return signs


def calibrated(phrases: Sequence[Phrase], certainty: CalibrationFeatures) -> list[Phrase]:
    """The phrases of one song with a confidence that is the share of right ones among their like."""
    weights = np.array([getattr(certainty, name) for name in SIGNS])
    odds = features_of(phrases) @ weights
    return [
        replace(phrase, confidence=round(float(1 / (1 + np.exp(-value))), 3))
        for phrase, value in zip(phrases, odds.tolist(), strict=True)
    ]


def fit_calibration(
    signs_NK: NDArray[np.float64], is_right_N: NDArray[np.bool_], *, ridge: float = 1.0
) -> CalibrationFeatures:
    """The weights under which the labels are likeliest, drawn towards 0 by `ridge` (half the sum of squares).

    Args:
        signs_NK: (segments, len(SIGNS)) of `features_of`.
        is_right_N: whether each segment is right.
    """
    from scipy.optimize import minimize

    side_N = np.where(is_right_N, 1.0, -1.0)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin_N = side_N * (signs_NK @ weights)
        slope_N = -side_N / (1 + np.exp(margin_N))
        value = float(np.logaddexp(0, -margin_N).sum() + ridge / 2 * (weights @ weights))
        return value, signs_NK.T @ slope_N + ridge * weights

    found = minimize(loss, np.zeros(signs_NK.shape[1]), jac=True, method="L-BFGS-B")
    values = {name: round(float(weight), 3) for name, weight in zip(SIGNS, found.x, strict=True)}
    return CalibrationFeatures(**values)
