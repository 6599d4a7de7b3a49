"""Accuracy of segmentation on real videos, against the project's targets: `python -m benchmarks segmentation-real`.

The videos are not part of the project. They are read from the folder in `PHONICS_SHARED_DATA`,
and nothing that is made from them is stored outside the cache folder. Nothing is hard-coded but the paths of the videos, the
targets, and the table of the phrases of the one-letter videos (one-letter.tsv).

A *phrase* is scored before the length rule, a *finished segment* after it, with the default options of the stage `segment`.
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np

from benchmarks.segmentation import (
    NO_WORDS,
    EvidenceSet,
    SegmentationBenchmarkOptions,
    finished_segments,
    segments_of_phrases,
)
from benchmarks.segmentation_pipeline import build_dataset, built_id, is_confident
from benchmarks.segmentation_songs import (
    BenchmarkVideo,
    OnProgress,
    SourceWords,
    rendered_videos,
    with_speech,
    with_traces,
)
from phonics_data.captions.parse import parse_captions
from phonics_data.errors import InputError
from phonics_data.media import is_video_file, probe
from phonics_data.ocr.trace import ScreenTrace
from phonics_data.recognizers.whisper import DEFAULT_MODEL, local_model
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.phrases import Phrase
from phonics_data.segmentation.scoring import (
    SegmentScore,
    calibration_error,
    join_split_segments,
    matched_pairs,
    read_truth_table,
    score_segments,
)
from phonics_data.segmentation.segmenter import SegmenterOptions, segment_song
from phonics_data.segmentation.units import Unit
from phonics_data.storage.workspace import fingerprint
from phonics_data.types import Segment, TrueSegment, Word, segment_id

SHARED_DATA = "PHONICS_SHARED_DATA"

ONE_LETTER_TRUTH = Path(__file__).parent / "one-letter.tsv"
NO_WORD = "-"
"""Object word of a phrase that has none."""

MAX_CPU_RATIO = 0.3
"""Target: CPU seconds per second of video."""
MAX_WRONG_CONFIDENCE, MAX_SINGLE_WRONG_CONFIDENCE = 0.2, 0.9
"""Targets: mean and maximum confidence of wrong finished segments."""

SCREEN = EvidenceSet(name="screen", screen=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class RealSong:
    """A real song with a ground-truth file.

    Args:
        folder: below the folder ``media``; it contains one video and ``truth.tsv``.
        min_f1, min_f1_at_75: targets for finished segments at IoU 0.5 and 0.75; None without one.
    """

    name: str
    folder: str
    min_f1: float
    min_f1_at_75: float | None = None


SONGS: tuple[RealSong, ...] = (
    RealSong(name="drawn cards", folder="Mahesh-Abeykoon+dyslexia-app-for-kids", min_f1=0.90, min_f1_at_75=0.70),
    RealSong(name="two rounds", folder="Dls96+Aprenda_Ingles_Projeto", min_f1=0.90, min_f1_at_75=0.70),
    RealSong(name="rows", folder="Dev4X+Alpha-Moon", min_f1=0.92, min_f1_at_75=0.70),
    RealSong(name="pairs", folder="aleezaraza3+myapp", min_f1=0.96),
)

CAPTION_LINES = ("ABCD", "EFG", "HIJK", "LMNOP", "QRS", "TUV", "WX", "YZ")
"""Lines in which people caption a sung alphabet."""
MIN_CAPTIONS_F1_AT_75 = 0.90
MIN_OBJECT_WORDS = 14


@dataclass(frozen=True, kw_only=True, slots=True)
class SongResult:
    """Scores of one song from one evidence set.

    Args:
        phrases_50, phrases_75: scores of phrases at IoU 0.5 and 0.75.
        finished_50, finished_75: scores of finished segments that are kept by default (minimum confidence).
        ceiling_50, ceiling_75: F1 of the truth itself after the length rule; not a strict bound, since a letter that is
            found a frame too long can pass where the true one falls.
        calibration_error: of all finished segments at IoU 0.5; NaN without any.
        num_wrong: finished segments that are kept by default and match no true segment at IoU 0.5.
        wrong_confidence, max_wrong_confidence: of finished segments, kept or not, that match no true segment at IoU 0.5; NaN without any.
        refusal: why there are no segments; empty if there are some.
    """

    song: str
    evidence: str
    phrases_50: SegmentScore
    phrases_75: SegmentScore
    finished_50: SegmentScore
    finished_75: SegmentScore
    ceiling_50: float
    ceiling_75: float
    calibration_error: float
    num_wrong: int
    wrong_confidence: float
    max_wrong_confidence: float
    refusal: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Control:
    """F1 of a control that reads nothing: the right letters at guessed places.

    Args:
        name: ``even``: equally long over the whole duration; ``even, sung part``: from the first true start to the last true
            end; ``other song``: at the places of another song, scaled to this duration (the best of the others).
    """

    song: str
    name: str
    f1_at_50: float
    f1_at_75: float


@dataclass(frozen=True, kw_only=True, slots=True)
class OneLetterResult:
    """Clips of the ten one-letter videos.

    Args:
        num_phrases: file name without suffix -> number of finished segments.
        num_wrong_rows: pairs of a video and another letter, in all; the rows of a manifest that are wrong.
        kept_of_wrong_rows: ``video: letter`` of those that give a segment which is kept by default.
        num_object_words, num_true_words: object words found in their video, and all true ones.
        objects: score of object phrases at IoU 0.5; segments in the part without an object word are ignored.
        control_f1: of equal thirds.
        refusals: video -> why it has no segments.
    """

    evidence: str
    num_phrases: Mapping[str, int]
    num_wrong_rows: int
    kept_of_wrong_rows: tuple[str, ...]
    num_object_words: int
    num_true_words: int
    objects: SegmentScore
    control_f1: float
    refusals: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class FalseSegments:
    """Segments found in a video without letters.

    Args:
        kind: ``alphabet``, or ``letter X`` for a wrong manifest row of one letter.
        by_evidence: evidence of the segments -> their number.
        num_kept: finished segments with at least the default minimum confidence of the stage `shard`.
    """

    video_id: str
    evidence: str
    kind: str
    by_evidence: Mapping[str, int]
    num_kept: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetRow:
    """One row of the table of targets. `is_met` is None where nothing was measured."""

    material: str
    measure: str
    value: str
    target: str
    control: str
    is_met: bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RealBenchmark:
    """All results of one run."""

    songs: tuple[SongResult, ...]
    controls: tuple[Control, ...]
    one_letter: tuple[OneLetterResult, ...]
    captions: tuple[SongResult, ...]
    false_segments: tuple[FalseSegments, ...]
    num_without_letters: int
    cpu_ratios: Mapping[str, float]
    """Part of the work -> CPU seconds per second of video, over the four songs."""
    targets: tuple[TargetRow, ...]

    @property
    def within_targets(self) -> bool:
        return all(row.is_met is not False for row in self.targets)


@dataclass(frozen=True, kw_only=True, slots=True)
class RealBenchmarkOptions:
    """What to measure.

    Args:
        models: speech models (names of `REVISIONS` or folders); those that are not on this machine are left out.
        num_negatives: rendered videos without letters, of the seed of `benchmarks segmentation`.
        workers: processes for rendering, OCR and speech recognition.
    """

    models: tuple[str, ...] = (DEFAULT_MODEL, "base")
    num_negatives: int = 20
    workers: int = 2


# --- material ------------------------------------------------------------------------------------------------------


def shared_media() -> Path:
    """The folder of real videos.

    Raises:
        InputError: it does not exist.
    """
    folder = Path(os.environ.get(SHARED_DATA) or ".") / "media"
    if not os.environ.get(SHARED_DATA) or not folder.is_dir():
        raise InputError(
            f"{SHARED_DATA}={os.environ.get(SHARED_DATA, '')}: no folder with media/ in it; the real videos are not part of the project; set {SHARED_DATA} to the folder that "
            "contains media/ (docs/segmentation.md lists the files)"
        )
    return folder


def real_songs(media: Path) -> list[BenchmarkVideo]:
    """The four songs, in the order of `SONGS`; `video_id` and `kind` are their names."""
    videos: list[BenchmarkVideo] = []
    for song in SONGS:
        folder = media / song.folder
        path = next((path for path in sorted(folder.glob("*")) if is_video_file(path)), None)
        if path is None:
            raise InputError(f"{folder}: no video; expected the song with {song.name} and its truth.tsv")
        truth = tuple(read_truth_table(folder / "truth.tsv", song.name))
        videos.append(_real(path, song.name, song.name, truth))
    return videos


def one_letter_videos(media: Path) -> list[BenchmarkVideo]:
    """The ten videos of one letter, with their true phrases."""
    truth = read_one_letter_truth(ONE_LETTER_TRUTH)
    videos: list[BenchmarkVideo] = []
    for letter in sorted({segment.letter for segment in truth}):
        path = media / "one-letter" / f"{letter.lower()}.mp4"
        video_id = f"one-letter-{letter.lower()}"
        phrases = tuple(replace(segment, video_id=video_id) for segment in truth if segment.letter == letter)
        videos.append(replace(_real(path, video_id, "one letter", phrases), letters=letter))
    return videos


def read_one_letter_truth(path: Path) -> list[TrueSegment]:
    """The rows of a table of letter, start, end and object word (`NO_WORD` for none)."""
    segments = read_truth_table(path, "")
    rows = [line.split() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return [
        replace(segment, object_word=None if row[3] == NO_WORD else row[3])
        for segment, row in zip(segments, rows, strict=True)
    ]


def negatives(media: Path) -> list[BenchmarkVideo]:
    """Real videos without letters on the screen: talking faces that name single letters, and other media."""
    folders = ("GRID", "Zulko+moviepy", "kkroening+ffmpeg-python")
    paths = [path for folder in folders for path in sorted((media / folder).glob("*")) if is_video_file(path)]
    videos: list[BenchmarkVideo] = []
    for path in paths:
        video = _real(path, f"{path.parent.name}/{path.stem}", "no letters", ())
        if video.duration_seconds > 0:
            videos.append(video)
    return videos


def _real(path: Path, video_id: str, kind: str, truth: tuple[TrueSegment, ...]) -> BenchmarkVideo:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    letters = "".join(segment.letter for segment in truth)
    return BenchmarkVideo(
        video_id=video_id,
        path=path,
        kind=kind,
        way="",
        is_whole=letters in (LETTERS, 2 * LETTERS),
        is_rendered=False,
        truth=truth,
        duration_seconds=probe(path).duration_seconds or 0.0,
    )


def joined(video_id: str, kind: str, videos: Sequence[BenchmarkVideo], folder: Path) -> BenchmarkVideo:
    """The videos one after the other: their traces, words and truths; no media file is made.

    Args:
        folder: for the trace.
    """
    starts = np.cumsum([0.0, *(video.read_trace().duration_seconds for video in videos)]).tolist()
    trace = joined_traces([video.read_trace() for video in videos])
    path = folder / f"{fingerprint(kind, *(video.trace for video in videos))[:24]}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(trace.to_bytes())
    keys = set[str].intersection(*(set(video.words) for video in videos))
    words = {
        key: SourceWords(
            words=tuple(
                replace(word, start_seconds=word.start_seconds + start, end_seconds=word.end_seconds + start)
                for video, start in zip(videos, starts, strict=False)
                for word in video.words[key].words
            ),
            origin=videos[0].words[key].origin,
        )
        for key in sorted(keys)
    }
    truth = tuple(
        replace(
            segment,
            video_id=video_id,
            start_seconds=segment.start_seconds + start,
            end_seconds=segment.end_seconds + start,
        )
        for video, start in zip(videos, starts, strict=False)
        for segment in video.truth
    )
    return replace(
        videos[0],
        video_id=video_id,
        kind=kind,
        letters=LETTERS,
        truth=truth,
        duration_seconds=starts[-1],
        words=words,
        trace=path,
        screen_cpu_seconds=0.0,
        speech_cpu_seconds={},
    )


def joined_traces(traces: Sequence[ScreenTrace]) -> ScreenTrace:
    """The traces one after the other. Names of fields end with their axes; times are fields ``*frame_*``."""
    first_frames = np.cumsum([0, *(trace.num_frames for trace in traces)]).tolist()
    values: dict[str, object] = {}
    for one in dataclasses.fields(ScreenTrace):
        if one.name == "rate":
            continue
        parts = [getattr(trace, one.name) for trace in traces]
        if "frame_" in one.name:
            parts = [part + first for part, first in zip(parts, first_frames, strict=False)]
        values[one.name] = np.concatenate(parts)
    return replace(traces[0], **values)


# --- captions with cue times ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Cue:
    """One line of captions."""

    start_seconds: float
    end_seconds: float
    text: str


def phrase_cues(video: BenchmarkVideo, texts: Sequence[str], speech: Sequence[Word]) -> list[Cue]:
    """One cue per true segment, as people write them: from its first spoken word until 0.5 s after its last one.

    Args:
        texts: one for each true segment.
        speech: recognized words; only their times are used.
    """
    cues: list[Cue] = []
    for segment, text in zip(video.truth, texts, strict=True):
        spoken = _spoken(speech, segment.start_seconds, segment.end_seconds)
        start = spoken[0].start_seconds if spoken else segment.start_seconds + 0.3
        cues.append(Cue(start_seconds=start, end_seconds=_after(spoken, segment.end_seconds), text=text))
    return _until_the_next(cues)


def line_cues(video: BenchmarkVideo, speech: Sequence[Word]) -> list[Cue]:
    """One cue per line of `CAPTION_LINES`, from its first spoken letter until 0.5 s after its last one."""
    lines: list[list[TrueSegment]] = []
    first_letters = {line[0] for line in CAPTION_LINES}
    for segment in video.truth:
        if segment.letter in first_letters or not lines:
            lines.append([])
        lines[-1].append(segment)
    cues: list[Cue] = []
    for line in lines:
        spoken = _spoken(speech, line[0].start_seconds, line[-1].end_seconds)
        start = spoken[0].start_seconds if spoken else line[0].start_seconds
        text = " ".join(segment.letter for segment in line)
        cues.append(Cue(start_seconds=start, end_seconds=_after(spoken, line[-1].end_seconds), text=text))
    return _until_the_next(cues)


def _spoken(speech: Sequence[Word], start: float, end: float) -> list[Word]:
    return [word for word in speech if start - 0.3 <= word.start_seconds < end - 0.3]


def _after(spoken: Sequence[Word], otherwise: float) -> float:
    return min(spoken[-1].end_seconds, otherwise) + 0.5 if spoken else otherwise


def _until_the_next(cues: Sequence[Cue]) -> list[Cue]:
    ends = [*(cue.start_seconds for cue in cues[1:]), float("inf")]
    return [replace(cue, end_seconds=min(cue.end_seconds, end)) for cue, end in zip(cues, ends, strict=True)]


def words_of_cues(cues: Sequence[Cue], duration_seconds: float) -> SourceWords:
    """The words that the reader of caption files makes of cues without word times."""

    def clock(seconds: float) -> str:
        milliseconds = round(seconds * 1000)
        return f"{milliseconds // 3_600_000:02d}:{milliseconds // 60_000 % 60:02d}:{milliseconds // 1000 % 60:02d}.{milliseconds % 1000:03d}"

    lines = ["WEBVTT", ""]
    for cue in cues:
        lines += [f"{clock(cue.start_seconds)} --> {clock(cue.end_seconds)}", cue.text, ""]
    track = parse_captions("\n".join(lines).encode(), ".vtt", name="cues", duration_seconds=duration_seconds)
    return SourceWords(words=track.words, origin="manual_captions")


def captioned(
    songs: Sequence[BenchmarkVideo], one_letter: Sequence[BenchmarkVideo], folder: Path
) -> list[BenchmarkVideo]:
    """Videos with captions of cue times, made from the recognized times of real voices.

    The cartoon is left out: it has almost no speech.
    """
    videos: list[BenchmarkVideo] = []
    for video in songs:
        speech = next((words for key, words in video.words.items() if key.startswith("speech")), None)
        if speech is None or video.video_id == "drawn cards":
            continue
        if video.video_id == "pairs":
            words = _words_of_truth(video.path.parent / "truth.tsv")
            texts = [f"{letter} is for {word}" for letter, word in words]
            cues = phrase_cues(video, texts, speech.words)
        else:
            cues = line_cues(video, speech.words)
        videos.append(_with_cues(video, cues))
    if one_letter:
        videos.append(_captioned_one_letter(one_letter, folder))
    return videos


def _with_cues(video: BenchmarkVideo, cues: Sequence[Cue]) -> BenchmarkVideo:
    return replace(video, words={**video.words, "cues": words_of_cues(cues, video.duration_seconds)})


def _captioned_one_letter(videos: Sequence[BenchmarkVideo], folder: Path) -> BenchmarkVideo:
    """The one-letter videos one after the other, as a song from A to J; a cue per phrase, "b, b, b" for the sounds."""
    whole = joined("A to J", "A to J", videos, folder)
    cues = [
        Cue(
            start_seconds=segment.start_seconds,
            end_seconds=segment.end_seconds,
            text=f"{segment.letter} is for {segment.object_word}"
            if segment.object_word
            else ", ".join(3 * [segment.letter.lower()]),
        )
        for segment in whole.truth
    ]
    truth = tuple(
        replace(group[0], end_seconds=group[-1].end_seconds, object_word=None) for group in _groups(whole.truth)
    )
    return _with_cues(replace(whole, truth=truth), cues)


def _groups(truth: Sequence[TrueSegment]) -> list[list[TrueSegment]]:
    """Neighbouring segments of one letter."""
    groups: list[list[TrueSegment]] = []
    for segment in truth:
        if not groups or groups[-1][0].letter != segment.letter:
            groups.append([])
        groups[-1].append(segment)
    return groups


def _words_of_truth(path: Path) -> list[tuple[str, str]]:
    rows = [line.split() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return [(row[0], row[3]) for row in rows]


# --- measuring -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What was found in one video.

    Args:
        phrases: before the length rule, as segments.
        finished: after it.
        kept: those of `finished` with the default minimum confidence of the stage `shard`.
        refusal: why there are none; empty if there are some.
    """

    phrases: tuple[Segment, ...]
    finished: tuple[Segment, ...]
    refusal: str

    @property
    def kept(self) -> tuple[Segment, ...]:
        return tuple(filter(is_confident, self.finished))


