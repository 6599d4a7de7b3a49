"""Which caption track of a video holds what is truly said in it.

yt-dlp lists, besides what people wrote (``subtitles``) and what YouTube heard (``automatic_captions[X-orig]``), machine
translations of either: any other code in ``automatic_captions``, and ``en-pt`` (English out of Portuguese) in both.
A translation has the wrong words at the wrong times and is never taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from phonics_data.types import CaptionKind

CAPTION_SUFFIXES = (".json3", ".vtt", ".srt")
"""In the order of preference: json3 keeps the time of every word and repeats no line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """One caption track in one format."""

    code: str
    """Language code as its source names it."""
    suffix: str
    is_auto: bool
    """Made by a machine from the sound."""
    url: str = ""


def is_original(code: str, language: str) -> bool:
    """Whether a manual track `code` is `language` as somebody wrote it, and no translation into it.

    Allowed after the language: a region (``en-GB``, ``es-419``), a script (``zh-Hans``), or the 11 characters by which
    YouTube names a second track of one language. Two or three small letters there are the language translated from.
    """
    if code == language:
        return True
    rest = code.removeprefix(f"{language}-")
    if rest == code or rest == "orig":
        return False
    return bool(re.fullmatch(r"[A-Z]{2}|\d{3}|[A-Z][a-z]{3}(-[A-Z]{2})?|[A-Za-z0-9_-]{11}", rest))


def track_kind(track: Track) -> CaptionKind:
    return "auto" if track.is_auto else "manual"


def choose_track(tracks: Iterable[Track], language: str) -> Track | None:
    """The track to take: manual in `language`, else its automatic original ``<language>-orig``, else none.

    Among manual ones the plain code goes before regions; among formats the order of `CAPTION_SUFFIXES`. Plain
    ``<language>`` among the automatic ones counts only beside ``-orig``, and then ``-orig`` is taken.
    """
    usable = [track for track in tracks if track.suffix in CAPTION_SUFFIXES]
    manual = [track for track in usable if not track.is_auto and is_original(track.code, language)]
    auto = [track for track in usable if track.is_auto and track.code == f"{language}-orig"]
    ranked = sorted(
        manual or auto, key=lambda track: (track.code != language, track.code, CAPTION_SUFFIXES.index(track.suffix))
    )
    return ranked[0] if ranked else None


def spoken_language(said: object, tracks: Iterable[Track]) -> str:
    """The code of the language that is spoken in a video, by its page; empty where that does not say.

    Args:
        said: ``language`` of its info.json.
        tracks: without it, the one that YouTube heard (``X-orig``) tells.
    """
    if isinstance(said, str) and said:
        return said
    heard = {track.code.removesuffix("-orig") for track in tracks if track.is_auto and track.code.endswith("-orig")}
    return heard.pop() if len(heard) == 1 else ""


def has_translations(tracks: Iterable[Track], language: str) -> bool:
    """Whether `language` is there as a machine translation only."""
    return any(track.code.split("-")[0] == language for track in tracks)
