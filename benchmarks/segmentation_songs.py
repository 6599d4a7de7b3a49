"""What `benchmarks segmentation` works on: rendered songs, rendered videos without letters, and folders with a truth file.

What is expensive (rendering, reading the screen, recognizing speech) is kept in a cache folder by the content that it
was made from, so that a second run of the bench costs only the decision.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from phonics_data.captions.parse import SUFFIXES, parse_captions, read_captions
from phonics_data.errors import InputError, ItemError
from phonics_data.executors.local import map_items
from phonics_data.media import probe
from phonics_data.ocr.trace import TRACE_VERSION, ScreenTrace
from phonics_data.recognizers.aligner import refine
from phonics_data.recognizers.cache import recognize_once
from phonics_data.recognizers.engines import EngineOptions, aligns, chosen, identity, open_engine
from phonics_data.recognizers.whisper import WhisperOptions
from phonics_data.segmentation.lexicon import LETTERS, confusable
from phonics_data.segmentation.scoring import read_truth_table, true_segment
from phonics_data.sources.synthetic import captions as rendered_captions
from phonics_data.sources.synthetic.music import RATE_HZ, mix
from phonics_data.sources.synthetic.negatives import plan_negative
from phonics_data.sources.synthetic.render import RENDERER_VERSION, is_rendered, render_song, render_songs
from phonics_data.sources.synthetic.song_plan import CaptionStyle, SongPlan, plan_song
from phonics_data.sources.synthetic.timeline import Timeline, lay_out, truth
from phonics_data.storage.tables import from_plain, to_plain
from phonics_data.storage.workspace import file_sha256, fingerprint, write_bytes, write_json
from phonics_data.types import Origin, TrueSegment, Word

OnProgress = Callable[[str, int, int], None]

TRUTH_SUFFIX = ".tsv"
TRUTH_NAME = "truth.tsv"
_VIDEO_SUFFIXES = (".mp4", ".webm", ".mkv", ".mov", ".avi", ".mpg")

SPEECH_MUSIC_DECIBELS = -5.0
"""Level of the music against the voice where a recognizer listens."""

_ENGINE = EngineOptions(whisper=WhisperOptions(threads=1))

_HEARD_INSTEAD = (
    "the and you it's go on see look oh yeah all right what is that here we are hey wow come play now".split()
)
"""What recognizers write where they did not understand a word."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """Words and where they come from."""

    words: tuple[Word, ...]
    origin: Origin


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchVideo:
    """One video with all evidence that there is, and its truth.

    Args:
        kind: kind of song, ``no letters``, or the name of the folder that it came from.
        way: how letters come onto the screen; empty where nobody said.
        is_whole: all 26 letters in their order.
        truth: empty for a video without letters.
        plan: of a rendered one.
        heard: name of the evidence (``words``, ``cues``, ``damaged``, ``own``, ``speech``) -> its words.
        trace: file with what the screen shows.
        screen_cpu_seconds: what reading the screen cost when the trace was made, decoding included.
    """

    video_id: str
    path: Path
    kind: str
    way: str
    is_whole: bool
    is_rendered: bool
    truth: tuple[TrueSegment, ...]
    duration_seconds: float
    plan: SongPlan | None = None
    heard: Mapping[str, Heard] = field(default_factory=dict)
    trace: Path | None = None
    screen_cpu_seconds: float = 0.0

    def read_trace(self) -> ScreenTrace:
        assert self.trace is not None  # `with_traces`
        return ScreenTrace.from_file(self.trace)


# --- rendered ------------------------------------------------------------------------------------------------------


def rendered_videos(
    cache: Path, *, num_songs: int, num_negatives: int, seed: int, workers: int, on_progress: OnProgress
) -> list[BenchVideo]:
    """Songs and videos without letters of one seed, rendered where the cache has none."""
    songs, decoys = cache / f"songs-{seed}", cache / f"decoys-{seed}"
    if num_songs:
        render_songs(songs, num_songs=num_songs, seed=seed, workers=workers, on_progress=on_progress)
    plans = [(plan_song(seed, index), songs) for index in range(num_songs)]
    plans += [(plan_negative(seed, index), decoys) for index in range(num_negatives)]
    waiting = [(plan, folder) for plan, folder in plans if not _known(plan, folder)]
    for done, (_, result) in enumerate(map_items(_describe, waiting, workers=workers), start=1):
        if isinstance(result, ItemError):
            raise result
        on_progress("captions", done, len(waiting))
    return [_rendered(plan, folder, seed) for plan, folder in plans]


def _evidence_path(plan: SongPlan, folder: Path) -> Path:
    return folder / ".evidence" / f"{plan.video_id}.json"


def _digest(plan: SongPlan) -> str:
    return fingerprint("evidence-1", RENDERER_VERSION, plan.digest())


def _known(plan: SongPlan, folder: Path) -> dict[str, Any]:
    """What `_describe` wrote; empty where it has to be written."""
    try:
        found: dict[str, Any] = json.loads(_evidence_path(plan, folder).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found if found["digest"] == _digest(plan) and is_rendered(plan, folder) else {}


def _describe(task: tuple[SongPlan, Path]) -> None:
    """Write the captions that the song would have in either style, and its truth; render it if nobody did."""
    plan, folder = task
    if not is_rendered(plan, folder):
        render_song(plan, folder)
    timeline = lay_out(plan)
    styles: tuple[CaptionStyle, ...] = ("words", "cues")
    value = {
        "digest": _digest(plan),
        "duration_seconds": timeline.num_frames / plan.frame_rate,
        "captions": {style: _json3(plan, style, timeline) for style in styles},
        "truth": [
            {"letter": segment.letter, "start_seconds": segment.start_seconds, "end_seconds": segment.end_seconds}
            for segment in truth(plan, timeline)
        ],
    }
    write_json(_evidence_path(plan, folder), value)


def _json3(plan: SongPlan, style: CaptionStyle, timeline: Timeline) -> dict[str, Any]:
    return rendered_captions.json3(replace(plan, captions=style), timeline)


def _rendered(plan: SongPlan, folder: Path, seed: int) -> BenchVideo:
    found = _known(plan, folder)
    duration = float(found["duration_seconds"])
    is_negative = plan.video_id.startswith("decoy")
    video_id = f"{seed}-{plan.video_id}"
    heard = {
        "words": Heard(words=_parsed(found["captions"]["words"], duration), origin="auto_captions"),
        "cues": Heard(words=_parsed(found["captions"]["cues"], duration), origin="manual_captions"),
    }
    heard["damaged"] = replace(heard["words"], words=damaged(heard["words"].words, share=0.2, seed=plan.music_seed))
    if plan.captions != "none":
        heard["own"] = heard[plan.captions]
    return BenchVideo(
        video_id=video_id,
        path=folder / f"{plan.video_id}.mp4",
        kind="no letters" if is_negative else plan.kind,
        way=plan.way,
        is_whole=plan.letters in (LETTERS, 2 * LETTERS),
        is_rendered=True,
        truth=() if is_negative else tuple(true_segment(video_id, row) for row in found["truth"]),
        duration_seconds=duration,
        plan=plan,
        heard=heard,
    )


def _parsed(json3: dict[str, Any], duration_seconds: float) -> tuple[Word, ...]:
    data = json.dumps(json3).encode()
    return parse_captions(data, ".json3", name="rendered", duration_seconds=duration_seconds).words


def damaged(words: Sequence[Word], *, share: float, seed: int) -> tuple[Word, ...]:
    """`words` with this share of them lost (half) or heard as something else (half): a similar name for a letter, else any word."""
    rng = np.random.default_rng((seed, 0xDA3A6E))
    out: list[Word] = []
    for word in words:
        draw, turn = float(rng.random()), float(rng.random())
        if draw < share / 2:
            continue
        if draw < share:
            letter = word.text.upper()
            similar = sorted(confusable(letter)) if letter in LETTERS and len(letter) == 1 else []
            pool = [name.lower() for name in similar] if similar and turn < 0.5 else _HEARD_INSTEAD
            word = replace(word, text=pool[int(rng.integers(len(pool)))])
        out.append(word)
    return tuple(out)


# --- folders -------------------------------------------------------------------------------------------------------


def folder_videos(folder: Path) -> list[BenchVideo]:
    """Every video of a folder with a truth file beside it: ``<stem>.tsv``, or ``truth.tsv`` where there is one video.

    A line of a truth file is letter, start and end in seconds, divided by tabs or spaces; ``#`` begins a remark. An
    empty one says that the video holds no letters. Captions beside the video are used (``<stem>.en.vtt`` and its like).

    Raises:
        InputError: no such folder, no video with a truth file, or a line that cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; allowed: one with videos and a truth file beside each")
    videos = sorted(path for path in folder.iterdir() if path.suffix.lower() in _VIDEO_SUFFIXES)
    found: list[BenchVideo] = []
    for path in videos:
        table = path.with_suffix(TRUTH_SUFFIX)
        if not table.is_file() and len(videos) == 1:
            table = folder / TRUTH_NAME
        if table.is_file():
            found.append(_from_folder(path, table))
    if not found:
        raise InputError(
            f"{folder}: {len(videos)} videos, none with a truth file; write <video's name>{TRUTH_SUFFIX} beside it, "
            "a line a letter: letter, start and end in seconds"
        )
    return found


