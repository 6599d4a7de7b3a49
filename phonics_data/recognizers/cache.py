"""Answers of recognizers on disk, so that no second of sound is recognized, or paid for, twice.

::

    FOLDER/<key>.json      the words and warnings of one audio, by `phonics_data.recognizers.interface.cache_key`
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from phonics_data.recognizers.interface import Mono, Recognition, Recognizer, cache_key
from phonics_data.storage.tables import from_plain, to_plain
from phonics_data.storage.workspace import write_json


def recognize_once(
    engine: Recognizer, audio_N: Mono, *, audio_rate_hz: int, language: str, folder: Path
) -> Recognition:
    """What `engine` hears in the audio: from `folder` when it was asked before, else from itself, and then kept there.

    Args and errors as `phonics_data.recognizers.interface.Recognizer.recognize`; a failure is not kept.
    """
    key = cache_key(engine, audio_N, audio_rate_hz=audio_rate_hz, language=language)
    path = folder / f"{key}.json"
    if (kept := cached(path)) is not None:
        return kept
    recognition = engine.recognize(audio_N, audio_rate_hz=audio_rate_hz, language=language)
    write_json(path, {"engine": f"{engine.name}: {engine.version}", **cast("dict[str, Any]", to_plain(recognition))})
    return recognition


def cached(path: Path) -> Recognition | None:
    """The answer kept at `path`; None where there is none that can be read: it is then asked for again."""
    try:
        entry = json.loads(path.read_bytes())
        return from_plain(Recognition, {name: entry[name] for name in ("words", "warnings")})
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return None