def segment_video(
    video: BenchmarkVideo, evidence: EvidenceSet, letters: str | None = None, unit: Unit = "phrase"
) -> Found:
    """Segment a video as the stage `segment` does, with its default options.

    Args:
        letters: by the manifest row; None for those of `video`.
        unit: as in `SegmenterOptions`.
    """
    source = video.words.get(evidence.words, NO_WORDS)
    options = SegmenterOptions(unit=unit)
    segmentation = segment_song(
        source.words,
        source.origin,
        video.read_trace() if evidence.screen else None,
        duration_seconds=video.duration_seconds,
        options=options,
        letters=letters or video.letters,
    )
    phrases = segmentation.phrases
    return Found(
        phrases=tuple(segments_of_phrases(video.video_id, phrases)),
        finished=tuple(finished_segments(video, phrases)),
        refusal="" if phrases else segmentation.rejection_detail(options),
    )


def song_result(video: BenchmarkVideo, evidence: EvidenceSet, unit: Unit = "phrase") -> SongResult:
    """Segment and score one song.

    Args:
        unit: of the true segments: those of one-letter videos that are joined are whole letters.
    """
    found = segment_video(video, evidence, unit=unit)
    ceiling = finished_segments(video, [_true_phrase(segment) for segment in video.truth])
    wrong = [segment.confidence for segment in wrong_segments(found.finished, video.truth)]
    return SongResult(
        song=video.video_id,
        evidence=evidence.name,
        phrases_50=score_segments(found.phrases, video.truth, 0.5),
        phrases_75=score_segments(found.phrases, video.truth, 0.75),
        finished_50=score_segments(found.kept, video.truth, 0.5),
        finished_75=score_segments(found.kept, video.truth, 0.75),
        ceiling_50=score_segments(ceiling, video.truth, 0.5).f1,
        ceiling_75=score_segments(ceiling, video.truth, 0.75).f1,
        calibration_error=calibration_error(found.finished, video.truth),
        num_wrong=len(wrong_segments(found.kept, video.truth)),
        wrong_confidence=float(np.mean(wrong)) if wrong else float("nan"),
        max_wrong_confidence=max(wrong, default=float("nan")),
        refusal=found.refusal,
    )


