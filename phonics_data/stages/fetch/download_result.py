"""What a download or a copy left in a folder, and whether it is the video that was announced."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from phonics_data.errors import FetchError, MediaError
from phonics_data.media import MediaInfo, decodes_to_end, probe
from phonics_data.types import CaptionKind

MAX_DURATION_ERROR_SECONDS = 1.0
"""A file may be so much longer or shorter than its page says; half a second more where the page gives whole seconds."""


CaptionsFound = Literal["manual", "auto", "file", "none", "translated_only", "refused", "failed"]
"""What came of the search for captions: a track of that kind, or why there is none. ``translated_only``: the language is
there by machine translation alone; ``refused``: the server wants a token that we do not have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DownloadedCaptions:
    """The caption file that the rule chose."""

    track: str
    kind: CaptionKind
    path: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class DownloadResult:
    """The files of one video in one folder, not yet looked at."""

    media: Path
    captions: DownloadedCaptions | None
    captions_found: CaptionsFound
    title: str
    language: str
    """That is spoken, as its page or info.json says; empty where they say nothing."""
    format_id: str
    """The source's name of the fetched format; empty for a local file."""
    duration_seconds: float | None
    """As its page or info.json says; None where they say nothing."""
    fetcher_version: str
    warnings: tuple[str, ...] = ()


def inspect_download(result: DownloadResult) -> MediaInfo:
    """The facts of an arrived file, after every check that tells a whole video from a broken one.

    Raises:
        MediaError: ``not_a_video``, ``no_video_stream``, ``no_audio_stream``, ``does_not_decode``.
        FetchError: ``duration_mismatch``.
    """
    name = result.media.name
    info = probe(result.media)
    if not info.has_video or not info.frame_rate:
        raise MediaError("no_video_stream", f"{name}: no moving picture in it; remove the row or give its video")
    if not info.has_audio:
        raise MediaError(
            "no_audio_stream", f"{name}: no sound in it; clips need both, so remove the row or give a file with sound"
        )
    announced = result.duration_seconds
    slack = MAX_DURATION_ERROR_SECONDS + (0.5 if announced is not None and announced == int(announced) else 0.0)
    if announced is not None and abs(info.duration_seconds - announced) > slack:
        raise FetchError(
            "duration_mismatch",
            f"{name}: lasts {info.duration_seconds:.2f} s, announced were {announced:.2f} s; it broke off or is another "
            "video: run `phonics-data fetch` with --retry failed",
            measured=info.duration_seconds,
            threshold=announced,
        )
    decodes_to_end(result.media)
    return info
