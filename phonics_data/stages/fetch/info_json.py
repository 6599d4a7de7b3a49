"""The info.json of a stored video: it describes the video and contains no secrets and nothing that expires."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from phonics_data.storage.public_text import without_secrets

KEPT = (
    "id title fulltitle description channel channel_id channel_url uploader uploader_id uploader_url duration view_count "
    "like_count upload_date timestamp release_date release_timestamp age_limit categories tags chapters language license "
    "availability live_status webpage_url webpage_url_domain extractor extractor_key epoch _type _version"
).split()
KEPT_OF_FORMAT = (
    "format_id format_note ext vcodec acodec width height fps asr audio_channels tbr vbr abr filesize filesize_approx "
    "container protocol language dynamic_range"
).split()


def strip_info(info: Mapping[str, Any], *, captions: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The fields of a yt-dlp info dict that are stored, as plain JSON values.

    This is an allow-list: a deny-list would miss secrets in fields that yt-dlp adds later. Signed addresses, cookies,
    request headers, tokens and local paths are never stored.

    Args:
        captions: the info dict that lists the caption tracks, when it is another one.
    """
    stripped = _plain({name: info[name] for name in KEPT if info.get(name) is not None})
    formats: Any = info.get("requested_formats") or [info]
    stripped["fetched_formats"] = [
        _plain({name: entry[name] for name in KEPT_OF_FORMAT if entry.get(name) is not None})
        for entry in (formats if isinstance(formats, list) else [])
        if isinstance(entry, Mapping)
    ]
    for name in ("subtitles", "automatic_captions"):
        listed = (captions or info).get(name)
        stripped[name] = sorted(map(str, listed)) if isinstance(listed, Mapping) else []
    return stripped


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no NaN
    if isinstance(value, str):
        return without_secrets(value.encode("utf-8", "replace").decode())  # lone surrogates
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
