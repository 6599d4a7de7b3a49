"""Calibrated confidence of phrases: a logistic regression on features of the phrase, its neighbours and its song. Pure.

The weights are fitted on labelled songs, real and rendered (`benchmarks.fit_calibration`), so that about nine of ten segments
with a confidence of 0.9 are right at an IoU of 0.5 after the length rule. The evidence for the letter alone is a poor
predictor: a letter detected once between its neighbours of the alphabet is more certain than one detected often where another
letter is expected. Real songs have an uneven rhythm, so a long phrase is no sign of an error; a very short one is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.phrases import Phrase

MIN_CLIP_SECONDS = 0.56
"""14 frames of 25 a second, the shortest clip by default. A shorter letter shares its clip with its neighbours."""
WORD_PHRASE_SECONDS = 2.0
"""Word times are off by a few tenths of a second, which matters for phrases shorter than this."""
_MAX_SKIPPED = 4
_MAX_FORWARD_STEP = 13
"""A larger step in the circle of the alphabet is one backwards."""
_MAX_LOG_RATIO = 1.5
"""Length ratios beyond e to the power of this are equally odd."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationWeights:
    """Weights of the features; their weighted sum is the log odds that a phrase is right.

    The defaults are those of benchmarks/segmentation-fit.json.

    Args:
        captions, speech, screen: 1 for a phrase of this one source.
        several_sources: 1 for a phrase that two sources contain.
        source_confidence: log odds of the confidence that the source gives.
        neighbours: fraction (0, 0.5, 1) of the two neighbours that are the alphabet's; A follows Z.
        skipped: letters that are missing between the phrase and its neighbours, mean of both sides, at most 4 each, over 4.
        song_order: fraction of the song's neighbouring phrases that are neighbours in the alphabet, without this phrase's.
        song_letters: fraction of the alphabet that the song's phrases contain.
        too_short: log ratio of the song's median length to the phrase's, 0 for longer phrases, at most 1.5.
        too_long: log ratio of the phrase's length to the song's median, 0 for shorter phrases, at most 1.5.
        below_clip: log ratio of `MIN_CLIP_SECONDS` to the phrase's length, 0 for longer phrases, at most 1.5.
        short_words: log ratio of `WORD_PHRASE_SECONDS` to the length of a phrase that the screen does not contain, 0 for longer
            phrases, at most 1.5.
    """

    captions: float = 0.73
    speech: float = 0.552
    screen: float = 2.081
    several_sources: float = 1.41
    source_confidence: float = 0.365
    neighbours: float = 0.53
    skipped: float = -0.043
    song_order: float = 0.685
    song_letters: float = 0.477
    too_short: float = -3.266
    too_long: float = -1.508
    below_clip: float = -1.115
    short_words: float = -1.871


FEATURES = tuple(field.name for field in fields(CalibrationWeights))
"""Columns of `features_of`, named as their weights."""

_BOUNDS: dict[str, tuple[float | None, float | None]] = {
    **dict.fromkeys(("source_confidence", "neighbours", "song_order", "song_letters"), (0.0, None)),
    **dict.fromkeys(("skipped", "too_short", "too_long", "below_clip", "short_words"), (None, 0.0)),
}

_SOURCES = ("captions", "speech", "screen")


