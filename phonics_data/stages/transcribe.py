"""transcribe: videos.parquet -> words.parquet, screen_letters.parquet. What each video says and shows, with times.

Words come from captions. Where these are no alphabet, or there are none, an engine listens (`--engine`); what it heard
is kept in WORK/recognitions. Where words leave doubt, or nobody wrote them, the picture is looked at too (`--ocr`):
what is seen lies in WORK/ocr/<video_id>.npz, and the letters of it in screen_letters.parquet.
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
from phonics_data.errors import DependencyError, EnginePausedError, ItemError, MediaError, OptionError
from phonics_data.executors.items import OnProgress, Outcome, rejected, run_items, write_rejections
from phonics_data.ocr.trace import TRACE_VERSION, ScreenTrace, trace_path
from phonics_data.recognizers.aligner import aligner_version, refine
from phonics_data.recognizers.cache import recognize_once
from phonics_data.recognizers.engines import EngineOptions, aligns, identity, open_engine
from phonics_data.recognizers.google import Google, most_seconds
from phonics_data.recognizers.interface import Mono
from phonics_data.segmentation.lexicon import examples
from phonics_data.segmentation.screen_letters import screen_letters
from phonics_data.segmentation.segmenter import CAPTION_ORIGINS, needs_screen
from phonics_data.segmentation.word_decoder import DecodeOptions, decode_words
from phonics_data.storage.tables import read_table, to_plain, write_table
from phonics_data.storage.workspace import Workspace, file_sha256, fingerprint, write_bytes
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

CAPTIONS_VERSION = "captions-2"
"""Raised whenever the same caption file would give other words."""

_RATE_HZ = 16_000
"""Of the sound that recognizers and the aligner get: what all of them work at."""

_KEPT = "recognitions"
"""Folder of what engines answered, in the workspace."""

Sound = Callable[[], Mono]
"""Reads the sound of a video, once."""

_ORIGINS: dict[str, Origin] = {"manual": "manual_captions", "auto": "auto_captions", "file": "file"}


@dataclass(frozen=True, kw_only=True, slots=True)
class TranscribeOptions:
    """How videos are transcribed.

    Args:
        language: ISO 639-1 code of the language that transcripts must be in; tracks of another one are refused.
        screen: when the letters on the screen are read: ``auto`` where the words are missing or leave doubt,
            ``always``, or ``never``.
        engine: who listens where captions give no alphabet.
        ignore_captions: take no words from captions, to see what the other evidence gives.
    """

    language: str = "en"
    ocr: OcrMode = "auto"
    engine: EngineOptions = field(default_factory=EngineOptions)
    ignore_captions: bool = False

    def __post_init__(self) -> None:
        if not (len(self.language) == 2 and self.language.isascii() and self.language.islower()):
            raise OptionError("--language", self.language, "a language code of two small letters, such as en")
        if self.ocr not in get_args(OcrMode):
            raise OptionError("--ocr", self.ocr, "auto, always or never")


def transcribe(
    workspace: Workspace,
    options: TranscribeOptions,
    *,
    workers: int = 1,
    on_progress: OnProgress | None = None,
) -> StageCount:
    """Write words.parquet, one row a word, and screen_letters.parquet, one row a letter seen, in the order of videos.parquet and of time.

    A video without captions, with captions that cannot be read, or in another language (as the manifest, the captions or
    an engine say) becomes a rejection; so does
    each loss inside a track that is otherwise used (damaged cues), under the item ``<video_id>/captions``, and what a
    recognizer lost, under ``<video_id>/speech``. Where the engine is stopped for now (its quota is used up, there is no
    network), the other evidence is taken for this run, and the next one listens again.

    Raises:
        DependencyError: an engine or the aligner was asked for by name and is not installed.
        EngineError: the engine cannot work at all; what was finished stays finished.
    """
    videos = read_table(workspace.table("videos"), FetchedVideo)
    tasks = {video.video_id: video for video in videos}
    options = _with_phrases(options)
    hashes = _fingerprints(workspace, videos, options)
    function = functools.partial(_transcribe_one, workspace.root, _shared(options, workers))
    result = run_items(
        workspace, "transcribe", tasks, hashes, function, TranscriptWord, workers=workers, on_progress=on_progress
    )
    write_table(workspace.table("words"), TranscriptWord, result.kept)
    write_table(workspace.table("screen_letters"), ScreenLetter, _screen_rows(workspace, videos))
    write_rejections(workspace, "transcribe", result.rejections)
    return result.count


def _shared(options: TranscribeOptions, workers: int) -> TranscribeOptions:
    """`options` with the cores shared out among the workers, unless the user said how many threads each may have."""
    whisper = options.engine.whisper
    if whisper.threads:
        return options
    shared = dataclasses.replace(whisper, threads=max(1, (os.cpu_count() or 1) // workers))
    return dataclasses.replace(options, engine=dataclasses.replace(options.engine, whisper=shared))


def _with_phrases(options: TranscribeOptions) -> TranscribeOptions:
    """`options` with the words that songs are likely to hold; short ones first, for these are misheard the most."""
    if options.language != "en" or options.engine.google.phrases:
        return options
    words = tuple(sorted(examples(), key=lambda word: (len(word), word)))
    google = dataclasses.replace(options.engine.google, phrases=words)
    return dataclasses.replace(options, engine=dataclasses.replace(options.engine, google=google))


def _fingerprints(workspace: Workspace, videos: Sequence[FetchedVideo], options: TranscribeOptions) -> dict[str, str]:
    engine = identity(options.engine)
    return {video.video_id: _fingerprint(workspace, video, options, engine) for video in videos}


def _fingerprint(
    workspace: Workspace, video: FetchedVideo, options: TranscribeOptions, engine: Sequence[object]
) -> str:
    captions = None
    if video.captions is not None:
        path = workspace.root / video.captions.path
        # By content, for a user may put better captions in the place of those that were fetched.
        captions = [to_plain(video.captions), file_sha256(path) if path.is_file() else "missing"]
    seen = [TRACE_VERSION, video.sha256] if options.ocr != "never" else None
    asked = [options.language, video.language, video.page_language, options.ocr, options.ignore_captions, engine]
    heard = video.sha256 if engine else None
    return fingerprint(CAPTIONS_VERSION, asked, video.duration_seconds, captions, seen, heard)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """Words and where they come from; and what was lost on the way."""

    words: tuple[Word, ...]
    origin: Origin
    engine_version: str
    losses: tuple[Rejection, ...] = ()


def _transcribe_one(root: Path, options: TranscribeOptions, video: FetchedVideo) -> Outcome[TranscriptWord]:
    try:
        _check_spoken(video, options)
        return _words_and_screen(root, options, video)
    except ItemError as error:
        if error.reason == "wrong_language":
            # What an earlier run read there are letters of that language.
            trace_path(root, video.video_id).unlink(missing_ok=True)
        raise


def _words_and_screen(root: Path, options: TranscribeOptions, video: FetchedVideo) -> Outcome[TranscriptWord]:
    source, missing = None, ItemError("no_transcript", f"{video.video_id}: its captions are ignored, as asked")
    sound: Sound = functools.cache(functools.partial(_sound, root, video))
    try:
        if not options.ignore_captions:
            source = _read_captions(root, options, video)
    except ItemError as error:
        if error.reason == "wrong_language":
            raise  # what it shows would be letters of that language
        missing = error
    losses = source.losses if source is not None else ()
    is_paused = False
    if source is None or not _is_alphabet(source.words, video):
        try:
            heard = _listen(root, options, video, sound)
            if heard is not None and (source is None or _is_alphabet(heard.words, video)):
                source, losses = _aligned(options, heard, sound), losses + heard.losses
        except EnginePausedError as error:
            is_paused = True
            losses += (_speech_loss(video, str(error)),)
            missing = ItemError("recognition_failed", f"{missing.detail}; {error}")
        except ItemError as error:
            if source is not None:
                # A file that cannot be heard is the shard stage's to reject; captions may well be all there is to say.
                if error.reason == "recognition_failed":
                    losses += (_speech_loss(video, error.detail),)
            elif error.reason == "wrong_language":
                raise
            else:
                reason = error.reason if error.reason == "recognition_failed" else missing.reason
                missing = ItemError(reason, f"{missing.detail}; {error.detail}")
    unseen = _look(root, options, video, source)
    if source is None:
        error = ItemError(
            missing.reason, f"{missing.detail}; {unseen}", measured=missing.measured, threshold=missing.threshold
        )
        return dataclasses.replace(rejected("transcribe", video.video_id, error), again=is_paused)
    return Outcome(kept=_rows(video, options, source), rejections=losses, again=is_paused)


def _rows(video: FetchedVideo, options: TranscribeOptions, source: _Source) -> tuple[TranscriptWord, ...]:
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
            origin=source.origin,
            engine_version=source.engine_version,
        )
        for index, word in enumerate(source.words)
    )


def _is_alphabet(words: Sequence[Word], video: FetchedVideo) -> bool:
    return decode_words(words, duration_seconds=video.duration_seconds, options=DecodeOptions()).is_alphabet


# --- captions ------------------------------------------------------------------------------------------------------


def _read_captions(root: Path, options: TranscribeOptions, video: FetchedVideo) -> _Source:
    if video.captions is None:
        raise ItemError("no_transcript", f"{video.video_id}: it has no captions in {options.language}")
    track = read_captions(root / video.captions.path, duration_seconds=video.duration_seconds)
    _check_language(video.captions, track, options)
    if not track.words:
        raise ItemError("no_transcript", f"{video.captions.path}: the captions hold no words")
    return _Source(
        words=tuple(track.words),
        origin=_ORIGINS[video.captions.kind],
        engine_version=CAPTIONS_VERSION,
        losses=_losses(video.video_id, track),
    )


# --- listening -----------------------------------------------------------------------------------------------------


def _listen(root: Path, options: TranscribeOptions, video: FetchedVideo, sound: Sound) -> _Source | None:
    """What the chosen engine hears; None where none is chosen.

    Raises:
        ItemError: the sound cannot be read or recognized, holds no word, or words of another language.
    """
    engine = open_engine(options.engine, root / _KEPT)
    if engine is None:
        return None
    heard = recognize_once(engine, sound(), audio_rate_hz=_RATE_HZ, language=options.language, folder=root / _KEPT)
    if not heard.words:
        raise ItemError("no_transcript", f"{engine.name} heard no words in {video.duration_seconds:.0f} s of sound")
    if options.language == "en" and (other := foreign_language(word.text for word in heard.words)):
        raise ItemError(
            "wrong_language", f"{video.video_id}: the words that {engine.name} heard are {other}, allowed: English"
        )
    assert engine.name in ("whisper", "google"), engine.name
    warnings = "; ".join(heard.warnings)
    return _Source(
        words=heard.words,
        origin=engine.name,
        engine_version=engine.version,
        losses=(_speech_loss(video, warnings),) if warnings else (),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ToSend:
    """What a run of `transcribe` with Google would send, at most.

    Args:
        num_videos: that have no answer yet and need one.
        seconds: of their sound, as far as no earlier run has an answer for it.
        sent_seconds: what earlier runs sent from this workspace.
    """

    num_videos: int
    seconds: float
    sent_seconds: float


def what_to_send(workspace: Workspace, options: TranscribeOptions) -> ToSend:
    """What `transcribe` would ask Google for; reads captions, and sounds where there are answers for some; sends nothing."""
    options = _with_phrases(options)
    videos = read_table(workspace.table("videos"), FetchedVideo)
    hashes = _fingerprints(workspace, videos, options)
    ledger = workspace.ledger("transcribe")
    left = [video for video in videos if ledger.read(video.video_id, hashes[video.video_id]) is None]
    google = Google(options.engine.google, folder=workspace.root / _KEPT / "google")
    seconds = [
        _seconds_to_send(workspace.root, options, google, video)
        for video in left
        if _needs_ears(workspace.root, options, video)
    ]
    needed = [each for each in seconds if each > 0]
    return ToSend(num_videos=len(needed), seconds=sum(needed), sent_seconds=google.sent_seconds())


def waiting(workspace: Workspace, options: TranscribeOptions) -> list[tuple[str, str]]:
    """(video_id, why) of the videos that the last run could not have heard for now."""
    options = _with_phrases(options)
    videos = read_table(workspace.table("videos"), FetchedVideo)
    hashes = _fingerprints(workspace, videos, options)
    ledger = workspace.ledger("transcribe")
    why = {
        row.item_id.removesuffix("/speech"): row.detail
        for row in read_table(workspace.table("rejections"), Rejection)
        if row.stage == "transcribe"
    }
    return [(name, why.get(name, "")) for name in hashes if ledger.read(name, hashes[name]) is None]


def _needs_ears(root: Path, options: TranscribeOptions, video: FetchedVideo) -> bool:
    if options.ignore_captions:
        return True
    try:
        return not _is_alphabet(_read_captions(root, options, video).words, video)
    except ItemError as error:
        return error.reason != "wrong_language"


def _seconds_to_send(root: Path, options: TranscribeOptions, google: Google, video: FetchedVideo) -> float:
    if not google.sent_seconds():
        return most_seconds(video.duration_seconds, whole=bool(options.engine.google.bucket))
    try:
        return google.seconds_to_send(_sound(root, video), audio_rate_hz=_RATE_HZ, language=options.language)
    except ItemError:
        return 0.0  # what cannot be read cannot be sent


def _sound(root: Path, video: FetchedVideo) -> Mono:
    # The media library is loaded where somebody listens; most videos have captions.
    from phonics_data.media.audio_reader import read_sound

    return read_sound(root / video.path, duration_seconds=video.duration_seconds, rate_hz=_RATE_HZ)


def _speech_loss(video: FetchedVideo, detail: str) -> Rejection:
    return Rejection(stage="transcribe", item_id=f"{video.video_id}/speech", reason="recognition_failed", detail=detail)


def _aligned(options: TranscribeOptions, source: _Source, sound: Sound) -> _Source:
    """`source`, which was heard, with better times where the aligner is wanted and here.

    Captions keep theirs: on rendered songs captions of whole lines came out no better (docs/recognizers.md).
    """
    if options.language != "en" or not aligns(options.engine):
        return source
    refined = refine(source.words, sound(), audio_rate_hz=_RATE_HZ, options=options.engine.align_options)
    version = f"{source.engine_version}; {aligner_version()}"
    return dataclasses.replace(source, words=refined.words, engine_version=version)


# --- the screen ----------------------------------------------------------------------------------------------------


def _look(root: Path, options: TranscribeOptions, video: FetchedVideo, source: _Source | None) -> str:
    """Read the screen if the options and the words ask for it; says in words what came of it."""
    if options.ocr == "never":
        return "letters on the screen were not read (--ocr never)"
    # Words that were heard never lead where the screen shows an alphabet (letters/decide.py).
    is_written = source is not None and source.origin in CAPTION_ORIGINS
    words = source.words if source is not None and is_written else ()
    if options.ocr == "auto" and not needs_screen(words, duration_seconds=video.duration_seconds):
        return "the words leave no doubt"
    try:
        # Reading needs packages that not every installation has, and loads a model.
        from phonics_data.ocr import read_screen

        trace = read_screen(root / video.path)
    except (DependencyError, ImportError) as error:
        if options.ocr == "always":
            raise
        return f"letters on the screen were not read ({error})"
    except MediaError as error:
        return f"letters on the screen could not be read ({error.detail})"
    write_bytes(trace_path(root, video.video_id), trace.to_bytes())
    return "letters on the screen were read"


def _screen_rows(workspace: Workspace, videos: Sequence[FetchedVideo]) -> Iterator[ScreenLetter]:
    for video in videos:
        path = trace_path(workspace.root, video.video_id)
        if path.exists():
            yield from screen_letters(video.video_id, ScreenTrace.from_file(path))


def _check_spoken(video: FetchedVideo, options: TranscribeOptions) -> None:
    """The screen cannot tell the language, and a recognizer of English hears English in all of them.

    The manifest can; ``en`` is also what one says that says nothing. Where there are no captions in the wanted
    language either, the video's own page is believed: it may name the language of a dub, or of the singer's home.
    """
    if _is_other(video.language, options.language):
        raise ItemError(
            "wrong_language",
            f"{video.video_id}: the manifest says language {video.language}, allowed: {options.language} first",
        )
    if video.captions is None and _is_other(video.page_language, options.language):
        raise ItemError(
            "wrong_language",
            f"{video.video_id}: it has no captions, and its page says language {video.page_language}, allowed: "
            f"{options.language}; if its page is wrong, give captions beside a local copy",
        )


def _is_other(said: str, wanted: str) -> bool:
    return said.split("/")[0].split("-")[0].lower() not in ("", "en", wanted)


def _check_language(captions: Captions, track: CaptionTrack, options: TranscribeOptions) -> None:
    for source, code in (("track", captions.track), (f"file, line {track.language_line},", track.language)):
        # "und" and "" are honest ways to say nothing.
        if code and code not in ("und", "unknown") and code.lower().split("-")[0] != options.language:
            raise ItemError(
                "wrong_language", f"{captions.path}: the {source} says language {code}, allowed: {options.language}"
            )
    if options.language == "en" and (other := foreign_language(word.text for word in track.words)):
        raise ItemError("wrong_language", f"{captions.path}: the words are {other}, allowed: English")


def _losses(video_id: str, track: CaptionTrack) -> tuple[Rejection, ...]:
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
