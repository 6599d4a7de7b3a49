"""The files of one downloaded or copied video, and the checks that a complete video must pass."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from phonics_data.errors import FetchError, MediaError
from phonics_data.media import MediaInfo, decodes_to_end, probe
from phonics_data.types import CaptionKind

MAX_DURATION_ERROR_SECONDS = 1.0
"""Allowed difference between a file's duration and that of its page; 0.5 s more where the page gives whole seconds."""

CaptionsFound = Literal["manual", "auto", "file", "none", "translated_only", "refused", "failed"]
"""Result of the search for captions: the kind of the track, or why there is none.

- ``translated_only``: the language exists as a machine translation only.
- ``refused``: the server requires a PO token.
- ``failed``: the track could not be downloaded.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class DownloadedCaptions:
    """The caption file that `choose_track` selected."""

    track: str
    kind: CaptionKind
    path: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class DownloadResult:
    """The files of one video in one folder, not checked yet."""

    media: Path
    captions: DownloadedCaptions | None
    captions_found: CaptionsFound
    title: str
    language: str
    """Spoken language by the page or info.json; empty where unknown."""
    format_id: str
    """The source's name of the fetched format; empty for a local file."""
    duration_seconds: float | None
    """By the page or info.json; None where unknown."""
    fetcher_version: str
    warnings: tuple[str, ...] = ()


_MAX_TEXT = 1_000


def page_text(value: object) -> str:
    """`value` of a page or an info.json as text of limited length; empty unless it is text."""
    return value[:_MAX_TEXT] if isinstance(value, str) else ""


def plausible_seconds(value: object) -> float | None:
    """`value` of a page or an info.json as a duration in seconds; None unless it is a positive number under a year."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 366 * 86_400:
        return None
    return float(value)


def inspect_download(result: DownloadResult) -> MediaInfo:
    """Check that the media file is a complete video with sound, and return its properties.

    Raises:
        MediaError: ``not_a_video``, ``no_video_stream``, ``no_audio_stream``, ``does_not_decode``.
        FetchError: ``duration_mismatch``.
    """
    name = result.media.name
    info = probe(result.media)
    if not info.has_video or not info.frame_rate:
        raise MediaError("no_video_stream", f"{name}: has no video stream; remove the row or give its video")
    if not info.has_audio:
        raise MediaError(
            "no_audio_stream", f"{name}: has no audio stream, clips need one; remove the row or give a file with sound"
        )
    announced = result.duration_seconds
    tolerance = MAX_DURATION_ERROR_SECONDS + (0.5 if announced is not None and announced == int(announced) else 0.0)
    if announced is not None and abs(info.duration_seconds - announced) > tolerance:
        raise FetchError(
            "duration_mismatch",
            f"{name}: duration {info.duration_seconds:.2f} s, its page gives {announced:.2f} s; the download is "
            "incomplete or is another video: run `phonics-data fetch` with --retry failed",
            measured=info.duration_seconds,
            threshold=announced,
        )
    decodes_to_end(result.media)
    return info
