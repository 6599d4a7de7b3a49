"""Videos of the segmentation benchmark: rendered songs, rendered negatives, and folders with ground-truth files.

Rendering, OCR and speech recognition are cached by their inputs, so a second run costs only the segmentation.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from phonics_data import ocr
from phonics_data.captions.parse import CAPTION_SUFFIXES, parse_captions, read_captions
from phonics_data.contract.files import write_bytes
from phonics_data.contract.records import from_plain, to_plain
from phonics_data.errors import InputError, ItemError, MediaError, RecognitionError
from phonics_data.executors.local import map_items
from phonics_data.media import frame_sampler, is_video_file, probe
from phonics_data.ocr.trace import TRACE_VERSION, ScreenTrace
from phonics_data.recognizers.aligner import refine
from phonics_data.recognizers.cache import recognize_cached
from phonics_data.recognizers.engines import (
    EngineOptions,
    engine_fingerprint,
    open_recognizer,
    selected_engine,
    uses_aligner,
)
from phonics_data.recognizers.whisper import DEFAULT_MODEL, WhisperOptions
from phonics_data.segmentation.lexicon import LETTERS, confusable
from phonics_data.segmentation.scoring import read_truth_table, true_segment
from phonics_data.sources.synthetic import captions as rendered_captions
from phonics_data.sources.synthetic.letters_plan import LettersPlan, plan_letters_song
from phonics_data.sources.synthetic.music import RATE_HZ, mix
from phonics_data.sources.synthetic.negatives import plan_negative
from phonics_data.sources.synthetic.render import RENDERER_VERSION, is_rendered, render_song, render_songs
from phonics_data.sources.synthetic.song_plan import CaptionStyle, SectionPlan
from phonics_data.sources.synthetic.timeline import Timeline, build_timeline, true_segments
from phonics_data.storage.workspace import file_sha256, fingerprint, write_json
from phonics_data.types import Origin, TrueSegment, Word

OnProgress = Callable[[str, int, int], None]
Task = TypeVar("Task")

TRUTH_SUFFIX = ".tsv"
TRUTH_NAME = "truth.tsv"

SPEECH_MUSIC_DECIBELS = -5.0
"""Level of the music relative to the voice for speech recognition."""

_UNEVEN_HALF_BEATS = (0, 0, 0, 1, 1, 2, 2, 4, 8, 14)
"""Pauses of songs with an uneven rhythm, in half beats (about a quarter of a second); one is sampled for each letter."""

_REPLACEMENTS = (
    "the and you it's go on see look oh yeah all right what is that here we are hey wow come play now".split()
)
"""Words that recognizers output instead of others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceWords:
    """Words and their origin."""

    words: tuple[Word, ...]
    origin: Origin


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkVideo:
    """One video with all its sources of evidence and its ground truth.

    Args:
        kind: kind of song, ``no letters``, or the name of its folder.
        way: how letters appear; empty if unknown.
        is_whole: contains all 26 letters in alphabetical order.
        letters: the letters that the video may contain, by its manifest row.
        truth: empty for a video without letters.
        plan: plan of a rendered song.
        words: name of the source (``words``, ``cues``, ``corrupted``, ``own``, ``speech``) -> its words.
        trace: file of the OCR trace.
        screen_cpu_seconds: CPU time of OCR, video decoding included.
        speech_cpu_seconds: key of the words -> CPU time of speech recognition; without that of words that were cached.
    """

    video_id: str
    path: Path
    kind: str
    way: str
    is_whole: bool
    is_rendered: bool
    truth: tuple[TrueSegment, ...]
    duration_seconds: float
    letters: str = LETTERS
    plan: LettersPlan | None = None
    words: Mapping[str, SourceWords] = field(default_factory=dict)
    trace: Path | None = None
    screen_cpu_seconds: float = 0.0
    speech_cpu_seconds: Mapping[str, float] = field(default_factory=dict)

    def read_trace(self) -> ScreenTrace:
        assert self.trace is not None  # `with_traces`
        return ScreenTrace.from_file(self.trace)


def _run(
    step: str, function: Callable[[Task], None], tasks: Sequence[Task], *, workers: int, on_progress: OnProgress
) -> None:
    on_progress(step, 0, len(tasks))
    for done, (_, result) in enumerate(map_items(function, tasks, workers=workers), start=1):
        if isinstance(result, ItemError):
            raise result
        on_progress(step, done, len(tasks))