def _from_folder(path: Path, table: Path) -> BenchVideo:
    video_id = f"{path.parent.name}/{path.stem}"
    segments = read_truth_table(table, video_id)
    duration = probe(path).duration_seconds
    letters = "".join(segment.letter for segment in segments)
    return BenchVideo(
        video_id=video_id,
        path=path,
        kind=path.parent.name if segments else "no letters",
        way="",
        is_whole=letters in (LETTERS, 2 * LETTERS),
        is_rendered=False,
        truth=tuple(segments),
        duration_seconds=duration,
        heard={"own": own} if (own := _beside(path, duration)) is not None else {},
    )


def _beside(path: Path, duration_seconds: float) -> Heard | None:
    """The first caption file beside a video, those with word times before others."""
    for suffix in SUFFIXES:
        for captions in sorted(path.parent.glob(f"{path.stem}*{suffix}")):
            track = read_captions(captions, duration_seconds=duration_seconds)
            return Heard(words=track.words, origin="file")
    return None


# --- the screen ----------------------------------------------------------------------------------------------------


def with_traces(
    videos: Sequence[BenchVideo], cache: Path, *, workers: int, on_progress: OnProgress
) -> list[BenchVideo]:
    """The videos with what their screens show, read where the cache does not have it."""
    paths = {video.path: cache / "screen" / f"{TRACE_VERSION}-{file_sha256(video.path)[:16]}.npz" for video in videos}
    waiting = [(path, trace) for path, trace in paths.items() if not trace.with_suffix(".json").exists()]
    on_progress("screen", 0, len(waiting))
    for done, (_, result) in enumerate(map_items(_read, waiting, workers=workers), start=1):
        if isinstance(result, ItemError):
            raise result
        on_progress("screen", done, len(waiting))
    return [
        replace(video, trace=paths[video.path], screen_cpu_seconds=_cost(paths[video.path].with_suffix(".json")))
        for video in videos
    ]