def wrong_segments(found: Sequence[Segment], truth: Sequence[TrueSegment]) -> list[Segment]:
    """The segments that match no true one at IoU 0.5; those of one divided phrase count as one."""
    whole = join_split_segments(found)
    right = {id(segment) for segment, _ in matched_pairs(whole, truth, 0.5)}
    return [segment for segment in whole if id(segment) not in right]


def _true_phrase(segment: TrueSegment) -> Phrase:
    return Phrase(
        letter=segment.letter,
        object_word=segment.object_word,
        start_seconds=segment.start_seconds,
        end_seconds=segment.end_seconds,
        confidence=1.0,
    )


def controls(songs: Sequence[BenchmarkVideo]) -> list[Control]:
    """For each song, what the right letters at guessed places reach."""
    results: list[Control] = []
    for video in songs:
        first, last = video.truth[0].start_seconds, video.truth[-1].end_seconds
        others = [_scaled(other, video) for other in songs if other is not video]
        for name, guesses in (
            ("even", [_even(video, 0.0, video.duration_seconds)]),
            ("even, sung part", [_even(video, first, last)]),
            ("other song", others),
        ):
            scores = [
                (score_segments(guess, video.truth, 0.5).f1, score_segments(guess, video.truth, 0.75).f1)
                for guess in guesses
            ]
            at_50, at_75 = max(scores, default=(0.0, 0.0))
            results.append(Control(song=video.video_id, name=name, f1_at_50=at_50, f1_at_75=at_75))
    return results


