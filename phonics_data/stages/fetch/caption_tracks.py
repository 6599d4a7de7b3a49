"""Selection of the caption track that transcribes the spoken language.

yt-dlp lists three kinds of tracks: written by people (``subtitles``), recognized by YouTube
(``automatic_captions["X-orig"]``), and machine translations of both: every other code in ``automatic_captions``, and
``en-pt`` (Portuguese translated into English) in both. Translations contain other words at other times and are never
used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from phonics_data.captions.parse import CAPTION_SUFFIXES
from phonics_data.types import CaptionKind


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """One caption track in one format."""

    code: str
    """Language code as its source names it."""
    suffix: str
    is_auto: bool
    """Produced by speech recognition."""
    url: str = ""

    @property
    def kind(self) -> CaptionKind:
        return "auto" if self.is_auto else "manual"


def is_original(code: str, language: str) -> bool:
    """Whether the manual track `code` is written in `language` and is not a translation into it.

    Allowed suffixes of the language: a region (``en-GB``, ``es-419``), a script (``zh-Hans``), or 11 characters, by
    which YouTube names a second track of one language. Two or three lower-case letters name the language translated
    from.
    """
    if code == language:
        return True
    suffix = code.removeprefix(f"{language}-")
    if suffix == code or suffix == "orig":
        return False
    return bool(re.fullmatch(r"[A-Z]{2}|\d{3}|[A-Z][a-z]{3}(-[A-Z]{2})?|[A-Za-z0-9_-]{11}", suffix))


def choose_track(tracks: Iterable[Track], language: str) -> Track | None:
    """The manual track in `language`, else the automatic original ``<language>-orig``, else None.

    A manual track with the plain code precedes regional ones; formats follow the order of `CAPTION_SUFFIXES`.
    """
    usable = [track for track in tracks if track.suffix in CAPTION_SUFFIXES]
    manual = [track for track in usable if not track.is_auto and is_original(track.code, language)]
    auto = [track for track in usable if track.is_auto and track.code == f"{language}-orig"]
    return min(
        manual or auto,
        key=lambda track: (track.code != language, track.code, CAPTION_SUFFIXES.index(track.suffix)),
        default=None,
    )


def spoken_language(page_language: object, tracks: Iterable[Track]) -> str:
    """The code of the spoken language of a video; empty where unknown.

    Args:
        page_language: ``language`` of its info.json.
        tracks: used without it: the language of the automatic original track (``X-orig``), if there is only one.
    """
    if isinstance(page_language, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,35}", page_language):
        return page_language
    originals = {track.code.removesuffix("-orig") for track in tracks if track.is_auto and track.code.endswith("-orig")}
    return originals.pop() if len(originals) == 1 else ""


def has_translations(tracks: Iterable[Track], language: str) -> bool:
    """Whether a track in `language` exists; after `choose_track` found none, it can only be a machine translation."""
    return any(track.code.split("-")[0] == language for track in tracks)