# --- rendered ------------------------------------------------------------------------------------------------------


def rendered_videos(
    cache: Path,
    *,
    num_songs: int,
    num_negatives: int,
    num_uneven: int = 0,
    seed: int,
    workers: int,
    on_progress: OnProgress,
) -> list[BenchmarkVideo]:
    """Songs, negatives and songs with an uneven rhythm of one seed, rendered if the cache does not contain them."""
    songs, negatives, uneven = cache / f"songs-{seed}", cache / f"negatives-{seed}", cache / f"uneven-{seed}"
    if num_songs:
        render_songs(songs, num_songs=num_songs, seed=seed, family="letters", workers=workers, on_progress=on_progress)
    plans = [(plan_letters_song(seed, index), songs) for index in range(num_songs)]
    plans += [(plan_negative(seed, index), negatives) for index in range(num_negatives)]
    plans += [(with_uneven_rhythm(plan_letters_song(seed, index)), uneven) for index in range(num_uneven)]
    waiting = [(plan, folder) for plan, folder in plans if not _cached_evidence(plan, folder)]
    _run("captions", _write_evidence, waiting, workers=workers, on_progress=on_progress)
    return [_rendered(plan, folder, seed) for plan, folder in plans]


def with_uneven_rhythm(plan: LettersPlan) -> LettersPlan:
    """The song with random pauses after its letters, as in real songs: letters last from one beat to eight."""
    rng = np.random.default_rng((plan.seed, plan.index, 0x0DD))
    half_beats = rng.choice(_UNEVEN_HALF_BEATS, size=len(plan.sections)).tolist()

    def uneven(section: SectionPlan, extra: int) -> SectionPlan:
        if section.kind != "letter":
            return section
        if section.half_beats:  # letter runs: the exact length
            return replace(section, half_beats=2 + extra)
        return replace(section, rest_half_beats=extra)

    sections = tuple(uneven(section, extra) for section, extra in zip(plan.sections, half_beats, strict=True))
    return replace(plan, video_id=f"uneven-{plan.index:04d}", sections=sections)


def _evidence_path(plan: LettersPlan, folder: Path) -> Path:
    return folder / ".evidence" / f"{plan.video_id}.json"


def _digest(plan: LettersPlan) -> str:
    return fingerprint("evidence-1", RENDERER_VERSION, plan.digest())


