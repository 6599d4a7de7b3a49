"""Accuracy of segmentation: precision, recall, F1, boundary errors and calibration, by evidence and by kind of song."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.segmentation_songs import (
    BenchmarkVideo,
    OnProgress,
    SourceWords,
    folder_videos,
    rendered_videos,
    with_speech,
    with_traces,
)
from phonics_data.errors import OptionError
from phonics_data.segmentation.length import LengthLimits, apply_length_rule
from phonics_data.segmentation.phrases import Phrase
from phonics_data.segmentation.scoring import SegmentScore, calibration_error, score_segments
from phonics_data.segmentation.screen_decoder import ScreenDecoding, decode_screen
from phonics_data.segmentation.screen_evidence import ScreenOptions
from phonics_data.segmentation.segmenter import SegmenterOptions, fuse_decodings
from phonics_data.segmentation.word_decoder import WordDecoderOptions, WordDecoding, decode_words
from phonics_data.types import Segment, segment_id

NO_WORDS = SourceWords(words=(), origin="none")


@dataclass(frozen=True, kw_only=True, slots=True)
class EvidenceSet:
    """A combination of sources.

    Args:
        words: key of the words in `BenchmarkVideo.words`; empty for none.
        screen: whether the OCR trace is used.
        only_partial: measured only on songs that are shuffled or lack letters.
        min_f1, max_median_seconds: targets over rendered songs; None without a target.
    """

    words: str = ""
    screen: bool
    name: str = ""
    only_partial: bool = False
    min_f1: float | None = None
    max_median_seconds: float | None = None


EVIDENCE_SETS: tuple[EvidenceSet, ...] = (
    EvidenceSet(name="captions, word times", words="words", screen=False, min_f1=0.99, max_median_seconds=0.05),
    EvidenceSet(name="captions, word times + screen", words="words", screen=True),
    EvidenceSet(name="captions, cues", words="cues", screen=False, min_f1=0.97, max_median_seconds=0.15),
    EvidenceSet(name="captions, cues + screen", words="cues", screen=True),
    EvidenceSet(name="screen", words="", screen=True, min_f1=0.97, max_median_seconds=0.10),
    EvidenceSet(name="captions, 20 % wrong", words="corrupted", screen=False),
    EvidenceSet(
        name="captions, 20 % wrong + screen", words="corrupted", screen=True, min_f1=0.98, max_median_seconds=0.10
    ),
    EvidenceSet(
        name="shuffled or partial, all",
        words="own",
        screen=True,
        only_partial=True,
        min_f1=0.95,
        max_median_seconds=0.12,
    ),
    EvidenceSet(name="speech at 5 dB", words="speech", screen=False),
    EvidenceSet(name="speech at 5 dB + screen", words="speech", screen=True, min_f1=0.97, max_median_seconds=0.12),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """Scores of one evidence set on one group of videos.

    Args:
        group: ``all``, a kind of song, a way in which letters appear, or the name of a folder.
        at_50, at_75: scores at IoU 0.5 and 0.75.
        calibration_error: expected calibration error of the segments' confidence at IoU 0.5, 0..1.
        meets_target: for rendered songs; None without a target.
    """

    evidence: str
    group: str
    num_videos: int
    at_50: SegmentScore
    at_75: SegmentScore
    calibration_error: float
    meets_target: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentationBenchmark:
    """All figures of one run.

    Args:
        unavailable: name of the evidence set -> why it could not be measured.
        false_segments: (evidence set, video without letters, number of segments found in it).
        num_without_letters: number of videos without letters.
        screen_cpu_ratio: CPU seconds of OCR per second of video, video decoding included.
    """

    results: tuple[Result, ...]
    unavailable: Mapping[str, str]
    false_segments: tuple[tuple[str, str, int], ...]
    num_without_letters: int
    screen_cpu_ratio: float

    @property
    def within_targets(self) -> bool:
        return not self.false_segments and all(result.meets_target is not False for result in self.results)


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentationBenchmarkOptions:
    """What to measure.

    Args:
        num_songs, num_negatives: number of rendered songs and of rendered negatives.
        seed: of both; must not be a seed of the fit.
        folders: further videos with ground-truth files.
        evidence: names of `EVIDENCE_SETS`; empty for all.
        workers: processes for rendering, OCR and speech recognition.

    Raises:
        OptionError: unknown evidence set, or nothing to measure.
    """

    num_songs: int = 60
    num_negatives: int = 20
    seed: int = 4242
    folders: tuple[Path, ...] = ()
    evidence: tuple[str, ...] = ()
    workers: int = 2

    def __post_init__(self) -> None:
        names = [one.name for one in EVIDENCE_SETS]
        for name in self.evidence:
            if name not in names:
                raise OptionError("--evidence", name, "; ".join(names))
        if not (self.num_songs or self.num_negatives or self.folders):
            raise OptionError("--songs", self.num_songs, "1 or more, or a --folder to measure on")


@dataclass(slots=True)
class CachedSegmenter:
    """Segments videos from evidence sets, and caches the decodings, which most options do not affect."""

    _by_words: dict[tuple[str, str, WordDecoderOptions], WordDecoding] = field(default_factory=dict)
    _by_screen: dict[tuple[str, ScreenOptions], ScreenDecoding] = field(default_factory=dict)

    def phrases(self, video: BenchmarkVideo, evidence: EvidenceSet, options: SegmenterOptions) -> tuple[Phrase, ...]:
        """The phrases of a video, before the length rule."""
        source, duration = video.words.get(evidence.words, NO_WORDS), video.duration_seconds
        by_words: WordDecoding | None = None
        if source.words:
            word_key = (video.video_id, evidence.words, options.words)
            if word_key not in self._by_words:
                decoding = decode_words(source.words, duration_seconds=duration, options=options.words)
                self._by_words[word_key] = decoding
            by_words = self._by_words[word_key]
        by_screen: ScreenDecoding | None = None
        if evidence.screen:
            screen_key = (video.video_id, options.screen)
            if screen_key not in self._by_screen:
                self._by_screen[screen_key] = decode_screen(video.read_trace(), options.screen)
            by_screen = self._by_screen[screen_key]
        return fuse_decodings(
            source.words, source.origin, by_words, by_screen, duration_seconds=duration, options=options
        ).phrases

    def keep_only(self, options: SegmenterOptions) -> None:
        """Drop the cached decodings of other options."""
        self._by_words = {key: value for key, value in self._by_words.items() if key[2] == options.words}
        self._by_screen = {key: value for key, value in self._by_screen.items() if key[1] == options.screen}


def run_segmentation_benchmark(
    cache: Path, options: SegmentationBenchmarkOptions, *, on_progress: OnProgress
) -> SegmentationBenchmark:
    """Render, read and recognize (cached in `cache`), segment and score."""
    videos = rendered_videos(
        cache,
        num_songs=options.num_songs,
        num_negatives=options.num_negatives,
        seed=options.seed,
        workers=options.workers,
        on_progress=on_progress,
    )
    videos += [video for folder in options.folders for video in folder_videos(folder)]
    videos = with_traces(videos, cache, workers=options.workers, on_progress=on_progress)
    chosen = [one for one in EVIDENCE_SETS if not options.evidence or one.name in options.evidence]
    if any(one.words == "speech" for one in chosen):
        videos = with_speech(videos, cache, workers=options.workers, on_progress=on_progress)
    return measure(videos, chosen)


def measure(videos: Sequence[BenchmarkVideo], evidence_sets: Sequence[EvidenceSet]) -> SegmentationBenchmark:
    """Segment every video from every evidence set, and score the results."""
    results: list[Result] = []
    unavailable: dict[str, str] = {}
    false_segments: list[tuple[str, str, int]] = []
    segmenter, options = CachedSegmenter(), SegmenterOptions()
    for evidence in evidence_sets:
        usable = [video for video in videos if _has(video, evidence)]
        if not usable:
            unavailable[evidence.name] = "no video has these sources" if evidence.words != "speech" else "no recognizer"
            continue
        found = {
            video.video_id: segments_of_phrases(video.video_id, segmenter.phrases(video, evidence, options))
            for video in usable
        }
        false_segments += [
            (evidence.name, video.video_id, len(found[video.video_id]))
            for video in usable
            if not video.truth and found[video.video_id]
        ]
        results += _results(evidence, [video for video in usable if video.truth], found)
    return SegmentationBenchmark(
        results=tuple(results),
        unavailable=unavailable,
        false_segments=tuple(false_segments),
        num_without_letters=sum(not video.truth for video in videos),
        screen_cpu_ratio=sum(video.screen_cpu_seconds for video in videos)
        / max(sum(video.duration_seconds for video in videos), 1e-9),
    )


def _has(video: BenchmarkVideo, evidence: EvidenceSet) -> bool:
    if evidence.only_partial:
        return video.is_rendered and not video.is_whole  # songs without captions are segmented from the screen alone
    return not evidence.words or evidence.words in video.words


def segments_of_phrases(video_id: str, phrases: Sequence[Phrase]) -> list[Segment]:
    """Phrases as segments that can be scored."""
    return [
        Segment(
            segment_id=segment_id(video_id, phrase.start_seconds),
            video_id=video_id,
            letter=phrase.letter,
            object_word=phrase.object_word,
            start_seconds=phrase.start_seconds,
            end_seconds=phrase.end_seconds,
            rule="phrase",
            evidence=phrase.evidence,
            confidence=phrase.confidence,
        )
        for phrase in phrases
    ]


def finished_segments(video: BenchmarkVideo, phrases: Sequence[Phrase]) -> list[Segment]:
    """The segments after the length rule with the default limits."""
    return [segment for _, segment in _after_length_rule(video, phrases)]


def finished_of_phrases(video: BenchmarkVideo, phrases: Sequence[Phrase]) -> list[Segment | None]:
    """For each phrase its interval after the length rule, from the first to the last of its segments; None if too short."""
    by_phrase: dict[int, Segment] = {}
    for phrase, segment in _after_length_rule(video, phrases):
        first = by_phrase.get(id(phrase), segment)
        by_phrase[id(phrase)] = replace(first, end_seconds=segment.end_seconds)
    return [by_phrase.get(id(phrase)) for phrase in phrases]


def _after_length_rule(video: BenchmarkVideo, phrases: Sequence[Phrase]) -> Iterable[tuple[Phrase, Segment]]:
    limits = LengthLimits()
    accepted, _ = apply_length_rule(phrases, limits, video.duration_seconds)
    for one in accepted:
        start = float(one.start_frame / limits.frame_rate)
        (segment,) = segments_of_phrases(video.video_id, [one.phrase])
        yield (
            one.phrase,
            replace(
                segment,
                segment_id=segment_id(video.video_id, start),
                start_seconds=start,
                end_seconds=float(one.end_frame / limits.frame_rate),
                rule=one.rule,
                confidence=one.confidence,
            ),
        )


def _results(
    evidence: EvidenceSet, videos: Sequence[BenchmarkVideo], found: Mapping[str, Sequence[Segment]]
) -> Iterable[Result]:
    rendered = [video for video in videos if video.is_rendered]
    groups: dict[str, list[BenchmarkVideo]] = {"all": rendered} if rendered else {}
    by: tuple[Callable[[BenchmarkVideo], str], ...] = (lambda video: video.kind, lambda video: video.way)
    for name_of in by:
        for video in videos:
            if name := name_of(video):
                groups.setdefault(name, []).append(video)
    for group, members in groups.items():
        truth = [segment for video in members for segment in video.truth]
        segments = [segment for video in members for segment in found[video.video_id]]
        at_50 = score_segments(segments, truth, 0.5)
        yield Result(
            evidence=evidence.name,
            group=group,
            num_videos=len(members),
            at_50=at_50,
            at_75=score_segments(segments, truth, 0.75),
            calibration_error=calibration_error(segments, truth),
            meets_target=_meets(evidence, at_50) if group == "all" else None,
        )


def _meets(evidence: EvidenceSet, score: SegmentScore) -> bool | None:
    if evidence.min_f1 is None or evidence.max_median_seconds is None:
        return None
    return score.f1 >= evidence.min_f1 and score.median_boundary_error_seconds <= evidence.max_median_seconds


# --- output --------------------------------------------------------------------------------------------------------

HEADINGS = ("evidence", "videos", "P", "R", "F1", "F1 at 0.75", "median s", "p90 s", "calibration", "target")


def table(found: SegmentationBenchmark, group: str | None = None) -> list[tuple[str, ...]]:
    """Rows of text under `HEADINGS`: of one group, or of all groups with the group after the evidence set."""
    targets = {evidence.name: evidence for evidence in EVIDENCE_SETS}
    rows: list[tuple[str, ...]] = []
    for result in found.results:
        if group is not None and result.group != group:
            continue
        score, target = result.at_50, targets[result.evidence]
        goal = "" if result.meets_target is None else f"{target.min_f1}, {target.max_median_seconds} s"
        rows.append(
            (
                result.evidence if group is not None else f"{result.evidence}: {result.group}",
                str(result.num_videos),
                f"{score.precision:.3f}",
                f"{score.recall:.3f}",
                f"{score.f1:.3f}",
                f"{result.at_75.f1:.3f}",
                f"{score.median_boundary_error_seconds:.3f}",
                f"{score.p90_boundary_error_seconds:.3f}",
                f"{result.calibration_error:.3f}",
                goal + ("  MISSED" if result.meets_target is False else ""),
            )
        )
    if group in (None, "all"):
        rows += [(name, "-", *("-",) * 7, f"unavailable: {why}") for name, why in found.unavailable.items()]
    return rows


def as_plain(found: SegmentationBenchmark, options: SegmentationBenchmarkOptions) -> dict[str, object]:
    """All figures as values for JSON."""
    plain = dataclasses.asdict(found)
    plain_options = {**dataclasses.asdict(options), "folders": [str(folder) for folder in options.folders]}
    return {"options": plain_options, **plain, "within_targets": found.within_targets}