def _even(video: BenchmarkVideo, start: float, end: float) -> list[Segment]:
    """The song's letters in their order, equally long."""
    times = np.linspace(start, end, len(video.truth) + 1).tolist()
    return [
        _guess(video.video_id, segment.letter, low, high)
        for segment, (low, high) in zip(video.truth, pairwise(times), strict=True)
    ]


def _scaled(other: BenchmarkVideo, video: BenchmarkVideo) -> list[Segment]:
    """The letters of another song at its places, scaled to the duration of `video`."""
    scale = video.duration_seconds / other.duration_seconds
    return [
        _guess(video.video_id, segment.letter, segment.start_seconds * scale, segment.end_seconds * scale)
        for segment in other.truth
    ]


def _guess(video_id: str, letter: str, start: float, end: float, object_word: str | None = None) -> Segment:
    return Segment(
        segment_id=segment_id(video_id, start),
        video_id=video_id,
        letter=letter,
        object_word=object_word,
        start_seconds=start,
        end_seconds=end,
        rule="phrase",
        evidence="",
        confidence=1.0,
    )


def one_letter_result(
    evidence: str,
    videos: Sequence[BenchmarkVideo],
    found: Mapping[str, Sequence[Segment]],
    refusals: Mapping[str, str],
    wrong_rows: Mapping[str, bool],
) -> OneLetterResult:
    """Score the segments of the one-letter videos.

    Args:
        found: `BenchmarkVideo.video_id` -> its finished segments.
        refusals: video id -> why it has no segments.
        wrong_rows: ``video: letter`` of each wrong manifest row -> whether a segment is kept.
    """
    truth = [segment for video in videos for segment in video.truth]
    thirds: list[Segment] = []
    num_words = 0
    for video in videos:
        segments, words = found.get(video.video_id, ()), {one.object_word for one in video.truth} - {None}
        num_words += len(words & {segment.object_word for segment in segments})
        times = np.linspace(0.0, video.duration_seconds, 4).tolist()
        thirds += [_guess(video.video_id, video.letters, low, high) for low, high in pairwise(times)]
    segments = [segment for video in videos for segment in found.get(video.video_id, ())]
    return OneLetterResult(
        evidence=evidence,
        num_phrases={video.video_id: len(join_split_segments(found.get(video.video_id, ()))) for video in videos},
        num_wrong_rows=len(wrong_rows),
        kept_of_wrong_rows=tuple(name for name, is_kept in wrong_rows.items() if is_kept),
        num_object_words=num_words,
        num_true_words=sum(one.object_word is not None for one in truth),
        objects=_object_score(segments, truth),
        control_f1=_object_score(thirds, truth).f1,
        refusals=refusals,
    )


