"""Fits the numbers of `DecideOptions` on rendered songs, and says what it tried: `python -m benchmarks fit-segmentation`.

One number after the other is tried at a few values while the rest stay (coordinate ascent, one round); a value is taken
when it gains more than `MIN_GAIN`, or chance would choose. Then the confidence is fitted by logistic regression. Songs
that are held out evaluator both. Nothing is written into the code: the record is, and a test holds the defaults to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.segmentation import NOTHING, LettersBenchOptions, segments_of_phrases
from benchmarks.segmentation_songs import (
    BenchVideo,
    Heard,
    OnProgress,
    damaged,
    rendered_videos,
    with_speech,
    with_traces,
)
from phonics_data.errors import OptionError
from phonics_data.segmentation.calibration import CalibrationFeatures, features_of, fit_calibration
from phonics_data.segmentation.phrases import Phrase
from phonics_data.segmentation.scoring import calibration_error, matched_pairs, score_segments
from phonics_data.segmentation.screen_decoder import ScreenDecoding, decode_screen
from phonics_data.segmentation.screen_evidence import ScreenOptions
from phonics_data.segmentation.segmenter import DecideOptions, combine
from phonics_data.segmentation.word_decoder import DecodeOptions, Decoding, decode_words

MIN_GAIN = 0.001
FALSE_SEGMENTS_COST = 0.05
"""What a video without letters takes from the objective when any segment is found there."""

TRIED: Mapping[str, tuple[float, ...]] = {
    "screen.after_cut_alone": (0.5, 0.8, 1.0),
    "screen.fading": (0.6, 0.75, 0.9),
    "screen.least_trust": (0.1, 0.25, 0.5),
    "screen.full_height": (0.12, 0.18, 0.25),
    "screen.costs.next": (0.1, 0.2, 0.4),
    "screen.costs.back": (1.5, 2.2, 3.3),
    "words.costs.next": (0.2, 0.35, 0.5),
    "words.costs.back": (1.5, 2.2, 3.3),
    "words.weights.lone_example": (0.3, 0.5, 0.7),
    "words.weights.confusable": (0.1, 0.2, 0.35),
    "fusion.doubt": (0.1, 0.2, 0.3),
    "fusion.alone": (0.2, 0.35, 0.5),
    "fusion.uneven": (0.05, 0.1, 0.2),
    "fusion.overlap": (0.3, 0.6, 1.0),
    "fusion.again": (0.15, 0.3, 0.6),
    "near_seconds": (0.25, 0.35, 0.5),
    "near_cue_seconds": (0.7, 1.0, 1.4),
}
"""Number -> values tried, the design's among them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A combination of sources that is fitted on: key of the words in `BenchVideo.heard` (empty: none), and the screen."""

    heard: str
    screen: bool


