"""transcribe: videos.parquet -> words.parquet, screen.parquet. What each video says and shows, with times.

Words come from captions. Where they leave doubt, or there are none, the picture is looked at too (`--screen`): what is
seen lies in WORK/screen/<video_id>.npz, and the letters of it in screen.parquet.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from phonics_data.captions import CaptionTrack, read_captions
from phonics_data.errors import DependencyError, ItemError, MediaError, OptionError
from phonics_data.executors.items import OnProgress, Outcome, run_items, write_rejections
from phonics_data.letters.decide import needs_screen
from phonics_data.letters.language import foreign_language
from phonics_data.letters.sight import screen_letters
from phonics_data.tables import read_table, to_plain, write_table
from phonics_data.trace import TRACE_VERSION, ScreenTrace, trace_path
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
from phonics_data.workspace import Workspace, file_sha256, fingerprint, write_bytes

ScreenMode = Literal["auto", "always", "never"]

CAPTIONS_VERSION = "captions-2"
"""Raised whenever the same caption file would give other words."""

_ORIGINS: dict[str, Origin] = {"manual": "manual_captions", "auto": "auto_captions", "file": "file"}


@dataclass(frozen=True, kw_only=True, slots=True)
class TranscribeOptions:
    """How videos are transcribed.

    Args:
        language: ISO 639-1 code of the language that transcripts must be in; tracks of another one are refused.
        screen: when the letters on the screen are read: ``auto`` where the words are missing or leave doubt,
            ``always``, or ``never``.
    """

    language: str = "en"
    screen: ScreenMode = "auto"

    def __post_init__(self) -> None:
        if not (len(self.language) == 2 and self.language.isascii() and self.language.islower()):
            raise OptionError("--language", self.language, "a language code of two small letters, such as en")
        if self.screen not in get_args(ScreenMode):
            raise OptionError("--screen", self.screen, "auto, always or never")


def transcribe(
    workspace: Workspace,
    options: TranscribeOptions,
    *,
    workers: int = 1,
    on_progress: OnProgress | None = None,
) -> StageCount:
    """Write words.parquet, one row a word, and screen.parquet, one row a letter seen, in the order of videos.parquet and of time.

    A video without captions, with captions that cannot be read, or in another language becomes a rejection; so does
    each loss inside a track that is otherwise used (damaged cues), under the item ``<video_id>/captions``.
    """
    videos = read_table(workspace.table("videos"), FetchedVideo)
    tasks = {video.video_id: video for video in videos}
    prints = {video.video_id: _fingerprint(workspace, video, options) for video in videos}
    function = functools.partial(_transcribe_one, workspace.root, options)
    result = run_items(
        workspace, "transcribe", tasks, prints, function, TranscriptWord, workers=workers, on_progress=on_progress
    )
    write_table(workspace.table("words"), TranscriptWord, result.kept)
    write_table(workspace.table("screen"), ScreenLetter, _screen_rows(workspace, videos))
    write_rejections(workspace, "transcribe", result.rejections)
    return result.count


def _fingerprint(workspace: Workspace, video: FetchedVideo, options: TranscribeOptions) -> str:
    captions = None
    if video.captions is not None:
        path = workspace.root / video.captions.path
        # By content, for a user may put better captions in the place of those that were fetched.
        captions = [to_plain(video.captions), file_sha256(path) if path.is_file() else "missing"]
    seen = [TRACE_VERSION, video.sha256] if options.screen != "never" else None
    return fingerprint(CAPTIONS_VERSION, dataclasses.asdict(options), video.duration_seconds, captions, seen)


def _transcribe_one(root: Path, options: TranscribeOptions, video: FetchedVideo) -> Outcome[TranscriptWord]:
    try:
        track, missing = _read_track(root, options, video), None
    except ItemError as error:
        if error.reason == "wrong_language":
            raise  # what it shows would be letters of that language
        track, missing = CaptionTrack(words=(), warnings=()), error
    unseen = _look(root, options, video, track.words)
    if missing is not None:
        raise ItemError(
            missing.reason, f"{missing.detail}; {unseen}", measured=missing.measured, threshold=missing.threshold
        )
    assert video.captions is not None  # _read_track
    origin = _ORIGINS[video.captions.kind]
    rows = tuple(
        TranscriptWord(
            video_id=video.video_id,
            index=index,
            text=word.text,
            start_seconds=word.start_seconds,
            end_seconds=word.end_seconds,
            confidence=word.confidence,
            timing=word.timing,
            language=options.language,
            origin=origin,
            engine_version=CAPTIONS_VERSION,
        )
        for index, word in enumerate(track.words)
    )
    return Outcome(kept=rows, rejections=_losses(video.video_id, track))


def _read_track(root: Path, options: TranscribeOptions, video: FetchedVideo) -> CaptionTrack:
    if video.captions is None:
        raise ItemError("no_transcript", f"{video.video_id}: it has no captions in {options.language}")
    track = read_captions(root / video.captions.path, duration_seconds=video.duration_seconds)
    _check_language(video.captions, track, options)
    if not track.words:
        raise ItemError("no_transcript", f"{video.captions.path}: the captions hold no words")
    return track


def _look(root: Path, options: TranscribeOptions, video: FetchedVideo, words: Sequence[Word]) -> str:
    """Read the screen if the options and the words ask for it; says in words what came of it."""
    if options.screen == "never":
        return "letters on the screen were not read (--screen never)"
    if options.screen == "auto" and not needs_screen(words, duration_seconds=video.duration_seconds):
        return "the words leave no doubt"
    try:
        # Reading needs packages that not every installation has, and loads a model.
        from phonics_data.onscreen import read_screen

        trace = read_screen(root / video.path)
    except (DependencyError, ImportError) as error:
        if options.screen == "always":
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
