"""Fits the numbers of `SegmenterOptions` on rendered songs and records all trials: `python -m benchmarks fit-segmentation`.

One round of coordinate ascent: for each number a few values are tried while the others are fixed. A value is taken if it
gains more than `MIN_GAIN`; smaller gains may be noise. The result is validated on held-out songs. The fit does not change the
code: it writes a record, and a test compares the defaults to it. `benchmarks.fit_calibration` fits the calibration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.segmentation import CachedSegmenter, EvidenceSet, SegmentationBenchmarkOptions, segments_of_phrases
from benchmarks.segmentation_songs import (
    BenchmarkVideo,
    OnProgress,
    corrupted,
    rendered_videos,
    with_speech,
    with_traces,
)
from phonics_data.errors import OptionError
from phonics_data.segmentation.scoring import score_segments
from phonics_data.segmentation.screen_decoder import MIN_CHAIN, MIN_LETTERS, decode_screen
from phonics_data.segmentation.screen_evidence import ScreenOptions
from phonics_data.segmentation.segmenter import SegmenterOptions

MIN_GAIN = 0.001
FALSE_SEGMENTS_COST = 0.05
"""Subtracted from the objective if segments are found in all videos without letters."""

SEARCH_SPACE: Mapping[str, tuple[float, ...]] = {
    "screen.single_after_cut_weight": (0.5, 0.8, 1.0),
    "screen.repeat_decay": (0.6, 0.75, 0.9),
    "screen.min_prior": (0.1, 0.25, 0.5),
    "screen.full_weight_height": (0.12, 0.18, 0.25),
    "screen.costs.next": (0.1, 0.2, 0.4),
    "screen.costs.back": (1.5, 2.2, 3.3),
    "words.costs.next": (0.2, 0.35, 0.5),
    "words.costs.back": (1.5, 2.2, 3.3),
    "words.weights.lone_example": (0.3, 0.5, 0.7),
    "words.weights.confusable": (0.1, 0.2, 0.35),
    "fusion.single_source_penalty": (0.1, 0.2, 0.3),
    "fusion.unmatched_penalty": (0.2, 0.35, 0.5),
    "fusion.irregular_margin": (0.05, 0.1, 0.2),
    "fusion.overlap_cost": (0.3, 0.6, 1.0),
    "fusion.repeat_cost": (0.15, 0.3, 0.6),
    "snap_seconds": (0.25, 0.35, 0.5),
    "snap_cue_seconds": (0.7, 1.0, 1.4),
}
"""Option -> values to try, among them the default."""

EVIDENCE_SETS = (
    EvidenceSet(screen=True),
    EvidenceSet(words="corrupted", screen=True),
    EvidenceSet(words="heavily corrupted", screen=True),
    EvidenceSet(words="cues", screen=True),
    EvidenceSet(words="corrupted", screen=False),
    EvidenceSet(words="heavily corrupted", screen=False),
    EvidenceSet(words="words", screen=False),
    EvidenceSet(words="speech", screen=True),
    EvidenceSet(words="speech", screen=False),
)
"""Combinations of sources to fit on. A video without these words is left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One value of one option.

    Args:
        objective: mean over songs and evidence sets of (F1 at 0.5 + F1 at 0.75) / 2, minus `FALSE_SEGMENTS_COST` times
            the fraction of videos without letters in which segments were found.
    """

    name: str
    value: float
    objective: float
    is_taken: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdMargin:
    """A threshold of the whole-song tests, and the videos for which the test decides.

    Args:
        lowest_of_songs: lowest value of an accepted song.
        highest_without_letters: highest value of a video without letters for which the test decides; None without one.
    """

    name: str
    lowest_of_songs: float
    highest_without_letters: float | None
    threshold: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentationFit:
    """The record of one fit.

    Args:
        before, after: objective on the fitted songs with the values before and after the fit.
        held_out_before, held_out_after: the same on held-out songs.
        values: option -> fitted value, for all options of `SEARCH_SPACE`.
        reviewed: ids of the reviewed songs among the fitted ones.
    """

    num_songs: int
    num_without_letters: int
    num_held_out: int
    before: float
    after: float
    held_out_before: float
    held_out_after: float
    values: Mapping[str, float]
    trials: tuple[Trial, ...]
    thresholds: tuple[ThresholdMargin, ...]
    reviewed: tuple[str, ...] = ()

    def as_plain(self, options: SegmentationFitOptions) -> dict[str, object]:
        """The record as values for JSON."""
        return {"options": asdict(options), **asdict(self)}


def table(found: SegmentationFit) -> list[tuple[str, str, str, str]]:
    """Rows of text: (option, value before, fitted value, gain of the objective)."""
    defaults = SegmenterOptions()
    rows: list[tuple[str, str, str, str]] = []
    for name, value in found.values.items():
        objectives = {trial.value: trial.objective for trial in found.trials if trial.name == name}
        before = value_of(defaults, name)
        gain = objectives[value] - objectives[before]
        rows.append((name, f"{before:g}", f"{value:g}", f"{gain:+.4f}"))
    return rows


def value_of(options: object, name: str) -> float:
    """The value of an option, given by its dotted name: ``screen.costs.next``."""
    for part in name.split("."):
        options = getattr(options, part)
    assert isinstance(options, (int, float))
    return float(options)


def with_value(options: Any, name: str, value: float) -> Any:
    """`options` with another value for one option, given by its dotted name."""
    first, _, rest = name.partition(".")
    return replace(options, **{first: with_value(getattr(options, first), rest, value) if rest else value})


def _pairs(videos: Sequence[BenchmarkVideo]) -> Iterable[tuple[BenchmarkVideo, EvidenceSet]]:
    for video in videos:
        for evidence in EVIDENCE_SETS:
            if not evidence.words or evidence.words in video.words:
                yield video, evidence


def _objective(segmenter: CachedSegmenter, videos: Sequence[BenchmarkVideo], options: SegmenterOptions) -> float:
    scores: list[float] = []
    has_false_segments: list[bool] = []
    for video, evidence in _pairs(videos):
        segments = segments_of_phrases(video.video_id, segmenter.phrases(video, evidence, options))
        if video.truth:
            scores += [score_segments(segments, video.truth, iou).f1 for iou in (0.5, 0.75)]
        else:
            has_false_segments.append(bool(segments))
    false_fraction = float(np.mean(has_false_segments)) if has_false_segments else 0.0
    return float(np.mean(scores)) - FALSE_SEGMENTS_COST * false_fraction


def with_heavily_corrupted_words(videos: Sequence[BenchmarkVideo]) -> list[BenchmarkVideo]:
    """The videos; rendered ones with an additional transcript in which 40 % of the words are deleted or replaced."""
    result: list[BenchmarkVideo] = []
    for video in videos:
        if video.plan is not None:
            words = corrupted(video.words["words"].words, fraction=0.4, seed=video.plan.music_seed + 1)
            source = replace(video.words["words"], words=words)
            video = replace(video, words={**video.words, "heavily corrupted": source})
        result.append(video)
    return result


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentationFitOptions:
    """The rendered videos of the fit.

    Args:
        seeds: of the songs and negatives to fit on.
        num_songs, num_negatives: number for each of `seeds`.
        held_out_seed: of the songs and negatives to validate on.
        num_held_out, num_held_out_negatives: number for `held_out_seed`.
        num_recognized: number of songs of the first seed that are also fitted on with speech recognition.

    Raises:
        OptionError: a seed is repeated, or it is the one of `benchmarks segmentation`.
    """

    seeds: tuple[int, ...] = (31, 700)
    num_songs: int = 12
    num_negatives: int = 5
    held_out_seed: int = 9100
    num_held_out: int = 8
    num_held_out_negatives: int = 5
    num_recognized: int = 4
    workers: int = 2

    def __post_init__(self) -> None:
        benchmark_seed = SegmentationBenchmarkOptions().seed
        seeds = [*self.seeds, self.held_out_seed]
        if len({*seeds, benchmark_seed}) <= len(seeds):
            raise OptionError("--seed", seeds, f"seeds that differ, none of them {benchmark_seed}")


def run_fit(
    cache: Path,
    options: SegmentationFitOptions,
    *,
    reviewed: Sequence[BenchmarkVideo] = (),
    on_progress: OnProgress,
) -> SegmentationFit:
    """Render, read and recognize (cached in `cache`), then fit.

    Args:
        reviewed: further songs to fit on (`benchmarks.reviewed_songs`).
    """

    def videos_of(seed: int, songs: int, negatives: int) -> list[BenchmarkVideo]:
        videos = rendered_videos(
            cache, num_songs=songs, num_negatives=negatives, seed=seed, workers=options.workers, on_progress=on_progress
        )
        return with_traces(videos, cache, workers=options.workers, on_progress=on_progress)

    videos = [video for seed in options.seeds for video in videos_of(seed, options.num_songs, options.num_negatives)]
    count = min(options.num_recognized, options.num_songs)
    videos[:count] = with_speech(videos[:count], cache, workers=options.workers, on_progress=on_progress)
    held_out = videos_of(options.held_out_seed, options.num_held_out, options.num_held_out_negatives)
    found = fit_segmentation([*videos, *reviewed], held_out, on_progress=on_progress)
    return replace(found, reviewed=tuple(video.video_id for video in reviewed))


def fit_segmentation(
    videos: Sequence[BenchmarkVideo],
    held_out: Sequence[BenchmarkVideo],
    *,
    start: SegmenterOptions | None = None,
    search_space: Mapping[str, Sequence[float]] = SEARCH_SPACE,
    on_progress: OnProgress,
) -> SegmentationFit:
    """Fit on `videos`, validate on `held_out`; both with traces (`benchmarks.segmentation_songs.with_traces`)."""
    videos, held_out = with_heavily_corrupted_words(videos), with_heavily_corrupted_words(held_out)
    segmenter, validation = CachedSegmenter(), CachedSegmenter()
    initial = replace(start or SegmenterOptions(), calibration=None)
    options, best = initial, _objective(segmenter, videos, initial)
    before, trials = best, list[Trial]()
    for done, (name, values) in enumerate(search_space.items()):
        on_progress("options", done, len(search_space))
        current = value_of(options, name)
        objectives = {
            value: _objective(segmenter, videos, with_value(options, name, value))
            for value in values
            if value != current
        }
        objectives[current] = best
        chosen = max(objectives, key=lambda value: (objectives[value], value == current))
        if objectives[chosen] - best < MIN_GAIN:
            chosen = current
        trials += [
            Trial(name=name, value=value, objective=round(objectives[value], 5), is_taken=value == chosen)
            for value in sorted(objectives)
        ]
        options, best = with_value(options, name, chosen), objectives[chosen]
        segmenter.keep_only(options)
    on_progress("options", len(search_space), len(search_space))
    return SegmentationFit(
        num_songs=sum(bool(video.truth) for video in videos),
        num_without_letters=sum(not video.truth for video in videos),
        num_held_out=len(held_out),
        before=round(before, 5),
        after=round(best, 5),
        held_out_before=round(_objective(validation, held_out, initial), 5),
        held_out_after=round(_objective(validation, held_out, options), 5),
        values={name: value_of(options, name) for name in search_space},
        trials=tuple(trials),
        thresholds=threshold_margins([*videos, *held_out], options.screen),
    )


def threshold_margins(videos: Sequence[BenchmarkVideo], options: ScreenOptions) -> tuple[ThresholdMargin, ...]:
    """Of the two whole-song tests: the order test for songs in alphabetical order, the distinct test for the others.

    Only videos for which the test decides are compared: those that show enough letters. A test without such a song has no entry.
    """
    decodings = [(video, decode_screen(video.read_trace(), options)) for video in videos]
    margins: list[ThresholdMargin] = []
    for test, is_ordered in (("order_z", True), ("distinct_z", False)):
        deciding = [
            (video, getattr(one, test))
            for video, one in decodings
            if (one.longest_chain >= MIN_CHAIN if is_ordered else one.num_letters >= MIN_LETTERS)
        ]
        songs = [value for video, value in deciding if video.truth and _is_ordered(video) == is_ordered]
        others = [value for video, value in deciding if not video.truth]
        if songs:
            margins.append(
                ThresholdMargin(
                    name=f"min_{test}",
                    lowest_of_songs=round(min(songs), 2),
                    highest_without_letters=round(max(others), 2) if others else None,
                    threshold=getattr(options, f"min_{test}"),
                )
            )
    return tuple(margins)


def _is_ordered(video: BenchmarkVideo) -> bool:
    letters = [segment.letter for segment in video.truth]
    rising = sum(one < other for one, other in pairwise(letters))
    return rising >= 0.8 * (len(letters) - 1)