def _object_score(segments: Sequence[Segment], truth: Sequence[TrueSegment]) -> SegmentScore:
    """The score of phrases with an object word; segments that match a phrase without one are neither right nor wrong."""
    ignored = {segment.segment_id for segment, one in matched_pairs(segments, truth, 0.5) if one.object_word is None}
    counted = [segment for segment in segments if segment.segment_id not in ignored]
    return score_segments(counted, [one for one in truth if one.object_word is not None], 0.5)


# --- the run -------------------------------------------------------------------------------------------------------


def run_real_benchmark(cache: Path, options: RealBenchmarkOptions, *, on_progress: OnProgress) -> RealBenchmark:
    """Read, recognize (cached in `cache`), segment and score the real videos."""
    media = shared_media()
    models = [model for model in options.models if local_model(model) is not None]
    songs, letters, others = real_songs(media), one_letter_videos(media), negatives(media)
    if options.num_negatives:
        others += rendered_videos(
            cache,
            num_songs=0,
            num_negatives=options.num_negatives,
            seed=SegmentationBenchmarkOptions().seed,
            workers=options.workers,
            on_progress=on_progress,
        )
    songs, letters = (_with_evidence(some, cache, models, options, on_progress) for some in (songs, letters))
    others = _with_evidence(others, cache, models[:1], options, on_progress)
    default = evidence_sets(models)[1 if models else 0]
    found = [song_result(video, evidence) for video in songs for evidence in evidence_sets(models)]
    cues = (
        EvidenceSet(name="cues", words="cues", screen=False),
        EvidenceSet(name="cues + screen", words="cues", screen=True),
    )
    subtitled = captioned(songs, letters, cache / "joined") if models else []
    return with_targets(
        RealBenchmark(
            songs=tuple(found),
            controls=tuple(controls(songs)),
            one_letter=tuple(
                _one_letter(cache, letters, model, options, on_progress) for model in models or options.models[:1]
            ),
            captions=tuple(song_result(video, evidence, "letter") for video in subtitled for evidence in cues),
            false_segments=tuple(false_segments(others, default)),
            num_without_letters=len(others),
            cpu_ratios=_cpu_ratios(songs, models),
            targets=(),
        ),
        default_evidence=default.name,
    )