def features_of(phrases: Sequence[Phrase]) -> NDArray[np.float64]:
    """(phrases, len(FEATURES)) features of one song's phrases.

    Args:
        phrases: in time order, with the confidence that their sources give.
    """
    columns = {name: np.zeros(len(phrases)) for name in FEATURES}
    if not phrases:
        return np.zeros((0, len(FEATURES)))
    lengths = np.maximum([phrase.length_seconds for phrase in phrases], 1e-3)
    for row, phrase in enumerate(phrases):
        sources = [source for source in phrase.evidence.split(",") if source in _SOURCES]
        if sources:
            columns[sources[0] if len(sources) == 1 else "several_sources"][row] = 1.0
    confidence = np.clip([phrase.confidence for phrase in phrases], 0.02, 0.98)
    columns["source_confidence"] = np.log(confidence / (1 - confidence))
    indices = [LETTERS.index(phrase.letter) for phrase in phrases]
    steps = np.diff(indices) % len(LETTERS)  # forward in the circle of the alphabet
    follows = steps == 1
    columns["neighbours"] = _of_both_sides(follows) / 2
    skipped = np.where(steps > _MAX_FORWARD_STEP, 0, np.clip(steps - 1, 0, _MAX_SKIPPED)) / _MAX_SKIPPED
    columns["skipped"] = _of_both_sides(skipped) / 2
    columns["song_order"] = (follows.sum() - _of_both_sides(follows)) / max(len(phrases) - 2, 1)
    columns["song_letters"] = np.full(len(phrases), len(set(indices)) / len(LETTERS))
    log_ratio = np.log(lengths / median(lengths.tolist()))
    columns["too_short"] = np.clip(-log_ratio, 0, _MAX_LOG_RATIO)
    columns["too_long"] = np.clip(log_ratio, 0, _MAX_LOG_RATIO)
    columns["below_clip"] = np.clip(np.log(MIN_CLIP_SECONDS / lengths), 0, _MAX_LOG_RATIO)
    has_screen = np.array(["screen" in phrase.evidence for phrase in phrases])
    columns["short_words"] = np.where(has_screen, 0, np.clip(np.log(WORD_PHRASE_SECONDS / lengths), 0, _MAX_LOG_RATIO))
    return np.stack([columns[name] for name in FEATURES], axis=1)


def _of_both_sides(between: NDArray[Any]) -> NDArray[np.float64]:
    """(phrases,) sum of the values of the pairs before and after each phrase, from those of the (phrases - 1) pairs."""
    padded = np.concatenate([[0.0], between.astype(np.float64), [0.0]])
    return padded[:-1] + padded[1:]


def calibrated(phrases: Sequence[Phrase], calibration: CalibrationWeights) -> list[Phrase]:
    """The phrases of one song with calibrated confidence."""
    confidence = confidence_of(features_of(phrases), calibration)
    return [
        replace(phrase, confidence=round(value, 3)) for phrase, value in zip(phrases, confidence.tolist(), strict=True)
    ]


def confidence_of(features_NK: NDArray[np.float64], calibration: CalibrationWeights) -> NDArray[np.float64]:
    """(N,) confidence, 0..1, of phrases with these features."""
    weights = np.array([getattr(calibration, name) for name in FEATURES])
    return 1 / (1 + np.exp(-features_NK @ weights))


def fit_calibration(
    features_NK: NDArray[np.float64],
    is_right_N: NDArray[np.bool_],
    *,
    weight_N: NDArray[np.float64] | None = None,
    ridge: float = 1.0,
) -> CalibrationWeights:
    """The weights with the highest likelihood, with a ridge penalty of `ridge` / 2 times the sum of their squares.

    Features whose meaning is known keep the sign of their weight, so that chance in a few songs cannot turn a sign of an error into
    one of success.

    Args:
        features_NK: (segments, len(FEATURES)) from `features_of`.
        is_right_N: whether each segment is right.
        weight_N: how much each segment counts; None: 1 each.
    """
    from scipy.optimize import minimize

    sign_N = np.where(is_right_N, 1.0, -1.0)
    counts_N = np.ones(sign_N.size) if weight_N is None else weight_N

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin_N = sign_N * (features_NK @ weights)
        slope_N = -counts_N * sign_N / (1 + np.exp(margin_N))
        value = float((counts_N * np.logaddexp(0, -margin_N)).sum() + ridge / 2 * (weights @ weights))
        return value, features_NK.T @ slope_N + ridge * weights

    bounds = [_BOUNDS.get(name, (None, None)) for name in FEATURES]
    found = minimize(loss, np.zeros(features_NK.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds)
    values = {name: round(float(weight), 3) for name, weight in zip(FEATURES, found.x, strict=True)}
    return CalibrationWeights(**values)
