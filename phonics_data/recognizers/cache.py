"""Cache of recognition results on disk, so that no audio is recognized, or paid for, twice.

FOLDER/<key>.json      the words and warnings of one audio; key: `phonics_data.recognizers.interface.cache_key`
"""

from __future__ import annotations

from pathlib import Path

from phonics_data.contract.records import from_plain, to_plain
from phonics_data.contract.untrusted import read_json_object
from phonics_data.recognizers.interface import MonoAudio, Recognition, Recognizer, cache_key
from phonics_data.storage.workspace import write_json


def recognize_cached(
    recognizer: Recognizer, audio_N: MonoAudio, *, audio_rate_hz: int, language: str, folder: Path
) -> Recognition:
    """The cached recognition in `folder`, or a new one by `recognizer`, which is then cached.

    Arguments and errors as in `phonics_data.recognizers.interface.Recognizer.recognize`. Errors are not cached.
    """
    key = cache_key(recognizer, audio_N, audio_rate_hz=audio_rate_hz, language=language)
    path = folder / f"{key}.json"
    if (cached := read_cached(path)) is not None:
        return cached
    recognition = recognizer.recognize(audio_N, audio_rate_hz=audio_rate_hz, language=language)
    write_cached(path, recognition, engine=f"{recognizer.name}: {recognizer.version}")
    return recognition


def write_cached(path: Path, recognition: Recognition, *, engine: str) -> None:
    """Write a cache entry. `engine` is for information only."""
    write_json(path, {"engine": engine, **to_plain(recognition)})


def read_cached(path: Path) -> Recognition | None:
    """The cache entry at `path`; None if it is missing or damaged."""
    try:
        entry = read_json_object(path)
        return from_plain(Recognition, {name: entry[name] for name in ("words", "warnings")})
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