def speech_key(model: str) -> str:
    """Key of a model's words in `BenchmarkVideo.words`."""
    return f"speech {Path(model).name}"


def evidence_sets(models: Sequence[str]) -> list[EvidenceSet]:
    """Screen alone, and for each speech model the screen with it and it alone."""
    sets = [SCREEN]
    for model in models:
        key = speech_key(model)
        sets += [
            EvidenceSet(name=f"screen + {key}", words=key, screen=True),
            EvidenceSet(name=key, words=key, screen=False),
        ]
    return sets


def _with_evidence(
    videos: Sequence[BenchmarkVideo],
    cache: Path,
    models: Sequence[str],
    options: RealBenchmarkOptions,
    on_progress: OnProgress,
) -> list[BenchmarkVideo]:
    read = with_traces(videos, cache, workers=options.workers, on_progress=on_progress)
    for model in models:
        read = with_speech(
            read, cache, workers=options.workers, on_progress=on_progress, model=model, key=speech_key(model)
        )
    return read


def _one_letter(
    cache: Path,
    videos: Sequence[BenchmarkVideo],
    model: str,
    options: RealBenchmarkOptions,
    on_progress: OnProgress,
) -> OneLetterResult:
    built = build_dataset(
        cache, "one-letter", videos, kind="letter", model=model, workers=options.workers, on_progress=on_progress
    )
    found: dict[str, list[Segment]] = {}
    for video in videos:
        own = [segment for segment in built.segments if segment.video_id == built_id(video)]
        found[video.video_id] = [replace(segment, video_id=video.video_id) for segment in own]
    refusals = {video.video_id: built.refusal(built_id(video)) for video in videos if not found[video.video_id]}
    evidence = EvidenceSet(words=speech_key(model), screen=True)
    wrong_rows = {
        f"{video.video_id}: {letter}": bool(segment_video(video, evidence, letter).kept)
        for video in videos
        for letter in LETTERS
        if letter != video.letters
    }
    return one_letter_result(f"screen + {speech_key(model)}", videos, found, refusals, wrong_rows)