SOURCES = (
    Source(heard="", screen=True),
    Source(heard="damaged", screen=True),
    Source(heard="worse", screen=True),
    Source(heard="cues", screen=True),
    Source(heard="damaged", screen=False),
    Source(heard="worse", screen=False),
    Source(heard="words", screen=False),
    Source(heard="speech", screen=True),
    Source(heard="speech", screen=False),
)
"""Those whose words a video lacks are left out for it. ``worse`` lost or misheard two words in five."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One value of one number.

    Args:
        objective: mean over songs and sources of (F1 at 0.5 + F1 at 0.75) / 2, less `FALSE_SEGMENTS_COST` per share of
            decisions on videos without letters that found any.
    """

    name: str
    value: float
    objective: float
    is_taken: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """What a whole-song test measured: the lowest of songs that it should let through, the highest of other videos."""

    name: str
    lowest_of_songs: float
    highest_without_letters: float
    threshold: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LettersFit:
    """The record of one fit.

    Args:
        before, after: objective on the songs of the fit with the numbers before it and after it.
        held_out_before, held_out_after: the same on songs that the fit did not see.
        values: name -> value of every number of `TRIED`, as fitted.
        certainty: weights of the confidence.
        calibration_before, calibration_after: calibration error on the held-out songs, of the sources' own confidence
            and of the fitted one.
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
    gates: tuple[Gate, ...]
    certainty: CalibrationFeatures
    num_segments: int
    calibration_before: float
    calibration_after: float

    def as_plain(self, options: LettersFitOptions) -> dict[str, object]:
        """The record as JSON can hold it."""
        return {"options": asdict(options), **asdict(self)}


def table(found: LettersFit) -> list[tuple[str, str, str, str]]:
    """(number, value before, value fitted, what that gained) of every number, for a person."""
    defaults = DecideOptions()
    rows: list[tuple[str, str, str, str]] = []
    for name, value in found.values.items():
        objectives = {trial.value: trial.objective for trial in found.trials if trial.name == name}
        before = value_of(defaults, name)
        gain = objectives[value] - objectives[before]
        rows.append((name, f"{before:g}", f"{value:g}", f"{gain:+.4f}"))
    return rows


def value_of(options: object, name: str) -> float:
    """The number that a dotted name means: ``screen.costs.next``."""
    for part in name.split("."):
        options = getattr(options, part)
    assert isinstance(options, (int, float))
    return float(options)


def with_value(options: Any, name: str, value: float) -> Any:
    """`options` with one number changed, given by its dotted name."""
    first, _, rest = name.partition(".")
    return replace(options, **{first: with_value(getattr(options, first), rest, value) if rest else value})


@dataclass(slots=True)
class _Judge:
    """Decides videos from every source, and keeps what does not depend on the number that is tried."""

    videos: Sequence[BenchVideo]
    _heard: dict[tuple[str, str, DecodeOptions], Decoding] = field(default_factory=dict)
    _shown: dict[tuple[str, ScreenOptions], ScreenDecoding] = field(default_factory=dict)

    def phrases(self, video: BenchVideo, source: Source, options: DecideOptions) -> tuple[Phrase, ...]:
        heard = video.heard.get(source.heard, NOTHING)
        words = self._words(video, source.heard, heard, options.words) if heard.words else None
        shown = self._screen(video, options.screen) if source.screen else None
        return combine(
            heard.words, heard.origin, words, shown, duration_seconds=video.duration_seconds, options=options
        ).phrases

    def _words(self, video: BenchVideo, name: str, heard: Heard, options: DecodeOptions) -> Decoding:
        key = (video.video_id, name, options)
        if key not in self._heard:
            self._heard[key] = decode_words(heard.words, duration_seconds=video.duration_seconds, options=options)
        return self._heard[key]

    def _screen(self, video: BenchVideo, options: ScreenOptions) -> ScreenDecoding:
        key = (video.video_id, options)
        if key not in self._shown:
            self._shown[key] = decode_screen(video.read_trace(), options)
        return self._shown[key]

    def forget(self, keep: DecideOptions) -> None:
        """Drop what other numbers gave."""
        self._heard = {key: value for key, value in self._heard.items() if key[2] == keep.words}
        self._shown = {key: value for key, value in self._shown.items() if key[1] == keep.screen}

    def pairs(self) -> Iterable[tuple[BenchVideo, Source]]:
        for video in self.videos:
            for source in SOURCES:
                if not source.heard or source.heard in video.heard:
                    yield video, source

    def objective(self, options: DecideOptions) -> float:
        scores: list[float] = []
        false: list[bool] = []
        for video, source in self.pairs():
            segments = segments_of_phrases(video, self.phrases(video, source, options))
            if video.truth:
                scores += [score_segments(segments, video.truth, iou).f1 for iou in (0.5, 0.75)]
            else:
                false.append(bool(segments))
        return float(np.mean(scores)) - FALSE_SEGMENTS_COST * (float(np.mean(false)) if false else 0.0)


def with_worse_words(videos: Sequence[BenchVideo]) -> list[BenchVideo]:
    """The rendered videos with a transcript more in which two words in five are lost or wrong."""
    return [
        replace(
            video,
            heard={
                **video.heard,
                "worse": replace(
                    video.heard["words"],
                    words=damaged(video.heard["words"].words, share=0.4, seed=video.plan.music_seed + 1),
                ),
            },
        )
        if video.plan is not None
        else video
        for video in videos
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class LettersFitOptions:
    """Which rendered videos are fitted on.

    Args:
        seeds: of the songs and videos without letters that are fitted on,
        num_songs, num_negatives: so many of each seed.
        held_out: seed of those that evaluator the fit,
        num_held_out, num_held_out_decoys: and so many.
        num_heard: of the first seed's songs, so many are also fitted on as the recognizer of this machine hears them.

    Raises:
        OptionError: the same seed twice, or the one that `benchmarks segmentation` measures on.
    """

    seeds: tuple[int, ...] = (31, 700)
    num_songs: int = 12
    num_negatives: int = 5
    held_out: int = 9100
    num_held_out: int = 8
    num_held_out_decoys: int = 5
    num_heard: int = 4
    workers: int = 2

    def __post_init__(self) -> None:
        measured = LettersBenchOptions().seed
        if len({*self.seeds, self.held_out, measured}) < len(self.seeds) + 2:
            raise OptionError("--seed", [*self.seeds, self.held_out], f"seeds that differ, none of them {measured}")


def bench_fit(cache: Path, options: LettersFitOptions, *, on_progress: OnProgress) -> LettersFit:
    """Render, read and fit; what is expensive comes from `cache` where an earlier run left it there."""

    def traced(seed: int, songs: int, decoys: int) -> list[BenchVideo]:
        videos = rendered_videos(
            cache, num_songs=songs, num_negatives=decoys, seed=seed, workers=options.workers, on_progress=on_progress
        )
        return with_traces(videos, cache, workers=options.workers, on_progress=on_progress)

    videos = [video for seed in options.seeds for video in traced(seed, options.num_songs, options.num_negatives)]
    count = min(options.num_heard, options.num_songs)
    videos[:count] = with_speech(videos[:count], cache, workers=options.workers, on_progress=on_progress)
    held_out = traced(options.held_out, options.num_held_out, options.num_held_out_decoys)
    return fit_letters(videos, held_out, on_progress=on_progress)


def fit_letters(
    videos: Sequence[BenchVideo],
    held_out: Sequence[BenchVideo],
    *,
    start: DecideOptions | None = None,
    tried: Mapping[str, Sequence[float]] = TRIED,
    on_progress: OnProgress,
) -> LettersFit:
    """Fit on `videos`, evaluator on `held_out`; both with traces (`benchmarks.segmentation_songs.with_traces`)."""
    evaluator, other = _Judge(with_worse_words(videos)), _Judge(with_worse_words(held_out))
    begin = replace(start or DecideOptions(), certainty=None)
    options, best = begin, evaluator.objective(begin)
    before, trials = best, list[Trial]()
    for done, (name, values) in enumerate(tried.items()):
        on_progress("numbers", done, len(tried))
        now = value_of(options, name)
        found = {value: evaluator.objective(with_value(options, name, value)) for value in values if value != now}
        found[now] = best
        chosen = max(found, key=lambda value: (found[value], value == now))
        if found[chosen] - best < MIN_GAIN:
            chosen = now
        trials += [
            Trial(name=name, value=value, objective=round(found[value], 5), is_taken=value == chosen)
            for value in sorted(found)
        ]
        options, best = with_value(options, name, chosen), found[chosen]
        evaluator.forget(options)
    on_progress("numbers", len(tried), len(tried))
    certainty, num_segments = _certainty(evaluator, options)
    return LettersFit(
        num_songs=sum(bool(video.truth) for video in videos),
        num_without_letters=sum(not video.truth for video in videos),
        num_held_out=len(held_out),
        before=round(before, 5),
        after=round(best, 5),
        held_out_before=round(other.objective(begin), 5),
        held_out_after=round(other.objective(options), 5),
        values={name: value_of(options, name) for name in tried},
        trials=tuple(trials),
        gates=_gates([*videos, *held_out], options.screen),
        certainty=certainty,
        num_segments=num_segments,
        calibration_before=round(_calibration(other, options), 4),
        calibration_after=round(_calibration(other, replace(options, certainty=certainty)), 4),
    )


def _certainty(evaluator: _Judge, options: DecideOptions) -> tuple[CalibrationFeatures, int]:
    signs: list[np.ndarray[Any, np.dtype[np.float64]]] = []
    is_right: list[bool] = []
    for video, source in evaluator.pairs():
        phrases = evaluator.phrases(video, source, options)
        if not phrases or not video.truth:
            continue
        segments = segments_of_phrases(video, phrases)
        right = {id(segment) for segment, _ in matched_pairs(segments, video.truth, 0.5)}
        signs.append(features_of(phrases))
        is_right += [id(segment) in right for segment in segments]
    return fit_calibration(np.concatenate(signs), np.array(is_right)), len(is_right)


def _calibration(evaluator: _Judge, options: DecideOptions) -> float:
    """Mean over sources of the calibration error over all their segments."""
    errors: list[float] = []
    for source in SOURCES:
        videos = [video for video, one in evaluator.pairs() if one == source and video.truth]
        segments = [
            segment
            for video in videos
            for segment in segments_of_phrases(video, evaluator.phrases(video, source, options))
        ]
        if segments:
            errors.append(calibration_error(segments, [segment for video in videos for segment in video.truth]))
    return float(np.mean(errors))


def _gates(videos: Sequence[BenchVideo], options: ScreenOptions) -> tuple[Gate, ...]:
    """What the two tests of the whole song measure: order of songs that keep it, repeats of those that do not."""
    found = [(video, decode_screen(video.read_trace(), options)) for video in videos]
    without = [shown for video, shown in found if not video.truth]
    ordered = [shown.order_z for video, shown in found if video.truth and _keeps_order(video)]
    distinct = [shown.distinct_z for video, shown in found if video.truth and not _keeps_order(video)]
    return (
        Gate(
            name="min_order_z",
            lowest_of_songs=round(min(ordered, default=float("nan")), 2),
            highest_without_letters=round(max((one.order_z for one in without), default=float("nan")), 2),
            threshold=options.min_order_z,
        ),
        Gate(
            name="min_distinct_z",
            lowest_of_songs=round(min(distinct, default=float("nan")), 2),
            highest_without_letters=round(max((one.distinct_z for one in without), default=float("nan")), 2),
            threshold=options.min_distinct_z,
        ),
    )


def _keeps_order(video: BenchVideo) -> bool:
    letters = [segment.letter for segment in video.truth]
    rising = sum(one < other for one, other in pairwise(letters))
    return rising >= 0.8 * (len(letters) - 1)