def _read(task: tuple[Path, Path]) -> None:
    from phonics_data.ocr import read_screen
    from phonics_data.ocr.recognizer import letter_reader

    path, trace = task
    letter_reader()  # loaded once a process, and no part of a video's cost
    started = time.process_time()
    found = read_screen(path)
    seconds = time.process_time() - started
    write_bytes(trace, found.to_bytes())
    write_json(trace.with_suffix(".json"), {"cpu_seconds": seconds})


@functools.cache
def _cost(path: Path) -> float:
    return float(json.loads(path.read_bytes())["cpu_seconds"])


# --- speech --------------------------------------------------------------------------------------------------------


def with_speech(
    videos: Sequence[BenchVideo], cache: Path, *, workers: int, on_progress: OnProgress
) -> list[BenchVideo]:
    """The videos with what the recognizer of this machine hears; as they were where there is none.

    Rendered ones are heard with their music raised to `SPEECH_MUSIC_DECIBELS`; others as they are.
    """
    if chosen(_ENGINE) is None:
        return list(videos)
    heard_by = fingerprint("speech-1", *identity(_ENGINE))
    paths = {video.video_id: cache / "speech" / f"{_sound_name(video, heard_by)}.json" for video in videos}
    waiting = [(video, paths[video.video_id], cache) for video in videos if not paths[video.video_id].exists()]
    on_progress("speech", 0, len(waiting))
    for done, (_, result) in enumerate(map_items(_listen, waiting, workers=workers), start=1):
        if isinstance(result, ItemError):
            raise result
        on_progress("speech", done, len(waiting))
    return [
        replace(video, heard={**video.heard, "speech": Heard(words=_kept(paths[video.video_id]), origin="whisper")})
        for video in videos
    ]


def _sound_name(video: BenchVideo, heard_by: str) -> str:
    sound = [video.plan.digest(), SPEECH_MUSIC_DECIBELS] if video.plan is not None else [file_sha256(video.path)]
    return fingerprint(heard_by, *sound)[:24]


def _listen(task: tuple[BenchVideo, Path, Path]) -> None:
    from phonics_data.media.audio_reader import read_sound

    video, path, cache = task
    if video.plan is not None:
        plan = replace(video.plan, music_decibels=SPEECH_MUSIC_DECIBELS)
        _, sound = mix(plan, lay_out(plan))
        audio, rate_hz = np.asarray(sound, np.float32), RATE_HZ
    else:
        audio, rate_hz = read_sound(video.path, duration_seconds=video.duration_seconds, rate_hz=16_000), 16_000
    engine = open_engine(_ENGINE)
    assert engine is not None  # `with_speech`
    started = time.monotonic()
    words = recognize_once(engine, audio, audio_rate_hz=rate_hz, language="en", folder=cache / "recognitions").words
    if aligns(_ENGINE):
        words = refine(words, audio, audio_rate_hz=rate_hz, options=_ENGINE.align_options).words
    write_json(path, {"words": [to_plain(word) for word in words], "seconds": time.monotonic() - started})


def _kept(path: Path) -> tuple[Word, ...]:
    return tuple(from_plain(Word, row) for row in json.loads(path.read_bytes())["words"])