def false_segments(videos: Sequence[BenchmarkVideo], evidence: EvidenceSet) -> Iterable[FalseSegments]:
    """Segments that are found in videos without letters, as alphabets and with a row of each letter."""
    for kind, letters in (("alphabet", LETTERS), *((f"letter {letter}", letter) for letter in LETTERS)):
        for video in videos:
            segments = segment_video(video, evidence, letters).finished
            if segments:
                yield FalseSegments(
                    video_id=video.video_id,
                    evidence=evidence.name,
                    kind=kind,
                    by_evidence=dict(Counter(segment.evidence for segment in segments)),
                    num_kept=sum(map(is_confident, segments)),
                )


def _cpu_ratios(songs: Sequence[BenchmarkVideo], models: Sequence[str]) -> dict[str, float]:
    duration = sum(video.duration_seconds for video in songs)
    started = time.process_time()
    for video in songs:
        segment_video(video, SCREEN)
    ratios = {
        "screen": sum(video.screen_cpu_seconds for video in songs) / duration,
        "segment": (time.process_time() - started) / duration,
    }
    for model in models:
        key = speech_key(model)
        ratios[key] = sum(video.speech_cpu_seconds.get(key, 0.0) for video in songs) / duration
    return ratios


# --- targets -------------------------------------------------------------------------------------------------------


def with_targets(found: RealBenchmark, *, default_evidence: str) -> RealBenchmark:
    """The results with the table of targets; those of the four songs apply to the evidence that a user gets by default."""
    rows: list[TargetRow] = []
    results = {one.song: one for one in found.songs if one.evidence == default_evidence}
    for song in SONGS:
        if song.name not in results:
            continue
        result, score = results[song.name], results[song.name].finished_50
        control = {one.name: one for one in found.controls if one.song == song.name}
        rows.append(
            _at_least(
                song.name,
                "F1 at 0.5 (letters)",
                score.f1,
                song.min_f1,
                control=" / ".join(f"{one.f1_at_50:.2f}" for one in control.values()),
                note=f" ({score.num_matched} of {score.num_truth}; ceiling {result.ceiling_50:.2f})",
            )
        )
        if song.min_f1_at_75 is not None:
            at_75 = " / ".join(f"{one.f1_at_75:.2f}" for one in control.values())
            note = f" (ceiling {result.ceiling_75:.2f})"
            rows.append(
                _at_least(song.name, "F1 at 0.75", result.finished_75.f1, song.min_f1_at_75, control=at_75, note=note)
            )
        rows += _confidence_rows(result)
    for one in found.one_letter:
        rows += _one_letter_rows(one)
    for caption in found.captions:
        if caption.evidence == "cues + screen":
            name = f"captions with cue times: {caption.song}"
            note = f" (ceiling {caption.ceiling_75:.2f})"
            rows.append(_at_least(name, "F1 at 0.75", caption.finished_75.f1, MIN_CAPTIONS_F1_AT_75, note=note))
    for kind, false in (
        ("alphabet", [one for one in found.false_segments if one.kind == "alphabet"]),
        ("each of the 26 letters", [one for one in found.false_segments if one.kind != "alphabet"]),
    ):
        number = sum(sum(one.by_evidence.values()) for one in false) if kind == "alphabet" else _num_kept(false)
        names = ", ".join(f"{one.video_id} as {one.kind[-1]}" for one in false if kind != "alphabet" and one.num_kept)
        rows.append(
            TargetRow(
                material=f"{found.num_without_letters} videos without letters, manifest row: {kind}",
                measure="segments" if kind == "alphabet" else "segments kept by default",
                value=f"{number} ({names})" if names else str(number),
                target="0",
                control="",
                is_met=number == 0,
            )
        )
    cpu = found.cpu_ratios
    total = (
        cpu["screen"] + cpu["segment"] + next((value for key, value in cpu.items() if key.startswith("speech")), 0.0)
    )
    rows.append(
        TargetRow(
            material="the four songs",
            measure="CPU seconds per second of video",
            value=f"{total:.3f}",
            target=f"<= {MAX_CPU_RATIO}",
            control="",
            is_met=total <= MAX_CPU_RATIO,
        )
    )
    return replace(found, targets=tuple(rows))


def _num_kept(false: Sequence[FalseSegments]) -> int:
    return sum(one.num_kept for one in false)


def _at_least(
    material: str, measure: str, value: float, target: float, *, control: str = "", note: str = ""
) -> TargetRow:
    return TargetRow(
        material=material,
        measure=measure,
        value=f"{value:.3f}{note}",
        target=f">= {target:g}",
        control=control,
        is_met=value >= target,
    )


def _confidence_rows(result: SongResult) -> list[TargetRow]:
    wrong, highest = result.wrong_confidence, result.max_wrong_confidence
    if math.isnan(wrong):
        return []
    return [
        TargetRow(
            material=result.song,
            measure="confidence of wrong segments, mean (maximum); kept",
            value=f"{wrong:.2f} ({highest:.2f}); {result.num_wrong}",
            target=f"< {MAX_WRONG_CONFIDENCE:g} ({MAX_SINGLE_WRONG_CONFIDENCE:g})",
            control="",
            is_met=wrong < MAX_WRONG_CONFIDENCE and highest <= MAX_SINGLE_WRONG_CONFIDENCE,
        )
    ]


