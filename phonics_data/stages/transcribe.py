"""The stage `transcribe`: videos.parquet -> words.parquet and screen_letters.parquet.

- Words come from captions. If there are none, or they contain no alphabet, speech recognition runs (`--engine`); its
  results are cached in WORK/recognitions.
- If the words are missing or uncertain, OCR reads the screen (`--ocr`); its detections are stored in
  WORK/ocr/<video_id>.npz, and the resulting letters in screen_letters.parquet.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from phonics_data.captions.language import foreign_language
from phonics_data.captions.parse import CaptionTrack, read_captions
from phonics_data.contract.files import write_bytes
from phonics_data.contract.records import to_plain
from phonics_data.errors import DependencyError, EnginePausedError, InputError, ItemError, OptionError, WorkerDiedError
from phonics_data.executors.executor import Executor, on_this_machine
from phonics_data.executors.isolated import call_isolated, decoding_limits
from phonics_data.executors.items import OnProgress, Outcome, count_of_part, rejected, run_items, write_rejections
from phonics_data.media.audio_track import MonoAudio
from phonics_data.ocr.trace import TRACE_VERSION, ScreenTrace, trace_path
from phonics_data.recognizers.aligner import aligner_version, refine
from phonics_data.recognizers.cache import recognize_cached
from phonics_data.recognizers.engines import EngineOptions, engine_fingerprint, open_recognizer, uses_aligner
from phonics_data.recognizers.google import Google, max_sent_seconds
from phonics_data.segmentation.lexicon import examples
from phonics_data.segmentation.screen_letters import screen_letters
from phonics_data.segmentation.segmenter import CAPTION_ORIGINS, names_letters, needs_screen
from phonics_data.storage.parts import Part
from phonics_data.storage.tables import read_table, write_table
from phonics_data.storage.workspace import Workspace, file_sha256, fingerprint
from phonics_data.types import (
    Captions,
    FetchedVideo,
    Origin,
    Rejection,
    ScreenLetter,
    StageCount,
    TranscriptWord,
    Word,
)

OcrMode = Literal["auto", "always", "never"]

CAPTIONS_VERSION = "captions-5"
"""Increased whenever the same caption file would give other words."""

_AUDIO_RATE_HZ = 16_000
"""Sampling rate of the audio for recognizers and aligner."""

_RECOGNITIONS = "recognitions"
"""Folder of cached recognitions in the workspace."""

_FAILED = ("recognition_failed", "worker_died")
"""Reasons that say more than that there are no words."""

_LoadAudio = Callable[[], MonoAudio]
"""Returns the audio of one video; reads it at the first call only."""

_ORIGINS: dict[str, Origin] = {"manual": "manual_captions", "auto": "auto_captions", "file": "file"}


@dataclass(frozen=True, kw_only=True, slots=True)
class TranscribeOptions:
    """Options of the stage.

    Args:
        language: ISO 639-1 code of the language of the transcripts; other languages are rejected.
        ocr: when OCR reads the screen: ``auto`` if the words are missing or uncertain, ``always``, or ``never``.
        engine: the recognizer for videos whose captions contain no alphabet.
        ignore_captions: use no words of captions, to measure the other evidence.
    """

    language: str = "en"
    ocr: OcrMode = "auto"
    engine: EngineOptions = field(default_factory=EngineOptions)
    ignore_captions: bool = False

    def __post_init__(self) -> None:
        if not (len(self.language) == 2 and self.language.isascii() and self.language.islower()):
            raise OptionError("--language", self.language, "a language code of two lower-case letters, such as en")
        if self.ocr not in get_args(OcrMode):
            raise OptionError("--ocr", self.ocr, "auto, always or never")


def transcribe(
    workspace: Workspace,
    options: TranscribeOptions,
    *,
    workers: int = 1,
    on_progress: OnProgress | None = None,
    part: Part | None = None,
    executor: Executor = on_this_machine,
) -> StageCount:
    """Write words.parquet (one row a word) and screen_letters.parquet (one row a letter), in the order of videos.parquet and of time.

    Rejections:

    - a video without words: no captions, unreadable captions, or another language according to the manifest, the
      captions or the recognizer;
    - damaged cues of captions that are otherwise used, as item ``<video_id>/captions``;
    - parts of the audio that the recognizer could not process, as item ``<video_id>/speech``;
    - a screen that OCR could not read within its limits, where there are words, as item ``<video_id>/screen``.

    If the recognizer is paused (quota used up, no network), this run uses the other evidence and the next run
    recognizes the video.

    Args:
        part: process only the items of this part, and write no table; a call without it then does so.
        executor: what runs `workers` processes, or a cluster.

    Raises:
        DependencyError: a recognizer or the aligner was requested by name and is not installed.
        EngineError: the recognizer cannot work at all; finished videos stay finished.
    """
    videos = _videos(workspace, part)
    tasks = {video.video_id: video for video in videos}
    options = _with_phrase_hints(options)
    fingerprints = _fingerprints(workspace, videos, options)
    # A task of a cluster has one CPU.
    options = _with_threads(options, workers if executor is on_this_machine else os.cpu_count() or 1)
    function = functools.partial(_transcribe_one, workspace.root, options)
    result = run_items(
        workspace,
        "transcribe",
        tasks,
        fingerprints,
        function,
        TranscriptWord,
        workers=workers,
        on_progress=on_progress,
        executor=executor,
    )
    if part is not None:
        return count_of_part(result.count, part)
    write_table(workspace.table("words"), TranscriptWord, result.kept)
    write_table(workspace.table("screen_letters"), ScreenLetter, _screen_rows(workspace, videos))
    write_rejections(workspace, "transcribe", result.rejections)
    return result.count


def _videos(workspace: Workspace, part: Part | None) -> list[FetchedVideo]:
    return read_table(workspace.table("videos"), FetchedVideo, has_video=part.has if part is not None else None)


def _with_threads(options: TranscribeOptions, workers: int) -> TranscribeOptions:
    """`options` with the CPU cores divided among the workers, unless the user set the number of threads."""
    whisper = options.engine.whisper
    if whisper.threads:
        return options
    whisper = dataclasses.replace(whisper, threads=max(1, (os.cpu_count() or 1) // workers))
    return dataclasses.replace(options, engine=dataclasses.replace(options.engine, whisper=whisper))


def _with_phrase_hints(options: TranscribeOptions) -> TranscribeOptions:
    """`options` with phrase hints for Google: likely words of songs, short ones first, since they are misrecognized most."""
    if options.language != "en" or options.engine.google.phrases:
        return options
    words = tuple(sorted(examples(), key=lambda word: (len(word), word)))
    google = dataclasses.replace(options.engine.google, phrases=words)
    return dataclasses.replace(options, engine=dataclasses.replace(options.engine, google=google))


def _fingerprints(workspace: Workspace, videos: Sequence[FetchedVideo], options: TranscribeOptions) -> dict[str, str]:
    engine = engine_fingerprint(options.engine)
    return {video.video_id: _fingerprint(workspace, video, options, engine) for video in videos}


def _fingerprint(
    workspace: Workspace, video: FetchedVideo, options: TranscribeOptions, engine: Sequence[object]
) -> str:
    captions = None
    if video.captions is not None:
        path = workspace.root / video.captions.path
        # By content, since users may replace the fetched captions.
        captions = [to_plain(video.captions), file_sha256(path) if path.is_file() else "missing"]
    screen = [TRACE_VERSION, video.sha256] if options.ocr != "never" else None
    settings = [options.language, options.ocr, options.ignore_captions, engine]
    settings += [video.language, video.page_language, video.letters]
    audio = video.sha256 if engine else None
    return fingerprint(CAPTIONS_VERSION, settings, video.duration_seconds, captions, screen, audio)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Transcript:
    """Words with their origin, and the rejections of parts that were lost."""

    words: tuple[Word, ...]
    origin: Origin
    engine_version: str
    rejections: tuple[Rejection, ...] = ()


def _transcribe_one(root: Path, options: TranscribeOptions, video: FetchedVideo) -> Outcome[TranscriptWord]:
    try:
        _check_video_language(video, options)
        return _words_and_screen(root, options, video)
    except ItemError as error:
        if error.reason == "wrong_language":
            # An earlier run may have detected letters of that language.
            trace_path(root, video.video_id).unlink(missing_ok=True)
        raise


def _words_and_screen(root: Path, options: TranscribeOptions, video: FetchedVideo) -> Outcome[TranscriptWord]:
    transcript, missing = None, ItemError("no_transcript", f"{video.video_id}: --ignore-captions is set")
    load_audio: _LoadAudio = functools.cache(functools.partial(_read_audio, root, video))
    try:
        if not options.ignore_captions:
            transcript = _read_captions(root, options, video)
    except ItemError as error:
        if error.reason == "wrong_language":
            raise  # the screen would show letters of that language
        missing = error
    rejections = transcript.rejections if transcript is not None else ()
    is_temporary = False
    if transcript is None or not _names_letters(transcript.words, video):
        try:
            recognized = _recognize(root, options, video, load_audio)
            if recognized is not None and (transcript is None or _names_letters(recognized.words, video)):
                transcript = _aligned(options, recognized, load_audio)
                rejections += recognized.rejections
        except EnginePausedError as error:
            is_temporary = True
            rejections += (_speech_rejection(video, str(error)),)
            missing = ItemError("recognition_failed", f"{missing.detail}; {error}")
        except ItemError as error:
            if transcript is not None:
                # Captions are enough here; a damaged file is rejected by the stage `shard`.
                if error.reason in _FAILED:
                    rejections += (_part_rejection(video, "speech", error),)
            elif error.reason == "wrong_language":
                raise
            else:
                reason = error.reason if error.reason in _FAILED else missing.reason
                missing = ItemError(reason, f"{missing.detail}; {error.detail}")
            is_temporary |= isinstance(error, WorkerDiedError)
    try:
        ocr_result = _read_screen(root, options, video, transcript)
    except ItemError as error:
        ocr_result = f"OCR failed ({error.detail})"
        is_temporary |= isinstance(error, WorkerDiedError)
        if error.reason in _FAILED and transcript is not None:
            rejections += (_part_rejection(video, "screen", error),)
        elif error.reason in _FAILED:
            missing = ItemError(error.reason, missing.detail)
    if transcript is None:
        error = ItemError(
            missing.reason, f"{missing.detail}; {ocr_result}", measured=missing.measured, threshold=missing.threshold
        )
        return dataclasses.replace(rejected("transcribe", video.video_id, error), is_temporary=is_temporary)
    return Outcome(kept=_rows(video, options, transcript), rejections=rejections, is_temporary=is_temporary)


def _rows(video: FetchedVideo, options: TranscribeOptions, transcript: _Transcript) -> tuple[TranscriptWord, ...]:
    return tuple(
        TranscriptWord(
            video_id=video.video_id,
            index=index,
            text=word.text,
            start_seconds=word.start_seconds,
            end_seconds=word.end_seconds,
            confidence=word.confidence,
            timing=word.timing,
            language=options.language,
            origin=transcript.origin,
            engine_version=transcript.engine_version,
        )
        for index, word in enumerate(transcript.words)
    )


def _names_letters(words: Sequence[Word], video: FetchedVideo) -> bool:
    """Whether the words are enough: captions then need no speech recognition, and recognized words replace captions."""
    return names_letters(words, duration_seconds=video.duration_seconds, letters=video.letters)


# --- captions ------------------------------------------------------------------------------------------------------


def _read_captions(root: Path, options: TranscribeOptions, video: FetchedVideo) -> _Transcript:
    if video.captions is None:
        raise ItemError("no_transcript", f"{video.video_id}: it has no captions in {options.language}")
    track = read_captions(root / video.captions.path, duration_seconds=video.duration_seconds)
    _check_caption_language(video.captions, track, options)
    if not track.words:
        raise ItemError("no_transcript", f"{video.captions.path}: the captions contain no words")
    return _Transcript(
        words=tuple(track.words),
        origin=_ORIGINS[video.captions.kind],
        engine_version=CAPTIONS_VERSION,
        rejections=_caption_rejections(video.video_id, track),
    )


def _check_caption_language(captions: Captions, track: CaptionTrack, options: TranscribeOptions) -> None:
    for source, code in (("track", captions.track), (f"file, line {track.language_line},", track.language)):
        if code and code not in ("und", "unknown") and code.lower().split("-")[0] != options.language:
            raise ItemError(
                "wrong_language", f"{captions.path}: the {source} has language {code}, allowed: {options.language}"
            )
    if options.language == "en" and (other := foreign_language(word.text for word in track.words)):
        raise ItemError("wrong_language", f"{captions.path}: the words are {other}, allowed: English")


def _caption_rejections(video_id: str, track: CaptionTrack) -> tuple[Rejection, ...]:
    if not track.warnings:
        return ()
    more = f" (and {len(track.warnings) - 3} more)" if len(track.warnings) > 3 else ""
    return (
        Rejection(
            stage="transcribe",
            item_id=f"{video_id}/captions",
            reason="captions_unreadable",
            measured=float(len(track.warnings)),
            detail="; ".join(track.warnings[:3]) + more,
        ),
    )


# --- speech recognition --------------------------------------------------------------------------------------------


def _recognize(
    root: Path, options: TranscribeOptions, video: FetchedVideo, load_audio: _LoadAudio
) -> _Transcript | None:
    """The words that the chosen recognizer finds; None if none is chosen.

    Raises:
        ItemError: the audio cannot be read or recognized, or has no words, or words of another language.
    """
    folder = root / _RECOGNITIONS
    engine = open_recognizer(options.engine, folder)
    if engine is None:
        return None
    recognition = recognize_cached(
        engine, load_audio(), audio_rate_hz=_AUDIO_RATE_HZ, language=options.language, folder=folder
    )
    if not recognition.words:
        raise ItemError(
            "no_transcript", f"{engine.name} recognized no words in {video.duration_seconds:.0f} s of audio"
        )
    if options.language == "en" and (other := foreign_language(word.text for word in recognition.words)):
        raise ItemError(
            "wrong_language", f"{video.video_id}: the words that {engine.name} recognized are {other}, allowed: English"
        )
    assert engine.name in ("whisper", "google"), engine.name
    warnings = "; ".join(recognition.warnings)
    return _Transcript(
        words=recognition.words,
        origin=engine.name,
        engine_version=engine.version,
        rejections=(_speech_rejection(video, warnings),) if warnings else (),
    )


def _aligned(options: TranscribeOptions, transcript: _Transcript, load_audio: _LoadAudio) -> _Transcript:
    """The recognized `transcript` with refined times, if the aligner is enabled and installed.

    Captions are not aligned: on rendered songs it did not improve captions of whole lines (docs/recognizers.md).
    """
    if options.language != "en" or not uses_aligner(options.engine):
        return transcript
    refined = refine(transcript.words, load_audio(), audio_rate_hz=_AUDIO_RATE_HZ, options=options.engine.align_options)
    version = f"{transcript.engine_version}; {aligner_version()}"
    return dataclasses.replace(transcript, words=refined.words, engine_version=version)


def _read_audio(root: Path, video: FetchedVideo) -> MonoAudio:
    task = (root / video.path, video.duration_seconds)
    return call_isolated(_decode_audio, task, decoding_limits(video.duration_seconds))


def _decode_audio(task: tuple[Path, float]) -> MonoAudio:
    # Imported only when needed, since most videos have captions.
    from phonics_data.media.audio_reader import read_audio

    path, duration_seconds = task
    return read_audio(path, duration_seconds=duration_seconds, rate_hz=_AUDIO_RATE_HZ)


def _speech_rejection(video: FetchedVideo, detail: str) -> Rejection:
    return _part_rejection(video, "speech", ItemError("recognition_failed", detail))


def _part_rejection(video: FetchedVideo, part: Literal["speech", "screen"], error: ItemError) -> Rejection:
    return rejected("transcribe", f"{video.video_id}/{part}", error).rejections[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class GoogleUsageEstimate:
    """Upper bound of the audio that a run of `transcribe` sends to Google.

    Args:
        num_videos: videos that need recognition and are not recognized yet.
        seconds: of their audio, without the parts recognized by earlier runs.
        sent_seconds: audio that earlier runs sent from this workspace.
    """

    num_videos: int
    seconds: float
    sent_seconds: float


def google_usage_estimate(
    workspace: Workspace, options: TranscribeOptions, part: Part | None = None
) -> GoogleUsageEstimate:
    """Estimate what `transcribe` would send to Google. Reads captions, and audio if a part of it is cached; sends nothing."""
    options = _with_phrase_hints(options)
    google = Google(options.engine.google, folder=workspace.root / _RECOGNITIONS / "google")
    seconds = [
        _seconds_to_send(workspace.root, options, google, video)
        for video in _unfinished_videos(workspace, options, part)
        if _needs_recognition(workspace.root, options, video)
    ]
    positive = [value for value in seconds if value > 0]
    return GoogleUsageEstimate(num_videos=len(positive), seconds=sum(positive), sent_seconds=google.sent_seconds())


def videos_awaiting_engine(workspace: Workspace, options: TranscribeOptions) -> list[tuple[str, str]]:
    """(video_id, why) for each video that the last run could not recognize because the recognizer was paused."""
    why = {
        row.item_id.removesuffix("/speech"): row.detail
        for row in read_table(workspace.table("rejections"), Rejection)
        if row.stage == "transcribe"
    }
    unfinished = _unfinished_videos(workspace, _with_phrase_hints(options), None)
    return [(video.video_id, why.get(video.video_id, "")) for video in unfinished]


def _unfinished_videos(workspace: Workspace, options: TranscribeOptions, part: Part | None) -> list[FetchedVideo]:
    videos = _videos(workspace, part)
    fingerprints = _fingerprints(workspace, videos, options)
    ledger = workspace.ledger("transcribe")
    return [video for video in videos if ledger.read(video.video_id, fingerprints[video.video_id]) is None]


def _needs_recognition(root: Path, options: TranscribeOptions, video: FetchedVideo) -> bool:
    if options.ignore_captions:
        return True
    try:
        return not _names_letters(_read_captions(root, options, video).words, video)
    except ItemError as error:
        return error.reason != "wrong_language"


def _seconds_to_send(root: Path, options: TranscribeOptions, google: Google, video: FetchedVideo) -> float:
    if not google.sent_seconds():
        return max_sent_seconds(video.duration_seconds, whole=bool(options.engine.google.bucket))
    try:
        return google.seconds_to_send(_read_audio(root, video), audio_rate_hz=_AUDIO_RATE_HZ, language=options.language)
    except ItemError:
        return 0.0  # unreadable audio is not sent


# --- the screen ----------------------------------------------------------------------------------------------------


def _read_screen(root: Path, options: TranscribeOptions, video: FetchedVideo, transcript: _Transcript | None) -> str:
    """Run OCR if the options and the words require it; returns a message about the result.

    Raises:
        ItemError: the frames cannot be decoded, or not within the limits.
    """
    if options.ocr == "never":
        return "OCR was not run (--ocr never)"
    # Recognized words are never the primary source if the screen shows an alphabet (segmentation/segmenter.py).
    is_written = transcript is not None and transcript.origin in CAPTION_ORIGINS
    words = transcript.words if transcript is not None and is_written else ()
    is_certain = not needs_screen(words, duration_seconds=video.duration_seconds, letters=video.letters)
    if options.ocr == "auto" and is_certain:
        return "the words are certain enough without OCR"
    try:
        trace = call_isolated(_decode_screen, root / video.path, decoding_limits(video.duration_seconds))
    except (DependencyError, ImportError) as error:
        if options.ocr == "always":
            raise
        return f"OCR was not run ({error})"
    write_bytes(trace_path(root, video.video_id), trace.to_bytes())
    return "the letters on the screen are used (OCR was run)"


def _decode_screen(path: Path) -> ScreenTrace:
    # Imported only when needed: OCR requires optional packages and loads a model.
    from phonics_data.ocr import read_screen

    return read_screen(path)


def _screen_rows(workspace: Workspace, videos: Sequence[FetchedVideo]) -> Iterator[ScreenLetter]:
    for video in videos:
        path = trace_path(workspace.root, video.video_id)
        if not path.exists():
            continue
        try:
            trace = ScreenTrace.from_file(path)
        except InputError:
            # Another release wrote it, and with these options the screen was not read again.
            path.unlink()
        else:
            yield from screen_letters(video.video_id, trace)


# --- language ------------------------------------------------------------------------------------------------------


def _check_video_language(video: FetchedVideo, options: TranscribeOptions) -> None:
    """Reject videos in another language by their metadata.

    OCR cannot determine the language, and an English recognizer finds English words in every language.

    - The manifest has priority unless it is ``en``, which is also its default.
    - Without captions in this language, the video's page is used. With captions it is ignored, since it may name
      the language of a dubbed track or of the singer's country.
    """
    if _is_other_language(video.language, options.language):
        raise ItemError(
            "wrong_language",
            f"{video.video_id}: the manifest has language {video.language}, allowed: {options.language} first",
        )
    if video.captions is None and _is_other_language(video.page_language, options.language):
        raise ItemError(
            "wrong_language",
            f"{video.video_id}: it has no captions, and its page has language {video.page_language}, allowed: "
            f"{options.language}; if the page is wrong, fetch a local copy with caption files",
        )


def _is_other_language(code: str, wanted: str) -> bool:
    return code.split("/")[0].split("-")[0].lower() not in ("", "en", wanted)