def _cached_evidence(plan: LettersPlan, folder: Path) -> dict[str, Any]:
    """What `_write_evidence` wrote; empty if it has to be written."""
    try:
        found: dict[str, Any] = json.loads(_evidence_path(plan, folder).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found if found["digest"] == _digest(plan) and is_rendered(plan, folder) else {}


def _write_evidence(task: tuple[LettersPlan, Path]) -> None:
    """Write the captions of the song in both styles, and its ground truth; render it if needed."""
    plan, folder = task
    if not is_rendered(plan, folder):
        render_song(plan, folder)
    timeline = build_timeline(plan)
    styles: tuple[CaptionStyle, ...] = ("words", "cues")
    value = {
        "digest": _digest(plan),
        "duration_seconds": timeline.num_frames / plan.frame_rate,
        "captions": {style: _json3(plan, style, timeline) for style in styles},
        "truth": [
            {"letter": segment.letter, "start_seconds": segment.start_seconds, "end_seconds": segment.end_seconds}
            for segment in true_segments(plan, timeline)
        ],
    }
    write_json(_evidence_path(plan, folder), value)


def _json3(plan: LettersPlan, style: CaptionStyle, timeline: Timeline) -> dict[str, Any]:
    return rendered_captions.json3(replace(plan, captions=style), timeline)


def _rendered(plan: LettersPlan, folder: Path, seed: int) -> BenchmarkVideo:
    found = _cached_evidence(plan, folder)
    duration = float(found["duration_seconds"])
    is_negative = plan.video_id.startswith("negative")
    video_id = f"{seed}-{plan.video_id}"
    words = {
        "words": SourceWords(words=_parsed(found["captions"]["words"], duration), origin="auto_captions"),
        "cues": SourceWords(words=_parsed(found["captions"]["cues"], duration), origin="manual_captions"),
    }
    words["corrupted"] = replace(
        words["words"], words=corrupted(words["words"].words, fraction=0.2, seed=plan.music_seed)
    )
    if plan.captions != "none":
        words["own"] = words[plan.captions]
    return BenchmarkVideo(
        video_id=video_id,
        path=folder / f"{plan.video_id}.mp4",
        kind="no letters" if is_negative else plan.kind,
        way=plan.way,
        is_whole=plan.letters in (LETTERS, 2 * LETTERS),
        is_rendered=True,
        truth=() if is_negative else tuple(true_segment(video_id, row) for row in found["truth"]),
        duration_seconds=duration,
        plan=plan,
        words=words,
    )


def _parsed(json3: dict[str, Any], duration_seconds: float) -> tuple[Word, ...]:
    data = json.dumps(json3).encode()
    return parse_captions(data, ".json3", name="rendered", duration_seconds=duration_seconds).words


def corrupted(words: Sequence[Word], *, fraction: float, seed: int) -> tuple[Word, ...]:
    """`words` with this fraction deleted (half of it) or replaced (half): letters by similar names, others by any word."""
    rng = np.random.default_rng((seed, 0xDA3A6E))
    out: list[Word] = []
    for word in words:
        draw, choice = float(rng.random()), float(rng.random())
        if draw < fraction / 2:
            continue
        if draw < fraction:
            letter = word.text.upper()
            similar = sorted(confusable(letter)) if letter in LETTERS and len(letter) == 1 else []
            pool = [name.lower() for name in similar] if similar and choice < 0.5 else _REPLACEMENTS
            word = replace(word, text=pool[int(rng.integers(len(pool)))])
        out.append(word)
    return tuple(out)


# --- folders -------------------------------------------------------------------------------------------------------


def folder_videos(folder: Path) -> list[BenchmarkVideo]:
    """The videos of a folder that have a ground-truth file: ``<stem>.tsv``, or ``truth.tsv`` for a single video.

    A line of a ground-truth file is letter, start and end in seconds, separated by tabs or spaces; ``#`` begins a comment.
    An empty file means that the video contains no letters. Captions such as ``<stem>.en.vtt`` are used.

    Raises:
        InputError: no such folder, no video with a ground-truth file, or an invalid line.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; allowed: a folder of videos with ground-truth files")
    videos = sorted(path for path in folder.iterdir() if is_video_file(path))
    found: list[BenchmarkVideo] = []
    for path in videos:
        table = path.with_suffix(TRUTH_SUFFIX)
        if not table.is_file() and len(videos) == 1:
            table = folder / TRUTH_NAME
        if table.is_file():
            found.append(_from_folder(path, table))
    if not found:
        raise InputError(
            f"{folder}: {len(videos)} videos, none with a ground-truth file; write <video name>{TRUTH_SUFFIX}, one line "
            "per letter: letter, start and end in seconds"
        )
    return found


def _from_folder(path: Path, table: Path) -> BenchmarkVideo:
    video_id = f"{path.parent.name}/{path.stem}"
    segments = read_truth_table(table, video_id)
    duration = probe(path).duration_seconds
    letters = "".join(segment.letter for segment in segments)
    return BenchmarkVideo(
        video_id=video_id,
        path=path,
        kind=path.parent.name if segments else "no letters",
        way="",
        is_whole=letters in (LETTERS, 2 * LETTERS),
        is_rendered=False,
        truth=tuple(segments),
        duration_seconds=duration,
        words={"own": own} if (own := _captions(path, duration)) is not None else {},
    )


def _captions(path: Path, duration_seconds: float) -> SourceWords | None:
    """The first caption file of a video; those with word times have priority."""
    for suffix in CAPTION_SUFFIXES:
        for captions in sorted(path.parent.glob(f"{path.stem}*{suffix}")):
            track = read_captions(captions, duration_seconds=duration_seconds)
            return SourceWords(words=track.words, origin="file")
    return None


# --- OCR -----------------------------------------------------------------------------------------------------------


def with_traces(
    videos: Sequence[BenchmarkVideo], cache: Path, *, workers: int, on_progress: OnProgress
) -> list[BenchmarkVideo]:
    """The videos with their OCR traces, made if the cache does not contain them."""
    reader = ocr_fingerprint()
    paths = {video.path: cache / "screen" / f"{reader}-{file_sha256(video.path)[:16]}.npz" for video in videos}
    waiting = [(path, trace) for path, trace in paths.items() if not trace.with_suffix(".json").exists()]
    _run("screen", _write_trace, waiting, workers=workers, on_progress=on_progress)
    return [
        replace(video, trace=paths[video.path], screen_cpu_seconds=_cpu_seconds(paths[video.path].with_suffix(".json")))
        for video in videos
    ]


@functools.cache
def ocr_fingerprint() -> str:
    """Version of the trace and digest of the code that reads the screen, so that each change of it is measured."""
    sources = sorted([*Path(ocr.__file__).parent.glob("*.py"), Path(frame_sampler.__file__)])
    return f"{TRACE_VERSION}-{fingerprint(*(file_sha256(source) for source in sources))[:8]}"


def _write_trace(task: tuple[Path, Path]) -> None:
    from phonics_data.ocr import read_screen
    from phonics_data.ocr.recognizer import letter_recognizer

    path, trace = task
    letter_recognizer()  # loaded once per process; not a part of the cost per video
    started = time.process_time()
    found = read_screen(path)
    seconds = time.process_time() - started
    write_bytes(trace, found.to_bytes())
    write_json(trace.with_suffix(".json"), {"cpu_seconds": seconds})


@functools.cache
def _cpu_seconds(path: Path) -> float:
    return float(json.loads(path.read_bytes())["cpu_seconds"])


# --- speech --------------------------------------------------------------------------------------------------------


def with_speech(
    videos: Sequence[BenchmarkVideo],
    cache: Path,
    *,
    workers: int,
    on_progress: OnProgress,
    model: str = DEFAULT_MODEL,
    key: str = "speech",
) -> list[BenchmarkVideo]:
    """The videos with the words of the speech recognition under `key`; unchanged if its model is not installed.

    The music of rendered songs is raised to `SPEECH_MUSIC_DECIBELS`.

    Args:
        model: as in `WhisperOptions`.
    """
    engine = EngineOptions(whisper=WhisperOptions(threads=1, model=model))
    if selected_engine(engine) is None:
        return list(videos)
    recognizer = fingerprint("speech-1", *engine_fingerprint(engine))
    paths = {video.video_id: cache / "speech" / f"{_cache_name(video, recognizer)}.json" for video in videos}
    waiting = [(video, paths[video.video_id], cache, engine) for video in videos if not paths[video.video_id].exists()]
    _run(f"speech {model}", _recognize, waiting, workers=workers, on_progress=on_progress)
    return [
        replace(
            video,
            words={**video.words, key: SourceWords(words=_cached_words(paths[video.video_id]), origin="whisper")},
            speech_cpu_seconds={**video.speech_cpu_seconds, key: _cpu_seconds(paths[video.video_id])},
        )
        for video in videos
    ]


def _cache_name(video: BenchmarkVideo, recognizer: str) -> str:
    audio = [video.plan.digest(), SPEECH_MUSIC_DECIBELS] if video.plan is not None else [file_sha256(video.path)]
    return fingerprint(recognizer, *audio)[:24]


def _recognize(task: tuple[BenchmarkVideo, Path, Path, EngineOptions]) -> None:
    from phonics_data.media.audio_reader import read_audio

    video, path, cache, options = task
    if video.plan is not None:
        plan = replace(video.plan, music_decibels=SPEECH_MUSIC_DECIBELS)
        _, samples = mix(plan, build_timeline(plan))
        audio, rate_hz = np.asarray(samples, np.float32), RATE_HZ
    else:
        try:
            audio, rate_hz = read_audio(video.path, duration_seconds=video.duration_seconds, rate_hz=16_000), 16_000
        except MediaError:  # no audio, or none that decodes: no words
            write_json(path, {"words": [], "cpu_seconds": 0.0})
            return
    engine = open_recognizer(options)
    assert engine is not None  # `with_speech`
    started = time.process_time()
    try:
        words = recognize_cached(
            engine, audio, audio_rate_hz=rate_hz, language="en", folder=cache / "recognitions"
        ).words
    except RecognitionError:  # as in the stage `transcribe`: the video has no words
        words = ()
    if uses_aligner(options):
        words = refine(words, audio, audio_rate_hz=rate_hz, options=options.align_options).words
    write_json(path, {"words": [to_plain(word) for word in words], "cpu_seconds": time.process_time() - started})


def _cached_words(path: Path) -> tuple[Word, ...]:
    return tuple(from_plain(Word, row) for row in json.loads(path.read_bytes())["words"])