def _one_letter_rows(one: OneLetterResult) -> list[TargetRow]:
    numbers = list(one.num_phrases.values())
    material = f"one-letter videos, {one.evidence}"

    def row(measure: str, value: str, target: str, is_met: bool, control: str = "") -> TargetRow:
        return TargetRow(material=material, measure=measure, value=value, target=target, control=control, is_met=is_met)

    wrong_rows = ", ".join(one.kept_of_wrong_rows)
    return [
        row(
            "kept with a wrong letter in the manifest",
            f"{len(one.kept_of_wrong_rows)} of {one.num_wrong_rows}" + (f" ({wrong_rows})" if wrong_rows else ""),
            "0",
            not one.kept_of_wrong_rows,
        ),
        row("phrases per video", " ".join(map(str, numbers)), "2 or 3", all(number in (2, 3) for number in numbers)),
        row(
            "object words right",
            f"{one.num_object_words} of {one.num_true_words}",
            f">= {MIN_OBJECT_WORDS}",
            one.num_object_words >= MIN_OBJECT_WORDS,
        ),
        TargetRow(
            material=material,
            measure="F1 of object phrases at 0.5",
            value=f"{one.objects.f1:.3f}",
            target="",
            control=f"{one.control_f1:.2f} (equal thirds)",
            is_met=None,
        ),
    ]


# --- output --------------------------------------------------------------------------------------------------------

TARGET_HEADINGS = ("material", "measure", "value", "target", "control: even / sung part / other song", "")
SONG_HEADINGS = (
    "song", "evidence", "phrases .5", ".75", "finished .5", ".75", "ceiling .5", ".75", "letters", "median s",
    "calibration", "wrong: mean, max",
)  # fmt: skip


def target_table(found: RealBenchmark) -> list[tuple[str, ...]]:
    """Rows of text under `TARGET_HEADINGS`."""
    return [
        (row.material, row.measure, row.value, row.target, row.control, "MISSED" if row.is_met is False else "")
        for row in found.targets
    ]


def song_table(results: Sequence[SongResult]) -> list[tuple[str, ...]]:
    """Rows of text under `SONG_HEADINGS`."""
    return [
        (
            one.song,
            one.evidence,
            f"{one.phrases_50.f1:.3f}",
            f"{one.phrases_75.f1:.3f}",
            f"{one.finished_50.f1:.3f}",
            f"{one.finished_75.f1:.3f}",
            f"{one.ceiling_50:.3f}",
            f"{one.ceiling_75:.3f}",
            f"{one.finished_50.num_matched} of {one.finished_50.num_truth}",
            _number(one.finished_50.median_boundary_error_seconds),
            _number(one.calibration_error),
            f"{_number(one.wrong_confidence)}, {_number(one.max_wrong_confidence)}",
        )
        for one in results
    ]


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def notes(found: RealBenchmark) -> Iterable[str]:
    """Lines of text: refusals, false segments, cost."""
    for one in (*found.songs, *found.captions):
        if one.refusal:
            yield f"{one.song}, {one.evidence}: refused: {one.refusal}"
    for result in found.one_letter:
        for video, why in result.refusals.items():
            yield f"{video}, {result.evidence}: refused: {why}"
    for false in found.false_segments:
        counts = ", ".join(f"{number} by {evidence}" for evidence, number in false.by_evidence.items())
        yield f"{false.video_id} contains no letter; manifest row {false.kind}: {counts}; {false.num_kept} kept by default"
    for part, ratio in found.cpu_ratios.items():
        yield f"{part}: {ratio:.3f} CPU seconds per second of video"


def markdown(found: RealBenchmark) -> str:
    """The tables and notes for docs/segmentation.md."""
    parts: list[str] = []
    for headings, rows in (
        (TARGET_HEADINGS, target_table(found)),
        (SONG_HEADINGS, song_table(found.songs)),
        (SONG_HEADINGS, song_table(found.captions)),
    ):
        lines = [headings, ("---",) * len(headings), *rows]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    parts.append("\n".join(f"* {note}" for note in notes(found)))
    return "\n\n".join(parts) + "\n"


def as_plain(found: RealBenchmark) -> dict[str, object]:
    """All results as values for JSON; numbers that do not exist (NaN) are null."""

    def finite(value: object) -> object:
        if isinstance(value, dict):
            return {key: finite(item) for key, item in cast("dict[str, object]", value).items()}
        if isinstance(value, (list, tuple)):
            return [finite(item) for item in cast("Sequence[object]", value)]
        return None if isinstance(value, float) and math.isnan(value) else value

    plain = cast("dict[str, object]", finite(dataclasses.asdict(found)))
    return {**plain, "within_targets": found.within_targets}
