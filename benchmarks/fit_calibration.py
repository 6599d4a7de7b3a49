"""Fits the calibration of confidence on rendered and real songs: `python -m benchmarks fit-segmentation --calibration-only`.

A segment is right if, after the length rule, its IoU with a true segment of its letter is at least 0.5. Segments that are too
short for a clip are left out.

* Material: songs with an even and with an uneven rhythm, rendered, with words of which 20 and 40 % are wrong; and the real songs
  (`benchmarks.segmentation_real`) from the screen, from speech, from both, and from captions with cue times.
* Weights: the real songs together count as much as the rendered ones, and each song as much as any other of its group.
* Validation: leave one real song out; each real song is calibrated with weights that were fitted without it.

The margins of the whole-song tests are measured on the same songs and on the real videos without letters.

The fit does not change the code: it writes a record, and a test compares the defaults with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.fit_segmentation import ThresholdMargin, threshold_margins, with_heavily_corrupted_words
from benchmarks.segmentation import CachedSegmenter, EvidenceSet, finished_of_phrases
from benchmarks.segmentation_real import (
    captioned,
    evidence_sets,
    negatives,
    one_letter_videos,
    real_songs,
    shared_media,
    speech_key,
)
from benchmarks.segmentation_songs import BenchmarkVideo, OnProgress, rendered_videos, with_speech, with_traces
from phonics_data.recognizers.whisper import DEFAULT_MODEL, local_model
from phonics_data.segmentation.calibration import CalibrationWeights, confidence_of, features_of, fit_calibration
from phonics_data.segmentation.scoring import expected_calibration_error, matched_pairs
from phonics_data.segmentation.segmenter import SegmenterOptions

RENDERED_EVIDENCE = (
    EvidenceSet(name="screen", screen=True),
    EvidenceSet(name="captions, 20 % wrong + screen", words="corrupted", screen=True),
    EvidenceSet(name="captions, 40 % wrong + screen", words="heavily corrupted", screen=True),
    EvidenceSet(name="captions, 20 % wrong", words="corrupted", screen=False),
    EvidenceSet(name="captions, 40 % wrong", words="heavily corrupted", screen=False),
    EvidenceSet(name="captions, cues", words="cues", screen=False),
)
CUES = (
    EvidenceSet(name="cues", words="cues", screen=False),
    EvidenceSet(name="cues + screen", words="cues", screen=True),
)
MIN_KEPT_RIGHT = 0.98
"""Fraction of right segments that the proposed default minimum confidence keeps."""
THRESHOLDS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CalibrationSample:
    """The segments of one song from one evidence set; K features (`features_of`).

    Args:
        confidence_N: from the sources, before calibration.
    """

    song: str
    evidence: str
    is_real: bool
    features_NK: NDArray[np.float64]
    confidence_N: NDArray[np.float64]
    is_right_N: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class SongCalibration:
    """Confidence of one real song, by weights that were fitted without it, over all evidence sets.

    Args:
        error_before, error: calibration error of the sources' confidence and of the calibrated one.
        wrong_mean, wrong_max: confidence of the wrong segments; 0 without any.
        right_mean: confidence of the right segments.
    """

    song: str
    num_right: int
    num_wrong: int
    error_before: float
    error: float
    wrong_mean: float
    wrong_max: float
    right_mean: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdPoint:
    """One point of the precision curve over the real songs, each calibrated without itself.

    Args:
        kept_right, kept_wrong: fraction of the right and of the wrong segments with at least this confidence.
        wrong_mean: their mean confidence; 0 without any.
    """

    min_confidence: float
    precision: float
    kept_right: float
    kept_wrong: float
    wrong_mean: float


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationFit:
    """The record of the fit."""

    calibration: CalibrationWeights
    num_segments: int
    num_real_segments: int
    num_rendered_songs: int
    songs: tuple[SongCalibration, ...]
    curve: tuple[ThresholdPoint, ...]
    proposed_min_confidence: float
    thresholds: tuple[ThresholdMargin, ...] = ()
    """Of the whole-song tests, over the real and the rendered songs and the videos without letters."""

    def merged_into(self, record: Mapping[str, object]) -> dict[str, object]:
        """The record of `benchmarks.fit_segmentation` with this calibration."""
        plain = asdict(self)
        calibration = plain.pop("calibration")
        old = ("calibration_before", "calibration_after", "num_segments")
        kept = {key: value for key, value in record.items() if key not in old}
        thresholds = {one["name"]: one for one in cast("list[dict[str, Any]]", record.get("thresholds", []))}
        # A test for which there was no song keeps its old entry.
        thresholds |= {one["name"]: one for one in plain.pop("thresholds")}
        return {
            **kept,
            "thresholds": list(thresholds.values()),
            "calibration": calibration,
            "calibration_fit": plain,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationFitOptions:
    """The material.

    Args:
        seed: of the rendered songs; not the one of `benchmarks segmentation`.
        num_songs, num_uneven: rendered songs with an even and with an uneven rhythm.
        models: speech models for the real songs; those that are not on this machine are left out.
    """

    seed: int = 31
    num_songs: int = 3
    num_uneven: int = 6
    models: tuple[str, ...] = (DEFAULT_MODEL, "base")
    workers: int = 2


def run_calibration_fit(cache: Path, options: CalibrationFitOptions, *, on_progress: OnProgress) -> CalibrationFit:
    """Render, read and recognize (cached in `cache`), segment, and fit."""
    media = shared_media()
    rendered = rendered_videos(
        cache,
        num_songs=options.num_songs,
        num_negatives=0,
        num_uneven=options.num_uneven,
        seed=options.seed,
        workers=options.workers,
        on_progress=on_progress,
    )
    rendered = with_heavily_corrupted_words(
        with_traces(rendered, cache, workers=options.workers, on_progress=on_progress)
    )
    models = [model for model in options.models if local_model(model) is not None]
    songs, letters = (
        with_traces(videos, cache, workers=options.workers, on_progress=on_progress)
        for videos in (real_songs(media), one_letter_videos(media))
    )
    for model in models:
        songs = with_speech(
            songs, cache, workers=options.workers, on_progress=on_progress, model=model, key=speech_key(model)
        )
    others = with_traces(negatives(media), cache, workers=options.workers, on_progress=on_progress)
    samples = [
        *collect(rendered, RENDERED_EVIDENCE, is_real=False),
        *collect(songs, evidence_sets(models), is_real=True),
        *collect(captioned(songs, letters, cache / "joined"), CUES, is_real=True),
    ]
    thresholds = threshold_margins([*songs, *rendered, *others], SegmenterOptions().screen)
    return replace(fit_and_validate(samples), thresholds=thresholds)


def collect(
    videos: Sequence[BenchmarkVideo], evidence: Sequence[EvidenceSet], *, is_real: bool
) -> Iterable[CalibrationSample]:
    """Segment the videos without calibration."""
    segmenter, options = CachedSegmenter(), replace(SegmenterOptions(), calibration=None)
    for video in videos:
        for one in evidence:
            if one.words and one.words not in video.words:
                continue
            phrases = segmenter.phrases(video, one, options)
            finished = finished_of_phrases(video, phrases)
            rows = [row for row, segment in enumerate(finished) if segment is not None]
            if not rows:
                continue
            segments = [segment for segment in finished if segment is not None]
            right = {id(segment) for segment, _ in matched_pairs(segments, video.truth, 0.5)}
            yield CalibrationSample(
                song=video.video_id,
                evidence=one.name,
                is_real=is_real,
                features_NK=features_of(phrases)[rows],
                confidence_N=np.array([phrases[row].confidence for row in rows]),
                is_right_N=np.array([id(segment) in right for segment in segments]),
            )


def fit_and_validate(samples: Sequence[CalibrationSample]) -> CalibrationFit:
    """Fit on all samples; validate by leaving out one real song at a time."""
    songs: list[SongCalibration] = []
    confidences: list[NDArray[np.float64]] = []
    labels: list[NDArray[np.bool_]] = []
    for song in dict.fromkeys(sample.song for sample in samples if sample.is_real):
        weights = fit_weighted([sample for sample in samples if sample.song != song])
        own = [sample for sample in samples if sample.song == song]
        confidence_N = np.concatenate([confidence_of(sample.features_NK, weights) for sample in own])
        before_N = np.concatenate([sample.confidence_N for sample in own])
        is_right_N = np.concatenate([sample.is_right_N for sample in own])
        confidences.append(confidence_N)
        labels.append(is_right_N)
        wrong_N, right_N = confidence_N[~is_right_N], confidence_N[is_right_N]
        songs.append(
            SongCalibration(
                song=song,
                num_right=right_N.size,
                num_wrong=wrong_N.size,
                error_before=round(expected_calibration_error(before_N, is_right_N), 3),
                error=round(expected_calibration_error(confidence_N, is_right_N), 3),
                wrong_mean=round(float(wrong_N.mean()), 3) if wrong_N.size else 0.0,
                wrong_max=round(float(wrong_N.max()), 3) if wrong_N.size else 0.0,
                right_mean=round(float(right_N.mean()), 3) if right_N.size else 0.0,
            )
        )
    curve = precision_curve(np.concatenate(confidences), np.concatenate(labels))
    return CalibrationFit(
        calibration=fit_weighted(samples),
        num_segments=sum(sample.is_right_N.size for sample in samples),
        num_real_segments=sum(sample.is_right_N.size for sample in samples if sample.is_real),
        num_rendered_songs=len({sample.song for sample in samples if not sample.is_real}),
        songs=tuple(songs),
        curve=tuple(curve),
        proposed_min_confidence=proposed_threshold(curve),
    )


def fit_weighted(samples: Sequence[CalibrationSample]) -> CalibrationWeights:
    """The weights of `samples`, where real and rendered songs count equally, and the songs of a group equally."""
    total = sum(sample.is_right_N.size for sample in samples)
    groups = {sample.is_real for sample in samples}
    weights: list[NDArray[np.float64]] = []
    for sample in samples:
        group = [one for one in samples if one.is_real == sample.is_real]
        of_song = sum(one.is_right_N.size for one in group if one.song == sample.song)
        num_songs = len({one.song for one in group})
        weight = total / len(groups) / num_songs / of_song
        weights.append(np.full(sample.is_right_N.size, weight))
    return fit_calibration(
        np.concatenate([sample.features_NK for sample in samples]),
        np.concatenate([sample.is_right_N for sample in samples]),
        weight_N=np.concatenate(weights),
    )


def precision_curve(confidence_N: NDArray[np.float64], is_right_N: NDArray[np.bool_]) -> list[ThresholdPoint]:
    """What minimum confidences keep."""
    points: list[ThresholdPoint] = []
    for threshold in THRESHOLDS:
        kept_N = confidence_N >= threshold
        wrong_N = confidence_N[kept_N & ~is_right_N]
        points.append(
            ThresholdPoint(
                min_confidence=threshold,
                precision=round(float(is_right_N[kept_N].mean()), 3) if kept_N.any() else 0.0,
                kept_right=round(float(kept_N[is_right_N].mean()), 3) if is_right_N.any() else 0.0,
                kept_wrong=round(float(kept_N[~is_right_N].mean()), 3) if not is_right_N.all() else 0.0,
                wrong_mean=round(float(wrong_N.mean()), 3) if wrong_N.size else 0.0,
            )
        )
    return points


def proposed_threshold(curve: Sequence[ThresholdPoint]) -> float:
    """The largest threshold that keeps `MIN_KEPT_RIGHT` of the right segments.

    A default must not cost clips that are right; who needs fewer errors raises it along the curve.
    """
    return max(point.min_confidence for point in curve if point.kept_right >= MIN_KEPT_RIGHT)


SONG_HEADINGS = ("song", "right", "wrong", "error before", "error", "wrong: mean", "wrong: max", "right: mean")
CURVE_HEADINGS = ("minimum", "precision", "right kept", "wrong kept", "wrong: mean")


def song_table(found: CalibrationFit) -> list[tuple[str, ...]]:
    """Rows of text under `SONG_HEADINGS`."""
    return [
        (
            one.song,
            str(one.num_right),
            str(one.num_wrong),
            *(f"{value:.3f}" for value in (one.error_before, one.error, one.wrong_mean, one.wrong_max, one.right_mean)),
        )
        for one in found.songs
    ]


def curve_table(found: CalibrationFit) -> list[tuple[str, ...]]:
    """Rows of text under `CURVE_HEADINGS`."""
    return [
        (
            f"{one.min_confidence:g}",
            *(f"{value:.3f}" for value in (one.precision, one.kept_right, one.kept_wrong, one.wrong_mean)),
        )
        for one in found.curve
    ]
