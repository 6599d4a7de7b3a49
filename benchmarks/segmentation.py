"""How well letters are found: precision, recall, F1, boundary errors and calibration, by evidence and by kind of song."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.segmentation_songs import (
    BenchVideo,
    Heard,
    OnProgress,
    folder_videos,
    rendered_videos,
    with_speech,
    with_traces,
)
from phonics_data.errors import OptionError
from phonics_data.segmentation.phrases import Phrase
from phonics_data.segmentation.scoring import SegmentScore, calibration_error, score_segments
from phonics_data.segmentation.screen_decoder import ScreenDecoding, decode_screen
from phonics_data.segmentation.segmenter import DecideOptions, combine
from phonics_data.segmentation.word_decoder import decode_words
from phonics_data.types import Segment, segment_id

NOTHING = Heard(words=(), origin="none")


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """A combination of sources to decide from.

    Args:
        heard: name of the words in `BenchVideo.heard`; empty for none.
        only_partial: measured on songs alone that are shuffled or lack letters.
        min_f1, max_median_seconds: targets over rendered songs; None where there is none.
    """

    name: str
    heard: str
    screen: bool
    only_partial: bool = False
    min_f1: float | None = None
    max_median_seconds: float | None = None


EVIDENCE: tuple[Evidence, ...] = (
    Evidence(name="captions, word times", heard="words", screen=False, min_f1=0.99, max_median_seconds=0.05),
    Evidence(name="captions, word times + screen", heard="words", screen=True),
    Evidence(name="captions, cues", heard="cues", screen=False, min_f1=0.97, max_median_seconds=0.15),
    Evidence(name="captions, cues + screen", heard="cues", screen=True),
    Evidence(name="screen", heard="", screen=True, min_f1=0.97, max_median_seconds=0.10),
    Evidence(name="captions, 20 % wrong", heard="damaged", screen=False),
    Evidence(name="captions, 20 % wrong + screen", heard="damaged", screen=True, min_f1=0.98, max_median_seconds=0.10),
    Evidence(
        name="shuffled or partial, all",
        heard="own",
        screen=True,
        only_partial=True,
        min_f1=0.95,
        max_median_seconds=0.12,
    ),
    Evidence(name="speech at 5 dB", heard="speech", screen=False),
    Evidence(name="speech at 5 dB + screen", heard="speech", screen=True, min_f1=0.97, max_median_seconds=0.12),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One evidence on one group of videos.

    Args:
        group: ``all``, a kind of song, a way of showing letters, or the name of a folder.
        at_50, at_75: scores at IoU 0.5 and 0.75.
        calibration_error: expected calibration error of the segments' confidence at IoU 0.5, 0..1.
        meets_target: of rendered songs; None where there is no target.
    """

    evidence: str
    group: str
    num_videos: int
    at_50: SegmentScore
    at_75: SegmentScore
    calibration_error: float
    meets_target: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LettersBench:
    """All figures of one run.

    Args:
        unavailable: name of the evidence -> why it could not be measured.
        false_segments: (evidence, video without letters, segments found there) for each such pair with any.
        num_without_letters: videos without letters that were tried.
        screen_cpu_ratio: CPU-seconds of reading the screen, decoding included, a second of video.
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
class LettersBenchOptions:
    """What is measured.

    Args:
        num_songs, num_negatives: rendered songs, and rendered videos without letters.
        seed: of both; to be one that nothing was fitted on.
        folders: further videos, each with its truth file.
        evidence: names of `EVIDENCE`; empty for all.
        workers: processes for what is expensive.

    Raises:
        OptionError: no such evidence, or nothing to measure.
    """

    num_songs: int = 60
    num_negatives: int = 20
    seed: int = 4242
    folders: tuple[Path, ...] = ()
    evidence: tuple[str, ...] = ()
    workers: int = 2

    def __post_init__(self) -> None:
        names = [one.name for one in EVIDENCE]
        for name in self.evidence:
            if name not in names:
                raise OptionError("--evidence", name, "; ".join(names))
        if not (self.num_songs or self.num_negatives or self.folders):
            raise OptionError("--songs", self.num_songs, "1 or more, or a --folder to measure on")


def bench_letters(cache: Path, options: LettersBenchOptions, *, on_progress: OnProgress) -> LettersBench:
    """Measure; what is expensive comes from `cache` where an earlier run left it there."""
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
    chosen = [one for one in EVIDENCE if not options.evidence or one.name in options.evidence]
    if any(one.heard == "speech" for one in chosen):
        videos = with_speech(videos, cache, workers=options.workers, on_progress=on_progress)
    return measure(videos, chosen)


def measure(videos: Sequence[BenchVideo], evidences: Sequence[Evidence]) -> LettersBench:
    """Decide every video from every evidence, and score what came out."""
    results: list[Result] = []
    unavailable: dict[str, str] = {}
    false: list[tuple[str, str, int]] = []
    without = [video for video in videos if not video.truth]
    screens = videos if any(evidence.screen for evidence in evidences) else ()
    shown = {video.video_id: decode_screen(video.read_trace(), DecideOptions().screen) for video in screens}
    for evidence in evidences:
        usable = [video for video in videos if _has(video, evidence)]
        if not usable:
            unavailable[evidence.name] = "no video has it" if evidence.heard != "speech" else "no recognizer"
            continue
        found = {video.video_id: segments_of(video, evidence, shown=shown.get(video.video_id)) for video in usable}
        false += [
            (evidence.name, video.video_id, len(found[video.video_id]))
            for video in usable
            if not video.truth and found[video.video_id]
        ]
        results += _results(evidence, [video for video in usable if video.truth], found)
    return LettersBench(
        results=tuple(results),
        unavailable=unavailable,
        false_segments=tuple(false),
        num_without_letters=len(without),
        screen_cpu_ratio=sum(video.screen_cpu_seconds for video in videos)
        / max(sum(video.duration_seconds for video in videos), 1e-9),
    )


def _has(video: BenchVideo, evidence: Evidence) -> bool:
    if evidence.only_partial:
        return video.is_rendered and not video.is_whole  # without captions the screen is all that there is
    return not evidence.heard or evidence.heard in video.heard


def segments_of(
    video: BenchVideo,
    evidence: Evidence,
    options: DecideOptions | None = None,
    *,
    shown: ScreenDecoding | None = None,
) -> list[Segment]:
    """The whole phrases that are found, before the length rule.

    Args:
        shown: what the screen says, where the caller has it already: it takes the most time, and is the same beside all words.
    """
    options = options or DecideOptions()
    heard = video.heard.get(evidence.heard, NOTHING)
    words = heard.words
    duration = video.duration_seconds
    by_words = decode_words(words, duration_seconds=duration, options=options.words) if words else None
    by_screen = (shown or decode_screen(video.read_trace(), options.screen)) if evidence.screen else None
    decision = combine(words, heard.origin, by_words, by_screen, duration_seconds=duration, options=options)
    return segments_of_phrases(video, decision.phrases)


def segments_of_phrases(video: BenchVideo, phrases: Sequence[Phrase]) -> list[Segment]:
    """Whole phrases as the segments that are scored."""
    return [
        Segment(
            segment_id=segment_id(video.video_id, phrase.start_seconds),
            video_id=video.video_id,
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


def _results(
    evidence: Evidence, videos: Sequence[BenchVideo], found: Mapping[str, Sequence[Segment]]
) -> Iterable[Result]:
    rendered = [video for video in videos if video.is_rendered]
    groups: dict[str, list[BenchVideo]] = {"all": rendered} if rendered else {}
    by: tuple[Callable[[BenchVideo], str], ...] = (lambda video: video.kind, lambda video: video.way)
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


def _meets(evidence: Evidence, score: SegmentScore) -> bool | None:
    if evidence.min_f1 is None or evidence.max_median_seconds is None:
        return None
    return score.f1 >= evidence.min_f1 and score.median_boundary_error_seconds <= evidence.max_median_seconds


# --- output --------------------------------------------------------------------------------------------------------

HEADINGS = ("evidence", "videos", "P", "R", "F1", "F1 at 0.75", "median s", "p90 s", "calibration", "target")


def table(found: LettersBench, group: str | None = None) -> list[tuple[str, ...]]:
    """Rows for a person under `HEADINGS`: of one group, or of all groups with their names before them."""
    targets = {evidence.name: evidence for evidence in EVIDENCE}
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


def as_plain(found: LettersBench, options: LettersBenchOptions) -> dict[str, object]:
    """All figures as JSON can hold them."""
    plain = dataclasses.asdict(found)
    asked = dataclasses.asdict(options)
    asked["folders"] = [str(folder) for folder in options.folders]
    return {"options": asked, **plain, "within_targets": found.within_targets}
